//! Which ends are tried again how often: refusals, violations, and the one retry at once.

use crate::near::{Near, milliseconds, seconds};
use readywire_protocol::client::{ClientEvent, ClientState, TokenFailure};
use readywire_protocol::close::Class;
use readywire_protocol::config::ClientConfig;
use readywire_protocol::stage::Stage;
use readywire_protocol::time::Duration;

/// The next connection comes up to `stage`, and ends with `code`.
fn end_with(near: &mut Near, stage: Stage, code: u16) {
    near.reach(stage);
    near.hears_text(&format!(r#"{{"type":"bye","code":{code}}}"#));
}

#[test]
fn three_refusals_or_three_violations_in_a_row_stop_the_client() {
    for (code, class) in [(4101, Class::Reauthenticate), (4104, Class::Reauthenticate), (4400, Class::Violation)] {
        let mut near = Near::connecting();
        for _ in 0..2 {
            end_with(&mut near, Stage::Accepted, code);
            assert_eq!(near.state(), ClientState::Connecting);
            near.again();
        }
        near.forget();
        end_with(&mut near, Stage::Accepted, code);
        assert_eq!(near.state(), ClientState::Closed, "{code}");
        let Some(ClientEvent::Closed(end)) = near.events.last() else { panic!("no end") };
        assert_eq!((end.code, end.class), (code, class));
        assert_eq!(near.timer(), None);
    }
}

#[test]
fn a_ready_in_between_begins_a_new_row() {
    for code in [4101, 4400] {
        let mut near = Near::connecting();
        for _ in 0..4 {
            for _ in 0..2 {
                end_with(&mut near, Stage::Accepted, code);
                near.again();
            }
            near.reach(Stage::ServicesReady);
            near.hears(&crate::frames::started_over_as(&format!("s-{}", near.number)));
            near.breaks_off();
            near.again();
        }
        assert_eq!(near.state(), ClientState::Connecting, "{code}");
    }
}

/// A refusal asks for a new token, and so does every other end.
#[test]
fn every_attempt_asks_for_its_own_token() {
    for code in [1006, 4102, 4202, 4301, 4400] {
        let mut near = Near::ready();
        end_with(&mut near, Stage::Connecting, code);
        near.retry();
        assert_eq!(near.asked, Some(near.number + 1), "{code}");
    }
}

#[test]
fn one_retry_at_once_for_each_stable_ready() {
    let mut near = Near::connecting();
    end_with(&mut near, Stage::Accepted, 4301);
    assert_eq!(near.wait(), Duration::ZERO);
    near.again();
    let mut waits = Vec::new();
    for _ in 0..6 {
        near.reach(Stage::ServicesReady);
        near.hears(&crate::frames::started_over_as(&format!("s-{}", near.number)));
        near.pass(milliseconds(4999));
        near.hears_text(r#"{"type":"bye","code":4301}"#);
        waits.push(near.wait());
        near.again();
    }
    assert!(waits.iter().max() > Some(&seconds(1)), "the others back off: {waits:?}");
    near.reach(Stage::ServicesReady);
    near.hears(&crate::frames::started_over_as("s-last"));
    near.pass(seconds(5));
    near.hears_text(r#"{"type":"bye","code":4301}"#);
    assert_eq!(near.wait(), Duration::ZERO, "a stable ready gives another");
}

#[test]
fn a_token_that_fails_is_tried_again_unless_that_is_hopeless() {
    let mut near = Near::connecting();
    near.hears(&crate::frames::stage(Stage::Accepted));
    near.hears(&crate::frames::pending(Stage::Authenticated, &["search"], None));
    near.breaks_off();
    near.retry();
    for _ in 0..5 {
        let number = near.asked.take().expect("a question");
        near.client.provide_token(near.now, number, Err("the provider is down".into()));
        near.settle();
        assert_eq!(near.told().code, Some(4101));
        near.retry();
    }
    let number = near.asked.take().expect("a question");
    let failure = TokenFailure { message: "signed out".to_owned(), fatal: true };
    near.client.provide_token(near.now, number, Err(failure));
    near.settle();
    assert_eq!(near.state(), ClientState::Closed);
    let Some(ClientEvent::Closed(end)) = near.events.last() else { panic!("no end") };
    assert_eq!((end.code, end.reason.as_str()), (4101, "no token: signed out"));
    assert_eq!((end.stage, end.pending.len()), (Stage::Connecting, 0));
    assert_eq!(near.timer(), None);
}

#[test]
fn a_token_that_does_not_come_is_asked_for_again_for_ever() {
    let mut near = Near::idle(ClientConfig::default());
    near.begin();
    for attempt in 1..=5 {
        assert_eq!(near.asked.take(), Some(attempt));
        near.pass(seconds(10));
        assert_eq!(near.state(), ClientState::Connecting, "no refusal");
        near.retry();
    }
}
