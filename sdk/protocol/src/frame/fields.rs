//! Reads the fields of a frame one after the other, and asks once, at the end, whether all of them could be read.
//!
//! A field that cannot be read gives a default, and only the first such failure counts. Code that asks at each field
//! has to clean up whatever it holds at each field, which would be the larger half of the browser bundle's frames.

use super::unexpected;
use crate::clause::Clause;
use crate::error::PeerMisbehaved;
use crate::json::{Object, Payload};
use crate::text::joined;
use std::cell::Cell;

/// The fields of a frame, or of an object inside one.
pub(super) struct Fields<'f, 'a> {
    object: Object<'a>,
    /// The field that holds this object, for messages; empty for the frame itself.
    within: &'static str,
    fault: &'f Cell<Option<PeerMisbehaved>>,
    /// Whether the payload is beside the frame, and not in it.
    enveloped: bool,
}

/// Reads a frame. `build` is given its type and its fields; it gives back `None` for a type that it does not know.
pub(super) fn read<F>(
    text: &str,
    enveloped: bool,
    build: impl FnOnce(&str, &Fields<'_, '_>) -> Option<F>,
) -> Result<F, PeerMisbehaved> {
    let fault = Cell::new(None);
    let fields = Fields { object: Object::parse(text)?, within: "", fault: &fault, enveloped };
    let name = fields.string("type");
    let frame = build(&name, &fields).ok_or_else(|| unexpected(&name));
    match fault.take() {
        Some(fault) => Err(fault),
        None => frame,
    }
}

impl<'f, 'a> Fields<'f, 'a> {
    /// Notes what is wrong; only the first counts.
    pub(super) fn note(&self, wrong: PeerMisbehaved) {
        let first = self.fault.take().unwrap_or(wrong);
        self.fault.set(Some(first));
    }

    fn read<T>(&self, read: Result<T, PeerMisbehaved>) -> Option<T> {
        read.map_err(|wrong| self.note(wrong)).ok()
    }

    fn missing(&self, name: &str) {
        let dot = if self.within.is_empty() { "" } else { "." };
        let found = joined(&["`", self.within, dot, name, "` is missing"]);
        self.note(PeerMisbehaved::new(Clause::FrameField, found));
    }

    pub(super) fn optional_string(&self, name: &str) -> Option<String> {
        Some(self.read(self.object.string(name))??.into_owned())
    }

    pub(super) fn string(&self, name: &str) -> String {
        let value = self.optional_string(name);
        if value.is_none() {
            self.missing(name);
        }
        value.unwrap_or_default()
    }

    pub(super) fn optional_integer(&self, name: &str) -> Option<u64> {
        self.read(self.object.integer(name))?
    }

    pub(super) fn integer(&self, name: &str) -> u64 {
        let value = self.optional_integer(name);
        if value.is_none() {
            self.missing(name);
        }
        value.unwrap_or_default()
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.read(self.object.boolean(name)).unwrap_or_default()
    }

    pub(super) fn strings(&self, name: &str) -> Vec<String> {
        self.read(self.object.strings(name)).unwrap_or_default()
    }

    pub(super) fn integers(&self, name: &str) -> Vec<u64> {
        self.read(self.object.integers(name)).unwrap_or_default()
    }

    pub(super) fn payload(&self, name: &str) -> Payload {
        if self.enveloped && self.object.has(name) {
            self.note(PeerMisbehaved::new(Clause::BinaryEnvelope, "a frame in an envelope that has a `payload`, too"));
        }
        self.object.payload(name).unwrap_or_else(Payload::null)
    }

    fn inside(&self, object: Object<'a>, within: &'static str) -> Self {
        Self { object, within, fault: self.fault, enveloped: false }
    }

    pub(super) fn optional_object(&self, name: &'static str) -> Option<Self> {
        Some(self.inside(self.read(self.object.object(name))??, name))
    }

    pub(super) fn object(&self, name: &'static str) -> Self {
        self.optional_object(name).unwrap_or_else(|| {
            self.missing(name);
            self.inside(Object::default(), name)
        })
    }

    /// What is missing in one of these is named without the array that it is in.
    pub(super) fn objects(&self, name: &str) -> Vec<Self> {
        let objects = self.read(self.object.objects(name)).unwrap_or_default();
        objects.into_iter().map(|object| self.inside(object, "")).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::frame::{ClientFrame, ServerFrame};

    fn found(text: &str) -> String {
        ServerFrame::decode(text).expect_err("a fault").found
    }

    #[test]
    fn the_first_fault_is_told() {
        assert_eq!(found(r#"{"type":"nack","id":"1","code":2}"#), "`id` is not plain digits below 2^53");
        assert_eq!(found(r#"{"type":"nack","id":1,"code":2,"retry":3}"#), "`code` is not a string");
        assert_eq!(found(r#"{"type":"nack","id":1,"code":"c","retry":3}"#), "`retry` is not true or false");
        assert_eq!(found(r#"{"type":7,"id":1}"#), "`type` is not a string");
        assert_eq!(found(r#"{"id":1}"#), "`type` is missing");
    }

    #[test]
    fn what_is_missing_is_named_with_the_object_that_misses_it() {
        assert_eq!(found(r#"{"type":"ready"}"#), "`limits` is missing");
        let ready = r#"{"type":"ready","limits":{"max_message_bytes":1},"heartbeat":{}}"#;
        assert_eq!(found(ready), "`limits.max_in_flight` is missing");
        let refused = r#"{"type":"ready","refused":[{"id":1,"code":"c"},{"id":2}]}"#;
        assert_eq!(found(refused), "`code` is missing");
        let hello = ClientFrame::decode(r#"{"type":"hello","auth":{"scheme":"bearer"}}"#);
        assert_eq!(hello.expect_err("a fault").found, "`auth.token` is missing");
    }

    #[test]
    fn what_is_optional_may_be_null() {
        let frame = ServerFrame::decode(r#"{"type":"bye","code":1000,"reason":null,"class":null,"clause":null}"#);
        assert!(matches!(frame, Ok(ServerFrame::Bye(bye)) if bye.reason.is_empty() && bye.clause.is_none()));
    }
}
