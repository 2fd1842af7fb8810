//! The streams of a session: each has a log of its own, from its opening send until its answer ends.
//!
//! Parts are appended in the same step as the decision that takes them, so a handler gets them wherever it is; it trims
//! what it has read, which whoever has the session sees. The end of a stream is never trimmed: nothing may come behind it.
//! The end of an answer removes the log, and from then on there is nothing to append to.

use super::codec::{decode_message, encode_message};
use super::{ALL, Address, Moment, SessionStore};
use crate::log::{Append, Batch, Head, LogError, Name, Place, Record};
use readywire_protocol::frame::{Refusal, Send};
use readywire_protocol::json::Payload;
use readywire_protocol::server::SessionMessage;
use std::collections::VecDeque;
use tokio::sync::watch;

/// What a stream brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Where it stands in the log.
    pub(crate) offset: u64,
    /// The id of its send.
    pub(crate) id: u64,
    /// What it is; `None` is the end.
    pub(crate) payload: Option<Payload>,
}

/// An open stream, as the connection knows it that has its session.
#[derive(Debug)]
pub(crate) struct OpenStream {
    /// The send that opened it.
    pub(crate) id: u64,
    log: Name,
    news: watch::Receiver<Head>,
    /// Offset and id of each part that is not read, as far as known.
    unread: VecDeque<(u64, u64)>,
    ended: bool,
}

/// The open streams of a session.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    pub(super) open: Vec<OpenStream>,
}

/// What became of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamNews {
    /// The handler has read every part up to this id.
    Read { stream: u64, id: u64 },
    /// It is over.
    Over { stream: u64 },
}

/// What a connection that resumes a session tells of a stream.
#[derive(Debug)]
pub(crate) struct Resumed {
    pub(crate) id: u64,
    /// Id and bytes of each part that is not read.
    pub(crate) unread: Vec<(u64, u64)>,
    /// Up to where it was read, if anything was.
    pub(crate) read: Option<u64>,
}

impl Address {
    /// The log of the stream that this send opens.
    pub(crate) fn stream(&self, id: u64) -> Name {
        format!("{}{id}", self.streams()).into()
    }

    fn streams(&self) -> String {
        format!("stream{}/", self.session.strip_prefix("session").unwrap_or_default())
    }
}

impl SessionStore {
    /// The open streams of a session.
    pub(super) async fn streams(&self, address: &Address) -> Result<Vec<(u64, Name)>, LogError> {
        self.numbered(&address.streams()).await
    }

    /// Removes everything of a session.
    pub(super) async fn remove(&self, address: &Address) -> Result<(), LogError> {
        let others = self.streams(address).await?.into_iter().chain(self.questions(address).await?);
        self.log.remove(address.names().into_iter().chain(others.map(|(_, name)| name)).collect()).await
    }

    /// The streams of a session that is resumed, from `received` on, and what is to be told of each.
    pub(super) async fn resume_streams(
        &self,
        address: &Address,
        received: u64,
    ) -> Result<(Streams, Vec<Resumed>), LogError> {
        let (mut streams, mut told) = (Streams::default(), Vec::new());
        for (id, log) in self.streams(address).await? {
            let (news, batch) = match (self.log.subscribe(&log).await, self.log.read(&log, 0, ALL).await) {
                (Ok(news), Ok(batch)) => (news, batch),
                // Over right now.
                (Err(LogError::Missing), _) | (_, Err(LogError::Missing)) => continue,
                (Err(error), _) | (_, Err(error)) => return Err(error),
            };
            let parts = parts(&batch);
            let payload = |part: &Part| part.payload.as_ref().map(|payload| (part.id, payload.size()));
            let unread: Vec<(u64, u64)> = parts.iter().filter_map(payload).collect();
            let read = unread.first().map_or(received, |(id, _)| id - 1);
            told.push(Resumed { id, unread, read: (batch.first > 1).then_some(read) });
            let ended = parts.last().is_some_and(|part| part.payload.is_none());
            let unread = parts.iter().filter(|part| part.payload.is_some()).map(|part| (part.offset, part.id));
            streams.open.push(OpenStream { id, log, news, unread: unread.collect(), ended });
        }
        Ok((streams, told))
    }
}

/// The parts in a batch.
pub(crate) fn parts(batch: &Batch) -> Vec<Part> {
    let part = |entry: &crate::log::Entry| {
        let (SessionMessage { payload, re, end, .. }, _) = decode_message(&entry.record.data)?;
        Some(Part { offset: entry.offset, id: re?, payload: (!end).then_some(payload) })
    };
    batch.entries.iter().filter_map(part).collect()
}

impl Streams {
    /// Those that are gone take no part any more, and are told as over in their turn; tells whether there were any.
    pub(super) fn have_ended(&mut self, gone: impl Fn(u64) -> bool) -> bool {
        let mut any = false;
        for open in self.open.iter_mut().filter(|open| !open.ended && gone(open.id)) {
            open.ended = true;
            any = true;
        }
        any
    }

    pub(crate) fn is_open(&self, stream: u64) -> bool {
        self.open.iter().any(|open| open.id == stream)
    }

    /// The logs, which last as long as the session.
    pub(crate) fn names(&self) -> impl Iterator<Item = Name> {
        self.open.iter().map(|open| open.log.clone())
    }

    /// Ends when something may have become of one of them.
    pub(crate) async fn moved(&mut self) {
        let news = self.open.iter_mut().map(|open| Box::pin(open.news.changed()));
        if news.len() == 0 {
            return std::future::pending().await;
        }
        let _ = futures::future::select_all(news).await;
    }

    /// What became of them.
    pub(crate) fn look(&mut self) -> Vec<StreamNews> {
        let mut found = Vec::new();
        self.open.retain_mut(|open| {
            if open.news.has_changed().is_err() {
                found.push(StreamNews::Over { stream: open.id });
                return false;
            }
            let first = open.news.borrow_and_update().first;
            let mut read = None;
            while let Some((_, id)) = open.unread.front().copied().filter(|(offset, _)| *offset < first) {
                read = Some(id);
                open.unread.pop_front();
            }
            found.extend(read.map(|id| StreamNews::Read { stream: open.id, id }));
            true
        });
        found
    }
}

/// What is to be appended to streams in one step with a decision.
#[derive(Debug, Default)]
pub(super) struct Batches {
    of: Vec<StreamBatch>,
}

#[derive(Debug)]
struct StreamBatch {
    stream: u64,
    /// Whether it opens in this step.
    new: bool,
    ended: bool,
    ids: Vec<u64>,
    records: Vec<Record>,
}

impl Batches {
    /// What speaks against taking this send: as a part, that its stream is not open; as the beginning of one, that there are
    /// too many (clauses `stream.over`, `stream.bounded`).
    pub(super) fn judge(&self, send: &Send, streams: &Streams, most: usize) -> Option<Refusal> {
        let refusal =
            |code, message: &str, retry| Refusal { message: message.to_owned(), retry, ..Refusal::new(send.id, code) };
        if let Some(of) = send.of {
            let open = match self.of.iter().find(|batch| batch.stream == of) {
                Some(batch) => !batch.ended,
                None => streams.open.iter().any(|open| open.id == of && !open.ended),
            };
            return (!open).then(|| refusal("stream_over", "there is no such stream, or it is over", false));
        }
        let open = streams.open.len() + self.of.iter().filter(|batch| batch.new).count();
        (send.stream && open >= most)
            .then(|| refusal("too_many_streams", "as many streams of this session are open as may be", true))
    }

    /// This send is taken.
    pub(super) fn add(&mut self, send: &Send) {
        let Some(stream) = send.of.or(send.stream.then_some(send.id)) else { return };
        let new = send.of.is_none();
        let at = self.of.iter().position(|batch| batch.stream == stream).unwrap_or_else(|| {
            self.of.push(StreamBatch { stream, new, ended: false, ids: Vec::new(), records: Vec::new() });
            self.of.len() - 1
        });
        if new {
            return;
        }
        let payload = if send.end { Payload::null() } else { send.payload.clone() };
        let (event, re, end) = (String::new(), Some(send.id), send.end);
        let part = SessionMessage { event, payload, re, end, error: None, asks: false };
        let batch = &mut self.of[at];
        batch.ended = send.end;
        batch.ids.push(send.id);
        batch.records.push(Record::new(encode_message(&part, Moment::now())));
    }

    /// The appends that do it, in an order that [`Batches::done`] knows.
    pub(super) fn appends(&self, address: &Address) -> Vec<Append> {
        let append = |batch: &StreamBatch| {
            let append = Append::to(address.stream(batch.stream), batch.records.clone());
            if batch.new { append.at_head(0) } else { append.existing() }
        };
        self.of.iter().map(append).collect()
    }

    /// They were done: a stream that begins is open, unless nothing is to come of it.
    pub(super) async fn done(
        self,
        store: &SessionStore,
        address: &Address,
        streams: &mut Streams,
        places: Vec<Vec<Place>>,
    ) -> Result<(), LogError> {
        for (batch, places) in self.of.into_iter().zip(places) {
            if batch.new {
                let log = address.stream(batch.stream);
                store.keep_bound(vec![log.clone()]).await?;
                let news = store.log.subscribe(&log).await?;
                streams.open.push(OpenStream { id: batch.stream, log, news, unread: VecDeque::new(), ended: false });
            }
            let Some(open) = streams.open.iter_mut().find(|open| open.id == batch.stream) else { continue };
            open.ended |= batch.ended;
            let count = batch.ids.len() - usize::from(batch.ended);
            let offsets = places.iter().filter_map(|place| match place {
                Place::New(offset) => Some(*offset),
                Place::Known(_) => None,
            });
            open.unread.extend(offsets.zip(batch.ids).take(count));
        }
        Ok(())
    }
}
