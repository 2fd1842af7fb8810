//! Payloads: what is one, what it counts for, and when two are the same.

use readywire_protocol::frame::ServerFrame;
use readywire_protocol::json::Payload;
use std::hash::{DefaultHasher, Hash, Hasher};

fn text(json: &str) -> Payload {
    Payload::parse(json).expect("JSON")
}

fn hashed(payload: &Payload) -> u64 {
    let mut hasher = DefaultHasher::new();
    payload.hash(&mut hasher);
    hasher.finish()
}

#[test]
fn a_number_has_digits() {
    for broken in ["-", "1.", "1e", "1e+", "1.e1", ".1", "+1", "01", "-a"] {
        assert!(Payload::parse(broken).is_err(), "{broken}");
    }
    for whole in ["-1", "1.0", "1e1", "1E+1", "0.5e-3", "-0"] {
        assert!(Payload::parse(whole).is_ok(), "{whole}");
    }
}

#[test]
fn it_counts_for_its_text_or_its_bytes() {
    assert_eq!(text(r#""é""#).size(), 4);
    assert_eq!(Payload::from(vec![0; 7]).size(), 7);
    assert_eq!(Payload::from(Vec::new()).size(), 0);
}

#[test]
fn two_are_the_same_if_they_say_the_same() {
    let kinds = [text("1"), text("2"), text("\"1\""), vec![1].into(), vec![2].into(), Vec::new().into()];
    for (left, one) in kinds.iter().enumerate() {
        for (right, other) in kinds.iter().enumerate() {
            assert_eq!(one == other, left == right, "{one:?} {other:?}");
            assert_eq!(hashed(one) == hashed(other), left == right, "{one:?} {other:?}");
        }
    }
}

#[test]
fn it_is_shown_by_its_text_or_by_how_much_it_is() {
    assert_eq!(format!("{:?} {:?}", text("[1]"), Payload::from(vec![1, 2, 3])), "Payload([1]) Payload(3 bytes)");
}

/// Only what has to be escaped is.
#[test]
fn a_string_is_written_as_it_is_read() {
    let ping = |nonce: &str| ServerFrame::Ping { nonce: nonce.to_owned() }.encode();
    assert_eq!(ping(" !/é\u{7f}"), "{\"type\":\"ping\",\"nonce\":\" !/é\u{7f}\"}");
    assert_eq!(ping("\u{1f}\u{0}\n\"\\"), r#"{"type":"ping","nonce":"\u001f\u0000\n\"\\"}"#);
}

#[test]
fn a_pair_of_escapes_is_one_character() {
    let nonce = |escaped: &str| match ServerFrame::decode(&format!(r#"{{"type":"ping","nonce":"{escaped}"}}"#)) {
        Ok(ServerFrame::Ping { nonce }) => Some(nonce),
        _ => None,
    };
    for (escaped, character) in [
        (r"\ud800\udc00", '\u{10000}'),
        (r"\ud83d\ude00", '😀'),
        (r"\udbff\udfff", '\u{10ffff}'),
        (r"\uD834\uDD1E", '\u{1d11e}'),
    ] {
        assert_eq!(nonce(escaped), Some(character.to_string()), "{escaped}");
    }
    for half in [r"\ud800", r"\udc00", r"\ud800\u0041", r"\ud800A", r"\ud800\ud800", r"\ud800\n"] {
        assert_eq!(nonce(half), None, "{half}");
    }
}
