//! Sends: those written and not decided, in the order of their ids, and those waiting, first in first out.

use super::event::Rejection;
use super::session::{InStream, Reply};
use crate::config::Window;
use crate::json::Payload;
use crate::time::{Instant, earliest};

/// Sends in an order. Boxed, since they are moved within it.
pub(super) type Entries = Vec<Box<Entry>>;

/// Takes an entry out, and closes the gap.
pub(super) fn take(entries: &mut Entries, index: usize) -> Option<Box<Entry>> {
    (index < entries.len()).then(|| entries.remove(index))
}

/// A send that has no outcome yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    pub(super) handle: u64,
    /// Given at the first write (clause `send.id_increasing`); 0 before.
    pub(super) id: u64,
    pub(super) event: String,
    pub(super) payload: Payload,
    pub(super) answer: bool,
    pub(super) fail_fast: bool,
    pub(super) key: Option<String>,
    /// The topic that it is published to.
    pub(super) topic: Option<String>,
    pub(super) in_stream: InStream,
    /// The question that it answers, if it does.
    pub(super) reply: Reply,
    /// The id of the send that opened its stream, as it was written; 0 before.
    pub(super) of: u64,
    pub(super) expires: Instant,
    /// Connections that ended while it was the oldest without a decision.
    pub(super) losses: u32,
    /// Whether it was written on this connection.
    pub(super) on_wire: bool,
    /// The service whose return it waits for.
    pub(super) held: Option<String>,
    /// What the server asked for: it is not offered anew before.
    pub(super) not_before: Option<Instant>,
    /// The last refusal, if it is being offered anew.
    pub(super) refusal: Option<Rejection>,
    /// It was written in a session that was lost before it was decided: somebody may have taken it.
    pub(super) uncertain: bool,
    /// How often it was offered anew.
    pub(super) reoffers: u32,
    /// The application has its outcome; only its place in the window is left.
    pub(super) given_up: bool,
}

impl Entry {
    /// A send that nothing is asked of.
    pub(super) fn new(handle: u64, event: &str, payload: Payload, in_stream: InStream, expires: Instant) -> Box<Self> {
        Box::new(Self {
            handle,
            id: 0,
            event: event.to_owned(),
            payload,
            answer: false,
            fail_fast: false,
            key: None,
            topic: None,
            in_stream,
            reply: Reply::default(),
            of: 0,
            expires,
            losses: 0,
            on_wire: false,
            held: None,
            not_before: None,
            refusal: None,
            uncertain: false,
            reoffers: 0,
            given_up: false,
        })
    }

    /// Whether it waits as long as what it belongs to, and has no age of its own (clauses `stream.whole`, `question.once`).
    pub(super) fn is_ageless(&self) -> bool {
        self.in_stream.of().is_some() || self.reply.re().is_some()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.payload.size()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Outbox {
    /// Written and undecided, ids ascending.
    pub(super) written: Entries,
    /// Not written, or to be offered anew.
    pub(super) waiting: Entries,
    pub(super) highest_written: u64,
    pub(super) highest_acknowledged: u64,
}

impl Outbox {
    /// Whether one more of `bytes` may wait (clause `queue.bounds`).
    pub(super) fn has_room(&self, bounds: Window, bytes: u64) -> bool {
        let held: u64 = self.waiting.iter().map(|entry| entry.bytes()).sum();
        (self.waiting.len() as u64) < bounds.messages && held + bytes <= bounds.bytes
    }

    /// The highest id whose outcome, and that of all before it, is known.
    pub(super) fn settled(&self) -> u64 {
        let open = self.written.iter().find(|entry| !entry.given_up);
        open.map_or(self.highest_written, |entry| entry.id - 1)
    }

    /// Sends on the wire and the bytes of their payloads.
    pub(super) fn in_flight(&self) -> Window {
        let mut flight = Window { messages: 0, bytes: 0 };
        for entry in self.written.iter().filter(|entry| entry.on_wire) {
            flight.messages += 1;
            flight.bytes += entry.bytes();
        }
        flight
    }

    /// Takes out what an acknowledgement up to `id` decides.
    pub(super) fn acknowledge(&mut self, id: u64) -> Entries {
        self.highest_acknowledged = self.highest_acknowledged.max(id);
        let mut decided = Entries::new();
        while self.written.first().is_some_and(|entry| entry.id <= id) {
            decided.extend(take(&mut self.written, 0));
        }
        decided
    }

    pub(super) fn take_written(&mut self, id: u64) -> Option<Box<Entry>> {
        let index = self.written.iter().position(|entry| entry.id == id)?;
        take(&mut self.written, index)
    }

    /// Gives up a written send that was not given up before. One that is not on the wire now is never written again; one
    /// that is keeps its place in the window.
    pub(super) fn give_up(&mut self, handle: u64) -> Option<Box<Entry>> {
        let index = self.written.iter().position(|entry| entry.handle == handle && !entry.given_up)?;
        let entry = self.written.get_mut(index)?;
        entry.given_up = true;
        if entry.on_wire { Some(entry.clone()) } else { take(&mut self.written, index) }
    }

    /// Puts a refused send back to wait, before what was never written and behind what waits like it.
    pub(super) fn hold(&mut self, now: Instant, mut entry: Box<Entry>, service: String, rejection: Rejection) {
        entry.id = 0;
        entry.on_wire = false;
        entry.reoffers += 1;
        // A refusal is a decision: what comes now is a new send.
        entry.losses = 0;
        entry.uncertain = false;
        entry.held = Some(service);
        entry.not_before = rejection.retry_after.map(|asked| now + asked);
        entry.refusal = Some(rejection);
        let place = self.waiting.iter().take_while(|other| other.held.is_some()).count();
        self.waiting.insert(place.min(self.waiting.len()), entry);
    }

    /// The connection is gone: nothing is on the wire, and what was given up is forgotten. `counts`: it ended, and was not
    /// left for another.
    pub(super) fn detach(&mut self, counts: bool) {
        self.written.retain(|entry| !entry.given_up);
        // Sends are processed in order: only the oldest can be what ends connections.
        if let Some(oldest) = self.written.first_mut().filter(|entry| entry.on_wire && counts) {
            oldest.losses += 1;
        }
        for entry in &mut self.written {
            entry.on_wire = false;
        }
    }

    /// Takes out the waiting sends whose time is over.
    pub(super) fn expired(&mut self, now: Instant) -> Entries {
        let mut expired = Entries::new();
        let mut index = 0;
        while let Some(entry) = self.waiting.get(index) {
            if entry.expires <= now && !entry.is_ageless() {
                expired.extend(take(&mut self.waiting, index));
            } else {
                index += 1;
            }
        }
        expired
    }

    /// When the time of a waiting send is over, or one that was refused may be offered anew.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let aging = self.waiting.iter().filter(|entry| !entry.is_ageless());
        aging.filter_map(|entry| earliest(entry.not_before, Some(entry.expires))).min()
    }
}
