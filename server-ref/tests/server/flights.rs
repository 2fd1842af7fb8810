//! How often a client waits for the server before it is ready: once with the hello in the upgrade, and never more than
//! twice. Counted, not timed.

use crate::crossing::cross;
use crate::peer::{HOUR, authority, started};
use crate::relay::Relay;
use std::time::Duration;

#[tokio::test]
async fn with_the_hello_in_the_upgrade_nothing_is_written_until_ready() {
    let server = started(&[]).await;
    let relay = Relay::to(server.address(), Duration::ZERO).await;
    let crossing = cross(&relay, &authority().mint("alice", HOUR), true).await;
    assert_eq!((crossing.flights, crossing.messages), (1, 0));
}

#[tokio::test]
async fn otherwise_exactly_one_message_is() {
    let server = started(&[]).await;
    let relay = Relay::to(server.address(), Duration::ZERO).await;
    let crossing = cross(&relay, &authority().mint("alice", HOUR), false).await;
    assert_eq!((crossing.flights, crossing.messages), (2, 1));
}

#[tokio::test]
async fn slow_services_cost_time_and_no_flight() {
    let server = started(&["--service", "search=50ms"]).await;
    let relay = Relay::to(server.address(), Duration::ZERO).await;
    let crossing = cross(&relay, &authority().mint("alice", HOUR), true).await;
    assert_eq!((crossing.flights, crossing.messages), (1, 0));
}
