//! The socket: written and read side by side, so that two ends that both have much to say never wait for each other.

use crate::hub::Hub;
use crate::listener::Tap;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use bytes::Bytes;
use futures::{FutureExt, SinkExt, StreamExt, ready};
use readywire_protocol::close;
use readywire_protocol::server::{ServerConnection, Transmit};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// How long the other end may take to read the last words, and then to answer the close frame.
const LAST_WORDS: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(1);
/// So many bytes waiting to be written, and the inbox keeps the rest.
const ROOM: usize = 256 << 10;
/// So many, of whatever kind, and the client has stopped reading.
const TOO_FULL: usize = 8 << 20;

/// What comes from the socket.
pub(super) enum Inbound {
    Text(Utf8Bytes),
    Binary(Bytes),
    Oversize,
    NotUtf8,
    /// More bytes than a stranger may send.
    TooMuch,
    /// What came breaks the WebSocket protocol itself.
    NoWebSocket,
    Closed(Option<close::CloseFrame>),
    /// The client does not read what waits for it.
    Stuck,
    /// Nothing to act on; perhaps there is room again for what had to wait.
    Nothing,
}

pub(super) struct Wire {
    socket: WebSocket,
    tap: Option<Arc<Tap>>,
    queue: VecDeque<Message>,
    queued_bytes: usize,
    flushed: bool,
    /// Somebody asked for room and got none.
    wanted: bool,
    /// The socket has given its last message, and not since the other end closed it.
    broken: bool,
    patience: Duration,
    /// How much had been written when something began to wait, and since when it waits at this point.
    waits: Option<(u64, Pin<Box<Sleep>>)>,
}

impl Wire {
    /// A wire that gives up when for so long nothing of what waits gets written.
    pub(super) fn new(socket: WebSocket, tap: Option<Arc<Tap>>, patience: Duration) -> Self {
        Self {
            socket,
            tap,
            queue: VecDeque::new(),
            queued_bytes: 0,
            flushed: true,
            wanted: false,
            broken: false,
            patience,
            waits: None,
        }
    }

    /// Takes over what the core has to write, and counts it.
    pub(super) fn take(&mut self, core: &mut ServerConnection, hub: &Hub) {
        while let Some(transmit) = core.poll_transmit() {
            let message = match transmit {
                Transmit::Text(text) => {
                    if text.starts_with(r#"{"type":"ack""#) {
                        if hub.parts.faults.loses_ack() {
                            continue;
                        }
                        hub.metrics.acks.inc();
                    } else if text.starts_with(r#"{"type":"nack""#) {
                        hub.metrics.nacks.inc();
                    } else if text.starts_with(r#"{"type":"auth","required":true"#) {
                        hub.metrics.refresh_demands.inc();
                    }
                    Message::Text(text.into())
                }
                Transmit::Binary(message) => Message::Binary(message.into()),
                Transmit::Close { code, reason } => Message::Close(Some(CloseFrame { code, reason: reason.into() })),
            };
            self.push(message);
        }
    }

    /// Adds a frame that others write, too; it stands behind what was taken over so far.
    pub(super) fn push(&mut self, message: Message) {
        self.queued_bytes += size(&message);
        self.queue.push_back(message);
    }

    /// How many bytes of the inbox or of topics may be added now.
    pub(super) fn room(&mut self) -> Option<u64> {
        let room = ROOM.checked_sub(self.queued_bytes).filter(|room| *room > 0);
        self.wanted |= room.is_none();
        room.map(|room| room as u64)
    }

    /// The bytes of the socket, if the listener counts them.
    pub(super) fn tap(&self) -> Option<&Tap> {
        self.tap.as_deref()
    }

    /// Writes what waits, until something comes. Loses nothing when dropped.
    pub(super) async fn next(&mut self) -> Inbound {
        poll_fn(|context| {
            match self.poll_write(context) {
                Poll::Ready(Err(_)) => return Poll::Ready(Inbound::Closed(None)),
                Poll::Ready(Ok(())) if std::mem::take(&mut self.wanted) => return Poll::Ready(Inbound::Nothing),
                Poll::Pending if self.queued_bytes > TOO_FULL || self.poll_patience(context).is_ready() => {
                    return Poll::Ready(Inbound::Stuck);
                }
                _ => {}
            }
            self.socket.poll_next_unpin(context).map(|message| self.read(message))
        })
        .await
    }

    /// What has come already.
    pub(super) fn try_next(&mut self) -> Option<Inbound> {
        let message = self.socket.next().now_or_never()?;
        Some(self.read(message))
    }

    /// Writes the rest, and waits for the other end's close frame, so that the last words are not lost to a reset.
    pub(super) async fn finish(&mut self) {
        let written = tokio::time::timeout(LAST_WORDS, poll_fn(|context| self.poll_finish(context).0)).await.is_ok();
        let closed = tokio::time::timeout(ANSWER, poll_fn(|context| self.poll_finish(context).1));
        let in_time = written && closed.await.is_ok();
        if let Some(tap) = self.tap.as_ref().filter(|_| self.broken || !in_time) {
            tap.linger();
        }
    }

    /// Whether everything is written, and whether the other end has closed; what it still says is dropped.
    fn poll_finish(&mut self, context: &mut Context<'_>) -> (Poll<()>, Poll<()>) {
        let written = self.poll_write(context).map(drop);
        loop {
            match self.socket.poll_next_unpin(context) {
                Poll::Ready(Some(Ok(_))) => {}
                ended => return (written, ended.map(drop)),
            }
        }
    }

    fn read(&mut self, message: Option<Result<Message, axum::Error>>) -> Inbound {
        let inbound = match message {
            Some(Ok(Message::Text(text))) => return Inbound::Text(text),
            Some(Ok(Message::Binary(message))) => return Inbound::Binary(message),
            // The library answers them; they say nothing about the client (clause `heartbeat.dead`).
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return Inbound::Nothing,
            Some(Ok(Message::Close(frame))) => {
                let frame = frame.map(|frame| close::CloseFrame { code: frame.code, reason: frame.reason.to_string() });
                return Inbound::Closed(frame);
            }
            _ if self.tap.as_ref().is_some_and(|tap| tap.is_exhausted()) => Inbound::TooMuch,
            None => Inbound::Closed(None),
            // The library tells what it could not read in words alone.
            Some(Err(error)) => match error.to_string() {
                text if text.contains("too long") => Inbound::Oversize,
                text if text.contains("UTF-8") => Inbound::NotUtf8,
                text if text.contains("reset without closing") => Inbound::Closed(None),
                text if text.starts_with("WebSocket protocol error") => Inbound::NoWebSocket,
                _ => Inbound::Closed(None),
            },
        };
        self.broken = true;
        inbound
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
        if self.queue.is_empty() && self.flushed {
            return Poll::Ready(Ok(()));
        }
        let outcome = self.poll_write_out(context);
        if outcome.is_ready() {
            self.waits = None;
        }
        outcome
    }

    /// Ready when the other end has taken nothing for too long.
    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let written = self.tap.as_ref().map_or(0, |tap| tap.written());
        let (before, timer) = self.waits.get_or_insert_with(|| (written, Box::pin(tokio::time::sleep(self.patience))));
        if *before != written {
            *before = written;
            timer.as_mut().reset(Instant::now() + self.patience);
        }
        timer.as_mut().poll(context)
    }

    fn poll_write_out(&mut self, context: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
        while !self.queue.is_empty() {
            ready!(self.socket.poll_ready_unpin(context))?;
            if let Some(message) = self.queue.pop_front() {
                self.queued_bytes -= size(&message);
                self.flushed = false;
                self.socket.start_send_unpin(message)?;
            }
        }
        ready!(self.socket.poll_flush_unpin(context))?;
        self.flushed = true;
        Poll::Ready(Ok(()))
    }
}

/// What counts of a message while it waits.
fn size(message: &Message) -> usize {
    match message {
        Message::Text(text) => text.as_str().len(),
        Message::Binary(message) => message.len(),
        _ => 0,
    }
}
