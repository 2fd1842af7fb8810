//! One connection at the server, from the upgrade to its end.

mod decisions;
mod history;
mod inbound;
mod inbox;
mod refresh;
mod stages;
mod streams;
mod topics;

use crate::HELLO_PREFIX;
use crate::clause::Clause;
use crate::close;
use crate::config::{ServerConfig, Window};
use crate::error::PeerMisbehaved;
use crate::frame::{
    AnswerError, Auth, Heartbeat, Hello, HistoryRequest, Limits, Message, Ready, Refusal, Send, ServerFrame,
    SessionGrant, StageNews, Wire,
};
use crate::json::Payload;
use crate::stage::Stage;
use crate::time::{Duration, Instant, earliest};
pub use decisions::Decision;
use decisions::{Fate, Flying};
use history::Pages;
pub use history::{Gathering, Page};
use inbound::{hello_in, millis};
use refresh::TokenInForce;
pub use stages::Bound;
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
    History(HistoryRequest),
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

    /// How long is left until `ready` must have been said.
    pub fn budget(&self, now: Instant) -> Duration {
        self.ready_deadline.map_or(Duration::ZERO, |deadline| deadline.saturating_since(now))
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
