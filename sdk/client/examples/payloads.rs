//! Measures what payloads of 64 KiB cost as bytes, against the same in base64 in JSON text, in one run.
//!
//! `cargo run --release -p readywire --example payloads`

#![allow(missing_docs, reason = "a program")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use readywire::{Bytes, Client, Options, SendError, connect};
use readywire_server::application::{Answer, Application, Failure, Handler, Request};
use readywire_server::claims::Authority;
use readywire_server::hub::Parts;
use readywire_server::server::{self, Place};
use std::error::Error;
use std::time::{Duration, Instant};

const SIZE: usize = 64 << 10;
/// Sends in each round, and how many of them wait for their acknowledgement at once.
const SENDS: usize = 500;
const AT_ONCE: usize = 8;
const ROUNDS: usize = 5;

/// Wants the bytes, however they come.
struct Store;

impl Handler for Store {
    fn handle<'a>(&'a self, request: Request, _: &'a mut Answer) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let length = match request.payload.bytes() {
                Some(bytes) => bytes.len(),
                None => STANDARD.decode(request.read::<String>()?).map_or(0, |bytes| bytes.len()),
            };
            if length == SIZE { Ok(()) } else { Err(Failure::new("length", length.to_string())) }
        }
        .boxed()
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let authority = Authority::new(b"a secret for one measurement only", "readywire", "readywire")?;
    let token = authority.mint("alice", Duration::from_secs(3600));
    let parts = Parts { application: Application::new().with("store", Store), ..Parts::new(authority) };
    let server = server::serve(parts, Place::at("127.0.0.1:0".parse()?)).await?;
    let client = connect(&format!("ws://{}/ws", server.address()), Options::new().bearer(token)).await?;

    let bytes: Vec<u8> = (0..SIZE).map(|index| (index * 31 % 251) as u8).collect();
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        times[0].push(round(&client, |client| client.send("store", Bytes::from(bytes.as_slice()))).await?);
        times[1].push(round(&client, |client| client.send("store", &STANDARD.encode(&bytes))).await?);
    }
    println!("{ROUNDS} rounds each of {SENDS} acknowledged sends of {} KiB, {AT_ONCE} at once\n", SIZE >> 10);
    let rates = times.map(|mut times| {
        times.sort();
        SENDS as f64 / times[ROUNDS / 2].as_secs_f64()
    });
    for (name, rate) in ["bytes", "base64 in JSON"].into_iter().zip(rates) {
        println!("{name:<16}{rate:>8.0} sends a second{:>8.0} MiB a second", rate * SIZE as f64 / f64::from(1 << 20));
    }
    println!("\nbytes against base64: {:.2} times (medians)", rates[0] / rates[1]);
    client.close().await;
    Ok(())
}

async fn round(client: &Client, send: impl Fn(&Client) -> readywire::Sending) -> Result<Duration, SendError> {
    let began = Instant::now();
    let mut outcomes = stream::iter(0..SENDS).map(|_| send(client)).buffered(AT_ONCE);
    while let Some(outcome) = outcomes.next().await {
        outcome?;
    }
    Ok(began.elapsed())
}
