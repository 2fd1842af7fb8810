//! One connection to the application behind a gateway, in a task of its own.

use super::Target;
use futures::{SinkExt, StreamExt};
use readywire_protocol::close;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::client::ClientRequestBuilder;
use tokio_tungstenite::tungstenite::error::Error;
use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, WebSocketConfig};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Messages that may wait to be written, and to be taken over; then the other side is read no further.
const WAITING: usize = 64;
/// The largest message of the application.
const LARGEST: usize = 1 << 20;
const READ_BUFFER: usize = 4096;
/// How often the application is asked for a sign of life, and how long it may take.
const PING: Duration = Duration::from_secs(20);
const SILENCE: Duration = Duration::from_secs(10);
/// How long the other end may take to answer a close frame.
const FAREWELL: Duration = Duration::from_secs(1);

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Not ready yet.
    Connecting,
    /// The rule has said so; or, not `confirmed`, there is none, and the socket is open.
    Ready {
        /// Whether there is a rule.
        confirmed: bool,
    },
    /// Over: with the application's own code and reason, or with one of ours.
    Lost {
        /// The code.
        code: u16,
        /// The reason.
        reason: String,
    },
}

/// An upstream. Its connection is closed when the last owner lets go.
pub(crate) struct Upstream {
    seen: watch::Receiver<Seen>,
    written: watch::Receiver<u64>,
    orders: mpsc::Sender<(u64, String)>,
    /// The number of the latest message that was given to be written.
    ordered: AtomicU64,
    messages: Mutex<Option<mpsc::Receiver<String>>>,
    _closes: DropGuard,
}

impl Upstream {
    pub(super) fn open(target: Arc<Target>, subject: &str, token: Option<&str>) -> Arc<Self> {
        let (seen_by, seen) = watch::channel(Seen::Connecting);
        let (written_by, written) = watch::channel(0);
        let (orders, to_write) = mpsc::channel(2 * WAITING);
        let (read, messages) = mpsc::channel(WAITING);
        let closing = CancellationToken::new();
        let opening = target.opening.iter().map(|text| filled(text, subject, token)).collect();
        let bearer = token.filter(|_| target.forward_token).map(str::to_owned);
        let task = Task {
            target,
            opening,
            bearer,
            seen: seen_by,
            written: written_by,
            orders: to_write,
            messages: read,
            closing: closing.clone(),
        };
        tokio::spawn(task.run());
        Arc::new(Self {
            seen,
            written,
            orders,
            ordered: AtomicU64::new(0),
            messages: Mutex::new(Some(messages)),
            _closes: closing.drop_guard(),
        })
    }

    /// How far it is, now and later.
    pub(crate) fn seen(&self) -> watch::Receiver<Seen> {
        self.seen.clone()
    }

    pub(crate) fn is_lost(&self) -> bool {
        matches!(*self.seen.borrow(), Seen::Lost { .. })
    }

    /// The number of the latest message that was written, now and later.
    pub(crate) fn written(&self) -> watch::Receiver<u64> {
        self.written.clone()
    }

    /// Gives a message to be written, waiting for room; false if it is over.
    pub(crate) async fn send(&self, number: u64, text: String) -> bool {
        self.orders.send((number, text)).await.is_ok()
    }

    /// Gives a message to be written, if there is room.
    pub(crate) fn try_send(&self, number: u64, text: String) -> bool {
        self.ordered.fetch_max(number, Ordering::Relaxed);
        self.orders.try_send((number, text)).is_ok()
    }

    /// Whether this message was given to be written, and is not written yet.
    pub(crate) fn awaits(&self, number: u64) -> bool {
        number > *self.written.borrow() && number <= self.ordered.load(Ordering::Relaxed)
    }

    /// Whether one more message may wait, when so many of this client are not written. A batch of sends is judged before any
    /// of it is given here, so a whole window has to fit behind.
    pub(crate) fn has_room(&self, unwritten: usize) -> bool {
        unwritten < WAITING && self.orders.capacity() >= WAITING
    }

    /// Whether everything is written.
    pub(crate) fn is_flushed(&self) -> bool {
        *self.written.borrow() >= self.ordered.load(Ordering::Relaxed)
    }

    /// What the application says; for the first who asks.
    pub(crate) fn messages(&self) -> Option<mpsc::Receiver<String>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn filled(text: &str, subject: &str, token: Option<&str>) -> String {
    // As they stand within a JSON string; in other texts the same, for what a token consists of.
    let quoted = |value: &str| {
        let quoted = serde_json::Value::from(value).to_string();
        quoted[1..quoted.len() - 1].to_owned()
    };
    text.replace("${subject}", &quoted(subject)).replace("${token}", &quoted(token.unwrap_or_default()))
}

struct Task {
    target: Arc<Target>,
    opening: Vec<String>,
    bearer: Option<String>,
    seen: watch::Sender<Seen>,
    written: watch::Sender<u64>,
    orders: mpsc::Receiver<(u64, String)>,
    messages: mpsc::Sender<String>,
    closing: CancellationToken,
}

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Why it is over.
struct Loss(u16, String);

fn failed(reason: impl std::fmt::Display) -> Loss {
    Loss(close::SERVICE_FAILED, format!("upstream: {reason}"))
}

impl Task {
    async fn run(mut self) {
        let closing = self.closing.clone();
        let deadline = Instant::now() + self.target.ready_timeout;
        let opening = timeout(self.target.ready_timeout, connect(&self.target, self.bearer.take()));
        let mut opened = None;
        let loss = match closing.run_until_cancelled(opening).await {
            None => Loss(close::NORMAL, "let go".to_owned()),
            Some(Err(_)) => failed("it did not open in time"),
            Some(Ok(Err(loss))) => loss,
            Some(Ok(Ok(mut stream))) => {
                let carried = closing.run_until_cancelled(self.carry(&mut stream, deadline)).await;
                opened = Some(stream);
                match carried {
                    None => Loss(close::NORMAL, "let go".to_owned()),
                    Some(Err(loss)) => loss,
                    Some(Ok(never)) => match never {},
                }
            }
        };
        tracing::info!(code = loss.0, reason = loss.1, "an upstream is over");
        self.seen.send_replace(Seen::Lost { code: loss.0, reason: loss.1 });
        if let Some(mut stream) = opened {
            let _ = timeout(FAREWELL, async {
                if stream.close(None).await.is_ok() {
                    while let Some(Ok(_)) = stream.next().await {}
                }
            })
            .await;
        }
    }

    async fn carry(&mut self, stream: &mut Stream, deadline: Instant) -> Result<std::convert::Infallible, Loss> {
        for text in std::mem::take(&mut self.opening) {
            stream.feed(Message::text(text)).await.map_err(failed)?;
        }
        stream.flush().await.map_err(failed)?;
        let confirms = self.target.ready_when.is_some();
        let mut ready = !confirms;
        if ready {
            self.seen.send_replace(Seen::Ready { confirmed: false });
        }
        let messages = self.messages.clone();
        let mut last: Option<String> = None;
        let mut read: Option<String> = None;
        let mut pings = tokio::time::interval(PING);
        let mut silent_at: Option<Instant> = None;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(deadline), if !ready => {
                    let seen = last.map_or("it has said nothing".to_owned(), |last| format!("the last began `{last}`"));
                    return Err(Loss(close::NOT_READY_IN_TIME, format!("upstream: no message was the ready one, {seen}")));
                }
                () = tokio::time::sleep_until(silent_at.unwrap_or(deadline)), if silent_at.is_some() && read.is_none() => {
                    return Err(failed("it fell silent"));
                }
                _ = pings.tick() => {
                    stream.send(Message::Ping(Vec::new().into())).await.map_err(failed)?;
                    silent_at = silent_at.or(Some(Instant::now() + SILENCE));
                }
                permit = messages.reserve(), if read.is_some() => match (permit, read.take()) {
                    (Ok(permit), Some(text)) => permit.send(text),
                    // Nobody listens any more.
                    _ => return Err(Loss(close::NORMAL, "let go".to_owned())),
                },
                message = stream.next(), if read.is_none() => {
                    silent_at = None;
                    match message {
                        Some(Ok(Message::Text(text))) => {
                            if !ready {
                                ready = self.target.ready_when.as_ref().is_none_or(|rule| rule.says_ready(&text));
                                last = Some(text.chars().take(60).collect());
                                if ready {
                                    self.seen.send_replace(Seen::Ready { confirmed: true });
                                }
                            }
                            read = Some(text.to_string());
                        }
                        Some(Ok(Message::Binary(_))) => return Err(failed("it sends binary messages")),
                        Some(Ok(Message::Close(frame))) => return Err(closed(frame)),
                        Some(Ok(_)) => {}
                        Some(Err(error)) => return Err(failed(error)),
                        None => return Err(failed("the connection broke off")),
                    }
                }
                order = self.orders.recv(), if ready => {
                    let Some((number, text)) = order else { return Err(Loss(close::NORMAL, "let go".to_owned())) };
                    self.write(stream, number, text).await?;
                }
            }
        }
    }

    /// Writes this and everything that waits behind it, and flushes once.
    async fn write(&mut self, stream: &mut Stream, number: u64, text: String) -> Result<(), Loss> {
        let mut highest = number;
        let all = async {
            stream.feed(Message::text(text)).await?;
            while let Ok((number, text)) = self.orders.try_recv() {
                highest = number;
                stream.feed(Message::text(text)).await?;
            }
            stream.flush().await
        };
        // One that does not read is as good as gone.
        match timeout(SILENCE, all).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(failed(error)),
            Err(_) => return Err(failed("it does not read")),
        }
        self.written.send_replace(highest);
        Ok(())
    }
}

fn closed(frame: Option<CloseFrame>) -> Loss {
    match frame {
        Some(frame) => Loss(frame.code.into(), frame.reason.to_string()),
        None => Loss(1005, String::new()),
    }
}

async fn connect(target: &Target, bearer: Option<String>) -> Result<Stream, Loss> {
    let uri: Uri = target.url.parse().map_err(failed)?;
    let mut request = target
        .protocols
        .iter()
        .fold(ClientRequestBuilder::new(uri), |request, protocol| request.with_sub_protocol(protocol.as_str()));
    if let Some(bearer) = bearer {
        request = request.with_header("Authorization", format!("Bearer {bearer}"));
    }
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_message_size(Some(LARGEST))
        .max_frame_size(Some(LARGEST));
    match connect_async_with_config(request, Some(config), true).await {
        Ok((stream, _)) => Ok(stream),
        Err(Error::Http(response)) => Err(failed(format!("it answers {}", response.status()))),
        Err(error) => Err(failed(error)),
    }
}
