//! A client between two connections: every stage of the next against every frame, on either.

use crate::client_stages::{FRAMES, STAGES, at};
use crate::near::{Near, milliseconds};
use readywire_protocol::client::ClientState;
use readywire_protocol::stage::Stage;

const OLD: u64 = 1;
const NEXT: u64 = 2;

/// Two sends are in flight on the old connection, and the next has come to this stage.
fn between(stage: Stage) -> Near {
    let mut near = at(Stage::ProcessingReady);
    near.hears_text(r#"{"type":"drain","deadline_ms":60000,"reconnect_after_ms":[0,0]}"#);
    near.pass(milliseconds(0));
    near.go_on();
    near.reach(stage);
    near.forget();
    near
}

/// Whether the table says that this ends the connection that it comes on.
fn ends(expected: &str) -> bool {
    expected.starts_with("44") || expected.starts_with("ends")
}

#[test]
fn what_the_next_says_before_its_ready_leaves_the_old_as_it_is() {
    for (text, expected) in FRAMES.iter().filter(|(text, _)| !text.contains(r#""type":"ready""#)) {
        for (stage, expected) in STAGES.into_iter().zip(expected).filter(|(stage, _)| !stage.is_ready()) {
            let mut near = between(stage);
            near.hears_on(NEXT, text);
            assert_eq!(near.closed_on(NEXT).is_some(), ends(expected), "the next at {stage}: {text}");
            assert_eq!((near.state(), near.closed_on(OLD)), (ClientState::ProcessingReady, None), "{stage}: {text}");
            assert_eq!(near.outcomes(), [], "the next at {stage}: {text}");
        }
    }
}

#[test]
fn what_the_old_says_ends_at_most_the_old() {
    for (text, expected) in FRAMES {
        for stage in STAGES.into_iter().filter(|stage| !stage.is_ready()) {
            let mut near = between(stage);
            near.hears_on(OLD, text);
            let over = ends(expected[4]);
            assert_eq!(near.closed_on(OLD).is_some(), over, "the next at {stage}, on the old: {text}");
            assert_eq!(near.closed_on(NEXT), None, "the next at {stage}, on the old: {text}");
            assert_eq!(!near.state().is_ready(), over, "the next at {stage}, on the old: {text}");
        }
    }
}

#[test]
fn each_deadline_of_the_next_is_its_own() {
    // The stage's 10 s, and then what is waited for after a failure.
    for stage in STAGES.into_iter().filter(|stage| !stage.is_ready()) {
        let mut near = between(stage);
        near.expires_in(milliseconds(10_000));
        assert!(near.closed_on(NEXT).is_some(), "{stage}");
        assert_eq!((near.state(), near.closed_on(OLD)), (ClientState::ProcessingReady, None), "{stage}");
    }
    let mut near = at(Stage::ProcessingReady);
    near.hears_text(r#"{"type":"drain","deadline_ms":60000,"reconnect_after_ms":[700,700]}"#);
    near.expires_in(milliseconds(700));
    assert!(near.asked.is_some(), "the time that the server named");
    near.expires_in(milliseconds(10_000));
    assert_eq!((near.asked, near.number), (Some(NEXT), OLD), "no token: a failed attempt, and another follows");
    let mut near = at(Stage::ProcessingReady);
    near.hears_text(r#"{"type":"drain","deadline_ms":60000}"#);
    near.pass(milliseconds(0));
    near.give_token();
    near.expires_in(milliseconds(10_000));
    assert_eq!((near.closed_on(NEXT), near.state()), (Some(1000), ClientState::ProcessingReady), "no socket");
}
