//! What `ready` does: the session goes on, or begins anew.

use super::*;

impl Client {
    /// The server is ready on this connection.
    pub(super) fn begin(&mut self, now: Instant, ready: Ready) -> Result<(), PeerMisbehaved> {
        self.last_stage = Stage::ProcessingReady;
        self.last_pending.clear();
        let resumed = ready.session.as_ref().is_some_and(|session| session.resumed);
        if resumed {
            self.resume(&ready)?
        } else {
            self.start_over(ready.session.as_ref());
            self.check_received(&ready)?;
        }
        self.backoff.ready();
        self.ready_since = Some(now);
        let previous = self.session.take();
        self.session = ready.session.map(|grant: SessionGrant| {
            self.events.push(ClientEvent::Session { id: grant.id.clone(), resumed });
            let attempt = previous.filter(|_| resumed).map_or(0, |session| session.attempt);
            self.subject = Some(grant.subject);
            Session { id: grant.id, token: grant.token, attempt }
        });
        self.release_held();
        if let Some(mut connection) = self.connection.as_mut().and_then(Connection::ready).filter(|ready| ready.answers)
        {
            let written = &self.outbox.written;
            for answer in self.answers.iter().filter(|answer| answer.cancelled && answer.id > 0) {
                // What is written again brings its cancel behind it.
                if !written.iter().any(|entry| entry.handle == answer.handle) {
                    connection.write(&ClientFrame::Cancel { re: answer.id });
                }
            }
        }
        Ok(())
    }

    /// The former session goes on: what is decided is settled, the rest is written again.
    pub(super) fn resume(&mut self, ready: &Ready) -> Result<(), PeerMisbehaved> {
        let same = match (&self.session, &ready.session) {
            (Some(ours), Some(theirs)) => ours.id == theirs.id && self.subject.as_ref() == Some(&theirs.subject),
            _ => false,
        };
        if !same {
            return Err(PeerMisbehaved::new(Clause::SessionResumed, "resumed a session that was not asked for"));
        }
        self.check_received(ready)?;
        // Refusals first: only then does `received` settle the rest (clause `session.resumed`).
        for refusal in &ready.refused {
            self.refused(refusal.clone())?;
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
        // The hello has told it.
        self.inbox.told = self.inbox.held;
        self.inbox.untold_bytes = 0;
        Ok(())
    }

    /// A server that has received what was never written would answer new sends as old ones, and process none.
    pub(super) fn check_received(&mut self, ready: &Ready) -> Result<(), PeerMisbehaved> {
        if (self.outbox.highest_acknowledged..=self.outbox.highest_written).contains(&ready.received) {
            return Ok(());
        }
        self.start_over(None);
        self.session = None;
        let found = "`received` is not between acknowledged and written";
        Err(PeerMisbehaved::new(Clause::SessionReceivedRange, found))
    }

    /// A new session, or none: answers end, what was written and not decided is unknown, what was not keeps its place.
    pub(super) fn start_over(&mut self, grant: Option<&SessionGrant>) {
        let stranger = match (&self.subject, grant) {
            (Some(ours), Some(theirs)) => *ours != theirs.subject,
            _ => false,
        };
        // A server without sessions knows no keys, either (clause `send.key`).
        let remembered = self.session.is_some();
        let mut again = Entries::new();
        for mut entry in std::mem::take(&mut self.outbox.written) {
            if entry.key.is_some() && remembered && !stranger && !entry.given_up && entry.losses < MAX_LOSSES {
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
        if stranger {
            let refusal = Rejection::local("subject_changed", "the token now belongs to somebody else", false);
            for entry in std::mem::take(&mut self.outbox.waiting) {
                self.settle_unwritten(&entry, "session_lost", Outcome::Refused(refusal.clone()));
            }
        }
        let waiting = &self.outbox.waiting;
        let (kept, lost) = std::mem::take(&mut self.answers)
            .into_iter()
            .partition(|answer| waiting.iter().any(|entry| entry.handle == answer.handle));
        self.answers = kept;
        for answer in &mut self.answers {
            answer.id = 0;
        }
        self.end_answers(lost, "session_lost", "the session that this answer belonged to is over");
        self.outbox.highest_acknowledged = 0;
        self.outbox.highest_written = 0;
        self.inbox = Inbox::default();
    }

    pub(super) fn end_answers(&mut self, answers: Vec<OpenAnswer>, code: &str, message: &str) {
        for answer in answers {
            self.events.push(ClientEvent::Answer(AnswerPart {
                handle: answer.handle,
                offset: 0,
                event: String::new(),
                payload: Payload::null(),
                end: true,
                error: Some(AnswerError { code: code.to_owned(), message: message.to_owned() }),
            }));
        }
    }
}
