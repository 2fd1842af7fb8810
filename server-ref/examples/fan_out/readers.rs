//! The process that subscribes: it reads, takes, and tells how late what it read was.

use crate::Failure;
use futures::{SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

/// So many publications are taken at once.
const TAKES: u64 = 64;

/// Two hundred bytes of JSON that begin with the time.
pub(crate) fn stamped() -> String {
    format!("\"{:020}{}\"", micros(), "x".repeat(178))
}

fn micros() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros()).unwrap_or_default()
}

/// How late a publication is, in microseconds.
pub(crate) fn lateness(text: &str) -> Option<u64> {
    let at = text.find(r#""payload":""#)? + 11;
    let sent: u64 = text.get(at..at + 20)?.parse().ok()?;
    Some(micros().saturating_sub(sent))
}

/// How many publications were seen since the last line, and how late they were.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) count: u64,
    /// In microseconds, by how many.
    pub(crate) late: std::collections::BTreeMap<u64, u64>,
}

impl Seen {
    pub(crate) fn add(&mut self, late: u64) {
        self.count += 1;
        // To a hundredth of a millisecond, and to a percent above.
        let step = (late / 100).max(10);
        *self.late.entry(late / step * step).or_default() += 1;
    }

    /// In milliseconds.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let wanted = (self.count as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (late, count) in &self.late {
            seen += count;
            if seen >= wanted {
                return *late as f64 / 1000.0;
            }
        }
        0.0
    }
}

/// The process of the subscribers, seen from here.
pub(crate) struct Readers {
    lines: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Readers {
    pub(crate) async fn start(address: SocketAddr, token: Option<&str>, count: usize) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("readers").arg(address.to_string()).arg(count.to_string()).args(token);
        let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let output = child.stdout.take().ok_or("no output")?;
        let mut lines = BufReader::new(output).lines();
        if lines.next_line().await?.as_deref() != Some("ready") {
            return Err("the readers did not get ready".into());
        }
        Ok(Self { lines, _child: child })
    }

    /// Waits until they have seen so many.
    pub(crate) async fn seen(&mut self, count: u64) -> Result<Seen, Failure> {
        let mut all = Seen::default();
        while all.count < count {
            let line = self.lines.next_line().await?.ok_or("the readers are gone")?;
            let seen: Seen = serde_json::from_str(&line)?;
            all.count += seen.count;
            for (late, times) in seen.late {
                *all.late.entry(late).or_default() += times;
            }
        }
        Ok(all)
    }
}

/// The other process.
pub(crate) async fn main(arguments: &[String]) -> Result<(), Failure> {
    let [address, count, token @ ..] = arguments else { return Err("address, count, token".into()) };
    let (sender, mut lates) = mpsc::unbounded_channel();
    for _ in 0..count.parse()? {
        let mut socket = open(address.parse()?).await?;
        match token.first() {
            Some(token) => drop(follow(&mut socket, token, "bench", None).await?),
            None => drop(socket.next().await),
        }
        let (sender, takes) = (sender.clone(), !token.is_empty());
        tokio::spawn(async move {
            let mut seen = 0;
            while let Some(Ok(message)) = socket.next().await {
                let Message::Text(text) = message else { continue };
                let Some(late) = lateness(&text) else {
                    answer(&mut socket, &text).await;
                    continue;
                };
                let _ = sender.send(late);
                seen += 1;
                if takes && seen % TAKES == 0 {
                    take(&mut socket, "bench", &text).await;
                }
            }
        });
    }
    println!("ready");
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    loop {
        ticks.tick().await;
        let mut seen = Seen::default();
        while let Ok(late) = lates.try_recv() {
            seen.add(late);
        }
        if seen.count > 0 {
            println!("{}", serde_json::to_string(&seen)?);
        }
    }
}

pub(crate) async fn open(address: SocketAddr) -> Result<Socket, Failure> {
    let mut request = format!("ws://{address}/ws").into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", "readywire.v1".parse()?);
    let config = WebSocketConfig::default().read_buffer_size(16 << 10);
    match connect_async_with_config(request, Some(config), true).await {
        Ok((socket, _)) => Ok(socket),
        // A bare server selects nothing.
        Err(_) => {
            let request = format!("ws://{address}/ws").into_client_request()?;
            Ok(connect_async_with_config(request, Some(config), true).await?.0)
        }
    }
}

/// Says hello and subscribes; gives the `subscribed`.
pub(crate) async fn follow(
    socket: &mut Socket,
    token: &str,
    topic: &str,
    from: Option<(u64, &str)>,
) -> Result<serde_json::Value, Failure> {
    let hello = json!({ "type": "hello", "auth": { "token": token }, "capabilities": ["topics"] });
    let (offset, epoch) = from.unzip();
    let subscribe = json!({ "type": "subscribe", "topic": topic, "offset": offset, "epoch": epoch });
    for frame in [hello, subscribe] {
        socket.send(Message::text(frame.to_string())).await?;
    }
    loop {
        let Message::Text(text) = socket.next().await.ok_or("over")?? else { continue };
        let frame: serde_json::Value = serde_json::from_str(&text)?;
        match frame["type"].as_str() {
            Some("subscribed") => return Ok(frame),
            Some("bye" | "unsubscribed") => return Err(frame.to_string().into()),
            _ => {}
        }
    }
}

pub(crate) fn offset_of(text: &str) -> u64 {
    let digits = text.split_once(r#""offset":"#).map_or("", |(_, rest)| rest);
    digits
        .split(|digit: char| !digit.is_ascii_digit())
        .next()
        .and_then(|digits| digits.parse().ok())
        .unwrap_or_default()
}

pub(crate) async fn take(socket: &mut Socket, topic: &str, publication: &str) {
    let taken = json!({ "type": "taken", "topic": topic, "offset": offset_of(publication) });
    let _ = socket.send(Message::text(taken.to_string())).await;
}

pub(crate) async fn answer(socket: &mut Socket, text: &str) {
    if text.starts_with(r#"{"type":"ping""#) {
        let _ = socket.send(Message::text(text.replacen("ping", "pong", 1))).await;
    }
}
