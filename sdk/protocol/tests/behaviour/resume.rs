//! A session goes on: what was decided is settled, the rest is written again, and nothing twice.

use crate::frames;
use crate::near::Near;
use crate::{answered, keyed, outcome, outcomes};
use readywire_protocol::client::{ClientEvent, ClientState, SendOptions};
use readywire_protocol::frame::{Resume, ServerFrame, SessionGrant};
use readywire_protocol::stage::Stage;

/// A client with four sends in flight and two that wait, whose connection broke off.
fn broken() -> Near {
    let mut near = Near::ready();
    for handle in 1..=6 {
        near.send(handle, SendOptions::default());
    }
    near.breaks_off();
    near.again();
    near.reach(Stage::ServicesReady);
    near.forget();
    near
}

#[test]
fn the_hello_tells_what_the_client_has() {
    let mut near = Near::connecting();
    assert_eq!(near.hello().resume, None, "there is nothing to resume yet");
    near.reach(Stage::ProcessingReady);
    for handle in 1..=3 {
        near.send(handle, SendOptions::default());
    }
    near.hears(&frames::nack(2));
    near.hears(&frames::ack(2));
    near.hears(&ServerFrame::Message(frames::message(1, "1")));
    near.breaks_off();
    near.again();
    let resume = Resume { session: "s-1".to_owned(), token: "r-1".to_owned(), attempt: 1, settled: 2, inbox: 1 };
    assert_eq!(near.hello().resume, Some(resume.clone()));
    near.breaks_off();
    near.retry();
    near.give_token();
    near.breaks_off();
    near.again();
    near.reach(Stage::ServicesReady);
    assert_eq!(near.hello().resume, Some(Resume { attempt: 3, ..resume.clone() }), "even if the socket did not open");
    near.hears(&frames::with(|ready| {
        ready.session = Some(SessionGrant { token: "r-2".to_owned(), ..frames::grant(true) });
        ready.received = 3;
    }));
    near.breaks_off();
    near.forget();
    near.client.wake(near.now);
    near.settle();
    near.go_on();
    assert_eq!(near.hello().resume, Some(Resume { attempt: 4, settled: 3, token: "r-2".to_owned(), ..resume }));
}

/// The lowest that is open bounds `settled`, whatever was decided above it.
#[test]
fn settled_stops_below_the_first_that_is_open() {
    let mut near = Near::ready();
    for handle in 1..=4 {
        near.send(handle, SendOptions::default());
    }
    near.hears(&frames::nack(2));
    near.hears(&frames::nack(4));
    near.breaks_off();
    near.again();
    assert_eq!(near.hello().resume.expect("a resume").settled, 0);
    near.reach(Stage::ServicesReady);
    near.hears(&frames::resumed(1));
    near.breaks_off();
    near.again();
    assert_eq!(near.hello().resume.expect("a resume").settled, 2);
}

#[test]
fn what_was_received_is_settled_and_the_rest_goes_again() {
    let mut near = broken();
    near.hears(&frames::resumed(2));
    assert_eq!(outcomes(&mut near), [outcome(1, "acknowledged 1"), outcome(2, "acknowledged 2")]);
    assert_eq!(near.ids(), [3, 4, 5, 6], "under their ids, before what was never written");
}

#[test]
fn refusals_are_settled_before_what_was_received() {
    let mut near = broken();
    near.hears(&frames::with(|ready| {
        ready.session = Some(frames::grant(true));
        ready.received = 3;
        ready.refused = vec![frames::refusal(1, "no"), frames::refusal(3, "never")];
    }));
    let expected = [outcome(1, "refused no"), outcome(3, "refused never"), outcome(2, "acknowledged 2")];
    assert_eq!(outcomes(&mut near), expected);
    assert_eq!(near.ids(), [4, 5, 6]);
}

#[test]
fn a_refusal_that_was_told_before_is_not_told_again() {
    let mut near = Near::ready();
    near.send(1, SendOptions::default());
    near.send(2, SendOptions::default());
    near.hears(&frames::nack(2));
    near.over_a_cut(&frames::with(|ready| {
        ready.session = Some(frames::grant(true));
        ready.received = 2;
        ready.refused = vec![frames::refusal(2, "no")];
    }));
    assert_eq!(outcomes(&mut near), [outcome(1, "acknowledged 1")]);
}

#[test]
fn everything_or_nothing_may_have_been_received() {
    let mut near = broken();
    near.hears(&frames::resumed(0));
    assert_eq!((outcomes(&mut near), near.ids()), (vec![], vec![1, 2, 3, 4]));
    let mut near = broken();
    near.hears(&frames::resumed(4));
    assert_eq!((outcomes(&mut near).len(), near.ids()), (4, vec![5, 6]));
}

/// A client that finds more or less received than can be declares the session lost: nobody can tell what was taken.
#[test]
fn an_impossible_received_loses_the_session() {
    for received in [1, 6, 1 << 50] {
        let mut near = Near::ready();
        near.send(1, SendOptions::default());
        near.send(2, SendOptions::default());
        near.hears(&frames::ack(2));
        near.send(3, SendOptions::default());
        near.send(4, keyed("order"));
        near.send(5, answered());
        near.breaks_off();
        near.again();
        near.reach(Stage::ServicesReady);
        near.send(6, SendOptions::default());
        near.forget();
        near.hears(&frames::resumed(received));
        let bye = near.bye().expect("a bye");
        assert_eq!((bye.code, bye.clause.as_deref()), (4400, Some("session.received_range")), "{received}");
        let expected = [outcome(3, "unknown session_lost"), outcome(5, "unknown session_lost")];
        assert_eq!(outcomes_kept(&near), expected, "{received}");
        near.again();
        assert_eq!(near.hello().resume, None, "the session is not asked for again");
        near.reach(Stage::ServicesReady);
        near.forget();
        near.hears(&frames::started_over_as("s-2"));
        let keys: Vec<_> = near.sends().into_iter().map(|send| (send.id, send.key)).collect();
        assert_eq!(keys, [(6, Some("order".to_owned())), (7, None)], "{received}");
    }
}

/// The outcomes told so far, without forgetting what was told.
fn outcomes_kept(near: &Near) -> Vec<(u64, String)> {
    outcomes(&mut near.clone())
}

#[test]
fn a_session_that_was_not_asked_for_is_not_gone_on_with() {
    let grants = [
        SessionGrant { id: "s-2".to_owned(), ..frames::grant(true) },
        SessionGrant { subject: "bob".to_owned(), ..frames::grant(true) },
    ];
    for grant in grants {
        let mut near = broken();
        near.hears(&frames::with(|ready| ready.session = Some(grant.clone())));
        let bye = near.bye().expect("a bye");
        assert_eq!((bye.code, bye.clause.as_deref()), (4400, Some("session.resumed")), "{grant:?}");
        assert_eq!(near.ids(), [0; 0], "and nothing is sent into it");
        assert_eq!(near.state(), ClientState::Connecting);
    }
}

/// What ends connection after connection is not written for ever.
#[test]
fn three_connections_without_a_decision_are_enough() {
    let mut near = Near::ready();
    near.send(1, SendOptions::default());
    near.send(2, SendOptions::default());
    for connection in 1..3 {
        assert_eq!(near.ids(), [1, 2], "connection {connection}");
        near.over_a_cut(&frames::resumed(0));
        assert_eq!(outcomes(&mut near), []);
    }
    assert_eq!(near.ids(), [1, 2], "the third");
    near.over_a_cut(&frames::resumed(0));
    assert_eq!(outcomes(&mut near), [outcome(1, "unknown three_connections")]);
    assert_eq!(near.ids(), [2], "what waited behind it had no chance yet");
    near.hears(&frames::ack(2));
    assert_eq!(outcomes(&mut near), [outcome(2, "acknowledged 2")]);
}

/// A connection on which it was not written does not count.
#[test]
fn a_connection_that_never_got_ready_does_not_count() {
    let mut near = Near::ready();
    near.send(1, SendOptions::default());
    for _ in 0..5 {
        near.breaks_off();
        near.again();
        near.reach(Stage::ServicesReady);
    }
    near.forget();
    near.hears(&frames::resumed(0));
    assert_eq!((outcomes(&mut near), near.ids()), (vec![], vec![1]));
}

#[test]
fn the_application_hears_of_the_session() {
    let mut near = broken();
    near.hears(&frames::resumed(0));
    let told: Vec<_> = near.tells().into_iter().filter(|event| matches!(event, ClientEvent::Session { .. })).collect();
    assert_eq!(told, [ClientEvent::Session { id: "s-1".to_owned(), resumed: true }]);
}

#[test]
fn a_message_that_comes_twice_is_told_once() {
    let mut near = Near::ready();
    near.hears(&ServerFrame::Message(frames::message(1, "1")));
    near.hears(&ServerFrame::Message(frames::message(2, "2")));
    near.breaks_off();
    near.resume(0);
    near.forget();
    for offset in 1..=3 {
        near.hears(&ServerFrame::Message(frames::message(offset, "1")));
    }
    let offsets: Vec<_> = near
        .tells()
        .into_iter()
        .filter_map(|event| match event {
            ClientEvent::Message { offset, .. } => Some(offset),
            _ => None,
        })
        .collect();
    assert_eq!(offsets, [3]);
}
