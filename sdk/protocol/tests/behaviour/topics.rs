//! What a client does with topics: one subscription for each, asked for anew on every connection, from what it holds.

use crate::frames;
use crate::near::{Near, milliseconds, payload, seconds};
use crate::{outcome, outcomes};
use readywire_protocol::clause::Clause;
use readywire_protocol::client::{ClientEvent, ClientState, Position, SendOptions, Start};
use readywire_protocol::config::{ClientConfig, Window};
use readywire_protocol::frame::{ClientFrame, Ready, ServerFrame};
use readywire_protocol::stage::Stage;

fn levels(ready: &mut Ready) {
    ready.capabilities.push("topics".to_owned());
}

/// A ready client of a server with topics.
fn ready() -> Near {
    Near::ready_with(levels)
}

fn subscribe(near: &mut Near, handle: u64, topic: &str, from: Option<Position>) {
    near.client.subscribe(handle, topic, from.map_or(Start::Now, Start::Behind));
    near.settle();
}

fn cancel(near: &mut Near, handle: u64) {
    near.client.cancel(near.now, handle);
    near.settle();
}

fn asks(offset: Option<u64>, epoch: Option<&str>) -> ClientFrame {
    ClientFrame::Subscribe { topic: "t".to_owned(), offset, epoch: epoch.map(str::to_owned), last: None }
}

fn leaves() -> ClientFrame {
    ClientFrame::Unsubscribe { topic: "t".to_owned() }
}

fn subscribed(offset: u64, head: u64, epoch: &str, recovered: bool) -> ServerFrame {
    ServerFrame::Subscribed { topic: "t".to_owned(), offset, head, epoch: epoch.to_owned(), recovered }
}

fn unsubscribed(code: Option<&str>) -> ServerFrame {
    ServerFrame::Unsubscribed { topic: "t".to_owned(), code: code.map(str::to_owned), retry: false }
}

fn publication(offset: u64) -> ServerFrame {
    ServerFrame::Publication {
        topic: "t".to_owned(),
        offset,
        request: None,
        event: "e".to_owned(),
        payload: payload("1"),
    }
}

fn taken(offset: u64) -> ClientFrame {
    ClientFrame::Taken { offset, topic: Some("t".to_owned()) }
}

/// What was told of topics since the last look, in short.
fn told(near: &mut Near) -> Vec<String> {
    let short = |event| match event {
        ClientEvent::Subscribed { handle, offset, recovered, .. } => Some(format!("{handle} at {offset} {recovered}")),
        ClientEvent::Publication { handle, offset, .. } => Some(format!("{handle} gets {offset}")),
        ClientEvent::Unsubscribed { handle, code, .. } => Some(format!("{handle} ends {code}").trim_end().to_owned()),
        _ => None,
    };
    std::mem::take(&mut near.events).into_iter().filter_map(short).collect()
}

/// A client that follows `t`, and holds 5.
fn following() -> Near {
    let mut near = ready();
    subscribe(&mut near, 1, "t", None);
    assert_eq!(near.writes(), [asks(None, None)]);
    near.hears(&subscribed(4, 4, "e", true));
    near.hears(&publication(5));
    assert_eq!(told(&mut near), ["1 at 4 true", "1 gets 5"]);
    near
}

#[test]
fn it_asks_again_behind_each_hello_from_what_it_holds() {
    let mut near = following();
    for _ in 0..2 {
        near.breaks_off();
        near.again();
        let written = near.writes();
        assert_eq!(written.last(), Some(&asks(Some(5), Some("e"))), "without waiting for anything: {written:?}");
        near.reach(Stage::ServicesReady);
        near.hears(&frames::with(|ready| {
            ready.session = Some(frames::grant(true));
            levels(ready);
        }));
        near.hears(&publication(6));
        near.hears(&subscribed(5, 7, "e", true));
        assert_eq!(near.writes(), [], "once for each connection");
        assert_eq!(told(&mut near), ["1 at 5 true"], "what comes before the answer is dropped");
    }
    near.hears(&publication(6));
    near.hears(&publication(9));
    assert_eq!(told(&mut near), ["1 gets 6", "1 gets 9"], "gaps are allowed");
}

#[test]
fn the_latest_are_asked_for_until_it_holds_something() {
    let mut near = ready();
    near.client.subscribe(1, "t", Start::Last(10));
    near.settle();
    let latest = ClientFrame::Subscribe { topic: "t".to_owned(), offset: None, epoch: None, last: Some(10) };
    assert_eq!(near.writes(), std::slice::from_ref(&latest));
    near.breaks_off();
    near.again();
    assert_eq!(near.writes().last(), Some(&latest), "nothing came");
    near.reach(Stage::ServicesReady);
    near.hears(&frames::with(|ready| {
        ready.session = Some(frames::grant(true));
        levels(ready);
    }));
    near.hears(&subscribed(4, 14, "e", true));
    near.breaks_off();
    near.again();
    assert_eq!(near.writes().last(), Some(&asks(Some(4), Some("e"))), "the latest may be others by now");
}

#[test]
fn early_requests_keep_within_what_a_stranger_may_write() {
    let mut near = Near::idle(ClientConfig::default());
    for handle in 1..=300 {
        near.client.subscribe(handle, &format!("{handle:0>200}"), Start::Now);
    }
    near.connect();
    let early = near.writes().len();
    assert!((10..=17).contains(&early), "{early}");
    near.reach(Stage::ServicesReady);
    near.hears(&frames::with(levels));
    assert_eq!(early + near.writes().len(), 300, "the rest at ready, each once");
}

#[test]
fn early_requests_use_the_bytes_that_they_may_to_the_last() {
    let request = |topic: &str, epoch: &str| {
        let (offset, epoch) = (Some(1), Some(epoch.to_owned()));
        ClientFrame::Subscribe { topic: topic.to_owned(), offset, epoch, last: None }.encode().len()
    };
    for (rides, most) in [(true, 8), (false, 7)] {
        let mut near = Near::idle(ClientConfig { hello_in_upgrade: rides, ..ClientConfig::default() });
        for handle in 10..30 {
            let topic = handle.to_string();
            let epoch = "e".repeat(1024 - request(&topic, ""));
            near.client.subscribe(handle, &topic, Start::Behind(Position { offset: 1, epoch: Some(epoch) }));
        }
        near.connect();
        let early = near.writes().into_iter().filter(|frame| matches!(frame, ClientFrame::Subscribe { .. })).count();
        assert_eq!(early, most, "of 1 KiB each, beside a hello that takes its part: {rides}");
    }
}

#[test]
fn what_is_missing_is_told_at_any_time() {
    let mut near = following();
    near.hears(&subscribed(70, 90, "e", false));
    near.hears(&publication(71));
    near.hears(&subscribed(0, 1, "f", false));
    near.hears(&publication(1));
    assert_eq!(told(&mut near), ["1 at 70 false", "1 gets 71", "1 at 0 false", "1 gets 1"]);
    near.breaks_off();
    near.again();
    assert_eq!(near.writes().last(), Some(&asks(Some(1), Some("f"))));
}

#[test]
fn what_a_server_may_not_say_is_a_violation() {
    let breaches = [
        (publication(5), Clause::TopicOffset),
        (publication(4), Clause::TopicOffset),
        (subscribed(9, 8, "e", false), Clause::TopicOffset),
        (subscribed(4, 8, "e", true), Clause::TopicRecovered),
        (subscribed(5, 8, "f", true), Clause::TopicRecovered),
    ];
    for (frame, clause) in breaches {
        let mut near = following();
        near.hears(&frame);
        assert_eq!(near.bye().and_then(|bye| bye.clause.clone()).as_deref(), Some(clause.id()), "{frame:?}");
    }
}

#[test]
fn of_topics_that_it_does_not_follow_it_ignores_everything() {
    let mut near = ready();
    for frame in [subscribed(4, 4, "e", true), publication(5), unsubscribed(None), unsubscribed(Some("revoked"))] {
        near.hears(&frame);
    }
    assert_eq!((near.closed.clone(), told(&mut near)), (None, vec![]));
}

#[test]
fn taken_is_said_at_half_the_window_and_otherwise_soon() {
    let mut near = ready();
    subscribe(&mut near, 1, "t", None);
    near.hears(&subscribed(0, 0, "e", true));
    near.forget();
    for offset in 1..=127 {
        near.hears(&publication(offset));
    }
    assert_eq!(near.writes(), []);
    near.hears(&publication(128));
    assert_eq!(near.writes(), [taken(128)]);
    near.hears(&publication(129));
    near.pass(milliseconds(50));
    assert_eq!(near.writes(), [taken(129)]);
    near.pass(milliseconds(100));
    assert_eq!(near.writes(), [], "nothing new");
}

#[test]
fn half_of_the_bytes_are_told_at_once() {
    let window = Window { messages: 100, bytes: 20 };
    let mut near = Near::idle(ClientConfig { window, ..ClientConfig::default() });
    near.connect();
    near.reach(Stage::ServicesReady);
    near.hears(&frames::with(levels));
    subscribe(&mut near, 1, "t", None);
    near.hears(&subscribed(0, 0, "e", true));
    near.forget();
    for (offset, bytes) in [(1, 4), (2, 5)] {
        let (topic, event) = ("t".to_owned(), "e".to_owned());
        let publication =
            ServerFrame::Publication { topic, offset, request: None, event, payload: payload(&"1".repeat(bytes)) };
        near.hears(&publication);
    }
    assert_eq!(near.writes(), []);
    near.hears(&publication(3));
    assert_eq!(near.writes(), [taken(3)]);
}

/// What was told of one topic says nothing of another.
#[test]
fn each_topic_is_told_for_itself() {
    let of = |topic: &str, offset| ServerFrame::Publication {
        topic: topic.to_owned(),
        offset,
        request: None,
        event: "e".to_owned(),
        payload: payload("1"),
    };
    let mut near = ready();
    for (handle, topic) in [(1, "t"), (2, "u"), (3, "v")] {
        subscribe(&mut near, handle, topic, None);
        let (epoch, topic) = ("e".to_owned(), topic.to_owned());
        near.hears(&ServerFrame::Subscribed { topic, offset: 4, head: 4, epoch, recovered: true });
    }
    assert_eq!(told(&mut near), ["1 at 4 true", "2 at 4 true", "3 at 4 true"]);
    near.hears(&of("u", 5));
    near.hears(&of("v", 5));
    for offset in 5..=132 {
        near.hears(&of("t", offset));
    }
    near.forget();
    cancel(&mut near, 3);
    assert_eq!(near.writes(), [ClientFrame::Unsubscribe { topic: "v".to_owned() }]);
    near.pass(milliseconds(49));
    assert_eq!(near.writes(), [], "`t` was told by itself, and for the others it is early");
    near.pass(milliseconds(1));
    assert_eq!(near.writes(), [ClientFrame::Taken { offset: 5, topic: Some("u".to_owned()) }]);
}

#[test]
fn who_leaves_hears_no_more_and_who_comes_back_waits_for_the_answer() {
    let mut near = following();
    cancel(&mut near, 1);
    near.hears(&publication(6));
    subscribe(&mut near, 2, "t", Some(Position { offset: 0, epoch: None }));
    near.hears(&publication(7));
    near.hears(&unsubscribed(Some("revoked")));
    assert_eq!(near.writes(), [leaves()]);
    assert_eq!(told(&mut near), ["1 ends"]);
    near.hears(&unsubscribed(None));
    assert_eq!(near.writes(), [asks(Some(0), None)]);
    near.hears(&subscribed(2, 7, "e", false));
    near.hears(&publication(3));
    assert_eq!(told(&mut near), ["2 at 2 false", "2 gets 3"]);
}

#[test]
fn who_leaves_before_ready_takes_it_back_behind_it() {
    let mut near = following();
    near.breaks_off();
    near.again();
    near.forget();
    cancel(&mut near, 1);
    assert_eq!(near.writes(), [], "nothing but subscribe passes early");
    near.reach(Stage::ServicesReady);
    near.hears(&frames::with(|ready| {
        ready.session = Some(frames::grant(true));
        levels(ready);
    }));
    assert_eq!(near.writes(), [leaves()]);
    near.hears(&subscribed(5, 5, "e", true));
    near.hears(&unsubscribed(None));
    assert_eq!(told(&mut near), ["1 ends"]);
    near.breaks_off();
    near.again();
    assert!(!near.writes().contains(&asks(Some(5), Some("e"))));
}

#[test]
fn a_refusal_or_a_revocation_is_told_once_and_final() {
    for before in [None, Some(subscribed(4, 4, "e", true))] {
        let mut near = ready();
        subscribe(&mut near, 1, "t", None);
        let stood = before.is_some();
        before.iter().for_each(|frame| near.hears(frame));
        near.hears(&unsubscribed(Some("forbidden")));
        near.hears(&unsubscribed(Some("forbidden")));
        let all = told(&mut near);
        assert_eq!(all[usize::from(stood)..], ["1 ends forbidden"]);
        near.forget();
        near.breaks_off();
        near.again();
        assert!(!near.writes().iter().any(|frame| matches!(frame, ClientFrame::Subscribe { .. })), "not again");
    }
}

#[test]
fn a_server_without_topics_refuses_each() {
    let mut near = Near::idle(ClientConfig::default());
    near.client.subscribe(1, "t", Start::Now);
    near.connect();
    assert_eq!(near.writes(), [asks(None, None)]);
    near.reach(Stage::ProcessingReady);
    assert_eq!(told(&mut near), ["1 ends unsupported"]);
    near.hears(&unsubscribed(Some("unsupported")));
    assert_eq!(near.closed, None, "its answer is in order");
    subscribe(&mut near, 2, "t", None);
    assert_eq!(told(&mut near), ["2 ends unsupported"]);
    let publish = SendOptions { topic: Some("t".to_owned()), ..SendOptions::default() };
    near.client.send(near.now, 3, "e", payload("1"), publish);
    near.settle();
    assert_eq!(outcomes(&mut near), [outcome(3, "refused unsupported")]);
    assert_eq!(near.writes(), []);
}

#[test]
fn a_send_to_a_topic_names_it() {
    let mut near = ready();
    let publish = SendOptions { topic: Some("t".to_owned()), ..SendOptions::default() };
    near.client.send(near.now, 1, "e", payload("1"), publish);
    near.settle();
    assert!(matches!(&near.writes()[..], [ClientFrame::Send(send)] if send.topic.as_deref() == Some("t")));
}

#[test]
fn names_and_doubles_are_refused_locally() {
    let mut near = following();
    subscribe(&mut near, 2, "t", None);
    subscribe(&mut near, 3, "", None);
    subscribe(&mut near, 4, &"x".repeat(257), None);
    assert_eq!(told(&mut near), ["2 ends already_subscribed", "3 ends invalid_topic", "4 ends invalid_topic"]);
    assert_eq!(near.writes(), []);
}

#[test]
fn for_another_subject_every_subscription_ends() {
    let mut near = following();
    near.over_a_cut(&frames::with(|ready| {
        let ServerFrame::Ready(bob) = frames::somebody_else() else { return };
        ready.session = bob.session;
        levels(ready);
    }));
    assert_eq!(told(&mut near), ["1 ends subject_changed"]);
    assert_eq!(near.writes(), [leaves()], "what was asked for early is taken back");
    near.hears(&subscribed(5, 6, "e", true));
    near.hears(&publication(6));
    assert_eq!(told(&mut near), [] as [&str; 0]);
}

/// More than are asked for early, followed over a connection that is gone.
fn twenty_follow_over_a_cut() -> Near {
    let mut near = ready();
    for handle in 1..=20 {
        subscribe(&mut near, handle, &format!("t-{handle}"), None);
    }
    let (offset, epoch) = (0, "e".to_owned());
    near.hears(&ServerFrame::Subscribed { topic: "t-20".to_owned(), offset, head: 0, epoch, recovered: true });
    near.breaks_off();
    near.again();
    near.reach(Stage::ServicesReady);
    near
}

#[test]
fn whatever_is_followed_is_asked_for_on_the_next_connection_once() {
    let mut near = twenty_follow_over_a_cut();
    near.hears(&frames::with(|ready| {
        ready.session = Some(frames::grant(true));
        levels(ready);
    }));
    let asked = near.writes().into_iter().filter_map(|frame| match frame {
        ClientFrame::Subscribe { topic, .. } => Some(topic),
        _ => None,
    });
    let all: Vec<_> = (1..=20).chain(1..=20).map(|number| format!("t-{number}")).collect();
    assert_eq!(asked.collect::<Vec<_>>(), all, "on either");
}

#[test]
fn what_was_not_asked_for_early_is_nothing_to_another_subject() {
    let mut near = twenty_follow_over_a_cut();
    near.forget();
    near.hears(&frames::with(|ready| {
        let ServerFrame::Ready(bob) = frames::somebody_else() else { return };
        ready.session = bob.session;
        levels(ready);
    }));
    let left = |number| ClientFrame::Unsubscribe { topic: format!("t-{number}") };
    assert_eq!(near.writes(), (1..=16).map(left).collect::<Vec<_>>());
}

#[test]
fn a_client_that_closes_follows_nothing_new() {
    let mut near = ready();
    near.send(7, SendOptions::default());
    near.client.close(near.now, seconds(5));
    subscribe(&mut near, 1, "t", None);
    assert_eq!(told(&mut near), ["1 ends closed"], "while it closes");
    near.hears(&frames::ack(1));
    assert_eq!(near.state(), ClientState::Closed);
    near.client.subscribe(2, "t", Start::Now);
    assert!(
        matches!(near.client.poll_event(), Some(ClientEvent::Unsubscribed { handle: 2, code, .. }) if code == "closed"),
        "and afterwards"
    );
}
