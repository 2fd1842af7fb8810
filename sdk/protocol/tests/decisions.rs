//! What a decision of the server frees, keeps and ends.

use readywire_protocol::config::{ServerConfig, Window};
use readywire_protocol::frame::{Refusal, Resume, Send, SessionGrant};
use readywire_protocol::json::Payload;
use readywire_protocol::server::{
    Bound, Credentials, Decision, ServerConnection, ServerEvent, Sessions, Take, Transmit,
};
use readywire_protocol::time::Instant;

const START: Instant = Instant::from_origin(std::time::Duration::ZERO);

fn refusal(id: u64) -> Refusal {
    Refusal::new(id, "no")
}

fn send(id: u64, key: Option<&str>) -> Send {
    Send { answer: true, key: key.map(str::to_owned), ..Send::new(id, "ask", Payload::null()) }
}

fn config(in_flight: u64) -> ServerConfig {
    ServerConfig { in_flight: Window { messages: in_flight, bytes: 1 << 20 }, ..ServerConfig::default() }
}

#[test]
fn a_nack_frees_its_place_before_any_ack() {
    let mut server = ServerConnection::new(config(8), START, "c-1".to_owned(), []);
    server.handle_message(START, r#"{"type":"hello"}"#);
    server.authenticated(START);
    server.services_ready(START);
    server.ready(Bound {
        session: None::<SessionGrant>,
        received: 0,
        refused: Vec::new(),
        inbox: 0,
        impaired: Vec::new(),
        token_expires_in: None,
    });
    while server.poll_transmit().is_some() {}
    let write = |server: &mut ServerConnection, id: u64| {
        server.handle_message(START, &format!(r#"{{"type":"send","id":{id},"event":"e"}}"#));
    };
    (1..=8).for_each(|id| write(&mut server, id));
    server.decide(START, 1, Decision::Refused(refusal(1)));
    assert!(matches!(server.poll_transmit(), Some(Transmit::Text(text)) if text.starts_with(r#"{"type":"nack""#)));
    assert_eq!(server.poll_transmit(), None, "no ack yet");
    write(&mut server, 9);
    let seen = std::iter::from_fn(|| server.poll_event()).filter(|event| matches!(event, ServerEvent::Send(_))).count();
    assert_eq!((seen, server.poll_transmit()), (9, None), "the ninth is within the window");
    write(&mut server, 10);
    assert!(
        matches!(server.poll_event(), Some(ServerEvent::Closed(ending)) if ending.code == 4400),
        "the tenth is not"
    );
}

fn sessions(in_flight: u64) -> Sessions {
    let mut sessions = Sessions::new(config(in_flight));
    bind(&mut sessions, 1, None);
    sessions
}

fn bind(sessions: &mut Sessions, owner: u64, resume: Option<&Resume>) -> Vec<u64> {
    let credentials = Credentials {
        subject: "u-7".to_owned(),
        owner,
        presented: resume.map(|_| [1; 32]),
        fresh_id: format!("s-{owner}"),
        fresh_token: [1; 32],
    };
    let binding = sessions.bind(START, credentials, resume).expect("nobody else has it");
    binding.refused.iter().map(|refusal| refusal.id).collect()
}

#[test]
fn refusals_are_kept_for_as_long_as_a_client_may_not_know_them() {
    let mut sessions = sessions(4);
    for id in 1..=100 {
        sessions.take(START, "s-1", 1, &send(id, None), Some(refusal(id)));
    }
    let resume = |settled| Resume { session: "s-1".to_owned(), token: String::new(), attempt: 1, settled, inbox: 0 };
    // With four in flight, whoever writes 100 has settled 96, whatever its last hello said.
    assert_eq!(bind(&mut sessions, 2, Some(&resume(0))), [97, 98, 99, 100]);
    assert_eq!(bind(&mut sessions, 3, Some(&resume(98))), [99, 100]);
}

#[test]
fn the_answer_to_a_repeated_key_ends_though_nothing_is_processed() {
    let mut sessions = sessions(64);
    assert_eq!(sessions.take(START, "s-1", 1, &send(1, Some("k")), None), Take::New);
    bind(&mut sessions, 2, None);
    assert_eq!(sessions.take(START, "s-2", 2, &send(1, Some("k")), None), Take::Again(Decision::Taken));
    let messages = sessions.read("s-2", 2, 0, Window::default());
    let [end] = &messages[..] else { panic!("one message: {messages:?}") };
    assert_eq!((end.re, end.end), (Some(1), true));
    assert_eq!(end.error.as_ref().map(|error| &*error.code), Some("duplicate_key"));
    assert_eq!(sessions.read("s-1", 1, 0, Window::default()), [], "the first still runs");
}
