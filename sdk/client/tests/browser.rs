//! The same SDK in a real browser, against the reference server that the runner started.
#![cfg(target_arch = "wasm32")]

use futures::{StreamExt, stream};
use gloo_net::http::Request;
use readywire::{Client, ConnectError, Options, State, connect};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use web_sys::RequestMode;

wasm_bindgen_test_configure!(run_in_browser);

#[derive(Deserialize)]
struct Server {
    url: String,
    http: String,
    token: String,
    other_token: String,
}

async fn server() -> Server {
    Request::get("/.browser-test/server.json").send().await.unwrap().json().await.unwrap()
}

impl Server {
    /// The test page may not read the answer of another origin; that the fault was switched shows in what follows.
    async fn fault(&self, fault: Value) {
        let request = Request::post(&format!("{}/faults", self.http)).mode(RequestMode::NoCors);
        let _ = request.body(fault.to_string()).unwrap().send().await;
    }
}

fn eager(token: &str) -> Options {
    let (short, cap) = (Duration::from_millis(10), Duration::from_millis(50));
    Options::new().bearer(token).backoff(short, short, cap).queue(2000, 1 << 20, Duration::from_secs(60))
}

/// Waits until the client is ready, and tells on which attempt.
async fn ready(client: &Client) -> u64 {
    let mut states = client.states();
    loop {
        let change = states.next().await.unwrap();
        if change.state.is_ready() {
            return change.attempt;
        }
    }
}

#[wasm_bindgen_test]
async fn it_resolves_at_ready_echoes_and_closes() {
    let server = server().await;
    let client = connect(&server.url, eager(&server.token)).await.unwrap();
    assert_eq!(client.state(), State::ProcessingReady);
    let payload = json!({ "text": "ünï \"quoted\" 🦀", "list": [1, 2.5, null] });
    let echoed: Value = client.request("echo", &payload).await.unwrap();
    assert_eq!(echoed, payload);
    client.close().await;
    assert_eq!(client.state(), State::Closed);
}

#[wasm_bindgen_test]
async fn a_stream_comes_to_its_end() {
    let server = server().await;
    let client = connect(&server.url, eager(&server.token)).await.unwrap();
    let prompt = json!({ "prompt": "When is a connection ready?", "pace_ms": 0 });
    let steps: Vec<String> =
        client.stream::<Value>("agent.run", &prompt).map(|part| part.unwrap().event).collect().await;
    assert_eq!(steps.first().unwrap(), "agent_started");
    assert_eq!(steps.last().unwrap(), "agent_completed");
    client.close().await;
}

#[wasm_bindgen_test]
async fn what_the_browser_hides_is_told_by_bye() {
    let server = server().await;
    let error = connect(&server.url, eager("not.a.token")).await.unwrap_err();
    let ConnectError::Closed(end) = &error else { panic!("{error:?}") };
    assert_eq!(end.code, 4104);
    assert_eq!(error.stage(), State::Accepted);
}

#[wasm_bindgen_test]
async fn a_server_of_another_protocol_is_unconfirmed() {
    let server = server().await;
    let plain = format!("{}/plain", server.http.replacen("http", "ws", 1));
    let options = eager(&server.token).ready_timeout(Duration::from_secs(2));
    let error = connect(&plain, options).await.unwrap_err();
    assert_eq!(error.stage(), State::Connecting);
}

#[wasm_bindgen_test]
async fn messages_survive_cuts() {
    let server = server().await;
    let client = connect(&server.url, eager(&server.other_token)).await.unwrap();
    let mut messages = client.messages();
    let sending = async {
        let sends =
            stream::iter(0..200).map(|number| client.send("chat.message", &json!({ "text": number.to_string() })));
        sends.buffered(8).for_each(|outcome| async move { assert!(outcome.is_ok(), "{outcome:?}") }).await;
    };
    let cutting = async {
        for cut in 1..=5 {
            assert!(ready(&client).await >= cut);
            server.fault(json!({ "cut": true, "subject": "other" })).await;
            let mut states = client.states();
            while states.next().await.unwrap().attempt <= cut {}
        }
    };
    let reading = async {
        for number in 0..200 {
            let message = messages.next().await.unwrap().unwrap();
            assert_eq!(message.payload::<Value>().unwrap()["text"], number.to_string());
            assert_eq!(message.offset, number + 1);
        }
    };
    futures::join!(sending, cutting, reading);
    assert!(client.status().attempt >= 6);
    client.close().await;
}

/// The page's origin is not the server's: a ticket is asked for across origins.
#[cfg(feature = "tickets")]
#[wasm_bindgen_test]
async fn a_ticket_connects_and_a_bad_token_gets_none() {
    let server = server().await;
    let tickets = format!("{}/tickets", server.http);
    let failure = readywire::ticket(&tickets, "not.a.token").await.unwrap_err();
    assert!(failure.message.contains("401") && !failure.fatal, "{failure:?}");
    let token = server.token.clone();
    let options = Options::new().credential(move |_| {
        let (tickets, token) = (tickets.clone(), token.clone());
        async move { readywire::ticket(&tickets, &token).await }
    });
    let client = connect(&server.url, options).await.unwrap();
    assert_eq!(client.request::<u64>("echo", &7).await.unwrap(), 7);
    client.close().await;
}
