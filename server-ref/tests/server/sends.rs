//! Sends: decided once, processed once.

use crate::peer::{HOUR, PATIENCE, Raw, hello_as, resuming, served, started, switch, with_handlers};
use futures::FutureExt;
use futures::future::BoxFuture;
use readywire_protocol::json::Payload;
use readywire_server::application::{Answer, Application, Failure, Handler, Rejection, Request};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Keeps what it was given, in order.
#[derive(Clone, Default)]
struct Ledger(Arc<Mutex<Vec<u64>>>);

impl Handler for Ledger {
    fn handle<'a>(&'a self, request: Request, answer: &'a mut Answer) -> BoxFuture<'a, Result<(), Failure>> {
        self.0.lock().unwrap().push(request.id);
        async move {
            // The rest in any order: what counts is who starts first.
            tokio::task::yield_now().await;
            answer.end("entered", &request.id).await
        }
        .boxed()
    }
}

impl Ledger {
    fn application(&self) -> Application {
        Application::new().with("enter", self.clone())
    }

    fn entries(&self) -> Vec<u64> {
        self.0.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn a_retried_send_is_answered_again_and_not_processed_twice() {
    let ledger = Ledger::default();
    let server = served(with_handlers(ledger.application())).await;
    let (mut raw, ready) = Raw::ready(&server, &hello_as("alice")).await;
    switch(&server, json!({ "lose_acks": 100 }));
    raw.ask(1, "enter", Value::Null).await;
    raw.ask(2, "unheard of", Value::Null).await;
    // The nack goes out at once, the answer when it is there.
    let mut seen = [raw.frame().await["type"].clone(), raw.frame().await["type"].clone()];
    seen.sort_by_key(Value::to_string);
    assert_eq!(seen, ["message", "nack"]);
    switch(&server, json!({ "cut": true, "lose_acks": 0 }));
    raw.cut().await;

    let (mut raw, ready) = Raw::ready(&server, &resuming("alice", &ready, 1, 0)).await;
    assert_eq!(ready["received"], 2);
    assert_eq!(ready["refused"][0]["id"], 2, "the refusal is kept");
    raw.ask(1, "enter", Value::Null).await;
    raw.ask(2, "unheard of", Value::Null).await;
    raw.ask(3, "enter", Value::Null).await;
    assert_eq!(raw.until("nack").await["id"], 2, "answered as it was the first time");
    raw.acked(3).await;
    assert_eq!(ledger.entries(), [1, 3]);
}

#[tokio::test]
async fn lost_acks_are_lost_and_later_ones_cover_them() {
    let server = started(&["--faults"]).await;
    let (mut raw, _) = Raw::ready(&server, &hello_as("alice")).await;
    switch(&server, json!({ "lose_acks": 1 }));
    raw.ask(1, "echo", json!(1)).await;
    raw.message(1).await;
    // A ping behind the ack would overtake it only if that is lost: acks are written within 20 ms.
    while server.hub().parts.faults.loses_acks() {
        raw.write(&json!({ "type": "ping", "nonce": "n" })).await;
        assert_eq!(raw.frame().await["type"], "pong", "no ack");
    }
    raw.ask(2, "echo", json!(2)).await;
    assert_eq!(raw.until("ack").await["id"], 2);
}

#[tokio::test]
async fn handlers_start_in_the_order_of_the_ids() {
    let ledger = Ledger::default();
    let server = served(with_handlers(ledger.application())).await;
    let (mut raw, _) = Raw::ready(&server, &hello_as("alice")).await;
    let ids: Vec<u64> = (1..=60).map(|number| number * 3).collect();
    for id in &ids {
        raw.ask(*id, "enter", Value::Null).await;
    }
    raw.acked(180).await;
    assert_eq!(ledger.entries(), ids);
}

#[tokio::test]
async fn a_key_is_recognised_in_another_session_and_for_its_subject_alone() {
    let ledger = Ledger::default();
    let server = served(with_handlers(ledger.application())).await;
    let send = |id: u64| json!({ "type": "send", "id": id, "event": "enter", "payload": null, "key": "order 66" });
    let (mut first, _) = Raw::ready(&server, &hello_as("alice")).await;
    first.write(&send(1)).await;
    first.acked(1).await;
    let (mut second, _) = Raw::ready(&server, &hello_as("alice")).await;
    second.write(&send(7)).await;
    second.acked(7).await;
    assert_eq!(ledger.entries(), [1]);
    let (mut other, _) = Raw::ready(&server, &hello_as("bob")).await;
    other.write(&send(9)).await;
    other.acked(9).await;
    assert_eq!(ledger.entries(), [1, 9]);
}

#[tokio::test]
async fn two_ends_that_both_have_much_to_say_do_not_wait_for_each_other() {
    let mut parts = with_handlers(readywire_server::handlers::application());
    parts.config.inbox.bytes = 1 << 30;
    // However long this client takes to begin reading.
    parts.config.ping_timeout = HOUR;
    let server = served(parts).await;
    let mut hello = hello_as("alice");
    hello["window"] = json!({ "messages": 100_000, "bytes": 1 << 30 });
    let (mut raw, _) = Raw::ready(&server, &hello).await;
    // More than the buffers between the two hold, each way, before the first answer is read.
    let text = "x".repeat(512 << 10);
    let writing = async {
        for id in 1..=40 {
            raw.ask(id, "echo", json!(text)).await;
        }
    };
    tokio::time::timeout(3 * PATIENCE, writing).await.expect("the server goes on reading");
    for offset in 1..=40 {
        assert_eq!(raw.message(offset).await["re"], offset);
    }
}

/// Takes what is even.
struct Even(Ledger);

impl Handler for Even {
    fn admit(&self, subject: &str, payload: &Payload) -> Result<(), Rejection> {
        let even = payload.text().and_then(|text| text.parse::<u64>().ok()).is_some_and(|number| number % 2 == 0);
        let rejection = Rejection::new("odd", format!("not with {subject}")).retry_after(Duration::from_millis(1500));
        if even { Ok(()) } else { Err(rejection) }
    }

    fn handle<'a>(&'a self, request: Request, answer: &'a mut Answer) -> BoxFuture<'a, Result<(), Failure>> {
        self.0.handle(request, answer)
    }
}

#[tokio::test]
async fn what_a_handler_does_not_admit_is_refused_in_its_words_and_not_processed() {
    let ledger = Ledger::default();
    let server = served(with_handlers(Application::new().with("enter", Even(ledger.clone())))).await;
    let (mut raw, _) = Raw::ready(&server, &hello_as("alice")).await;
    for id in [1, 2, 3] {
        raw.ask(id, "enter", json!(id)).await;
    }
    let nack = raw.until("nack").await;
    assert_eq!((&nack["id"], &nack["code"], &nack["retry"]), (&json!(1), &json!("odd"), &json!(true)));
    assert_eq!((&nack["message"], &nack["retry_after_ms"]), (&json!("not with alice"), &json!(1500)));
    assert_eq!(raw.until("nack").await["id"], 3);
    raw.acked(3).await;
    assert_eq!(ledger.entries(), [2]);
}
