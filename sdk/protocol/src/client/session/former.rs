//! A connection that was left together with its session: it goes on to decide what was written there (clause
//! `drain.new_session`).

use super::*;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Former {
    pub(super) connection: Connection,
    /// Written there and undecided, ids ascending.
    pub(super) written: Entries,
    highest_written: u64,
    /// Whether its server kept a session, and so remembers keys.
    remembered: bool,
    progress_deadline: Instant,
}

/// How it ends.
pub(super) enum Parting {
    /// Its socket is gone.
    Gone,
    /// This end closes it.
    Leave,
    /// The other end said `bye`.
    Answer(Loss),
}

impl Former {
    pub(super) fn deadline(&self) -> Option<Instant> {
        earliest(Some(self.progress_deadline), self.connection.deadline())
    }
}

impl Client {
    /// Lets a connection go on for what was written on it and is not decided.
    pub(super) fn part_with(&mut self, now: Instant, connection: Connection) {
        // One at a time.
        self.give_former_up(Parting::Leave);
        let mut written = std::mem::take(&mut self.outbox.written);
        written.retain(|entry| !entry.given_up);
        self.former = Some(Box::new(Former {
            connection,
            written,
            highest_written: self.outbox.highest_written,
            remembered: self.session.is_some(),
            progress_deadline: now + self.config.progress_timeout,
        }));
        self.release_former();
    }

    pub(super) fn is_former(&self, number: u64) -> bool {
        self.former.as_ref().is_some_and(|former| former.connection.number == number)
    }

    pub(super) fn former_says(&mut self, now: Instant, received: Received<'_>) {
        let Some(former) = &mut self.former else { return };
        let highest = former.highest_written;
        let result = match former.connection.receive(&self.config, now, received) {
            Ok(Inbound::Application(ServerFrame::Ack { id } | ServerFrame::Nack(Refusal { id, .. })))
                if id > highest =>
            {
                Err(PeerMisbehaved::new(Clause::AckNotAboveSent, "a decision above every id written"))
            }
            Ok(Inbound::Application(ServerFrame::Ack { id })) => {
                while former.written.first().is_some_and(|entry| entry.id <= id) {
                    former.progress_deadline = now + self.config.progress_timeout;
                    let Some(entry) = outbox::take(&mut former.written, 0) else { break };
                    self.events.push(ClientEvent::Settled {
                        handle: entry.handle,
                        outcome: Outcome::Acknowledged { id: entry.id },
                    });
                    // Its answer would come in the session that is lost.
                    self.answers.retain(|answer| {
                        let lost = answer.handle == entry.handle;
                        if lost {
                            self.events.push(session_lost(answer));
                        }
                        !lost
                    });
                }
                Ok(())
            }
            Ok(Inbound::Application(ServerFrame::Nack(refusal))) => {
                if let Some(at) = former.written.iter().position(|entry| entry.id == refusal.id)
                    && let Some(entry) = outbox::take(&mut former.written, at)
                {
                    former.progress_deadline = now + self.config.progress_timeout;
                    self.declined(now, entry, refusal);
                    self.release_held(now);
                }
                Ok(())
            }
            Ok(Inbound::Bye(bye)) => return self.give_former_up(Parting::Answer(Loss::told(bye))),
            // Everything else is for the session that is lost.
            Ok(_) => Ok(()),
            Err(misbehaved) => Err(misbehaved),
        };
        match result {
            Ok(()) => self.release_former(),
            Err(_) => self.give_former_up(Parting::Leave),
        }
    }

    /// It is over.
    pub(super) fn former_is_gone(&mut self, now: Instant, parting: Parting) {
        self.give_former_up(parting);
        self.flush(now);
        self.finish_closing(now);
        self.announce();
    }

    /// The application gives a send up that was written there.
    pub(super) fn give_up_former(&mut self, handle: u64) -> Option<Box<Entry>> {
        let former = self.former.as_mut()?;
        let at = former.written.iter().position(|entry| entry.handle == handle)?;
        let mut entry = outbox::take(&mut former.written, at)?;
        entry.given_up = true;
        self.release_former();
        Some(entry)
    }

    /// Closes it if all is decided.
    fn release_former(&mut self) {
        if self.former.as_ref().is_some_and(|former| former.written.is_empty()) {
            self.give_former_up(Parting::Leave);
        }
    }

    /// Lets go of it, whatever is decided.
    fn give_former_up(&mut self, parting: Parting) {
        let Some(mut former) = self.former.take() else { return };
        match parting {
            Parting::Gone => {}
            Parting::Leave => self.leave(former.connection),
            Parting::Answer(loss) => {
                self.hang_up(former.connection.number, Some(&mut former.connection), &loss, false);
            }
        }
        self.give_back(former.written, former.remembered);
    }

    /// Takes it out, for the end of the client.
    pub(super) fn take_former(&mut self) -> Entries {
        let Some(former) = self.former.take() else { return Entries::new() };
        self.leave(former.connection);
        former.written
    }
}

pub(super) fn session_lost(answer: &OpenAnswer) -> ClientEvent {
    over(answer.handle, "session_lost", "the session that this answer belonged to is over")
}

/// The end of an answer that the client itself declares.
pub(super) fn over(handle: u64, code: &str, message: &str) -> ClientEvent {
    ClientEvent::Answer(AnswerPart {
        handle,
        offset: 0,
        event: String::new(),
        payload: Payload::null(),
        end: true,
        error: Some(AnswerError { code: code.to_owned(), message: message.to_owned() }),
    })
}
