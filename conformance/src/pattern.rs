//! What frames and reports are held against.
//!
//! A table matches an object that has its members, whatever else the object has; an array matches one of the same length;
//! anything else matches what equals it. Strings in angle brackets are patterns: `<any>`, `<string>`, `<integer>`,
//! `<boolean>`, `<array>`, `<object>`, `<null>`, `<absent>`, `<false or absent>`, `<empty or absent>`, `<below 10>`,
//! `<above 10>`, `<from 10 to 20>`, `<one of a b c>`, `<contains some words>`, `<begins some words>`, `<without some
//! words>`, `<first member name>` of a text, `<other than this>`, `<longer than 10>`, `<all of a b c>` of an array that has
//! just these texts, in any order. Any of them may end in ` as name`, which keeps the value; `${name}` stands for a kept
//! value, in patterns and in what is sent.

use crate::amount::Amount;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The name under which a case of several alike keeps what is its own.
const EACH: &str = "each";

/// Kept values, by name.
pub type Kept = BTreeMap<String, Value>;

/// Holds `found` against `pattern`, and keeps what it asks to.
///
/// # Errors
/// Where and how they differ.
pub fn matches(pattern: &Value, found: Option<&Value>, kept: &mut Kept) -> Result<(), String> {
    let mut news = kept.clone();
    compare(pattern, found, &mut news, "")?;
    *kept = news;
    Ok(())
}

/// How many members of an object are there and as a pattern has them. What has to be absent, and is, counts for nothing.
pub fn alike(pattern: &Value, found: &Value, kept: &Kept) -> usize {
    let (Value::Object(members), Value::Object(object)) = (pattern, found) else { return 0 };
    let fits = |(name, pattern): &(&String, &Value)| {
        object.get(*name).is_some_and(|value| matches(pattern, Some(value), &mut kept.clone()).is_ok())
    };
    members.iter().filter(fits).count()
}

/// Puts kept values in place of `${name}`; `<null>` stands for null, which TOML cannot say.
///
/// # Errors
/// Nothing is kept under the name.
pub fn filled(value: &Value, kept: &Kept) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) if text == "<null>" => Value::Null,
        Value::String(text) => fill(text, kept)?,
        Value::Array(values) => Value::Array(values.iter().map(|value| filled(value, kept)).collect::<Result<_, _>>()?),
        Value::Object(members) => {
            let mut object = Map::new();
            for (name, value) in members {
                object.insert(name.clone(), filled(value, kept)?);
            }
            Value::Object(object)
        }
        other => other.clone(),
    })
}

/// Characters of a kept value that are shown in place of its name.
const SPELLED: usize = 100;

/// Words about a case, with kept values in place of their names, as far as they are short and no secret.
pub fn spelled(words: &str, kept: &Kept) -> String {
    let mut result = words.to_owned();
    // A kept value may name another one.
    for _ in 0..2 {
        let public = |(name, _): &(&String, &Value)| !name.contains("token") && !name.contains("hello");
        for (name, value) in kept.iter().filter(public) {
            let plain = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            if plain.len() <= SPELLED {
                // Where the name is all of a string, it stands for the value itself.
                result = result.replace(&format!("\"${{{name}}}\""), &value.to_string());
                result = result.replace(&format!("${{{name}}}"), &plain);
            }
        }
    }
    result
}

/// A text in which kept values are put in place; a text that is nothing but one stands for the value itself.
fn fill(text: &str, kept: &Kept) -> Result<Value, String> {
    let lookup = |name: &str| {
        let value = kept.get(name).ok_or_else(|| format!("nothing is kept under `{name}`"))?;
        match value {
            // Written in the case like the text around it, and so may name what is kept; nothing else may.
            Value::String(written) if name == EACH && written.contains("${") && !written.contains("${each") => {
                fill(written, kept)
            }
            value => Ok(value.clone()),
        }
    };
    if let Some(name) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'))
        && !name.contains("${")
    {
        return lookup(name);
    }
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').ok_or_else(|| format!("`{text}` has no end of `${{`"))?;
        result.push_str(before);
        match lookup(name)? {
            Value::String(value) => result.push_str(&value),
            value => result.push_str(&value.to_string()),
        }
        rest = after;
    }
    result.push_str(rest);
    Ok(Value::String(result))
}

fn compare(pattern: &Value, found: Option<&Value>, kept: &mut Kept, path: &str) -> Result<(), String> {
    let place = if path.is_empty() { "it" } else { path };
    let differs = |expected: &str| {
        let found = found.map_or_else(|| "nothing".to_owned(), Value::to_string);
        Err(format!("{place} is {found}, expected {expected}"))
    };
    match pattern {
        Value::String(text) if text.starts_with('<') && text.ends_with('>') => {
            let inner = &text[1..text.len() - 1];
            let (test, name) = match inner.rsplit_once(" as ") {
                Some((test, name)) => (test, Some(name)),
                None => (inner, None),
            };
            let test = fill(test, kept)?;
            let test = test.as_str().map_or_else(|| test.to_string(), str::to_owned);
            if !special(&test, found)? {
                return differs(&test);
            }
            if let (Some(name), Some(found)) = (name, found) {
                kept.insert(name.to_owned(), found.clone());
            }
            Ok(())
        }
        Value::Object(members) => {
            let Some(Value::Object(object)) = found else { return differs("an object") };
            for (name, pattern) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                compare(pattern, object.get(name), kept, &path)?;
            }
            Ok(())
        }
        Value::Array(patterns) => {
            let Some(Value::Array(values)) = found else { return differs("an array") };
            if values.len() != patterns.len() {
                return differs(&format!("{} elements", patterns.len()));
            }
            for (index, (pattern, value)) in patterns.iter().zip(values).enumerate() {
                compare(pattern, Some(value), kept, &format!("{path}[{index}]"))?;
            }
            Ok(())
        }
        other => {
            let expected = filled(other, kept)?;
            if found == Some(&expected) || same_number(found, &expected) {
                Ok(())
            } else {
                differs(&expected.to_string())
            }
        }
    }
}

fn same_number(found: Option<&Value>, expected: &Value) -> bool {
    matches!((found.and_then(Value::as_f64), expected.as_f64()), (Some(found), Some(expected)) if found == expected)
}

fn special(test: &str, found: Option<&Value>) -> Result<bool, String> {
    let integer = found.and_then(Value::as_u64);
    let bound =
        |text: &str| Amount::Sum(text.to_owned()).of(&Kept::new()).map_err(|_| format!("`<{test}>` needs a number"));
    Ok(match test {
        "any" => found.is_some(),
        "string" => found.is_some_and(Value::is_string),
        "integer" => integer.is_some(),
        "boolean" => found.is_some_and(Value::is_boolean),
        "array" => found.is_some_and(Value::is_array),
        "object" => found.is_some_and(Value::is_object),
        "null" => found.is_some_and(Value::is_null),
        "absent" => found.is_none_or(Value::is_null),
        "false or absent" => found.is_none_or(|value| value.is_null() || value == &Value::Bool(false)),
        "empty or absent" => found.is_none_or(|value| {
            value.is_null() || value.as_array().is_some_and(Vec::is_empty) || value.as_str().is_some_and(str::is_empty)
        }),
        _ => {
            if let Some(limit) = test.strip_prefix("below ") {
                let limit = bound(limit)?;
                integer.is_some_and(|value| value < limit)
            } else if let Some(limit) = test.strip_prefix("above ") {
                let limit = bound(limit)?;
                integer.is_some_and(|value| value > limit)
            } else if let Some((from, to)) = test.strip_prefix("from ").and_then(|rest| rest.split_once(" to ")) {
                let range = bound(from)?..=bound(to)?;
                integer.is_some_and(|value| range.contains(&value))
            } else if let Some(words) = test.strip_prefix("begins ") {
                found.and_then(Value::as_str).is_some_and(|text| text.starts_with(words))
            } else if let Some(name) = test.strip_prefix("first member ") {
                found.and_then(Value::as_str).and_then(first_member).is_some_and(|first| first == name)
            } else if let Some(words) = test.strip_prefix("one of ") {
                // What is absent counts as null, as everywhere in the protocol (clause `frame.field`).
                let value = found.unwrap_or(&Value::Null);
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                words.split_whitespace().any(|word| word == text)
            } else if let Some(words) = test.strip_prefix("all of ") {
                let mut wanted: Vec<&str> = words.split_whitespace().collect();
                wanted.sort_unstable();
                let found = found.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                let mut texts: Vec<&str> = found.iter().filter_map(Value::as_str).collect();
                texts.sort_unstable();
                texts.len() == found.len() && texts == wanted
            } else if let Some(length) = test.strip_prefix("longer than ") {
                let length = bound(length)?;
                found.and_then(Value::as_str).is_some_and(|text| text.len() as u64 > length)
            } else if let Some(other) = test.strip_prefix("other than ") {
                found.is_some_and(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned) != other)
            } else if let Some(words) = test.strip_prefix("without ") {
                found.is_none_or(|value| match value {
                    Value::Null => true,
                    Value::Array(values) => values.iter().all(|value| value.as_str() != Some(words)),
                    value => value.as_str().is_some_and(|text| !text.contains(words)),
                })
            } else if let Some(words) = test.strip_prefix("contains ") {
                found.is_some_and(|value| match value {
                    Value::Array(values) => values.iter().any(|value| value.as_str() == Some(words)),
                    value => value.as_str().is_some_and(|text| text.contains(words)),
                })
            } else {
                return Err(format!("`<{test}>` is no pattern"));
            }
        }
    })
}

/// The first key in the text of an object, wherever its white space stands.
fn first_member(text: &str) -> Option<String> {
    let members = text.trim_start().strip_prefix('{')?;
    serde_json::Deserializer::from_str(members).into_iter::<String>().next()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(pattern: Value, found: Value) -> Result<Kept, String> {
        let mut kept = Kept::from([("known".to_owned(), json!(7))]);
        matches(&pattern, Some(&found), &mut kept).map(|()| kept)
    }

    #[test]
    fn members_that_are_not_named_do_not_matter() {
        check(json!({"a": 1}), json!({"a": 1, "b": 2})).unwrap();
        let error = check(json!({"a": {"b": 1}}), json!({"a": {"b": 2}})).unwrap_err();
        assert_eq!(error, "a.b is 2, expected 1");
    }

    #[test]
    fn patterns_are_told_apart() {
        check(
            json!(["<string>", "<integer>", "<above 2>", "<one of x y>", "<contains lo w>"]),
            json!(["", 0, 3, "y", "hello world"]),
        )
        .unwrap();
        assert!(check(json!({"a": "<absent>"}), json!({"a": 1})).is_err());
        check(json!({"a": "<one of 0 null>"}), json!({})).unwrap();
        assert!(check(json!({"a": "<one of 0 1>"}), json!({})).is_err());
        check(json!({"a": "<absent>", "b": "<false or absent>"}), json!({"a": null, "b": false})).unwrap();
        assert!(check(json!("<below 3>"), json!(3)).is_err());
        check(json!(["<from 2 to 3>", "<above ${known}>", "<begins he>"]), json!([3, 8, "hello"])).unwrap();
        check(json!("<below ${known} + 2>"), json!(8)).unwrap();
        check(json!(["<other than 4>", "<without lo>", "<longer than 4>"]), json!([3, "help", "hello"])).unwrap();
        assert!(check(json!("<other than ${known}>"), json!(7)).is_err());
        assert!(check(json!("<without lo>"), json!("hello")).is_err());
        check(json!({"a": "<without lo>", "b": "<without lo>"}), json!({"b": null})).unwrap();
        assert!(check(json!("<longer than 5>"), json!("hello")).is_err());
        assert!(check(json!("<from 2 to 3>"), json!(4)).is_err());
        assert!(check(json!("<above ${known}>"), json!(7)).is_err());
        check(json!(["<all of a b>", "<all of a a>"]), json!([["b", "a"], ["a", "a"]])).unwrap();
        for other in [json!(["a"]), json!(["a", "b", "b"]), json!(["a", "b", 1]), json!("a b"), json!(null)] {
            assert!(check(json!("<all of a b>"), other).is_err());
        }
        check(json!("<first member type>"), json!(" { \"type\" : \"ping\", \"nonce\": 1 }")).unwrap();
        assert!(check(json!("<first member type>"), json!("{\"nonce\":\"type\"}")).is_err());
        assert!(check(json!("<nonsense>"), json!(3)).is_err());
    }

    #[test]
    fn values_are_kept_and_put_in_place() {
        let kept = check(json!({"a": "<integer as number>", "b": "${known}"}), json!({"a": 5, "b": 7})).unwrap();
        let sent = filled(&json!({"a": "${number}", "b": "n ${number}", "c": "<null>"}), &kept).unwrap();
        assert_eq!(sent, json!({"a": 5, "b": "n 5", "c": null}));
        assert!(filled(&json!("${unknown}"), &kept).is_err());
    }

    #[test]
    fn only_what_the_case_itself_says_is_filled_once_more() {
        let kept = Kept::from([
            ("each".to_owned(), json!("<${other}>")),
            ("other".to_owned(), json!("${each}")),
            ("url".to_owned(), json!("u")),
        ]);
        assert_eq!(filled(&json!("a ${each} b"), &kept), Ok(json!("a <${each}> b")));
    }

    #[test]
    fn what_was_wanted_is_told_with_its_values() {
        let kept = Kept::from([
            ("each".to_owned(), json!([1.5, "a"])),
            ("id".to_owned(), json!(7)),
            ("session_token".to_owned(), json!("secret")),
            ("long".to_owned(), json!("x".repeat(SPELLED + 1))),
        ]);
        let words = r#"read until {"id":"${id}","payload":"${each}"} <above ${id}> ${long} ${session_token}"#;
        let told = r#"read until {"id":7,"payload":[1.5,"a"]} <above 7> ${long} ${session_token}"#;
        assert_eq!(spelled(words, &kept), told);
    }

    #[test]
    fn what_does_not_match_keeps_nothing() {
        let mut kept = Kept::new();
        let pattern = json!({"a": "<any as kept>", "b": 1});
        matches(&pattern, Some(&json!({"a": 1, "b": 2})), &mut kept).unwrap_err();
        assert!(kept.is_empty());
    }
}
