//! What a client under test is told to do, and what it reports.

use super::frames::merge;
use super::waiting::Source;
use super::{Broken, Peer, Play};
use crate::log::Origin;
use crate::pattern;
use serde_json::{Value, json};
use std::time::Instant;
use tokio::time::timeout_at;

impl Play {
    pub(super) fn order(&mut self, order: &Value) -> Result<(), Broken> {
        let order = pattern::filled(order, &self.kept).map_err(Broken::Impossible)?;
        let Peer::Client(run) = &self.peer else { return Err(not_a_client("order")) };
        self.ordered = order["op"] != "connect" && order["op"] != "end";
        let order = if order["op"] == "connect" {
            let mut whole =
                json!({ "op": "connect", "url": run.url, "token": self.kept["token"], "options": run.options });
            merge(&mut whole, order);
            whole
        } else {
            order
        };
        let given = run.order(order.clone());
        self.note(Origin::Order, &order.to_string());
        given.map_err(Broken::Impossible)
    }

    pub(super) async fn observe(&mut self, pattern: &Value, never: &[Value]) -> Result<(), Broken> {
        self.wait_for(Source::Testee, &format!("a report {pattern}"), pattern, never).await
    }

    pub(super) async fn observe_all(&mut self, patterns: &[Value]) -> Result<(), Broken> {
        let mut open: Vec<&Value> = patterns.iter().collect();
        while !open.is_empty() {
            let awaited = open.iter().map(|pattern| format!("a report {pattern}")).collect::<Vec<_>>().join(", and ");
            let report = self.report(&awaited).await?;
            let kept = &mut self.kept;
            if let Some(at) = open.iter().position(|pattern| pattern::matches(pattern, Some(&report), kept).is_ok()) {
                open.remove(at);
            }
        }
        Ok(())
    }

    pub(super) fn redacted(&mut self) -> Result<(), Broken> {
        let Peer::Client(run) = &self.peer else { return Err(not_a_client("redacted")) };
        match run.spilled() {
            Some(line) => Err(Broken::failed("no token in what the client says", line)),
            None => Ok(()),
        }
    }

    /// Waits until everything that was ordered has been given to the client.
    pub(super) async fn settle(&mut self) -> Result<(), Broken> {
        if self.ordered { self.sync().await } else { Ok(()) }
    }

    pub(super) async fn sync(&mut self) -> Result<(), Broken> {
        self.order(&json!({ "op": "sync" }))?;
        loop {
            let report = self.next_report("a report that all orders were carried out").await?;
            if report["on"] == "synced" {
                self.ordered = false;
                return Ok(());
            }
            self.unread.push_back(report);
        }
    }

    /// What the testee has reported while the case waited for something else, and whether that explains how it ended: what
    /// the testee cannot do is no failure of the client.
    pub(super) fn unheard(&mut self, broken: Broken) -> Broken {
        let Peer::Client(run) = &mut self.peer else { return broken };
        let reports: Vec<Value> = std::iter::from_fn(|| run.reports.try_recv().ok()).collect();
        if reports.is_empty() {
            return broken;
        }
        self.note(Origin::Suite, "(reported before that, and not waited for)");
        for report in &reports {
            self.note(Origin::Report, &report.to_string());
        }
        match reports.iter().find(|report| report["on"] == "trouble") {
            Some(report) => cannot(report),
            None => broken,
        }
    }

    pub(super) async fn report(&mut self, awaited: &str) -> Result<Value, Broken> {
        match self.unread.pop_front() {
            Some(report) => Ok(report),
            None => self.next_report(awaited).await,
        }
    }

    async fn next_report(&mut self, awaited: &str) -> Result<Value, Broken> {
        self.bury();
        let patience = self.patience;
        let deadline = self.waiting + patience;
        // A client that never stops to report would be listened to for ever.
        let in_time = Instant::now() <= deadline;
        let Peer::Client(run) = &mut self.peer else { return Err(not_a_client("observe")) };
        let report = match timeout_at(deadline.into(), run.reports.recv()).await {
            Ok(Some(report)) if in_time => report,
            Ok(None) => return Err(Broken::Impossible("the testee is gone".to_owned())),
            // One that ended before this case began was not there to say so.
            _ if run.is_gone() => return Err(Broken::Impossible("the testee is gone".to_owned())),
            _ => return Err(Broken::failed(awaited, format!("nothing of it for {} ms", patience.as_millis()))),
        };
        self.note(Origin::Report, &report.to_string());
        if report["on"] == "trouble" {
            return Err(cannot(&report));
        }
        Ok(report)
    }
}

/// The testee has reported trouble.
fn cannot(report: &Value) -> Broken {
    let why = report["why"].as_str().map_or_else(|| report["why"].to_string(), str::to_owned);
    Broken::Impossible(format!("the testee cannot: {why}"))
}

fn not_a_client(step: &str) -> Broken {
    Broken::Impossible(format!("`{step}` is for cases that judge clients"))
}
