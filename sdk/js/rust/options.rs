//! What `connect` was told: one JSON object of whole numbers and booleans. What is left out has the core's default.

use readywire_protocol::config::ClientConfig;
use readywire_protocol::json::Object;
use readywire_protocol::time::Duration;

pub(crate) struct Options {
    pub(crate) config: ClientConfig,
    /// Whether the application wants to see the frames.
    pub(crate) frames: bool,
}

impl Options {
    pub(crate) fn parse(json: &str) -> Self {
        let options = Object::parse(json).unwrap_or_default();
        let mut config = ClientConfig::default();
        let integer = |name| options.integer(name).ok().flatten();
        let whole = |name, field: &mut u64| *field = integer(name).unwrap_or(*field);
        whole("queueMessages", &mut config.queue.messages);
        whole("queueBytes", &mut config.queue.bytes);
        let time = |name, field: &mut Duration| *field = integer(name).map_or(*field, Duration::from_millis);
        time("queueMaxAgeMs", &mut config.queue_age);
        time("backoffFirstMs", &mut config.backoff_first);
        time("backoffBaseMs", &mut config.backoff_base);
        time("backoffCapMs", &mut config.backoff_cap);
        time("connectTimeoutMs", &mut config.connect_timeout);
        let flag = |name| options.boolean(name).unwrap_or_default();
        config.hello_in_upgrade = !flag("helloAfterUpgrade");
        config.agent.0 = "readywire-js".to_owned();
        Self { config, frames: flag("frames") }
    }
}
