//! A cancel stops one answer, is repeated after each `ready` until the end, and overtakes nothing.

use crate::answers::{asking, parts};
use crate::frames;
use crate::near::Near;
use crate::{answered, keyed, outcome, outcomes};
use readywire_protocol::client::SendOptions;
use readywire_protocol::frame::ClientFrame;
use readywire_protocol::stage::Stage;
use readywire_protocol::time::Duration;

fn cancel(near: &mut Near, handle: u64) {
    near.client.cancel(near.now, handle);
    near.settle();
}

fn stop(re: u64) -> ClientFrame {
    ClientFrame::Cancel { re }
}

#[test]
fn it_is_written_once_for_each_connection_until_the_end() {
    let mut near = asking();
    cancel(&mut near, 2);
    cancel(&mut near, 2);
    assert_eq!(near.writes(), [stop(2)]);
    for _ in 0..2 {
        near.breaks_off();
        near.resume(3);
        assert_eq!(near.writes().into_iter().filter(|frame| *frame == stop(2)).count(), 1);
    }
    near.forget();
    near.hears(&frames::part(1, 2, false));
    near.hears(&frames::failed_part(2, 2, "cancelled"));
    let last = (2, 2, true, "cancelled".to_owned());
    assert_eq!(parts(&mut near), [(2, 1, false, String::new()), last], "the server ends it, not the client");
    near.breaks_off();
    near.resume(3);
    assert!(!near.writes().contains(&stop(2)), "it is over");
}

#[test]
fn a_cancel_without_a_connection_waits_for_the_next_ready() {
    let mut near = asking();
    near.breaks_off();
    cancel(&mut near, 1);
    near.again();
    near.reach(Stage::ServicesReady);
    assert!(!near.writes().contains(&stop(1)), "not before ready");
    near.hears(&frames::resumed(3));
    assert_eq!(near.writes(), [stop(1)]);
}

#[test]
fn what_was_never_written_is_withdrawn_without_a_frame() {
    let mut near = Near::at(Stage::ServicesReady);
    near.send(1, answered());
    cancel(&mut near, 1);
    assert_eq!(outcomes(&mut near), [outcome(1, "refused withdrawn")]);
    near.hears(&frames::ready());
    assert_eq!(near.writes(), []);
}

#[test]
fn who_has_no_answer_has_nothing_to_cancel() {
    let mut near = asking();
    near.hears(&frames::part(1, 1, true));
    near.forget();
    cancel(&mut near, 1);
    cancel(&mut near, 3);
    cancel(&mut near, 99);
    assert_eq!(near.writes(), []);
    assert_eq!(near.tells(), []);
}

/// A server ignores a cancel of what it does not know, so it goes behind the send that it stops.
#[test]
fn it_goes_behind_a_send_that_is_written_again() {
    let mut near = Near::ready();
    near.send(1, answered());
    near.send(2, SendOptions::default());
    cancel(&mut near, 1);
    near.over_a_cut(&frames::resumed(0));
    let written = near.writes();
    let [ClientFrame::Send(first), cancel, ClientFrame::Send(second)] = &written[..] else {
        panic!("sent, stopped once, and the other: {written:?}")
    };
    assert_eq!((first.id, cancel, second.id), (1, &stop(1), 2));
}

/// The session is lost, and the keyed send goes again: the application has cancelled it all the same.
#[test]
fn it_goes_with_a_send_to_its_next_session() {
    let mut near = Near::ready();
    near.send(1, SendOptions { answer: true, ..keyed("a") });
    cancel(&mut near, 1);
    near.over_a_cut(&frames::started_over());
    let written = near.writes();
    let [ClientFrame::Send(send), cancel] = &written[..] else { panic!("sent and stopped: {written:?}") };
    assert_eq!((send.id, cancel), (2, &stop(2)));
}

/// Only what was cancelled is stopped, whatever else is written again.
#[test]
fn it_stops_no_other_answer() {
    let mut near = Near::ready();
    for handle in 1..=3 {
        near.send(handle, answered());
    }
    cancel(&mut near, 2);
    near.forget();
    near.send(4, answered());
    assert!(matches!(&near.writes()[..], [ClientFrame::Send(_)]));
    near.breaks_off();
    near.resume(0);
    let written = near.writes();
    let stops: Vec<_> = written.iter().filter(|frame| matches!(frame, ClientFrame::Cancel { .. })).collect();
    assert!(!stops.is_empty() && stops.iter().all(|frame| **frame == stop(2)), "{written:?}");
}

fn cancels(near: &mut Near) -> Vec<u64> {
    let cancelled = near.writes().into_iter().filter_map(|frame| match frame {
        ClientFrame::Cancel { re } => Some(re),
        _ => None,
    });
    cancelled.collect()
}

/// What was cancelled while there was no connection is cancelled on the next, once, whatever else goes again there.
#[test]
fn a_cancel_while_away_is_made_up_for_once() {
    for received in [0, 1] {
        let mut near = Near::ready();
        near.send(1, answered());
        near.send(2, SendOptions::default());
        near.breaks_off();
        cancel(&mut near, 1);
        near.resume(received);
        assert_eq!(cancels(&mut near), [1], "of {received} received");
    }
}

#[test]
fn nothing_is_cancelled_at_a_server_without_answers() {
    let mut near = Near::ready();
    near.send(1, answered());
    near.hears(&frames::ack(1));
    near.breaks_off();
    near.again();
    near.reach(Stage::ServicesReady);
    near.hears(&frames::with(|ready| {
        ready.session = Some(frames::grant(true));
        ready.received = 1;
        ready.capabilities = vec!["resume".to_owned()];
    }));
    cancel(&mut near, 1);
    assert_eq!(cancels(&mut near), [0; 0]);
}

/// Its send is undecided on the connection that was left, where its id means something else.
#[test]
fn what_a_former_connection_decides_is_not_cancelled_on_the_next() {
    let mut near = Near::ready();
    near.send(1, answered());
    near.hears_text(r#"{"type":"drain","deadline_ms":60000,"reconnect_after_ms":[0,0]}"#);
    near.pass(Duration::ZERO);
    near.go_on();
    near.reach(Stage::ServicesReady);
    near.hears(&frames::started_over());
    near.forget();
    cancel(&mut near, 1);
    assert_eq!(cancels(&mut near), [0; 0]);
}
