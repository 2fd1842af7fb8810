//! JSON texts as nobody would write them, and texts that are almost JSON.

use proptest::collection::vec;
use proptest::prelude::*;
use std::fmt::Write as _;

fn space() -> impl Strategy<Value = String> {
    prop_oneof![6 => Just(String::new()), 1 => "[ \t\r\n]{1,3}"]
}

/// A number, written in any way that there is.
pub(crate) fn number() -> impl Strategy<Value = String> {
    "-?(0|[1-9][0-9]{0,18})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,3})?"
}

/// A character, as itself or escaped in one of the ways that there are. Half surrogates come by chance.
fn character() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => any::<char>().prop_filter("must be escaped", |letter| *letter >= ' ' && *letter != '"' && *letter != '\\')
            .prop_map(String::from),
        2 => prop::sample::select(vec!["\\\"", "\\\\", "\\/", "\\b", "\\f", "\\n", "\\r", "\\t"]).prop_map(String::from),
        2 => any::<u16>().prop_map(|unit| format!("\\u{unit:04x}")),
        1 => any::<char>().prop_map(|letter| {
            letter.encode_utf16(&mut [0; 2]).iter().fold(String::new(), |mut text, unit| {
                let _ = write!(text, "\\u{unit:04X}");
                text
            })
        }),
        1 => prop::sample::select(vec!["\\ud800", "\\udbff", "\\udc00", "\\udfff"]).prop_map(String::from),
    ]
}

pub(crate) fn string() -> impl Strategy<Value = String> {
    vec(character(), 0..8).prop_map(|characters| format!("\"{}\"", characters.concat()))
}

/// Keys that repeat now and then, sometimes under another spelling.
fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![r#""a""#, r#""b""#, r#""\u0061""#, r#""""#]).prop_map(String::from),
        2 => string(),
    ]
}

fn surrounded(open: char, inside: Vec<String>, close: char, space: &str) -> String {
    format!("{open}{space}{}{space}{close}", inside.join(&format!("{space},{space}")))
}

pub(crate) fn object_of(value: impl Strategy<Value = String>, members: usize) -> impl Strategy<Value = String> {
    (vec((key(), value), 0..members), space()).prop_map(|(members, space)| {
        let members = members.into_iter().map(|(key, value)| format!("{key}{space}:{space}{value}")).collect();
        surrounded('{', members, '}', &space)
    })
}

/// A JSON value.
pub(crate) fn value(depth: u32) -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(vec!["null", "true", "false", "0", "-0", "[]", "{}"]).prop_map(String::from),
        number(),
        string(),
    ];
    leaf.prop_recursive(depth, 24, 5, |inner| {
        prop_oneof![
            (vec(inner.clone(), 0..5), space()).prop_map(|(inside, space)| surrounded('[', inside, ']', &space)),
            object_of(inner, 5),
        ]
    })
}

/// A value that nests as deep as the limit, or about.
pub(crate) fn deep() -> impl Strategy<Value = String> {
    (55..70usize, any::<u64>(), value(2)).prop_map(|(depth, kinds, inside)| {
        let kind = |level: usize| kinds >> (level % 64) & 1 == 0;
        let open = |level| if kind(level) { "[" } else { "{\"a\":" };
        let close = |level| if kind(level) { "]" } else { "}" };
        let opened: String = (0..depth).map(open).collect();
        let closed: String = (0..depth).rev().map(close).collect();
        format!("{opened}{inside}{closed}")
    })
}

/// One thing wrong with a text, somewhere, or several.
pub(crate) fn broken(text: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let wound = (any::<prop::sample::Index>(), 0..6u8, any::<char>(), prop::sample::select(PIECES.to_vec()));
    (text, vec(wound, 1..4)).prop_map(|(text, wounds)| {
        let mut letters: Vec<char> = text.chars().collect();
        for (at, kind, letter, piece) in wounds {
            if letters.is_empty() {
                break;
            }
            let at = at.index(letters.len());
            match kind {
                0 => drop(letters.remove(at)),
                1 => letters[at] = letter,
                2 => drop(letters.splice(at..at, piece.chars())),
                3 | 4 => {
                    // What holds the text together, somewhere behind.
                    let mark = letters[at..].iter().position(|letter| ",:\"\\{}[]".contains(*letter));
                    if let Some(mark) = mark {
                        letters.remove(at + mark);
                    }
                }
                _ => letters.truncate(at),
            }
        }
        letters.into_iter().collect()
    })
}

const PIECES: &[&str] = &[
    ",", ":", "\"", "\\", "{", "}", "[", "]", "0", "-", "+", ".", "e", "E5", "\\u", "\\ud800", "\\x", "\u{0}", "\n",
    " ", "nul", "true", "1.", "01", "//", "\u{feff}", "\u{a0}", "\"a\":1,", "é",
];

/// Tokens of JSON in any order.
pub(crate) fn soup() -> impl Strategy<Value = String> {
    vec(prop::sample::select(PIECES.to_vec()), 0..20).prop_map(|pieces| pieces.concat())
}
