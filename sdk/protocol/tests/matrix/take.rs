//! The session store: what is taken, what is refused, and what is answered again.

use crate::bind::{Log, resume};
use crate::frames;
use readywire_protocol::config::{ServerConfig, Window};
use readywire_protocol::frame::{Resume, Send};
use readywire_protocol::json::Payload;
use readywire_protocol::server::{Decision, Take};

pub(crate) fn send(id: u64) -> Send {
    Send::new(id, "e", Payload::null())
}

fn take(log: &mut Log, owner: u64, id: u64, refused: bool) -> Take {
    let refuse = refused.then(|| frames::impaired(0));
    log.sessions.take(log.now, "s-1", owner, &send(id), refuse)
}

#[test]
fn a_send_is_taken_once() {
    let mut log = Log::with_one();
    assert_eq!(take(&mut log, 1, 1, false), Take::New);
    assert_eq!(take(&mut log, 1, 1, false), Take::Again(Decision::Taken));
    assert_eq!(take(&mut log, 1, 1, true), Take::Again(Decision::Taken), "the first decision stands");
    assert_eq!(take(&mut log, 1, 5, false), Take::New, "gaps are allowed");
    assert_eq!(take(&mut log, 1, 3, false), Take::Again(Decision::Taken), "and what was left out stays out");
    assert_eq!(take(&mut log, 1, 6, false), Take::New);
}

#[test]
fn a_refusal_takes_its_id_and_is_given_again() {
    let mut log = Log::with_one();
    let refused = Take::Again(Decision::Refused(frames::impaired(1)));
    assert_eq!(take(&mut log, 1, 1, true), refused, "under the id of the send");
    assert_eq!(take(&mut log, 1, 1, false), refused, "the first decision stands");
    assert_eq!(take(&mut log, 1, 2, false), Take::New);
}

#[test]
fn received_goes_on_across_connections() {
    let mut log = Log::with_one();
    take(&mut log, 1, 1, false);
    take(&mut log, 1, 2, true);
    take(&mut log, 1, 4, false);
    let binding = log.bind("alice", 2, Some(1), Some(&resume("s-1", 1))).expect("bound");
    assert_eq!((binding.received, binding.refused), (4, vec![frames::impaired(2)]));
    assert_eq!(take(&mut log, 2, 4, false), Take::Again(Decision::Taken));
    assert_eq!(take(&mut log, 1, 5, false), Take::Fenced, "nothing of the old connection is taken");
    assert_eq!(take(&mut log, 2, 5, false), Take::New);
}

/// Refusals are listed in the order of their ids, until the client has settled them.
#[test]
fn a_refusal_is_kept_until_it_is_settled() {
    let mut log = Log::with_one();
    for id in 1..=5 {
        take(&mut log, 1, id, id != 3);
    }
    let mut refused = |attempt, settled| {
        let resume = Resume { settled, ..resume("s-1", attempt) };
        let binding = log.bind("alice", attempt + 1, Some(1), Some(&resume)).expect("bound");
        binding.refused.into_iter().map(|refusal| refusal.id).collect::<Vec<_>>()
    };
    assert_eq!(refused(1, 0), [1, 2, 4, 5]);
    assert_eq!(refused(2, 0), [1, 2, 4, 5], "a lost `ready` loses none");
    assert_eq!(refused(3, 1), [2, 4, 5]);
    assert_eq!(refused(4, 4), [5]);
    assert_eq!(refused(5, 0), [5], "what was settled is forgotten");
}

/// No more are kept than a client can have in flight: it wrote each new one on the place of one whose end it knew.
#[test]
fn no_more_refusals_are_kept_than_can_be_open() {
    let in_flight = Window { messages: 3, ..Window::default() };
    let mut log = Log::new(ServerConfig { in_flight, ..ServerConfig::default() });
    log.bind("alice", 1, None, None).expect("a session");
    for id in 1..=5 {
        take(&mut log, 1, id, true);
    }
    let binding = log.bind("alice", 2, Some(1), Some(&resume("s-1", 1))).expect("bound");
    assert_eq!(binding.refused.into_iter().map(|refusal| refusal.id).collect::<Vec<_>>(), [3, 4, 5]);
}

#[test]
fn an_ended_session_takes_nothing() {
    let mut log = Log::with_one();
    log.sessions.end("s-1", 1);
    assert_eq!(take(&mut log, 1, 1, false), Take::Fenced);
    let mut log = Log::with_one();
    log.sessions.detach(log.now, "s-1", 1);
    assert_eq!(take(&mut log, 1, 1, false), Take::Fenced, "nor does one whose connection is gone");
}
