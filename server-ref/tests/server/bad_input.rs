//! Input that breaks a rule: each ends its own connection with the code and the clause of that rule, and no other.

use crate::peer::{Ended, PATIENCE, Raw, base64url, hello_as, parts, riding, served, started, switch};
use futures::{SinkExt, StreamExt};
use readywire_protocol::config::ServerConfig;
use readywire_server::hub::Parts;
use readywire_server::server::Running;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// A server, and a client that has done nothing wrong.
struct Watched {
    server: Running,
    bystander: Raw,
    sent: u64,
}

impl Watched {
    async fn new(server: Running) -> Self {
        let (bystander, _) = Raw::ready(&server, &hello_as("bob")).await;
        Self { server, bystander, sent: 0 }
    }

    /// From now on no connection gets ready.
    fn never_ready(self) -> Self {
        switch(&self.server, json!({ "service_delay_ms": { "search": 3_600_000 } }));
        self
    }

    async fn dialled(&self) -> Raw {
        Raw::dial(&self.server, "readywire.v1").await
    }

    async fn ready(&self) -> Raw {
        Raw::ready(&self.server, &hello_as("alice")).await.0
    }

    /// This text, before the hello and after `ready`.
    async fn refuses(&mut self, text: &str, code: u16, clause: &str) {
        for mut raw in [self.dialled().await, self.ready().await] {
            raw.text(text).await;
            self.expect(&raw.ended().await, code, clause).await;
        }
    }

    async fn expect(&mut self, ended: &Ended, code: u16, clause: &str) {
        assert_eq!(ended.by(), (code, clause), "{}", ended.reason);
        self.sent += 1;
        self.bystander.echoes(self.sent).await;
    }
}

async fn watched() -> Watched {
    Watched::new(started(&[]).await).await
}

#[tokio::test]
async fn frames_that_cannot_be_read() {
    let mut server = watched().await;
    let deep = format!(r#"{{"type":"ping","nonce":"n","more":{}{}}}"#, "[".repeat(80), "]".repeat(80));
    for (text, clause) in [
        ("{", "frame.malformed"),
        ("", "frame.malformed"),
        ("[]", "frame.malformed"),
        (r#"{"type":"ping","nonce":"n"} {}"#, "frame.malformed"),
        (r#"{"type":"surprise"}"#, "frame.type"),
        (r#"{"type":"ready"}"#, "frame.direction"),
        (r#"{"type":"stage","stage":"PROCESSING_READY"}"#, "frame.direction"),
        ("{}", "frame.field"),
        (r#"{"type":"ping"}"#, "frame.field"),
        (r#"{"type":"ping","nonce":7}"#, "frame.field"),
        (r#"{"type":"ping","nonce":"n","nonce":"m"}"#, "frame.duplicate_key"),
        (r#"{"type":"send","id":1e3,"event":"echo"}"#, "frame.integer"),
        (&deep, "frame.depth"),
    ] {
        server.refuses(text, 4400, clause).await;
    }
}

#[tokio::test]
async fn application_frames_before_ready() {
    let mut server = watched().await.never_ready();
    let send = json!({ "type": "send", "id": 1, "event": "echo", "payload": 1 });
    let cancel = json!({ "type": "cancel", "re": 1 });
    for early in [&send, &cancel] {
        let mut before_the_hello = server.dialled().await;
        before_the_hello.write(early).await;
        server.expect(&before_the_hello.ended().await, 4401, "ready.gate").await;

        let mut behind_the_hello = Raw::greet(&server.server, &hello_as("alice")).await;
        behind_the_hello.write(early).await;
        server.expect(&behind_the_hello.ended().await, 4401, "ready.gate").await;

        let mut behind_the_upgrade = Raw::dial(&server.server, &riding(&hello_as("alice"))).await;
        behind_the_upgrade.write(early).await;
        server.expect(&behind_the_upgrade.ended().await, 4401, "ready.gate").await;
    }
}

#[tokio::test]
async fn a_second_hello() {
    let mut server = watched().await;
    let mut when_ready = server.ready().await;
    when_ready.write(&hello_as("alice")).await;
    server.expect(&when_ready.ended().await, 4409, "hello.once").await;

    server = server.never_ready();
    let mut while_starting = Raw::greet(&server.server, &hello_as("alice")).await;
    while_starting.write(&hello_as("alice")).await;
    server.expect(&while_starting.ended().await, 4409, "hello.once").await;

    let mut after_the_upgrade = Raw::dial(&server.server, &riding(&hello_as("alice"))).await;
    after_the_upgrade.write(&hello_as("alice")).await;
    server.expect(&after_the_upgrade.ended().await, 4409, "hello.once").await;
}

#[tokio::test]
async fn messages_that_are_too_large() {
    let mut server = watched().await;
    // Somewhat over the limit, so that it is read; far over it, so that it is not.
    for bytes in [1 << 20, 12 << 20] {
        let (mut sink, stream) = server.ready().await.0.split();
        let text = Message::text(format!(r#"{{"type":"ping","nonce":"{}"}}"#, "x".repeat(bytes)));
        let writing = async {
            // Nobody reads all of it: the end may come first.
            let _ = sink.send(text).await;
            sink
        };
        let reading = stream.filter_map(async |message| match message.expect("no reset before the last words") {
            Message::Text(text) if text.contains(r#""bye""#) => Some(serde_json::from_str::<Value>(&text).unwrap()),
            _ => None,
        });
        let mut reading = std::pin::pin!(reading);
        let both = async { tokio::join!(writing, reading.next()).1 };
        let bye = tokio::time::timeout(PATIENCE, both).await.expect("in time").expect("a bye");
        assert_eq!((&bye["code"], &bye["clause"]), (&json!(4413), &json!("frame.size")));
    }
    server.sent += 1;
    server.bystander.echoes(server.sent).await;
}

#[tokio::test]
async fn binary_messages_and_texts_that_are_none() {
    let mut server = watched().await;
    for ready in [false, true] {
        for (kind, code, clause) in [(Data::Binary, 4415, "frame.text"), (Data::Text, 4400, "frame.malformed")] {
            let mut raw = if ready { server.ready().await } else { server.dialled().await };
            let no_utf8 = Frame::message(vec![b'"', 0xff, b'"'], OpCode::Data(kind), true);
            raw.0.send(Message::Frame(no_utf8)).await.unwrap();
            server.expect(&raw.ended().await, code, clause).await;
        }
    }
}

#[tokio::test]
async fn hellos_in_the_upgrade_that_cannot_be_read() {
    let mut server = watched().await;
    let long = json!({ "type": "hello", "client": { "name": "x".repeat(4000) } });
    for (entry, clause) in [
        ("readywire.v1, readywire.hello.A".to_owned(), "upgrade.hello"),
        (format!("readywire.v1, readywire.hello.{}", base64url(&[0xff, 0xfe])), "upgrade.hello"),
        (format!("readywire.v1, readywire.hello.{}", base64url(b"{")), "frame.malformed"),
        (riding(&long), "upgrade.hello"),
        (riding(&json!({ "type": "ping", "nonce": "n" })), "hello.first"),
    ] {
        let mut raw = Raw::dial(&server.server, &entry).await;
        server.expect(&raw.ended().await, 4400, clause).await;
    }
}

#[tokio::test]
async fn a_hello_that_comes_too_late() {
    let config = ServerConfig { hello_timeout: Duration::from_secs(2), ..ServerConfig::default() };
    let mut server = Watched::new(served(Parts { config, ..parts() }).await).await;
    let mut silent = server.dialled().await;
    let mut chatty = server.dialled().await;
    // Other frames do not put it off.
    chatty.write(&json!({ "type": "ping", "nonce": "still here" })).await;
    chatty.until("pong").await;
    server.expect(&silent.ended().await, 4208, "hello.timeout").await;
    server.expect(&chatty.ended().await, 4208, "hello.timeout").await;
}

#[tokio::test]
async fn too_much_before_the_hello() {
    let mut server = watched().await;
    let ping = json!({ "type": "ping", "nonce": "n" });
    let mut many = server.dialled().await;
    for _ in 0..33 {
        many.write(&ping).await;
    }
    server.expect(&many.ended().await, 4229, "preauth.limits").await;

    let mut large = server.dialled().await;
    large.write(&json!({ "type": "ping", "nonce": "n".repeat(17 << 10) })).await;
    server.expect(&large.ended().await, 4229, "preauth.limits").await;

    // A message that never ends is counted before it is one.
    let mut endless = server.dialled().await;
    let start = Frame::message(vec![b' '; 64 << 10], OpCode::Data(Data::Text), false);
    endless.0.send(Message::Frame(start)).await.unwrap();
    server.expect(&endless.ended().await, 4229, "preauth.limits").await;

    // So are frames that no core ever sees.
    let mut pinging = server.dialled().await;
    for _ in 0..400 {
        pinging.0.feed(Message::Ping(vec![0; 100].into())).await.unwrap();
    }
    pinging.0.flush().await.unwrap();
    server.expect(&skipping_pongs(&mut pinging).await, 4229, "preauth.limits").await;

    // Afterwards the same is allowed.
    let mut known = server.ready().await;
    for _ in 0..33 {
        known.write(&ping).await;
    }
    known.write(&json!({ "type": "ping", "nonce": "n".repeat(100 << 10) })).await;
    known.echoes(1).await;
}

/// Reads past the answers to WebSocket pings.
async fn skipping_pongs(raw: &mut Raw) -> Ended {
    let mut bye = Value::Null;
    loop {
        match raw.next().await {
            Message::Text(text) => bye = serde_json::from_str(&text).unwrap(),
            Message::Close(Some(frame)) => {
                assert_eq!(bye["code"], u16::from(frame.code));
                let clause = bye["clause"].as_str().map(str::to_owned);
                return Ended { code: frame.code.into(), clause, reason: frame.reason.to_string() };
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn sends_and_offsets_that_make_no_sense() {
    let mut server = watched().await;
    let mut ahead = server.ready().await;
    ahead.taken(7).await;
    server.expect(&ahead.ended().await, 4400, "inbox.taken").await;

    let mut with_topics = server.ready().await;
    with_topics.write(&json!({ "type": "auth", "token": "fresh" })).await;
    server.expect(&with_topics.ended().await, 4400, "frame.level").await;
}

#[tokio::test]
async fn a_client_that_speaks_none_of_the_protocols() {
    let mut server = watched().await;
    let before = server.server.hub().sessions().await.len();
    for protocols in ["graphql-transport-ws", riding(&hello_as("mallory")).trim_start_matches("readywire.v1, ")] {
        let headers = [("sec-websocket-protocol", protocols)];
        // This client library insists on a selected subprotocol where one was offered; a plain one does not.
        let mut stream = TcpStream::connect(server.server.address()).await.unwrap();
        stream.write_all(upgrade_request(&server.server, &headers).as_bytes()).await.unwrap();
        let answer = read_until(&mut stream, "}").await + &read_until(&mut stream, "}").await;
        assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
        assert!(!answer.to_lowercase().contains("sec-websocket-protocol"), "nothing is selected: {answer}");
        assert!(answer.contains(r#""code":4006"#) && answer.contains(r#""clause":"upgrade.subprotocol""#), "{answer}");
        assert!(!answer.contains("AUTHENTICATED"), "{answer}");
    }
    assert_eq!(server.server.hub().sessions().await.len(), before, "nothing was started for it");
    let mut none = Raw::with_headers(server.server.address(), &[]).await.unwrap();
    server.expect(&none.ended().await, 4006, "upgrade.subprotocol").await;
}

#[tokio::test]
async fn what_stops_being_a_websocket() {
    let mut server = watched().await;
    let mut stream = TcpStream::connect(server.server.address()).await.unwrap();
    let headers = [("sec-websocket-protocol", "readywire.v1")];
    stream.write_all(upgrade_request(&server.server, &headers).as_bytes()).await.unwrap();
    stream.write_all(b"\xffthis has all reserved bits set").await.unwrap();
    read_until(&mut stream, r#""code":1002"#).await;
    server.sent += 1;
    server.bystander.echoes(server.sent).await;
}

async fn read_until(stream: &mut TcpStream, wanted: &str) -> String {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(wanted) {
        let byte = tokio::time::timeout(PATIENCE, stream.read_u8()).await.expect("in time");
        read.push(byte.unwrap_or_else(|_| panic!("no {wanted} in {}", String::from_utf8_lossy(&read))));
    }
    String::from_utf8_lossy(&read).into_owned()
}

fn upgrade_request(server: &Running, headers: &[(&str, &str)]) -> String {
    let mut text = format!(
        "GET /ws HTTP/1.1\r\nhost: {}\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        server.address()
    );
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text + "\r\n"
}
