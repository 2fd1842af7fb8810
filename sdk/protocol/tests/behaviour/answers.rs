//! Answers: parts in their order, one end, across connections, and an end in any case.

use crate::frames;
use crate::near::{Near, seconds};
use crate::{answered, outcome, outcomes};
use readywire_protocol::client::{AnswerPart, ClientEvent, SendOptions};
use readywire_protocol::frame::ServerFrame;
use readywire_protocol::stage::Stage;

/// The parts that were told since the last look: handle, offset, whether it ends, and what went wrong.
pub(crate) fn parts(near: &mut Near) -> Vec<(u64, u64, bool, String)> {
    let parts = near.tells().into_iter().filter_map(|event| match event {
        ClientEvent::Answer(AnswerPart { handle, offset, end, error, .. }) => {
            Some((handle, offset, end, error.map_or_else(String::new, |error| error.code)))
        }
        _ => None,
    });
    parts.collect()
}

fn part(handle: u64, offset: u64, end: bool) -> (u64, u64, bool, String) {
    (handle, offset, end, String::new())
}

/// Sends 1 and 2 ask for answers, 3 does not.
pub(crate) fn asking() -> Near {
    let mut near = Near::ready();
    near.send(1, answered());
    near.send(2, answered());
    near.send(3, SendOptions::default());
    near.hears(&frames::ack(3));
    near.forget();
    near
}

#[test]
fn parts_come_to_the_send_that_asked() {
    let mut near = asking();
    for frame in
        [frames::part(1, 2, false), frames::part(2, 1, false), frames::part(3, 1, true), frames::part(4, 2, true)]
    {
        near.hears(&frame);
    }
    assert_eq!(parts(&mut near), [part(2, 1, false), part(1, 2, false), part(1, 3, true), part(2, 4, true)]);
}

#[test]
fn behind_the_end_nothing_comes() {
    let mut near = asking();
    near.hears(&frames::part(1, 1, true));
    near.forget();
    near.hears(&frames::part(2, 1, false));
    near.hears(&frames::part(3, 1, true));
    assert_eq!(parts(&mut near), []);
    assert!(near.state().is_ready(), "an unknown `re` is ignored");
    near.hears(&frames::part(4, 2, true));
    assert_eq!(parts(&mut near), [part(2, 4, true)], "and its offset counts");
}

#[test]
fn an_answer_may_end_in_an_error() {
    let mut near = asking();
    near.hears(&frames::failed_part(1, 2, "too_hard"));
    assert_eq!(parts(&mut near), [(2, 1, true, "too_hard".to_owned())]);
}

/// To answer a send is to have taken it, whenever its ack comes.
#[test]
fn an_answer_may_overtake_the_ack() {
    let mut near = Near::ready();
    near.send(1, answered());
    near.hears(&frames::part(1, 1, true));
    let mut told = near.clone();
    assert_eq!(outcomes(&mut told), [outcome(1, "acknowledged 1")]);
    assert_eq!(parts(&mut near), [part(1, 1, true)]);
    near.hears(&frames::ack(1));
    assert_eq!(outcomes(&mut near), [], "told once");
}

#[test]
fn an_answer_goes_on_across_connections() {
    let mut near = asking();
    near.hears(&frames::part(1, 1, false));
    near.breaks_off();
    near.resume(3);
    near.forget();
    for frame in [frames::part(1, 1, false), frames::part(2, 1, false), frames::part(3, 1, true)] {
        near.hears(&frame);
    }
    assert_eq!(parts(&mut near), [part(1, 2, false), part(1, 3, true)], "at its offset, and none twice");
}

#[test]
fn an_answer_to_a_send_that_is_written_again_is_its_answer() {
    let mut near = Near::ready();
    near.send(1, answered());
    near.breaks_off();
    near.resume(0);
    near.hears(&frames::ack(1));
    near.forget();
    near.hears(&frames::part(1, 1, true));
    assert_eq!(parts(&mut near), [part(1, 1, true)]);
}

#[test]
fn a_lost_session_ends_its_answers() {
    let mut near = asking();
    near.over_a_cut(&frames::started_over());
    let lost = |handle| (handle, 0, true, "session_lost".to_owned());
    assert_eq!(parts(&mut near), [lost(1), lost(2)]);
    near.hears(&frames::part(1, 1, true));
    assert_eq!(parts(&mut near), [], "what the new session says has nothing to do with them");
}

#[test]
fn the_end_of_the_client_ends_its_answers() {
    let mut near = asking();
    near.hears(&frames::part(1, 1, true));
    near.forget();
    near.client.close(near.now, seconds(0));
    near.settle();
    assert_eq!(parts(&mut near), [(2, 0, true, "closed".to_owned())]);
}

/// The outcome says it all: a refused send has no answer, and no end of one.
#[test]
fn a_refused_send_has_no_answer() {
    let mut near = Near::ready();
    near.send(1, answered());
    near.hears(&frames::nack(1));
    near.breaks_off();
    near.again();
    near.reach(Stage::ServicesReady);
    near.hears(&frames::started_over());
    let mut told = near.clone();
    assert_eq!(outcomes(&mut told), [outcome(1, "refused no")]);
    assert_eq!(parts(&mut near), []);
}

#[test]
fn a_send_that_is_offered_anew_keeps_its_answer() {
    let mut near = Near::ready();
    near.send(1, answered());
    near.hears(&ServerFrame::Nack(frames::impaired(1)));
    near.hears(&frames::ack(2));
    near.forget();
    near.hears(&frames::part(1, 1, true));
    assert_eq!(parts(&mut near), [], "its old id is over");
    near.hears(&frames::part(2, 2, true));
    assert_eq!(parts(&mut near), [part(1, 2, true)]);
}

#[test]
fn a_keyed_send_that_goes_again_keeps_its_answer() {
    let mut near = Near::ready();
    near.send(7, SendOptions { answer: true, ..crate::keyed("a") });
    near.over_a_cut(&frames::started_over());
    assert_eq!(near.ids(), [2]);
    assert_eq!(parts(&mut near), []);
    near.hears(&frames::part(1, 2, true));
    assert_eq!(parts(&mut near), [part(7, 1, true)]);
}

/// A part without `re`, or with the number of no send, belongs to nobody who still waits to be written.
#[test]
fn a_send_that_was_not_written_has_no_number() {
    let mut near = Near::ready();
    for handle in 1..=5 {
        near.send(handle, answered());
    }
    near.forget();
    near.hears(&frames::part(1, 0, true));
    assert_eq!(parts(&mut near), []);
    near.hears(&frames::ack(4));
    near.hears(&frames::part(2, 5, true));
    assert_eq!(parts(&mut near), [part(5, 2, true)]);
}

/// Nobody would ever end that answer.
#[test]
fn a_server_without_answers_is_not_asked() {
    let mut near = Near::at(Stage::ServicesReady);
    near.send(1, answered());
    near.hears(&frames::with(|ready| ready.capabilities = vec!["resume".to_owned(), "topics".to_owned()]));
    assert_eq!(outcomes(&mut near), [outcome(1, "refused unsupported")], "not even one that has an inbox");
    let mut near = Near::at(Stage::ServicesReady);
    near.send(1, answered());
    near.send(2, SendOptions::default());
    near.hears(&frames::ready_core());
    assert_eq!(outcomes(&mut near), [outcome(1, "refused unsupported")]);
    assert_eq!(near.sends().len(), 1);
}

#[test]
fn answers_of_a_session_that_was_left_end_each_with_its_own_send() {
    let mut near = Near::ready();
    near.send(1, answered());
    near.send(2, answered());
    near.hears_text(r#"{"type":"drain","deadline_ms":60000,"reconnect_after_ms":[0,0]}"#);
    near.pass(seconds(0));
    near.go_on();
    near.reach(Stage::ServicesReady);
    near.hears(&frames::started_over());
    near.forget();
    for handle in [1, 2] {
        near.hears_on(1, &frames::ack(handle).encode());
        assert_eq!(parts(&mut near), [(handle, 0, true, "session_lost".to_owned())]);
    }
}
