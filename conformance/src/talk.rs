//! Lets a client talk to a server. The suite judges each by itself, at its own hands; here the two meet, over a wire
//! that breaks off, and the server goes and comes back.

mod relay;

use crate::credentials::Credentials;
use crate::discover;
use crate::process::Start;
use crate::testee::{Run, Testee};
use readywire_protocol::clause::Level;
use relay::Relay;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};
use tokio::time::timeout_at;

/// How long one thing may take: a server starts within it, and a client comes back.
const PATIENCE: Duration = Duration::from_secs(30);
/// Parts of the answer that is cut in the middle.
const PARTS: u64 = 20;

/// Who talks.
#[derive(Debug)]
pub struct Talk<'a> {
    /// What speaks for the client.
    pub testee: &'a Testee,
    /// How to start the server.
    pub start: &'a Start,
    /// Where its tokens come from.
    pub credentials: &'a Credentials,
    /// How many echoes at a time.
    pub echoes: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Sends that were acknowledged, each once.
    pub acknowledged: u64,
    /// Parts of answers.
    pub parts: u64,
    /// How often the client had to come back.
    pub comebacks: u64,
    /// How long it took.
    pub took: Duration,
}

/// Lets them talk: echoes, a refusal, an answer, cuts, and a server that goes and comes back.
///
/// # Errors
/// What was done, what had to come and what came, or what stood in the way.
pub async fn talk(talk: &Talk<'_>) -> Result<Heard, String> {
    let began = Instant::now();
    let server = talk.start.run(true).await?;
    let mut both = discover::levels(&server.url, talk.credentials).await?;
    let client = talk.testee.hello.levels()?;
    both.retain(|level| client.contains(level));
    let relay = Relay::open(&server.url).await?;
    let mut talking = Talking {
        run: talk.testee.run(),
        both,
        next: 1,
        reports: Reports::default(),
        heard: Heard { acknowledged: 0, parts: 0, comebacks: 0, took: Duration::ZERO },
    };
    talking.connect(&relay.url, &talk.credentials.token("alice").await?, talk.testee)?;
    talking.echo(talk.echoes, "at the first connection").await?;
    talking.refusal().await?;
    talking.answer(&relay).await?;
    relay.cut();
    talking.comes_back().await?;
    talking.echo(talk.echoes, "after a cut").await?;
    server.stop().await;
    relay.cut();
    talking.comes_back().await?;
    let again = talk.start.run(true).await?;
    relay.lead_to(&again.url)?;
    talking.echo(talk.echoes, "after the server came back").await?;
    talking.close().await?;
    again.stop().await;
    Ok(Heard { took: began.elapsed(), ..talking.heard })
}

/// A conversation under way.
struct Talking {
    run: Run,
    /// The levels that both have.
    both: BTreeSet<Level>,
    /// The next handle.
    next: u64,
    reports: Reports,
    heard: Heard,
}

/// What the client has reported so far.
#[derive(Default)]
struct Reports {
    outcomes: BTreeMap<u64, String>,
    /// Parts of answers, by their handle, and how each ended.
    parts: BTreeMap<u64, Vec<Value>>,
    ends: BTreeMap<u64, Option<String>>,
    /// Attempts to connect that were begun.
    attempts: u64,
    closed: Option<Value>,
    doubled: Option<String>,
}

impl Reports {
    fn take(&mut self, report: &Value) {
        let handle = report["handle"].as_u64().unwrap_or_default();
        let text = |name: &str| report[name].as_str().map(str::to_owned);
        match report["on"].as_str() {
            Some("token") => self.attempts += 1,
            Some("outcome") => {
                let outcome = match text("code") {
                    Some(code) => format!("{} {code}", text("outcome").unwrap_or_default()),
                    None => text("outcome").unwrap_or_default(),
                };
                if self.outcomes.insert(handle, outcome).is_some() {
                    self.doubled = Some(report.to_string());
                }
            }
            Some("answer") => {
                if !report["payload"].is_null() {
                    self.parts.entry(handle).or_default().push(report["payload"].clone());
                }
                if report["end"] == true && self.ends.insert(handle, text("error")).is_some() {
                    self.doubled = Some(report.to_string());
                }
            }
            Some("closed") => self.closed = Some(report.clone()),
            _ => {}
        }
    }
}

impl Talking {
    fn connect(&mut self, url: &str, token: &str, testee: &Testee) -> Result<(), String> {
        // Who comes back soon is done soon.
        let soon = [("backoff_first_ms", 10), ("backoff_base_ms", 10), ("backoff_cap_ms", 100)];
        let taken = soon.into_iter().filter(|(name, _)| testee.hello.options.contains(*name));
        let options: Map<String, Value> = taken.map(|(name, time)| (name.to_owned(), json!(time))).collect();
        self.run.order(json!({ "op": "connect", "url": url, "token": token, "options": options }))
    }

    /// Reads reports until `there` finds what it looks for.
    async fn until(&mut self, awaited: &str, there: impl Fn(&Reports) -> bool) -> Result<(), String> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(report) = &self.reports.doubled {
                return Err(format!("expected {awaited}, and each thing once; it was told twice: {report}"));
            }
            if there(&self.reports) {
                return Ok(());
            }
            if let Some(closed) = &self.reports.closed {
                return Err(format!("expected {awaited}; the client is closed: {closed}"));
            }
            let report = match timeout_at(deadline, self.run.reports.recv()).await {
                Ok(Some(report)) => report,
                Ok(None) => return Err(format!("expected {awaited}; the testee is gone")),
                Err(_) => return Err(format!("expected {awaited}; it did not come in {} s", PATIENCE.as_secs())),
            };
            if report["on"] == "trouble" {
                return Err(format!("expected {awaited}; the testee cannot: {}", report["why"]));
            }
            self.reports.take(&report);
        }
    }

    fn handles(&mut self, count: u64) -> RangeInclusive<u64> {
        let first = self.next;
        self.next += count;
        first..=self.next - 1
    }

    /// Many echoes at once: each is acknowledged.
    async fn echo(&mut self, count: u64, when: &str) -> Result<(), String> {
        let handles = self.handles(count);
        for handle in handles.clone() {
            self.run
                .order(json!({ "op": "send", "handle": handle, "event": "echo", "payload": { "number": handle } }))?;
        }
        let (first, last) = (*handles.start(), *handles.end());
        let awaited = format!("{count} outcomes {when}");
        self.until(&awaited, |reports| reports.outcomes.range(first..=last).count() as u64 == count).await?;
        let other =
            handles.into_iter().map(|handle| &self.reports.outcomes[&handle]).find(|one| *one != "acknowledged");
        if let Some(outcome) = other {
            return Err(format!("expected every echo {when} to be acknowledged; one is {outcome}"));
        }
        self.heard.acknowledged += count;
        Ok(())
    }

    /// What the application refuses is told as refused.
    async fn refusal(&mut self) -> Result<(), String> {
        let handle = *self.handles(1).start();
        self.run.order(json!({ "op": "send", "handle": handle, "event": "refuse", "payload": null }))?;
        self.outcome(handle, "refused refused").await
    }

    async fn outcome(&mut self, handle: u64, expected: &str) -> Result<(), String> {
        self.until("an outcome", |reports| reports.outcomes.contains_key(&handle)).await?;
        let actual = &self.reports.outcomes[&handle];
        if actual == expected { Ok(()) } else { Err(format!("expected the outcome `{expected}`; it is `{actual}`")) }
    }

    /// An answer of many parts, with a cut in the middle: they come in order, each once, up to the end.
    async fn answer(&mut self, relay: &Relay) -> Result<(), String> {
        let handle = *self.handles(1).start();
        let payload = json!({ "to": PARTS, "pace_ms": 20 });
        if !self.both.contains(&Level::Answers) {
            // Nobody would ever end such an answer, so the client does not ask for it.
            self.run.order(json!({ "op": "stream", "handle": handle, "event": "count", "payload": payload }))?;
            return self.outcome(handle, "refused unsupported").await;
        }
        self.run.order(json!({ "op": "stream", "handle": handle, "event": "count", "payload": payload }))?;
        let begun = |reports: &Reports| reports.parts.get(&handle).is_some_and(|parts| parts.len() >= 3);
        self.until("three parts of an answer", begun).await?;
        relay.cut();
        self.comes_back().await?;
        self.until("the end of an answer", |reports| reports.ends.contains_key(&handle)).await?;
        let parts = self.reports.parts.get(&handle).cloned().unwrap_or_default();
        let numbers: Vec<Value> = (1..=PARTS).map(Value::from).collect();
        if parts != numbers || self.reports.ends[&handle].is_some() {
            let end = self.reports.ends[&handle].as_deref().unwrap_or("no error");
            return Err(format!("expected the parts 1 to {PARTS} over a cut; there are {}, and {end}", json!(parts)));
        }
        self.heard.parts += PARTS;
        Ok(())
    }

    /// The client has learned that its connection is gone, and tries again.
    async fn comes_back(&mut self) -> Result<(), String> {
        let before = self.reports.attempts;
        self.until("another attempt to connect", |reports| reports.attempts > before).await?;
        self.heard.comebacks += 1;
        Ok(())
    }

    async fn close(&mut self) -> Result<(), String> {
        self.run.order(json!({ "op": "close" }))?;
        self.until("the end of the client", |reports| reports.closed.is_some()).await?;
        match &self.reports.closed {
            Some(closed) if closed["code"] == 1000 => Ok(()),
            closed => Err(format!("expected the client to close with 1000; it says {}", json!(closed))),
        }
    }
}
