//! The server's end of what topics have had: which requests may be, and what fits into a page.

use crate::far::Far;
use crate::topics::at;
use readywire_protocol::clause::Clause;
use readywire_protocol::frame::{ClientFrame, HistoryRequest, ServerFrame};
use readywire_protocol::server::{Gathering, Page, ServerEvent};
use readywire_protocol::stage::Stage;

fn history(request: u64, topic: &str, limit: u64) -> String {
    let asked = HistoryRequest { request, topic: topic.to_owned(), limit, before: None, epoch: None };
    ClientFrame::History(asked).encode()
}

fn page(gathered: Gathering<u64>, more: bool) -> Page<u64> {
    Page { epoch: "e".to_owned(), head: 9, more, gathered }
}

fn answers(far: &mut Far) -> Vec<String> {
    let short = |frame| match frame {
        ServerFrame::Page { request, epoch: Some(_), head, more, code: None, .. } => {
            format!("{request} of {head} {more}")
        }
        ServerFrame::Page { request, epoch: None, code: Some(code), retry, .. } => format!("{request} {code} {retry}"),
        other => format!("{other:?}"),
    };
    far.writes().into_iter().map(short).collect()
}

#[test]
fn a_request_is_told_and_answered_once() {
    let mut far = at(Stage::ProcessingReady);
    far.hears(r#"{"type":"history","request":7,"topic":"t","limit":3,"before":0,"epoch":"x"}"#);
    let asked = ServerEvent::History(HistoryRequest {
        request: 7,
        topic: "t".to_owned(),
        limit: 3,
        before: Some(0),
        epoch: Some("x".to_owned()),
    });
    assert_eq!(far.tells(), [asked]);
    let mut gathered = far.core.gathering(3);
    for offset in 1..=5 {
        gathered.push(offset, 1, false);
    }
    assert_eq!(far.core.page(7, page(gathered.clone(), false)), [3, 4, 5]);
    assert_eq!(answers(&mut far), ["7 of 9 true"]);
    assert_eq!(far.core.page(7, page(gathered.clone(), false)), [0; 0]);
    far.core.refuse_page(7, "no", false);
    assert_eq!(far.core.page(8, page(gathered, false)), [0; 0], "nobody asked");
    assert_eq!(answers(&mut far), [""; 0]);
}

#[test]
fn the_newest_that_fit_are_in_a_page() {
    // The window of these clients has 100 bytes.
    let cases = [
        (vec![], false, vec![], "1 of 9 false"),
        (vec![(1, 40), (2, 60)], false, vec![1, 2], "1 of 9 false"),
        (vec![(1, 40), (2, 60)], true, vec![1, 2], "1 of 9 true"),
        (vec![(1, 41), (2, 60)], false, vec![2], "1 of 9 true"),
        (vec![(1, 1), (2, 1000)], false, vec![2], "1 of 9 true"),
        (vec![(1, 1000), (2, 1)], false, vec![2], "1 of 9 true"),
        (vec![(1, 60), (2, 30), (3, 20), (4, 60)], false, vec![3, 4], "1 of 9 true"),
    ];
    for (kept, more, expected, answer) in cases {
        let mut far = at(Stage::ProcessingReady);
        far.hears(&history(1, "t", 256));
        let mut gathered = far.core.gathering(256);
        for (offset, bytes) in &kept {
            gathered.push(*offset, *bytes, false);
        }
        assert_eq!(far.core.page(1, page(gathered, more)), expected, "{kept:?}");
        assert_eq!(answers(&mut far), [answer], "{kept:?}");
    }
}

#[test]
fn what_a_client_cannot_read_is_as_far_as_a_page_reaches() {
    let gather = |binary: &[bool]| {
        let mut far = at(Stage::ProcessingReady);
        far.hears(&history(1, "t", 256));
        let mut gathered = far.core.gathering(256);
        for (offset, binary) in (1..).zip(binary) {
            gathered.push(offset, 1, *binary);
        }
        let publications = far.core.page(1, page(gathered, false));
        (publications, answers(&mut far).remove(0))
    };
    assert_eq!(gather(&[false, true, false, false]), (vec![3, 4], "1 of 9 true".to_owned()));
    assert_eq!(gather(&[false, true]), (vec![], "1 binary_not_agreed false".to_owned()));
}

#[test]
fn a_request_that_may_not_be_is_a_violation() {
    let breaches = [
        (history(5, "t", 0), Clause::HistoryRequest),
        (history(5, "t", 257), Clause::HistoryRequest),
        (history(5, "t", (1 << 53) - 1), Clause::HistoryRequest),
        (history(4, "t", 1), Clause::HistoryRequest),
        (history(3, "t", 1), Clause::HistoryRequest),
        (history(0, "t", 1), Clause::HistoryRequest),
        (history(5, "", 1), Clause::TopicName),
        (history(5, &"x".repeat(257), 1), Clause::TopicName),
    ];
    for (text, clause) in breaches {
        let mut far = at(Stage::ProcessingReady);
        far.hears(&history(4, "t", 256));
        far.core.refuse_page(4, "no", false);
        far.hears(&text);
        assert_eq!(far.bye().and_then(|bye| bye.clause.clone()).as_deref(), Some(clause.id()), "{text}");
    }
}

#[test]
fn one_more_than_may_be_open_is_refused_and_the_others_go_on() {
    let mut far = at(Stage::ProcessingReady);
    for request in 1..=17 {
        far.hears(&history(request, "t", 1));
    }
    assert_eq!((answers(&mut far), far.tells().len()), (vec!["17 too_many true".to_owned()], 16));
    far.core.refuse_page(1, "forbidden", false);
    far.hears(&history(18, "t", 1));
    assert_eq!((answers(&mut far), far.tells().len()), (vec!["1 forbidden false".to_owned()], 1));
}

#[test]
fn nothing_is_answered_behind_the_end() {
    let mut far = at(Stage::ProcessingReady);
    far.hears(&history(1, "t", 1));
    far.hears(r#"{"type":"bye","code":1000}"#);
    far.forget();
    let gathered = far.core.gathering(1);
    assert_eq!(far.core.page(1, page(gathered, false)), [0; 0]);
    assert_eq!(answers(&mut far), [""; 0]);
}
