//! The topics that one connection follows.

use super::Driver;
use crate::log::{Batch, Epoch, LogError, Name};
use crate::topics::{Listener, Shared, Standing, Tail, Watcher, frame, log_of};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use readywire_protocol::config::Window;
use readywire_protocol::server::{ServerConnection, Subscribed};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is done about topics for one connection.
#[derive(Default)]
pub(super) struct Topics {
    watcher: Arc<Watcher>,
    followed: BTreeMap<String, Followed>,
    /// Questions to the log: one at a time for each topic.
    questions: FuturesUnordered<BoxFuture<'static, Answered>>,
    asked: u64,
    /// Whether it hears of what is revoked.
    listens: bool,
    /// Those with something new, and those for which the socket had no room.
    news: Vec<Name>,
    waiting: Vec<Name>,
}

struct Followed {
    /// The question whose answer counts; answers to earlier ones come too late.
    question: u64,
    place: Option<Place>,
    /// Whether the log is being asked.
    asking: bool,
}

/// Where a subscription is.
struct Place {
    tail: Arc<Tail>,
    listener: Arc<Listener>,
    epoch: Epoch,
    name: Name,
}

/// What the log said.
pub(super) struct Answered {
    topic: String,
    question: u64,
    what: What,
}

enum What {
    Opened(Result<(Arc<Tail>, Epoch, Subscribed), LogError>),
    Read(Result<Batch, LogError>),
}

impl Topics {
    /// Ends when a topic has something new, or the log has answered.
    pub(super) async fn woken(&mut self) -> Option<Answered> {
        if self.questions.is_empty() {
            self.watcher.woken.notified().await;
            return None;
        }
        tokio::select! {
            () = self.watcher.woken.notified() => None,
            answered = self.questions.next() => answered,
        }
    }

    fn ask(&mut self, topic: &str, what: BoxFuture<'static, What>) {
        let Some(followed) = self.followed.get_mut(topic) else { return };
        self.asked += 1;
        followed.question = self.asked;
        followed.asking = true;
        let (topic, question) = (topic.to_owned(), self.asked);
        self.questions.push(async move { Answered { topic, question, what: what.await } }.boxed());
    }
}

impl Driver {
    pub(super) fn subscribe(&mut self, topic: String, offset: Option<u64>, epoch: Option<String>, last: u64) {
        let hub = self.hub.clone();
        self.end_revoked();
        self.forget_topic(&topic);
        let Some(claims) = &self.claims else { return };
        let Some(policy) = hub.topics.policy() else { return self.core.unsubscribed(&topic, "unsupported", false) };
        // Before the policy is asked, so that nothing that it is asked too early for is missed.
        if !std::mem::replace(&mut self.topics.listens, true) {
            hub.topics.listen(&claims.sub, &self.topics.watcher);
        }
        if let Err(rejection) = policy.may_subscribe(&claims.sub, &topic) {
            hub.metrics.subscriptions_refused.inc();
            return self.core.unsubscribed(&topic, &rejection.code, rejection.retry);
        }
        hub.metrics.subscriptions.inc();
        self.topics.followed.insert(topic.clone(), Followed { question: 0, place: None, asking: false });
        let asked = offset.map(|offset| (offset, epoch));
        let name = topic.clone();
        let opened = async move { What::Opened(hub.topics.open_at(&name, asked, last).await) };
        self.topics.ask(&topic, opened.boxed());
    }

    /// Ends what may not be followed any more, whether it stands or is just asked for.
    fn end_revoked(&mut self) {
        for topic in self.topics.watcher.take_revoked() {
            if self.topics.followed.contains_key(&topic) {
                self.forget_topic(&topic);
                self.core.unsubscribed(&topic, "revoked", false);
            }
        }
    }

    pub(super) fn forget_topic(&mut self, topic: &str) {
        if self.topics.followed.remove(topic).is_some() {
            self.hub.metrics.subscriptions.dec();
        }
    }

    pub(super) fn forget_topics(&mut self) {
        self.hub.metrics.subscriptions.dec_by(self.topics.followed.len() as i64);
        self.topics.followed.clear();
    }

    /// The log has answered.
    pub(super) fn answered(&mut self, answered: Answered) {
        let Answered { topic, question, what } = answered;
        let Some(followed) = self.topics.followed.get_mut(&topic).filter(|followed| followed.question == question)
        else {
            return;
        };
        followed.asking = false;
        match what {
            What::Opened(Ok((tail, epoch, subscribed))) => {
                let listener = Listener::new(self.topics.watcher.clone());
                tail.listen(&listener);
                followed.place = Some(Place { tail, listener, epoch, name: log_of(&topic) });
                self.core.subscribed(&topic, subscribed);
                self.deliver_topic(&topic);
            }
            What::Read(Ok(batch)) => self.read_topic(&topic, batch),
            What::Opened(Err(error)) | What::Read(Err(error)) => {
                tracing::error!(topic, %error, "a topic cannot be followed");
                self.forget_topic(&topic);
                self.core.unsubscribed(&topic, "unavailable", true);
            }
        }
    }

    /// Passes on what is new, as far as the client's windows and the socket have room.
    pub(super) fn deliver_topics(&mut self) {
        if self.topics.followed.is_empty() {
            return;
        }
        self.end_revoked();
        self.wire.take(&mut self.core, &self.hub);
        let mut news = std::mem::take(&mut self.topics.news);
        news.append(&mut self.topics.waiting);
        self.topics.watcher.take(&mut news);
        for topic in news.drain(..) {
            self.deliver_topic(&topic);
        }
        self.topics.news = news;
    }

    /// Passes on what one topic has.
    pub(super) fn deliver_topic(&mut self, topic: &str) {
        // The frames stand behind what the core has said so far.
        self.wire.take(&mut self.core, &self.hub);
        let Self { core, wire, topics, hub, .. } = self;
        let Some(followed) = topics.followed.get(topic).filter(|followed| !followed.asking) else { return };
        let Some(place) = &followed.place else { return };
        // Without room it stays told, and so hears nothing until there is some.
        let Some((after, room)) = core.topic_room(topic) else { return };
        place.listener.looks();
        let mut delivered = 0;
        let mut held_up = false;
        let standing = place.tail.hand_out(place.epoch, after, |shared| {
            held_up = wire.room().is_none();
            let passes = !held_up && deliver(core, topic, shared);
            if passes {
                delivered += 1;
                wire.push(shared.message.clone());
            }
            passes
        });
        hub.metrics.deliveries.inc_by(delivered);
        if !core.follows(topic) {
            return self.topic_over(topic);
        }
        match standing {
            Standing::UpToDate => {}
            Standing::Full if held_up => topics.waiting.push(place.tail.topic().clone()),
            Standing::Full => {}
            Standing::Behind => match wire.room() {
                Some(most) => {
                    let room = Window { bytes: room.bytes.min(most), ..room };
                    let (log, name) = (hub.topics.log().clone(), place.name.clone());
                    let read = async move { What::Read(log.read(&name, after, room).await) };
                    topics.ask(topic, read.boxed());
                }
                None => topics.waiting.push(place.tail.topic().clone()),
            },
        }
    }

    /// The core has ended a subscription, and says so behind what was delivered.
    fn topic_over(&mut self, topic: &str) {
        self.forget_topic(topic);
        self.wire.take(&mut self.core, &self.hub);
    }

    /// What a topic has for a client that lags.
    fn read_topic(&mut self, topic: &str, batch: Batch) {
        self.wire.take(&mut self.core, &self.hub);
        let Self { core, wire, topics, hub, .. } = self;
        let Some(place) = topics.followed.get_mut(topic).and_then(|followed| followed.place.as_mut()) else { return };
        let Some((after, _)) = core.topic_room(topic) else { return };
        let renewed = batch.epoch != place.epoch;
        if renewed || batch.is_trimmed_after(after) {
            // What is missing cannot be had any more: it goes on with the oldest that is kept.
            place.epoch = batch.epoch;
            hub.metrics.gaps.inc();
            core.subscribed(
                topic,
                Subscribed {
                    offset: batch.first - 1,
                    head: batch.head.max(batch.first - 1),
                    epoch: batch.epoch.to_string(),
                    recovered: false,
                },
            );
            wire.take(core, hub);
        }
        let some = !batch.entries.is_empty();
        let mut delivered = 0;
        // Of a new epoch something else was read than it begins with.
        for entry in batch.entries.into_iter().filter(|_| !renewed) {
            let Some(shared) = frame(topic, entry.offset, None, &entry.record.data) else {
                // No publication, though it has a place: somebody else's log.
                let (offset, epoch) = (entry.offset, place.epoch.to_string());
                core.subscribed(topic, Subscribed { offset, head: batch.head, epoch, recovered: false });
                wire.take(core, hub);
                continue;
            };
            if !deliver(core, topic, &shared) {
                break;
            }
            delivered += 1;
            wire.push(shared.message);
        }
        hub.metrics.deliveries.inc_by(delivered);
        if !core.follows(topic) {
            return self.topic_over(topic);
        }
        // An epoch that only the tail still has is over soon: it tells when it has seen the next.
        if some || renewed || place.tail.knows(place.epoch) {
            self.deliver_topic(topic);
        }
    }
}

/// Whether this is to be written now.
fn deliver(core: &mut ServerConnection, topic: &str, shared: &Shared) -> bool {
    core.deliver_publication(topic, shared.offset, shared.payload_bytes, shared.is_binary())
}
