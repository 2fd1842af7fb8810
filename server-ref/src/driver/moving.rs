//! A client that is told to go, and whose session goes on elsewhere.

use super::Driver;
use readywire_protocol::close;
use tokio::time::Instant;

impl Driver {
    pub(super) fn drain(&mut self) {
        match self.hub.drain_begun() {
            // Each in its turn.
            Some(drain) if self.core.stage().is_ready() => {
                self.drain_at = Some(drain.slot());
                self.drained_at = Some(drain.deadline);
            }
            _ => self.core.refuse(close::DRAINING, "the server is going away", None),
        }
    }

    pub(super) fn tell_to_go(&mut self) {
        self.drain_at = None;
        if let Some(drain) = self.hub.drain_begun() {
            let left = drain.deadline.saturating_duration_since(Instant::now());
            self.core.drain_to(left, drain.reconnect_after(), self.hub.parts.drain.alternate.clone());
        }
    }

    /// Whether the client, whose session a later attempt has, leaves by itself: it was told to go, and does as soon as it
    /// reads `ready` on its next connection. 4013 here could be there before that, and be a pause (clause
    /// `drain.transfer`). Nothing that it still brings is taken.
    pub(super) fn leaves_by_itself(&mut self) -> bool {
        let told = self.drain_at.is_none() && self.behind.is_none() && self.core.stage().is_ready();
        if let Some(deadline) = self.drained_at.filter(|_| told && !self.has_moved) {
            self.has_moved = true;
            self.drained_at = Some(deadline.min(Instant::now() + self.hub.parts.drain.leaving));
        }
        self.has_moved
    }

    /// Leaves its session at once: the next connection waits for that (clause `send.order`).
    pub(super) async fn let_go(&mut self) {
        if self.has_moved
            && let Some(held) = self.held.take()
        {
            self.hub.leave(self.owner, held.session, false, self.core.untaken()).await;
        }
    }
}
