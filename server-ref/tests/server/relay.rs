//! A stretch of network between a client and a server: it takes its time, and counts how often the client has to wait.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// What one connection through the relay did.
#[derive(Debug)]
pub(crate) struct Flights {
    count: AtomicUsize,
    /// Whether the server said something since the client did.
    clients_turn: AtomicBool,
}

impl Flights {
    /// How many flights the client needed so far: bytes that it wrote without having heard anything in between.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    fn passed(&self, from: End) {
        match from {
            End::Client if self.clients_turn.swap(false, Ordering::SeqCst) => {
                self.count.fetch_add(1, Ordering::SeqCst);
            }
            End::Client => {}
            End::Server => self.clients_turn.store(true, Ordering::SeqCst),
        }
    }
}

#[derive(Clone, Copy)]
enum End {
    Client,
    Server,
}

/// A relay that listens.
#[derive(Debug)]
pub(crate) struct Relay {
    /// Where clients connect.
    pub(crate) address: SocketAddr,
    latest: Arc<Mutex<Option<Arc<Flights>>>>,
}

impl Relay {
    /// To a server, with a delay in each direction. It is added to bytes, not to the connect.
    pub(crate) async fn to(server: SocketAddr, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let latest = Arc::new(Mutex::new(None));
        let report = latest.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let flights = Arc::new(Flights { count: AtomicUsize::new(0), clients_turn: AtomicBool::new(true) });
                *report.lock().unwrap() = Some(flights.clone());
                let server = TcpStream::connect(server).await.unwrap();
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(carry(from_client, to_server, delay, End::Client, flights.clone()));
                tokio::spawn(carry(from_server, to_client, delay, End::Server, flights));
            }
        });
        Self { address, latest }
    }

    /// Of the connection made last.
    pub(crate) fn flights(&self) -> Arc<Flights> {
        self.latest.lock().unwrap().clone().expect("a connection")
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration, end: End, flights: Arc<Flights>) {
    let (sender, mut under_way) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    tokio::spawn(async move {
        while let Some((due, bytes)) = under_way.recv().await {
            tokio::time::sleep_until(due).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        flights.passed(end);
        let _ = sender.send((Instant::now() + delay, buffer[..read].to_vec()));
    }
}
