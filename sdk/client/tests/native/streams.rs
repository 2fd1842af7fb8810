//! Streams to one handler: each part once and in order, no faster than the handler reads.

use crate::server::{PATIENCE, TestServer, eager};
use futures::{FutureExt, StreamExt, poll};
use readywire::{AnswerError, Bytes, Client, ClientStream, SendError, connect};
use readywire_protocol::config::{ServerConfig, Window};
use std::pin::pin;
use tokio::time::timeout;

/// A server that takes four parts of a stream before its handler has read any.
async fn narrow() -> TestServer {
    let stream = Window { messages: 4, bytes: 1 << 20 };
    TestServer::with(ServerConfig { stream, ..ServerConfig::default() }).await
}

async fn write(stream: &mut ClientStream<u64>, parts: std::ops::Range<u64>) {
    for part in parts {
        stream.write(&part).await.unwrap();
    }
}

/// What the handler has gathered by the end.
fn gathered(server: &TestServer) -> Vec<u64> {
    server.record.all().iter().map(|part| part.parse().unwrap()).collect()
}

#[tokio::test]
async fn parts_come_in_order_and_the_answer_says_so() {
    let server = narrow().await;
    let client = connect(&server.url(), eager()).await.unwrap();
    server.permits.add_permits(1000);
    let mut stream = client.open_stream::<u64>("gather", &());
    write(&mut stream, 0..100).await;
    let mut answer = stream.end().await.unwrap();
    assert_eq!(answer.next().await.unwrap().unwrap().payload, 100);
    assert!(answer.next().await.is_none());
    assert_eq!(gathered(&server), (0..100).collect::<Vec<_>>());
    client.close().await;
}

#[tokio::test]
async fn whoever_writes_waits_for_the_handler_and_nobody_else_does() {
    let server = narrow().await;
    let client = connect(&server.url(), eager()).await.unwrap();
    let mut stream = client.open_stream::<u64>("gather", &());
    write(&mut stream, 0..4).await;
    {
        let mut fifth = pin!(stream.write(&4u64));
        for round in 0..3u64 {
            assert!(poll!(&mut fifth).is_pending());
            assert_eq!(client.request::<u64>("echo", &round).await.unwrap(), round, "others go on");
        }
        server.permits.add_permits(1);
        timeout(PATIENCE, fifth).await.unwrap().unwrap();
    }
    // A write that is left goes on by itself.
    assert!(stream.write(&5u64).now_or_never().is_none());
    server.permits.add_permits(1000);
    write(&mut stream, 6..10).await;
    let mut answer = stream.end().await.unwrap();
    assert_eq!(answer.next().await.unwrap().unwrap().payload, 10);
    assert_eq!(gathered(&server), (0..10).collect::<Vec<_>>());
    client.close().await;
}

#[tokio::test]
async fn a_handler_that_has_enough_ends_it() {
    let server = narrow().await;
    let client = connect(&server.url(), eager()).await.unwrap();
    server.permits.add_permits(1000);
    let (mut writer, mut answer) = client.open_stream::<u64>("gather", &()).split();
    writer.write(&0u64).await.unwrap();
    writer.write(&"enough").await.unwrap();
    assert_eq!(answer.next().await.unwrap().unwrap().payload, 1);
    assert!(answer.next().await.is_none());
    let error = writer.write(&2u64).await.unwrap_err();
    assert!(matches!(&error, SendError::Refused { code, retry: false, .. } if code == "stream_over"), "{error}");
    assert!(writer.end().await.is_err());
    client.close().await;
}

#[tokio::test]
async fn to_drop_it_breaks_it_off_and_never_ends_it() {
    let server = narrow().await;
    let client = connect(&server.url(), eager()).await.unwrap();
    server.permits.add_permits(1000);
    let (mut writer, mut answer) = client.open_stream::<u64>("gather", &()).split();
    writer.write(&0u64).await.unwrap();
    drop(writer);
    let end = timeout(PATIENCE, answer.next()).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(&end, AnswerError::Failed { code, .. } if code == "cancelled"), "{end}");
    drop(client.open_stream::<u64>("gather", &()));
    timeout(PATIENCE, async {
        while server.hub.running_work() > 0 {
            tokio::task::yield_now().await
        }
    })
    .await
    .unwrap();
    client.close().await;
}

#[tokio::test]
async fn a_part_that_is_too_large_breaks_it() {
    let config = ServerConfig { max_message_bytes: 10_000, ..ServerConfig::default() };
    let server = TestServer::with(config).await;
    let client = connect(&server.url(), eager()).await.unwrap();
    let (mut writer, mut answer) = client.open_stream::<u64>("gather", &()).split();
    // It has its place in the queue before anybody looks at its size.
    writer.write(&"x".repeat(20_000)).await.unwrap();
    server.permits.add_permits(1000);
    let end = timeout(PATIENCE, answer.next()).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(&end, AnswerError::Failed { code, .. } if code == "cancelled"), "{end}");
    assert!(writer.write(&0u64).await.is_err());
    client.close().await;
}

#[tokio::test]
async fn parts_of_bytes_are_bytes() {
    let server = narrow().await;
    let client = connect(&server.url(), eager()).await.unwrap();
    server.permits.add_permits(1000);
    let mut stream = client.open_stream::<u64>("gather", &());
    stream.write(Bytes::from(vec![0xff, 0])).await.unwrap();
    stream.end().await.unwrap().next().await.unwrap().unwrap();
    assert_eq!(server.record.all(), ["2 bytes"]);
    client.close().await;
}

#[tokio::test]
async fn a_payload_that_is_none_is_told_at_once() {
    let server = narrow().await;
    let client = connect(&server.url(), eager()).await.unwrap();
    let no_json = std::collections::BTreeMap::from([((1, 2), 3)]);
    let mut stream = client.open_stream::<u64>("gather", &no_json);
    assert!(stream.write(&1u64).await.is_err(), "it was never opened");
    assert!(matches!(stream.answer().next().await, Some(Err(AnswerError::Send(SendError::Misuse { .. })))));
    let mut stream = client.open_stream::<u64>("gather", &());
    assert!(matches!(stream.write(&no_json).await, Err(SendError::Misuse { .. })));
    client.close().await;
}

/// 600 parts through 20 cuts. Each comes once and in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_survives_twenty_cuts() {
    const PARTS: u64 = 600;
    const CUTS: u64 = 20;
    let server = narrow().await;
    let client = connect(&server.url(), eager()).await.unwrap();
    server.permits.add_permits(PARTS as usize + 1);
    let mut stream = client.open_stream::<u64>("gather", &());
    timeout(PATIENCE, async {
        for part in 0..PARTS {
            stream.write(&part).await.unwrap();
            if part % (PARTS / CUTS) == 7 {
                ready(&client).await;
                server.cut();
            }
        }
        let mut answer = stream.end().await.unwrap();
        assert_eq!(answer.next().await.unwrap().unwrap().payload, PARTS);
    })
    .await
    .unwrap();
    assert_eq!(gathered(&server), (0..PARTS).collect::<Vec<_>>());
    assert!(client.status().attempt > 1);
    client.close().await;
}

async fn ready(client: &Client) {
    let mut states = client.states();
    while !states.next().await.unwrap().state.is_ready() {}
}

#[tokio::test]
async fn a_lost_session_ends_it() {
    let server = narrow().await;
    let client = connect(&server.url(), eager()).await.unwrap();
    let (mut writer, mut answer) = client.open_stream::<u64>("gather", &()).split();
    writer.write(&0u64).await.unwrap();
    client.send("record", &1).await.unwrap();
    let log = &server.hub.parts.log;
    log.remove(log.list("").await.unwrap()).await.unwrap();
    server.cut();
    let end = timeout(PATIENCE, answer.next()).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(&end, AnswerError::Failed { code, .. } if code == "session_lost"), "{end}");
    assert!(writer.write(&1u64).await.is_err());
    client.close().await;
}
