//! The report for continuous integration, as JUnit's XML.

use super::text;
use crate::known::{self, Known};
use crate::verdict::{Counts, Judged, Verdict};
use std::fmt::Write as _;

/// One run as JUnit's XML. What was known to fail is skipped: it fails nothing, here as in the exit code.
pub fn run(name: &str, judged: &[Judged], listed: &[Known], took: std::time::Duration) -> String {
    let excused = |one: &Judged| known::reason(listed, &one.case.id).filter(|_| one.verdict != Verdict::Pass);
    let counts = Counts::of(judged.iter().map(|one| match excused(one) {
        Some(_) => Verdict::Unsupported,
        None => one.verdict,
    }));
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        xml,
        "<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{:.3}\">",
        escaped(name),
        judged.len(),
        counts.fail,
        counts.not_run,
        counts.unsupported + counts.non_strict,
        took.as_secs_f64()
    );
    for one in judged {
        let seconds = one.played.as_ref().map_or(0.0, |played| played.took as f64 / 1000.0);
        let _ = write!(
            xml,
            "  <testcase classname=\"{}\" name=\"{}\" time=\"{seconds:.3}\"",
            escaped(one.case.clause.id()),
            escaped(&one.case.id)
        );
        let excused = excused(one);
        let element = match one.verdict {
            Verdict::Pass => {
                xml.push_str("/>\n");
                continue;
            }
            _ if excused.is_some() => "skipped",
            Verdict::Fail => "failure",
            Verdict::NotRun => "error",
            Verdict::Unsupported | Verdict::NonStrict => "skipped",
        };
        let played = one.played.as_ref();
        let message = excused.map(|reason| format!("known to fail: {reason}"));
        let message = message.or_else(|| played?.actual.clone()).or_else(|| one.reason.clone()).unwrap_or_default();
        let _ = writeln!(
            xml,
            "><{element} message=\"{}\">{}</{element}></testcase>",
            escaped(&message),
            escaped(&text::problem(one))
        );
    }
    xml.push_str("</testsuite>\n");
    xml
}

/// Text for XML 1.0, which has no way to say most control characters.
fn escaped(text: &str) -> String {
    let mut result = String::new();
    for character in text.chars() {
        match character {
            '<' => result.push_str("&lt;"),
            '>' => result.push_str("&gt;"),
            '&' => result.push_str("&amp;"),
            '"' => result.push_str("&quot;"),
            '\n' | '\t' => result.push(character),
            control if control < ' ' => result.push('\u{fffd}'),
            '\u{fffe}' | '\u{ffff}' => result.push('\u{fffd}'),
            other => result.push(other),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_breaks_the_markup() {
        assert_eq!(super::escaped("<a b=\"c\">&\u{1}"), "&lt;a b=&quot;c&quot;&gt;&amp;\u{fffd}");
    }
}
