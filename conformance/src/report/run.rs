//! One run, as `--json` keeps it and pages of several runs read it back.

use crate::known::{self, Known};
use crate::play::Played;
use crate::verdict::{Counts, Judged, Verdict};
use readywire_protocol::clause::{Level, Side};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// One implementation, and what became of each case. Clauses and levels are names: a run may come from another version
/// of the suite.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Run {
    /// What was judged.
    pub name: String,
    /// `server` or `client`.
    pub side: String,
    /// The levels that it was judged by.
    pub levels: Vec<String>,
    /// The version of the suite.
    pub suite: String,
    /// When the run ended, in UTC: `2026-11-24T14:40:06Z`.
    pub date: String,
    /// How long it took, in milliseconds.
    pub took: u64,
    /// How many of each verdict.
    pub counts: Counts,
    /// Every case, in the order of the specification.
    pub cases: Vec<Tried>,
}

/// A case and what became of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Tried {
    /// `clause/slug`.
    pub id: String,
    /// The rule that it tries.
    pub clause: String,
    /// How binding it is: `MUST`, `SHOULD` or `MAY`.
    pub strength: String,
    /// The rule in words.
    pub rule: String,
    /// `server` or `client`.
    pub side: String,
    /// The level that it needs.
    pub level: String,
    /// What it does.
    pub does: String,
    /// What became of it.
    pub verdict: Verdict,
    /// Why, if it was not played.
    pub reason: Option<String>,
    /// Why it does not pass, if that was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<String>,
    /// How it went, if it was.
    pub played: Option<Played>,
}

impl Run {
    /// The run that ends now, of which the cases in the list were known to fail.
    pub fn of(
        name: &str,
        side: Side,
        levels: &BTreeSet<Level>,
        judged: &[Judged],
        listed: &[Known],
        took: Duration,
    ) -> Self {
        Self {
            name: name.to_owned(),
            side: side.name().to_owned(),
            levels: levels.iter().map(|level| level.name().to_owned()).collect(),
            suite: env!("CARGO_PKG_VERSION").to_owned(),
            date: utc(SystemTime::now()),
            took: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            counts: Counts::of(judged.iter().map(|one| one.verdict)),
            cases: judged.iter().map(|one| Tried::of(one, listed)).collect(),
        }
    }
}

impl Tried {
    fn of(judged: &Judged, listed: &[Known]) -> Self {
        let case = &judged.case;
        let passes = matches!(judged.verdict, Verdict::Pass | Verdict::Unsupported);
        let known = known::reason(listed, &case.id).filter(|_| !passes);
        Self {
            id: case.id.clone(),
            clause: case.clause.id().to_owned(),
            strength: case.strength().name().to_owned(),
            rule: case.clause.text().to_owned(),
            side: case.side.name().to_owned(),
            level: case.needs.name().to_owned(),
            does: case.does.clone(),
            verdict: judged.verdict,
            reason: judged.reason.clone(),
            known: known.map(str::to_owned),
            played: judged.played.clone(),
        }
    }
}

/// A moment as RFC 3339 has it. Years begin in March here, so that the leap day is the last one.
fn utc(moment: SystemTime) -> String {
    let seconds = moment.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, time) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let march = (5 * day + 2) / 153;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let (year, day) = (400 * era + year + u64::from(month <= 2), day - (153 * march + 2) / 5 + 1);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", time / 3600, time / 60 % 60, time % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_dates() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc(UNIX_EPOCH + Duration::from_secs(seconds)), date);
        }
    }
}
