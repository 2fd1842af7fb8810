//! Topics: the logs that the servers share, and what a client that follows them has to get.

use crate::cluster::Cluster;
use crate::coverage::Sight;
use crate::peer::Peer;
use crate::scene::{Parcel, Scene};
use crate::watch::{LATE, Watch};
use readywire_protocol::client::{Page as ClientPage, Position, Start};
use readywire_protocol::frame::{HistoryRequest, ServerFrame};
use readywire_protocol::json::Payload;
use readywire_protocol::server::{Page, Subscribed};
use readywire_protocol::time::Instant;
use std::collections::BTreeMap;

/// What can be followed.
pub(crate) const TOPICS: [&str; 2] = ["room/a", "room/b"];
/// Handles of subscriptions begin behind those of sends.
pub(crate) const SUBSCRIPTIONS: u64 = 1_000;
/// And those of pages behind these.
pub(crate) const PAGES: u64 = 2_000;

/// The log of one topic. What was trimmed stays here, so that it can be told what is missing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    epoch: u64,
    /// So many are trimmed.
    trimmed: u64,
    /// Offsets count from 1.
    entries: Vec<String>,
}

impl Log {
    fn head(&self) -> u64 {
        self.entries.len() as u64
    }
}

pub(crate) type Logs = BTreeMap<String, Log>;

impl Cluster {
    /// Appends a publication, and wakes all that follow.
    pub(crate) fn publish(&mut self, scene: &mut Scene, topic: &str, text: &str) {
        let log = self.logs.entry(topic.to_owned()).or_default();
        log.entries.push(text.to_owned());
        scene.watch.published(topic, log.epoch, text);
        self.stir_topic(topic);
    }

    /// Forgets all but the last.
    pub(crate) fn trim(&mut self, topic: &str, kept: u64) {
        let log = self.logs.entry(topic.to_owned()).or_default();
        log.trimmed = log.trimmed.max(log.head().saturating_sub(kept));
        self.stir_topic(topic);
    }

    /// The log is gone, and begins anew.
    pub(crate) fn lose_topic(&mut self, scene: &mut Scene, topic: &str) {
        let log = self.logs.entry(topic.to_owned()).or_default();
        *log = Log { epoch: log.epoch + 1, ..Log::default() };
        scene.watch.topic_lost(topic, log.epoch);
        self.stir_topic(topic);
    }

    fn stir_topic(&mut self, topic: &str) {
        let following = self.owners(|peer| peer.follows.contains_key(topic));
        self.stirred.extend(following);
    }

    pub(crate) fn subscribe(
        &mut self,
        peer: &mut Peer,
        topic: String,
        offset: Option<u64>,
        epoch: Option<String>,
        last: u64,
    ) {
        let log = self.logs.entry(topic.clone()).or_default();
        let head = log.head();
        let (offset, recovered) = match offset {
            None => (head.saturating_sub(last).max(log.trimmed), true),
            Some(offset) => {
                let same = epoch.is_none_or(|epoch| epoch == log.epoch.to_string());
                let kept = same && offset <= head && offset >= log.trimmed;
                if kept { (offset, true) } else { (log.trimmed, false) }
            }
        };
        peer.core.subscribed(&topic, Subscribed { offset, head, epoch: log.epoch.to_string(), recovered });
        peer.follows.insert(topic, log.epoch);
    }

    /// Answers a request for a page.
    pub(crate) fn page(&mut self, scene: &mut Scene, peer: &mut Peer, asked: HistoryRequest) {
        let HistoryRequest { request, topic, limit, before, epoch } = asked;
        let silent = scene.plan.silent_pages;
        if scene.strikes(silent) {
            return;
        }
        let log = self.logs.entry(topic.clone()).or_default();
        let mut gathered = peer.core.gathering(limit);
        let same = epoch.is_none_or(|epoch| epoch == log.epoch.to_string());
        let end = before.map_or(log.head(), |before| before.saturating_sub(1).min(log.head()));
        for offset in (log.trimmed + 1..=end).filter(|_| same) {
            let payload = Payload::parse(&log.entries[offset as usize - 1]).unwrap_or_else(|_| Payload::null());
            let (topic, event, bytes) = (topic.clone(), "published".to_owned(), payload.size());
            let publication = ServerFrame::Publication { topic, offset, request: Some(request), event, payload };
            gathered.push(publication, bytes, false);
        }
        let page = Page { epoch: log.epoch.to_string(), head: log.head(), more: false, gathered };
        // In front of what the core says of the page.
        Self::transmit(scene, peer);
        for publication in peer.core.page(request, page) {
            let text = publication.encode();
            scene.watch.server_wrote(peer.link, &text);
            scene.write_to_client(peer.link, Parcel::Text(text));
        }
    }

    /// Hands over what the topics have, as far as the client's windows have room.
    pub(crate) fn deliver_topics(&mut self, scene: &mut Scene, peer: &mut Peer) {
        for topic in peer.follows.keys().cloned().collect::<Vec<_>>() {
            while let Some((after, _)) = peer.core.topic_room(&topic) {
                let log = self.logs.entry(topic.clone()).or_default();
                if peer.follows.get(&topic) != Some(&log.epoch) || after < log.trimmed {
                    let news = Subscribed {
                        offset: log.trimmed,
                        head: log.head(),
                        epoch: log.epoch.to_string(),
                        recovered: false,
                    };
                    peer.core.subscribed(&topic, news);
                    peer.follows.insert(topic.clone(), log.epoch);
                    Self::transmit(scene, peer);
                    continue;
                }
                let Some(text) = log.entries.get(after as usize) else { break };
                let payload = Payload::parse(text).unwrap_or_else(|_| Payload::null());
                if !peer.core.deliver_publication(&topic, after + 1, payload.size(), false) {
                    scene.watch.saw(Sight::TopicWindowFull);
                    break;
                }
                let (topic, event) = (topic.clone(), "published".to_owned());
                let text =
                    ServerFrame::Publication { topic, offset: after + 1, request: None, event, payload }.encode();
                scene.watch.server_wrote(peer.link, &text);
                scene.write_to_client(peer.link, Parcel::Text(text));
            }
        }
    }
}

/// What is known of topics and of those who follow them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Followed {
    /// Everything that was ever published, by topic and epoch.
    published: BTreeMap<(String, u64), Vec<String>>,
    epochs: BTreeMap<String, u64>,
    subscriptions: BTreeMap<u64, Following>,
    /// Who waits for a page: of which topic, how large, and below what.
    pages: BTreeMap<u64, (String, u64, Option<u64>, Instant)>,
}

#[derive(Clone, Debug)]
struct Following {
    topic: String,
    /// Epoch and offset of the last publication that came, or that was told to be passed over.
    held: Option<(u64, u64)>,
    /// How many of the latest it asks for, without a position.
    last: u64,
    over: bool,
}

impl Watch {
    fn published(&mut self, topic: &str, epoch: u64, text: &str) {
        self.followed.published.entry((topic.to_owned(), epoch)).or_default().push(text.to_owned());
    }

    fn topic_lost(&mut self, topic: &str, epoch: u64) {
        self.followed.epochs.insert(topic.to_owned(), epoch);
    }

    /// The application is about to follow a topic.
    pub(crate) fn following(&mut self, handle: u64, topic: &str, from: &Start) {
        let epoch = self.followed.epochs.get(topic).copied().unwrap_or_default();
        // Without a position it begins where the server says; with offset 0, with all that there is.
        let (held, last) = match from {
            Start::Behind(from) => (Some((epoch, from.offset)), 0),
            Start::Last(last) => (None, *last),
            Start::Now => (None, 0),
        };
        self.followed.subscriptions.insert(handle, Following { topic: topic.to_owned(), held, last, over: false });
    }

    pub(crate) fn subscribed(&mut self, handle: u64, offset: u64, head: u64, epoch: &str, recovered: bool) {
        let Some(following) = self.followed.subscriptions.get_mut(&handle) else { return };
        let Ok(epoch) = epoch.parse() else { return };
        let (held, last, over) = (following.held.replace((epoch, offset)), following.last, following.over);
        let all = self.followed.published.get(&(following.topic.clone(), epoch)).map_or(0, Vec::len);
        self.require(!over, "nothing of a topic behind the end of its subscription", || handle.to_string());
        match held {
            Some((of, from)) if recovered => {
                // A subscription from 0 was asked for without an epoch: any will do.
                let complete = offset == from && (of == epoch || from == 0);
                self.require(complete, "`recovered` means that nothing is missing", || {
                    format!("subscription {handle}: {from} of {of}, and goes on at {offset} of {epoch}")
                });
                if from > 0 && (all as u64) > from {
                    self.saw(Sight::TopicRecovered);
                }
            }
            Some(_) => self.saw(Sight::TopicGap),
            None => {
                let due = recovered && head - offset <= last;
                self.require(due, "a subscription begins with no more than it asked for", || {
                    format!("subscription {handle}: the last {last}, and {offset} of {head} is told")
                });
                if head > offset {
                    self.saw(Sight::TopicLast);
                }
            }
        }
    }

    pub(crate) fn publication(&mut self, handle: u64, offset: u64, payload: &str) {
        let Some(following) = self.followed.subscriptions.get_mut(&handle) else {
            return self.require(false, "a publication belongs to a subscription", || handle.to_string());
        };
        let over = following.over;
        let Some((epoch, last)) = following.held else {
            return self.require(false, "a subscription is told before its publications", || handle.to_string());
        };
        following.held = Some((epoch, offset));
        let published = self.followed.published.get(&(following.topic.clone(), epoch));
        let expected = published.and_then(|published| published.get(last as usize)).cloned();
        self.require(!over, "nothing of a topic behind the end of its subscription", || handle.to_string());
        let next = offset == last + 1 && expected.as_deref() == Some(payload);
        self.require(next, "publications come each once and in order", || {
            format!("subscription {handle}: {offset} {payload}, behind {last} of {epoch} comes {expected:?}")
        });
        self.saw(Sight::Published);
    }

    pub(crate) fn unsubscribed(&mut self, handle: u64) {
        let Some(following) = self.followed.subscriptions.get_mut(&handle) else { return };
        let before = std::mem::replace(&mut following.over, true);
        self.require(!before, "a subscription ends once", || handle.to_string());
    }

    /// Whoever followed or asked is gone.
    pub(crate) fn topics_left(&mut self) {
        self.followed.pages.clear();
        self.followed.subscriptions.values_mut().for_each(|one| one.over = true);
    }

    /// The application is about to ask for a page.
    pub(crate) fn paging(&mut self, handle: u64, topic: &str, limit: u64, before: Option<&Position>) {
        let before = before.map(|before| before.offset);
        self.followed.pages.insert(handle, (topic.to_owned(), limit, before, self.now));
    }

    pub(crate) fn paged(&mut self, page: &ClientPage) {
        let Some((topic, limit, before, asked_at)) = self.followed.pages.remove(&page.handle) else {
            return self.require(false, "a page comes once, and to whom asked", || format!("{page:?}"));
        };
        self.page_in_time(page.handle, asked_at);
        let Ok(epoch) = page.epoch.parse() else { return };
        let published = self.followed.published.get(&(topic, epoch)).cloned().unwrap_or_default();
        let end = before.map_or(page.head, |before| before.saturating_sub(1).min(page.head));
        let count = page.publications.len() as u64;
        let mut next = end - count.min(end);
        let whole = page.publications.iter().all(|publication| {
            next += 1;
            let text = publication.payload.text();
            publication.offset == next && published.get(next as usize - 1).map(String::as_str) == text
        });
        self.require(whole && count <= limit, "a page is whole, in order, and the newest below", || {
            format!("{limit} below {before:?}: {page:?}")
        });
        if count > 0 {
            self.saw(if before.is_some() { Sight::PagedBackwards } else { Sight::Paged });
        }
    }

    pub(crate) fn no_page(&mut self, handle: u64, code: &str) {
        let asked = self.followed.pages.remove(&handle);
        self.require(asked.is_some(), "a page is refused once", || handle.to_string());
        let Some((.., asked_at)) = asked else { return };
        self.page_in_time(handle, asked_at);
        if code == "timeout" {
            self.saw(Sight::PageTimeout);
            let waited = self.now.saturating_since(asked_at) >= self.queue_age;
            self.require(waited, "a page is waited for as long as a send", || format!("{handle} of {asked_at:?}"));
        }
    }

    fn page_in_time(&mut self, handle: u64, asked_at: Instant) {
        let (now, longest) = (self.now, self.queue_age + LATE);
        let waited = now.saturating_since(asked_at);
        self.require(waited <= longest, "no page is waited for any longer", || format!("{handle} for {waited:?}"));
    }

    /// Whether publications are still to come, or pages.
    pub(crate) fn awaits_publications(&self) -> bool {
        let Followed { published, epochs, subscriptions, pages } = &self.followed;
        let late = subscriptions.values().any(|following| {
            let epoch = epochs.get(&following.topic).copied().unwrap_or_default();
            let head = published.get(&(following.topic.clone(), epoch)).map_or(0, Vec::len);
            !following.over && following.held != Some((epoch, head as u64))
        });
        late || !pages.is_empty()
    }

    /// Everything is over: every subscription, too.
    pub(crate) fn subscriptions_over(&mut self) {
        let open: Vec<u64> =
            self.followed.subscriptions.iter().filter(|(_, one)| !one.over).map(|(handle, _)| *handle).collect();
        self.require(open.is_empty(), "each subscription ends", || format!("{open:?}"));
        let pages = self.followed.pages.clone();
        self.require(pages.is_empty(), "each request for a page has its answer", || format!("{pages:?}"));
    }
}
