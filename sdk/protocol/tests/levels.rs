//! What is beyond Core is used only when both ends listed it (clause `frame.level`).

use readywire_protocol::clause::Clause;
use readywire_protocol::client::{Client, ClientEvent, Command, Outcome, SendOptions};
use readywire_protocol::config::{ClientConfig, ServerConfig};
use readywire_protocol::frame::{Message, Ready, ServerFrame, SessionGrant};
use readywire_protocol::json::Payload;
use readywire_protocol::server::{Bound, Ending, ServerConnection, ServerEvent, Transmit};
use readywire_protocol::time::Instant;

const START: Instant = Instant::from_origin(std::time::Duration::ZERO);

/// A server that has said ready to a client with these capabilities, and what it said.
fn server(capabilities: &str) -> (ServerConnection, Ready) {
    let mut server = ServerConnection::new(ServerConfig::default(), START, "c-1".to_owned(), []);
    let resume = r#"{"session":"s-0","token":"r-0","attempt":1}"#;
    server.handle_message(START, &format!(r#"{{"type":"hello","capabilities":[{capabilities}],"resume":{resume}}}"#));
    server.authenticated(START);
    server.services_ready(START);
    let session = SessionGrant {
        id: "s-1".to_owned(),
        token: "r-1".to_owned(),
        ttl_ms: 1000,
        resumed: false,
        lost_because: None,
        subject: "u-7".to_owned(),
        durability: "process".to_owned(),
    };
    server.ready(Bound {
        session: Some(session),
        received: 0,
        refused: Vec::new(),
        inbox: 0,
        impaired: Vec::new(),
        token_expires_in: None,
    });
    let mut said = None;
    while let Some(Transmit::Text(text)) = server.poll_transmit() {
        if let Ok(ServerFrame::Ready(ready)) = ServerFrame::decode(&text) {
            said = Some(*ready);
        }
    }
    (server, said.expect("ready was said"))
}

fn events(server: &mut ServerConnection) -> Vec<ServerEvent> {
    std::iter::from_fn(|| server.poll_event()).collect()
}

fn ending(server: &mut ServerConnection) -> Ending {
    match events(server).pop() {
        Some(ServerEvent::Closed(ending)) => ending,
        other => panic!("not closed: {other:?}"),
    }
}

fn note(offset: u64) -> Message {
    Message {
        offset,
        event: "note".to_owned(),
        payload: Payload::null(),
        re: None,
        end: false,
        error: None,
        asks: false,
    }
}

#[test]
fn a_client_of_core_alone_is_served_core_alone() {
    for capabilities in ["", r#""answers""#, r#""Resume""#] {
        let (mut server, ready) = server(capabilities);
        assert_eq!((ready.session, ready.capabilities), (None, vec![]), "{capabilities}");
        assert!(matches!(&events(&mut server)[..], [ServerEvent::Hello(hello)] if hello.resume.is_none()));
        assert_eq!(server.inbox_room(), None);
        server.handle_message(START, r#"{"type":"send","id":1,"event":"e","answer":true,"key":"k"}"#);
        let sends = events(&mut server);
        assert!(matches!(&sends[..], [ServerEvent::Send(send)] if !send.answer && send.key.is_none()), "{sends:?}");
        server.handle_closed(None);
        assert!(ending(&mut server).ends_session, "nobody could come back to it");
    }
}

#[test]
fn a_frame_of_a_level_that_was_not_agreed_on_is_a_violation() {
    for (capabilities, frame) in [
        ("", r#"{"type":"taken","offset":0}"#),
        ("", r#"{"type":"cancel","re":1}"#),
        (r#""resume""#, r#"{"type":"cancel","re":1}"#),
        (r#""resume","answers""#, r#"{"type":"auth","token":"t"}"#),
        (r#""resume","topics""#, r#"{"type":"taken","offset":0,"topic":"t"}"#),
        (r#""resume","topics""#, r#"{"type":"history","request":1,"topic":"t","limit":1}"#),
    ] {
        let (mut server, _) = server(capabilities);
        server.handle_message(START, frame);
        let ending = ending(&mut server);
        assert_eq!((ending.code, ending.clause), (4400, Some(Clause::FrameLevel)), "{capabilities}: {frame}");
    }
}

/// Refresh stands on Core alone.
#[test]
fn a_client_without_sessions_can_refresh() {
    let (mut server, ready) = server(r#""refresh","answers""#);
    assert_eq!((ready.session, ready.capabilities), (None, vec!["refresh".to_owned()]));
    server.handle_message(START, r#"{"type":"auth","token":"t"}"#);
    assert!(matches!(&events(&mut server)[..], [_, ServerEvent::FreshToken(auth)] if auth.token == "t"));
}

#[test]
fn what_both_listed_is_agreed_on() {
    for (theirs, agreed) in [
        (r#""resume""#, vec!["resume"]),
        (r#""answers","topics","resume""#, vec!["resume", "answers"]),
        (r#""refresh","resume""#, vec!["resume", "refresh"]),
        (r#""resume","later","answers""#, vec!["resume", "answers"]),
    ] {
        let (mut server, ready) = server(theirs);
        assert_eq!(ready.capabilities, agreed);
        assert!(ready.session.is_some());
        assert!(server.inbox_room().is_some());
        server.deliver(note(1));
        server.handle_message(START, r#"{"type":"taken","offset":1}"#);
        server.handle_closed(None);
        assert!(!ending(&mut server).ends_session);
    }
}

/// A client that is ready at a server that lists these.
fn client(capabilities: &str) -> Client {
    let mut client = Client::new(ClientConfig::default(), 7);
    client.connect(START);
    client.provide_token(START, 1, Ok(None));
    client.handle_open(START, 1, "readywire.v1");
    for stage in ["ACCEPTED", "AUTHENTICATED", "SERVICES_READY"] {
        client.handle_message(START, 1, &format!(r#"{{"type":"stage","stage":"{stage}"}}"#));
    }
    let limits = r#"{"max_message_bytes":1000,"max_in_flight":9,"max_in_flight_bytes":1000}"#;
    let heartbeat = r#"{"interval_ms":20000,"timeout_ms":10000}"#;
    let session = r#"{"id":"s-1","token":"r-1","subject":"u-7"}"#;
    let rest = format!(r#""session":{session},"capabilities":[{capabilities}]"#);
    client.handle_message(START, 1, &format!(r#"{{"type":"ready","limits":{limits},"heartbeat":{heartbeat},{rest}}}"#));
    while client.poll_command().is_some() {}
    client
}

fn outcomes(client: &mut Client) -> Vec<(u64, Outcome)> {
    let settled = |event| match event {
        ClientEvent::Settled { handle, outcome } => Some((handle, outcome)),
        _ => None,
    };
    std::iter::from_fn(|| client.poll_event()).filter_map(settled).collect()
}

#[test]
fn no_answer_is_asked_of_a_server_that_gives_none() {
    let mut client = client("");
    client.send(START, 1, "e", Payload::null(), SendOptions { answer: true, ..SendOptions::default() });
    let outcomes = outcomes(&mut client);
    let [(1, Outcome::Refused(rejection))] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert_eq!(rejection.code, "unsupported");
    assert_eq!(client.poll_command(), None, "nothing was written");
}

#[test]
fn a_key_is_not_relied_on_where_nobody_remembers_it() {
    let mut client = client("");
    let keyed = SendOptions { key: Some("k".to_owned()), ..SendOptions::default() };
    client.send(START, 1, "e", Payload::null(), keyed);
    assert!(matches!(client.poll_command(), Some(Command::Transmit { .. })));
    client.handle_closed(START, 1, None);
    assert_eq!(outcomes(&mut client), [(1, Outcome::Unknown { code: "session_lost" })]);
}

#[test]
fn a_key_has_64_bytes_at_most_where_anybody_reads_it() {
    let send = |bytes: usize| format!(r#"{{"type":"send","id":1,"event":"e","key":"{}"}}"#, "é".repeat(bytes / 2));
    for (capabilities, bytes, clause) in
        [(r#""resume""#, 64, None), (r#""resume""#, 66, Some(Clause::SendKey)), ("", 66, None)]
    {
        let (mut server, _) = server(capabilities);
        server.handle_message(START, &send(bytes));
        let broken = match events(&mut server).pop() {
            Some(ServerEvent::Closed(ending)) => ending.clause,
            _ => None,
        };
        assert_eq!(broken, clause, "{capabilities} {bytes}");
    }
}

/// What an agreed level lets through is there to show that the others would have been heard, too.
#[test]
fn a_level_without_what_it_needs_is_none() {
    let (read, withdrawn) = (r#"{"type":"read","re":1,"id":0}"#, r#"{"type":"cancel","re":1}"#);
    for (capabilities, frame, heard) in [
        (r#""resume","answers","streams""#, read, true),
        (r#""resume","streams""#, read, false),
        (r#""answers","streams""#, read, false),
        (r#""resume","questions""#, withdrawn, true),
        (r#""questions""#, withdrawn, false),
    ] {
        let mut client = client(capabilities);
        client.handle_message(START, 1, frame);
        let closed = std::iter::from_fn(|| client.poll_command()).find_map(|command| match command {
            Command::Close { code, .. } => Some(code),
            _ => None,
        });
        assert_eq!(closed, (!heard).then_some(4400), "{capabilities}: {frame}");
    }
}
