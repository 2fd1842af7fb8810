//! A client that ends a connection says so before it closes (clause `close.bye_first`).

use readywire_protocol::client::{Client, Command, SendOptions};
use readywire_protocol::config::ClientConfig;
use readywire_protocol::frame::ClientFrame;
use readywire_protocol::json::Payload;
use readywire_protocol::time::{Duration, Instant};

const START: Instant = Instant::from_origin(Duration::ZERO);
const STAGES: [&str; 4] = [
    r#"{"type":"stage","stage":"ACCEPTED"}"#,
    r#"{"type":"stage","stage":"AUTHENTICATED"}"#,
    r#"{"type":"stage","stage":"SERVICES_READY"}"#,
    r#"{"type":"ready","limits":{"max_message_bytes":1000,"max_in_flight":9,"max_in_flight_bytes":1000},"heartbeat":{"interval_ms":60000,"timeout_ms":1000}}"#,
];

/// A client whose server has said this much.
fn client(frames: &[&str]) -> Client {
    let mut client = Client::new(ClientConfig::default(), 7);
    client.connect(START);
    client.provide_token(START, 1, Ok(None));
    client.handle_open(START, 1, "readywire.v1");
    frames.iter().for_each(|frame| client.handle_message(START, 1, frame));
    while client.poll_command().is_some() {}
    client
}

/// The codes of the last frame, if that is a bye, and of the close behind it.
fn farewell(client: &mut Client) -> (Option<u64>, u16) {
    let mut last = None;
    loop {
        match client.poll_command().expect("the client closes") {
            Command::Transmit { text, .. } => last = ClientFrame::decode(&text).ok(),
            Command::Close { code, .. } => {
                let bye = last.and_then(|frame| if let ClientFrame::Bye(bye) = frame { Some(bye.code) } else { None });
                return (bye, code);
            }
            other => panic!("{other:?}"),
        }
    }
}

fn wait(client: &mut Client) {
    let deadline = client.poll_timeout().expect("a deadline");
    client.handle_timeout(deadline);
}

#[test]
fn every_end_by_the_client_begins_with_bye() {
    let mut late = client(&STAGES[..1]);
    wait(&mut late);
    assert_eq!(farewell(&mut late), (Some(4201), 4201));

    let mut silent = client(&STAGES);
    wait(&mut silent);
    assert_eq!(farewell(&mut silent), (Some(4203), 4203));

    let mut stuck = client(&STAGES);
    stuck.send(START, 1, "e", Payload::null(), SendOptions::default());
    wait(&mut stuck);
    assert_eq!(farewell(&mut stuck), (Some(4210), 4210));

    let mut skipped = client(&[]);
    skipped.handle_message(START, 1, STAGES[1]);
    assert_eq!(farewell(&mut skipped), (Some(4402), 4402));

    let mut done = client(&STAGES);
    done.close(START, Duration::ZERO);
    assert_eq!(farewell(&mut done), (Some(1000), 1000));
}

#[test]
fn a_server_that_never_spoke_the_protocol_is_told_nothing() {
    let mut unconfirmed = client(&[]);
    wait(&mut unconfirmed);
    assert_eq!(farewell(&mut unconfirmed), (None, 4201));
}
