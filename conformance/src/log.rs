//! What passed on the wire and at the testee, as the report shows it.

use serde::{Deserialize, Serialize};
use std::time::Instant;

/// Characters of a frame that a report keeps.
const SHOWN: usize = 2000;

/// Who said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The suite, on the wire.
    Suite,
    /// The peer under test, on the wire.
    Peer,
    /// The suite, to the testee.
    Order,
    /// The testee, about what it saw.
    Report,
}

/// One line of a transcript.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Line {
    /// Milliseconds since the case began.
    pub at: u64,
    /// The connection.
    pub connection: String,
    /// Who said it.
    pub origin: Origin,
    /// What: a frame, or words in parentheses.
    pub text: String,
}

impl Line {
    /// Whether it is a remark of the suite, and nothing passed.
    pub fn is_remark(&self) -> bool {
        const REMARKS: [&str; 7] = [
            "(it did not come",
            "(it did not read",
            "(the case was not over",
            "(could not be written",
            "(no answer)",
            "(reported before that",
            "(SIGTERM)",
        ];
        self.origin == Origin::Suite && REMARKS.iter().any(|remark| self.text.starts_with(remark))
    }
}

/// A transcript under way.
#[derive(Debug)]
pub struct Log {
    began: Instant,
    lines: Vec<Line>,
}

impl Default for Log {
    fn default() -> Self {
        Self { began: Instant::now(), lines: Vec::new() }
    }
}

impl Log {
    /// Notes something.
    pub fn note(&mut self, connection: &str, origin: Origin, text: &str) {
        let at = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut shown: String = text.chars().take(SHOWN).collect();
        if shown.len() < text.len() {
            shown.push_str(&format!("… ({} bytes)", text.len()));
        }
        self.lines.push(Line { at, connection: connection.to_owned(), origin, text: redacted(shown) });
    }

    /// Everything, in order.
    pub fn into_lines(self) -> Vec<Line> {
        self.lines
    }

    /// How long it has been.
    pub fn elapsed(&self) -> std::time::Duration {
        self.began.elapsed()
    }
}

/// Without the secrets of hellos and grants: reports are published.
pub(crate) fn redacted(text: String) -> String {
    const NAME: &str = "\"token\"";
    let mut shown = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find(NAME) {
        let value = at + NAME.len();
        shown.push_str(&rest[..value]);
        rest = &rest[value..];
        // White space around the colon is the writer's own choice.
        let Some(open) = rest.find('"').filter(|open| rest[..*open].trim() == ":") else { continue };
        shown.push_str(&rest[..=open]);
        shown.push('…');
        rest = &rest[open + 1..];
        rest = &rest[closing_quote(rest)..];
    }
    shown.push_str(rest);
    shown
}

/// Where a string ends that began before this text.
fn closing_quote(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    });
    end.unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_not_shown_and_long_texts_are_cut() {
        let mut log = Log::default();
        log.note("main", Origin::Suite, r#"{"type":"hello","auth":{"scheme":"bearer","token":"s3cret"},"a":1}"#);
        log.note("main", Origin::Suite, &"x".repeat(5000));
        log.note("main", Origin::Peer, r#"{"auth": {"token" : "s3\"cret", "token":null}, "token": "cut off"#);
        let lines = log.into_lines();
        assert_eq!(lines[2].text, r#"{"auth": {"token" : "…", "token":null}, "token": "…"#);
        assert_eq!(lines[0].text, r#"{"type":"hello","auth":{"scheme":"bearer","token":"…"},"a":1}"#);
        assert!(lines[1].text.ends_with("(5000 bytes)"));
    }
}
