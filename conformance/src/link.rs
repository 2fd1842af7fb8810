//! One WebSocket of a case, from either end, with everything a polite library would not do.

use futures::{SinkExt, StreamExt};
use readywire_protocol::SUBPROTOCOL;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// The largest request head that is read.
const HEAD_BYTES: usize = 64 << 10;

/// A WebSocket.
#[derive(Debug)]
pub struct Link {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    client: bool,
}

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inbound {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A close frame.
    Close(u16, String),
    /// The connection is gone, with no close frame.
    Gone(String),
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(16 << 10).max_message_size(None).max_frame_size(None)
}

impl Link {
    /// The client's end of a connection that was upgraded; `rest` came behind the answer.
    pub(crate) async fn open(stream: MaybeTlsStream<TcpStream>, rest: Vec<u8>) -> Self {
        let socket = WebSocketStream::from_partially_read(stream, rest, Role::Client, Some(config())).await;
        Self { socket, client: true }
    }

    /// The next thing that comes.
    pub async fn next(&mut self) -> Inbound {
        loop {
            return match self.socket.next().await {
                Some(Ok(Message::Text(text))) => Inbound::Text(text.to_string()),
                Some(Ok(Message::Binary(bytes))) => Inbound::Binary(bytes.into()),
                Some(Ok(Message::Close(frame))) => {
                    // Answered before anybody looks at it.
                    let _ = self.socket.flush().await;
                    match frame {
                        Some(frame) => Inbound::Close(frame.code.into(), frame.reason.to_string()),
                        None => Inbound::Close(1005, String::new()),
                    }
                }
                Some(Ok(_)) => continue,
                Some(Err(error)) => Inbound::Gone(error.to_string()),
                None => Inbound::Gone("the connection is over".to_owned()),
            };
        }
    }

    /// Writes a text message.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn text(&mut self, text: &str) -> Result<(), String> {
        self.write(Message::text(text)).await
    }

    /// Writes a binary message.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn binary(&mut self, bytes: Vec<u8>) -> Result<(), String> {
        self.write(Message::binary(bytes)).await
    }

    /// Writes one text message in fragments, or the beginning of one.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn fragments(&mut self, parts: Vec<Vec<u8>>, ends: bool) -> Result<(), String> {
        let count = parts.len();
        for (index, part) in parts.into_iter().enumerate() {
            let kind = if index == 0 { Data::Text } else { Data::Continue };
            let frame = Frame::message(part, OpCode::Data(kind), ends && index + 1 == count);
            self.write(Message::Frame(frame)).await?;
        }
        Ok(())
    }

    /// Writes a text message of bytes that may be no UTF-8.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn bytes(&mut self, bytes: Vec<u8>) -> Result<(), String> {
        self.write(Message::Frame(Frame::message(bytes, OpCode::Data(Data::Text), true))).await
    }

    /// Writes a ping of the WebSocket itself.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn control_ping(&mut self) -> Result<(), String> {
        self.write(Message::Ping(Vec::new().into())).await
    }

    /// Writes a close frame.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn close(&mut self, code: u16, reason: &str) -> Result<(), String> {
        let frame = CloseFrame { code: code.into(), reason: reason.to_owned().into() };
        self.write(Message::Close(Some(frame))).await
    }

    /// Breaks the connection off, so that the other end sees a reset or an end without a close frame.
    pub async fn cut(mut self) {
        if let MaybeTlsStream::Plain(stream) = self.socket.get_mut() {
            let _ = stream.shutdown().await;
        }
    }

    /// Says good-bye, which ends the session, too, and goes; nobody waits long.
    pub async fn leave(mut self) {
        let farewell = async {
            let _ = self.text(r#"{"type":"bye","code":1000,"reason":"the case is over"}"#).await;
            while !matches!(self.next().await, Inbound::Close(..) | Inbound::Gone(_)) {}
        };
        let _ = timeout(Duration::from_millis(500), farewell).await;
        self.cut().await;
    }

    /// Lets the other end finish a close that is under way, which some wait for, then ends the connection.
    pub async fn bury(mut self) {
        let finished = async { while !matches!(self.next().await, Inbound::Gone(_)) {} };
        let _ = timeout(Duration::from_secs(2), finished).await;
        self.cut().await;
    }

    /// Which end of the connection this is.
    pub fn is_client(&self) -> bool {
        self.client
    }

    async fn write(&mut self, message: Message) -> Result<(), String> {
        // A peer that does not read must not stop the suite.
        match timeout(Duration::from_secs(10), self.socket.send(message)).await {
            Ok(sent) => sent.map_err(|error| error.to_string()),
            Err(_) => Err("the peer does not read".to_owned()),
        }
    }
}

/// A request to upgrade, not answered yet.
#[derive(Debug)]
pub struct Upgrade {
    stream: TcpStream,
    /// The path, with its query.
    pub path: String,
    /// The subprotocols that are offered.
    pub protocols: Vec<String>,
    /// The token in `Authorization`.
    pub bearer: Option<String>,
    /// When its head was complete.
    pub arrived: Instant,
    key: String,
    rest: Vec<u8>,
}

impl Upgrade {
    /// Reads the head of a request.
    ///
    /// # Errors
    /// It is no request for a WebSocket.
    pub async fn read(mut stream: TcpStream) -> Result<Self, String> {
        let mut head = Vec::new();
        let length = loop {
            let mut headers = [httparse::EMPTY_HEADER; 64];
            let mut request = httparse::Request::new(&mut headers);
            match request.parse(&head).map_err(|error| error.to_string())? {
                httparse::Status::Complete(length) => break length,
                httparse::Status::Partial if head.len() > HEAD_BYTES => return Err("a head without end".to_owned()),
                httparse::Status::Partial => {}
            }
            if stream.read_buf(&mut head).await.map_err(|error| error.to_string())? == 0 {
                return Err("the connection ended in the head".to_owned());
            }
        };
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        request.parse(&head).map_err(|error| error.to_string())?;
        let values = |name: &str| {
            let name = name.to_owned();
            request
                .headers
                .iter()
                .filter(move |header| header.name.eq_ignore_ascii_case(&name))
                .filter_map(|header| std::str::from_utf8(header.value).ok())
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let key = values("sec-websocket-key").pop().ok_or("no request for a WebSocket")?;
        let protocols = values("sec-websocket-protocol");
        let protocols =
            protocols.iter().flat_map(|value| value.split(',')).map(|entry| entry.trim().to_owned()).collect();
        let bearer = values("authorization").pop();
        let bearer = bearer.and_then(|value| value.strip_prefix("Bearer ").map(str::to_owned));
        let path = request.path.unwrap_or("/").to_owned();
        let rest = head[length..].to_vec();
        let _ = stream.set_nodelay(true);
        Ok(Self { stream, path, protocols, bearer, arrived: Instant::now(), key, rest })
    }

    /// Answers with 101.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn accept(mut self, protocol: Option<&str>) -> Result<Link, String> {
        let selected = protocol.map_or_else(String::new, |name| format!("Sec-WebSocket-Protocol: {name}\r\n"));
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {}\r\n{selected}\r\n",
            derive_accept_key(self.key.as_bytes())
        );
        self.stream.write_all(answer.as_bytes()).await.map_err(|error| error.to_string())?;
        let stream = MaybeTlsStream::Plain(self.stream);
        let socket = WebSocketStream::from_partially_read(stream, self.rest, Role::Server, Some(config())).await;
        Ok(Link { socket, client: false })
    }

    /// Answers with another status.
    pub async fn refuse(mut self, status: u16) {
        let answer = format!("HTTP/1.1 {status} Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let _ = self.stream.write_all(answer.as_bytes()).await;
        let _ = self.stream.shutdown().await;
    }

    /// The hello that rides along, as its entry.
    pub fn hello(&self) -> Option<&str> {
        self.protocols.iter().find_map(|entry| entry.strip_prefix(readywire_protocol::HELLO_PREFIX))
    }

    /// Whether the first entry is the protocol.
    pub fn offers_first(&self) -> bool {
        self.protocols.first().is_some_and(|entry| entry == SUBPROTOCOL)
    }
}
