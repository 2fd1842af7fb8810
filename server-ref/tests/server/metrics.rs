//! What `/metrics` tells.

use crate::peer::{Raw, hello_as, resuming, started, switch};
use crate::web;
use readywire_server::server::Running;
use serde_json::json;

/// Every one of these lines stands in the metrics; each was looked for after what it counts was seen.
async fn told(server: &Running, lines: &[&str]) {
    let response = web::get(server.address(), "/metrics").await;
    assert_eq!(response.status, 200);
    assert!(response.head.contains("openmetrics-text"), "{}", response.head);
    for line in lines {
        assert!(response.body.lines().any(|found| found == *line), "{line} in\n{}", response.body);
    }
}

#[tokio::test]
async fn connections_are_counted_by_stage_and_end() {
    let server = started(&["--faults"]).await;
    let (mut raw, _) = Raw::ready(&server, &hello_as("alice")).await;
    let mut waiting = Raw::dial(&server, "readywire.v1").await;
    waiting.until("stage").await;
    switch(&server, json!({ "impair": ["search"] }));
    raw.until("stage").await;
    told(
        &server,
        &[
            "readywire_connections{stage=\"ACCEPTED\"} 1",
            "readywire_connections{stage=\"DEGRADED\"} 1",
            "readywire_connections{stage=\"PROCESSING_READY\"} 0",
            "readywire_transitions_total{from=\"SERVICES_READY\",to=\"PROCESSING_READY\"} 1",
            "readywire_transitions_total{from=\"PROCESSING_READY\",to=\"DEGRADED\"} 1",
            "readywire_stage_seconds_count{stage=\"AUTHENTICATED\"} 1",
        ],
    )
    .await;
    switch(&server, json!({ "reset": true, "service_fail": ["search"] }));
    raw.until("stage").await;
    Raw::greet(&server, &hello_as("bob")).await.ended().await;
    let mut hello = hello_as("carol");
    hello["auth"]["token"] = json!("nonsense");
    Raw::greet(&server, &hello).await.ended().await;
    drop(waiting);
    told(
        &server,
        &[
            "readywire_connections{stage=\"PROCESSING_READY\"} 1",
            "readywire_stage_failures_total{stage=\"AUTHENTICATED\",code=\"4202\"} 1",
            "readywire_stage_failures_total{stage=\"ACCEPTED\",code=\"4104\"} 1",
            "readywire_auth_refusals_total{check=\"malformed\",code=\"4104\"} 1",
            "readywire_ready_seconds_count 1",
            "readywire_transitions_total{from=\"DEGRADED\",to=\"PROCESSING_READY\"} 1",
            "readywire_transitions_total{from=\"AUTHENTICATED\",to=\"CLOSED\"} 1",
        ],
    )
    .await;
}

#[tokio::test]
async fn sends_decisions_resumes_and_early_frames_are_counted() {
    let server = started(&["--faults"]).await;
    let (mut raw, ready) = Raw::ready(&server, &hello_as("alice")).await;
    raw.echoes(1).await;
    raw.acked(1).await;
    raw.taken(1).await;
    raw.ask(2, "unheard of", json!(null)).await;
    raw.acked(2).await;
    switch(&server, json!({ "cut": true }));
    raw.cut().await;
    let (_raw, ready) = Raw::ready(&server, &resuming("alice", &ready, 1, 1)).await;
    let mut forged = resuming("alice", &ready, 2, 0);
    forged["resume"]["token"] = json!("forged");
    let (_other, _) = Raw::ready(&server, &forged).await;
    let mut early = Raw::dial(&server, "readywire.v1").await;
    early.ask(1, "echo", json!(1)).await;
    early.ended().await;
    told(
        &server,
        &[
            "readywire_sends_total 2",
            "readywire_acks_total 2",
            "readywire_nacks_total 1",
            "readywire_resumes_total{resumed=\"true\"} 1",
            "readywire_resumes_total{resumed=\"false\"} 1",
            "readywire_frames_before_ready_total 1",
            "readywire_stage_failures_total{stage=\"ACCEPTED\",code=\"4401\"} 1",
            "readywire_sessions_lost_total{because=\"inbox_full\"} 0",
            "readywire_ends_total{code=\"1006\"} 1",
            "readywire_delivery_seconds_count 1",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_session_that_ends_connections_is_counted_as_lost() {
    let server = started(&["--faults"]).await;
    let (mut raw, mut ready) = Raw::ready(&server, &hello_as("alice")).await;
    raw.ask(1, "echo", json!("poison")).await;
    for attempt in 1..=3 {
        raw.message(1).await;
        switch(&server, json!({ "cut": true }));
        raw.cut().await;
        (raw, ready) = Raw::ready(&server, &resuming("alice", &ready, attempt, 0)).await;
    }
    assert_eq!(ready["session"]["resumed"], false);
    told(
        &server,
        &[
            "readywire_sessions_lost_total{because=\"poisoned\"} 1",
            "readywire_sessions_lost_total{because=\"inbox_full\"} 0",
            "readywire_delivery_seconds_count 0",
        ],
    )
    .await;
}
