//! What is counted, in Prometheus text.

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
    /// Application frames that came before `ready`, each a violation.
    pub frames_before_ready: Counter,
    /// Messages that reached the application's door.
    pub sends: Counter,
    /// Acks written.
    pub acks: Counter,
    /// Nacks written.
    pub nacks: Counter,
    /// Sessions that ended since their inbox stayed full.
    pub inbox_overflows: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("readywire");
        let metrics = Self {
            connections: Family::default(),
            durations: Family::new_with_constructor(|| {
                Histogram::new([0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 3.0, 10.0, 30.0])
            }),
            failures: Family::default(),
            transitions: Family::default(),
            resumes: Family::default(),
            frames_before_ready: Counter::default(),
            sends: Counter::default(),
            acks: Counter::default(),
            nacks: Counter::default(),
            inbox_overflows: Counter::default(),
            registry: Registry::default(),
        };
        registry.register("connections", "Open connections by stage", metrics.connections.clone());
        registry.register("stage_seconds", "Time spent in a stage before the next", metrics.durations.clone());
        registry.register("stage_failures", "Connections that ended in a stage before ready", metrics.failures.clone());
        registry.register("transitions", "Steps from stage to stage", metrics.transitions.clone());
        registry.register("resumes", "Sessions asked for again", metrics.resumes.clone());
        registry.register(
            "frames_before_ready",
            "Application frames before ready",
            metrics.frames_before_ready.clone(),
        );
        registry.register("sends", "Messages from clients", metrics.sends.clone());
        registry.register("acks", "Acks written", metrics.acks.clone());
        registry.register("nacks", "Nacks written", metrics.nacks.clone());
        registry.register("inbox_overflows", "Sessions ended with a full inbox", metrics.inbox_overflows.clone());
        Self { registry, ..metrics }
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

    /// A client asked for its session.
    pub fn resumed(&self, resumed: bool) {
        let resumed = if resumed { "true" } else { "false" };
        self.resumes.get_or_create(&Resumed { resumed }).inc();
    }

    /// All of it as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
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
        metrics.sends.inc();
        let text = metrics.text();
        for line in [
            "readywire_connections{stage=\"ACCEPTED\"} 0",
            "readywire_connections{stage=\"AUTHENTICATED\"} 1",
            "readywire_transitions_total{from=\"ACCEPTED\",to=\"AUTHENTICATED\"} 1",
            "readywire_stage_failures_total{stage=\"ACCEPTED\",code=\"4101\"} 1",
            "readywire_stage_failures_total{stage=\"ACCEPTED\",code=\"4100\"} 1",
            "readywire_stage_seconds_count{stage=\"ACCEPTED\"} 1",
            "readywire_resumes_total{resumed=\"true\"} 1",
            "readywire_sends_total 1",
            "readywire_frames_before_ready_total 0",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }
}
