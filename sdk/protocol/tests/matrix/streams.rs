//! Streams at the server's end: the window of each, what was read of it, and what of it is told again.

use crate::far::{Far, bound};
use crate::frames;
use crate::near::milliseconds;
use readywire_protocol::clause::Clause;
use readywire_protocol::config::{ServerConfig, Window};
use readywire_protocol::frame::{ClientFrame, Hello, Refusal, Send, ServerFrame};
use readywire_protocol::json::Payload;
use readywire_protocol::server::{Bound, Decision, ServerEvent};
use readywire_protocol::stage::Stage;

fn config() -> ServerConfig {
    ServerConfig { has_streams: true, stream: Window { messages: 4, bytes: 20 }, ..ServerConfig::default() }
}

fn hello() -> Hello {
    let mut hello = frames::hello();
    hello.capabilities.push("streams".to_owned());
    hello
}

fn ready() -> Far {
    Far::with(config(), Stage::ProcessingReady, hello())
}

fn plain(id: u64) -> Send {
    Send::new(id, "e", Payload::parse("1").expect("JSON"))
}

fn opens(id: u64) -> Send {
    Send { stream: true, ..plain(id) }
}

fn part(id: u64, of: u64) -> Send {
    Send { of: Some(of), ..plain(id) }
}

fn large(id: u64, of: u64) -> Send {
    text(id, of, "\"fifteen bytes\"")
}

fn text(id: u64, of: u64, text: &str) -> Send {
    Send { payload: Payload::parse(text).expect("JSON"), ..part(id, of) }
}

fn hears(far: &mut Far, sends: impl IntoIterator<Item = Send>) {
    for send in sends {
        far.hears(&ClientFrame::Send(send).encode());
    }
}

/// What the driver is told to decide.
fn sends(far: &mut Far) -> Vec<Send> {
    let sends = far.tells().into_iter().filter_map(|event| match event {
        ServerEvent::Send(send) => Some(send),
        _ => None,
    });
    sends.collect()
}

fn reads(far: &mut Far) -> Vec<(u64, u64)> {
    let reads = far.writes().into_iter().filter_map(|frame| match frame {
        ServerFrame::Read { re, id } => Some((re, id)),
        _ => None,
    });
    reads.collect()
}

fn read(far: &mut Far, stream: u64, id: u64) {
    far.core.stream_read(far.now, stream, id);
    far.settle();
}

fn breach(far: &mut Far) -> Option<String> {
    far.writes().into_iter().find_map(|frame| match frame {
        ServerFrame::Bye(bye) => bye.clause,
        _ => None,
    })
}

#[test]
fn it_is_agreed_on_with_all_that_it_needs() {
    for (theirs, has, agreed) in [
        (vec!["streams"], true, vec![]),
        (vec!["answers", "streams"], true, vec![]),
        (vec!["resume", "streams"], true, vec!["resume"]),
        (vec!["resume", "answers", "streams"], true, vec!["resume", "answers", "streams"]),
        (vec!["resume", "answers", "streams"], false, vec!["resume", "answers"]),
    ] {
        let capabilities = theirs.iter().map(|level| (*level).to_owned()).collect();
        let config = ServerConfig { has_streams: has, ..config() };
        let mut far = Far::with(config, Stage::ServicesReady, Hello { capabilities, ..Hello::default() });
        far.core.ready(bound());
        far.settle();
        let ready = far.writes().into_iter().find_map(|frame| match frame {
            ServerFrame::Ready(ready) => Some(ready),
            _ => None,
        });
        let ready = ready.expect("ready");
        assert_eq!(ready.capabilities, agreed, "{theirs:?}");
        let told = (ready.limits.stream_messages, ready.limits.stream_bytes);
        assert_eq!(told, if agreed.contains(&"streams") { (Some(4), Some(20)) } else { (None, None) });
    }
}

#[test]
fn without_a_session_there_is_none() {
    let mut far = Far::with(config(), Stage::ServicesReady, hello());
    far.core.ready(Bound { session: None, ..bound() });
    assert_eq!(far.core.levels(), [""; 0]);
}

#[test]
fn a_stream_asks_for_an_answer_and_its_parts_for_nothing() {
    let mut far = ready();
    let greedy = Send { answer: true, key: Some("k".repeat(70)), topic: Some(String::new()), ..part(2, 1) };
    hears(&mut far, [opens(1), greedy, Send { stream: true, ..part(3, 1) }, Send { end: true, ..plain(4) }]);
    let found = sends(&mut far);
    assert!(found[0].answer && found[0].stream);
    assert_eq!(found[1], part(2, 1));
    assert_eq!(found[2], part(3, 1));
    assert_eq!(found[3], plain(4), "nothing is ended that is not named, and what does not say so opens nothing");
}

#[test]
fn where_it_was_not_agreed_on_its_fields_are_nothing() {
    let mut far = Far::ready();
    hears(&mut far, [opens(1), part(2, 1), Send { end: true, ..part(3, 9) }]);
    assert_eq!(sends(&mut far), [plain(1), plain(2), plain(3)]);
}

#[test]
fn what_it_is_of_lies_below_it() {
    for of in [2, 3] {
        let mut far = ready();
        hears(&mut far, [part(2, of)]);
        assert_eq!(breach(&mut far).as_deref(), Some(Clause::StreamOf.id()));
    }
}

#[test]
fn one_more_than_the_window_is_a_breach() {
    let mut far = ready();
    hears(&mut far, [opens(1), part(2, 1), part(3, 1), part(4, 1), part(5, 1), Send { end: true, ..part(6, 1) }]);
    assert_eq!(sends(&mut far).len(), 6, "an end needs no room");
    hears(&mut far, [part(7, 1)]);
    assert_eq!(breach(&mut far).as_deref(), Some(Clause::StreamWindow.id()));
}

#[test]
fn one_part_always_passes_an_empty_window() {
    let mut far = ready();
    let huge = Send { payload: Payload::parse("\"much longer than twenty bytes\"").expect("JSON"), ..part(2, 1) };
    hears(&mut far, [opens(1), huge]);
    assert_eq!(sends(&mut far).len(), 2);
    read(&mut far, 1, 2);
    hears(&mut far, [large(3, 1)]);
    assert_eq!(sends(&mut far).len(), 1);
    hears(&mut far, [large(4, 1)]);
    assert_eq!(breach(&mut far).as_deref(), Some(Clause::StreamWindow.id()));
}

#[test]
fn what_was_read_makes_room_again() {
    let mut far = ready();
    hears(&mut far, [opens(1), large(2, 1)]);
    read(&mut far, 1, 2);
    hears(&mut far, [large(3, 1), text(4, 1, "12345")]);
    assert_eq!(breach(&mut far), None, "just as much as the window holds");
    hears(&mut far, [part(5, 1)]);
    assert_eq!(breach(&mut far).as_deref(), Some(Clause::StreamWindow.id()));
}

#[test]
fn each_stream_has_a_window_of_its_own_and_what_is_none_has_none() {
    let mut far = ready();
    hears(&mut far, [opens(1), opens(2)]);
    hears(&mut far, (3..7).map(|id| part(id, 1)));
    hears(&mut far, (7..11).map(|id| part(id, 2)));
    hears(&mut far, (20..30).map(|id| part(id, 11)));
    assert_eq!(sends(&mut far).len(), 20);
    far.core.stream_over(1);
    hears(&mut far, [part(30, 1), part(31, 1)]);
    assert_eq!(sends(&mut far).len(), 2, "they will be refused");
}

#[test]
fn a_refused_part_takes_no_room_and_a_refused_stream_is_none() {
    let mut far = ready();
    hears(&mut far, [opens(1), part(2, 1), part(3, 1), part(4, 1), part(5, 1)]);
    let refused = |id| Decision::Refused(Refusal { ..frames::refusal(id, "no") });
    far.core.decide(far.now, 1, Decision::Taken);
    far.core.decide(far.now, 2, refused(2));
    hears(&mut far, [part(6, 1)]);
    assert_eq!(breach(&mut far), None);
    hears(&mut far, [opens(7)]);
    assert!(far.core.has_stream(7));
    far.core.decide(far.now, 7, refused(7));
    assert!(!far.core.has_stream(7));
}

#[test]
fn a_refused_part_gives_its_own_room_back() {
    let mut far = ready();
    hears(&mut far, [opens(1), text(2, 1, "123"), large(3, 1)]);
    far.core.decide(far.now, 3, Decision::Refused(frames::refusal(3, "no")));
    hears(&mut far, [large(4, 1)]);
    assert_eq!(breach(&mut far), None);
    hears(&mut far, [text(5, 1, "123")]);
    assert_eq!(breach(&mut far).as_deref(), Some(Clause::StreamWindow.id()), "what was not refused has its room");
}

#[test]
fn what_was_read_is_told_at_half_of_the_window() {
    let mut far = ready();
    hears(&mut far, [opens(1), part(2, 1), part(4, 1), part(5, 1)]);
    far.forget();
    read(&mut far, 1, 2);
    assert_eq!(reads(&mut far), []);
    read(&mut far, 1, 4);
    assert_eq!(reads(&mut far), [(1, 4)]);
    read(&mut far, 1, 4);
    read(&mut far, 9, 5);
    assert_eq!(reads(&mut far), [], "once, and of what there is");
}

#[test]
fn what_was_read_is_told_at_half_of_the_bytes() {
    let mut far = ready();
    hears(&mut far, [opens(1), large(2, 1)]);
    far.forget();
    read(&mut far, 1, 2);
    assert_eq!(reads(&mut far), [(1, 2)]);
}

#[test]
fn what_was_read_is_told_in_time() {
    let mut far = ready();
    hears(&mut far, [opens(1), part(2, 1)]);
    far.core.decide(far.now, 1, Decision::Taken);
    far.core.decide(far.now, 2, Decision::Taken);
    far.pass(milliseconds(20));
    far.forget();
    read(&mut far, 1, 2);
    far.expires_in(milliseconds(20));
    assert_eq!(reads(&mut far), [(1, 2)]);
    assert_ne!(far.timer(), Some(milliseconds(20)), "and then no more");
}

#[test]
fn what_is_read_later_puts_nothing_off() {
    let stream = Window { messages: 64, bytes: 1000 };
    let mut far = Far::with(ServerConfig { stream, ..config() }, Stage::ProcessingReady, hello());
    hears(&mut far, [opens(1), part(2, 1), part(3, 1)]);
    read(&mut far, 1, 2);
    far.pass(milliseconds(10));
    read(&mut far, 1, 3);
    far.expires_in(milliseconds(10));
    assert_eq!(reads(&mut far), [(1, 3)]);
}

#[test]
fn the_bytes_of_a_resumed_stream_count() {
    let mut far = Far::with(config(), Stage::ServicesReady, hello());
    far.core.ready(Bound { received: 5, ..bound() });
    far.core.stream_resumed(1, [(3, 15)], None);
    hears(&mut far, [text(6, 1, "12345")]);
    assert_eq!(breach(&mut far), None);
    hears(&mut far, [part(7, 1)]);
    assert_eq!(breach(&mut far).as_deref(), Some(Clause::StreamWindow.id()));
}

#[test]
fn nothing_is_resumed_where_no_stream_may_be() {
    let early = Far::with(config(), Stage::ServicesReady, hello());
    let without = Far::with(config(), Stage::ProcessingReady, frames::hello());
    for mut far in [early, without] {
        far.core.stream_resumed(1, [], Some(2));
        assert_eq!((reads(&mut far), far.core.has_stream(1)), (vec![], false));
    }
}

#[test]
fn a_resumed_stream_goes_on_with_its_window() {
    let mut far = Far::with(config(), Stage::ServicesReady, hello());
    far.core.ready(Bound { received: 5, ..bound() });
    far.core.stream_resumed(1, [(3, 1), (5, 1)], Some(2));
    far.core.stream_resumed(4, [], None);
    far.settle();
    assert_eq!(reads(&mut far), [(1, 2)], "of nothing, nothing is told");
    // What was decided before comes again, and takes no second place.
    hears(&mut far, [opens(1), part(3, 1), part(5, 1), part(6, 1), part(7, 1)]);
    assert_eq!(sends(&mut far).len(), 5);
    hears(&mut far, [part(8, 1)]);
    assert_eq!(breach(&mut far).as_deref(), Some(Clause::StreamWindow.id()));
}

#[test]
fn a_stream_that_was_decided_before_and_is_over_does_not_open_again() {
    let mut far = Far::with(config(), Stage::ServicesReady, hello());
    far.core.ready(Bound { received: 5, ..bound() });
    hears(&mut far, [opens(1), opens(5)]);
    assert!(!far.core.has_stream(1) && !far.core.has_stream(5));
}

#[test]
fn nobody_else_says_read() {
    let mut far = ready();
    far.hears(r#"{"type":"read","re":1,"id":1}"#);
    assert_eq!(breach(&mut far).as_deref(), Some(Clause::FrameDirection.id()));
}
