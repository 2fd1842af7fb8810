//! What topics have had before: the pages that the application waits for, each asked for until it has come whole.

use super::topics::is_name;
use super::*;
use crate::capability::TOPICS;
use crate::frame::HistoryRequest;

/// So many requests are open at a time, and so many publications are in a page (clause `history.request`).
const MAX_OPEN: usize = 16;
const MAX_LIMIT: u64 = 256;

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct History {
    requests: Vec<OpenRequest>,
    /// The number of the latest.
    last: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct OpenRequest {
    /// Who waits for it; `None` once nobody does, and only the server has still to answer.
    handle: Option<u64>,
    topic: String,
    limit: u64,
    before: Option<Position>,
    /// When nobody waits for it any longer.
    expires: Instant,
    /// Its number on this connection, once it is written.
    number: Option<u64>,
    /// What has come of the page.
    publications: Vec<PagedPublication>,
    bytes: u64,
}

impl Client {
    /// Asks for a page of what a topic has had: at most `limit` publications, the newest below `before`, or the newest of
    /// all. It comes as [`ClientEvent::Page`] or [`ClientEvent::PageRefused`] under `handle`, which the caller chooses as
    /// for [`Client::send`]; [`Client::cancel`] gives it up, and so does this client by itself after `queue_age`.
    pub fn history(&mut self, now: Instant, handle: u64, topic: &str, limit: u64, before: Option<Position>) {
        let (code, retry) = if !TOPICS {
            ("unsupported", false)
        } else if self.current.phase == Phase::Ended || self.closing.is_some() {
            ("closed", false)
        } else if !is_name(topic) {
            ("invalid_topic", false)
        } else if !(1..=MAX_LIMIT).contains(&limit) {
            ("invalid_limit", false)
        } else if self.history.requests.len() >= MAX_OPEN {
            ("too_many", true)
        } else {
            self.history.requests.push(OpenRequest {
                handle: Some(handle),
                topic: topic.to_owned(),
                limit,
                before,
                expires: now + self.config.queue_age,
                number: None,
                publications: Vec::new(),
                bytes: 0,
            });
            return self.ask_topics();
        };
        self.no_page(handle, code, retry);
    }

    /// Who has waited for a page longest, and until when (clause `history.timeout`).
    pub(super) fn page_due(&self) -> Option<(u64, Instant)> {
        // All wait equally long, so that they stand in that order.
        self.history.requests.iter().find_map(|request| Some((request.handle?, request.expires))).filter(|_| TOPICS)
    }

    /// Waits for a page no longer; true if anybody did under this handle.
    pub(super) fn forget_page(&mut self, handle: u64, code: &str, retry: bool) -> bool {
        let requests = &mut self.history.requests;
        let Some(index) = requests.iter().position(|request| request.handle == Some(handle)) else { return false };
        let request = &mut requests[index];
        request.handle = None;
        request.publications.clear();
        if request.number.is_none() {
            requests.remove(index);
        }
        self.no_page(handle, code, retry);
        true
    }

    /// Asks a server that is ready, and has topics, for what was not asked on this connection.
    pub(super) fn ask_pages(&mut self) {
        let Some(mut ready) = self.current.ready() else { return };
        let History { requests, last } = &mut self.history;
        for request in requests.iter_mut().filter(|request| request.number.is_none()) {
            *last += 1;
            request.number = Some(*last);
            let (before, epoch) = match request.before.clone() {
                Some(before) => (Some(before.offset), before.epoch),
                None => (None, None),
            };
            let (topic, limit) = (request.topic.clone(), request.limit);
            let asked = HistoryRequest { request: *last, topic, limit, before, epoch };
            ready.write(&ClientFrame::History(asked));
        }
    }

    /// A publication of a page.
    pub(super) fn paged(&mut self, number: u64, publication: PagedPublication) -> Result<(), PeerMisbehaved> {
        let asked = |request: &&mut OpenRequest| request.number == Some(number) && request.handle.is_some();
        let Some(request) = self.history.requests.iter_mut().find(asked) else { return Ok(()) };
        let offset = publication.offset;
        let above = request.publications.last().is_none_or(|last| offset > last.offset);
        let below = request.before.as_ref().is_none_or(|before| offset < before.offset);
        request.bytes += publication.payload.size();
        let empty = request.publications.is_empty();
        let fits = (request.publications.len() as u64) < request.limit && request.bytes <= self.config.window.bytes;
        if !above || !below || !(empty || fits) {
            let found = "a page that is out of order, or more than was asked for";
            return Err(PeerMisbehaved::new(Clause::HistoryPage, found));
        }
        request.publications.push(publication);
        Ok(())
    }

    /// A page is whole, or refused.
    pub(super) fn page(&mut self, frame: ServerFrame) -> Result<(), PeerMisbehaved> {
        let ServerFrame::Page { request: number, epoch, head, more, code, retry } = frame else { return Ok(()) };
        let requests = &mut self.history.requests;
        let Some(index) = requests.iter().position(|request| request.number == Some(number)) else {
            return Ok(());
        };
        // Whoever waits for it goes on to, on the next connection.
        let answer = match (code, epoch) {
            (Some(code), _) => Err(code),
            (None, Some(epoch)) => Ok(epoch),
            (None, None) => return Err(PeerMisbehaved::new(Clause::FrameField, "`epoch` is missing in a page")),
        };
        let OpenRequest { handle, publications, .. } = requests.remove(index);
        let Some(handle) = handle else { return Ok(()) };
        match answer {
            Err(code) => self.no_page(handle, &code, retry),
            Ok(epoch) => {
                self.events.push(ClientEvent::Page(Box::new(Page { handle, publications, epoch, head, more })));
            }
        }
        Ok(())
    }

    /// The connection is over: what was half told begins anew on the next (clause `history.again`).
    pub(super) fn detach_pages(&mut self) {
        self.history.requests.retain_mut(|request| {
            request.number = None;
            request.publications.clear();
            request.bytes = 0;
            request.handle.is_some()
        });
    }

    /// Ends every wait, and tells why.
    pub(super) fn end_pages(&mut self, code: &str) {
        for request in std::mem::take(&mut self.history.requests) {
            if let Some(handle) = request.handle {
                self.no_page(handle, code, false);
            }
        }
    }

    fn no_page(&mut self, handle: u64, code: &str, retry: bool) {
        self.events.push(ClientEvent::PageRefused { handle, code: code.to_owned(), retry });
    }
}
