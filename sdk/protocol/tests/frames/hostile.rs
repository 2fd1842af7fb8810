//! Hostile text never panics: not the reader of frames, and not an end that is given it.

use crate::any;
use crate::text;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use readywire_protocol::SUBPROTOCOL;
use readywire_protocol::clause::Clause;
use readywire_protocol::client::{Client, ClientState, Command, SendOptions};
use readywire_protocol::config::{ClientConfig, ServerConfig};
use readywire_protocol::frame::{ClientFrame, ServerFrame, Wire};
use readywire_protocol::json::Payload;
use readywire_protocol::server::{Bound, Decision, ServerConnection, ServerEvent, Transmit};
use readywire_protocol::stage::Stage;
use readywire_protocol::time::{Duration, Instant};

/// A text that somebody hostile or careless would send: a frame of either side, whole or broken, or anything else.
fn hostile() -> impl Strategy<Value = String> {
    let client = any::client_frame().prop_map(|frame| frame.encode()).boxed();
    let server = any::server_frame().prop_map(|frame| frame.encode()).boxed();
    let member = (text::string(), text::value(3)).prop_map(|(name, value)| format!("{name}:{value}"));
    let fields = prop::sample::select(vec![
        "id",
        "offset",
        "stage",
        "code",
        "nonce",
        "topic",
        "token",
        "limits",
        "heartbeat",
        "session",
        "refused",
        "re",
    ]);
    let shaped =
        (prop::sample::select(readywire_protocol::frame::FRAME_NAMES.to_vec()), vec((fields, text::value(3)), 0..4))
            .prop_map(|(name, members)| {
                let members: String = members.into_iter().map(|(key, value)| format!(r#","{key}":{value}"#)).collect();
                format!(r#"{{"type":"{name}"{members}}}"#)
            });
    prop_oneof![
        3 => client.clone(),
        3 => server.clone(),
        2 => text::broken(client),
        2 => text::broken(server),
        3 => shaped,
        1 => vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(","))),
        1 => text::soup(),
        1 => any::<String>(),
        1 => text::deep(),
    ]
}

/// A message of any kind: a hostile text, or an envelope around one, or no envelope at all.
fn message() -> impl Strategy<Value = Wire> {
    prop_oneof![
        6 => hostile().prop_map(Wire::Text),
        2 => (hostile(), vec(any::<u8>(), 0..9)).prop_map(|(text, payload)| enveloped(&text, &payload)),
        1 => vec(any::<u8>(), 0..40).prop_map(Wire::Binary),
    ]
}

/// An envelope around a text, which is left without its payload if that is its last member.
fn enveloped(text: &str, payload: &[u8]) -> Wire {
    let frame = match text.find(r#","payload":"#) {
        Some(at) if text.starts_with('{') => format!("{}}}", &text[..at]),
        _ => text.to_owned(),
    };
    Wire::Binary([&(frame.len() as u32).to_be_bytes()[..], frame.as_bytes(), payload].concat())
}

/// A frame that can be read means the same when it is written and read again.
fn check_reading(text: &str) -> Result<(), TestCaseError> {
    let clauses = [
        Clause::FrameMalformed,
        Clause::FrameDepth,
        Clause::FrameDuplicateKey,
        Clause::FrameField,
        Clause::FrameInteger,
        Clause::FrameType,
        Clause::FrameDirection,
        Clause::StageOrder,
    ];
    match ClientFrame::decode(text) {
        Ok(frame) => prop_assert_eq!(ClientFrame::decode(&frame.encode()), Ok(frame)),
        Err(wrong) => prop_assert!(clauses.contains(&wrong.clause) && !wrong.found.is_empty(), "{}", wrong),
    }
    match ServerFrame::decode(text) {
        Ok(frame) => prop_assert_eq!(ServerFrame::decode(&frame.encode()), Ok(frame)),
        Err(wrong) => prop_assert!(clauses.contains(&wrong.clause) && !wrong.found.is_empty(), "{}", wrong),
    }
    Ok(())
}

/// Carries out what the client asks for; tells whether it wrote something that is no frame.
fn carry_out(client: &mut Client, now: Instant) {
    while let Some(command) = client.poll_command() {
        match command {
            Command::AskToken { number } => client.provide_token(now, number, Ok(None)),
            Command::AskFreshToken { number } => client.provide_fresh_token(now, number, Ok(None)),
            Command::Dial { number, .. } => client.handle_open(now, number, SUBPROTOCOL),
            Command::Transmit { text, .. } => {
                ClientFrame::decode(&text).expect("the client writes what can be read");
            }
            Command::TransmitBinary { message, .. } => {
                ClientFrame::decode_binary(message).expect("the client writes what can be read");
            }
            Command::Close { code, reason, .. } => {
                assert!((code == 1000 || (3000..5000).contains(&code)) && reason.len() <= 123);
            }
        }
    }
    while client.poll_event().is_some() {}
}

const STEPS: [&str; 4] = [
    r#"{"type":"stage","stage":"ACCEPTED","connection":"c"}"#,
    r#"{"type":"stage","stage":"AUTHENTICATED"}"#,
    r#"{"type":"stage","stage":"SERVICES_READY"}"#,
    r#"{"type":"ready","session":{"id":"s","token":"t","subject":"u"},"limits":{"max_message_bytes":999,"max_in_flight":2,"max_in_flight_bytes":99},"heartbeat":{"interval_ms":9000,"timeout_ms":9000},"capabilities":["resume","answers","binary"]}"#,
];

fn write_out(server: &mut ServerConnection) {
    let mut closed = false;
    while let Some(transmit) = server.poll_transmit() {
        assert!(!closed, "nothing comes after the close frame");
        match transmit {
            Transmit::Text(text) => drop(ServerFrame::decode(&text).expect("the server writes what can be read")),
            Transmit::Binary(message) => {
                drop(ServerFrame::decode_binary(message).expect("the server writes what can be read"));
            }
            Transmit::Close { code, reason } => {
                assert!(matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) && reason.len() <= 123);
                closed = true;
            }
        }
    }
}

proptest! {
    #![proptest_config(crate::cases())]

    #[test]
    fn no_text_is_too_hostile_to_be_read(text in hostile()) {
        check_reading(&text)?;
    }

    #[test]
    fn no_server_is_too_hostile_for_a_client(steps in 0..5usize, messages in vec(message(), 1..6)) {
        let mut now = Instant::default();
        let mut client = Client::new(ClientConfig::default(), 7);
        client.connect(now);
        carry_out(&mut client, now);
        let steps = STEPS.iter().take(steps).map(|step| Wire::Text((*step).to_owned()));
        for message in steps.chain(messages) {
            for handle in 0..2 {
                let options = SendOptions { answer: handle == 0, ..SendOptions::default() };
                let payload = if handle == 0 { Payload::null() } else { vec![0xff].into() };
                client.send(now, now.since_origin().as_millis() as u64 * 2 + handle, "e", payload, options);
            }
            for number in 1..9 {
                match &message {
                    Wire::Text(text) => client.handle_message(now, number, text),
                    Wire::Binary(message) => client.handle_binary(now, number, message.clone()),
                }
            }
            carry_out(&mut client, now);
            now = now + Duration::from_millis(700);
            client.handle_timeout(now);
            carry_out(&mut client, now);
        }
        // Whatever the server said, the client comes to an end when it is told to.
        client.close(now, Duration::from_secs(1));
        carry_out(&mut client, now);
        client.handle_timeout(now + Duration::from_secs(1));
        prop_assert_eq!(client.state(), ClientState::Closed);
        prop_assert_eq!((client.unsettled(), client.poll_timeout()), (0, None));
    }

    #[test]
    fn no_client_is_too_hostile_for_a_server(steps in 0..5usize, messages in vec(message(), 1..8)) {
        let mut now = Instant::default();
        let mut server = ServerConnection::new(ServerConfig::default(), now, "c".to_owned(), [SUBPROTOCOL]);
        if steps > 0 {
            server.handle_message(now, r#"{"type":"hello","capabilities":["resume","answers","binary"]}"#);
        }
        for step in 1..steps {
            match step {
                1 => server.authenticated(now),
                2 => server.services_ready(now),
                _ => server.ready(Bound {
                    session: None,
                    received: 0,
                    refused: Vec::new(),
                    inbox: 0,
                    impaired: Vec::new(),
                    token_expires_in: None,
                }),
            }
        }
        for message in messages {
            let before = server.stage();
            match &message {
                Wire::Text(text) => server.handle_message(now, text),
                Wire::Binary(message) => server.handle_binary(now, message.clone()),
            }
            prop_assert!([before, Stage::Closed].contains(&server.stage()), "no client moves a stage: {:?}", message);
            while let Some(event) = server.poll_event() {
                if let ServerEvent::Send(send) = event {
                    prop_assert!(before.is_ready(), "no send is handed over before ready");
                    server.decide(now, send.id, Decision::Taken);
                }
            }
            write_out(&mut server);
            now = now + Duration::from_millis(30);
            server.handle_timeout(now);
            write_out(&mut server);
        }
    }
}

/// A strategy that only made rubbish, or nothing but frames, would prove nothing.
#[test]
fn hostile_texts_are_of_every_kind() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut client, mut server, mut neither, mut clauses) = (0, 0, 0, std::collections::BTreeSet::new());
    for _ in 0..10_000 {
        let text = hostile().new_tree(&mut runner).expect("a text").current();
        match (ClientFrame::decode(&text), ServerFrame::decode(&text)) {
            (Ok(_), _) => client += 1,
            (_, Ok(_)) => server += 1,
            (Err(ours), Err(theirs)) => {
                neither += 1;
                clauses.extend([ours.clause, theirs.clause]);
            }
        }
    }
    assert!(client > 200 && server > 200 && neither > 200, "{client}, {server}, {neither}");
    assert!(clauses.len() >= 8, "{clauses:?}");
}
