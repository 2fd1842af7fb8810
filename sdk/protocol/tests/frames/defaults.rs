//! What a frame means where it says nothing, and what it never says to a log.

use readywire_protocol::clause::Clause;
use readywire_protocol::frame::{Auth, ClientFrame, Hello, Resume, ServerFrame, SessionGrant};

#[test]
fn a_credential_without_a_scheme_is_a_bearers() {
    let auth = |text| match ClientFrame::decode(text) {
        Ok(ClientFrame::Auth(auth)) => auth.scheme,
        other => panic!("{other:?}"),
    };
    assert_eq!(auth(r#"{"type":"auth","token":"t"}"#), "bearer");
    assert_eq!(auth(r#"{"type":"auth","scheme":"ticket","token":"t"}"#), "ticket");
}

#[test]
fn a_session_lives_as_long_as_its_process_unless_it_says_otherwise() {
    let durability = |more: &str| {
        let text = format!(
            r#"{{"type":"ready","session":{{"id":"s","token":"t","ttl_ms":1,"resumed":false,"subject":"u"{more}}},"limits":{{"max_message_bytes":1,"max_in_flight":1,"max_in_flight_bytes":1}},"heartbeat":{{"interval_ms":1,"timeout_ms":1}}}}"#
        );
        match ServerFrame::decode(&text) {
            Ok(ServerFrame::Ready(ready)) => ready.session.expect("a session").durability,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(durability(""), "process");
    assert_eq!(durability(r#","durability":"durable""#), "durable");
}

#[test]
fn only_a_hello_is_one() {
    assert!(Hello::parse(r#"{"type":"hello","client":{"name":"c"}}"#).is_ok_and(|hello| hello.client.is_some()));
    let broken = Hello::parse(r#"{"type":"ping","nonce":"1"}"#).expect_err("no hello");
    assert_eq!(broken.clause, Clause::HelloFirst);
}

/// Clause `upgrade.redact`: what ends in a log by `{:?}` tells everything but secrets.
#[test]
fn secrets_are_not_shown() {
    let auth = Auth { scheme: "ticket".to_owned(), token: "very-secret".to_owned() };
    let resume =
        Resume { session: "s-7".to_owned(), token: "very-secret".to_owned(), attempt: 4, settled: 5, inbox: 6 };
    let grant = SessionGrant {
        id: "s-7".to_owned(),
        token: "very-secret".to_owned(),
        ttl_ms: 1,
        resumed: true,
        lost_because: None,
        subject: "alice".to_owned(),
        durability: "process".to_owned(),
    };
    for (shown, says) in [
        (format!("{auth:?}"), &["ticket"][..]),
        (format!("{resume:?}"), &["s-7", "4", "5", "6"]),
        (format!("{grant:?}"), &["s-7", "true", "alice"]),
    ] {
        assert!(!shown.contains("very-secret"), "{shown}");
        assert!(says.iter().all(|word| shown.contains(word)), "{shown}");
    }
}
