//! Each change of stage, in the log and in the counters.

use super::Driver;
use readywire_protocol::stage::Stage;
use tokio::time::Instant;

impl Driver {
    /// One line, and the counters, for each change of stage.
    pub(super) fn step(&mut self, stage: Stage) {
        if stage == self.stage {
            return;
        }
        let spent = self.since.elapsed();
        self.hub.metrics.step(self.stage, stage, spent);
        if stage.is_ready() && !self.stage.is_ready() {
            self.hub.metrics.ready(self.record.age());
        }
        tracing::info!(
            connection = self.core.id(),
            from = %self.stage,
            to = %stage,
            subject = self.claims.as_ref().map(|claims| claims.sub.as_str()),
            spent_ms = u64::try_from(spent.as_millis()).unwrap_or(u64::MAX),
            "stage"
        );
        self.record.step(stage);
        self.stage = stage;
        self.since = Instant::now();
    }
}
