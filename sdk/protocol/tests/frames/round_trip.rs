//! What is written is read back, whoever wrote it and however it is laid out.

use crate::any;
use crate::text;
use proptest::prelude::*;
use readywire_protocol::clause::Clause;
use readywire_protocol::frame::{ClientFrame, Message, Send, ServerFrame};
use readywire_protocol::json::Payload;
use serde_json::Value;

/// The text of the member that holds the payload, by another reader.
fn raw_payload(text: &str) -> String {
    let members: std::collections::HashMap<String, &serde_json::value::RawValue> =
        serde_json::from_str(text).expect("JSON");
    members["payload"].get().to_owned()
}

fn send(payload: Payload) -> ClientFrame {
    ClientFrame::Send(Send::new(1, "", payload))
}

fn message(payload: Payload) -> ServerFrame {
    let event = String::new();
    ServerFrame::Message(Message { offset: 1, event, payload, re: None, end: false, error: None, asks: false })
}

/// The same object with its members in another order, with other members between them, and with spaces.
fn laid_out_anew(text: &str) -> String {
    let members: serde_json::Map<String, Value> = serde_json::from_str(text).expect("JSON");
    let mut members: Vec<_> = members.into_iter().collect();
    members.reverse();
    members.insert(members.len() / 2, ("x-unknown".to_owned(), serde_json::json!({"id": [], "type": 1})));
    let members: Vec<_> = members
        .iter()
        .map(|(key, value)| format!("\n\t{} : {value:#}", serde_json::to_string(key).expect("JSON")))
        .collect();
    format!(" {{{} }}\r\n", members.join(" ,"))
}

proptest! {
    #![proptest_config(crate::cases())]

    #[test]
    fn a_clients_frame_is_read_back(frame in any::client_frame()) {
        let text = frame.encode();
        prop_assert!(text.starts_with(r#"{"type":""#), "type goes first: {text}");
        prop_assert_eq!(ClientFrame::decode(&text).expect("our own frame"), frame);
        prop_assert!(ServerFrame::decode(&text).is_err() || shared(&text), "sides are told apart: {text}");
    }

    #[test]
    fn a_servers_frame_is_read_back(frame in any::server_frame()) {
        let text = frame.encode();
        prop_assert!(text.starts_with(r#"{"type":""#), "type goes first: {text}");
        prop_assert_eq!(ServerFrame::decode(&text).expect("our own frame"), frame);
        prop_assert!(ClientFrame::decode(&text).is_err() || shared(&text), "sides are told apart: {text}");
    }

    #[test]
    fn a_payload_keeps_its_text_byte_for_byte(text in text::value(5), before in "[ \n]{0,2}", after in "[ \n]{0,2}") {
        let payload = Payload::parse(&format!("{before}{text}{after}")).expect("JSON");
        prop_assert_eq!(payload.text(), Some(text.as_str()));
        for frame in [send(payload.clone()).encode(), message(payload).encode()] {
            prop_assert_eq!(raw_payload(&frame), text.clone());
        }
        let around = format!(r#"{{"payload":{before}{text}{after},"type":"send","id":1,"event":""}}"#);
        let Ok(ClientFrame::Send(send)) = ClientFrame::decode(&around) else { panic!("a send: {around}") };
        prop_assert_eq!(send.payload.text(), Some(text.as_str()));
    }
}

fn shared(text: &str) -> bool {
    ["ping", "pong", "bye", "auth", "cancel"].iter().any(|name| text.starts_with(&format!(r#"{{"type":"{name}""#)))
}

proptest! {
    #![proptest_config(crate::cases())]

    #[test]
    fn the_layout_of_a_frame_means_nothing(client in any::client_frame(), server in any::server_frame()) {
        // Another writer cannot repeat a payload that is no tree of its own, such as one with a key twice.
        let client = match client {
            ClientFrame::Send(send) => ClientFrame::Send(Send { payload: Payload::null(), ..send }),
            other => other,
        };
        let server = match server {
            ServerFrame::Message(message) => ServerFrame::Message(Message { payload: Payload::null(), ..message }),
            ServerFrame::Publication { topic, offset, request, event, .. } => {
                ServerFrame::Publication { topic, offset, request, event, payload: Payload::null() }
            }
            other => other,
        };
        prop_assert_eq!(ClientFrame::decode(&laid_out_anew(&client.encode())), Ok(client));
        prop_assert_eq!(ServerFrame::decode(&laid_out_anew(&server.encode())), Ok(server));
    }

    /// `null` stands for an absent field: what may be absent may be `null`, what may not is missing.
    #[test]
    fn null_is_absent(frame in any::server_frame(), at in any::<prop::sample::Index>()) {
        let members: serde_json::Map<String, Value> = match serde_json::from_str(&frame.encode()) {
            Ok(members) => members,
            // A payload that the other reader cannot hold.
            Err(_) => return Ok(()),
        };
        let key = members.keys().nth(at.index(members.len())).expect("a member").clone();
        prop_assume!(key != "payload");
        let mut with_null = members.clone();
        with_null.insert(key.clone(), Value::Null);
        let mut without = members;
        without.remove(&key);
        let read = |members: &serde_json::Map<String, Value>| {
            ServerFrame::decode(&serde_json::to_string(members).expect("JSON"))
        };
        let (with_null, without) = (read(&with_null), read(&without));
        prop_assert_eq!(&with_null, &without);
        prop_assert!(with_null.map_or_else(|wrong| wrong.clause == Clause::FrameField, |_| true));
    }
}
