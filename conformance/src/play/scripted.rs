//! What the suite says to a client as its server.

use super::frames::merge;
use super::{Broken, Peer, Play};
use crate::pattern;
use serde_json::{Map, Value, json};

/// How many parts of a stream are written and not read, where `ready` does not say.
pub(super) const DEFAULT_STREAM_MESSAGES: u64 = 64;
/// The same in bytes of payload.
pub(super) const DEFAULT_STREAM_BYTES: u64 = 1_048_576;

/// What the suite knows of the client that it serves.
#[derive(Debug, Default)]
pub(crate) struct Script {
    /// The hello of the latest connection.
    pub(super) hello: Value,
    /// The session that was granted last.
    session: Option<String>,
    sessions: u64,
    grants: u64,
    connections: u64,
    /// How many stages were said on the latest connection.
    stages: usize,
    /// The highest id that was read in the session.
    received: u64,
}

/// The stages before `ready`.
const STAGES: [&str; 3] = ["ACCEPTED", "AUTHENTICATED", "SERVICES_READY"];

impl Script {
    /// A connection was taken in.
    pub(super) fn open(&mut self) {
        self.connections += 1;
        self.stages = 0;
        self.hello = Value::Null;
    }

    pub(super) fn wrote(&mut self, frame: &Value) {
        if frame["type"] == "stage"
            && let Some(at) = STAGES.iter().position(|stage| frame["stage"] == *stage)
        {
            self.stages = at + 1;
        }
    }

    pub(super) fn read(&mut self, frame: &Value) {
        if frame["type"] == "send" {
            self.received = self.received.max(frame["id"].as_u64().unwrap_or_default());
        }
    }

    /// Whether the client speaks this level beyond Core on the latest connection.
    fn speaks(&self, level: &str) -> bool {
        self.hello["capabilities"].as_array().is_some_and(|levels| levels.iter().any(|known| known == level))
    }
}

impl Play {
    /// Says every stage that was not said yet, and `ready`. What the hello asks for is granted; a session that it asks for is resumed, and all that
    /// was read of it has been taken.
    pub(super) async fn say_ready(&mut self, over: &Map<String, Value>) -> Result<(), Broken> {
        self.settle().await?;
        let Peer::Client(run) = &self.peer else {
            return Err(Broken::Impossible("only to a client `ready` is said".to_owned()));
        };
        let capabilities: Vec<&str> = ["resume", "answers", "topics", "refresh", "binary", "streams", "questions"]
            .into_iter()
            .filter(|level| run.has(level) && self.script.speaks(level))
            .collect();
        let mut ready = json!({
            "type": "ready",
            "limits": { "max_message_bytes": 1_048_576, "max_in_flight": 64, "max_in_flight_bytes": 1_048_576 },
            "heartbeat": { "interval_ms": 20_000, "timeout_ms": 10_000 },
            "capabilities": capabilities,
        });
        if capabilities.contains(&"streams") {
            ready["limits"]["stream_messages"] = json!(DEFAULT_STREAM_MESSAGES);
            ready["limits"]["stream_bytes"] = json!(DEFAULT_STREAM_BYTES);
        }
        if capabilities.contains(&"resume") {
            let script = &mut self.script;
            let resumed =
                script.session.is_some() && script.hello["resume"]["session"].as_str() == script.session.as_deref();
            if !resumed {
                script.sessions += 1;
                script.received = 0;
            }
            script.grants += 1;
            ready["session"] = json!({
                "id": format!("session-{}", script.sessions), "token": run.secret(&format!("session-{}", script.grants)),
                "ttl_ms": 120_000, "resumed": resumed, "subject": "alice", "durability": "process",
            });
            ready["received"] = json!(script.received);
        }
        let over = pattern::filled(&Value::Object(over.clone()), &self.kept).map_err(Broken::Impossible)?;
        merge(&mut ready, over);
        self.script.session = ready["session"]["id"].as_str().map(str::to_owned);
        for (name, value) in [("session", &ready["session"]["id"]), ("session_token", &ready["session"]["token"])] {
            self.kept.insert(name.to_owned(), value.clone());
        }
        for (at, stage) in STAGES.iter().enumerate().skip(self.script.stages) {
            let mut news = json!({ "type": "stage", "stage": stage });
            if at == 0 {
                news["connection"] = json!(format!("connection-{}", self.script.connections));
            }
            self.write_frame(&news).await?;
        }
        self.write_frame(&ready).await
    }
}
