//! What can be asked about connections, those that are there and those that ended a while ago: above all, why one did not
//! come to ready. No token is among it.

use crate::log::Head;
use readywire_protocol::clause::Clause;
use readywire_protocol::close;
use readywire_protocol::server::Ending;
use readywire_protocol::stage::Stage;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How many connections that ended are remembered.
const REMEMBERED: usize = 256;
/// As much of a name that a client gives itself as anybody wants to read.
const NAME: usize = 64;

/// The connections of a server, as somebody who looks after it sees them.
#[derive(Debug, Default)]
pub(crate) struct Inspection(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    here: BTreeMap<u64, Arc<Record>>,
    ended: VecDeque<Ended>,
}

/// What is known of one connection. Its task writes it, whoever asks reads it.
#[derive(Debug)]
pub(crate) struct Record {
    id: String,
    remote: Option<SocketAddr>,
    opened: Instant,
    in_flight: AtomicUsize,
    untaken: AtomicUsize,
    told: Mutex<Told>,
}

#[derive(Clone, Debug)]
struct Told {
    stage: Stage,
    since: Instant,
    spent: [Duration; Stage::ALL.len()],
    subject: Option<String>,
    client: Option<String>,
    session: Option<String>,
    /// Where the session's inbox begins and ends, as long as the connection has it.
    inbox: Option<watch::Receiver<Head>>,
    capabilities: Vec<String>,
    pending: Vec<String>,
    impaired: Vec<String>,
}

#[derive(Debug)]
struct Ended {
    record: Arc<Record>,
    at: Instant,
    stage: Stage,
    code: u16,
    reason: String,
    clause: Option<Clause>,
}

/// Which connections to tell of.
#[derive(Debug)]
pub(crate) struct Filter {
    pub(crate) subject: Option<String>,
    /// The stage that a connection is at, or had come to when it ended.
    pub(crate) stage: Option<Stage>,
    /// At most so many of each kind, the newest first.
    pub(crate) limit: usize,
}

impl Inspection {
    /// A connection is there.
    pub(crate) fn opened(&self, owner: u64, id: &str, remote: Option<SocketAddr>) -> Arc<Record> {
        let now = Instant::now();
        let record = Arc::new(Record {
            id: id.to_owned(),
            remote,
            opened: now,
            in_flight: AtomicUsize::new(0),
            untaken: AtomicUsize::new(0),
            told: Mutex::new(Told {
                stage: Stage::Connecting,
                since: now,
                spent: [Duration::ZERO; Stage::ALL.len()],
                subject: None,
                client: None,
                session: None,
                inbox: None,
                capabilities: Vec::new(),
                pending: Vec::new(),
                impaired: Vec::new(),
            }),
        });
        lock(&self.0).here.insert(owner, record.clone());
        record
    }

    /// A connection is over.
    pub(crate) fn ended(&self, owner: u64, ending: &Ending) {
        let mut book = lock(&self.0);
        let Some(record) = book.here.remove(&owner) else { return };
        if book.ended.len() == REMEMBERED {
            book.ended.pop_back();
        }
        book.ended.push_front(Ended {
            record,
            at: Instant::now(),
            stage: ending.stage,
            code: ending.code,
            // The client's own words may be long.
            reason: close::cut_reason(&ending.reason).to_owned(),
            clause: ending.clause,
        });
    }

    /// Looks at those that pass the filter.
    pub(crate) fn look(&self, filter: &Filter) -> Seen {
        let (here, ended, formers) = {
            let book = lock(&self.0);
            let here: Vec<_> =
                book.here.values().rev().filter(|record| filter.passes(&record.told())).cloned().collect();
            let ended = book.ended.iter().filter(|ended| filter.passes_ended(ended)).take(filter.limit);
            let formers: Vec<Former> = book.ended.iter().map(Former::of).collect();
            (here, ended.map(EndedView::of).collect(), formers)
        };
        let shown = here.iter().take(filter.limit);
        Seen {
            matching: here.len(),
            connections: shown.map(|record| ConnectionView::of(record, &formers)).collect(),
            ended,
        }
    }
}

impl Filter {
    fn passes(&self, told: &Told) -> bool {
        self.stage.is_none_or(|stage| stage == told.stage) && self.is_of(told)
    }

    fn passes_ended(&self, ended: &Ended) -> bool {
        self.stage.is_none_or(|stage| stage == ended.stage) && self.is_of(&ended.record.told())
    }

    fn is_of(&self, told: &Told) -> bool {
        self.subject.is_none() || self.subject == told.subject
    }
}

impl Record {
    /// How long ago it was opened.
    pub(crate) fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// The connection came to its next stage.
    pub(crate) fn step(&self, stage: Stage) {
        let mut told = self.told();
        let now = Instant::now();
        let spent = now - told.since;
        let at = told.stage as usize;
        told.spent[at] += spent;
        told.stage = stage;
        told.since = now;
    }

    /// A hello told who is there.
    pub(crate) fn greeted(&self, client: Option<&(String, String)>) {
        let client = client.map(|(name, version)| format!("{name} {version}").trim().chars().take(NAME).collect());
        self.told().client = client;
    }

    /// The hello's credential speaks for this subject.
    pub(crate) fn identified(&self, subject: &str) {
        self.told().subject = Some(subject.to_owned());
    }

    /// These services are still starting.
    pub(crate) fn pending(&self, pending: &[String]) {
        self.told().pending = pending.to_vec();
    }

    /// These services do not work.
    pub(crate) fn impaired(&self, impaired: &[String]) {
        self.told().impaired = impaired.to_vec();
    }

    /// It is ready.
    pub(crate) fn ready(&self, session: Option<(String, watch::Receiver<Head>)>, capabilities: &[String]) {
        let mut told = self.told();
        (told.session, told.inbox) = session.unzip();
        told.capabilities = capabilities.to_vec();
        told.pending.clear();
    }

    /// How many sends are read and not acknowledged, and how many messages delivered and not taken.
    pub(crate) fn under_way(&self, in_flight: usize, untaken: usize) {
        self.in_flight.store(in_flight, Ordering::Relaxed);
        self.untaken.store(untaken, Ordering::Relaxed);
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        lock(&self.told)
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // Never held over an await, and whole after each step.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What somebody who looks after the server is told.
#[derive(Debug, Serialize)]
pub(crate) struct Seen {
    /// How many connections pass the filter, shown or not.
    matching: usize,
    connections: Vec<ConnectionView>,
    ended: Vec<EndedView>,
}

#[derive(Debug, Serialize)]
struct ConnectionView {
    #[serde(flatten)]
    about: About,
    age_ms: u64,
    stage: &'static str,
    in_flight: usize,
    inbox: InboxView,
    /// How the connection ended that its session, or else its subject, had before.
    former: Option<EndView>,
}

#[derive(Debug, Default, Serialize)]
struct InboxView {
    waiting: u64,
    bytes: u64,
    untaken: usize,
}

#[derive(Debug, Serialize)]
struct EndedView {
    #[serde(flatten)]
    about: About,
    end: EndView,
}

#[derive(Debug, Serialize)]
struct About {
    id: String,
    subject: Option<String>,
    remote: Option<SocketAddr>,
    client: Option<String>,
    /// How long it was at each stage, in the order of the stages.
    stages: Vec<StageView>,
    pending: Vec<String>,
    impaired: Vec<String>,
    session: Option<String>,
    capabilities: Vec<String>,
}

#[derive(Debug, Serialize)]
struct StageView {
    stage: &'static str,
    ms: u64,
}

#[derive(Clone, Debug, Serialize)]
struct EndView {
    connection: String,
    ms_ago: u64,
    /// The last stage confirmed.
    stage: &'static str,
    code: u16,
    name: Option<&'static str>,
    reason: String,
    clause: Option<&'static str>,
}

/// An end, and whose it was.
struct Former {
    subject: Option<String>,
    session: Option<String>,
    end: EndView,
}

impl Former {
    fn of(ended: &Ended) -> Self {
        let told = ended.record.told();
        Self { subject: told.subject.clone(), session: told.session.clone(), end: EndView::of(ended) }
    }
}

impl ConnectionView {
    fn of(record: &Record, formers: &[Former]) -> Self {
        let told = record.told().clone();
        let inbox = told.inbox.as_ref().map(|inbox| *inbox.borrow());
        let (waiting, bytes) = inbox.map_or((0, 0), |head| (head.offset + 1 - head.first, head.bytes));
        let same = |theirs: &Option<String>, ours: &Option<String>| ours.is_some() && theirs == ours;
        let former = formers.iter().find(|former| same(&former.session, &told.session));
        let former = former.or_else(|| formers.iter().find(|former| same(&former.subject, &told.subject)));
        Self {
            age_ms: millis(record.age()),
            stage: told.stage.name(),
            in_flight: record.in_flight.load(Ordering::Relaxed),
            inbox: InboxView { waiting, bytes, untaken: record.untaken.load(Ordering::Relaxed) },
            former: former.map(|former| former.end.clone()),
            about: About::of(record, told),
        }
    }
}

impl EndedView {
    fn of(ended: &Ended) -> Self {
        Self { about: About::of(&ended.record, ended.record.told().clone()), end: EndView::of(ended) }
    }
}

impl EndView {
    fn of(ended: &Ended) -> Self {
        Self {
            connection: ended.record.id.clone(),
            ms_ago: millis(ended.at.elapsed()),
            stage: ended.stage.name(),
            code: ended.code,
            name: close::CODES.iter().find(|(code, _)| *code == ended.code).map(|(_, name)| *name),
            reason: ended.reason.clone(),
            clause: ended.clause.map(Clause::id),
        }
    }
}

impl About {
    fn of(record: &Record, mut told: Told) -> Self {
        if told.stage != Stage::Closed {
            told.spent[told.stage as usize] += told.since.elapsed();
        }
        // CONNECTING is the client's own, and nothing is spent after the end.
        let stages = Stage::ALL.iter().zip(told.spent).filter(|(stage, spent)| {
            !matches!(stage, Stage::Connecting | Stage::Closed) && (!spent.is_zero() || **stage == told.stage)
        });
        Self {
            id: record.id.clone(),
            subject: told.subject,
            remote: record.remote,
            client: told.client,
            stages: stages.map(|(stage, spent)| StageView { stage: stage.name(), ms: millis(spent) }).collect(),
            pending: told.pending,
            impaired: told.impaired,
            session: told.session,
            capabilities: told.capabilities,
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
