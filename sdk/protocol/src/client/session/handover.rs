//! Make before break: the next connection is ready before the old one is let go.

use super::*;

impl Client {
    /// The server goes away (clause `drain.next`). What it said before stands.
    pub(super) fn drained(&mut self, now: Instant, reconnect_after_ms: &[u64], alternate: Option<String>) {
        if self.closing.is_some() || self.next.is_some() || self.handover_at.is_some() {
            return;
        }
        let window = match *reconnect_after_ms {
            [from, to] => (Duration::from_millis(from), Duration::from_millis(to)),
            _ => (Duration::ZERO, Duration::ZERO),
        };
        let wait = self.backoff.drained(&self.config, window, self.current.ready_since, now);
        self.handover_at = Some(now + wait);
        let ClientConfig { address, alternates, .. } = &self.config;
        self.alternate = alternate.filter(|alternate| address::may_follow(address, alternate, alternates));
    }

    /// It is time to open the next connection.
    pub(super) fn hand_over(&mut self, now: Instant) {
        self.handover_at = None;
        // The current one is ready, however it came to be.
        self.upgrade_works = true;
        self.next = Some(Box::new(self.ask(now)));
    }

    /// The next connection failed: the old one goes on meanwhile.
    pub(super) fn next_lost(&mut self, now: Instant, loss: &Loss) {
        let Some(next) = self.next.take() else { return };
        self.upgrade_works = next.upgrade_worked().unwrap_or(self.upgrade_works);
        // Somebody else has the session, so that whoever fences the old one is not this client.
        self.superseded &= loss.code != close::SESSION_TAKEN_OVER;
        if self.closing.is_none()
            && let Some(wait) = self.backoff.after(&self.config, loss.class, loss.retry_after, None, now)
        {
            self.next = Some(Box::new(Attempt::new(next.number, Phase::Waiting { until: now + wait })));
        }
        // What its hello held back.
        self.tell_taken();
    }

    /// The old connection ended first: what was to take its place does. Tells whether there was anything.
    pub(super) fn take_over(&mut self, loss: &Loss) -> bool {
        let told_when = loss.retry_after.is_some();
        let planned = self.handover_at.take();
        match self.next.take() {
            Some(next) if next.has_socket() || matches!(next.phase, Phase::AskingToken { .. }) || !told_when => {
                self.current = *next;
            }
            _ => match planned.filter(|_| loss.class == Class::Immediately && !told_when) {
                Some(until) => self.current.phase = Phase::Waiting { until },
                None => return false,
            },
        }
        self.superseded = false;
        true
    }

    /// `ready` on the next connection: it is the one from now on (clauses `drain.transfer`, `drain.new_session`).
    pub(super) fn transfer(&mut self, now: Instant, ready: &Ready) {
        let Some(next) = self.next.take() else { return };
        let old = std::mem::replace(&mut self.current, *next);
        self.detach_topics();
        self.superseded = false;
        self.progress_deadline = None;
        self.backoff.ended(&self.config, old.ready_since, now);
        let Some(connection) = old.connection else { return };
        let resumed = ready.session.as_ref().is_some_and(|session| session.resumed);
        if resumed || self.is_stranger(ready.session.as_ref()) {
            self.outbox.detach(false);
            self.leave(connection);
        } else {
            self.part_with(now, connection);
        }
    }

    /// Closes a connection that another has replaced. 1000 would end the session.
    pub(super) fn leave(&mut self, mut connection: Connection) {
        let loss = Loss::local(close::MOVED, "the next connection is ready");
        self.hang_up(connection.number, Some(&mut connection), &loss, true);
    }
}
