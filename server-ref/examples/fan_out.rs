//! Measures fan-out: one topic to 500 subscribers at 200 bytes, beside a bare axum server in the same run; then what
//! becomes of a subscriber that takes nothing for 15 s and of one that is away for a minute.
//!
//! `cargo run --release -p readywire-server --example fan_out`
//!
//! The subscribers run in a process of their own, so that what is allocated here is the server's.

#![allow(missing_docs, reason = "a program")]

#[path = "fan_out/bare.rs"]
mod bare;
#[path = "fan_out/lagging.rs"]
mod lagging;
#[path = "fan_out/readers.rs"]
mod readers;

use readers::{Readers, Seen, stamped};
use readywire_protocol::config::Window;
use readywire_protocol::json::Payload;
use readywire_server::application::{Application, Rejection, Room};
use readywire_server::claims::Authority;
use readywire_server::hub::Parts;
use readywire_server::log::Retention;
use readywire_server::log::memory::MemoryLog;
use readywire_server::server::{self, Place, Running};
use readywire_server::topics::TopicPolicy;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

pub(crate) const SUBSCRIBERS: usize = 500;
const AT_FULL_SPEED: u64 = 4000;
const PACED: u64 = 400;
const PACE: Duration = Duration::from_millis(25);
/// So far the publisher may be ahead of what was written.
const AHEAD: u64 = 64;

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Everybody may follow everything; `small` keeps what a topic keeps by default.
struct Open;

impl TopicPolicy for Open {
    fn may_subscribe(&self, _: &str, _: &str) -> Result<(), Rejection> {
        Ok(())
    }

    fn retention(&self, topic: &str) -> Retention {
        if topic != "large" {
            return Retention::default();
        }
        Retention { window: Window { messages: 20_000, bytes: 16 << 20 }, age: Duration::from_secs(600) }
    }
}

pub(crate) async fn server() -> Result<(Running, String, Arc<MemoryLog>), Failure> {
    let authority = Authority::new(b"a secret for one measurement only", "readywire", "readywire")?;
    let token = authority.mint("alice", Duration::from_secs(3600));
    let log = MemoryLog::new();
    let parts = Parts {
        log: log.clone(),
        application: Application::new().with_topics(Open),
        strangers_per_address: 2000,
        ..Parts::new(authority)
    };
    Ok((server::serve(parts, Place::at("127.0.0.1:0".parse()?)).await?, token, log))
}

/// What a fan-out of either kind does.
pub(crate) trait FanOut {
    async fn publish(&self, text: String) -> Result<(), Failure>;
    /// How many frames were handed to sockets.
    fn written(&self) -> u64;
}

struct Topic(Running);

impl FanOut for Topic {
    async fn publish(&self, text: String) -> Result<(), Failure> {
        let payload = Payload::parse(&text).map_err(|error| error.to_string())?;
        self.0.hub().publish("bench", "e", &payload).await.map_err(|error| format!("{error:?}"))?;
        Ok(())
    }

    fn written(&self) -> u64 {
        self.0.hub().metrics.deliveries.get()
    }
}

struct Measured {
    per_second: f64,
    bytes: f64,
    allocations: f64,
    paced: Seen,
}

async fn measure(fan_out: &impl FanOut, readers: &mut Readers) -> Result<Measured, Failure> {
    // Warm: buffers have grown, pages are there.
    run(fan_out, readers, 200, None).await?;
    let (before, began) = (ALLOCATOR.stats(), Instant::now());
    run(fan_out, readers, AT_FULL_SPEED, None).await?;
    let (after, took) = (ALLOCATOR.stats(), began.elapsed());
    let paced = run(fan_out, readers, PACED, Some(PACE)).await?;
    let deliveries = (AT_FULL_SPEED * SUBSCRIBERS as u64) as f64;
    Ok(Measured {
        per_second: deliveries / took.as_secs_f64(),
        bytes: (after.bytes_allocated - before.bytes_allocated) as f64 / deliveries,
        allocations: (after.allocations - before.allocations) as f64 / deliveries,
        paced,
    })
}

/// Publishes, and waits until every subscriber has everything.
async fn run(
    fan_out: &impl FanOut,
    readers: &mut Readers,
    count: u64,
    pace: Option<Duration>,
) -> Result<Seen, Failure> {
    let start = fan_out.written();
    let mut ticks = tokio::time::interval(pace.unwrap_or(Duration::from_secs(1)));
    for published in 0..count {
        match pace {
            Some(_) => drop(ticks.tick().await),
            None => {
                while published > (fan_out.written() - start) / SUBSCRIBERS as u64 + AHEAD {
                    tokio::time::sleep(Duration::from_micros(200)).await;
                }
            }
        }
        fan_out.publish(stamped()).await?;
    }
    readers.seen(count * SUBSCRIBERS as u64).await
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    match arguments.first().map(String::as_str) {
        Some("readers") => runtime.block_on(readers::main(&arguments[1..])),
        Some("lagging") => runtime.block_on(lagging::main()),
        _ => runtime.block_on(async {
            compare().await?;
            lagging::main().await
        }),
    }
}

async fn compare() -> Result<(), Failure> {
    println!("1 to {SUBSCRIBERS}, 200 bytes of payload; one thread serves, another process reads on one thread\n");
    let (address, bare) = bare::serve().await?;
    let mut readers = Readers::start(address, None, SUBSCRIBERS).await?;
    let bare = measure(&bare, &mut readers).await?;
    drop(readers);
    let (running, token, _) = server().await?;
    let address: SocketAddr = running.address();
    let mut readers = Readers::start(address, Some(&token), SUBSCRIBERS).await?;
    let topic = measure(&Topic(running), &mut readers).await?;
    println!(
        "{:<16}{:>14}{:>18}{:>16}{:>12}{:>12}",
        "", "deliveries/s", "bytes/delivery", "allocs/delivery", "p50", "p99"
    );
    for (name, measured) in [("bare axum", &bare), ("readywire topic", &topic)] {
        let Measured { per_second, bytes, allocations, paced } = measured;
        println!(
            "{name:<16}{per_second:>14.0}{bytes:>18.2}{allocations:>16.4}{:>9.2} ms{:>9.2} ms",
            paced.quantile(0.5),
            paced.quantile(0.99)
        );
    }
    println!(
        "\nratio of deliveries a second: {:.2}; latencies at {} publications a second\n",
        topic.per_second / bare.per_second,
        1000 / PACE.as_millis()
    );
    Ok(())
}
