//! A fresh token on a living connection: when to ask for one, and what becomes of it.

use crate::config::ClientConfig;
use crate::time::{Duration, Instant, milliseconds};

/// The one refresh of a connection that may be under way (clause `auth.one_at_a_time`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Refresh {
    step: Step,
    /// How many have failed since the last that succeeded, or that was required.
    failures: u32,
    /// None begins before (clause `auth.ahead`).
    not_before: Instant,
    /// The application has said that asking again cannot help.
    hopeless: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
enum Step {
    /// Nothing is to be done.
    #[default]
    Resting,
    /// Begins then.
    Due(Instant),
    /// The application is asked.
    Asking { number: u64, deadline: Instant },
    /// The server is asked. How long it may take is its own affair: it ends what is not refreshed in time.
    Written,
}

/// What the time has brought.
pub(super) enum Elapsed {
    Nothing,
    /// It is time to ask the application.
    Begin,
    /// The application has not answered.
    TimedOut,
}

impl Refresh {
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.step {
            Step::Due(deadline) | Step::Asking { deadline, .. } => Some(deadline),
            Step::Resting | Step::Written => None,
        }
    }

    pub(super) fn elapsed(&self, now: Instant) -> Elapsed {
        match self.step {
            Step::Due(at) if at <= now => Elapsed::Begin,
            Step::Asking { deadline, .. } if deadline <= now => Elapsed::TimedOut,
            _ => Elapsed::Nothing,
        }
    }

    pub(super) fn ask(&mut self, number: u64, deadline: Instant) {
        self.step = Step::Asking { number, deadline };
    }

    /// Whether it is this question that the application answers.
    pub(super) fn asks(&self, question: u64) -> bool {
        matches!(self.step, Step::Asking { number, .. } if number == question)
    }

    pub(super) fn written(&mut self) {
        self.step = Step::Written;
    }

    /// The token in force ends in so many milliseconds; a question that is under way stays.
    pub(super) fn ends(&mut self, config: &ClientConfig, now: Instant, expires_in_ms: Option<u64>) {
        if self.step == Step::Written {
            self.failures = 0;
            self.not_before = now + config.refresh_pause;
        }
        if matches!(self.step, Step::Asking { .. }) {
            return;
        }
        self.step = match expires_in_ms {
            Some(life) => {
                let ahead = milliseconds(config.refresh_ahead).min(life / 2);
                self.due(now + Duration::from_millis(life - ahead))
            }
            None => Step::Resting,
        };
    }

    /// The server wants one now; the one that is under way will do.
    pub(super) fn required(&mut self, now: Instant) {
        if matches!(self.step, Step::Resting | Step::Due(_)) {
            self.failures = 0;
            self.step = self.due(now);
        }
    }

    /// The server has refused the token; `wait` says how long to wait after so many failures, unless it is no use.
    pub(super) fn refused(&mut self, config: &ClientConfig, now: Instant, wait: Option<impl FnOnce(u32) -> Duration>) {
        if self.step != Step::Written {
            return;
        }
        self.not_before = now + config.refresh_pause;
        self.step = Step::Resting;
        if let Some(wait) = wait {
            self.failed(now, wait);
        }
    }

    /// There is no token.
    pub(super) fn failed(&mut self, now: Instant, wait: impl FnOnce(u32) -> Duration) {
        let at = now + wait(self.failures);
        self.failures = self.failures.saturating_add(1);
        self.step = self.due(at);
    }

    /// Asking the application again cannot help.
    pub(super) fn give_up(&mut self) {
        self.hopeless = true;
        self.step = Step::Resting;
    }

    fn due(&self, at: Instant) -> Step {
        if self.hopeless { Step::Resting } else { Step::Due(at.max(self.not_before)) }
    }
}
