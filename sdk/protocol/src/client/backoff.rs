//! When to try again: full jitter, the server's word first, and failures forgotten only after a stable time.

use crate::close::Class;
use crate::config::ClientConfig;
use crate::random::Random;
use crate::time::{Duration, Instant, milliseconds};

/// Counts failures, and says how long to wait.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Backoff {
    random: Random,
    failures: u32,
    refusals: u32,
    violations: u32,
    immediate_used: bool,
    /// The window that a `drain` named.
    pub(super) window: Option<(Duration, Duration)>,
}

impl Backoff {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), failures: 0, refusals: 0, violations: 0, immediate_used: false, window: None }
    }

    /// The server said ready: what counts "in a row without ready" starts anew.
    pub(super) fn ready(&mut self) {
        self.refusals = 0;
        self.violations = 0;
    }

    /// How long to wait after a connection ended, or `None` to stop (clauses `close.range`, `backoff.jitter`,
    /// `backoff.reset`, `backoff.retry_after`).
    pub(super) fn after(
        &mut self,
        config: &ClientConfig,
        class: Class,
        retry_after: Option<Duration>,
        ready_since: Option<Instant>,
        now: Instant,
    ) -> Option<Duration> {
        if ready_since.is_some_and(|since| now.saturating_since(since) >= config.stable_after) {
            self.failures = 0;
            self.immediate_used = false;
        }
        match class {
            Class::Stop => return None,
            Class::Reauthenticate => {
                self.refusals += 1;
                if self.refusals >= 3 {
                    return None;
                }
            }
            Class::Violation => {
                self.violations += 1;
                if self.violations >= 3 {
                    return None;
                }
            }
            Class::Backoff | Class::Immediately => {}
        }
        let window = self.window.take();
        if let Some(asked) = retry_after {
            return Some(asked.min(config.retry_after_cap));
        }
        if class == Class::Violation {
            self.failures += 1;
            return Some(config.backoff_cap);
        }
        if class == Class::Immediately && !self.immediate_used {
            self.immediate_used = true;
            let Some((from, to)) = window else { return Some(Duration::ZERO) };
            let [from, to] = [from, to].map(|moment| milliseconds(moment.min(config.retry_after_cap)));
            return Some(Duration::from_millis(from + self.random.up_to(to.saturating_sub(from))));
        }
        let bound = match self.failures {
            0 => milliseconds(config.backoff_first),
            failures => {
                let doubled = milliseconds(config.backoff_base).min(u64::MAX >> 16) << failures.min(16);
                doubled.min(milliseconds(config.backoff_cap))
            }
        };
        self.failures += 1;
        Some(Duration::from_millis(self.random.up_to(bound)))
    }
}
