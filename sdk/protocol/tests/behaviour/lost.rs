//! A session is lost: what was written is unknown, keyed sends go again, what was not written keeps its place.

use crate::frames;
use crate::near::Near;
use crate::{answered, keyed, outcome, outcomes};
use readywire_protocol::client::{ClientEvent, SendOptions};
use readywire_protocol::frame::{ClientFrame, ServerFrame};
use readywire_protocol::stage::Stage;

/// Two plain and two keyed sends in flight, two that wait; then the connection breaks off.
fn broken() -> Near {
    let mut near = Near::ready();
    for (handle, options) in [
        (1, SendOptions::default()),
        (2, keyed("a")),
        (3, answered()),
        (4, keyed("b")),
        (5, SendOptions::default()),
        (6, keyed("c")),
    ] {
        near.send(handle, options);
    }
    assert_eq!(near.ids(), [1, 2, 3, 4]);
    near.breaks_off();
    near.again();
    near.reach(Stage::ServicesReady);
    near.forget();
    near
}

fn handles(near: &mut Near) -> Vec<u64> {
    let handles = near.tells().into_iter().filter_map(|event| match event {
        ClientEvent::InFlight { handle, .. } => Some(handle),
        _ => None,
    });
    handles.collect()
}

#[test]
fn the_rest_goes_in_its_order_under_new_ids() {
    let mut near = broken();
    near.hears(&frames::started_over());
    let sends: Vec<_> = near.sends().into_iter().map(|send| (send.id, send.key)).collect();
    let key = |key: &str| Some(key.to_owned());
    assert_eq!(sends, [(5, key("a")), (6, key("b")), (7, None), (8, key("c"))], "keyed ones in front");
    let mut told = near.clone();
    assert_eq!(outcomes(&mut told), [outcome(1, "unknown session_lost"), outcome(3, "unknown session_lost")]);
    assert_eq!(handles(&mut near), [2, 4, 5, 6]);
    near.hears(&frames::ack(8));
    assert_eq!(outcomes(&mut near).len(), 4, "each has its one outcome");
}

#[test]
fn the_new_session_begins_with_its_own_numbers() {
    let mut near = Near::ready();
    near.send(1, SendOptions::default());
    near.hears(&frames::ack(1));
    near.hears(&ServerFrame::Message(frames::message(1, "1")));
    near.over_a_cut(&frames::started_over());
    near.hears(&ServerFrame::Message(frames::message(1, "1")));
    assert!(
        near.tells().iter().any(|event| matches!(event, ClientEvent::Message { offset: 1, .. })),
        "its inbox is new"
    );
    near.breaks_off();
    near.again();
    let resume = near.hello().resume.expect("a resume");
    assert_eq!((resume.session.as_str(), resume.attempt, resume.inbox), ("s-new", 1, 1));
    near.reach(Stage::ServicesReady);
    near.hears(&frames::with(|ready| {
        ready.session = Some(readywire_protocol::frame::SessionGrant { id: "s-new".to_owned(), ..frames::grant(true) });
        ready.received = 1;
    }));
    assert_eq!(
        near.bye().and_then(|bye| bye.clause.as_deref()),
        Some("session.received_range"),
        "nothing was written in this session, so nothing was received"
    );
}

/// Ids of an earlier session are none of this one's.
#[test]
fn an_ack_of_an_id_of_the_old_session_is_above_every_id_written() {
    for ack in [true, false] {
        let mut near = broken();
        near.hears(&frames::with(|ready| {
            ready.session = Some(frames::grant(false));
            ready.limits.max_in_flight = 1;
        }));
        assert_eq!(near.ids(), [5]);
        near.hears(&frames::ack(4));
        assert_eq!(near.bye(), None, "below what was written");
        near.hears(&if ack { frames::ack(6) } else { frames::nack(6) });
        assert_eq!(near.bye().and_then(|bye| bye.clause.as_deref()), Some("ack.not_above_sent"));

        let mut near = Near::ready();
        near.send(1, SendOptions::default());
        near.breaks_off();
        near.again();
        near.reach(Stage::ServicesReady);
        near.hears(&frames::started_over());
        near.hears(&if ack { frames::ack(1) } else { frames::nack(1) });
        assert_eq!(near.bye().and_then(|bye| bye.clause.as_deref()), Some("ack.not_above_sent"));
    }
}

/// A new session that has received something already would answer new sends as old ones, and process none.
#[test]
fn a_new_session_has_received_nothing() {
    let mut near = broken();
    near.hears(&frames::with(|ready| {
        ready.session = Some(frames::grant(false));
        ready.received = 4;
    }));
    assert_eq!(near.bye().and_then(|bye| bye.clause.as_deref()), Some("session.received_range"));
    assert_eq!(near.ids(), [0; 0]);
}

#[test]
fn a_keyed_send_that_ends_session_after_session_does_not_go_for_ever() {
    let mut near = Near::ready();
    near.send(1, keyed("a"));
    for session in 2..=3 {
        near.over_a_cut(&frames::started_over_as(&format!("s-{session}")));
        assert_eq!(near.ids().len(), 1, "session {session}");
    }
    near.over_a_cut(&frames::started_over_as("s-4"));
    assert_eq!(near.ids(), [0; 0]);
    assert_eq!(outcomes(&mut near), [outcome(1, "unknown session_lost")]);
}

/// A server without Resume keeps nothing across connections, and recognises no key.
#[test]
fn without_resume_every_connection_is_a_session_of_its_own() {
    let mut near = Near::at(Stage::ServicesReady);
    near.hears(&frames::ready_core());
    near.send(1, SendOptions::default());
    near.send(2, keyed("a"));
    near.breaks_off();
    near.send(3, SendOptions::default());
    let expected = [outcome(1, "unknown session_lost"), outcome(2, "unknown session_lost")];
    assert_eq!(outcomes(&mut near.clone()), expected, "told when the connection is gone");
    near.again();
    assert_eq!(near.hello().resume, None);
    near.reach(Stage::ServicesReady);
    near.forget();
    near.hears(&frames::ready_core());
    let [send] = &near.sends()[..] else { panic!("one send") };
    assert_eq!(send.payload.text(), Some("1"));
    near.hears(&frames::ack(send.id));
    assert_eq!(outcomes(&mut near), [outcome(3, &format!("acknowledged {}", send.id))]);
}

#[test]
fn without_resume_there_is_no_inbox() {
    let mut near = Near::at(Stage::ServicesReady);
    near.hears(&frames::ready_core());
    near.hears(&ServerFrame::Message(frames::message(1, "1")));
    let bye = near.bye().expect("a bye");
    assert_eq!((bye.code, bye.clause.as_deref()), (4400, Some("frame.level")));
    assert!(!near.written.iter().any(|frame| matches!(frame, ClientFrame::Taken { .. })));
}
