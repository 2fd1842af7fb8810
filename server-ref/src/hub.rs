//! What the connections of a server share: sessions, who holds them, running work.

use crate::application::{Application, Room, Undeliverable};
use crate::claims::Authority;
use crate::faults::Faults;
use crate::inspection::Inspection;
use crate::log::Log;
use crate::log::memory::MemoryLog;
use crate::metrics::{Metrics, SessionLoss};
use crate::origin::Origins;
use crate::secrets;
use crate::service::Services;
use crate::strangers::{Stranger, Strangers};
use crate::tickets::Tickets;
use readywire_protocol::config::{ServerConfig, Window};
use readywire_protocol::frame::Resume;
use readywire_protocol::json::Payload;
use readywire_protocol::server::{AppendError, BindError, Binding, Credentials, SessionMessage, Sessions};
use readywire_protocol::time::Instant;
use ring::rand::SystemRandom;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, watch};
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
    /// How many connections of one address may be there that have not said who they are.
    pub strangers_per_address: usize,
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
            strangers_per_address: 1024,
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
    strangers: Strangers,
    /// Who is here, and who was, for those who look after the server.
    pub(crate) inspection: Inspection,
    /// One-time tickets that were used.
    pub(crate) tickets: Tickets,
    /// Told whenever an inbox may have room again.
    room: Notify,
    draining: watch::Sender<bool>,
    prefix: String,
}

impl fmt::Debug for Hub {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Hub({:?})", self.parts)
    }
}

struct Shared {
    sessions: Sessions,
    next_owner: u64,
    /// The connections that hold a session.
    holders: HashMap<u64, Arc<Holder>>,
    /// Running answers, by session and send.
    work: HashMap<String, BTreeMap<u64, CancellationToken>>,
}

/// How others reach a connection.
#[derive(Debug, Default)]
pub struct Holder {
    /// Its inbox has something new.
    pub inbox: Notify,
    /// A later attempt has its session.
    pub replaced: CancellationToken,
    /// Its session is over, since its inbox stayed full.
    pub overflowed: CancellationToken,
    /// What was appended while it held the session and is not taken, and when: no more than the inbox holds.
    appended: Mutex<VecDeque<(u64, tokio::time::Instant)>>,
}

impl Holder {
    /// A message with this offset was appended now.
    fn appended(&self, offset: u64) {
        lock(&self.appended).push_back((offset, tokio::time::Instant::now()));
        self.inbox.notify_one();
    }

    /// The client has taken everything up to `offset`; tells of each message how long that took.
    pub(crate) fn taken(&self, offset: u64, mut each: impl FnMut(std::time::Duration)) {
        let mut appended = lock(&self.appended);
        while let Some((_, at)) = appended.front().filter(|(appended, _)| *appended <= offset) {
            each(at.elapsed());
            appended.pop_front();
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // Never held over an await. Each step leaves what is shared whole, even if the holder panics after it.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    /// A hub with no connection yet.
    pub fn new(parts: Parts) -> Arc<Self> {
        let random = SystemRandom::new();
        Arc::new(Self {
            prefix: secrets::draw::<4>(&random),
            shared: Mutex::new(Shared {
                sessions: Sessions::new(parts.config.clone()),
                next_owner: 0,
                holders: HashMap::new(),
                work: HashMap::new(),
            }),
            strangers: Strangers::default(),
            inspection: Inspection::default(),
            tickets: Tickets::default(),
            parts,
            metrics: Metrics::default(),
            connections: TaskTracker::new(),
            origin: tokio::time::Instant::now(),
            random,
            room: Notify::new(),
            draining: watch::Sender::new(false),
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

    /// Binds a connection to its session, and says how it is reached; a connection that it replaces is told.
    ///
    /// # Errors
    /// A later attempt has the session.
    pub fn bind(
        &self,
        subject: &str,
        owner: u64,
        resume: Option<&Resume>,
        token: &str,
    ) -> Result<(Binding, Arc<Holder>), BindError> {
        let credentials = Credentials {
            subject: subject.to_owned(),
            owner,
            presented: resume.map(|resume| secrets::hash(&resume.token)),
            fresh_id: self.draw_secret(),
            fresh_token: secrets::hash(token),
        };
        let mut shared = self.shared();
        let binding = shared.sessions.bind(self.now(), credentials, resume)?;
        let holder = Arc::new(Holder::default());
        shared.holders.insert(owner, holder.clone());
        if let Some(replaced) = binding.fenced.and_then(|fenced| shared.holders.remove(&fenced)) {
            replaced.replaced.cancel();
        }
        self.forget_ended(&mut shared);
        Ok((binding, holder))
    }

    /// One atomic step on the sessions.
    pub fn sessions<T>(&self, step: impl FnOnce(&mut Sessions) -> T) -> T {
        step(&mut self.shared().sessions)
    }

    /// The client holds its inbox up to `offset`.
    pub fn taken(&self, session: &str, owner: u64, offset: u64) {
        self.sessions(|sessions| sessions.taken(session, owner, offset));
        self.room.notify_waiters();
    }

    /// Drops what waits for a client that has no inbox.
    pub(crate) fn discard_inbox(&self, session: &str, owner: u64) {
        let everything = Window { messages: u64::MAX, bytes: u64::MAX };
        let waiting = self.sessions(|sessions| sessions.read(session, owner, 0, everything));
        if let Some(last) = waiting.last() {
            self.taken(session, owner, last.offset);
        }
    }

    /// A connection is gone; with `ends`, its session too. `untaken` is the first message that it left untaken.
    pub fn leave(&self, session: &str, owner: u64, ends: bool, untaken: Option<u64>) {
        let mut shared = self.shared();
        shared.holders.remove(&owner);
        if ends {
            shared.sessions.end(session, owner);
        } else {
            shared.sessions.detach(self.now(), session, owner);
            if shared.sessions.blame(session, untaken) {
                tracing::warn!(session, "three connections ended at one message: the session ends");
                self.metrics.session_lost(SessionLoss::Poisoned);
            }
        }
        self.forget_ended(&mut shared);
    }

    /// Ends sessions whose time is over.
    pub fn sweep(&self) {
        let mut shared = self.shared();
        shared.sessions.expire(self.now());
        self.forget_ended(&mut shared);
    }

    /// Work for an answer begins; the token is set when it has to stop.
    pub fn begin_work(&self, session: &str, id: u64) -> CancellationToken {
        let token = CancellationToken::new();
        self.shared().work.entry(session.to_owned()).or_default().insert(id, token.clone());
        token
    }

    /// Work for an answer is over.
    pub fn end_work(&self, session: &str, id: u64) {
        let mut shared = self.shared();
        if let Some(work) = shared.work.get_mut(session) {
            work.remove(&id);
            if work.is_empty() {
                shared.work.remove(session);
            }
        }
    }

    /// How many messages wait for a session, and their bytes.
    pub(crate) fn inbox_of(&self, session: &str) -> Option<(u64, u64)> {
        self.sessions(|sessions| sessions.waiting(session))
    }

    /// How many answers are being worked on.
    pub fn running_work(&self) -> usize {
        self.shared().work.values().map(BTreeMap::len).sum()
    }

    /// Stops an answer; one that is over, or never was, is left alone, and so is one of a session that another
    /// connection has by now.
    pub fn cancel(&self, session: &str, owner: u64, id: u64) {
        let shared = self.shared();
        let work = shared.work.get(session).filter(|_| shared.sessions.owner(session) == Some(owner));
        if let Some(token) = work.and_then(|work| work.get(&id)) {
            token.cancel();
        }
    }

    /// Counts a connection that has not said who it is; `None` if its address has too many.
    pub(crate) fn stranger(&self, address: IpAddr) -> Option<Stranger> {
        self.strangers.admit(address, self.parts.strangers_per_address)
    }

    /// Whether the server is going away, now and later.
    pub fn draining(&self) -> watch::Receiver<bool> {
        self.draining.subscribe()
    }

    /// The server is going away.
    pub fn drain(&self) {
        self.draining.send_replace(true);
        self.connections.close();
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        lock(&self.shared)
    }

    /// Work of a session that is over has nobody to write to.
    fn forget_ended(&self, shared: &mut Shared) {
        let Shared { sessions, work, .. } = shared;
        if work.is_empty() {
            return;
        }
        let before = work.len();
        let live: HashSet<&str> = sessions.ids().collect();
        work.retain(|session, running| {
            let alive = live.contains(session.as_str());
            if !alive {
                running.values().for_each(CancellationToken::cancel);
            }
            alive
        });
        if work.len() != before {
            self.room.notify_waiters();
        }
    }

    /// Ends when some inbox may have room again.
    pub(crate) fn room_made(&self) -> Notified<'_> {
        self.room.notified()
    }

    /// Appends to a session's inbox, and tells the connection that has it.
    pub(crate) fn append(&self, session: &str, message: SessionMessage) -> Result<(), AppendError> {
        let mut shared = self.shared();
        let offset = shared.sessions.append(session, message)?;
        let owner = shared.sessions.owner(session);
        if let Some(holder) = owner.and_then(|owner| shared.holders.get(&owner)) {
            holder.appended(offset);
        }
        Ok(())
    }

    /// The session's inbox stays full: the session ends, rather than lose a message that nobody would miss.
    pub(crate) fn overflow(&self, session: &str) {
        tracing::warn!(session, "an inbox is full: its session ends");
        self.metrics.session_lost(SessionLoss::InboxFull);
        let mut shared = self.shared();
        let owner = shared.sessions.end_full(session);
        if let Some(holder) = owner.and_then(|owner| shared.holders.remove(&owner)) {
            holder.overflowed.cancel();
        }
        self.forget_ended(&mut shared);
    }

    /// Whether a `message` with this can be a frame; escaping makes a byte six at most.
    pub(crate) fn fits(&self, event: &str, payload: &Payload) -> Result<(), Undeliverable> {
        let bytes = payload.size() + (6 * event.len() + REST_OF_MESSAGE) as u64;
        let fits = bytes <= self.parts.config.max_message_bytes;
        if fits { Ok(()) } else { Err(Undeliverable::TooLarge) }
    }

    fn to_each(&self, sessions: Vec<String>, event: &str, payload: &Payload) -> Result<usize, Undeliverable> {
        self.fits(event, payload)?;
        let message =
            SessionMessage { event: event.to_owned(), payload: payload.clone(), re: None, end: false, error: None };
        let mut reached = 0;
        for session in sessions {
            match self.append(&session, message.clone()) {
                Ok(()) => reached += 1,
                Err(AppendError::Ended) => {}
                // Who sends to many waits for none.
                Err(AppendError::Full) => self.overflow(&session),
            }
        }
        Ok(reached)
    }
}

impl Room for Hub {
    fn to_everyone(&self, event: &str, payload: &Payload) -> Result<usize, Undeliverable> {
        let sessions = self.sessions(|sessions| sessions.ids().map(str::to_owned).collect());
        self.to_each(sessions, event, payload)
    }

    fn to_subject(&self, subject: &str, event: &str, payload: &Payload) -> Result<usize, Undeliverable> {
        let sessions = self.sessions(|sessions| sessions.of_subject(subject).map(str::to_owned).collect());
        self.to_each(sessions, event, payload)
    }
}
