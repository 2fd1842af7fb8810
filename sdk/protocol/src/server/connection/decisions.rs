//! What becomes of sends, and how it is told.

use super::*;

/// What became of a send.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Taken, now or before.
    Taken,
    /// Not taken.
    Refused(Refusal),
}

/// A send that is not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Flying {
    pub(super) id: u64,
    pub(super) bytes: u64,
    /// The stream that it is a part of.
    pub(super) of: Option<u64>,
    pub(super) fate: Option<Fate>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Fate {
    Taken,
    Refused,
}

impl ServerConnection {
    /// Decides a send. Its ack waits for those before it (clause `ack.cumulative`).
    pub fn decide(&mut self, now: Instant, id: u64, decision: Decision) {
        let open = |flying: &&mut Flying| flying.id == id && flying.fate.is_none();
        let Some(flying) = self.undecided.iter_mut().find(open).filter(|_| self.stage != Stage::Closed) else { return };
        match decision {
            Decision::Taken => flying.fate = Some(Fate::Taken),
            Decision::Refused(refusal) => {
                flying.fate = Some(Fate::Refused);
                let of = flying.of;
                self.not_in_stream(id, of);
                // A nack goes out before any ack that covers it (clause `nack.before_ack`).
                self.write(&ServerFrame::Nack(Refusal { id, ..refusal }));
            }
        }
        let (mut covered, mut bytes) = (0, 0);
        for flying in self.undecided.iter().take_while(|flying| flying.fate.is_some()) {
            self.ack = Some(flying.id);
            covered += 1;
            bytes += flying.bytes;
        }
        if covered >= (self.config.in_flight.messages / 2).max(1) || bytes >= self.config.in_flight.bytes / 2 {
            self.acknowledge();
        } else if self.ack.is_some() && self.ack_due.is_none() {
            self.ack_due = Some(now + self.config.ack_delay);
        }
    }

    pub(super) fn acknowledge(&mut self) {
        self.ack_due = None;
        let Some(id) = self.ack.take() else { return };
        while self.undecided.front().is_some_and(|flying| flying.id <= id) {
            self.undecided.pop_front();
        }
        self.write(&ServerFrame::Ack { id });
    }
}
