//! A session outlives its client, if the application wants that: what is told to be stored, and what the next does with it.

use crate::frames;
use crate::near::{Near, milliseconds};
use crate::{answered, outcome, outcomes};
use readywire_protocol::client::{Carried, Client, ClientEvent, SendOptions};
use readywire_protocol::config::ClientConfig;
use readywire_protocol::frame::{ClientFrame, Message, Resume, ServerFrame};
use readywire_protocol::stage::Stage;
use readywire_protocol::time::Duration;

fn config() -> ClientConfig {
    ClientConfig { carried: true, ..ClientConfig::default() }
}

/// A ready client that tells what to store.
fn carrying() -> Near {
    let mut near = Near::idle(config());
    near.connect();
    near.reach(Stage::ProcessingReady);
    near
}

/// What is to be stored by now.
fn stored(near: &Near) -> Option<Carried> {
    let told = near.events.iter().rev().find_map(|event| match event {
        ClientEvent::Carried(carried) => Some(carried.clone()),
        _ => None,
    });
    told.flatten()
}

/// The next client, at `services_ready`; its answer with handle 1 is that of the send `asked`.
fn next(carried: Carried, asked: u64) -> Near {
    // What is stored passes through a text.
    let carried = Carried::parse(&carried.encode()).expect("what was stored can be read");
    let mut near = Near::of(Client::carry_on(config(), 8, carried, &[(1, asked)]));
    near.connect();
    near.reach(Stage::ServicesReady);
    near
}

fn part(offset: u64, re: u64, end: bool) -> ServerFrame {
    ServerFrame::Message(Message { re: Some(re), end, ..frames::message(offset, "1") })
}

#[test]
fn nothing_is_told_to_be_stored_unless_asked_for() {
    let mut near = Near::ready();
    near.send(1, SendOptions::default());
    near.breaks_off();
    near.resume(0);
    assert!(!near.events.iter().any(|event| matches!(event, ClientEvent::Carried(_))));
}

#[test]
fn the_next_client_resumes_the_session_and_its_answers_go_on() {
    let mut near = carrying();
    near.send(1, answered());
    near.send(2, SendOptions::default());
    near.hears(&part(1, 1, false));
    near.hears(&frames::ack(1));
    near.pass(milliseconds(50));
    let carried = stored(&near).expect("a session to store");
    assert_eq!(carried.inbox, 1, "what is told to be taken is gone at the server");
    assert!(carried.ids >= 2);

    let mut near = next(carried.clone(), 1);
    let resume = near.hello().resume.expect("a session to resume");
    assert_eq!((resume.session.as_str(), resume.token.as_str(), resume.inbox), ("s-1", "r-1", 1));
    assert_eq!(resume.attempt, carried.attempt + 1);
    near.hears(&frames::resumed(2));
    near.forget();
    near.hears(&part(2, 1, false));
    near.hears(&part(3, 1, true));
    let parts: Vec<_> = near
        .tells()
        .into_iter()
        .filter_map(|event| match event {
            ClientEvent::Answer(part) => Some((part.handle, part.offset, part.end)),
            _ => None,
        })
        .collect();
    assert_eq!(parts, [(1, 2, false), (1, 3, true)]);
    near.send(9, SendOptions::default());
    let ids = near.ids();
    assert!(ids[0] > carried.ids, "an id that the former client cannot have written: {ids:?}");
    near.hears(&frames::ack(ids[0]));
    assert_eq!(outcomes(&mut near), [outcome(9, &format!("acknowledged {}", ids[0]))]);
}

#[test]
fn a_carried_answer_can_be_cancelled() {
    let mut near = carrying();
    near.send(1, answered());
    near.hears(&frames::ack(1));
    let mut near = next(stored(&near).unwrap(), 1);
    near.hears(&frames::resumed(1));
    near.writes();
    near.client.cancel(near.now, 1);
    near.settle();
    assert!(matches!(near.writes()[..], [ClientFrame::Cancel { re: 1 }]));
}

/// An id that was written and not stored could be given twice, and its send would be answered as the first one.
#[test]
fn ids_are_set_aside_before_they_run_out() {
    let mut near = carrying();
    let mut written = 0;
    for handle in 1..=600 {
        near.send(handle, SendOptions::default());
        written = near.ids().last().copied().unwrap_or(written);
        near.hears(&frames::ack(written));
        assert!(stored(&near).unwrap().ids >= written, "{written}");
    }
    assert_eq!(written, 600);
}

/// Storing is not free: a send alone is no reason for it.
#[test]
fn only_what_the_next_client_must_know_is_told() {
    let mut near = carrying();
    assert_eq!(stored(&near).unwrap().ids, 256, "set aside before the first");
    near.forget();
    for handle in 1..=256 {
        near.send(handle, SendOptions::default());
        near.hears(&frames::ack(handle));
    }
    assert_eq!(stored(&near), None, "there is no news");
    near.send(257, SendOptions::default());
    let carried = stored(&near).expect("the next 256");
    assert_eq!((carried.ids, carried.settled), (257 + 256, 256), "and what was settled rides along");
}

#[test]
fn each_attempt_is_stored_before_it_is_made() {
    let mut near = carrying();
    near.hears(&ServerFrame::Message(frames::message(1, "1")));
    near.breaks_off();
    for attempt in 1..=3 {
        near.again();
        let Resume { attempt: asked, inbox, .. } = near.hello().resume.unwrap();
        let carried = stored(&near).unwrap();
        assert_eq!((carried.attempt, carried.inbox), (asked, inbox), "attempt {attempt}");
        near.breaks_off();
    }
}

#[test]
fn a_carried_session_that_is_lost_ends_its_answers() {
    let mut near = carrying();
    near.send(1, answered());
    near.hears(&frames::ack(1));
    let mut near = next(stored(&near).unwrap(), 1);
    near.forget();
    near.hears(&frames::started_over());
    let ended: Vec<_> = near
        .events
        .iter()
        .filter_map(|event| match event {
            ClientEvent::Answer(part) => Some((part.handle, part.end, part.error.clone().unwrap().code)),
            _ => None,
        })
        .collect();
    assert_eq!(ended, [(1, true, "session_lost".to_owned())]);
    assert_eq!(stored(&near).unwrap().session, "s-new");
}

#[test]
fn a_session_that_is_over_is_not_kept() {
    let mut near = carrying();
    assert!(stored(&near).is_some());
    near.client.close(near.now, Duration::ZERO);
    near.settle();
    assert_eq!(stored(&near), None);
    assert!(near.events.contains(&ClientEvent::Carried(None)));
}

#[test]
fn what_was_stored_may_be_anything() {
    let whole = r#"{"session":"s","token":"t","subject":"u","attempt":1,"ids":2,"settled":1,"inbox":0}"#;
    assert!(Carried::parse(whole).is_some());
    for damaged in [
        "",
        "null",
        "{}",
        "[1]",
        r#"{"session":"s","token":"t","subject":"u","attempt":1,"ids":2,"settled":3,"inbox":0}"#,
        r#"{"session":"s","token":"t","subject":"u","attempt":-1,"ids":2,"settled":1,"inbox":0}"#,
        r#"{"session":"s","token":7,"subject":"u","attempt":1,"ids":2,"settled":1,"inbox":0}"#,
    ] {
        assert_eq!(Carried::parse(damaged), None, "{damaged}");
    }
}

/// Ids that were set aside and never written are settled, but no server has received them.
#[test]
fn a_page_that_sent_nothing_can_be_left_as_well() {
    let mut near = carrying();
    near.send(1, SendOptions::default());
    near.hears(&frames::ack(1));
    let mut carried = stored(&near).expect("a session to store");
    for _ in 0..3 {
        near = next(carried, 0);
        near.hears(&frames::resumed(1));
        assert_eq!((near.state().is_ready(), near.closed.clone()), (true, None));
        carried = stored(&near).expect("a session to store");
    }
}

/// The hello named a place in the inbox of the session that is lost: the new one has an inbox of its own.
#[test]
fn a_session_in_the_place_of_a_lost_one_begins_with_an_empty_inbox() {
    let mut near = carrying();
    near.hears(&ServerFrame::Message(frames::message(1, "1")));
    near.pass(milliseconds(50));
    near.breaks_off();
    near.again();
    near.reach(Stage::ServicesReady);
    near.hears(&frames::started_over());
    let carried = stored(&near).expect("a session to store");
    let resume = next(carried, 0).hello().resume.expect("a session to resume");
    assert_eq!((resume.session.as_str(), resume.inbox), ("s-new", 0));
}
