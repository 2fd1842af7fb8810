//! Frames as they may be shown: without secrets (clause `upgrade.redact`).

use readywire_protocol::frame::{ClientFrame, ServerFrame};
use std::borrow::Cow;

const REDACTED: &str = "…";

/// A client's frame without its tokens.
pub fn outgoing(text: &str) -> Cow<'_, str> {
    if !text.contains("\"token\"") {
        return Cow::Borrowed(text);
    }
    match ClientFrame::decode(text) {
        Ok(ClientFrame::Hello(mut hello)) => {
            if let Some(auth) = &mut hello.auth {
                REDACTED.clone_into(&mut auth.token);
            }
            if let Some(resume) = &mut hello.resume {
                REDACTED.clone_into(&mut resume.token);
            }
            Cow::Owned(ClientFrame::Hello(hello).encode())
        }
        Ok(ClientFrame::Auth(mut auth)) => {
            REDACTED.clone_into(&mut auth.token);
            Cow::Owned(ClientFrame::Auth(auth).encode())
        }
        _ => Cow::Borrowed(text),
    }
}

/// A server's frame without the token of the session.
pub fn incoming(text: &str) -> Cow<'_, str> {
    if !text.contains("\"session\"") {
        return Cow::Borrowed(text);
    }
    match ServerFrame::decode(text) {
        Ok(ServerFrame::Ready(mut ready)) => {
            if let Some(session) = &mut ready.session {
                REDACTED.clone_into(&mut session.token);
            }
            Cow::Owned(ServerFrame::Ready(ready).encode())
        }
        _ => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_token_is_shown_and_everything_else_is() {
        let hello = concat!(
            r#"{"type":"hello","auth":{"scheme":"bearer","token":"s3cret"},"#,
            r#""resume":{"session":"a","token":"s3cret","attempt":1,"settled":0,"inbox":0}}"#
        );
        let shown = outgoing(hello);
        assert!(!shown.contains("s3cret") && shown.contains("bearer") && shown.contains("attempt"), "{shown}");
        let ready = concat!(
            r#"{"type":"ready","session":{"id":"a","token":"s3cret","ttl_ms":1,"resumed":false,"subject":"x","#,
            r#""durability":"process"},"received":0,"limits":{"max_message_bytes":1,"max_in_flight":1,"#,
            r#""max_in_flight_bytes":1},"heartbeat":{"interval_ms":1,"timeout_ms":1}}"#
        );
        let shown = incoming(ready);
        assert!(!shown.contains("s3cret") && shown.contains("durability"), "{shown}");
        let send = r#"{"type":"send","id":1,"event":"e","payload":{"token":"mine"}}"#;
        assert_eq!(outgoing(send), send);
    }
}
