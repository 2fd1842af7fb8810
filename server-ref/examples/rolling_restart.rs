//! Restarts two servers behind a relay, one after the other, under load, and counts what clients notice of it.
//!
//! ```sh
//! cargo build --release -p readywire-server
//! cargo run --release -p readywire-server --example rolling_restart -- --clients 200 --seconds 60
//! ```

#![allow(missing_docs, reason = "a program")]

#[cfg(unix)]
#[path = "../tests/rolling/harness.rs"]
mod harness;

use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Parser)]
struct Arguments {
    /// How many clients.
    #[arg(long, default_value_t = 200)]
    clients: usize,
    /// How long they send.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How many sends a second of each client.
    #[arg(long, default_value_t = 20)]
    rate: u32,
    /// How often a server is restarted.
    #[arg(long, default_value_t = 3)]
    restarts: usize,
    /// The server's binary; by default the one that was built beside this program.
    #[arg(long)]
    server: Option<PathBuf>,
    /// A flag for the servers, as in `--flag=--drain-window=2s` (repeat).
    #[arg(long)]
    flag: Vec<String>,
}

#[cfg(unix)]
#[tokio::main]
async fn main() -> Result<ExitCode, String> {
    let Arguments { clients, seconds, rate, restarts, server, flag } = Arguments::parse();
    let beside = || Some(std::env::current_exe().ok()?.parent()?.parent()?.join("readywire-server"));
    let server = server.or_else(beside).filter(|path| path.exists());
    let server = server.ok_or("there is no server to start: `cargo build --release -p readywire-server`")?;
    let time = std::time::Duration::from_secs(seconds);
    println!("{clients} clients, {rate} sends a second each, {seconds} s, {restarts} restarts\n");
    let tally = harness::run(&harness::Plan { server, clients, rate, time, restarts, flags: flag }).await?;

    println!("{:<16}{:>10}", "sent", tally.sent);
    println!("{:<16}{:>10}", "acknowledged", tally.acknowledged);
    let faults = tally.faults();
    faults.iter().for_each(|(name, count)| println!("{name:<16}{count:>10}"));
    let drains: Vec<String> = tally.drains.iter().map(|time| format!("{:.1} s", time.as_secs_f64())).collect();
    println!("\nservers let go and ended after {}", drains.join(", "));
    if let [shortest, .., longest] = tally.pauses.as_slice() {
        let at = |part: usize| tally.pauses[(tally.pauses.len() * part / 100).min(tally.pauses.len() - 1)].as_millis();
        println!(
            "longest pause between two acknowledgements, by client: {} to {} ms (half {}, 90 of 100 {}, 99 of 100 {})",
            shortest.as_millis(),
            longest.as_millis(),
            at(50),
            at(90),
            at(99)
        );
    }
    tally.failures.iter().for_each(|failure| println!("{failure}"));
    Ok(if faults.iter().all(|(_, count)| *count == 0) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(not(unix))]
fn main() {
    eprintln!("this asks servers to stop by a signal, which needs Unix");
}
