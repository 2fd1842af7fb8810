//! What the application follows: one subscription for each topic, made anew on each connection.

use super::*;
use crate::capability::TOPICS;

/// The longest name of a topic, in bytes (clause `topic.name`).
const MAX_NAME_BYTES: usize = 256;
/// What may be asked before `ready`: it counts towards what a stranger may write (clause `preauth.limits`), and half of
/// that is left for everything else.
const EARLY_SUBSCRIBES: usize = 16;
const EARLY_BYTES: usize = 8 << 10;

/// Whether a topic may be called so (clause `topic.name`).
pub(super) fn is_name(topic: &str) -> bool {
    !topic.is_empty() && topic.len() <= MAX_NAME_BYTES
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Topics {
    subscriptions: Vec<Subscription>,
    /// Something was asked on this connection before it was known whether the server has topics.
    early: bool,
    /// When `taken` is due.
    pub(super) deadline: Option<Instant>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Subscription {
    topic: String,
    /// Who follows it; `None` once nobody does, and only the server has still to hear of it, or to confirm.
    handle: Option<u64>,
    /// From where to ask; once anything came, from what is held.
    from: Start,
    asked: Asked,
    untold: u64,
    untold_bytes: u64,
}

/// How far a subscription has come on this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Asked {
    /// Nothing is written.
    No,
    /// `subscribe` is, and not answered.
    Subscribe,
    /// The same, before `ready`, by somebody who has left since.
    Withdrawn,
    /// The server said `subscribed`.
    Stands,
    /// `unsubscribe` is written, and not confirmed.
    Unsubscribe,
}

impl Subscription {
    fn begin(&mut self, handle: u64, from: Start) {
        self.handle = Some(handle);
        self.from = from;
        self.fresh();
    }

    fn fresh(&mut self) {
        self.untold = 0;
        self.untold_bytes = 0;
    }

    fn request(&mut self) -> ClientFrame {
        self.asked = Asked::Subscribe;
        let (offset, epoch, last) = match self.from.clone() {
            Start::Now => (None, None, None),
            Start::Last(last) => (None, None, Some(last)),
            Start::Behind(held) => (Some(held.offset), held.epoch, None),
        };
        ClientFrame::Subscribe { topic: self.topic.clone(), offset, epoch, last }
    }

    fn leave(&mut self) -> ClientFrame {
        self.asked = Asked::Unsubscribe;
        ClientFrame::Unsubscribe { topic: self.topic.clone() }
    }
}

impl Client {
    /// Follows a topic. What becomes of it is told under `handle`, which the caller chooses as for [`Client::send`]; it
    /// goes on over every connection until [`Client::cancel`] or [`ClientEvent::Unsubscribed`].
    pub fn subscribe(&mut self, handle: u64, topic: &str, from: Start) {
        let code = if !TOPICS {
            Some("unsupported")
        } else if self.current.phase == Phase::Ended || self.closing.is_some() {
            Some("closed")
        } else if !is_name(topic) {
            Some("invalid_topic")
        } else if self.topics.subscriptions.iter().any(|known| known.topic == topic && known.handle.is_some()) {
            Some("already_subscribed")
        } else {
            None
        };
        if let Some(code) = code {
            self.unsubscribed(handle, code, false);
            return;
        }
        match self.topics.subscriptions.iter_mut().find(|known| known.topic == topic) {
            // The server's answer to whoever left comes first (clause `topic.between`).
            Some(known) => known.begin(handle, from),
            None => self.topics.subscriptions.push(Subscription {
                topic: topic.to_owned(),
                handle: Some(handle),
                from,
                asked: Asked::No,
                untold: 0,
                untold_bytes: 0,
            }),
        }
        self.ask_topics();
    }

    /// Stops following; true if anybody did under this handle.
    pub(super) fn unsubscribe(&mut self, handle: u64) -> bool {
        let subscriptions = &mut self.topics.subscriptions;
        let Some(index) = subscriptions.iter().position(|known| known.handle == Some(handle)) else { return false };
        let subscription = &mut subscriptions[index];
        subscription.handle = None;
        match subscription.asked {
            Asked::No => drop(subscriptions.remove(index)),
            Asked::Subscribe | Asked::Stands => subscription.asked = Asked::Withdrawn,
            Asked::Withdrawn | Asked::Unsubscribe => {}
        }
        self.unsubscribed(handle, "", false);
        self.ask_topics();
        true
    }

    /// Right behind the hello, so that to recover costs no round trip (clause `topic.renew`). On a connection that is to
    /// replace one that still brings them, it is asked at `ready`.
    pub(super) fn ask_early(&mut self, number: u64, hello_bytes: usize) {
        if !TOPICS {
            return;
        }
        let Some(connection) = self.current.connection.as_mut().filter(|connection| connection.number == number) else {
            return;
        };
        let mut room = EARLY_BYTES.saturating_sub(hello_bytes);
        for subscription in self.topics.subscriptions.iter_mut().take(EARLY_SUBSCRIBES) {
            let text = subscription.request().encode();
            if text.len() > room {
                subscription.asked = Asked::No;
                return;
            }
            room -= text.len();
            connection.write_early(text);
            self.topics.early = true;
        }
    }

    /// Tells a server that is ready what is followed, and what no longer.
    pub(super) fn ask_topics(&mut self) {
        if !TOPICS {
            return;
        }
        let Some(mut ready) = self.current.ready() else { return };
        if !ready.topics {
            return self.end_topics("unsupported");
        }
        for subscription in &mut self.topics.subscriptions {
            match subscription.asked {
                Asked::No => ready.write(&subscription.request()),
                Asked::Withdrawn => ready.write(&subscription.leave()),
                Asked::Subscribe | Asked::Stands | Asked::Unsubscribe => {}
            }
        }
        self.ask_pages();
    }

    /// What the server says of topics.
    pub(super) fn topical(&mut self, now: Instant, frame: ServerFrame) -> Result<(), PeerMisbehaved> {
        let agreed = TOPICS && self.current.ready().is_some_and(|ready| ready.topics);
        // Who asked before it knew is answered by a server without topics, too (clause `frame.level`).
        let answer = TOPICS && matches!(&frame, ServerFrame::Unsubscribed { .. }) && self.topics.early;
        if !agreed && !answer {
            return Err(PeerMisbehaved::new(Clause::FrameLevel, "a frame of a level that was not agreed"));
        }
        let frame = match frame {
            ServerFrame::Page { .. } => return self.page(frame),
            ServerFrame::Publication { request: Some(request), offset, event, payload, .. } => {
                return self.paged(request, PagedPublication { offset, event, payload });
            }
            frame => frame,
        };
        let subscriptions = &mut self.topics.subscriptions;
        let topic = match &frame {
            ServerFrame::Subscribed { topic, .. }
            | ServerFrame::Unsubscribed { topic, .. }
            | ServerFrame::Publication { topic, .. } => topic,
            _ => return Ok(()),
        };
        let Some(index) = subscriptions.iter().position(|known| known.topic == *topic) else { return Ok(()) };
        let subscription = &mut subscriptions[index];
        match (frame, subscription.asked, subscription.handle) {
            (
                ServerFrame::Subscribed { offset, head, epoch, recovered, .. },
                Asked::Subscribe | Asked::Stands,
                Some(handle),
            ) => {
                if head < offset {
                    return Err(PeerMisbehaved::new(Clause::TopicOffset, "`head` is below `offset`"));
                }
                let unlike =
                    |held: &Position| offset < held.offset || held.epoch.as_ref().is_some_and(|held| *held != epoch);
                if recovered && matches!(&subscription.from, Start::Behind(held) if unlike(held)) {
                    let found = "recovered, though another epoch or an offset below what was asked for";
                    return Err(PeerMisbehaved::new(Clause::TopicRecovered, found));
                }
                subscription.from = Start::Behind(Position { offset, epoch: Some(epoch.clone()) });
                subscription.asked = Asked::Stands;
                subscription.fresh();
                self.events.push(ClientEvent::Subscribed { handle, offset, head, epoch, recovered });
            }
            (ServerFrame::Publication { offset, event, payload, .. }, Asked::Stands, Some(handle)) => {
                let Start::Behind(held) = &mut subscription.from else { return Ok(()) };
                if offset <= held.offset {
                    return Err(PeerMisbehaved::new(Clause::TopicOffset, "an offset that is not above the one before"));
                }
                held.offset = offset;
                subscription.untold += 1;
                subscription.untold_bytes += payload.size();
                let Window { messages, bytes } = self.config.window;
                let due = subscription.untold >= messages.div_ceil(2) || subscription.untold_bytes >= bytes / 2;
                self.events.push(ClientEvent::Publication { handle, offset, event, payload });
                if due {
                    self.tell_topics(Some(index));
                } else if self.topics.deadline.is_none() {
                    self.topics.deadline = Some(now + self.config.taken_delay);
                }
            }
            // Confirmed: whoever follows it by now asks anew.
            (ServerFrame::Unsubscribed { code: None, .. }, Asked::Unsubscribe, handle) => {
                subscription.asked = Asked::No;
                if handle.is_none() {
                    subscriptions.remove(index);
                }
                self.ask_topics();
            }
            (ServerFrame::Unsubscribed { code, retry, .. }, Asked::Subscribe | Asked::Stands, Some(handle)) => {
                subscriptions.remove(index);
                self.unsubscribed(handle, code.as_deref().unwrap_or("revoked"), retry);
            }
            // Of an earlier answer, or of nothing that was asked (clause `topic.between`).
            _ => {}
        }
        Ok(())
    }

    /// Says `taken` for one topic, or for all that it is due for.
    pub(super) fn tell_topics(&mut self, only: Option<usize>) {
        if !TOPICS {
            return;
        }
        if only.is_none() {
            self.topics.deadline = None;
        }
        let Some(mut ready) = self.current.ready() else { return };
        for (index, subscription) in self.topics.subscriptions.iter_mut().enumerate() {
            let due = subscription.untold > 0 && only.is_none_or(|only| only == index);
            if let (Start::Behind(held), Asked::Stands, true) = (&subscription.from, subscription.asked, due) {
                ready.write(&ClientFrame::Taken { offset: held.offset, topic: Some(subscription.topic.clone()) });
                subscription.fresh();
            }
        }
    }

    /// Subscriptions belong to their connection: what is still followed is asked for on the next.
    pub(super) fn detach_topics(&mut self) {
        if !TOPICS {
            return;
        }
        self.detach_pages();
        self.topics.deadline = None;
        self.topics.early = false;
        self.topics.subscriptions.retain_mut(|subscription| {
            subscription.asked = Asked::No;
            subscription.fresh();
            subscription.handle.is_some()
        });
    }

    /// Ends every subscription, and tells why.
    pub(super) fn end_topics(&mut self, code: &str) {
        if !TOPICS {
            return;
        }
        let mut ended = Vec::new();
        self.topics.subscriptions.retain_mut(|subscription| {
            ended.extend(subscription.handle.take());
            // What was asked for early has still to be taken back.
            let asked = subscription.asked != Asked::No;
            if matches!(subscription.asked, Asked::Subscribe | Asked::Stands) {
                subscription.asked = Asked::Withdrawn;
            }
            asked && code == "subject_changed"
        });
        for handle in ended {
            self.unsubscribed(handle, code, false);
        }
        self.end_pages(code);
    }

    fn unsubscribed(&mut self, handle: u64, code: &str, retry: bool) {
        self.events.push(ClientEvent::Unsubscribed { handle, code: code.to_owned(), retry });
    }
}
