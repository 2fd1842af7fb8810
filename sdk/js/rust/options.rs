//! What `connect` was told: one JSON object of whole numbers, booleans and names. What is left out has the core's default.

#[cfg(feature = "carry")]
use readywire_protocol::client::Carried;
#[cfg(feature = "existing")]
use readywire_protocol::client::ExistingServer;
use readywire_protocol::config::ClientConfig;
use readywire_protocol::json::Object;
use readywire_protocol::time::Duration;

pub(crate) struct Options {
    pub(crate) config: ClientConfig,
    /// Whether the application wants to see the frames.
    pub(crate) frames: bool,
    pub(crate) how: How,
}

/// What the client begins with.
pub(crate) enum How {
    /// A new session.
    Anew,
    /// The session that another client has left, and the handle and id of each answer that goes on.
    #[cfg(feature = "carry")]
    CarryOn(Carried, Vec<(u64, u64)>),
    /// A server that does not speak the protocol.
    #[cfg(feature = "existing")]
    Existing(ExistingServer),
}

impl How {
    #[cfg_attr(not(any(feature = "carry", feature = "existing")), allow(unused_variables))]
    fn parse(options: &Object<'_>) -> Self {
        #[cfg(feature = "existing")]
        if flag(options, "existing") {
            return Self::Existing(ExistingServer {
                protocols: options.strings("protocols").unwrap_or_default(),
                confirms: flag(options, "confirms"),
            });
        }
        #[cfg(feature = "carry")]
        if let Some(carried) = options.string("carried").ok().flatten().and_then(|text| Carried::parse(&text)) {
            let answers = options.integers("carriedAnswers").unwrap_or_default();
            return Self::CarryOn(carried, answers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect());
        }
        Self::Anew
    }
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
        config.hello_in_upgrade = !flag(&options, "helloAfterUpgrade");
        url.clone_into(&mut config.address);
        config.alternates = options.strings("alternates").unwrap_or_default();
        config.agent.0 = "readywire-js".to_owned();
        config.carried = flag(&options, "carries");
        Self { frames: flag(&options, "frames"), how: How::parse(&options), config }
    }
}

fn flag(options: &Object<'_>, name: &str) -> bool {
    options.boolean(name).unwrap_or_default()
}
