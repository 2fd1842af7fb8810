//! Tickets that were used: each is good for one attempt (clause `token.ticket`).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The used tickets of a server, by their hash, until they would have ended anyway.
#[derive(Debug, Default)]
pub(crate) struct Tickets(Mutex<HashMap<[u8; 32], Use>>);

#[derive(Debug)]
struct Use {
    attempt: u64,
    /// `None`: longer than a clock can name.
    ends: Option<Instant>,
}

impl Tickets {
    /// Uses a ticket that ends in so long for this attempt. An upgrade may be repeated: the same attempt is the same use.
    /// `false` if it was used for another.
    pub(crate) fn spend(&self, ticket: [u8; 32], attempt: u64, ends_in: Duration) -> bool {
        let now = Instant::now();
        // Uses are whole at every step.
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|_, known| known.ends.is_none_or(|ends| ends > now));
        used.entry(ticket).or_insert(Use { attempt, ends: now.checked_add(ends_in) }).attempt == attempt
    }

    /// Uses a ticket for a connection that has no attempts: `false` if it was used for anything before.
    pub(crate) fn spend_once(&self, ticket: [u8; 32], ends_in: Duration) -> bool {
        let now = Instant::now();
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|_, known| known.ends.is_none_or(|ends| ends > now));
        // No hello can name this attempt: its integers are smaller.
        used.insert(ticket, Use { attempt: u64::MAX, ends: now.checked_add(ends_in) }).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_ticket_is_spent_by_ticket_and_attempt_and_forgotten_at_its_end() {
        let tickets = Tickets::default();
        let minute = Duration::from_secs(60);
        assert!(tickets.spend([1; 32], 3, minute));
        assert!(tickets.spend([1; 32], 3, minute), "the same upgrade, repeated");
        assert!(!tickets.spend([1; 32], 4, minute));
        assert!(!tickets.spend([1; 32], 0, minute));
        assert!(tickets.spend([2; 32], 4, Duration::MAX), "another ticket");
        tokio::time::advance(minute).await;
        assert!(!tickets.spend([2; 32], 5, Duration::MAX));
        assert_eq!(tickets.0.lock().unwrap().len(), 1, "a ticket that has ended is refused by its claims");
    }
}
