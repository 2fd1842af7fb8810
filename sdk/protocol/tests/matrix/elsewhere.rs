//! The client without an open socket, or with another one: nothing that an old socket brings counts.

use crate::client_stages::{STAGES, at};
use crate::frames;
use crate::near::{Near, seconds};
use readywire_protocol::SUBPROTOCOL;
use readywire_protocol::clause::Clause;
use readywire_protocol::client::{ClientState, SendOptions, TokenFailure};
use readywire_protocol::close::CloseFrame;
use readywire_protocol::config::ClientConfig;
use readywire_protocol::error::PeerMisbehaved;
use readywire_protocol::frame::ServerFrame;
use readywire_protocol::stage::Stage;

fn everything() -> Vec<ServerFrame> {
    let stages = [Stage::Accepted, Stage::Authenticated, Stage::ServicesReady, Stage::ProcessingReady, Stage::Degraded];
    let mut frames: Vec<_> = stages.into_iter().map(frames::stage).collect();
    frames.extend([frames::ready(), frames::ready_degraded(), frames::ready_core(), frames::resumed(0)]);
    frames.extend([frames::ack(0), frames::ack(1), frames::nack(1), frames::part(1, 1, true)]);
    frames.push(ServerFrame::Message(frames::message(1, "1")));
    frames.push(ServerFrame::Ping { nonce: "7".to_owned() });
    frames.push(ServerFrame::Pong { nonce: "7".to_owned() });
    frames.push(ServerFrame::Bye(frames::bye(4001)));
    frames.push(ServerFrame::Drain { deadline_ms: 1, reconnect_after_ms: vec![1, 2], alternate: None });
    frames
}

/// Nothing that a socket with this number brings changes the client.
fn assert_deaf(near: &Near, number: u64, what: &str) {
    for frame in everything() {
        let mut client = near.client.clone();
        client.handle_message(near.now, number, &frame.encode());
        assert_eq!(client, near.client, "{what}: {frame:?}");
    }
    let mut client = near.client.clone();
    client.handle_message(near.now, number, "no JSON");
    client.handle_binary(near.now, number, vec![0]);
    client.handle_violation(near.now, number, PeerMisbehaved::new(Clause::FrameMalformed, "not UTF-8"));
    assert_eq!(client, near.client, "{what}: what is no frame");
}

/// Not even the end of a socket with this number, or its opening, changes the client.
fn assert_forgotten(near: &Near, number: u64, what: &str) {
    assert_deaf(near, number, what);
    let mut client = near.client.clone();
    client.handle_closed(near.now, number, None);
    client.handle_closed(near.now, number, Some(CloseFrame::new(4013, "taken over")));
    client.handle_open(near.now, number, SUBPROTOCOL);
    client.handle_open(near.now, number, "");
    client.provide_token(near.now, number, Ok(None));
    let fatal = TokenFailure { message: "no".to_owned(), fatal: true };
    client.provide_token(near.now, number, Err(fatal));
    assert_eq!(client, near.client, "{what}: opened or closed");
}

#[test]
fn before_it_begins_nothing_counts() {
    let near = Near::idle(ClientConfig::default());
    for number in [0, 1, 2] {
        assert_forgotten(&near, number, "idle");
    }
    assert_eq!(near.timer(), None);
}

#[test]
fn while_it_asks_for_a_token_no_socket_counts() {
    let mut near = Near::idle(ClientConfig::default());
    near.begin();
    let asked = near.asked.expect("a question");
    assert_forgotten(&near, asked - 1, "asking");
    assert_forgotten(&near, asked + 1, "asking");
    assert_deaf(&near, asked, "asking");
    let mut client = near.client.clone();
    client.handle_open(near.now, asked, SUBPROTOCOL);
    client.handle_closed(near.now, asked, None);
    assert_eq!(client, near.client, "there is no socket yet");
}

#[test]
fn while_it_dials_no_frame_counts() {
    let mut near = Near::idle(ClientConfig::default());
    near.begin();
    near.give_token();
    assert_deaf(&near, near.number, "dialling");
    assert_forgotten(&near, near.number - 1, "dialling");
    assert_forgotten(&near, near.number + 1, "dialling");
    let mut client = near.client.clone();
    client.provide_token(near.now, near.number, Ok(None));
    assert_eq!(client, near.client, "the token of this attempt is there already");
}

#[test]
fn while_it_waits_nothing_counts() {
    for stage in STAGES {
        let mut near = at(stage);
        near.breaks_off();
        assert_forgotten(&near, near.number, "waiting");
        assert_forgotten(&near, near.number + 1, "waiting");
    }
}

#[test]
fn when_it_is_over_nothing_counts() {
    let mut near = Near::ready();
    near.client.close(near.now, seconds(0));
    near.settle();
    assert_eq!(near.state(), ClientState::Closed);
    assert_forgotten(&near, near.number, "closed");
    assert_forgotten(&near, near.number + 1, "closed");
    let mut client = near.client.clone();
    client.connect(near.now);
    client.wake(near.now);
    client.close(near.now, seconds(5));
    client.cancel(near.now, 1);
    client.abandon(near.now, 1);
    client.handle_timeout(near.now + seconds(1000));
    assert_eq!(client, near.client, "over is over");
    near.forget();
    near.send(9, SendOptions::default());
    assert_eq!(crate::near::named(&near.outcomes()[0].1), "refused closed");
}

#[test]
fn an_old_socket_cannot_speak_for_a_new_one() {
    for stage in STAGES {
        let mut near = Near::ready();
        let old = near.number;
        near.send(1, SendOptions::default());
        near.breaks_off();
        near.again();
        match stage.is_ready() {
            true => {
                near.reach(Stage::ServicesReady);
                near.hears(&frames::resumed(0));
            }
            false => near.reach(stage),
        }
        assert_forgotten(&near, old, &format!("a new one at {stage}"));
    }
}

/// A connection that the client itself ended, and whose last words it does not wait for.
#[test]
fn what_a_replaced_connection_says_at_last_is_ignored() {
    let mut near = Near::ready();
    let old = near.number;
    near.client.handle_binary(near.now, old, vec![0]);
    near.settle();
    near.again();
    near.reach(Stage::ServicesReady);
    near.hears(&frames::resumed(0));
    near.hears_on(old, &ServerFrame::Bye(frames::bye(4013)).encode());
    near.client.handle_closed(near.now, old, Some(CloseFrame::new(4013, "a later attempt has the session")));
    near.settle();
    assert!(near.state().is_ready());
}
