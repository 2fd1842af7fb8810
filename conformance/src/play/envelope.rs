//! Writing and reading envelopes: frames with a payload of bytes beside them.

use super::frames::{lenient, text_of};
use super::{Broken, Play, hexadecimal};
use crate::case::Envelope;
use crate::log::Origin;
use crate::pattern;
use serde_json::Value;
use tokio::time::timeout;

/// The bytes of a payload that a transcript shows.
const SHOWN: usize = 32;

impl Play {
    pub(super) async fn write_envelope(&mut self, envelope: &Envelope) -> Result<(), Broken> {
        let frame = pattern::filled(&envelope.frame, &self.kept).map_err(Broken::Impossible)?;
        let text = match &frame {
            Value::String(text) => text.clone(),
            frame => text_of(frame),
        };
        let mut payload = hexadecimal(&self.fill(&envelope.payload)?)?;
        if let Some(bytes) = &envelope.bytes {
            let whole = usize::try_from(self.amount(bytes)?).unwrap_or_default();
            payload.resize(whole.saturating_sub(4 + text.len()), 0);
        }
        self.script.wrote(&frame);
        self.note(Origin::Suite, &shown(&text, &payload));
        let length = u32::try_from(text.len()).map_err(|error| Broken::Impossible(error.to_string()))?;
        let message = [&length.to_be_bytes()[..], text.as_bytes(), &payload].concat();
        let written = timeout(self.patience, self.link()?.binary(message)).await;
        self.written(written)
    }

    /// The frame of a binary message, with its payload as `payload_bytes`.
    pub(super) fn opened(&mut self, awaited: &str, message: &[u8]) -> Result<Value, Broken> {
        let wrong = |what: String| Broken::failed(awaited, what);
        let Some((text, payload)) = split(message).filter(|_| self.binary) else {
            self.note(Origin::Peer, &format!("(binary, {} bytes)", message.len()));
            let what = if self.binary { "that is no envelope" } else { "which nobody agreed to" };
            return Err(wrong(format!("a binary message of {} bytes, {what}", message.len())));
        };
        self.note(Origin::Peer, &shown(text, payload));
        let mut frame =
            lenient(text).map_err(|error| wrong(format!("a frame in an envelope that is no JSON: {error}")))?;
        if !frame.is_object() {
            return Err(wrong(format!("an envelope with {text}")));
        }
        frame["payload_bytes"] = Value::from(digits(payload));
        self.kept.insert("text".to_owned(), Value::from(text));
        self.script.read(&frame);
        Ok(frame)
    }
}

fn split(message: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = message.split_first_chunk()?;
    let (text, payload) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    Some((std::str::from_utf8(text).ok()?, payload))
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn shown(text: &str, payload: &[u8]) -> String {
    let beside = digits(&payload[..payload.len().min(SHOWN)]);
    let more = if payload.len() > SHOWN { "…" } else { "" };
    format!("(binary, with {} bytes beside it: {beside}{more}) {text}", payload.len())
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn what_is_an_envelope() {
        assert_eq!(split(&[0, 0, 0, 2, b'{', b'}', 7]), Some(("{}", &[7][..])));
        assert_eq!(split(&[0, 0, 0, 2, b'{', b'}']), Some(("{}", &[][..])));
        for none in [&[][..], &[0, 0, 0], &[0, 0, 0, 1], &[0, 0, 0, 1, 0xff], &[255, 255, 255, 255, 0]] {
            assert_eq!(split(none), None, "{none:?}");
        }
    }
}
