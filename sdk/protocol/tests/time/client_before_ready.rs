//! The client's waits up to `ready`: for a token, for the socket, for each stage, and for all of them together.

use crate::frames;
use crate::near::{Near, milliseconds, seconds, token};
use readywire_protocol::client::ClientState;
use readywire_protocol::config::ClientConfig;
use readywire_protocol::frame::ServerFrame;
use readywire_protocol::stage::Stage;

#[test]
fn an_idle_client_waits_for_nothing() {
    assert_eq!(Near::idle(ClientConfig::default()).timer(), None);
}

#[test]
fn a_token_has_ten_seconds() {
    let mut near = Near::idle(ClientConfig::default());
    near.begin();
    near.expires_in(seconds(10));
    assert_eq!((near.told().code, near.closed.as_ref()), (Some(4101), None), "a failed attempt without a socket");
    assert!(near.wait() <= milliseconds(500));

    let late = near.asked.take().expect("a question");
    near.client.provide_token(near.now, late, Ok(Some(token())));
    near.settle();
    assert_eq!(near.number, 0, "a token that comes late is for an attempt that is over");
    near.retry();
    assert_eq!(near.asked, Some(late + 1), "the next attempt asks anew");
    assert_eq!(near.timer(), Some(seconds(10)));
}

#[test]
fn a_socket_has_ten_seconds_to_open() {
    let mut near = Near::idle(ClientConfig::default());
    near.begin();
    near.pass(seconds(4));
    near.give_token();
    near.expires_in(seconds(10));
    assert_eq!(near.closed.as_ref().map(|(code, _)| *code), Some(1000), "a page cannot close with 1006");
    assert_eq!(near.writes(), [], "there is no socket to write to");
    assert_eq!(near.told().code, Some(1006));
    assert!(near.wait() <= milliseconds(500));
}

#[test]
fn a_server_has_ten_seconds_to_accept() {
    let mut near = Near::connecting();
    near.expires_in(seconds(10));
    assert_eq!(near.closed.as_ref().map(|(code, _)| *code), Some(4201));
    let reason = near.told().reason.clone().expect("a reason");
    assert!(reason.contains("unconfirmed"), "{reason}");
    assert_eq!(near.writes(), [], "it never showed that it reads frames");
}

#[test]
fn each_stage_has_ten_seconds() {
    for stage in [Stage::Accepted, Stage::Authenticated, Stage::ServicesReady] {
        let mut near = Near::connecting();
        near.reach(Stage::Connecting);
        near.pass(seconds(9));
        near.reach(stage);
        near.expires_in(seconds(10));
        let bye = near.bye().expect("a bye").clone();
        assert_eq!((bye.code, bye.clause), (4201, None));
        assert!(bye.reason.ends_with(&format!("last confirmed {stage}")), "{}", bye.reason);
        assert_eq!(near.closed.as_ref().map(|(code, _)| *code), Some(4201));
        assert!(near.wait() <= milliseconds(500), "and then it backs off");
    }
}

#[test]
fn a_timeout_names_what_was_pending() {
    let mut near = Near::at(Stage::Authenticated);
    near.hears(&frames::pending(Stage::Authenticated, &["search", "mail"], None));
    near.expires_in(seconds(10));
    let reason = &near.bye().expect("a bye").reason;
    assert!(reason.ends_with("last confirmed AUTHENTICATED, pending: search, mail"), "{reason}");
}

#[test]
fn a_deadline_of_the_server_is_waited_for_and_two_seconds_more() {
    for (deadline_ms, waits) in [(0, 2000), (1, 2001), (7000, 9000), (60_000, 62_000)] {
        let mut near = Near::at(Stage::Authenticated);
        near.hears(&frames::pending(Stage::Authenticated, &["search"], Some(deadline_ms)));
        near.expires_in(milliseconds(waits));
        assert_eq!(near.closed.as_ref().map(|(code, _)| *code), Some(4201));
    }
    let mut near = Near::connecting();
    near.hears(&frames::pending(Stage::Accepted, &[], Some(20_000)));
    assert_eq!(near.timer(), Some(seconds(22)), "a new stage may bring one, too");
}

#[test]
fn only_a_new_stage_or_a_changed_pending_is_progress() {
    let mut near = Near::at(Stage::Authenticated);
    near.hears(&frames::pending(Stage::Authenticated, &["search"], None));
    near.pass(seconds(4));
    let same = [
        frames::pending(Stage::Authenticated, &["search"], None),
        frames::pending(Stage::Authenticated, &["search"], Some(60_000)),
        ServerFrame::Ping { nonce: "7".to_owned() },
        ServerFrame::Pong { nonce: "7".to_owned() },
    ];
    for frame in same {
        near.hears(&frame);
        assert_eq!(near.timer(), Some(seconds(6)), "{frame:?}");
    }
    near.hears(&frames::pending(Stage::Authenticated, &["mail"], None));
    assert_eq!(near.timer(), Some(seconds(10)), "what is pending changed");
    near.hears(&frames::pending(Stage::Authenticated, &["mail", "search", "index"], None));
    near.pass(seconds(4));
    near.hears(&frames::pending(Stage::Authenticated, &["index", "mail", "search", "mail"], None));
    assert_eq!(near.timer(), Some(seconds(6)), "neither their order nor a repetition is news");
    near.hears(&frames::pending(Stage::Authenticated, &["index", "mail"], None));
    assert_eq!(near.timer(), Some(seconds(10)), "one less is pending");
    near.pass(seconds(4));
    near.hears(&frames::pending(Stage::Authenticated, &["index", "queue"], None));
    assert_eq!(near.timer(), Some(seconds(10)), "another is pending");
    near.pass(seconds(4));
    near.hears(&frames::pending(Stage::Authenticated, &[], None));
    assert_eq!(near.timer(), Some(seconds(10)), "nothing is pending any more");
    near.pass(seconds(4));
    near.hears(&frames::pending(Stage::ServicesReady, &[], None));
    assert_eq!(near.timer(), Some(seconds(10)), "a new stage");
}

#[test]
fn whatever_the_server_says_five_minutes_are_enough() {
    let mut near = Near::connecting();
    near.pass(seconds(1));
    near.reach(Stage::Authenticated);
    near.hears(&frames::pending(Stage::Authenticated, &["search"], Some((1 << 53) - 1)));
    near.expires_in(seconds(299));
    assert_eq!(near.closed.as_ref().map(|(code, _)| *code), Some(4201));

    let mut near = Near::connecting();
    near.reach(Stage::Authenticated);
    for second in 0..299 {
        near.hears(&frames::pending(Stage::Authenticated, &[&second.to_string()], None));
        near.pass(seconds(1));
    }
    near.hears(&frames::pending(Stage::Authenticated, &["last"], None));
    near.expires_in(seconds(1));
    assert_eq!(near.closed.as_ref().map(|(code, _)| *code), Some(4201), "progress for ever is no readiness");
}

#[test]
fn ready_stops_them_all() {
    let mut near = Near::at(Stage::ServicesReady);
    near.hears(&frames::with(|ready| {
        ready.heartbeat.interval_ms = 400_000;
        ready.heartbeat.timeout_ms = 1;
    }));
    assert_eq!(near.timer(), Some(milliseconds(400_001)), "only its own heartbeat is left");
    near.hears(&frames::stage(Stage::Degraded));
    near.pass(seconds(350));
    assert_eq!(near.state(), ClientState::Degraded, "a repeated stage after ready arms nothing");
    near.hears(&frames::stage(Stage::Degraded));
    assert_eq!(near.timer(), Some(milliseconds(400_001)));
}

#[test]
fn the_end_of_the_connection_stops_them_all() {
    for stage in [Stage::Connecting, Stage::Accepted, Stage::Authenticated, Stage::ServicesReady] {
        let mut near = Near::at(stage);
        near.breaks_off();
        assert_eq!(near.timer(), Some(near.wait()), "at {stage}");
    }
}

#[test]
fn a_hello_is_the_first_frame_after_an_upgrade_that_failed_early() {
    let rides = |near: &Near| near.protocols.len() == 2;
    let mut near = Near::idle(ClientConfig::default());
    near.begin();
    near.give_token();
    assert!(rides(&near), "the first hello rides along");
    near.open();
    assert_eq!(near.writes(), []);
    near.pass(seconds(10));
    near.written.clear();
    near.retry();
    near.give_token();
    assert!(!rides(&near), "something in between may dislike it");
    near.open();
    assert_eq!(near.writes().len(), 1, "so it is the first frame");
    near.reach(Stage::Accepted);
    near.breaks_off();
    near.again();
    assert!(rides(&near), "ACCEPTED has shown that the way is free");
    near.closes(None);
    near.retry();
    let number = near.asked.take().expect("a question");
    near.client.provide_token(near.now, number, Err("the provider is down".into()));
    near.settle();
    near.again();
    assert!(!rides(&near), "an attempt that had no socket shows nothing");
}
