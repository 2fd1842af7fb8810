//! One subscriber takes nothing for 15 s while its connection lives, another is away for a minute; the others go on.

use crate::readers::{Seen, answer, follow, lateness, offset_of, open, stamped, take};
use crate::{ALLOCATOR, Failure, server};
use futures::StreamExt;
use readywire_protocol::json::Payload;
use readywire_server::application::Room;
use readywire_server::server::Running;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

const OTHERS: usize = 20;
const PER_SECOND: u64 = 100;
const STALL: Duration = Duration::from_secs(15);
const AWAY: Duration = Duration::from_secs(60);

/// What became of a reader.
struct Outcome {
    received: u64,
    /// What it was told to be missing.
    gaps: Vec<(u64, u64)>,
    /// What was missing without a word, or came twice.
    wrong: u64,
}

pub(crate) async fn main() -> Result<(), Failure> {
    println!(
        "{PER_SECOND} publications a second of 200 bytes to {OTHERS} others; retention: `small` 1000, `large` 20,000\n"
    );
    for topic in ["small", "large"] {
        of(topic).await?;
    }
    Ok(())
}

async fn of(topic: &'static str) -> Result<(), Failure> {
    let (running, token, log) = server().await?;
    let address = running.address();
    let lates = Arc::new(Mutex::new(Seen::default()));
    for _ in 0..OTHERS {
        let mut socket = open(address).await?;
        follow(&mut socket, &token, topic, None).await?;
        let lates = lates.clone();
        tokio::spawn(async move {
            while let Some(Ok(Message::Text(text))) = socket.next().await {
                match lateness(&text) {
                    Some(late) => {
                        lates.lock().unwrap_or_else(PoisonError::into_inner).add(late);
                        take(&mut socket, topic, &text).await;
                    }
                    None => answer(&mut socket, &text).await,
                }
            }
        });
    }
    let ends = Instant::now() + AWAY + Duration::from_secs(8);
    let stalling = tokio::spawn(reader(address, token.clone(), topic, Some(STALL), None, ends));
    let away = tokio::spawn(reader(address, token, topic, None, Some(AWAY), ends));
    let publisher = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(1000 / PER_SECOND));
        let mut published = 0;
        let mut memory = Vec::new();
        let began = Instant::now();
        while Instant::now() < ends - Duration::from_secs(3) {
            ticks.tick().await;
            publish(&running, topic).await?;
            published += 1;
            if published % PER_SECOND == 0 {
                memory.push((
                    began.elapsed().as_secs(),
                    live() - i64::try_from(log.size().1.bytes)?,
                    lates_taken(&lates),
                ));
            }
        }
        Ok::<_, Failure>((published, memory))
    };
    let (published, memory) = publisher.await?;
    let (stalling, away) = (stalling.await??, away.await??);
    println!("{topic}: {published} published");
    for (name, outcome) in [("took nothing for 15 s", &stalling), ("was away for 60 s", &away)] {
        let Outcome { received, gaps, wrong } = outcome;
        let missing: u64 = gaps.iter().map(|(from, to)| to.saturating_sub(*from)).sum();
        println!(
            "  {name:<24} received {received}, told of {missing} missing in {} gaps, not told of or doubled {wrong}",
            gaps.len()
        );
    }
    let p99 = |from: u64, to: u64| {
        let mut worst: f64 = 0.0;
        for (_, _, p99) in memory.iter().filter(|(at, _, _)| (from..to).contains(at)) {
            worst = worst.max(*p99);
        }
        worst
    };
    println!(
        "  others' p99, worst second: before {:.2} ms, during the stall {:.2} ms, after {:.2} ms",
        p99(0, 5),
        p99(5, 20),
        p99(20, 70)
    );
    let at = |second: u64| memory.iter().find(|(at, _, _)| *at == second).map_or(0, |(_, live, _)| *live);
    println!(
        "  bytes allocated and not in the log: at 5 s {}, at 19 s (stalled, away) {}, at 60 s (away) {}\n",
        at(5),
        at(19),
        at(60)
    );
    Ok(())
}

async fn publish(running: &Running, topic: &str) -> Result<(), Failure> {
    let payload = Payload::parse(&stamped()).map_err(|error| error.to_string())?;
    running.hub().publish(topic, "e", &payload).await.map_err(|error| format!("{error:?}"))?;
    Ok(())
}

fn live() -> i64 {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated as i64 - stats.bytes_deallocated as i64
}

fn lates_taken(lates: &Mutex<Seen>) -> f64 {
    std::mem::take(&mut *lates.lock().unwrap_or_else(PoisonError::into_inner)).quantile(0.99)
}

/// Reads to the end: at 5 s it stops to take for a while, or leaves for a while and comes back.
async fn reader(
    address: SocketAddr,
    token: String,
    topic: &'static str,
    stall: Option<Duration>,
    away: Option<Duration>,
    ends: Instant,
) -> Result<Outcome, Failure> {
    let began = Instant::now();
    let mut socket = open(address).await?;
    let first = follow(&mut socket, &token, topic, None).await?;
    let mut epoch = first["epoch"].as_str().unwrap_or_default().to_owned();
    let mut held = first["offset"].as_u64().unwrap_or_default();
    let mut outcome = Outcome { received: 0, gaps: Vec::new(), wrong: 0 };
    let mut left = false;
    let mut untaken: Option<String> = None;
    while Instant::now() < ends {
        let since = began.elapsed();
        if let Some(away) = away.filter(|_| !left && since > Duration::from_secs(5)) {
            left = true;
            drop(socket);
            sleep(away).await;
            socket = open(address).await?;
            let again = follow(&mut socket, &token, topic, Some((held, &epoch))).await?;
            stand(&again.to_string(), &mut held, &mut epoch, &mut outcome);
        }
        let Ok(next) = timeout(Duration::from_millis(50), socket.next()).await else {
            let stalled = stall.is_some_and(|stall| {
                (Duration::from_secs(5)..Duration::from_secs(5) + stall).contains(&began.elapsed())
            });
            if let Some(text) = untaken.take_if(|_| !stalled) {
                take(&mut socket, topic, &text).await;
            }
            continue;
        };
        let Some(Ok(Message::Text(text))) = next else { return Err("the connection ended".into()) };
        if text.starts_with(r#"{"type":"subscribed""#) {
            stand(&text, &mut held, &mut epoch, &mut outcome);
            continue;
        }
        if lateness(&text).is_none() {
            answer(&mut socket, &text).await;
            continue;
        }
        let offset = offset_of(&text);
        outcome.wrong += u64::from(offset != held + 1);
        held = offset;
        outcome.received += 1;
        let stalled = stall
            .is_some_and(|stall| (Duration::from_secs(5)..Duration::from_secs(5) + stall).contains(&began.elapsed()));
        if stalled {
            untaken = Some(text.to_string());
        } else {
            untaken = None;
            take(&mut socket, topic, &text).await;
        }
    }
    Ok(outcome)
}

fn stand(text: &str, held: &mut u64, epoch: &mut String, outcome: &mut Outcome) {
    let frame: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let offset = frame["offset"].as_u64().unwrap_or_default();
    if frame["recovered"] != true {
        outcome.gaps.push((*held, offset));
    } else {
        outcome.wrong += u64::from(offset != *held);
    }
    *held = offset;
    *epoch = frame["epoch"].as_str().unwrap_or_default().to_owned();
}
