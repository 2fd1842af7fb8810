//! A client that holds itself to no rule, and servers for it.

use clap::Parser;
use futures::{SinkExt, StreamExt};
use readywire_protocol::frame::envelope_text;
use readywire_server::application::Application;
use readywire_server::claims::Authority;
use readywire_server::command_line::CommandLine;
use readywire_server::faults::{FaultRequest, Faults};
use readywire_server::handlers;
use readywire_server::hub::Parts;
use readywire_server::server::{self, Place, Running};
use readywire_server::service::{DelayService, Service, Services};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

pub(crate) const HOUR: Duration = Duration::from_secs(3600);
/// Far beyond what any step takes: a test that gets here has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn authority() -> Authority {
    Authority::new(b"a secret for tests, of enough bytes", "readywire", "readywire").unwrap()
}

/// A server with these flags.
pub(crate) async fn started(flags: &[&str]) -> Running {
    let line = ["readywire-server", "--listen", "127.0.0.1:0"].into_iter().chain(flags.iter().copied());
    server::start(&CommandLine::parse_from(line), authority()).await.unwrap()
}

/// What `started` puts together: the service `search`, the handlers of the reference server. To be altered.
pub(crate) fn parts() -> Parts {
    let faults = Arc::new(Faults::default());
    let search = DelayService::new("search", Duration::ZERO, &faults).wired();
    Parts { services: wired(vec![search]), application: handlers::application(), faults, ..Parts::new(authority()) }
}

pub(crate) fn with_handlers(application: Application) -> Parts {
    Parts { application, ..parts() }
}

pub(crate) fn wired(services: Vec<Arc<dyn Service>>) -> Arc<Services> {
    Services::start(services).unwrap()
}

/// A server of these parts.
pub(crate) async fn served(parts: Parts) -> Running {
    let place = Place { faults: true, ..Place::at("127.0.0.1:0".parse().unwrap()) };
    server::serve(parts, place).await.unwrap()
}

pub(crate) fn switch(server: &Running, faults: Value) {
    server.hub().parts.faults.apply(FaultRequest::parse(&faults.to_string()).unwrap());
}

/// One WebSocket.
pub(crate) struct Raw(pub(crate) WebSocketStream<MaybeTlsStream<TcpStream>>);

/// How a server ended a connection: what its `bye` and its close frame say alike.
#[derive(Debug, PartialEq)]
pub(crate) struct Ended {
    pub(crate) code: u16,
    pub(crate) clause: Option<String>,
    pub(crate) reason: String,
}

impl Ended {
    pub(crate) fn by(&self) -> (u16, &str) {
        (self.code, self.clause.as_deref().unwrap_or_default())
    }
}

impl Raw {
    pub(crate) async fn dial(server: &Running, protocols: &str) -> Self {
        let headers = [("sec-websocket-protocol", protocols)];
        Self::with_headers(server.address(), &headers).await.expect("upgraded")
    }

    pub(crate) async fn with_headers(address: SocketAddr, headers: &[(&'static str, &str)]) -> Result<Self, Error> {
        let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        connect_async(request).await.map(|(socket, response)| {
            if let Some(selected) = response.headers().get("sec-websocket-protocol") {
                assert_eq!(selected, "readywire.v1", "the hello is not echoed");
            }
            Self(socket)
        })
    }

    /// Connects and says hello in the first frame.
    pub(crate) async fn greet(server: &Running, hello: &Value) -> Self {
        let mut raw = Self::dial(server, "readywire.v1").await;
        raw.write(hello).await;
        raw
    }

    pub(crate) async fn ready(server: &Running, hello: &Value) -> (Self, Value) {
        let mut raw = Self::greet(server, hello).await;
        let ready = raw.until("ready").await;
        (raw, ready)
    }

    pub(crate) async fn write(&mut self, frame: &Value) {
        self.text(&frame.to_string()).await;
    }

    pub(crate) async fn text(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    /// Sends a message and asks for an answer.
    pub(crate) async fn ask(&mut self, id: u64, event: &str, payload: Value) {
        self.write(&json!({ "type": "send", "id": id, "event": event, "payload": payload, "answer": true })).await;
    }

    pub(crate) async fn taken(&mut self, offset: u64) {
        self.write(&json!({ "type": "taken", "offset": offset })).await;
    }

    pub(crate) async fn next(&mut self) -> Message {
        tokio::time::timeout(PATIENCE, self.0.next()).await.expect("in time").expect("not over").expect("readable")
    }

    pub(crate) async fn frame(&mut self) -> Value {
        match self.next().await {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("no text: {other:?}"),
        }
    }

    /// The next frame of this type; passes over others.
    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.frame().await;
            if frame["type"] == kind {
                return frame;
            }
            assert_ne!(frame["type"], "bye", "{frame} came before {kind}");
        }
    }

    /// The next frame with bytes beside it, and those.
    pub(crate) async fn envelope(&mut self) -> (Value, Vec<u8>) {
        loop {
            let message = self.next().await;
            let Message::Binary(message) = message else {
                assert!(message.is_text(), "{message:?}");
                continue;
            };
            let (text, beside) = envelope_text(&message);
            return (serde_json::from_str(text).expect("a frame"), message[message.len() - beside..].to_vec());
        }
    }

    /// The next message of the inbox, whose offset has to be this.
    pub(crate) async fn message(&mut self, offset: u64) -> Value {
        let message = self.until("message").await;
        assert_eq!(message["offset"], offset, "{message}");
        message
    }

    /// Waits until everything up to this id is acknowledged.
    pub(crate) async fn acked(&mut self, id: u64) {
        while self.until("ack").await["id"].as_u64().unwrap() < id {}
    }

    /// Reads to the end: `bye`, then a close frame that says the same.
    pub(crate) async fn ended(&mut self) -> Ended {
        let bye = self.until("bye").await;
        let Message::Close(Some(frame)) = self.next().await else { panic!("no close frame after {bye}") };
        assert_eq!(bye["code"], u16::from(frame.code), "{bye}");
        assert!(frame.reason.len() <= 123, "{}", frame.reason);
        let reason = bye["reason"].as_str().unwrap().to_owned();
        assert!(reason.starts_with(frame.reason.as_str()), "{reason} and {}", frame.reason);
        Ended { code: frame.code.into(), clause: bye["clause"].as_str().map(str::to_owned), reason }
    }

    /// Reads to an end without any good-bye.
    pub(crate) async fn cut(&mut self) {
        loop {
            match tokio::time::timeout(PATIENCE, self.0.next()).await.expect("in time") {
                Some(Ok(Message::Text(text))) => assert!(!text.contains(r#""type":"bye""#), "{text}"),
                Some(Ok(other)) => panic!("{other:?}"),
                Some(Err(_)) | None => return,
            }
        }
    }

    /// Shows that the connection works.
    pub(crate) async fn echoes(&mut self, id: u64) {
        self.ask(id, "echo", json!(id)).await;
        let answer = self.until("message").await;
        assert_eq!((&answer["re"], &answer["payload"]), (&json!(id), &json!(id)));
    }
}

pub(crate) fn hello_as(subject: &str) -> Value {
    hello_with(&authority().mint(subject, HOUR))
}

pub(crate) fn hello_with(token: &str) -> Value {
    json!({ "type": "hello", "auth": { "scheme": "bearer", "token": token }, "capabilities": ["resume", "answers"] })
}

/// A hello that asks for the session that `ready` granted, with the inbox held up to an offset.
pub(crate) fn resuming(subject: &str, ready: &Value, attempt: u64, inbox: u64) -> Value {
    let mut hello = hello_as(subject);
    let (session, token) = (&ready["session"]["id"], &ready["session"]["token"]);
    hello["resume"] = json!({ "session": session, "token": token, "attempt": attempt, "settled": 0, "inbox": inbox });
    hello
}

/// The subprotocols of an upgrade that carries a hello.
pub(crate) fn riding(hello: &Value) -> String {
    format!("readywire.v1, readywire.hello.{}", base64url(hello.to_string().as_bytes()))
}

pub(crate) fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    bytes.chunks(3).fold(String::new(), |mut encoded, chunk| {
        let group = chunk.iter().fold(0u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        encoded.extend((0..=chunk.len()).map(|at| ALPHABET[(group >> (18 - 6 * at) & 63) as usize] as char));
        encoded
    })
}
