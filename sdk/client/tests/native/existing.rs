//! The SDK at servers that do not speak the protocol: plain ones, scripted here.

use crate::server::PATIENCE;
use futures::{SinkExt, StreamExt};
use readywire::existing::{self, Options, Written};
use readywire::{ConnectError, Options as Spoken, SendError, SendOptions, State, connect};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

type Socket = WebSocketStream<TcpStream>;

/// A plain server: what it does with each connection is the test's.
struct Plain(TcpListener);

impl Plain {
    async fn start() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        (Self(listener), url)
    }

    /// Takes a connection in, and gives what it offered; the first subprotocol is selected.
    #[expect(clippy::result_large_err, reason = "the library's own type")]
    async fn accept(&self) -> (Socket, Option<String>) {
        let (stream, _) = self.0.accept().await.unwrap();
        let mut offered = None;
        let choose = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
            let header = request.headers().get("sec-websocket-protocol");
            offered = header.map(|header| header.to_str().unwrap().to_owned());
            if let Some(first) = offered.as_deref().and_then(|offered| offered.split(',').next()) {
                response.headers_mut().insert("sec-websocket-protocol", first.trim().parse().unwrap());
            }
            Ok(response)
        };
        let socket = accept_hdr_async(stream, choose).await.unwrap();
        (socket, offered)
    }
}

async fn text(socket: &mut Socket) -> String {
    let message = timeout(PATIENCE, socket.next()).await.expect("a message in time");
    message.expect("a message").expect("a whole one").into_text().unwrap().to_string()
}

async fn say(socket: &mut Socket, text: &str) {
    socket.send(Message::text(text)).await.unwrap();
}

fn welcome() -> Options<existing::Confirmed> {
    Options::ready_when(|text| text == "welcome").backoff(Duration::ZERO, Duration::ZERO, Duration::ZERO)
}

#[tokio::test]
async fn the_gate_opens_at_the_servers_own_word_on_each_connection_anew() {
    let (plain, url) = Plain::start().await;
    let asked = Arc::new(AtomicU64::new(0));
    let options = welcome().protocol("chat.v1").opening({
        let asked = asked.clone();
        move || {
            let token = asked.fetch_add(1, Ordering::SeqCst) + 1;
            async move { Ok(vec![format!("init {token}")]) }
        }
    });
    let connecting = tokio::spawn(async move { existing::connect(&url, options).await });
    let (mut socket, offered) = plain.accept().await;
    assert_eq!(offered.as_deref(), Some("chat.v1"), "nothing of readywire.v1 is offered");
    assert_eq!(text(&mut socket).await, "init 1");
    say(&mut socket, "something else").await;
    say(&mut socket, "welcome").await;
    let client = connecting.await.unwrap().unwrap();
    assert_eq!(client.state(), State::ProcessingReady);
    assert_eq!(client.send("one").await, Ok(Written { attempt: 1 }));
    assert_eq!(text(&mut socket).await, "one");

    drop(socket);
    let (mut socket, _) = plain.accept().await;
    assert_eq!(text(&mut socket).await, "init 2", "the opening is asked for anew");
    let refused = client.send_with("now", SendOptions::new().fail_fast()).await;
    assert_eq!(refused, Err(SendError::NotReady { stage: State::Connecting }));
    let waiting = [client.send("two"), client.send("three")];
    say(&mut socket, "welcome").await;
    for sending in waiting {
        assert_eq!(sending.await, Ok(Written { attempt: 2 }));
    }
    assert_eq!((text(&mut socket).await, text(&mut socket).await), ("two".to_owned(), "three".to_owned()));
    assert!(client.ready().await);

    let heard: Vec<_> = client.messages().take(3).map(Result::unwrap).collect().await;
    assert_eq!(heard, ["something else", "welcome", "welcome"], "as it came, from the first");
    client.close().await;
    assert!(matches!(socket.next().await, Some(Ok(Message::Close(Some(frame)))) if u16::from(frame.code) == 1000));
    assert_eq!(client.state(), State::Closed);
}

#[tokio::test]
async fn without_a_rule_nothing_is_called_ready() {
    let (plain, url) = Plain::start().await;
    let connecting = tokio::spawn(async move { existing::connect(&url, Options::unconfirmed()).await });
    let (mut socket, offered) = plain.accept().await;
    assert_eq!(offered, None);
    let client = connecting.await.unwrap().unwrap();
    assert_eq!(client.state(), State::Unconfirmed);
    assert!(!client.state().is_ready());
    assert_eq!(client.send("one").await, Ok(Written { attempt: 1 }));
    assert_eq!(text(&mut socket).await, "one");
}

#[tokio::test]
async fn a_rule_that_never_says_ready_is_named_with_what_was_seen() {
    let (plain, url) = Plain::start().await;
    let options = Options::ready_when(|text| text == "welcome")
        // Behind the `hello`, however long that takes, and before the whole is given up.
        .ready_message_timeout(Duration::from_secs(2))
        .backoff(Duration::from_secs(60), Duration::from_secs(60), Duration::from_secs(60))
        .ready_timeout(Duration::from_secs(5));
    let connecting = tokio::spawn(async move { existing::connect(&url, options).await });
    let (mut socket, _) = plain.accept().await;
    say(&mut socket, "hello").await;
    let error = connecting.await.unwrap().unwrap_err();
    let shown = error.to_string();
    assert!(shown.contains("the last began `hello`") && shown.contains("pending ready message"), "{shown}");
    assert!(error.remedy().contains("compare the rule"), "{shown}");
}

#[tokio::test]
async fn the_application_decides_which_end_is_for_good() {
    let (plain, url) = Plain::start().await;
    let options = welcome().stop_when(|code, reason| code == 4403 && reason == "forbidden");
    let connecting = tokio::spawn(async move { existing::connect(&url, options).await });
    for (code, reason) in [(4001, "once"), (4403, "forbidden")] {
        let (mut socket, _) = plain.accept().await;
        let frame = tokio_tungstenite::tungstenite::protocol::CloseFrame { code: code.into(), reason: reason.into() };
        socket.close(Some(frame)).await.unwrap();
        while let Some(Ok(_)) = socket.next().await {}
    }
    let error = connecting.await.unwrap().unwrap_err();
    assert!(matches!(&error, ConnectError::Closed(end) if end.code == 4403), "{error}");
}

/// Clauses `upgrade.subprotocol` and `upgrade.confirm`: what such a server looks like without the mode.
#[tokio::test]
async fn without_the_mode_the_remedy_names_it() {
    let (plain, url) = Plain::start().await;
    let connecting = tokio::spawn({
        let url = url.clone();
        async move { connect(&url, Spoken::new()).await }
    });
    let (stream, _) = plain.0.accept().await.unwrap();
    let _selects_nothing = tokio_tungstenite::accept_async(stream).await.unwrap();
    let error = connecting.await.unwrap().unwrap_err();
    assert!(matches!(&error, ConnectError::Closed(end) if end.code == 4006), "{error}");
    assert!(error.remedy().contains("existing::connect"), "{error}");

    let options = Spoken::new()
        .tuned(|config| {
            config.stage_timeout = Duration::from_millis(50);
            config.backoff_first = Duration::from_secs(60);
            config.backoff_base = Duration::from_secs(60);
        })
        .ready_timeout(Duration::from_secs(3));
    let connecting = tokio::spawn(async move { connect(&url, options).await });
    let (_echoes_the_protocol, _) = plain.accept().await;
    let error = connecting.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("unconfirmed") && error.remedy().contains("existing::connect"), "{error}");
}
