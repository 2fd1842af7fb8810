//! Walking over JSON text.

use super::writer::write_integer;
use super::*;

pub(super) struct Scanner<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// What was walked over since `start`.
    pub(super) fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    pub(super) fn malformed(&self, expected: &str) -> PeerMisbehaved {
        let mut found = String::from(expected);
        found.push_str(" expected at byte ");
        write_integer(&mut found, self.at as u64);
        wrong(Clause::FrameMalformed, found)
    }

    pub(super) fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    pub(super) fn end(&mut self) -> Result<(), PeerMisbehaved> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { Err(self.malformed("the end")) }
    }

    pub(super) fn object(&mut self, depth: usize) -> Result<Object<'a>, PeerMisbehaved> {
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

    pub(super) fn array(&mut self, depth: usize) -> Result<Vec<&'a str>, PeerMisbehaved> {
        let mut elements = Vec::new();
        self.items(depth, false, &mut |_, raw| {
            elements.push(raw);
            Ok(())
        })?;
        Ok(elements)
    }

    /// Walks over an object or an array, and hands out what it holds: names, which elements of an array do not have,
    /// and values.
    pub(super) fn items(
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
    pub(super) fn value(&mut self, depth: usize) -> Result<(), PeerMisbehaved> {
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

    pub(super) fn string(&mut self) -> Result<(), PeerMisbehaved> {
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

    pub(super) fn digits(&mut self) -> Result<(), PeerMisbehaved> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(self.malformed("a digit")) }
    }

    pub(super) fn number(&mut self) -> Result<(), PeerMisbehaved> {
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
