//! Topics at the server's end: each request has one answer, in order, and each topic a window of its own.

use crate::far::Far;
use crate::frames;
use readywire_protocol::clause::Clause;
use readywire_protocol::config::{ServerConfig, Window};
use readywire_protocol::frame::{ClientFrame, Hello, ServerFrame};
use readywire_protocol::server::{ServerEvent, Subscribed};
use readywire_protocol::stage::Stage;

fn config() -> ServerConfig {
    ServerConfig { topics: true, ..ServerConfig::default() }
}

fn hello(messages: u64, bytes: u64) -> Hello {
    let mut hello = frames::hello();
    hello.capabilities.push("topics".to_owned());
    Hello { window: Some(Window { messages, bytes }), ..hello }
}

pub(crate) fn at(stage: Stage) -> Far {
    Far::with(config(), stage, hello(3, 100))
}

fn subscribe(topic: &str) -> String {
    ClientFrame::Subscribe { topic: topic.to_owned(), offset: None, epoch: None, last: None }.encode()
}

fn unsubscribe(topic: &str) -> String {
    ClientFrame::Unsubscribe { topic: topic.to_owned() }.encode()
}

fn taken(topic: &str, offset: u64) -> String {
    ClientFrame::Taken { offset, topic: Some(topic.to_owned()) }.encode()
}

fn news(offset: u64) -> Subscribed {
    Subscribed { offset, head: offset, epoch: "e".to_owned(), recovered: true }
}

/// A connection that follows `t`, at 4.
fn following() -> Far {
    let mut far = at(Stage::ProcessingReady);
    far.hears(&subscribe("t"));
    far.core.subscribed("t", news(4));
    far.forget();
    far
}

fn answers(far: &mut Far) -> Vec<String> {
    let short = |frame| match frame {
        ServerFrame::Subscribed { topic, offset, .. } => format!("{topic} at {offset}"),
        ServerFrame::Unsubscribed { topic, code, .. } => format!("{topic} ends {}", code.unwrap_or_default()),
        other => format!("{other:?}"),
    };
    far.writes().into_iter().map(short).collect()
}

#[test]
fn it_is_agreed_on_with_and_without_sessions() {
    for (capabilities, agreed) in [
        (vec!["topics"], vec!["topics"]),
        (vec!["topics", "resume"], vec!["resume", "topics"]),
        (vec!["answers", "topics"], vec!["topics"]),
    ] {
        let mut far = Far::with(
            config(),
            Stage::ServicesReady,
            Hello { capabilities: capabilities.iter().map(|level| (*level).to_owned()).collect(), ..Hello::default() },
        );
        far.core.ready(crate::far::bound());
        let ready = far.writes().into_iter().find_map(|frame| match frame {
            ServerFrame::Ready(ready) => Some(ready),
            _ => None,
        });
        assert_eq!(ready.expect("ready").capabilities, agreed, "{capabilities:?}");
    }
}

#[test]
fn what_was_asked_early_is_answered_behind_ready_in_order() {
    let mut far = at(Stage::ServicesReady);
    for text in [subscribe("a"), subscribe("b"), unsubscribe("a"), unsubscribe("c")] {
        far.hears(&text);
    }
    assert_eq!(far.tells(), [], "nothing is asked before ready");
    far.core.ready(crate::far::bound());
    far.settle();
    assert_eq!(answers(&mut far)[1..], ["a ends withdrawn", "a ends ", "c ends "]);
    far.core.subscribed("a", news(1));
    far.core.subscribed("b", news(2));
    assert_eq!(answers(&mut far), ["b at 2"], "nobody follows `a` any more");
}

#[test]
fn what_is_asked_early_is_bounded_each_kind_by_itself() {
    let mut far = at(Stage::Authenticated);
    for index in 1..=256 {
        far.hears(&subscribe(&format!("t-{index}")));
        far.hears(&unsubscribe(&format!("u-{index}")));
    }
    assert_eq!(far.core.stage(), Stage::Authenticated);
    for text in [subscribe("one"), unsubscribe("one")] {
        let mut far = far.clone();
        far.hears(&text);
        assert_eq!(far.ending().and_then(|ending| ending.clause), Some(Clause::PreauthLimits), "{text}");
    }
}

#[test]
fn a_window_is_the_topics_own() {
    let mut far = following();
    far.hears(&subscribe("u"));
    far.core.subscribed("u", news(0));
    for offset in [5, 7, 9] {
        assert!(far.core.deliver_publication("t", offset, 10, false));
    }
    assert_eq!(far.core.topic_room("t"), None);
    assert!(!far.core.deliver_publication("t", 10, 1, false), "three are out");
    assert!(far.core.deliver_publication("u", 1, 1, false), "another topic goes on");
    far.hears(&taken("t", 7));
    assert!(far.tells().contains(&ServerEvent::TopicRoom { topic: "t".to_owned() }));
    assert_eq!(far.core.topic_room("t"), Some((9, Window { messages: 2, bytes: 90 })));
    assert!(!far.core.deliver_publication("t", 10, 91, false), "too many bytes");
    assert_eq!(far.core.topic_room("t"), None, "it waits");
    far.hears(&taken("t", 9));
    assert!(far.core.deliver_publication("t", 10, 1000, false), "however large, it passes an empty window");
    assert!(!far.core.deliver_publication("t", 10, 1, false), "once");
}

#[test]
fn taken_covers_what_was_delivered() {
    let mut far = following();
    assert!(far.core.deliver_publication("t", 5, 10, false));
    far.hears(&taken("t", 6));
    assert_eq!(far.ending().and_then(|ending| ending.clause), Some(Clause::TopicTaken));
    let mut far = following();
    assert!(far.core.deliver_publication("t", 500, 10, false));
    far.core.subscribed("t", Subscribed { recovered: false, epoch: "f".to_owned(), ..news(0) });
    far.hears(&taken("t", 500));
    far.hears(&taken("nobody follows it", 500));
    assert_eq!(far.ending(), None, "it may cross an answer");
}

#[test]
fn to_ask_again_begins_anew() {
    let mut far = following();
    assert!(far.core.deliver_publication("t", 5, 10, false));
    far.hears(&subscribe("t"));
    assert!(!far.core.deliver_publication("t", 6, 10, false), "nothing before the answer");
    far.hears(&subscribe("t"));
    assert_eq!(answers(&mut far), ["t ends withdrawn"], "each request has one answer");
    far.core.subscribed("t", news(2));
    assert_eq!(answers(&mut far), ["t at 2"]);
    assert_eq!(far.core.topic_room("t"), Some((2, Window { messages: 3, bytes: 100 })), "with an empty window");
}

#[test]
fn an_end_is_told_once() {
    let mut far = following();
    far.core.unsubscribed("t", "revoked", true);
    far.core.unsubscribed("t", "revoked", true);
    assert_eq!(answers(&mut far), ["t ends revoked"]);
    assert!(!far.core.deliver_publication("t", 6, 10, false));
    far.hears(&unsubscribe("t"));
    far.hears(&unsubscribe("t"));
    assert_eq!(answers(&mut far), ["t ends ", "t ends "], "each is confirmed");
}

#[test]
fn subscriptions_are_bounded() {
    let bounded = ServerConfig { subscriptions: 2, ..config() };
    let mut far = Far::with(bounded, Stage::ProcessingReady, hello(3, 100));
    for topic in ["a", "b", "c", "a"] {
        far.hears(&subscribe(topic));
    }
    assert_eq!(answers(&mut far), ["c ends too_many", "a ends withdrawn"]);
    far.hears(&unsubscribe("b"));
    far.forget();
    far.hears(&subscribe("c"));
    far.core.subscribed("c", news(0));
    assert_eq!(answers(&mut far), ["c at 0"]);
}

#[test]
fn names_have_1_to_256_bytes() {
    let send = |topic: &str| format!(r#"{{"type":"send","id":1,"event":"e","topic":"{topic}"}}"#);
    for (topic, good) in [("", false), (&*"é".repeat(128), true), (&*"é".repeat(129), false)] {
        for text in [subscribe(topic), unsubscribe(topic), taken(topic, 0), send(topic)] {
            let mut far = at(Stage::ProcessingReady);
            far.hears(&text);
            let broken = far.ending().and_then(|ending| ending.clause);
            assert_eq!(broken, (!good).then_some(Clause::TopicName), "{text}");
        }
    }
}

#[test]
fn a_server_without_topics_sees_no_topic_in_a_send() {
    let mut far = Far::ready();
    far.hears(r#"{"type":"send","id":1,"event":"e","topic":""}"#);
    assert!(matches!(&far.tells()[..], [ServerEvent::Send(send)] if send.topic.is_none()));
    far.hears(&taken("t", 0));
    assert_eq!(far.ending().and_then(|ending| ending.clause), Some(Clause::FrameLevel));
}

#[test]
fn a_subscription_without_binary_ends_in_front_of_bytes() {
    let mut far = following();
    assert!(far.core.deliver_publication("t", 5, 1, false));
    assert!(!far.core.deliver_publication("t", 6, 1, true));
    assert!(!far.core.follows("t"));
    assert_eq!(answers(&mut far), ["t ends binary_not_agreed"], "once, and behind what came before");
    assert!(!far.core.deliver_publication("t", 7, 1, false), "nothing seems to follow");
    far.hears(&subscribe("t"));
    far.core.subscribed("t", news(6));
    assert!(far.core.deliver_publication("t", 7, 1, false), "who asks for what is behind gets that");
}

#[test]
fn what_is_no_news_ends_nothing() {
    let mut far = following();
    assert!(!far.core.deliver_publication("t", 4, 1, true), "it was had already");
    assert!(!far.core.deliver_publication("u", 5, 1, true), "nobody follows it");
    far.hears(&subscribe("t"));
    assert!(!far.core.deliver_publication("t", 5, 1, true), "not before the answer");
    assert!(far.core.follows("t"));
}

#[test]
fn with_binary_bytes_are_a_publication_like_any_other() {
    let mut hello = hello(3, 100);
    hello.capabilities.push("binary".to_owned());
    let mut far = Far::with(config(), Stage::ProcessingReady, hello);
    far.hears(&subscribe("t"));
    far.core.subscribed("t", news(4));
    assert!(far.core.deliver_publication("t", 5, 60, true));
    assert!(!far.core.deliver_publication("t", 6, 60, true), "the window counts its bytes");
    far.hears(&taken("t", 5));
    assert!(far.core.deliver_publication("t", 6, 60, true));
}
