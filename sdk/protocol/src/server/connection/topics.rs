//! The topics that one connection follows: a window for each, and the order of what is said about it.

use super::*;
use std::collections::BTreeMap;

/// How often topics may be asked for before `ready`, and how often left (clause `preauth.limits`).
const MAX_EARLY: usize = 256;
/// The longest name of a topic, in bytes (clause `topic.name`).
const MAX_NAME_BYTES: usize = 256;

/// The end of a subscription at a publication that its client cannot read (clause `binary.publication`).
const NOT_BINARY: &str = "binary_not_agreed";

/// The answer to a request that the next one for its topic overtook, so that each has one.
const WITHDRAWN: &str = "withdrawn";

/// What a client asks of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Wish {
    Subscribe { topic: String, offset: Option<u64>, epoch: Option<String>, last: u64 },
    Unsubscribe { topic: String },
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Topics {
    /// What was asked before `ready`, in order; it is answered behind it.
    early: Vec<Wish>,
    followed: BTreeMap<String, Followed>,
}

/// A topic that is followed, or asked for and not answered yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Followed {
    stands: bool,
    /// The last offset that was sent.
    cursor: u64,
    /// Offset and bytes of each publication that is sent and not taken.
    delivered: VecDeque<(u64, u64)>,
    delivered_bytes: u64,
    /// The highest offset that was ever sent: a `taken` may cross a `subscribed`, and has no epoch.
    highest: u64,
    /// The next publication has to wait for room.
    stalled: bool,
}

impl Followed {
    fn forget(&mut self) {
        self.delivered.clear();
        self.delivered_bytes = 0;
        self.stalled = false;
    }
}

/// What stands in `subscribed`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subscribed {
    /// The next publication lies above.
    pub offset: u64,
    /// The replay ends here.
    pub head: u64,
    /// What the offsets are offsets of.
    pub epoch: String,
    /// Whether nothing is missing since what was asked for.
    pub recovered: bool,
}

/// Checks the name of a topic.
pub(super) fn name(topic: &str) -> Result<(), PeerMisbehaved> {
    if topic.is_empty() || topic.len() > MAX_NAME_BYTES {
        return Err(PeerMisbehaved::new(Clause::TopicName, "the name of a topic has 1 to 256 bytes"));
    }
    Ok(())
}

impl ServerConnection {
    /// A subscription stands: answers the latest [`ServerEvent::Subscribe`] of this topic, or tells later that the log was trimmed beneath the
    /// client or has a new epoch (clause `topic.recovered`). Does nothing for a topic that nobody asked for.
    pub fn subscribed(&mut self, topic: &str, news: Subscribed) {
        let Some(followed) = self.topics.followed.get_mut(topic).filter(|_| self.stage.is_ready()) else { return };
        let Subscribed { offset, head, epoch, recovered } = news;
        followed.stands = true;
        followed.cursor = offset;
        followed.forget();
        self.write(&ServerFrame::Subscribed { topic: topic.to_owned(), offset, head, epoch, recovered });
    }

    /// A subscription is refused or revoked (clause `topic.refused`).
    pub fn unsubscribed(&mut self, topic: &str, code: &str, retry: bool) {
        if self.stage.is_ready() && self.topics.followed.remove(topic).is_some() {
            self.end_topic(topic.to_owned(), Some(code), retry);
        }
    }

    /// Whether the client follows a topic, or has asked to.
    pub fn follows(&self, topic: &str) -> bool {
        self.topics.followed.contains_key(topic)
    }

    /// After which offset the client's window for a topic has room, for how many messages and bytes; `None` if it has
    /// none, or does not follow it.
    pub fn topic_room(&self, topic: &str) -> Option<(u64, Window)> {
        let followed = self.topics.followed.get(topic).filter(|followed| followed.stands && !followed.stalled)?;
        let room = self.room(followed.delivered.len(), followed.delivered_bytes)?;
        self.stage.is_ready().then_some((followed.cursor, room))
    }

    /// Counts a publication towards the client's window. If this is true, the driver writes its frame, which it may share
    /// with every other subscriber, right behind what [`ServerConnection::poll_transmit`] has given; if not, it has to
    /// wait for room, is none that the client still needs, or is `binary` and none that it can read: then the subscription is
    /// over, see [`ServerConnection::follows`].
    #[must_use]
    pub fn deliver_publication(&mut self, topic: &str, offset: u64, payload_bytes: u64, binary: bool) -> bool {
        let unreadable = binary && !self.agreed(BINARY);
        let Some(followed) = self.topics.followed.get_mut(topic) else { return false };
        if !self.stage.is_ready() || !followed.stands || offset <= followed.cursor {
            return false;
        }
        if unreadable {
            self.unsubscribed(topic, NOT_BINARY, false);
            return false;
        }
        let Window { messages, bytes } = self.window;
        // One publication always passes an empty window, however large, or it could never pass.
        let fits = followed.delivered_bytes + payload_bytes <= bytes && (followed.delivered.len() as u64) < messages;
        if !followed.delivered.is_empty() && !fits {
            followed.stalled = true;
            return false;
        }
        followed.cursor = offset;
        followed.highest = followed.highest.max(offset);
        followed.delivered.push_back((offset, payload_bytes));
        followed.delivered_bytes += payload_bytes;
        true
    }

    /// A client asks something of a topic.
    pub(super) fn topic(&mut self, wish: Wish) -> Result<(), PeerMisbehaved> {
        if self.agreed(TOPICS) {
            let (Wish::Subscribe { topic, .. } | Wish::Unsubscribe { topic }) = &wish;
            name(topic)?;
        }
        if self.stage.is_ready() {
            self.answer_topic(wish);
            return Ok(());
        }
        let alike = |early: &&Wish| std::mem::discriminant(*early) == std::mem::discriminant(&wish);
        if self.topics.early.iter().filter(alike).count() >= MAX_EARLY {
            return Err(PeerMisbehaved::new(Clause::PreauthLimits, "too many subscriptions before `ready`"));
        }
        // What would be ignored is not kept.
        if self.agreed(TOPICS) || matches!(wish, Wish::Subscribe { .. }) {
            self.topics.early.push(wish);
        }
        Ok(())
    }

    /// Answers what came before `ready`.
    pub(super) fn answer_early(&mut self) {
        for wish in std::mem::take(&mut self.topics.early) {
            self.answer_topic(wish);
        }
    }

    fn answer_topic(&mut self, wish: Wish) {
        let agreed = self.agreed(TOPICS);
        match wish {
            Wish::Subscribe { topic, .. } if !agreed => self.end_topic(topic, Some("unsupported"), false),
            Wish::Subscribe { topic, offset, epoch, last } => {
                let known = self.topics.followed.contains_key(&topic);
                if !known && self.topics.followed.len() >= self.config.subscriptions {
                    return self.end_topic(topic, Some("too_many"), false);
                }
                let followed = self.topics.followed.entry(topic.clone()).or_default();
                // Nothing of the former subscription comes before the answer (clause `topic.again`).
                let stood = std::mem::take(&mut followed.stands);
                followed.forget();
                if known && !stood {
                    self.end_topic(topic.clone(), Some(WITHDRAWN), true);
                }
                self.events.push_back(ServerEvent::Subscribe { topic, offset, epoch, last });
            }
            Wish::Unsubscribe { .. } if !agreed => {}
            Wish::Unsubscribe { topic } => {
                if let Some(followed) = self.topics.followed.remove(&topic) {
                    if !followed.stands {
                        self.end_topic(topic.clone(), Some(WITHDRAWN), true);
                    }
                    self.events.push_back(ServerEvent::Unsubscribe { topic: topic.clone() });
                }
                self.end_topic(topic, None, false);
            }
        }
    }

    pub(super) fn topic_taken(&mut self, offset: u64, topic: String) -> Result<(), PeerMisbehaved> {
        name(&topic)?;
        let Some(followed) = self.topics.followed.get_mut(&topic) else { return Ok(()) };
        if offset > followed.highest {
            return Err(PeerMisbehaved::new(Clause::TopicTaken, "`taken` above what was delivered of the topic"));
        }
        while followed.delivered.front().is_some_and(|(delivered, _)| *delivered <= offset) {
            followed.delivered_bytes -= followed.delivered.pop_front().map_or(0, |(_, bytes)| bytes);
            followed.stalled = false;
        }
        self.events.push_back(ServerEvent::TopicRoom { topic });
        Ok(())
    }

    fn end_topic(&mut self, topic: String, code: Option<&str>, retry: bool) {
        self.write(&ServerFrame::Unsubscribed { topic, code: code.map(str::to_owned), retry });
    }
}
