//! Answers: they outlive the socket, and stop when they are told to.

use crate::peer::{Raw, hello_as, resuming, served, started, switch, with_handlers};
use futures::future::BoxFuture;
use readywire_server::application::{Answer, Application, Failure, Handler, Request};
use serde_json::{Value, json};

const STEPS: [&str; 8] = [
    "agent_started",
    "agent_thinking",
    "agent_thinking",
    "agent_thinking",
    "agent_thinking",
    "tool_executing",
    "tool_completed",
    "agent_completed",
];

#[tokio::test]
async fn an_agent_run_outlives_a_cut_and_goes_on_where_it_was() {
    let server = started(&["--faults"]).await;
    let (mut raw, ready) = Raw::ready(&server, &hello_as("alice")).await;
    let prompt = "what does PROCESSING_READY mean";
    raw.ask(1, "agent.run", json!({ "prompt": prompt, "pace_ms": 5 })).await;
    assert_eq!(raw.message(1).await["event"], STEPS[0]);
    raw.taken(1).await;
    switch(&server, json!({ "cut": true }));
    raw.cut().await;

    let (mut raw, ready) = Raw::ready(&server, &resuming("alice", &ready, 1, 1)).await;
    assert_eq!((&ready["session"]["resumed"], &ready["received"]), (&json!(true), &json!(1)));
    let mut events = vec![STEPS[0].to_owned()];
    for offset in 2..=STEPS.len() as u64 {
        let part = raw.message(offset).await;
        assert_eq!(part["re"], 1);
        assert_eq!(part["end"] == true, offset == STEPS.len() as u64, "{part}");
        events.push(part["event"].as_str().unwrap().to_owned());
        if offset == 8 {
            let quote = part["payload"]["quotes"][0]["quote"].as_str().unwrap();
            assert!(quote.contains("PROCESSING_READY"), "from the bundled documentation: {quote}");
        }
    }
    assert_eq!(events, STEPS);
}

/// The last part of an answer, and its offset.
async fn end_of(raw: &mut Raw, from: u64) -> (Value, u64) {
    let mut offset = from;
    loop {
        let part = raw.message(offset).await;
        if part["end"] == true {
            return (part, offset);
        }
        offset += 1;
    }
}

#[tokio::test]
async fn a_cancel_ends_the_answer_and_not_the_connection() {
    let server = started(&[]).await;
    let (mut raw, _) = Raw::ready(&server, &hello_as("alice")).await;
    raw.ask(1, "agent.run", json!({ "prompt": "a b c d e f g h", "pace_ms": 1000 })).await;
    assert_eq!(raw.message(1).await["event"], "agent_started");
    raw.write(&json!({ "type": "cancel", "re": 1 })).await;
    let (last, offset) = end_of(&mut raw, 2).await;
    assert_eq!((&last["re"], &last["error"]["code"]), (&json!(1), &json!("cancelled")));
    // Again, and for what never was: nothing happens.
    raw.write(&json!({ "type": "cancel", "re": 1 })).await;
    raw.write(&json!({ "type": "cancel", "re": 99 })).await;
    raw.ask(2, "echo", json!(2)).await;
    assert_eq!(raw.message(offset + 1).await["re"], 2);
}

#[tokio::test]
async fn the_next_connection_can_cancel() {
    let server = started(&["--faults"]).await;
    let (mut former, ready) = Raw::ready(&server, &hello_as("alice")).await;
    former.ask(1, "agent.run", json!({ "prompt": "a b c d e f g h", "pace_ms": 1000 })).await;
    former.message(1).await;
    let (mut raw, _) = Raw::ready(&server, &resuming("alice", &ready, 1, 1)).await;
    raw.write(&json!({ "type": "cancel", "re": 1 })).await;
    assert_eq!(end_of(&mut raw, 2).await.0["error"]["code"], "cancelled");
    assert_eq!(former.ended().await.code, 4013);
}

#[tokio::test]
async fn a_failure_after_the_ack_is_told_even_if_no_answer_was_asked_for() {
    let server = started(&[]).await;
    let (mut raw, _) = Raw::ready(&server, &hello_as("alice")).await;
    raw.write(&json!({ "type": "send", "id": 1, "event": "chat.message", "payload": { "wrong": 1 } })).await;
    let part = raw.message(1).await;
    assert_eq!((&part["re"], &part["end"], &part["error"]["code"]), (&json!(1), &json!(true), &json!("bad_payload")));
    raw.acked(1).await;
}

#[tokio::test]
async fn a_chat_line_reaches_everyone_and_a_notification_one_subject() {
    let server = started(&[]).await;
    let (mut alice, _) = Raw::ready(&server, &hello_as("alice")).await;
    let (mut bob, _) = Raw::ready(&server, &hello_as("bob")).await;
    let (mut other_bob, _) = Raw::ready(&server, &hello_as("bob")).await;
    alice.write(&json!({ "type": "send", "id": 1, "event": "chat.message", "payload": { "text": "hi" } })).await;
    for raw in [&mut alice, &mut bob, &mut other_bob] {
        let said = raw.message(1).await;
        assert_eq!((&said["event"], &said["payload"]["from"]), (&json!("chat.message"), &json!("alice")));
    }
    alice.ask(2, "notify", json!({ "subject": "bob", "text": "lunch?" })).await;
    assert_eq!(alice.message(2).await["payload"], json!({ "sessions": 2 }));
    for raw in [&mut bob, &mut other_bob] {
        let notified = raw.message(2).await;
        assert_eq!(notified["event"], "notification");
        assert_eq!(notified["payload"], json!({ "from": "alice", "text": "lunch?" }));
    }
}

#[tokio::test]
async fn no_more_than_the_window_is_sent_and_not_yet_taken() {
    let server = started(&[]).await;
    let mut hello = hello_as("alice");
    hello["window"] = json!({ "messages": 2, "bytes": 1 << 20 });
    let (mut raw, _) = Raw::ready(&server, &hello).await;
    for id in 1..=5 {
        raw.ask(id, "echo", json!(id)).await;
    }
    raw.acked(5).await;
    raw.write(&json!({ "type": "ping", "nonce": "n" })).await;
    // Both messages came before the acks; nothing but the pong is left.
    assert_eq!(raw.frame().await["type"], "pong");
    raw.taken(1).await;
    raw.message(3).await;
    raw.taken(3).await;
    raw.message(4).await;
    raw.message(5).await;
}

struct Clumsy;

impl Handler for Clumsy {
    fn handle<'a>(&'a self, request: Request, _: &'a mut Answer) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            panic!("{request:?} was too much");
        })
    }
}

#[tokio::test]
async fn a_handler_that_panics_ends_its_answer_and_nothing_else() {
    let application = Application::new().with("stumble", Clumsy).with("echo", readywire_server::handlers::Echo);
    let server = served(with_handlers(application)).await;
    let (mut raw, _) = Raw::ready(&server, &hello_as("alice")).await;
    raw.ask(1, "stumble", json!(null)).await;
    let part = raw.message(1).await;
    assert_eq!((&part["re"], &part["end"], &part["error"]["code"]), (&json!(1), &json!(true), &json!("internal")));
    raw.echoes(2).await;
}

#[tokio::test]
async fn what_would_be_too_large_a_frame_is_a_failure_and_not_sent() {
    let server = started(&[]).await;
    let (mut raw, _) = Raw::ready(&server, &hello_as("alice")).await;
    // As large as a send can be: the answer's frame would be larger.
    let send = r#"{"type":"send","id":1,"event":"echo","answer":true,"payload":""}"#;
    raw.ask(1, "echo", json!("x".repeat((1 << 20) - send.len()))).await;
    let part = raw.message(1).await;
    assert_eq!((&part["end"], &part["error"]["code"]), (&json!(true), &json!("too_large")));
    raw.ask(2, "chat.message", json!({ "text": "x".repeat((1 << 20) - 100) })).await;
    assert_eq!(raw.message(2).await["error"]["code"], "too_large");
    // Nor does a failure quote all that it complains of.
    raw.ask(3, "agent.run", json!({ "prompt": "", "pace_ms": "x".repeat(1 << 19) })).await;
    let part = raw.message(3).await;
    assert_eq!(part["error"]["code"], "bad_payload");
    assert!(part.to_string().len() < 2000);
    raw.ask(4, &"x".repeat(1 << 19), json!(null)).await;
    assert!(raw.until("nack").await.to_string().len() < 2000);
    raw.ask(5, "echo", json!("x".repeat((1 << 20) - 400))).await;
    assert_eq!(raw.message(4).await["payload"].as_str().unwrap().len(), (1 << 20) - 400);
}
