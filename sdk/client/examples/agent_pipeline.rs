//! Plays the agent of the reference server from end to end, over and over, each time on a new connection: connect, ask,
//! read every event to the end, get a notification, close. Prints how long each took, and how often anything failed.
//! It judges nothing: the numbers are this machine's.
//!
//! ```sh
//! cargo run --release -p readywire --example agent_pipeline
//! ```

use futures::StreamExt;
use readywire::{Options, connect};
use readywire_server::claims::Authority;
use readywire_server::handlers;
use readywire_server::hub::Parts;
use readywire_server::server::{self, Place};
use serde_json::{Value, json};
use std::error::Error;
use std::time::{Duration, Instant};
use tokio::time::timeout;

const RUNS: usize = 1000;
/// What an event may take at most.
const LIMIT: Duration = Duration::from_secs(2);
const PROMPT: &str = "How does a session resume after a cut?";
/// One before, one for each word, three behind.
const EVENTS: usize = 12;

type Failure = Box<dyn Error + Send + Sync>;

#[derive(Default)]
struct Times {
    ready: Vec<Duration>,
    event: Vec<Duration>,
    run: Vec<Duration>,
    notification: Vec<Duration>,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let authority = Authority::new(b"a secret for one process, of enough bytes", "readywire", "readywire")?;
    let parts = Parts { application: handlers::application(), ..Parts::new(authority.clone()) };
    let server = server::serve(parts, Place::at("127.0.0.1:0".parse()?)).await?;
    let url = format!("ws://{}/ws", server.address());

    let (mut times, mut failures) = (Times::default(), Vec::new());
    for _ in 0..RUNS {
        let token = authority.mint("alice", Duration::from_secs(60));
        if let Err(failure) = play(&url, token, &mut times).await {
            failures.push(failure.to_string());
        }
    }
    println!("{RUNS} runs, each on a new connection, {EVENTS} events each");
    println!("{:<44}{:>8}{:>10}{:>10}{:>10}", "", "count", "p50 ms", "p99 ms", "max ms");
    for (name, times) in [
        ("connect() to ready", &mut times.ready),
        ("each event after the one before (or the ask)", &mut times.event),
        ("ask to the last event", &mut times.run),
        ("notify to the notification", &mut times.notification),
    ] {
        times.sort();
        let at = |share: f64| times.get(((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1)));
        let column =
            |time: Option<&Duration>| time.map_or("-".to_owned(), |time| format!("{:.2}", time.as_secs_f64() * 1e3));
        let (half, most, last) = (column(at(0.5)), column(at(0.99)), column(times.last()));
        println!("{name:<44}{:>8}{half:>10}{most:>10}{last:>10}", times.len());
    }
    let refused = |line: &&str| line.starts_with("readywire_auth_refusals_total{");
    let text = server.hub().metrics.text();
    let refusals: f64 =
        text.lines().filter(refused).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
    println!("events over 2 s, and other failures: {}; tokens refused: {refusals}", failures.len());
    failures.iter().take(5).for_each(|failure| println!("  {failure}"));
    server.until(async {}).await?;
    Ok(())
}

async fn play(url: &str, token: String, times: &mut Times) -> Result<(), Failure> {
    let begun = Instant::now();
    let client = connect(url, Options::new().bearer(token)).await?;
    times.ready.push(begun.elapsed());

    let asked = Instant::now();
    let mut before = asked;
    let mut answer = client.stream::<Value>("agent.run", &json!({ "prompt": PROMPT, "pace_ms": 0 }));
    let mut events = 0;
    while let Some(event) = timeout(LIMIT, answer.next()).await? {
        event?;
        times.event.push(before.elapsed());
        before = Instant::now();
        events += 1;
    }
    times.run.push(asked.elapsed());
    if events != EVENTS {
        return Err(format!("{events} events").into());
    }

    let mut messages = client.messages();
    let notified = Instant::now();
    client.send("notify", &json!({ "subject": "alice", "text": "done" })).await?;
    timeout(LIMIT, messages.next()).await?.ok_or("the messages ended")??;
    times.notification.push(notified.elapsed());
    client.close().await;
    Ok(())
}
