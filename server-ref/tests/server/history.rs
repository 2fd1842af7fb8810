//! What topics have had: pages are read out of the log, one after the other, and whoever does not read holds up nobody.

use crate::peer::{Raw, hello_as, parts, served};
use readywire_protocol::config::Window;
use readywire_protocol::json::Payload;
use readywire_server::application::{Application, Rejection, Room};
use readywire_server::hub::Parts;
use readywire_server::log::Retention;
use readywire_server::server::Running;
use readywire_server::topics::{TopicPolicy, forbidden};
use serde_json::{Value, json};
use std::time::Duration;

/// Everybody may read everything but `secret`; so much is kept.
struct Open(u64);

impl TopicPolicy for Open {
    fn may_subscribe(&self, _: &str, topic: &str) -> Result<(), Rejection> {
        if topic == "secret" { Err(forbidden()) } else { Ok(()) }
    }

    fn retention(&self, _: &str) -> Retention {
        Retention { window: Window { messages: self.0, bytes: 1 << 30 }, age: Duration::from_secs(600) }
    }
}

async fn open(kept: u64) -> Running {
    served(Parts { application: Application::new().with_topics(Open(kept)), ..parts() }).await
}

async fn here(server: &Running, bytes: u64) -> Raw {
    let mut hello = hello_as("alice");
    hello["capabilities"] = json!(["topics"]);
    hello["window"] = json!({ "messages": 1, "bytes": bytes });
    Raw::ready(server, &hello).await.0
}

async fn publish(server: &Running, payload: &Value, count: u64) {
    let payload = Payload::parse(&payload.to_string()).unwrap();
    for _ in 0..count {
        server.hub().publish("t", "e", &payload).await.unwrap();
    }
}

impl Raw {
    async fn asks(&mut self, request: u64, limit: u64, before: Option<u64>) {
        let asked = json!({ "type": "history", "request": request, "topic": "t", "limit": limit, "before": before });
        self.write(&asked).await;
    }

    /// The offsets of a page, and the end of it.
    async fn page(&mut self, request: u64) -> (Vec<u64>, Value) {
        let mut offsets = Vec::new();
        loop {
            let frame = self.frame().await;
            assert_eq!(frame["request"], request, "{frame}");
            if frame["type"] == "page" {
                return (offsets, frame);
            }
            offsets.push(frame["offset"].as_u64().unwrap());
        }
    }
}

#[tokio::test]
async fn a_page_is_read_in_parts_where_its_records_are_large() {
    let server = open(1000).await;
    // A chunk has 256 KiB, and a page a MiB.
    publish(&server, &json!("x".repeat(100 << 10)), 30).await;
    let mut raw = here(&server, 1 << 20).await;
    raw.asks(1, 256, None).await;
    let (offsets, end) = raw.page(1).await;
    assert_eq!(offsets, (21..=30).collect::<Vec<_>>());
    assert_eq!((&end["more"], &end["head"]), (&json!(true), &json!(30)));
    raw.asks(2, 256, Some(4)).await;
    let (offsets, end) = raw.page(2).await;
    assert_eq!((offsets, &end["more"]), (vec![1, 2, 3], &Value::Null));
}

#[tokio::test]
async fn what_is_trimmed_is_not_there() {
    let server = open(3).await;
    publish(&server, &json!(1), 10).await;
    let mut raw = here(&server, 1 << 20).await;
    for (request, limit, before, expected, more) in [
        (1, 2, None, vec![9, 10], true),
        (2, 2, Some(9), vec![8], false),
        (3, 2, Some(8), vec![], false),
        (4, 256, Some(0), vec![], false),
    ] {
        raw.asks(request, limit, before).await;
        let (offsets, end) = raw.page(request).await;
        assert_eq!((offsets, end["more"] == true, &end["head"]), (expected, more, &json!(10)), "below {before:?}");
    }
}

#[tokio::test]
async fn who_reads_no_page_costs_one_and_is_served_when_it_does() {
    let server = open(1000).await;
    publish(&server, &json!("x".repeat(500 << 10)), 3).await;
    let mut raw = here(&server, 2 << 20).await;
    // Sixteen times more than the server lets wait for a client.
    for request in 1..=16 {
        raw.asks(request, 3, None).await;
    }
    let mut other = here(&server, 2 << 20).await;
    other.asks(1, 1, None).await;
    assert_eq!(other.page(1).await.0, [3]);
    for request in 1..=16 {
        assert_eq!(raw.page(request).await.0, [1, 2, 3]);
    }
    raw.asks(17, 1, None).await;
    assert_eq!(raw.page(17).await.0, [3]);
}

#[tokio::test]
async fn many_more_requests_than_may_be_open_each_have_one_answer() {
    let server = open(1000).await;
    publish(&server, &json!(1), 3).await;
    let mut raw = here(&server, 1 << 20).await;
    for request in 1..=200 {
        raw.asks(request, 256, None).await;
    }
    let mut answered = Vec::new();
    while answered.len() < 200 {
        let frame = raw.frame().await;
        if frame["type"] == "page" {
            assert!(frame["code"].is_null() || frame["code"] == "too_many", "{frame}");
            answered.push(frame["request"].as_u64().unwrap());
        }
    }
    answered.sort_unstable();
    assert_eq!(answered, (1..=200).collect::<Vec<_>>());
}

#[tokio::test]
async fn who_may_not_follow_may_not_read() {
    let server = open(10).await;
    let mut raw = here(&server, 1 << 20).await;
    raw.write(&json!({ "type": "history", "request": 1, "topic": "secret", "limit": 1 })).await;
    assert_eq!(raw.frame().await, json!({ "type": "page", "request": 1, "head": 0, "code": "forbidden" }));
}
