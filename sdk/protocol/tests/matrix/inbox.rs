//! The session store: the inbox, its offsets and its bounds.

use crate::bind::{Log, note, resume};
use readywire_protocol::config::{ServerConfig, Window};
use readywire_protocol::frame::Resume;
use readywire_protocol::server::AppendError;

fn offsets(log: &Log, owner: u64, after: u64, room: Window) -> Vec<u64> {
    log.sessions.read("s-1", owner, after, room).into_iter().map(|message| message.offset).collect()
}

const ROOM: Window = Window { messages: 100, bytes: 1000 };

/// A log in which `s-1` has five messages of ten bytes.
fn five() -> Log {
    let mut log = Log::with_one();
    for offset in 1..=5 {
        assert_eq!(log.sessions.append("s-1", note(r#""12345678""#)), Ok(offset));
    }
    log
}

#[test]
fn offsets_are_one_two_three() {
    let log = five();
    assert_eq!(offsets(&log, 1, 0, ROOM), [1, 2, 3, 4, 5]);
    assert_eq!(offsets(&log, 1, 3, ROOM), [4, 5]);
    assert_eq!(offsets(&log, 1, 5, ROOM), [0; 0]);
    assert_eq!(offsets(&log, 1, 99, ROOM), [0; 0]);
}

#[test]
fn no_more_is_read_than_there_is_room_for() {
    let log = five();
    assert_eq!(offsets(&log, 1, 0, Window { messages: 2, ..ROOM }), [1, 2]);
    assert_eq!(offsets(&log, 1, 0, Window { bytes: 30, ..ROOM }), [1, 2, 3]);
    assert_eq!(offsets(&log, 1, 0, Window { bytes: 29, ..ROOM }), [1, 2]);
    assert_eq!(offsets(&log, 1, 0, Window { messages: 0, ..ROOM }), [0; 0]);
    assert_eq!(offsets(&log, 1, 2, Window { bytes: 9, ..ROOM }), [3], "one always, or it could never pass");
}

#[test]
fn what_was_taken_is_not_kept() {
    let mut log = five();
    log.sessions.taken("s-1", 1, 2);
    assert_eq!(offsets(&log, 1, 2, ROOM), [3, 4, 5]);
    log.sessions.taken("s-1", 1, 1);
    assert_eq!(offsets(&log, 1, 2, ROOM), [3, 4, 5], "taken never goes back");
    log.sessions.taken("s-1", 1, 5);
    assert_eq!(offsets(&log, 1, 5, ROOM), [0; 0]);
    assert_eq!(log.sessions.append("s-1", note("1")), Ok(6), "and offsets go on");
    assert_eq!(offsets(&log, 1, 5, ROOM), [6]);
}

#[test]
fn a_resume_goes_on_where_the_client_stopped() {
    let mut log = five();
    log.sessions.detach(log.now, "s-1", 1);
    assert_eq!(log.sessions.append("s-1", note("1")), Ok(6), "a detached session has an inbox, too");
    let hello = Resume { inbox: 4, ..resume("s-1", 1) };
    let binding = log.bind("alice", 2, Some(1), Some(&hello)).expect("bound");
    assert_eq!((binding.resumed, binding.inbox), (true, 4));
    assert_eq!(offsets(&log, 2, 4, ROOM), [5, 6]);
    let back = Resume { inbox: 3, ..resume("s-1", 2) };
    assert!(!log.bind("alice", 3, Some(1), Some(&back)).expect("a session").resumed, "what is gone is gone");
}

#[test]
fn a_resume_may_hold_everything_or_nothing() {
    for inbox in [0, 5] {
        let mut log = five();
        let hello = Resume { inbox, ..resume("s-1", 1) };
        assert!(log.bind("alice", 2, Some(1), Some(&hello)).expect("bound").resumed, "{inbox}");
    }
    let mut log = five();
    log.sessions.taken("s-1", 1, 5);
    let hello = Resume { inbox: 4, ..resume("s-1", 1) };
    assert!(!log.bind("alice", 2, Some(1), Some(&hello)).expect("a session").resumed, "less than what was taken");
    let mut log = five();
    let hello = Resume { inbox: 6, ..resume("s-1", 1) };
    assert!(!log.bind("alice", 2, Some(1), Some(&hello)).expect("a session").resumed, "more than there is");
}

#[test]
fn an_inbox_is_bounded_and_drops_nothing() {
    let inbox = Window { messages: 2, bytes: 25 };
    let mut log = Log::new(ServerConfig { inbox, ..ServerConfig::default() });
    log.bind("alice", 1, None, None).expect("a session");
    assert_eq!(log.sessions.append("s-1", note(r#""12345678""#)), Ok(1));
    assert_eq!(log.sessions.append("s-1", note(r#""1234567890123456""#)), Err(AppendError::Full), "too many bytes");
    assert_eq!(log.sessions.append("s-1", note(r#""1234567890123""#)), Ok(2), "just full");
    assert_eq!(log.sessions.append("s-1", note("1")), Err(AppendError::Full), "too many messages");
    assert_eq!(offsets(&log, 1, 0, ROOM), [1, 2]);
    log.sessions.taken("s-1", 1, 1);
    assert_eq!(log.sessions.append("s-1", note("1")), Ok(3), "no offset was used up");
    log.sessions.taken("s-1", 1, 3);
    let huge = format!("\"{}\"", "x".repeat(100));
    assert_eq!(log.sessions.append("s-1", note(&huge)), Ok(4), "one always, or it could never pass");
}

#[test]
fn a_session_whose_inbox_stays_full_is_ended_for_whoever_has_it() {
    let mut log = five();
    assert_eq!(log.sessions.end_full("s-1"), Some(1));
    assert_eq!(log.sessions.append("s-1", note("1")), Err(AppendError::Ended));
    assert_eq!(log.sessions.end_full("s-1"), None);
    let mut log = five();
    log.sessions.detach(log.now, "s-1", 1);
    assert_eq!(log.sessions.end_full("s-1"), None);
    assert!(log.sessions.is_empty());
}

/// Connection `owner` comes with the token of the one before, and ends with `untaken` as what it had not taken.
fn ends_at(log: &mut Log, owner: u64, untaken: Option<u64>) -> bool {
    let hello = resume("s-1", owner - 1);
    let resumed = log.bind("alice", owner, Some(owner - 1), Some(&hello)).expect("a session").resumed;
    if resumed {
        log.sessions.detach(log.now, "s-1", owner);
        log.sessions.blame("s-1", untaken);
    }
    resumed
}

#[test]
fn the_third_connection_in_a_row_that_ends_at_one_message_ends_the_session() {
    let mut log = five();
    log.sessions.detach(log.now, "s-1", 1);
    log.sessions.blame("s-1", Some(1));
    assert!(ends_at(&mut log, 2, Some(1)));
    assert!(ends_at(&mut log, 3, Some(2)), "another message");
    assert!(ends_at(&mut log, 4, Some(1)));
    assert!(ends_at(&mut log, 5, None), "none: not in a row");
    for owner in 6..9 {
        assert!(ends_at(&mut log, owner, Some(1)));
    }
    assert!(log.sessions.is_empty());
    assert!(!ends_at(&mut log, 9, None), "and is not found");
}

#[test]
fn a_connection_that_is_known_to_be_over_only_later_is_to_blame_as_well() {
    let mut log = five();
    for owner in 2..5 {
        let hello = resume("s-1", owner - 1);
        assert!(log.bind("alice", owner, Some(owner - 1), Some(&hello)).expect("bound").resumed);
        log.sessions.detach(log.now, "s-1", owner - 1);
        log.sessions.blame("s-1", Some(1));
    }
    // The fourth came before it was known of the third; the fifth is too late.
    assert_eq!(log.sessions.owner("s-1"), Some(4));
    let held = Resume { inbox: 1, ..resume("s-1", 4) };
    assert!(!log.clone().bind("alice", 5, Some(4), Some(&resume("s-1", 4))).expect("a session").resumed);
    assert!(log.bind("alice", 5, Some(4), Some(&held)).expect("bound").resumed, "unless the client has got over it");
}

#[test]
fn what_was_taken_makes_room() {
    let config = ServerConfig { inbox: Window { messages: 9, bytes: 100 }, ..ServerConfig::default() };
    let mut log = Log::new(config);
    log.bind("alice", 1, None, None).expect("a session");
    for offset in 1..=3 {
        assert_eq!(log.sessions.append("s-1", note(&format!("\"{}\"", "x".repeat(28)))), Ok(offset));
    }
    assert_eq!(log.sessions.append("s-1", note("12345678901")), Err(AppendError::Full));
    log.sessions.taken("s-1", 1, 1);
    assert_eq!(log.sessions.append("s-1", note(&format!("\"{}\"", "x".repeat(38)))), Ok(4), "to the last byte");
    assert_eq!(log.sessions.append("s-1", note("1")), Err(AppendError::Full));
}
