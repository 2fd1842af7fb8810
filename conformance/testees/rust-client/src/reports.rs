//! What the suite is told.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use readywire::{AnswerError, ConnectError, End, Payload, SendError, StateChange};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;

/// Where one run's reports go.
#[derive(Clone)]
pub(crate) struct Reports {
    run: String,
    lines: UnboundedSender<String>,
}

impl Reports {
    pub(crate) fn new(run: &str, lines: UnboundedSender<String>) -> Self {
        Self { run: run.to_owned(), lines }
    }

    pub(crate) fn tell(&self, on: &str, mut report: Value) {
        report["run"] = json!(self.run);
        report["on"] = json!(on);
        let _ = self.lines.send(report.to_string());
    }

    pub(crate) fn trouble(&self, why: &str) {
        self.tell("trouble", json!({ "why": why }));
    }

    pub(crate) fn closed(&self, end: &End) {
        self.tell(
            "closed",
            json!({
                "code": end.code,
                "reason": end.reason,
                "clause": end.clause,
                "stage": end.last_state().name(),
                "pending": end.pending,
                "retryable": ConnectError::Closed(end.clone()).retryable(),
            }),
        );
    }

    pub(crate) fn state(&self, change: &StateChange) {
        self.tell(
            "state",
            json!({
                "state": change.state.name(),
                "pending": change.pending,
                "impaired": change.impaired,
                "attempt": change.attempt,
                "code": change.code,
            }),
        );
    }

    /// What became of a send; `success` is what it is called if nothing is wrong.
    pub(crate) fn outcome<T>(&self, handle: u64, success: &str, result: &Result<T, SendError>) {
        let (outcome, code) = match result {
            Ok(_) => (success, None),
            Err(SendError::NotReady { .. }) => ("refused", Some("not_ready")),
            Err(SendError::Refused { code, .. }) => ("refused", Some(code.as_str())),
            Err(SendError::Expired) => ("expired", None),
            Err(SendError::Unknown { code }) => ("unknown", Some(code.as_str())),
            Err(error) => return self.trouble(&error.to_string()),
        };
        self.tell("outcome", json!({ "handle": handle, "outcome": outcome, "code": code }));
    }

    pub(crate) fn failed(&self, handle: u64, error: &AnswerError) {
        let code = match error {
            AnswerError::Send(error) => return self.outcome::<()>(handle, "", &Err(error.clone())),
            AnswerError::Failed { code, .. } => code,
            AnswerError::SlowConsumer => "slow_consumer",
            AnswerError::Empty => "empty",
            error => return self.trouble(&error.to_string()),
        };
        self.tell("answer", json!({ "handle": handle, "end": true, "error": code }));
    }
}

/// A report with this payload in it.
pub(crate) fn told(payload: &Payload, mut report: Value) -> Value {
    match payload {
        Payload::Json(text) => report["payload"] = serde_json::from_str(text).unwrap_or_default(),
        Payload::Bytes(bytes) => report["payload_base64"] = json!(STANDARD.encode(bytes)),
    }
    report
}
