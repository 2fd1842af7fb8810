//! The server's end: how many sends are in flight, when they are acknowledged, and how much of the inbox is delivered.

use crate::far::Far;
use crate::frames;
use readywire_protocol::config::{ServerConfig, Window};
use readywire_protocol::frame::{Hello, Message, ServerFrame};
use readywire_protocol::server::Decision;
use readywire_protocol::stage::Stage;
use readywire_protocol::time::Duration;

fn small() -> Far {
    let in_flight = Window { messages: 4, bytes: 1000 };
    Far::with(ServerConfig { in_flight, ..ServerConfig::default() }, Stage::ProcessingReady, frames::hello())
}

fn sends(far: &mut Far, ids: impl IntoIterator<Item = u64>) {
    for id in ids {
        far.hears(&format!(r#"{{"type":"send","id":{id},"event":"e"}}"#));
    }
}

fn broken(far: &Far) -> Option<&str> {
    far.bye().and_then(|bye| bye.clause.as_deref())
}

#[test]
fn no_more_is_in_flight_than_the_limits_allow() {
    let mut far = small();
    sends(&mut far, 1..=4);
    assert_eq!(broken(&far), None);
    sends(&mut far, [5]);
    assert_eq!(broken(&far), Some("send.window"));
}

/// A client uses the place of a refused send at once, and those of the others when their ack comes.
#[test]
fn a_nack_frees_its_place_at_once() {
    let mut far = small();
    sends(&mut far, 1..=4);
    far.core.decide(far.now, 1, Decision::Refused(frames::refusal(0, "no")));
    assert_eq!(far.writes(), [frames::nack(1)], "and its ack waits for company");
    sends(&mut far, [5]);
    assert_eq!(broken(&far), None);
    sends(&mut far, [6]);
    assert_eq!(broken(&far), Some("send.window"));
}

#[test]
fn half_a_window_is_acknowledged_at_once() {
    let mut far = small();
    sends(&mut far, 1..=4);
    far.core.decide(far.now, 1, Decision::Taken);
    assert_eq!(far.writes(), []);
    far.core.decide(far.now, 2, Decision::Taken);
    assert_eq!(far.writes(), [frames::ack(2)]);
    far.core.decide(far.now, 3, Decision::Taken);
    assert_eq!(far.writes(), []);
    far.pass(Duration::from_millis(20));
    assert_eq!(far.writes(), [frames::ack(3)], "and one alone after a moment");
    sends(&mut far, 5..=7);
    assert_eq!(broken(&far), None, "an ack frees all that it decides");
}

#[test]
fn half_the_bytes_are_acknowledged_at_once() {
    let mut far = small();
    let send = |id: u64, bytes: usize| {
        let bare = r#"{"type":"send","id":1,"event":"e","payload":""}"#.len();
        format!(r#"{{"type":"send","id":{id},"event":"e","payload":"{}"}}"#, "x".repeat(bytes - bare))
    };
    far.hears(&send(1, 499));
    far.core.decide(far.now, 1, Decision::Taken);
    assert_eq!(far.writes(), []);
    far.pass(Duration::from_millis(20));
    far.forget();
    far.hears(&send(2, 500));
    far.core.decide(far.now, 2, Decision::Taken);
    assert_eq!(far.writes(), [frames::ack(2)]);
}

#[test]
fn a_nack_goes_out_before_the_ack_that_covers_it() {
    let mut far = small();
    sends(&mut far, 1..=2);
    far.core.decide(far.now, 1, Decision::Taken);
    far.core.decide(far.now, 2, Decision::Refused(frames::impaired(77)));
    far.pass(Duration::from_millis(20));
    let nack = ServerFrame::Nack(frames::impaired(2));
    assert_eq!(far.writes(), [nack, frames::ack(2)], "with the id of the send, whatever the refusal says");
}

/// An ack covers everything below it, so it cannot overtake a decision that is still to be made.
#[test]
fn a_decision_out_of_turn_is_not_acknowledged_before_its_turn() {
    let mut far = small();
    sends(&mut far, 1..=3);
    far.core.decide(far.now, 2, Decision::Taken);
    far.pass(Duration::from_millis(20));
    far.core.decide(far.now, 3, Decision::Refused(frames::refusal(3, "no")));
    far.pass(Duration::from_millis(20));
    assert_eq!(far.writes(), [frames::nack(3)], "send 1 is undecided");
    far.core.decide(far.now, 1, Decision::Taken);
    far.pass(Duration::from_millis(20));
    assert_eq!(far.writes(), [frames::ack(3)]);
}

#[test]
fn what_is_decided_twice_or_was_never_sent_is_answered_once() {
    let mut far = small();
    sends(&mut far, 1..=2);
    far.core.decide(far.now, 7, Decision::Taken);
    far.core.decide(far.now, 1, Decision::Refused(frames::refusal(1, "no")));
    far.core.decide(far.now, 1, Decision::Refused(frames::refusal(1, "no")));
    far.pass(Duration::from_millis(20));
    assert_eq!(far.writes(), [frames::nack(1), frames::ack(1)]);
    far.core.decide(far.now, 1, Decision::Taken);
    far.pass(Duration::from_millis(20));
    assert_eq!(far.writes(), []);
}

#[test]
fn what_is_decided_goes_out_before_the_end() {
    let mut far = small();
    sends(&mut far, 1..=2);
    far.core.decide(far.now, 1, Decision::Taken);
    far.core.refuse(4301, "going away", Some(Duration::from_secs(3)));
    let written = far.writes();
    let [ServerFrame::Ack { id: 1 }, ServerFrame::Bye(bye)] = &written[..] else { panic!("{written:?}") };
    assert_eq!((bye.code, bye.retry_after_ms, &bye.clause), (4301, Some(3000), &None));
}

/// A duplicate id is the session's affair once it was acknowledged: it may be answered again.
#[test]
fn an_id_that_was_acknowledged_may_come_again() {
    let mut far = small();
    sends(&mut far, 1..=2);
    far.core.decide(far.now, 1, Decision::Taken);
    far.core.decide(far.now, 2, Decision::Taken);
    far.forget();
    sends(&mut far, [1]);
    assert_eq!(broken(&far), None);
    assert_eq!(far.tells().len(), 1);
    far.core.decide(far.now, 1, Decision::Taken);
    far.pass(Duration::from_millis(20));
    sends(&mut far, [0]);
    assert_eq!(broken(&far), Some("send.id_increasing"), "ids are positive");
}

fn window(messages: u64, bytes: u64) -> Far {
    let hello = Hello { window: Some(Window { messages, bytes }), ..frames::hello() };
    Far::with(ServerConfig::default(), Stage::ProcessingReady, hello)
}

fn message(offset: u64, bytes: usize) -> Message {
    frames::message(offset, &format!("\"{}\"", "x".repeat(bytes - 2)))
}

fn delivered(far: &mut Far) -> Vec<u64> {
    let written = far.writes().into_iter();
    written.map(|frame| if let ServerFrame::Message(message) = frame { message.offset } else { 0 }).collect()
}

#[test]
fn the_inbox_goes_out_in_order_as_far_as_the_window_goes() {
    let mut far = window(2, 100);
    assert_eq!(far.core.inbox_room(), Some((0, Window { messages: 2, bytes: 100 })));
    far.core.deliver(message(2, 10));
    assert_eq!(delivered(&mut far), [0; 0], "none is skipped");
    far.core.deliver(message(1, 10));
    assert_eq!(far.core.inbox_room(), Some((1, Window { messages: 1, bytes: 90 })));
    far.core.deliver(message(1, 10));
    far.core.deliver(message(2, 10));
    assert_eq!(delivered(&mut far), [1, 2], "none is repeated");
    assert_eq!(far.core.inbox_room(), None);
    far.hears(r#"{"type":"taken","offset":1}"#);
    assert_eq!(far.core.inbox_room(), Some((2, Window { messages: 1, bytes: 90 })));
}

#[test]
fn a_resumed_inbox_goes_on_where_the_client_stopped() {
    let mut far = Far::at(Stage::ServicesReady);
    far.core.ready(readywire_protocol::server::Bound { inbox: 5, ..crate::far::bound() });
    far.forget();
    assert_eq!(far.core.inbox_room().map(|(after, _)| after), Some(5));
    far.core.deliver(message(1, 10));
    far.core.deliver(message(6, 10));
    far.settle();
    assert!(matches!(&far.written[..], [ServerFrame::Message(Message { offset: 6, .. })]));
    far.forget();
    far.hears(r#"{"type":"taken","offset":5}"#);
    assert_eq!(broken(&far), None, "what the client held before was delivered before");
}

#[test]
fn no_more_bytes_are_delivered_than_the_window_has() {
    let mut far = window(10, 100);
    far.core.deliver(message(1, 60));
    far.core.deliver(message(2, 60));
    assert_eq!(delivered(&mut far), [1], "the second waits for room");
    assert_eq!(far.core.inbox_room(), None, "nobody has to try again before something is taken");
    far.hears(r#"{"type":"taken","offset":1}"#);
    assert_eq!(far.core.inbox_room(), Some((1, Window { messages: 10, bytes: 100 })));
    far.core.deliver(message(2, 60));
    assert_eq!(delivered(&mut far), [2]);
    far.core.deliver(message(3, 40));
    assert_eq!(delivered(&mut far), [3], "just full");
    assert_eq!(far.core.inbox_room(), None);
}

#[test]
fn one_message_always_passes_an_empty_window() {
    for bytes in [0, 1, 100] {
        let mut far = window(10, bytes);
        assert!(far.core.inbox_room().is_some(), "{bytes}");
        far.core.deliver(message(1, 5000));
        assert_eq!(delivered(&mut far), [1], "{bytes}");
        assert_eq!(far.core.inbox_room(), None, "{bytes}");
    }
}
