//! The way to `ready`, when everything is as it should be.

use crate::peer::{Raw, hello_as, parts, riding, served, started};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn a_warm_server_pushes_every_stage_and_ready_behind_the_upgrade() {
    let server = started(&[]).await;
    let mut raw = Raw::dial(&server, &riding(&hello_as("alice"))).await;
    for stage in ["ACCEPTED", "AUTHENTICATED", "SERVICES_READY"] {
        let frame = raw.frame().await;
        assert_eq!((&frame["type"], &frame["stage"]), (&json!("stage"), &json!(stage)));
        assert_eq!(frame["connection"].is_string(), stage == "ACCEPTED");
    }
    let ready = raw.frame().await;
    assert_eq!(ready["type"], "ready");
    assert_eq!(ready["session"]["subject"], "alice");
    assert_eq!(ready["session"]["token"].as_str().unwrap().len(), 32, "128 bits");
    raw.ask(1, "echo", json!({ "a": 1 })).await;
    let message = raw.until("message").await;
    assert_eq!((&message["re"], &message["end"], &message["payload"]), (&json!(1), &json!(true), &json!({ "a": 1 })));
    assert_eq!(raw.until("ack").await["id"], 1);
}

#[tokio::test]
async fn a_message_sent_right_behind_ready_is_processed() {
    let server = started(&["--service", "search=30ms"]).await;
    let (mut raw, _) = Raw::ready(&server, &hello_as("alice")).await;
    raw.echoes(1).await;
}

#[tokio::test]
async fn a_client_of_core_alone_gets_no_session_and_no_inbox() {
    let mut parts = parts();
    parts.config.inbox.messages = 1;
    let server = served(parts).await;
    let mut hello = hello_as("alice");
    hello["capabilities"] = json!([]);
    let (mut core, ready) = Raw::ready(&server, &hello).await;
    assert!(ready["session"].is_null(), "{ready}");
    // Nobody takes what is for its inbox, and it never gets full.
    core.write(&json!({ "type": "send", "id": 1, "event": "chat.message", "payload": { "text": "hello" } })).await;
    core.write(&json!({ "type": "send", "id": 2, "event": "chat.message", "payload": { "text": "hello" } })).await;
    core.write(&json!({ "type": "ping", "nonce": "here" })).await;
    let mut acked = 0;
    let mut answered = false;
    while acked < 2 || !answered {
        let frame = core.frame().await;
        match frame["type"].as_str().unwrap() {
            "ack" => acked = frame["id"].as_u64().unwrap(),
            "pong" => answered = true,
            other => panic!("{other} is beyond Core"),
        }
    }
    core.write(&json!({ "type": "bye", "code": 4000, "reason": "not 1000" })).await;
    assert!(matches!(core.next().await, Message::Close(_)));
    assert!(server.hub().sessions().await.is_empty(), "nothing is kept for it");
}

#[tokio::test]
async fn a_client_that_asks_for_a_topic_is_told_that_there_are_none() {
    let server = started(&[]).await;
    let mut raw = Raw::greet(&server, &hello_as("alice")).await;
    raw.write(&json!({ "type": "subscribe", "topic": "news" })).await;
    let refused = raw.until("unsubscribed").await;
    assert_eq!((&refused["topic"], &refused["code"]), (&json!("news"), &json!("unsupported")));
}
