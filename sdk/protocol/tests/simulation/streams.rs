//! Streams: an application that writes as fast as it may, handlers that read as slowly as they like, and what has to come of
//! that: each part once, in order, and an end only behind all of them.

use crate::cluster::Cluster;
use crate::coverage::Sight;
use crate::device::Device;
use crate::ledger::tag;
use crate::peer::Peer;
use crate::scene::{Chore, Happening, Scene};
use crate::watch::Watch;
use readywire_protocol::client::Outcome;
use readywire_protocol::frame::{Refusal, Send};
use readywire_protocol::json::Payload;
use readywire_protocol::time::Duration;
use std::collections::BTreeMap;

/// Handles of parts begin here: a thousand for each stream, which has its own from the send that opens it.
pub(crate) const PARTS: u64 = 10_000;
const EACH: u64 = 1_000;

/// The log of one stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    handle: u64,
    /// Id and bytes of each part that was taken.
    parts: Vec<(u64, u64, u64)>,
    ended: bool,
    read: usize,
}

pub(crate) type Logs = BTreeMap<(String, u64), Log>;

impl Cluster {
    /// What speaks against taking this send.
    pub(crate) fn judge_stream(&self, peer: &Peer, session: &str, send: &Send) -> Option<&'static str> {
        if let Some(of) = send.of {
            let open = self.streams.get(&(session.to_owned(), of)).is_some_and(|log| !log.ended);
            return (!open).then_some("stream_over");
        }
        let open = self.streams.keys().filter(|(of, _)| of == session).count();
        (send.stream && open >= self.processes[peer.process].config.streams).then_some("too_many_streams")
    }

    /// A send was taken: what it is to streams.
    pub(crate) fn take_part(&mut self, scene: &mut Scene, session: &str, send: &Send, handle: u64) {
        let key = |id| (session.to_owned(), id);
        if send.stream {
            self.streams.insert(key(send.id), Log { handle, ..Log::default() });
            self.read_later(scene, session, send.id);
        }
        let Some(log) = send.of.and_then(|of| self.streams.get_mut(&key(of))) else { return };
        if send.end {
            log.ended = true;
            return;
        }
        let number = tag(send.payload.text().unwrap_or_default(), "part").unwrap_or(u64::MAX);
        log.parts.push((send.id, send.payload.size(), number));
        let next = log.parts.len() as u64 - 1;
        let handle = log.handle;
        scene.watch.part_taken(handle, number, next);
    }

    /// Whether a handler waits for parts of a stream that the client has forgotten.
    pub(crate) fn forgotten_streams(&self, device: &Device, scene: &Scene) -> bool {
        let theirs = self.streams.iter().filter(|((of, _), _)| *of == scene.watch.ledger.session);
        theirs.into_iter().any(|(_, log)| !device.writers.contains_key(&log.handle))
    }

    /// The streams of a session that a connection resumes.
    pub(crate) fn resume_streams(&self, peer: &mut Peer, session: &str) -> bool {
        let mut any = false;
        for ((_, id), log) in self.streams.iter().filter(|((of, _), _)| of == session) {
            let unread = log.parts[log.read..].iter().map(|(id, bytes, _)| (*id, *bytes));
            let read = log.read.checked_sub(1).and_then(|last| log.parts.get(last)).map(|(id, _, _)| *id);
            peer.core.stream_resumed(*id, unread, read);
            any = true;
        }
        any
    }

    fn read_later(&mut self, scene: &mut Scene, session: &str, id: u64) {
        let soon = scene.random.millis(0, if scene.calm { 20 } else { 400 });
        scene.later(soon, Happening::Server(Chore::Read { session: session.to_owned(), id }));
    }

    /// The handler reads what comes next, if anything does.
    pub(crate) fn read_part(&mut self, scene: &mut Scene, session: &str, id: u64) {
        let key = (session.to_owned(), id);
        self.sessions.expire(scene.now);
        let alive = self.sessions.ids().any(|known| known == session);
        let Some(log) = self.streams.get_mut(&key).filter(|_| alive && self.works.runs(session, id)) else {
            self.works.forget(session, id);
            self.streams.remove(&key);
            return;
        };
        let part = log.parts.get(log.read).copied();
        let over = part.is_none() && log.ended;
        if over {
            let (handle, read) = (log.handle, log.read as u64);
            scene.watch.stream_ended(handle, read);
        }
        if let Some((part, _, number)) = part {
            let due = log.read as u64;
            log.read += 1;
            scene.watch.require(number == due, "parts are read each once and in order", || {
                format!("part {number} where {due} was due")
            });
            if let Some(owner) = self.sessions.owner(session) {
                self.with(scene, owner, |_, scene, peer| peer.core.stream_read(scene.now, id, part));
            }
        }
        // Now and then it has enough.
        let enough = scene.random.chance(2) && !scene.calm;
        if over || enough || self.works.is_stopped(session, id) {
            self.stream_over(scene, session, id);
            return self.work(scene, session, id);
        }
        match part {
            Some(_) => self.read_later(scene, session, id),
            // Nothing to do for a while: whoever reads slowly is another world.
            None => scene
                .later(Duration::from_millis(500), Happening::Server(Chore::Read { session: session.to_owned(), id })),
        }
    }

    /// The answer ends, and nothing more is taken before anybody knows.
    fn stream_over(&mut self, scene: &mut Scene, session: &str, id: u64) {
        self.streams.remove(&(session.to_owned(), id));
        if let Some(owner) = self.sessions.owner(session) {
            self.with(scene, owner, |_, _, peer| peer.core.stream_over(id));
        }
    }
}

pub(crate) fn refused(send: &Send, code: &str) -> Refusal {
    Refusal { retry: code == "too_many_streams", ..Refusal::new(send.id, code) }
}

/// Who writes a stream.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    next: u64,
    total: u64,
    ended: bool,
}

impl Device {
    /// The application writes what it may.
    pub(crate) fn open_stream(&mut self, scene: &mut Scene, handle: u64) {
        let total = scene.random.between(0, 20);
        self.writers.insert(handle, Writer { next: 0, total, ended: false });
        scene.watch.streaming(handle, total);
        self.write_on(scene, handle);
    }

    /// A part has its place.
    pub(crate) fn queued(&mut self, scene: &mut Scene, part: u64) {
        self.write_on(scene, (part - PARTS) / EACH);
    }

    pub(crate) fn stream_over(&mut self, handle: u64) {
        self.writers.remove(&handle);
    }

    fn write_on(&mut self, scene: &mut Scene, handle: u64) {
        let now = scene.now;
        let Some(writer) = self.writers.get_mut(&handle).filter(|writer| !writer.ended) else { return };
        let part = PARTS + handle * EACH + writer.next;
        scene.watch.part_given(part);
        if writer.next == writer.total {
            writer.ended = true;
            return self.client.end_stream(now, part, handle);
        }
        let padding = "x".repeat(*scene.random.pick(&[0, 10, 100]));
        let text = format!(r#"{{"stream":{handle},"part":{},"padding":"{padding}"}}"#, writer.next);
        writer.next += 1;
        let Ok(payload) = Payload::parse(&text) else { return };
        self.client.write_part(now, part, handle, payload);
    }
}

/// What is known of streams.
#[derive(Clone, Debug, Default)]
pub(crate) struct Streamed {
    /// How many parts there are, of each.
    totals: BTreeMap<u64, u64>,
    over: Vec<u64>,
    outcomes: BTreeMap<u64, Option<Outcome>>,
    taken: Vec<u64>,
}

impl Watch {
    fn streaming(&mut self, handle: u64, total: u64) {
        self.streamed.totals.insert(handle, total);
    }

    fn part_given(&mut self, part: u64) {
        self.streamed.outcomes.insert(part, None);
    }

    fn part_taken(&mut self, handle: u64, number: u64, next: u64) {
        self.require(number == next, "parts are taken each once and in order", || {
            format!("part {number} of {handle} where {next} was due")
        });
        self.streamed.taken.push(PARTS + handle * EACH + number);
    }

    fn stream_ended(&mut self, handle: u64, read: u64) {
        let total = self.streamed.totals.get(&handle).copied();
        self.saw(Sight::StreamEnded);
        self.require(total == Some(read), "a stream ends behind all of its parts", || {
            format!("{read} of {total:?} parts of {handle}")
        });
    }

    pub(crate) fn stream_over(&mut self, handle: u64) {
        let again = self.streamed.over.contains(&handle);
        self.streamed.over.push(handle);
        self.require(!again, "a stream is over once", || handle.to_string());
    }

    pub(crate) fn part_settled(&mut self, part: u64, outcome: &Outcome) {
        let before = self.streamed.outcomes.insert(part, Some(outcome.clone()));
        self.require(before == Some(None), "one outcome for each part", || format!("{part}: {before:?}, {outcome:?}"));
        match outcome {
            Outcome::Acknowledged { .. } => {
                let number = (part - PARTS) % EACH;
                let end = self.streamed.totals.get(&((part - PARTS) / EACH)) == Some(&number);
                let taken = end || self.streamed.taken.contains(&part);
                self.require(taken, "an acknowledged part was taken", || part.to_string());
            }
            Outcome::Refused(rejection) if rejection.code == "stream_over" => self.saw(Sight::StreamOver),
            _ => {
                self.saw(Sight::StreamBroken);
                // The client stops what lacks a part (clause `stream.whole`).
                self.cancelled((part - PARTS) / EACH);
            }
        }
    }

    /// Everything is over: every stream and every part of one, too.
    pub(crate) fn streams_settled(&mut self) {
        let Streamed { totals, over, outcomes, .. } = self.streamed.clone();
        // One that was refused when it was given has never been any.
        let open: Vec<u64> =
            totals.into_keys().filter(|handle| !over.contains(handle) && !self.was_refused(*handle)).collect();
        self.require(open.is_empty(), "each stream is over", || format!("{open:?}"));
        let open = outcomes.values().filter(|outcome| outcome.is_none()).count();
        self.require(open == 0, "each part has its outcome", || open.to_string());
    }
}
