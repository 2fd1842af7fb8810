//! The token belongs to somebody else now: nothing that was queued for one subject is sent for another.

use crate::frames;
use crate::near::Near;
use crate::{keyed, outcome, outcomes};
use readywire_protocol::client::SendOptions;
use readywire_protocol::frame::ServerFrame;
use readywire_protocol::stage::Stage;

/// Comes back, and is somebody else.
fn change(near: &mut Near) {
    near.again();
    near.reach(Stage::ServicesReady);
    near.written.clear();
    near.hears(&frames::somebody_else());
}

#[test]
fn what_waits_is_refused_and_what_was_written_is_unknown() {
    let mut near = Near::at(Stage::Degraded);
    near.send(1, SendOptions::default());
    near.send(2, keyed("a"));
    near.send(3, SendOptions::default());
    near.hears(&ServerFrame::Nack(frames::impaired(3)));
    near.breaks_off();
    near.send(4, SendOptions::default());
    change(&mut near);
    assert_eq!(near.ids(), [0; 0], "nothing is sent");
    let mut told = outcomes(&mut near);
    told.sort();
    let expected = [
        outcome(1, "unknown session_lost"),
        outcome(2, "unknown session_lost"),
        outcome(3, "refused subject_changed"),
        outcome(4, "refused subject_changed"),
    ];
    assert_eq!(told, expected, "with or without a key");
    near.send(5, SendOptions::default());
    assert_eq!(near.sends().len(), 1, "what is given to the new subject goes");
}

#[test]
fn the_same_subject_in_another_session_is_no_change() {
    let mut near = Near::at(Stage::ServicesReady);
    near.hears(&frames::ready());
    near.breaks_off();
    near.send(1, SendOptions::default());
    near.comes_back_to(&frames::started_over());
    assert_eq!(near.ids(), [1]);
}

/// The last subject is remembered when its session is gone for another reason.
#[test]
fn a_lost_session_does_not_hide_the_change() {
    let mut near = Near::ready();
    near.send(1, keyed("a"));
    near.breaks_off();
    near.send(2, SendOptions::default());
    near.again();
    near.reach(Stage::ServicesReady);
    near.hears(&frames::resumed(77));
    change(&mut near);
    assert_eq!(near.ids(), [0; 0]);
    let expected = [outcome(1, "unknown session_lost"), outcome(2, "refused subject_changed")];
    assert_eq!(outcomes(&mut near), expected);
}

#[test]
fn a_server_without_sessions_in_between_does_not_hide_the_change() {
    let mut near = Near::ready();
    near.breaks_off();
    near.again();
    near.reach(Stage::ServicesReady);
    near.hears(&frames::ready_core());
    near.breaks_off();
    near.send(1, SendOptions::default());
    change(&mut near);
    assert_eq!(near.ids(), [0; 0]);
    assert_eq!(outcomes(&mut near), [outcome(1, "refused subject_changed")]);
}
