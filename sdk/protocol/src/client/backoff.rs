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
}

impl Backoff {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), failures: 0, refusals: 0, violations: 0, immediate_used: false }
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
        self.ended(config, ready_since, now);
        // Whatever else it is, it ends a row.
        let refusals = std::mem::take(&mut self.refusals);
        let violations = std::mem::take(&mut self.violations);
        match class {
            Class::Stop => return None,
            Class::Reauthenticate => {
                self.refusals = refusals + 1;
                if self.refusals >= 3 {
                    return None;
                }
            }
            Class::Violation => {
                self.violations = violations + 1;
                if self.violations >= 3 {
                    return None;
                }
            }
            Class::Backoff | Class::Immediately => {}
        }
        if let Some(asked) = retry_after {
            return Some(asked.min(config.retry_after_cap));
        }
        if class == Class::Violation {
            self.failures += 1;
            return Some(config.backoff_cap);
        }
        if class == Class::Immediately && !std::mem::replace(&mut self.immediate_used, true) {
            return Some(Duration::ZERO);
        }
        Some(self.failed(config))
    }

    /// How long to wait after a `drain` until the next connection is opened: it counts as the end of the old one, which
    /// need not be waited for (clauses `drain.next`, `backoff.immediate`).
    pub(super) fn drained(
        &mut self,
        config: &ClientConfig,
        window: (Duration, Duration),
        ready_since: Option<Instant>,
        now: Instant,
    ) -> Duration {
        self.ended(config, ready_since, now);
        if std::mem::replace(&mut self.immediate_used, true) {
            return self.failed(config);
        }
        let [from, to] = [window.0, window.1].map(|moment| milliseconds(moment.min(config.retry_after_cap)));
        Duration::from_millis(from + self.random.up_to(to.saturating_sub(from)))
    }

    /// A connection is over: one that was ready for long enough forgets what was before (clause `backoff.reset`).
    pub(super) fn ended(&mut self, config: &ClientConfig, ready_since: Option<Instant>, now: Instant) {
        if ready_since.is_some_and(|since| now.saturating_since(since) >= config.stable_after) {
            self.failures = 0;
            self.immediate_used = false;
        }
    }

    fn failed(&mut self, config: &ClientConfig) -> Duration {
        let wait = self.jitter(config, self.failures);
        self.failures += 1;
        wait
    }

    /// How long to wait after so many failures before this one (clause `backoff.jitter`).
    pub(super) fn jitter(&mut self, config: &ClientConfig, failures: u32) -> Duration {
        let bound = match failures {
            0 => milliseconds(config.backoff_first),
            failures => {
                let doubled = milliseconds(config.backoff_base).min(u64::MAX >> 16) << failures.min(16);
                doubled.min(milliseconds(config.backoff_cap))
            }
        };
        Duration::from_millis(self.random.up_to(bound))
    }
}
