//! Writing JSON, one object at a time.

use super::Payload;

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

    /// The payload, last; bytes are no JSON, and go beside the object.
    pub fn payload(&mut self, payload: &Payload) {
        if let Some(text) = payload.text() {
            self.raw("payload", text);
        }
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

pub(super) fn write_integer(text: &mut String, value: u64) {
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
