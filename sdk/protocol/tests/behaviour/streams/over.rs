//! What ends a stream, and what ends with it.

use super::{STREAM, end, full, levels, open, read, ready, resumed, streaming, told, write, write_text, wrote};
use crate::frames;
use crate::near::{Near, seconds};
use readywire_protocol::client::SendOptions;
use readywire_protocol::frame::{Refusal, ServerFrame};
use readywire_protocol::stage::Stage;

fn cancel(near: &mut Near) {
    near.client.cancel(near.now, STREAM);
    near.settle();
}

#[test]
fn the_end_of_the_answer_ends_the_stream() {
    let mut near = full();
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
    let mut near = full();
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
fn an_opening_send_that_expires_takes_its_parts_along() {
    let mut near = Near::at(Stage::ServicesReady);
    open(&mut near, SendOptions { expire_after: Some(seconds(1)), ..SendOptions::default() });
    write(&mut near, 11);
    near.pass(seconds(1));
    assert_eq!(told(&mut near), ["11 queued", "1 expired", "11 refused stream_over", "1 over"]);
}

#[test]
fn closing_ends_it() {
    let mut near = full();
    near.forget();
    near.client.close(near.now, seconds(1));
    near.settle();
    write(&mut near, 14);
    assert_eq!(told(&mut near), ["14 refused closed"]);
    near.hears(&frames::ack(3));
    let told = told(&mut near);
    assert!(told.contains(&"13 refused stream_over".to_owned()) && told.contains(&"1 over".to_owned()), "{told:?}");
}

/// Whoever reads at the server would wait for parts for ever.
#[test]
fn a_stream_whose_opening_send_is_given_up_is_stopped() {
    let mut near = ready();
    open(&mut near, SendOptions::default());
    write(&mut near, 11);
    near.forget();
    near.client.abandon(near.now, STREAM);
    near.settle();
    write(&mut near, 12);
    assert_eq!(told(&mut near), ["1 unknown given_up", "1 over", "12 refused stream_over"]);
    assert_eq!(wrote(&mut near), ["cancel 1"]);
    near.hears(&frames::ack(2));
    near.over_a_cut(&resumed(2));
    assert_eq!(wrote(&mut near), ["cancel 1"], "the one before may be lost");
    near.hears(&frames::failed_part(1, 1, "cancelled"));
    assert_eq!(told(&mut near), [""; 0], "nothing is told of it");
    near.over_a_cut(&resumed(2));
    assert_eq!(wrote(&mut near), [""; 0], "it has ended");
}

/// Whether it was taken is not known while there is no connection: what was is stopped, and what was not never will be.
#[test]
fn a_stream_that_is_given_up_while_away_is_stopped_if_it_was_taken() {
    for received in [0, 1] {
        let mut near = ready();
        open(&mut near, SendOptions::default());
        near.breaks_off();
        near.client.abandon(near.now, STREAM);
        near.settle();
        near.comes_back_to(&resumed(received));
        assert_eq!(wrote(&mut near), &["cancel 1"][..received as usize]);
        near.send(2, SendOptions::default());
        near.hears(&frames::ack(2));
        near.over_a_cut(&resumed(2));
        assert_eq!(wrote(&mut near), &["cancel 1"][..received as usize], "of {received} received");
    }
}

#[test]
fn a_stream_that_is_given_up_and_refused_is_no_more() {
    let mut near = ready();
    open(&mut near, SendOptions::default());
    near.client.abandon(near.now, STREAM);
    near.settle();
    near.hears(&ServerFrame::Nack(Refusal::new(1, "no")));
    near.hears(&frames::ack(1));
    near.over_a_cut(&resumed(1));
    assert_eq!((wrote(&mut near), told(&mut near)), (vec![], vec![]));
}

#[test]
fn a_part_that_is_given_up_breaks_a_stream_that_is_not_decided() {
    let mut near = ready();
    open(&mut near, SendOptions::default());
    write(&mut near, 11);
    near.client.abandon(near.now, 11);
    near.settle();
    assert_eq!(wrote(&mut near), ["1 opens", "2 of 1", "cancel 1"]);
}
