//! Topics: logs that their subscribers share.
//!
//! What is published on a topic stands in the log `topic/<name>`, whichever process appended it. A process that has a
//! subscriber of it follows the log by one [`Tail`], which makes a frame of each publication, once; every connection
//! writes those same bytes. Who reads slowly stays behind in the log, and reads from there.

mod history;
mod record;
mod revocations;
mod tail;

pub(crate) use record::frame;
pub(crate) use tail::{Listener, Shared, Standing, Tail, Watcher};

use crate::application::{Rejection, Undeliverable};
use crate::log::{Append, Batch, Epoch, Holds, Log, LogError, Name, Retention};
use prometheus_client::metrics::counter::Counter;
use readywire_protocol::config::Window;
use readywire_protocol::json::Payload;
use readywire_protocol::server::Subscribed;
use revocations::Revocations;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Who may follow which topics, and who may publish to them. Whatever it does not say is refused.
pub trait TopicPolicy: Send + Sync + 'static {
    /// Whether this subject may follow this topic. Who may not is told the code, and nothing of whether there is such a
    /// topic.
    ///
    /// # Errors
    /// Why not.
    fn may_subscribe(&self, subject: &str, topic: &str) -> Result<(), Rejection> {
        let _ = (subject, topic);
        Err(forbidden())
    }

    /// Whether this subject may publish this to this topic itself. Handlers may publish whatever they want.
    ///
    /// # Errors
    /// Why not.
    fn may_publish(&self, subject: &str, topic: &str, event: &str, payload: &Payload) -> Result<(), Rejection> {
        let _ = (subject, topic, event, payload);
        Err(forbidden())
    }

    /// What of a topic is kept for those who come late or lag.
    fn retention(&self, topic: &str) -> Retention {
        let _ = topic;
        Retention::default()
    }
}

/// The refusal that says nothing.
pub fn forbidden() -> Rejection {
    Rejection::new("forbidden", "this topic is not for you")
}

/// The topics of one process.
pub(crate) struct Topics {
    log: Arc<dyn Log>,
    policy: Option<Arc<dyn TopicPolicy>>,
    /// The largest frame (clause `frame.size`).
    largest: u64,
    published: Counter,
    /// None without a policy: nobody follows anything.
    revocations: Option<Arc<Revocations>>,
    shared: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    /// Those that somebody here follows.
    tails: HashMap<Name, Weak<Tail>>,
    /// Whose turn it is to append: publications of one session stay in the order of their ids, however long an append
    /// takes (clause `topic.publish`).
    turns: HashMap<Name, Weak<tokio::sync::Mutex<()>>>,
}

impl fmt::Debug for Topics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Topics({} followed)", self.open().tails.len())
    }
}

impl Topics {
    pub(crate) fn new(
        log: Arc<dyn Log>,
        policy: Option<Arc<dyn TopicPolicy>>,
        largest: u64,
        published: Counter,
    ) -> Self {
        let revocations = policy.is_some().then(|| Revocations::following(log.clone()));
        Self { log, policy, largest, published, revocations, shared: Mutex::default() }
    }

    pub(crate) fn log(&self) -> &Arc<dyn Log> {
        &self.log
    }

    pub(crate) fn policy(&self) -> Option<&Arc<dyn TopicPolicy>> {
        self.policy.as_ref()
    }

    /// Appends a publication, in turn.
    pub(crate) async fn publish(&self, topic: &str, event: &str, payload: &Payload) -> Result<u64, Undeliverable> {
        let policy = self.policy.as_ref().ok_or(Undeliverable::Unavailable)?;
        let name = log_of(topic);
        let record = record::record(event, payload).ok_or(Undeliverable::TooLarge)?;
        // What surrounds it in a frame of a page, with the longest numbers there are.
        if record::frame(topic, u64::MAX, Some(u64::MAX), &record.data).is_none_or(|frame| frame.size() > self.largest)
        {
            return Err(Undeliverable::TooLarge);
        }
        let retention = policy.retention(topic);
        let turn = self.turn(&name);
        let _turn = turn.lock().await;
        let append = Append::to(name, vec![record]).holding(Holds::Latest(retention));
        let appended = self.log.append(vec![append]).await.map_err(|error| {
            tracing::error!(topic, %error, "not published");
            Undeliverable::Unavailable
        })?;
        self.published.inc();
        Ok(appended.first().map_or(0, |appended| appended.head))
    }

    /// Ends the subscriptions of a subject to a topic, in every process.
    pub(crate) async fn revoke(&self, subject: &str, topic: &str) -> Result<(), Undeliverable> {
        self.policy.as_ref().ok_or(Undeliverable::Unavailable)?;
        revocations::revoke(&*self.log, subject, topic).await.map_err(|error| {
            tracing::error!(topic, %error, "not revoked");
            Undeliverable::Unavailable
        })
    }

    /// Ends when nothing that is revoked from now on is missed here, unless the log cannot be reached.
    pub(crate) async fn begun(&self) {
        if let Some(revocations) = &self.revocations {
            revocations.begun().await;
        }
    }

    /// Has a connection hear of what is revoked for its subject.
    pub(crate) fn listen(&self, subject: &str, watcher: &Arc<Watcher>) {
        if let Some(revocations) = &self.revocations {
            revocations.listen(subject, watcher);
        }
    }

    /// Looks where a subscription begins, and follows the log (clauses `topic.recovered` and `topic.last`).
    pub(crate) async fn open_at(
        &self,
        topic: &str,
        asked: Option<(u64, Option<String>)>,
        last: u64,
    ) -> Result<(Arc<Tail>, Epoch, Subscribed), LogError> {
        let name = log_of(topic);
        let after = asked.as_ref().map_or(u64::MAX - 1, |(offset, _)| *offset);
        let one = Window { messages: 1, bytes: 1 };
        let batch = self.look(topic, &name, after, one).await?;
        let epoch = batch.epoch.to_string();
        let (offset, recovered) = match asked {
            None => (batch.head.saturating_sub(last).max(batch.first - 1), true),
            Some((offset, asked)) => {
                let same = asked.is_none_or(|asked| asked == epoch);
                let kept = same && offset <= batch.head && !batch.is_trimmed_after(offset);
                if kept { (offset, true) } else { (batch.first - 1, false) }
            }
        };
        let tail = self.tail(topic, &name, || Tail::new(topic, &name, batch.epoch, batch.head));
        Ok((tail, batch.epoch, Subscribed { offset, head: batch.head.max(offset), epoch, recovered }))
    }

    /// Reads the log of a topic, which may not have been published to yet.
    async fn look(&self, topic: &str, name: &Name, after: u64, room: Window) -> Result<Batch, LogError> {
        match self.log.read(name, after, room).await {
            Err(LogError::Missing) => {
                self.create(topic, name).await?;
                self.log.read(name, after, room).await
            }
            batch => batch,
        }
    }

    async fn create(&self, topic: &str, name: &Name) -> Result<(), LogError> {
        let retention = self.policy.as_ref().map_or_else(Retention::default, |policy| policy.retention(topic));
        let nothing = Append::to(name.clone(), Vec::new()).holding(Holds::Latest(retention));
        self.log.append(vec![nothing]).await.map(drop)
    }

    /// The tail that is there, or a new one, which starts to follow.
    fn tail(&self, topic: &str, name: &Name, make: impl FnOnce() -> Tail) -> Arc<Tail> {
        let mut open = self.open();
        if let Some(tail) = open.tails.get(topic).and_then(Weak::upgrade) {
            return tail;
        }
        open.tails.retain(|_, tail| tail.strong_count() > 0);
        let tail = Arc::new(make());
        open.tails.insert(tail.topic().clone(), Arc::downgrade(&tail));
        drop(open);
        tail.follow(self.log.clone(), name.clone());
        tail
    }

    fn turn(&self, name: &Name) -> Arc<tokio::sync::Mutex<()>> {
        let mut open = self.open();
        if let Some(turn) = open.turns.get(name).and_then(Weak::upgrade) {
            return turn;
        }
        open.turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::default();
        open.turns.insert(name.clone(), Arc::downgrade(&turn));
        turn
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        // Never held over an await, and whole after each step.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The log of a topic.
pub(crate) fn log_of(topic: &str) -> Name {
    format!("topic/{topic}").into()
}
