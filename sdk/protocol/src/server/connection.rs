//! One connection at the server, from the upgrade to its end.

mod history;
mod inbound;
mod refresh;
mod streams;
mod topics;

use crate::HELLO_PREFIX;
use crate::clause::Clause;
use crate::close;
use crate::config::{ServerConfig, Window};
use crate::error::PeerMisbehaved;
use crate::frame::{
    AnswerError, Auth, Heartbeat, Hello, Limits, Message, Ready, Refusal, Send, ServerFrame, SessionGrant, StageNews,
    Wire,
};
use crate::json::Payload;
use crate::stage::Stage;
use crate::time::{Duration, Instant, earliest};
use history::Pages;
pub use history::{Gathering, Page};
use inbound::{hello_in, millis};
use refresh::TokenInForce;
use std::collections::VecDeque;
use streams::Streams;
pub use topics::Subscribed;
use topics::Topics;

/// What the driver has to write.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Transmit {
    /// A text message.
    Text(String),
    /// A binary message: the envelope of a frame.
    Binary(Vec<u8>),
    /// A close frame; nothing comes after it.
    Close {
        /// The code.
        code: u16,
        /// The reason, at most 123 bytes.
        reason: String,
    },
}

/// What happened, for the driver.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum ServerEvent {
    /// Somebody says who they are: call `authenticated` or `refuse`.
    Hello(Box<Hello>),
    /// An application message: decide it by `decide`, in this order.
    Send(Send),
    /// The client holds the inbox up to here.
    Taken {
        /// The offset.
        offset: u64,
    },
    /// Stop this answer.
    Cancel {
        /// The send that asked.
        re: u64,
    },
    /// A fresh token: call `token_accepted` or `token_refused`.
    FreshToken(Auth),
    /// Follow a topic, in place of an earlier request for it: answer by `subscribed` or `unsubscribed`.
    Subscribe {
        /// The topic.
        topic: String,
        /// The last offset that the client holds; `None` for only what comes from now on.
        offset: Option<u64>,
        /// Of which epoch; `None` for whichever there is.
        epoch: Option<String>,
        /// Without an offset: how many of the latest to begin with (clause `topic.last`).
        last: u64,
    },
    /// Follow it no longer; this end has said so already.
    Unsubscribe {
        /// The topic.
        topic: String,
    },
    /// What has a topic had before? Answer by `page` or `refuse_page`.
    History {
        /// Names the request.
        request: u64,
        /// The topic.
        topic: String,
        /// How many publications at most.
        limit: u64,
        /// The page ends below this offset; at the head if `None`.
        before: Option<u64>,
        /// Of which epoch; `None` for whichever there is.
        epoch: Option<String>,
    },
    /// There is room again in the window of a topic.
    TopicRoom {
        /// The topic.
        topic: String,
    },
    /// Over, exactly once, with the first reason learned.
    Closed(Ending),
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ending {
    /// The close code.
    pub code: u16,
    /// For a person.
    pub reason: String,
    /// The clause that was broken, if one was.
    pub clause: Option<Clause>,
    /// The last stage confirmed.
    pub stage: Stage,
    /// Whether its session ends with it: the client said so, or cannot resume.
    pub ends_session: bool,
}

/// The longest key of a send (clause `send.key`).
const MAX_KEY_BYTES: usize = 64;

/// The levels beyond Core that this end speaks, and what each stands on. Topics stand on an application that has some,
/// and so do streams and questions.
const LEVELS: [(&str, Option<&str>); 7] = [
    (RESUME, None),
    (ANSWERS, Some(RESUME)),
    (TOPICS, None),
    (REFRESH, None),
    (BINARY, None),
    (STREAMS, Some(ANSWERS)),
    (QUESTIONS, Some(RESUME)),
];
const RESUME: &str = "resume";
const ANSWERS: &str = "answers";
const TOPICS: &str = "topics";
const REFRESH: &str = "refresh";
const BINARY: &str = "binary";
const STREAMS: &str = "streams";
const QUESTIONS: &str = "questions";

/// What became of a send.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Taken, now or before.
    Taken,
    /// Not taken.
    Refused(Refusal),
}

/// What the server's application confirms with `ready`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bound {
    /// The session; `None` at a Core server.
    pub session: Option<SessionGrant>,
    /// The highest id taken or refused.
    pub received: u64,
    /// Refusals above the hello's `settled`.
    pub refused: Vec<Refusal>,
    /// The last offset that the client holds.
    pub inbox: u64,
    /// Services that do not work.
    pub impaired: Vec<String>,
    /// When the token ends.
    pub token_expires_in: Option<Duration>,
}

/// A send that is not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Flying {
    id: u64,
    bytes: u64,
    /// The stream that it is a part of.
    of: Option<u64>,
    fate: Option<Fate>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fate {
    Taken,
    Refused,
}

/// The server's end of one connection.
///
/// After every call, drain [`ServerConnection::poll_transmit`], then [`ServerConnection::poll_event`], then sleep until
/// the next input or until [`ServerConnection::poll_timeout`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerConnection {
    config: ServerConfig,
    id: String,
    stage: Stage,
    greeted: bool,
    levels: Vec<String>,
    early_frames: u32,
    early_bytes: u64,
    pending: Vec<String>,
    impaired: Vec<String>,
    window: Window,
    delivered: VecDeque<(u64, u64)>,
    delivered_bytes: u64,
    last_delivered: u64,
    /// The next message of the inbox does not fit into what is left of the window.
    stalled: bool,
    undecided: VecDeque<Flying>,
    ack: Option<u64>,
    ack_due: Option<Instant>,
    topics: Topics,
    pages: Pages,
    streams: Streams,
    /// The highest id that was decided before this connection.
    received: u64,
    hello_deadline: Option<Instant>,
    ready_deadline: Option<Instant>,
    token: TokenInForce,
    ping_at: Instant,
    pings: u64,
    dead_at: Option<Instant>,
    transmits: VecDeque<Transmit>,
    events: VecDeque<ServerEvent>,
}

impl ServerConnection {
    /// A connection whose upgrade was answered with 101. `id` names it in frames and logs; `protocols` are the
    /// subprotocols that the client offered, of which one may carry the hello.
    pub fn new<'a>(
        config: ServerConfig,
        now: Instant,
        id: String,
        protocols: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let mut connection = Self {
            id,
            stage: Stage::Connecting,
            greeted: false,
            levels: Vec::new(),
            early_frames: 0,
            early_bytes: 0,
            pending: Vec::new(),
            impaired: Vec::new(),
            window: Window::default(),
            delivered: VecDeque::new(),
            delivered_bytes: 0,
            last_delivered: 0,
            stalled: false,
            undecided: VecDeque::new(),
            ack: None,
            ack_due: None,
            topics: Topics::default(),
            pages: Pages::default(),
            streams: Streams::default(),
            received: 0,
            hello_deadline: Some(now + config.hello_timeout),
            ready_deadline: Some(now + config.ready_timeout),
            token: TokenInForce::default(),
            ping_at: now + config.ping_interval,
            pings: 0,
            dead_at: None,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            config,
        };
        let mut accepted = StageNews::new(Stage::Accepted);
        accepted.connection = Some(connection.id.clone());
        connection.stage = Stage::Accepted;
        connection.write(&ServerFrame::Stage(accepted));
        let entry = protocols.into_iter().find_map(|protocol| protocol.strip_prefix(HELLO_PREFIX));
        if let Some(entry) = entry {
            match hello_in(entry) {
                Ok(hello) => connection.hello(hello),
                Err(misbehaved) => connection.violated(misbehaved),
            }
        }
        connection
    }

    /// The connection's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The stage confirmed last.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// The levels beyond Core that are agreed on; all of them only from `ready` on.
    pub fn levels(&self) -> &[String] {
        &self.levels
    }

    /// How many sends were read and are not acknowledged.
    pub fn in_flight(&self) -> usize {
        self.undecided.len()
    }

    /// How many messages were delivered and are not taken.
    pub fn untaken_count(&self) -> usize {
        self.delivered.len()
    }

    /// How long is left until `ready` must have been said.
    pub fn budget(&self, now: Instant) -> Duration {
        self.ready_deadline.map_or(Duration::ZERO, |deadline| deadline.saturating_since(now))
    }

    /// The hello's credential is good.
    pub fn authenticated(&mut self, now: Instant) {
        if self.stage == Stage::Accepted && self.greeted {
            self.stage = Stage::Authenticated;
            self.news(now);
        }
    }

    /// These services are still starting; tells the client if that is news.
    pub fn pending(&mut self, now: Instant, pending: Vec<String>) {
        if self.stage == Stage::Authenticated && pending != self.pending {
            self.pending = pending;
            self.news(now);
        }
    }

    /// Everything that the connection needs is running.
    pub fn services_ready(&mut self, now: Instant) {
        if self.stage == Stage::Authenticated {
            self.stage = Stage::ServicesReady;
            self.pending.clear();
            self.news(now);
        }
    }

    /// The driver will process the next message: say so, once (clauses `ready.once`, `ready.same_path`).
    pub fn ready(&mut self, bound: Bound) {
        if self.stage != Stage::ServicesReady {
            return;
        }
        self.stage = if bound.impaired.is_empty() { Stage::ProcessingReady } else { Stage::Degraded };
        self.impaired.clone_from(&bound.impaired);
        self.ready_deadline = None;
        self.last_delivered = bound.inbox;
        // A client that cannot resume is told of no session (clause `frame.level`).
        let session = bound.session.filter(|_| self.agreed(RESUME));
        if session.is_none() {
            self.levels.retain(|level| ![RESUME, ANSWERS, STREAMS, QUESTIONS].contains(&level.as_str()));
        }
        self.received = bound.received;
        let stream = Some(self.config.stream).filter(|_| self.agreed(STREAMS));
        let capabilities = self.levels.clone();
        self.write(&ServerFrame::Ready(Box::new(Ready {
            session,
            received: bound.received,
            refused: bound.refused,
            impaired: bound.impaired,
            limits: Limits {
                max_message_bytes: self.config.max_message_bytes,
                max_in_flight: self.config.in_flight.messages,
                max_in_flight_bytes: self.config.in_flight.bytes,
                stream_messages: stream.map(|stream| stream.messages),
                stream_bytes: stream.map(|stream| stream.bytes),
            },
            heartbeat: Heartbeat {
                interval_ms: millis(self.config.ping_interval),
                timeout_ms: millis(self.config.ping_timeout),
            },
            token_expires_in_ms: bound.token_expires_in.map(millis),
            capabilities,
        })));
        self.answer_early();
    }

    /// These services do not work; none means that all do (clause `stage.degraded`).
    pub fn impaired(&mut self, impaired: Vec<String>, reason: Option<String>) {
        if !self.stage.is_ready() || impaired == self.impaired {
            return;
        }
        self.stage = if impaired.is_empty() { Stage::ProcessingReady } else { Stage::Degraded };
        self.impaired.clone_from(&impaired);
        self.write(&ServerFrame::Stage(StageNews { impaired, reason, ..StageNews::new(self.stage) }));
    }

    /// Decides a send. Its ack waits for those before it (clause `ack.cumulative`).
    pub fn decide(&mut self, now: Instant, id: u64, decision: Decision) {
        let open = |flying: &&mut Flying| flying.id == id && flying.fate.is_none();
        let Some(flying) = self.undecided.iter_mut().find(open).filter(|_| self.stage != Stage::Closed) else { return };
        match decision {
            Decision::Taken => flying.fate = Some(Fate::Taken),
            Decision::Refused(refusal) => {
                flying.fate = Some(Fate::Refused);
                let of = flying.of;
                self.not_in_stream(id, of);
                // A nack goes out before any ack that covers it (clause `nack.before_ack`).
                self.write(&ServerFrame::Nack(Refusal { id, ..refusal }));
            }
        }
        let (mut covered, mut bytes) = (0, 0);
        for flying in self.undecided.iter().take_while(|flying| flying.fate.is_some()) {
            self.ack = Some(flying.id);
            covered += 1;
            bytes += flying.bytes;
        }
        if covered >= (self.config.in_flight.messages / 2).max(1) || bytes >= self.config.in_flight.bytes / 2 {
            self.acknowledge();
        } else if self.ack.is_some() && self.ack_due.is_none() {
            self.ack_due = Some(now + self.config.ack_delay);
        }
    }

    /// After which offset the client's window has room, for how many messages and bytes; `None` if it has none.
    pub fn inbox_room(&self) -> Option<(u64, Window)> {
        if !self.agreed(RESUME) || self.stalled {
            return None;
        }
        let room = self.room(self.delivered.len(), self.delivered_bytes)?;
        self.stage.is_ready().then_some((self.last_delivered, room))
    }

    /// What is left of a window in which so much is not taken.
    fn room(&self, messages: usize, bytes: u64) -> Option<Window> {
        let left = self.window.messages.checked_sub(messages as u64).filter(|room| *room > 0);
        // One message always passes an empty window, however large, or it could never pass.
        if messages == 0 {
            return Some(Window { messages: left.unwrap_or(1), bytes: self.window.bytes.max(1) });
        }
        let bytes = self.window.bytes.checked_sub(bytes).filter(|room| *room > 0)?;
        Some(Window { messages: left?, bytes })
    }

    /// Writes the next message of the inbox, unless it has to wait for room in the client's window; any other offset is
    /// ignored.
    pub fn deliver(&mut self, mut message: Message) {
        if !self.stage.is_ready() || message.offset != self.last_delivered + 1 {
            return;
        }
        if message.asks && !self.agreed(QUESTIONS) {
            // It keeps its place, and nobody takes it for a message like others (clause `question.asks`).
            (message.asks, message.event, message.payload) = (false, String::new(), Payload::null());
            message.error.get_or_insert_with(|| AnswerError {
                code: "unsupported".to_owned(),
                message: "a question, which this client does not answer".to_owned(),
            });
        }
        if message.payload.bytes().is_some() && !self.agreed(BINARY) {
            // It keeps its place, and nobody takes it for what it was (clause `binary.replaced`).
            message.payload = Payload::null();
            message.error.get_or_insert_with(|| AnswerError {
                code: "unsupported".to_owned(),
                message: "the payload is bytes, which this client does not take".to_owned(),
            });
        }
        let bytes = message.payload.size();
        // One message always passes an empty window, however large, or it could never pass.
        if !self.delivered.is_empty() && self.delivered_bytes + bytes > self.window.bytes {
            self.stalled = true;
            return;
        }
        self.last_delivered = message.offset;
        self.delivered.push_back((message.offset, bytes));
        self.delivered_bytes += bytes;
        self.write(&ServerFrame::Message(message));
    }

    /// Whether the client answers questions; known from `ready` on.
    pub fn answers_questions(&self) -> bool {
        self.agreed(QUESTIONS)
    }

    /// Nobody waits for an answer to this question any more: says so, if the client has it (clause `question.withdrawn`).
    pub fn withdraw(&mut self, offset: u64) {
        if self.stage.is_ready() && self.agreed(QUESTIONS) && offset <= self.last_delivered {
            self.write(&ServerFrame::Cancel { re: offset });
        }
    }

    /// The first message that was delivered and not taken, also after the end: [`Sessions::blame`] wants to know.
    ///
    /// [`Sessions::blame`]: super::Sessions::blame
    pub fn untaken(&self) -> Option<u64> {
        self.delivered.front().map(|(offset, _)| *offset)
    }

    /// The server goes away: says so, and goes on until the driver closes (clause `drain.handover`).
    pub fn drain(&mut self, deadline: Duration, reconnect_after: (Duration, Duration)) {
        self.drain_to(deadline, reconnect_after, None);
    }

    /// As [`ServerConnection::drain`], and names where to go (clause `drain.alternate`).
    pub fn drain_to(&mut self, deadline: Duration, reconnect_after: (Duration, Duration), alternate: Option<String>) {
        if self.stage.is_ready() {
            self.write(&ServerFrame::Drain {
                deadline_ms: millis(deadline),
                reconnect_after_ms: vec![millis(reconnect_after.0), millis(reconnect_after.1)],
                alternate,
            });
        }
    }

    /// Ends the connection with a code and a reason that the client can read (clause `close.bye_first`).
    pub fn refuse(&mut self, code: u16, reason: &str, retry_after: Option<Duration>) {
        self.end(code, reason.to_owned(), None, retry_after);
    }

    /// A text message came.
    pub fn handle_message(&mut self, now: Instant, text: &str) {
        if self.stage == Stage::Closed {
            return;
        }
        self.heard();
        if let Err(misbehaved) = self.message(now, text) {
            self.violated(misbehaved);
        }
    }

    /// A binary message came.
    pub fn handle_binary(&mut self, now: Instant, message: Vec<u8>) {
        if self.stage == Stage::Closed {
            return;
        }
        self.heard();
        if let Err(misbehaved) = self.binary(now, message) {
            self.violated(misbehaved);
        }
    }

    /// A message came that is larger than the limit; its text is not needed.
    pub fn handle_oversize(&mut self) {
        self.heard();
        self.violated(PeerMisbehaved::new(Clause::FrameSize, "a message over `max_message_bytes`"));
    }

    /// The driver saw the client break a clause before there was a message to read: no UTF-8, too many bytes.
    pub fn handle_violation(&mut self, misbehaved: PeerMisbehaved) {
        self.heard();
        self.violated(misbehaved);
    }

    /// The socket is gone. Does nothing if this end closed it.
    pub fn handle_closed(&mut self, frame: Option<close::CloseFrame>) {
        let frame = frame.unwrap_or_else(|| close::CloseFrame::new(1006, "the connection broke off"));
        self.closed(frame.code, frame.reason, None, false);
    }

    /// The deadline that `poll_timeout` named may have passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.stage == Stage::Closed {
            return;
        }
        if self.ack_due.is_some_and(|due| due <= now) {
            self.acknowledge();
        }
        if self.streams.due.is_some_and(|due| due <= now) {
            self.tell_every_read();
        }
        self.require_in_time(now);
        if self.hello_deadline.is_some_and(|deadline| deadline <= now) {
            self.end(close::HELLO_TIMEOUT, "no hello came in time".to_owned(), Some(Clause::HelloTimeout), None);
        } else if self.ready_deadline.is_some_and(|deadline| deadline <= now) {
            let reason = format!("not ready in time: at {}, pending: {}", self.stage, self.pending.join(", "));
            self.end(close::NOT_READY_IN_TIME, reason, None, None);
        } else if self.dead_at.is_some_and(|dead| dead <= now) {
            self.end(close::HEARTBEAT_TIMEOUT, "the client fell silent".to_owned(), None, None);
        } else if self.token_is_over(now) {
            self.end_for_token();
        } else if self.ping_at <= now {
            self.ping_at = now + self.config.ping_interval;
            if self.dead_at.is_none() {
                self.pings += 1;
                self.dead_at = Some(now + self.config.ping_timeout);
                self.write(&ServerFrame::Ping { nonce: self.pings.to_string() });
            }
        }
    }

    /// What the driver has to write.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<ServerEvent> {
        self.events.pop_front()
    }

    /// When `handle_timeout` is to be called, if nothing comes before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.stage == Stage::Closed {
            return None;
        }
        let before_ready = earliest(self.hello_deadline, self.ready_deadline);
        let told = earliest(self.ack_due, self.streams.due);
        let running = earliest(earliest(before_ready, told), self.token_timer());
        earliest(running, earliest(self.dead_at, Some(self.ping_at)))
    }
}
