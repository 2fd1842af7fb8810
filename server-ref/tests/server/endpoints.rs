//! The routes beside the WebSocket.

use crate::peer::{HOUR, Raw, authority, hello_as, parts, served, started, switch};
use crate::web;
use futures::{SinkExt, StreamExt};
use readywire_server::hub::Parts;
use serde_json::json;
use tokio_tungstenite::tungstenite::{Error, Message};

#[tokio::test]
async fn health_and_readiness_are_told_apart() {
    let server = started(&["--faults"]).await;
    let address = server.address();
    assert_eq!(web::get(address, "/healthz").await.body, "ok\n");
    let ready = web::get(address, "/readyz").await;
    assert_eq!((ready.status, ready.body.as_str()), (200, "ready\n"));
    let mut impaired = server.hub().parts.services.impaired();
    switch(&server, json!({ "impair": ["search"] }));
    impaired.changed().await.unwrap();
    let degraded = web::get(address, "/readyz").await;
    assert_eq!((degraded.status, degraded.body.as_str()), (200, "degraded: search\n"));
    server.hub().drain();
    assert_eq!(web::get(address, "/healthz").await.status, 200);
    let draining = web::get(address, "/readyz").await;
    assert_eq!((draining.status, draining.body.as_str()), (503, "draining\n"));
}

#[tokio::test]
async fn a_server_that_goes_away_refuses_upgrades_by_503() {
    let server = started(&[]).await;
    server.hub().drain();
    let headers = [("sec-websocket-protocol", "readywire.v1")];
    let Err(Error::Http(response)) = Raw::with_headers(server.address(), &headers).await else { panic!("let in") };
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].as_bytes()), (503, &b"1"[..]));
}

#[tokio::test]
async fn strangers_of_one_address_are_capped() {
    let server = served(Parts { strangers_per_address: 2, ..parts() }).await;
    let headers = [("sec-websocket-protocol", "readywire.v1")];
    let mut first = Raw::dial(&server, "readywire.v1").await;
    let _second = Raw::dial(&server, "readywire.v1").await;
    let Err(Error::Http(response)) = Raw::with_headers(server.address(), &headers).await else { panic!("let in") };
    assert_eq!(response.status().as_u16(), 503);
    // Who says hello is a stranger no longer.
    first.write(&hello_as("alice")).await;
    first.until("ready").await;
    Raw::dial(&server, "readywire.v1").await;
}

#[tokio::test]
async fn what_is_no_upgrade_and_what_is_not_there() {
    let server = started(&[]).await;
    let address = server.address();
    assert!([400, 405, 426].contains(&web::get(address, "/ws").await.status));
    assert_eq!(web::request(address, "POST", "/ws", &[], "").await.status, 405);
    for path in ["/", "/elsewhere", "/faults", "/plain"] {
        assert_eq!(web::get(address, path).await.status, 404, "{path}");
    }
    assert_eq!(web::post(address, "/faults", &[], r#"{"cut": true}"#).await.status, 404, "off without --faults");
}

#[tokio::test]
async fn notify_wants_a_token_and_a_message() {
    let server = started(&[]).await;
    let address = server.address();
    let (mut alice, _) = Raw::ready(&server, &hello_as("alice")).await;
    let (mut bob, _) = Raw::ready(&server, &hello_as("bob")).await;
    let body = r#"{"subject": "bob", "event": "notification", "payload": {"text": "lunch?", "at": 12.50}}"#;

    let refused = web::post(address, "/notify", &[], body).await;
    assert_eq!(refused.status, 401);
    assert!(refused.head.contains("www-authenticate: bearer") && refused.body.contains("no token"), "{refused:?}");
    let bearer = format!("Bearer {}", authority().mint("alice", HOUR));
    let headers = [("authorization", bearer.as_str())];
    for wrong in ["", "{}", r#"{"event": "notification"}"#, r#"{"event": "notification", "payload": {]}"#] {
        let refused = web::post(address, "/notify", &headers, wrong).await;
        assert_eq!(refused.status, 400);
        assert!(refused.body.contains("expected"), "{}", refused.body);
    }

    let sent = web::post(address, "/notify", &headers, body).await;
    assert_eq!((sent.status, sent.body.as_str()), (200, r#"{"sessions":1}"#));
    let notified = bob.message(1).await;
    assert_eq!((&notified["event"], &notified["payload"]["text"]), (&json!("notification"), &json!("lunch?")));
    let large = format!(r#"{{"event": "news", "payload": "{}"}}"#, "x".repeat(1 << 20));
    assert_eq!(web::post(address, "/notify", &headers, &large).await.status, 413);
    let everyone = web::post(address, "/notify", &headers, r#"{"event": "news", "payload": null}"#).await;
    assert_eq!(everyone.body, r#"{"sessions":2}"#);
    assert_eq!(alice.message(1).await["event"], "news");
}

#[tokio::test]
async fn faults_are_switched_over_http_and_explained() {
    let server = started(&["--faults"]).await;
    let address = server.address();
    for (wrong, expected) in [
        ("{}", "nothing to switch"),
        (r#"{"slow": 1}"#, "known:"),
        (r#"{"impair": ["serach"]}"#, "there is no service `serach`; there are: search"),
    ] {
        let refused = web::post(address, "/faults", &[], wrong).await;
        assert_eq!(refused.status, 400);
        assert!(refused.body.contains(expected), "{}", refused.body);
    }
    let (mut alice, _) = Raw::ready(&server, &hello_as("alice")).await;
    let (mut bob, _) = Raw::ready(&server, &hello_as("bob")).await;
    assert_eq!(web::post(address, "/faults", &[], r#"{"cut": true, "subject": "alice"}"#).await.status, 204);
    alice.cut().await;
    bob.echoes(1).await;
}

#[tokio::test]
async fn the_comparison_without_this_protocol_loses_what_comes_too_early() {
    let server = started(&["--faults"]).await;
    let address = server.address();
    switch(&server, json!({ "service_delay_ms": { "search": 3_600_000 } }));
    let (mut socket, _) = tokio_tungstenite::connect_async(format!("ws://{address}/plain")).await.unwrap();
    // The answer to a ping shows that what came before it was read.
    socket.send("too early".into()).await.unwrap();
    socket.send(Message::Ping(Default::default())).await.unwrap();
    assert!(socket.next().await.unwrap().unwrap().is_pong());
    switch(&server, json!({ "reset": true }));
    loop {
        socket.send("again".into()).await.unwrap();
        socket.send(Message::Ping(Default::default())).await.unwrap();
        let answer = socket.next().await.unwrap().unwrap();
        if answer.is_text() {
            assert_eq!(answer.to_text().unwrap(), r#"{"echo":"again"}"#);
            return;
        }
    }
}

#[tokio::test]
async fn a_page_is_served_with_its_policy() {
    let folder = std::env::temp_dir().join(format!("readywire-page-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("index.html"), "<title>demo</title>").unwrap();
    let server = started(&["--web-root", folder.to_str().unwrap()]).await;
    let page = web::get(server.address(), "/").await;
    let outside = web::get(server.address(), "/../Cargo.toml").await;
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!((page.status, page.body.as_str()), (200, "<title>demo</title>"));
    assert!(page.head.contains("content-security-policy: default-src 'self'"), "{}", page.head);
    assert_eq!(outside.status, 404);
}

#[tokio::test]
async fn a_server_that_goes_away_says_so() {
    let server = started(&["--drain-deadline", "2s", "--drain-alternate", "ws://localhost:1/ws"]).await;
    let (mut raw, _) = Raw::ready(&server, &hello_as("alice")).await;
    let mut stranger = Raw::dial(&server, "readywire.v1").await;
    let stopping = tokio::spawn(server.until(async {}));
    let drain = raw.until("drain").await;
    assert!(drain["deadline_ms"].as_u64().is_some_and(|deadline| deadline <= 2000), "{drain}");
    assert_eq!(drain["reconnect_after_ms"].as_array().map(Vec::len), Some(2), "{drain}");
    assert_eq!(drain["alternate"], "ws://localhost:1/ws");
    raw.echoes(1).await;
    assert_eq!(raw.ended().await.code, 4301);
    assert_eq!(stranger.ended().await.code, 4301, "without a drain");
    assert_eq!(stopping.await.unwrap(), Ok(()));
}
