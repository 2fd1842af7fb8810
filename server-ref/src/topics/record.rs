//! A publication in its log: the frame that it will be, but for what is known only by its place.

use super::Shared;
use crate::log::Record;
use axum::extract::ws::Message;
use bytes::{BufMut, Bytes, BytesMut};
use readywire_protocol::frame::envelope;
use readywire_protocol::json::{ObjectWriter, Payload};

/// What a publication has besides its payload, about.
const REST: usize = 64;

/// In the length: the payload is bytes, and stands behind the frame.
const BYTES: u32 = 1 << 31;

/// Four bytes with the length of the payload, then the end of the frame: `"event":…,"payload":…}`; of bytes without
/// `payload`, and then the bytes.
///
/// None if the payload is too long for that.
pub(super) fn record(event: &str, payload: &Payload) -> Option<Record> {
    let length = u32::try_from(payload.size()).ok().filter(|length| length & BYTES == 0)?;
    let bytes = payload.bytes();
    let mut members = ObjectWriter::new();
    members.string("event", event);
    if let Some(text) = payload.text() {
        members.raw("payload", text);
    }
    let members = members.finish();
    let mut data = BytesMut::with_capacity(4 + members.len() + bytes.map_or(0, <[u8]>::len));
    data.put_u32(length | bytes.map_or(0, |_| BYTES));
    data.put_slice(&members.as_bytes()[1..]);
    data.put_slice(bytes.unwrap_or_default());
    Some(Record::new(data))
}

/// The frame, for everybody, or for the page that `request` asked for; none if the record is no publication.
pub(crate) fn frame(topic: &str, offset: u64, request: Option<u64>, data: &Bytes) -> Option<Shared> {
    let (length, rest) = data.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes(*length);
    let (members, bytes) = match length & BYTES {
        0 => (rest, None),
        _ => {
            let end = rest.len().checked_sub((length & !BYTES) as usize)?;
            (&rest[..end], Some(&rest[end..]))
        }
    };
    let members = std::str::from_utf8(members).ok()?;
    let mut start = ObjectWriter::typed("publication");
    start.string("topic", topic);
    start.integer("offset", offset);
    start.optional_integer("request", request);
    let start = start.finish();
    let mut text = String::with_capacity(start.len() + members.len() + REST);
    text.push_str(&start[..start.len() - 1]);
    text.push(',');
    text.push_str(members);
    let message = match bytes {
        Some(bytes) => Message::Binary(envelope(&text, bytes).into()),
        None => {
            text.shrink_to_fit();
            Message::Text(text.into())
        }
    };
    Some(Shared { offset, payload_bytes: u64::from(length & !BYTES), message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use readywire_protocol::frame::{ServerFrame, Wire};

    #[test]
    fn a_record_is_the_frame_that_the_protocol_writes() {
        let payload = Payload::parse(r#"{"a": [1, 2.50], "a": null}"#).unwrap();
        let topic = "room/\"seven\"".to_owned();
        let record = record("chat \\ said", &payload).unwrap();
        for request in [None, Some(7)] {
            let shared = frame(&topic, 118, request, &record.data).unwrap();
            let (topic, event, payload) = (topic.clone(), "chat \\ said".to_owned(), payload.clone());
            let expected = ServerFrame::Publication { topic, offset: 118, request, event, payload };
            assert_eq!(shared.message, Message::Text(expected.encode().into()));
            assert_eq!((shared.payload_bytes, shared.size()), (27, expected.encode().len() as u64));
        }
    }

    #[test]
    fn a_record_of_bytes_is_the_envelope_that_the_protocol_writes() {
        for bytes in [&b""[..], b"null", b"\xc3\x28\0"] {
            let payload = Payload::from(bytes.to_vec());
            let record = record("file", &payload).unwrap();
            let shared = frame("t", 7, Some(3), &record.data).unwrap();
            let (topic, event) = ("t".to_owned(), "file".to_owned());
            let frame = ServerFrame::Publication { topic, offset: 7, request: Some(3), event, payload };
            let Wire::Binary(expected) = frame.to_wire() else { panic!("an envelope") };
            assert_eq!((shared.payload_bytes, shared.size()), (bytes.len() as u64, expected.len() as u64));
            assert_eq!(shared.message, Message::Binary(expected.into()));
        }
    }

    #[test]
    fn what_is_no_publication_makes_no_frame() {
        for data in [&b""[..], b"abc", b"\0\0\0\x01\xff", b"\x80\0\0\x01", b"\x80\0\0\x01\xff\xff"] {
            assert!(frame("t", 1, None, &Bytes::copy_from_slice(data)).is_none(), "{data:?}");
        }
    }
}
