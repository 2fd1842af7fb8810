//! What `connect` was told: one JSON object of whole numbers, booleans and names. What is left out has the core's default.

use readywire_protocol::client::{Carried, ExistingServer};
use readywire_protocol::config::ClientConfig;
use readywire_protocol::json::Object;
use readywire_protocol::time::Duration;

pub(crate) struct Options {
    pub(crate) config: ClientConfig,
    /// Whether the application wants to see the frames.
    pub(crate) frames: bool,
    /// The session that another client has left, and the handle and id of each answer that goes on.
    pub(crate) carried: Option<(Carried, Vec<(u64, u64)>)>,
    /// How to use a server that does not speak the protocol, if that is the mode.
    pub(crate) existing: Option<ExistingServer>,
}

impl Options {
    pub(crate) fn parse(url: &str, json: &str) -> Self {
        let options = Object::parse(json).unwrap_or_default();
        let mut config = ClientConfig::default();
        for (name, field) in [("queueMessages", &mut config.queue.messages), ("queueBytes", &mut config.queue.bytes)] {
            if let Ok(Some(value)) = options.integer(name) {
                *field = value;
            }
        }
        for (name, field) in [
            ("queueMaxAgeMs", &mut config.queue_age),
            ("backoffFirstMs", &mut config.backoff_first),
            ("backoffBaseMs", &mut config.backoff_base),
            ("backoffCapMs", &mut config.backoff_cap),
            ("connectTimeoutMs", &mut config.connect_timeout),
            ("readyMessageTimeoutMs", &mut config.stage_timeout),
        ] {
            if let Ok(Some(value)) = options.integer(name) {
                *field = Duration::from_millis(value);
            }
        }
        let flag = |name| options.boolean(name).unwrap_or_default();
        config.hello_in_upgrade = !flag("helloAfterUpgrade");
        url.clone_into(&mut config.address);
        config.alternates = options.strings("alternates").unwrap_or_default();
        config.agent.0 = "readywire-js".to_owned();
        config.carried = flag("carries");
        let answers = options.integers("carriedAnswers").unwrap_or_default();
        let answers = answers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        let carried = options.string("carried").ok().flatten().and_then(|text| Carried::parse(&text));
        let existing = flag("existing").then(|| ExistingServer {
            protocols: options.strings("protocols").unwrap_or_default(),
            confirms: flag("confirms"),
        });
        Self { frames: flag("frames"), carried: carried.map(|carried| (carried, answers)), existing, config }
    }
}
