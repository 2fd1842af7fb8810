//! What became of each case.

use crate::case::Case;
use crate::play::Played;
use readywire_protocol::clause::Strength;
use serde::{Deserialize, Serialize};

/// What became of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The peer keeps the rule.
    Pass,
    /// The peer does not do what it should, but is not bound to.
    NonStrict,
    /// The peer breaks the rule.
    Fail,
    /// The peer has said that it lacks what the case needs.
    Unsupported,
    /// It could not be tried. That is no success.
    NotRun,
}

impl Verdict {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::NonStrict => "non-strict",
            Verdict::Fail => "fail",
            Verdict::Unsupported => "unsupported",
            Verdict::NotRun => "not run",
        }
    }
}

/// A case and what became of it.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The case.
    pub case: Case,
    /// What became of it.
    pub verdict: Verdict,
    /// Why, if it was not played.
    pub reason: Option<String>,
    /// How it went, if it was.
    pub played: Option<Played>,
}

impl Judged {
    /// Judges a case that was played.
    pub fn of(case: Case, played: Played) -> Self {
        let verdict = match (&played.impossible, &played.step, case.strength()) {
            (Some(_), _, _) => Verdict::NotRun,
            (None, None, _) => Verdict::Pass,
            (None, Some(_), Strength::Must) => Verdict::Fail,
            (None, Some(_), Strength::Should | Strength::May) => Verdict::NonStrict,
        };
        Self { reason: played.impossible.clone(), case, verdict, played: Some(played) }
    }

    /// A case that was not played.
    pub fn without(case: Case, verdict: Verdict, reason: String) -> Self {
        Self { case, verdict, reason: Some(reason), played: None }
    }
}

/// How many of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Counts {
    /// Passed.
    pub pass: usize,
    /// Non-strict.
    pub non_strict: usize,
    /// Failed.
    pub fail: usize,
    /// Unsupported.
    pub unsupported: usize,
    /// Not run.
    pub not_run: usize,
}

impl Counts {
    /// Counts verdicts.
    pub fn of(verdicts: impl IntoIterator<Item = Verdict>) -> Self {
        let mut counts = Self::default();
        for verdict in verdicts {
            *match verdict {
                Verdict::Pass => &mut counts.pass,
                Verdict::NonStrict => &mut counts.non_strict,
                Verdict::Fail => &mut counts.fail,
                Verdict::Unsupported => &mut counts.unsupported,
                Verdict::NotRun => &mut counts.not_run,
            } += 1;
        }
        counts
    }

    /// How many in all.
    pub fn total(&self) -> usize {
        let Self { pass, non_strict, fail, unsupported, not_run } = self;
        pass + non_strict + fail + unsupported + not_run
    }
}
