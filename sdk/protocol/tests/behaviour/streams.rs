//! Streams at the client's end: what is written when, what waits for what, and what ends with what.

use crate::near::{Near, named, payload, seconds};
use crate::{frames, keyed};
use readywire_protocol::clause::Clause;
use readywire_protocol::client::{ClientEvent, SendOptions};
use readywire_protocol::config::{ClientConfig, Window};
use readywire_protocol::frame::{ClientFrame, Limits, Ready, Refusal, ServerFrame};
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

fn resumed(received: u64) -> ServerFrame {
    frames::resumed_with(received, levels)
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

fn cancel(near: &mut Near) {
    near.client.cancel(near.now, STREAM);
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
    let mut near = streaming();
    for handle in [11, 12, 13] {
        write(&mut near, handle);
    }
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
fn the_end_of_the_answer_ends_the_stream() {
    let mut near = streaming();
    for handle in [11, 12, 13] {
        write(&mut near, handle);
    }
    near.forget();
    near.hears(&frames::part(1, 1, true));
    assert_eq!(told(&mut near), ["1 answered", "13 refused stream_over", "1 over"]);
    near.hears(&ServerFrame::Nack(frames::refusal(2, "stream_over")));
    near.hears(&frames::ack(3));
    assert_eq!(
        told(&mut near),
        ["11 refused stream_over", "12 acknowledged 3"],
        "what was written has its own outcome"
    );
    assert_eq!(wrote(&mut near), [""; 0]);
}

#[test]
fn a_cancel_ends_the_stream() {
    let mut near = streaming();
    for handle in [11, 12, 13] {
        write(&mut near, handle);
    }
    near.forget();
    cancel(&mut near);
    assert_eq!(wrote(&mut near), ["cancel 1"]);
    assert_eq!(told(&mut near), ["13 refused stream_over", "1 over"]);
    write(&mut near, 14);
    read(&mut near, 3);
    assert_eq!(told(&mut near), ["14 refused stream_over"]);
    assert_eq!(wrote(&mut near), [""; 0]);
}

#[test]
fn a_cancel_before_anything_was_written_withdraws_it() {
    let mut near = Near::at(Stage::ServicesReady);
    open(&mut near, SendOptions::default());
    write(&mut near, 11);
    near.forget();
    cancel(&mut near);
    assert_eq!(told(&mut near), ["1 refused withdrawn", "11 refused stream_over", "1 over"]);
    near.hears(&frames::with(levels));
    assert_eq!(wrote(&mut near), [""; 0]);
}

#[test]
fn a_refused_stream_takes_no_part() {
    let mut near = ready();
    open(&mut near, SendOptions::default());
    for handle in [11, 12, 13] {
        write(&mut near, handle);
    }
    near.forget();
    near.hears(&frames::nack(1));
    assert_eq!(told(&mut near), ["1 refused no", "13 refused stream_over", "1 over"]);
    assert_eq!(wrote(&mut near), [""; 0], "what was refused has nothing to cancel");
}

#[test]
fn a_part_that_cannot_be_sent_breaks_the_stream() {
    let mut near = streaming();
    write_text(&mut near, 11, &format!("\"{}\"", "x".repeat(1000)));
    write(&mut near, 12);
    end(&mut near, 13);
    let expected = ["11 queued", "11 refused too_large", "1 over", "12 refused stream_over", "13 refused stream_over"];
    assert_eq!(told(&mut near), expected);
    assert_eq!(wrote(&mut near), ["cancel 1"]);
}

#[test]
fn a_part_that_is_given_up_breaks_the_stream() {
    let mut near = streaming();
    write(&mut near, 11);
    near.client.abandon(near.now, 11);
    near.settle();
    assert_eq!(told(&mut near), ["11 queued", "11 unknown given_up", "1 over"]);
    assert_eq!(wrote(&mut near), ["2 of 1", "cancel 1"]);
}

#[test]
fn a_part_that_is_given_up_before_its_stream_is_written_withdraws_that() {
    let mut near = Near::at(Stage::ServicesReady);
    open(&mut near, SendOptions::default());
    write(&mut near, 11);
    near.client.abandon(near.now, 11);
    near.settle();
    assert_eq!(told(&mut near), ["11 queued", "11 refused withdrawn", "1 refused withdrawn", "1 over"]);
    near.hears(&frames::with(levels));
    assert_eq!(wrote(&mut near), [""; 0]);
}

#[test]
fn what_was_not_taken_is_written_again_and_stays_unread() {
    let mut near = streaming();
    for handle in [11, 12, 13] {
        write(&mut near, handle);
    }
    near.breaks_off();
    near.again();
    near.reach(Stage::ServicesReady);
    near.forget();
    near.hears(&resumed(2));
    assert_eq!(wrote(&mut near), ["3 of 1"], "the window is as full as it was");
    assert_eq!(told(&mut near), ["11 acknowledged 2"]);
    read(&mut near, 2);
    assert_eq!(wrote(&mut near), ["4 of 1"]);
}

#[test]
fn parts_do_not_age() {
    let mut near = streaming();
    write(&mut near, 11);
    near.breaks_off();
    write(&mut near, 12);
    near.send(2, SendOptions::default());
    near.forget();
    near.pass(seconds(60));
    assert_eq!(outcomes(&mut near), ["2 expired"]);
    near.go_on();
    near.reach(Stage::ServicesReady);
    near.hears(&resumed(1));
    assert_eq!(wrote(&mut near), ["2 of 1", "3 of 1"]);
}

#[test]
fn an_opening_send_that_expires_takes_its_parts_along() {
    let mut near = Near::at(Stage::ServicesReady);
    open(&mut near, SendOptions { expire_after: Some(seconds(1)), ..SendOptions::default() });
    write(&mut near, 11);
    near.pass(seconds(1));
    assert_eq!(told(&mut near), ["11 queued", "1 expired", "11 refused stream_over", "1 over"]);
}

#[test]
fn a_stream_that_waits_for_a_service_keeps_its_parts_behind_it() {
    let mut near = ready();
    open(&mut near, SendOptions::default());
    for handle in [11, 12, 13] {
        write(&mut near, handle);
    }
    near.send(2, SendOptions::default());
    near.forget();
    near.hears_text(r#"{"type":"stage","stage":"DEGRADED","impaired":["search"]}"#);
    near.hears(&ServerFrame::Nack(frames::impaired(1)));
    near.hears(&ServerFrame::Nack(frames::refusal(2, "stream_over")));
    assert_eq!(wrote(&mut near), [""; 0], "all of it waits");
    near.hears(&frames::stage(Stage::ProcessingReady));
    assert_eq!(wrote(&mut near), ["5 opens", "6 of 5", "7 of 5"], "in order, under new ids");
    near.hears(&ServerFrame::Nack(frames::refusal(3, "stream_over")));
    near.hears(&frames::ack(7));
    let expected = ["2 acknowledged 4", "1 acknowledged 5", "11 acknowledged 6", "12 acknowledged 7"];
    assert_eq!(outcomes(&mut near), expected, "the refusals of the first time are nobody's");
    near.hears(&ServerFrame::Read { re: 5, id: 6 });
    assert_eq!(wrote(&mut near), ["8 of 5"]);
}

#[test]
fn a_stream_that_was_refused_while_nobody_was_there_goes_again_with_its_parts() {
    let mut near = ready();
    open(&mut near, SendOptions::default());
    write(&mut near, 11);
    near.breaks_off();
    near.again();
    near.reach(Stage::ServicesReady);
    near.forget();
    let refused = Refusal { retry_after_ms: None, ..frames::impaired(1) };
    near.hears(&frames::with(|ready| {
        levels(ready);
        (ready.session, ready.received) = (Some(frames::grant(true)), 1);
        ready.refused.push(refused);
    }));
    assert_eq!(wrote(&mut near), ["3 opens", "4 of 3"]);
}

#[test]
fn a_lost_session_takes_its_streams_along() {
    let mut near = ready();
    open(&mut near, keyed("k"));
    for handle in [11, 12, 13] {
        write(&mut near, handle);
    }
    near.forget();
    near.breaks_off();
    near.again();
    near.reach(Stage::ServicesReady);
    near.hears(&frames::with(|ready| {
        levels(ready);
        ready.session = Some(frames::grant(false));
    }));
    let told = outcomes(&mut near);
    assert!(told.contains(&"1 unknown session_lost".to_owned()), "not even with a key: {told:?}");
    assert!(told.contains(&"11 unknown session_lost".to_owned()), "{told:?}");
    assert!(told.contains(&"13 refused stream_over".to_owned()), "{told:?}");
    assert_eq!(told.iter().filter(|line| *line == "1 over").count(), 1);
    assert!(near.sends().is_empty(), "none of it goes again");
}

#[test]
fn a_stream_that_was_never_written_outlives_a_session() {
    let mut near = ready();
    near.breaks_off();
    open(&mut near, SendOptions::default());
    write(&mut near, 11);
    near.again();
    near.reach(Stage::ServicesReady);
    near.forget();
    near.hears(&frames::with(|ready| {
        levels(ready);
        ready.session = Some(frames::grant(false));
    }));
    assert_eq!(wrote(&mut near), ["1 opens", "2 of 1"]);
}

#[test]
fn a_part_that_ends_three_connections_breaks_the_stream() {
    let mut near = streaming();
    write(&mut near, 11);
    for _ in 0..2 {
        near.breaks_off();
        near.again();
        near.reach(Stage::ServicesReady);
        near.hears(&resumed(1));
    }
    near.breaks_off();
    near.again();
    near.reach(Stage::ServicesReady);
    near.forget();
    near.hears(&resumed(1));
    assert_eq!(outcomes(&mut near), ["11 unknown three_connections", "1 over"]);
    assert_eq!(wrote(&mut near), ["cancel 1"]);
}

#[test]
fn what_lacks_a_part_is_not_written_again_as_if_it_were_whole() {
    let mut near = streaming();
    write_text(&mut near, 11, &format!("\"{}\"", "x".repeat(60)));
    read(&mut near, 2);
    end(&mut near, 12);
    near.breaks_off();
    near.again();
    near.reach(Stage::ServicesReady);
    near.forget();
    near.hears(&frames::with(|ready| {
        levels(ready);
        ready.limits.max_message_bytes = 80;
        (ready.session, ready.received) = (Some(frames::grant(true)), 1);
    }));
    assert_eq!(outcomes(&mut near), ["11 refused too_large", "12 refused stream_over", "1 over"]);
    assert_eq!(wrote(&mut near), ["cancel 1"]);
}

#[test]
fn a_handover_carries_the_stream_along() {
    let mut near = streaming();
    write(&mut near, 11);
    near.hears_text(r#"{"type":"drain","deadline_ms":60000,"reconnect_after_ms":[0,0]}"#);
    near.pass(seconds(0));
    near.go_on();
    near.reach(Stage::ServicesReady);
    write(&mut near, 12);
    write(&mut near, 13);
    near.hears_on(1, r#"{"type":"read","re":1,"id":2}"#);
    assert_eq!(near.writes_on(1).iter().filter(|frame| matches!(frame, ClientFrame::Send(_))).count(), 3);
    near.forget();
    near.hears(&resumed(2));
    let next = near.writes_on(2);
    let sends =
        next.iter().map(|frame| matches!(frame, ClientFrame::Send(send) if send.of == Some(1))).collect::<Vec<_>>();
    assert_eq!(sends, [true, true], "what was not taken, and what there was no room for");
}

#[test]
fn a_stream_that_was_opened_on_the_former_connection_does_not_go_on_in_the_next_session() {
    let mut near = ready();
    open(&mut near, SendOptions::default());
    for handle in [11, 12, 13] {
        write(&mut near, handle);
    }
    near.hears_text(r#"{"type":"drain","deadline_ms":60000,"reconnect_after_ms":[0,0]}"#);
    near.pass(seconds(0));
    near.go_on();
    near.reach(Stage::ServicesReady);
    near.forget();
    near.hears(&frames::with(|ready| {
        levels(ready);
        ready.session = Some(frames::grant(false));
    }));
    assert_eq!(told(&mut near), ["13 refused stream_over", "1 over"]);
    near.hears_on(1, r#"{"type":"ack","id":3}"#);
    assert_eq!(outcomes(&mut near), ["1 acknowledged 1", "1 answered", "11 acknowledged 2", "12 acknowledged 3"]);
    assert!(near.sends().is_empty(), "nothing of it is written in a session that it does not belong to");
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
fn closing_ends_it() {
    let mut near = streaming();
    for handle in [11, 12, 13] {
        write(&mut near, handle);
    }
    near.forget();
    near.client.close(near.now, seconds(1));
    near.settle();
    write(&mut near, 14);
    assert_eq!(told(&mut near), ["14 refused closed"]);
    near.hears(&frames::ack(3));
    let told = told(&mut near);
    assert!(told.contains(&"13 refused stream_over".to_owned()) && told.contains(&"1 over".to_owned()), "{told:?}");
}
