//! What `ready` does: the session goes on, or begins anew.

use super::*;

impl Client {
    /// The server is ready on this connection.
    pub(super) fn confirmed(&mut self, now: Instant, number: u64, ready: Ready) -> Result<(), PeerMisbehaved> {
        let is_next = self.current.number != number;
        if let Err(misbehaved) = self.check(&ready) {
            // A `ready` on the next connection that cannot be is that one's failure alone.
            if misbehaved.clause == Clause::SessionReceivedRange && !is_next {
                self.start_over(None);
                self.session = None;
            }
            return Err(misbehaved);
        }
        if is_next {
            self.transfer(now, &ready);
        }
        self.begin(now, ready);
        Ok(())
    }

    fn begin(&mut self, now: Instant, ready: Ready) {
        self.last_stage = Stage::ProcessingReady;
        self.last_pending.clear();
        self.stream_window(&ready.limits);
        let resumed = ready.session.as_ref().is_some_and(|session| session.resumed);
        if resumed {
            self.resume(now, &ready);
        } else {
            self.start_over(ready.session.as_ref());
        }
        self.backoff.ready();
        self.token_ends(now, ready.token_expires_in_ms);
        self.current.ready_since = Some(now);
        let previous = self.session.take();
        self.session = ready.session.map(|grant: SessionGrant| {
            self.events.push(ClientEvent::Session { id: grant.id.clone(), resumed });
            let attempt = previous.filter(|_| resumed).map_or(0, |session| session.attempt);
            self.subject = Some(grant.subject);
            Session { id: grant.id, token: grant.token, attempt }
        });
        if !self.is_asked() {
            self.lose_questions();
        }
        self.release_held(now);
        self.ask_topics();
        if let Some(mut connection) = self.current.ready().filter(|ready| ready.answers) {
            let written = &self.outbox.written;
            for answer in self.answers.iter().filter(|answer| answer.cancelled && answer.id > 0) {
                // What is written again brings its cancel behind it.
                if !written.iter().any(|entry| entry.handle == answer.handle) {
                    connection.write(&ClientFrame::Cancel { re: answer.id });
                }
            }
        }
    }

    /// Whether this `ready` can be.
    fn check(&self, ready: &Ready) -> Result<(), PeerMisbehaved> {
        let mut possible = 0..=0;
        if let Some(theirs) = ready.session.as_ref().filter(|session| session.resumed) {
            let same = self.session.as_ref().is_some_and(|ours| ours.id == theirs.id);
            if !same || self.subject.as_ref() != Some(&theirs.subject) {
                return Err(PeerMisbehaved::new(Clause::SessionResumed, "resumed a session that was not asked for"));
            }
            possible = self.outbox.highest_acknowledged..=self.outbox.highest_written;
        }
        // A server that has received what was never written would answer new sends as old ones, and process none.
        if possible.contains(&ready.received) {
            return Ok(());
        }
        let found = "`received` is not between acknowledged and written";
        Err(PeerMisbehaved::new(Clause::SessionReceivedRange, found))
    }

    /// The former session goes on: what is decided is settled, the rest is written again.
    fn resume(&mut self, now: Instant, ready: &Ready) {
        // What the server has not received was never taken, and is not written any more.
        self.forget_given_up(ready.received + 1, u64::MAX);
        // Refusals first: only then does `received` settle the rest (clause `session.resumed`).
        for refusal in &ready.refused {
            self.refused(now, refusal.clone());
        }
        for entry in self.outbox.acknowledge(ready.received) {
            self.acknowledged(&entry);
        }
        let mut undecided = Vec::new();
        self.outbox.written.retain(|entry| {
            let again = entry.losses < MAX_LOSSES;
            if !again {
                undecided.push(entry.clone());
            }
            again
        });
        for entry in undecided {
            self.settle(&entry, Outcome::Unknown { code: "three_connections" });
        }
        // The hello has told this much, and the server goes on behind it.
        let told = self.current.inbox.unwrap_or_default();
        self.inbox = Inbox { held: self.inbox.held, seen: told, told, untold_bytes: 0, deadline: None };
    }

    /// A new session, or none: answers end, what was written and not decided is unknown, what was not keeps its place.
    pub(super) fn start_over(&mut self, grant: Option<&SessionGrant>) {
        let stranger = self.is_stranger(grant);
        self.forget_given_up(0, u64::MAX);
        self.lose_streams();
        self.lose_questions();
        // A server without sessions knows no keys, either (clause `send.key`).
        let remembered = self.session.is_some();
        let written = std::mem::take(&mut self.outbox.written);
        self.give_back(written, remembered && !stranger);
        if stranger {
            let refusal = Rejection::local("subject_changed", "the token now belongs to somebody else", false);
            for entry in std::mem::take(&mut self.outbox.waiting) {
                self.settle_unwritten(&entry, "session_lost", Outcome::Refused(refusal.clone()));
            }
            self.end_topics("subject_changed");
        }
        for mut answer in std::mem::take(&mut self.answers) {
            let undecided = |entries: &Entries| entries.iter().any(|entry| entry.handle == answer.handle);
            if undecided(&self.outbox.waiting) || self.former.as_ref().is_some_and(|former| undecided(&former.written))
            {
                answer.id = 0;
                self.answers.push(answer);
            } else {
                self.events.push(former::session_lost(&answer));
            }
        }
        self.outbox.highest_acknowledged = 0;
        self.outbox.highest_written = 0;
        self.inbox = Inbox::default();
        // What the hello told was of the session before.
        self.current.inbox = None;
    }

    /// What was written in a session that is lost: what has a key goes again, in front; of the rest nobody can tell.
    pub(super) fn give_back(&mut self, written: Entries, remembered: bool) {
        let mut again = Entries::new();
        for mut entry in written {
            let keyed = entry.key.is_some() && !entry.in_stream.opens();
            if keyed && remembered && !entry.given_up && entry.losses < MAX_LOSSES {
                entry.id = 0;
                entry.on_wire = false;
                entry.uncertain = true;
                again.push(entry);
            } else {
                self.settle(&entry, Outcome::Unknown { code: "session_lost" });
            }
        }
        again.append(&mut self.outbox.waiting);
        self.outbox.waiting = again;
    }

    /// Whether a session belongs to somebody else than the last.
    pub(super) fn is_stranger(&self, grant: Option<&SessionGrant>) -> bool {
        match (&self.subject, grant) {
            (Some(ours), Some(theirs)) => *ours != theirs.subject,
            _ => false,
        }
    }
}
