//! How long a send may wait to be written.

use crate::frames;
use crate::near::{Near, milliseconds, named, seconds};
use readywire_protocol::client::SendOptions;
use readywire_protocol::frame::ServerFrame;
use readywire_protocol::stage::Stage;
use readywire_protocol::time::Duration;

fn after(expire_after: Duration) -> SendOptions {
    SendOptions { expire_after: Some(expire_after), ..SendOptions::default() }
}

fn outcomes(near: &mut Near) -> Vec<(u64, String)> {
    near.outcomes().iter().map(|(handle, outcome)| (*handle, named(outcome))).collect()
}

#[test]
fn what_is_never_written_expires() {
    let mut near = Near::at(Stage::Accepted);
    near.send(1, after(seconds(5)));
    near.send(2, after(seconds(3)));
    near.expires_in(seconds(3));
    assert_eq!(outcomes(&mut near), [(2, "expired".to_owned())]);
    near.expires_in(seconds(2));
    assert_eq!(outcomes(&mut near), [(1, "expired".to_owned())]);
    near.reach(Stage::Authenticated);
    near.hears(&frames::stage(Stage::ServicesReady));
    near.hears(&frames::ready());
    assert_eq!(near.ids(), [0; 0], "what expired is never written");
}

/// The queue's own age bounds every send, and goes on across attempts.
#[test]
fn thirty_seconds_are_the_most() {
    for options in [SendOptions::default(), after(seconds(1000))] {
        let mut near = Near::at(Stage::Accepted);
        near.send(1, options);
        let start = near.now;
        while near.now.saturating_since(start) < milliseconds(29_999) {
            near.hears(&frames::pending(Stage::Accepted, &[&format!("{:?}", near.now)], None));
            near.pass((seconds(5)).min(milliseconds(29_999) - near.now.saturating_since(start)));
        }
        assert_eq!(outcomes(&mut near), []);
        near.expires_in(milliseconds(1));
        assert_eq!(outcomes(&mut near), [(1, "expired".to_owned())]);
    }
}

#[test]
fn what_was_written_does_not_expire() {
    let mut near = Near::ready();
    near.send(1, after(seconds(5)));
    assert_eq!(near.timer(), Some(seconds(15)), "written at once");
    near.breaks_off();
    near.pass(seconds(60));
    assert_eq!(outcomes(&mut near), [], "what was written waits for its decision");
}

#[test]
fn what_is_withdrawn_needs_no_timer() {
    let mut near = Near::at(Stage::Accepted);
    near.send(1, after(seconds(5)));
    near.client.abandon(near.now, 1);
    near.settle();
    assert_eq!(near.timer(), Some(seconds(10)), "only the stage is waited for");
}

#[test]
fn an_age_of_nothing_is_over_at_once_unless_it_is_written() {
    let mut near = Near::ready();
    near.send(1, after(seconds(0)));
    assert_eq!(near.ids(), [1]);
    let mut near = Near::at(Stage::Accepted);
    near.send(1, after(seconds(0)));
    assert_eq!(near.timer(), Some(seconds(0)));
    near.pass(seconds(0));
    assert_eq!(outcomes(&mut near), [(1, "expired".to_owned())]);
}

/// A send that is offered anew keeps its age, and the refusal is its outcome: it was refused, not forgotten.
#[test]
fn what_waits_for_its_service_is_refused_when_its_time_is_over() {
    let mut near = Near::at(Stage::Degraded);
    near.send(1, after(seconds(12)));
    near.pass(seconds(2));
    near.hears(&ServerFrame::Nack(frames::impaired(1)));
    near.expires_in(seconds(10));
    assert_eq!(outcomes(&mut near), [(1, "refused service_impaired".to_owned())]);
}

/// The service works again, but there is no room in the window: still not forgotten, and still refused.
#[test]
fn a_released_send_that_is_not_written_in_time_is_refused() {
    let mut near = Near::connecting();
    near.reach(Stage::ServicesReady);
    near.hears(&frames::with(|ready| {
        ready.impaired = vec!["search".to_owned()];
        ready.limits.max_in_flight = 1;
    }));
    near.send(1, after(seconds(12)));
    near.hears(&ServerFrame::Nack(frames::impaired(1)));
    near.send(2, SendOptions::default());
    near.hears(&frames::stage(Stage::ProcessingReady));
    near.expires_in(seconds(12));
    assert_eq!(outcomes(&mut near), [(1, "refused service_impaired".to_owned())]);
}

/// A refusal is a decision, also of a send that a lost session may have taken: whoever knew its key would have said so.
#[test]
fn what_is_refused_in_the_next_session_is_refused() {
    let mut near = Near::at(Stage::Degraded);
    near.send(1, SendOptions { key: Some("order".to_owned()), ..after(seconds(25)) });
    near.breaks_off();
    near.again();
    near.reach(Stage::ServicesReady);
    near.hears(&frames::with(|ready| {
        ready.session = Some(frames::grant(false));
        ready.impaired = vec!["search".to_owned()];
    }));
    near.forget();
    near.hears(&ServerFrame::Nack(frames::impaired(2)));
    near.pass(seconds(25));
    assert_eq!(outcomes(&mut near), [(1, "refused service_impaired".to_owned())]);
}

/// Written in a session that was lost: somebody may have taken it, so it is not expired but unknown.
#[test]
fn what_a_lost_session_may_have_taken_does_not_expire() {
    let mut near = Near::ready();
    near.send(1, SendOptions { key: Some("order".to_owned()), ..after(seconds(12)) });
    near.breaks_off();
    near.again();
    near.reach(Stage::ServicesReady);
    near.send(2, SendOptions::default());
    near.forget();
    near.hears(&frames::with(|ready| {
        ready.session = Some(frames::grant(false));
        ready.limits.max_in_flight = 1;
    }));
    assert_eq!(near.ids(), [2], "in front, under a new id");
    near.breaks_off();
    near.again();
    near.reach(Stage::ServicesReady);
    near.pass(seconds(5));
    near.hears(&ServerFrame::Pong { nonce: String::new() });
    near.forget();
    near.hears(&frames::started_over_as("s-third"));
    near.pass(seconds(8));
    let outcomes = outcomes(&mut near);
    assert!(outcomes.iter().all(|(_, outcome)| outcome != "expired"), "{outcomes:?}");
}
