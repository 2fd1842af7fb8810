//! Envelopes: what is written is read back byte for byte, and hostile bytes never panic.

use crate::any;
use proptest::collection::vec;
use proptest::prelude::*;
use readywire_protocol::clause::Clause;
use readywire_protocol::error::PeerMisbehaved;
use readywire_protocol::frame::{ClientFrame, Message, Send, ServerFrame, Wire, envelope_text};
use readywire_protocol::json::Payload;

/// By another writer.
fn envelope(frame: &str, payload: &[u8]) -> Vec<u8> {
    [&(frame.len() as u32).to_be_bytes()[..], frame.as_bytes(), payload].concat()
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..40)
}

/// The frame with these bytes as its payload, if it has one.
fn with_bytes_client(frame: ClientFrame, bytes: &[u8]) -> ClientFrame {
    match frame {
        ClientFrame::Send(send) => ClientFrame::Send(Send { payload: bytes.to_vec().into(), ..send }),
        other => other,
    }
}

fn with_bytes_server(frame: ServerFrame, bytes: &[u8]) -> ServerFrame {
    match frame {
        ServerFrame::Message(message) => ServerFrame::Message(Message { payload: bytes.to_vec().into(), ..message }),
        ServerFrame::Publication { topic, offset, request: None, event, .. } => {
            ServerFrame::Publication { topic, offset, request: None, event, payload: bytes.to_vec().into() }
        }
        other => other,
    }
}

/// The clause that was broken.
fn broken<F: std::fmt::Debug>(read: Result<F, PeerMisbehaved>) -> Clause {
    read.expect_err("not read").clause
}

proptest! {
    #![proptest_config(crate::cases())]

    #[test]
    fn a_clients_frame_is_read_back(frame in any::client_frame(), bytes in bytes()) {
        let frame = with_bytes_client(frame, &bytes);
        match frame.to_wire() {
            Wire::Text(text) => prop_assert_eq!(ClientFrame::decode(&text), Ok(frame)),
            Wire::Binary(message) => {
                prop_assert_eq!(&message, &envelope(&frame.encode(), &bytes), "just the layout");
                let text = frame.encode();
                prop_assert_eq!(envelope_text(&message), (text.as_str(), bytes.len()));
                prop_assert_eq!(ClientFrame::decode_binary(message), Ok(frame));
            }
        }
    }

    #[test]
    fn a_servers_frame_is_read_back(frame in any::server_frame(), bytes in bytes()) {
        let frame = with_bytes_server(frame, &bytes);
        match frame.to_wire() {
            Wire::Text(text) => prop_assert_eq!(ServerFrame::decode(&text), Ok(frame)),
            Wire::Binary(message) => {
                prop_assert_eq!(&message, &envelope(&frame.encode(), &bytes), "just the layout");
                prop_assert_eq!(ServerFrame::decode_binary(message), Ok(frame));
            }
        }
    }

    /// A frame of any kind, whose payload is inside it or that has none.
    #[test]
    fn an_envelope_holds_nothing_but_a_frame_that_lacks_its_payload(
        client in any::client_frame(), server in any::server_frame(), bytes in bytes(),
    ) {
        prop_assert_eq!(broken(ClientFrame::decode_binary(envelope(&client.encode(), &bytes))), Clause::BinaryEnvelope);
        prop_assert_eq!(broken(ServerFrame::decode_binary(envelope(&server.encode(), &bytes))), Clause::BinaryEnvelope);
    }

    #[test]
    fn any_bytes_are_read_or_refused(message in vec(any::<u8>(), 0..64)) {
        let _ = ClientFrame::decode_binary(message.clone());
        let _ = ServerFrame::decode_binary(message.clone());
        let (text, beside) = envelope_text(&message);
        prop_assert!(text.len() + beside <= message.len());
    }

    /// Cut anywhere, and with any length said: read as another frame at most, never past the end.
    #[test]
    fn a_broken_envelope_is_read_or_refused(
        frame in any::server_frame(), bytes in bytes(), cut in any::<prop::sample::Index>(), length in any::<u32>(), at in 0..6usize,
    ) {
        let Wire::Binary(mut message) = with_bytes_server(frame, &bytes).to_wire() else { return Ok(()) };
        let length = if at < 2 { length } else { length >> 22 };
        if at % 2 == 0 {
            message[..4].copy_from_slice(&length.to_be_bytes());
        }
        message.truncate(cut.index(message.len() + 1));
        if let Ok(ServerFrame::Message(Message { payload, .. })) = ServerFrame::decode_binary(message.clone()) {
            prop_assert!(message.ends_with(payload.bytes().expect("bytes")));
        }
    }
}

#[test]
fn what_is_wrong_with_an_envelope_is_told() {
    let send = r#"{"type":"send","id":1,"event":"e"}"#;
    for (message, clause) in [
        (vec![], Clause::BinaryEnvelope),
        (vec![0, 0, 0], Clause::BinaryEnvelope),
        (vec![0, 0, 0, 1], Clause::BinaryEnvelope),
        (vec![255, 255, 255, 255], Clause::BinaryEnvelope),
        (vec![0, 0, 0, 0], Clause::FrameMalformed),
        (vec![0, 0, 0, 2, b'[', b']'], Clause::FrameMalformed),
        (vec![0, 0, 0, 1, 0xff], Clause::FrameMalformed),
        (envelope(r#"{"type":"send","id":1,"event":"e","payload":null}"#, b""), Clause::BinaryEnvelope),
        (envelope(r#"{"type":"ping","nonce":"1"}"#, b""), Clause::BinaryEnvelope),
        (envelope(r#"{"type":"nothing"}"#, b""), Clause::FrameType),
        (envelope(r#"{"type":"message","offset":1}"#, b""), Clause::FrameDirection),
        (envelope(r#"{"type":"send","id":1}"#, b""), Clause::FrameField),
        (envelope(&format!("{send}{send}"), b""), Clause::FrameMalformed),
    ] {
        assert_eq!(broken(ClientFrame::decode_binary(message.clone())), clause, "{message:?}");
    }
}

#[test]
fn no_bytes_are_a_payload_and_not_null() {
    let send = r#"{"type":"send","id":1,"event":"e"}"#;
    let Ok(ClientFrame::Send(read)) = ClientFrame::decode_binary(envelope(send, b"")) else { panic!("a send") };
    assert_eq!((read.payload.bytes(), read.payload.text(), read.payload.size()), (Some(&b""[..]), None, 0));
    assert_ne!(read.payload, Payload::null());
    assert_ne!(read.payload, Payload::parse("\"\"").expect("JSON"));
}
