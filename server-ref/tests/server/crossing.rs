//! From the dialled socket to `ready`, by the protocol's own client over a bare WebSocket.

use crate::relay::Relay;
use futures::{SinkExt, StreamExt};
use readywire_protocol::client::{Client, Command};
use readywire_protocol::config::ClientConfig;
use readywire_protocol::frame::Auth;
use readywire_protocol::time::Instant as Moment;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

/// Far beyond what any step takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// What it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crossing {
    /// Flights from the client to the server, the upgrade being the first.
    pub(crate) flights: usize,
    /// WebSocket messages that the client wrote.
    pub(crate) messages: usize,
    /// From the open TCP connection to the upgrade, and to `ready`.
    pub(crate) upgraded: Duration,
    pub(crate) ready: Duration,
}

/// Connects once, with the hello in the upgrade or in the first frame.
pub(crate) async fn cross(relay: &Relay, token: &str, hello_in_upgrade: bool) -> Crossing {
    let mut client = Client::new(ClientConfig { hello_in_upgrade, ..ClientConfig::default() }, 7);
    let origin = Instant::now();
    let now = || Moment::from_origin(origin.elapsed());
    let mut socket: Option<WebSocketStream<TcpStream>> = None;
    let mut dialled = origin;
    let mut crossing = Crossing { flights: 0, messages: 0, upgraded: Duration::ZERO, ready: Duration::ZERO };
    client.connect(now());
    loop {
        while let Some(command) = client.poll_command() {
            match command {
                Command::TransmitBinary { .. } => unreachable!("nobody sends bytes here"),
                Command::AskToken { number } => {
                    let auth = Auth { scheme: "bearer".to_owned(), token: token.to_owned() };
                    client.provide_token(now(), number, Ok(Some(auth)));
                }
                Command::AskFreshToken { .. } => panic!("the token lasts"),
                Command::Dial { number, protocols, .. } => {
                    let stream = TcpStream::connect(relay.address).await.unwrap();
                    stream.set_nodelay(true).unwrap();
                    dialled = Instant::now();
                    let mut request = format!("ws://{}/ws", relay.address).into_client_request().unwrap();
                    let offered = protocols.join(", ").parse().unwrap();
                    request.headers_mut().insert("sec-websocket-protocol", offered);
                    let (opened, response) = client_async(request, stream).await.unwrap();
                    crossing.upgraded = dialled.elapsed();
                    socket = Some(opened);
                    let selected = response.headers()["sec-websocket-protocol"].to_str().unwrap();
                    client.handle_open(now(), number, selected);
                }
                Command::Transmit { text, .. } => {
                    crossing.messages += 1;
                    socket.as_mut().expect("dialled").send(Message::text(text)).await.unwrap();
                }
                Command::Close { code, reason, .. } => panic!("closed with {code}: {reason}"),
            }
        }
        while client.poll_event().is_some() {}
        if client.state().is_ready() {
            let flights = relay.flights().count();
            return Crossing { flights, ready: dialled.elapsed(), ..crossing };
        }
        let next = socket.as_mut().expect("dialled").next();
        match tokio::time::timeout(PATIENCE, next).await.expect("in time") {
            Some(Ok(Message::Text(text))) => client.handle_message(now(), 1, &text),
            other => panic!("not ready: {other:?}"),
        }
    }
}
