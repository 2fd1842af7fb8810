//! What outlives a connection: the sends, the answers, the inbox, the session itself, and the will to come back.

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
        let bytes = payload.text().len() as u64;
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
        if let Some(mut ready) = self.connection.as_mut().and_then(Connection::ready) {
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

    /// A binary message came; version 1 has none before both ends agreed (clause `frame.text`).
    pub fn handle_binary(&mut self, now: Instant, number: u64) {
        if self.connection.as_ref().is_some_and(|connection| connection.number == number) {
            self.violated(now, PeerMisbehaved::new(Clause::FrameText, "a binary message, which nobody agreed to"));
            self.announce();
        }
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

    fn attempt(&mut self, now: Instant) {
        self.number += 1;
        self.phase = Phase::AskingToken { deadline: now + self.config.connect_timeout };
        self.commands.push(Command::AskToken { number: self.number });
    }

    fn hello(&self) -> Hello {
        let resume = self.session.as_ref().map(|session| Resume {
            session: session.id.clone(),
            token: session.token.clone(),
            attempt: session.attempt,
            settled: self.outbox.settled(),
            inbox: self.inbox.held,
        });
        Hello {
            client: Some(self.config.agent.clone()),
            auth: self.token.clone(),
            capabilities: vec!["resume".to_owned(), "answers".to_owned()],
            window: Some(self.config.window),
            resume,
        }
    }

    fn dial(&mut self, now: Instant) {
        if let Some(session) = &mut self.session {
            session.attempt += 1;
        }
        let mut protocols = vec![SUBPROTOCOL.to_owned()];
        // After an upgrade that failed before ACCEPTED, something in between may dislike long headers (clause
        // `upgrade.hello`).
        let may_ride = self.config.hello_in_upgrade && self.hello_rides;
        self.hello_rides = false;
        if may_ride {
            let hello = ClientFrame::Hello(Box::new(self.hello())).encode();
            let entry = joined(&[HELLO_PREFIX, &base64url::encode(hello.as_bytes())]);
            if entry.len() <= HELLO_ENTRY_BYTES {
                protocols.push(entry);
                self.hello_rides = true;
            }
        }
        self.phase = Phase::Dialling { deadline: now + self.config.connect_timeout };
        self.commands.push(Command::Dial { number: self.number, protocols });
    }

    /// The server is ready on this connection.
    fn begin(&mut self, now: Instant, ready: Ready) -> Result<(), PeerMisbehaved> {
        self.last_stage = Stage::ProcessingReady;
        self.last_pending.clear();
        let resumed = ready.session.as_ref().is_some_and(|session| session.resumed);
        if resumed {
            self.resume(&ready)?
        } else {
            self.start_over(ready.session.as_ref());
            self.check_received(&ready)?;
        }
        self.backoff.ready();
        self.ready_since = Some(now);
        let previous = self.session.take();
        self.session = ready.session.map(|grant: SessionGrant| {
            self.events.push(ClientEvent::Session { id: grant.id.clone(), resumed });
            let attempt = previous.filter(|_| resumed).map_or(0, |session| session.attempt);
            self.subject = Some(grant.subject);
            Session { id: grant.id, token: grant.token, attempt }
        });
        self.release_held();
        if let Some(mut connection) = self.connection.as_mut().and_then(Connection::ready) {
            for answer in self.answers.iter().filter(|answer| answer.cancelled && answer.id > 0) {
                connection.write(&ClientFrame::Cancel { re: answer.id });
            }
        }
        Ok(())
    }

    /// The former session goes on: what is decided is settled, the rest is written again.
    fn resume(&mut self, ready: &Ready) -> Result<(), PeerMisbehaved> {
        let same = match (&self.session, &ready.session) {
            (Some(ours), Some(theirs)) => ours.id == theirs.id && self.subject.as_ref() == Some(&theirs.subject),
            _ => false,
        };
        if !same {
            return Err(PeerMisbehaved::new(Clause::SessionResumed, "resumed a session that was not asked for"));
        }
        self.check_received(ready)?;
        // Refusals first: only then does `received` settle the rest (clause `session.resumed`).
        for refusal in &ready.refused {
            self.refused(refusal.clone())?;
        }
        for entry in self.outbox.acknowledge(ready.received) {
            self.acknowledged(&entry);
        }
        let mut undecided = Vec::new();
        self.outbox.written.retain(|entry| {
            let again = entry.losses < MAX_LOSSES;
            if !again {
                undecided.push(entry.clone());
            }
            again
        });
        for entry in undecided {
            self.settle(&entry, Outcome::Unknown { code: "three_connections" });
        }
        // The hello has told it.
        self.inbox.told = self.inbox.held;
        self.inbox.untold_bytes = 0;
        Ok(())
    }

    /// A server that has received what was never written would answer new sends as old ones, and process none.
    fn check_received(&mut self, ready: &Ready) -> Result<(), PeerMisbehaved> {
        if (self.outbox.highest_acknowledged..=self.outbox.highest_written).contains(&ready.received) {
            return Ok(());
        }
        self.start_over(None);
        self.session = None;
        let found = "`received` is not between acknowledged and written";
        Err(PeerMisbehaved::new(Clause::SessionReceivedRange, found))
    }

    /// A new session, or none: answers end, what was written and not decided is unknown, what was not keeps its place.
    fn start_over(&mut self, grant: Option<&SessionGrant>) {
        let stranger = match (&self.subject, grant) {
            (Some(ours), Some(theirs)) => *ours != theirs.subject,
            _ => false,
        };
        // A server without sessions knows no keys, either (clause `send.key`).
        let remembered = self.session.is_some();
        let mut again = Entries::new();
        for mut entry in std::mem::take(&mut self.outbox.written) {
            if entry.key.is_some() && remembered && !stranger && !entry.given_up && entry.losses < MAX_LOSSES {
                entry.id = 0;
                entry.on_wire = false;
                entry.uncertain = true;
                again.push(entry);
            } else {
                self.settle(&entry, Outcome::Unknown { code: "session_lost" });
            }
        }
        again.append(&mut self.outbox.waiting);
        self.outbox.waiting = again;
        if stranger {
            let refusal = Rejection::local("subject_changed", "the token now belongs to somebody else", false);
            for entry in std::mem::take(&mut self.outbox.waiting) {
                self.settle_unwritten(&entry, "session_lost", Outcome::Refused(refusal.clone()));
            }
        }
        let waiting = &self.outbox.waiting;
        let (kept, lost) = std::mem::take(&mut self.answers)
            .into_iter()
            .partition(|answer| waiting.iter().any(|entry| entry.handle == answer.handle));
        self.answers = kept;
        for answer in &mut self.answers {
            answer.id = 0;
        }
        self.end_answers(lost, "session_lost", "the session that this answer belonged to is over");
        self.outbox.highest_acknowledged = 0;
        self.outbox.highest_written = 0;
        self.inbox = Inbox::default();
    }

    fn end_answers(&mut self, answers: Vec<OpenAnswer>, code: &str, message: &str) {
        for answer in answers {
            self.events.push(ClientEvent::Answer(AnswerPart {
                handle: answer.handle,
                offset: 0,
                event: String::new(),
                payload: Payload::null(),
                end: true,
                error: Some(AnswerError { code: code.to_owned(), message: message.to_owned() }),
            }));
        }
    }

    fn application(&mut self, now: Instant, frame: ServerFrame) -> Result<(), PeerMisbehaved> {
        match frame {
            ServerFrame::Ack { id } => {
                if id > self.outbox.highest_written {
                    return Err(PeerMisbehaved::new(Clause::AckNotAboveSent, "an ack above every id written"));
                }
                let decided = self.outbox.acknowledge(id);
                if !decided.is_empty() {
                    self.progress_deadline = None;
                }
                for entry in decided {
                    self.acknowledged(&entry);
                }
            }
            ServerFrame::Nack(refusal) => {
                if refusal.id > self.outbox.highest_written {
                    return Err(PeerMisbehaved::new(Clause::AckNotAboveSent, "a nack above every id written"));
                }
                self.refused(refusal)?;
                self.release_held();
            }
            ServerFrame::Message(message) if self.session.is_some() => return self.message(now, message),
            ServerFrame::Drain { reconnect_after_ms, .. } => {
                if let [from, to] = reconnect_after_ms[..] {
                    self.backoff.window = Some((Duration::from_millis(from), Duration::from_millis(to)));
                }
            }
            _ => {
                let found = "a frame of a level that was not agreed";
                return Err(PeerMisbehaved::new(Clause::FrameLevel, found));
            }
        }
        Ok(())
    }

    fn message(&mut self, now: Instant, message: Message) -> Result<(), PeerMisbehaved> {
        if message.offset <= self.inbox.held {
            return Ok(());
        }
        if message.offset != self.inbox.held + 1 {
            return Err(PeerMisbehaved::new(Clause::InboxOffset, "an offset of the inbox is missing"));
        }
        self.inbox.held = message.offset;
        self.inbox.untold_bytes += message.payload.text().len() as u64;
        let Window { messages, bytes } = self.config.window;
        if self.inbox.held - self.inbox.told >= messages.div_ceil(2) || self.inbox.untold_bytes >= bytes / 2 {
            self.tell_taken();
        } else if self.inbox.deadline.is_none() {
            self.inbox.deadline = Some(now + self.config.taken_delay);
        }
        let Message { offset, event, payload, re, end, error } = message;
        let Some(re) = re else {
            self.events.push(ClientEvent::Message { offset, event, payload });
            return Ok(());
        };
        let asked = |answer: &OpenAnswer| answer.id == re && re > 0;
        let Some(&OpenAnswer { handle, .. }) = self.answers.iter().find(|answer| asked(answer)) else { return Ok(()) };
        // An answer may overtake the ack of its own send, and to answer is to have taken: offered anew after the loss of
        // its session, it could be processed twice. Its place in the window waits for the ack.
        if self.outbox.give_up(handle).is_some() {
            self.events.push(ClientEvent::Settled { handle, outcome: Outcome::Acknowledged { id: re } });
        }
        if end {
            self.forget_answer(handle);
        }
        self.events.push(ClientEvent::Answer(AnswerPart { handle, offset, event, payload, end, error }));
        Ok(())
    }

    fn tell_taken(&mut self) {
        self.inbox.deadline = None;
        if self.inbox.told == self.inbox.held {
            return;
        }
        let Some(mut ready) = self.connection.as_mut().and_then(Connection::ready) else { return };
        ready.write(&ClientFrame::Taken { offset: self.inbox.held, topic: None });
        self.inbox.told = self.inbox.held;
        self.inbox.untold_bytes = 0;
    }

    fn acknowledged(&mut self, entry: &Entry) {
        if !entry.given_up {
            let outcome = Outcome::Acknowledged { id: entry.id };
            self.events.push(ClientEvent::Settled { handle: entry.handle, outcome });
        }
    }

    fn refused(&mut self, refusal: Refusal) -> Result<(), PeerMisbehaved> {
        let Some(entry) = self.outbox.take_written(refusal.id) else { return Ok(()) };
        self.progress_deadline = None;
        let rejection = Rejection {
            code: refusal.code,
            message: refusal.message,
            retry: refusal.retry,
            retry_after: refusal.retry_after_ms.map(Duration::from_millis),
        };
        match refusal.service {
            Some(service) if refusal.retry && !entry.fail_fast && !entry.given_up && entry.reoffers < MAX_REOFFERS => {
                self.outbox.hold(entry, service, rejection);
            }
            _ => self.settle(&entry, Outcome::Refused(rejection)),
        }
        Ok(())
    }

    /// Lets go what waited for a service that works again (clause `nack.degraded`).
    fn release_held(&mut self) {
        let Some(connection) = &self.connection else { return };
        if !connection.stage.is_ready() {
            return;
        }
        for entry in &mut self.outbox.waiting {
            if entry.held.as_ref().is_some_and(|service| !connection.impaired.contains(service)) {
                entry.held = None;
            }
        }
    }

    fn forget_answer(&mut self, handle: u64) {
        self.answers.retain(|answer| answer.handle != handle);
    }

    /// An outcome other than acknowledged; the answer that was asked for goes with it.
    fn settle(&mut self, entry: &Entry, outcome: Outcome) {
        self.forget_answer(entry.handle);
        if !entry.given_up || matches!(outcome, Outcome::Unknown { code: "given_up" }) {
            self.events.push(ClientEvent::Settled { handle: entry.handle, outcome });
        }
    }

    /// `outcome`, unless a session that was lost may have taken it: then nobody can tell (clause `send.one_outcome`).
    fn settle_unwritten(&mut self, entry: &Entry, code: &'static str, outcome: Outcome) {
        self.settle(entry, if entry.uncertain { Outcome::Unknown { code } } else { outcome });
    }

    /// Writes what the window allows: first what was written before and is undecided, then what waits.
    fn flush(&mut self, now: Instant) {
        let Some(mut ready) = self.connection.as_mut().and_then(Connection::ready) else { return };
        let limits = ready.limits;
        let (resume, answers) = (ready.resume, ready.answers);
        let unfit = |entry: &Entry, text: &str| {
            if text.len() as u64 > limits.max_message_bytes {
                return Some(Rejection::local("too_large", "larger than the server takes", false));
            }
            // Nobody would ever end that answer (clause `frame.level`).
            (entry.answer && !answers).then(|| Rejection::local("unsupported", "the server gives no answers", false))
        };
        let mut flight = self.outbox.in_flight();
        let mut unsendable = Vec::new();
        let fits = |flight: &Window, bytes: u64| {
            let first = flight.messages == 0;
            flight.messages < limits.max_in_flight.max(1)
                && (first || flight.bytes + bytes <= limits.max_in_flight_bytes)
        };
        let cancelled =
            |entry: &Entry| self.answers.iter().any(|answer| answer.handle == entry.handle && answer.cancelled);
        let mut blocked = false;
        let mut index = 0;
        while let Some(entry) = self.outbox.written.get_mut(index) {
            index += 1;
            if entry.on_wire {
                continue;
            }
            if !fits(&flight, entry.bytes()) {
                blocked = true;
                break;
            }
            let text = wire(entry, resume);
            if let Some(refusal) = unfit(entry, &text) {
                // This server takes less than the one before. It was not taken: `received` would cover it.
                index -= 1;
                unsendable.extend(outbox::take(&mut self.outbox.written, index).map(|entry| (entry, refusal)));
                continue;
            }
            flight.messages += 1;
            flight.bytes += entry.bytes();
            entry.on_wire = true;
            ready.write_text(text);
            if cancelled(entry) {
                // The server did not know the send when the cancel was written.
                ready.write(&ClientFrame::Cancel { re: entry.id });
            }
        }
        index = 0;
        while let Some(entry) = self.outbox.waiting.get(index).filter(|_| !blocked) {
            if entry.held.is_some() {
                index += 1;
                continue;
            }
            if !fits(&flight, entry.bytes()) {
                break;
            }
            let Some(mut entry) = outbox::take(&mut self.outbox.waiting, index) else { break };
            entry.id = self.next_id;
            let text = wire(&entry, resume);
            if let Some(refusal) = unfit(&entry, &text) {
                unsendable.push((entry, refusal));
                continue;
            }
            self.next_id += 1;
            self.outbox.highest_written = entry.id;
            flight.messages += 1;
            flight.bytes += entry.bytes();
            entry.on_wire = true;
            if let Some(answer) = self.answers.iter_mut().find(|answer| answer.handle == entry.handle) {
                answer.id = entry.id;
            }
            self.events.push(ClientEvent::InFlight { handle: entry.handle, id: entry.id });
            ready.write_text(text);
            if self.answers.iter().any(|answer| answer.handle == entry.handle && answer.cancelled) {
                ready.write(&ClientFrame::Cancel { re: entry.id });
            }
            self.outbox.written.push(entry);
        }
        for (entry, refusal) in unsendable {
            self.settle_unwritten(&entry, "session_lost", Outcome::Refused(refusal));
        }
        if flight.messages == 0 {
            self.progress_deadline = None;
        } else if self.progress_deadline.is_none() {
            self.progress_deadline = Some(now + self.config.progress_timeout);
        }
    }

    fn silent(&mut self, now: Instant) {
        let Some(connection) = &self.connection else { return };
        let loss = match connection.stage {
            Stage::Connecting => Loss::local(
                close::NOT_READY_IN_TIME,
                "no `stage ACCEPTED` came: the server may not speak this protocol, readiness is unconfirmed",
            ),
            stage if stage.is_ready() => Loss::local(close::HEARTBEAT_TIMEOUT, "the server fell silent"),
            stage => {
                let mut reason = joined(&["not ready in time: last confirmed ", stage.name()]);
                let mut before = ", pending: ";
                for pending in &connection.pending {
                    reason.push_str(before);
                    reason.push_str(pending);
                    before = ", ";
                }
                Loss::local(close::NOT_READY_IN_TIME, reason)
            }
        };
        self.drop_connection(now, loss);
    }

    fn violated(&mut self, now: Instant, misbehaved: PeerMisbehaved) {
        let clause = Some(misbehaved.clause.id().to_owned());
        self.drop_connection(now, Loss { clause, ..Loss::local(misbehaved.code(), misbehaved.explain()) });
    }

    /// Ends the connection from this side: `bye` first (clause `close.bye_first`), though not to a server that never
    /// showed that it speaks this protocol.
    fn drop_connection(&mut self, now: Instant, loss: Loss) {
        if let Some(connection) = &mut self.connection
            && (connection.stage > Stage::Connecting || loss.code != close::NOT_READY_IN_TIME)
        {
            connection.bye(Bye {
                code: u64::from(loss.code),
                reason: loss.reason.clone(),
                class: None,
                retry_after_ms: None,
                clause: loss.clause.clone(),
            });
        }
        self.cut_connection(now, loss);
    }

    /// Closes the socket without a word.
    fn cut_connection(&mut self, now: Instant, loss: Loss) {
        self.drain_transmits();
        let reason = close::cut_reason(&loss.reason).to_owned();
        // A page may close with 1000 and 3000 to 4999 only.
        let code = if (3000..5000).contains(&loss.code) { loss.code } else { close::NORMAL };
        self.commands.push(Command::Close { number: self.number, code, reason });
        self.lost(now, loss);
    }

    fn drain_transmits(&mut self) {
        let number = self.number;
        if let Some(connection) = &mut self.connection {
            while let Some(text) = connection.poll_transmit() {
                self.commands.push(Command::Transmit { number, text });
            }
        }
    }

    fn lost(&mut self, now: Instant, loss: Loss) {
        if self.phase == Phase::Ended {
            return;
        }
        let connection = self.connection.take();
        if let Some(connection) = &connection {
            self.last_stage = connection.stage;
            self.last_pending = connection.pending.clone();
        } else {
            self.last_stage = Stage::Connecting;
            self.last_pending.clear();
        }
        // Only an upgrade that was tried says anything about upgrades (clause `upgrade.fallback`).
        if matches!(self.phase, Phase::Dialling { .. } | Phase::Open) {
            self.hello_rides = connection.is_some_and(|connection| connection.stage > Stage::Connecting);
        }
        let ready_since = self.ready_since.take();
        self.progress_deadline = None;
        self.inbox.deadline = None;
        self.outbox.detach();
        if ready_since.is_some() && self.session.is_none() {
            self.start_over(None);
        }
        self.ended_with = Some((loss.code, loss.reason.clone()));
        let wait = match self.closing {
            Some(_) => None,
            None => self.backoff.after(&self.config, loss.class, loss.retry_after, ready_since, now),
        };
        match wait {
            Some(wait) => self.phase = Phase::Waiting { until: now + wait },
            None => self.end(loss),
        }
    }

    fn end(&mut self, loss: Loss) {
        self.phase = Phase::Ended;
        self.closing = None;
        let refusal = Rejection::local("closed", "the client was closed before this was written", false);
        for entry in std::mem::take(&mut self.outbox.written) {
            self.settle(&entry, Outcome::Unknown { code: "closed" });
        }
        for entry in std::mem::take(&mut self.outbox.waiting) {
            let refusal = entry.refusal.clone().unwrap_or_else(|| refusal.clone());
            self.settle_unwritten(&entry, "closed", Outcome::Refused(refusal));
        }
        let answers = std::mem::take(&mut self.answers);
        self.end_answers(answers, "closed", "the client was closed before the answer ended");
        self.announce();
        self.events.push(ClientEvent::Closed(End {
            code: loss.code,
            reason: loss.reason,
            class: loss.class,
            clause: loss.clause,
            stage: self.last_stage,
            pending: self.last_pending.clone(),
        }));
    }

    /// Closes when everything is decided, or when time is up.
    fn finish_closing(&mut self, now: Instant) {
        let Some(deadline) = self.closing else { return };
        if self.phase == Phase::Ended || (deadline > now && self.unsettled() > 0) {
            return;
        }
        self.tell_taken();
        let loss = Loss { class: Class::Stop, ..Loss::local(close::NORMAL, "closed by the application") };
        if matches!(self.phase, Phase::Open | Phase::Dialling { .. }) {
            self.drop_connection(now, loss);
        } else {
            self.lost(now, loss);
        }
    }

    fn announce(&mut self) {
        let state = self.state();
        let connection = self.connection.as_ref();
        let waiting = match self.phase {
            Phase::Waiting { until } => Some(until),
            _ => None,
        };
        let ended = self.ended_with.as_ref().filter(|_| connection.is_none());
        let mut change = StateChange {
            state,
            // As it was told last, so that only what is new makes a difference.
            previous: self.announced.as_ref().map_or(state, |announced| announced.previous),
            pending: connection.map_or_else(Vec::new, |connection| connection.pending.clone()),
            impaired: connection.map_or_else(Vec::new, |connection| connection.impaired.clone()),
            reason: match (connection, ended) {
                (Some(connection), _) => connection.reason.clone(),
                (None, Some((_, reason))) => Some(reason.clone()),
                (None, None) => None,
            },
            connection: connection.and_then(|connection| connection.id.clone()),
            attempt: self.number,
            retry_at: waiting,
            code: ended.map(|(code, _)| *code),
        };
        if self.announced.as_ref() != Some(&change) {
            change.previous = self.announced.as_ref().map_or(ClientState::Connecting, |announced| announced.state);
            self.announced = Some(change.clone());
            self.events.push(ClientEvent::State(change));
        }
    }
}

/// The frame of a send. A server without sessions knows no keys.
fn wire(entry: &Entry, resume: bool) -> String {
    let key = entry.key.as_deref().filter(|_| resume);
    frame::send(entry.id, &entry.event, &entry.payload, entry.answer, key, None)
}
