//! One connection of a client that does not speak the protocol, from its upgrade to its end.

use super::{Gate, PlainClient};
use crate::application::Room;
use crate::claims::{Claims, TokenError};
use crate::driver::waits;
use crate::gateway::{Gateway, Seen, Upstream};
use crate::hub::Hub;
use crate::service::Progress;
use crate::strangers::Stranger;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures::{SinkExt, StreamExt};
use readywire_protocol::close;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};

/// Messages that a handler may be behind before its client is read no further, and answers that may wait to be written.
const AHEAD: usize = 64;
/// How long the other end may take to answer a close frame.
const FAREWELL: Duration = Duration::from_secs(1);
/// A server that goes away, and a message of a kind that nobody takes: codes that every client knows.
const GOING_AWAY: u16 = 1001;
const UNSUPPORTED: u16 = 1003;

/// What is known of such a client from its upgrade.
pub(crate) struct PlainUpgrade {
    pub(crate) claims: Result<Claims, TokenError>,
    /// The token as it came, for whoever passes it on.
    pub(crate) token: Option<String>,
    pub(crate) stranger: Stranger,
    pub(crate) behind: Behind,
}

/// What stands behind the gate.
#[derive(Clone)]
pub(crate) enum Behind {
    /// The application's handler.
    Handler(Gate),
    /// Another server.
    Gateway(Arc<Gateway>),
}

/// How it ends: what the close frame says.
struct Ending {
    code: u16,
    reason: String,
}

impl Ending {
    fn new(code: u16, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }
}

/// Serves one connection to its end.
pub(crate) async fn serve(hub: Arc<Hub>, socket: WebSocket, upgrade: PlainUpgrade) {
    let mut plain = Plain { hub, socket, held: VecDeque::new(), held_bytes: 0 };
    let (_, id) = plain.hub.name_connection();
    let ending = match plain.run(upgrade).await {
        Ok(()) => return tracing::info!(connection = id, "a client without the protocol has left"),
        Err(ending) => ending,
    };
    tracing::info!(
        connection = id,
        code = ending.code,
        reason = ending.reason,
        "a client without the protocol is closed"
    );
    plain.say_goodbye(ending).await;
}

struct Plain {
    hub: Arc<Hub>,
    socket: WebSocket,
    held: VecDeque<Utf8Bytes>,
    held_bytes: u64,
}

impl Plain {
    async fn run(&mut self, upgrade: PlainUpgrade) -> Result<(), Ending> {
        let claims = upgrade.claims.map_err(|error| Ending::new(error.code(), error.to_string()))?;
        drop(upgrade.stranger);
        let upstream = match &upgrade.behind {
            Behind::Gateway(gateway) => Some(gateway.open(&claims.sub, upgrade.token.as_deref())),
            Behind::Handler(_) => None,
        };
        let held = match &upgrade.behind {
            Behind::Handler(gate) => gate.held,
            Behind::Gateway(gateway) => gateway.held,
        };
        if !self.hold(&claims, upstream.as_ref(), held).await? {
            return Ok(());
        }
        let expires = Instant::now().checked_add(claims.expires_in()).filter(|_| upgrade.token.is_some());
        match (upgrade.behind, upstream) {
            (Behind::Handler(gate), _) => self.handle(gate, claims.sub, expires).await,
            (_, Some(upstream)) => self.pass_on(upstream, expires).await,
            // A gateway has always one.
            (Behind::Gateway(_), None) => Ok(()),
        }
    }

    /// Holds what comes until everything is running; false if the client leaves before.
    async fn hold(
        &mut self,
        claims: &Claims,
        upstream: Option<&Arc<Upstream>>,
        most: readywire_protocol::config::Window,
    ) -> Result<bool, Ending> {
        let hub = self.hub.clone();
        let start = hub.parts.services.connect(&claims.sub);
        let (mut process, mut own) = (hub.parts.services.process().progress(), start.progress());
        let mut seen = upstream.map(|upstream| upstream.seen());
        let mut draining = hub.draining();
        let deadline = Instant::now() + hub.parts.config.ready_timeout;
        loop {
            let mut pending = Vec::new();
            for progress in [process.borrow_and_update().clone(), own.borrow_and_update().clone()] {
                match progress {
                    Progress::Failed(failure) => return Err(Ending::new(failure.code(), failure.to_string())),
                    Progress::Pending(names) => pending.extend(names),
                    Progress::Ready => {}
                }
            }
            match seen.as_mut().map(|seen| seen.borrow_and_update().clone()) {
                Some(Seen::Connecting) => pending.push("upstream".to_owned()),
                Some(Seen::Lost { code, reason }) => return Err(Ending::new(code, reason)),
                Some(Seen::Ready { .. }) | None => {}
            }
            if pending.is_empty() {
                hub.parts.services.used(&claims.sub, &start);
                return Ok(true);
            }
            tokio::select! {
                biased;
                () = waits::told(&mut draining) => return Err(Ending::new(GOING_AWAY, "the server is going away")),
                () = tokio::time::sleep_until(deadline) => {
                    let reason = format!("not ready in time, pending: {}", pending.join(", "));
                    return Err(Ending::new(close::NOT_READY_IN_TIME, reason));
                }
                () = changed(&mut process) => {}
                () = changed(&mut own) => {}
                () = changed_if(seen.as_mut()) => {}
                message = self.socket.recv() => match read(message)? {
                    Read::Text(text) => {
                        self.held_bytes += text.len() as u64;
                        self.held.push_back(text);
                        if self.held.len() as u64 > most.messages || self.held_bytes > most.bytes {
                            let reason = format!("too much before ready, pending: {}", pending.join(", "));
                            return Err(Ending::new(close::TOO_MANY, reason));
                        }
                    }
                    Read::Alive => {}
                    Read::Gone => return Ok(false),
                },
            }
        }
    }

    /// Hands everything to the application, what was held first.
    async fn handle(&mut self, gate: Gate, subject: String, expires: Option<Instant>) -> Result<(), Ending> {
        let (replies, mut answers) = mpsc::channel(AHEAD);
        let (messages, mut inbox) = mpsc::channel::<Utf8Bytes>(AHEAD);
        let room: Arc<dyn Room> = self.hub.clone();
        let client = PlainClient { subject, room, replies };
        // Ends by itself when the channel does: what was handed over is processed, though its client has left.
        tokio::spawn(async move {
            gate.handler.joined(&client).await;
            while let Some(text) = inbox.recv().await {
                gate.handler.handle(text.to_string(), &client).await;
            }
        });
        let mut messages = Some(messages);
        self.carry(expires, &mut answers, |text| {
            let messages = messages.as_ref().cloned();
            async move { messages?.send(text).await.ok() }
        })
        .await?;
        messages = None;
        drop(messages);
        Ok(())
    }

    /// Passes everything on to the server behind the gateway, what was held first.
    async fn pass_on(&mut self, upstream: Arc<Upstream>, expires: Option<Instant>) -> Result<(), Ending> {
        let Some(mut answers) = upstream.messages() else { return Ok(()) };
        let sent = self
            .carry(expires, &mut answers, |text| {
                let upstream = upstream.clone();
                async move { upstream.send(0, text.to_string()).await.then_some(()) }
            })
            .await;
        match (sent, upstream.seen().borrow().clone()) {
            (Ok(Carried::Left), _) => Ok(()),
            // This client knows that server's own codes.
            (_, Seen::Lost { code, reason }) => Err(Ending::new(code, reason)),
            (Ok(Carried::NobodyLeft), _) => Err(Ending::new(close::SERVICE_FAILED, "nobody is left behind the gate")),
            (Err(ending), _) => Err(ending),
        }
    }

    /// Carries messages both ways until somebody leaves.
    async fn carry<F, D>(
        &mut self,
        expires: Option<Instant>,
        answers: &mut mpsc::Receiver<String>,
        mut deliver: F,
    ) -> Result<Carried, Ending>
    where
        F: FnMut(Utf8Bytes) -> D,
        D: Future<Output = Option<()>>,
    {
        let config = self.hub.parts.config.clone();
        let mut draining = self.hub.draining();
        let mut pings = tokio::time::interval(config.ping_interval);
        let mut silent_at: Option<Instant> = None;
        let mut under_way: Option<std::pin::Pin<Box<D>>> = None;
        loop {
            if under_way.is_none() {
                under_way = self.held.pop_front().map(|text| Box::pin(deliver(text)));
            }
            // While somebody has to be waited for, the client is not read, and so not known to be silent either.
            let reading = under_way.is_none();
            tokio::select! {
                biased;
                () = waits::told(&mut draining) => return Err(Ending::new(GOING_AWAY, "the server is going away")),
                () = waits::at(expires) => return Err(Ending::new(TokenError::Expired.code(), TokenError::Expired.to_string())),
                () = waits::at(silent_at), if reading => {
                    return Err(Ending::new(close::HEARTBEAT_TIMEOUT, "the client fell silent"));
                }
                delivered = waits::ended(under_way.as_mut()) => {
                    under_way = None;
                    if delivered.is_none() {
                        return Ok(Carried::NobodyLeft);
                    }
                }
                answer = answers.recv() => match answer {
                    Some(text) => self.write(Message::Text(text.into())).await?,
                    None => return Ok(Carried::NobodyLeft),
                },
                _ = pings.tick() => {
                    self.write(Message::Ping(Vec::new().into())).await?;
                    silent_at = silent_at.or(Some(Instant::now() + config.ping_timeout));
                }
                message = self.socket.recv(), if reading => {
                    silent_at = None;
                    match read(message)? {
                        Read::Text(text) => self.held.push_back(text),
                        Read::Alive => {}
                        Read::Gone => return Ok(Carried::Left),
                    }
                }
            }
        }
    }

    async fn write(&mut self, message: Message) -> Result<(), Ending> {
        match timeout(self.hub.parts.config.ping_timeout, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Ending::new(1006, "the connection broke off")),
            Err(_) => Err(Ending::new(close::SLOW_CONSUMER, "the client does not read")),
        }
    }

    async fn say_goodbye(mut self, Ending { code, reason }: Ending) {
        // Codes that stand for "none came" cannot be written.
        let code = if matches!(code, 1005 | 1006 | 1015) { 1011 } else { code };
        let frame = CloseFrame { code, reason: close::cut_reason(&reason).to_owned().into() };
        let closing = async {
            if SinkExt::send(&mut self.socket, Message::Close(Some(frame))).await.is_ok() {
                while let Some(Ok(_)) = self.socket.next().await {}
            }
        };
        let _ = timeout(FAREWELL, closing).await;
    }
}

/// Who left first.
enum Carried {
    Left,
    NobodyLeft,
}

enum Read {
    Text(Utf8Bytes),
    Alive,
    Gone,
}

fn read(message: Option<Result<Message, axum::Error>>) -> Result<Read, Ending> {
    match message {
        Some(Ok(Message::Text(text))) => Ok(Read::Text(text)),
        Some(Ok(Message::Binary(_))) => Err(Ending::new(UNSUPPORTED, "binary messages are not taken here")),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(Read::Alive),
        Some(Ok(Message::Close(_)) | Err(_)) | None => Ok(Read::Gone),
    }
}

async fn changed<T>(watched: &mut watch::Receiver<T>) {
    // One that has come to its end says nothing more.
    if watched.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn changed_if<T>(watched: Option<&mut watch::Receiver<T>>) {
    match watched {
        Some(watched) => changed(watched).await,
        None => std::future::pending().await,
    }
}
