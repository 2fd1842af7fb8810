//! Sends and their outcomes.

use crate::server::{PATIENCE, TestServer, eager};
use futures::StreamExt;
use readywire::{SendError, SendOptions, SendState, State, connect};
use readywire_server::faults::FaultRequest;
use std::time::Duration;
use tokio::time::timeout;

fn impaired(names: &[&str]) -> FaultRequest {
    let impair = names.iter().map(|name| (*name).to_owned()).collect();
    FaultRequest { impair: Some(impair), ..FaultRequest::default() }
}

#[tokio::test]
async fn sends_are_processed_once_in_the_order_of_the_calls() {
    let server = TestServer::start().await;
    let client = connect(&server.url(), eager()).await.unwrap();
    let sends: Vec<_> = (0..200).map(|number| client.send("record", &number)).collect();
    let mut last = 0;
    for send in sends {
        let id = send.await.unwrap().id;
        assert!(id > last);
        last = id;
    }
    let expected: Vec<String> = (0..200).map(|number: u32| number.to_string()).collect();
    assert_eq!(server.record.all(), expected);
    client.close().await;
}

#[tokio::test]
async fn an_event_that_nobody_handles_is_refused() {
    let server = TestServer::start().await;
    let client = connect(&server.url(), eager()).await.unwrap();
    let error = client.send("no.such.event", &()).await.unwrap_err();
    assert!(matches!(error, SendError::Refused { retry: false, .. }), "{error:?}");
    client.close().await;
}

#[tokio::test]
async fn try_send_and_fail_fast_name_the_stage() {
    let server = TestServer::start().await;
    let client = connect(&server.url(), eager()).await.unwrap();
    client.try_send("record", &1).unwrap().await.unwrap();
    let mut states = client.states();
    server.cut();
    while timeout(PATIENCE, states.next()).await.unwrap().unwrap().state.is_ready() {}
    // Refused by one or the other, unless the connection is back already.
    match client.try_send("record", &2) {
        Err(error) => assert!(matches!(error, SendError::NotReady { .. })),
        Ok(send) => match send.await {
            Ok(_) | Err(SendError::NotReady { .. }) => {}
            Err(error) => panic!("{error:?}"),
        },
    }
    client.close().await;
}

#[tokio::test]
async fn what_waits_is_bounded_and_the_newest_is_refused() {
    let server = TestServer::start().await;
    let client = connect(&server.url(), eager().queue(3, 1 << 20, Duration::from_secs(30))).await.unwrap();
    server.fault(impaired(&["search"]));
    let mut states = client.states();
    while timeout(PATIENCE, states.next()).await.unwrap().unwrap().state != State::Degraded {}
    let held: Vec<_> = (0..3).map(|number| client.send("needy", &number)).collect();
    // Each of the three waits for the service before the fourth is given.
    let probe = client.send("record", "probe");
    probe.await.unwrap();
    let error = client.send("needy", &3).await.unwrap_err();
    assert!(matches!(&error, SendError::Refused { code, .. } if code == "queue_full"), "{error:?}");

    server.fault(FaultRequest { reset: true, ..FaultRequest::default() });
    for send in held {
        send.await.unwrap();
    }
    assert_eq!(server.record.all(), ["\"probe\"", "0", "1", "2"]);
    client.close().await;
}

#[tokio::test]
async fn a_held_send_says_for_which_service_and_goes_out_by_itself() {
    let server = TestServer::start().await;
    let client = connect(&server.url(), eager()).await.unwrap();
    server.fault(impaired(&["search"]));
    let mut states = client.states();
    while timeout(PATIENCE, states.next()).await.unwrap().unwrap().state != State::Degraded {}
    let mut changes = client.sends();
    let waits = client.send("needy", &1);
    let handle = waits.handle();
    let hasty = client.send_with("needy", &2, SendOptions::new().fail_fast());
    let error = hasty.await.unwrap_err();
    assert_eq!(error.service(), Some("search"), "{error:?}");
    assert!(matches!(&error, SendError::Refused { code, retry: true, .. } if code == "service_impaired"), "{error:?}");

    server.fault(FaultRequest { reset: true, ..FaultRequest::default() });
    let id = waits.await.unwrap().id;
    let mut steps = Vec::new();
    while !matches!(steps.last(), Some(SendState::Settled(_))) {
        let change = timeout(PATIENCE, changes.next()).await.unwrap().unwrap();
        steps.extend((change.handle == handle).then_some(change.state));
    }
    let [
        SendState::InFlight { .. },
        SendState::Held { service },
        SendState::InFlight { id: anew },
        SendState::Settled(Ok(taken)),
    ] = &steps[..]
    else {
        panic!("{steps:?}");
    };
    assert_eq!((service.as_str(), *anew, taken.id), ("search", id, id));
    assert_eq!(server.record.all(), ["1"]);
    client.close().await;
}

#[tokio::test]
async fn a_send_may_expire_while_it_waits_and_is_never_sent_then() {
    let server = TestServer::start().await;
    let client = connect(&server.url(), eager()).await.unwrap();
    server.fault(FaultRequest {
        service_delay_ms: Some([("search".to_owned(), 600_000)].into()),
        cut: true,
        ..FaultRequest::default()
    });
    let mut states = client.states();
    while timeout(PATIENCE, states.next()).await.unwrap().unwrap().state.is_ready() {}
    let short = SendOptions::new().expire_after(Duration::from_millis(50));
    let error = client.send_with("record", "late", short).await.unwrap_err();
    assert_eq!(error, SendError::Expired);
    server.fault(FaultRequest { reset: true, cut: true, ..FaultRequest::default() });
    client.send("record", "after").await.unwrap();
    assert_eq!(server.record.all(), ["\"after\""]);
    client.close().await;
}

#[tokio::test]
async fn abandoning_withdraws_what_was_not_written() {
    let server = TestServer::start().await;
    let client = connect(&server.url(), eager()).await.unwrap();
    server.fault(FaultRequest {
        service_delay_ms: Some([("search".to_owned(), 600_000)].into()),
        cut: true,
        ..FaultRequest::default()
    });
    let mut states = client.states();
    while timeout(PATIENCE, states.next()).await.unwrap().unwrap().state.is_ready() {}
    let send = client.send("record", "withdrawn");
    client.abandon(&send);
    let error = send.await.unwrap_err();
    assert!(matches!(&error, SendError::Refused { code, .. } if code == "withdrawn"), "{error:?}");
    server.fault(FaultRequest { reset: true, cut: true, ..FaultRequest::default() });
    client.send("record", "after").await.unwrap();
    assert_eq!(server.record.all(), ["\"after\""]);
    client.close().await;
}

#[tokio::test]
async fn lost_acks_do_not_lead_to_doubles() {
    let server = TestServer::start().await;
    let client = connect(&server.url(), eager()).await.unwrap();
    server.fault(FaultRequest { lose_acks: Some(1), ..FaultRequest::default() });
    let send = client.send("record", "once");
    timeout(PATIENCE, async {
        while server.record.all().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    server.cut();
    timeout(PATIENCE, send).await.unwrap().unwrap();
    assert_eq!(server.record.all(), ["\"once\""]);
    client.close().await;
}

#[tokio::test]
async fn close_lets_what_is_under_way_be_decided() {
    let server = TestServer::start().await;
    let client = connect(&server.url(), eager()).await.unwrap();
    let sends: Vec<_> = (0..150).map(|number| client.send("record", &number)).collect();
    client.close().await;
    for send in sends {
        send.await.unwrap();
    }
    assert_eq!(server.record.all().len(), 150);
    assert!(server.hub.sessions().await.is_empty(), "`bye` 1000 ends the session");
}

#[tokio::test]
async fn messages_reach_a_reader_that_came_late() {
    let server = TestServer::start().await;
    let client = connect(&server.url(), eager()).await.unwrap();
    for number in 0..5 {
        client.send("chat.message", &serde_json::json!({ "text": number.to_string() })).await.unwrap();
    }
    let mut messages = client.messages();
    for number in 0..5 {
        let message = timeout(PATIENCE, messages.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(message.event, "chat.message");
        assert_eq!(message.payload::<serde_json::Value>().unwrap()["text"], number.to_string());
        assert_eq!(message.offset, number + 1);
    }
    client.close().await;
    assert!(messages.next().await.is_none());
}
