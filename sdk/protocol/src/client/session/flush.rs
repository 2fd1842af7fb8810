//! Writing what the window allows.

use super::*;
use crate::frame::Role;

impl Client {
    /// Writes what the window allows: first what was written before and is undecided, then what waits.
    pub(super) fn flush(&mut self, now: Instant) {
        self.tend_streams();
        self.streams.unblock();
        let Some(mut ready) = self.current.ready() else { return };
        let limits = ready.limits;
        let (resume, answers) = (ready.resume, ready.answers);
        let (topics, binary, streams) = (ready.topics, ready.binary, ready.streams);
        let questions = ready.questions;
        let unfit = |entry: &Entry, wire: &Wire| {
            if wire.size() > limits.max_message_bytes {
                return Some(Rejection::local("too_large", "larger than the server takes", false));
            }
            // Nobody would ever end that answer (clause `frame.level`), or read those bytes (clause `binary.unsupported`),
            // or look at that topic (clause `topic.publish`).
            let lacks = if entry.answer && !answers {
                "the server gives no answers"
            } else if entry.payload.bytes().is_some() && !binary {
                "the server takes no bytes"
            } else if entry.topic.is_some() && !topics {
                "the server has no topics"
            } else if capability::STREAMS && entry.in_stream != InStream::No && !streams {
                "the server has no streams"
            } else if capability::QUESTIONS && entry.reply.re().is_some() && !questions {
                "the server asks nothing"
            } else {
                return None;
            };
            Some(Rejection::local("unsupported", lacks, false))
        };
        let mut flight = self.outbox.in_flight();
        let mut unsendable = Vec::new();
        let fits = |flight: &Window, bytes: u64| {
            let first = flight.messages == 0;
            flight.messages < limits.max_in_flight.max(1)
                && (first || flight.bytes + bytes <= limits.max_in_flight_bytes)
        };
        let cancelled =
            |entry: &Entry| self.answers.iter().any(|answer| answer.handle == entry.handle && answer.cancelled);
        let mut blocked = false;
        let mut index = 0;
        while let Some(entry) = self.outbox.written.get_mut(index) {
            index += 1;
            if entry.on_wire {
                continue;
            }
            if !fits(&flight, entry.bytes()) {
                blocked = true;
                break;
            }
            let frame = wire(entry, resume, role(entry, &self.streams));
            if let Some(refusal) = self.streams.unfit(entry).or_else(|| unfit(entry, &frame)) {
                self.streams.block(entry);
                // This server takes less than the one before. It was not taken: `received` would cover it.
                index -= 1;
                unsendable.extend(outbox::take(&mut self.outbox.written, index).map(|entry| (entry, refusal)));
                continue;
            }
            flight.messages += 1;
            flight.bytes += entry.bytes();
            entry.on_wire = true;
            ready.write_wire(frame);
            if cancelled(entry) {
                // The server did not know the send when the cancel was written.
                ready.write(&ClientFrame::Cancel { re: entry.id });
            }
        }
        index = 0;
        while let Some(entry) = self.outbox.waiting.get(index).filter(|_| !blocked) {
            if entry.held.is_some() || self.streams.holds_back(entry) {
                index += 1;
                continue;
            }
            if !fits(&flight, entry.bytes()) {
                break;
            }
            let Some(mut entry) = outbox::take(&mut self.outbox.waiting, index) else { break };
            entry.id = self.next_id;
            entry.of = self.streams.role(&entry).of().unwrap_or_default();
            let frame = wire(&entry, resume, role(&entry, &self.streams));
            if let Some(refusal) = unfit(&entry, &frame) {
                self.streams.block(&entry);
                unsendable.push((entry, refusal));
                continue;
            }
            self.next_id += 1;
            self.outbox.highest_written = entry.id;
            flight.messages += 1;
            flight.bytes += entry.bytes();
            entry.on_wire = true;
            if let Some(answer) = self.answers.iter_mut().find(|answer| answer.handle == entry.handle) {
                answer.id = entry.id;
            }
            self.streams.wrote(&entry);
            self.events.push(ClientEvent::InFlight { handle: entry.handle, id: entry.id });
            ready.write_wire(frame);
            if self.answers.iter().any(|answer| answer.handle == entry.handle && answer.cancelled) {
                ready.write(&ClientFrame::Cancel { re: entry.id });
            }
            self.outbox.written.push(entry);
        }
        let mut instead = false;
        for (entry, refusal) in unsendable {
            instead |= questions && self.answer_instead(&entry, &refusal);
            self.settle_unwritten(&entry, "session_lost", Outcome::Refused(refusal));
        }
        if instead {
            // Once: what says why there is no answer is not replaced.
            return self.flush(now);
        }
        self.tend_streams();
        if flight.messages == 0 {
            self.progress_deadline = None;
        } else if self.progress_deadline.is_none() {
            self.progress_deadline = Some(now + self.config.progress_timeout);
        }
    }
}

/// What a send is to a stream, or to a question.
fn role<'a>(entry: &'a Entry, streams: &Streams) -> Role<'a> {
    match entry.reply.re() {
        Some(re) if capability::QUESTIONS => Role::Answers(re, entry.reply.error()),
        _ => streams.role(entry),
    }
}

/// The frame of a send. A server without sessions knows no keys.
fn wire(entry: &Entry, resume: bool, role: Role<'_>) -> Wire {
    let key = entry.key.as_deref().filter(|_| resume);
    let text = frame::send(entry.id, &entry.event, &entry.payload, entry.answer, key, entry.topic.as_deref(), role);
    Wire::new(text, Some(&entry.payload))
}
