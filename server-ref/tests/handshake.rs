//! The server over loopback, with a raw WebSocket client that does what it likes.

use clap::Parser;
use futures::{SinkExt, StreamExt};
use readywire_server::claims::Authority;
use readywire_server::command_line::CommandLine;
use readywire_server::server::{self, Running};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const SECRET: &[u8] = b"a secret for tests, of enough bytes";
const HOUR: Duration = Duration::from_secs(3600);
/// Far beyond what any step takes: a test that gets here has failed.
const PATIENCE: Duration = Duration::from_secs(20);

fn authority() -> Authority {
    Authority::new(SECRET, "readywire", "readywire").unwrap()
}

async fn started(flags: &[&str]) -> Running {
    let line = ["readywire-server", "--listen", "127.0.0.1:0"].into_iter().chain(flags.iter().copied());
    server::start(&CommandLine::parse_from(line), authority()).await.unwrap()
}

struct Raw(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Raw {
    async fn dial(server: &Running, protocols: &str) -> Self {
        let mut request = format!("ws://{}/ws", server.address()).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", protocols.parse().unwrap());
        let (socket, response) = connect_async(request).await.unwrap();
        assert_eq!(response.headers()["sec-websocket-protocol"], "readywire.v1", "the hello is not echoed");
        Self(socket)
    }

    /// Connects and says hello in the first frame.
    async fn greet(server: &Running, hello: &Value) -> Self {
        let mut raw = Self::dial(server, "readywire.v1").await;
        raw.write(hello).await;
        raw
    }

    async fn ready(server: &Running, hello: &Value) -> (Self, Value) {
        let mut raw = Self::greet(server, hello).await;
        let ready = raw.until("ready").await;
        (raw, ready)
    }

    async fn write(&mut self, frame: &Value) {
        self.text(&frame.to_string()).await;
    }

    async fn text(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    async fn next(&mut self) -> Message {
        tokio::time::timeout(PATIENCE, self.0.next()).await.expect("in time").expect("not over").expect("readable")
    }

    async fn frame(&mut self) -> Value {
        match self.next().await {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("no text: {other:?}"),
        }
    }

    async fn until(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.frame().await;
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    /// Reads to the end: `bye` and the close frame have one code.
    async fn closed(&mut self) -> u16 {
        let bye = self.until("bye").await;
        let Message::Close(Some(frame)) = self.next().await else { panic!("no close frame") };
        let code = u16::from(frame.code);
        assert_eq!(bye["code"], code);
        code
    }
}

fn hello_as(subject: &str) -> Value {
    json!({ "type": "hello", "auth": { "scheme": "bearer", "token": authority().mint(subject, HOUR) },
            "capabilities": ["resume", "answers"] })
}

fn resuming(subject: &str, session: &str, token: &str, inbox: u64) -> Value {
    let mut hello = hello_as(subject);
    hello["resume"] = json!({ "session": session, "token": token, "attempt": 1, "settled": 0, "inbox": inbox });
    hello
}

fn base64url(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    text.as_bytes().chunks(3).fold(String::new(), |mut encoded, chunk| {
        let group = chunk.iter().fold(0u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        encoded.extend((0..=chunk.len()).map(|at| ALPHABET[(group >> (18 - 6 * at) & 63) as usize] as char));
        encoded
    })
}

#[tokio::test]
async fn a_warm_server_pushes_every_stage_and_ready_behind_the_upgrade() {
    let server = started(&[]).await;
    let entry = format!("readywire.v1, readywire.hello.{}", base64url(&hello_as("alice").to_string()));
    let mut raw = Raw::dial(&server, &entry).await;
    for stage in ["ACCEPTED", "AUTHENTICATED", "SERVICES_READY"] {
        let frame = raw.frame().await;
        assert_eq!((&frame["type"], &frame["stage"]), (&json!("stage"), &json!(stage)));
    }
    let ready = raw.frame().await;
    assert_eq!(ready["type"], "ready");
    assert_eq!(ready["session"]["subject"], "alice");
    raw.write(&json!({ "type": "send", "id": 1, "event": "echo", "payload": { "a": 1 }, "answer": true })).await;
    let message = raw.until("message").await;
    assert_eq!((&message["re"], &message["end"], &message["payload"]), (&json!(1), &json!(true), &json!({ "a": 1 })));
    assert_eq!(raw.until("ack").await["id"], 1);
}

#[tokio::test]
async fn pending_services_are_named_while_they_start() {
    let server = started(&["--service", "search=80ms"]).await;
    let mut raw = Raw::greet(&server, &hello_as("alice")).await;
    let mut seen = Vec::new();
    loop {
        let frame = raw.frame().await;
        if frame["type"] == "ready" {
            break;
        }
        seen.push((frame["stage"].clone(), frame["pending"].clone()));
    }
    assert!(seen.contains(&(json!("AUTHENTICATED"), json!(["search"]))), "{seen:?}");
}

#[tokio::test]
async fn a_bad_token_is_refused_by_its_code() {
    let server = started(&[]).await;
    let mut expired = authority().claims("alice", HOUR);
    expired.exp = expired.iat - 1;
    let mut hello = hello_as("alice");
    for (token, code) in [
        (json!({ "scheme": "bearer", "token": authority().sign(&expired) }), 4102),
        (json!({ "scheme": "bearer", "token": "nonsense" }), 4104),
        (Value::Null, 4101),
    ] {
        hello["auth"] = token;
        if hello["auth"].is_null() {
            hello.as_object_mut().unwrap().remove("auth");
        }
        assert_eq!(Raw::greet(&server, &hello).await.closed().await, code);
    }
}

#[tokio::test]
async fn what_breaks_a_clause_is_closed_with_its_code_and_others_are_unharmed() {
    let server = started(&["--service", "search=50ms"]).await;
    let (mut bystander, _) = Raw::ready(&server, &hello_as("bob")).await;

    let mut early = Raw::greet(&server, &hello_as("alice")).await;
    early.write(&json!({ "type": "send", "id": 1, "event": "echo", "payload": 1 })).await;
    assert_eq!(early.closed().await, 4401);

    let (mut twice, _) = Raw::ready(&server, &hello_as("alice")).await;
    twice.write(&hello_as("alice")).await;
    assert_eq!(twice.closed().await, 4409);

    let (mut malformed, _) = Raw::ready(&server, &hello_as("alice")).await;
    malformed.text("{").await;
    assert_eq!(malformed.closed().await, 4400);

    let (mut unknown, _) = Raw::ready(&server, &hello_as("alice")).await;
    unknown.write(&json!({ "type": "surprise" })).await;
    assert_eq!(unknown.closed().await, 4400);

    let (mut binary, _) = Raw::ready(&server, &hello_as("alice")).await;
    binary.0.send(Message::binary(vec![1])).await.unwrap();
    assert_eq!(binary.closed().await, 4415);

    let (mut large, _) = Raw::ready(&server, &hello_as("alice")).await;
    large.text(&format!("\"{}\"", "x".repeat(1 << 20))).await;
    assert_eq!(large.closed().await, 4413);

    let mut wrong = Raw::dial(&server, "readywire.v1, readywire.hello.A").await;
    assert_eq!(wrong.closed().await, 4400);

    bystander.write(&json!({ "type": "send", "id": 1, "event": "echo", "payload": 7, "answer": true })).await;
    assert_eq!(bystander.until("message").await["payload"], 7);
}

#[tokio::test]
async fn a_session_goes_on_after_a_cut_and_its_answer_with_it() {
    let server = started(&[]).await;
    let (mut raw, ready) = Raw::ready(&server, &hello_as("alice")).await;
    let (session, token) = (ready["session"]["id"].as_str().unwrap(), ready["session"]["token"].as_str().unwrap());
    let payload = json!({ "prompt": "what is ready", "pace_ms": 5 });
    raw.write(&json!({ "type": "send", "id": 1, "event": "agent.run", "payload": payload, "answer": true })).await;
    assert_eq!(raw.until("message").await["offset"], 1);
    drop(raw);

    let (mut raw, ready) = Raw::ready(&server, &resuming("alice", session, token, 1)).await;
    assert_eq!((&ready["session"]["resumed"], &ready["received"]), (&json!(true), &json!(1)));
    let mut offset = 1;
    loop {
        let message = raw.until("message").await;
        offset += 1;
        assert_eq!(message["offset"], offset, "none lost, none twice");
        if message["end"] == true {
            assert_eq!(message["event"], "agent_completed");
            return;
        }
    }
}

#[tokio::test]
async fn a_forged_token_and_a_foreign_session_get_a_new_session() {
    let server = started(&[]).await;
    let (mut raw, ready) = Raw::ready(&server, &hello_as("alice")).await;
    let (session, token) = (ready["session"]["id"].as_str().unwrap(), ready["session"]["token"].as_str().unwrap());
    for hello in [resuming("alice", session, "forged", 0), resuming("mallory", session, token, 0)] {
        let (_, ready) = Raw::ready(&server, &hello).await;
        assert_eq!(ready["session"]["resumed"], false);
        assert_eq!(ready["session"]["lost_because"], "not_found");
        assert_ne!(ready["session"]["id"], session);
        assert_eq!(ready["received"], 0);
    }
    raw.write(&json!({ "type": "send", "id": 1, "event": "echo", "payload": 7, "answer": true })).await;
    assert_eq!(raw.until("message").await["payload"], 7, "the old session is unharmed");
}

#[tokio::test]
async fn a_server_that_goes_away_says_so() {
    let server = started(&[]).await;
    let (mut raw, _) = Raw::ready(&server, &hello_as("alice")).await;
    let stopping = tokio::spawn(server.until(async {}));
    raw.until("drain").await;
    assert_eq!(raw.closed().await, 4301);
    assert_eq!(stopping.await.unwrap(), Ok(()));
}
