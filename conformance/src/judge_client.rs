//! Judges a client: plays every case for clients with it, many at a time.

use crate::case::Case;
use crate::judge_server::excused;
use crate::play::{Peer, play};
use crate::testee::Testee;
use crate::verdict::{Judged, Verdict};
use futures::StreamExt;
use readywire_protocol::clause::Level;
use readywire_protocol::config::ClientConfig;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The client, and what is left out.
#[derive(Debug)]
pub struct Client {
    /// What speaks for it.
    pub testee: Testee,
    /// The levels that are offered to it.
    pub levels: BTreeSet<Level>,
    /// Parts of the contract that it lacks, besides those that the testee names.
    pub lacks: BTreeSet<String>,
    /// How many cases at a time.
    pub jobs: usize,
    /// How long it may take for the next thing, its own timers aside.
    pub patience: Duration,
}

/// Plays the cases; `done` hears of each as it ends.
pub async fn judge(client: &Client, cases: Vec<Case>, mut done: impl FnMut(&Judged)) -> Vec<Judged> {
    let mut planned: Vec<(Case, Plan)> = cases.into_iter().map(|case| (plan(client, &case), case)).map(swap).collect();
    // Those that have to wait for long timers begin first, so that the others fill the time.
    planned.sort_by_key(|(_, plan)| std::cmp::Reverse(plan.slowness));
    let mut judged: Vec<Judged> = futures::stream::iter(planned)
        .map(|(case, plan)| one(client, case, plan))
        .buffer_unordered(client.jobs.max(1))
        .inspect(|one| done(one))
        .collect()
        .await;
    judged.sort_by(|left, right| (left.case.clause, &left.case.id).cmp(&(right.case.clause, &right.case.id)));
    judged
}

fn swap((plan, case): (Plan, Case)) -> (Case, Plan) {
    (case, plan)
}

async fn one(client: &Client, case: Case, plan: Plan) -> Judged {
    let mut lacks = client.lacks.clone();
    lacks.extend(client.testee.hello.lacks.iter().cloned());
    // What a testee does not declare to take, it cannot be given.
    lacks.extend(case.settings.iter().filter(|name| !plan.given.contains_key(*name)).cloned());
    let given = plan.given.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    if let Some((verdict, reason)) = excused(&case, &client.levels, &lacks, &given) {
        return Judged::without(case, verdict, reason);
    }
    if let Some(name) = case.settings.iter().find(|name| !case.options.contains_key(*name)) {
        let reason = format!("the case needs `{name}`, and does not say what it is to be");
        return Judged::without(case, Verdict::NotRun, reason);
    }
    if client.testee.is_gone() {
        return Judged::without(case, Verdict::NotRun, "the testee has ended".to_owned());
    }
    let mut run = client.testee.run();
    run.options = plan.given;
    run.levels.clone_from(&client.levels);
    // Where it is not what a case is about, bytes are what nobody agreed to.
    run.levels.retain(|level| *level != Level::Binary || case.needs == Level::Binary);
    run.patience = client.patience + plan.slowness;
    let played = play(&case, Peer::Client(Box::new(run)), &plan.known).await;
    Judged::of(case, played)
}

/// What a client is made with for a case.
struct Plan {
    /// What it is told.
    given: Map<String, Value>,
    /// What holds for it then, told or not.
    known: BTreeMap<String, Value>,
    /// What it waits for longer than others, since it could not be told to wait less.
    slowness: Duration,
}

fn plan(client: &Client, case: &Case) -> Plan {
    // A client that reconnects soon is judged soon.
    let mut wanted = Map::from_iter([
        ("backoff_first_ms".to_owned(), json!(10)),
        ("backoff_base_ms".to_owned(), json!(10)),
        ("backoff_cap_ms".to_owned(), json!(100)),
    ]);
    wanted.extend(case.options.clone());
    let defaults = defaults();
    let taken = &client.testee.hello.options;
    let mut plan = Plan { given: Map::new(), known: defaults.clone(), slowness: Duration::ZERO };
    for (name, value) in wanted {
        if taken.contains(&name) {
            plan.known.insert(name.clone(), value.clone());
            plan.given.insert(name, value);
        } else if let Some(default) = defaults.get(&name).and_then(Value::as_u64)
            && name.ends_with("_ms")
        {
            plan.slowness += Duration::from_millis(default);
        }
    }
    plan
}

/// What the specification says a client's options are.
fn defaults() -> BTreeMap<String, Value> {
    let config = ClientConfig::default();
    let milliseconds = |time: Duration| json!(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    [
        ("connect_timeout_ms", milliseconds(config.connect_timeout)),
        ("stage_timeout_ms", milliseconds(config.stage_timeout)),
        ("stage_grace_ms", milliseconds(config.stage_grace)),
        ("ready_cap_ms", milliseconds(config.ready_cap)),
        ("queue_messages", json!(config.queue.messages)),
        ("queue_bytes", json!(config.queue.bytes)),
        ("queue_age_ms", milliseconds(config.queue_age)),
        ("window_messages", json!(config.window.messages)),
        ("window_bytes", json!(config.window.bytes)),
        ("progress_timeout_ms", milliseconds(config.progress_timeout)),
        ("probe_timeout_ms", milliseconds(config.probe_timeout)),
        ("taken_delay_ms", milliseconds(config.taken_delay)),
        ("refresh_ahead_ms", milliseconds(config.refresh_ahead)),
        ("refresh_timeout_ms", milliseconds(config.refresh_timeout)),
        ("refresh_pause_ms", milliseconds(config.refresh_pause)),
        ("backoff_first_ms", milliseconds(config.backoff_first)),
        ("backoff_base_ms", milliseconds(config.backoff_base)),
        ("backoff_cap_ms", milliseconds(config.backoff_cap)),
        ("stable_after_ms", milliseconds(config.stable_after)),
        ("retry_after_cap_ms", milliseconds(config.retry_after_cap)),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}
