//! Each send has one outcome, and what was reported failed is never on the wire afterwards.

use crate::frames;
use crate::near::{Near, seconds};
use crate::{keyed, outcome, outcomes};
use readywire_protocol::client::{ClientEvent, Outcome, Rejection, SendOptions};
use readywire_protocol::frame::{Refusal, ServerFrame};
use readywire_protocol::stage::Stage;
use readywire_protocol::time::Duration;

#[test]
fn an_ack_decides_everything_up_to_its_id() {
    let mut near = Near::ready();
    for handle in 1..=4 {
        near.send(handle, SendOptions::default());
    }
    near.hears(&frames::nack(2));
    near.hears(&frames::ack(3));
    let expected = [outcome(2, "refused no"), outcome(1, "acknowledged 1"), outcome(3, "acknowledged 3")];
    assert_eq!(outcomes(&mut near), expected);
    assert_eq!(near.client.unsettled(), 1);
}

#[test]
fn whatever_comes_later_the_first_outcome_stands() {
    let mut near = Near::ready();
    for handle in 1..=3 {
        near.send(handle, SendOptions::default());
    }
    for frame in [frames::ack(1), frames::nack(2)] {
        near.hears(&frame);
    }
    near.forget();
    for frame in [frames::ack(1), frames::nack(1), frames::nack(2), frames::ack(2), frames::ack(0), frames::nack(0)] {
        near.hears(&frame);
        near.client.abandon(near.now, 1);
        near.client.cancel(near.now, 2);
        near.settle();
        assert_eq!(outcomes(&mut near), [], "{frame:?}");
    }
    assert!(near.state().is_ready(), "none of this is a violation");
}

#[test]
fn a_refusal_tells_what_the_server_said() {
    let mut near = Near::ready();
    near.send(1, SendOptions::default());
    let message = "not today".to_owned();
    let refusal =
        Refusal { retry: true, retry_after_ms: Some(700), message: message.clone(), ..frames::refusal(1, "later") };
    near.hears(&ServerFrame::Nack(refusal));
    let expected = Rejection {
        code: "later".to_owned(),
        message,
        retry: true,
        retry_after: Some(Duration::from_millis(700)),
        service: None,
    };
    assert_eq!(near.outcomes(), [(1, Outcome::Refused(expected))]);
}

#[test]
fn what_is_given_up_before_it_is_written_is_withdrawn() {
    let mut near = Near::at(Stage::ServicesReady);
    near.send(1, SendOptions::default());
    near.send(2, SendOptions::default());
    near.client.abandon(near.now, 1);
    near.settle();
    assert_eq!(outcomes(&mut near), [outcome(1, "refused withdrawn")]);
    near.hears(&frames::ready());
    let [send] = &near.sends()[..] else { panic!("one send") };
    assert_eq!(send.id, 1);
    near.hears(&frames::ack(1));
    assert_eq!(outcomes(&mut near), [outcome(2, "acknowledged 1")]);
}

#[test]
fn what_waits_behind_a_withdrawn_send_goes_at_once() {
    let mut near = Near::ready();
    near.send_text(1, &"1".repeat(60), SendOptions::default());
    near.send_text(2, &"2".repeat(60), SendOptions::default());
    near.send(3, SendOptions::default());
    assert_eq!(near.ids(), [1]);
    near.client.abandon(near.now, 2);
    near.settle();
    assert_eq!(near.ids(), [2]);
    assert_eq!(outcomes(&mut near), [outcome(2, "refused withdrawn")]);
}

/// Given up after it was written: nobody can tell, and its id is never written again; its place in the window is the
/// server's to free.
#[test]
fn what_is_given_up_after_it_was_written_is_unknown() {
    let mut near = Near::ready();
    for handle in 1..=5 {
        near.send(handle, SendOptions::default());
    }
    near.forget();
    near.client.abandon(near.now, 2);
    near.client.abandon(near.now, 2);
    near.settle();
    assert_eq!(outcomes(&mut near), [outcome(2, "unknown given_up")]);
    assert_eq!(near.ids(), [0; 0], "its place is not free yet");
    near.hears(&frames::nack(2));
    assert_eq!(near.ids(), [5]);
    assert_eq!(outcomes(&mut near), [], "a late decision is not told");
}

#[test]
fn what_was_given_up_is_not_written_again() {
    for early in [true, false] {
        let mut near = Near::ready();
        for handle in 1..=3 {
            near.send(handle, keyed(&handle.to_string()));
        }
        if early {
            near.client.abandon(near.now, 2);
        }
        near.breaks_off();
        if !early {
            near.client.abandon(near.now, 2);
        }
        near.settle();
        near.again();
        assert_eq!(near.hello().resume.expect("a resume").settled, 0);
        near.reach(Stage::ServicesReady);
        near.written.clear();
        near.hears(&frames::resumed(0));
        assert_eq!(near.ids(), [1, 3]);
        near.hears(&frames::ack(3));
        let expected = [outcome(2, "unknown given_up"), outcome(1, "acknowledged 1"), outcome(3, "acknowledged 3")];
        assert_eq!(outcomes(&mut near), expected);
    }
}

#[test]
fn what_was_given_up_is_not_offered_in_another_session() {
    let mut near = Near::ready();
    near.send(1, keyed("a"));
    near.send(2, keyed("b"));
    near.client.abandon(near.now, 1);
    near.settle();
    near.breaks_off();
    near.again();
    near.reach(Stage::ServicesReady);
    near.written.clear();
    near.hears(&frames::started_over());
    let keys: Vec<_> = near.sends().into_iter().map(|send| send.key).collect();
    assert_eq!(keys, [Some("b".to_owned())]);
    assert_eq!(outcomes(&mut near), [outcome(1, "unknown given_up")]);
}

/// The server refuses for a service that comes back: the application gave the send up, so it does not go again.
#[test]
fn what_was_given_up_is_not_offered_anew() {
    let mut near = Near::at(Stage::Degraded);
    near.send(1, SendOptions::default());
    near.client.abandon(near.now, 1);
    near.settle();
    near.hears(&ServerFrame::Nack(frames::impaired(1)));
    near.forget();
    near.hears(&frames::stage(Stage::ProcessingReady));
    assert_eq!(near.ids(), [0; 0]);
    assert_eq!(outcomes(&mut near), []);
}

#[test]
fn the_end_settles_everything() {
    let mut near = Near::at(Stage::Degraded);
    for handle in 1..=6 {
        near.send(handle, SendOptions::default());
    }
    near.hears(&ServerFrame::Nack(frames::impaired(1)));
    near.client.abandon(near.now, 2);
    near.settle();
    near.forget();
    near.client.close(near.now, seconds(0));
    near.settle();
    let over = near.events.iter().position(|event| matches!(event, ClientEvent::Closed(_)));
    assert_eq!(over, Some(near.events.len() - 1), "the end is told last");
    let mut outcomes = outcomes(&mut near);
    outcomes.sort();
    let expected = [
        outcome(1, "refused service_impaired"),
        outcome(3, "unknown closed"),
        outcome(4, "unknown closed"),
        outcome(5, "unknown closed"),
        outcome(6, "refused closed"),
    ];
    assert_eq!(outcomes, expected, "refused stays refused, written is unknown, and the rest never left");
    assert_eq!(near.client.unsettled(), 0);
}
