//! Make before break: the next connection is ready before the old one is let go.

use crate::near::{Near, milliseconds, seconds};
use crate::{frames, outcomes};
use readywire_protocol::client::{ClientEvent, ClientState, Outcome, SendOptions};
use readywire_protocol::close::CloseFrame;
use readywire_protocol::config::ClientConfig;
use readywire_protocol::frame::{ClientFrame, ServerFrame};
use readywire_protocol::stage::Stage;

const OLD: u64 = 1;
const NEXT: u64 = 2;

/// The server goes away, in a minute at the latest.
fn drained(near: &mut Near) {
    near.hears_text(r#"{"type":"drain","deadline_ms":60000,"reconnect_after_ms":[0,0]}"#);
}

/// A client whose server goes away, and whose next connection has come to this stage.
fn handing_over(near: &mut Near, stage: Stage) {
    drained(near);
    near.pass(milliseconds(0));
    near.go_on();
    near.reach(stage);
}

fn sent(near: &mut Near, handles: std::ops::RangeInclusive<u64>) {
    for handle in handles {
        near.send(handle, SendOptions::default());
    }
}

fn sends(frames: Vec<ClientFrame>) -> Vec<u64> {
    let ids = frames.into_iter().filter_map(|frame| match frame {
        ClientFrame::Send(send) => Some(send.id),
        _ => None,
    });
    ids.collect()
}

#[test]
fn sends_go_on_and_the_transfer_loses_none() {
    let mut near = Near::ready();
    sent(&mut near, 1..=1);
    handing_over(&mut near, Stage::ServicesReady);
    assert_eq!((near.number, near.state()), (NEXT, ClientState::ProcessingReady), "no pause");
    sent(&mut near, 2..=3);
    assert_eq!(sends(near.writes_on(OLD)), [1, 2, 3], "on the old one until the next is ready");
    near.hears_on(OLD, r#"{"type":"ack","id":1}"#);
    assert_eq!(outcomes(&mut near), [(1, "acknowledged 1".to_owned())], "which still decides");

    near.hears(&frames::resumed(2));
    assert_eq!(near.closed_on(OLD), Some(4302), "never 1000, which would end the session");
    assert_eq!(sends(near.writes_on(NEXT)), [3], "what lies above `received`");
    assert_eq!(outcomes(&mut near), [(2, "acknowledged 2".to_owned())]);
    near.hears_on(OLD, r#"{"type":"ack","id":3}"#);
    assert_eq!(outcomes(&mut near), [], "what the old one still brings is dropped");
    near.hears_on(NEXT, r#"{"type":"ack","id":3}"#);
    assert_eq!(outcomes(&mut near), [(3, "acknowledged 3".to_owned())]);
}

#[test]
fn the_application_sees_ready_all_the_time() {
    let mut near = Near::ready();
    handing_over(&mut near, Stage::ServicesReady);
    near.hears(&frames::resumed(0));
    let states = near.tells().into_iter().filter_map(|event| match event {
        ClientEvent::State(change) => Some((change.state, change.handover, change.attempt)),
        _ => None,
    });
    let ready = ClientState::ProcessingReady;
    assert_eq!(states.collect::<Vec<_>>(), [(ready, true, 1), (ready, false, 2)]);
}

#[test]
fn the_hello_of_the_next_asks_for_the_session() {
    let mut near = Near::ready();
    handing_over(&mut near, Stage::Accepted);
    let resume = near.hello().resume.expect("the session is asked for");
    assert_eq!(resume.attempt, 1);
}

#[test]
fn messages_are_told_once_and_taken_where_they_were_seen() {
    let mut near = Near::ready();
    handing_over(&mut near, Stage::ServicesReady);
    near.hears_on(OLD, r#"{"type":"message","offset":1,"event":"note"}"#);
    near.pass(milliseconds(60));
    assert_eq!(near.writes_on(OLD), [], "the hello on its way names 0: `taken` would overtake it");
    near.hears(&frames::resumed(0));
    near.forget();
    near.pass(milliseconds(60));
    assert_eq!(near.writes_on(NEXT), [], "nothing came here yet");
    near.hears_on(NEXT, r#"{"type":"message","offset":1,"event":"note"}"#);
    near.hears_on(NEXT, r#"{"type":"message","offset":2,"event":"note"}"#);
    let told = near.tells().into_iter().filter_map(|event| match event {
        ClientEvent::Message { offset, .. } => Some(offset),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [2], "the first came on the old one");
    near.pass(milliseconds(60));
    assert_eq!(near.writes_on(NEXT), [ClientFrame::Taken { offset: 2, topic: None }]);
}

#[test]
fn a_next_that_fails_leaves_the_old_as_it_was() {
    let mut near = Near::ready();
    sent(&mut near, 1..=1);
    handing_over(&mut near, Stage::Authenticated);
    near.hears_on(OLD, r#"{"type":"message","offset":1,"event":"note"}"#);
    near.forget();
    near.breaks_off();
    assert_eq!(near.state(), ClientState::ProcessingReady);
    near.pass(milliseconds(60));
    assert_eq!(near.writes_on(OLD), [ClientFrame::Taken { offset: 1, topic: None }], "which nothing holds back now");
    sent(&mut near, 2..=2);
    assert_eq!(sends(near.writes_on(OLD)), [2]);
    assert_eq!(outcomes(&mut near), []);
    near.pass(seconds(1));
    near.go_on();
    assert_eq!((near.number, near.hello().resume.map(|resume| resume.attempt)), (3, Some(2)), "and it tries again");
}

/// What would stop an ordinary attempt ends only those of the handover.
#[test]
fn a_next_that_is_refused_for_good_is_the_last_until_the_old_one_ends() {
    let mut near = Near::ready();
    handing_over(&mut near, Stage::Accepted);
    near.hears(&ServerFrame::Bye(frames::bye(4001)));
    assert_eq!((near.state(), near.told().handover), (ClientState::ProcessingReady, false));
    near.closes_on(OLD, Some(CloseFrame::new(4301, "")));
    assert_eq!(near.state(), ClientState::Connecting);
    near.again();
    assert_eq!(near.number, 3);
}

#[test]
fn if_the_old_one_ends_first_the_next_goes_on_in_its_place() {
    for ending in
        [None, Some(CloseFrame::new(4301, "")), Some(CloseFrame::new(4013, "")), Some(CloseFrame::new(1011, ""))]
    {
        let mut near = Near::ready();
        sent(&mut near, 1..=1);
        handing_over(&mut near, Stage::Authenticated);
        near.closes_on(OLD, ending.clone());
        assert_eq!(near.state(), ClientState::Authenticated, "{ending:?}");
        sent(&mut near, 2..=2);
        near.forget();
        near.hears(&frames::stage(Stage::ServicesReady));
        near.hears(&frames::resumed(0));
        assert_eq!(sends(near.writes_on(NEXT)), [1, 2], "{ending:?}");
    }
}

#[test]
fn to_be_fenced_by_somebody_else_stops_the_client() {
    let mut near = Near::ready();
    drained(&mut near);
    near.closes_on(OLD, Some(CloseFrame::new(4013, "")));
    assert_eq!(near.state(), ClientState::Closed, "no attempt of its own was under way");

    let mut near = Near::ready();
    handing_over(&mut near, Stage::Accepted);
    near.hears(&ServerFrame::Bye(frames::bye(4013)));
    near.closes_on(OLD, Some(CloseFrame::new(4013, "")));
    assert_eq!(near.state(), ClientState::Closed, "the next was refused for a later one");
}

#[test]
fn an_old_one_that_says_stop_stops_the_client() {
    let mut near = Near::ready();
    handing_over(&mut near, Stage::Authenticated);
    near.hears_on(OLD, r#"{"type":"bye","code":4001}"#);
    assert_eq!(near.state(), ClientState::Closed);
    assert_eq!(near.closed_on(NEXT), Some(4001));
    assert!(!near.writes_on(NEXT).iter().any(|frame| matches!(frame, ClientFrame::Bye(_))));
}

#[test]
fn a_second_drain_changes_nothing() {
    let mut near = Near::ready();
    handing_over(&mut near, Stage::Authenticated);
    let before = near.client.clone();
    let number = near.number;
    near.number = OLD;
    drained(&mut near);
    near.number = number;
    assert_eq!(near.client.poll_timeout(), before.poll_timeout());
    assert_eq!(near.asked, None);
}

/// A server that drains whoever comes gets no tight loop: only the first handover is at once.
#[test]
fn drains_in_a_row_are_answered_by_backoff() {
    let mut waits = Vec::new();
    for seed in 0..50 {
        let mut near = Near::seeded(ClientConfig::default(), seed);
        near.connect();
        near.reach(Stage::ProcessingReady);
        handing_over(&mut near, Stage::ServicesReady);
        near.hears(&frames::resumed(0));
        drained(&mut near);
        waits.push(near.timer().expect("a timer"));
    }
    assert!(waits.iter().max() > Some(&milliseconds(400)), "{waits:?}");
}

#[test]
fn the_application_closes_both() {
    let mut near = Near::ready();
    handing_over(&mut near, Stage::Authenticated);
    near.client.close(near.now, seconds(5));
    near.settle();
    assert_eq!((near.closed_on(OLD), near.closed_on(NEXT)), (Some(1000), Some(1000)));
    assert_eq!(near.state(), ClientState::Closed);
    let byes = near.writes().into_iter().filter(|frame| matches!(frame, ClientFrame::Bye(bye) if bye.code == 1000));
    assert_eq!(byes.count(), 2, "the session may be on either");
}

#[test]
fn a_client_that_closes_lets_the_next_decide_what_is_under_way() {
    let mut near = Near::ready();
    sent(&mut near, 1..=1);
    handing_over(&mut near, Stage::ServicesReady);
    near.client.close(near.now, seconds(5));
    near.settle();
    near.hears_on(OLD, r#"{"type":"bye","code":4301}"#);
    near.hears(&frames::resumed(0));
    near.hears_on(NEXT, r#"{"type":"ack","id":1}"#);
    assert_eq!(outcomes(&mut near), [(1, "acknowledged 1".to_owned())]);
    assert_eq!((near.state(), near.closed_on(NEXT)), (ClientState::Closed, Some(1000)));
}

#[test]
fn nothing_new_is_begun_by_a_client_that_closes() {
    let mut near = Near::ready();
    sent(&mut near, 1..=1);
    drained(&mut near);
    near.client.close(near.now, seconds(5));
    near.settle();
    near.pass(seconds(1));
    assert_eq!(near.asked, None);
    near.hears_on(OLD, r#"{"type":"ack","id":1}"#);
    assert_eq!((near.state(), near.closed_on(OLD)), (ClientState::Closed, Some(1000)));
}

/// Comes to `ready` on the next connection, where the session is not found.
fn anew(near: &mut Near) {
    near.hears(&frames::started_over());
}

#[test]
fn without_its_session_the_old_one_decides_what_was_written_there() {
    let mut near = Near::ready();
    sent(&mut near, 1..=2);
    handing_over(&mut near, Stage::ServicesReady);
    near.forget();
    anew(&mut near);
    sent(&mut near, 3..=3);
    assert_eq!(sends(near.writes_on(NEXT)), [3], "nothing is written again");
    assert_eq!(outcomes(&mut near), []);
    near.hears_on(OLD, r#"{"type":"ping","nonce":"7"}"#);
    assert_eq!(near.writes_on(OLD), [ClientFrame::Pong { nonce: "7".to_owned() }], "it lives");
    near.hears_on(OLD, r#"{"type":"message","offset":1,"event":"note"}"#);
    near.hears_on(OLD, r#"{"type":"nack","id":1,"code":"no"}"#);
    assert_eq!(outcomes(&mut near), [(1, "refused no".to_owned())]);
    near.hears_on(OLD, r#"{"type":"ack","id":2}"#);
    assert_eq!(outcomes(&mut near), [(2, "acknowledged 2".to_owned())]);
    assert_eq!(near.closed_on(OLD), Some(4302), "all is decided");
    near.hears_on(NEXT, r#"{"type":"ack","id":3}"#);
    assert_eq!(outcomes(&mut near), [(3, "acknowledged 3".to_owned())]);
}

#[test]
fn what_the_old_one_leaves_is_unknown_or_goes_again() {
    for end in ["gone", "bye", "wrong", "silent"] {
        let mut near = Near::ready();
        sent(&mut near, 1..=1);
        near.send(2, SendOptions { key: Some("k".to_owned()), ..SendOptions::default() });
        handing_over(&mut near, Stage::ServicesReady);
        anew(&mut near);
        near.forget();
        match end {
            "gone" => near.closes_on(OLD, None),
            "bye" => near.hears_on(OLD, r#"{"type":"bye","code":4301}"#),
            "wrong" => near.hears_on(OLD, r#"{"type":"ack","id":9}"#),
            _ => near.pass(seconds(15)),
        }
        assert_eq!(outcomes(&mut near), [(1, "unknown session_lost".to_owned())], "{end}");
        assert_eq!(sends(near.writes_on(NEXT)), [3], "{end}: only what has a key goes again, with a new id");
        let closed = if end == "gone" {
            None
        } else if end == "bye" {
            Some(4301)
        } else {
            Some(4302)
        };
        assert_eq!(near.closed_on(OLD), closed, "{end}");
    }
}

#[test]
fn an_answer_of_the_old_session_ends_when_its_send_is_decided() {
    let mut near = Near::ready();
    near.send(1, SendOptions { answer: true, ..SendOptions::default() });
    handing_over(&mut near, Stage::ServicesReady);
    anew(&mut near);
    near.forget();
    near.hears_on(OLD, r#"{"type":"ack","id":1}"#);
    let told = near.tells();
    let settled = told.iter().position(|event| {
        matches!(event, ClientEvent::Settled { handle: 1, outcome: Outcome::Acknowledged { id: 1 } })
    });
    let ended = told.iter().position(|event| match event {
        ClientEvent::Answer(part) => part.end && part.error.as_ref().is_some_and(|error| error.code == "session_lost"),
        _ => false,
    });
    assert!(settled.is_some() && settled < ended, "{told:?}");
}

#[test]
fn a_send_that_the_old_one_has_can_be_given_up() {
    let mut near = Near::ready();
    sent(&mut near, 1..=1);
    handing_over(&mut near, Stage::ServicesReady);
    anew(&mut near);
    near.client.abandon(near.now, 1);
    near.settle();
    assert_eq!(outcomes(&mut near), [(1, "unknown given_up".to_owned())]);
    assert_eq!(near.closed_on(OLD), Some(4302), "nothing is left to decide");
}

#[test]
fn nothing_goes_to_another_subject() {
    let mut near = Near::ready();
    sent(&mut near, 1..=1);
    handing_over(&mut near, Stage::ServicesReady);
    near.forget();
    near.hears(&frames::somebody_else());
    assert_eq!(outcomes(&mut near), [(1, "unknown session_lost".to_owned())]);
    assert_eq!((near.closed_on(OLD), sends(near.writes_on(NEXT))), (Some(4302), vec![]));
}

/// A `ready` that cannot be says nothing about the session, as long as the old connection has it.
#[test]
fn a_ready_that_cannot_be_is_the_failure_of_the_next_alone() {
    for received in [5, 1 << 50] {
        let mut near = Near::ready();
        sent(&mut near, 1..=1);
        handing_over(&mut near, Stage::ServicesReady);
        near.hears(&frames::resumed(received));
        assert_eq!(near.closed_on(NEXT), Some(4400));
        assert_eq!((near.state(), near.closed_on(OLD)), (ClientState::ProcessingReady, None));
        near.hears_on(OLD, r#"{"type":"ack","id":1}"#);
        assert_eq!(outcomes(&mut near), [(1, "acknowledged 1".to_owned())]);
    }
}

/// Leaving a connection is none of the three ends that a send may survive.
#[test]
fn handovers_do_not_count_against_a_send() {
    let mut near = Near::ready();
    sent(&mut near, 1..=1);
    for _ in 0..5 {
        drained(&mut near);
        let wait = near.timer().expect("a timer").min(milliseconds(900));
        near.pass(wait.max(milliseconds(900)));
        near.go_on();
        near.reach(Stage::ServicesReady);
        near.forget();
        near.hears(&frames::resumed(0));
        assert_eq!(sends(near.writes_on(near.number)), [1]);
        near.pass(seconds(6));
    }
}

#[test]
fn an_alternate_is_followed_once() {
    let mut near = Near::idle(ClientConfig { address: "wss://example.org/ws".to_owned(), ..ClientConfig::default() });
    near.connect();
    near.reach(Stage::ProcessingReady);
    assert_eq!(near.address, None);
    near.hears(&ServerFrame::Drain {
        deadline_ms: 60_000,
        reconnect_after_ms: vec![0, 0],
        alternate: Some("wss://example.org:9/ws".to_owned()),
    });
    near.pass(milliseconds(0));
    near.give_token();
    assert_eq!(near.address.as_deref(), Some("wss://example.org:9/ws"));
    near.closes(None);
    near.pass(seconds(1));
    near.give_token();
    assert_eq!((near.number, near.address.as_deref()), (3, None), "later ones go to the address that was given");
}
