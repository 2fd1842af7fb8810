//! What the server says once it is ready, and what that settles.

use super::*;

/// Of an answer that nobody waits for, and that the server has still to end.
const GIVEN_UP: u64 = u64::MAX - 1;

impl Client {
    pub(super) fn application(&mut self, now: Instant, frame: ServerFrame) -> Result<(), PeerMisbehaved> {
        match frame {
            ServerFrame::Ack { id } => {
                if id > self.outbox.highest_written {
                    return Err(PeerMisbehaved::new(Clause::AckNotAboveSent, "an ack above every id written"));
                }
                let decided = self.outbox.acknowledge(id);
                if !decided.is_empty() {
                    self.progress_deadline = None;
                }
                for entry in decided {
                    self.acknowledged(&entry);
                }
            }
            ServerFrame::Nack(refusal) => {
                if refusal.id > self.outbox.highest_written {
                    return Err(PeerMisbehaved::new(Clause::AckNotAboveSent, "a nack above every id written"));
                }
                self.refused(now, refusal);
                self.release_held(now);
            }
            ServerFrame::Message(message) if self.session.is_some() => return self.message(now, message),
            ServerFrame::Read { re, id }
                if capability::STREAMS && self.current.ready().is_some_and(|on| on.streams) =>
            {
                return self.parts_read(re, id);
            }
            ServerFrame::Cancel { re } if self.is_asked() => self.withdrawn(re),
            ServerFrame::Auth(news) if self.refreshes_tokens() => self.token_news(now, &news),
            ServerFrame::Drain { reconnect_after_ms, alternate, .. } => {
                self.drained(now, &reconnect_after_ms, alternate);
            }
            ServerFrame::Subscribed { .. }
            | ServerFrame::Unsubscribed { .. }
            | ServerFrame::Publication { .. }
            | ServerFrame::Page { .. } => {
                return self.topical(now, frame);
            }
            _ => {
                let found = "a frame of a level that was not agreed";
                return Err(PeerMisbehaved::new(Clause::FrameLevel, found));
            }
        }
        Ok(())
    }

    pub(super) fn message(&mut self, now: Instant, message: Message) -> Result<(), PeerMisbehaved> {
        if message.offset <= self.inbox.seen {
            return Ok(());
        }
        if message.offset != self.inbox.seen + 1 {
            return Err(PeerMisbehaved::new(Clause::InboxOffset, "an offset of the inbox is missing"));
        }
        self.inbox.seen = message.offset;
        self.inbox.untold_bytes += message.payload.size();
        let Window { messages, bytes } = self.config.window;
        if self.inbox.seen - self.inbox.told >= messages.div_ceil(2) || self.inbox.untold_bytes >= bytes / 2 {
            self.tell_taken();
        } else if self.inbox.deadline.is_none() {
            self.inbox.deadline = Some(now + self.config.taken_delay);
        }
        if message.offset <= self.inbox.held {
            // It came on the connection before, after the hello of this one. It takes its place in the window all the same.
            return Ok(());
        }
        self.inbox.held = message.offset;
        let Message { offset, event, payload, re, end, error, asks } = message;
        let Some(re) = re else {
            if asks && self.is_asked() {
                self.asked(offset, event, payload);
                return Ok(());
            }
            self.events.push(ClientEvent::Message { offset, event, payload });
            return Ok(());
        };
        let asked = |answer: &OpenAnswer| answer.id == re && re > 0;
        let Some(&OpenAnswer { handle, .. }) = self.answers.iter().find(|answer| asked(answer)) else { return Ok(()) };
        // An answer may overtake the ack of its own send, and to answer is to have taken: offered anew after the loss of
        // its session, it could be processed twice. Its place in the window waits for the ack.
        if self.outbox.give_up(handle).is_some() {
            self.events.push(ClientEvent::Settled { handle, outcome: Outcome::Acknowledged { id: re } });
        }
        if end {
            self.answers.retain(|answer| answer.id != re);
        }
        if handle != GIVEN_UP {
            self.events.push(ClientEvent::Answer(AnswerPart { handle, offset, event, payload, end, error }));
        }
        Ok(())
    }

    pub(super) fn tell_taken(&mut self) {
        self.inbox.deadline = None;
        // A hello that is on its way names less, and the server would find that it cannot resume from there.
        let held_back = self.next.as_ref().is_some_and(|next| next.inbox.is_some());
        if self.inbox.told == self.inbox.seen || held_back {
            return;
        }
        let Some(mut ready) = self.current.ready() else { return };
        ready.write(&ClientFrame::Taken { offset: self.inbox.seen, topic: None });
        self.inbox.told = self.inbox.seen;
        self.inbox.untold_bytes = 0;
    }

    pub(super) fn acknowledged(&mut self, entry: &Entry) {
        if !entry.given_up {
            let outcome = Outcome::Acknowledged { id: entry.id };
            self.events.push(ClientEvent::Settled { handle: entry.handle, outcome });
        }
    }

    pub(super) fn refused(&mut self, now: Instant, refusal: Refusal) {
        self.forget_given_up(refusal.id, refusal.id);
        if let Some(entry) = self.outbox.take_written(refusal.id) {
            self.progress_deadline = None;
            self.declined(now, entry, refusal);
        }
    }

    /// A written send was refused: it is offered anew, or that is its outcome.
    pub(super) fn declined(&mut self, now: Instant, entry: Box<Entry>, refusal: Refusal) {
        let rejection = Rejection {
            code: refusal.code,
            message: refusal.message,
            retry: refusal.retry,
            retry_after: refusal.retry_after_ms.map(Duration::from_millis),
            service: refusal.service.clone(),
        };
        // What waits is bounded, whatever it waits for (clause `queue.bounds`).
        let fits = self.outbox.has_room(self.config.queue, entry.bytes());
        let again = fits && !entry.fail_fast && !entry.given_up && entry.reoffers < MAX_REOFFERS;
        let again = again && !entry.is_ageless() && self.can_reopen(&entry);
        match refusal.service {
            Some(service) if refusal.retry && again => {
                // Not in flight any more, and not lost, either (clause `nack.held`).
                self.events.push(ClientEvent::Held { handle: entry.handle, service: service.clone() });
                let opens = entry.in_stream.opens().then_some(entry.handle);
                self.outbox.hold(now, entry, service, rejection);
                if let Some(stream) = opens {
                    self.reopen(stream);
                }
            }
            _ => self.settle(&entry, Outcome::Refused(rejection)),
        }
    }

    /// Lets go what waited for a service that works again, and for the time that the server asked for (clause
    /// `nack.degraded`).
    pub(super) fn release_held(&mut self, now: Instant) {
        let ready = self.current.connection.as_ref().filter(|connection| connection.stage.is_ready());
        let works = |service: &String| ready.is_some_and(|connection| !connection.impaired.contains(service));
        for entry in &mut self.outbox.waiting {
            entry.not_before = entry.not_before.filter(|moment| *moment > now);
            if entry.not_before.is_none() && entry.held.as_ref().is_some_and(works) {
                entry.held = None;
            }
        }
    }

    /// Asks the server to stop an answer, unless that was done before (clause `cancel.idempotent`).
    pub(super) fn stop_answer(&mut self, handle: u64) {
        let Some(answer) = self.answers.iter_mut().find(|answer| answer.handle == handle && !answer.cancelled) else {
            return;
        };
        answer.cancelled = true;
        let re = answer.id;
        // What is written again brings its cancel behind it.
        let again = self.outbox.written.iter().any(|entry| entry.handle == handle && !entry.on_wire);
        if let Some(mut ready) = self.current.ready().filter(|ready| ready.answers && re > 0 && !again) {
            ready.write(&ClientFrame::Cancel { re });
        }
    }

    /// The application has given this send up, which was written: the server may work on its answer, and is to stop.
    pub(super) fn give_answer_up(&mut self, entry: &Entry) {
        // What a connection that is ready has not, nobody has taken.
        if self.current.ready().is_some() && !entry.on_wire {
            return;
        }
        self.stop_answer(entry.handle);
        if let Some(answer) = self.answers.iter_mut().find(|answer| answer.handle == entry.handle && answer.id > 0) {
            answer.handle = GIVEN_UP;
        }
    }

    /// No answer comes to sends with these ids that were given up.
    pub(super) fn forget_given_up(&mut self, from: u64, to: u64) {
        self.answers.retain(|answer| answer.handle != GIVEN_UP || answer.id < from || answer.id > to);
    }

    pub(super) fn forget_answer(&mut self, handle: u64) {
        self.answers.retain(|answer| answer.handle != handle);
    }

    /// An outcome other than acknowledged; the answer that was asked for goes with it.
    pub(super) fn settle(&mut self, entry: &Entry, outcome: Outcome) {
        self.forget_answer(entry.handle);
        if !entry.given_up || matches!(outcome, Outcome::Unknown { code: "given_up" }) {
            self.came_to(entry, &outcome);
            self.events.push(ClientEvent::Settled { handle: entry.handle, outcome });
        }
    }

    /// `outcome`, unless a session that was lost may have taken it: then nobody can tell (clause `send.one_outcome`).
    pub(super) fn settle_unwritten(&mut self, entry: &Entry, code: &'static str, outcome: Outcome) {
        self.settle(entry, if entry.uncertain { Outcome::Unknown { code } } else { outcome });
    }
}
