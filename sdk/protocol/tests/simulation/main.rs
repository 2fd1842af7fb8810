//! Two real ends in one virtual world: the seed decides latency, cuts, failures and what both applications do.
//!
//! `READYWIRE_SEEDS=100000` runs that many worlds, `READYWIRE_SEED=17` runs one; where a property does not hold, the end of
//! the trace is printed, and the command that repeats it.

mod asked;
mod cluster;
mod coverage;
mod device;
mod exploration;
mod greeting;
mod incidents;
mod ledger;
mod peer;
mod plan;
mod questions;
mod random;
mod reload;
mod scene;
mod streams;
mod tokens;
mod topics;
mod watch;
mod wire;
mod work;
mod world;

use coverage::Coverage;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use watch::{Failure, Trace};

/// Worlds of the everyday run.
const SEEDS: u64 = 10_000;
/// With fewer worlds nobody can expect to have seen everything.
const ENOUGH: u64 = 10_000;
/// After so many failed worlds the rest would tell nothing new.
const ENOUGH_FAILED: u64 = 100;
/// Lines of a trace that are printed.
const TAIL: usize = 120;

#[test]
fn every_world_keeps_the_promises() {
    if let Some(seed) = number("READYWIRE_SEED") {
        replay(seed);
        println!("seed {seed}: every property holds");
        return;
    }
    let seeds = number("READYWIRE_SEEDS").unwrap_or(SEEDS);
    let begun = Instant::now();
    let (coverage, violations) = batch(seeds);
    if let Some(seed) = violations.values().min() {
        for (property, seed) in &violations {
            println!("violated, first by seed {seed}: {property}");
        }
        replay(*seed);
        panic!("seed {seed} failed once and not again: the worlds are not deterministic");
    }
    println!(
        "{seeds} worlds in {:.1} s: {} connections, {} sends, {} steps",
        begun.elapsed().as_secs_f64(),
        coverage.connections,
        coverage.sends,
        coverage.steps
    );
    for (sight, worlds) in coverage.sights() {
        println!("  {worlds:>7} worlds: {}", sight.text());
    }
    if seeds >= ENOUGH {
        let unseen: Vec<&str> =
            coverage.sights().filter(|(_, worlds)| *worlds == 0).map(|(sight, _)| sight.text()).collect();
        assert!(unseen.is_empty(), "never seen in {seeds} worlds: {}", unseen.join(", "));
    }
}

/// Runs seeds 0 to `seeds` on every core; gives the lowest seed for each property that was violated.
fn batch(seeds: u64) -> (Coverage, BTreeMap<String, u64>) {
    let next = AtomicU64::new(0);
    let failed = AtomicU64::new(0);
    let all = Mutex::new((Coverage::new(), BTreeMap::<String, u64>::new()));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                let (mut coverage, mut violations) = (Coverage::new(), Vec::new());
                while failed.load(Ordering::Relaxed) < ENOUGH_FAILED {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        break;
                    }
                    match world(seed, None) {
                        Ok(seen) => coverage.add(&seen),
                        Err(failure) => {
                            failed.fetch_add(1, Ordering::Relaxed);
                            violations.push((failure.property, seed));
                        }
                    }
                }
                let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
                all.0.merge(&coverage);
                for (property, seed) in violations {
                    let lowest = all.1.entry(property).or_insert(seed);
                    *lowest = seed.min(*lowest);
                }
            });
        }
    });
    all.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// A panic of either end is a failure like any other.
fn world(seed: u64, trace: Option<Trace>) -> Result<Coverage, Failure> {
    catch_unwind(AssertUnwindSafe(|| world::run(seed, trace))).unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().cloned();
        let words = words.or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).to_owned()));
        let found = words.unwrap_or_default();
        Err(Failure { property: "nothing panics".to_owned(), found })
    })
}

/// Runs a world with its trace, and panics with the end of that if a property does not hold.
fn replay(seed: u64) {
    let trace = Trace::default();
    let Err(failure) = world(seed, Some(trace.clone())) else { return };
    let trace = trace.borrow();
    let tail = &trace[trace.len().saturating_sub(TAIL)..];
    panic!(
        "seed {seed}: the last {} of {} lines\n{}\n\nviolated: {}\nfound:    {}\nreplay:   READYWIRE_SEED={seed} cargo test \
         -p readywire-protocol --test simulation",
        tail.len(),
        trace.len(),
        tail.join("\n"),
        failure.property,
        failure.found
    );
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")))
}
