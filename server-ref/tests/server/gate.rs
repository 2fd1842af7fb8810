//! Clients that do not speak the protocol, held by the gate (clause `existing.held`).

use crate::peer::{PATIENCE, authority};
use futures::future::BoxFuture;
use futures::{FutureExt, SinkExt, StreamExt};
use readywire_protocol::config::{ServerConfig, Window};
use readywire_server::gate::{ByEvent, Gate, PlainClient, PlainHandler};
use readywire_server::handlers;
use readywire_server::hub::Parts;
use readywire_server::server::{self, Place, Running};
use readywire_server::service::{Scope, Service, Services};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::ClientRequestBuilder;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A service that starts when it is let.
struct Latch(Arc<Semaphore>);

impl Service for Latch {
    fn name(&self) -> &str {
        "latch"
    }
    fn scope(&self) -> Scope {
        Scope::Connection
    }
    fn start<'a>(&'a self, _: Option<&'a str>) -> BoxFuture<'a, Result<(), String>> {
        async {
            let _ = self.0.acquire().await;
            Ok(())
        }
        .boxed()
    }
}

/// Keeps what it is given, and echoes it.
#[derive(Clone, Default)]
struct Record(Arc<Mutex<Vec<String>>>);

impl PlainHandler for Record {
    fn handle<'a>(&'a self, text: String, client: &'a PlainClient) -> BoxFuture<'a, ()> {
        async move {
            self.0.lock().unwrap().push(text.clone());
            client.send(format!("{} said {text}", client.subject)).await;
        }
        .boxed()
    }
}

struct Gated {
    running: Running,
    latch: Arc<Semaphore>,
    record: Record,
}

async fn gated(config: ServerConfig, held: Window) -> Gated {
    let (latch, record) = (Arc::new(Semaphore::new(0)), Record::default());
    let mut gate = Gate::new(record.clone());
    gate.held = held;
    gate.protocols = vec!["chat.v1".to_owned()];
    let parts = Parts {
        config,
        gate: Some(gate),
        services: Services::start(vec![Arc::new(Latch(latch.clone()))]).unwrap(),
        ..Parts::new(authority())
    };
    let running = server::serve(parts, Place::at("127.0.0.1:0".parse().unwrap())).await.unwrap();
    Gated { running, latch, record }
}

fn token() -> String {
    authority().mint("alice", Duration::from_secs(60))
}

async fn dial(running: &Running, query: &str, bearer: Option<&str>, protocol: Option<&str>) -> Socket {
    let uri = format!("ws://{}/ws{query}", running.address()).parse().unwrap();
    let mut request = ClientRequestBuilder::new(uri);
    if let Some(bearer) = bearer {
        request = request.with_header("Authorization", format!("Bearer {bearer}"));
    }
    if let Some(protocol) = protocol {
        request = request.with_sub_protocol(protocol);
    }
    connect_async(request).await.expect("accepted, whatever comes of it").0
}

async fn text(socket: &mut Socket) -> String {
    loop {
        match timeout(PATIENCE, socket.next()).await.expect("in time").expect("a message").expect("a whole one") {
            Message::Text(text) => return text.to_string(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn closed(socket: &mut Socket) -> (u16, String) {
    loop {
        match timeout(PATIENCE, socket.next()).await.expect("in time").expect("a message").expect("a whole one") {
            Message::Close(Some(frame)) => return (frame.code.into(), frame.reason.to_string()),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn what_comes_before_ready_is_held_and_handed_over_in_order() {
    let gated = gated(ServerConfig::default(), Window::default()).await;
    let mut socket = dial(&gated.running, "", Some(&token()), Some("chat.v1")).await;
    for number in 0..20 {
        socket.send(Message::text(number.to_string())).await.unwrap();
    }
    // Answered by the library behind everything that was sent: all of it has been read.
    socket.send(Message::Ping("here".into())).await.unwrap();
    while !matches!(socket.next().await, Some(Ok(Message::Pong(_)))) {}
    assert!(gated.record.0.lock().unwrap().is_empty(), "nothing is processed before ready");
    gated.latch.add_permits(1);
    for number in 0..20 {
        assert_eq!(text(&mut socket).await, format!("alice said {number}"));
    }
    socket.send(Message::text("after")).await.unwrap();
    assert_eq!(text(&mut socket).await, "alice said after");
}

#[tokio::test]
async fn more_than_is_held_is_told_and_not_dropped() {
    for held in [Window { messages: 2, bytes: 1000 }, Window { messages: 1000, bytes: 8 }] {
        let gated = gated(ServerConfig::default(), held).await;
        let mut socket = dial(&gated.running, "", Some(&token()), None).await;
        for _ in 0..3 {
            socket.send(Message::text("1234")).await.unwrap();
        }
        let (code, reason) = closed(&mut socket).await;
        assert_eq!(code, 4229);
        assert!(reason.contains("pending: latch"), "{reason}");
    }
}

#[tokio::test]
async fn a_start_that_takes_too_long_is_told_by_name() {
    let config = ServerConfig { ready_timeout: Duration::from_millis(50), ..ServerConfig::default() };
    let gated = gated(config, Window::default()).await;
    let mut socket = dial(&gated.running, "", Some(&token()), None).await;
    let (code, reason) = closed(&mut socket).await;
    assert_eq!((code, reason.as_str()), (4201, "not ready in time, pending: latch"));
}

#[tokio::test]
async fn who_it_is_stands_in_the_upgrade() {
    let gated = gated(ServerConfig::default(), Window::default()).await;
    gated.latch.add_permits(100);
    let mut socket = dial(&gated.running, "", None, None).await;
    assert_eq!(closed(&mut socket).await.0, 4101);
    let mut socket = dial(&gated.running, "", Some("nonsense"), None).await;
    assert_eq!(closed(&mut socket).await.0, 4104);
    let ticket = authority().mint_ticket("bob", Duration::from_secs(60));
    let mut socket = dial(&gated.running, &format!("?ticket={ticket}"), None, None).await;
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(text(&mut socket).await, "bob said hello");
    let mut socket = dial(&gated.running, &format!("?ticket={ticket}"), None, None).await;
    assert_eq!(closed(&mut socket).await.0, 4104, "a ticket is good for one connection");
    let mut socket = dial(&gated.running, &format!("?ticket={}", token()), None, None).await;
    assert_eq!(closed(&mut socket).await.0, 4104, "a token is no ticket");
}

#[tokio::test]
async fn handlers_of_the_protocol_serve_plain_clients_as_well() {
    let gate = Some(Gate::new(ByEvent::new(handlers::application())));
    let parts = Parts { gate, anonymous: true, ..Parts::new(authority()) };
    let running = server::serve(parts, Place::at("127.0.0.1:0".parse().unwrap())).await.unwrap();
    let mut socket = dial(&running, "", None, None).await;
    socket.send(Message::text(r#"{"event":"echo","payload":{"n": 1.0}}"#)).await.unwrap();
    assert_eq!(text(&mut socket).await, r#"{"event":"echo","payload":{"n": 1.0}}"#);
    socket.send(Message::text(r#"{"event":"nonsense"}"#)).await.unwrap();
    assert!(text(&mut socket).await.contains("unknown_event"));
    socket.send(Message::text("nonsense")).await.unwrap();
    assert!(text(&mut socket).await.contains("malformed"));
}

#[tokio::test]
async fn without_a_gate_such_a_client_is_refused() {
    let parts = Parts::new(authority());
    let running = server::serve(parts, Place::at("127.0.0.1:0".parse().unwrap())).await.unwrap();
    let mut socket = dial(&running, "", Some(&token()), None).await;
    assert!(text(&mut socket).await.contains("ACCEPTED"));
    assert!(text(&mut socket).await.contains("4006"));
}

#[tokio::test]
async fn a_server_that_goes_away_says_so() {
    let Gated { running, latch, .. } = gated(ServerConfig::default(), Window::default()).await;
    latch.add_permits(1);
    let mut socket = dial(&running, "", Some(&token()), None).await;
    socket.send(Message::text("hello")).await.unwrap();
    text(&mut socket).await;
    let stopping = tokio::spawn(running.until(std::future::ready(())));
    assert_eq!(closed(&mut socket).await.0, 1001);
    stopping.await.unwrap().unwrap();
}
