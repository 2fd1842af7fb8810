//! One task per connection: carries bytes between the socket and the protocol's core, and does what the core asks.

use crate::application::{Answer, process};
use crate::claims::{Claims, TOKEN_EXPIRED, TokenError};
use crate::faults::Strike;
use crate::hub::{Holder, Hub, SessionInbox, Stranger};
use crate::service::{Progress, StartUp};
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures::{FutureExt, SinkExt, StreamExt, poll};
use readywire_protocol::close;
use readywire_protocol::frame::{Hello, LostBecause, Refusal, Resume, Send, SessionGrant};
use readywire_protocol::server::{Bound, Decision, Ending, ServerConnection, ServerEvent, Take, Transmit};
use readywire_protocol::stage::Stage;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

/// How long a connection goes on after `drain`.
const DRAIN: Duration = Duration::from_millis(250);
/// How long the other end may take to answer a close frame.
const CLOSING: Duration = Duration::from_secs(1);
/// How many messages are read before the answers to them are flushed.
const BATCH: usize = 256;

/// The session that a connection holds.
struct Held {
    id: String,
    holder: Arc<Holder>,
    /// Whether the client has shown that it has the new token.
    confirmed: bool,
}

/// The services that a connection waits for.
struct Starting {
    start: StartUp,
    process: watch::Receiver<Progress>,
    own: watch::Receiver<Progress>,
}

struct Driver {
    hub: Arc<Hub>,
    core: ServerConnection,
    owner: u64,
    bearer: Option<String>,
    stranger: Option<Stranger>,
    claims: Option<Claims>,
    expires_at: Option<Instant>,
    resume: Option<Resume>,
    services: Option<Starting>,
    held: Option<Held>,
    impaired: Vec<String>,
    stage: Stage,
    since: Instant,
    drained_at: Option<Instant>,
    cut: bool,
}

/// Serves one connection to its end.
pub async fn serve(
    hub: Arc<Hub>,
    mut socket: WebSocket,
    offered: Vec<String>,
    bearer: Option<String>,
    stranger: Stranger,
) {
    let (owner, id) = hub.name_connection();
    let core = ServerConnection::new(hub.parts.config.clone(), hub.now(), id, offered.iter().map(String::as_str));
    let mut driver = Driver {
        core,
        owner,
        bearer,
        stranger: Some(stranger),
        claims: None,
        expires_at: None,
        resume: None,
        services: None,
        held: None,
        impaired: Vec::new(),
        stage: Stage::Connecting,
        since: Instant::now(),
        drained_at: None,
        cut: false,
        hub,
    };
    driver.step(Stage::Accepted);
    if !offered.iter().any(|entry| entry == readywire_protocol::SUBPROTOCOL) {
        let reason = "offer the subprotocol readywire.v1";
        driver.core.refuse(NO_COMMON_PROTOCOL, reason, None);
    }
    driver.run(&mut socket).await;
}

/// The close code of a client that speaks none of the server's protocols.
const NO_COMMON_PROTOCOL: u16 = 4006;

/// What woke the task.
enum Wake {
    Frame(Option<Result<Message, axum::Error>>),
    Timer,
    Services,
    Inbox,
    Replaced,
    Impaired,
    Draining,
    DrainOver,
    Expired,
    Struck(Result<Strike, broadcast::error::RecvError>),
}

impl Driver {
    async fn run(&mut self, socket: &mut WebSocket) {
        let mut strikes = self.hub.parts.faults.strikes();
        let mut impaired = self.hub.parts.services.impaired();
        let mut draining = self.hub.draining();
        let mut drain_seen = false;
        loop {
            self.settle();
            if !self.flush(socket).await {
                break;
            }
            let holder = self.held.as_ref().map(|held| held.holder.clone());
            let timer = self.core.poll_timeout().map(|instant| self.hub.moment(instant));
            let wake = tokio::select! {
                biased;
                struck = strikes.recv() => Wake::Struck(struck),
                () = replaced(holder.as_deref()) => Wake::Replaced,
                frame = socket.next() => Wake::Frame(frame),
                () = at(timer) => Wake::Timer,
                () = changed(self.services.as_mut()) => Wake::Services,
                () = filled(holder.as_deref()) => Wake::Inbox,
                Ok(()) = impaired.changed() => Wake::Impaired,
                () = told(&mut draining), if !drain_seen => Wake::Draining,
                () = at(self.drained_at) => Wake::DrainOver,
                () = at(self.expires_at) => Wake::Expired,
            };
            match wake {
                Wake::Frame(frame) => {
                    let mut frame = Some(frame);
                    let mut read = 0;
                    // Everything that has come is read before anything is flushed: many acks fit into one write.
                    while let Some(next) = frame.take() {
                        let more = self.frame(next);
                        read += 1;
                        if more && read < BATCH {
                            self.settle();
                            frame = socket.next().now_or_never();
                        }
                    }
                }
                Wake::Timer => self.core.handle_timeout(self.hub.now()),
                Wake::Services => self.progress(),
                // Delivered by `settle`.
                Wake::Inbox => {}
                Wake::Replaced => {
                    self.core.refuse(close::SESSION_TAKEN_OVER, "a later attempt has the session", None);
                }
                Wake::Impaired => {
                    self.impaired = impaired.borrow_and_update().clone();
                    let reason = (!self.impaired.is_empty()).then(|| format!("impaired: {}", self.impaired.join(", ")));
                    self.core.impaired(self.impaired.clone(), reason);
                }
                Wake::Draining => {
                    drain_seen = true;
                    if self.core.stage().is_ready() {
                        self.core.drain(DRAIN, (Duration::ZERO, Duration::from_millis(500)));
                        self.drained_at = Some(Instant::now() + DRAIN);
                    } else {
                        self.core.refuse(close::DRAINING, "the server is going away", None);
                    }
                }
                Wake::DrainOver => {
                    self.drained_at = None;
                    self.core.refuse(close::DRAINING, "the server is going away", None);
                }
                Wake::Expired => {
                    self.expires_at = None;
                    self.core.refuse(TOKEN_EXPIRED, &TokenError::Expired.to_string(), None);
                }
                Wake::Struck(Ok(Strike::Cut { subject })) => {
                    let mine = self.claims.as_ref().map(|claims| &claims.sub);
                    if subject.is_none() || subject.as_ref() == mine {
                        self.cut = true;
                        self.core.handle_closed(None);
                        self.settle();
                        return;
                    }
                }
                Wake::Struck(Ok(Strike::ExpireTokens)) => {
                    self.core.refuse(TOKEN_EXPIRED, &TokenError::Expired.to_string(), None);
                }
                Wake::Struck(Err(_)) => {}
            }
        }
        // The close frame is out: wait for the other end's, so that it is not lost to a reset.
        let answered = async { while let Some(Ok(_)) = socket.next().await {} };
        let _ = tokio::time::timeout(CLOSING, answered).await;
    }

    /// Feeds one frame in; tells whether another may follow.
    fn frame(&mut self, frame: Option<Result<Message, axum::Error>>) -> bool {
        let now = self.hub.now();
        match frame {
            Some(Ok(Message::Text(text))) => {
                if let Some(held) = self.held.as_mut().filter(|held| !held.confirmed) {
                    held.confirmed = true;
                    self.hub.sessions(|sessions| sessions.confirm_token(&held.id, self.owner));
                }
                self.core.handle_message(now, &text);
            }
            Some(Ok(Message::Binary(_))) => self.core.handle_binary(),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Close(frame))) => {
                let frame = frame.map(|frame| close::CloseFrame { code: frame.code, reason: frame.reason.to_string() });
                self.core.handle_closed(frame);
            }
            Some(Err(error)) => {
                // The library names what it could not read only in words.
                let error = error.to_string();
                if error.contains("too long") {
                    self.core.handle_oversize();
                } else if error.to_lowercase().contains("utf-8") {
                    self.core.refuse(close::MALFORMED, "a message that is not UTF-8", None);
                } else {
                    self.core.handle_closed(None);
                }
            }
            None => self.core.handle_closed(None),
        }
        self.core.stage() != Stage::Closed
    }

    /// Does what the core asks, until it asks nothing more, then hands it what waits in the inbox.
    fn settle(&mut self) {
        while let Some(event) = self.core.poll_event() {
            match event {
                ServerEvent::Hello(hello) => self.hello(*hello),
                ServerEvent::Send(send) => self.send(send),
                ServerEvent::Taken { offset } => {
                    if let Some(held) = &self.held {
                        self.hub.taken(&held.id, self.owner, offset);
                    }
                }
                ServerEvent::Cancel { re } => {
                    if let Some(held) = &self.held {
                        self.hub.cancel(&held.id, re);
                    }
                }
                ServerEvent::Closed(ending) => self.closed(&ending),
            }
        }
        if let Some(held) = &self.held {
            while let Some((after, room)) = self.core.inbox_room() {
                let messages = self.hub.sessions(|sessions| sessions.read(&held.id, self.owner, after, room));
                if messages.is_empty() {
                    break;
                }
                messages.into_iter().for_each(|message| self.core.deliver(message));
            }
        }
        let stage = self.core.stage();
        if stage != self.stage {
            self.step(stage);
        }
    }

    fn hello(&mut self, hello: Hello) {
        self.stranger = None;
        let token = match (&hello.auth, &self.bearer) {
            (Some(auth), _) if auth.scheme == "bearer" => Ok(auth.token.as_str()),
            (Some(_), _) => Err(TokenError::Scheme),
            (None, Some(bearer)) => Ok(bearer.as_str()),
            (None, None) => Err(TokenError::Missing),
        };
        match token.and_then(|token| self.hub.parts.authority.validate(token)) {
            Ok(claims) => {
                let start = self.hub.parts.services.connect(&claims.sub);
                let process = self.hub.parts.services.process().progress();
                self.services = Some(Starting { process, own: start.progress(), start });
                // A token for ages has an end that no clock can name.
                self.expires_at = Instant::now().checked_add(claims.expires_in());
                self.claims = Some(claims);
                self.resume = hello.resume;
                self.core.authenticated(self.hub.now());
                self.step(Stage::Authenticated);
                self.progress();
            }
            Err(error) => self.core.refuse(error.code(), &error.to_string(), None),
        }
        // Spent: not kept longer than needed.
        self.bearer = None;
    }

    /// The services are further, or are looked at for the first time.
    fn progress(&mut self) {
        let Some(services) = &mut self.services else { return };
        let process = services.process.borrow_and_update().clone();
        let own = services.own.borrow_and_update().clone();
        match (process, own) {
            (Progress::Failed(failure), _) | (_, Progress::Failed(failure)) => {
                self.services = None;
                self.core.refuse(failure.code(), &failure.to_string(), None);
            }
            (Progress::Ready, Progress::Ready) => self.bind(),
            (process, own) => {
                let names = [process, own].into_iter().flat_map(|progress| match progress {
                    Progress::Pending(names) => names,
                    _ => Vec::new(),
                });
                self.core.pending(self.hub.now(), names.collect());
            }
        }
    }

    /// Binds the session and says ready: from here on the next message is processed.
    fn bind(&mut self) {
        let (Some(claims), Some(services)) = (self.claims.clone(), self.services.take()) else { return };
        let hub = self.hub.clone();
        hub.parts.services.used(&claims.sub, &services.start);
        self.core.services_ready(hub.now());
        self.step(Stage::ServicesReady);
        let resume = self.resume.take();
        let token = hub.draw_secret();
        let (binding, holder) = match hub.bind(&claims.sub, self.owner, resume.as_ref(), &token) {
            Ok(bound) => bound,
            Err(_) => {
                let reason = "a later attempt has the session";
                return self.core.refuse(close::SESSION_TAKEN_OVER, reason, None);
            }
        };
        if resume.is_some() {
            hub.metrics.resumed(binding.resumed);
        }
        self.impaired = hub.parts.services.impaired().borrow().clone();
        self.held = Some(Held { id: binding.id.clone(), holder, confirmed: false });
        self.core.ready(Bound {
            session: Some(SessionGrant {
                id: binding.id,
                token,
                ttl_ms: u64::try_from(hub.parts.config.session_ttl.as_millis()).unwrap_or(u64::MAX),
                resumed: binding.resumed,
                lost_because: (resume.is_some() && !binding.resumed).then_some(LostBecause::NotFound),
                subject: claims.sub.clone(),
                durability: "process".to_owned(),
            }),
            received: binding.received,
            refused: binding.refused,
            inbox: binding.inbox,
            impaired: self.impaired.clone(),
            token_expires_in: Some(claims.expires_in()),
        });
    }

    /// Decides a send and, if it is new, starts its handler.
    fn send(&mut self, send: Send) {
        let (Some(held), Some(claims)) = (&self.held, &self.claims) else { return };
        let (hub, session) = (self.hub.clone(), held.id.clone());
        hub.metrics.sends.inc();
        let handler = hub.parts.application.handler(&send.event).cloned();
        let needed = handler.as_ref().and_then(|handler| {
            handler.requires().iter().find(|name| self.impaired.iter().any(|impaired| impaired == *name))
        });
        let refuse = match (&handler, needed) {
            (None, _) => Some(Refusal {
                message: format!("nothing here handles `{}`", send.event),
                ..refusal(send.id, "unknown_event")
            }),
            (_, Some(service)) => Some(Refusal {
                message: format!("service `{service}` is impaired"),
                retry: true,
                service: Some((*service).to_owned()),
                ..refusal(send.id, "service_impaired")
            }),
            _ => None,
        };
        match hub.sessions(|sessions| sessions.take(hub.now(), &session, self.owner, &send, refuse)) {
            Take::Fenced => {
                self.core.refuse(close::SESSION_TAKEN_OVER, "a later attempt has the session", None);
            }
            Take::Again(decision) => self.core.decide(hub.now(), send.id, decision),
            Take::New => {
                self.core.decide(hub.now(), send.id, Decision::Taken);
                let Some(handler) = handler else { return };
                let cancellation = hub.begin_work(&session, send.id);
                let inbox = Arc::new(SessionInbox { hub: hub.clone(), session: session.clone() });
                let answer = Answer::new(inbox, send.id, send.answer, cancellation);
                let request = crate::application::Request {
                    subject: claims.sub.clone(),
                    session: session.clone(),
                    id: send.id,
                    event: send.event,
                    payload: send.payload,
                    room: hub.clone(),
                };
                let mut work = async move {
                    process(handler, request, answer).await;
                    hub.end_work(&session, send.id);
                }
                .boxed();
                // Polled once here, so that handlers start in the order of the ids; the rest outlives this connection.
                let waits = async { matches!(poll!(&mut work), Poll::Pending) }.now_or_never() != Some(false);
                if waits {
                    tokio::spawn(work);
                }
            }
        }
    }

    fn closed(&mut self, ending: &Ending) {
        let id = self.core.id();
        tracing::info!(
            connection = id, stage = %ending.stage, code = ending.code, reason = ending.reason, cut = self.cut, "closed"
        );
        if !ending.stage.is_ready() {
            self.hub.metrics.failed(ending.stage, ending.code);
            if ending.code == close::FRAME_BEFORE_READY {
                self.hub.metrics.frames_before_ready.inc();
            }
        }
        self.stranger = None;
        self.services = None;
        self.expires_at = None;
        self.drained_at = None;
        if let Some(held) = self.held.take() {
            self.hub.leave(&held.id, self.owner, ending.ends_session);
        }
    }

    /// One line, and the counters, for each change of stage.
    fn step(&mut self, stage: Stage) {
        if stage == self.stage {
            return;
        }
        self.hub.metrics.step(self.stage, stage, self.since.elapsed());
        let subject = self.claims.as_ref().map(|claims| claims.sub.as_str());
        tracing::info!(
            connection = self.core.id(), from = %self.stage, to = %stage, subject,
            spent_ms = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX), "stage"
        );
        self.stage = stage;
        self.since = Instant::now();
    }

    /// Writes everything at once; tells whether the connection goes on.
    async fn flush(&mut self, socket: &mut WebSocket) -> bool {
        let mut wrote = false;
        while let Some(transmit) = self.core.poll_transmit() {
            let message = match transmit {
                Transmit::Text(text) => {
                    if text.starts_with(r#"{"type":"ack""#) {
                        if self.hub.parts.faults.loses_ack() {
                            continue;
                        }
                        self.hub.metrics.acks.inc();
                    } else if text.starts_with(r#"{"type":"nack""#) {
                        self.hub.metrics.nacks.inc();
                    }
                    Message::Text(text.into())
                }
                Transmit::Close { code, reason } => Message::Close(Some(CloseFrame { code, reason: reason.into() })),
            };
            wrote = true;
            if !self.write(socket.feed(message)).await {
                return false;
            }
        }
        (!wrote || self.write(socket.flush()).await) && self.core.stage() != Stage::Closed
    }

    /// A write waits for a client that does not read, but not for ever.
    async fn write(&mut self, write: impl Future<Output = Result<(), axum::Error>>) -> bool {
        let limit = self.hub.parts.config.ping_timeout;
        if matches!(tokio::time::timeout(limit, write).await, Ok(Ok(()))) {
            return true;
        }
        self.core.handle_closed(None);
        self.settle();
        false
    }
}

impl Drop for Driver {
    /// A task that is dropped half way leaves nothing behind, either.
    fn drop(&mut self) {
        self.core.handle_closed(None);
        self.settle();
    }
}

fn refusal(id: u64, code: &str) -> Refusal {
    Refusal { id, code: code.to_owned(), message: String::new(), retry: false, retry_after_ms: None, service: None }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Either of the starts that a connection waits for is further.
async fn changed(starting: Option<&mut Starting>) {
    let further = async |progress: &mut watch::Receiver<Progress>| {
        // One that has come to its end says nothing more.
        if progress.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    match starting {
        Some(starting) => tokio::select! {
            () = further(&mut starting.process) => {}
            () = further(&mut starting.own) => {}
        },
        None => std::future::pending().await,
    }
}

async fn told(draining: &mut watch::Receiver<bool>) {
    if draining.wait_for(|draining| *draining).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn filled(holder: Option<&Holder>) {
    match holder {
        Some(holder) => holder.inbox.notified().await,
        None => std::future::pending().await,
    }
}

async fn replaced(holder: Option<&Holder>) {
    match holder {
        Some(holder) => holder.replaced.cancelled().await,
        None => std::future::pending().await,
    }
}
