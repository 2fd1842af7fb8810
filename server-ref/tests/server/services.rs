//! Services: waited for by name, and missed by name.

use crate::peer::{Raw, hello_as, parts, served, started, switch, wired};
use crate::web;
use futures::FutureExt;
use futures::future::BoxFuture;
use readywire_protocol::config::ServerConfig;
use readywire_server::faults::Faults;
use readywire_server::hub::Parts;
use readywire_server::service::{DelayService, Scope, Service};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

#[tokio::test]
async fn pending_services_are_named_while_they_start() {
    let server = started(&["--service", "search=1h", "--service", "model=1h", "--faults"]).await;
    let mut raw = Raw::greet(&server, &hello_as("alice")).await;
    let steps = [
        ("ACCEPTED", json!(null), json!({ "lose_acks": 0 })),
        ("AUTHENTICATED", json!(null), json!({ "lose_acks": 0 })),
        ("AUTHENTICATED", json!(["model", "search"]), json!({ "service_delay_ms": { "model": 0 } })),
        ("AUTHENTICATED", json!(["search"]), json!({ "service_delay_ms": { "search": 0 } })),
        ("SERVICES_READY", json!(null), json!({ "lose_acks": 0 })),
    ];
    for (stage, pending, next) in steps {
        let frame = raw.frame().await;
        assert_eq!((&frame["stage"], &frame["pending"]), (&json!(stage), &pending));
        assert_eq!(frame["deadline_ms"].is_u64(), !pending.is_null(), "{frame}");
        switch(&server, next);
    }
    assert_eq!(raw.frame().await["type"], "ready");
}

#[tokio::test]
async fn the_next_attempt_joins_the_start_that_the_last_one_left_behind() {
    let storage = Arc::new(Gated::new(Scope::Connection));
    let server = served(Parts { services: wired(vec![storage.clone()]), ..parts() }).await;
    let mut raw = Raw::greet(&server, &hello_as("alice")).await;
    while raw.until("stage").await["pending"] != json!(["storage"]) {}
    switch(&server, json!({ "cut": true }));
    raw.cut().await;
    let mut again = Raw::greet(&server, &hello_as("alice")).await;
    while again.until("stage").await["pending"] != json!(["storage"]) {}
    storage.gate.notify_one();
    again.until("ready").await;
    assert_eq!(storage.starts.load(Ordering::SeqCst), 1);
    // It served one connection; the next one starts its own.
    storage.gate.notify_one();
    Raw::ready(&server, &hello_as("alice")).await;
    assert_eq!(storage.starts.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_slow_service_ends_with_where_it_hung() {
    let server = started(&["--service", "search=1h", "--deadline", "1s"]).await;
    let ended = Raw::greet(&server, &hello_as("alice")).await.ended().await;
    assert_eq!(ended.code, 4201);
    assert!(ended.reason.contains("at AUTHENTICATED, pending: search"), "{}", ended.reason);
}

#[tokio::test]
async fn a_slow_start_ends_with_the_time_of_its_connection() {
    let faults = Arc::new(Faults::default());
    let search = DelayService::new("search", Duration::from_secs(3600), &faults).wired();
    let config = ServerConfig { ready_timeout: Duration::from_secs(1), ..ServerConfig::default() };
    let server = served(Parts { config, faults, services: wired(vec![search]), ..parts() }).await;
    let ended = Raw::greet(&server, &hello_as("alice")).await.ended().await;
    assert_eq!(ended.code, 4201);
    assert!(ended.reason.contains("at AUTHENTICATED, pending: search"), "{}", ended.reason);
}

#[tokio::test]
async fn a_failing_service_is_named_and_works_again() {
    let server = started(&["--faults"]).await;
    switch(&server, json!({ "service_fail": ["search"] }));
    let ended = Raw::greet(&server, &hello_as("alice")).await.ended().await;
    assert_eq!(ended.code, 4202);
    assert_eq!(ended.reason, "service `search` failed to start: switched to fail");
    switch(&server, json!({ "reset": true }));
    let (mut raw, _) = Raw::ready(&server, &hello_as("alice")).await;
    raw.echoes(1).await;
}

#[tokio::test]
async fn one_that_goes_bad_degrades_its_connections_and_back() {
    let server = started(&["--faults"]).await;
    let (mut raw, _) = Raw::ready(&server, &hello_as("alice")).await;
    switch(&server, json!({ "impair": ["search"] }));
    let degraded = raw.until("stage").await;
    assert_eq!((&degraded["stage"], &degraded["impaired"]), (&json!("DEGRADED"), &json!(["search"])));
    assert_eq!(degraded["reason"], "impaired: search");

    raw.ask(1, "agent.run", json!({ "prompt": "wait" })).await;
    let nack = raw.until("nack").await;
    assert_eq!((&nack["id"], &nack["code"]), (&json!(1), &json!("service_impaired")));
    assert_eq!((&nack["service"], &nack["retry"]), (&json!("search"), &json!(true)));
    raw.echoes(2).await;

    let (_, late) = Raw::ready(&server, &hello_as("bob")).await;
    assert_eq!(late["impaired"], json!(["search"]));

    switch(&server, json!({ "reset": true }));
    let well = raw.until("stage").await;
    assert_eq!((&well["stage"], well["impaired"].is_null()), (&json!("PROCESSING_READY"), true));
    raw.ask(3, "agent.run", json!({ "prompt": "go", "pace_ms": 0 })).await;
    assert_eq!(raw.until("message").await["event"], "agent_started");
}

/// A service that starts when it is let, and counts.
struct Gated {
    scope: Scope,
    gate: Notify,
    starts: AtomicUsize,
}

impl Gated {
    fn new(scope: Scope) -> Self {
        Self { scope, gate: Notify::new(), starts: AtomicUsize::new(0) }
    }
}

impl Service for Gated {
    fn name(&self) -> &str {
        "storage"
    }

    fn scope(&self) -> Scope {
        self.scope
    }

    fn start<'a>(&'a self, _: Option<&'a str>) -> BoxFuture<'a, Result<(), String>> {
        self.starts.fetch_add(1, Ordering::SeqCst);
        self.gate.notified().map(Ok).boxed()
    }
}

#[tokio::test]
async fn services_of_the_process_are_waited_for_and_started_once() {
    let storage = Arc::new(Gated::new(Scope::Process));
    let server = served(Parts { services: wired(vec![storage.clone()]), ..parts() }).await;
    let mut alice = Raw::greet(&server, &hello_as("alice")).await;
    let mut bob = Raw::greet(&server, &hello_as("bob")).await;
    for raw in [&mut alice, &mut bob] {
        while raw.until("stage").await["pending"] != json!(["storage"]) {}
    }
    let starting = web::get(server.address(), "/readyz").await;
    assert_eq!((starting.status, starting.body.as_str()), (503, "starting: storage\n"));
    storage.gate.notify_one();
    alice.until("ready").await;
    bob.until("ready").await;
    Raw::ready(&server, &hello_as("carol")).await;
    assert_eq!(storage.starts.load(Ordering::SeqCst), 1);
}
