//! A session that outlives its client (clause `session.stored`).

use super::*;

/// How many ids are set aside at a time, so that not every send has to be stored before it is written.
const RESERVE: u64 = 256;

impl Client {
    /// A client that takes up the session that another has left, with the answers that were open there: the handle under
    /// which each goes on, and the id of the send that asked for it.
    pub fn carry_on(config: ClientConfig, seed: u64, carried: Carried, answers: &[(u64, u64)]) -> Self {
        let mut client = Self::new(config, seed);
        client.next_id = carried.ids + 1;
        client.outbox.highest_written = carried.ids;
        client.outbox.highest_acknowledged = carried.settled;
        client.inbox.held = carried.inbox;
        client.inbox.seen = carried.inbox;
        client.inbox.told = carried.inbox;
        client.answers = answers.iter().map(|&(handle, id)| OpenAnswer { handle, id, cancelled: false }).collect();
        client.subject = Some(carried.subject.clone());
        client.session =
            Some(Session { id: carried.session.clone(), token: carried.token.clone(), attempt: carried.attempt });
        #[cfg(feature = "questions")]
        client.answer_for_former(&carried);
        client.carried = Some(carried);
        client
    }

    /// Tells what to store, whenever that has changed in a way that the next client must know of.
    pub(super) fn carry(&mut self) {
        if !capability::CARRY || !self.config.carried {
            return;
        }
        let before = self.carried.as_ref();
        let session = self.session.as_ref().filter(|_| self.current.phase != Phase::Ended);
        let carried = session.zip(self.subject.as_ref()).map(|(session, subject)| {
            let (written, reserved) = (self.outbox.highest_written, before.map_or(0, |before| before.ids));
            let mine = before.filter(|before| before.session == session.id);
            // The hello of each attempt tells what is held, and frees the server to drop it.
            let inbox = [&Some(self.inbox.told), &self.current.inbox, &self.next.as_ref().and_then(|next| next.inbox)]
                .into_iter()
                .flatten()
                .fold(mine.map_or(0, |before| before.inbox), |most, inbox| most.max(*inbox));
            Carried {
                session: session.id.clone(),
                token: session.token.clone(),
                subject: subject.clone(),
                attempt: session.attempt,
                ids: if written > reserved || mine.is_none() { written + RESERVE } else { reserved },
                // Alone it is no news: less of it only makes a later `ready` longer.
                settled: mine.map_or(0, |before| before.settled),
                inbox,
                #[cfg(feature = "questions")]
                questions: self.open_questions(inbox),
            }
        });
        if carried.as_ref() == before {
            return;
        }
        // What was only set aside is settled, and no server has ever received it.
        let settled = self.outbox.settled().min(self.outbox.highest_acknowledged);
        self.carried = carried.map(|carried| Carried { settled, ..carried });
        self.events.push(ClientEvent::Carried(self.carried.clone()));
    }
}
