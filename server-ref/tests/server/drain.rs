//! A server that goes away, and what becomes of those it had.

use crate::peer::{HOUR, Raw, hello_as, parts, resuming, served, switch};
use crate::web;
use readywire_server::admin::AdminToken;
use readywire_server::drain::DrainOptions;
use readywire_server::hub::Parts;
use readywire_server::log::Log;
use readywire_server::log::memory::MemoryLog;
use readywire_server::server::{self, Place};
use serde_json::{Value, json};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;

const TOKEN: &str = "a token for whoever runs this";

#[tokio::test]
async fn whoever_runs_it_can_let_it_go_and_nobody_else() {
    let drain = DrainOptions { deadline: Some(Duration::from_secs(2)), ..DrainOptions::default() };
    let place = Place { admin: Some(AdminToken::new(TOKEN).unwrap()), ..Place::at("127.0.0.1:0".parse().unwrap()) };
    let server = server::serve(Parts { drain, ..parts() }, place).await.unwrap();
    let (mut raw, _) = Raw::ready(&server, &hello_as("alice")).await;
    let address = server.address();
    let stopping = tokio::spawn(server.until(pending()));

    let refused = web::post(address, "/admin/drain", &[("authorization", "Bearer another")], "").await;
    assert_eq!(refused.status, 401);
    raw.echoes(1).await;
    let bearer = format!("Bearer {TOKEN}");
    let told = web::post(address, "/admin/drain", &[("authorization", &bearer)], "").await;
    assert_eq!(told.status, 202, "{told:?}");
    let told: Value = serde_json::from_str(&told.body).unwrap();
    assert_eq!((&told["connections"], &told["window_ms"]), (&json!(1), &json!(250)));
    raw.until("drain").await;
    raw.echoes(2).await;
    assert_eq!(raw.ended().await.code, 4301);
    assert_eq!(stopping.await.unwrap(), Ok(()));
}

/// Who was told to go leaves by itself: 4013 on the former connection would be there before the next one's `ready`, now and
/// then, and be a pause (clause `drain.transfer`).
#[tokio::test]
async fn who_has_moved_is_let_leave() {
    let log: Arc<dyn Log> = MemoryLog::new();
    let drain = DrainOptions { deadline: Some(HOUR), leaving: HOUR, ..DrainOptions::default() };
    let leaving = served(Parts { log: log.clone(), drain, ..parts() }).await;
    let staying = served(Parts { log, ..parts() }).await;
    let (mut former, ready) = Raw::ready(&leaving, &hello_as("alice")).await;
    let stopping = tokio::spawn(leaving.until(async {}));
    former.until("drain").await;

    let (mut next, again) = Raw::ready(&staying, &resuming("alice", &ready, 1, 0)).await;
    assert_eq!(again["session"]["resumed"], true);
    // What is under way to the former server is not taken, and no reason to send the client away.
    former.ask(1, "echo", json!("late")).await;
    former.write(&json!({ "type": "ping", "nonce": "still here" })).await;
    assert_eq!(former.frame().await, json!({ "type": "pong", "nonce": "still here" }));
    // Nor is the next server kept waiting for it.
    next.ask(1, "echo", json!("in time")).await;
    assert_eq!(next.message(1).await["payload"], "in time");
    former.write(&json!({ "type": "bye", "code": 4302, "reason": "the next connection is ready" })).await;
    assert!(matches!(former.next().await, Message::Close(Some(frame)) if u16::from(frame.code) == 4302));
    next.echoes(2).await;
    assert_eq!(stopping.await.unwrap(), Ok(()));
}

/// What a demonstration has in place of a deployment.
#[tokio::test]
async fn the_fault_sends_one_user_on_to_the_same_server() {
    let server = served(parts()).await;
    let (mut former, ready) = Raw::ready(&server, &hello_as("alice")).await;
    let (mut bob, _) = Raw::ready(&server, &hello_as("bob")).await;
    switch(&server, json!({ "drain": true, "subject": "alice" }));
    assert_eq!(former.until("drain").await["deadline_ms"], 5000);
    former.echoes(1).await;

    let (mut next, again) = Raw::ready(&server, &resuming("alice", &ready, 1, 1)).await;
    assert_eq!((&again["session"]["resumed"], &again["received"]), (&json!(true), &json!(1)));
    // It is let leave, as by a server that goes away.
    former.write(&json!({ "type": "ping", "nonce": "still here" })).await;
    assert_eq!(former.until("pong").await["nonce"], "still here");
    former.write(&json!({ "type": "bye", "code": 4302, "reason": "the next connection is ready" })).await;
    next.echoes(2).await;
    bob.ask(1, "echo", json!("here")).await;
    assert_ne!(bob.frame().await["type"], "drain", "that was not for everybody");

    // Who does not go is sent away.
    switch(&server, json!({ "drain": true }));
    for raw in [&mut next, &mut bob] {
        assert_eq!(raw.ended().await.code, 4301);
    }
}

/// The client's side of a handover, by hand: the next connection is ready before the former is let go.
#[tokio::test]
async fn a_session_is_handed_over_while_both_connections_are_open() {
    let log: Arc<dyn Log> = MemoryLog::new();
    let drain = DrainOptions { deadline: Some(Duration::from_secs(3600)), ..DrainOptions::default() };
    let leaving = served(Parts { log: log.clone(), drain, ..parts() }).await;
    let staying = served(Parts { log, ..parts() }).await;
    let (mut former, ready) = Raw::ready(&leaving, &hello_as("alice")).await;
    former.echoes(1).await;
    let stopping = tokio::spawn(leaving.until(async {}));
    former.until("drain").await;
    // The gate stays open.
    former.echoes(2).await;
    former.acked(2).await;

    let (mut next, again) = Raw::ready(&staying, &resuming("alice", &ready, 1, 2)).await;
    assert_eq!((&again["session"]["resumed"], &again["received"]), (&json!(true), &json!(2)));
    // What is still on its way to the former server is not taken there, and who does not leave is sent away.
    former.ask(3, "echo", json!("late")).await;
    assert_eq!(former.ended().await.code, 4013);
    next.ask(3, "echo", json!("late")).await;
    assert_eq!(next.message(3).await["payload"], "late");
    next.acked(3).await;
    // Nobody is left, so nobody is waited for.
    assert_eq!(stopping.await.unwrap(), Ok(()));
}
