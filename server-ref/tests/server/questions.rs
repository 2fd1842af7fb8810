//! Questions of handlers: who is asked answers once, in whichever process, or nobody waits any more.

use crate::peer::{PATIENCE, Raw, hello_as, parts, resuming, served, with_handlers};
use futures::FutureExt;
use futures::future::BoxFuture;
use readywire_protocol::json::Payload;
use readywire_server::application::{Answer, Application, Failure, Handler, Request, Room, Unanswered};
use readywire_server::hub::Parts;
use readywire_server::log::Log;
use readywire_server::log::memory::MemoryLog;
use readywire_server::server::Running;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Asks what it is sent, for so many milliseconds, and answers with what came of it.
struct Ask {
    ends: mpsc::UnboundedSender<Result<Payload, Unanswered>>,
}

impl Handler for Ask {
    fn handle<'a>(&'a self, request: Request, answer: &'a mut Answer) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let within: u64 = request.read()?;
            let permitted = request.ask("confirm", &request.payload, Duration::from_millis(within)).await;
            let _ = self.ends.send(permitted.clone());
            answer.part("permitted", permitted?, true).await
        }
        .boxed()
    }
}

type Ends = mpsc::UnboundedReceiver<Result<Payload, Unanswered>>;

fn asking() -> (Application, Ends) {
    let (ends, ended) = mpsc::unbounded_channel();
    (Application::new().with("ask", Ask { ends }), ended)
}

async fn bench() -> (Running, Ends) {
    let (application, ends) = asking();
    (served(with_handlers(application)).await, ends)
}

/// As two processes are: they share the log, and nothing else.
async fn two() -> (Running, Running, Ends) {
    let log: Arc<dyn Log> = MemoryLog::new();
    let (application, ends) = asking();
    let one = served(Parts { log: log.clone(), application, ..parts() }).await;
    (one, served(Parts { log, ..parts() }).await, ends)
}

const LONG: u64 = 3_600_000;

async fn ended(ends: &mut Ends) -> Result<Payload, Unanswered> {
    tokio::time::timeout(PATIENCE, ends.recv()).await.unwrap().unwrap()
}

fn speaking(mut hello: Value) -> Value {
    hello["capabilities"] = json!(["resume", "answers", "questions"]);
    hello
}

fn hello() -> Value {
    speaking(hello_as("alice"))
}

fn reply(id: u64, re: u64) -> Value {
    json!({ "type": "send", "id": id, "event": "", "re": re, "payload": [id] })
}

/// A client that was asked, at offset 1.
async fn asked(server: &Running, within: u64) -> (Raw, Value) {
    let (mut raw, ready) = Raw::ready(server, &hello()).await;
    assert_eq!(ready["capabilities"], json!(["resume", "answers", "questions"]));
    raw.ask(1, "ask", json!(within)).await;
    let question = raw.message(1).await;
    assert_eq!((&question["asks"], &question["event"]), (&json!(true), &json!("confirm")));
    assert_eq!((&question["payload"], &question["re"]), (&json!(within), &Value::Null));
    (raw, ready)
}

async fn refused(raw: &mut Raw, id: u64, code: &str) {
    let nack = raw.until("nack").await;
    assert_eq!((&nack["id"], &nack["code"], &nack["retry"]), (&json!(id), &json!(code), &Value::Null), "{nack}");
}

#[tokio::test]
async fn the_first_answer_is_what_the_handler_is_told() {
    let (server, mut ends) = bench().await;
    let (mut raw, _) = asked(&server, LONG).await;
    for id in 2..=4 {
        raw.write(&reply(id, 1)).await;
    }
    let (mut refused_ids, mut answered) = (Vec::new(), false);
    while refused_ids.len() < 2 || !answered {
        let frame = raw.frame().await;
        match frame["type"].as_str().unwrap() {
            "nack" => refused_ids.push((frame["id"].clone(), frame["code"].clone())),
            "message" => answered = frame["payload"] == json!([2]),
            _ => {}
        }
    }
    assert_eq!(refused_ids, [3, 4].map(|id| (json!(id), json!("not_asked"))));
    assert_eq!(ended(&mut ends).await.unwrap().text(), Some("[2]"));
    // Nor is what was answered before, or never asked.
    for (id, re) in [(5, 1), (6, 2), (7, 99)] {
        raw.write(&reply(id, re)).await;
        refused(&mut raw, id, "not_asked").await;
    }
}

#[tokio::test]
async fn why_there_is_no_answer_reaches_the_handler() {
    let (server, mut ends) = bench().await;
    let (mut raw, _) = asked(&server, LONG).await;
    let error = json!({ "code": "denied", "message": "not today" });
    raw.write(&json!({ "type": "send", "id": 2, "event": "", "re": 1, "error": error })).await;
    let (code, message) = ("denied".to_owned(), "not today".to_owned());
    assert_eq!(ended(&mut ends).await, Err(Unanswered::Refused { code, message }));
    assert_eq!(raw.message(2).await["error"]["code"], "denied");
}

#[tokio::test]
async fn what_nobody_waits_for_any_more_is_withdrawn() {
    let (server, mut ends) = bench().await;
    // Long enough to be asked, and soon over.
    let (mut raw, _) = asked(&server, 100).await;
    assert_eq!(raw.until("cancel").await["re"], 1);
    assert_eq!(ended(&mut ends).await, Err(Unanswered::Deadline));
    raw.write(&reply(2, 1)).await;
    refused(&mut raw, 2, "not_asked").await;
    // So is the question of work that its client stops.
    raw.ask(3, "ask", json!(LONG)).await;
    // Behind the end of the first.
    let question = raw.message(3).await;
    raw.write(&json!({ "type": "cancel", "re": 3 })).await;
    assert_eq!(raw.until("cancel").await["re"], question["offset"]);
    assert_eq!(ended(&mut ends).await, Err(Unanswered::Stopped));
}

#[tokio::test]
async fn what_was_withdrawn_meanwhile_is_told_behind_ready() {
    let (server, mut ends) = bench().await;
    let (mut raw, ready) = asked(&server, 100).await;
    raw.taken(1).await;
    drop(raw);
    assert_eq!(ended(&mut ends).await, Err(Unanswered::Deadline));
    for attempt in 1..=2 {
        let (mut raw, again) = Raw::ready(&server, &speaking(resuming("alice", &ready, attempt, 1))).await;
        assert_eq!(again["session"]["resumed"], true);
        // Again if the one before may have been lost.
        assert_eq!(raw.until("cancel").await["re"], 1);
    }
}

#[tokio::test]
async fn what_was_not_delivered_before_it_was_withdrawn_is_withdrawn_behind_it() {
    let (server, mut ends) = bench().await;
    let (raw, ready) = asked(&server, 100).await;
    drop(raw);
    assert_eq!(ended(&mut ends).await, Err(Unanswered::Deadline));
    let (mut raw, _) = Raw::ready(&server, &speaking(resuming("alice", &ready, 1, 0))).await;
    assert_eq!(raw.message(1).await["asks"], true);
    assert_eq!(raw.until("cancel").await["re"], 1);
}

#[tokio::test]
async fn it_is_open_over_a_cut_and_at_the_other_server() {
    let (one, other, mut ends) = two().await;
    let (mut former, ready) = asked(&one, LONG).await;
    former.taken(1).await;
    let (mut raw, again) = Raw::ready(&other, &speaking(resuming("alice", &ready, 1, 1))).await;
    assert_eq!(again["session"]["resumed"], true);
    assert_eq!(former.ended().await.code, 4013);
    raw.write(&reply(2, 1)).await;
    assert_eq!(ended(&mut ends).await.unwrap().text(), Some("[2]"));
    assert_eq!(raw.message(2).await["payload"], json!([2]));
    raw.write(&reply(3, 1)).await;
    refused(&mut raw, 3, "not_asked").await;
}

#[tokio::test]
async fn it_is_withdrawn_at_the_other_server() {
    let (one, other, mut ends) = two().await;
    let (mut former, ready) = asked(&one, LONG).await;
    former.taken(1).await;
    let (mut raw, _) = Raw::ready(&other, &speaking(resuming("alice", &ready, 1, 1))).await;
    raw.write(&json!({ "type": "cancel", "re": 1 })).await;
    assert_eq!(raw.until("cancel").await["re"], 1);
    assert_eq!(ended(&mut ends).await, Err(Unanswered::Stopped));
}

#[tokio::test]
async fn who_does_not_answer_questions_is_not_asked() {
    let (server, mut ends) = bench().await;
    let (mut raw, _) = Raw::ready(&server, &hello_as("alice")).await;
    raw.ask(1, "ask", json!(LONG)).await;
    let nothing = raw.message(1).await;
    assert_eq!((&nothing["asks"], &nothing["event"], &nothing["payload"]), (&Value::Null, &json!(""), &Value::Null));
    assert_eq!(nothing["error"]["code"], "unsupported");
    assert_eq!(ended(&mut ends).await, Err(Unanswered::Unsupported));

    // Nor is who comes back without.
    let (raw, ready) = asked(&server, LONG).await;
    drop(raw);
    Raw::ready(&server, &resuming("alice", &ready, 1, 1)).await;
    assert_eq!(ended(&mut ends).await, Err(Unanswered::Unsupported));
}

#[tokio::test]
async fn with_the_session_ends_the_wait() {
    let (server, mut ends) = bench().await;
    let (mut raw, _) = asked(&server, LONG).await;
    raw.write(&json!({ "type": "bye", "code": 1000, "reason": "" })).await;
    assert!(matches!(ended(&mut ends).await, Err(Unanswered::Gone | Unanswered::Stopped)));
    let log = &server.hub().parts.log;
    tokio::time::timeout(PATIENCE, async {
        while !log.list("question/").await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_session_is_asked_from_anywhere() {
    let (_, other, _) = two().await;
    let (mut raw, ready) = Raw::ready(&other, &hello()).await;
    let session = ready["session"]["id"].as_str().unwrap().to_owned();
    let hub = other.hub();
    let ask = async |session: String, payload: Payload| hub.ask("alice", &session, "confirm", &payload, PATIENCE).await;
    let mut asking = std::pin::pin!(ask(session, Payload::null()));
    assert!(futures::poll!(&mut asking).is_pending());
    assert_eq!(raw.message(1).await["asks"], true);
    raw.write(&reply(1, 1)).await;
    assert_eq!(asking.await.unwrap().text(), Some("[1]"));
    for nobody in ["nobody", "a/b"] {
        assert_eq!(ask(nobody.to_owned(), Payload::null()).await, Err(Unanswered::Gone));
    }
    let large = Payload::parse(&format!("\"{}\"", "x".repeat(2 << 20))).unwrap();
    assert!(matches!(ask("nobody".to_owned(), large).await, Err(Unanswered::Undeliverable(_))));
}
