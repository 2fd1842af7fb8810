//! Subscriptions that the application takes back (clause `topic.refused`).
//!
//! What is revoked stands in one log that every process follows, so that a subscription ends wherever it lives. A process
//! hears of what is revoked from its start on: nobody followed anything here before.

use super::Watcher;
use crate::log::{Append, Epoch, Holds, Log, LogError, Record, Retention};
use readywire_protocol::config::Window;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

const LOG: &str = "revocations";
/// A process that is cut off from the log for longer may miss some.
const KEPT: Retention =
    Retention { window: Window { messages: 10_000, bytes: 16 << 20 }, age: Duration::from_secs(3600) };
/// As much is read at once.
const BATCH: Window = Window { messages: 256, bytes: 256 << 10 };
/// How long to wait before a log that cannot be read is tried again.
const PATIENCE: Duration = Duration::from_millis(200);

#[derive(Serialize, Deserialize)]
struct Revoked {
    subject: String,
    topic: String,
}

/// Whom to tell of what is revoked: the connections of this process, by subject.
pub(crate) struct Revocations {
    watchers: Mutex<HashMap<String, Vec<Weak<Watcher>>>>,
    /// Whether the log was reached, or tried.
    begun: watch::Sender<bool>,
    following: Mutex<Option<AbortOnDropHandle<()>>>,
}

impl fmt::Debug for Revocations {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Revocations")
    }
}

impl Revocations {
    /// Follows the log, for as long as anybody has this.
    pub(super) fn following(log: Arc<dyn Log>) -> Arc<Self> {
        let begun = watch::Sender::new(false);
        let revocations = Arc::new(Self { watchers: Mutex::default(), begun, following: Mutex::default() });
        let task = tokio::spawn(follow(Arc::downgrade(&revocations), log));
        *revocations.following.lock().unwrap_or_else(PoisonError::into_inner) = Some(AbortOnDropHandle::new(task));
        revocations
    }

    /// Ends when nothing that is revoked from now on is missed.
    pub(super) async fn begun(&self) {
        // The sender is here.
        let _ = self.begun.subscribe().wait_for(|begun| *begun).await;
    }

    /// Has a connection hear of what is revoked for its subject.
    pub(super) fn listen(&self, subject: &str, watcher: &Arc<Watcher>) {
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        if watchers.len() == watchers.capacity() {
            watchers.retain(|_, watchers| watchers.iter().any(|watcher| watcher.strong_count() > 0));
        }
        let mine = watchers.entry(subject.to_owned()).or_default();
        mine.retain(|known| known.strong_count() > 0);
        mine.push(Arc::downgrade(watcher));
    }

    fn tell(&self, Revoked { subject, topic }: &Revoked) {
        let watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = watchers.get(subject).into_iter().flatten();
        mine.filter_map(Weak::upgrade).for_each(|watcher| watcher.revoke(topic));
    }
}

/// Ends the subscriptions of a subject to a topic, in every process.
pub(super) async fn revoke(log: &dyn Log, subject: &str, topic: &str) -> Result<(), LogError> {
    let revoked = Revoked { subject: subject.to_owned(), topic: topic.to_owned() };
    // Two texts always are JSON.
    let record = Record::new(serde_json::to_vec(&revoked).unwrap_or_default());
    log.append(vec![Append::to(LOG, vec![record]).holding(Holds::Latest(KEPT))]).await.map(drop)
}

async fn follow(revocations: Weak<Revocations>, log: Arc<dyn Log>) {
    let mut place: Option<(Epoch, u64)> = None;
    loop {
        let heads = match log.subscribe(LOG).await {
            Err(LogError::Missing) => {
                let nothing = Append::to(LOG, Vec::new()).holding(Holds::Latest(KEPT));
                match log.append(vec![nothing]).await {
                    Ok(_) => log.subscribe(LOG).await,
                    Err(error) => Err(error),
                }
            }
            heads => heads,
        };
        match heads {
            Ok(heads) => {
                let head = *heads.borrow();
                let after = match place {
                    None => head.offset,
                    Some((epoch, after)) if epoch == head.epoch => after,
                    Some(_) => 0,
                };
                let place = place.insert((head.epoch, after));
                if let Some(revocations) = revocations.upgrade() {
                    revocations.begun.send_replace(true);
                }
                read_on(&revocations, &*log, heads, &mut place.1).await;
            }
            Err(error) => {
                tracing::error!(log = LOG, %error, "cannot follow");
                if let Some(revocations) = revocations.upgrade() {
                    revocations.begun.send_replace(true);
                }
            }
        }
        tokio::time::sleep(PATIENCE).await;
    }
}

/// Passes on what is revoked, until the log is gone or out of reach.
async fn read_on(
    revocations: &Weak<Revocations>,
    log: &dyn Log,
    mut heads: watch::Receiver<crate::log::Head>,
    after: &mut u64,
) {
    loop {
        while heads.borrow_and_update().offset > *after {
            let batch = match log.read(LOG, *after, BATCH).await {
                Ok(batch) => batch,
                Err(error) => return tracing::error!(log = LOG, %error, "cannot read"),
            };
            if batch.is_trimmed_after(*after) {
                tracing::error!("some of what was revoked was dropped before it was read here");
                *after = batch.first - 1;
            }
            let Some(revocations) = revocations.upgrade() else { return };
            for entry in batch.entries {
                *after = entry.offset;
                match serde_json::from_slice(&entry.record.data) {
                    Ok(revoked) => revocations.tell(&revoked),
                    Err(error) => tracing::error!(offset = entry.offset, %error, "what was revoked cannot be read"),
                }
            }
        }
        if heads.changed().await.is_err() {
            return;
        }
    }
}
