//! From an address to readiness, or to an error that says how far it came.

use crate::server::{PATIENCE, TestServer, eager, token};
use futures::{FutureExt, StreamExt};
use readywire::{ConnectError, Options, SendError, State, TokenFailure, connect};
use readywire_server::faults::FaultRequest;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::timeout;

/// For whoever gives up: long enough to come as far as it can on any machine.
const GIVES_UP: Duration = Duration::from_secs(2);

fn delayed(milliseconds: u64) -> FaultRequest {
    let delays = BTreeMap::from([("search".to_owned(), milliseconds)]);
    FaultRequest { service_delay_ms: Some(delays), ..FaultRequest::default() }
}

fn failing() -> FaultRequest {
    FaultRequest { service_fail: Some(["search".to_owned()].into()), ..FaultRequest::default() }
}

#[tokio::test]
async fn it_resolves_only_when_the_server_has_said_ready() {
    let server = TestServer::start().await;
    server.fault(delayed(300));
    let began = tokio::time::Instant::now();
    let client = connect(&server.url(), eager()).await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(client.state(), State::ProcessingReady);
    assert!(client.status().connection.is_some());
    client.close().await;
    assert_eq!(client.state(), State::Closed);
}

#[tokio::test]
async fn a_late_subscriber_begins_with_the_state_that_holds() {
    let server = TestServer::start().await;
    let client = connect(&server.url(), eager()).await.unwrap();
    let mut states = client.states();
    assert_eq!(states.next().await.unwrap().state, State::ProcessingReady);
    server.cut();
    let mut seen = Vec::new();
    while seen.last() != Some(&State::ProcessingReady) {
        seen.push(timeout(PATIENCE, states.next()).await.unwrap().unwrap().state);
    }
    let expected =
        [State::Connecting, State::Accepted, State::Authenticated, State::ServicesReady, State::ProcessingReady];
    seen.dedup();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn what_was_pending_is_in_the_error_of_a_timeout() {
    let server = TestServer::start().await;
    server.fault(delayed(600_000));
    let error = connect(&server.url(), eager().ready_timeout(GIVES_UP)).await.unwrap_err();
    assert!(matches!(error, ConnectError::Timeout { .. }), "{error:?}");
    assert_eq!(error.stage(), State::Authenticated);
    assert_eq!(error.pending(), ["search"]);
    assert!(error.retryable());
    let words = error.to_string();
    assert!(words.contains("authenticated") && words.contains("search"), "{words}");
}

#[tokio::test]
async fn a_service_that_fails_is_named_and_the_next_attempt_can_succeed() {
    let server = TestServer::start().await;
    server.fault(failing());
    let error = connect(&server.url(), eager().ready_timeout(GIVES_UP)).await.unwrap_err();
    let ConnectError::Timeout { reason: Some(reason), .. } = &error else { panic!("{error:?}") };
    assert!(reason.contains("search"), "{reason}");

    let url = server.url();
    let connecting = connect(&url, eager());
    let recovering = async {
        server.fault(FaultRequest { reset: true, ..FaultRequest::default() });
    };
    let (client, ()) = tokio::join!(connecting, recovering);
    assert_eq!(client.unwrap().state(), State::ProcessingReady);
}

#[tokio::test]
async fn a_token_that_does_not_hold_stops_after_three_and_says_why() {
    let server = TestServer::start().await;
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    let options = eager().token(move || {
        count.fetch_add(1, Ordering::Relaxed);
        async { Ok("not.a.token".to_owned()) }
    });
    let error = timeout(PATIENCE, connect(&server.url(), options)).await.unwrap().unwrap_err();
    let ConnectError::Closed(end) = &error else { panic!("{error:?}") };
    assert_eq!(end.code, 4104);
    assert_eq!(asked.load(Ordering::Relaxed), 3, "the provider is asked at every attempt");
    assert_eq!(error.stage(), State::Accepted);
    assert!(!error.retryable());

    let missing = timeout(PATIENCE, connect(&server.url(), eager_without_token())).await.unwrap().unwrap_err();
    let ConnectError::Closed(end) = &missing else { panic!("{missing:?}") };
    assert_eq!(end.code, 4101, "a missing token is not called an invalid one");
}

fn eager_without_token() -> Options {
    let short = Duration::from_millis(10);
    Options::new().backoff(short, short, short)
}

#[tokio::test]
async fn the_provider_is_asked_anew_after_a_cut() {
    let server = TestServer::start().await;
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    let options = eager().token(move || {
        count.fetch_add(1, Ordering::Relaxed);
        async { Ok(token("alice")) }
    });
    let client = connect(&server.url(), options).await.unwrap();
    let mut states = client.states();
    server.cut();
    let mut lost = false;
    loop {
        let change = timeout(PATIENCE, states.next()).await.unwrap().unwrap();
        lost |= !change.state.is_ready();
        if lost && change.state.is_ready() {
            break;
        }
    }
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_provider_that_gives_up_ends_it() {
    let server = TestServer::start().await;
    let options = eager().token(|| async { Err(TokenFailure { message: "signed out".to_owned(), fatal: true }) });
    let error = timeout(PATIENCE, connect(&server.url(), options)).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("signed out"), "{error}");
}

#[tokio::test]
async fn a_server_of_another_protocol_is_unconfirmed_not_ready() {
    let server = TestServer::start().await;
    let plain = format!("ws://{}/plain", server.address);
    let error = timeout(PATIENCE, connect(&plain, eager())).await.unwrap().unwrap_err();
    let ConnectError::Closed(end) = &error else { panic!("{error:?}") };
    assert_eq!(end.code, 4006);
    assert!(end.reason.contains("unconfirmed"), "{}", end.reason);
    assert_eq!(error.stage(), State::Connecting);
}

#[tokio::test]
async fn what_is_no_websocket_is_retried_and_named() {
    let server = TestServer::start().await;
    let wrong = format!("ws://{}/nowhere", server.address);
    let error = connect(&wrong, eager().ready_timeout(GIVES_UP)).await.unwrap_err();
    let ConnectError::Timeout { reason: Some(reason), .. } = &error else { panic!("{error:?}") };
    assert!(reason.contains("404"), "{reason}");

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("ws://{}/ws", silent.local_addr().unwrap());
    let options = eager().connect_timeout(Duration::from_millis(50)).ready_timeout(GIVES_UP);
    let error = connect(&address, options).await.unwrap_err();
    let ConnectError::Timeout { reason: Some(reason), .. } = &error else { panic!("{error:?}") };
    assert!(reason.contains("in time"), "{reason}");
}

#[tokio::test]
async fn a_wrong_address_is_the_callers_mistake() {
    let error = connect("http://127.0.0.1:1/ws", eager()).await.unwrap_err();
    assert!(matches!(&error, ConnectError::Misuse { message } if message.contains("ws://")), "{error}");
}

#[test]
fn no_runtime_is_an_error_and_no_panic() {
    let error = connect("ws://127.0.0.1:1/ws", eager()).now_or_never().unwrap().unwrap_err();
    assert!(matches!(&error, ConnectError::Misuse { message } if message.contains("runtime")), "{error}");
}

#[tokio::test]
async fn tls_to_a_server_without_it_fails_with_a_reason() {
    let server = TestServer::start().await;
    let secure = format!("wss://{}/ws", server.address);
    let error = connect(&secure, eager().ready_timeout(GIVES_UP)).await.unwrap_err();
    let ConnectError::Timeout { reason: Some(reason), .. } = &error else { panic!("{error:?}") };
    assert!(!reason.is_empty());
}

#[tokio::test]
async fn after_the_end_everything_is_an_error() {
    let server = TestServer::start().await;
    let client = connect(&server.url(), eager()).await.unwrap();
    client.close().await;
    assert!(matches!(client.try_send("record", &1), Err(SendError::NotReady { stage: State::Closed })));
    let error = client.send("record", &1).await.unwrap_err();
    assert!(matches!(error, SendError::Refused { ref code, .. } if code == "closed"), "{error:?}");
    assert!(client.stream::<u64>("count", &3).next().await.is_none_or(|part| part.is_err()));
    assert!(client.messages().next().await.is_none());
    client.close().await;
}

#[tokio::test]
async fn dropping_the_client_ends_the_session() {
    let server = TestServer::start().await;
    let client = connect(&server.url(), eager()).await.unwrap();
    assert_eq!(server.hub.sessions().await.len(), 1);
    drop(client);
    timeout(PATIENCE, async {
        while !server.hub.sessions().await.is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}
