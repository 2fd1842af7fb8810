//! Frames as they may be shown: without secrets (clause `upgrade.redact`).

use readywire_protocol::json::Object;
use std::borrow::Cow;

const REDACTED: &str = "…";

/// A frame of either side without its tokens; everything else stays as it was written.
///
/// It works on the text, so that a frame that breaks a rule, and is therefore looked at, gives nothing away either.
pub fn without_tokens(text: &str) -> Cow<'_, str> {
    if let Ok(frame) = Object::parse(text)
        && let Ok(Some(name)) = frame.string("type")
        && !matches!(&*name, "hello" | "auth" | "ready")
    {
        return Cow::Borrowed(text);
    }
    let mut shown = String::new();
    let mut rest = text;
    let mut named_token = false;
    while let Some((before, from)) = rest.split_once('"') {
        let (string, after) = split_string(from);
        let value = before.bytes().all(|byte| matches!(byte, b':' | b' ' | b'\t' | b'\n' | b'\r'));
        shown.push_str(before);
        shown.push('"');
        shown.push_str(if named_token && value { REDACTED } else { string });
        // A name that is spelled with escapes may be any name.
        named_token = string == "token" || string.contains('\\');
        rest = match after.strip_prefix('"') {
            Some(after) => {
                shown.push('"');
                after
            }
            None => after,
        };
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}

/// What is inside a string, and the rest from its closing quote on; a string without one reaches to the end.
fn split_string(text: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.and_then(|end| text.split_at_checked(end)).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_token_is_shown_and_everything_else_is() {
        let hello = |token: &str| {
            [
                r#"{"type":"hello","auth":{"scheme":"bearer","token":""#,
                token,
                r#""},"resume":{"session":"a","token":""#,
                token,
                r#"","attempt":1,"settled":0,"inbox":0},"unknown":[1,"token","b"]}"#,
            ]
            .concat()
        };
        assert_eq!(without_tokens(&hello("s3cret")), hello("…"));
        let ready = |token: &str| [r#"{"type":"ready","session":{"id":"a","token":""#, token, r#""},"x":1}"#].concat();
        assert_eq!(without_tokens(&ready("s3cret")), ready("…"));
        let auth = |token: &str| [r#"{"token":""#, token, r#"","type":"auth"}"#].concat();
        assert_eq!(without_tokens(&auth("s3cret")), auth("…"));
    }

    #[test]
    fn however_it_is_written() {
        for (frame, shown) in [
            ("{\"type\":\"auth\",\"token\" \t:\r\n \"s3cret\" }", "{\"type\":\"auth\",\"token\" \t:\r\n \"…\" }"),
            (r#"{"type":"auth","token":"a\"s3cret\\"}"#, r#"{"type":"auth","token":"…"}"#),
            (r#"{"type":"auth","token":"a\\\"s3cret","b":"c"}"#, r#"{"type":"auth","token":"…","b":"c"}"#),
            (r#"{"type":"auth","t\u006fken":"s3cret"}"#, r#"{"type":"auth","t\u006fken":"…"}"#),
            (r#"{"type":"\u0061uth","token":"s3cret"}"#, r#"{"type":"\u0061uth","token":"…"}"#),
            (r#"{"type":"auth","reason":"token","token":"s3cret"}"#, r#"{"type":"auth","reason":"token","token":"…"}"#),
        ] {
            assert_eq!(without_tokens(frame), shown);
        }
    }

    #[test]
    fn a_frame_that_cannot_be_read_gives_nothing_away() {
        for broken in [
            r#"{"type":"ready","session":{"token":"s3cret"#,
            r#"{"type":"ready","session":{"token":"s3cret"},"#,
            r#"{"type":"auth","token":"s3cret","token":"s3cret"}"#,
            r#"{"session":{"token":"s3cret"}}"#,
            r#"{"type":7,"token":"s3cret\"#,
        ] {
            assert!(!without_tokens(broken).contains("s3cret"), "{broken}");
        }
    }

    #[test]
    fn what_belongs_to_the_application_is_not_touched() {
        for frame in [
            r#"{"type":"send","id":1,"event":"e","payload":{"token":"mine"}}"#,
            r#"{"type":"message","offset":1,"payload":{"type":"auth","token":"mine"}}"#,
        ] {
            assert_eq!(without_tokens(frame), frame);
        }
    }
}
