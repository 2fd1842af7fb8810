//! What a topic has had before, page by page: which requests are open, and what fits into a page.

use super::*;

/// So many requests of a connection are open at a time (clause `history.refused`).
const MAX_OPEN: usize = 16;
/// So many publications are in a page at most (clause `history.request`).
const MAX_LIMIT: u64 = 256;

/// The refusal of what only a client that takes bytes can read.
const NOT_BINARY: &str = "binary_not_agreed";

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Pages {
    /// The number of the latest request.
    last: u64,
    open: Vec<u64>,
}

/// A page that is being gathered: it takes what is kept from the oldest to the newest, and the oldest give way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Gathering<T> {
    limit: u64,
    bytes_limit: u64,
    takes_bytes: bool,
    /// Each with its bytes.
    kept: VecDeque<(T, u64)>,
    bytes: u64,
    /// Something older gave way.
    more: bool,
    /// The newest is bytes, which the client cannot read.
    unreadable: bool,
}

impl<T> Gathering<T> {
    /// Takes the next publication, with the bytes of its payload.
    pub fn push(&mut self, publication: T, payload_bytes: u64, binary: bool) {
        self.unreadable = binary && !self.takes_bytes;
        if self.unreadable {
            // A page reaches back no further (clause `history.refused`).
            self.kept.clear();
            self.bytes = 0;
            self.more = true;
            return;
        }
        self.kept.push_back((publication, payload_bytes));
        self.bytes += payload_bytes;
        // One always fits, however large, or it could never be read.
        while self.kept.len() > 1 && (self.kept.len() as u64 > self.limit || self.bytes > self.bytes_limit) {
            self.bytes -= self.kept.pop_front().map_or(0, |(_, bytes)| bytes);
            self.more = true;
        }
    }
}

/// What stands in a page, behind its publications.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Page<T> {
    /// Of the topic.
    pub epoch: String,
    /// The last offset of the topic.
    pub head: u64,
    /// Whether anything is kept that is older than all that was gathered.
    pub more: bool,
    /// The publications.
    pub gathered: Gathering<T>,
}

impl ServerConnection {
    /// A page to gather for a [`ServerEvent::History`].
    pub fn gathering<T>(&self, limit: u64) -> Gathering<T> {
        Gathering {
            limit,
            bytes_limit: self.window.bytes,
            takes_bytes: self.agreed(BINARY),
            kept: VecDeque::new(),
            bytes: 0,
            more: false,
            unreadable: false,
        }
    }

    /// Answers a [`ServerEvent::History`]. The driver writes what this gives, publications that carry the number of the
    /// request, right behind what [`ServerConnection::poll_transmit`] has given, and in front of what it gives next.
    #[must_use]
    pub fn page<T>(&mut self, request: u64, page: Page<T>) -> Vec<T> {
        let Page { epoch, head, more, gathered } = page;
        if gathered.unreadable {
            self.refuse_page(request, NOT_BINARY, false);
            return Vec::new();
        }
        if !self.close_request(request) {
            return Vec::new();
        }
        let more = more || gathered.more;
        self.write(&ServerFrame::Page { request, epoch: Some(epoch), head, more, code: None, retry: false });
        gathered.kept.into_iter().map(|(publication, _)| publication).collect()
    }

    /// Refuses a [`ServerEvent::History`] (clause `history.refused`).
    pub fn refuse_page(&mut self, request: u64, code: &str, retry: bool) {
        if self.close_request(request) {
            self.end_page(request, code, retry);
        }
    }

    /// A client asks what a topic has had.
    pub(super) fn history(&mut self, asked: HistoryRequest) -> Result<(), PeerMisbehaved> {
        topics::name(&asked.topic)?;
        let HistoryRequest { request, limit, .. } = asked;
        if request <= self.pages.last {
            let found = "a request for a page that is not above the one before";
            return Err(PeerMisbehaved::new(Clause::HistoryRequest, found));
        }
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(PeerMisbehaved::new(Clause::HistoryRequest, "a page has 1 to 256 publications"));
        }
        self.pages.last = request;
        if self.pages.open.len() >= MAX_OPEN {
            self.end_page(request, "too_many", true);
            return Ok(());
        }
        self.pages.open.push(request);
        self.events.push_back(ServerEvent::History(asked));
        Ok(())
    }

    /// Whether it was open, and the client is still there.
    fn close_request(&mut self, request: u64) -> bool {
        let open = self.pages.open.iter().position(|open| *open == request).filter(|_| self.stage.is_ready());
        open.map(|open| self.pages.open.swap_remove(open)).is_some()
    }

    fn end_page(&mut self, request: u64, code: &str, retry: bool) {
        let code = Some(code.to_owned());
        self.write(&ServerFrame::Page { request, epoch: None, head: 0, more: false, code, retry });
    }
}
