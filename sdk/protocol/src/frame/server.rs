//! What a server sends.

mod codec;

use super::Bye;
use crate::json::Payload;
use crate::stage::Stage;

/// A frame from the server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(tag = "type", rename_all = "snake_case"))]
pub enum ServerFrame {
    /// How far the connection is.
    Stage(StageNews),
    /// The server will process the next message.
    Ready(Box<Ready>),
    /// Everything up to and including this id is decided.
    Ack {
        /// The id.
        id: u64,
    },
    /// This send was not taken.
    Nack(Refusal),
    /// A message to the session.
    Message(Message),
    /// The subscription stands.
    Subscribed {
        /// The topic.
        topic: String,
        /// The next publication is above this offset.
        offset: u64,
        /// The replay ends here.
        head: u64,
        /// The epoch that offsets belong to.
        epoch: String,
        /// Whether nothing is missing since the offset asked for.
        #[cfg_attr(feature = "schema", schemars(default))]
        recovered: bool,
    },
    /// The subscription does not stand.
    Unsubscribed {
        /// The topic.
        topic: String,
        /// Why.
        code: Option<String>,
        /// Whether asking again may help.
        #[cfg_attr(feature = "schema", schemars(default))]
        retry: bool,
    },
    /// A message to a topic.
    Publication {
        /// The topic.
        topic: String,
        /// Its offset in the topic.
        offset: u64,
        /// The page that it belongs to; the subscription if absent.
        request: Option<u64>,
        /// What it is.
        event: String,
        /// Opaque JSON or bytes.
        #[cfg_attr(feature = "schema", schemars(default = "Payload::null"))]
        payload: Payload,
    },
    /// The end of a page, or its refusal.
    Page {
        /// What it answers.
        request: u64,
        /// The epoch of the topic; absent only in a refusal.
        epoch: Option<String>,
        /// The last offset of the topic.
        #[cfg_attr(feature = "schema", schemars(default))]
        head: u64,
        /// Whether anything older is kept.
        #[cfg_attr(feature = "schema", schemars(default))]
        more: bool,
        /// Why it is refused.
        code: Option<String>,
        /// Whether asking again may help.
        #[cfg_attr(feature = "schema", schemars(default))]
        retry: bool,
    },
    /// The handler of a stream has read so far.
    Read {
        /// The send that opened the stream.
        re: u64,
        /// Every part up to and including it was read, or refused.
        id: u64,
    },
    /// Nobody waits for an answer to this question any more.
    Cancel {
        /// Its offset.
        re: u64,
    },
    /// News of the token.
    Auth(TokenNews),
    /// The server is going away.
    Drain {
        /// How long this connection still works, in milliseconds.
        deadline_ms: u64,
        /// When to open the next one, in milliseconds: from, to.
        #[cfg_attr(feature = "schema", schemars(default))]
        reconnect_after_ms: Vec<u64>,
        /// Where to go instead.
        alternate: Option<String>,
    },
    /// Is anybody there?
    Ping {
        /// Comes back in the pong.
        nonce: String,
    },
    /// Yes.
    Pong {
        /// From the ping.
        nonce: String,
    },
    /// The last words.
    Bye(Bye),
}

/// A `stage` frame.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StageNews {
    /// The stage.
    pub stage: Stage,
    /// The connection's id, with ACCEPTED.
    pub connection: Option<String>,
    /// Services that are still starting.
    #[cfg_attr(feature = "schema", schemars(default))]
    pub pending: Vec<String>,
    /// Services that do not work, with DEGRADED.
    #[cfg_attr(feature = "schema", schemars(default))]
    pub impaired: Vec<String>,
    /// Why, for a person.
    pub reason: Option<String>,
    /// What is left of the server's budget.
    pub deadline_ms: Option<u64>,
}

impl StageNews {
    /// A stage with nothing else to tell.
    pub fn new(stage: Stage) -> Self {
        Self { stage, connection: None, pending: Vec::new(), impaired: Vec::new(), reason: None, deadline_ms: None }
    }
}

/// A `ready` frame: once per connection, the only confirmation of PROCESSING_READY.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ready {
    /// The session; absent at a Core server.
    pub session: Option<SessionGrant>,
    /// The highest id that was taken or refused.
    #[cfg_attr(feature = "schema", schemars(default))]
    pub received: u64,
    /// Refusals above the hello's `settled`.
    #[cfg_attr(feature = "schema", schemars(default))]
    pub refused: Vec<Refusal>,
    /// Services that do not work now.
    #[cfg_attr(feature = "schema", schemars(default))]
    pub impaired: Vec<String>,
    /// What the server takes at once.
    pub limits: Limits,
    /// When the server pings.
    pub heartbeat: Heartbeat,
    /// When the token ends, in milliseconds from now.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Expiry>", rename = "auth"))]
    pub token_expires_in_ms: Option<u64>,
    /// Levels beyond Core that both sides speak.
    #[cfg_attr(feature = "schema", schemars(default))]
    pub capabilities: Vec<String>,
}

#[cfg(feature = "schema")]
#[derive(schemars::JsonSchema)]
#[allow(dead_code)]
struct Expiry {
    expires_in_ms: Option<u64>,
}

/// What a server takes at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Limits {
    /// The largest message, in bytes.
    pub max_message_bytes: u64,
    /// Sends undecided at once.
    pub max_in_flight: u64,
    /// Bytes of their payloads.
    pub max_in_flight_bytes: u64,
    /// Parts of one stream that are written and not read.
    pub stream_messages: Option<u64>,
    /// Bytes of their payloads.
    pub stream_bytes: Option<u64>,
}

/// When a server pings, and when silence means that it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Heartbeat {
    /// Between pings.
    pub interval_ms: u64,
    /// After which silence is death.
    pub timeout_ms: u64,
}

/// The session that a connection carries.
#[derive(Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionGrant {
    /// The session.
    pub id: String,
    // Never shown by `Debug`.
    /// What proves that it is the client's.
    pub token: String,
    /// How long it is kept after the connection.
    #[cfg_attr(feature = "schema", schemars(default))]
    pub ttl_ms: u64,
    /// Whether it is the one asked for.
    #[cfg_attr(feature = "schema", schemars(default))]
    pub resumed: bool,
    /// Why it is not.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub lost_because: Option<LostBecause>,
    /// A stable opaque id of whom it belongs to.
    pub subject: String,
    /// `process` or `durable`: what taking a send survives.
    #[cfg_attr(feature = "schema", schemars(default = "process"))]
    pub durability: String,
}

impl std::fmt::Debug for SessionGrant {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "SessionGrant({}, resumed {}, subject {})", self.id, self.resumed, self.subject)
    }
}

/// Why a session was not resumed: one word for every cause, so that nobody learns from it (clause `session.resumed`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LostBecause {
    /// There is no such session for this subject.
    NotFound,
}

/// A send that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Refusal {
    /// The send.
    pub id: u64,
    /// Why, for a program.
    pub code: String,
    /// Why, for a person.
    #[cfg_attr(feature = "schema", schemars(default))]
    pub message: String,
    /// Whether the same may work later.
    #[cfg_attr(feature = "schema", schemars(default))]
    pub retry: bool,
    /// Not before so many milliseconds.
    pub retry_after_ms: Option<u64>,
    /// The impaired service it would have needed.
    pub service: Option<String>,
}

/// A message to the session: an answer's part, or a notification.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Message {
    /// 1, 2, 3… per session.
    pub offset: u64,
    /// What it is.
    #[cfg_attr(feature = "schema", schemars(default))]
    pub event: String,
    /// Opaque JSON or bytes.
    #[cfg_attr(feature = "schema", schemars(default = "Payload::null"))]
    pub payload: Payload,
    /// The send that this answers.
    pub re: Option<u64>,
    /// Whether this is the last part of the answer.
    #[cfg_attr(feature = "schema", schemars(default))]
    pub end: bool,
    /// What went wrong with the answer.
    pub error: Option<AnswerError>,
    /// Whether it is a question, which somebody waits for an answer to.
    #[cfg_attr(feature = "schema", schemars(default))]
    pub asks: bool,
}

/// What went wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AnswerError {
    /// For a program.
    pub code: String,
    /// For a person.
    #[cfg_attr(feature = "schema", schemars(default))]
    pub message: String,
}

/// News of the token: when it ends, by when a fresh one is required, or what was wrong with the last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TokenNews {
    /// When the token ends.
    pub expires_in_ms: Option<u64>,
    /// Whether a fresh token is required.
    #[cfg_attr(feature = "schema", schemars(default))]
    pub required: bool,
    /// By when.
    pub deadline_ms: Option<u64>,
    /// What was wrong with the last token.
    pub error: Option<AnswerError>,
    /// Whether another token may work.
    #[cfg_attr(feature = "schema", schemars(default))]
    pub retry: bool,
}

/// What taking a send survives where the server says nothing.
fn process() -> String {
    "process".to_owned()
}
