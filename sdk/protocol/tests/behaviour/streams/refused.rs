//! A stream whose opening send is refused: whether it waits to be offered anew, and with what.

use super::{STREAM, levels, open, outcomes, ready, write, write_text, wrote};
use crate::frames;
use crate::near::Near;
use readywire_protocol::client::SendOptions;
use readywire_protocol::config::{ClientConfig, Window};
use readywire_protocol::frame::ServerFrame;
use readywire_protocol::stage::Stage;

fn impaired(near: &mut Near, id: u64) {
    near.hears(&ServerFrame::Nack(frames::impaired(id)));
}

/// A client with a queue of three messages and 30 bytes, at a server that lets more than that be unread.
fn bounded(impaired: &[&str]) -> Near {
    let queue = Window { messages: 3, bytes: 30 };
    let mut near = Near::idle(ClientConfig { queue, ..ClientConfig::default() });
    near.connect();
    near.reach(Stage::ServicesReady);
    near.hears(&frames::with(|ready| {
        levels(ready);
        ready.impaired = impaired.iter().map(|service| (*service).to_owned()).collect();
        (ready.limits.stream_messages, ready.limits.stream_bytes) = (Some(8), Some(100));
    }));
    near
}

#[test]
fn a_stream_that_finds_no_room_to_wait_has_its_refusal() {
    // The bytes of what waits already, of the opening send and of its parts.
    let cases: [(Option<usize>, usize, &[usize], bool); 8] = [
        (None, 1, &[1, 1], true),
        (None, 1, &[1, 1, 1], false),
        (Some(1), 1, &[1], true),
        (Some(1), 1, &[1, 1], false),
        (None, 10, &[20], true),
        (None, 10, &[21], false),
        (Some(9), 10, &[11], true),
        (Some(9), 10, &[12], false),
    ];
    for (waiting, opening, parts, room) in cases {
        let mut near = bounded(&["search"]);
        let mut id = 1;
        if let Some(bytes) = waiting {
            near.send_text(2, &"1".repeat(bytes), SendOptions::default());
            impaired(&mut near, id);
            id += 1;
        }
        near.send_text(STREAM, &"1".repeat(opening), SendOptions { stream: true, ..SendOptions::default() });
        for (handle, bytes) in (11..).zip(parts) {
            write_text(&mut near, handle, &"1".repeat(*bytes));
        }
        near.send(3, SendOptions::default());
        near.forget();
        impaired(&mut near, id);
        let expected = if room { &[][..] } else { &["1 refused service_impaired", "1 over"] };
        assert_eq!(outcomes(&mut near), expected, "{waiting:?} {opening} {parts:?}");
        near.hears(&frames::stage(Stage::ProcessingReady));
        let again = wrote(&mut near).iter().filter(|line| line.contains("opens") || line.contains("of")).count();
        assert_eq!(again, if room { 1 + parts.len() } else { 0 }, "{waiting:?} {opening} {parts:?}");
    }
}

#[test]
fn what_was_refused_with_its_stream_goes_again_once_each_time() {
    let mut near = bounded(&[]);
    open(&mut near, SendOptions::default());
    for handle in [11, 12] {
        write(&mut near, handle);
    }
    near.forget();
    impaired(&mut near, 1);
    assert_eq!(wrote(&mut near), ["4 opens", "5 of 4", "6 of 4"]);
    impaired(&mut near, 4);
    assert_eq!(wrote(&mut near), ["7 opens", "8 of 7", "9 of 7"]);
    for id in [2, 3, 5, 6] {
        near.hears(&ServerFrame::Nack(frames::refusal(id, "stream_over")));
    }
    near.hears(&frames::ack(9));
    assert_eq!(outcomes(&mut near), ["1 acknowledged 7", "11 acknowledged 8", "12 acknowledged 9"]);
}

#[test]
fn a_stream_that_was_cancelled_is_not_offered_anew() {
    let mut near = ready();
    open(&mut near, SendOptions::default());
    near.send(5, SendOptions { stream: true, ..SendOptions::default() });
    near.client.cancel(near.now, STREAM);
    near.settle();
    near.hears_text(r#"{"type":"stage","stage":"DEGRADED","impaired":["search"]}"#);
    near.forget();
    impaired(&mut near, 1);
    near.hears(&frames::stage(Stage::ProcessingReady));
    assert_eq!((wrote(&mut near), outcomes(&mut near)), (vec![], vec!["1 refused service_impaired".to_owned()]));
}
