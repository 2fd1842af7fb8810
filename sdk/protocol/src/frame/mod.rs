//! The frames: one JSON object in each text message, `type` first when we write it. A payload of bytes goes beside its
//! frame, in a binary message.
//!
//! Types are split by direction, so that sending the other side's frame does not compile.

mod binary;
mod client;
mod fields;
mod server;

pub use binary::{Wire, envelope, envelope_text};
pub use client::{Auth, ClientFrame, Hello, HistoryRequest, Resume, Send};
pub(crate) use client::{Role, send};
pub use server::{
    AnswerError, Heartbeat, Limits, LostBecause, Message, Ready, Refusal, ServerFrame, SessionGrant, StageNews,
    TokenNews,
};

use crate::clause::Clause;
use crate::close::{Class, cut};
use crate::error::PeerMisbehaved;
use crate::json::ObjectWriter;
use crate::text::joined;
use fields::Fields;

/// Every frame type of version 1.
pub const FRAME_NAMES: &[&str] = &[
    "hello",
    "stage",
    "ready",
    "send",
    "ack",
    "nack",
    "message",
    "taken",
    "cancel",
    "subscribe",
    "unsubscribe",
    "subscribed",
    "unsubscribed",
    "publication",
    "history",
    "page",
    "read",
    "auth",
    "drain",
    "ping",
    "pong",
    "bye",
];

/// The last words of a connection, before the close frame with the same code (clause `close.bye_first`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Bye {
    /// The close code.
    pub code: u64,
    /// Why, for a person.
    #[cfg_attr(feature = "schema", schemars(default))]
    pub reason: String,
    /// What the client is to do; outranks the code.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub class: Option<Class>,
    /// Not before so many milliseconds.
    pub retry_after_ms: Option<u64>,
    /// The clause that was broken, if one was.
    pub clause: Option<String>,
}

impl Bye {
    fn decode(fields: &Fields<'_, '_>) -> Self {
        Self {
            code: fields.integer("code"),
            reason: fields.optional_string("reason").unwrap_or_default(),
            class: fields.optional_string("class").map(|name| Class::parse(&name)),
            retry_after_ms: fields.optional_integer("retry_after_ms"),
            clause: fields.optional_string("clause"),
        }
    }

    fn encode(&self) -> String {
        let mut writer = ObjectWriter::typed("bye");
        writer.integer("code", self.code);
        writer.string("reason", &self.reason);
        writer.optional_string("class", self.class.map(Class::name));
        writer.optional_integer("retry_after_ms", self.retry_after_ms);
        writer.optional_string("clause", self.clause.as_deref());
        writer.finish()
    }
}

/// The type of a frame that this side cannot receive: known, but not from there, or not known at all.
fn unexpected(name: &str) -> PeerMisbehaved {
    if FRAME_NAMES.contains(&name) {
        return PeerMisbehaved::new(Clause::FrameDirection, joined(&["a `", name, "` does not come from this side"]));
    }
    PeerMisbehaved::new(Clause::FrameType, joined(&["unknown type `", cut(name, 40), "`"]))
}
