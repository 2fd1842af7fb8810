//! The streams of a session that are open, as one connection knows them: what was written and not read.

use super::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Streams {
    open: BTreeMap<u64, OpenStream>,
    /// When `read` is due.
    pub(super) due: Option<Instant>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct OpenStream {
    /// Id and bytes of each part that is written and not read.
    unread: VecDeque<(u64, u64)>,
    unread_bytes: u64,
    /// What was read and not told: up to where, and how much.
    read: Option<u64>,
    untold: u64,
    untold_bytes: u64,
}

impl OpenStream {
    fn forget(&mut self, id: u64) {
        if let Some(at) = self.unread.iter().position(|(unread, _)| *unread == id) {
            self.unread_bytes -= self.unread.remove(at).map_or(0, |(_, bytes)| bytes);
        }
    }
}

impl ServerConnection {
    /// A stream of the session that this connection resumes, to be called right behind [`ServerConnection::ready`]: id and
    /// bytes of the parts that are not read, and up to where it was read, if anything was (clause `stream.read`).
    pub fn stream_resumed(&mut self, id: u64, unread: impl IntoIterator<Item = (u64, u64)>, read: Option<u64>) {
        if !self.stage.is_ready() || !self.agreed(STREAMS) {
            return;
        }
        let unread: VecDeque<(u64, u64)> = unread.into_iter().collect();
        let unread_bytes = unread.iter().map(|(_, bytes)| bytes).sum();
        self.streams.open.insert(id, OpenStream { unread, unread_bytes, ..OpenStream::default() });
        if let Some(read) = read {
            self.write(&ServerFrame::Read { re: id, id: read });
        }
    }

    /// The handler of a stream has read every part up to `id`, or those that it has not read were refused.
    pub fn stream_read(&mut self, now: Instant, stream: u64, id: u64) {
        let Some(open) = self.streams.open.get_mut(&stream).filter(|_| self.stage.is_ready()) else { return };
        while let Some((_, bytes)) = open.unread.front().copied().filter(|(unread, _)| *unread <= id) {
            open.unread.pop_front();
            open.unread_bytes -= bytes;
            open.untold += 1;
            open.untold_bytes += bytes;
            open.read = Some(id);
        }
        let Window { messages, bytes } = self.config.stream;
        if open.untold >= (messages / 2).max(1) || open.untold_bytes >= bytes / 2 {
            self.tell_read(stream);
        } else if open.read.is_some() && self.streams.due.is_none() {
            self.streams.due = Some(now + self.config.read_delay);
        }
    }

    /// A stream is over: its parts are refused from now on, and no window is kept for it.
    pub fn stream_over(&mut self, stream: u64) {
        self.streams.open.remove(&stream);
    }

    /// Whether it is open, as far as this connection knows.
    pub fn has_stream(&self, stream: u64) -> bool {
        self.streams.open.contains_key(&stream)
    }

    /// What a send is to streams; tells which one it is a part of.
    pub(super) fn in_stream(&mut self, send: &mut Send) -> Result<Option<u64>, PeerMisbehaved> {
        if !self.agreed(STREAMS) {
            (send.stream, send.of, send.end) = (false, None, false);
            return Ok(None);
        }
        let Some(of) = send.of else {
            send.end = false;
            send.stream &= send.topic.is_none();
            send.answer |= send.stream;
            // One that was decided before is open only if whoever resumed the session said so.
            if send.stream && send.id > self.received {
                self.streams.open.entry(send.id).or_default();
            }
            return Ok(None);
        };
        if of >= send.id {
            return Err(PeerMisbehaved::new(Clause::StreamOf, "`of` is not below the id of its own send"));
        }
        // Fields that a part does not have.
        (send.answer, send.stream, send.key, send.topic) = (false, false, None, None);
        let Window { messages, bytes } = self.config.stream;
        let Some(open) = self.streams.open.get_mut(&of).filter(|_| send.id > self.received && !send.end) else {
            return Ok(Some(of));
        };
        let size = send.payload.size();
        let fits = (open.unread.len() as u64) < messages && open.unread_bytes + size <= bytes;
        if !open.unread.is_empty() && !fits {
            return Err(PeerMisbehaved::new(Clause::StreamWindow, "more parts than were read and `limits` allow"));
        }
        open.unread.push_back((send.id, size));
        open.unread_bytes += size;
        Ok(Some(of))
    }

    /// A send was refused: it opened nothing, and as a part it takes no room.
    pub(super) fn not_in_stream(&mut self, id: u64, of: Option<u64>) {
        match of {
            Some(of) => self.streams.open.get_mut(&of).into_iter().for_each(|open| open.forget(id)),
            None => self.stream_over(id),
        }
    }

    /// Says what was read of every stream, as far as that is not told.
    pub(super) fn tell_every_read(&mut self) {
        self.streams.due = None;
        let streams: Vec<u64> = self.streams.open.keys().copied().collect();
        streams.into_iter().for_each(|stream| self.tell_read(stream));
    }

    fn tell_read(&mut self, stream: u64) {
        let Some(open) = self.streams.open.get_mut(&stream) else { return };
        (open.untold, open.untold_bytes) = (0, 0);
        if let Some(id) = open.read.take() {
            self.write(&ServerFrame::Read { re: stream, id });
        }
    }
}
