//! Streams at the client's end: what is written when, and what waits for what.

mod again;
mod over;
mod refused;

use crate::frames;
use crate::near::{Near, named, payload};
use readywire_protocol::clause::Clause;
use readywire_protocol::client::{ClientEvent, SendOptions};
use readywire_protocol::config::{ClientConfig, Window};
use readywire_protocol::frame::{ClientFrame, Limits, Ready, ServerFrame};
use readywire_protocol::stage::Stage;

/// The stream of these tests.
const STREAM: u64 = 1;

/// Two parts of a stream, or 20 bytes, may be written and not read.
fn levels(ready: &mut Ready) {
    ready.capabilities.push("streams".to_owned());
    ready.limits = Limits {
        max_in_flight: 8,
        max_in_flight_bytes: 1000,
        stream_messages: Some(2),
        stream_bytes: Some(20),
        ..ready.limits
    };
}

fn ready() -> Near {
    Near::ready_with(levels)
}

/// A ready client with a stream whose opening send, 1, was taken.
fn streaming() -> Near {
    let mut near = ready();
    open(&mut near, SendOptions::default());
    near.hears(&frames::ack(1));
    near.forget();
    near
}

/// As [`streaming`], with the parts 11 and 12 written and 13 waiting for them to be read.
fn full() -> Near {
    let mut near = streaming();
    for handle in [11, 12, 13] {
        write(&mut near, handle);
    }
    near
}

fn resumed(received: u64) -> ServerFrame {
    frames::resumed_with(received, levels)
}

fn open(near: &mut Near, options: SendOptions) {
    near.send(STREAM, SendOptions { stream: true, ..options });
}

fn write(near: &mut Near, handle: u64) {
    write_text(near, handle, "1");
}

fn write_text(near: &mut Near, handle: u64, text: &str) {
    near.client.write_part(near.now, handle, STREAM, payload(text));
    near.settle();
}

fn end(near: &mut Near, handle: u64) {
    near.client.end_stream(near.now, handle, STREAM);
    near.settle();
}

fn read(near: &mut Near, id: u64) {
    near.hears(&ServerFrame::Read { re: 1, id });
}

/// What was written since the last look, in short.
fn wrote(near: &mut Near) -> Vec<String> {
    let short = |frame| match frame {
        ClientFrame::Send(send) => match (send.of, send.end, send.stream) {
            (Some(of), false, false) => format!("{} of {of}", send.id),
            (Some(of), true, false) => format!("{} ends {of}", send.id),
            (None, false, true) => format!("{} opens", send.id),
            _ => send.id.to_string(),
        },
        ClientFrame::Cancel { re } => format!("cancel {re}"),
        other => format!("{other:?}"),
    };
    near.writes().into_iter().map(short).collect()
}

/// What was told since the last look, in short.
fn told(near: &mut Near) -> Vec<String> {
    let short = |event| match event {
        ClientEvent::Queued { handle } => Some(format!("{handle} queued")),
        ClientEvent::StreamOver { handle } => Some(format!("{handle} over")),
        ClientEvent::Settled { handle, outcome } => Some(format!("{handle} {}", named(&outcome))),
        ClientEvent::Answer(part) if part.end => Some(format!("{} answered", part.handle)),
        _ => None,
    };
    near.tells().into_iter().filter_map(short).collect()
}

/// `told`, but for places.
fn outcomes(near: &mut Near) -> Vec<String> {
    told(near).into_iter().filter(|line| !line.ends_with("queued")).collect()
}

#[test]
fn parts_name_their_stream_and_the_end_is_the_last() {
    let mut near = ready();
    open(&mut near, SendOptions::default());
    for handle in [11, 12] {
        write(&mut near, handle);
    }
    end(&mut near, 13);
    assert_eq!(wrote(&mut near), ["1 opens", "2 of 1", "3 of 1", "4 ends 1"], "an end needs no room");
    assert_eq!(told(&mut near), ["11 queued", "12 queued", "13 queued"]);
    write(&mut near, 14);
    end(&mut near, 15);
    assert_eq!(told(&mut near), ["14 refused stream_over", "15 refused stream_over"]);
    near.hears(&frames::ack(4));
    assert_eq!(outcomes(&mut near).len(), 4);
    near.hears(&frames::part(1, 1, true));
    assert_eq!(told(&mut near), ["1 answered", "1 over"]);
    assert_eq!(wrote(&mut near), [""; 0]);
}

#[test]
fn a_send_that_opens_a_stream_asks_for_an_answer() {
    let mut near = ready();
    open(&mut near, SendOptions::default());
    assert!(near.sends()[0].answer);
}

#[test]
fn a_stream_whose_window_is_full_waits_and_nothing_else_does() {
    let mut near = full();
    near.send(2, SendOptions::default());
    assert_eq!(wrote(&mut near), ["2 of 1", "3 of 1", "4"]);
    assert_eq!(told(&mut near), ["11 queued", "12 queued"]);
    write(&mut near, 14);
    assert_eq!(told(&mut near), ["14 refused stream_full"], "one waits for its place, and no more");
    near.hears(&frames::ack(4));
    assert_eq!(wrote(&mut near), [""; 0], "taken is not read");
    near.forget();
    read(&mut near, 2);
    assert_eq!((wrote(&mut near), told(&mut near)), (vec!["5 of 1".to_owned()], vec!["13 queued".to_owned()]));
    read(&mut near, 2);
    assert_eq!(wrote(&mut near), [""; 0], "read once");
}

#[test]
fn one_part_always_passes_an_empty_window() {
    let mut near = streaming();
    write_text(&mut near, 11, r#""longer than twenty bytes""#);
    write(&mut near, 12);
    assert_eq!(wrote(&mut near), ["2 of 1"]);
    read(&mut near, 2);
    assert_eq!(wrote(&mut near), ["3 of 1"]);
    write_text(&mut near, 13, r#""twenty bytes alone""#);
    assert_eq!(wrote(&mut near), [""; 0]);
}

#[test]
fn a_nack_frees_the_place_that_it_names() {
    let mut near = streaming();
    write(&mut near, 11);
    near.hears(&ServerFrame::Nack(frames::refusal(2, "stream_over")));
    assert_eq!(outcomes(&mut near), ["11 refused stream_over", "1 over"], "whoever says so means it");
    assert_eq!(wrote(&mut near), ["2 of 1"], "and there is nothing to cancel");
}

#[test]
fn parts_wait_until_their_stream_is_written() {
    let mut near = Near::at(Stage::ServicesReady);
    open(&mut near, SendOptions::default());
    write(&mut near, 11);
    near.send(2, SendOptions::default());
    assert_eq!(wrote(&mut near), [""; 0]);
    near.hears(&frames::with(levels));
    assert_eq!(wrote(&mut near), ["1 opens", "2 of 1", "3"]);
}

#[test]
fn a_smaller_window_holds_for_what_waited_before() {
    let mut near = Near::at(Stage::ServicesReady);
    open(&mut near, SendOptions::default());
    for handle in 11..15 {
        write(&mut near, handle);
    }
    near.send(2, SendOptions::default());
    near.hears(&frames::with(levels));
    assert_eq!(wrote(&mut near), ["1 opens", "2 of 1", "3 of 1", "4"]);
    read(&mut near, 3);
    assert_eq!(wrote(&mut near), ["5 of 1", "6 of 1"]);
}

#[test]
fn where_the_level_was_not_agreed_on_nothing_of_it_is_written() {
    let mut near = Near::ready();
    open(&mut near, SendOptions::default());
    write(&mut near, 11);
    assert_eq!(told(&mut near), ["1 refused unsupported", "1 over", "11 refused stream_over"]);
    assert_eq!(wrote(&mut near), [""; 0]);
    near.hears(&ServerFrame::Read { re: 1, id: 0 });
    assert_eq!(near.bye().map(|bye| bye.clause.clone()), Some(Some(Clause::FrameLevel.id().to_owned())));
}

#[test]
fn a_read_above_what_was_written_is_a_breach_and_one_of_another_stream_is_nothing() {
    let mut near = streaming();
    near.hears(&ServerFrame::Read { re: 9, id: 1 });
    assert_eq!(wrote(&mut near), [""; 0]);
    near.hears(&ServerFrame::Read { re: 9, id: 2 });
    assert_eq!(near.bye().map(|bye| bye.clause.clone()), Some(Some(Clause::StreamRead.id().to_owned())));
}

#[test]
fn parts_count_in_the_queue() {
    let config = ClientConfig { queue: Window { messages: 3, bytes: 1000 }, ..ClientConfig::default() };
    let mut near = Near::idle(config);
    near.connect();
    open(&mut near, SendOptions::default());
    for handle in 11..14 {
        write(&mut near, handle);
    }
    near.send(2, SendOptions::default());
    assert_eq!(told(&mut near), ["11 queued", "12 queued", "2 refused queue_full"]);
    write_text(&mut near, 14, "1");
    near.reach(Stage::ServicesReady);
    near.forget();
    near.hears(&frames::with(levels));
    assert_eq!(wrote(&mut near), ["1 opens", "2 of 1", "3 of 1"]);
}

#[test]
fn what_was_read_of_another_stream_makes_no_room() {
    let mut near = full();
    near.forget();
    for re in [0, 2, 9] {
        near.hears(&ServerFrame::Read { re, id: 3 });
    }
    assert_eq!(wrote(&mut near), [""; 0]);
}

#[test]
fn what_could_never_wait_is_refused() {
    let queue = Window { messages: 3, bytes: 100 };
    let mut near = Near::idle(ClientConfig { queue, ..ClientConfig::default() });
    near.connect();
    near.reach(Stage::ServicesReady);
    near.hears(&frames::with(levels));
    open(&mut near, SendOptions::default());
    near.forget();
    write_text(&mut near, 11, &"1".repeat(100));
    assert_eq!(wrote(&mut near), ["2 of 1"]);
    read(&mut near, 2);
    write_text(&mut near, 12, &"1".repeat(101));
    assert_eq!(told(&mut near), ["11 queued", "12 refused queue_full", "1 over"]);
    assert_eq!(wrote(&mut near), ["cancel 1"]);
}
