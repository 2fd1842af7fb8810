//! What the connections of a server share: sessions, who holds them, running work.

use crate::application::{Application, Room, Unanswered, Undeliverable};
use crate::claims::Authority;
use crate::drain::{Drain, DrainOptions};
use crate::faults::Faults;
use crate::gate::Gate;
use crate::gateway::Gateway;
use crate::inspection::Inspection;
use crate::log::memory::MemoryLog;
use crate::log::{Log, LogError, Name};
use crate::metrics::{Metrics, SessionLoss};
use crate::origin::Origins;
use crate::secrets;
use crate::service::Services;
use crate::sessions::{Address, AppendFailure, BoundSession, Granted, Left, SessionStore, Unbound, Watches};
use crate::strangers::{Stranger, Strangers};
use crate::tickets::Tickets;
use crate::topics::Topics;
use futures::FutureExt;
use futures::future::BoxFuture;
use readywire_protocol::config::ServerConfig;
use readywire_protocol::frame::Resume;
use readywire_protocol::json::Payload;
use readywire_protocol::server::{AppendError, Credentials, SessionMessage};
use readywire_protocol::time::Instant;
use ring::rand::SystemRandom;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What a `message` frame may have besides its event and payload.
const REST_OF_MESSAGE: usize = 256;

/// What a server is put together from; [`Parts::new`] gives those that have a default.
#[derive(Debug)]
pub struct Parts {
    /// Limits and deadlines.
    pub config: ServerConfig,
    /// Who mints and checks tokens.
    pub authority: Authority,
    /// What has to run.
    pub services: Arc<Services>,
    /// What is done with messages.
    pub application: Application,
    /// Fault switches.
    pub faults: Arc<Faults>,
    /// Who may connect from where.
    pub origins: Origins,
    /// What outlives connections, shared by every process of the server.
    pub log: Arc<dyn Log>,
    /// How long a ticket of `POST /tickets` may wait to be used.
    pub ticket_ttl: Duration,
    /// How clients are let go when the server goes away.
    pub drain: DrainOptions,
    /// How many connections of one address may be there that have not said who they are.
    pub strangers_per_address: usize,
    /// Lets clients in that do not speak the protocol; off by default.
    pub gate: Option<Gate>,
    /// Passes everything on to an application behind, in place of `application`, and for clients that do not speak the
    /// protocol as well.
    pub gateway: Option<Arc<Gateway>>,
    /// Whether who has no token is let in, as `anonymous`; off by default.
    pub anonymous: bool,
}

impl Parts {
    /// No service, no handler, no fault, and no origin but the server's own. Needs a tokio runtime.
    pub fn new(authority: Authority) -> Self {
        Self {
            config: ServerConfig::default(),
            authority,
            // Nothing cannot be wired wrongly.
            services: Services::start(Vec::new()).unwrap_or_else(|_| unreachable!()),
            application: Application::new(),
            faults: Arc::default(),
            origins: Origins::default(),
            log: MemoryLog::new(),
            ticket_ttl: Duration::from_secs(30),
            drain: DrainOptions::default(),
            strangers_per_address: 1024,
            gate: None,
            gateway: None,
            anonymous: false,
        }
    }
}

/// What the connections of a server share.
pub struct Hub {
    /// What it was put together from.
    pub parts: Parts,
    /// What is counted.
    pub metrics: Metrics,
    /// Every connection's task.
    pub connections: TaskTracker,
    origin: tokio::time::Instant,
    random: SystemRandom,
    shared: Mutex<Shared>,
    /// The sessions of every process.
    pub(crate) store: Arc<SessionStore>,
    strangers: Strangers,
    /// Who is here, and who was, for those who look after the server.
    pub(crate) inspection: Inspection,
    /// What is published and followed.
    pub(crate) topics: Arc<Topics>,
    /// One-time tickets that were used.
    pub(crate) tickets: Tickets,
    draining: watch::Sender<bool>,
    drain: OnceLock<Drain>,
    asked_to_drain: CancellationToken,
    /// The work behind answers, which outlives connections.
    pub(crate) working: TaskTracker,
    /// Notices to one subject keep the order in which they began.
    turns: [tokio::sync::Mutex<()>; 32],
    prefix: String,
}

impl fmt::Debug for Hub {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Hub({:?})", self.parts)
    }
}

#[derive(Default)]
struct Shared {
    next_owner: u64,
    /// The logs of the sessions that connections here have: they stay as long as this process keeps them.
    bound: HashMap<u64, Vec<Name>>,
    /// Running answers, by session and send.
    work: HashMap<Arc<str>, BTreeMap<u64, CancellationToken>>,
    /// Sessions that are elsewhere, or nowhere, while there is work for them here.
    followed: HashSet<Arc<str>>,
}

impl Hub {
    /// A hub with no connection yet.
    pub fn new(mut parts: Parts) -> Arc<Self> {
        let random = SystemRandom::new();
        let policy = parts.application.policy().cloned();
        parts.config.topics = policy.is_some();
        // The application behind a gateway has no handlers here.
        parts.config.has_streams = parts.gateway.is_none();
        parts.config.has_questions = parts.gateway.is_none();
        let metrics = Metrics::default();
        let published = metrics.publications.clone();
        let topics = Topics::new(parts.log.clone(), policy, parts.config.max_message_bytes, published);
        Arc::new(Self {
            prefix: secrets::draw::<4>(&random),
            shared: Mutex::default(),
            store: Arc::new(SessionStore::new(parts.log.clone(), parts.config.clone())),
            strangers: Strangers::default(),
            inspection: Inspection::default(),
            topics: Arc::new(topics),
            tickets: Tickets::default(),
            parts,
            metrics,
            connections: TaskTracker::new(),
            origin: tokio::time::Instant::now(),
            random,
            draining: watch::Sender::new(false),
            drain: OnceLock::new(),
            asked_to_drain: CancellationToken::new(),
            working: TaskTracker::new(),
            turns: std::array::from_fn(|_| tokio::sync::Mutex::new(())),
        })
    }

    /// Now, as the core sees it.
    pub fn now(&self) -> Instant {
        Instant::from_origin(self.origin.elapsed())
    }

    /// When that is for the runtime.
    pub fn moment(&self, instant: Instant) -> tokio::time::Instant {
        self.origin + instant.since_origin()
    }

    /// A number for a new connection, and the one id that frames and logs know it by.
    pub fn name_connection(&self) -> (u64, String) {
        let mut shared = self.shared();
        shared.next_owner += 1;
        (shared.next_owner, format!("{}-{}", self.prefix, shared.next_owner))
    }

    /// 128 random bits, to be told to nobody but the client.
    pub fn draw_secret(&self) -> String {
        secrets::draw::<16>(&self.random)
    }

    /// Binds a connection to its session. One that `resumes` not is given a session that is kept nowhere.
    pub(crate) async fn bind(
        &self,
        subject: &str,
        owner: u64,
        resumes: bool,
        resume: Option<&Resume>,
        token: &str,
    ) -> Result<(Granted, BoundSession, Option<Watches>), Unbound> {
        let credentials = Credentials {
            subject: subject.to_owned(),
            owner,
            presented: resume.map(|resume| secrets::hash(&resume.token)),
            fresh_id: self.draw_secret(),
            fresh_token: secrets::hash(token),
        };
        let (granted, session) = match resumes {
            true => self.store.bind(credentials, resume).await?,
            false => self.store.unkept(credentials).ok_or(LogError::Missing)?,
        };
        let watches = session.watches().await?;
        if watches.is_some() {
            self.shared().bound.insert(owner, session.names());
        }
        Ok((granted, session, watches))
    }

    /// The ids of all sessions, attached or not.
    pub async fn sessions(&self) -> Vec<String> {
        let found = self.store.everyone().await.unwrap_or_default();
        found.into_iter().map(|address| address.id.to_string()).collect()
    }

    /// Other logs last as long as the session of this connection from now on.
    pub(crate) fn bound(&self, owner: u64, session: &BoundSession) {
        if let Some(names) = self.shared().bound.get_mut(&owner) {
            *names = session.names();
        }
    }

    /// A connection is gone; with `ends`, its session too. `untaken` is the first message that it left untaken.
    pub(crate) async fn leave(
        self: &Arc<Self>,
        owner: u64,
        mut session: BoundSession,
        ends: bool,
        untaken: Option<u64>,
    ) {
        self.shared().bound.remove(&owner);
        let address = session.address().clone();
        match session.leave(ends, untaken).await {
            Ok(Left::Detached) => self.follow(address, session.offset()),
            Ok(Left::Over) => self.session_over(&address),
            Ok(Left::Poisoned) => {
                tracing::warn!(session = %address.id, "three connections ended at one message: the session ends");
                self.metrics.session_lost(SessionLoss::Poisoned);
                self.session_over(&address);
            }
            // The log ends it when its time is over.
            Err(error) => tracing::warn!(session = %address.id, %error, "a session was not told that it is detached"),
        }
    }

    /// Ends the subscriptions of a subject to a topic, in whichever process they live (clause `topic.refused`). The
    /// policy has to refuse them by then, or who was sent away may just subscribe again.
    ///
    /// # Errors
    /// Nobody was told: there are no topics, or the log cannot be reached.
    pub async fn revoke(&self, subject: &str, topic: &str) -> Result<(), Undeliverable> {
        self.topics.revoke(subject, topic).await
    }

    /// As long as there is work here for a session that is not, somebody elsewhere may stop it.
    fn follow(self: &Arc<Self>, address: Address, after: u64) {
        {
            let mut shared = self.shared();
            if !shared.work.contains_key(&address.id) || !shared.followed.insert(address.id.clone()) {
                return;
            }
        }
        let hub = self.clone();
        tokio::spawn(async move {
            let goes_on = |re| {
                hub.cancel(&address.id, re);
                hub.shared().work.contains_key(&address.id)
            };
            if hub.store.follow(&address, after, goes_on).await {
                hub.session_over(&address);
            }
            hub.shared().followed.remove(&address.id);
        });
    }

    /// The work of a session that is over has nobody to write to.
    pub(crate) fn session_over(&self, address: &Address) {
        if let Some(gateway) = &self.parts.gateway {
            gateway.forget(&address.id);
        }
        let work = self.shared().work.remove(&address.id);
        work.into_iter().flat_map(BTreeMap::into_values).for_each(|token| token.cancel());
    }

    /// Whether a connection here has this session.
    pub(crate) fn holds(&self, address: &Address) -> bool {
        let names = address.names();
        self.shared().bound.values().any(|bound| bound.starts_with(&names))
    }

    /// Keeps the sessions that connections here have.
    pub async fn keep_sessions(&self) {
        let mut names: Vec<Name> = self.shared().bound.values().flatten().cloned().collect();
        names.extend(self.store.asked().iter().cloned());
        if let Err(error) = self.store.keep_bound(names).await {
            tracing::warn!(%error, "the sessions of this process were not kept");
        }
    }

    /// Work for an answer begins; the token is set when it has to stop.
    pub(crate) fn begin_work(&self, session: &Arc<str>, id: u64) -> CancellationToken {
        let token = CancellationToken::new();
        self.shared().work.entry(session.clone()).or_default().insert(id, token.clone());
        token
    }

    /// Work for an answer is over.
    pub(crate) fn end_work(&self, session: &str, id: u64) {
        let mut shared = self.shared();
        if let Some(work) = shared.work.get_mut(session) {
            work.remove(&id);
            if work.is_empty() {
                shared.work.remove(session);
            }
        }
    }

    /// How many answers are being worked on.
    pub fn running_work(&self) -> usize {
        self.shared().work.values().map(BTreeMap::len).sum()
    }

    /// Stops an answer that is worked on here; `false` if it is not.
    pub(crate) fn cancel(&self, session: &str, id: u64) -> bool {
        let token = self.shared().work.get(session).and_then(|work| work.get(&id)).cloned();
        token.inspect(CancellationToken::cancel).is_some()
    }

    /// Counts a connection that has not said who it is; `None` if its address has too many.
    pub(crate) fn stranger(&self, address: IpAddr) -> Option<Stranger> {
        self.strangers.admit(address, self.parts.strangers_per_address)
    }

    /// Whether the server is going away, now and later.
    pub fn draining(&self) -> watch::Receiver<bool> {
        self.draining.subscribe()
    }

    /// The server is going away: it lets nobody in any more, and its clients go over the window.
    pub fn drain(&self) {
        self.drain.get_or_init(|| Drain::begin(&self.parts.drain, self.connections.len()));
        self.draining.send_replace(true);
        self.connections.close();
    }

    /// The drain that has begun.
    pub(crate) fn drain_begun(&self) -> Option<&Drain> {
        self.drain.get()
    }

    /// Has whoever runs the server let it go away, as a signal does.
    pub(crate) fn ask_to_drain(&self) {
        self.asked_to_drain.cancel();
    }

    /// Ends when somebody has asked for that.
    pub(crate) async fn asked_to_drain(&self) {
        self.asked_to_drain.cancelled().await;
    }

    /// Stops all work behind answers, which ends them.
    pub(crate) fn cancel_work(&self) {
        self.shared().work.values().flat_map(BTreeMap::values).for_each(CancellationToken::cancel);
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        // Never held over an await. Each step leaves the collections whole, even if the holder panics after it.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session's inbox stays full: the session ends, rather than lose a message that nobody would miss.
    pub(crate) async fn overflow(&self, address: &Address) {
        tracing::warn!(session = %address.id, "an inbox is full: its session ends");
        self.metrics.session_lost(SessionLoss::InboxFull);
        if let Err(error) = self.store.end(address).await {
            tracing::warn!(session = %address.id, %error, "it could not be ended");
        }
        self.session_over(address);
    }

    /// Whether a `message` with this can be a frame; escaping makes a byte six at most.
    pub(crate) fn fits(&self, event: &str, payload: &Payload) -> Result<(), Undeliverable> {
        let bytes = payload.size() + (6 * event.len() + REST_OF_MESSAGE) as u64;
        let fits = bytes <= self.parts.config.max_message_bytes;
        if fits { Ok(()) } else { Err(Undeliverable::TooLarge) }
    }

    async fn to_each(
        &self,
        sessions: Result<Vec<Address>, LogError>,
        event: &str,
        payload: &Payload,
    ) -> Result<usize, Undeliverable> {
        let sessions = sessions.map_err(|_| Undeliverable::Unavailable)?;
        let message = SessionMessage {
            event: event.to_owned(),
            payload: payload.clone(),
            re: None,
            end: false,
            error: None,
            asks: false,
        };
        let mut reached = 0;
        for address in &sessions {
            match self.store.append(address, &message).await {
                Ok(()) => reached += 1,
                Err(AppendFailure::Refused(AppendError::Ended)) => {}
                // Who sends to many waits for none.
                Err(AppendFailure::Refused(AppendError::Full)) => self.overflow(address).await,
                Err(AppendFailure::Log(_)) => return Err(Undeliverable::Unavailable),
            }
        }
        Ok(reached)
    }
}

impl Room for Hub {
    fn to_everyone<'a>(&'a self, event: &'a str, payload: &'a Payload) -> BoxFuture<'a, Result<usize, Undeliverable>> {
        async move {
            self.fits(event, payload)?;
            self.to_each(self.store.everyone().await, event, payload).await
        }
        .boxed()
    }

    fn to_subject<'a>(
        &'a self,
        subject: &'a str,
        event: &'a str,
        payload: &'a Payload,
    ) -> BoxFuture<'a, Result<usize, Undeliverable>> {
        async move {
            self.fits(event, payload)?;
            let mut hasher = DefaultHasher::new();
            subject.hash(&mut hasher);
            let _turn = self.turns[hasher.finish() as usize % self.turns.len()].lock().await;
            self.to_each(self.store.of_subject(subject).await, event, payload).await
        }
        .boxed()
    }

    fn publish<'a>(
        &'a self,
        topic: &'a str,
        event: &'a str,
        payload: &'a Payload,
    ) -> BoxFuture<'a, Result<u64, Undeliverable>> {
        self.topics.publish(topic, event, payload).boxed()
    }

    fn revoke<'a>(&'a self, subject: &'a str, topic: &'a str) -> BoxFuture<'a, Result<(), Undeliverable>> {
        self.topics.revoke(subject, topic).boxed()
    }

    fn ask<'a>(
        &'a self,
        subject: &'a str,
        session: &'a str,
        event: &'a str,
        payload: &'a Payload,
        within: Duration,
    ) -> BoxFuture<'a, Result<Payload, Unanswered>> {
        async move {
            self.fits(event, payload)?;
            let address = Address::of(subject, session).ok_or(Unanswered::Gone)?;
            self.store.ask(address, event, payload, within).await
        }
        .boxed()
    }
}
