//! Payloads of bytes, over a real server.

use crate::server::{TestServer, eager};
use futures::StreamExt;
use readywire::{AnswerError, Bytes, Payload, connect};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_come_back_as_they_were() {
    let server = TestServer::start().await;
    let client = connect(&server.url(), eager()).await.unwrap();
    for bytes in [&b""[..], b"\0\xff", b"null", &[7; 70_000]] {
        let back: Bytes = client.request("echo", Bytes::from(bytes)).await.unwrap();
        assert_eq!(&back[..], bytes);
    }
    client.send("echo", Bytes::from(&b"1"[..])).await.unwrap();
    client.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_and_json_are_told_apart() {
    let server = TestServer::start().await;
    let client = connect(&server.url(), eager()).await.unwrap();
    let bytes = Bytes::from(&b"1"[..]);
    let unfit = client.request::<Value>("echo", bytes.clone()).await;
    assert!(matches!(&unfit, Err(AnswerError::Payload { message }) if message.contains("1 bytes")), "{unfit:?}");
    let unfit = client.request::<Bytes>("echo", &1).await;
    assert!(matches!(unfit, Err(AnswerError::Payload { .. })), "{unfit:?}");
    let mut either = client.stream::<Payload>("echo", bytes.clone());
    assert_eq!(either.next().await.unwrap().unwrap().payload, Payload::Bytes(bytes.clone()));
    let either: Payload = client.request("echo", &json!({"a": 1.50})).await.unwrap();
    assert_eq!(either, Payload::Json(r#"{"a":1.5}"#.to_owned()));
    // A handler that wants JSON says so of bytes.
    let failed = client.request::<Value>("count", bytes).await;
    assert!(matches!(&failed, Err(AnswerError::Failed { code, .. }) if code == "bad_payload"), "{failed:?}");
    client.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_survive_cuts() {
    let server = TestServer::start().await;
    let client = connect(&server.url(), eager()).await.unwrap();
    for round in 0..60u8 {
        let sent = vec![round; usize::from(round) * 100];
        let answer = client.stream::<Bytes>("echo", Bytes::from(sent.clone()));
        if round % 10 == 5 {
            server.cut();
        }
        let back: Vec<Vec<u8>> = answer.map(|part| part.unwrap().payload.to_vec()).collect().await;
        assert_eq!(back, [sent], "once, and whole");
    }
    client.close().await;
}
