//! Answers, one message or many.

use crate::server::{PATIENCE, TestServer, eager};
use futures::StreamExt;
use readywire::{AnswerError, SendError, connect};
use serde::Deserialize;
use tokio::time::timeout;

#[derive(Debug, Deserialize, PartialEq)]
struct Pair {
    left: String,
    right: Option<f64>,
}

#[tokio::test]
async fn a_request_resolves_with_its_answer() {
    let server = TestServer::start().await;
    let client = connect(&server.url(), eager()).await.unwrap();
    let payload = serde_json::json!({ "left": "ünï \"quoted\" 🦀", "right": 2.5 });
    let pair: Pair = client.request("echo", &payload).await.unwrap();
    assert_eq!(pair, Pair { left: "ünï \"quoted\" 🦀".to_owned(), right: Some(2.5) });
    let error = client.request::<Pair>("echo", &17).await.unwrap_err();
    assert!(matches!(error, AnswerError::Payload { .. }), "{error:?}");
    client.close().await;
}

#[tokio::test]
async fn a_stream_comes_in_order_and_ends() {
    let server = TestServer::start().await;
    let client = connect(&server.url(), eager()).await.unwrap();
    let parts: Vec<u64> = client.stream::<u64>("count", &50).map(|part| part.unwrap().payload).collect().await;
    assert_eq!(parts, (0..50).collect::<Vec<_>>());
    client.close().await;
}

#[tokio::test]
async fn an_agent_streams_its_steps() {
    let server = TestServer::start().await;
    let client = connect(&server.url(), eager()).await.unwrap();
    let prompt = serde_json::json!({ "prompt": "When is a connection ready?", "pace_ms": 0 });
    let steps: Vec<String> =
        client.stream::<serde_json::Value>("agent.run", &prompt).map(|part| part.unwrap().event).collect().await;
    assert_eq!(steps.first().unwrap(), "agent_started");
    assert_eq!(steps.last().unwrap(), "agent_completed");
    client.close().await;
}

#[tokio::test]
async fn cancelling_and_dropping_stop_the_work() {
    let server = TestServer::start().await;
    let client = connect(&server.url(), eager()).await.unwrap();
    let mut answer = client.stream::<u64>("count", &1_000_000);
    assert_eq!(answer.next().await.unwrap().unwrap().payload, 0);
    answer.cancel();
    let last = timeout(PATIENCE, async {
        loop {
            match answer.next().await {
                Some(Ok(_)) => {}
                other => return other,
            }
        }
    })
    .await
    .unwrap();
    assert!(matches!(&last, Some(Err(AnswerError::Failed { code, .. })) if code == "cancelled"), "{last:?}");
    assert!(answer.next().await.is_none());

    let mut dropped = client.stream::<u64>("count", &1_000_000);
    dropped.next().await.unwrap().unwrap();
    drop(dropped);
    timeout(PATIENCE, async {
        while server.hub.running_work() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    client.close().await;
}

#[tokio::test]
async fn a_refused_send_fails_its_answer() {
    let server = TestServer::start().await;
    let client = connect(&server.url(), eager()).await.unwrap();
    let error = client.request::<u64>("no.such.event", &1).await.unwrap_err();
    assert!(matches!(error, AnswerError::Send(SendError::Refused { .. })), "{error:?}");
    let error = client.request::<u64>("count", &"not a number").await.unwrap_err();
    assert!(matches!(&error, AnswerError::Failed { code, .. } if code == "bad_payload"), "{error:?}");
    client.close().await;
}

#[tokio::test]
async fn a_reader_that_does_not_read_fails_alone() {
    let server = TestServer::start().await;
    let client = connect(&server.url(), eager()).await.unwrap();
    let mut slow = client.stream::<u64>("count", &5_000);
    timeout(PATIENCE, async {
        while server.hub.running_work() > 0 || server.record.all().is_empty() {
            client.send("record", &1).await.unwrap();
        }
    })
    .await
    .unwrap();
    let mut read = 0;
    let last = loop {
        match slow.next().await {
            Some(Ok(part)) => {
                assert_eq!(part.payload, read);
                read += 1;
            }
            other => break other,
        }
    };
    assert!(matches!(last, Some(Err(AnswerError::SlowConsumer))), "{last:?}");
    assert!((1000..5000).contains(&read), "{read}");
    client.close().await;
}
