//! Our reader of JSON beside another: it accepts what that accepts, but for the rules that this protocol adds; and it
//! reads the same.

use crate::text;
use proptest::prelude::*;
use readywire_protocol::clause::Clause;
use readywire_protocol::json::{Object, ObjectWriter, Payload};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::HashSet;

/// How deep objects and arrays nest in a text that is JSON.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0usize, 0, false, false);
    for letter in text.chars() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            '[' | '{' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            ']' | '}' if !quoted => depth -= 1,
            _ => {}
        }
    }
    deepest
}

/// The members of an object, by the other reader: keys unescaped, values as texts. `None` where a key cannot be
/// unescaped.
fn members(text: &str) -> Option<Vec<(String, String)>> {
    struct Members(Vec<(String, String)>);
    impl<'de> serde::Deserialize<'de> for Members {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl<'de> serde::de::Visitor<'de> for Visitor {
                type Value = Members;
                fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    formatter.write_str("an object")
                }
                fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                    let mut members = Vec::new();
                    while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
                        members.push((key, value.get().to_owned()));
                    }
                    Ok(Members(members))
                }
            }
            deserializer.deserialize_map(Visitor)
        }
    }
    serde_json::from_str::<Members>(text).ok().map(|members| members.0)
}

fn check_value(text: &str) -> Result<(), TestCaseError> {
    let theirs = serde_json::from_str::<&RawValue>(text);
    let ours = Payload::parse(text);
    match (&theirs, &ours) {
        // A payload is never the frame itself, so it has one level less.
        (Ok(theirs), Ok(ours)) => {
            prop_assert_eq!(Some(theirs.get()), ours.text(), "the same text, byte for byte");
            prop_assert!(depth(text) <= 63, "too deep: {}", text);
        }
        (Ok(_), Err(wrong)) => {
            prop_assert_eq!(wrong.clause, Clause::FrameDepth, "{}: {}", wrong, text);
            prop_assert!(depth(text) > 63, "{}: {}", wrong, text);
        }
        (Err(wrong), Ok(_)) => prop_assert!(false, "accepted, though {}: {}", wrong, text),
        (Err(_), Err(wrong)) => {
            prop_assert!(matches!(wrong.clause, Clause::FrameMalformed | Clause::FrameDepth), "{}: {}", wrong, text);
        }
    }
    Ok(())
}

fn check_object(text: &str) -> Result<(), TestCaseError> {
    let is_json = serde_json::from_str::<&RawValue>(text).is_ok_and(|raw| raw.get().starts_with('{'));
    let theirs = members(text).filter(|_| is_json);
    let allowed = theirs.as_ref().is_some_and(|members| {
        let keys: HashSet<_> = members.iter().map(|(key, _)| key).collect();
        keys.len() == members.len() && members.len() <= 64 && depth(text) <= 64
    });
    let ours = Object::parse(text);
    prop_assert_eq!(ours.is_ok(), allowed, "{:?}: {}", ours.err(), text);
    let (Ok(ours), Some(theirs)) = (ours, theirs) else { return Ok(()) };
    for (key, raw) in &theirs {
        let payload = ours.payload(key).expect("the other has it");
        prop_assert_eq!(payload.text(), Some(raw.as_str()));
        check_field(&ours, key, raw)?;
    }
    prop_assert!(ours.payload("no such member").is_none());
    Ok(())
}

/// Each way to read a field beside the value that the other reader finds there.
fn check_field(ours: &Object<'_>, key: &str, raw: &str) -> Result<(), TestCaseError> {
    let wrong = Clause::FrameField;
    let absent = raw == "null";
    match (ours.string(key), serde_json::from_str::<String>(raw)) {
        (Ok(None), _) => prop_assert!(absent),
        (Ok(Some(ours)), theirs) => prop_assert_eq!(Some(ours.into_owned()), theirs.ok()),
        // A half surrogate is no string for either.
        (Err(error), theirs) if raw.starts_with('"') => {
            prop_assert!(theirs.is_err(), "{}", raw);
            prop_assert_eq!(error.clause, Clause::FrameMalformed);
        }
        (Err(error), _) => prop_assert_eq!(error.clause, wrong),
    }
    let digits = raw.bytes().all(|byte| byte.is_ascii_digit());
    let plain = raw.parse::<u64>().ok().filter(|value| digits && *value < 1 << 53);
    match ours.integer(key) {
        Ok(found) => {
            prop_assert_eq!(found, plain);
            prop_assert!(found.is_some() || absent);
        }
        Err(error) => prop_assert!(plain.is_none() && error.clause == Clause::FrameInteger),
    }
    match ours.boolean(key) {
        Ok(found) => {
            let same = raw == ["false", "true"][usize::from(found)];
            prop_assert!(same || absent && !found);
        }
        Err(error) => prop_assert!(!["true", "false", "null"].contains(&raw) && error.clause == wrong),
    }
    match ours.object(key) {
        Ok(found) => prop_assert_eq!(found.is_some(), raw.starts_with('{')),
        Err(error) if raw.starts_with('{') => prop_assert_ne!(error.clause, wrong),
        Err(error) => prop_assert_eq!(error.clause, wrong),
    }
    let theirs: Option<Vec<Value>> = serde_json::from_str(raw).ok();
    match ours.strings(key) {
        Ok(found) if raw.starts_with('[') => {
            let theirs: Vec<String> = serde_json::from_str(raw).expect("strings");
            prop_assert_eq!(found, theirs);
        }
        Ok(found) => prop_assert!(absent && found.is_empty()),
        Err(_) => prop_assert!(!theirs.is_some_and(|all| all.iter().all(Value::is_string))),
    }
    Ok(())
}

proptest! {
    #![proptest_config(crate::cases())]

    #[test]
    fn what_is_json_is_accepted(text in text::value(4)) {
        prop_assert!(Payload::parse(&text).is_ok(), "{text}");
        check_value(&text)?;
    }

    #[test]
    fn what_is_almost_json_is_what_the_other_reader_says(text in text::broken(text::value(3))) {
        check_value(&text)?;
    }

    #[test]
    fn any_text_is_what_the_other_reader_says(text in prop_oneof![text::soup(), text::number(), any::<String>()]) {
        check_value(&text)?;
        check_object(&text)?;
    }

    #[test]
    fn nothing_nests_deeper_than_the_limit(text in text::deep()) {
        check_value(&text)?;
        check_object(&text)?;
        check_object(&format!(r#"{{"a":{text}}}"#))?;
    }

    #[test]
    fn an_object_is_split_as_the_other_reader_splits_it(text in text::object_of(text::value(3), 6)) {
        check_object(&text)?;
    }

    #[test]
    fn a_broken_object_is_what_the_other_reader_says(text in text::broken(text::object_of(text::value(2), 5))) {
        check_object(&text)?;
    }

    #[test]
    fn an_object_has_so_many_members_and_no_more(count in 55..75usize, space in " ?") {
        let members: Vec<_> = (0..count).map(|index| format!(r#""{index}":{space}{index}"#)).collect();
        let text = format!("{{{}}}", members.join(","));
        check_object(&text)?;
        prop_assert_eq!(Object::parse(&text).is_ok(), count <= 64);
    }

    #[test]
    fn what_is_written_is_what_the_other_reader_reads(text in crate::any::string(), integer in any::<u64>(), flag: bool) {
        let mut writer = ObjectWriter::typed("x");
        writer.string("string", &text);
        writer.integer("integer", integer);
        writer.boolean("boolean", flag);
        writer.flag("flag", flag);
        writer.optional_string("some", Some(&text));
        writer.optional_string("none", None);
        writer.all_strings("strings", &[text.clone(), String::new()]);
        writer.strings("no strings", &[]);
        writer.all_strings("empty", &[]);
        let mut expected = serde_json::json!({
            "type": "x", "string": text, "integer": integer, "boolean": flag, "some": text, "strings": [text, ""], "empty": [],
        });
        if flag {
            expected["flag"] = Value::Bool(true);
        }
        let written = writer.finish();
        prop_assert_eq!(serde_json::from_str::<Value>(&written).expect("JSON"), expected, "{}", written);
        prop_assert!(written.starts_with(r#"{"type":"x""#), "type goes first");
    }
}

#[test]
fn integers_end_at_two_to_the_53rd() {
    for (text, value) in [
        ("0", Some(0)),
        ("9007199254740991", Some((1 << 53) - 1)),
        ("9007199254740992", None),
        ("9999999999999999", None),
        ("10000000000000000", None),
        ("18446744073709551615", None),
        ("99999999999999999999999999", None),
        ("-0", None),
        ("-1", None),
        ("1.0", None),
        ("1e0", None),
        ("\"1\"", None),
        ("true", None),
        ("[1]", None),
    ] {
        let object = format!(r#"{{"a":{text}}}"#);
        assert_eq!(Object::parse(&object).expect("JSON").integer("a").ok().flatten(), value, "{text}");
    }
}
