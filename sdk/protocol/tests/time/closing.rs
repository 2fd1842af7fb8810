//! How long a close may take, and that no timer runs after it.

use crate::frames;
use crate::near::{Near, milliseconds, named, seconds};
use readywire_protocol::client::{ClientEvent, ClientState, SendOptions};
use readywire_protocol::close::Class;
use readywire_protocol::config::ClientConfig;
use readywire_protocol::frame::ServerFrame;
use readywire_protocol::stage::Stage;
use readywire_protocol::time::Duration;

fn close(near: &mut Near, deadline: Duration) {
    near.client.close(near.now, deadline);
    near.settle();
}

fn assert_said_goodbye(near: &Near) {
    assert_eq!(near.state(), ClientState::Closed);
    assert_eq!(near.bye().map(|bye| bye.code), Some(1000));
    assert_eq!(near.closed.as_ref().map(|(code, _)| *code), Some(1000));
    assert_eq!(near.timer(), None, "after the end no timer runs");
    let Some(ClientEvent::Closed(end)) = near.events.last() else { panic!("no end") };
    assert_eq!((end.code, end.class), (1000, Class::Stop));
}

#[test]
fn who_has_nothing_under_way_closes_at_once() {
    for stage in [Stage::Accepted, Stage::ServicesReady, Stage::ProcessingReady, Stage::Degraded] {
        let mut near = Near::at(stage);
        close(&mut near, seconds(5));
        assert_said_goodbye(&near);
    }
}

#[test]
fn what_is_under_way_is_decided_until_the_deadline() {
    let mut near = Near::ready();
    near.send(1, SendOptions::default());
    close(&mut near, seconds(5));
    assert_eq!(near.state(), ClientState::ProcessingReady);
    near.expires_in(seconds(5));
    assert_said_goodbye(&near);
    assert_eq!(near.outcomes().iter().map(|(_, outcome)| named(outcome)).collect::<Vec<_>>(), ["unknown closed"]);
}

#[test]
fn the_last_decision_closes() {
    let mut near = Near::ready();
    near.send(1, SendOptions::default());
    near.send(2, SendOptions::default());
    close(&mut near, seconds(5));
    near.hears(&frames::ack(1));
    assert_eq!(near.state(), ClientState::ProcessingReady);
    near.hears(&frames::nack(2));
    assert_said_goodbye(&near);
}

#[test]
fn giving_up_the_last_send_closes() {
    let mut near = Near::ready();
    near.send(1, SendOptions::default());
    close(&mut near, seconds(5));
    near.client.abandon(near.now, 1);
    near.settle();
    assert_said_goodbye(&near);
}

#[test]
fn a_send_that_expires_closes() {
    let mut near = Near::at(Stage::Accepted);
    near.send(1, SendOptions { expire_after: Some(seconds(2)), ..SendOptions::default() });
    close(&mut near, seconds(5));
    near.expires_in(seconds(2));
    assert_said_goodbye(&near);
}

/// A second close may only shorten the time, so that nobody waits for ever.
#[test]
fn the_shorter_deadline_counts() {
    let mut near = Near::ready();
    near.send(1, SendOptions::default());
    close(&mut near, seconds(5));
    near.pass(seconds(1));
    close(&mut near, seconds(60));
    assert_eq!(near.timer(), Some(seconds(4)));
    close(&mut near, milliseconds(100));
    near.expires_in(milliseconds(100));
    assert_said_goodbye(&near);
}

#[test]
fn without_a_socket_a_close_writes_nothing() {
    let mut idle = Near::idle(ClientConfig::default());
    close(&mut idle, seconds(5));
    let mut asking = Near::idle(ClientConfig::default());
    asking.begin();
    close(&mut asking, seconds(5));
    let mut waiting = Near::ready();
    waiting.breaks_off();
    close(&mut waiting, seconds(5));
    for near in [idle, asking, waiting] {
        assert_eq!((near.state(), near.timer()), (ClientState::Closed, None));
        assert_eq!((near.written.len(), &near.closed), (0, &None));
    }
    let mut dialling = Near::idle(ClientConfig::default());
    dialling.begin();
    dialling.give_token();
    close(&mut dialling, seconds(5));
    assert_eq!((dialling.state(), dialling.timer()), (ClientState::Closed, None));
    assert_eq!(dialling.closed.as_ref().map(|(code, _)| *code), Some(1000), "the socket that was to open is closed");
    assert_eq!(dialling.writes(), []);
}

/// What waits may still be written, if the server gets ready before the deadline.
#[test]
fn a_close_before_ready_waits_for_the_flush() {
    let mut near = Near::at(Stage::ServicesReady);
    near.send(1, SendOptions::default());
    close(&mut near, seconds(5));
    near.hears(&frames::ready());
    assert_eq!(near.ids(), [1]);
    near.hears(&frames::ack(1));
    assert_said_goodbye(&near);
}

#[test]
fn what_was_taken_is_told_before_the_goodbye() {
    let mut near = Near::ready();
    near.hears(&ServerFrame::Message(frames::message(1, "1")));
    close(&mut near, seconds(5));
    assert_said_goodbye(&near);
    assert!(matches!(near.written[0], readywire_protocol::frame::ClientFrame::Taken { offset: 1, .. }));
}

/// The connection goes while a close waits: that is the end, and its reason.
#[test]
fn a_connection_that_ends_meanwhile_ends_it() {
    let mut near = Near::ready();
    near.send(1, SendOptions::default());
    close(&mut near, seconds(5));
    near.breaks_off();
    assert_eq!((near.state(), near.timer()), (ClientState::Closed, None));
    let outcomes: Vec<_> = near.outcomes().iter().map(|(_, outcome)| named(outcome)).collect();
    assert_eq!(outcomes, ["unknown closed"]);
}

#[test]
fn after_every_end_no_timer_runs() {
    for code in [1000, 4001, 4013] {
        for stage in [Stage::Connecting, Stage::Authenticated, Stage::ProcessingReady, Stage::Degraded] {
            let mut near = Near::at(stage);
            near.send(1, SendOptions::default());
            near.send(2, SendOptions { expire_after: Some(seconds(9)), ..SendOptions::default() });
            near.hears_text(&format!(r#"{{"type":"bye","code":{code}}}"#));
            assert_eq!((near.state(), near.timer()), (ClientState::Closed, None), "{code} at {stage}");
        }
    }
}
