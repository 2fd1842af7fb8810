//! Cases that are known to fail, each with its reason: `clause/slug  why`, one on a line; `*` stands for any text.

use crate::verdict::{Judged, Verdict};

/// A line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pattern: String,
    /// Why it is expected to fail.
    pub reason: String,
}

/// Reads a list. Lines that are empty or begin with `#` do not count.
///
/// # Errors
/// A line has no reason.
pub fn parse(text: &str) -> Result<Vec<Known>, String> {
    let mut list = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (pattern, reason) = line
            .split_once(char::is_whitespace)
            .ok_or_else(|| format!("line {}: `{line}` gives no reason after the case", index + 1))?;
        list.push(Known { pattern: pattern.to_owned(), reason: reason.trim().to_owned() });
    }
    Ok(list)
}

impl Known {
    /// Whether it names this case.
    pub fn names(&self, id: &str) -> bool {
        glob(&self.pattern, id)
    }
}

/// Why the case is expected to fail, if the list names it.
pub fn reason<'a>(list: &'a [Known], id: &str) -> Option<&'a str> {
    list.iter().find(|known| known.names(id)).map(|known| known.reason.as_str())
}

/// What is wrong with the list itself: a listed case that passes, a pattern that names nothing.
pub fn mistakes(list: &[Known], judged: &[Judged]) -> Vec<String> {
    let mut mistakes = Vec::new();
    for known in list {
        let mut named = judged.iter().filter(|one| known.names(&one.case.id)).peekable();
        if named.peek().is_none() {
            mistakes.push(format!("`{}` in the list of known failures names no case", known.pattern));
        }
        for one in named.filter(|one| one.verdict == Verdict::Pass) {
            mistakes.push(format!("{} is listed as failing ({}), and passes", one.case.id, known.reason));
        }
    }
    mistakes
}

/// Whether a text fits a pattern in which `*` stands for any text.
pub fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).filter(|at| rest.is_char_boundary(*at)).any(|at| glob(after, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_needs_a_reason() {
        let list = parse("# comment\n\nstage.order/x  our parser is old\n").unwrap();
        assert_eq!(list.len(), 1);
        assert!(list[0].names("stage.order/x") && !list[0].names("stage.order/xy"));
        assert!(parse("stage.order/x").unwrap_err().contains("line 1"));
    }

    #[test]
    fn stars_stand_for_any_text() {
        assert!(glob("stage.*/a*", "stage.order/abc"));
        assert!(!glob("stage.*", "ready.gate/x"));
        assert!(glob("*", ""));
    }
}
