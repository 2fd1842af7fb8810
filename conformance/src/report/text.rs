//! The report on a terminal: quiet when green, and everything about what is not.

use super::hint::Hint;
use crate::log::Origin;
use crate::verdict::{Counts, Judged, Verdict};
use readywire_protocol::clause::Clause;
use std::fmt::Write as _;

/// Lines of a transcript that are shown, from its beginning and from its end.
const FIRST_LINES: usize = 12;
const LAST_LINES: usize = 30;

/// Characters in a line of names.
const WIDTH: usize = 118;

/// What went wrong with each of these, and of those that are alike only one in full: the others are named below it.
pub fn problems(judged: &[&Judged]) -> Vec<String> {
    let mut groups: Vec<(Alike, Vec<&Judged>)> = Vec::new();
    for one in judged {
        let alike = Alike::of(one);
        match groups.iter_mut().find(|(known, _)| *known == alike) {
            Some((_, group)) => group.push(one),
            None => groups.push((alike, vec![one])),
        }
    }
    groups.iter().filter_map(|(_, group)| group.split_first()).map(|(first, rest)| block(first, rest)).collect()
}

/// What makes two failures the same one.
#[derive(PartialEq, Eq)]
enum Alike {
    /// One cause, whatever rule it shows at.
    Hint(Verdict, Hint),
    /// One rule, and the same words, numbers aside.
    Words(Verdict, Clause, [String; 4]),
}

impl Alike {
    fn of(judged: &Judged) -> Self {
        if let Some(hint) = Hint::of(judged) {
            return Self::Hint(judged.verdict, hint);
        }
        let played = judged.played.as_ref();
        let words = [
            played.and_then(|played| played.expected.as_deref()),
            played.and_then(|played| played.actual.as_deref()),
            played.and_then(|played| played.nearest.as_deref()),
            judged.reason.as_deref(),
        ];
        Self::Words(judged.verdict, judged.case.clause, words.map(|words| shape(words.unwrap_or_default())))
    }
}

/// A text without what differs from run to run: numbers, and ids with digits in them.
fn shape(text: &str) -> String {
    let words = text.split_inclusive(|character: char| !character.is_ascii_alphanumeric());
    words.map(|word| if word.bytes().any(|byte| byte.is_ascii_digit()) { "#" } else { word }).collect()
}

fn block(first: &Judged, rest: &[&Judged]) -> String {
    let mut text = problem(first);
    if rest.is_empty() {
        return text;
    }
    let _ = writeln!(text, "  {} more like it; --case shows one in full:", rest.len());
    let mut line = String::from("   ");
    for one in rest {
        if line.len() > 3 && line.len() + 1 + one.case.id.len() > WIDTH {
            let _ = writeln!(text, "{line}");
            line.truncate(3);
        }
        let _ = write!(line, " {}", one.case.id);
    }
    let _ = writeln!(text, "{line}");
    text
}

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
    if let Some(nearest) = &played.nearest {
        let _ = writeln!(text, "  nearest   {}", printable(nearest));
    }
    if let Some(hint) = Hint::of(judged) {
        let _ = writeln!(text, "  hint      {}", hint.text());
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
    use crate::catalogue;
    use crate::log::Line;
    use crate::play::Played;
    use readywire_protocol::clause::Side;

    /// A case for servers that came to `actual`, with these lines.
    fn failed(id: &str, actual: &str, lines: &[(Origin, &str)]) -> Judged {
        let case =
            catalogue::built_in().expect("cases").into_iter().find(|case| case.id == id && case.side == Side::Server);
        let line = |(origin, text): &(Origin, &str)| Line {
            at: 7,
            connection: "main".to_owned(),
            origin: *origin,
            text: (*text).to_owned(),
        };
        let played = Played {
            step: Some(3),
            doing: Some("expect a close".to_owned()),
            expected: Some("a close with 4400".to_owned()),
            actual: Some(actual.to_owned()),
            lines: lines.iter().map(line).collect(),
            took: 12,
            ..Played::default()
        };
        Judged::of(case.expect("a case"), played)
    }

    #[test]
    fn of_failures_that_are_alike_one_is_shown_in_full() {
        let alike = |id| failed(id, "nothing of it for 5000 ms", &[]);
        let judged = [
            alike("frame.integer/wrong-exponent"),
            alike("frame.integer/wrong-capital-exponent"),
            failed("frame.integer/wrong-negative", "nothing of it for 5001 ms", &[]),
            failed("frame.integer/wrong-leading-zero", "a close frame with 1002", &[]),
            alike("frame.depth/deepest-payload"),
        ];
        let blocks = problems(&judged.iter().collect::<Vec<_>>());
        assert_eq!(blocks.len(), 3, "another end and another rule are not alike: {blocks:#?}");
        let more = "2 more like it; --case shows one in full:\n    frame.integer/wrong-capital-exponent frame.integer/wrong-negative\n";
        assert!(blocks[0].ends_with(more), "{}", blocks[0]);
        assert!(!blocks[1].contains("more like it"), "{}", blocks[1]);
    }

    #[test]
    fn long_lists_of_names_are_broken_into_lines() {
        let first = failed("frame.integer/wrong-negative", "nothing", &[]);
        let rest = vec![&first; 40];
        let block = block(&first, &rest);
        assert!(
            block.lines().skip_while(|line| !line.contains("40 more like it")).skip(1).all(|line| line.len() <= WIDTH)
        );
        assert_eq!(block.matches("frame.integer/wrong-negative").count(), 41);
    }

    #[test]
    fn a_handler_that_throws_is_one_failure_whatever_rule_it_shows_at() {
        let crashed = |id| failed(id, "a close frame with 1011", &[(Origin::Peer, "(close 1011 internal error)")]);
        let judged = [crashed("frame.integer/wrong-negative"), crashed("frame.depth/deepest-payload")];
        let blocks = problems(&judged.iter().collect::<Vec<_>>());
        assert_eq!(blocks.len(), 1, "{blocks:#?}");
        assert!(blocks[0].contains("hint      1011 is how") && blocks[0].contains("--server-log"), "{}", blocks[0]);
    }

    #[test]
    fn an_event_of_the_contract_that_nobody_handles_is_named() {
        let refused = |id, event: &str| {
            let send = format!(r#"{{"type":"send","id":1,"event":"{event}","payload":{{"to":3}},"answer":true}}"#);
            let nack = r#"{"type":"nack","id":1,"code":"unknown_event"}"#;
            problem(&failed(id, "nothing of it", &[(Origin::Suite, send.as_str()), (Origin::Peer, nack)]))
        };
        let counted = refused("answer.end/exactly-once", "count");
        assert!(counted.contains("hint      ") && counted.contains("--lacks count"), "{counted}");
        let echoed = refused("answer.end/exactly-once", "echo");
        assert!(echoed.contains("needs the event `echo`") && !echoed.contains("--lacks"), "{echoed}");
        let unknown = refused("answer.end/exactly-once", "nobody-knows-this");
        assert!(!unknown.contains("hint"), "{unknown}");
        let asked = refused("question.answered/each-to-its-own", "ask");
        assert!(asked.contains("--lacks ask"), "{asked}");
    }

    #[test]
    fn nothing_reaches_the_terminal_that_it_would_obey() {
        assert_eq!(printable("a\u{1b}[31m\0 ü"), "a\\u{1b}[31m\\u{0} ü");
    }
}
