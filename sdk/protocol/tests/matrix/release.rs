//! Who may still start what was taken: folded from the records of a session that goes from connection to connection.

use readywire_protocol::server::{Session, SessionRecord};

fn began() -> SessionRecord {
    SessionRecord::Began { subject: "alice".to_owned(), token: [1; 32], keeps_refusals: 8 }
}

fn bound(attempt: u64) -> SessionRecord {
    SessionRecord::Bound { attempt, settled: 0, presented: [1; 32], token: [2; 32] }
}

fn decided(through: u64) -> SessionRecord {
    SessionRecord::Decided { through, refused: Vec::new() }
}

fn released(fence: u64) -> SessionRecord {
    SessionRecord::Released { fence }
}

const GONE: SessionRecord = SessionRecord::Detached { at: 5 };

/// Whether the connection that these records bound last has to wait, and whether it would after a shorter tale.
fn waits<const N: usize>(records: [SessionRecord; N]) -> bool {
    let session = Session::fold(records).expect("it began");
    let whole = SessionRecord::Whole(Box::new(session.clone()));
    assert_eq!(Session::fold([whole]), Some(session.clone()), "the whole tells the same");
    session.awaits_release()
}

#[test]
fn who_took_something_and_is_fenced_is_waited_for_until_it_has_started_it() {
    assert!(waits([began(), decided(1), bound(1)]));
    assert!(!waits([began(), decided(1), bound(1), released(1)]));
    assert!(waits([began(), decided(1), bound(1), decided(2), bound(2), released(1)]), "that was another");
    assert!(!waits([began(), decided(1), bound(1), decided(2), bound(2), released(2), released(1)]), "in any order");
}

#[test]
fn nobody_waits_for_itself_or_for_who_took_nothing() {
    assert!(!waits([began()]));
    assert!(!waits([began(), decided(1)]));
    assert!(!waits([began(), bound(1)]));
    assert!(!waits([began(), decided(1), bound(1), released(1), bound(2), bound(3)]));
}

#[test]
fn who_detached_had_started_what_it_took() {
    assert!(!waits([began(), decided(1), GONE, bound(1)]));
    assert!(!waits([began(), decided(1), bound(1), released(1), decided(2), GONE, bound(2)]));
}

/// It decided nothing itself, and nobody has heard of the one before it.
#[test]
fn who_waits_in_vain_passes_the_wait_on() {
    assert!(waits([began(), decided(1), bound(1), bound(2)]));
    assert!(waits([began(), decided(1), bound(1), GONE, bound(2)]));
    assert!(!waits([began(), decided(1), bound(1), GONE, bound(2), released(1)]));
}

#[test]
fn who_waited_long_enough_is_the_one_to_wait_for() {
    assert!(!waits([began(), decided(1), bound(1), decided(2)]));
    assert!(waits([began(), decided(1), bound(1), decided(2), bound(2)]));
    assert!(!waits([began(), decided(1), bound(1), decided(2), bound(2), released(2)]));
}
