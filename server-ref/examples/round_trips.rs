//! Measures how long a client waits until a server is ready, over a network that takes 25 ms each way.
//!
//! `cargo run --release -p readywire-server --example round_trips`

#![allow(missing_docs, reason = "a program")]

#[path = "../tests/server/crossing.rs"]
mod crossing;
#[path = "../tests/server/relay.rs"]
mod relay;

use crossing::{Crossing, cross};
use readywire_server::claims::Authority;
use readywire_server::hub::Parts;
use readywire_server::server::{self, Place};
use relay::Relay;
use std::time::Duration;

const ONE_WAY: Duration = Duration::from_millis(25);
const RUNS: usize = 41;

#[tokio::main]
async fn main() -> Result<(), String> {
    let authority = Authority::new(b"a secret for one measurement only", "readywire", "readywire")
        .map_err(|error| error.to_string())?;
    let token = authority.mint("alice", Duration::from_secs(3600));
    let listen = "127.0.0.1:0".parse().map_err(|_| "an address")?;
    let server = server::serve(Parts::new(authority), Place::at(listen)).await?;
    let relay = Relay::to(server.address(), ONE_WAY).await;

    println!("{RUNS} connections each, {} ms each way, times in ms (median; slowest)\n", ONE_WAY.as_millis());
    println!("{:<22}{:>9}{:>10}{:>18}{:>18}{:>14}", "hello", "flights", "messages", "upgraded", "ready", "round trips");
    for (name, hello_in_upgrade) in [("in the upgrade", true), ("as the first frame", false)] {
        let mut runs = Vec::new();
        for _ in 0..RUNS {
            runs.push(cross(&relay, &token, hello_in_upgrade).await);
        }
        row(name, &runs);
    }
    Ok(())
}

fn row(name: &str, runs: &[Crossing]) {
    let spread = |time: fn(&Crossing) -> Duration| {
        let mut times: Vec<Duration> = runs.iter().map(time).collect();
        times.sort();
        (times[times.len() / 2], times[times.len() - 1])
    };
    let shown = |(median, slowest): (Duration, Duration)| {
        format!("{:.1}; {:.1}", median.as_secs_f64() * 1e3, slowest.as_secs_f64() * 1e3)
    };
    let most = |count: fn(&Crossing) -> usize| runs.iter().map(count).max().unwrap_or_default();
    let ready = spread(|run| run.ready);
    println!(
        "{name:<22}{:>9}{:>10}{:>18}{:>18}{:>14.2}",
        most(|run| run.flights),
        most(|run| run.messages),
        shown(spread(|run| run.upgraded)),
        shown(ready),
        ready.0.as_secs_f64() / (2.0 * ONE_WAY.as_secs_f64()),
    );
}
