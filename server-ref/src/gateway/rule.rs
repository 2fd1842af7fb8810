//! When the application behind a gateway is ready.

use regex::Regex;
use serde_json::Value;
use std::str::FromStr;

/// What a message has to look like.
#[derive(Clone, Debug)]
pub enum ReadyRule {
    /// A JSON text with this value at this place (RFC 6901).
    At {
        /// The place, as in `/type`.
        pointer: String,
        /// The value.
        value: Value,
    },
    /// A text that this fits somewhere.
    Fits(Regex),
}

impl ReadyRule {
    /// Whether this message says that the application is ready.
    pub fn says_ready(&self, text: &str) -> bool {
        match self {
            Self::At { pointer, value } => {
                serde_json::from_str::<Value>(text).is_ok_and(|message| message.pointer(pointer) == Some(value))
            }
            Self::Fits(regex) => regex.is_match(text),
        }
    }
}

impl FromStr for ReadyRule {
    type Err = String;

    /// Reads `/type=connection_ack`, whose right side is JSON or else a string, or a regular expression as in `~^welcome`.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(pattern) = text.strip_prefix('~') {
            return Regex::new(pattern).map(Self::Fits).map_err(|error| error.to_string());
        }
        match text.split_once('=') {
            Some((pointer, value)) if pointer.is_empty() || pointer.starts_with('/') => {
                let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
                Ok(Self::At { pointer: pointer.to_owned(), value })
            }
            _ => Err("expected POINTER=VALUE, as in /type=connection_ack, or ~REGEX, as in ~^welcome".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_and_judge() {
        let says = |rule: &str, text: &str| rule.parse::<ReadyRule>().unwrap().says_ready(text);
        assert!(says("/type=connection_ack", r#"{"type": "connection_ack"}"#));
        assert!(!says("/type=connection_ack", r#"{"type": "ping"}"#));
        assert!(!says("/type=connection_ack", "no JSON"));
        assert!(says("/ready=true", r#"{"ready": true}"#));
        assert!(!says("/ready=true", r#"{"ready": "true"}"#));
        assert!(says("/a/0=1", r#"{"a": [1]}"#));
        assert!(says("~^welcome", "welcome, alice"));
        assert!(!says("~^welcome", "you are welcome"));
        for wrong in ["", "type", "type=x", "~("] {
            assert!(wrong.parse::<ReadyRule>().is_err(), "{wrong}");
        }
    }
}
