//! What the application is told of the state, and what the hello tells of the client.

use crate::frames;
use crate::near::{Near, milliseconds, seconds, token};
use readywire_protocol::client::{ClientEvent, ClientState, StateChange};
use readywire_protocol::close::CloseFrame;
use readywire_protocol::config::{ClientConfig, Window};
use readywire_protocol::frame::{Auth, ServerFrame};
use readywire_protocol::stage::Stage;
use readywire_protocol::{HELLO_ENTRY_BYTES, HELLO_PREFIX, SUBPROTOCOL};
use std::slice::from_ref;

fn states(near: &mut Near) -> Vec<StateChange> {
    let states = near.tells().into_iter().filter_map(|event| match event {
        ClientEvent::State(change) => Some(change),
        _ => None,
    });
    states.collect()
}

#[test]
fn every_change_is_told_with_what_is_known() {
    let mut near = Near::connecting();
    let start = StateChange {
        state: ClientState::Connecting,
        previous: ClientState::Connecting,
        pending: Vec::new(),
        impaired: Vec::new(),
        reason: None,
        connection: None,
        attempt: 1,
        handover: false,
        retry_at: None,
        code: None,
    };
    assert_eq!(states(&mut near), from_ref(&start), "once for the whole way to the open socket");

    near.hears(&frames::stage(Stage::Accepted));
    let connection = Some("c-1".to_owned());
    let accepted = StateChange { state: ClientState::Accepted, connection, ..start.clone() };
    assert_eq!(states(&mut near), from_ref(&accepted));

    near.hears(&frames::pending(Stage::Authenticated, &["search"], None));
    let pending = vec!["search".to_owned()];
    let previous = ClientState::Accepted;
    let authenticated =
        StateChange { state: ClientState::Authenticated, previous, pending: pending.clone(), ..accepted.clone() };
    assert_eq!(states(&mut near), from_ref(&authenticated));
    near.hears(&frames::pending(Stage::Authenticated, &["search"], Some(9000)));
    near.hears(&ServerFrame::Ping { nonce: "7".to_owned() });
    assert_eq!(states(&mut near), [], "nothing that the application could see changed");

    near.hears_text(r#"{"type":"stage","stage":"SERVICES_READY","pending":["search"],"reason":"soon"}"#);
    near.hears(&frames::ready_degraded());
    let (previous, reason) = (ClientState::Authenticated, Some("soon".to_owned()));
    let services = StateChange { state: ClientState::ServicesReady, previous, reason, pending, ..accepted.clone() };
    let impaired = vec!["search".to_owned()];
    let previous = ClientState::ServicesReady;
    let degraded =
        StateChange { state: ClientState::Degraded, previous, impaired: impaired.clone(), ..accepted.clone() };
    assert_eq!(states(&mut near), [services, degraded.clone()]);

    near.hears_text(r#"{"type":"stage","stage":"DEGRADED","impaired":["search"],"reason":"out of tea"}"#);
    let reason = Some("out of tea".to_owned());
    let told = StateChange { previous: ClientState::Degraded, reason, ..degraded.clone() };
    assert_eq!(states(&mut near), [told]);

    near.hears_text(r#"{"type":"bye","code":4202,"reason":"search is gone","retry_after_ms":700}"#);
    let lost = StateChange {
        previous: ClientState::Degraded,
        reason: Some("search is gone".to_owned()),
        retry_at: Some(near.now + milliseconds(700)),
        code: Some(4202),
        ..start.clone()
    };
    assert_eq!(states(&mut near), from_ref(&lost), "nothing of the old connection is left");

    near.pass(milliseconds(700));
    let again = StateChange { previous: ClientState::Connecting, attempt: 2, retry_at: None, ..lost };
    assert_eq!(states(&mut near), from_ref(&again), "and why it is connecting stays known");
    near.go_on();
    let open = StateChange { reason: None, code: None, ..again };
    assert_eq!(states(&mut near), [open], "until there is another socket");
}

#[test]
fn a_woken_client_tells_that_it_tries_again() {
    let mut near = Near::ready();
    near.breaks_off();
    near.forget();
    near.client.wake(near.now);
    near.settle();
    let [change] = &states(&mut near)[..] else { panic!("one change") };
    assert_eq!((change.attempt, change.retry_at), (2, None));
}

#[test]
fn an_end_says_how_far_the_socket_came() {
    let reason = |near: &Near| near.told().reason.clone().expect("a reason");
    let mut near = Near::idle(ClientConfig::default());
    near.begin();
    for (frame, expected) in [
        (None, "the WebSocket could not be opened"),
        (Some(CloseFrame::new(1006, "")), "the WebSocket could not be opened"),
        (Some(CloseFrame::new(1006, "HTTP 503")), "HTTP 503"),
    ] {
        near.give_token();
        near.closes(frame);
        assert_eq!(reason(&near), expected);
        near.retry();
    }
    near.go_on();
    near.closes(None);
    assert_eq!(reason(&near), "the connection broke off");
    near.again();
    near.closes(Some(CloseFrame::new(1001, "")));
    assert_eq!(reason(&near), "", "what the other end did not say is not made up");
}

#[test]
fn the_hello_says_who_is_there() {
    for hello_in_upgrade in [true, false] {
        let config = ClientConfig {
            agent: ("tea".to_owned(), "0.5".to_owned()),
            window: Window { messages: 3, bytes: 33 },
            hello_in_upgrade,
            ..ClientConfig::default()
        };
        let mut near = Near::idle(config);
        near.connect();
        let hello = near.hello();
        assert_eq!(hello.client, Some(("tea".to_owned(), "0.5".to_owned())));
        assert_eq!((hello.auth, hello.resume), (Some(token()), None));
        assert_eq!(hello.capabilities, ["resume", "answers", "topics", "refresh", "binary", "streams", "questions"]);
        assert_eq!(hello.window, Some(Window { messages: 3, bytes: 33 }));
        assert_eq!(near.protocols.len(), if hello_in_upgrade { 2 } else { 1 });
        assert_eq!(near.writes().len(), if hello_in_upgrade { 0 } else { 1 }, "one hello, one way");
    }
}

/// Each attempt brings its own token, and none that was given before.
#[test]
fn a_token_is_never_taken_from_an_earlier_attempt() {
    let mut near = Near::connecting();
    near.reach(Stage::Accepted);
    near.breaks_off();
    near.retry();
    let number = near.asked.take().expect("a question");
    near.client.provide_token(near.now, number, Ok(None));
    near.settle();
    near.open();
    assert_eq!(near.hello().auth, None);
}

#[test]
fn a_hello_that_is_too_long_for_the_upgrade_is_the_first_frame() {
    let rides = |bytes: usize| {
        let mut near = Near::idle(ClientConfig::default());
        near.begin();
        let number = near.asked.take().expect("a question");
        let token = Auth { scheme: "bearer".to_owned(), token: "x".repeat(bytes) };
        near.client.provide_token(near.now, number, Ok(Some(token)));
        near.settle();
        near.open();
        assert_eq!(near.protocols[0], SUBPROTOCOL, "the hello is never the first entry");
        let rides = near.protocols.get(1).is_some_and(|entry| entry.starts_with(HELLO_PREFIX));
        assert_eq!(near.writes().len(), usize::from(!rides), "one hello, one way");
        assert!(near.protocols.iter().all(|entry| entry.len() <= HELLO_ENTRY_BYTES));
        rides.then(|| near.protocols[1].len())
    };
    let lengths: Vec<_> = (2800..3000).map(rides).collect();
    let longest = lengths.iter().flatten().max().expect("short ones ride");
    assert_eq!(*longest, HELLO_ENTRY_BYTES, "as long as it may");
    assert_eq!(lengths.last(), Some(&None), "and longer ones do not");
}

#[test]
fn to_connect_twice_is_to_connect_once() {
    let mut near = Near::connecting();
    let before = near.client.clone();
    near.client.connect(near.now + seconds(1));
    assert_eq!(near.client, before);
}
