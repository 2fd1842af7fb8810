//! Verdicts in few words, each with a sign, since not everybody tells the colours apart.

use super::Rule;
use crate::report::run::Run;
use crate::verdict::{Counts, Verdict};
use maud::{Markup, html};

/// Every verdict, worst first.
pub(super) const VERDICTS: [Verdict; 5] =
    [Verdict::Fail, Verdict::NotRun, Verdict::NonStrict, Verdict::Pass, Verdict::Unsupported];

/// What a run says about a clause.
pub(super) enum Summary {
    /// It has cases.
    Cases(Counts),
    /// It could have, and has none.
    NotTried,
    /// The clause is about the other side.
    NotBound,
}

impl Summary {
    pub(super) fn of(run: &Run, rule: &Rule) -> Self {
        let counts = counted(run, |case| case.clause == rule.id);
        if counts.total() > 0 {
            return Summary::Cases(counts);
        }
        let binds = rule.side == run.side || rule.side == "both";
        if binds { Summary::NotTried } else { Summary::NotBound }
    }
}

/// The verdicts of some of a run's cases.
pub(super) fn counted(run: &Run, wanted: impl Fn(&crate::report::run::Tried) -> bool) -> Counts {
    Counts::of(run.cases.iter().filter(|case| wanted(case)).map(|case| case.verdict))
}

/// The worst that is among them.
pub(super) fn worst(counts: &Counts) -> Verdict {
    let worst = VERDICTS.into_iter().find(|verdict| number(counts, *verdict) > 0);
    worst.unwrap_or(Verdict::Unsupported)
}

/// How many there are of a verdict.
pub(super) fn number(counts: &Counts, verdict: Verdict) -> usize {
    match verdict {
        Verdict::Pass => counts.pass,
        Verdict::NonStrict => counts.non_strict,
        Verdict::Fail => counts.fail,
        Verdict::Unsupported => counts.unsupported,
        Verdict::NotRun => counts.not_run,
    }
}

/// Such as `7 passed`, `1 of 7 failed`. What is unsupported is not among those that were tried.
pub(super) fn words(counts: &Counts) -> String {
    let verdict = worst(counts);
    let (some, tried) = (number(counts, verdict), counts.total() - counts.unsupported);
    match verdict {
        Verdict::Unsupported => format!("{some} unsupported"),
        verdict if some == tried => format!("{some} {}", participle(verdict)),
        verdict => format!("{some} of {tried} {}", participle(verdict)),
    }
}

/// All of them, such as `1 failed, 6 passed`.
pub(super) fn all_words(counts: &Counts) -> String {
    let some = VERDICTS.into_iter().filter(|verdict| number(counts, *verdict) > 0);
    let some = some.map(|verdict| format!("{} {}", number(counts, verdict), participle(verdict)));
    some.collect::<Vec<_>>().join(", ")
}

/// What became of cases with this verdict.
pub(super) fn participle(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "passed",
        Verdict::Fail => "failed",
        other => other.word(),
    }
}

/// The sign of a verdict.
pub(super) fn sign(verdict: Verdict) -> Markup {
    let sign = match verdict {
        Verdict::Pass => "✓",
        Verdict::NonStrict => "≈",
        Verdict::Fail => "✗",
        Verdict::Unsupported => "○",
        Verdict::NotRun => "?",
    };
    html! { span.sign aria-hidden="true" { (sign) } }
}

/// The class of style of a verdict.
pub(super) fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::NonStrict => "non-strict",
        Verdict::Fail => "fail",
        Verdict::Unsupported => "unsupported",
        Verdict::NotRun => "not-run",
    }
}
