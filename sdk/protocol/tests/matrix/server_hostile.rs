//! The server's end of a connection: what is no frame, or no frame that any client may send, at every stage.

use crate::far::Far;
use crate::frames;
use crate::hostile;
use crate::server_stages::{PLACES, at};
use readywire_protocol::clause::Clause;
use readywire_protocol::close::{Class, CloseFrame};
use readywire_protocol::config::ServerConfig;
use readywire_protocol::error::PeerMisbehaved;
use readywire_protocol::frame::{Hello, ServerFrame};
use readywire_protocol::stage::Stage;
use readywire_protocol::{HELLO_ENTRY_BYTES, HELLO_PREFIX};

/// The server has said why, then closed, then told it, once.
pub(crate) fn assert_violation(far: &Far, stage: Stage, code: u16, clause: &str, context: &str) {
    let bye = far.bye().unwrap_or_else(|| panic!("no bye: {context}"));
    assert_eq!((bye.code, bye.clause.as_deref()), (u64::from(code), Some(clause)), "{context}");
    assert_eq!(bye.class, Some(Class::of(code, true)), "{context}");
    assert!(bye.reason.starts_with(clause), "the reason names the clause: {} {context}", bye.reason);
    let (closed, reason) = far.closed.as_ref().unwrap_or_else(|| panic!("no close frame: {context}"));
    assert_eq!(*closed, code, "{context}");
    assert!(bye.reason.starts_with(reason.as_str()), "{reason} {context}");
    let ending = far.ending().unwrap_or_else(|| panic!("no end: {context}"));
    assert_eq!((ending.code, ending.stage), (code, stage), "{context}");
    assert_eq!(ending.clause.map(Clause::id), Some(clause), "{context}");
    assert_eq!(far.core.stage(), Stage::Closed);
    assert_eq!(far.timer(), None, "no timer runs after the end");
}

#[test]
fn every_stage_meets_every_wrong_text() {
    for (text, code, clause) in hostile::texts() {
        for place in PLACES {
            let mut far = at(place);
            far.hears(&text);
            let shown: String = text.chars().take(100).collect();
            let stage = place.unwrap_or(Stage::Accepted);
            let early = stage == Stage::Accepted && text.len() > 16 << 10;
            let (code, clause) = if early { (4229, "preauth.limits") } else { (code, clause) };
            assert_violation(&far, stage, code, clause, &format!("at {place:?}: {shown}"));
        }
    }
}

#[test]
fn what_only_looks_wrong_is_answered() {
    for text in hostile::odd_pings() {
        for place in PLACES {
            let mut far = at(place);
            far.hears(&text);
            assert_eq!(far.writes(), [ServerFrame::Pong { nonce: "7".to_owned() }], "at {place:?}: {text}");
        }
    }
}

#[test]
fn what_the_driver_sees_has_its_own_code() {
    for place in PLACES {
        let stage = place.unwrap_or(Stage::Accepted);
        let context = format!("at {place:?}");
        let mut far = at(place);
        far.core.handle_binary(far.now, vec![0]);
        far.settle();
        assert_violation(&far, stage, 4415, "frame.text", &context);

        let mut far = at(place);
        far.core.handle_oversize();
        far.settle();
        assert_violation(&far, stage, 4413, "frame.size", &context);

        let mut far = at(place);
        far.core.handle_violation(PeerMisbehaved::new(Clause::FrameMalformed, "no UTF-8"));
        far.settle();
        assert_violation(&far, stage, 4400, "frame.malformed", &context);
    }
}

#[test]
fn a_required_field_is_required() {
    let frames = [
        (r#"{"type":"send","id":3,"event":"e"}"#, "id event"),
        (r#"{"type":"taken","offset":1}"#, "offset"),
        (r#"{"type":"cancel","re":1}"#, "re"),
        (r#"{"type":"subscribe","topic":"t"}"#, "topic"),
        (r#"{"type":"unsubscribe","topic":"t"}"#, "topic"),
        (r#"{"type":"auth","token":"t-2"}"#, "token"),
        (r#"{"type":"ping","nonce":"7"}"#, "nonce"),
        (r#"{"type":"pong","nonce":"7"}"#, "nonce"),
        (r#"{"type":"bye","code":4200}"#, "code"),
        (r#"{"type":"hello","client":{"name":"n"}}"#, "name"),
        (r#"{"type":"hello","auth":{"token":"t"}}"#, "token"),
        (r#"{"type":"hello","window":{"messages":1,"bytes":1}}"#, "messages bytes"),
        (r#"{"type":"hello","resume":{"session":"s","token":"t","attempt":1}}"#, "session token attempt"),
    ];
    for (text, required) in frames {
        for field in required.split(' ') {
            let without = text.replace(&format!(r#""{field}":"#), r#""other":"#);
            assert_ne!(without, text);
            let (mut far, stage) = match text.contains("hello") {
                true => (Far::waiting(), Stage::Accepted),
                false => (Far::ready(), Stage::ProcessingReady),
            };
            far.hears(&without);
            assert_violation(&far, stage, 4400, "frame.field", &without);
        }
    }
}

#[test]
fn a_message_over_the_limit_is_too_large() {
    let config = ServerConfig { max_message_bytes: 100, ..ServerConfig::default() };
    let ping = |bytes: usize| {
        let bare = r#"{"type":"ping","nonce":""}"#.len();
        format!(r#"{{"type":"ping","nonce":"{}"}}"#, "é".repeat((bytes - bare) / 2))
    };
    let mut far = Far::with(config, Stage::ProcessingReady, frames::hello());
    far.hears(&ping(100));
    assert_eq!(far.bye(), None);
    far.hears(&ping(102));
    assert_violation(&far, Stage::ProcessingReady, 4413, "frame.size", "bytes count, not characters");
}

#[test]
fn strangers_get_so_many_frames_and_no_more() {
    for greets in [false, true] {
        let mut far = Far::waiting();
        if greets {
            far.hears(r#"{"type":"hello"}"#);
        }
        for _ in usize::from(greets)..32 {
            far.hears(r#"{"type":"pong","nonce":""}"#);
        }
        assert_eq!(far.bye(), None, "32 are let in");
        far.hears(r#"{"type":"pong","nonce":""}"#);
        assert_violation(&far, Stage::Accepted, 4229, "preauth.limits", "the next is not");
    }
}

#[test]
fn strangers_get_so_many_bytes_and_no_more() {
    let text = |bytes: usize| {
        let bare = r#"{"type":"pong","nonce":""}"#.len();
        format!(r#"{{"type":"pong","nonce":"{}"}}"#, "x".repeat(bytes - bare))
    };
    let mut far = Far::waiting();
    far.hears(&text(16_000));
    far.hears(&text(384));
    assert_eq!(far.bye(), None, "16 KiB are let in");
    far.hears(&text(26));
    assert_violation(&far, Stage::Accepted, 4229, "preauth.limits", "no byte more");

    let mut far = Far::waiting();
    far.hears(r#"{"type":"hello"}"#);
    far.core.authenticated(far.now);
    for _ in 0..100 {
        far.hears(&text(16_000));
    }
    far.settle();
    assert_eq!(far.bye(), None, "who is known is not counted any more");
}

/// The hello in the upgrade: as strict as a frame, and none but a hello.
#[test]
fn a_wrong_entry_in_the_upgrade_ends_the_connection() {
    let encoded = |text: &str| {
        let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let bits: String = text.bytes().map(|byte| format!("{byte:08b}")).collect();
        let groups = bits.as_bytes().chunks(6).map(|group| {
            let value = group.iter().fold(0, |value, bit| value * 2 + usize::from(bit - b'0')) << (6 - group.len());
            char::from(letters[value])
        });
        format!("{HELLO_PREFIX}{}", groups.collect::<String>())
    };
    let long = |bytes: usize| encoded(&format!(r#"{{"type":"hello","x":"{}"}}"#, "x".repeat(bytes)));
    let good = long(3037);
    assert_eq!(good.len(), HELLO_ENTRY_BYTES);
    assert_eq!(Far::offered(ServerConfig::default(), &["readywire.v1", &good]).bye(), None);
    let entries = [
        (HELLO_PREFIX.to_owned(), "frame.malformed"),
        (format!("{HELLO_PREFIX}A"), "upgrade.hello"),
        (format!("{HELLO_PREFIX}eyJ0eXBlIjoiaGVsbG8ifQ=="), "upgrade.hello"),
        (format!("{HELLO_PREFIX}+/+/"), "upgrade.hello"),
        (format!("{HELLO_PREFIX}gICA"), "upgrade.hello"),
        (long(3038), "upgrade.hello"),
        (encoded("no JSON"), "frame.malformed"),
        (encoded(r#"{"type":"hello","type":"hello"}"#), "frame.duplicate_key"),
        (encoded(r#"{"type":"ping","nonce":"7"}"#), "hello.first"),
        (encoded(r#"{"type":"send","id":1,"event":"e"}"#), "hello.first"),
        (encoded(r#"{"type":"stage","stage":"ACCEPTED"}"#), "frame.direction"),
    ];
    for (entry, clause) in entries {
        let far = Far::offered(ServerConfig::default(), &["readywire.v1", &entry, &good]);
        assert!(matches!(far.written.first(), Some(ServerFrame::Stage(_))), "refused behind ACCEPTED: {entry}");
        assert_violation(&far, Stage::Accepted, 4400, clause, &entry);
    }
}

/// A client's `bye` is answered by a close frame and nothing else, and 1000 alone ends its session.
#[test]
fn a_bye_is_answered_by_its_code() {
    let codes = [
        (1000, 1000),
        (1001, 1001),
        (4001, 4001),
        (4210, 4210),
        (4400, 4400),
        (4999, 4999),
        (0, 1000),
        (999, 1000),
        (1004, 1000),
        (1005, 1000),
        (1006, 1000),
        (1015, 1000),
        (2999, 1000),
        (5000, 1000),
        (65_536, 1000),
        ((1u64 << 53) - 1, 1000),
    ];
    for (code, answered) in codes {
        for place in PLACES {
            let mut far = at(place);
            far.hears(&format!(r#"{{"type":"bye","code":{code},"reason":"why"}}"#));
            assert_eq!(far.written, [], "{code} at {place:?}");
            assert_eq!(far.closed.as_ref().map(|(code, _)| *code), Some(answered), "{code} at {place:?}");
            let ending = far.ending().expect("an end");
            assert_eq!((ending.reason.as_str(), ending.clause), ("why", None));
            if place.is_some() {
                assert_eq!(ending.ends_session, code == 1000, "{code} at {place:?}");
            }
        }
    }
}

#[test]
fn a_close_frame_alone_ends_no_session() {
    for place in PLACES.into_iter().flatten() {
        for frame in
            [None, Some(CloseFrame::new(1000, "")), Some(CloseFrame::new(4001, "x")), Some(CloseFrame::new(1001, ""))]
        {
            let mut far = at(Some(place));
            let code = frame.as_ref().map_or(1006, |frame| frame.code);
            far.core.handle_closed(frame);
            far.settle();
            assert_eq!((far.written.len(), &far.closed), (0, &None), "nobody is there to read it");
            let ending = far.ending().expect("an end");
            assert_eq!((ending.code, ending.ends_session, ending.stage), (code, false, place));
        }
    }
}

#[test]
fn hello_fields_of_a_level_that_was_not_listed_are_not_used() {
    let mut far = Far::waiting();
    far.hears(r#"{"type":"hello","resume":{"session":"s","token":"t","attempt":1}}"#);
    let Some(readywire_protocol::server::ServerEvent::Hello(hello)) = far.tells().pop() else { panic!("no hello") };
    assert_eq!(*hello, Hello::default());
}
