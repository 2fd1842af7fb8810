//! Logs in the memory of this process.

use super::{Append, Appended, Batch, Durability, Entry, Epoch, Head, Holds, Log, LogError, Name, Place, Record};
use crate::secrets;
use futures::FutureExt;
use futures::future::BoxFuture;
use readywire_protocol::config::Window;
use ring::rand::SystemRandom;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// Logs that end with this process.
#[derive(Debug)]
pub struct MemoryLog {
    logs: Mutex<Logs>,
    random: SystemRandom,
    /// Something ends sooner than what [`drop_in_time`] waits for.
    sooner: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Logs {
    by_name: BTreeMap<Name, Stored>,
    /// When logs are removed, and when the oldest record of one is too old.
    ends: BTreeSet<(Instant, Name)>,
    ages: BTreeSet<(Instant, Name)>,
}

#[derive(Debug)]
struct Stored {
    epoch: Epoch,
    /// The offset of the first record kept.
    first: u64,
    kept: VecDeque<Kept>,
    bytes: u64,
    fence: u64,
    keys: HashMap<Arc<str>, u64>,
    /// Made for the first that asks.
    head: Option<watch::Sender<Head>>,
    ends: Option<Instant>,
    age: Option<Duration>,
    /// When old records are looked for.
    looks: Option<Instant>,
}

#[derive(Debug)]
struct Kept {
    record: Record,
    since: Instant,
}

impl MemoryLog {
    /// No log yet. Needs a tokio runtime, on which what is too old is dropped.
    pub fn new() -> Arc<Self> {
        let sooner = Arc::new(Notify::new());
        let log = Arc::new(Self { logs: Mutex::default(), random: SystemRandom::new(), sooner: sooner.clone() });
        tokio::spawn(drop_in_time(Arc::downgrade(&log), sooner));
        log
    }

    /// How many logs, records and bytes of records there are.
    pub fn size(&self) -> (usize, Window) {
        let logs = self.logs();
        let total = logs.by_name.values().fold(Window { messages: 0, bytes: 0 }, |total, stored| Window {
            messages: total.messages + stored.kept.len() as u64,
            bytes: total.bytes + stored.bytes,
        });
        (logs.by_name.len(), total)
    }

    fn logs(&self) -> MutexGuard<'_, Logs> {
        // Never held over an await. Each step leaves the collections whole, even if the holder panics after it.
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append_now(&self, appends: Vec<Append>) -> Result<Vec<Appended>, LogError> {
        let now = Instant::now();
        let mut logs = self.logs();
        for append in &appends {
            logs.check(append, now)?;
        }
        let mut sooner = false;
        let appended = appends.into_iter().map(|append| {
            let (appended, looks) = logs.apply(append, now, &self.random);
            sooner |= looks;
            appended
        });
        let appended = appended.collect();
        drop(logs);
        if sooner {
            self.sooner.notify_one();
        }
        Ok(appended)
    }

    fn read_now(&self, log: &str, after: u64, room: Window) -> Result<Batch, LogError> {
        let mut logs = self.logs();
        let stored = logs.fresh(log, Instant::now()).ok_or(LogError::Missing)?;
        let skip = usize::try_from(after.saturating_add(1).saturating_sub(stored.first)).unwrap_or(usize::MAX);
        let start = stored.first + skip as u64;
        let mut entries = Vec::new();
        let mut bytes = 0;
        for (kept, offset) in stored.kept.iter().skip(skip).zip(start..) {
            bytes += kept.record.size();
            if entries.len() as u64 >= room.messages || (bytes > room.bytes && !entries.is_empty()) {
                break;
            }
            entries.push(Entry { offset, record: kept.record.clone() });
        }
        Ok(Batch { epoch: stored.epoch, first: stored.first, head: stored.head(), entries })
    }

    fn subscribe_now(&self, log: &str) -> Result<watch::Receiver<Head>, LogError> {
        let mut logs = self.logs();
        let stored = logs.fresh(log, Instant::now()).ok_or(LogError::Missing)?;
        let head = stored.now();
        Ok(stored.head.get_or_insert_with(|| watch::Sender::new(head)).subscribe())
    }

    fn keep_now(&self, names: Vec<Name>, time: Duration) {
        let now = Instant::now();
        // A time that no clock can name is for ever.
        let ends = now.checked_add(time);
        let mut logs = self.logs();
        let before = logs.ends.first().map(|(instant, _)| *instant);
        for name in names {
            let Some(stored) = logs.fresh(&name, now) else { continue };
            let former = std::mem::replace(&mut stored.ends, ends);
            if let Some(former) = former {
                logs.ends.remove(&(former, name.clone()));
            }
            if let Some(ends) = ends {
                logs.ends.insert((ends, name));
            }
        }
        let sooner = logs.ends.first().map(|(instant, _)| *instant);
        drop(logs);
        if sooner.is_some_and(|sooner| before.is_none_or(|before| sooner < before)) {
            self.sooner.notify_one();
        }
    }
}

impl Log for MemoryLog {
    fn append(&self, appends: Vec<Append>) -> BoxFuture<'_, Result<Vec<Appended>, LogError>> {
        async move { self.append_now(appends) }.boxed()
    }

    fn read<'a>(&'a self, log: &'a str, after: u64, room: Window) -> BoxFuture<'a, Result<Batch, LogError>> {
        async move { self.read_now(log, after, room) }.boxed()
    }

    fn find<'a>(&'a self, log: &'a str, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, LogError>> {
        async move { Ok(self.logs().fresh(log, Instant::now()).and_then(|stored| stored.find(key))) }.boxed()
    }

    fn trim<'a>(&'a self, log: &'a str, through: u64) -> BoxFuture<'a, Result<(), LogError>> {
        async move {
            if let Some(stored) = self.logs().fresh(log, Instant::now()) {
                while stored.first <= through && stored.drop_oldest() {}
                stored.tell();
            }
            Ok(())
        }
        .boxed()
    }

    fn subscribe<'a>(&'a self, log: &'a str) -> BoxFuture<'a, Result<watch::Receiver<Head>, LogError>> {
        async move { self.subscribe_now(log) }.boxed()
    }

    fn keep(&self, logs: Vec<Name>, time: Duration) -> BoxFuture<'_, Result<(), LogError>> {
        async move {
            self.keep_now(logs, time);
            Ok(())
        }
        .boxed()
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<Name>, LogError>> {
        async move {
            let logs = self.logs();
            let from = (Bound::Included(prefix), Bound::Unbounded);
            let names = logs.by_name.range::<str, _>(from).map(|(name, _)| name);
            Ok(names.take_while(|name| name.starts_with(prefix)).cloned().collect())
        }
        .boxed()
    }

    fn remove(&self, logs: Vec<Name>) -> BoxFuture<'_, Result<(), LogError>> {
        async move {
            let mut stored = self.logs();
            logs.iter().for_each(|log| stored.remove(log));
            Ok(())
        }
        .boxed()
    }

    fn durability(&self) -> Durability {
        Durability::Process
    }
}

impl Logs {
    /// A log as it is now, without what is too old; `None` if its own time is over.
    fn fresh(&mut self, name: &str, now: Instant) -> Option<&mut Stored> {
        if self.by_name.get(name)?.ends.is_some_and(|ends| ends <= now) {
            self.remove(name);
            return None;
        }
        let stored = self.by_name.get_mut(name)?;
        stored.drop_old(now);
        Some(stored)
    }

    fn check(&mut self, append: &Append, now: Instant) -> Result<(), LogError> {
        let stored = self.fresh(&append.log, now);
        if stored.is_none() && !append.creates {
            return Err(LogError::Missing);
        }
        let (fence, head) = stored.as_ref().map_or((0, 0), |stored| (stored.fence, stored.head()));
        if append.fence.is_some_and(|given| given < fence) {
            return Err(LogError::Fenced);
        }
        if append.expected_head.is_some_and(|expected| expected != head) {
            return Err(LogError::Moved);
        }
        if let Holds::AtMost(bound) = append.holds {
            let (mut messages, mut bytes) = stored.map_or((0, 0), |stored| (stored.kept.len() as u64, stored.bytes));
            for record in &append.records {
                let full = messages >= bound.messages || bytes + record.size() > bound.bytes;
                if full && messages > 0 {
                    return Err(LogError::Full);
                }
                messages += 1;
                bytes += record.size();
            }
        }
        Ok(())
    }

    /// Appends, and tells whether old records have to be looked for that nobody looks for yet.
    fn apply(&mut self, append: Append, now: Instant, random: &SystemRandom) -> (Appended, bool) {
        let Append { log, records, fence, holds, .. } = append;
        let stored = self.by_name.entry(log.clone()).or_insert_with(|| Stored::new(secrets::number(random)));
        stored.fence = stored.fence.max(fence.unwrap_or_default());
        let places = records.into_iter().map(|record| stored.push(record, now)).collect();
        let mut looks = None;
        if let Holds::Latest(retention) = holds {
            while stored.kept.len() as u64 > retention.window.messages
                || (stored.bytes > retention.window.bytes && stored.kept.len() > 1)
            {
                stored.drop_oldest();
            }
            stored.age = Some(retention.age);
            stored.drop_old(now);
            if stored.looks.is_none() && !stored.kept.is_empty() {
                looks = now.checked_add(retention.age);
                stored.looks = looks;
            }
        }
        let appended = Appended { epoch: stored.epoch, head: stored.head(), places };
        stored.tell();
        if let Some(looks) = looks {
            self.ages.insert((looks, log));
        }
        (appended, looks.is_some())
    }

    fn remove(&mut self, name: &str) {
        let Some((name, stored)) = self.by_name.remove_entry(name) else { return };
        if let Some(ends) = stored.ends {
            self.ends.remove(&(ends, name.clone()));
        }
        if let Some(looks) = stored.looks {
            self.ages.remove(&(looks, name));
        }
    }

    /// Drops what is too old, and tells when to come again.
    fn tidy(&mut self, now: Instant) -> Option<Instant> {
        while let Some((ends, name)) = self.ends.first().cloned()
            && ends <= now
        {
            self.remove(&name);
        }
        while self.ages.first().is_some_and(|(looks, _)| *looks <= now)
            && let Some((_, name)) = self.ages.pop_first()
        {
            let Some(stored) = self.by_name.get_mut(&name) else { continue };
            stored.drop_old(now);
            stored.looks = stored.kept.front().zip(stored.age).and_then(|(kept, age)| kept.since.checked_add(age));
            if let Some(looks) = stored.looks {
                self.ages.insert((looks, name));
            }
        }
        let sooner = [self.ends.first(), self.ages.first()];
        sooner.into_iter().flatten().map(|(instant, _)| *instant).min()
    }
}

impl Stored {
    fn new(epoch: u64) -> Self {
        Self {
            epoch: Epoch(epoch),
            first: 1,
            kept: VecDeque::new(),
            bytes: 0,
            fence: 0,
            keys: HashMap::new(),
            head: None,
            ends: None,
            age: None,
            looks: None,
        }
    }

    fn head(&self) -> u64 {
        self.first + self.kept.len() as u64 - 1
    }

    fn now(&self) -> Head {
        let Self { epoch, first, bytes, fence, .. } = *self;
        Head { epoch, offset: self.head(), first, bytes, fence }
    }

    /// Tells those who watch.
    fn tell(&self) {
        if let Some(head) = &self.head {
            let news = self.now();
            head.send_if_modified(|known| std::mem::replace(known, news) != news);
        }
    }

    fn find(&self, key: &str) -> Option<Entry> {
        let offset = *self.keys.get(key)?;
        let index = usize::try_from(offset.checked_sub(self.first)?).ok()?;
        Some(Entry { offset, record: self.kept.get(index)?.record.clone() })
    }

    fn push(&mut self, record: Record, since: Instant) -> Place {
        if let Some(key) = &record.key {
            if let Some(known) = self.find(key) {
                return Place::Known(known);
            }
            self.keys.insert(key.clone(), self.head() + 1);
        }
        self.bytes += record.size();
        self.kept.push_back(Kept { record, since });
        Place::New(self.head())
    }

    fn drop_oldest(&mut self) -> bool {
        let Some(kept) = self.kept.pop_front() else { return false };
        self.first += 1;
        self.bytes -= kept.record.size();
        if let Some(key) = &kept.record.key {
            self.keys.remove(key);
        }
        // A log that was long for a while does not stay large.
        if self.kept.capacity() > 64 && self.kept.len() * 4 < self.kept.capacity() {
            self.kept.shrink_to(self.kept.len() * 2);
        }
        true
    }

    fn drop_old(&mut self, now: Instant) {
        let Some(age) = self.age else { return };
        let first = self.first;
        while self.kept.front().is_some_and(|kept| now.saturating_duration_since(kept.since) >= age) {
            self.drop_oldest();
        }
        if self.first != first {
            self.tell();
        }
    }
}

/// Drops what is too old, until nobody has the logs any more.
async fn drop_in_time(log: Weak<MemoryLog>, sooner: Arc<Notify>) {
    loop {
        let Some(next) = log.upgrade().map(|log| log.logs().tidy(Instant::now())) else { return };
        let next = next.unwrap_or_else(|| Instant::now() + Duration::from_secs(60));
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            () = sooner.notified() => {}
        }
    }
}

impl Drop for MemoryLog {
    fn drop(&mut self) {
        self.sooner.notify_one();
    }
}
