//! Named logs: the one thing that the processes of a server share.
//!
//! Sessions, inboxes and topics stand on a [`Log`], so nothing above it may assume that there is one process. An engine
//! keeps records in order, hands them out again, and refuses what an append says must not be so. The engine in
//! [`memory`] is as durable as its process.
//!
//! | name | what |
//! |---|---|
//! | `session/<subject>/<id>` | what was decided in a session, under the fence of whoever has it bound |
//! | `inbox/<subject>/<id>` | what the session is told; offsets are those of `message` frames |
//! | `stream/<subject>/<session>/<id>` | the parts of a stream that are not read, and its end |
//! | `question/<subject>/<session>/<offset>` | the answer to a question, or that nobody waits for one |
//! | `keys/<subject>` | the keys of sends that were taken |
//! | `topic/<name>` | what is published on a topic |
//! | `revocations` | which subscriptions the application has taken back |
//!
//! Offsets begin at 1 and have no gaps. A log that is removed and made again has another epoch: its offsets mean
//! something else.

pub mod memory;
pub mod socket;

use bytes::Bytes;
use futures::future::BoxFuture;
use readywire_protocol::config::Window;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The name of a log.
pub type Name = Arc<str>;

/// Where records are kept. Every method is one atomic step.
pub trait Log: fmt::Debug + Send + Sync + 'static {
    /// Appends to any number of logs, each named once, in one step: if one of them refuses, nothing is appended. Tells
    /// for each what became of it. An append without records makes the log, or tells its head.
    ///
    /// A send and its key have to stand or fall together, and they are in two logs: hence one step for both. An engine
    /// may ask that those logs belong to one subject, which they do.
    fn append(&self, appends: Vec<Append>) -> BoxFuture<'_, Result<Vec<Appended>, LogError>>;

    /// The records after an offset that fit into `room`; one always does, however large.
    fn read<'a>(&'a self, log: &'a str, after: u64, room: Window) -> BoxFuture<'a, Result<Batch, LogError>>;

    /// The record with this key, as long as it is kept; none, too, if there is no such log.
    fn find<'a>(&'a self, log: &'a str, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, LogError>>;

    /// Drops everything up to and including an offset. What is above the head, or not there, is no error.
    fn trim<'a>(&'a self, log: &'a str, through: u64) -> BoxFuture<'a, Result<(), LogError>>;

    /// The head, now and later, also when something is trimmed. It may skip values, never the latest; the sender is gone
    /// when the log is.
    fn subscribe<'a>(&'a self, log: &'a str) -> BoxFuture<'a, Result<watch::Receiver<Head>, LogError>>;

    /// Removes these logs after this time, unless they are kept again before. Those that are not there are passed over.
    /// A log that nobody has ever called this for stays.
    fn keep(&self, logs: Vec<Name>, time: Duration) -> BoxFuture<'_, Result<(), LogError>>;

    /// The logs whose names begin like this, in order. A log that is made or removed meanwhile may be missed.
    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<Name>, LogError>>;

    /// Removes logs, in one step. Those that are not there are passed over.
    fn remove(&self, logs: Vec<Name>) -> BoxFuture<'_, Result<(), LogError>>;

    /// What records survive.
    fn durability(&self) -> Durability;
}

/// What records survive (clause `session.durability`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// They end with the process that uses the log.
    Process,
    /// They outlive it.
    Durable,
}

impl Durability {
    /// As `session.durability` says it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Durable => "durable",
        }
    }
}

/// What is kept: opaque bytes, shared by all that read them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// A record with the key of one that is still kept is not appended.
    pub key: Option<Arc<str>>,
    /// Opaque.
    pub data: Bytes,
}

impl Record {
    /// A record without a key.
    pub fn new(data: impl Into<Bytes>) -> Self {
        Self { key: None, data: data.into() }
    }

    /// A record that is appended once.
    pub fn keyed(key: impl Into<Arc<str>>, data: impl Into<Bytes>) -> Self {
        Self { key: Some(key.into()), data: data.into() }
    }

    /// What it counts for in bounds.
    pub fn size(&self) -> u64 {
        (self.data.len() + self.key.as_ref().map_or(0, |key| key.len())) as u64
    }
}

/// A record at its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place.
    pub offset: u64,
    /// The record.
    pub record: Record,
}

/// What to append, and what must be so for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// Where.
    pub log: Name,
    /// What, in this order.
    pub records: Vec<Record>,
    /// The log remembers the highest fence that it was given, and refuses lower ones: who had it before can write no
    /// more. An append without a fence passes.
    pub fence: Option<u64>,
    /// Refused if the head is elsewhere: compare and set.
    pub expected_head: Option<u64>,
    /// Whether the log is made if there is none; refused otherwise.
    pub creates: bool,
    /// What the log holds.
    pub holds: Holds,
}

impl Append {
    /// An append under no condition, which makes the log if there is none.
    pub fn to(log: impl Into<Name>, records: Vec<Record>) -> Self {
        Self { log: log.into(), records, fence: None, expected_head: None, creates: true, holds: Holds::Everything }
    }

    /// Under this fence.
    #[must_use]
    pub fn fenced(self, fence: u64) -> Self {
        Self { fence: Some(fence), ..self }
    }

    /// Only if the head is here.
    #[must_use]
    pub fn at_head(self, head: u64) -> Self {
        Self { expected_head: Some(head), ..self }
    }

    /// Only if the log is there.
    #[must_use]
    pub fn existing(self) -> Self {
        Self { creates: false, ..self }
    }

    /// With this bound.
    #[must_use]
    pub fn holding(self, holds: Holds) -> Self {
        Self { holds, ..self }
    }
}

/// What a log holds; each append says so anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// What was not trimmed.
    Everything,
    /// The latest: older records are dropped. Who reads slowly lags in the log, and costs nothing beyond it.
    Latest(Retention),
    /// No more than this: what goes beyond is refused. One record always passes an empty log.
    AtMost(Window),
}

/// How much of the latest is kept: whatever is over one of these is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// How many records, and how many bytes.
    pub window: Window,
    /// How old.
    pub age: Duration,
}

impl Default for Retention {
    /// 1,000 records, 1 MiB, 2 minutes: what a client misses in the life of a detached session.
    fn default() -> Self {
        Self { window: Window { messages: 1000, bytes: 1 << 20 }, age: Duration::from_secs(120) }
    }
}

impl Retention {
    /// However much, for this time.
    pub const fn of_age(age: Duration) -> Self {
        Self { window: Window { messages: u64::MAX, bytes: u64::MAX }, age }
    }
}

/// What became of an append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Which life of the log.
    pub epoch: Epoch,
    /// Its head now.
    pub head: u64,
    /// Where each record is.
    pub places: Vec<Place>,
}

/// Where a record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// It was appended, at this offset.
    New(u64),
    /// It was not: there is one with its key.
    Known(Entry),
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Which life of the log.
    pub epoch: Epoch,
    /// The lowest offset that may still be read; above the head if there is none.
    pub first: u64,
    /// The head.
    pub head: u64,
    /// In order and without gaps. They begin at `first` if what comes after the offset asked for is not kept any more.
    pub entries: Vec<Entry>,
}

impl Batch {
    /// Whether something between this offset and the first entry was dropped.
    pub fn is_trimmed_after(&self, after: u64) -> bool {
        self.first > after.saturating_add(1)
    }
}

/// From where to where a log is kept, and who may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Which life of the log.
    pub epoch: Epoch,
    /// The offset of the last record; 0 before the first.
    pub offset: u64,
    /// The lowest offset that may still be read; above `offset` if there is none.
    pub first: u64,
    /// How many bytes are kept.
    pub bytes: u64,
    /// The highest fence.
    pub fence: u64,
}

/// One life of a log, drawn at random when it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

/// Why a log did not do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogError {
    /// Somebody has a higher fence.
    Fenced,
    /// The head is not where it was expected.
    Moved,
    /// There is no such log.
    Missing,
    /// It holds as much as it may: wait until something is trimmed.
    Full,
    /// The log cannot be reached, and nobody knows whether it was done.
    Unavailable(String),
}

impl fmt::Display for LogError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fenced => formatter.write_str("a higher fence has the log"),
            Self::Moved => formatter.write_str("the head of the log is elsewhere"),
            Self::Missing => formatter.write_str("there is no such log"),
            Self::Full => formatter.write_str("the log is full"),
            Self::Unavailable(why) => write!(formatter, "the log cannot be reached: {why}"),
        }
    }
}

impl std::error::Error for LogError {}
