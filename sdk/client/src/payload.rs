//! What is sent and received: any value that serde can write and read, or bytes.

use crate::error::SendError;
use readywire_protocol::json::Payload as CorePayload;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::ops::Deref;

/// A payload of bytes in place of JSON, for servers that speak the level Binary: an image, a piece of audio. A server that
/// does not is sent nothing, and the send is refused as `unsupported`. Clones share the bytes.
///
/// ```no_run
/// use readywire::{Bytes, Client};
///
/// async fn thumbnail(client: &Client, image: Vec<u8>) -> Result<Bytes, readywire::AnswerError> {
///     client.request("image.shrink", Bytes::from(image)).await
/// }
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Bytes(CorePayload);

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.bytes().unwrap_or_default()
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Bytes({})", self.len())
    }
}

/// A payload as it came, where it may be either.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Payload {
    /// JSON, as text.
    Json(String),
    /// Bytes.
    Bytes(Bytes),
}

/// A payload was not what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadError {
    /// What it was, for a person.
    pub message: String,
}

impl fmt::Display for PayloadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for PayloadError {}

/// What can be sent: a reference to any value that serde can write, or [`Bytes`].
pub trait IntoPayload: sealed::IntoPayload {}

/// What can be received: any value that serde can read, [`Bytes`], or [`Payload`] for both.
pub trait FromPayload: sealed::FromPayload {}

impl<T: sealed::IntoPayload> IntoPayload for T {}
impl<T: sealed::FromPayload> FromPayload for T {}

pub(crate) mod sealed {
    use super::*;

    pub trait IntoPayload {
        fn into_payload(self) -> Result<CorePayload, SendError>;
    }

    pub trait FromPayload: Sized {
        fn from_payload(payload: &CorePayload) -> Result<Self, PayloadError>;
    }

    impl<T: Serialize + ?Sized> IntoPayload for &T {
        fn into_payload(self) -> Result<CorePayload, SendError> {
            let misuse = |message: String| SendError::Misuse { message };
            let text = serde_json::to_string(self).map_err(|error| misuse(error.to_string()))?;
            CorePayload::parse(&text).map_err(|error| misuse(error.to_string()))
        }
    }

    impl IntoPayload for Bytes {
        fn into_payload(self) -> Result<CorePayload, SendError> {
            Ok(self.0)
        }
    }

    impl<T: DeserializeOwned> FromPayload for T {
        fn from_payload(payload: &CorePayload) -> Result<Self, PayloadError> {
            let Some(text) = payload.text() else {
                return Err(PayloadError { message: format!("{} bytes, where JSON was expected", payload.size()) });
            };
            serde_json::from_str(text).map_err(|error| PayloadError { message: error.to_string() })
        }
    }

    impl FromPayload for Bytes {
        fn from_payload(payload: &CorePayload) -> Result<Self, PayloadError> {
            match payload.bytes() {
                Some(_) => Ok(Self(payload.clone())),
                None => Err(PayloadError { message: "JSON, where bytes were expected".to_owned() }),
            }
        }
    }

    impl FromPayload for Payload {
        fn from_payload(payload: &CorePayload) -> Result<Self, PayloadError> {
            Ok(match payload.text() {
                Some(text) => Self::Json(text.to_owned()),
                None => Self::Bytes(Bytes(payload.clone())),
            })
        }
    }
}
