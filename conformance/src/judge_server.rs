//! Judges a server: plays every case for servers against it, some at a time.

use crate::case::{Case, Step};
use crate::conditions::shared_subjects;
use crate::credentials::Credentials;
use crate::pattern::Kept;
use crate::play::{Peer, play};
use crate::process::Start;
use crate::verdict::{Judged, Verdict};
use futures::StreamExt;
use futures::stream::iter;
use readywire_protocol::clause::Level;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::Mutex;

/// The server, and what it says of itself.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its WebSocket address.
    pub url: String,
    /// How to start another one like it.
    pub start: Option<Start>,
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
    let (alone, together): (Vec<_>, Vec<_>) = cases.into_iter().partition(|case| case.conditions.alone);
    // Each in a task of its own, so that one that is busy does not hold up the clocks of the others.
    let together = iter(queues(together)).map(|cases| tokio::spawn(in_turn(server.clone(), cases)));
    let mut judged = Vec::new();
    let mut streams = together.buffer_unordered(at_a_time(server));
    while let Some(ended) = streams.next().await {
        let ended = ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        ended.iter().for_each(&mut done);
        judged.extend(ended);
    }
    for case in alone {
        let ended = one(server, case).await;
        done(&ended);
        judged.push(ended);
    }
    judged.sort_by(|left, right| (left.case.clause, &left.case.id).cmp(&(right.case.clause, &right.case.id)));
    judged
}

/// How many cases at a time: all of them are the same few subjects, and a case has up to three sessions. Where there
/// are too many, one that is detached for a moment would end.
fn at_a_time(server: &Server) -> usize {
    const USUAL: u64 = 16;
    let sessions = server.settings.get("sessions_per_subject").and_then(Value::as_u64).unwrap_or(USUAL);
    server.jobs.min(usize::try_from(sessions / 4).unwrap_or(usize::MAX)).max(1)
}

/// What may be played side by side: each case by itself, except for those that share a subject's start-up.
fn queues(cases: Vec<Case>) -> Vec<Vec<Case>> {
    let mut shared: BTreeMap<BTreeSet<String>, Vec<Case>> = BTreeMap::new();
    let mut queues = Vec::new();
    for case in cases {
        let subjects = shared_subjects(&case.steps);
        if subjects.is_empty() {
            queues.push(vec![case]);
        } else {
            shared.entry(subjects).or_default().push(case);
        }
    }
    // What waits long begins early; the others fill the time.
    queues.sort_by_key(|cases| std::cmp::Reverse(cases.iter().map(length).max()));
    shared.into_values().chain(queues).collect()
}

/// How long a case may take, compared with others.
fn length(case: &Case) -> (usize, u64) {
    let repeats = case.steps.iter().map(|step| match step {
        Step::Repeat(repeat) => repeat.times.of(&Kept::new()).unwrap_or(1),
        _ => 1,
    });
    (case.conditions.waits_for.len(), repeats.sum())
}

async fn in_turn(server: Server, cases: Vec<Case>) -> Vec<Judged> {
    let mut judged = Vec::new();
    for case in cases {
        judged.push(one(&server, case).await);
    }
    judged
}

async fn one(server: &Server, case: Case) -> Judged {
    if let Some((verdict, reason)) = excused(&case, &server.levels, &server.lacks, &server.settings) {
        return Judged::without(case, verdict, reason);
    }
    let credentials = server.credentials.clone();
    if !case.conditions.own_server {
        let peer = Peer::Server { url: server.url.clone(), credentials, own: None };
        let played = play(&case, peer, &server.settings).await;
        return Judged::of(case, played);
    }
    let Some(start) = &server.start else {
        let reason = "the suite did not start the server, so it cannot stop it".to_owned();
        return Judged::without(case, Verdict::Unsupported, reason);
    };
    match start.run(true).await {
        Err(error) => Judged::without(case, Verdict::NotRun, error),
        Ok(started) => {
            let url = started.url.clone();
            let own = Arc::new(Mutex::new(started));
            let peer = Peer::Server { url, credentials, own: Some(own) };
            let played = play(&case, peer, &server.settings).await;
            Judged::of(case, played)
        }
    }
}

/// Why a case is not played against a peer, if it is not.
pub fn excused(
    case: &Case,
    levels: &BTreeSet<Level>,
    lacks: &BTreeSet<String>,
    settings: &BTreeMap<String, Value>,
) -> Option<(Verdict, String)> {
    let mut needed = [case.needs].into_iter().chain(case.conditions.with);
    if let Some(level) = needed.find(|level| !levels.contains(level)) {
        return Some((Verdict::Unsupported, format!("it does not have the level {}", level.name())));
    }
    if let Some(level) = case.conditions.without.filter(|level| levels.contains(level)) {
        return Some((Verdict::Unsupported, format!("it has the level {}, whose own rules apply", level.name())));
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
