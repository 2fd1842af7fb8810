//! What topics have had, through the Rust API, against the reference server.

use crate::server::{PATIENCE, TestServer, eager};
use futures::StreamExt;
use readywire::{HistoryError, Page, Position, TopicEvent, connect};
use readywire_protocol::json::Payload as CorePayload;
use readywire_server::application::Room;
use tokio::time::timeout;

async fn publish(server: &TestServer, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        let payload = CorePayload::parse(&number.to_string()).unwrap();
        server.hub.publish("room/a", "number", &payload).await.unwrap();
    }
}

fn numbers(page: &Page) -> Vec<u64> {
    page.publications.iter().map(|publication| publication.payload().unwrap()).collect()
}

#[tokio::test]
async fn the_latest_come_first_and_older_pages_behind_them() {
    let server = TestServer::start().await;
    publish(&server, 1..=50).await;
    let client = connect(&server.url(), eager()).await.unwrap();
    let mut topic = client.subscribe_last("room/a", 10);
    let Some(Ok(TopicEvent::Subscribed { offset: 40, recovered: true, epoch, .. })) = topic.next().await else {
        panic!("the last ten")
    };
    let Some(Ok(TopicEvent::Publication(first))) = topic.next().await else { panic!("a publication") };
    assert_eq!(first.payload::<u64>().unwrap(), 41);
    let position = Position { offset: first.offset, epoch: Some(epoch) };
    let mut page = client.history_before("room/a", 15, position).await.unwrap();
    let mut read = numbers(&page);
    while let Some(older) = page.older() {
        page = timeout(PATIENCE, older).await.expect("in time").unwrap();
        let mut numbers = numbers(&page);
        numbers.append(&mut read);
        read = numbers;
    }
    assert_eq!(read, (1..=40).collect::<Vec<_>>(), "each once, in order");
    assert_eq!((page.head, page.more), (50, false));
    client.close().await;
}

#[tokio::test]
async fn pages_come_whole_and_once_across_cuts() {
    let server = TestServer::start().await;
    publish(&server, 1..=150).await;
    let client = connect(&server.url(), eager()).await.unwrap();
    for _ in 0..20 {
        let pages = [client.history("room/a", 100), client.history("room/a", 3)];
        server.cut();
        let [large, small] = pages.map(|page| timeout(PATIENCE, page));
        assert_eq!(numbers(&large.await.expect("in time").unwrap()), (51..=150).collect::<Vec<_>>());
        assert_eq!(numbers(&small.await.expect("in time").unwrap()), [148, 149, 150]);
    }
    client.close().await;
}

#[tokio::test]
async fn a_refusal_is_an_error_with_a_code() {
    let server = TestServer::start().await;
    let client = connect(&server.url(), eager()).await.unwrap();
    let refused = |code: &str| HistoryError::Refused { code: code.to_owned(), retry: false };
    assert_eq!(client.history("secrets", 5).await.unwrap_err(), refused("forbidden"));
    assert_eq!(client.history("room/a", 0).await.unwrap_err(), refused("invalid_limit"));
    assert_eq!(client.history("", 5).await.unwrap_err(), refused("invalid_topic"));
    client.close().await;
    assert_eq!(client.history("room/a", 5).await.unwrap_err(), refused("closed"));
}

#[tokio::test]
async fn pages_that_are_given_up_hold_up_no_others() {
    let server = TestServer::start().await;
    publish(&server, 1..=5).await;
    let client = connect(&server.url(), eager()).await.unwrap();
    for _ in 0..100 {
        drop(client.history("room/a", 5));
        tokio::task::yield_now().await;
    }
    let page = loop {
        match timeout(PATIENCE, client.history("room/a", 5)).await.expect("in time") {
            Ok(page) => break page,
            // They are open until the server has answered.
            Err(HistoryError::Refused { retry, .. }) => assert!(retry),
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(numbers(&page), [1, 2, 3, 4, 5]);
    client.close().await;
}
