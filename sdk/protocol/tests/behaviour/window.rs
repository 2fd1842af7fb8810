//! What is in flight at once: within the limits of the latest `ready`, whatever an earlier one allowed.

use crate::frames;
use crate::near::Near;
use crate::{outcome, outcomes};
use readywire_protocol::client::SendOptions;
use readywire_protocol::frame::{Limits, ServerFrame};
use readywire_protocol::stage::Stage;

fn limited(resumed: bool, limits: Limits) -> ServerFrame {
    frames::with(|ready| {
        ready.limits = limits;
        if resumed {
            ready.session = Some(frames::grant(true));
        }
    })
}

const LIMITS: Limits = Limits {
    max_message_bytes: 1000,
    max_in_flight: 4,
    max_in_flight_bytes: 100,
    stream_messages: None,
    stream_bytes: None,
};

fn ready(limits: Limits) -> Near {
    let mut near = Near::at(Stage::ServicesReady);
    near.hears(&limited(false, limits));
    near.forget();
    near
}

#[test]
fn no_more_messages_are_in_flight_than_allowed() {
    for most in 1..=3 {
        let mut near = ready(Limits { max_in_flight: most, ..LIMITS });
        for handle in 1..=6 {
            near.send(handle, SendOptions::default());
        }
        assert_eq!(near.ids().len() as u64, most);
    }
}

#[test]
fn no_more_bytes_are_in_flight_than_allowed() {
    let mut near = ready(LIMITS);
    near.send_text(1, &"1".repeat(60), SendOptions::default());
    near.send_text(2, &"2".repeat(40), SendOptions::default());
    near.send_text(3, "3", SendOptions::default());
    assert_eq!(near.ids(), [1, 2], "just full");
    near.hears(&frames::ack(1));
    assert_eq!(near.ids(), [3]);
}

#[test]
fn a_send_that_is_alone_may_be_larger() {
    let mut near = ready(LIMITS);
    near.send_text(1, &"1".repeat(300), SendOptions::default());
    near.send(2, SendOptions::default());
    assert_eq!(near.ids(), [1], "and nothing goes beside it");
    near.hears(&frames::ack(1));
    assert_eq!(near.ids(), [2]);
}

#[test]
fn a_nack_frees_its_place_at_once_and_an_ack_all_that_it_decides() {
    let mut near = ready(LIMITS);
    for handle in 1..=9 {
        near.send(handle, SendOptions::default());
    }
    assert_eq!(near.ids(), [1, 2, 3, 4]);
    near.hears(&frames::nack(3));
    assert_eq!(near.ids(), [5]);
    near.hears(&frames::ack(2));
    assert_eq!(near.ids(), [6, 7]);
    near.hears(&frames::ack(7));
    assert_eq!(near.ids(), [8, 9]);
}

#[test]
fn what_the_server_would_not_take_is_refused_here() {
    let bare = r#"{"type":"send","id":1,"event":"event","payload":}"#.len();
    let mut near = ready(LIMITS);
    near.send_text(1, &"1".repeat(1001 - bare), SendOptions::default());
    near.send_text(2, &"1".repeat(1000 - bare), SendOptions::default());
    assert_eq!(outcomes(&mut near), [outcome(1, "refused too_large")]);
    let [send] = &near.sends()[..] else { panic!("one send") };
    assert_eq!(send.id, 1, "no id is used up");
}

/// The limits are those of this connection: what is written again keeps to them as well.
#[test]
fn a_smaller_limit_holds_for_what_is_written_again() {
    let mut near = ready(LIMITS);
    near.send_text(1, "1", SendOptions::default());
    near.send_text(2, &"2".repeat(60), SendOptions::default());
    near.send_text(3, "3", SendOptions::default());
    assert_eq!(near.ids(), [1, 2, 3]);
    near.over_a_cut(&limited(true, Limits { max_message_bytes: 90, max_in_flight: 1, ..LIMITS }));
    assert_eq!(near.ids(), [1]);
    near.hears(&frames::ack(1));
    assert_eq!(near.ids(), [3], "the server did not take it, and now it never will");
    assert_eq!(outcomes(&mut near), [outcome(1, "acknowledged 1"), outcome(2, "refused too_large")]);
    near.send(4, SendOptions::default());
    assert_eq!(near.ids(), [0; 0], "what is new waits behind what is written again");
}

/// Order is promised over ids: what was written before is written again before anything new, however small that is.
#[test]
fn nothing_new_passes_what_is_written_again() {
    let mut near = ready(LIMITS);
    near.send_text(1, &"1".repeat(60), SendOptions::default());
    near.send_text(2, &"2".repeat(40), SendOptions::default());
    near.send_text(3, "3", SendOptions::default());
    near.over_a_cut(&limited(true, Limits { max_in_flight_bytes: 70, ..LIMITS }));
    assert_eq!(near.ids(), [1]);
    near.hears(&frames::ack(1));
    assert_eq!(near.ids(), [2, 3]);
}

#[test]
fn what_waited_for_ready_keeps_within_its_bytes() {
    let mut near = Near::at(Stage::ServicesReady);
    for handle in 1..=6 {
        near.send_text(handle, &"1".repeat(30), SendOptions::default());
    }
    near.forget();
    near.hears(&limited(false, Limits { max_in_flight: 9, ..LIMITS }));
    assert_eq!(near.ids(), [1, 2, 3]);
}
