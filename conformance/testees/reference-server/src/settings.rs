//! The timers and limits that the suite asks for, from the environment.

use readywire_protocol::config::ServerConfig;
use serde::Deserialize;
use std::time::Duration;

/// Where the suite puts them.
const VARIABLE: &str = "READYWIRE_CONFORMANCE";

/// What the suite asks for, by the names of the contract; what this server cannot set it does not name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Settings {
    hello_timeout_ms: Option<u64>,
    ready_timeout_ms: Option<u64>,
    heartbeat_interval_ms: Option<u64>,
    heartbeat_timeout_ms: Option<u64>,
    session_ttl_ms: Option<u64>,
    sessions_per_subject: Option<usize>,
    streams: Option<usize>,
    subscriptions: Option<usize>,
    pub(crate) preauth_connections: Option<usize>,
}

impl Settings {
    /// Reads them; without the variable, none is asked for.
    pub(crate) fn of_environment() -> Result<Self, String> {
        match std::env::var(VARIABLE) {
            Ok(text) => serde_json::from_str(&text).map_err(|error| format!("{VARIABLE}: {error}")),
            Err(_) => Ok(Self::default()),
        }
    }

    /// With these in place of those of `config`.
    pub(crate) fn config(&self, mut config: ServerConfig) -> ServerConfig {
        let set = |duration: &mut Duration, asked: Option<u64>| {
            if let Some(milliseconds) = asked {
                *duration = Duration::from_millis(milliseconds);
            }
        };
        set(&mut config.hello_timeout, self.hello_timeout_ms);
        set(&mut config.ready_timeout, self.ready_timeout_ms);
        set(&mut config.ping_interval, self.heartbeat_interval_ms);
        set(&mut config.ping_timeout, self.heartbeat_timeout_ms);
        set(&mut config.session_ttl, self.session_ttl_ms);
        config.sessions_per_subject = self.sessions_per_subject.unwrap_or(config.sessions_per_subject);
        config.streams = self.streams.unwrap_or(config.streams);
        config.subscriptions = self.subscriptions.unwrap_or(config.subscriptions);
        config
    }
}
