//! The timers of a ready client: silence, a probe, sends without a decision, and `taken`.

use crate::frames;
use crate::near::{Near, milliseconds, seconds};
use readywire_protocol::client::SendOptions;
use readywire_protocol::config::{ClientConfig, Window};
use readywire_protocol::frame::{ClientFrame, ServerFrame};
use readywire_protocol::stage::Stage;

fn closed_with(near: &Near, code: u16) {
    assert_eq!(near.closed.as_ref().map(|(code, _)| *code), Some(code));
    assert_eq!(near.bye().map(|bye| (bye.code, bye.clause.clone())), Some((u64::from(code), None)));
    assert!(near.wait() <= milliseconds(500), "and then it backs off");
    assert_eq!(near.timer(), Some(near.wait()), "no timer of the connection outlives it");
}

#[test]
fn silence_ends_a_ready_connection() {
    let mut near = Near::ready();
    near.expires_in(seconds(30));
    closed_with(&near, 4203);
}

#[test]
fn the_server_says_how_long_silence_may_be() {
    let mut near = Near::at(Stage::ServicesReady);
    near.hears(&frames::with(|ready| (ready.heartbeat.interval_ms, ready.heartbeat.timeout_ms) = (700, 77)));
    near.expires_in(milliseconds(777));
    closed_with(&near, 4203);
}

#[test]
fn any_frame_is_life_and_nothing_else_is() {
    let mut near = Near::ready();
    let frames = [
        ServerFrame::Ping { nonce: "7".to_owned() },
        ServerFrame::Pong { nonce: "7".to_owned() },
        frames::ack(0),
        ServerFrame::Message(frames::message(0, "1")),
        frames::stage(Stage::Degraded),
    ];
    for frame in frames {
        near.pass(seconds(29));
        near.hears(&frame);
        assert_eq!(near.timer(), Some(seconds(30)), "{frame:?}");
    }
    near.pass(seconds(20));
    near.send(1, SendOptions::default());
    near.client.cancel(near.now, 1);
    near.hears_on(near.number - 1, r#"{"type":"pong","nonce":"7"}"#);
    near.settle();
    assert_eq!(near.timer(), Some(seconds(10)), "what the client itself writes is none, nor an old socket");
}

#[test]
fn a_probe_has_three_seconds() {
    let mut near = Near::ready();
    near.pass(seconds(5));
    near.client.wake(near.now);
    near.settle();
    assert!(matches!(&near.writes()[..], [ClientFrame::Ping { .. }]));
    near.pass(seconds(1));
    near.client.wake(near.now);
    near.settle();
    assert_eq!(near.writes(), [], "one is enough");
    near.expires_in(seconds(2));
    closed_with(&near, 4203);
}

#[test]
fn any_frame_answers_a_probe() {
    for frame in
        [ServerFrame::Pong { nonce: "probe".to_owned() }, ServerFrame::Ping { nonce: "7".to_owned() }, frames::ack(0)]
    {
        let mut near = Near::ready();
        near.client.wake(near.now);
        near.settle();
        near.pass(seconds(2));
        near.hears(&frame);
        assert_eq!(near.timer(), Some(seconds(30)), "{frame:?}");
        near.forget();
        near.client.wake(near.now);
        near.settle();
        assert_eq!(near.writes().len(), 1, "and the next wake-up probes anew");
    }
}

#[test]
fn a_connection_that_is_not_ready_is_not_probed() {
    for stage in [Stage::Connecting, Stage::Accepted, Stage::Authenticated, Stage::ServicesReady] {
        let mut near = Near::at(stage);
        let before = near.client.clone();
        near.client.wake(near.now + seconds(1));
        assert_eq!(near.client, before, "at {stage}");
    }
}

#[test]
fn sends_without_a_decision_end_the_connection() {
    let mut near = Near::ready();
    near.pass(seconds(3));
    near.send(1, SendOptions::default());
    near.pass(seconds(5));
    near.send(2, SendOptions::default());
    near.expires_in(seconds(10));
    closed_with(&near, 4210);
}

#[test]
fn a_decision_is_progress_and_nothing_else_is() {
    let mut near = Near::ready();
    for handle in 1..=4 {
        near.send(handle, SendOptions::default());
    }
    near.pass(seconds(10));
    let others = [
        frames::ack(0),
        frames::nack(0),
        ServerFrame::Ping { nonce: "7".to_owned() },
        ServerFrame::Message(frames::message(0, "1")),
        frames::stage(Stage::Degraded),
    ];
    for frame in others {
        near.hears(&frame);
        assert_eq!(near.timer(), Some(seconds(5)), "{frame:?}");
    }
    near.hears(&frames::ack(1));
    assert_eq!(near.timer(), Some(seconds(15)));
    near.pass(seconds(10));
    near.hears(&frames::ack(1));
    assert_eq!(near.timer(), Some(seconds(5)), "the same ack again decides nothing");
    near.hears(&frames::nack(3));
    assert_eq!(near.timer(), Some(seconds(15)));
    near.pass(seconds(10));
    near.hears(&frames::nack(3));
    assert_eq!(near.timer(), Some(seconds(5)), "nor does the same nack");
    near.hears(&frames::ack(4));
    assert_eq!(near.timer(), Some(seconds(30)), "nothing is in flight");
}

#[test]
fn what_waits_for_a_service_is_not_in_flight() {
    let mut near = Near::at(Stage::Degraded);
    near.send(1, SendOptions::default());
    near.hears(&ServerFrame::Nack(frames::impaired(1)));
    near.pass(seconds(20));
    assert!(near.state().is_ready());
}

#[test]
fn taken_waits_for_company_for_fifty_milliseconds() {
    let mut near = Near::ready();
    near.hears(&ServerFrame::Message(frames::message(1, "1")));
    near.pass(milliseconds(30));
    near.hears(&ServerFrame::Message(frames::message(2, "1")));
    near.expires_in(milliseconds(20));
    assert_eq!(near.writes(), [ClientFrame::Taken { offset: 2, topic: None }]);
    near.hears(&ServerFrame::Message(frames::message(2, "1")));
    assert_eq!(near.timer(), Some(seconds(30)), "what it has already it does not tell twice");
}

/// A client that tells after two messages, or after ten bytes.
fn with_a_small_window() -> Near {
    let window = Window { messages: 4, bytes: 20 };
    let mut near = Near::idle(ClientConfig { window, ..ClientConfig::default() });
    near.connect();
    near.reach(Stage::ProcessingReady);
    near.forget();
    near
}

/// Message `offset` comes, with so many bytes.
fn message(near: &mut Near, offset: u64, bytes: usize) {
    near.hears(&ServerFrame::Message(frames::message(offset, &"1".repeat(bytes))));
}

fn taken(offset: u64) -> [ClientFrame; 1] {
    [ClientFrame::Taken { offset, topic: None }]
}

#[test]
fn half_a_window_is_told_at_once() {
    let mut near = with_a_small_window();
    message(&mut near, 1, 1);
    assert_eq!(near.writes(), []);
    message(&mut near, 2, 1);
    assert_eq!(near.writes(), taken(2), "half of the messages");
    assert_eq!(near.timer(), Some(seconds(30)), "and the timer is stopped");

    let window = Window { messages: 100, bytes: 20 };
    let mut near = Near::idle(ClientConfig { window, ..ClientConfig::default() });
    near.connect();
    near.reach(Stage::ProcessingReady);
    near.forget();
    for (offset, bytes) in [(1, 5), (2, 4)] {
        message(&mut near, offset, bytes);
        assert_eq!(near.writes(), []);
    }
    message(&mut near, 3, 1);
    assert_eq!(near.writes(), taken(3), "half of the bytes");
    assert_eq!(near.timer(), Some(seconds(30)));
}

#[test]
fn what_was_told_does_not_count_again() {
    let mut near = with_a_small_window();
    message(&mut near, 1, 9);
    near.pass(milliseconds(50));
    assert_eq!(near.writes(), taken(1));
    message(&mut near, 2, 9);
    assert_eq!(near.writes(), []);
    near.breaks_off();
    near.resume(0);
    near.forget();
    assert_eq!(near.timer(), Some(seconds(30)), "the hello has told it");
    message(&mut near, 3, 9);
    assert_eq!(near.writes(), []);
    message(&mut near, 4, 1);
    assert_eq!(near.writes(), taken(4));
}

#[test]
fn the_end_of_the_connection_stops_them_all() {
    let mut near = Near::ready();
    near.send(1, SendOptions::default());
    near.hears(&ServerFrame::Message(frames::message(1, "1")));
    near.client.wake(near.now);
    near.settle();
    near.breaks_off();
    assert_eq!(near.timer(), Some(near.wait()));
    near.resume(0);
    assert_eq!(near.timer(), Some(seconds(15)), "the send is written again, and has its time anew");
}
