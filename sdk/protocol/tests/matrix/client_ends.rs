//! How a connection ends, and what the client does then: by `bye`, by a close frame alone, by nothing at all.

use crate::client_stages::{STAGES, at};
use crate::frames;
use crate::near::{Near, milliseconds, seconds};
use readywire_protocol::client::{ClientEvent, ClientState, End, StateChange};
use readywire_protocol::close::{self, Class, CloseFrame};
use readywire_protocol::frame::{Bye, ServerFrame};
use readywire_protocol::stage::Stage;
use readywire_protocol::time::Duration;

const SOON: Duration = Duration::from_millis(500);

/// What the client does after an end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    Stop,
    /// Again, after at most so long.
    Within(Duration),
    /// Again, after just so long.
    After(Duration),
}
use Then::{After, Stop, Within};

/// Codes, and what the client does after a `bye` with that code and after a close frame alone.
const CODES: &[(u64, Then, Then)] = &[
    (1000, Stop, Within(SOON)),
    (1001, Within(SOON), Within(SOON)),
    (1005, Within(SOON), Within(SOON)),
    (1006, Within(SOON), Within(SOON)),
    (1009, Within(SOON), Within(SOON)),
    (1011, Within(SOON), Within(SOON)),
    (1012, Within(SOON), Within(SOON)),
    (1014, Within(SOON), Within(SOON)),
    (3000, Within(SOON), Within(SOON)),
    (4000, Stop, Stop),
    (4001, Stop, Stop),
    (4006, Stop, Stop),
    (4013, Stop, Stop),
    (4099, Stop, Stop),
    (4100, Within(SOON), Within(SOON)),
    (4102, Within(SOON), Within(SOON)),
    (4199, Within(SOON), Within(SOON)),
    (4200, Within(SOON), Within(SOON)),
    (4229, Within(SOON), Within(SOON)),
    (4299, Within(SOON), Within(SOON)),
    (4300, After(Duration::ZERO), After(Duration::ZERO)),
    (4301, After(Duration::ZERO), After(Duration::ZERO)),
    (4399, After(Duration::ZERO), After(Duration::ZERO)),
    (4400, After(Duration::from_secs(20)), After(Duration::from_secs(20))),
    (4402, After(Duration::from_secs(20)), After(Duration::from_secs(20))),
    (4499, After(Duration::from_secs(20)), After(Duration::from_secs(20))),
    (4500, Within(SOON), Within(SOON)),
    (4999, Within(SOON), Within(SOON)),
];

fn assert_then(near: &Near, then: Then, code: u16, context: &str) {
    let stopped = near.state() == ClientState::Closed;
    assert_eq!(stopped, then == Stop, "{context}");
    let StateChange { retry_at, code: told, .. } = near.told().clone();
    assert_eq!(told, Some(code), "{context}");
    match then {
        Stop => {
            assert_eq!(near.timer(), None, "{context}");
            let ends = near.events.iter().filter(|event| matches!(event, ClientEvent::Closed(_))).count();
            assert_eq!(ends, 1, "{context}");
        }
        Within(bound) => {
            let wait = retry_at.expect("another attempt").saturating_since(near.now);
            assert!(wait <= bound, "{wait:?} {context}");
        }
        After(wait) => assert_eq!(retry_at, Some(near.now + wait), "{context}"),
    }
}

#[test]
fn the_range_of_the_code_decides() {
    for (code, after_bye, after_close) in CODES {
        let short = u16::try_from(*code).expect("a code");
        for stage in STAGES {
            let mut near = at(stage);
            near.hears(&ServerFrame::Bye(frames::bye(*code)));
            assert_then(&near, *after_bye, short, &format!("bye {code} at {stage}"));

            let mut near = at(stage);
            near.closes(Some(CloseFrame::new(short, "")));
            assert_then(&near, *after_close, short, &format!("closed with {code} at {stage}"));
        }
    }
    for stage in STAGES {
        let mut near = at(stage);
        near.breaks_off();
        assert_then(&near, Within(SOON), 1006, &format!("broken off at {stage}"));
    }
}

#[test]
fn a_class_outranks_the_code() {
    let classes = [
        (Class::Stop, Stop),
        (Class::Reauthenticate, Within(SOON)),
        (Class::Backoff, Within(SOON)),
        (Class::Immediately, After(Duration::ZERO)),
        (Class::Violation, After(Duration::from_secs(20))),
    ];
    for code in [1000, 1011, 4001, 4101, 4201, 4301, 4400, 4999] {
        for (class, then) in classes {
            let mut near = Near::ready();
            near.hears(&ServerFrame::Bye(Bye { class: Some(class), ..frames::bye(code) }));
            assert_then(&near, then, u16::try_from(code).expect("a code"), &format!("{code} {class:?}"));
        }
    }
    let mut near = Near::ready();
    near.hears_text(r#"{"type":"bye","code":4001,"class":"later"}"#);
    assert_then(&near, Within(SOON), 4001, "an unknown class acts as backoff");
}

#[test]
fn the_server_may_say_when() {
    for code in [1011, 4101, 4201, 4301, 4400] {
        for (asked, waits) in [(0, 0), (1234, 1234), (300_000, 300_000), (300_001, 300_000), ((1 << 53) - 1, 300_000)] {
            let mut near = Near::ready();
            near.hears(&ServerFrame::Bye(Bye { retry_after_ms: Some(asked), ..frames::bye(code) }));
            assert_then(&near, After(milliseconds(waits)), u16::try_from(code).expect("a code"), &format!("{code}"));
        }
    }
    let mut near = Near::ready();
    near.hears(&ServerFrame::Bye(Bye { retry_after_ms: Some(1), ..frames::bye(4001) }));
    assert_then(&near, Stop, 4001, "stop is stop");
}

/// `bye` is the end, and the first reason learned: what comes behind it changes nothing.
#[test]
fn nothing_counts_behind_a_bye() {
    for stage in STAGES {
        let mut near = at(stage);
        near.hears(&ServerFrame::Bye(frames::bye(4202)));
        assert_eq!(near.writes(), [], "a bye is answered by a close frame and nothing else");
        assert_eq!(near.closed.as_ref().map(|(code, _)| *code), Some(4202), "at {stage}");
        assert_eq!(near.state(), ClientState::Connecting, "at {stage}");
        let after = near.client.clone();
        near.hears(&frames::stage(Stage::Accepted));
        near.hears(&ServerFrame::Bye(frames::bye(4001)));
        near.hears(&ServerFrame::Ping { nonce: "7".to_owned() });
        near.closes(Some(CloseFrame::new(4400, "another reason")));
        assert_eq!(near.client, after, "at {stage}");
    }
}

#[test]
fn a_bye_whose_code_no_close_frame_can_have_is_answered_all_the_same() {
    for code in [0, 1, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65_535, 65_536, (1 << 53) - 1] {
        let mut near = Near::ready();
        near.hears(&ServerFrame::Bye(frames::bye(code)));
        assert_eq!(near.closed.as_ref().map(|(code, _)| *code), Some(1000), "{code}");
        assert_ne!(near.state(), ClientState::Closed, "{code}");
    }
}

#[test]
fn the_end_tells_what_was_confirmed_and_what_was_pending() {
    let mut near = Near::at(Stage::Authenticated);
    near.hears(&frames::pending(Stage::Authenticated, &["search", "mail"], Some(1000)));
    near.hears_text(r#"{"type":"bye","code":4001,"reason":"not here","clause":"token.reasons"}"#);
    let Some(ClientEvent::Closed(end)) = near.events.last() else { panic!("no end") };
    let expected = End {
        code: 4001,
        reason: "not here".to_owned(),
        class: Class::Stop,
        clause: Some("token.reasons".to_owned()),
        stage: Stage::Authenticated,
        pending: vec!["search".to_owned(), "mail".to_owned()],
    };
    assert_eq!(*end, expected);
    assert_eq!(end.last_state(), ClientState::Authenticated);
}

/// The reason in a close frame is cut, the one in `bye` is not.
#[test]
fn a_long_reason_is_cut_in_the_close_frame_alone() {
    let mut near = Near::at(Stage::Authenticated);
    let services: Vec<_> = (0..40).map(|index| format!("sérvice-{index}")).collect();
    let names: Vec<_> = services.iter().map(String::as_str).collect();
    near.hears(&frames::pending(Stage::Authenticated, &names, None));
    near.pass(seconds(10));
    let bye = near.bye().expect("a bye");
    assert!(bye.reason.ends_with("sérvice-39"), "{}", bye.reason);
    let (code, reason) = near.closed.as_ref().expect("a close frame");
    assert_eq!(*code, 4201);
    assert!(bye.reason.starts_with(reason.as_str()) && (120..=123).contains(&reason.len()), "{reason}");
}

#[test]
fn every_class_is_known_by_its_word() {
    let words = [
        ("stop", Class::Stop),
        ("reauthenticate", Class::Reauthenticate),
        ("backoff", Class::Backoff),
        ("immediately", Class::Immediately),
        ("violation", Class::Violation),
    ];
    for (word, class) in words {
        assert_eq!((Class::parse(word), class.name()), (class, word));
    }
    assert_eq!(Class::parse("later"), Class::Backoff, "one that nobody knows is the generic one");
}

#[test]
fn every_code_is_known_by_its_name() {
    for (code, name) in close::CODES {
        assert_eq!(close::name(*code), Some(*name));
    }
    assert_eq!(close::name(4999), None, "a code that nobody knows has none");
}
