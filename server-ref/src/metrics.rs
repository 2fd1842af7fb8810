//! What is counted, in Prometheus text.

use crate::claims::TokenError;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use readywire_protocol::close;
use readywire_protocol::stage::Stage;
use std::time::Duration;

/// A stage as a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AtStage {
    stage: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Transition {
    from: &'static str,
    to: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failed {
    stage: &'static str,
    code: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Resumed {
    resumed: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    check: &'static str,
    code: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Lost {
    because: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Coded {
    code: u32,
}

/// Why the server ended a session that its client had not given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionLoss {
    /// Its inbox stayed full (clause `inbox.bounded`).
    InboxFull,
    /// Three connections in a row ended at the same message (clause `inbox.poisoned`).
    Poisoned,
}

impl SessionLoss {
    const ALL: [Self; 2] = [Self::InboxFull, Self::Poisoned];

    const fn name(self) -> &'static str {
        match self {
            Self::InboxFull => "inbox_full",
            Self::Poisoned => "poisoned",
        }
    }
}

/// The bounds of every histogram of seconds. The alerts ask for what lies above 2.
const SECONDS: [f64; 10] = [0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refreshed {
    outcome: &'static str,
}

/// The type of a metrics response.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Every metric of one server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    connections: Family<AtStage, Gauge>,
    durations: Family<AtStage, Histogram>,
    failures: Family<Failed, Counter>,
    transitions: Family<Transition, Counter>,
    resumes: Family<Resumed, Counter>,
    auth_refusals: Family<Refused, Counter>,
    sessions_lost: Family<Lost, Counter>,
    ends: Family<Coded, Counter>,
    ready: Histogram,
    delivery: Histogram,
    refreshes: Family<Refreshed, Counter>,
    /// Application frames that came before `ready`, each a violation.
    pub frames_before_ready: Counter,
    /// Messages that reached the application's door.
    pub sends: Counter,
    /// Acks written.
    pub acks: Counter,
    /// Nacks written.
    pub nacks: Counter,
    /// Fresh tokens asked for by this server.
    pub refresh_demands: Counter,
    /// Tickets given out.
    pub tickets: Counter,
    /// Topics that are followed, each as often as it is.
    pub subscriptions: Gauge,
    /// Subscriptions that were refused.
    pub subscriptions_refused: Counter,
    /// Publications that were appended.
    pub publications: Counter,
    /// Publications that were written, to each subscriber.
    pub deliveries: Counter,
    /// Subscribers that were told that something is missing, since they lagged too far.
    pub gaps: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("readywire");
        let metrics = Self {
            connections: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            failures: Family::default(),
            transitions: Family::default(),
            resumes: Family::default(),
            auth_refusals: Family::default(),
            sessions_lost: Family::default(),
            ends: Family::default(),
            ready: Histogram::new(SECONDS),
            delivery: Histogram::new(SECONDS),
            refreshes: Family::default(),
            frames_before_ready: Counter::default(),
            sends: Counter::default(),
            acks: Counter::default(),
            nacks: Counter::default(),
            refresh_demands: Counter::default(),
            tickets: Counter::default(),
            subscriptions: Gauge::default(),
            subscriptions_refused: Counter::default(),
            publications: Counter::default(),
            deliveries: Counter::default(),
            gaps: Counter::default(),
            registry: Registry::default(),
        };
        registry.register("connections", "Open connections by stage", metrics.connections.clone());
        registry.register("stage_seconds", "Time spent in a stage before the next", metrics.durations.clone());
        registry.register("stage_failures", "Connections that ended in a stage before ready", metrics.failures.clone());
        registry.register("transitions", "Steps from stage to stage", metrics.transitions.clone());
        registry.register("resumes", "Sessions asked for again", metrics.resumes.clone());
        registry.register("refreshes", "Fresh tokens on living connections, by outcome", metrics.refreshes.clone());
        registry.register("refresh_demands", "Fresh tokens required", metrics.refresh_demands.clone());
        registry.register("tickets", "Tickets given out", metrics.tickets.clone());
        registry.register(
            "frames_before_ready",
            "Application frames before ready",
            metrics.frames_before_ready.clone(),
        );
        registry.register("sends", "Messages from clients", metrics.sends.clone());
        registry.register("acks", "Acks written", metrics.acks.clone());
        registry.register("nacks", "Nacks written", metrics.nacks.clone());
        registry.register(
            "auth_refusals",
            "Tokens that were refused, by the check that failed",
            metrics.auth_refusals.clone(),
        );
        registry.register(
            "sessions_lost",
            "Sessions that the server ended and the client had not",
            metrics.sessions_lost.clone(),
        );
        registry.register("ends", "Connections that ended after they had been ready", metrics.ends.clone());
        registry.register("ready_seconds", "Time from ACCEPTED to ready", metrics.ready.clone());
        registry.register(
            "delivery_seconds",
            "Time from the append to the inbox of a connected session until its client has taken the message",
            metrics.delivery.clone(),
        );
        registry.register("subscriptions", "Topics that are followed", metrics.subscriptions.clone());
        let refused = metrics.subscriptions_refused.clone();
        registry.register("subscriptions_refused", "Subscriptions that were refused", refused);
        registry.register("publications", "Publications appended to topics", metrics.publications.clone());
        registry.register("deliveries", "Publications written, to each subscriber", metrics.deliveries.clone());
        registry.register("topic_gaps", "Subscribers that lagged too far", metrics.gaps.clone());
        let metrics = Self { registry, ..metrics };
        metrics.begin_at_zero();
        metrics
    }
}

impl Metrics {
    /// A connection went from one stage to the next, after `spent` in the first.
    pub fn step(&self, from: Stage, to: Stage, spent: Duration) {
        if from != Stage::Connecting {
            self.connections.get_or_create(&AtStage { stage: from.name() }).dec();
        }
        if to != Stage::Closed {
            self.connections.get_or_create(&AtStage { stage: to.name() }).inc();
        }
        self.transitions.get_or_create(&Transition { from: from.name(), to: to.name() }).inc();
        // Nothing is spent CONNECTING here: it is the client's own stage.
        if from != Stage::Connecting {
            self.durations.get_or_create(&AtStage { stage: from.name() }).observe(spent.as_secs_f64());
        }
    }

    /// A connection ended at a stage before it was ready.
    pub fn failed(&self, stage: Stage, code: u16) {
        self.failures.get_or_create(&Failed { stage: stage.name(), code: bounded(code) }).inc();
    }

    /// What alerts look at is there from the start: a counter that appears with its first event has not risen.
    fn begin_at_zero(&self) {
        for error in TokenError::each() {
            drop(self.auth_refusals.get_or_create(&refused(&error)));
        }
        for loss in SessionLoss::ALL {
            drop(self.sessions_lost.get_or_create(&Lost { because: loss.name() }));
        }
        for resumed in ["true", "false"] {
            drop(self.resumes.get_or_create(&Resumed { resumed }));
        }
        use Stage::{Accepted, Authenticated, Closed, Connecting, Degraded, ProcessingReady, ServicesReady};
        for (from, to) in [
            (Connecting, Accepted),
            (Accepted, Authenticated),
            (Authenticated, ServicesReady),
            (ServicesReady, ProcessingReady),
            (ServicesReady, Degraded),
            (Accepted, Closed),
            (Authenticated, Closed),
            (ServicesReady, Closed),
        ] {
            drop(self.transitions.get_or_create(&Transition { from: from.name(), to: to.name() }));
        }
        for stage in [Accepted, Authenticated, ServicesReady, ProcessingReady, Degraded] {
            drop(self.connections.get_or_create(&AtStage { stage: stage.name() }));
        }
    }

    /// A token was refused.
    pub fn auth_refused(&self, error: &TokenError) {
        self.auth_refusals.get_or_create(&refused(error)).inc();
    }

    /// A session ended that its client had not given up.
    pub fn session_lost(&self, loss: SessionLoss) {
        self.sessions_lost.get_or_create(&Lost { because: loss.name() }).inc();
    }

    /// A connection ended that had been ready.
    pub fn ended(&self, code: u16) {
        self.ends.get_or_create(&Coded { code: bounded(code) }).inc();
    }

    /// A connection became ready, so long after it was accepted.
    pub fn ready(&self, after: Duration) {
        self.ready.observe(after.as_secs_f64());
    }

    /// A client has taken a message, so long after it could have come.
    pub fn delivered(&self, after: Duration) {
        self.delivery.observe(after.as_secs_f64());
    }

    /// A client asked for its session.
    pub fn resumed(&self, resumed: bool) {
        let resumed = if resumed { "true" } else { "false" };
        self.resumes.get_or_create(&Resumed { resumed }).inc();
    }

    /// What became of a fresh token: `accepted`, the code with which it was refused, or `not_in_time`.
    pub fn refreshed(&self, outcome: &'static str) {
        self.refreshes.get_or_create(&Refreshed { outcome }).inc();
    }

    /// All of it as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

fn refused(error: &TokenError) -> Refused {
    Refused { check: error.check(), code: u32::from(error.code()) }
}

/// The code, or the start of its range: a client chooses its own when it leaves, and each would be a series of its own.
fn bounded(code: u16) -> u32 {
    let known = (1000..1016).contains(&code) || close::CODES.iter().any(|(known, _)| *known == code);
    match code {
        code if known => u32::from(code),
        4000..5000 => u32::from(code / 100 * 100),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_what_happened() {
        let metrics = Metrics::default();
        metrics.step(Stage::Connecting, Stage::Accepted, Duration::ZERO);
        metrics.step(Stage::Accepted, Stage::Authenticated, Duration::from_millis(2));
        metrics.failed(Stage::Accepted, 4101);
        metrics.failed(Stage::Accepted, 4177);
        metrics.resumed(true);
        metrics.auth_refused(&TokenError::Claim("sub".to_owned()));
        metrics.session_lost(SessionLoss::Poisoned);
        metrics.sends.inc();
        metrics.refreshed("accepted");
        let text = metrics.text();
        for line in [
            "readywire_connections{stage=\"ACCEPTED\"} 0",
            "readywire_connections{stage=\"AUTHENTICATED\"} 1",
            "readywire_transitions_total{from=\"ACCEPTED\",to=\"AUTHENTICATED\"} 1",
            "readywire_stage_failures_total{stage=\"ACCEPTED\",code=\"4101\"} 1",
            "readywire_stage_failures_total{stage=\"ACCEPTED\",code=\"4100\"} 1",
            "readywire_stage_seconds_count{stage=\"ACCEPTED\"} 1",
            "readywire_resumes_total{resumed=\"true\"} 1",
            "readywire_auth_refusals_total{check=\"sub\",code=\"4104\"} 1",
            "readywire_auth_refusals_total{check=\"aud\",code=\"4104\"} 0",
            "readywire_sessions_lost_total{because=\"poisoned\"} 1",
            "readywire_sessions_lost_total{because=\"inbox_full\"} 0",
            "readywire_sends_total 1",
            "readywire_refreshes_total{outcome=\"accepted\"} 1",
            "readywire_refresh_demands_total 0",
            "readywire_frames_before_ready_total 0",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }
}
