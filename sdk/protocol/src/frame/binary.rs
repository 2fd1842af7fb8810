//! Envelopes: a frame and, beside it, a payload of bytes, in one binary message (clause `binary.envelope`).

use super::{ClientFrame, Message, Send, ServerFrame};
use crate::capability::BINARY;
use crate::clause::Clause;
use crate::error::PeerMisbehaved;
use crate::json::Payload;

/// The bytes that tell how long the frame is.
const LENGTH_BYTES: usize = 4;

/// A frame as it goes over the wire.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Wire {
    /// In a text message.
    Text(String),
    /// In a binary message, with its payload beside it.
    Binary(Vec<u8>),
}

impl Wire {
    /// The text of a frame; beside it the payload, if that is bytes and not in the text already.
    pub(crate) fn new(frame: String, payload: Option<&Payload>) -> Self {
        let Some(bytes) = payload.and_then(Payload::bytes).filter(|_| BINARY) else { return Self::Text(frame) };
        Self::Binary(envelope(&frame, bytes))
    }

    /// The bytes of the whole message, which limits count (clause `binary.size`).
    pub fn size(&self) -> u64 {
        let size = match self {
            Self::Text(text) => text.len(),
            Self::Binary(message) => message.len(),
        };
        size as u64
    }
}

/// An envelope of the text of a frame, which has no payload of its own, and of the payload. For those who write one
/// frame to many.
pub fn envelope(frame: &str, payload: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(LENGTH_BYTES + frame.len() + payload.len());
    message.extend_from_slice(&(frame.len() as u32).to_be_bytes());
    message.extend_from_slice(frame.as_bytes());
    message.extend_from_slice(payload);
    message
}

/// The text of the frame in an envelope, and how many bytes of payload are beside it. For those who look at the wire:
/// what is no envelope gives an empty text.
pub fn envelope_text(message: &[u8]) -> (&str, usize) {
    match split(message) {
        Ok((text, start)) => (text, message.len() - start),
        Err(_) => ("", message.len()),
    }
}

/// The text of the frame, and where the payload begins.
fn split(message: &[u8]) -> Result<(&str, usize), PeerMisbehaved> {
    let beyond = || PeerMisbehaved::new(Clause::BinaryEnvelope, "an envelope that is shorter than it says");
    let length = message.first_chunk::<LENGTH_BYTES>().ok_or_else(beyond)?;
    let start = LENGTH_BYTES.saturating_add(u32::from_be_bytes(*length) as usize);
    let frame = message.get(LENGTH_BYTES..start).ok_or_else(beyond)?;
    let text = std::str::from_utf8(frame)
        .map_err(|_| PeerMisbehaved::new(Clause::FrameMalformed, "the frame in an envelope is not UTF-8"))?;
    Ok((text, start))
}

/// Opens an envelope. `read` reads a frame without payload; `place` tells where its payload belongs, if it has one.
fn open<F>(
    message: Vec<u8>,
    read: fn(&str) -> Result<F, PeerMisbehaved>,
    place: fn(&mut F) -> Option<&mut Payload>,
) -> Result<F, PeerMisbehaved> {
    let (text, start) = split(&message)?;
    let mut frame = read(text)?;
    let Some(payload) = place(&mut frame) else {
        return Err(PeerMisbehaved::new(Clause::BinaryEnvelope, "a frame in an envelope that has no payload"));
    };
    *payload = Payload::rest_of(message, start);
    Ok(frame)
}

impl ClientFrame {
    /// Opens the envelope of a binary message.
    ///
    /// # Errors
    /// The clause that it breaks.
    pub fn decode_binary(message: Vec<u8>) -> Result<Self, PeerMisbehaved> {
        open(message, Self::decode_enveloped, |frame| match frame {
            Self::Send(Send { payload, .. }) => Some(payload),
            _ => None,
        })
    }

    /// Writes the frame as it goes over the wire.
    pub fn to_wire(&self) -> Wire {
        let payload = match self {
            Self::Send(send) => Some(&send.payload),
            _ => None,
        };
        Wire::new(self.encode(), payload)
    }
}

impl ServerFrame {
    /// Opens the envelope of a binary message.
    ///
    /// # Errors
    /// The clause that it breaks.
    pub fn decode_binary(message: Vec<u8>) -> Result<Self, PeerMisbehaved> {
        open(message, Self::decode_enveloped, |frame| match frame {
            Self::Message(Message { payload, .. }) | Self::Publication { payload, .. } => Some(payload),
            _ => None,
        })
    }

    /// Writes the frame as it goes over the wire.
    pub fn to_wire(&self) -> Wire {
        let payload = match self {
            Self::Message(Message { payload, .. }) | Self::Publication { payload, .. } => Some(payload),
            _ => None,
        };
        Wire::new(self.encode(), payload)
    }
}
