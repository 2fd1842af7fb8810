//! What waits: its bounds, and its order.

use crate::frames;
use crate::near::Near;
use crate::{outcome, outcomes};
use readywire_protocol::client::{ClientEvent, ClientState, SendOptions};
use readywire_protocol::config::{ClientConfig, Window};
use readywire_protocol::stage::Stage;

/// The handles in the order of their first writes.
fn written(near: &mut Near) -> Vec<u64> {
    let handles = near.tells().into_iter().filter_map(|event| match event {
        ClientEvent::InFlight { handle, .. } => Some(handle),
        _ => None,
    });
    handles.collect()
}

fn send(near: &mut Near, handles: impl IntoIterator<Item = u64>) {
    for handle in handles {
        near.send(handle, SendOptions::default());
    }
}

#[test]
fn first_in_first_out_across_the_flush() {
    let mut near = Near::at(Stage::Accepted);
    send(&mut near, 1..=6);
    near.hears(&frames::stage(Stage::Authenticated));
    near.hears(&frames::stage(Stage::ServicesReady));
    send(&mut near, [7]);
    near.hears(&frames::ready());
    assert_eq!(written(&mut near), [1, 2, 3, 4], "as many as the window has places");
    send(&mut near, [8]);
    assert_eq!(written(&mut near), [0; 0], "who comes during the flush goes behind all that wait");
    near.hears(&frames::ack(1));
    send(&mut near, [9]);
    assert_eq!(written(&mut near), [5]);
    near.hears(&frames::nack(3));
    near.hears(&frames::ack(5));
    assert_eq!(written(&mut near), [6, 7, 8, 9]);
    assert_eq!(near.ids(), [1, 2, 3, 4, 5, 6, 7, 8, 9], "ids increase");
}

#[test]
fn a_small_one_does_not_pass_a_large_one() {
    let mut near = Near::ready();
    near.send_text(1, &"1".repeat(60), SendOptions::default());
    near.send_text(2, &"2".repeat(60), SendOptions::default());
    near.send(3, SendOptions::default());
    assert_eq!(written(&mut near), [1], "100 bytes are the window");
    near.hears(&frames::ack(1));
    assert_eq!(written(&mut near), [2, 3]);
}

/// Full is full: the newest is refused, those that wait stay, and room comes back as they are written.
#[test]
fn the_queue_is_bounded_by_messages() {
    let mut near = Near::at(Stage::ServicesReady);
    send(&mut near, 1..=256);
    assert_eq!(outcomes(&mut near), []);
    send(&mut near, [257]);
    assert_eq!(outcomes(&mut near), [outcome(257, "refused queue_full")]);
    assert_eq!(near.client.unsettled(), 256);
    near.hears(&frames::ready());
    assert_eq!(written(&mut near), [1, 2, 3, 4]);
    send(&mut near, 258..=262);
    assert_eq!(outcomes(&mut near), [outcome(262, "refused queue_full")], "the bound holds during the flush, too");
}

#[test]
fn the_queue_is_bounded_by_bytes() {
    let queue = Window { messages: 256, bytes: 10 };
    let mut near = Near::idle(ClientConfig { queue, ..ClientConfig::default() });
    near.send_text(1, "123456", SendOptions::default());
    near.send_text(2, "12345", SendOptions::default());
    near.send_text(3, "1234", SendOptions::default());
    near.send_text(4, "1", SendOptions::default());
    assert_eq!(outcomes(&mut near), [outcome(2, "refused queue_full"), outcome(4, "refused queue_full")]);
    assert_eq!(ClientConfig::default().queue, Window { messages: 256, bytes: 1 << 20 });
}

/// What is too large for the queue is refused even if it could be written at once: the bound is the application's.
#[test]
fn what_never_fits_is_refused_whatever_the_state() {
    let queue = Window { messages: 256, bytes: 10 };
    let mut near = Near::idle(ClientConfig { queue, ..ClientConfig::default() });
    near.connect();
    near.reach(Stage::ProcessingReady);
    near.forget();
    near.send_text(1, "12345678901", SendOptions::default());
    assert_eq!(outcomes(&mut near), [outcome(1, "refused queue_full")]);
    near.send_text(2, "1234567890", SendOptions::default());
    assert_eq!(near.ids(), [1]);
}

#[test]
fn who_cannot_wait_is_told_at_once() {
    let fail_fast = || SendOptions { fail_fast: true, ..SendOptions::default() };
    for stage in [Stage::Connecting, Stage::Accepted, Stage::Authenticated, Stage::ServicesReady] {
        let mut near = Near::at(stage);
        near.send(1, fail_fast());
        assert_eq!(outcomes(&mut near), [outcome(1, "refused not_ready")], "at {stage}");
    }
    let mut near = Near::ready();
    near.breaks_off();
    near.forget();
    near.send(1, fail_fast());
    assert_eq!(outcomes(&mut near), [outcome(1, "refused not_ready")], "ready is over with its connection");
    let mut near = Near::ready();
    near.send(1, fail_fast());
    assert_eq!(near.ids(), [1]);
}

#[test]
fn a_key_has_sixty_four_bytes_at_most() {
    let mut near = Near::ready();
    for (handle, key) in [(1, "x".repeat(64)), (2, "é".repeat(32)), (3, "x".repeat(65)), (4, "é".repeat(33))] {
        near.send(handle, crate::keyed(&key));
    }
    assert_eq!(outcomes(&mut near), [outcome(3, "refused key_too_long"), outcome(4, "refused key_too_long")]);
    let keys: Vec<_> = near.sends().into_iter().map(|send| send.key.map_or(0, |key| key.len())).collect();
    assert_eq!(keys, [64, 64]);
}

#[test]
fn what_waits_stays_across_attempts() {
    let mut near = Near::at(Stage::Accepted);
    send(&mut near, 1..=2);
    near.hears_text("no JSON");
    near.again();
    send(&mut near, [3]);
    near.breaks_off();
    near.again();
    near.forget();
    near.reach(Stage::ProcessingReady);
    assert_eq!(written(&mut near), [1, 2, 3]);
    assert_eq!(near.state(), ClientState::ProcessingReady);
}

#[test]
fn what_a_send_says_is_what_is_written() {
    let mut near = Near::at(Stage::ServicesReady);
    let options = SendOptions { answer: true, key: Some("order".to_owned()), ..SendOptions::default() };
    near.send_text(1, r#"{"b":1,"a":[2e0,"\u0041"],"b":3}"#, options);
    near.hears(&frames::ready());
    let [send] = &near.sends()[..] else { panic!("one send") };
    assert_eq!((send.id, send.event.as_str(), send.answer), (1, "event", true));
    assert_eq!((send.key.as_deref(), send.topic.as_deref()), (Some("order"), None));
    assert_eq!(send.payload.text(), Some(r#"{"b":1,"a":[2e0,"\u0041"],"b":3}"#), "byte for byte");
}
