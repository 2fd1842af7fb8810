//! Two servers on one log: a session goes from one to the other, and nothing of it stays behind.

use crate::peer::{Raw, hello_as, parts, resuming, served};
use readywire_server::hub::Parts;
use readywire_server::log::Log;
use readywire_server::log::memory::MemoryLog;
use readywire_server::server::Running;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// As two processes are: they share the log, and nothing else.
async fn two() -> (Running, Running) {
    let log: Arc<dyn Log> = MemoryLog::new();
    (served(Parts { log: log.clone(), ..parts() }).await, served(Parts { log, ..parts() }).await)
}

fn keyed(id: u64, key: &str) -> Value {
    json!({ "type": "send", "id": id, "event": "echo", "payload": id, "answer": true, "key": key })
}

#[tokio::test]
async fn an_answer_goes_on_at_the_other_server_and_the_first_connection_is_let_go() {
    let (one, other) = two().await;
    let (mut former, ready) = Raw::ready(&one, &hello_as("alice")).await;
    former.ask(1, "agent.run", json!({ "prompt": "what does a drain do", "pace_ms": 20 })).await;
    assert_eq!(former.message(1).await["event"], "agent_started");

    let (mut raw, again) = Raw::ready(&other, &resuming("alice", &ready, 1, 1)).await;
    assert_eq!((&again["session"]["resumed"], &again["received"]), (&json!(true), &json!(1)));
    assert_eq!(former.ended().await.code, 4013);
    let mut offset = 2;
    while raw.message(offset).await["end"] != true {
        raw.taken(offset).await;
        offset += 1;
    }
    raw.ask(2, "echo", json!("here")).await;
    assert_eq!(raw.message(offset + 1).await["payload"], "here", "offsets go on");
}

#[tokio::test]
async fn work_that_stayed_behind_is_stopped_from_the_other_server() {
    let (one, other) = two().await;
    let (mut former, ready) = Raw::ready(&one, &hello_as("alice")).await;
    former.ask(1, "agent.run", json!({ "prompt": "a b c d e f g h", "pace_ms": 60_000 })).await;
    former.message(1).await;
    let (mut raw, _) = Raw::ready(&other, &resuming("alice", &ready, 1, 1)).await;
    assert_eq!(former.ended().await.code, 4013);
    raw.write(&json!({ "type": "cancel", "re": 1 })).await;
    let mut offset = 2;
    let last = loop {
        let part = raw.message(offset).await;
        if part["end"] == true {
            break part;
        }
        offset += 1;
    };
    assert_eq!(last["error"]["code"], "cancelled");
}

#[tokio::test]
async fn what_was_decided_is_known_at_the_other_server() {
    let (one, other) = two().await;
    let (mut former, ready) = Raw::ready(&one, &hello_as("alice")).await;
    former.write(&keyed(1, "k")).await;
    former.message(1).await;
    former.ask(2, "nothing of this name", Value::Null).await;
    assert_eq!(former.until("nack").await["id"], 2);
    former.acked(2).await;

    let (mut raw, again) = Raw::ready(&other, &resuming("alice", &ready, 1, 1)).await;
    assert_eq!(again["received"], 2);
    assert_eq!(again["refused"][0]["code"], "unknown_event");
    raw.ask(1, "echo", json!("once more")).await;
    raw.ask(3, "echo", json!("new")).await;
    assert_eq!(raw.message(2).await["re"], 3, "what was taken at the one is not processed at the other");

    // Another session of the same subject, and another subject.
    let (mut sibling, _) = Raw::ready(&other, &hello_as("alice")).await;
    sibling.write(&keyed(1, "k")).await;
    assert_eq!(sibling.message(1).await["error"]["code"], "duplicate_key");
    let (mut bob, _) = Raw::ready(&other, &hello_as("bob")).await;
    bob.write(&keyed(1, "k")).await;
    assert_eq!(bob.message(1).await["payload"], 1);
}

#[tokio::test]
async fn a_subject_and_everybody_are_reached_wherever_they_are() {
    let (one, other) = two().await;
    let (mut alice, _) = Raw::ready(&one, &hello_as("alice")).await;
    let (mut bob, _) = Raw::ready(&other, &hello_as("bob")).await;
    // A name that begins like another's is somebody else.
    let (mut nobody, _) = Raw::ready(&other, &hello_as("bob/x")).await;
    alice.ask(1, "notify", json!({ "subject": "bob", "text": "lunch?" })).await;
    assert_eq!(alice.message(1).await["payload"], json!({ "sessions": 1 }));
    assert_eq!(bob.message(1).await["payload"]["text"], "lunch?");
    nobody.echoes(1).await;
}

#[tokio::test]
async fn two_that_bind_at_once_do_not_both_have_the_session() {
    let (one, other) = two().await;
    let (first, ready) = Raw::ready(&one, &hello_as("alice")).await;
    drop(first);
    for attempt in 1..=10 {
        let (left, right) = (resuming("alice", &ready, 2 * attempt, 0), resuming("alice", &ready, 2 * attempt + 1, 0));
        let (left, right) = tokio::join!(Raw::greet(&one, &left), Raw::greet(&other, &right));
        let (mut left, mut right) = (left, right);
        // The higher attempt has it, whoever was faster.
        right.until("ready").await;
        assert_eq!(tokio::time::timeout(Duration::from_secs(20), left.ended()).await.unwrap().code, 4013);
        right.write(&json!({ "type": "ping", "nonce": "n" })).await;
        right.until("pong").await;
    }
}
