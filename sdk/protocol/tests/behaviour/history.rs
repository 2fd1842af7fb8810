//! What a client does about what topics have had: each page comes once and whole, over as many connections as it takes.

use crate::frames;
use crate::near::{Near, milliseconds, payload, seconds};
use readywire_protocol::clause::Clause;
use readywire_protocol::client::{ClientEvent, Position};
use readywire_protocol::config::{ClientConfig, Window};
use readywire_protocol::frame::{ClientFrame, HistoryRequest, Ready, ServerFrame};
use readywire_protocol::stage::Stage;

fn levels(ready: &mut Ready) {
    ready.capabilities.push("topics".to_owned());
}

/// A ready client of a server with topics.
fn ready() -> Near {
    Near::ready_with(levels)
}

/// The next connection is ready.
fn again(near: &mut Near) {
    near.over_a_cut(&frames::with(|ready| {
        ready.session = Some(frames::grant(true));
        levels(ready);
    }));
}

fn ask(near: &mut Near, handle: u64, limit: u64, before: Option<u64>) {
    let before = before.map(|offset| Position { offset, epoch: Some("e".to_owned()) });
    near.client.history(near.now, handle, "t", limit, before);
    near.settle();
}

fn asks(request: u64, limit: u64, before: Option<u64>) -> ClientFrame {
    let epoch = before.map(|_| "e".to_owned());
    ClientFrame::History(HistoryRequest { request, topic: "t".to_owned(), limit, before, epoch })
}

fn publication(request: u64, offset: u64) -> ServerFrame {
    let (topic, event) = ("t".to_owned(), "e".to_owned());
    ServerFrame::Publication { topic, offset, request: Some(request), event, payload: payload("1") }
}

fn page(request: u64, more: bool) -> ServerFrame {
    ServerFrame::Page { request, epoch: Some("e".to_owned()), head: 9, more, code: None, retry: false }
}

fn refused(request: u64, code: &str) -> ServerFrame {
    ServerFrame::Page { request, epoch: None, head: 0, more: false, code: Some(code.to_owned()), retry: true }
}

/// What was told of pages since the last look, in short.
fn told(near: &mut Near) -> Vec<String> {
    let short = |event| match event {
        ClientEvent::Page(page) => {
            let offsets: Vec<_> = page.publications.iter().map(|publication| publication.offset).collect();
            Some(format!("{} has {offsets:?} of {} in {} {}", page.handle, page.head, page.epoch, page.more))
        }
        ClientEvent::PageRefused { handle, code, retry } => Some(format!("{handle} has none {code} {retry}")),
        ClientEvent::Publication { .. } => Some("a publication".to_owned()),
        _ => None,
    };
    std::mem::take(&mut near.events).into_iter().filter_map(short).collect()
}

#[test]
fn a_page_is_told_whole_and_once() {
    let mut near = ready();
    ask(&mut near, 1, 3, None);
    ask(&mut near, 2, 2, Some(5));
    assert_eq!(near.writes(), [asks(1, 3, None), asks(2, 2, Some(5))]);
    for frame in [publication(1, 7), publication(2, 3), publication(1, 9), publication(2, 4), page(2, true)] {
        near.hears(&frame);
    }
    assert_eq!(told(&mut near), ["2 has [3, 4] of 9 in e true"], "in any order");
    near.hears(&page(1, false));
    near.hears(&publication(1, 10));
    near.hears(&page(1, false));
    assert_eq!((told(&mut near), near.closed.clone()), (vec!["1 has [7, 9] of 9 in e false".to_owned()], None));
    near.pass(seconds(1));
    assert_eq!(near.writes(), [], "of a page nothing is taken");
}

#[test]
fn it_waits_for_ready_and_is_asked_again_on_each_connection() {
    let mut near = Near::at(Stage::ServicesReady);
    ask(&mut near, 1, 3, None);
    assert_eq!(near.writes(), [], "nothing before ready");
    near.hears(&frames::with(levels));
    assert_eq!(near.writes().last(), Some(&asks(1, 3, None)));
    near.hears(&publication(1, 7));
    again(&mut near);
    assert_eq!(near.writes(), [asks(2, 3, None)], "as a new request");
    for frame in [publication(1, 8), page(1, false), publication(2, 7), publication(2, 8), page(2, false)] {
        near.hears(&frame);
    }
    assert_eq!(told(&mut near), ["1 has [7, 8] of 9 in e false"], "what was half told begins anew");
    again(&mut near);
    assert_eq!(near.writes(), [], "what is answered is not asked again");
}

#[test]
fn a_refusal_is_told_with_its_code() {
    let mut near = ready();
    ask(&mut near, 1, 3, None);
    near.hears(&publication(1, 7));
    near.hears(&refused(1, "unavailable"));
    assert_eq!(told(&mut near), ["1 has none unavailable true"]);
}

#[test]
fn what_need_not_be_asked_is_refused_at_once() {
    let mut near = ready();
    for (handle, topic, limit) in [(1, "", 1), (2, &"x".repeat(257), 1), (3, "t", 0), (4, "t", 257)] {
        near.client.history(near.now, handle, topic, limit, None);
    }
    near.settle();
    for handle in 5..=21 {
        ask(&mut near, handle, 256, None);
    }
    let expected = [
        "1 has none invalid_topic false",
        "2 has none invalid_topic false",
        "3 has none invalid_limit false",
        "4 has none invalid_limit false",
        "21 has none too_many true",
    ];
    assert_eq!((told(&mut near), near.writes().len()), (expected.map(str::to_owned).to_vec(), 16));
    near.hears(&page(1, false));
    ask(&mut near, 22, 1, None);
    assert_eq!(near.writes(), [asks(17, 1, None)], "there is room again");
}

#[test]
fn a_page_that_is_given_up_is_open_until_it_is_answered() {
    let mut near = ready();
    for handle in 1..=16 {
        ask(&mut near, handle, 5, None);
    }
    near.client.cancel(near.now, 3);
    near.settle();
    near.forget();
    ask(&mut near, 17, 5, None);
    assert_eq!(told(&mut near), ["17 has none too_many true"]);
    near.hears(&publication(3, 7));
    near.hears(&page(3, false));
    ask(&mut near, 18, 5, None);
    assert_eq!((told(&mut near), near.writes()), (vec![], vec![asks(17, 5, None)]), "nothing is told of it");
    near.client.cancel(near.now, 4);
    near.settle();
    assert_eq!(told(&mut near), ["4 has none  false"]);
    again(&mut near);
    let asked = near.writes().len();
    assert_eq!(asked, 15, "it is not asked again");
}

#[test]
fn where_there_are_no_topics_nothing_is_asked() {
    let mut near = Near::at(Stage::ServicesReady);
    ask(&mut near, 1, 3, None);
    near.hears(&frames::ready());
    ask(&mut near, 2, 3, None);
    assert_eq!(near.writes(), []);
    assert_eq!(told(&mut near), ["1 has none unsupported false", "2 has none unsupported false"]);
    let mut near = ready();
    ask(&mut near, 1, 3, None);
    near.over_a_cut(&frames::with(|ready| {
        let grant = frames::grant(false);
        ready.session = Some(readywire_protocol::frame::SessionGrant { subject: "bob".to_owned(), ..grant });
        levels(ready);
    }));
    assert_eq!((told(&mut near), near.writes()), (vec!["1 has none subject_changed false".to_owned()], vec![]));
}

#[test]
fn every_wait_ends_with_the_client() {
    let mut near = ready();
    ask(&mut near, 1, 3, None);
    near.client.close(near.now, milliseconds(0));
    near.client.history(near.now, 2, "t", 3, None);
    let mut events: Vec<_> = std::iter::from_fn(|| near.client.poll_event()).collect();
    near.events.append(&mut events);
    assert_eq!(told(&mut near), ["1 has none closed false", "2 has none closed false"]);
}

#[test]
fn what_is_no_page_of_what_was_asked_is_a_violation() {
    let breaches: [(&[ServerFrame], Clause); 6] = [
        (&[publication(1, 3), publication(1, 3)], Clause::HistoryPage),
        (&[publication(1, 3), publication(1, 2)], Clause::HistoryPage),
        (&[publication(1, 5)], Clause::HistoryPage),
        (&[publication(1, 1), publication(1, 2), publication(1, 3)], Clause::HistoryPage),
        (&[publication(1, 1), refused(1, "no"), publication(2, 5)], Clause::HistoryPage),
        (
            &[ServerFrame::Page { request: 1, epoch: None, head: 0, more: false, code: None, retry: false }],
            Clause::FrameField,
        ),
    ];
    for (frames, clause) in breaches {
        let mut near = ready();
        ask(&mut near, 1, 2, Some(5));
        ask(&mut near, 2, 2, Some(5));
        for frame in frames {
            near.hears(frame);
        }
        assert_eq!(near.bye().and_then(|bye| bye.clause.clone()).as_deref(), Some(clause.id()), "{frames:?}");
    }
}

#[test]
fn a_page_keeps_within_the_bytes_of_the_window() {
    let window = Window { messages: 1, bytes: 3 };
    let mut near = Near::idle(ClientConfig { window, ..ClientConfig::default() });
    near.connect();
    near.reach(Stage::ServicesReady);
    near.hears(&frames::with(levels));
    ask(&mut near, 1, 9, None);
    ask(&mut near, 2, 9, None);
    let (topic, event) = ("t".to_owned(), "e".to_owned());
    near.hears(&ServerFrame::Publication { topic, offset: 1, request: Some(1), event, payload: payload("12345678") });
    assert_eq!(near.closed, None, "one always fits");
    for offset in 1..=3 {
        near.hears(&publication(2, offset));
    }
    assert_eq!(near.closed, None);
    near.hears(&publication(2, 4));
    assert_eq!(near.bye().and_then(|bye| bye.clause.clone()).as_deref(), Some("history.page"));
}

#[test]
fn a_publication_of_a_page_is_none_of_a_subscription() {
    let mut near = ready();
    near.client.subscribe(1, "t", readywire_protocol::client::Start::Now);
    near.settle();
    let subscribed =
        ServerFrame::Subscribed { topic: "t".to_owned(), offset: 9, head: 9, epoch: "e".to_owned(), recovered: true };
    near.hears(&subscribed);
    near.forget();
    near.hears(&publication(7, 3));
    assert_eq!((told(&mut near), near.closed.clone()), (vec![], None));
}

#[test]
fn nobody_waits_for_a_page_for_ever() {
    let mut near = ready();
    ask(&mut near, 1, 3, None);
    near.pass(seconds(20));
    ask(&mut near, 2, 3, None);
    near.hears(&publication(1, 7));
    near.forget();
    near.pass(seconds(9));
    assert_eq!(told(&mut near), [""; 0]);
    near.pass(seconds(1));
    assert_eq!(told(&mut near), ["1 has none timeout true"]);
    near.hears(&publication(1, 8));
    near.hears(&page(1, false));
    assert_eq!((told(&mut near), near.closed.clone()), (vec![], None), "it comes too late");
    near.hears(&page(2, false));
    assert_eq!(told(&mut near), ["2 has [] of 9 in e false"]);
    near.pass(seconds(60));
    assert_eq!(told(&mut near), [""; 0]);
}

#[test]
fn a_page_that_could_not_be_asked_for_in_time_is_not_asked_for() {
    let mut near = ready();
    near.breaks_off();
    ask(&mut near, 1, 3, None);
    near.pass(seconds(30));
    assert_eq!(told(&mut near), ["1 has none timeout true"]);
    near.go_on();
    near.reach(Stage::ServicesReady);
    near.hears(&frames::with(levels));
    assert!(!near.writes().iter().any(|frame| matches!(frame, ClientFrame::History { .. })));
}

#[test]
fn whoever_waits_for_a_page_that_is_none_asks_again() {
    let mut near = ready();
    ask(&mut near, 1, 3, None);
    near.hears_text(r#"{"type":"page","request":1,"head":9}"#);
    assert_eq!(near.bye().expect("a violation").clause.as_deref(), Some(Clause::FrameField.id()));
    again(&mut near);
    assert_eq!(near.writes(), [asks(2, 3, None)]);
}
