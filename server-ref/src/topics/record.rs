//! A publication in its log: the frame that it will be, but for what is known only by its place.

use super::Shared;
use crate::log::Record;
use axum::extract::ws::Utf8Bytes;
use bytes::{BufMut, Bytes, BytesMut};
use readywire_protocol::json::{ObjectWriter, Payload};

/// What a publication has besides its payload, about.
const REST: usize = 64;

/// Four bytes with the length of the payload, then the end of the frame: `"event":…,"payload":…}`.
///
/// None for bytes, which no frame of text can carry.
pub(super) fn record(event: &str, payload: &Payload) -> Option<Record> {
    let text = payload.text()?;
    let mut members = ObjectWriter::new();
    members.string("event", event);
    members.raw("payload", text);
    let members = members.finish();
    let mut data = BytesMut::with_capacity(4 + members.len());
    data.put_u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
    data.put_slice(&members.as_bytes()[1..]);
    Some(Record::new(data))
}

/// The frame, for everybody; none if the record is no publication.
pub(crate) fn frame(topic: &str, offset: u64, data: &Bytes) -> Option<Shared> {
    let (length, members) = data.split_first_chunk::<4>()?;
    let members = std::str::from_utf8(members).ok()?;
    let mut start = ObjectWriter::typed("publication");
    start.string("topic", topic);
    start.integer("offset", offset);
    let start = start.finish();
    let mut text = String::with_capacity(start.len() + members.len() + REST);
    text.push_str(&start[..start.len() - 1]);
    text.push(',');
    text.push_str(members);
    text.shrink_to_fit();
    Some(Shared { offset, payload_bytes: u64::from(u32::from_be_bytes(*length)), text: Utf8Bytes::from(text) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use readywire_protocol::frame::ServerFrame;

    #[test]
    fn a_record_is_the_frame_that_the_protocol_writes() {
        let payload = Payload::parse(r#"{"a": [1, 2.50], "a": null}"#).unwrap();
        let topic = "room/\"seven\"".to_owned();
        let record = record("chat \\ said", &payload).unwrap();
        let shared = frame(&topic, 118, &record.data).unwrap();
        let expected = ServerFrame::Publication { topic, offset: 118, event: "chat \\ said".to_owned(), payload };
        assert_eq!(shared.text.as_str(), expected.encode());
        assert_eq!(shared.payload_bytes, 27);
    }

    #[test]
    fn what_is_no_publication_makes_no_frame() {
        for data in [&b""[..], b"abc", b"\0\0\0\x01\xff"] {
            assert!(frame("t", 1, &Bytes::copy_from_slice(data)).is_none(), "{data:?}");
        }
    }
}
