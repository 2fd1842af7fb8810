//! What outlives a connection: the sends, the answers, the inbox, the session itself, and the will to come back.

mod announcing;
mod dialling;
mod ending;
mod flush;
mod inbound;
mod readiness;

use super::backoff::Backoff;
use super::connection::{Connection, Inbound};
use super::event::{
    AnswerPart, ClientEvent, ClientState, Command, End, Outcome, Rejection, SendOptions, StateChange, TokenResult,
};
use super::outbox::{self, Entries, Entry, Outbox};
use super::queue::Queue;
use crate::clause::Clause;
use crate::close::{self, Class, CloseFrame};
use crate::config::{ClientConfig, Window};
use crate::error::PeerMisbehaved;
use crate::frame::{
    self, AnswerError, Auth, Bye, ClientFrame, Hello, Message, Ready, Refusal, Resume, ServerFrame, SessionGrant,
};
use crate::json::Payload;
use crate::stage::Stage;
use crate::text::joined;
use crate::time::{Duration, Instant, earliest};
use crate::{HELLO_ENTRY_BYTES, HELLO_PREFIX, SUBPROTOCOL, base64url};

/// How many connections may end on the oldest undecided send before it is given up (clause `send.three_connections`).
const MAX_LOSSES: u32 = 3;
/// How often a refused send is offered anew (clause `nack.degraded`).
const MAX_REOFFERS: u32 = 3;
/// The longest key, in bytes (clause `send.key`).
const MAX_KEY_BYTES: usize = 64;

/// The client's end of the protocol.
///
/// After every call, drain [`Client::poll_command`] and carry each command out, then drain [`Client::poll_event`],
/// then sleep until the next input or until [`Client::poll_timeout`]. Calling late, early or twice does no harm;
/// what a connection brings after its end is dropped by its number.
///
/// ```
/// use readywire_protocol::client::{Client, Command};
/// use readywire_protocol::config::ClientConfig;
/// use readywire_protocol::time::Instant;
///
/// let mut client = Client::new(ClientConfig::default(), 7);
/// client.connect(Instant::default());
/// assert!(matches!(client.poll_command(), Some(Command::AskToken { number: 1 })));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    config: ClientConfig,
    phase: Phase,
    connection: Option<Connection>,
    number: u64,
    hello_rides: bool,
    token: Option<Auth>,
    session: Option<Session>,
    /// Whom the last ready belonged to.
    subject: Option<String>,
    next_id: u64,
    inbox: Inbox,
    outbox: Outbox,
    answers: Vec<OpenAnswer>,
    backoff: Backoff,
    ready_since: Option<Instant>,
    progress_deadline: Option<Instant>,
    closing: Option<Instant>,
    last_stage: Stage,
    last_pending: Vec<String>,
    ended_with: Option<(u16, String)>,
    announced: Option<StateChange>,
    commands: Queue<Command>,
    events: Queue<ClientEvent>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Idle,
    AskingToken { deadline: Instant },
    Dialling { deadline: Instant },
    Open,
    Waiting { until: Instant },
    Ended,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Session {
    id: String,
    token: String,
    attempt: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Inbox {
    held: u64,
    told: u64,
    untold_bytes: u64,
    deadline: Option<Instant>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct OpenAnswer {
    handle: u64,
    id: u64,
    cancelled: bool,
}

/// How a connection ended, as far as this side knows.
struct Loss {
    code: u16,
    reason: String,
    class: Class,
    retry_after: Option<Duration>,
    clause: Option<String>,
}

impl Loss {
    fn local(code: u16, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), class: Class::of(code, false), retry_after: None, clause: None }
    }

    fn told(bye: Bye) -> Self {
        let code = u16::try_from(bye.code).unwrap_or(1006);
        Self {
            code,
            reason: bye.reason,
            class: bye.class.unwrap_or(Class::of(code, true)),
            retry_after: bye.retry_after_ms.map(Duration::from_millis),
            clause: bye.clause,
        }
    }
}

impl Client {
    /// A client that has not begun to connect. `seed` is for jitter alone: draw it at random.
    pub fn new(config: ClientConfig, seed: u64) -> Self {
        Self {
            config,
            phase: Phase::Idle,
            connection: None,
            number: 0,
            hello_rides: true,
            token: None,
            session: None,
            subject: None,
            next_id: 1,
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            answers: Vec::new(),
            backoff: Backoff::new(seed),
            ready_since: None,
            progress_deadline: None,
            closing: None,
            last_stage: Stage::Connecting,
            last_pending: Vec::new(),
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

    /// Gives a message to the client. Its one outcome comes as [`ClientEvent::Settled`] under `handle`, which the
    /// caller chooses and never uses twice.
    pub fn send(&mut self, now: Instant, handle: u64, event: &str, payload: Payload, options: SendOptions) {
        let bytes = payload.size();
        let age = options.expire_after.map_or(self.config.queue_age, |age| age.min(self.config.queue_age));
        let refusal = if self.phase == Phase::Ended || self.closing.is_some() {
            Some(Rejection::local("closed", "the client is closed", false))
        } else if options.fail_fast && !self.state().is_ready() {
            let message = joined(&["the server is not ready: ", self.state().name()]);
            Some(Rejection::local("not_ready", &message, true))
        } else if options.key.as_ref().is_some_and(|key| key.len() > MAX_KEY_BYTES) {
            Some(Rejection::local("key_too_long", "a key has 64 bytes at most", false))
        } else if !self.outbox.has_room(self.config.queue, bytes) {
            Some(Rejection::local("queue_full", "too much is waiting to be sent", true))
        } else {
            None
        };
        if let Some(refusal) = refusal {
            self.events.push(ClientEvent::Settled { handle, outcome: Outcome::Refused(refusal) });
            return;
        }
        if options.answer {
            self.answers.push(OpenAnswer { handle, id: 0, cancelled: false });
        }
        self.outbox.waiting.push(Box::new(Entry {
            handle,
            id: 0,
            event: event.to_owned(),
            payload,
            answer: options.answer,
            fail_fast: options.fail_fast,
            key: options.key,
            expires: now + age,
            losses: 0,
            on_wire: false,
            held: None,
            refusal: None,
            uncertain: false,
            reoffers: 0,
            given_up: false,
        }));
        self.flush(now);
    }

    /// Stops an answer. What was not written is withdrawn; what was ends with the server's own `end`.
    pub fn cancel(&mut self, now: Instant, handle: u64) {
        if self.outbox.waiting.iter().any(|entry| entry.handle == handle) {
            self.abandon(now, handle);
            return;
        }
        let Some(answer) = self.answers.iter_mut().find(|answer| answer.handle == handle) else { return };
        if answer.cancelled {
            return;
        }
        answer.cancelled = true;
        let re = answer.id;
        if let Some(mut ready) = self.connection.as_mut().and_then(Connection::ready).filter(|ready| ready.answers) {
            ready.write(&ClientFrame::Cancel { re });
        }
    }

    /// Gives a send up: withdrawn if it was never written, unknown if it was (clause `send.one_outcome`).
    pub fn abandon(&mut self, now: Instant, handle: u64) {
        if let Some(index) = self.outbox.waiting.iter().position(|entry| entry.handle == handle) {
            let refusal = Rejection::local("withdrawn", "withdrawn before it was written", false);
            if let Some(entry) = outbox::take(&mut self.outbox.waiting, index) {
                self.settle_unwritten(&entry, "given_up", Outcome::Refused(refusal));
            }
        } else if let Some(entry) = self.outbox.give_up(handle) {
            self.settle(&entry, Outcome::Unknown { code: "given_up" });
        }
        self.flush(now);
        self.finish_closing(now);
        self.announce();
    }

    /// Ends the session: refuses new sends, lets what is under way be decided until `deadline`, then says `bye`.
    pub fn close(&mut self, now: Instant, deadline: Duration) {
        if self.phase == Phase::Ended {
            return;
        }
        self.closing = Some(self.closing.map_or(now + deadline, |earlier| earlier.min(now + deadline)));
        self.finish_closing(now);
    }

    /// Answers [`Command::AskToken`].
    pub fn provide_token(&mut self, now: Instant, number: u64, token: TokenResult) {
        if number != self.number || !matches!(self.phase, Phase::AskingToken { .. }) {
            return;
        }
        match token {
            Ok(token) => {
                self.token = token;
                self.dial(now);
            }
            Err(failure) => {
                let class = if failure.fatal { Class::Stop } else { Class::Backoff };
                let reason = joined(&["no token: ", &failure.message]);
                self.lost(now, Loss { class, ..Loss::local(close::TOKEN_MISSING, reason) });
            }
        }
        self.announce();
    }

    /// The page became visible, the network changed or the machine woke up: probes the connection, or retries now.
    pub fn wake(&mut self, now: Instant) {
        match (&self.phase, &mut self.connection) {
            (Phase::Waiting { .. }, _) => {
                self.attempt(now);
                self.announce();
            }
            (_, Some(connection)) => connection.probe(now + self.config.probe_timeout),
            _ => {}
        }
    }

    /// The WebSocket handshake is done, and the server selected `protocol`.
    pub fn handle_open(&mut self, now: Instant, number: u64, protocol: &str) {
        if number != self.number || !matches!(self.phase, Phase::Dialling { .. }) {
            return;
        }
        if protocol != SUBPROTOCOL {
            let reason = "the server does not select `readywire.v1`: readiness would be unconfirmed";
            self.drop_connection(now, Loss { class: Class::Stop, ..Loss::local(4006, reason) });
            return;
        }
        let hello = if self.hello_rides { None } else { Some(ClientFrame::Hello(Box::new(self.hello())).encode()) };
        self.phase = Phase::Open;
        self.connection = Some(Connection::new(&self.config, now, number, hello));
        self.announce();
    }

    /// A text message came.
    pub fn handle_message(&mut self, now: Instant, number: u64, text: &str) {
        let Some(connection) = self.connection.as_mut().filter(|connection| connection.number == number) else {
            return;
        };
        let inbound = connection.handle_message(&self.config, now, text);
        let result = match inbound {
            Err(misbehaved) => Err(misbehaved),
            Ok(Inbound::Handled) => Ok(()),
            Ok(Inbound::StageChanged) => {
                self.last_stage = connection.stage;
                self.last_pending = connection.pending.clone();
                self.release_held();
                Ok(())
            }
            Ok(Inbound::Ready(ready)) => self.begin(now, *ready),
            Ok(Inbound::Application(frame)) => self.application(now, frame),
            Ok(Inbound::Bye(bye)) => {
                // The first reason learned; a close frame is the answer, and nothing else (clause `close.bye_first`).
                self.cut_connection(now, Loss::told(bye));
                Ok(())
            }
        };
        if let Err(misbehaved) = result {
            self.violated(now, misbehaved);
        }
        self.flush(now);
        self.finish_closing(now);
        self.announce();
    }

    /// The socket is gone, or never came to be. `None` stands for an end without a close frame.
    pub fn handle_closed(&mut self, now: Instant, number: u64, frame: Option<CloseFrame>) {
        if number != self.number || !matches!(self.phase, Phase::Dialling { .. } | Phase::Open) {
            return;
        }
        let dialling = matches!(self.phase, Phase::Dialling { .. });
        let mut loss = match frame {
            Some(frame) => Loss::local(frame.code, frame.reason),
            None if dialling => Loss::local(1006, ""),
            None => Loss::local(1006, "the connection broke off"),
        };
        if dialling && loss.reason.is_empty() {
            loss.reason = "the WebSocket could not be opened".to_owned();
        }
        self.lost(now, loss);
        self.announce();
    }

    /// The deadline that `poll_timeout` named may have passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        for entry in self.outbox.expired(now) {
            let outcome = entry.refusal.clone().map_or(Outcome::Expired, Outcome::Refused);
            self.settle_unwritten(&entry, "session_lost", outcome);
        }
        match self.phase {
            Phase::AskingToken { deadline } if deadline <= now => {
                self.lost(now, Loss { class: Class::Backoff, ..Loss::local(close::TOKEN_MISSING, "no token in time") });
            }
            Phase::Dialling { deadline } if deadline <= now => {
                self.drop_connection(now, Loss::local(1006, "the WebSocket did not open in time"));
            }
            Phase::Waiting { until } if until <= now => self.attempt(now),
            _ => {}
        }
        if self.inbox.deadline.is_some_and(|deadline| deadline <= now) {
            self.tell_taken();
        }
        if self.connection.as_ref().and_then(Connection::deadline).is_some_and(|deadline| deadline <= now) {
            self.silent(now);
        }
        if self.progress_deadline.is_some_and(|deadline| deadline <= now) {
            self.drop_connection(now, Loss::local(close::NO_PROGRESS, "no send was decided for too long"));
        }
        self.finish_closing(now);
        self.announce();
    }

    /// What the driver has to do next.
    pub fn poll_command(&mut self) -> Option<Command> {
        if let Some(command) = self.commands.pop() {
            return Some(command);
        }
        let connection = self.connection.as_mut()?;
        let number = connection.number;
        connection.poll_transmit().map(|text| Command::Transmit { number, text })
    }

    /// When `handle_timeout` is to be called, if nothing comes before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let phase = match self.phase {
            Phase::Idle | Phase::Open => None,
            Phase::Ended => return None,
            Phase::AskingToken { deadline } | Phase::Dialling { deadline } => Some(deadline),
            Phase::Waiting { until } => Some(until),
        };
        let mut next = earliest(phase, self.outbox.next_expiry());
        for deadline in [
            self.connection.as_ref().and_then(Connection::deadline),
            self.inbox.deadline,
            self.progress_deadline,
            self.closing,
        ] {
            next = earliest(next, deadline);
        }
        next
    }

    /// What happened, for the application.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop()
    }

    /// The state now.
    pub fn state(&self) -> ClientState {
        match (&self.phase, &self.connection) {
            (Phase::Ended, _) => ClientState::Closed,
            (_, Some(connection)) => ClientState::of(connection.stage),
            _ => ClientState::Connecting,
        }
    }

    /// Sends without an outcome: those waiting and those written.
    pub fn unsettled(&self) -> usize {
        self.outbox.waiting.len() + self.outbox.written.iter().filter(|entry| !entry.given_up).count()
    }
}
