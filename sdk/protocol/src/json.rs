//! Just enough JSON for frames: an object is split into its members, payloads stay the text they are.
//!
//! A frame has a handful of members and one payload that nobody here looks into; a general parser would build trees
//! that are thrown away, and would be most of the browser bundle. Everything is validated against RFC 8259, with the
//! clauses `frame.malformed`, `frame.depth`, `frame.duplicate_key` and `frame.integer` on top.

use crate::clause::Clause;
use crate::error::PeerMisbehaved;
use crate::text::joined;
use std::borrow::Cow;
use std::str::Chars;
use std::sync::Arc;

/// The deepest nesting a frame may have (clause `frame.depth`).
pub const MAX_DEPTH: usize = 64;
/// The most members an object that the protocol defines may have (clause `frame.malformed`).
pub const MAX_MEMBERS: usize = 64;
/// The first integer that is too large (clause `frame.integer`).
pub const INTEGER_END: u64 = 1 << 53;

/// A JSON text that is carried as it is: application payloads.
// Boxed in its turn: `Arc<str>` brings the arithmetic of its layout, and the panic where that overflows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Payload(Arc<Box<str>>);

impl Payload {
    /// Checks that `text` is one JSON value.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Self, PeerMisbehaved> {
        let mut scanner = Scanner { text, at: 0 };
        scanner.space();
        let start = scanner.at;
        scanner.value(2)?;
        let value = scanner.since(start);
        scanner.end()?;
        Ok(Self(Arc::new(value.into())))
    }

    /// The JSON value `null`.
    pub fn null() -> Self {
        Self(Arc::new("null".into()))
    }

    /// The JSON text.
    pub fn text(&self) -> &str {
        &self.0
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Payload {
    fn schema_name() -> Cow<'static, str> {
        "Payload".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        true.into()
    }
}

/// The members of one JSON object, in their order.
#[derive(Clone, Debug, Default)]
pub struct Object<'a> {
    members: Vec<(Cow<'a, str>, &'a str)>,
}

fn wrong(clause: Clause, found: impl Into<String>) -> PeerMisbehaved {
    PeerMisbehaved::new(clause, found)
}

/// A member that does not hold what it should.
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

    /// A member kept as text; `null` is a payload like any other.
    pub fn payload(&self, name: &str) -> Option<Payload> {
        self.member(name).map(|raw| Payload(Arc::new(raw.into())))
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

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// What was walked over since `start`.
    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn malformed(&self, expected: &str) -> PeerMisbehaved {
        let mut found = String::from(expected);
        found.push_str(" expected at byte ");
        write_integer(&mut found, self.at as u64);
        wrong(Clause::FrameMalformed, found)
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn end(&mut self) -> Result<(), PeerMisbehaved> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { Err(self.malformed("the end")) }
    }

    fn object(&mut self, depth: usize) -> Result<Object<'a>, PeerMisbehaved> {
        let mut members: Vec<(Cow<'a, str>, &'a str)> = Vec::new();
        self.items(depth, true, &mut |name, raw| {
            let name = unescape(name)?;
            if members.len() == MAX_MEMBERS {
                return Err(wrong(Clause::FrameMalformed, "more than 64 members in an object"));
            }
            if members.iter().any(|(key, _)| *key == name) {
                return Err(wrong(Clause::FrameDuplicateKey, joined(&["the key `", &name, "` stands twice"])));
            }
            members.push((name, raw));
            Ok(())
        })?;
        Ok(Object { members })
    }

    fn array(&mut self, depth: usize) -> Result<Vec<&'a str>, PeerMisbehaved> {
        let mut elements = Vec::new();
        self.items(depth, false, &mut |_, raw| {
            elements.push(raw);
            Ok(())
        })?;
        Ok(elements)
    }

    /// Walks over an object or an array, and hands out what it holds: names, which elements of an array do not have,
    /// and values.
    fn items(
        &mut self,
        depth: usize,
        object: bool,
        item: &mut dyn FnMut(&'a str, &'a str) -> Result<(), PeerMisbehaved>,
    ) -> Result<(), PeerMisbehaved> {
        let (open, close, rest) = if object { (b'{', b'}', "`,` or `}`") } else { (b'[', b']', "`,` or `]`") };
        if !self.eat(open) {
            return Err(self.malformed(if object { "an object" } else { "an array" }));
        }
        self.space();
        if self.eat(close) {
            return Ok(());
        }
        loop {
            self.space();
            let mut name = "";
            if object {
                let start = self.at;
                self.string()?;
                name = self.since(start);
                self.space();
                if !self.eat(b':') {
                    return Err(self.malformed("`:`"));
                }
                self.space();
            }
            let value = self.at;
            self.value(depth + 1)?;
            item(name, self.since(value))?;
            self.space();
            if self.eat(close) {
                return Ok(());
            }
            if !self.eat(b',') {
                return Err(self.malformed(rest));
            }
        }
    }

    /// Walks over a value; `depth` counts the object or array that this value may open.
    fn value(&mut self, depth: usize) -> Result<(), PeerMisbehaved> {
        match self.peek() {
            Some(b'{' | b'[') if depth > MAX_DEPTH => Err(wrong(Clause::FrameDepth, "nested deeper than 64")),
            Some(first @ (b'{' | b'[')) => self.items(depth, first == b'{', &mut |_, _| Ok(())),
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => {
                let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
                for word in ["true", "false", "null"] {
                    if rest.starts_with(word.as_bytes()) {
                        self.at += word.len();
                        return Ok(());
                    }
                }
                Err(self.malformed("a value"))
            }
        }
    }

    fn string(&mut self) -> Result<(), PeerMisbehaved> {
        if !self.eat(b'"') {
            return Err(self.malformed("a string"));
        }
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.at += 1;
                    match self.peek() {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
                        Some(b'u') => {
                            self.at += 1;
                            for _ in 0..4 {
                                if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                                    return Err(self.malformed("four hexadecimal digits"));
                                }
                                self.at += 1;
                            }
                        }
                        _ => return Err(self.malformed("an escape")),
                    }
                }
                Some(0x20..) => self.at += 1,
                _ => return Err(self.malformed("the end of a string")),
            }
        }
    }

    fn digits(&mut self) -> Result<(), PeerMisbehaved> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(self.malformed("a digit")) }
    }

    fn number(&mut self) -> Result<(), PeerMisbehaved> {
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            self.digits()?;
        }
        Ok(())
    }
}

/// Writes one JSON object, member by member; absent members are left out.
#[derive(Clone, Debug)]
pub struct ObjectWriter {
    text: String,
}

impl ObjectWriter {
    /// An object whose first member is `type`.
    pub fn typed(name: &str) -> Self {
        let mut writer = Self::new();
        writer.string("type", name);
        writer
    }

    /// An empty object.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self { text: String::from("{") }
    }

    /// The finished object.
    pub fn finish(mut self) -> String {
        self.text.push('}');
        self.text
    }

    fn name(&mut self, name: &str) {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        self.text.push('"');
        self.text.push_str(name);
        self.text.push_str("\":");
    }

    /// A string member.
    pub fn string(&mut self, name: &str, value: &str) {
        self.name(name);
        write_string(&mut self.text, value);
    }

    /// A string member that may be absent.
    pub fn optional_string(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.string(name, value);
        }
    }

    /// An integer member.
    pub fn integer(&mut self, name: &str, value: u64) {
        self.name(name);
        write_integer(&mut self.text, value);
    }

    /// An integer member that may be absent.
    pub fn optional_integer(&mut self, name: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.integer(name, value);
        }
    }

    /// A boolean member.
    pub fn boolean(&mut self, name: &str, value: bool) {
        self.raw(name, if value { "true" } else { "false" });
    }

    /// A boolean member that is left out when false.
    pub fn flag(&mut self, name: &str, value: bool) {
        if value {
            self.boolean(name, true);
        }
    }

    /// A member whose JSON text is at hand.
    pub fn raw(&mut self, name: &str, json: &str) {
        self.name(name);
        self.text.push_str(json);
    }

    /// An array of strings, left out when empty.
    pub fn strings(&mut self, name: &str, values: &[String]) {
        if values.is_empty() {
            return;
        }
        self.all_strings(name, values);
    }

    /// An array of strings, written even when empty.
    pub fn all_strings(&mut self, name: &str, values: &[String]) {
        self.name(name);
        self.text.push('[');
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            write_string(&mut self.text, value);
        }
        self.text.push(']');
    }

    /// An array of values whose JSON texts are at hand, left out when empty.
    pub fn array(&mut self, name: &str, values: impl Iterator<Item = String>) {
        let mut text = String::new();
        for value in values {
            text.push(if text.is_empty() { '[' } else { ',' });
            text.push_str(&value);
        }
        if !text.is_empty() {
            text.push(']');
            self.raw(name, &text);
        }
    }
}

fn write_integer(text: &mut String, value: u64) {
    if value >= 10 {
        write_integer(text, value / 10);
    }
    text.push(char::from(b'0' + (value % 10) as u8));
}

fn write_string(text: &mut String, value: &str) {
    text.push('"');
    for character in value.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            control if control < ' ' => {
                let value = control as u32;
                text.push_str("\\u00");
                for digit in [value >> 4, value & 15] {
                    text.push(char::from_digit(digit, 16).unwrap_or('0'));
                }
            }
            other => text.push(other),
        }
    }
    text.push('"');
}
