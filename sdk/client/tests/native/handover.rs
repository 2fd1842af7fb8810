//! A server goes away while messages flow, and nobody notices; a message that kills every connection does not take the
//! client with it.

use crate::cluster::{Cluster, POISON};
use crate::server::{PATIENCE, TestServer, eager};
use futures::{FutureExt, StreamExt, stream};
use readywire::{Client, SendError, connect};
use std::time::Duration;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

const SENDS: u64 = 600;

/// Sends, eight at a time, and tells after how many acknowledgements `moment` came.
async fn send_through(client: &Client, moments: mpsc::UnboundedSender<u64>) {
    let sends = stream::iter(0..SENDS).map(|number| client.send("record", &number)).buffered(8);
    let mut acknowledged = 0;
    let each = sends.for_each(|outcome| {
        outcome.unwrap();
        acknowledged += 1;
        let _ = moments.send(acknowledged);
        std::future::ready(())
    });
    each.await;
}

fn expected() -> Vec<String> {
    (0..SENDS).map(|number| number.to_string()).collect()
}

/// Waits until the connection of `attempt` has been left for the next.
async fn left(client: &Client, attempt: u64) {
    let mut states = client.states();
    while states.next().await.unwrap().attempt <= attempt {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_restarts_are_no_pause_and_lose_nothing() {
    let cluster = Cluster::start().await;
    let client = connect(&cluster.url(), eager()).await.unwrap();
    let mut states = client.states();
    let (progress, mut moments) = mpsc::unbounded_channel();
    let restarting = async {
        for restart in 1..=3 {
            while moments.recv().await.unwrap() < restart * SENDS / 5 {}
            let before = client.status().attempt;
            cluster.drain();
            left(&client, before).await;
        }
    };
    timeout(PATIENCE, async { tokio::join!(send_through(&client, progress), restarting) }).await.unwrap();

    assert_eq!(cluster.taken(), expected(), "none lost, none doubled, all in order");
    assert_eq!(cluster.connections(), 4);
    let mut handovers = 0;
    while let Some(Some(change)) = states.next().now_or_never() {
        assert!(change.state.is_ready(), "{change:?}");
        handovers += u32::from(change.handover);
    }
    assert_eq!(handovers, 3);
    client.close().await;
}

/// The servers share nothing: what is written on the old one is decided there, and the rest goes to the new one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_share_no_log_lose_no_send_either() {
    let (old, new) = (TestServer::start().await, TestServer::start().await);
    let (server, upstream) = watch::channel(old.address);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/ws", listener.local_addr().unwrap());
    let relaying = tokio::spawn(async move {
        loop {
            let mut client = listener.accept().await.unwrap().0;
            let server = *upstream.borrow();
            tokio::spawn(async move {
                let mut server = TcpStream::connect(server).await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    let client = connect(&url, eager()).await.unwrap();
    let mut states = client.states();
    let (progress, mut moments) = mpsc::unbounded_channel();
    let restarting = async {
        while moments.recv().await.unwrap() < SENDS / 3 {}
        let before = client.status().attempt;
        server.send(new.address).unwrap();
        old.hub.drain();
        left(&client, before).await;
    };
    timeout(PATIENCE, async { tokio::join!(send_through(&client, progress), restarting) }).await.unwrap();

    let (first, second) = (old.record.all(), new.record.all());
    assert!(!first.is_empty() && !second.is_empty(), "{} and {}", first.len(), second.len());
    assert_eq!([first, second].concat(), expected(), "none lost, none doubled, all in order");
    while let Some(Some(change)) = states.next().now_or_never() {
        assert!(change.state.is_ready(), "{change:?}");
    }
    client.close().await;
    relaying.abort();
}

/// The server dies of one message, each time before it has taken it: three connections, and no more (clause
/// `send.three_connections`).
#[tokio::test]
async fn a_message_that_kills_connections_is_given_up() {
    let cluster = Cluster::start().await;
    let client = connect(&cluster.url(), eager()).await.unwrap();
    client.send("record", "before").await.unwrap();
    let poison = client.send("record", POISON);
    let after = client.send("record", "after");
    let outcome = timeout(PATIENCE, poison).await.unwrap();
    assert!(matches!(&outcome, Err(SendError::Unknown { code }) if code == "three_connections"), "{outcome:?}");
    timeout(PATIENCE, after).await.unwrap().unwrap();
    assert_eq!(cluster.connections(), 4, "one, and three that came back");
    assert_eq!(cluster.taken(), [r#""before""#, r#""after""#]);
    timeout(Duration::from_secs(10), client.close()).await.unwrap();
}
