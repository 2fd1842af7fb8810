//! The client with an open socket: what is no frame, or no frame that any server may send, at every stage.

use crate::client_stages::{STAGES, at};
use crate::hostile;
use crate::near::{Near, seconds};
use readywire_protocol::SUBPROTOCOL;
use readywire_protocol::clause::Clause;
use readywire_protocol::client::{ClientEvent, ClientState, SendOptions, StateChange};
use readywire_protocol::config::ClientConfig;
use readywire_protocol::error::PeerMisbehaved;
use readywire_protocol::frame::ClientFrame;
use readywire_protocol::stage::Stage;

/// The client has ended the connection and said why, and comes back when it may.
pub(crate) fn assert_violation(near: &Near, code: u16, clause: &str, context: &str) {
    let bye = near.bye().unwrap_or_else(|| panic!("no bye: {context}"));
    assert_eq!((bye.code, bye.clause.as_deref()), (u64::from(code), Some(clause)), "{context}");
    assert!(bye.reason.starts_with(clause), "the reason names the clause: {} {context}", bye.reason);
    let (closed, reason) = near.closed.as_ref().unwrap_or_else(|| panic!("no close frame: {context}"));
    assert_eq!(*closed, code, "{context}");
    assert!(bye.reason.starts_with(reason.as_str()), "the start of the same reason: {reason} {context}");
    let StateChange { state, code: told, retry_at, .. } = near.told();
    assert_eq!((*state, *told), (ClientState::Connecting, Some(code)), "{context}");
    assert_eq!(*retry_at, Some(near.now + seconds(20)), "a violation waits for the cap: {context}");
}

#[test]
fn every_stage_meets_every_wrong_text() {
    for (text, code, clause) in hostile::texts() {
        for stage in STAGES {
            let mut near = at(stage);
            near.hears_text(&text);
            let shown: String = text.chars().take(100).collect();
            assert_violation(&near, code, clause, &format!("at {stage}: {shown}"));
        }
    }
}

#[test]
fn what_only_looks_wrong_is_answered() {
    for text in hostile::odd_pings() {
        for stage in STAGES {
            let mut near = at(stage);
            near.hears_text(&text);
            assert_eq!(near.writes(), [ClientFrame::Pong { nonce: "7".to_owned() }], "at {stage}: {text}");
        }
    }
}

#[test]
fn a_binary_message_was_not_agreed_to() {
    for stage in STAGES {
        let mut near = at(stage);
        near.client.handle_binary(near.now, near.number, vec![0]);
        near.settle();
        assert_violation(&near, 4415, "frame.text", &format!("at {stage}"));
    }
}

/// Required fields, one after the other taken away from frames that have them.
#[test]
fn a_required_field_is_required() {
    let frames = [
        (r#"{"type":"ack","id":1}"#, "id"),
        (r#"{"type":"nack","id":1,"code":"no"}"#, "id code"),
        (r#"{"type":"message","offset":1,"error":{"code":"no"}}"#, "offset code"),
        (r#"{"type":"subscribed","topic":"t","offset":1,"head":1,"epoch":"e"}"#, "topic offset head epoch"),
        (r#"{"type":"unsubscribed","topic":"t"}"#, "topic"),
        (r#"{"type":"publication","topic":"t","offset":1,"event":"e"}"#, "topic offset event"),
        (r#"{"type":"page","request":1,"epoch":"e"}"#, "request"),
        (r#"{"type":"auth","error":{"code":"no"}}"#, "code"),
        (r#"{"type":"drain","deadline_ms":1}"#, "deadline_ms"),
        (r#"{"type":"ping","nonce":"7"}"#, "nonce"),
        (r#"{"type":"pong","nonce":"7"}"#, "nonce"),
        (r#"{"type":"bye","code":4200}"#, "code"),
        (r#"{"type":"stage","stage":"ACCEPTED"}"#, "stage"),
        (
            r#"{"type":"ready","session":{"id":"s","token":"t","subject":"u"},"refused":[{"id":1,"code":"no"}],"limits":{"max_message_bytes":9,"max_in_flight":9,"max_in_flight_bytes":9},"heartbeat":{"interval_ms":9,"timeout_ms":9},"capabilities":["resume"]}"#,
            "id token subject code limits max_message_bytes max_in_flight max_in_flight_bytes heartbeat interval_ms timeout_ms",
        ),
    ];
    for (text, required) in frames {
        for field in required.split(' ') {
            // Under another name it is an unknown field, and those are ignored.
            let without = text.replace(&format!(r#""{field}":"#), r#""other":"#);
            assert_ne!(without, text);
            let mut near = at(Stage::ServicesReady);
            near.hears_text(&without);
            assert_violation(&near, 4400, "frame.field", &without);
        }
    }
}

#[test]
fn three_violations_in_a_row_stop_the_client() {
    let mut near = Near::connecting();
    for _ in 0..2 {
        near.hears_text("[]");
        assert_eq!(near.state(), ClientState::Connecting);
        near.again();
        near.forget();
    }
    near.hears_text("[]");
    assert_eq!(near.state(), ClientState::Closed);
    let Some(ClientEvent::Closed(end)) = near.events.last() else { panic!("no end") };
    assert_eq!((end.code, end.clause.as_deref()), (4400, Some("frame.malformed")));
    assert_eq!(near.timer(), None);
}

#[test]
fn a_ready_that_breaks_a_clause_is_no_ready_in_between() {
    let mut near = Near::connecting();
    for _ in 0..2 {
        near.reach(Stage::ServicesReady);
        near.hears(&crate::frames::resumed(0));
        near.again();
        near.forget();
    }
    near.reach(Stage::ServicesReady);
    near.hears(&crate::frames::resumed(0));
    assert_eq!(near.state(), ClientState::Closed, "three in a row, and none was right");
}

#[test]
fn only_the_subprotocol_of_this_version_is_gone_on_with() {
    let hello = format!("{}eyJ0eXBlIjoiaGVsbG8ifQ", readywire_protocol::HELLO_PREFIX);
    for selected in ["", "readywire.v2", "READYWIRE.V1", "readywire.v1 ", "graphql-transport-ws", &hello] {
        for hello_in_upgrade in [true, false] {
            let mut near = Near::idle(ClientConfig { hello_in_upgrade, ..ClientConfig::default() });
            near.begin();
            near.give_token();
            near.send(1, SendOptions::default());
            near.forget();
            near.client.handle_open(near.now, near.number, selected);
            near.settle();
            assert_eq!(near.writes(), [], "no frame: {selected}");
            assert_eq!(near.closed.as_ref().map(|(code, _)| *code), Some(4006), "{selected}");
            assert_eq!(near.state(), ClientState::Closed, "{selected}");
            assert_eq!(near.timer(), None);
        }
    }
    let mut near = Near::idle(ClientConfig::default());
    near.begin();
    near.give_token();
    assert_eq!(near.protocols.first().map(String::as_str), Some(SUBPROTOCOL));
    near.open();
    assert_eq!(near.closed, None);
}

/// What the transport itself finds is a violation as any other.
#[test]
fn what_the_transport_finds_ends_the_connection_by_its_clause() {
    for stage in [Stage::Accepted, Stage::ServicesReady, Stage::ProcessingReady] {
        let mut near = Near::at(stage);
        near.client.handle_violation(near.now, near.number, PeerMisbehaved::new(Clause::FrameMalformed, "no UTF-8"));
        near.settle();
        let bye = near.bye().expect("a bye");
        assert_eq!((bye.code, bye.clause.as_deref()), (4400, Some("frame.malformed")), "{stage}");
        assert_eq!(near.closed_on(near.number), Some(4400));
    }
}
