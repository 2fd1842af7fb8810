//! Streams: sends that follow another one to its handler, no faster than that reads.
//!
//! A stream is open as long as its answer is. Whatever ends the answer is looked for in one place, before anything is
//! written.

use super::*;
use crate::capability::STREAMS;
use crate::config::DEFAULT_STREAM;
use crate::frame::Role;

#[cfg(feature = "streams")]
type Open = Vec<OpenStream>;
/// A build without streams opens none, and need not know how to drop one.
#[cfg(not(feature = "streams"))]
type Open = std::mem::ManuallyDrop<Vec<OpenStream>>;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Streams {
    open: Open,
    /// What the last server that was ready lets be written and not read, of each.
    window: Window,
}

impl Default for Streams {
    fn default() -> Self {
        Self { open: Open::default(), window: DEFAULT_STREAM }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct OpenStream {
    /// Of the send that opens it.
    handle: u64,
    /// The id of that; 0 until it is written.
    id: u64,
    /// Its end was given.
    ended: bool,
    /// Id and bytes of each part that is written and not read.
    unread: Vec<(u64, u64)>,
    /// The part that waits for a place.
    pending: Option<Box<Entry>>,
    /// Why nothing more is written, if something other than its answer says so.
    stopped: Option<Stopped>,
    /// A part has to wait, and with it whatever is behind; for one flush.
    blocked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stopped {
    /// The server said so, or the session is lost.
    Over,
    /// A part came to nothing: the answer is to be cancelled (clause `stream.whole`).
    Broken,
}

/// What a send is to a stream of this client, which is named by its handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::client) enum InStream {
    No,
    Opens,
    Part(u64),
    Ends(u64),
}

impl InStream {
    /// The stream that it belongs to, if another send opens that.
    pub(in crate::client) fn of(self) -> Option<u64> {
        match self {
            Self::Part(stream) | Self::Ends(stream) if STREAMS => Some(stream),
            _ => None,
        }
    }

    /// Whether it opens one.
    pub(in crate::client) fn opens(self) -> bool {
        STREAMS && self == Self::Opens
    }
}

impl Streams {
    pub(super) fn begin(&mut self, handle: u64) {
        self.open.push(OpenStream {
            handle,
            id: 0,
            ended: false,
            unread: Vec::new(),
            pending: None,
            stopped: None,
            blocked: false,
        });
    }

    fn find(&mut self, stream: u64) -> Option<&mut OpenStream> {
        self.open.iter_mut().find(|open| open.handle == stream)
    }

    pub(super) fn is_open(&self, stream: u64) -> bool {
        self.open.iter().any(|open| open.handle == stream)
    }

    /// What this send is to the server.
    pub(super) fn role(&self, entry: &Entry) -> Role<'static> {
        let id = |stream: u64| self.open.iter().find(|open| open.handle == stream).map_or(0, |open| open.id);
        match entry.in_stream {
            InStream::Opens if STREAMS => Role::Opens,
            // Written before, for the last time: a stream that is over by now is known by what it was.
            InStream::Part(stream) if STREAMS => Role::Part(entry.of.max(id(stream))),
            InStream::Ends(stream) if STREAMS => Role::Ends(entry.of.max(id(stream))),
            _ => Role::Alone,
        }
    }

    pub(super) fn unblock(&mut self) {
        if STREAMS {
            self.open.iter_mut().for_each(|open| open.blocked = false);
        }
    }

    /// Whatever is behind this in its stream is not written now.
    pub(super) fn block(&mut self, entry: &Entry) {
        if let Some(open) = entry.in_stream.of().and_then(|stream| self.find(stream)) {
            open.blocked = true;
        }
    }

    /// Why something that was written on an earlier connection, and not taken there, is not written again: its stream is over,
    /// or this server lets less be unread than the one before. It cannot wait, for ids go out in their order.
    pub(super) fn unfit(&self, entry: &Entry) -> Option<Rejection> {
        let stream = entry.in_stream.of()?;
        let open = self.open.iter().find(|open| open.handle == stream && !open.blocked);
        let Some(open) = open else { return Some(stream_over()) };
        let mut there = Window { messages: 0, bytes: 0 };
        for (_, bytes) in open.unread.iter().filter(|(id, _)| *id < entry.id) {
            there.messages += 1;
            there.bytes += bytes;
        }
        let full = || Rejection::local("stream_full", "the server lets less be unread than the one before", false);
        (!fits(self.window, there, entry)).then(full)
    }

    /// Whether this part waits for its stream: to be opened, or to be read (clause `stream.window`).
    pub(super) fn holds_back(&mut self, entry: &Entry) -> bool {
        let Some(stream) = entry.in_stream.of() else { return false };
        let window = self.window;
        let Some(open) = self.find(stream) else { return true };
        let unread = open.unread();
        open.blocked |= open.id == 0 || !fits(window, unread, entry);
        open.blocked
    }

    /// This send was written for the first time.
    pub(super) fn wrote(&mut self, entry: &Entry) {
        match entry.in_stream {
            InStream::Opens if STREAMS => {
                if let Some(open) = self.find(entry.handle) {
                    open.id = entry.id;
                }
            }
            InStream::Part(stream) if STREAMS => {
                if let Some(open) = self.find(stream) {
                    open.unread.push((entry.id, entry.bytes()));
                }
            }
            _ => {}
        }
    }
}

impl OpenStream {
    fn unread(&self) -> Window {
        Window { messages: self.unread.len() as u64, bytes: self.unread.iter().map(|(_, bytes)| bytes).sum() }
    }
}

/// Whether one more fits beside what is there. One part always passes an empty window, and an end needs no room.
fn fits(window: Window, there: Window, entry: &Entry) -> bool {
    let room = there.messages < window.messages && there.bytes + entry.bytes() <= window.bytes;
    there.messages == 0 || room || matches!(entry.in_stream, InStream::Ends(_))
}

impl Client {
    /// Gives the next part of a stream: `stream` is the handle of the send that opened it. Its one outcome comes under
    /// `handle`, as for [`Client::send`]. [`ClientEvent::Queued`] tells when it has its place, and the next may be given:
    /// one part of each stream may wait for that, and another is refused with `stream_full`.
    pub fn write_part(&mut self, now: Instant, handle: u64, stream: u64, payload: Payload) {
        self.follow_up(now, handle, payload, InStream::Part(stream));
    }

    /// Ends a stream: nothing comes behind. It is given like a part, and is none.
    pub fn end_stream(&mut self, now: Instant, handle: u64, stream: u64) {
        self.follow_up(now, handle, Payload::null(), InStream::Ends(stream));
    }

    fn follow_up(&mut self, now: Instant, handle: u64, payload: Payload, in_stream: InStream) {
        let closed = self.current.phase == Phase::Ended || self.closing.is_some();
        let open = in_stream.of().and_then(|stream| self.streams.find(stream));
        let refusal = match open.filter(|open| open.stopped.is_none() && !open.ended) {
            _ if closed => Rejection::local("closed", "the client is closed", false),
            Some(open) if open.pending.is_some() => {
                Rejection::local("stream_full", "a part waits for its place already", true)
            }
            Some(open) => {
                open.ended = matches!(in_stream, InStream::Ends(_));
                open.pending = Some(Entry::new(handle, "", payload, in_stream, Instant::default()));
                return self.flush(now);
            }
            None => stream_over(),
        };
        self.events.push(ClientEvent::Settled { handle, outcome: Outcome::Refused(refusal) });
    }

    /// What the server lets be written and not read from now on.
    pub(super) fn stream_window(&mut self, limits: &Limits) {
        if STREAMS {
            self.streams.window = Window {
                messages: limits.stream_messages.unwrap_or(DEFAULT_STREAM.messages),
                bytes: limits.stream_bytes.unwrap_or(DEFAULT_STREAM.bytes),
            };
        }
    }

    /// The handler has read so far (clause `stream.read`).
    pub(super) fn parts_read(&mut self, re: u64, id: u64) -> Result<(), PeerMisbehaved> {
        if id > self.outbox.highest_written {
            return Err(PeerMisbehaved::new(Clause::StreamRead, "a `read` above every id written"));
        }
        if let Some(open) = self.streams.open.iter_mut().find(|open| open.id == re) {
            open.unread.retain(|(written, _)| *written > id);
        }
        Ok(())
    }

    /// Ends the streams that are over, and gives the parts that wait for it their place.
    pub(super) fn tend_streams(&mut self) {
        if !STREAMS {
            return;
        }
        let mut index = 0;
        while let Some(open) = self.streams.open.get(index) {
            let (handle, stopped) = (open.handle, open.stopped);
            if stopped == Some(Stopped::Broken) {
                self.cancel_broken(handle);
            }
            let answered = self.answers.iter().any(|answer| answer.handle == handle && !answer.cancelled);
            if answered && stopped.is_none() {
                index += 1;
                self.admit(handle);
                continue;
            }
            let over = self.streams.open.remove(index);
            let (theirs, others) = std::mem::take(&mut self.outbox.waiting)
                .into_iter()
                .partition(|entry| entry.in_stream.of() == Some(handle));
            self.outbox.waiting = others;
            let theirs: Entries = theirs;
            for entry in theirs.into_iter().chain(over.pending) {
                self.settle(&entry, Outcome::Refused(stream_over()));
            }
            self.events.push(ClientEvent::StreamOver { handle });
        }
    }

    /// Gives the part of this stream that waits its place in the queue, if there is one.
    fn admit(&mut self, stream: u64) {
        let queue = self.config.queue;
        let window = self.streams.window;
        let Some(open) = self.streams.find(stream) else { return };
        let Some(entry) = &open.pending else { return };
        let mut there = open.unread();
        for waiting in self.outbox.waiting.iter().filter(|waiting| waiting.in_stream == InStream::Part(stream)) {
            there.messages += 1;
            there.bytes += waiting.bytes();
        }
        let never = entry.bytes() > queue.bytes;
        let room = fits(window, there, entry) && self.outbox.has_room(queue, entry.bytes());
        if !never && !room {
            return;
        }
        let Some(entry) = open.pending.take() else { return };
        if never {
            let refusal = Rejection::local("queue_full", "larger than all that may wait", false);
            return self.settle(&entry, Outcome::Refused(refusal));
        }
        self.events.push(ClientEvent::Queued { handle: entry.handle });
        self.outbox.waiting.push(entry);
    }

    /// A send of a stream came to something else than to be acknowledged.
    pub(super) fn came_to(&mut self, entry: &Entry, outcome: &Outcome) {
        let over = matches!(outcome, Outcome::Refused(rejection) if rejection.code == STREAM_OVER);
        if let Some(open) = entry.in_stream.of().and_then(|stream| self.streams.find(stream)) {
            open.stopped.get_or_insert(if over { Stopped::Over } else { Stopped::Broken });
        }
    }

    /// Cancels the answer of a stream that lacks a part.
    fn cancel_broken(&mut self, stream: u64) {
        if let Some(at) = self.outbox.waiting.iter().position(|entry| entry.handle == stream) {
            if let Some(entry) = outbox::take(&mut self.outbox.waiting, at) {
                let refusal = Rejection::local("withdrawn", "a part of the stream came to nothing", false);
                self.settle_unwritten(&entry, "given_up", Outcome::Refused(refusal));
            }
            return;
        }
        self.stop_answer(stream);
    }

    /// Whether what was written behind this send, which opens a stream, finds room to wait with it.
    pub(super) fn can_reopen(&self, entry: &Entry) -> bool {
        if !entry.in_stream.opens() {
            return true;
        }
        let (mut messages, mut bytes) = (1 + self.outbox.waiting.len() as u64, entry.bytes());
        bytes += self.outbox.waiting.iter().map(|waiting| waiting.bytes()).sum::<u64>();
        for part in &self.outbox.written {
            if part.in_stream.of() == Some(entry.handle) && !part.given_up {
                messages += 1;
                bytes += part.bytes();
            }
        }
        self.streams.is_open(entry.handle) && messages <= self.config.queue.messages && bytes <= self.config.queue.bytes
    }

    /// The send that opens a stream was refused, and waits: so does what was written behind it, which is refused with it
    /// (clause `stream.whole`). The places in the window wait for the server to say so.
    pub(super) fn reopen(&mut self, stream: u64) {
        let Some(open) = self.streams.find(stream) else { return };
        open.id = 0;
        open.unread.clear();
        let Some(at) = self.outbox.waiting.iter().position(|entry| entry.handle == stream) else { return };
        let mut place = at + 1;
        let mut index = 0;
        while let Some(written) = self.outbox.written.get_mut(index) {
            if written.in_stream.of() != Some(stream) || written.given_up {
                index += 1;
                continue;
            }
            let mut part = written.clone();
            if written.on_wire {
                written.given_up = true;
            } else {
                drop(outbox::take(&mut self.outbox.written, index));
            }
            part.id = 0;
            part.of = 0;
            part.on_wire = false;
            part.losses = 0;
            self.outbox.waiting.insert(place, part);
            place += 1;
        }
    }

    /// The session is lost, and with it every stream that was opened in it.
    pub(super) fn lose_streams(&mut self) {
        if STREAMS {
            for open in self.streams.open.iter_mut().filter(|open| open.id > 0) {
                open.stopped = Some(Stopped::Over);
            }
        }
    }
}

/// What a part of a stream that is over is refused with (clauses `stream.over`, `stream.stops`).
pub(super) const STREAM_OVER: &str = "stream_over";

pub(super) fn stream_over() -> Rejection {
    Rejection::local(STREAM_OVER, "the stream is over", false)
}
