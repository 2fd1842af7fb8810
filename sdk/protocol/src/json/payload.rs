//! What an application sends and receives: nobody in between looks into it.

use super::scanner::Scanner;
use crate::error::PeerMisbehaved;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A payload, carried as it is: JSON text, or bytes where both ends speak the level Binary. Clones share it.
#[derive(Clone)]
pub struct Payload(Arc<Content>);

// The text is boxed in its turn: `Arc<str>` brings the arithmetic of its layout, and the panic where that overflows.
enum Content {
    Text(Box<str>),
    /// Bytes from this index on: what came in a message stays where it came.
    Bytes(Vec<u8>, usize),
}

impl Payload {
    /// Checks that `text` is one JSON value.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Self, PeerMisbehaved> {
        let mut scanner = Scanner { text, at: 0 };
        scanner.space();
        let start = scanner.at;
        scanner.value(2)?;
        let value = scanner.since(start);
        scanner.end()?;
        Ok(Self::checked(value))
    }

    /// A text that is known to be one JSON value.
    pub(super) fn checked(text: &str) -> Self {
        Self(Arc::new(Content::Text(text.into())))
    }

    /// The JSON value `null`.
    pub fn null() -> Self {
        Self::checked("null")
    }

    /// What a message holds from this index on.
    pub(crate) fn rest_of(message: Vec<u8>, start: usize) -> Self {
        Self(Arc::new(Content::Bytes(message, start)))
    }

    /// The JSON text; `None` if it is bytes.
    pub fn text(&self) -> Option<&str> {
        match &*self.0 {
            Content::Text(text) => Some(text),
            Content::Bytes(..) => None,
        }
    }

    /// The bytes; `None` if it is JSON text.
    pub fn bytes(&self) -> Option<&[u8]> {
        match &*self.0 {
            Content::Text(_) => None,
            Content::Bytes(message, start) => Some(message.get(*start..).unwrap_or_default()),
        }
    }

    /// How much it counts for in windows and queues: the bytes of its text, or its own.
    pub fn size(&self) -> u64 {
        match &*self.0 {
            Content::Text(text) => text.len() as u64,
            Content::Bytes(message, start) => (message.len() - start.min(&message.len())) as u64,
        }
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self::rest_of(bytes, 0)
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text() && self.bytes() == other.bytes()
    }
}

impl Eq for Payload {}

impl Hash for Payload {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text().hash(state);
        self.bytes().hash(state);
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Content::Text(text) => write!(formatter, "Payload({text})"),
            Content::Bytes(..) => write!(formatter, "Payload({} bytes)", self.size()),
        }
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Payload {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Payload".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        true.into()
    }
}
