//! The server's end of a connection: every stage against every frame of a client.

use crate::far::{Far, bound};
use crate::frames;
use readywire_protocol::config::ServerConfig;
use readywire_protocol::frame::{ClientFrame, FRAME_NAMES, Hello, Send, ServerFrame, StageNews};
use readywire_protocol::server::{Bound, Decision, ServerEvent, Transmit};
use readywire_protocol::stage::Stage;

/// Where a connection can be; the first is ACCEPTED before the hello came.
pub(crate) const PLACES: [Option<Stage>; 6] = [
    None,
    Some(Stage::Accepted),
    Some(Stage::Authenticated),
    Some(Stage::ServicesReady),
    Some(Stage::ProcessingReady),
    Some(Stage::Degraded),
];

const ONCE: &str = "4409 hello.once";
const GATE: &str = "4401 ready.gate";
const INCREASING: &str = "4400 send.id_increasing";
const LEVEL: &str = "4400 frame.level";
const TAKEN: &str = "4400 inbox.taken";
const DIRECTION: &str = "4400 frame.direction";

/// A frame, and what comes of it at each of [`PLACES`]: what is told or written, or the code and the clause with which
/// the server ends the connection. After `ready`, sends 1 and 2 are undecided, and message 1 was delivered.
type Row = (&'static str, [&'static str; 6]);

const FRAMES: &[Row] = &[
    (r#"{"type":"hello"}"#, ["hello", ONCE, ONCE, ONCE, ONCE, ONCE]),
    (r#"{"type":"send","id":3,"event":"e"}"#, [GATE, GATE, GATE, GATE, "send 3", "send 3"]),
    (r#"{"type":"send","id":9,"event":"e"}"#, [GATE, GATE, GATE, GATE, "send 9", "send 9"]),
    (r#"{"type":"send","id":2,"event":"e"}"#, [GATE, GATE, GATE, GATE, INCREASING, INCREASING]),
    (r#"{"type":"send","id":1,"event":"e"}"#, [GATE, GATE, GATE, GATE, INCREASING, INCREASING]),
    (r#"{"type":"send","id":0,"event":"e"}"#, [GATE, GATE, GATE, GATE, INCREASING, INCREASING]),
    (r#"{"type":"taken","offset":0}"#, [GATE, GATE, GATE, GATE, "taken 0", "taken 0"]),
    (r#"{"type":"taken","offset":1}"#, [GATE, GATE, GATE, GATE, "taken 1", "taken 1"]),
    (r#"{"type":"taken","offset":2}"#, [GATE, GATE, GATE, GATE, TAKEN, TAKEN]),
    (r#"{"type":"cancel","re":1}"#, [GATE, GATE, GATE, GATE, "cancel 1", "cancel 1"]),
    (r#"{"type":"cancel","re":77}"#, [GATE, GATE, GATE, GATE, "cancel 77", "cancel 77"]),
    (
        r#"{"type":"subscribe","topic":"t"}"#,
        [GATE, "", "", "", "unsubscribed t unsupported", "unsubscribed t unsupported"],
    ),
    (r#"{"type":"unsubscribe","topic":"t"}"#, [GATE, "", "", "", "", ""]),
    (r#"{"type":"history","request":1,"topic":"t","limit":1}"#, [GATE, GATE, GATE, GATE, LEVEL, LEVEL]),
    (r#"{"type":"auth","token":"t-2"}"#, [GATE, GATE, GATE, GATE, LEVEL, LEVEL]),
    (r#"{"type":"ping","nonce":"7"}"#, ["pong 7"; 6]),
    (r#"{"type":"pong","nonce":"7"}"#, [""; 6]),
    (r#"{"type":"bye","code":4200}"#, ["ends with 4200"; 6]),
    (r#"{"type":"stage","stage":"ACCEPTED"}"#, [DIRECTION; 6]),
    (r#"{"type":"ready"}"#, [DIRECTION; 6]),
    (r#"{"type":"ack","id":1}"#, [DIRECTION; 6]),
    (r#"{"type":"nack","id":1,"code":"no"}"#, [DIRECTION; 6]),
    (r#"{"type":"message","offset":1}"#, [DIRECTION; 6]),
    (r#"{"type":"subscribed","topic":"t"}"#, [DIRECTION; 6]),
    (r#"{"type":"unsubscribed","topic":"t"}"#, [DIRECTION; 6]),
    (r#"{"type":"publication","topic":"t"}"#, [DIRECTION; 6]),
    (r#"{"type":"page","request":1}"#, [DIRECTION; 6]),
    (r#"{"type":"read","re":1,"id":1}"#, [DIRECTION; 6]),
    (r#"{"type":"drain","deadline_ms":1}"#, [DIRECTION; 6]),
];

/// A connection at this place, as the table has it.
pub(crate) fn at(place: Option<Stage>) -> Far {
    let Some(stage) = place else { return Far::waiting() };
    let mut far = Far::at(stage);
    if stage.is_ready() {
        far.hears(r#"{"type":"send","id":1,"event":"e"}"#);
        far.hears(r#"{"type":"send","id":2,"event":"e"}"#);
        far.core.deliver(frames::message(1, "1"));
        far.settle();
        far.forget();
    }
    far
}

/// What came of a frame, in the words of the table.
fn what_came(far: &mut Far) -> Vec<String> {
    let mut found = Vec::new();
    for frame in far.writes() {
        found.push(match frame {
            ServerFrame::Pong { nonce } => format!("pong {nonce}"),
            ServerFrame::Unsubscribed { topic, code, retry: false } => {
                format!("unsubscribed {topic} {}", code.unwrap_or_default())
            }
            ServerFrame::Bye(bye) => format!("{} {}", bye.code, bye.clause.unwrap_or_default()),
            other => format!("writes {other:?}"),
        });
    }
    let violated = !found.is_empty() && far.closed.is_some();
    for event in far.tells() {
        match event {
            ServerEvent::Hello(_) => found.push("hello".to_owned()),
            ServerEvent::Send(send) => found.push(format!("send {}", send.id)),
            ServerEvent::Taken { offset } => found.push(format!("taken {offset}")),
            ServerEvent::Cancel { re } => found.push(format!("cancel {re}")),
            ServerEvent::FreshToken(_) => found.push("fresh token".to_owned()),
            ServerEvent::Subscribe { topic, .. } => found.push(format!("subscribe {topic}")),
            ServerEvent::Unsubscribe { topic } => found.push(format!("unsubscribe {topic}")),
            ServerEvent::History(asked) => found.push(format!("history {}", asked.request)),
            ServerEvent::TopicRoom { topic } => found.push(format!("room {topic}")),
            ServerEvent::Closed(_) if violated => {}
            ServerEvent::Closed(ending) => found.push(format!("ends with {}", ending.code)),
        }
    }
    found
}

#[test]
fn every_stage_meets_every_frame() {
    for (text, expected) in FRAMES {
        for (place, expected) in PLACES.into_iter().zip(expected) {
            let mut far = at(place);
            far.hears(text);
            let expected: Vec<_> = [*expected].into_iter().filter(|what| !what.is_empty()).collect();
            assert_eq!(what_came(&mut far), expected, "at {place:?}: {text}");
        }
    }
}

#[test]
fn the_table_has_every_frame_that_there_is() {
    for name in FRAME_NAMES {
        let mark = format!(r#""type":"{name}""#);
        assert!(FRAMES.iter().any(|(text, _)| text.contains(&mark)), "no `{name}`");
    }
}

#[test]
fn a_violation_is_named_before_the_close_frame() {
    for (text, expected) in FRAMES {
        for (place, expected) in PLACES.into_iter().zip(expected) {
            let Some((code, clause)) =
                expected.split_once(' ').and_then(|(code, clause)| Some((code.parse::<u16>().ok()?, clause)))
            else {
                continue;
            };
            let mut far = at(place);
            far.hears(text);
            let stage = place.unwrap_or(Stage::Accepted);
            crate::server_hostile::assert_violation(&far, stage, code, clause, &format!("at {place:?}: {text}"));
        }
    }
}

/// A closed connection hears nothing, says nothing and needs no timer.
#[test]
fn a_closed_connection_hears_nothing() {
    for (code, reason) in [(4001, "no"), (4202, "mail is gone"), (4301, "bye")] {
        for place in PLACES {
            let mut far = at(place);
            far.core.refuse(code, reason, None);
            far.settle();
            let mut core = far.core.clone();
            for (text, _) in FRAMES {
                core.handle_message(far.now, text);
            }
            core.handle_message(far.now, "no JSON");
            core.handle_binary(far.now, vec![0]);
            core.handle_oversize();
            core.handle_closed(None);
            core.refuse(4202, "another reason", None);
            core.authenticated(far.now);
            core.services_ready(far.now);
            core.pending(far.now, vec!["mail".to_owned()]);
            core.ready(bound());
            core.impaired(vec!["mail".to_owned()], None);
            core.deliver(frames::message(2, "1"));
            core.decide(far.now, 1, Decision::Taken);
            core.drain(Default::default(), Default::default());
            core.handle_timeout(far.now + readywire_protocol::time::Duration::from_secs(1000));
            assert_eq!(core, far.core, "at {place:?}");
            assert_eq!(core.poll_timeout(), None);
            assert_eq!(core.inbox_room(), None);
        }
    }
}

/// Commands out of order do nothing: a stage is never skipped, and `ready` is never said twice.
#[test]
fn the_driver_cannot_skip_a_stage() {
    let step = |far: &mut Far, index: usize| match index {
        0 => far.core.authenticated(far.now),
        1 => far.core.services_ready(far.now),
        2 => far.core.ready(bound()),
        3 => far.core.impaired(vec!["mail".to_owned()], None),
        4 => far.core.deliver(frames::message(1, "1")),
        _ => far.core.drain(Default::default(), Default::default()),
    };
    // Which of these steps are possible at each place.
    let possible: [&[usize]; 6] = [&[], &[0], &[1], &[2], &[3, 4, 5], &[3, 4, 5]];
    for (place, possible) in PLACES.into_iter().zip(possible) {
        for index in 0..6 {
            let mut far = place.map_or_else(Far::waiting, Far::at);
            step(&mut far, index);
            far.settle();
            assert_eq!(!far.written.is_empty(), possible.contains(&index), "at {place:?}, step {index}");
        }
    }
}

/// Who does not speak a level is not spoken to in it, and may not use it.
#[test]
fn levels_are_agreed_on_one_by_one() {
    let levels =
        [vec![], vec!["answers"], vec!["resume", "refresh"], vec!["refresh"], vec!["answers", "topics", "resume"]];
    for listed in levels {
        let capabilities: Vec<_> = listed.iter().map(|level| (*level).to_owned()).collect();
        let hello = Hello { capabilities, ..Hello::default() };
        let fresh = || Far::with(ServerConfig::default(), Stage::ServicesReady, hello.clone());
        let mut far = fresh();
        far.core.ready(bound());
        let [ServerFrame::Ready(ready)] = &far.writes()[..] else { panic!("no ready") };
        let resume = listed.contains(&"resume");
        let answers = resume && listed.contains(&"answers");
        let refresh = listed.contains(&"refresh");
        let agreed = [("resume", resume), ("answers", answers), ("refresh", refresh)];
        let agreed: Vec<_> = agreed.into_iter().filter(|(_, both)| *both).map(|(level, _)| level).collect();
        assert_eq!(ready.capabilities, agreed, "{listed:?}");
        assert_eq!(ready.session.is_some(), resume, "{listed:?}");
        assert_eq!(far.core.inbox_room().is_some(), resume, "{listed:?}");
        for (text, allowed) in [
            (r#"{"type":"taken","offset":0}"#, resume),
            (r#"{"type":"cancel","re":1}"#, answers),
            (r#"{"type":"auth","token":"t-2"}"#, refresh),
        ] {
            let mut far = fresh();
            far.core.ready(bound());
            far.forget();
            far.hears(text);
            assert_eq!(far.bye().is_none(), allowed, "{listed:?}: {text}");
            if let Some(bye) = far.bye() {
                assert_eq!((bye.code, bye.clause.as_deref()), (4400, Some("frame.level")), "{listed:?}: {text}");
            }
        }
        far.hears(r#"{"type":"send","id":1,"event":"e","answer":true,"key":"k"}"#);
        let Some(ServerEvent::Send(send)) = far.tells().pop() else { panic!("no send") };
        assert_eq!((send.answer, send.key.is_some()), (answers, resume), "{listed:?}");
    }
}

/// A server that keeps no sessions agrees on none, whatever the client listed.
#[test]
fn a_server_without_sessions_speaks_no_level() {
    let mut far = Far::at(Stage::ServicesReady);
    far.core.ready(Bound { session: None, ..bound() });
    let [ServerFrame::Ready(ready)] = &far.writes()[..] else { panic!("no ready") };
    assert_eq!((ready.session.as_ref(), ready.capabilities.len()), (None, 0));
    assert_eq!(far.core.inbox_room(), None);
    far.hears(r#"{"type":"taken","offset":0}"#);
    assert_eq!(far.bye().and_then(|bye| bye.clause.as_deref()), Some("frame.level"));
}

#[test]
fn a_change_of_what_is_impaired_is_told_once() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let news = |stage, impaired: &[&str], reason: Option<&str>| {
        let reason = reason.map(str::to_owned);
        vec![ServerFrame::Stage(StageNews { impaired: names(impaired), reason, ..StageNews::new(stage) })]
    };
    let mut far = Far::at(Stage::Degraded);
    far.core.impaired(names(&["search"]), Some("again".to_owned()));
    assert_eq!(far.writes(), [], "`ready` has told it");
    far.core.impaired(names(&["search", "mail"]), Some("more".to_owned()));
    assert_eq!(far.writes(), news(Stage::Degraded, &["search", "mail"], Some("more")));
    far.core.impaired(names(&["search", "mail"]), None);
    assert_eq!(far.writes(), []);
    far.core.impaired(Vec::new(), None);
    assert_eq!((far.writes(), far.core.stage()), (news(Stage::ProcessingReady, &[], None), Stage::ProcessingReady));
    far.core.impaired(Vec::new(), None);
    assert_eq!(far.writes(), []);
    far.core.impaired(names(&["mail"]), None);
    assert_eq!((far.writes(), far.core.stage()), (news(Stage::Degraded, &["mail"], None), Stage::Degraded));
}

#[test]
fn what_was_pending_is_not_pending_any_more() {
    let mut far = Far::at(Stage::Authenticated);
    far.core.pending(far.now, vec!["mail".to_owned()]);
    far.forget();
    far.core.services_ready(far.now);
    assert_eq!(far.writes(), [frames::stage(Stage::ServicesReady)]);
}

/// A driver may feed several inputs before it looks: everything comes out in the order it went in.
#[test]
fn what_happened_is_told_in_its_order() {
    let mut core = Far::waiting().core;
    for text in [r#"{"type":"ping","nonce":"7"}"#, r#"{"type":"hello"}"#, r#"{"type":"bye","code":4200}"#] {
        core.handle_message(Default::default(), text);
    }
    assert_eq!(core.poll_transmit(), Some(Transmit::Text(r#"{"type":"pong","nonce":"7"}"#.to_owned())));
    assert!(matches!(core.poll_transmit(), Some(Transmit::Close { code: 4200, .. })));
    assert!(matches!(core.poll_event(), Some(ServerEvent::Hello(_))));
    assert!(matches!(core.poll_event(), Some(ServerEvent::Closed(_))));

    let mut core = Far::ready().core;
    let texts = [
        r#"{"type":"send","id":1,"event":"e"}"#,
        r#"{"type":"cancel","re":1}"#,
        r#"{"type":"send","id":2,"event":"e"}"#,
        r#"{"type":"taken","offset":0}"#,
        r#"{"type":"cancel","re":2}"#,
    ];
    for text in texts {
        core.handle_message(Default::default(), text);
    }
    let told: Vec<_> = std::iter::from_fn(|| core.poll_event()).collect();
    assert!(
        matches!(
            &told[..],
            [
                ServerEvent::Send(Send { id: 1, .. }),
                ServerEvent::Cancel { re: 1 },
                ServerEvent::Send(Send { id: 2, .. }),
                ServerEvent::Taken { offset: 0 },
                ServerEvent::Cancel { re: 2 },
            ]
        ),
        "{told:?}"
    );
}

/// What a client may ask before it knows the answer is answered right behind `ready`.
#[test]
fn a_topic_asked_for_early_is_refused_behind_ready() {
    let mut far = Far::at(Stage::Accepted);
    far.hears(r#"{"type":"subscribe","topic":"a","offset":3,"epoch":"e"}"#);
    far.core.authenticated(far.now);
    far.hears(r#"{"type":"subscribe","topic":"b"}"#);
    far.hears(r#"{"type":"unsubscribe","topic":"c"}"#);
    far.core.services_ready(far.now);
    far.settle();
    far.forget();
    far.core.ready(bound());
    let written = far.writes();
    assert!(matches!(written[0], ServerFrame::Ready(_)), "{written:?}");
    let topics: Vec<_> = written[1..]
        .iter()
        .map(|frame| match frame {
            ServerFrame::Unsubscribed { topic, code, retry: false } => (topic.as_str(), code.as_deref()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(topics, [("a", Some("unsupported")), ("b", Some("unsupported"))]);
}

#[test]
fn a_hello_that_rides_in_the_upgrade_is_the_hello() {
    let mut far = Far::offered(ServerConfig::default(), &["readywire.v1", "readywire.hello.eyJ0eXBlIjoiaGVsbG8ifQ"]);
    let written = far.writes();
    let [ServerFrame::Stage(news)] = &written[..] else { panic!("{written:?}") };
    assert_eq!((news.stage, news.connection.as_deref()), (Stage::Accepted, Some("c-1")));
    assert_eq!(far.tells(), [ServerEvent::Hello(Box::default())]);
    far.hears(&ClientFrame::Hello(Box::default()).encode());
    assert_eq!(far.bye().and_then(|bye| bye.clause.as_deref()), Some("hello.once"));
}
