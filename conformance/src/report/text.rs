//! The report on a terminal: quiet when green, and everything about what is not.

use crate::log::Origin;
use crate::verdict::{Counts, Judged, Verdict};
use std::fmt::Write as _;

/// Lines of a transcript that are shown, from its beginning and from its end.
const FIRST_LINES: usize = 12;
const LAST_LINES: usize = 30;

/// What went wrong with one case: what was done, the rule, expected, actual, and the frames.
pub fn problem(judged: &Judged) -> String {
    let case = &judged.case;
    let mut text = format!("{} {}\n", judged.verdict.word().to_uppercase(), case.id);
    let _ = writeln!(text, "  case      {}", case.does);
    let _ = writeln!(
        text,
        "  rule      {} ({}, {}): {}",
        case.clause.id(),
        case.strength().name(),
        case.clause.side().name(),
        case.clause.text()
    );
    if let Some(reason) = &judged.reason {
        let _ = writeln!(text, "  reason    {reason}");
    }
    let Some(played) = &judged.played else { return text };
    if let (Some(step), Some(doing)) = (played.step, &played.doing) {
        let _ = writeln!(text, "  at step   {step}: {doing}");
    }
    if let Some(expected) = &played.expected {
        let _ = writeln!(text, "  expected  {expected}");
    }
    if let Some(actual) = &played.actual {
        let _ = writeln!(text, "  actual    {}", printable(actual));
    }
    let several = played.lines.iter().any(|line| line.connection != "main");
    let left_out = played.lines.len().saturating_sub(FIRST_LINES + LAST_LINES);
    for (index, line) in played.lines.iter().enumerate() {
        if left_out > 0 && index == FIRST_LINES {
            let _ = writeln!(text, "  … {left_out} lines; the report by --json has them …");
        }
        if (FIRST_LINES..FIRST_LINES + left_out).contains(&index) {
            continue;
        }
        let arrow = match line.origin {
            Origin::Suite => "-->",
            Origin::Peer => "<--",
            Origin::Order => "==>",
            Origin::Report => "<==",
        };
        let connection = if several { format!("[{}] ", line.connection) } else { String::new() };
        let _ = writeln!(text, "  {:>7} ms {arrow} {connection}{}", line.at, printable(&line.text));
    }
    text
}

/// What a peer wrote, without anything that a terminal would obey.
fn printable(text: &str) -> String {
    text.chars().fold(String::new(), |mut shown, character| {
        if character.is_control() {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
        shown
    })
}

/// Whether there is nothing to show but a reason, which the summary gives for all that share it.
pub fn not_played(judged: &Judged) -> bool {
    judged.played.is_none()
}

/// The last lines of a run, in which `known` cases failed that were listed.
pub fn summary(name: &str, judged: &[Judged], known: usize, took: std::time::Duration) -> String {
    let Counts { pass, non_strict, fail, unsupported, not_run } = Counts::of(judged.iter().map(|one| one.verdict));
    let mut text = String::new();
    let mut reasons: Vec<(Verdict, &str, usize)> = Vec::new();
    for one in judged.iter().filter(|one| not_played(one)) {
        let reason = one.reason.as_deref().unwrap_or_default();
        match reasons.iter_mut().find(|(verdict, known, _)| (*verdict, *known) == (one.verdict, reason)) {
            Some((_, _, count)) => *count += 1,
            None => reasons.push((one.verdict, reason, 1)),
        }
    }
    for (verdict, reason, count) in reasons {
        let _ = writeln!(text, "{}: {count} {}, {reason}", verdict.word(), if count == 1 { "case" } else { "cases" });
    }
    let excused = if known > 0 { format!(" ({known} of them known to fail)") } else { String::new() };
    let _ = writeln!(
        text,
        "{name}: {pass} passed, {fail} failed{excused}, {non_strict} non-strict, {unsupported} unsupported, \
         {not_run} not run, in {:.1} s",
        took.as_secs_f64()
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_that_it_would_obey() {
        assert_eq!(printable("a\u{1b}[31m\0 ü"), "a\\u{1b}[31m\\u{0} ü");
    }
}
