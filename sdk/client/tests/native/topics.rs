//! Topics through the Rust API, against the reference server.

use crate::server::{PATIENCE, TestServer, eager};
use futures::StreamExt;
use readywire::{Bytes, Payload, Position, SendError, Subscription, SubscriptionError, TopicEvent, connect};
use readywire_protocol::json::Payload as CorePayload;
use readywire_server::application::Room;
use tokio::time::timeout;

async fn publish(server: &TestServer, topic: &str, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        let payload = CorePayload::parse(&number.to_string()).unwrap();
        server.hub.publish(topic, "number", &payload).await.unwrap();
    }
}

async fn next(topic: &mut Subscription) -> TopicEvent {
    timeout(PATIENCE, topic.next()).await.expect("in time").expect("not over").expect("no error")
}

/// The next publication, and whether everything before it was there.
async fn number(topic: &mut Subscription) -> (u64, bool) {
    let mut complete = true;
    loop {
        match next(topic).await {
            TopicEvent::Subscribed { recovered, .. } => complete &= recovered,
            TopicEvent::Publication(publication) => {
                assert_eq!(publication.event, "number");
                return (publication.payload().unwrap(), complete);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_topic_is_followed_across_reconnects_without_a_gap() {
    let server = TestServer::start().await;
    let client = connect(&server.url(), eager()).await.unwrap();
    let mut topic = client.subscribe("room/a");
    let TopicEvent::Subscribed { recovered: true, .. } = next(&mut topic).await else { panic!("subscribed first") };
    for cut in 0..5 {
        publish(&server, "room/a", cut * 10 + 1..=cut * 10 + 5).await;
        server.cut();
        publish(&server, "room/a", cut * 10 + 6..=cut * 10 + 10).await;
        for expected in cut * 10 + 1..=cut * 10 + 10 {
            assert_eq!(number(&mut topic).await, (expected, true));
        }
    }
    topic.unsubscribe();
    assert_eq!(timeout(PATIENCE, topic.next()).await.unwrap(), None);
    let mut again = client.subscribe_from("room/a", Position { offset: 0, epoch: None });
    assert_eq!(number(&mut again).await, (1, true), "everything is still there");
    client.close().await;
}

#[tokio::test]
async fn what_is_gone_is_told() {
    let server = TestServer::start().await;
    let client = connect(&server.url(), eager()).await.unwrap();
    publish(&server, "room/a", 1..=20).await;
    server.hub.parts.log.trim("topic/room/a", 15).await.unwrap();
    let mut topic = client.subscribe_from("room/a", Position { offset: 0, epoch: None });
    assert_eq!(number(&mut topic).await, (16, false));
    client.close().await;
}

#[tokio::test]
async fn who_may_not_is_told_why_and_told_once() {
    let server = TestServer::start().await;
    let client = connect(&server.url(), eager()).await.unwrap();
    for (topic, code) in [("secrets", "forbidden"), ("", "invalid_topic")] {
        let mut refused = client.subscribe(topic);
        let error = timeout(PATIENCE, refused.next()).await.unwrap().unwrap().unwrap_err();
        assert_eq!(error, SubscriptionError::Ended { code: code.to_owned(), retry: false });
        assert!(refused.next().await.is_none());
    }
    let _first = client.subscribe("room/a");
    let twice = client.subscribe("room/a").next().await.unwrap().unwrap_err();
    assert!(matches!(twice, SubscriptionError::Ended { code, .. } if code == "already_subscribed"));
    let error = client.publish("room/a", "number", &1).await.unwrap_err();
    assert!(matches!(error, SendError::Refused { code, .. } if code == "forbidden"));
    client.close().await;
}

#[tokio::test]
async fn who_does_not_read_loses_that_topic_alone() {
    let server = TestServer::start().await;
    let client = connect(&server.url(), eager()).await.unwrap();
    let slow = client.subscribe("room/slow");
    let mut quick = client.subscribe("room/quick");
    // Both stand: what is said in the second is said after all that was asked before.
    next(&mut quick).await;
    for _ in 0..12 {
        publish(&server, "room/slow", 1..=150).await;
        publish(&server, "room/quick", 1..=1).await;
        assert_eq!(number(&mut quick).await, (1, true));
    }
    let read: Vec<_> = timeout(PATIENCE, slow.collect()).await.unwrap();
    assert_eq!(read.last(), Some(&Err(SubscriptionError::SlowConsumer)));
    assert!(read.len() > 1000, "what it had is not taken away: {}", read.len());
    publish(&server, "room/quick", 2..=2).await;
    assert_eq!(number(&mut quick).await, (2, true));
    client.close().await;
}

#[tokio::test]
async fn dropping_it_unsubscribes_and_to_come_back_at_once_works() {
    let server = TestServer::start().await;
    let client = connect(&server.url(), eager()).await.unwrap();
    for _ in 0..3 {
        let mut topic = client.subscribe("room/a");
        next(&mut topic).await;
    }
    let mut topic = client.subscribe("room/a");
    next(&mut topic).await;
    publish(&server, "room/a", 1..=1).await;
    assert_eq!(number(&mut topic).await, (1, true));
    client.close().await;
}

#[tokio::test]
async fn bytes_are_published_and_followed_across_cuts() {
    let server = TestServer::start().await;
    let (client, other) =
        (connect(&server.url(), eager()).await.unwrap(), connect(&server.url(), eager()).await.unwrap());
    let mut topics = [client.subscribe("board/files"), other.subscribe("board/files")];
    for topic in &mut topics {
        next(topic).await;
    }
    for round in 0..40u8 {
        let sent = Bytes::from(vec![round; usize::from(round) * 50]);
        let sending = client.publish("board/files", "file", sent.clone());
        if round % 10 == 5 {
            server.cut();
        }
        sending.await.unwrap();
        client.publish("board/files", "name", &round).await.unwrap();
        for topic in &mut topics {
            let mut came: Vec<Payload> = Vec::new();
            while came.len() < 2 {
                match next(topic).await {
                    TopicEvent::Subscribed { recovered, .. } => assert!(recovered),
                    TopicEvent::Publication(publication) => came.push(publication.payload::<Payload>().unwrap()),
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(came, [Payload::Bytes(sent.clone()), Payload::Json(round.to_string())], "once, in order");
        }
    }
    client.close().await;
    other.close().await;
}
