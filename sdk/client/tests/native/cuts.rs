//! The connection is cut again and again: nothing is lost, doubled or out of order.

use crate::server::{PATIENCE, TestServer, eager};
use futures::{StreamExt, stream};
use readywire::{Client, connect};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

const SENDS: u64 = 1000;
const STREAMED: u64 = 200;
const CUTS: u64 = 50;

/// 1,000 acknowledged sends and a stream of 200 messages, through 50 cuts at random moments. Backoff of 10 to 50 ms and
/// a queue of 2,000 messages for 60 s, so that the test is about cuts and not about waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_sends_and_a_stream_survive_fifty_cuts() {
    let server = TestServer::start().await;
    let options = eager().queue(2000, 1 << 20, Duration::from_secs(60));
    let client = connect(&server.url(), options).await.unwrap();
    let (progress, mut moments) = mpsc::unbounded_channel();

    let answer = client.stream::<u64>("count.slowly", &STREAMED);
    let sending = {
        let client = client.clone();
        async move {
            // A sliding window of calls, so that sends go on through all of the cuts.
            let sends = stream::iter(0..SENDS).map(|number| client.send("record", &number)).buffered(8);
            sends
                .for_each(|outcome| {
                    outcome.unwrap();
                    progress.send(()).unwrap();
                    std::future::ready(())
                })
                .await;
        }
    };
    let streaming = answer.map(|part| part.unwrap().payload).collect::<Vec<u64>>();
    let cutting = async {
        let seed = RandomState::new();
        for cut in 0..CUTS {
            // A random moment: ready, then after some of the next outcomes and some turns of the scheduler. At least one
            // outcome, or the oldest send may be the oldest on three connections, and be given up by its clause.
            ready(&client).await;
            while moments.try_recv().is_ok() {}
            let random = seed.hash_one(cut);
            for _ in 0..1 + random % 15 {
                moments.recv().await;
            }
            for _ in 0..(random >> 32) % 200 {
                tokio::task::yield_now().await;
            }
            ready(&client).await;
            let before = client.status().attempt;
            server.cut();
            gone(&client, before).await;
        }
    };
    let all = async { tokio::join!(sending, streaming, cutting).1 };
    let streamed = timeout(PATIENCE, all).await.unwrap();

    assert_eq!(streamed, (0..STREAMED).collect::<Vec<_>>());
    let expected: Vec<String> = (0..SENDS).map(|number| number.to_string()).collect();
    assert_eq!(server.record.all(), expected);
    assert_eq!(client.status().attempt, CUTS + 1, "each cut hit a living connection");
    client.close().await;
}

/// Waits until the client is ready.
async fn ready(client: &Client) {
    let mut states = client.states();
    while !states.next().await.unwrap().state.is_ready() {}
}

/// Waits until the connection of `attempt` is not there any more.
async fn gone(client: &Client, attempt: u64) {
    let mut states = client.states();
    loop {
        let change = states.next().await.unwrap();
        if change.attempt > attempt || !change.state.is_ready() {
            return;
        }
    }
}
