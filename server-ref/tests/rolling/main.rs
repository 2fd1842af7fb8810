//! Servers that are restarted one after the other, small: nothing is lost, and nothing is timed.

#![cfg(unix)]
#![allow(missing_docs, reason = "tests")]

mod harness;

use harness::{Plan, run};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn nobody_notices_that_servers_are_restarted() {
    let plan = Plan {
        server: env!("CARGO_BIN_EXE_readywire-server").into(),
        clients: 6,
        rate: 10,
        time: Duration::from_secs(6),
        restarts: 2,
        flags: Vec::new(),
    };
    let tally = run(&plan).await.unwrap();
    assert!(tally.faults().into_iter().all(|(_, count)| count == 0), "{tally:#?}");
    assert_eq!((tally.sent, tally.acknowledged), (360, 360));
    assert_eq!((tally.drains.len(), tally.pauses.len()), (2, 6));
}
