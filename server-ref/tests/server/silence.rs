//! Clients that fall silent, and clients that do not listen.

use crate::peer::{HOUR, PATIENCE, Raw, hello_as, parts, resuming, served};
use crate::web;
use futures::SinkExt;
use serde_json::json;
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn a_client_that_answers_no_ping_is_given_up() {
    let mut parts = parts();
    parts.config.ping_interval = Duration::from_millis(30);
    parts.config.ping_timeout = Duration::from_secs(1);
    let server = served(parts).await;
    let mut stranger = Raw::dial(&server, "readywire.v1").await;
    stranger.until("ping").await;
    let (mut raw, ready) = Raw::ready(&server, &hello_as("alice")).await;
    assert_eq!(ready["heartbeat"], json!({ "interval_ms": 30, "timeout_ms": 1000 }));
    for _ in 0..3 {
        let nonce = raw.until("ping").await["nonce"].clone();
        raw.write(&json!({ "type": "pong", "nonce": nonce })).await;
    }
    let ended = raw.ended().await;
    assert_eq!((ended.code, ended.reason.as_str()), (4203, "the client fell silent"));
}

#[tokio::test]
async fn a_client_that_does_not_read_is_given_up_and_keeps_its_session() {
    let mut parts = parts();
    parts.config.ping_timeout = Duration::from_secs(2);
    // Not by a ping that it leaves unanswered.
    parts.config.ping_interval = HOUR;
    parts.config.inbox.bytes = 1 << 30;
    let server = served(parts).await;
    let mut hello = hello_as("alice");
    hello["window"] = json!({ "messages": 100_000, "bytes": 1 << 30 });
    let (mut deaf, ready) = Raw::ready(&server, &hello).await;
    let text = "x".repeat(512 << 10);
    for id in 1..=60 {
        let send = json!({ "type": "send", "id": id, "event": "echo", "payload": text, "answer": true });
        if deaf.0.send(Message::text(send.to_string())).await.is_err() {
            // Given up already.
            break;
        }
    }
    let over = "readywire_transitions_total{from=\"PROCESSING_READY\",to=\"CLOSED\"} 1";
    let given_up = async { while !web::get(server.address(), "/metrics").await.body.contains(over) {} };
    tokio::time::timeout(PATIENCE, given_up).await.expect("in time");

    let (mut raw, again) = Raw::ready(&server, &resuming("alice", &ready, 1, 0)).await;
    assert_eq!(again["session"]["resumed"], true);
    for offset in 1..=again["received"].as_u64().unwrap() {
        assert_eq!(raw.message(offset).await["re"], offset, "nothing is lost");
        raw.taken(offset).await;
    }
}
