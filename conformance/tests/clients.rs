//! The suite judges clients: the Rust SDK keeps every rule, and who does nothing keeps none.

use readywire_conformance::case::{self, Case};
use readywire_conformance::catalogue;
use readywire_conformance::judge_client::{Client, judge};
use readywire_conformance::report::text;
use readywire_conformance::testee::{Testee, process};
use readywire_conformance::verdict::{Judged, Verdict};
use readywire_protocol::clause::{Level, Side};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::mpsc;

fn cases() -> Vec<Case> {
    let mut cases = catalogue::built_in().expect("cases");
    cases.retain(|case| case.side == Side::Client);
    cases
}

async fn judged(testee: Testee, levels: BTreeSet<Level>, patience: Duration) -> Vec<Judged> {
    let client = Client { testee, levels, lacks: BTreeSet::new(), jobs: 64, patience };
    judge(&client, cases(), |_| {}).await
}

async fn rust_client() -> Testee {
    let (orders, waiting) = mpsc::unbounded_channel();
    let (reports, lines) = mpsc::unbounded_channel();
    readywire_testee::report_logs(reports.clone());
    tokio::spawn(readywire_testee::serve(waiting, reports));
    Testee::over(orders, lines).await.expect("the Rust client says hello")
}

fn problems<'a>(judged: impl IntoIterator<Item = &'a Judged>) -> String {
    judged.into_iter().map(text::problem).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rust_client_passes_every_case() {
    let testee = rust_client().await;
    let levels = testee.hello.levels().expect("levels");
    let judged = judged(testee, levels, Duration::from_secs(20)).await;
    let wrong = judged.iter().filter(|one| !matches!(one.verdict, Verdict::Pass | Verdict::Unsupported));
    assert_eq!(problems(wrong), "");
    let excused: BTreeSet<&str> = judged.iter().filter_map(|one| one.reason.as_deref()).collect();
    assert_eq!(excused, BTreeSet::from(["it lacks `early_client`", "it lacks `write_behind_the_end`"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_of_core_ask_for_nothing_beyond_it() {
    let judged = judged(rust_client().await, BTreeSet::from([Level::Core]), Duration::from_secs(20)).await;
    let wrong = judged.iter().filter(|one| !matches!(one.verdict, Verdict::Pass | Verdict::Unsupported));
    assert_eq!(problems(wrong), "");
    assert!(judged.iter().filter(|one| one.verdict == Verdict::Pass).count() > 250);
}

/// A client that never connects. It takes every order, or says that it does not know it.
async fn idle_client(knows: bool) -> Testee {
    let (orders, mut waiting) = mpsc::unbounded_channel::<String>();
    let (reports, lines) = mpsc::unbounded_channel();
    // It takes every option, so that no case waits for a timer of the specification's.
    let mut options: BTreeSet<String> =
        cases().into_iter().flat_map(|case| case.options).map(|(name, _)| name).collect();
    options.extend(["backoff_first_ms", "backoff_base_ms", "backoff_cap_ms"].map(str::to_owned));
    let hello = json!({ "on": "hello", "name": "idle", "levels": ["resume", "answers"], "options": options });
    reports.send(hello.to_string()).expect("the suite listens");
    tokio::spawn(async move {
        while let Some(order) = waiting.recv().await {
            let order: Value = serde_json::from_str(&order).expect("an order");
            if order["op"] == "sync" {
                let _ = reports.send(json!({ "run": order["run"], "on": "synced" }).to_string());
            } else if !knows {
                let why = format!("no {} yet", order["op"].as_str().unwrap_or_default());
                let _ = reports.send(json!({ "run": order["run"], "on": "trouble", "why": why }).to_string());
            }
        }
    });
    Testee::over(orders, lines).await.expect("the idle client says hello")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_case_passes_with_a_client_that_does_nothing() {
    let testee = idle_client(true).await;
    let levels = testee.hello.levels().expect("levels");
    let judged = judged(testee, levels, Duration::from_millis(200)).await;
    let passed: Vec<&str> =
        judged.iter().filter(|one| one.verdict == Verdict::Pass).map(|one| one.case.id.as_str()).collect();
    assert_eq!(passed, [""; 0]);
    let not_run = judged.iter().filter(|one| one.verdict == Verdict::NotRun);
    assert_eq!(problems(not_run), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_testee_does_not_know_yet_is_no_failure_of_the_client() {
    let testee = idle_client(false).await;
    let levels = testee.hello.levels().expect("levels");
    let judged = judged(testee, levels, Duration::from_millis(200)).await;
    let played: Vec<&Judged> = judged.iter().filter(|one| one.verdict != Verdict::Unsupported).collect();
    assert!(played.len() > 300, "{}", played.len());
    for one in played {
        assert_eq!(one.verdict, Verdict::NotRun, "{}", text::problem(one));
        let reason = one.reason.as_deref().unwrap_or_default();
        assert!(reason.starts_with("the testee cannot: no ") && reason.ends_with(" yet"), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_tells_what_came_nearest_and_what_was_not_waited_for() {
    let cases = r#"
        [[case]]
        id = "close.range/nearly"
        does = "Waits for an end that comes otherwise."
        steps = [{ order = { op = "connect" } }, { observe = { on = "closed", code = 4001, stage = "${each}" } }]
        [case.each]
        once = "ready"

        [[case]]
        id = "close.range/unheard"
        does = "Waits for a connection, while a report comes."
        steps = [{ order = { op = "connect" } }, { accept = {} }]
    "#;
    let (orders, mut waiting) = mpsc::unbounded_channel::<String>();
    let (reports, lines) = mpsc::unbounded_channel();
    // It takes the backoff, for which the suite would wait otherwise.
    let options = ["backoff_first_ms", "backoff_base_ms", "backoff_cap_ms"];
    reports.send(json!({ "on": "hello", "name": "brief", "options": options }).to_string()).expect("the suite listens");
    tokio::spawn(async move {
        while let Some(order) = waiting.recv().await {
            let order: Value = serde_json::from_str(&order).expect("an order");
            let report = match order["op"].as_str() {
                Some("connect") => json!({ "run": order["run"], "on": "closed", "code": 4001, "stage": "accepted" }),
                Some("sync") => json!({ "run": order["run"], "on": "synced" }),
                _ => continue,
            };
            let _ = reports.send(report.to_string());
        }
    });
    let testee = Testee::over(orders, lines).await.expect("it says hello");
    let levels = BTreeSet::from([Level::Core]);
    let patience = Duration::from_millis(200);
    let client = Client { testee, levels, lacks: BTreeSet::new(), jobs: 1, patience };
    let judged = judge(&client, case::parse(cases, Side::Client).expect("cases"), |_| {}).await;
    let [nearly, unheard] = [0, 1].map(|index| text::problem(&judged[index]));
    for said in [
        r#"(stage is "accepted", expected "ready")"#,
        r#"expected  a report {"code":4001,"on":"closed","stage":"ready"}"#,
    ] {
        assert!(nearly.contains(said), "{said}: {nearly}");
    }
    let told = unheard.split_once("(reported before that, and not waited for)").expect("a remark").1;
    assert!(told.contains(r#""on":"closed""#), "{unheard}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_program_that_ends_leaves_cases_that_were_not_run() {
    let hello = r#"{"on":"hello","name":"brief","options":[]}"#;
    let words = ["sh", "-c", &format!("echo not for the suite; echo '{hello}'; read order; echo \"$order\" >&2")];
    let (testee, program) = process::start(&words.map(str::to_owned)).await.expect("sh");
    assert_eq!(testee.hello.name, "brief");
    let client = Client {
        testee,
        levels: BTreeSet::from([Level::Core]),
        lacks: BTreeSet::new(),
        jobs: 1,
        patience: Duration::from_secs(20),
    };
    let chosen = cases().into_iter().filter(|case| case.id.starts_with("ready.once/")).collect();
    let judged = judge(&client, chosen, |_| {}).await;
    let verdicts: BTreeSet<Verdict> = judged.iter().map(|one| one.verdict).collect();
    assert_eq!(verdicts, BTreeSet::from([Verdict::NotRun]), "{}", problems(&judged));
    program.stop(client.testee).await;
}
