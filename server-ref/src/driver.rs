//! One task per connection: carries bytes between the socket and the protocol's core, and does what the core asks.

mod greeting;
mod sends;
mod tokens;
mod waits;
mod wire;

use crate::claims::{Claims, TokenError};
use crate::faults::{Strike, TokenHash};
use crate::hub::{Holder, Hub};
use crate::inspection::Record;
use crate::listener::Tap;
use crate::service::{Progress, StartUp};
use crate::strangers::Stranger;
use axum::extract::ws::WebSocket;
use readywire_protocol::SUBPROTOCOL;
use readywire_protocol::clause::Clause;
use readywire_protocol::close;
use readywire_protocol::config::Window;
use readywire_protocol::error::PeerMisbehaved;
use readywire_protocol::frame::Resume;
use readywire_protocol::server::{Ending, ServerConnection, ServerEvent};
use readywire_protocol::stage::Stage;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use wire::{Inbound, Wire};

/// How long a connection goes on after `drain`.
const DRAIN: Duration = Duration::from_millis(250);
/// How many messages are read before the answers to them are written.
const BATCH: usize = 256;
/// What the WebSocket's own headers may add to what a stranger may send.
const HEADERS: u64 = 4 << 10;

/// What is known of a connection from its upgrade.
pub(crate) struct Upgrade {
    /// The subprotocols that the client offered.
    pub(crate) offered: Vec<String>,
    /// The token in its `Authorization` header.
    pub(crate) bearer: Option<String>,
    /// The other end's address, if anybody told.
    pub(crate) remote: Option<SocketAddr>,
    /// The bytes of its socket, if the listener counts them.
    pub(crate) tap: Option<Arc<Tap>>,
    /// Its place among those that have not said who they are.
    pub(crate) stranger: Stranger,
}

/// The session that a connection holds.
struct Held {
    id: String,
    holder: Arc<Holder>,
    /// Whether the client speaks the level Resume; for one that does not, the session ends with the connection.
    resumes: bool,
    /// Whether the client has shown that it has the new token.
    confirmed: bool,
}

/// The services that a connection waits for.
struct Starting {
    start: StartUp,
    process: watch::Receiver<Progress>,
    own: watch::Receiver<Progress>,
}

/// The levels beyond Core that the client speaks.
#[derive(Clone, Copy, Default)]
struct Levels {
    resume: bool,
    answers: bool,
}

struct Driver {
    hub: Arc<Hub>,
    wire: Wire,
    core: ServerConnection,
    owner: u64,
    record: Arc<Record>,
    bearer: Option<String>,
    stranger: Option<Stranger>,
    levels: Levels,
    claims: Option<Claims>,
    token: Option<TokenHash>,
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
pub(crate) async fn serve(hub: Arc<Hub>, socket: WebSocket, upgrade: Upgrade) {
    let Upgrade { offered, bearer, remote, tap, stranger } = upgrade;
    let config = &hub.parts.config;
    if let Some(tap) = &tap {
        tap.allow(config.preauth_bytes + HEADERS);
    }
    let (owner, id) = hub.name_connection();
    let record = hub.inspection.opened(owner, &id, remote);
    let core = ServerConnection::new(config.clone(), hub.now(), id, offered.iter().map(String::as_str));
    let mut driver = Driver {
        core,
        owner,
        record,
        bearer,
        wire: Wire::new(socket, tap, config.ping_timeout),
        stranger: Some(stranger),
        levels: Levels::default(),
        claims: None,
        token: None,
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
    if !offered.iter().any(|entry| entry == SUBPROTOCOL) {
        let found = "offer the subprotocol readywire.v1";
        driver.core.handle_violation(PeerMisbehaved::new(Clause::UpgradeSubprotocol, found));
    }
    driver.run().await;
    if !driver.cut {
        driver.wire.finish().await;
    }
}

/// What woke the task.
enum Wake {
    Struck(Strike),
    Replaced,
    Overflowed,
    Draining,
    DrainOver,
    Impaired,
    Timer,
    Services,
    Inbound(Inbound),
    Inbox,
}

impl Driver {
    async fn run(&mut self) {
        let mut strikes = self.hub.parts.faults.strikes();
        let mut impaired = self.hub.parts.services.impaired();
        let mut draining = self.hub.draining();
        let mut drain_seen = false;
        loop {
            self.settle();
            if self.core.stage() == Stage::Closed {
                return;
            }
            let holder = self.held.as_ref().map(|held| held.holder.clone());
            let timer = self.core.poll_timeout().map(|instant| self.hub.moment(instant));
            // What happens now and then comes before what a client can make happen without a pause.
            let wake = tokio::select! {
                biased;
                strike = waits::strike(&mut strikes) => Wake::Struck(strike),
                () = waits::replaced(holder.as_deref()) => Wake::Replaced,
                () = waits::overflowed(holder.as_deref()) => Wake::Overflowed,
                () = waits::told(&mut draining), if !drain_seen => Wake::Draining,
                () = waits::at(self.drained_at) => Wake::DrainOver,
                Ok(()) = impaired.changed() => Wake::Impaired,
                () = waits::at(timer) => Wake::Timer,
                () = waits::further(self.services.as_mut()) => Wake::Services,
                inbound = self.wire.next() => Wake::Inbound(inbound),
                () = waits::filled(holder.as_deref()) => Wake::Inbox,
            };
            match wake {
                Wake::Struck(strike) => {
                    self.strike(&strike);
                    if self.cut {
                        return;
                    }
                }
                Wake::Replaced => {
                    self.core.refuse(close::SESSION_TAKEN_OVER, "a later attempt has the session", None);
                }
                Wake::Overflowed => self.core.refuse(close::SLOW_CONSUMER, "the inbox of the session is full", None),
                Wake::Draining => {
                    drain_seen = true;
                    self.drain();
                }
                Wake::DrainOver => {
                    self.drained_at = None;
                    self.core.refuse(close::DRAINING, "the server is going away", None);
                }
                Wake::Impaired => {
                    self.impaired = impaired.borrow_and_update().clone();
                    let reason = (!self.impaired.is_empty()).then(|| format!("impaired: {}", self.impaired.join(", ")));
                    self.record.impaired(&self.impaired);
                    self.core.impaired(self.impaired.clone(), reason);
                }
                Wake::Timer => self.core.handle_timeout(self.hub.now()),
                Wake::Services => self.progress(),
                Wake::Inbound(inbound) => self.read(inbound),
                // Delivered by `settle`.
                Wake::Inbox => {}
            }
        }
    }

    /// Takes in everything that has come: many acks fit into one write.
    fn read(&mut self, first: Inbound) {
        let mut next = Some(first);
        for _ in 0..BATCH {
            let Some(inbound) = next.take() else { return };
            self.inbound(inbound);
            self.settle();
            if self.core.stage() == Stage::Closed {
                return;
            }
            next = self.wire.try_next();
        }
        if let Some(last) = next {
            self.inbound(last);
        }
    }

    fn inbound(&mut self, inbound: Inbound) {
        match inbound {
            Inbound::Text(text) => self.core.handle_message(self.hub.now(), &text),
            Inbound::Binary => self.core.handle_binary(),
            Inbound::Oversize => self.core.handle_oversize(),
            Inbound::NotUtf8 => {
                self.core.handle_violation(PeerMisbehaved::new(Clause::FrameMalformed, "a message that is not UTF-8"));
            }
            Inbound::TooMuch => {
                let found = "too many bytes before AUTHENTICATED";
                self.core.handle_violation(PeerMisbehaved::new(Clause::PreauthLimits, found));
            }
            Inbound::NoWebSocket => self.core.refuse(BROKEN_FRAMING, "this is no WebSocket any more", None),
            Inbound::Closed(frame) => self.core.handle_closed(frame),
            Inbound::Stuck => self.core.refuse(close::SLOW_CONSUMER, "the client does not read", None),
            // What waited for room is delivered by `settle`.
            Inbound::Nothing => {}
        }
    }

    /// What only a client that has read `ready` writes shows that it has the new token. A `pong` shows nothing: it may have
    /// been written before (clause `session.token`).
    fn confirm(&mut self, event: &ServerEvent) {
        if let ServerEvent::Send(_) | ServerEvent::Taken { .. } | ServerEvent::Cancel { .. } = event
            && let Some(held) = self.held.as_mut().filter(|held| !held.confirmed)
        {
            held.confirmed = true;
            self.hub.sessions(|sessions| sessions.confirm_token(&held.id, self.owner));
        }
    }

    /// Does what the core asks, until it asks nothing more, and hands it what waits in the inbox.
    fn settle(&mut self) {
        while let Some(event) = self.core.poll_event() {
            self.confirm(&event);
            match event {
                ServerEvent::Hello(hello) => self.hello(*hello),
                ServerEvent::Send(send) => self.send(send),
                ServerEvent::Taken { offset } => {
                    if let Some(held) = &self.held {
                        self.hub.taken(&held.id, self.owner, offset);
                        held.holder.taken(offset, |after| self.hub.metrics.delivered(after));
                    }
                }
                ServerEvent::Cancel { re } => {
                    if let Some(held) = &self.held {
                        self.hub.cancel(&held.id, self.owner, re);
                    }
                }
                ServerEvent::FreshToken(auth) => self.fresh_token(&auth),
                ServerEvent::Closed(ending) => self.closed(&ending),
            }
        }
        self.wire.take(&mut self.core, &self.hub);
        if let Some(held) = &self.held {
            if held.resumes {
                self.deliver();
            } else {
                self.hub.discard_inbox(&held.id, self.owner);
                held.holder.taken(u64::MAX, |_| ());
            }
        }
        self.record.under_way(self.core.in_flight(), self.core.untaken_count());
        self.step(self.core.stage());
    }

    /// Passes on what waits in the inbox, as far as the client's window and the socket have room.
    fn deliver(&mut self) {
        while let (Some(held), Some((after, room)), Some(most)) = (&self.held, self.core.inbox_room(), self.wire.room())
        {
            let room = Window { bytes: room.bytes.min(most), ..room };
            let messages = self.hub.sessions(|sessions| sessions.read(&held.id, self.owner, after, room));
            if messages.is_empty() {
                return;
            }
            messages.into_iter().for_each(|message| self.core.deliver(message));
            self.wire.take(&mut self.core, &self.hub);
        }
    }

    fn drain(&mut self) {
        if self.core.stage().is_ready() {
            self.core.drain(DRAIN, (Duration::ZERO, Duration::from_millis(500)));
            self.drained_at = Some(Instant::now() + DRAIN);
        } else {
            self.core.refuse(close::DRAINING, "the server is going away", None);
        }
    }

    fn strike(&mut self, strike: &Strike) {
        if !strike.is_for(self.claims.as_ref().map(|claims| claims.sub.as_str())) {
            return;
        }
        match (strike, self.token) {
            (Strike::Cut { .. }, _) => {
                self.cut = true;
                self.core.handle_closed(None);
                self.settle();
            }
            (Strike::ExpireToken { .. }, Some(token)) => {
                self.hub.parts.faults.expire(token);
                self.core.refuse(close::TOKEN_EXPIRED, &TokenError::Expired.to_string(), None);
            }
            // Nothing to expire yet.
            (Strike::ExpireToken { .. }, None) => {}
        }
    }

    fn closed(&mut self, ending: &Ending) {
        tracing::info!(
            connection = self.core.id(),
            stage = %ending.stage,
            code = ending.code,
            clause = ending.clause.map(Clause::id),
            // A client's own words may be long.
            reason = close::cut_reason(&ending.reason),
            cut = self.cut,
            "closed"
        );
        match ending.stage.is_ready() {
            true => self.hub.metrics.ended(ending.code),
            false => self.hub.metrics.failed(ending.stage, ending.code),
        }
        match ending.code {
            close::TOKEN_NOT_REFRESHED => self.hub.metrics.refreshed("not_in_time"),
            close::TOKEN_EXPIRED if ending.stage > Stage::Accepted => {
                self.hub.metrics.auth_refused(&TokenError::Expired);
            }
            _ => {}
        }
        if ending.clause == Some(Clause::ReadyGate) {
            self.hub.metrics.frames_before_ready.inc();
        }
        self.record.step(Stage::Closed);
        self.hub.inspection.ended(self.owner, ending);
        self.stranger = None;
        self.services = None;
        self.drained_at = None;
        if let Some(held) = self.held.take() {
            let ends = ending.ends_session || !held.resumes;
            self.hub.leave(&held.id, self.owner, ends, self.core.untaken());
        }
    }

    /// One line, and the counters, for each change of stage.
    fn step(&mut self, stage: Stage) {
        if stage == self.stage {
            return;
        }
        let spent = self.since.elapsed();
        self.hub.metrics.step(self.stage, stage, spent);
        if stage.is_ready() && !self.stage.is_ready() {
            self.hub.metrics.ready(self.record.age());
        }
        tracing::info!(
            connection = self.core.id(),
            from = %self.stage,
            to = %stage,
            subject = self.claims.as_ref().map(|claims| claims.sub.as_str()),
            spent_ms = u64::try_from(spent.as_millis()).unwrap_or(u64::MAX),
            "stage"
        );
        self.record.step(stage);
        self.stage = stage;
        self.since = Instant::now();
    }
}

/// The WebSocket protocol's own code for a peer that breaks it.
const BROKEN_FRAMING: u16 = 1002;

impl Drop for Driver {
    /// A task that is dropped half way leaves nothing behind, either.
    fn drop(&mut self) {
        self.core.handle_closed(None);
        self.settle();
    }
}
