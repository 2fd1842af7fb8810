//! The timers of two connections: when the next is tried again, what waits for it, and how long the former decides.

use crate::frames;
use crate::near::{Near, milliseconds, named, seconds};
use readywire_protocol::client::{ClientEvent, ClientState, SendOptions};
use readywire_protocol::close::{Class, CloseFrame};
use readywire_protocol::frame::{Bye, ClientFrame, ServerFrame};
use readywire_protocol::stage::Stage;
use readywire_protocol::time::Duration;

const OLD: u64 = 1;

/// A ready client whose server goes away after so many milliseconds.
fn drained(after: u64) -> Near {
    let mut near = Near::ready();
    near.hears_text(&format!(r#"{{"type":"drain","deadline_ms":60000,"reconnect_after_ms":[{after},{after}]}}"#));
    near
}

/// A client whose next connection has come to this stage, with two sends undecided on the old one.
fn handing_over(stage: Stage) -> Near {
    let mut near = drained(0);
    for handle in 1..=2 {
        near.send(handle, SendOptions::default());
    }
    near.pass(Duration::ZERO);
    near.go_on();
    near.reach(stage);
    near.forget();
    near
}

fn outcomes(near: &mut Near) -> Vec<(u64, String)> {
    near.outcomes().into_iter().map(|(handle, outcome)| (handle, named(&outcome))).collect()
}

#[test]
fn a_next_that_failed_is_tried_again_by_backoff() {
    let mut near = drained(0);
    near.pass(Duration::ZERO);
    near.go_on();
    near.breaks_off();
    let wait = near.timer().expect("another attempt");
    assert!(wait > Duration::ZERO && wait <= milliseconds(500), "{wait:?}");
    near.expires_in(wait);
    assert_eq!((near.asked, near.state()), (Some(3), ClientState::ProcessingReady));
}

#[test]
fn what_was_held_back_for_a_next_that_failed_is_told_at_once() {
    let mut near = handing_over(Stage::Authenticated);
    near.hears_on(OLD, r#"{"type":"message","offset":1,"event":"note"}"#);
    near.pass(milliseconds(200));
    assert_eq!(near.writes_on(OLD), []);
    near.breaks_off();
    assert_eq!(near.writes_on(OLD), [ClientFrame::Taken { offset: 1, topic: None }]);

    let mut near = handing_over(Stage::Authenticated);
    near.breaks_off();
    assert_ne!(near.timer(), Some(milliseconds(50)), "there is nothing to tell");
}

#[test]
fn a_former_connection_decides_for_as_long_as_it_makes_progress() {
    let mut near = handing_over(Stage::ServicesReady);
    near.hears(&frames::started_over());
    near.expires_in(seconds(15));
    assert_eq!(near.closed_on(OLD), Some(4302));
    assert_eq!(outcomes(&mut near), [1, 2].map(|handle| (handle, "unknown session_lost".to_owned())));

    let mut near = handing_over(Stage::ServicesReady);
    near.send(3, SendOptions::default());
    near.hears(&frames::started_over());
    assert_eq!(near.client.unsettled(), 3);
    for decision in [r#"{"type":"ack","id":1}"#, r#"{"type":"nack","id":2,"code":"no"}"#] {
        near.pass(seconds(7));
        near.hears_on(OLD, decision);
        assert_eq!(near.timer(), Some(seconds(15)), "{decision}");
    }
    near.hears_on(OLD, r#"{"type":"pong","nonce":"1"}"#);
    assert_eq!(near.timer(), Some(seconds(15)), "no decision, no progress");
    assert_eq!(near.closed_on(OLD), None);
    near.hears_on(OLD, r#"{"type":"ack","id":3}"#);
    assert_eq!(near.closed_on(OLD), Some(4302), "all is decided");
}

#[test]
fn a_client_that_ends_has_an_outcome_for_what_the_former_connection_had() {
    let mut near = handing_over(Stage::ServicesReady);
    near.hears(&frames::started_over());
    near.client.close(near.now, Duration::ZERO);
    near.settle();
    assert_eq!(outcomes(&mut near), [1, 2].map(|handle| (handle, "unknown closed".to_owned())));
    assert_eq!((near.closed_on(OLD), near.state()), (Some(4302), ClientState::Closed));
}

fn bye(class: Option<Class>, retry_after_ms: Option<u64>) -> ServerFrame {
    ServerFrame::Bye(Bye { class, retry_after_ms, ..frames::bye(4301) })
}

/// A handover that is planned goes on as planned, unless the old connection's end says otherwise.
#[test]
fn what_was_planned_stands_when_the_old_one_ends_first() {
    for (end, wait) in [
        (bye(None, None), Some(milliseconds(700))),
        (bye(None, Some(5000)), Some(seconds(5))),
        (bye(Some(Class::Immediately), Some(900)), Some(milliseconds(900))),
    ] {
        let mut near = drained(700);
        near.hears(&end);
        assert_eq!(Some(near.wait()), wait, "{end:?}");
        near.expires_in(near.wait());
        assert_eq!(near.asked, Some(2));
    }
    let mut near = drained(700);
    near.hears(&bye(Some(Class::Backoff), None));
    assert!(near.wait() <= milliseconds(500), "as after any failure");
}

/// What the next waits for is its own, unless the old connection's end names a time.
#[test]
fn a_next_that_waits_takes_the_place_with_its_wait() {
    let failed = || {
        let mut near = drained(0);
        near.pass(Duration::ZERO);
        near.go_on();
        near.closes(Some(CloseFrame::new(1011, "")));
        near
    };
    let mut near = failed();
    let wait = near.timer().expect("another attempt");
    near.closes_on(OLD, None);
    assert_eq!((near.wait(), near.state()), (wait, ClientState::Connecting));

    let mut near = failed();
    near.hears_on(OLD, &bye(None, Some(7000)).encode());
    assert_eq!(near.wait(), seconds(7));
}

#[test]
fn a_next_that_is_under_way_takes_the_place_whatever_the_old_one_names() {
    for asked in [true, false] {
        let mut near = drained(0);
        near.pass(Duration::ZERO);
        if !asked {
            near.give_token();
        }
        near.hears_on(OLD, &bye(None, Some(7000)).encode());
        assert_eq!(near.state(), ClientState::Connecting);
        assert!(
            near.events.iter().all(|event| !matches!(event, ClientEvent::State(change) if change.retry_at.is_some()))
        );
        if asked {
            near.give_token();
        }
        assert_eq!(near.number, 2, "it goes on where it was");
    }
}
