//! What becomes of a stream whose connection, session or service went away.

use super::{
    STREAM, end, full, levels, open, outcomes, read, ready, resumed, streaming, told, write, write_text, wrote,
};
use crate::near::{payload, seconds};
use crate::{frames, keyed};
use readywire_protocol::client::SendOptions;
use readywire_protocol::frame::{ClientFrame, Ready, Refusal, ServerFrame};
use readywire_protocol::stage::Stage;

#[test]
fn what_was_not_taken_is_written_again_and_stays_unread() {
    let mut near = full();
    near.over_a_cut(&resumed(2));
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
    near.comes_back_to(&frames::with(|ready| {
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
    near.over_a_cut(&resumed(1));
    assert_eq!(outcomes(&mut near), ["11 unknown three_connections", "1 over"]);
    assert_eq!(wrote(&mut near), ["cancel 1"]);
}

#[test]
fn what_lacks_a_part_is_not_written_again_as_if_it_were_whole() {
    let mut near = streaming();
    write_text(&mut near, 11, &format!("\"{}\"", "x".repeat(60)));
    read(&mut near, 2);
    end(&mut near, 12);
    near.over_a_cut(&frames::with(|ready| {
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
fn what_the_next_connection_has_no_room_for_is_refused() {
    for (messages, bytes, fits) in [(1, 20, false), (2, 17, false), (2, 18, true)] {
        let mut near = streaming();
        for handle in [11, 12] {
            write_text(&mut near, handle, "123456789");
        }
        let window = |ready: &mut Ready| {
            levels(ready);
            (ready.limits.stream_messages, ready.limits.stream_bytes) = (Some(messages), Some(bytes));
        };
        near.over_a_cut(&frames::resumed_with(1, window));
        if fits {
            assert_eq!(
                (wrote(&mut near), outcomes(&mut near)),
                (vec!["2 of 1".to_owned(), "3 of 1".to_owned()], vec![])
            );
        } else {
            assert_eq!(wrote(&mut near), ["2 of 1", "cancel 1"], "{messages} of {bytes}: one always passes");
            assert_eq!(outcomes(&mut near), ["12 refused stream_full", "1 over"], "{messages} of {bytes}");
        }
    }
}

#[test]
fn what_is_left_of_a_stream_that_is_over_is_not_written_again_beside_another() {
    let mut near = streaming();
    write(&mut near, 11);
    near.send(5, SendOptions { stream: true, ..SendOptions::default() });
    near.client.write_part(near.now, 51, 5, payload("1"));
    near.settle();
    near.client.cancel(near.now, STREAM);
    near.settle();
    near.over_a_cut(&resumed(1));
    assert_eq!(wrote(&mut near), ["cancel 1", "3 opens", "4 of 3"]);
    assert_eq!(outcomes(&mut near), ["11 refused stream_over"]);
}

#[test]
fn of_one_stream_no_more_waits_than_its_window_holds() {
    let mut near = streaming();
    near.breaks_off();
    near.forget();
    for handle in [11, 12, 13] {
        write(&mut near, handle);
    }
    assert_eq!(told(&mut near), ["11 queued", "12 queued"], "the queue is for others, too");
    for (second, queued) in [("12345678", vec!["11 queued", "12 queued"]), ("123456789", vec!["11 queued"])] {
        let mut near = streaming();
        near.breaks_off();
        near.forget();
        write_text(&mut near, 11, "123456789012");
        write_text(&mut near, 12, second);
        assert_eq!(told(&mut near), queued, "{second}");
    }
}

#[test]
fn a_cancel_comes_behind_an_opening_send_that_is_written_again_later() {
    let mut near = ready();
    near.send(2, SendOptions::default());
    open(&mut near, SendOptions::default());
    write(&mut near, 11);
    let narrow = |ready: &mut Ready| {
        levels(ready);
        ready.limits.max_in_flight = 1;
    };
    near.over_a_cut(&frames::resumed_with(0, narrow));
    assert_eq!(wrote(&mut near), ["1"]);
    near.client.abandon(near.now, 11);
    near.settle();
    assert_eq!(
        (wrote(&mut near), outcomes(&mut near)),
        (vec![], vec!["11 unknown given_up".to_owned(), "1 over".to_owned()])
    );
    near.hears(&frames::ack(1));
    assert_eq!(wrote(&mut near), ["2 opens", "cancel 2"]);
}

#[test]
fn a_server_without_answers_is_told_of_no_cancel() {
    let mut near = streaming();
    write(&mut near, 11);
    near.over_a_cut(&frames::resumed_with(1, |ready| ready.capabilities = vec!["resume".to_owned()]));
    assert_eq!(outcomes(&mut near), ["11 refused unsupported", "1 over"]);
    assert_eq!(wrote(&mut near), [""; 0]);
}
