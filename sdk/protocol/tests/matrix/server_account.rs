//! What the server's end tells its driver of itself: its id, what is agreed on, and how much is under way.

use crate::far::{Far, bound};
use crate::frames;
use readywire_protocol::clause::Clause;
use readywire_protocol::error::PeerMisbehaved;
use readywire_protocol::server::{Bound, Decision};
use readywire_protocol::stage::Stage;
use readywire_protocol::time::Duration;

#[test]
fn a_connection_knows_its_id() {
    assert_eq!(Far::waiting().core.id(), "c-1");
}

#[test]
fn the_levels_are_those_that_both_speak() {
    assert_eq!(Far::ready().core.levels(), ["resume", "answers"]);
    let mut far = Far::at(Stage::ServicesReady);
    far.core.ready(Bound { session: None, ..bound() });
    assert_eq!(far.core.levels(), [""; 0], "without a session there is nothing to resume, and no answer that outlives");
}

#[test]
fn what_is_under_way_is_counted() {
    let mut far = Far::ready();
    assert_eq!((far.core.in_flight(), far.core.untaken_count(), far.core.untaken()), (0, 0, None));
    for id in 1..=3 {
        far.hears(&format!(r#"{{"type":"send","id":{id},"event":"e"}}"#));
    }
    for offset in 1..=4 {
        far.core.deliver(frames::message(offset, "1"));
    }
    assert_eq!((far.core.in_flight(), far.core.untaken_count(), far.core.untaken()), (3, 4, Some(1)));
    far.core.decide(far.now, 1, Decision::Taken);
    far.hears(r#"{"type":"taken","offset":3}"#);
    far.pass(Duration::from_millis(20));
    assert_eq!((far.core.in_flight(), far.core.untaken_count(), far.core.untaken()), (2, 1, Some(4)));
    far.hears(r#"{"type":"taken","offset":4}"#);
    assert_eq!((far.core.untaken_count(), far.core.untaken()), (0, None));
}

#[test]
fn each_kind_of_violation_has_its_code() {
    let codes = [
        (Clause::UpgradeSubprotocol, 4006),
        (Clause::ReadyGate, 4401),
        (Clause::HelloOnce, 4409),
        (Clause::FrameMalformed, 4400),
        (Clause::SendWindow, 4400),
    ];
    for (clause, code) in codes {
        assert_eq!(PeerMisbehaved::new(clause, "").code(), code, "{clause}");
    }
    assert_eq!(Clause::HelloOnce.to_string(), "hello.once");
}
