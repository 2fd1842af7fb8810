//! What a client sends.

use super::fields::{self, Fields};
use super::{AnswerError, Bye};
use crate::capability::{QUESTIONS, STREAMS};
use crate::config::Window;
use crate::error::PeerMisbehaved;
use crate::json::{ObjectWriter, Payload};

/// A frame from the client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(tag = "type", rename_all = "snake_case"))]
pub enum ClientFrame {
    /// Who is there, and what to resume.
    Hello(Box<Hello>),
    /// An application message.
    Send(Send),
    /// Everything up to and including this offset is held.
    Taken {
        /// The offset.
        offset: u64,
        /// The topic it belongs to; the inbox if absent.
        topic: Option<String>,
    },
    /// Stop this answer.
    Cancel {
        /// The send that asked.
        re: u64,
    },
    /// Follow a topic.
    Subscribe {
        /// The topic.
        topic: String,
        /// The last offset held.
        offset: Option<u64>,
        /// The epoch that the offset belongs to.
        epoch: Option<String>,
        /// Without an offset: how many of the latest to begin with.
        last: Option<u64>,
    },
    /// Follow a topic no longer.
    Unsubscribe {
        /// The topic.
        topic: String,
    },
    /// What has a topic had before?
    History(HistoryRequest),
    /// A fresh token.
    Auth(Auth),
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

/// Which page of what a topic has had.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HistoryRequest {
    /// Names the request on its connection.
    pub request: u64,
    /// The topic.
    pub topic: String,
    /// How many publications at most.
    pub limit: u64,
    /// The page ends below this offset; at the head if absent.
    pub before: Option<u64>,
    /// The epoch that the offset belongs to; whichever there is if absent.
    pub epoch: Option<String>,
}

/// Who is there, what they can do, and what they resume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Hello {
    /// Name and version of the client, for the server's logs.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Agent>"))]
    pub client: Option<(String, String)>,
    /// The credential.
    pub auth: Option<Auth>,
    /// Levels beyond Core that the client speaks.
    #[cfg_attr(feature = "schema", schemars(default))]
    pub capabilities: Vec<String>,
    /// What the client takes before it has said `taken`.
    pub window: Option<Window>,
    /// The session to go on with.
    pub resume: Option<Resume>,
}

#[cfg(feature = "schema")]
#[derive(schemars::JsonSchema)]
#[allow(dead_code)]
struct Agent {
    name: String,
    version: Option<String>,
}

/// A credential.
#[derive(Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Auth {
    /// `bearer`, the default, or `ticket`.
    #[cfg_attr(feature = "schema", schemars(default = "bearer"))]
    pub scheme: String,
    // Never shown by `Debug`.
    /// The secret (clause `upgrade.redact`).
    pub token: String,
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Auth({}, …)", self.scheme)
    }
}

/// The session to go on with.
#[derive(Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Resume {
    /// The session.
    pub session: String,
    // Never shown by `Debug`.
    /// What proves that it is the client's.
    pub token: String,
    /// Strictly increases per session (clause `session.attempt`).
    pub attempt: u64,
    /// The highest id whose outcome the client knows.
    #[cfg_attr(feature = "schema", schemars(default))]
    pub settled: u64,
    /// The last offset of the inbox that the client holds.
    #[cfg_attr(feature = "schema", schemars(default))]
    pub inbox: u64,
}

impl std::fmt::Debug for Resume {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "Resume({}, attempt {}, settled {}, inbox {})",
            self.session, self.attempt, self.settled, self.inbox
        )
    }
}

/// An application message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Send {
    /// Strictly increasing (clause `send.id_increasing`).
    pub id: u64,
    /// What the message is.
    pub event: String,
    /// Opaque JSON or bytes.
    #[cfg_attr(feature = "schema", schemars(default = "Payload::null"))]
    pub payload: Payload,
    /// Whether an answer is wanted.
    #[cfg_attr(feature = "schema", schemars(default))]
    pub answer: bool,
    /// Recognised across sessions (clause `send.key`).
    pub key: Option<String>,
    /// The topic to publish to.
    pub topic: Option<String>,
    /// Whether it opens a stream.
    #[cfg_attr(feature = "schema", schemars(default))]
    pub stream: bool,
    /// The send that opened the stream which this is a part of.
    pub of: Option<u64>,
    /// Whether it ends that stream.
    #[cfg_attr(feature = "schema", schemars(default))]
    pub end: bool,
    /// The offset of the question that it answers.
    pub re: Option<u64>,
    /// Why that has no answer.
    pub error: Option<AnswerError>,
}

impl Send {
    /// A plain send: it asks for nothing, and belongs to nothing.
    pub fn new(id: u64, event: impl Into<String>, payload: Payload) -> Self {
        Self {
            id,
            event: event.into(),
            payload,
            answer: false,
            key: None,
            topic: None,
            stream: false,
            of: None,
            end: false,
            re: None,
            error: None,
        }
    }

    fn decode(fields: &Fields<'_, '_>) -> Self {
        let (stream, of, end) = (fields.flag("stream"), fields.optional_integer("of"), fields.flag("end"));
        let (re, error) = (fields.optional_integer("re"), AnswerError::decode(fields));
        Self {
            id: fields.integer("id"),
            event: fields.string("event"),
            payload: fields.payload("payload"),
            answer: fields.flag("answer"),
            key: fields.optional_string("key"),
            topic: fields.optional_string("topic"),
            // What belongs to a stream opens none, and what belongs to none ends none.
            stream: stream && of.is_none(),
            of,
            end: end && of.is_some(),
            re,
            error: error.filter(|_| re.is_some()),
        }
    }
}

/// What a send is to a stream, or to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role<'a> {
    /// Nothing.
    Alone,
    /// It answers the question with this offset.
    Answers(u64, Option<&'a AnswerError>),
    /// It opens one.
    Opens,
    /// It is a part of the one that this send opened.
    Part(u64),
    /// It ends that one.
    Ends(u64),
}

impl Role<'_> {
    /// The stream that it belongs to, if another send opened that.
    pub(crate) fn of(self) -> Option<u64> {
        match self {
            Self::Part(of) | Self::Ends(of) => Some(of),
            Self::Alone | Self::Opens | Self::Answers(..) => None,
        }
    }
}

impl ClientFrame {
    /// Reads a frame.
    ///
    /// # Errors
    /// The clause that the text breaks.
    pub fn decode(text: &str) -> Result<Self, PeerMisbehaved> {
        Self::read(text, false)
    }

    /// Reads a frame whose payload is beside it.
    pub(super) fn decode_enveloped(text: &str) -> Result<Self, PeerMisbehaved> {
        Self::read(text, true)
    }

    fn read(text: &str, enveloped: bool) -> Result<Self, PeerMisbehaved> {
        fields::read(text, enveloped, |name, fields| {
            Some(match name {
                "hello" => Self::Hello(Box::new(Hello::decode(fields))),
                "send" => Self::Send(Send::decode(fields)),
                "taken" => Self::Taken { offset: fields.integer("offset"), topic: fields.optional_string("topic") },
                "cancel" => Self::Cancel { re: fields.integer("re") },
                "subscribe" => Self::Subscribe {
                    topic: fields.string("topic"),
                    offset: fields.optional_integer("offset"),
                    epoch: fields.optional_string("epoch"),
                    last: fields.optional_integer("last"),
                },
                "unsubscribe" => Self::Unsubscribe { topic: fields.string("topic") },
                "history" => Self::History(HistoryRequest {
                    request: fields.integer("request"),
                    topic: fields.string("topic"),
                    limit: fields.integer("limit"),
                    before: fields.optional_integer("before"),
                    epoch: fields.optional_string("epoch"),
                }),
                "auth" => Self::Auth(Auth::decode(fields)),
                "ping" => Self::Ping { nonce: fields.string("nonce") },
                "pong" => Self::Pong { nonce: fields.string("nonce") },
                "bye" => Self::Bye(Bye::decode(fields)),
                _ => return None,
            })
        })
    }

    /// Writes the frame. A payload of bytes is no text: see `to_wire`.
    pub fn encode(&self) -> String {
        match self {
            Self::Hello(hello) => hello.encode(),
            Self::Send(Send { id, event, payload, answer, key, topic, stream, of, end, re, error }) => {
                let role = match (*of, *re) {
                    (_, Some(re)) => Role::Answers(re, error.as_ref()),
                    (Some(of), None) if *end => Role::Ends(of),
                    (Some(of), None) => Role::Part(of),
                    (None, None) if *stream => Role::Opens,
                    (None, None) => Role::Alone,
                };
                send(*id, event, payload, *answer, key.as_deref(), topic.as_deref(), role)
            }
            Self::Taken { offset, topic } => {
                let mut writer = ObjectWriter::typed("taken");
                writer.integer("offset", *offset);
                writer.optional_string("topic", topic.as_deref());
                writer.finish()
            }
            Self::Cancel { re } => {
                let mut writer = ObjectWriter::typed("cancel");
                writer.integer("re", *re);
                writer.finish()
            }
            Self::Subscribe { topic, offset, epoch, last } => {
                let mut writer = ObjectWriter::typed("subscribe");
                writer.string("topic", topic);
                writer.optional_integer("offset", *offset);
                writer.optional_string("epoch", epoch.as_deref());
                writer.optional_integer("last", *last);
                writer.finish()
            }
            Self::Unsubscribe { topic } => {
                let mut writer = ObjectWriter::typed("unsubscribe");
                writer.string("topic", topic);
                writer.finish()
            }
            Self::History(HistoryRequest { request, topic, limit, before, epoch }) => {
                let mut writer = ObjectWriter::typed("history");
                writer.integer("request", *request);
                writer.string("topic", topic);
                writer.integer("limit", *limit);
                writer.optional_integer("before", *before);
                writer.optional_string("epoch", epoch.as_deref());
                writer.finish()
            }
            Self::Auth(auth) => {
                let mut writer = ObjectWriter::typed("auth");
                auth.members(&mut writer);
                writer.finish()
            }
            Self::Ping { nonce } => nonce_frame("ping", nonce),
            Self::Pong { nonce } => nonce_frame("pong", nonce),
            Self::Bye(bye) => bye.encode(),
        }
    }
}

/// A `send`, out of parts that somebody else keeps.
pub(crate) fn send(
    id: u64,
    event: &str,
    payload: &Payload,
    answer: bool,
    key: Option<&str>,
    topic: Option<&str>,
    role: Role<'_>,
) -> String {
    let mut writer = ObjectWriter::typed("send");
    writer.integer("id", id);
    writer.string("event", event);
    writer.flag("answer", answer);
    writer.optional_string("key", key);
    writer.optional_string("topic", topic);
    if STREAMS {
        writer.flag("stream", role == Role::Opens);
        writer.optional_integer("of", role.of());
        writer.flag("end", matches!(role, Role::Ends(_)));
    }
    if QUESTIONS && let Role::Answers(re, error) = role {
        writer.integer("re", re);
        AnswerError::member(&mut writer, error);
    }
    writer.payload(payload);
    writer.finish()
}

pub(super) fn nonce_frame(name: &str, nonce: &str) -> String {
    let mut writer = ObjectWriter::typed(name);
    writer.string("nonce", nonce);
    writer.finish()
}

/// The scheme of a credential that names none.
fn bearer() -> String {
    "bearer".to_owned()
}

impl Auth {
    fn decode(fields: &Fields<'_, '_>) -> Self {
        Self { scheme: fields.optional_string("scheme").unwrap_or_else(bearer), token: fields.string("token") }
    }

    fn members(&self, writer: &mut ObjectWriter) {
        writer.string("scheme", &self.scheme);
        writer.string("token", &self.token);
    }
}

impl Hello {
    /// Reads a hello, as frame or out of the upgrade.
    ///
    /// # Errors
    /// The clause that the text breaks.
    pub fn parse(text: &str) -> Result<Self, PeerMisbehaved> {
        match ClientFrame::decode(text)? {
            ClientFrame::Hello(hello) => Ok(*hello),
            _ => Err(PeerMisbehaved::new(crate::clause::Clause::HelloFirst, "the upgrade carries another frame")),
        }
    }

    fn decode(fields: &Fields<'_, '_>) -> Self {
        Self {
            client: fields
                .optional_object("client")
                .map(|agent| (agent.string("name"), agent.optional_string("version").unwrap_or_default())),
            window: fields
                .optional_object("window")
                .map(|window| Window { messages: window.integer("messages"), bytes: window.integer("bytes") }),
            resume: fields.optional_object("resume").map(|resume| Resume {
                session: resume.string("session"),
                token: resume.string("token"),
                attempt: resume.integer("attempt"),
                settled: resume.optional_integer("settled").unwrap_or(0),
                inbox: resume.optional_integer("inbox").unwrap_or(0),
            }),
            auth: fields.optional_object("auth").map(|auth| Auth::decode(&auth)),
            capabilities: fields.strings("capabilities"),
        }
    }

    fn encode(&self) -> String {
        let mut writer = ObjectWriter::typed("hello");
        if let Some((name, version)) = &self.client {
            let mut agent = ObjectWriter::new();
            agent.string("name", name);
            agent.string("version", version);
            writer.raw("client", &agent.finish());
        }
        if let Some(auth) = &self.auth {
            let mut inner = ObjectWriter::new();
            auth.members(&mut inner);
            writer.raw("auth", &inner.finish());
        }
        writer.strings("capabilities", &self.capabilities);
        if let Some(window) = &self.window {
            let mut inner = ObjectWriter::new();
            inner.integer("messages", window.messages);
            inner.integer("bytes", window.bytes);
            writer.raw("window", &inner.finish());
        }
        if let Some(resume) = &self.resume {
            let mut inner = ObjectWriter::new();
            inner.string("session", &resume.session);
            inner.string("token", &resume.token);
            inner.integer("attempt", resume.attempt);
            inner.integer("settled", resume.settled);
            inner.integer("inbox", resume.inbox);
            writer.raw("resume", &inner.finish());
        }
        writer.finish()
    }
}
