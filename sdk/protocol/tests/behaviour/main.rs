//! What a client does with sends and answers: the queue, the window, outcomes, re-offers, resumes, lost sessions,
//! handovers.

#[allow(dead_code)] // Each layer of the tests uses its part.
#[path = "../drivers/frames.rs"]
mod frames;
#[allow(dead_code)]
#[path = "../drivers/near.rs"]
mod near;

mod answers;
mod cancel;
mod carried;
mod handover;
mod history;
mod lost;
mod outcome;
mod questions;
mod queue;
mod refresh;
mod reoffer;
mod resume;
mod states;
mod streams;
mod subject;
mod topics;
mod window;

use near::{Near, named};
use readywire_protocol::client::SendOptions;

fn keyed(key: &str) -> SendOptions {
    SendOptions { key: Some(key.to_owned()), ..SendOptions::default() }
}

fn answered() -> SendOptions {
    SendOptions { answer: true, ..SendOptions::default() }
}

/// The outcomes that were told since the last look.
fn outcomes(near: &mut Near) -> Vec<(u64, String)> {
    near.outcomes().iter().map(|(handle, outcome)| (*handle, named(outcome))).collect()
}

fn outcome(handle: u64, outcome: &str) -> (u64, String) {
    (handle, outcome.to_owned())
}
