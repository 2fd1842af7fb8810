//! The protocol in front of an existing application, scripted here as a plain WebSocket server.

use crate::peer::{PATIENCE, Raw, hello_as, parts, resuming, served};
use futures::{SinkExt, StreamExt};
use readywire_server::gateway::{Gateway, Target};
use readywire_server::hub::Parts;
use readywire_server::server::Running;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, accept_async, connect_async};

type Application = WebSocketStream<TcpStream>;

/// A gateway, and the address that its upstreams come to.
async fn gateway(alter: impl FnOnce(&mut Target)) -> (Running, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut target = Target {
        url: format!("ws://{}/", listener.local_addr().unwrap()),
        protocols: Vec::new(),
        opening: Vec::new(),
        ready_when: Some("/type=welcome".parse().unwrap()),
        ready_timeout: Duration::from_secs(10),
        forward_token: false,
    };
    alter(&mut target);
    let running = served(Parts { gateway: Some(Gateway::new(target)), anonymous: true, ..parts() }).await;
    (running, listener)
}

async fn accept(listener: &TcpListener) -> Application {
    let (stream, _) = timeout(PATIENCE, listener.accept()).await.expect("in time").unwrap();
    accept_async(stream).await.unwrap()
}

/// Without asking for an answer.
async fn send(client: &mut Raw, id: u64, event: &str, payload: Value) {
    client.write(&json!({ "type": "send", "id": id, "event": event, "payload": payload })).await;
}

async fn say(application: &mut Application, text: &str) {
    application.send(Message::text(text)).await.unwrap();
}

async fn heard<S>(socket: &mut WebSocketStream<S>) -> String
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    loop {
        match timeout(PATIENCE, socket.next()).await.expect("in time").expect("not over").expect("readable") {
            Message::Text(text) => return text.to_string(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_application_behind_has_no_streams() {
    let (running, listener) = gateway(|_| {}).await;
    let mut hello = hello_as("alice");
    hello["capabilities"] = json!(["resume", "answers", "streams"]);
    let mut client = Raw::greet(&running, &hello).await;
    let mut application = accept(&listener).await;
    say(&mut application, r#"{"type":"welcome"}"#).await;
    assert_eq!(client.until("ready").await["capabilities"], json!(["resume", "answers"]));
}

#[tokio::test]
async fn ready_is_said_when_the_application_says_so_and_an_ack_when_it_was_written() {
    let (running, listener) = gateway(|target| {
        target.opening = vec![r#"{"type":"init","who":"${subject}"}"#.to_owned()];
    })
    .await;
    let mut client = Raw::greet(&running, &hello_as("alice")).await;
    let mut application = accept(&listener).await;
    assert_eq!(heard(&mut application).await, r#"{"type":"init","who":"alice"}"#);
    client.until("stage").await;
    let pending = loop {
        let stage = client.until("stage").await;
        if stage["pending"].is_array() {
            break stage;
        }
    };
    assert_eq!(pending["pending"], json!(["upstream"]));
    say(&mut application, r#"{"type":"welcome"}"#).await;
    let ready = client.until("ready").await;
    assert_eq!(ready["session"]["durability"], "process");
    assert!(ready["impaired"].as_array().is_none_or(Vec::is_empty), "{ready}");
    let first = client.until("message").await;
    assert_eq!((&first["event"], &first["payload"]), (&json!("json"), &json!({ "type": "welcome" })));

    send(&mut client, 1, "json", json!({ "n": 1 })).await;
    send(&mut client, 2, "text", json!("as it is")).await;
    send(&mut client, 3, "other", json!(1)).await;
    assert_eq!(heard(&mut application).await, r#"{"n":1}"#);
    assert_eq!(heard(&mut application).await, "as it is");
    assert_eq!(client.until("nack").await["code"], "unknown_event");
    client.acked(3).await;
    client.write(&json!({ "type": "send", "id": 4, "event": "json", "payload": 1, "answer": true })).await;
    assert_eq!(client.until("nack").await["code"], "unsupported", "nobody would ever end that answer");
    say(&mut application, "no JSON").await;
    let told = client.until("message").await;
    assert_eq!((&told["event"], &told["payload"]), (&json!("text"), &json!("no JSON")));
}

#[tokio::test]
async fn a_cut_loses_nothing_while_the_upstream_lives() {
    let (running, listener) = gateway(|_| {}).await;
    let mut client = Raw::greet(&running, &hello_as("alice")).await;
    let mut application = accept(&listener).await;
    say(&mut application, r#"{"type":"welcome"}"#).await;
    let ready = client.until("ready").await;
    client.message(1).await;
    send(&mut client, 1, "json", json!(1)).await;
    assert_eq!(heard(&mut application).await, "1");
    drop(client);
    say(&mut application, "2").await;
    let (mut client, again) = Raw::ready(&running, &resuming("alice", &ready, 1, 1)).await;
    assert_eq!((&again["session"]["resumed"], &again["received"]), (&json!(true), &json!(1)));
    assert_eq!(client.message(2).await["payload"], json!(2));
    send(&mut client, 2, "json", json!(3)).await;
    assert_eq!(heard(&mut application).await, "3", "on the same connection");
}

#[tokio::test]
async fn with_its_upstream_a_session_ends() {
    let (running, listener) = gateway(|_| {}).await;
    let mut client = Raw::greet(&running, &hello_as("alice")).await;
    let mut application = accept(&listener).await;
    say(&mut application, r#"{"type":"welcome"}"#).await;
    let ready = client.until("ready").await;
    let frame = CloseFrame { code: 4403.into(), reason: "forbidden".into() };
    application.close(Some(frame)).await.unwrap();
    let ended = client.ended().await;
    assert_eq!((ended.code, ended.reason.as_str()), (4202, "upstream: closed with 4403 forbidden"));

    let mut client = Raw::greet(&running, &resuming("alice", &ready, 1, 1)).await;
    let mut application = accept(&listener).await;
    say(&mut application, r#"{"type":"welcome"}"#).await;
    let again = client.until("ready").await;
    assert_eq!(again["session"]["resumed"], json!(false), "what the application knew is gone");
    application.close(Some(CloseFrame { code: 1000.into(), reason: "".into() })).await.unwrap();
    assert_eq!(client.ended().await.code, 1000, "the application's own good-bye");
}

#[tokio::test]
async fn an_application_that_is_not_there_or_never_ready_is_told() {
    let (running, listener) = gateway(|target| target.ready_timeout = Duration::from_secs(1)).await;
    let mut client = Raw::greet(&running, &hello_as("alice")).await;
    let mut application = accept(&listener).await;
    say(&mut application, "something else").await;
    let ended = client.ended().await;
    assert_eq!(ended.code, 4201);
    assert!(ended.reason.contains("the last began `something else`"), "{}", ended.reason);
    drop(listener);
    let mut client = Raw::greet(&running, &hello_as("alice")).await;
    assert_eq!(client.ended().await.code, 4202);
}

#[tokio::test]
async fn without_a_rule_unconfirmed_is_said() {
    let (running, listener) = gateway(|target| target.ready_when = None).await;
    let mut client = Raw::greet(&running, &hello_as("alice")).await;
    let mut application = accept(&listener).await;
    assert_eq!(client.until("ready").await["impaired"], json!(["upstream_unconfirmed"]));
    send(&mut client, 1, "json", json!(1)).await;
    assert_eq!(heard(&mut application).await, "1");
    client.acked(1).await;
}

#[tokio::test]
async fn a_plain_client_is_held_until_the_application_is_ready() {
    let (running, listener) = gateway(|_| {}).await;
    let (mut client, _) = connect_async(format!("ws://{}/ws", running.address())).await.unwrap();
    for number in 0..5 {
        client.send(Message::text(format!("{number}"))).await.unwrap();
    }
    let mut application = accept(&listener).await;
    say(&mut application, r#"{"type":"welcome"}"#).await;
    for number in 0..5 {
        assert_eq!(heard(&mut application).await, format!("{number}"));
    }
    assert_eq!(heard(&mut client).await, r#"{"type":"welcome"}"#, "as it came");
    let frame = CloseFrame { code: 4403.into(), reason: "forbidden".into() };
    application.close(Some(frame)).await.unwrap();
    let code = loop {
        match timeout(PATIENCE, client.next()).await.expect("in time").expect("not over").expect("readable") {
            Message::Close(frame) => break frame.map(|frame| u16::from(frame.code)),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(code, Some(4403), "the application's own");
}

#[tokio::test]
async fn the_upstream_goes_with_the_session_and_not_with_the_connection() {
    let (running, listener) = gateway(|_| {}).await;
    let mut client = Raw::greet(&running, &hello_as("alice")).await;
    let mut application = accept(&listener).await;
    say(&mut application, r#"{"type":"welcome"}"#).await;
    client.until("ready").await;
    client.write(&json!({ "type": "bye", "code": 1000 })).await;
    let ended = async {
        while let Some(Ok(message)) = application.next().await {
            if message.is_close() {
                return true;
            }
        }
        false
    };
    assert!(timeout(PATIENCE, ended).await.expect("in time"), "closed properly");
}
