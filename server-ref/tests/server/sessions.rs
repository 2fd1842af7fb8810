//! What outlives a connection, and who gets it.

use crate::peer::{PATIENCE, Raw, hello_as, parts, resuming, served, started, switch, with_handlers};
use futures::FutureExt;
use futures::future::BoxFuture;
use readywire_protocol::config::ServerConfig;
use readywire_server::application::{Answer, Application, Failure, Handler, Request};
use readywire_server::hub::Parts;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn forged_and_foreign_resumes_get_a_new_session_and_nothing_of_the_old() {
    let server = started(&[]).await;
    let (mut owner, ready) = Raw::ready(&server, &hello_as("alice")).await;
    owner.ask(1, "echo", json!("a secret")).await;
    owner.message(1).await;
    let mut forged = resuming("alice", &ready, 1, 0);
    forged["resume"]["token"] = json!("forged");
    let mut unknown = resuming("alice", &ready, 1, 0);
    unknown["resume"]["session"] = json!("0123456789abcdef0123456789abcdef");
    let mut beyond = resuming("alice", &ready, 1, 99);
    beyond["resume"]["settled"] = json!(0);
    let foreign = resuming("mallory", &ready, u64::MAX >> 12, 0);
    let mut answers = Vec::new();
    for hello in [forged, foreign, unknown, beyond] {
        let (mut raw, other) = Raw::ready(&server, &hello).await;
        assert_ne!(other["session"]["id"], ready["session"]["id"]);
        assert_eq!((&other["received"], &other["session"]["resumed"]), (&json!(0), &json!(false)));
        answers.push(other["session"]["lost_because"].clone());
        raw.ask(1, "echo", json!("mine")).await;
        assert_eq!(raw.message(1).await["payload"], "mine", "an inbox of its own");
    }
    assert_eq!(answers, vec![json!("not_found"); 4], "and no hint why");
    owner.echoes(2).await;
}

#[tokio::test]
async fn the_later_attempt_has_the_session() {
    let server = started(&[]).await;
    let (mut first, ready) = Raw::ready(&server, &hello_as("alice")).await;
    first.echoes(1).await;

    let (mut second, again) = Raw::ready(&server, &resuming("alice", &ready, 2, 0)).await;
    assert_eq!((&again["session"]["resumed"], &again["received"]), (&json!(true), &json!(1)));
    assert_eq!(first.ended().await.code, 4013);

    let late = Raw::greet(&server, &resuming("alice", &ready, 1, 0)).await.ended().await;
    assert_eq!((late.code, late.reason.as_str()), (4013, "a later attempt has the session"));
    second.message(1).await;
    second.echoes(2).await;

    // The same hello again, as after a `ready` that got lost.
    let (mut third, _) = Raw::ready(&server, &resuming("alice", &again, 2, 1)).await;
    assert_eq!(second.ended().await.code, 4013);
    third.message(2).await;
}

#[tokio::test]
async fn the_former_token_is_good_until_the_new_one_is_used() {
    let server = started(&[]).await;
    let (mut first, ready) = Raw::ready(&server, &hello_as("alice")).await;
    first.echoes(1).await;
    let (_lost, unread) = Raw::ready(&server, &resuming("alice", &ready, 1, 1)).await;
    assert_ne!(unread["session"]["token"], ready["session"]["token"]);
    let (mut third, again) = Raw::ready(&server, &resuming("alice", &ready, 2, 1)).await;
    assert_eq!(again["session"]["resumed"], true, "nobody is locked out by a lost ready");
    third.echoes(2).await;
    let (_, forgotten) = Raw::ready(&server, &resuming("alice", &ready, 3, 1)).await;
    assert_eq!(forgotten["session"]["resumed"], false);
    let (_, known) = Raw::ready(&server, &resuming("alice", &again, 3, 1)).await;
    assert_eq!(known["session"]["resumed"], true);
}

/// Tells when the session that asked is over.
struct Vigil(mpsc::UnboundedSender<()>);

impl Handler for Vigil {
    fn handle<'a>(&'a self, _: Request, answer: &'a mut Answer) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            answer.cancellation().cancelled().await;
            let _ = self.0.send(());
            Ok(())
        }
        .boxed()
    }
}

async fn told(is_over: &mut mpsc::UnboundedReceiver<()>) {
    let told = tokio::time::timeout(PATIENCE, is_over.recv()).await;
    told.expect("its work is told to stop in time").expect("its work goes on until then");
}

#[tokio::test]
async fn a_detached_session_ends_after_its_time() {
    let (over, mut is_over) = mpsc::unbounded_channel();
    let config = ServerConfig { session_ttl: Duration::from_secs(2), ..ServerConfig::default() };
    let application = Application::new().with("vigil", Vigil(over));
    let server = served(Parts { config, ..with_handlers(application) }).await;

    let (mut raw, ready) = Raw::ready(&server, &hello_as("alice")).await;
    assert_eq!(ready["session"]["ttl_ms"], 2000);
    raw.ask(1, "vigil", Value::Null).await;
    raw.acked(1).await;
    switch(&server, json!({ "cut": true }));
    raw.cut().await;
    let (mut raw, ready) = Raw::ready(&server, &resuming("alice", &ready, 1, 0)).await;
    assert_eq!(ready["session"]["resumed"], true, "its time is not over yet");
    switch(&server, json!({ "cut": true }));
    raw.cut().await;

    told(&mut is_over).await;
    let (_, ready) = Raw::ready(&server, &resuming("alice", &ready, 2, 0)).await;
    assert_eq!(ready["session"]["lost_because"], "not_found");
}

#[tokio::test]
async fn only_a_farewell_ends_a_session() {
    let (over, mut is_over) = mpsc::unbounded_channel();
    let server = served(with_handlers(Application::new().with("vigil", Vigil(over)))).await;
    let (mut raw, ready) = Raw::ready(&server, &hello_as("alice")).await;
    raw.ask(1, "vigil", Value::Null).await;
    raw.acked(1).await;
    raw.write(&json!({ "type": "bye", "code": 4210, "reason": "no progress" })).await;
    let Message::Close(Some(frame)) = raw.next().await else { panic!("a bye is answered by a close frame") };
    assert_eq!(u16::from(frame.code), 4210);

    let (mut raw, ready) = Raw::ready(&server, &resuming("alice", &ready, 1, 0)).await;
    assert_eq!(ready["session"]["resumed"], true);
    assert!(is_over.try_recv().is_err());
    raw.write(&json!({ "type": "bye", "code": 1000, "reason": "done" })).await;
    told(&mut is_over).await;
    let (_, ready) = Raw::ready(&server, &resuming("alice", &ready, 2, 0)).await;
    assert_eq!(ready["session"]["resumed"], false);
}

#[tokio::test]
async fn an_inbox_that_stays_full_ends_its_session_and_no_other() {
    let mut parts = parts();
    parts.config.inbox.messages = 4;
    let server = served(parts).await;
    let (mut idle, ready) = Raw::ready(&server, &hello_as("alice")).await;
    let (mut chatty, _) = Raw::ready(&server, &hello_as("bob")).await;
    for id in 1..=5 {
        chatty.ask(id, "chat.message", json!({ "text": "hello" })).await;
        let mut said = chatty.until("message").await;
        while said["event"] != "chat.message" {
            said = chatty.until("message").await;
        }
        chatty.taken(said["offset"].as_u64().unwrap()).await;
    }
    // Four were kept; the fifth cannot be lost without a word.
    for offset in 1..=4 {
        idle.message(offset).await;
    }
    assert_eq!(idle.ended().await.code, 4209);
    let (_, ready) = Raw::ready(&server, &resuming("alice", &ready, 1, 4)).await;
    assert_eq!(ready["session"]["resumed"], false);
    chatty.ask(6, "echo", json!("still here")).await;
    chatty.acked(6).await;
}
