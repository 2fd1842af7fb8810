//! Just enough JSON for frames: an object is split into its members, payloads stay the text they are.
//!
//! A frame has a handful of members and one payload that nobody here looks into; a general parser would build trees
//! that are thrown away, and would be most of the browser bundle. Everything is validated against RFC 8259, with the
//! clauses `frame.malformed`, `frame.depth`, `frame.duplicate_key` and `frame.integer` on top.

mod payload;
mod scanner;
mod writer;

pub use payload::Payload;
pub use writer::ObjectWriter;

use crate::clause::Clause;
use crate::error::PeerMisbehaved;
use crate::text::joined;
use scanner::Scanner;
use std::borrow::Cow;
use std::str::Chars;

/// The deepest nesting a frame may have (clause `frame.depth`).
pub const MAX_DEPTH: usize = 64;
/// The most members an object that the protocol defines may have (clause `frame.malformed`).
pub const MAX_MEMBERS: usize = 64;
/// The first integer that is too large (clause `frame.integer`).
pub const INTEGER_END: u64 = 1 << 53;

/// The members of one JSON object, in their order.
#[derive(Clone, Debug, Default)]
pub struct Object<'a> {
    members: Vec<(Cow<'a, str>, &'a str)>,
}

#[inline(always)] // As `PeerMisbehaved::new`.
fn wrong(clause: Clause, found: impl Into<String>) -> PeerMisbehaved {
    PeerMisbehaved::new(clause, found)
}

/// A member that does not hold what it should.
#[inline(always)]
fn unfit(clause: Clause, name: &str, how: &str) -> PeerMisbehaved {
    wrong(clause, joined(&["`", name, how]))
}

fn begins(raw: &str, first: u8) -> bool {
    raw.as_bytes().first() == Some(&first)
}

impl<'a> Object<'a> {
    /// Splits a text that is one JSON object.
    ///
    /// # Errors
    /// The clause that the text breaks, and where.
    pub fn parse(text: &'a str) -> Result<Self, PeerMisbehaved> {
        let mut scanner = Scanner { text, at: 0 };
        scanner.space();
        let object = scanner.object(1)?;
        scanner.end()?;
        Ok(object)
    }

    fn nested(text: &'a str) -> Result<Self, PeerMisbehaved> {
        Scanner { text, at: 0 }.object(2)
    }

    /// The member's JSON text; `null` counts as absent, except for payloads.
    fn member(&self, name: &str) -> Option<&'a str> {
        self.members.iter().find(|(key, _)| key == name).map(|(_, raw)| *raw)
    }

    fn present(&self, name: &str) -> Option<&'a str> {
        self.member(name).filter(|raw| *raw != "null")
    }

    /// A string member.
    ///
    /// # Errors
    /// `frame.field` if it is there and no string.
    pub fn string(&self, name: &str) -> Result<Option<Cow<'a, str>>, PeerMisbehaved> {
        match self.beginning(name, b'"', "` is not a string")? {
            Some(raw) => unescape(raw).map(Some),
            None => Ok(None),
        }
    }

    /// An integer member: plain digits, below 2^53.
    ///
    /// # Errors
    /// `frame.integer` if it is there and no such integer.
    pub fn integer(&self, name: &str) -> Result<Option<u64>, PeerMisbehaved> {
        let Some(raw) = self.present(name) else { return Ok(None) };
        match integer(raw) {
            Some(value) => Ok(Some(value)),
            None => Err(unfit(Clause::FrameInteger, name, "` is not plain digits below 2^53")),
        }
    }

    /// A boolean member; false if absent.
    ///
    /// # Errors
    /// `frame.field` if it is there and no boolean.
    pub fn boolean(&self, name: &str) -> Result<bool, PeerMisbehaved> {
        match self.present(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(unfit(Clause::FrameField, name, "` is not true or false")),
        }
    }

    /// Whether there is such a member, `null` or not.
    pub fn has(&self, name: &str) -> bool {
        self.member(name).is_some()
    }

    /// A member kept as text; `null` is a payload like any other.
    pub fn payload(&self, name: &str) -> Option<Payload> {
        self.member(name).map(Payload::checked)
    }

    /// An object member.
    ///
    /// # Errors
    /// `frame.field` if it is there and no object, or what is wrong inside.
    pub fn object(&self, name: &str) -> Result<Option<Object<'a>>, PeerMisbehaved> {
        match self.beginning(name, b'{', "` is not an object")? {
            Some(raw) => Self::nested(raw).map(Some),
            None => Ok(None),
        }
    }

    /// A member whose text begins with `first`, as everything of its type does.
    fn beginning(&self, name: &str, first: u8, otherwise: &str) -> Result<Option<&'a str>, PeerMisbehaved> {
        let raw = self.present(name);
        if raw.is_some_and(|raw| !begins(raw, first)) {
            return Err(unfit(Clause::FrameField, name, otherwise));
        }
        Ok(raw)
    }

    /// The elements of an array member, as texts; empty if absent.
    fn array(&self, name: &str) -> Result<Vec<&'a str>, PeerMisbehaved> {
        match self.beginning(name, b'[', "` is not an array")? {
            Some(text) => Scanner { text, at: 0 }.array(2),
            None => Ok(Vec::new()),
        }
    }

    /// As `array`, if each element begins with `first`.
    fn uniform(&self, name: &str, first: u8, otherwise: &str) -> Result<Vec<&'a str>, PeerMisbehaved> {
        let elements = self.array(name)?;
        if elements.iter().all(|raw| begins(raw, first)) {
            return Ok(elements);
        }
        Err(unfit(Clause::FrameField, name, otherwise))
    }

    /// An array of strings; empty if absent.
    ///
    /// # Errors
    /// `frame.field` if it is something else.
    pub fn strings(&self, name: &str) -> Result<Vec<String>, PeerMisbehaved> {
        let mut strings = Vec::new();
        for raw in self.uniform(name, b'"', "` holds something that is not a string")? {
            strings.push(unescape(raw)?.into_owned());
        }
        Ok(strings)
    }

    /// An array of objects; empty if absent.
    ///
    /// # Errors
    /// `frame.field` if it is something else.
    pub fn objects(&self, name: &str) -> Result<Vec<Object<'a>>, PeerMisbehaved> {
        let mut objects = Vec::new();
        for raw in self.uniform(name, b'{', "` holds something that is not an object")? {
            objects.push(Self::nested(raw)?);
        }
        Ok(objects)
    }

    /// An array of integers; empty if absent.
    ///
    /// # Errors
    /// `frame.field` or `frame.integer` if it is something else.
    pub fn integers(&self, name: &str) -> Result<Vec<u64>, PeerMisbehaved> {
        let mut integers = Vec::new();
        for raw in self.array(name)? {
            let Some(value) = integer(raw) else {
                return Err(unfit(Clause::FrameInteger, name, "` holds something that is not plain digits"));
            };
            integers.push(value);
        }
        Ok(integers)
    }
}

fn integer(raw: &str) -> Option<u64> {
    if raw.len() > 16 || !raw.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut value = 0u64;
    for byte in raw.bytes() {
        value = value * 10 + u64::from(byte - b'0');
    }
    (value < INTEGER_END).then_some(value)
}

fn unescape(quoted: &str) -> Result<Cow<'_, str>, PeerMisbehaved> {
    let inner = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default();
    if !inner.bytes().any(|byte| byte == b'\\') {
        return Ok(Cow::Borrowed(inner));
    }
    let mut text = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            text.push(character);
            continue;
        }
        // The scanner let nothing else pass.
        let Some(escape) = characters.next() else { break };
        text.push(match escape {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'u' => match code_point(&mut characters) {
                Some(character) => character,
                None => return Err(wrong(Clause::FrameMalformed, "half of a surrogate pair in a string")),
            },
            other => other,
        });
    }
    Ok(Cow::Owned(text))
}

/// What `\u` names: one unit, or two that are a pair.
fn code_point(characters: &mut Chars<'_>) -> Option<char> {
    let unit = hex(characters);
    if !(0xD800..0xDC00).contains(&unit) {
        return char::from_u32(unit);
    }
    let paired = characters.next() == Some('\\') && characters.next() == Some('u');
    let low = if paired { hex(characters) } else { 0 };
    if !(0xDC00..0xE000).contains(&low) {
        return None;
    }
    char::from_u32(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00))
}

/// The four hexadecimal digits that the scanner found.
fn hex(characters: &mut Chars<'_>) -> u32 {
    characters.take(4).fold(0, |value, digit| value * 16 + digit.to_digit(16).unwrap_or(0))
}
