//! Judges a server: plays every case for servers against it, some at a time.

use crate::case::Case;
use crate::credentials::Credentials;
use crate::play::{Peer, play};
use crate::verdict::{Judged, Verdict};
use futures::StreamExt;
use readywire_protocol::clause::Level;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The server, and what it says of itself.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its WebSocket address.
    pub url: String,
    /// Where tokens come from.
    pub credentials: Credentials,
    /// The levels that it has.
    pub levels: BTreeSet<Level>,
    /// Parts of the contract that it lacks.
    pub lacks: BTreeSet<String>,
    /// Its timers and limits, by the contract's names.
    pub settings: BTreeMap<String, Value>,
    /// How many cases at a time.
    pub jobs: usize,
}

/// Plays the cases; `done` hears of each as it ends.
pub async fn judge(server: &Server, cases: Vec<Case>, mut done: impl FnMut(&Judged)) -> Vec<Judged> {
    let mut judged: Vec<Judged> = futures::stream::iter(cases)
        .map(|case| one(server, case))
        .buffer_unordered(server.jobs.max(1))
        .inspect(|one| done(one))
        .collect()
        .await;
    judged.sort_by(|left, right| (left.case.clause, &left.case.id).cmp(&(right.case.clause, &right.case.id)));
    judged
}

async fn one(server: &Server, case: Case) -> Judged {
    if let Some((verdict, reason)) = excused(&case, &server.levels, &server.lacks, &server.settings) {
        return Judged::without(case, verdict, reason);
    }
    let peer = Peer::Server { url: server.url.clone(), credentials: server.credentials.clone() };
    let played = play(&case, peer, &server.settings).await;
    Judged::of(case, played)
}

/// Why a case is not played against a peer, if it is not.
pub fn excused(
    case: &Case,
    levels: &BTreeSet<Level>,
    lacks: &BTreeSet<String>,
    settings: &BTreeMap<String, Value>,
) -> Option<(Verdict, String)> {
    if !levels.contains(&case.needs) {
        return Some((Verdict::Unsupported, format!("it does not have the level {}", case.needs.name())));
    }
    if let Some(part) = case.requires.iter().find(|part| lacks.contains(*part)) {
        return Some((Verdict::Unsupported, format!("it lacks `{part}`")));
    }
    let unset = case.settings.iter().find(|name| !settings.contains_key(*name));
    unset.map(|name| {
        if lacks.contains(name) {
            (Verdict::Unsupported, format!("its `{name}` cannot be set"))
        } else {
            (Verdict::NotRun, format!("its `{name}` is not known: give --set {name}=…, or --lacks {name}"))
        }
    })
}
