//! A session folded from its records, as a server on a log has it.

use crate::bind::{hash, resume};
use readywire_protocol::server::{Credentials, InboxRange, Session, SessionRecord};

fn began() -> SessionRecord {
    SessionRecord::Began { subject: "alice".to_owned(), token: hash(1), keeps_refusals: 8 }
}

fn bound(attempt: u64, by: u64) -> SessionRecord {
    SessionRecord::Bound { attempt, settled: 0, presented: hash(1), token: hash(by) }
}

fn credentials(presented: [u8; 32]) -> Credentials {
    Credentials {
        subject: "alice".to_owned(),
        owner: 2,
        presented: Some(presented),
        fresh_id: String::new(),
        fresh_token: hash(2),
    }
}

#[test]
fn the_first_record_begins_a_session_or_is_the_whole_of_it() {
    let session = Session::fold([began(), bound(1, 2), bound(2, 3)]).expect("a session");
    let whole = SessionRecord::Whole(Box::new(session.clone()));
    assert_eq!(Session::fold([whole.clone()]), Some(session.clone()));
    assert_eq!(Session::fold([began(), whole]), Some(session));
    assert_eq!(Session::fold([bound(1, 2)]), None);
    assert_eq!(Session::fold([]), None);
}

#[test]
fn each_binding_fences_those_before_it() {
    let mut session = Session::fold([began()]).expect("a session");
    for fence in 2..=4 {
        session.apply(bound(1, fence));
        assert_eq!(session.fence, fence);
    }
}

/// Differences that would cancel each other out are differences.
#[test]
fn a_token_is_compared_whole() {
    let session = Session::fold([began()]).expect("a session");
    let found = |token| session.resume(&credentials(token), &resume("s", 1), InboxRange { first: 1, head: 0 });
    assert!(found(hash(1)).is_ok_and(|record| record.is_some()));
    for (left, right) in [(0, 1), (0, 31), (30, 31)] {
        let mut token = hash(1);
        token[left] ^= 0x55;
        token[right] ^= 0x55;
        assert_eq!(found(token), Ok(None), "another at {left} and {right}");
    }
}
