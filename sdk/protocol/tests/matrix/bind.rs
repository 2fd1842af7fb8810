//! The session store: which connection gets which session, and for how long one is kept.

use readywire_protocol::config::ServerConfig;
use readywire_protocol::frame::Resume;
use readywire_protocol::server::{AppendError, BindError, Binding, Credentials, SecretHash, SessionMessage, Sessions};
use readywire_protocol::time::{Duration, Instant};

/// A store, and hellos that come to it. The hash of a token is the number of whoever was given it.
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) sessions: Sessions,
    pub(crate) now: Instant,
}

pub(crate) fn hash(owner: u64) -> SecretHash {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&owner.to_be_bytes());
    hash
}

pub(crate) fn resume(session: &str, attempt: u64) -> Resume {
    Resume { session: session.to_owned(), token: String::new(), attempt, settled: 0, inbox: 0 }
}

pub(crate) fn note(text: &str) -> SessionMessage {
    let payload = crate::near::payload(text);
    SessionMessage { event: "note".to_owned(), payload, re: None, end: false, error: None, asks: false }
}

impl Log {
    pub(crate) fn new(config: ServerConfig) -> Self {
        Self { sessions: Sessions::new(config), now: Instant::default() }
    }

    /// A log in which connection 1 of alice has session `s-1`.
    pub(crate) fn with_one() -> Self {
        let mut log = Self::new(ServerConfig::default());
        let binding = log.bind("alice", 1, None, None).expect("a session");
        assert_eq!(binding.id, "s-1");
        log
    }

    /// Connection `owner` of `subject` comes, with the token that was given to connection `proof`.
    pub(crate) fn bind(
        &mut self,
        subject: &str,
        owner: u64,
        proof: Option<u64>,
        resume: Option<&Resume>,
    ) -> Result<Binding, BindError> {
        let credentials = Credentials {
            subject: subject.to_owned(),
            owner,
            presented: proof.map(hash),
            fresh_id: format!("s-{owner}"),
            fresh_token: hash(owner),
        };
        self.sessions.bind(self.now, credentials, resume)
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
    }
}

#[test]
fn the_token_that_was_given_proves_the_session() {
    let mut log = Log::with_one();
    log.sessions.detach(log.now, "s-1", 1);
    let binding = log.bind("alice", 2, Some(1), Some(&resume("s-1", 1))).expect("bound");
    assert_eq!((binding.id.as_str(), binding.resumed, binding.fenced), ("s-1", true, None));
    assert_eq!(log.sessions.owner("s-1"), Some(2));
    assert_eq!(log.sessions.len(), 1);
}

/// Whatever is wrong with a resume, it is not found: a new session, and not a word about why.
#[test]
fn a_failed_resume_looks_like_any_other() {
    let proofs = [
        ("no token", "alice", None, resume("s-1", 5)),
        ("a forged token", "alice", Some(77), resume("s-1", 5)),
        ("somebody else", "bob", Some(1), resume("s-1", 5)),
        ("no such session", "alice", Some(1), resume("s-7", 5)),
        ("above the inbox", "alice", Some(1), Resume { inbox: 3, ..resume("s-1", 5) }),
        ("below the inbox", "alice", Some(1), Resume { inbox: 0, ..resume("s-1", 5) }),
    ];
    for (what, subject, proof, resume) in proofs {
        let mut log = Log::with_one();
        log.sessions.append("s-1", note("1")).expect("room");
        log.sessions.append("s-1", note("2")).expect("room");
        log.sessions.taken("s-1", 1, 1);
        let binding = log.bind(subject, 2, proof, Some(&resume)).expect("never a close");
        let expected =
            Binding { id: "s-2".to_owned(), resumed: false, fenced: None, received: 0, refused: Vec::new(), inbox: 0 };
        assert_eq!(binding, expected, "{what}");
        assert_eq!(log.sessions.owner("s-1"), Some(1), "whoever had it keeps it: {what}");
    }
}

#[test]
fn a_lower_attempt_is_told_so_only_if_it_is_proved() {
    let mut log = Log::with_one();
    log.bind("alice", 2, Some(1), Some(&resume("s-1", 5))).expect("bound");
    assert_eq!(log.bind("alice", 3, Some(1), Some(&resume("s-1", 4))), Err(BindError::TakenOver));
    assert_eq!(log.sessions.owner("s-1"), Some(2));
    let stranger = log.bind("alice", 3, Some(77), Some(&resume("s-1", 4))).expect("a session");
    assert!(!stranger.resumed, "a stranger does not learn that there is such a session");
}

#[test]
fn a_higher_attempt_fences_the_one_before() {
    let mut log = Log::with_one();
    let binding = log.bind("alice", 2, Some(1), Some(&resume("s-1", 1))).expect("bound");
    assert_eq!(binding.fenced, Some(1));
    let send = crate::take::send(1);
    assert_eq!(log.sessions.take(log.now, "s-1", 1, &send, None), readywire_protocol::server::Take::Fenced);
    log.sessions.append("s-1", note("1")).expect("room");
    assert_eq!(log.sessions.read("s-1", 1, 0, Default::default()), []);
    log.sessions.taken("s-1", 1, 1);
    log.sessions.confirm_token("s-1", 1);
    log.sessions.detach(log.now, "s-1", 1);
    log.sessions.end("s-1", 1);
    assert_eq!(log.sessions.owner("s-1"), Some(2), "the old connection has no say any more");
    assert_eq!(log.sessions.read("s-1", 2, 0, Default::default()).len(), 1);
}

/// The same hello again, over a repeated upgrade: it binds like a higher attempt.
#[test]
fn an_equal_attempt_binds_again() {
    let mut log = Log::with_one();
    log.bind("alice", 2, Some(1), Some(&resume("s-1", 1))).expect("bound");
    let binding = log.bind("alice", 3, Some(1), Some(&resume("s-1", 1))).expect("bound");
    assert_eq!((binding.resumed, binding.fenced), (true, Some(2)));
    let binding = log.bind("alice", 3, Some(1), Some(&resume("s-1", 1))).expect("bound");
    assert_eq!((binding.resumed, binding.fenced), (true, None), "nobody is fenced by itself");
}

/// A lost `ready` locks nobody out, and a token that was shown replaces those before.
#[test]
fn a_token_is_good_until_the_next_was_shown() {
    let mut log = Log::with_one();
    log.bind("alice", 2, Some(1), Some(&resume("s-1", 1))).expect("bound");
    for attempt in 2..6 {
        let again = log.bind("alice", attempt + 1, Some(1), Some(&resume("s-1", attempt))).expect("bound");
        assert!(again.resumed, "the client never read what it was given, attempt {attempt}");
    }
    log.sessions.confirm_token("s-1", 6);
    let old = log.bind("alice", 8, Some(1), Some(&resume("s-1", 7))).expect("a session");
    assert!(!old.resumed, "the old one is worth nothing now");
    let new = log.bind("alice", 9, Some(6), Some(&resume("s-1", 7))).expect("bound");
    assert!(new.resumed);
}

/// To present a token is to have it: those before it are worth nothing any more.
#[test]
fn a_token_that_is_presented_replaces_those_before() {
    let mut log = Log::with_one();
    log.bind("alice", 2, Some(1), Some(&resume("s-1", 1))).expect("bound");
    log.bind("alice", 3, Some(2), Some(&resume("s-1", 2))).expect("bound");
    assert!(!log.bind("alice", 4, Some(1), Some(&resume("s-1", 3))).expect("a session").resumed);
    assert!(log.bind("alice", 5, Some(3), Some(&resume("s-1", 3))).expect("bound").resumed);
}

#[test]
fn a_detached_session_is_kept_for_its_time_from_then() {
    let mut log = Log::with_one();
    log.pass(Duration::from_secs(500));
    assert_eq!(log.sessions.expire(log.now), [""; 0], "one that is attached has no end");
    log.sessions.detach(log.now, "s-1", 1);
    log.pass(Duration::from_millis(119_999));
    assert_eq!(log.sessions.expire(log.now), [""; 0]);
    assert!(log.bind("alice", 2, Some(1), Some(&resume("s-1", 1))).expect("bound").resumed);
    log.pass(Duration::from_secs(500));
    assert_eq!(log.sessions.expire(log.now), [""; 0], "nor has one that is attached again");
    log.sessions.detach(log.now, "s-1", 2);
    log.pass(Duration::from_secs(120));
    assert_eq!(log.sessions.append("s-1", note("1")), Ok(1), "it is there until somebody looks at the clock");
    assert_eq!(log.sessions.expire(log.now), ["s-1"]);
    assert_eq!(log.sessions.append("s-1", note("2")), Err(AppendError::Ended));
    assert!(!log.bind("alice", 3, Some(2), Some(&resume("s-1", 2))).expect("a session").resumed);
}

/// Nobody has to call `expire` in time for a resume to come too late.
#[test]
fn a_resume_that_comes_too_late_finds_nothing() {
    let mut log = Log::with_one();
    log.sessions.detach(log.now, "s-1", 1);
    log.pass(Duration::from_secs(120));
    assert!(!log.bind("alice", 2, Some(1), Some(&resume("s-1", 1))).expect("a session").resumed);
    assert_eq!(log.sessions.ids().collect::<Vec<_>>(), ["s-2"]);
}

#[test]
fn a_farewell_ends_the_session_at_once() {
    let mut log = Log::with_one();
    log.sessions.end("s-1", 1);
    assert!(log.sessions.is_empty());
    assert!(!log.bind("alice", 2, Some(1), Some(&resume("s-1", 1))).expect("a session").resumed);
}

#[test]
fn a_subject_has_so_many_sessions_and_the_one_detached_longest_goes() {
    let mut log = Log::new(ServerConfig { sessions_per_subject: 3, ..ServerConfig::default() });
    for owner in 1..=3 {
        log.bind("alice", owner, None, None).expect("a session");
    }
    log.bind("bob", 10, None, None).expect("a session");
    for (owner, session) in [(2, "s-2"), (1, "s-1")] {
        log.pass(Duration::from_secs(1));
        log.sessions.detach(log.now, session, owner);
    }
    log.bind("alice", 4, None, None).expect("a session");
    assert_eq!(log.sessions.of_subject("alice").collect::<Vec<_>>(), ["s-1", "s-3", "s-4"], "s-2 waited longest");
    log.bind("alice", 5, None, None).expect("a session");
    assert_eq!(log.sessions.of_subject("alice").collect::<Vec<_>>(), ["s-3", "s-4", "s-5"]);
    log.bind("alice", 6, None, None).expect("a session");
    assert_eq!(log.sessions.of_subject("alice").count(), 4, "who is attached stays");
    assert_eq!(log.sessions.of_subject("bob").count(), 1);
    assert!(log.bind("alice", 7, Some(6), Some(&resume("s-6", 1))).expect("bound").resumed);
    assert_eq!(log.sessions.of_subject("alice").count(), 4, "a resume needs no room");
}

#[test]
fn sessions_are_counted() {
    let mut log = Log::new(ServerConfig::default());
    assert!(log.sessions.is_empty());
    for owner in 1..=3 {
        log.bind("alice", owner, None, None).expect("a session");
    }
    assert_eq!((log.sessions.len(), log.sessions.is_empty()), (3, false));
}
