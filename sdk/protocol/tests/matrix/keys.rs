//! The session store: a key is recognised per subject, across sessions, and gets the first decision.

use crate::bind::Log;
use crate::far::Far;
use crate::frames;
use crate::take::send;
use readywire_protocol::clause::Clause;
use readywire_protocol::config::ServerConfig;
use readywire_protocol::frame::Send;
use readywire_protocol::server::{Decision, Take};
use readywire_protocol::time::Duration;

fn keyed(id: u64, key: &str) -> Send {
    Send { key: Some(key.to_owned()), ..send(id) }
}

/// A log with a session of alice and one of bob, each with its first connection.
fn log() -> Log {
    let mut log = Log::new(ServerConfig::default());
    log.bind("alice", 1, None, None).expect("a session");
    log.bind("alice", 2, None, None).expect("a session");
    log.bind("bob", 3, None, None).expect("a session");
    log
}

fn take(log: &mut Log, owner: u64, send: &Send, refused: bool) -> Take {
    let refuse = refused.then(|| frames::refusal(0, "no"));
    log.sessions.take(log.now, &format!("s-{owner}"), owner, send, refuse)
}

const AGAIN: Take = Take::Again(Decision::Taken);

#[test]
fn a_key_is_processed_once_for_each_subject() {
    let mut log = log();
    assert_eq!(take(&mut log, 1, &keyed(1, "order"), false), Take::New);
    assert_eq!(take(&mut log, 1, &keyed(2, "order"), false), AGAIN);
    assert_eq!(take(&mut log, 2, &keyed(1, "order"), false), AGAIN, "across sessions");
    assert_eq!(take(&mut log, 1, &keyed(3, "other"), false), Take::New);
    assert_eq!(take(&mut log, 3, &keyed(1, "order"), false), Take::New, "bob's order is another");
    assert_eq!(take(&mut log, 1, &send(4), false), Take::New, "who has no key is not recognised");
    assert_eq!(take(&mut log, 1, &send(5), false), Take::New);
}

#[test]
fn a_key_outlives_its_session() {
    let mut log = log();
    take(&mut log, 1, &keyed(1, "order"), false);
    log.sessions.end("s-1", 1);
    assert_eq!(take(&mut log, 2, &keyed(1, "order"), false), AGAIN);
}

#[test]
fn a_key_is_remembered_for_two_minutes() {
    let mut log = log();
    take(&mut log, 1, &keyed(1, "order"), false);
    log.pass(Duration::from_millis(119_999));
    assert_eq!(take(&mut log, 1, &keyed(2, "order"), false), AGAIN);
    log.pass(Duration::from_millis(1));
    assert_eq!(take(&mut log, 1, &keyed(3, "order"), false), Take::New);
}

#[test]
fn a_refusal_does_not_use_the_key_up() {
    let mut log = log();
    let refused = take(&mut log, 1, &keyed(1, "order"), true);
    assert_eq!(refused, Take::Again(Decision::Refused(frames::refusal(1, "no"))));
    assert_eq!(take(&mut log, 1, &keyed(2, "order"), false), Take::New);
}

/// What was taken is not refused later, or the client would learn that it never was.
#[test]
fn the_first_decision_stands_whatever_is_wrong_now() {
    let mut log = log();
    take(&mut log, 1, &keyed(1, "order"), false);
    assert_eq!(take(&mut log, 2, &keyed(1, "order"), true), AGAIN);
}

/// Nothing processes the second send with a key, and still its answer has to end.
#[test]
fn a_recognised_send_that_asks_for_an_answer_gets_its_end() {
    let mut log = log();
    take(&mut log, 1, &keyed(1, "order"), false);
    assert_eq!(take(&mut log, 2, &Send { answer: true, ..keyed(7, "order") }, false), AGAIN);
    let inbox = log.sessions.read("s-2", 2, 0, Default::default());
    let [end] = &inbox[..] else { panic!("one message: {inbox:?}") };
    assert_eq!((end.offset, end.re, end.end, end.error.is_some()), (1, Some(7), true, true));
}

#[test]
fn a_key_has_64_bytes_at_most() {
    for (bytes, good) in [(64, true), (65, false), (66, false)] {
        let mut far = Far::ready();
        far.hears(&format!(r#"{{"type":"send","id":1,"event":"e","key":"{}"}}"#, "k".repeat(bytes)));
        let broken = far.ending().and_then(|ending| ending.clause);
        assert_eq!(broken, (!good).then_some(Clause::SendKey), "{bytes}");
    }
}
