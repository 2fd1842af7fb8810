//! What the client's core asks of its driver, and what it tells the application.

use super::carried::Carried;
use crate::close::Class;
use crate::frame::{AnswerError, Auth, Wire};
use crate::json::Payload;
use crate::stage::Stage;
use crate::time::{Duration, Instant};

/// What the driver has to do next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Command {
    /// Ask the application for a token, then call `Client::provide_token` with the same number; or for the opening
    /// messages, then call `Existing::provide_opening`.
    AskToken {
        /// The attempt that needs it.
        number: u64,
    },
    /// Ask the application for a fresh token while the connection lives, then call `Client::provide_fresh_token` with the
    /// same number (clause `auth.refresh`). An attempt may ask for its own at the same time.
    AskFreshToken {
        /// The refresh that needs it.
        number: u64,
    },
    /// Open a WebSocket with these subprotocols, then call `handle_open` or `handle_closed` with the number.
    Dial {
        /// The number of the connection; names it from now on.
        number: u64,
        /// Subprotocols to offer, in this order. The second, if any, carries the token: keep it out of logs.
        protocols: Vec<String>,
        /// Where to, if not to the address that the application gave: the server named another that may be followed.
        address: Option<String>,
    },
    /// Write a text message.
    Transmit {
        /// The connection.
        number: u64,
        /// The frame.
        text: String,
    },
    /// Write a binary message.
    TransmitBinary {
        /// The connection.
        number: u64,
        /// The envelope of a frame.
        message: Vec<u8>,
    },
    /// Close the connection and forget its number; nothing that it still brings counts.
    Close {
        /// The connection.
        number: u64,
        /// The close code.
        code: u16,
        /// The reason, at most 123 bytes.
        reason: String,
    },
}

impl Command {
    /// Writes a frame.
    pub(crate) fn of(number: u64, wire: Wire) -> Self {
        match wire {
            Wire::Text(text) => Self::Transmit { number, text },
            Wire::Binary(message) => Self::TransmitBinary { number, message },
        }
    }
}

/// What happened, for the application.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum ClientEvent {
    /// The state, or what is known of it, changed.
    State(StateChange),
    /// A session was begun or resumed.
    Session {
        /// The session.
        id: String,
        /// Whether it is the former one.
        resumed: bool,
    },
    /// Store this for the next client, in place of what was stored before; `None` means that there is nothing to take
    /// up any more. Only with [`ClientConfig::carried`](crate::config::ClientConfig::carried).
    Carried(Option<Carried>),
    /// A send was written, for the first time or anew after a refusal.
    InFlight {
        /// The send.
        handle: u64,
        /// Its id on the wire.
        id: u64,
    },
    /// A part of a stream has its place: the next may be given.
    Queued {
        /// The part.
        handle: u64,
    },
    /// Nothing can be written to a stream any more, for whatever cause; exactly once (clause `stream.stops`).
    StreamOver {
        /// The send that opened it.
        handle: u64,
    },
    /// A send was refused since a service does not work: it waits for that service, and is written anew by itself (clause
    /// `nack.held`).
    Held {
        /// The send.
        handle: u64,
        /// The service.
        service: String,
    },
    /// A send has its one outcome.
    Settled {
        /// The send.
        handle: u64,
        /// The outcome.
        outcome: Outcome,
    },
    /// A message that answers nothing.
    Message {
        /// Its offset in the inbox.
        offset: u64,
        /// What it is.
        event: String,
        /// Opaque JSON or bytes.
        payload: Payload,
    },
    /// A question: somebody at the server waits for what [`Client::answer`](super::Client::answer) says.
    Question {
        /// Names it, for this client.
        question: u64,
        /// Its offset in the inbox.
        offset: u64,
        /// What it is.
        event: String,
        /// Opaque JSON or bytes.
        payload: Payload,
    },
    /// A question that was not answered need not be any more, for whatever cause (clause `question.stops`).
    Withdrawn {
        /// The question.
        question: u64,
    },
    /// A message of a server that does not speak this protocol, as it came.
    Text(String),
    /// A part of an answer.
    Answer(AnswerPart),
    /// A subscription stands, for the first time or again: publications above `offset` follow.
    Subscribed {
        /// The subscription.
        handle: u64,
        /// The next publication lies above.
        offset: u64,
        /// The replay ends here.
        head: u64,
        /// What the offsets are offsets of.
        epoch: String,
        /// Whether nothing is missing since the last publication, or since what was asked for.
        recovered: bool,
    },
    /// A publication of a topic that is followed.
    Publication {
        /// The subscription.
        handle: u64,
        /// Its offset in the topic.
        offset: u64,
        /// What it is.
        event: String,
        /// Opaque JSON or bytes.
        payload: Payload,
    },
    /// A subscription is over, exactly once.
    Unsubscribed {
        /// The subscription.
        handle: u64,
        /// Why, for a program: empty after [`Client::cancel`](super::Client::cancel), the server's code, or one of
        /// `already_subscribed`, `invalid_topic`, `unsupported`, `subject_changed`, `closed`.
        code: String,
        /// Whether asking again may help.
        retry: bool,
    },
    /// A page of what a topic has had, whole, and once for each request.
    Page(Box<Page>),
    /// The same, and there is none.
    PageRefused {
        /// The request.
        handle: u64,
        /// Why, for a program: empty after [`Client::cancel`](super::Client::cancel), the server's code, or one of `too_many`,
        /// `invalid_topic`, `invalid_limit`, `unsupported`, `subject_changed`, `closed`.
        code: String,
        /// Whether asking again may help.
        retry: bool,
    },
    /// It is over, exactly once.
    Closed(End),
}

/// A page of what a topic has had (clause `history.page`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Page {
    /// The request.
    pub handle: u64,
    /// The oldest first.
    pub publications: Vec<PagedPublication>,
    /// What the offsets are offsets of.
    pub epoch: String,
    /// The last offset of the topic.
    pub head: u64,
    /// Whether anything older is kept.
    pub more: bool,
}

/// A publication in a page.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PagedPublication {
    /// Its offset in the topic.
    pub offset: u64,
    /// What it is.
    pub event: String,
    /// Opaque JSON or bytes.
    pub payload: Payload,
}

/// A place in a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The last offset that is held; 0 for the beginning.
    pub offset: u64,
    /// Of which epoch; `None` for whichever there is.
    pub epoch: Option<String>,
}

/// From where on a topic is followed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Start {
    /// Only what comes from now on.
    Now,
    /// From now on, and so many of the latest before (clause `topic.last`).
    Last(u64),
    /// From behind a place.
    Behind(Position),
}

/// A part of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AnswerPart {
    /// The send that asked.
    pub handle: u64,
    /// Its offset in the inbox; 0 for an end that the client itself declares.
    pub offset: u64,
    /// What it is.
    pub event: String,
    /// Opaque JSON or bytes.
    pub payload: Payload,
    /// Whether it is the last.
    pub end: bool,
    /// What went wrong.
    pub error: Option<AnswerError>,
}

/// The states that an application sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientState {
    /// Nothing is confirmed; perhaps waiting to try again.
    Connecting,
    /// See [`Stage::Accepted`].
    Accepted,
    /// See [`Stage::Authenticated`].
    Authenticated,
    /// See [`Stage::ServicesReady`].
    ServicesReady,
    /// The server has confirmed that it will process the next message.
    ProcessingReady,
    /// As before, but for the services in `impaired`.
    Degraded,
    /// The socket is open to a server that has no way to say that it is ready: sends go out, and nothing is confirmed
    /// (clause `existing.unconfirmed`).
    Unconfirmed,
    /// Over.
    Closed,
}

impl ClientState {
    /// The state's name, as the packages spell it.
    pub const fn name(self) -> &'static str {
        match self {
            ClientState::Connecting => "connecting",
            ClientState::Accepted => "accepted",
            ClientState::Authenticated => "authenticated",
            ClientState::ServicesReady => "services_ready",
            ClientState::ProcessingReady => "processing_ready",
            ClientState::Degraded => "degraded",
            ClientState::Unconfirmed => "unconfirmed",
            ClientState::Closed => "closed",
        }
    }

    /// Whether the server has confirmed that it will process the next message.
    pub const fn is_ready(self) -> bool {
        matches!(self, ClientState::ProcessingReady | ClientState::Degraded)
    }

    pub(crate) const fn of(stage: Stage) -> Self {
        match stage {
            Stage::Connecting => ClientState::Connecting,
            Stage::Accepted => ClientState::Accepted,
            Stage::Authenticated => ClientState::Authenticated,
            Stage::ServicesReady => ClientState::ServicesReady,
            Stage::ProcessingReady => ClientState::ProcessingReady,
            Stage::Degraded => ClientState::Degraded,
            Stage::Closed => ClientState::Closed,
        }
    }
}

/// A state and everything that is known with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StateChange {
    /// The state now.
    pub state: ClientState,
    /// The state before.
    pub previous: ClientState,
    /// Services that are still starting.
    pub pending: Vec<String>,
    /// Services that do not work.
    pub impaired: Vec<String>,
    /// Why, for a person.
    pub reason: Option<String>,
    /// The server's id of the connection.
    pub connection: Option<String>,
    /// The number of this attempt to connect, from 1.
    pub attempt: u64,
    /// Whether the server goes away, and the next connection is being opened while this one goes on.
    pub handover: bool,
    /// When the next attempt begins, if one is waited for.
    pub retry_at: Option<Instant>,
    /// The close code of the connection that ended, if one did.
    pub code: Option<u16>,
}

/// The one outcome of a send.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The server has taken it.
    Acknowledged {
        /// Its id on the wire.
        id: u64,
    },
    /// It was handed to the socket of a server that acknowledges nothing (clause `existing.outcome`).
    Written {
        /// The attempt whose connection it was written on. When that has ended, nobody can tell what became of it.
        attempt: u64,
    },
    /// It was not taken, and never will be.
    Refused(Rejection),
    /// It waited too long and was never written.
    Expired,
    /// It was written, and nobody can tell.
    Unknown {
        /// Why, for a program.
        code: &'static str,
    },
}

/// Why a send was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rejection {
    /// For a program: the server's code, or one of `queue_full`, `not_ready`, `too_large`, `unsupported`,
    /// `key_too_long`, `subject_changed`, `invalid_topic`, `stream_over`, `stream_full`, `not_asked`, `withdrawn`,
    /// `closed`.
    pub code: String,
    /// For a person.
    pub message: String,
    /// Whether the same may work later.
    pub retry: bool,
    /// Not before so long.
    pub retry_after: Option<Duration>,
    /// The service that it needs, if the server named one.
    pub service: Option<String>,
}

impl Rejection {
    pub(crate) fn local(code: &str, message: &str, retry: bool) -> Self {
        Self { code: code.to_owned(), message: message.to_owned(), retry, retry_after: None, service: None }
    }
}

/// How a send is to be treated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SendOptions {
    /// An answer is wanted.
    pub answer: bool,
    /// Refuse at once when the server is not ready, instead of waiting.
    pub fail_fast: bool,
    /// Wait at most so long to be written; the queue's own age bounds it.
    pub expire_after: Option<Duration>,
    /// Recognised across sessions, at most 64 bytes (clause `send.key`).
    pub key: Option<String>,
    /// The topic to publish to (clause `topic.publish`).
    pub topic: Option<String>,
    /// Opens a stream, for [`Client::write_part`](super::Client::write_part), and asks for an answer.
    pub stream: bool,
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenFailure {
    /// For a person.
    pub message: String,
    /// Whether asking again cannot help.
    pub fatal: bool,
}

/// What the token provider gave.
pub type TokenResult = Result<Option<Auth>, TokenFailure>;

/// Why it is over.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct End {
    /// The close code; 1000 after `close`.
    pub code: u16,
    /// For a person.
    pub reason: String,
    /// What class the end was of.
    pub class: Class,
    /// The clause that was broken, if one was.
    pub clause: Option<String>,
    /// The last stage that the last connection confirmed.
    pub stage: Stage,
    /// What was pending then.
    pub pending: Vec<String>,
}

impl End {
    /// The last stage that was confirmed, as a state.
    pub fn last_state(&self) -> ClientState {
        ClientState::of(self.stage)
    }
}

impl From<String> for TokenFailure {
    fn from(message: String) -> Self {
        Self { message, fatal: false }
    }
}

impl From<&str> for TokenFailure {
    fn from(message: &str) -> Self {
        message.to_owned().into()
    }
}

impl From<std::io::Error> for TokenFailure {
    fn from(error: std::io::Error) -> Self {
        error.to_string().into()
    }
}
