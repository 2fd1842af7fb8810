//! A server that does not speak this protocol, used as it is: a mode that the application chooses (clause
//! `existing.mode`). Its rule says when that server is ready; the gate, the queue and the way back are as everywhere.

use super::backoff::Backoff;
use super::event::{ClientEvent, ClientState, Command, End, Outcome, Rejection, StateChange, TokenFailure};
use super::queue::Queue;
use super::session::announce;
use crate::close::{self, Class, CloseFrame};
use crate::config::ClientConfig;
use crate::error::PeerMisbehaved;
use crate::stage::Stage;
use crate::text::joined;
use crate::time::{Duration, Instant, earliest};

/// How much of the last message a timeout shows, in bytes.
const SHOWN_BYTES: usize = 60;
/// What a connection waits for between the open socket and ready, as [`StateChange::pending`] names it.
pub const READY_MESSAGE: &str = "ready message";

/// How an existing server is spoken to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ExistingServer {
    /// Its subprotocols, in the order in which they are offered; it has to select one. None: none is offered.
    pub protocols: Vec<String>,
    /// Whether the application has a rule for when this server is ready. Without one, readiness stays unconfirmed.
    pub confirms: bool,
}

/// What the application gave to begin a connection with.
pub type OpeningResult = Result<Vec<String>, TokenFailure>;

/// The client's end of a connection to a server that does not speak this protocol, through as many sockets as it takes.
///
/// Drive it as [`Client`](super::Client): [`Command::AskToken`] asks for the opening messages here, and each message
/// comes with the verdict of the application's rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Existing {
    config: ClientConfig,
    server: ExistingServer,
    phase: Phase,
    number: u64,
    opening: Vec<String>,
    waiting: Vec<Waiting>,
    waiting_bytes: u64,
    backoff: Backoff,
    closing: Option<Instant>,
    /// The start of the last message of this connection.
    seen: Option<String>,
    was_ready: bool,
    ended_with: Option<(u16, String)>,
    announced: Option<StateChange>,
    commands: Queue<Command>,
    events: Queue<ClientEvent>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Idle,
    Asking {
        deadline: Instant,
    },
    Dialling {
        deadline: Instant,
    },
    /// The socket is open, which says nothing.
    Open {
        deadline: Instant,
    },
    /// The rule has said ready on this very connection; or there is no rule, and the socket is open.
    Gate {
        since: Instant,
    },
    Waiting {
        until: Instant,
    },
    Ended,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Waiting {
    handle: u64,
    text: String,
    expires: Instant,
}

impl Existing {
    /// A client that has not begun to connect. `seed` is for jitter alone: draw it at random.
    pub fn new(config: ClientConfig, server: ExistingServer, seed: u64) -> Self {
        Self {
            config,
            server,
            phase: Phase::Idle,
            number: 0,
            opening: Vec::new(),
            waiting: Vec::new(),
            waiting_bytes: 0,
            backoff: Backoff::new(seed),
            closing: None,
            seen: None,
            was_ready: false,
            ended_with: None,
            announced: None,
            commands: Queue::new(),
            events: Queue::new(),
        }
    }

    /// Begins to connect; does nothing if that was done before.
    pub fn connect(&mut self, now: Instant) {
        if self.phase == Phase::Idle {
            self.attempt(now);
            self.announce();
        }
    }

    /// Gives a message to the client, which writes it at once if the gate is open, and else keeps it. Its one outcome
    /// comes as [`ClientEvent::Settled`] (clause `existing.outcome`).
    pub fn send(&mut self, now: Instant, handle: u64, text: String, fail_fast: bool, expire_after: Option<Duration>) {
        let bytes = text.len() as u64;
        let bounds = self.config.queue;
        let open = matches!(self.phase, Phase::Gate { .. });
        let full = self.waiting.len() as u64 >= bounds.messages || self.waiting_bytes + bytes > bounds.bytes;
        let refusal = if self.phase == Phase::Ended || self.closing.is_some() {
            Some(Rejection::local("closed", "the client is closed", false))
        } else if open {
            None
        } else if fail_fast {
            let message = joined(&["the server is not ready: ", self.state().name()]);
            Some(Rejection::local("not_ready", &message, true))
        } else if full {
            Some(Rejection::local("queue_full", "too much is waiting to be sent", true))
        } else {
            None
        };
        if let Some(refusal) = refusal {
            self.settle(handle, Outcome::Refused(refusal));
            return;
        }
        let age = expire_after.map_or(self.config.queue_age, |age| age.min(self.config.queue_age));
        self.waiting_bytes += bytes;
        self.waiting.push(Waiting { handle, text, expires: now + age });
        self.flush();
    }

    /// Gives a send up that was not written yet.
    pub fn abandon(&mut self, now: Instant, handle: u64) {
        if let Some(index) = self.waiting.iter().position(|waiting| waiting.handle == handle) {
            self.take(index);
            let refusal = Rejection::local("withdrawn", "withdrawn before it was written", false);
            self.settle(handle, Outcome::Refused(refusal));
        }
        self.finish_closing(now);
        self.announce();
    }

    /// Refuses new sends, lets what waits be written until `deadline`, then closes.
    pub fn close(&mut self, now: Instant, deadline: Duration) {
        if self.phase == Phase::Ended {
            return;
        }
        self.closing = Some(self.closing.map_or(now + deadline, |earlier| earlier.min(now + deadline)));
        self.finish_closing(now);
        self.announce();
    }

    /// Answers [`Command::AskToken`]: what this connection begins with (clause `existing.opening`).
    pub fn provide_opening(&mut self, now: Instant, number: u64, opening: OpeningResult) {
        if number != self.number || !matches!(self.phase, Phase::Asking { .. }) {
            return;
        }
        match opening {
            Ok(messages) => {
                self.opening = messages;
                self.phase = Phase::Dialling { deadline: now + self.config.connect_timeout };
                self.commands.push(Command::Dial { number, protocols: self.server.protocols.clone(), address: None });
            }
            Err(failure) => {
                let class = if failure.fatal { Class::Stop } else { Class::Backoff };
                self.lost(now, class, close::TOKEN_MISSING, &joined(&["no opening: ", &failure.message]));
            }
        }
        self.announce();
    }

    /// The page became visible, the network changed or the machine woke up: retries now, if it waits to. A living
    /// connection cannot be probed, since nothing is known that this server would answer.
    pub fn wake(&mut self, now: Instant) {
        if let Phase::Waiting { .. } = self.phase {
            self.attempt(now);
            self.announce();
        }
    }

    /// The WebSocket handshake is done, and the server selected `protocol`. That is not readiness: at most the opening
    /// goes out.
    pub fn handle_open(&mut self, now: Instant, number: u64, protocol: &str) {
        if number != self.number || !matches!(self.phase, Phase::Dialling { .. }) {
            return;
        }
        let offered = &self.server.protocols;
        if !offered.is_empty() && !offered.iter().any(|offered| offered == protocol) {
            let reason = "the server selects none of the subprotocols that were offered";
            self.drop_connection(now, Class::Stop, close::NO_COMMON_PROTOCOL, reason);
            return self.announce();
        }
        for text in std::mem::take(&mut self.opening) {
            self.commands.push(Command::Transmit { number, text });
        }
        self.phase = Phase::Open { deadline: now + self.config.stage_timeout };
        if !self.server.confirms {
            self.open_gate(now);
        }
        self.finish_closing(now);
        self.announce();
    }

    /// Whether the application's rule is to judge the next message of this connection.
    pub fn awaits_rule(&self, number: u64) -> bool {
        number == self.number && matches!(self.phase, Phase::Open { .. })
    }

    /// A text message came. `ready`: the application's rule takes it for the server's word that it is ready.
    pub fn handle_message(&mut self, now: Instant, number: u64, text: &str, ready: bool) {
        if number != self.number || !matches!(self.phase, Phase::Open { .. } | Phase::Gate { .. }) {
            return;
        }
        self.events.push(ClientEvent::Text(text.to_owned()));
        if self.awaits_rule(number) {
            if ready {
                self.backoff.ready();
                self.open_gate(now);
            } else {
                self.seen = Some(close::cut(text, SHOWN_BYTES).to_owned());
            }
        }
        self.finish_closing(now);
        self.announce();
    }

    /// A binary message came, which this mode cannot hand over: it ends rather than lose it without a word.
    pub fn handle_binary(&mut self, now: Instant, number: u64) {
        if number == self.number && matches!(self.phase, Phase::Open { .. } | Phase::Gate { .. }) {
            let reason = "the server sent a binary message, and existing servers are used over text";
            self.drop_connection(now, Class::Stop, close::BINARY_NOT_AGREED, reason);
            self.announce();
        }
    }

    /// What came cannot be read at all.
    pub fn handle_violation(&mut self, now: Instant, number: u64, misbehaved: PeerMisbehaved) {
        if number == self.number && matches!(self.phase, Phase::Open { .. } | Phase::Gate { .. }) {
            self.drop_connection(now, Class::Backoff, misbehaved.code(), &misbehaved.found);
            self.announce();
        }
    }

    /// The socket is gone, or never came to be. The codes of such a server are its own: only with `stop`, which the
    /// application decides, does the client stay closed (clause `existing.close`).
    pub fn handle_closed(&mut self, now: Instant, number: u64, frame: Option<CloseFrame>, stop: bool) {
        let dialling = matches!(self.phase, Phase::Dialling { .. });
        if number != self.number || !(dialling || matches!(self.phase, Phase::Open { .. } | Phase::Gate { .. })) {
            return;
        }
        let (code, mut reason) = frame.as_ref().map_or((1006, ""), |frame| (frame.code, &frame.reason));
        if reason.is_empty() && code == 1006 {
            reason = if dialling { "the WebSocket could not be opened" } else { "the connection broke off" };
        }
        self.lost(now, if stop { Class::Stop } else { Class::Backoff }, code, reason);
        self.announce();
    }

    /// The deadline that `poll_timeout` named may have passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(index) = self.waiting.iter().position(|waiting| waiting.expires <= now) {
            if let Some(waiting) = self.take(index) {
                self.settle(waiting.handle, Outcome::Expired);
            }
        }
        match self.phase {
            Phase::Asking { deadline } if deadline <= now => {
                self.lost(now, Class::Backoff, close::TOKEN_MISSING, "no opening in time");
            }
            Phase::Dialling { deadline } if deadline <= now => {
                self.drop_connection(now, Class::Backoff, 1006, "the WebSocket did not open in time");
            }
            Phase::Open { deadline } if deadline <= now => {
                let reason = match &self.seen {
                    Some(seen) => {
                        joined(&["not ready in time: no message was the ready one, the last began `", seen, "`"])
                    }
                    None => "not ready in time: the server has said nothing".to_owned(),
                };
                self.drop_connection(now, Class::Backoff, close::NOT_READY_IN_TIME, &reason);
            }
            Phase::Waiting { until } if until <= now => self.attempt(now),
            _ => {}
        }
        self.finish_closing(now);
        self.announce();
    }

    /// What the driver has to do next.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop()
    }

    /// When `handle_timeout` is to be called, if nothing comes before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let phase = match self.phase {
            Phase::Ended => return None,
            Phase::Idle | Phase::Gate { .. } => None,
            Phase::Asking { deadline } | Phase::Dialling { deadline } | Phase::Open { deadline } => Some(deadline),
            Phase::Waiting { until } => Some(until),
        };
        let expiry = self.waiting.iter().map(|waiting| waiting.expires).min();
        earliest(earliest(phase, expiry), self.closing)
    }

    /// What happened, for the application.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop()
    }

    /// The state now: CONNECTING until the rule has said ready on this very connection; without a rule never ready.
    pub fn state(&self) -> ClientState {
        match self.phase {
            Phase::Ended => ClientState::Closed,
            Phase::Gate { .. } if self.server.confirms => ClientState::ProcessingReady,
            Phase::Gate { .. } => ClientState::Unconfirmed,
            _ => ClientState::Connecting,
        }
    }

    /// Sends that wait to be written.
    pub fn unsettled(&self) -> usize {
        self.waiting.len()
    }

    fn attempt(&mut self, now: Instant) {
        self.number += 1;
        self.seen = None;
        self.phase = Phase::Asking { deadline: now + self.config.connect_timeout };
        self.commands.push(Command::AskToken { number: self.number });
    }

    fn open_gate(&mut self, now: Instant) {
        self.phase = Phase::Gate { since: now };
        self.flush();
    }

    /// Writes all that waits, in its order (clause `existing.gate`).
    fn flush(&mut self) {
        if !matches!(self.phase, Phase::Gate { .. }) {
            return;
        }
        let number = self.number;
        self.waiting_bytes = 0;
        for Waiting { handle, text, .. } in std::mem::take(&mut self.waiting) {
            self.commands.push(Command::Transmit { number, text });
            self.settle(handle, Outcome::Written { attempt: number });
        }
    }

    fn take(&mut self, index: usize) -> Option<Waiting> {
        let waiting = (index < self.waiting.len()).then(|| self.waiting.remove(index))?;
        self.waiting_bytes -= waiting.text.len() as u64;
        Some(waiting)
    }

    fn settle(&mut self, handle: u64, outcome: Outcome) {
        self.events.push(ClientEvent::Settled { handle, outcome });
    }

    /// Closes the socket as any client would: our codes mean nothing to this server (clause `existing.mode`).
    fn drop_connection(&mut self, now: Instant, class: Class, code: u16, reason: &str) {
        let number = self.number;
        self.commands.push(Command::Close { number, code: close::NORMAL, reason: String::new() });
        self.lost(now, class, code, reason);
    }

    fn lost(&mut self, now: Instant, class: Class, code: u16, reason: &str) {
        let ready_since = match self.phase {
            Phase::Gate { since } => Some(since),
            _ => None,
        };
        self.was_ready = ready_since.is_some() && self.server.confirms;
        self.ended_with = Some((code, reason.to_owned()));
        let wait = match self.closing {
            Some(_) => None,
            None => self.backoff.after(&self.config, class, None, ready_since, now),
        };
        match wait {
            Some(wait) => self.phase = Phase::Waiting { until: now + wait },
            None => self.end(class, code, reason),
        }
    }

    fn end(&mut self, class: Class, code: u16, reason: &str) {
        let awaited = matches!(self.phase, Phase::Open { .. });
        self.phase = Phase::Ended;
        self.closing = None;
        self.waiting_bytes = 0;
        let refusal = Rejection::local("closed", "the client was closed before this was written", false);
        for waiting in std::mem::take(&mut self.waiting) {
            self.settle(waiting.handle, Outcome::Refused(refusal.clone()));
        }
        self.announce();
        self.events.push(ClientEvent::Closed(End {
            code,
            reason: reason.to_owned(),
            class,
            clause: None,
            stage: if self.was_ready { Stage::ProcessingReady } else { Stage::Connecting },
            pending: if awaited { vec![READY_MESSAGE.to_owned()] } else { Vec::new() },
        }));
    }

    /// Closes when nothing waits any more, or when time is up.
    fn finish_closing(&mut self, now: Instant) {
        let Some(deadline) = self.closing else { return };
        if self.phase == Phase::Ended || (deadline > now && !self.waiting.is_empty()) {
            return;
        }
        let reason = "closed by the application";
        if matches!(self.phase, Phase::Dialling { .. } | Phase::Open { .. } | Phase::Gate { .. }) {
            self.drop_connection(now, Class::Stop, close::NORMAL, reason);
        } else {
            self.lost(now, Class::Stop, close::NORMAL, reason);
        }
    }

    fn announce(&mut self) {
        let state = self.state();
        let open = matches!(self.phase, Phase::Open { .. } | Phase::Gate { .. });
        let ended = self.ended_with.as_ref().filter(|_| !open);
        let change = StateChange {
            state,
            previous: state,
            pending: if let Phase::Open { .. } = self.phase { vec![READY_MESSAGE.to_owned()] } else { Vec::new() },
            impaired: Vec::new(),
            reason: ended.map(|(_, reason)| reason.clone()),
            connection: None,
            attempt: self.number,
            handover: false,
            retry_at: match self.phase {
                Phase::Waiting { until } => Some(until),
                _ => None,
            },
            code: ended.map(|(code, _)| *code),
        };
        announce(&mut self.announced, change, &mut self.events);
    }
}
