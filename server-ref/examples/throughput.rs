//! Counts how many sends a second a server takes and acknowledges, and how many it answers, over loopback.
//!
//! `cargo run --release -p readywire-server --example throughput -- 5`

#![allow(missing_docs, reason = "a program")]

use futures::future::{BoxFuture, join_all};
use futures::{FutureExt, SinkExt, StreamExt};
use readywire_server::application::{Answer, Application, Failure, Handler, Request};
use readywire_server::claims::Authority;
use readywire_server::handlers::Echo;
use readywire_server::hub::Parts;
use readywire_server::server::{self, Place};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

const CLIENTS: usize = 4;
const IN_FLIGHT: u64 = 64;

struct Nothing;

impl Handler for Nothing {
    fn handle<'a>(&'a self, _: Request, _: &'a mut Answer) -> BoxFuture<'a, Result<(), Failure>> {
        async { Ok(()) }.boxed()
    }
}

#[tokio::main]
async fn main() -> Result<(), String> {
    let seconds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(5);
    let authority = Authority::new(b"a secret for one measurement only", "readywire", "readywire")
        .map_err(|error| error.to_string())?;
    let token = authority.mint("alice", Duration::from_secs(3600));
    let application = Application::new().with("nothing", Nothing).with("echo", Echo);
    let listen = "127.0.0.1:0".parse().map_err(|_| "an address")?;
    let server = server::serve(Parts { application, ..Parts::new(authority) }, Place::at(listen)).await?;

    println!("{CLIENTS} clients, {IN_FLIGHT} sends of 200 bytes in flight each, {seconds} s\n");
    for (name, event, answer) in [("acknowledged", "nothing", false), ("answered", "echo", true)] {
        let until = Instant::now() + Duration::from_secs(seconds);
        let clients = (0..CLIENTS).map(|_| tokio::spawn(client(server.address(), token.clone(), event, answer, until)));
        let total: u64 = join_all(clients).await.into_iter().map(|count| count.unwrap_or_default()).sum();
        println!("{name:<14}{:>10} a second", total / seconds);
    }
    Ok(())
}

/// Sends as fast as the window allows; tells how many were acknowledged, or answered.
async fn client(address: SocketAddr, token: String, event: &str, answer: bool, until: Instant) -> u64 {
    let mut request = format!("ws://{address}/ws").into_client_request().expect("an address");
    request.headers_mut().insert("sec-websocket-protocol", "readywire.v1".parse().expect("a header"));
    let (mut socket, _) =
        tokio_tungstenite::connect_async_with_config(request, None, true).await.expect("the server listens");
    let hello = format!(
        r#"{{"type":"hello","auth":{{"scheme":"bearer","token":"{token}"}},"capabilities":["resume","answers"]}}"#
    );
    socket.send(Message::text(hello)).await.expect("it is open");
    while !text(socket.next().await).starts_with(r#"{"type":"ready""#) {}
    let payload = "x".repeat(200);
    let (mut written, mut acknowledged, mut answered, mut taken) = (0, 0, 0, 0);
    while Instant::now() < until {
        while written < acknowledged + IN_FLIGHT {
            written += 1;
            let send = format!(
                r#"{{"type":"send","id":{written},"event":"{event}","answer":{answer},"payload":"{payload}"}}"#
            );
            socket.feed(Message::text(send)).await.expect("it is open");
        }
        if answered >= taken + 64 {
            taken = answered;
            socket.feed(Message::text(format!(r#"{{"type":"taken","offset":{taken}}}"#))).await.expect("it is open");
        }
        socket.flush().await.expect("it is open");
        let mut next = Some(socket.next().await);
        while let Some(message) = next {
            let text = text(message);
            if let Some(id) = text.strip_prefix(r#"{"type":"ack","id":"#) {
                acknowledged = id.trim_end_matches('}').parse().expect("an id");
            } else if text.starts_with(r#"{"type":"message""#) {
                answered += 1;
            }
            next = socket.next().now_or_never();
        }
    }
    if answer { answered } else { acknowledged }
}

fn text(message: Option<Result<Message, tokio_tungstenite::tungstenite::Error>>) -> String {
    match message {
        Some(Ok(message)) => message.into_text().map(|text| text.to_string()).unwrap_or_default(),
        other => panic!("the connection ended: {other:?}"),
    }
}
