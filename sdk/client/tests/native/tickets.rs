//! One-time tickets, over HTTP.

use crate::server::{PATIENCE, TestServer, eager, token};
use futures::StreamExt;
use readywire::{State, connect};
use serde_json::{Value, json};
use tokio::time::timeout;

#[tokio::test]
async fn tickets_connect_again_and_again() {
    let server = TestServer::start().await;
    let url = format!("http://{}/tickets", server.address);
    let options = eager().credential(move |_| {
        let url = url.clone();
        async move { readywire::ticket(&url, &token("alice")).await }
    });
    let client = connect(&server.url(), options).await.unwrap();
    for attempt in 2..4 {
        server.cut();
        let mut states = client.states();
        while !matches!(timeout(PATIENCE, states.next()).await.unwrap(), Some(change) if change.attempt == attempt && change.state.is_ready())
        {
        }
        let echoed: Value = client.request("echo", &json!(attempt)).await.unwrap();
        assert_eq!(echoed, attempt);
    }
    client.close().await;
    assert_eq!(client.state(), State::Closed);
}

#[tokio::test]
async fn no_ticket_is_a_failure_that_says_why() {
    let server = TestServer::start().await;
    let url = format!("http://{}/tickets", server.address);
    let failure = readywire::ticket(&url, "nonsense").await.unwrap_err();
    assert_eq!(failure.message, format!("no ticket from {url}: 401 the token is not a JSON Web Token"));
    assert!(!failure.fatal, "another token may help");
    let elsewhere = format!("http://{}/healthz", server.address);
    assert!(readywire::ticket(&elsewhere, "t").await.unwrap_err().message.contains("405"));
    assert!(readywire::ticket("http://127.0.0.1:1/tickets", "t").await.is_err());
}
