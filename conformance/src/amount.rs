//! A number of a case, which may depend on what is kept: `5`, `"${max_in_flight}"`, `"${session_ttl_ms} / 2 + 100"`.

use crate::pattern::Kept;
use serde::Deserialize;
use serde_json::Value;
use std::fmt;

/// A number, or a sum of numbers and kept values, each of which may be divided.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Amount {
    /// Known beforehand.
    Number(u64),
    /// Known when it is needed.
    Sum(String),
}

impl Amount {
    /// How much it is.
    ///
    /// # Errors
    /// It is no sum, or nothing is kept under a name.
    pub fn of(&self, kept: &Kept) -> Result<u64, String> {
        match self {
            Self::Number(number) => Ok(*number),
            Self::Sum(text) => {
                let terms = text.split('+').map(|term| quotient(term, kept));
                terms.sum::<Option<u64>>().ok_or_else(|| format!("`{text}` is no amount here"))
            }
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(formatter, "{number}"),
            Self::Sum(text) => formatter.write_str(text),
        }
    }
}

fn quotient(term: &str, kept: &Kept) -> Option<u64> {
    match term.split_once('/') {
        None => number(term, kept),
        Some((term, divisor)) => number(term, kept)?.checked_div(number(divisor, kept)?),
    }
}

fn number(text: &str, kept: &Kept) -> Option<u64> {
    let text = text.trim();
    match text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
        Some(name) => kept.get(name).and_then(Value::as_u64),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sums_and_quotients_of_kept_values() {
        let kept = Kept::from([("ttl".to_owned(), json!(3000)), ("word".to_owned(), json!("x"))]);
        let of = |text: &str| Amount::Sum(text.to_owned()).of(&kept);
        assert_eq!(of("${ttl} / 2 + 100"), Ok(1600));
        assert_eq!(of("7"), Ok(7));
        assert_eq!(Amount::Number(3).of(&kept), Ok(3));
        for wrong in ["${none}", "${word}", "", "1 / 0", "-1"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
