//! Payloads of bytes, at each end alone.

use crate::client_hostile::assert_violation;
use crate::far::{Far, bound};
use crate::frames::{self, envelope};
use crate::near::{Near, named};
use readywire_protocol::client::{ClientEvent, SendOptions};
use readywire_protocol::config::{ServerConfig, Window};
use readywire_protocol::frame::{ClientFrame, Hello, Message, Send, ServerFrame};
use readywire_protocol::json::Payload;
use readywire_protocol::server::{Bound, Decision, ServerEvent};
use readywire_protocol::stage::Stage;

const SEND: &str = r#"{"type":"send","id":1,"event":"e","key":"k","answer":true}"#;

fn hello() -> Hello {
    let levels = ["resume", "answers", "binary"];
    Hello { capabilities: levels.map(str::to_owned).to_vec(), ..Hello::default() }
}

/// A server and a client that agreed on bytes.
fn far() -> Far {
    Far::with(ServerConfig::default(), Stage::ProcessingReady, hello())
}

fn near() -> Near {
    let mut near = Near::at(Stage::ServicesReady);
    near.hears(&frames::ready_binary());
    near.forget();
    near
}

fn violated(far: &Far) -> (u16, &str) {
    let bye = far.bye().expect("a bye");
    (u16::try_from(bye.code).expect("a code"), bye.clause.as_deref().expect("a clause"))
}

fn of_bytes(offset: u64, bytes: &[u8]) -> Message {
    Message { payload: bytes.to_vec().into(), ..frames::message(offset, "null") }
}

fn send(near: &mut Near) -> Send {
    near.sends().pop().expect("a send")
}

#[test]
fn a_server_takes_a_send_of_bytes_as_any_other() {
    let mut far = far();
    far.hears_binary(envelope(SEND, b"\xff\0"));
    let Some(ServerEvent::Send(send)) = far.tells().pop() else { panic!("a send") };
    assert_eq!(send.payload.bytes(), Some(&b"\xff\0"[..]));
    assert_eq!((send.id, send.answer, send.key.as_deref()), (1, true, Some("k")));
    far.core.decide(far.now, 1, Decision::Taken);
    far.hears(r#"{"type":"send","id":2,"event":"e"}"#);
    far.hears_binary(envelope(&SEND.replace(":1,", ":3,"), b""));
    let ids = far.tells().into_iter().map(|event| match event {
        ServerEvent::Send(send) => send.id,
        other => panic!("{other:?}"),
    });
    assert_eq!(ids.collect::<Vec<_>>(), [2, 3], "in one order with texts");
    far.hears_binary(envelope(SEND, b""));
    assert_eq!(violated(&far), (4400, "send.id_increasing"));
}

#[test]
fn a_server_counts_the_whole_envelope_as_one_message() {
    let whole = envelope(SEND, b"1234");
    for (limit, closed) in [(whole.len() as u64, None), (whole.len() as u64 - 1, Some((4413, "frame.size")))] {
        let config = ServerConfig { max_message_bytes: limit, ..ServerConfig::default() };
        let mut far = Far::with(config, Stage::ProcessingReady, hello());
        far.hears_binary(whole.clone());
        assert_eq!(far.closed.as_ref().map(|_| violated(&far)), closed);
    }
}

#[test]
fn a_server_says_what_is_wrong_with_an_envelope() {
    for (message, code, clause) in [
        (vec![0, 0, 0, 9], 4400, "binary.envelope"),
        (envelope(r#"{"type":"taken","offset":0}"#, b""), 4400, "binary.envelope"),
        (envelope(&SEND.replace('}', r#","payload":1}"#), b""), 4400, "binary.envelope"),
        (envelope("[]", b""), 4400, "frame.malformed"),
        (envelope(r#"{"type":"hello"}"#, b""), 4400, "binary.envelope"),
    ] {
        let mut far = far();
        far.hears_binary(message.clone());
        assert_eq!(violated(&far), (code, clause), "{message:?}");
    }
}

#[test]
fn bytes_pass_only_once_ready_was_said_to_who_speaks_them() {
    for stage in [Stage::Accepted, Stage::Authenticated, Stage::ServicesReady] {
        let mut far = Far::with(ServerConfig::default(), stage, hello());
        far.hears_binary(envelope(SEND, b"1"));
        assert_eq!(violated(&far), (4415, "frame.text"), "at {stage}");
        let mut near = Near::at(stage);
        near.hears_binary(envelope(r#"{"type":"message","offset":1}"#, b"1"));
        assert_violation(&near, 4415, "frame.text", "before ready");
    }
    let mut far = Far::ready();
    far.hears_binary(envelope(SEND, b"1"));
    assert_eq!(violated(&far), (4415, "frame.text"), "not listed");
    let mut near = Near::ready();
    near.hears_binary(envelope(r#"{"type":"message","offset":1}"#, b"1"));
    assert_violation(&near, 4415, "frame.text", "not listed");
}

#[test]
fn a_server_without_sessions_still_takes_bytes() {
    let mut far = Far::with(ServerConfig::default(), Stage::ServicesReady, hello());
    far.core.ready(Bound { session: None, ..bound() });
    far.settle();
    let Some(ServerFrame::Ready(ready)) = far.writes().pop() else { panic!("ready") };
    assert_eq!(ready.capabilities, ["binary"]);
    far.hears_binary(envelope(SEND, b"1"));
    assert!(matches!(far.tells().pop(), Some(ServerEvent::Send(send)) if !send.answer && send.key.is_none()));
}

#[test]
fn a_server_delivers_bytes_within_the_window_of_their_payloads() {
    let window = Some(Window { messages: 9, bytes: 4 });
    let mut far = Far::with(ServerConfig::default(), Stage::ProcessingReady, Hello { window, ..hello() });
    far.core.deliver(of_bytes(1, b"123"));
    far.core.deliver(of_bytes(2, b"4"));
    far.core.deliver(of_bytes(3, b""));
    assert_eq!(far.core.inbox_room(), None, "three bytes and one, however large their frames");
    let written = far.writes();
    assert_eq!(written[..2], [ServerFrame::Message(of_bytes(1, b"123")), ServerFrame::Message(of_bytes(2, b"4"))]);
}

#[test]
fn a_message_of_bytes_keeps_its_offset_where_they_cannot_go() {
    let mut far = Far::ready();
    far.core.deliver(of_bytes(1, b"123"));
    far.core.deliver(Message { re: Some(7), end: true, ..of_bytes(2, b"456") });
    far.core.deliver(frames::message(3, "1"));
    let written = far.writes();
    let messages = written.iter().map(|frame| match frame {
        ServerFrame::Message(message) => message,
        other => panic!("{other:?}"),
    });
    let messages = messages.collect::<Vec<_>>();
    assert_eq!(messages.iter().map(|message| message.offset).collect::<Vec<_>>(), [1, 2, 3]);
    for replaced in &messages[..2] {
        assert_eq!(replaced.payload, Payload::null());
        assert_eq!(replaced.error.as_ref().expect("an error").code, "unsupported");
    }
    assert!(!messages[0].end && messages[1].end && messages[2].error.is_none());
}

#[test]
fn a_client_sends_bytes_beside_their_frame_and_again_after_a_cut() {
    let mut near = near();
    near.send_bytes(1, b"\xff\0", SendOptions { key: Some("k".to_owned()), ..SendOptions::default() });
    near.send(2, SendOptions::default());
    near.send_bytes(3, b"", SendOptions::default());
    let sends = near.sends();
    assert_eq!(sends.iter().map(|send| send.id).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(sends[0].payload.bytes(), Some(&b"\xff\0"[..]));
    assert_eq!(sends[2].payload.bytes(), Some(&b""[..]), "none are bytes, too");
    near.breaks_off();
    near.again();
    near.reach(Stage::ServicesReady);
    near.forget();
    near.hears(&frames::with(|ready| {
        ready.session = Some(frames::grant(true));
        ready.capabilities.push("binary".to_owned());
        ready.received = 2;
    }));
    assert_eq!(send(&mut near), sends[2], "the same send");
    near.hears(&frames::ack(3));
    let outcomes: Vec<_> = near.outcomes().iter().map(|(_, outcome)| named(outcome)).collect();
    assert_eq!(outcomes, ["acknowledged 1", "acknowledged 2", "acknowledged 3"]);
}

#[test]
fn a_client_keeps_bytes_to_itself_where_nobody_takes_them() {
    let mut near = Near::ready();
    near.send_bytes(1, b"1", SendOptions::default());
    assert_eq!(near.writes(), [], "nothing of it is written");
    assert_eq!(near.outcomes().iter().map(|(_, outcome)| named(outcome)).collect::<Vec<_>>(), ["refused unsupported"]);
}

#[test]
fn a_client_refuses_what_the_next_connection_cannot_carry() {
    let mut near = near();
    near.send_bytes(1, b"1", SendOptions::default());
    near.send(2, SendOptions::default());
    assert_eq!(near.ids(), [1, 2]);
    near.breaks_off();
    near.resume(0);
    assert_eq!(near.ids(), [2]);
    let outcomes = near.outcomes();
    assert_eq!(
        outcomes.iter().map(|(handle, outcome)| (*handle, named(outcome))).collect::<Vec<_>>(),
        [(1, "refused unsupported".to_owned())]
    );
}

#[test]
fn a_client_counts_payloads_in_the_window_and_envelopes_against_the_limit() {
    let mut near = near();
    // The server takes 100 bytes in flight, and messages of 1000.
    near.send_bytes(1, &[0; 60], SendOptions::default());
    near.send_bytes(2, &[0; 40], SendOptions::default());
    near.send_bytes(3, &[0; 1], SendOptions::default());
    assert_eq!(near.ids(), [1, 2]);
    near.hears(&frames::ack(2));
    assert_eq!(near.ids(), [3]);
    near.hears(&frames::ack(3));
    near.forget();
    let frame = r#"{"type":"send","id":4,"event":"event"}"#;
    let most = 1000 - 4 - frame.len();
    near.send_bytes(4, &vec![0; most], SendOptions::default());
    assert_eq!(near.ids(), [4], "just as large as may be");
    near.hears(&frames::ack(4));
    near.forget();
    near.send_bytes(5, &vec![0; most + 1], SendOptions::default());
    assert_eq!(near.outcomes().iter().map(|(_, outcome)| named(outcome)).collect::<Vec<_>>(), ["refused too_large"]);
}

#[test]
fn a_client_tells_bytes_as_they_came() {
    let mut near = near();
    near.hears_binary(envelope(r#"{"type":"message","offset":1,"event":"file"}"#, b"\0\xff"));
    near.hears(&ServerFrame::Message(frames::message(2, "1")));
    near.hears_binary(envelope(r#"{"type":"message","offset":3,"event":"file"}"#, b""));
    let told = near.tells().into_iter().filter_map(|event| match event {
        ClientEvent::Message { offset, payload, .. } => Some((offset, payload.bytes().map(<[u8]>::to_vec))),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [(1, Some(vec![0, 255])), (2, None), (3, Some(vec![]))]);
    near.hears_binary(envelope(r#"{"type":"message","offset":5}"#, b""));
    assert_violation(&near, 4400, "inbox.offset", "a gap is a gap");
}

#[test]
fn a_client_says_what_is_wrong_with_an_envelope() {
    for (message, clause) in [
        (vec![0, 0], "binary.envelope"),
        (envelope(r#"{"type":"ack","id":0}"#, b""), "binary.envelope"),
        (envelope(r#"{"type":"message","offset":1,"payload":null}"#, b""), "binary.envelope"),
        (envelope("", b"{}"), "frame.malformed"),
        (envelope(SEND, b""), "frame.direction"),
    ] {
        let mut near = near();
        near.hears_binary(message.clone());
        assert_violation(&near, 4400, clause, &format!("{message:?}"));
        assert!(matches!(near.writes()[..], [ClientFrame::Bye(_)]));
    }
}
