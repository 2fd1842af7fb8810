//! Topics: what is published reaches all that follow, in order, now or later; who lags is told what is missing.

use crate::peer::{Raw, hello_as, parts, resuming, served, started};
use readywire_protocol::config::{ServerConfig, Window};
use readywire_protocol::json::Payload;
use readywire_server::application::{Application, Rejection, Room, Undeliverable};
use readywire_server::hub::Parts;
use readywire_server::log::memory::MemoryLog;
use readywire_server::log::{Log, Retention};
use readywire_server::server::Running;
use readywire_server::topics::{TopicPolicy, forbidden};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Everybody may do everything, but for `secret` and `mute`; so much is kept. There is a mistake in it.
struct Open(u64);

impl TopicPolicy for Open {
    fn may_subscribe(&self, _: &str, topic: &str) -> Result<(), Rejection> {
        assert_ne!(topic, "mistake", "this policy does not know what to say");
        if topic == "secret" { Err(forbidden()) } else { Ok(()) }
    }

    fn may_publish(&self, _: &str, topic: &str, _: &str, _: &Payload) -> Result<(), Rejection> {
        if topic == "mute" { Err(forbidden()) } else { Ok(()) }
    }

    fn retention(&self, _: &str) -> Retention {
        Retention { window: Window { messages: self.0, bytes: 1 << 30 }, age: Duration::from_secs(600) }
    }
}

async fn open(kept: u64) -> Running {
    served(Parts { application: Application::new().with_topics(Open(kept)), ..parts() }).await
}

fn topical(mut hello: Value, window: u64) -> Value {
    hello["capabilities"] = json!(["resume", "answers", "topics"]);
    hello["window"] = json!({ "messages": window, "bytes": 1 << 20 });
    hello
}

async fn here(server: &Running, window: u64) -> Raw {
    let (raw, ready) = Raw::ready(server, &topical(hello_as("alice"), window)).await;
    assert_eq!(ready["capabilities"], json!(["resume", "answers", "topics"]));
    raw
}

impl Raw {
    async fn subscribe(&mut self, topic: &str, offset: Option<u64>, epoch: Option<&str>) -> Value {
        let asked = json!({ "type": "subscribe", "topic": topic, "offset": offset, "epoch": epoch });
        self.write(&asked).await;
        let answer = self.until("subscribed").await;
        assert_eq!(answer["topic"], topic);
        answer
    }

    async fn publish(&mut self, id: u64, topic: &str, payload: Value) {
        let event = "e";
        self.write(&json!({ "type": "send", "id": id, "event": event, "topic": topic, "payload": payload })).await;
    }

    async fn gets(&mut self, topic: &str, offset: u64) -> Value {
        let publication = self.until("publication").await;
        assert_eq!((&publication["topic"], &publication["offset"]), (&json!(topic), &json!(offset)), "{publication}");
        publication["payload"].clone()
    }

    async fn has_taken(&mut self, topic: &str, offset: u64) {
        self.write(&json!({ "type": "taken", "topic": topic, "offset": offset })).await;
    }
}

/// One that speaks Binary, too.
async fn binary(server: &Running, window: u64) -> Raw {
    let mut hello = topical(hello_as("alice"), window);
    hello["capabilities"] = json!(["resume", "answers", "topics", "binary"]);
    Raw::ready(server, &hello).await.0
}

/// Publishes bytes, from the server itself.
async fn put(server: &Running, topic: &str, bytes: &[u8]) -> u64 {
    server.hub().publish(topic, "file", &Payload::from(bytes.to_vec())).await.unwrap()
}

/// Publishes 1 to `count`, from the server itself.
async fn fill(server: &Running, topic: &str, count: u64) {
    for number in 1..=count {
        server.hub().publish(topic, "e", &Payload::parse(&number.to_string()).unwrap()).await.unwrap();
    }
}

#[tokio::test]
async fn a_publication_reaches_all_that_follow_its_publisher_among_them() {
    let server = open(100).await;
    let (mut alice, mut bob) = (here(&server, 256).await, here(&server, 256).await);
    for raw in [&mut alice, &mut bob] {
        let subscribed = raw.subscribe("t", None, None).await;
        assert_eq!((&subscribed["offset"], &subscribed["head"]), (&json!(0), &json!(0)));
        assert_eq!(subscribed["recovered"], true);
    }
    for id in 1..=50 {
        alice.publish(id, "t", json!(id)).await;
    }
    for raw in [&mut alice, &mut bob] {
        for offset in 1..=50 {
            assert_eq!(raw.gets("t", offset).await, json!(offset));
        }
    }
    alice.publish(51, "t", json!("last")).await;
    alice.acked(51).await;
    assert_eq!(bob.gets("t", 51).await, "last");
}

#[tokio::test]
async fn who_comes_back_goes_on_where_it_stopped() {
    let server = open(100).await;
    let (mut raw, ready) = Raw::ready(&server, &topical(hello_as("alice"), 256)).await;
    let epoch = raw.subscribe("t", None, None).await["epoch"].as_str().unwrap().to_owned();
    fill(&server, "t", 3).await;
    raw.gets("t", 1).await;
    drop(raw);
    let mut raw = Raw::greet(&server, &topical(resuming("alice", &ready, 1, 0), 256)).await;
    raw.write(&json!({ "type": "subscribe", "topic": "t", "offset": 1, "epoch": epoch })).await;
    raw.until("ready").await;
    let subscribed = raw.frame().await;
    assert_eq!(subscribed["type"], "subscribed", "without another question: {subscribed}");
    assert_eq!((&subscribed["offset"], &subscribed["head"]), (&json!(1), &json!(3)));
    assert_eq!(subscribed["recovered"], true);
    raw.gets("t", 2).await;
    raw.gets("t", 3).await;
    fill(&server, "t", 1).await;
    raw.gets("t", 4).await;
}

#[tokio::test]
async fn what_is_not_kept_any_more_is_told_and_all_that_is_kept_comes() {
    let server = open(10).await;
    fill(&server, "t", 30).await;
    let mut raw = here(&server, 256).await;
    let epoch = raw.subscribe("t", Some(30), None).await["epoch"].as_str().unwrap().to_owned();
    for (offset, epoch, recovered, from) in [
        (20, Some(&*epoch), true, 20),
        (19, Some(&*epoch), false, 20),
        (0, None, false, 20),
        (25, None, true, 25),
        (25, Some("another"), false, 20),
        (31, Some(&*epoch), false, 20),
    ] {
        let subscribed = raw.subscribe("t", Some(offset), epoch).await;
        let what = format!("{offset} {epoch:?}: {subscribed}");
        assert_eq!((&subscribed["recovered"], &subscribed["offset"]), (&json!(recovered), &json!(from)), "{what}");
        for offset in from + 1..=30 {
            raw.gets("t", offset).await;
        }
    }
    let mut fresh = here(&server, 256).await;
    fill(&server, "u", 10).await;
    assert_eq!(fresh.subscribe("u", Some(0), None).await["recovered"], true, "the beginning is still there");
}

#[tokio::test]
async fn who_takes_nothing_lags_and_holds_nobody_up() {
    let server = open(50).await;
    let mut slow = here(&server, 4).await;
    let mut quick = here(&server, 256).await;
    for raw in [&mut slow, &mut quick] {
        raw.subscribe("t", None, None).await;
    }
    slow.subscribe("u", None, None).await;
    for offset in 1..=200 {
        fill(&server, "t", 1).await;
        quick.gets("t", offset).await;
        quick.has_taken("t", offset).await;
    }
    fill(&server, "u", 1).await;
    for offset in 1..=4 {
        slow.gets("t", offset).await;
    }
    assert_eq!(slow.gets("u", 1).await, 1, "another topic does not wait");
    slow.has_taken("t", 4).await;
    let gap = slow.until("subscribed").await;
    assert_eq!((&gap["recovered"], &gap["offset"]), (&json!(false), &json!(150)), "{gap}");
    for offset in 151..=200 {
        slow.gets("t", offset).await;
        slow.has_taken("t", offset).await;
    }
    fill(&server, "t", 1).await;
    slow.gets("t", 201).await;
}

#[tokio::test]
async fn who_lags_within_what_is_kept_misses_nothing() {
    let server = open(5000).await;
    let mut slow = here(&server, 3).await;
    slow.subscribe("t", None, None).await;
    fill(&server, "t", 2000).await;
    for offset in 1..=2000 {
        assert_eq!(slow.gets("t", offset).await, offset);
        if offset % 3 == 0 {
            slow.has_taken("t", offset).await;
        }
    }
}

#[tokio::test]
async fn who_may_not_is_told_so_and_the_rest_goes_on() {
    let server = open(10).await;
    let mut raw = here(&server, 256).await;
    raw.write(&json!({ "type": "subscribe", "topic": "secret" })).await;
    let refused = raw.until("unsubscribed").await;
    assert_eq!((&refused["topic"], &refused["code"]), (&json!("secret"), &json!("forbidden")));
    raw.publish(1, "mute", json!(1)).await;
    assert_eq!(raw.until("nack").await["code"], "forbidden");
    raw.publish(2, "secret", json!(2)).await;
    raw.acked(2).await;
    raw.subscribe("mute", Some(0), None).await;
    fill(&server, "mute", 1).await;
    raw.gets("mute", 1).await;
    raw.write(&json!({ "type": "unsubscribe", "topic": "mute" })).await;
    assert_eq!(raw.until("unsubscribed").await["code"], Value::Null);
    fill(&server, "mute", 1).await;
    raw.subscribe("t", Some(0), None).await;
    fill(&server, "t", 1).await;
    raw.gets("t", 1).await;
    assert!(server.hub().metrics.text().contains("readywire_subscriptions 1"), "only one is left");
}

#[tokio::test]
async fn a_subscription_is_revoked_wherever_it_lives() {
    let log: Arc<dyn Log> = MemoryLog::new();
    let parts = || Parts { log: log.clone(), application: Application::new().with_topics(Open(10)), ..parts() };
    let (one, other) = (served(parts()).await, served(parts()).await);
    let (mut alice, mut again) = (here(&one, 256).await, here(&other, 256).await);
    let (mut bob, _) = Raw::ready(&one, &topical(hello_as("bob"), 256)).await;
    for raw in [&mut alice, &mut again, &mut bob] {
        raw.subscribe("t", Some(0), None).await;
        raw.subscribe("u", Some(0), None).await;
    }
    other.hub().revoke("alice", "t").await.unwrap();
    for raw in [&mut alice, &mut again] {
        let ended = raw.until("unsubscribed").await;
        assert_eq!((&ended["topic"], &ended["code"], &ended["retry"]), (&json!("t"), &json!("revoked"), &Value::Null));
    }
    fill(&one, "t", 1).await;
    fill(&one, "u", 1).await;
    bob.gets("t", 1).await;
    for raw in [&mut alice, &mut again] {
        let next = raw.until("publication").await;
        assert_eq!(next["topic"], "u", "nothing of `t` comes, and the rest goes on");
    }
    // What was revoked once is not revoked for ever: that is for the policy to say.
    alice.subscribe("t", Some(0), None).await;
    alice.gets("t", 1).await;
    assert!(one.hub().revoke("nobody", "nothing").await.is_ok());
}

#[tokio::test]
async fn an_answer_to_a_publication_ends_when_it_is_appended() {
    let server = open(10).await;
    let mut raw = here(&server, 256).await;
    let publish = json!({ "type": "send", "id": 1, "event": "e", "topic": "t", "payload": 7, "answer": true });
    raw.write(&publish).await;
    let end = raw.message(1).await;
    assert_eq!((&end["re"], &end["end"], &end["error"]), (&json!(1), &json!(true), &Value::Null));
    raw.acked(1).await;
    raw.write(&publish).await;
    raw.acked(1).await;
    raw.subscribe("t", Some(0), None).await;
    raw.gets("t", 1).await;
    fill(&server, "t", 1).await;
    raw.gets("t", 2).await;
}

#[tokio::test]
async fn subscriptions_are_bounded() {
    let config = ServerConfig { subscriptions: 2, ..ServerConfig::default() };
    let application = Application::new().with_topics(Open(10));
    let server = served(Parts { application, config, ..parts() }).await;
    let mut raw = here(&server, 256).await;
    raw.subscribe("a", None, None).await;
    raw.subscribe("b", None, None).await;
    raw.write(&json!({ "type": "subscribe", "topic": "c" })).await;
    assert_eq!(raw.until("unsubscribed").await["code"], "too_many");
    fill(&server, "a", 1).await;
    raw.gets("a", 1).await;
}

#[tokio::test]
async fn a_line_said_in_a_room_is_there_for_who_comes_later() {
    let server = started(&[]).await;
    let mut alice = here(&server, 256).await;
    alice.ask(1, "chat.say", json!({ "text": "good morning" })).await;
    assert_eq!(alice.message(1).await["end"], true);
    let mut bob = here(&server, 256).await;
    assert_eq!(bob.subscribe("room/lobby", Some(0), None).await["head"], 1);
    assert_eq!(bob.gets("room/lobby", 1).await["text"], "good morning");
    bob.publish(1, "room/lobby", json!({ "from": "alice", "text": "I resign" })).await;
    assert_eq!(bob.until("nack").await["code"], "forbidden", "nobody speaks for another");
}

#[tokio::test]
async fn an_application_without_topics_says_so() {
    let server = served(Parts { application: Application::new(), ..parts() }).await;
    let (mut raw, ready) = Raw::ready(&server, &topical(hello_as("alice"), 256)).await;
    assert_eq!(ready["capabilities"], json!(["resume", "answers"]));
    raw.write(&json!({ "type": "subscribe", "topic": "t" })).await;
    let refused = raw.until("unsubscribed").await;
    assert_eq!((&refused["code"], &refused["retry"]), (&json!("unsupported"), &Value::Null));
}

#[tokio::test]
async fn bytes_come_live_and_in_a_replay_as_they_were_published() {
    let server = open(100).await;
    let mut live = binary(&server, 256).await;
    live.subscribe("t", None, None).await;
    let files = [&b""[..], b"null", b"\0\xff\xc3\x28", &[7; 70_000]];
    for (offset, bytes) in (1..).zip(files) {
        assert_eq!(put(&server, "t", bytes).await, offset);
        fill(&server, "u", 1).await;
    }
    let mut late = binary(&server, 256).await;
    late.subscribe("t", Some(0), None).await;
    for raw in [&mut live, &mut late] {
        for (offset, bytes) in (1..).zip(files) {
            let (frame, payload) = raw.envelope().await;
            assert_eq!((&frame["type"], &frame["offset"]), (&json!("publication"), &json!(offset)));
            assert_eq!((&frame["event"], frame.get("payload")), (&json!("file"), None));
            assert_eq!(payload, bytes);
        }
    }
}

#[tokio::test]
async fn who_lags_gets_bytes_from_the_log_in_the_same_order() {
    let server = open(5000).await;
    let mut slow = binary(&server, 2).await;
    slow.subscribe("t", None, None).await;
    for number in 1..=300u16 {
        put(&server, "t", &number.to_be_bytes().repeat(2000)).await;
    }
    for number in 1..=300u16 {
        let (frame, payload) = slow.envelope().await;
        assert_eq!(frame["offset"], number);
        assert_eq!(payload, number.to_be_bytes().repeat(2000));
        slow.has_taken("t", u64::from(number)).await;
    }
}

#[tokio::test]
async fn without_binary_a_subscription_ends_in_front_of_bytes() {
    let server = open(100).await;
    let mut live = here(&server, 256).await;
    live.subscribe("t", None, None).await;
    live.subscribe("u", None, None).await;
    fill(&server, "t", 1).await;
    put(&server, "t", b"2").await;
    fill(&server, "t", 1).await;
    let mut late = here(&server, 256).await;
    late.subscribe("t", Some(0), None).await;
    for raw in [&mut live, &mut late] {
        assert_eq!(raw.gets("t", 1).await, 1);
        let ended = raw.frame().await;
        assert_eq!(ended, json!({ "type": "unsubscribed", "topic": "t", "code": "binary_not_agreed" }));
    }
    late.subscribe("t", Some(2), None).await;
    late.gets("t", 3).await;
    fill(&server, "u", 1).await;
    live.gets("u", 1).await;
    assert!(server.hub().metrics.text().contains("readywire_subscriptions 2"), "what ended counts no more");
}

#[tokio::test]
async fn bytes_that_would_be_too_large_are_refused() {
    let config = ServerConfig { max_message_bytes: 1000, ..ServerConfig::default() };
    let server = served(Parts { application: Application::new().with_topics(Open(10)), config, ..parts() }).await;
    let whole = readywire_protocol::frame::envelope(
        r#"{"type":"publication","topic":"t","offset":18446744073709551615,"request":18446744073709551615,"event":"file"}"#,
        b"",
    );
    let most = 1000 - whole.len();
    put(&server, "t", &vec![1; most]).await;
    let large = server.hub().publish("t", "file", &Payload::from(vec![1; most + 1])).await;
    assert_eq!(large, Err(Undeliverable::TooLarge));
}

#[tokio::test]
async fn a_policy_that_panics_leaves_no_subscription_counted() {
    let server = open(10).await;
    let mut raw = here(&server, 256).await;
    raw.subscribe("t", Some(0), None).await;
    raw.write(&json!({ "type": "subscribe", "topic": "mistake" })).await;
    while let Some(Ok(_)) = futures::StreamExt::next(&mut raw.0).await {}
    assert!(server.hub().metrics.text().contains("readywire_subscriptions 0"), "nothing is followed any more");
}
