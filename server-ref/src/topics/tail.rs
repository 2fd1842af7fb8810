//! The end of a topic's log, as frames that every subscriber of this process writes.

use super::record;
use crate::log::{Epoch, Log, LogError, Name};
use axum::extract::ws::Message;
use readywire_protocol::config::Window;
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

/// As many frames are kept for those who are nearly there; who lags further reads the log.
const RECENT: Window = Window { messages: 512, bytes: 256 << 10 };
/// As much is read at once.
const BATCH: Window = Window { messages: 256, bytes: 256 << 10 };
/// How long to wait before a log that cannot be read is tried again.
const PATIENCE: Duration = Duration::from_millis(200);

/// A publication, ready to be written.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) offset: u64,
    pub(crate) payload_bytes: u64,
    pub(crate) message: Message,
}

impl Shared {
    pub(crate) fn is_binary(&self) -> bool {
        matches!(self.message, Message::Binary(_))
    }

    /// The bytes of the whole message.
    pub(crate) fn size(&self) -> u64 {
        let size = match &self.message {
            Message::Text(text) => text.as_str().len(),
            Message::Binary(message) => message.len(),
            _ => 0,
        };
        size as u64
    }
}

/// What this process has of a topic that somebody here follows.
pub(crate) struct Tail {
    topic: Name,
    name: Name,
    state: RwLock<State>,
    listeners: Mutex<Vec<Weak<Listener>>>,
    /// Follows the log for as long as anybody has this.
    following: Mutex<Option<AbortOnDropHandle<()>>>,
}

impl fmt::Debug for Tail {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Tail({})", self.name)
    }
}

struct State {
    epoch: Epoch,
    head: u64,
    /// The last frames, all of them above `since`.
    recent: VecDeque<Shared>,
    bytes: u64,
    since: u64,
}

/// Whom to wake when a topic has something new: one connection.
#[derive(Debug, Default)]
pub(crate) struct Watcher {
    pub(crate) woken: Notify,
    /// The topics that have something new for it.
    news: Mutex<Vec<Name>>,
    /// The topics that it may not follow any more.
    revoked: Mutex<Vec<String>>,
}

impl Watcher {
    /// The topics that have something new, since the last call.
    pub(crate) fn take(&self, into: &mut Vec<Name>) {
        into.append(&mut self.news.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The topics that were revoked, since the last call.
    pub(crate) fn take_revoked(&self) -> Vec<String> {
        std::mem::take(&mut self.revoked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn revoke(&self, topic: &str) {
        self.revoked.lock().unwrap_or_else(PoisonError::into_inner).push(topic.to_owned());
        self.woken.notify_one();
    }
}

/// One subscriber of one topic.
#[derive(Debug)]
pub(crate) struct Listener {
    watcher: Arc<Watcher>,
    /// It knows that there is something new, and has not looked yet; or it has no room, and will not look before it has.
    told: AtomicBool,
}

impl Listener {
    pub(crate) fn new(watcher: Arc<Watcher>) -> Arc<Self> {
        Arc::new(Self { watcher, told: AtomicBool::new(true) })
    }

    /// Whoever listens looks now, and wants to hear of what comes after.
    pub(crate) fn looks(&self) {
        self.told.store(false, Ordering::Release);
    }

    fn tell(&self, topic: &Name) {
        if self.told.swap(true, Ordering::AcqRel) {
            return;
        }
        self.watcher.news.lock().unwrap_or_else(PoisonError::into_inner).push(topic.clone());
        self.watcher.woken.notify_one();
    }
}

/// Where a subscriber stands, seen from the tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It has everything.
    UpToDate,
    /// It has had what it has room for.
    Full,
    /// What it needs is not here: the log knows.
    Behind,
}

impl Tail {
    pub(super) fn new(topic: &str, name: &Name, epoch: Epoch, head: u64) -> Self {
        Self {
            topic: topic.into(),
            name: name.clone(),
            state: RwLock::new(State { epoch, head, recent: VecDeque::new(), bytes: 0, since: head }),
            listeners: Mutex::default(),
            following: Mutex::default(),
        }
    }

    pub(crate) fn topic(&self) -> &Name {
        &self.topic
    }

    pub(crate) fn listen(&self, listener: &Arc<Listener>) {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        if listeners.len() == listeners.capacity() {
            listeners.retain(|listener| listener.strong_count() > 0);
        }
        listeners.push(Arc::downgrade(listener));
    }

    /// Whether it has come to this epoch.
    pub(crate) fn knows(&self, epoch: Epoch) -> bool {
        self.read().epoch == epoch
    }

    /// Hands out what lies above an offset, as long as it is wanted.
    pub(crate) fn hand_out(&self, epoch: Epoch, after: u64, mut wanted: impl FnMut(&Shared) -> bool) -> Standing {
        let state = self.read();
        if epoch != state.epoch || after < state.since {
            return Standing::Behind;
        }
        let next = state.recent.partition_point(|shared| shared.offset <= after);
        for shared in state.recent.range(next..) {
            if !wanted(shared) {
                return Standing::Full;
            }
        }
        Standing::UpToDate
    }

    /// Follows the log, until nobody has this any more.
    pub(super) fn follow(self: &Arc<Self>, log: Arc<dyn Log>, name: Name) {
        let task = tokio::spawn(follow(Arc::downgrade(self), log, name));
        let handle = AbortOnDropHandle::new(task);
        *self.following.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle);
    }

    /// Takes in what was read; true if there is more.
    fn take(&self, batch: crate::log::Batch) -> bool {
        let mut state = self.write();
        let renewed = batch.epoch != state.epoch;
        if renewed || batch.is_trimmed_after(state.head) {
            let since = batch.first - 1;
            *state = State { epoch: batch.epoch, head: since, recent: VecDeque::new(), bytes: 0, since };
        }
        // Of a new epoch something else was read than it begins with.
        for entry in batch.entries.into_iter().filter(|_| !renewed) {
            state.head = entry.offset;
            match record::frame(&self.topic, entry.offset, None, &entry.record.data) {
                Some(shared) => {
                    state.bytes += shared.size();
                    state.recent.push_back(shared);
                }
                None => tracing::error!(topic = &*self.topic, offset = entry.offset, "a record is no publication"),
            }
        }
        // What the log has dropped is not kept here, either.
        while state.recent.len() as u64 > RECENT.messages
            || state.bytes > RECENT.bytes
            || state.recent.front().is_some_and(|oldest| oldest.offset < batch.first)
        {
            let Some(oldest) = state.recent.pop_front() else { break };
            state.bytes -= oldest.size();
            state.since = oldest.offset;
        }
        let more = state.head < batch.head;
        drop(state);
        self.tell();
        more
    }

    fn tell(&self) {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        let mut gone = false;
        for listener in &*listeners {
            match listener.upgrade() {
                Some(listener) => listener.tell(&self.topic),
                None => gone = true,
            }
        }
        if gone {
            listeners.retain(|listener| listener.strong_count() > 0);
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn follow(tail: Weak<Tail>, log: Arc<dyn Log>, name: Name) {
    loop {
        let mut heads = match log.subscribe(&name).await {
            Ok(heads) => heads,
            // Removed: it has another epoch when it is made again, by whoever publishes next.
            Err(LogError::Missing) => {
                tokio::time::sleep(PATIENCE).await;
                continue;
            }
            Err(error) => {
                tracing::error!(log = &*name, %error, "cannot follow");
                tokio::time::sleep(PATIENCE).await;
                continue;
            }
        };
        loop {
            heads.mark_unchanged();
            loop {
                let Some(after) = tail.upgrade().map(|tail| tail.read().head) else { return };
                match log.read(&name, after, BATCH).await {
                    Ok(batch) => {
                        let Some(tail) = tail.upgrade() else { return };
                        if !tail.take(batch) {
                            break;
                        }
                    }
                    Err(LogError::Missing) => break,
                    Err(error) => {
                        tracing::error!(log = &*name, %error, "cannot read");
                        tokio::time::sleep(PATIENCE).await;
                    }
                }
            }
            if heads.changed().await.is_err() {
                break;
            }
        }
    }
}
