//! One task per connection: carries bytes between the socket and the protocol's core, and does what the core asks.

mod ending;
pub(crate) mod greeting;
mod history;
mod inbox;
mod moving;
mod questions;
mod sends;
mod stages;
pub(crate) mod tokens;
mod topics;
mod upstream;
pub(crate) mod waits;
mod wire;

use crate::claims::Claims;
use crate::faults::{Strike, TokenHash};
use crate::hub::Hub;
use crate::inspection::Record;
use crate::listener::Tap;
use crate::log::{Head, LogError};
use crate::service::{Progress, StartUp};
use crate::sessions::{BoundSession, Moment, Watches};
use crate::strangers::Stranger;
use axum::extract::ws::WebSocket;
use history::{Pages, Read};
use readywire_protocol::SUBPROTOCOL;
use readywire_protocol::clause::Clause;
use readywire_protocol::close;
use readywire_protocol::error::PeerMisbehaved;
use readywire_protocol::frame::{Resume, Send};
use readywire_protocol::server::{ServerConnection, ServerEvent};
use readywire_protocol::stage::Stage;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::Instant;
use topics::{Answered, Topics};
use wire::{Inbound, Wire};

/// How many messages are read before the answers to them are written.
const BATCH: usize = 256;
/// What the WebSocket's own headers may add to what a stranger may send.
const HEADERS: u64 = 4 << 10;
/// The WebSocket protocol's own code for a peer that breaks it.
const BROKEN_FRAMING: u16 = 1002;

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
    session: BoundSession,
    /// `None` for a client that does not speak the level Resume: its session ends with the connection.
    watches: Option<Watches>,
    /// Everything up to here was delivered, as far as known.
    delivered: u64,
    /// What was appended while it held the session and is not taken, and when: no more than the client's window.
    untaken: VecDeque<(u64, Moment)>,
    since: Moment,
    /// Whether the client has shown that it has the new token.
    confirmed: bool,
    /// Until somebody knows that the former connection starts nothing more.
    release: Option<Release>,
}

/// What a connection knows of the one that had its session before.
struct Release {
    news: watch::Receiver<Head>,
    /// When that one is taken for gone.
    until: Instant,
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
    /// The token as it came, for the application behind a gateway.
    forwarded: Option<String>,
    behind: Option<upstream::Behind>,
    stranger: Option<Stranger>,
    levels: Levels,
    claims: Option<Claims>,
    token: Option<TokenHash>,
    resume: Option<Resume>,
    services: Option<Starting>,
    held: Option<Held>,
    /// Sends that are to be decided, all in one step.
    sends: Vec<Send>,
    /// Answers to some of them that are not wanted any more.
    cancels: Vec<u64>,
    topics: Topics,
    pages: Pages,
    impaired: Vec<String>,
    stage: Stage,
    since: Instant,
    /// When the client is told to go, and when it is sent away.
    drain_at: Option<Instant>,
    drained_at: Option<Instant>,
    /// Whether its session is another's by now, and the client about to leave.
    has_moved: bool,
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
        forwarded: None,
        behind: None,
        wire: Wire::new(socket, tap, config.ping_timeout),
        stranger: Some(stranger),
        levels: Levels::default(),
        claims: None,
        token: None,
        resume: None,
        services: None,
        held: None,
        sends: Vec::new(),
        cancels: Vec::new(),
        topics: Topics::default(),
        pages: Pages::default(),
        impaired: Vec::new(),
        stage: Stage::Connecting,
        since: Instant::now(),
        drain_at: None,
        drained_at: None,
        has_moved: false,
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
    Ended,
    Draining,
    DrainTold,
    DrainOver,
    Impaired,
    Timer,
    Services,
    Topics(Option<Answered>),
    Page(Read),
    Released,
    Moved,
    Upstream,
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
            self.settle().await;
            if self.core.stage() == Stage::Closed {
                return;
            }
            self.let_go().await;
            let waits::Watched { ownership, inbox, release, session } = waits::split(self.held.as_mut());
            let timer = self.core.poll_timeout().map(|instant| self.hub.moment(instant));
            // What happens now and then comes before what a client can make happen without a pause.
            let wake = tokio::select! {
                biased;
                strike = waits::strike(&mut strikes) => Wake::Struck(strike),
                ended = waits::lost(ownership) => if ended { Wake::Ended } else { Wake::Replaced },
                () = waits::told(&mut draining), if !drain_seen => Wake::Draining,
                () = waits::at(self.drain_at) => Wake::DrainTold,
                () = waits::at(self.drained_at) => Wake::DrainOver,
                Ok(()) = impaired.changed() => Wake::Impaired,
                () = waits::at(timer) => Wake::Timer,
                () = waits::further(self.services.as_mut()) => Wake::Services,
                () = waits::released(release) => Wake::Released,
                () = waits::moved(session) => Wake::Moved,
                answered = self.topics.woken() => Wake::Topics(answered),
                read = self.pages.read() => Wake::Page(read),
                () = upstream::moved(self.behind.as_mut()) => Wake::Upstream,
                inbound = self.wire.next() => Wake::Inbound(inbound),
                () = waits::filled(inbox) => Wake::Inbox,
            };
            match wake {
                Wake::Struck(strike) => {
                    self.strike(&strike).await;
                    if self.cut {
                        return;
                    }
                }
                Wake::Replaced => self.log_failed(&LogError::Fenced),
                Wake::Ended => self.session_gone().await,
                Wake::Draining => {
                    drain_seen = true;
                    self.drain();
                }
                Wake::DrainTold => self.tell_to_go(),
                Wake::DrainOver if self.has_moved => self.taken_over(),
                Wake::DrainOver => {
                    self.drained_at = None;
                    self.core.refuse(close::DRAINING, "the server is going away", None);
                }
                Wake::Impaired => {
                    self.impaired = impaired.borrow_and_update().clone();
                    self.impaired.extend(self.hub.parts.gateway.as_ref().and_then(|gateway| gateway.impairment()));
                    let reason = (!self.impaired.is_empty()).then(|| format!("impaired: {}", self.impaired.join(", ")));
                    self.record.impaired(&self.impaired);
                    self.core.impaired(self.impaired.clone(), reason);
                }
                Wake::Timer => self.core.handle_timeout(self.hub.now()),
                Wake::Services => self.progress().await,
                Wake::Topics(Some(answered)) => self.answered(answered),
                Wake::Page(read) => self.page_read(read),
                Wake::Moved => {
                    self.streams_moved();
                    self.questions_moved();
                }
                Wake::Released => self.look_for_release().await,
                Wake::Upstream => self.upstream_moved().await,
                Wake::Inbound(inbound) => self.read(inbound).await,
                // Delivered by `settle`.
                Wake::Inbox | Wake::Topics(None) => {}
            }
        }
    }

    /// Takes in everything that has come: many sends are decided in one step, and many acks fit into one write.
    async fn read(&mut self, first: Inbound) {
        let mut next = Some(first);
        for _ in 0..BATCH {
            let Some(inbound) = next.take() else { return };
            self.inbound(inbound);
            // On the way to ready each frame may change what is made of the next.
            if !self.core.stage().is_ready() {
                self.settle().await;
            }
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
            Inbound::Binary(message) => self.core.handle_binary(self.hub.now(), message.into()),
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
        if let ServerEvent::Send(_)
        | ServerEvent::Taken { .. }
        | ServerEvent::Cancel { .. }
        | ServerEvent::TopicRoom { .. } = event
            && let Some(held) = self.held.as_mut().filter(|held| !held.confirmed)
        {
            held.confirmed = true;
            held.session.confirm_token();
        }
    }

    /// Does what the core asks, until it asks nothing more, and hands it what waits in the inbox.
    async fn settle(&mut self) {
        loop {
            self.attend().await;
            self.wire.take(&mut self.core, &self.hub);
            let open = self.core.stage() != Stage::Closed;
            self.deliver().await;
            if !open || self.core.stage() != Stage::Closed {
                break;
            }
        }
        self.record.under_way(self.core.in_flight(), self.core.untaken_count());
        self.deliver_topics();
        self.next_page();
        self.step(self.core.stage());
    }

    async fn attend(&mut self) {
        let mut taken = None;
        loop {
            let Some(event) = self.core.poll_event() else {
                if !self.sends.is_empty() && !self.holds_back() {
                    self.decide().await;
                } else if self.written(taken.take()).await && (self.sends.is_empty() || self.holds_back()) {
                    return;
                }
                continue;
            };
            self.confirm(&event);
            match event {
                ServerEvent::Hello(hello) => self.hello(*hello).await,
                ServerEvent::Send(send) => self.sends.push(send),
                ServerEvent::Taken { offset } => taken = Some(offset),
                ServerEvent::Cancel { re } => self.cancel(re).await,
                ServerEvent::FreshToken(auth) => self.fresh_token(&auth),
                ServerEvent::Subscribe { topic, offset, epoch, last } => self.subscribe(topic, offset, epoch, last),
                ServerEvent::Unsubscribe { topic } => self.forget_topic(&topic),
                ServerEvent::History(asked) => self.history(asked),
                ServerEvent::TopicRoom { topic } => self.deliver_topic(&topic),
                ServerEvent::Closed(ending) => {
                    self.decide().await;
                    self.written(taken.take()).await;
                    self.closed(&ending).await;
                }
            }
        }
    }
}
