//! How long a client waits, and for how much: the same choices whatever its server speaks.

use readywire_protocol::config::ClientConfig;
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Limits {
    pub(crate) config: ClientConfig,
    pub(crate) ready_timeout: Duration,
    pub(crate) close_deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let config = ClientConfig::default();
        let ready_timeout = config.ready_cap;
        Self { config, ready_timeout, close_deadline: Duration::from_secs(5) }
    }
}

/// The methods by which options with a field `limits` let them be chosen.
macro_rules! limits {
    () => {
        /// What may wait for the server to be ready: messages, bytes of payload, and age (clause `queue.bounds`). A page of
        /// what a topic has had is waited for as long (clause `history.timeout`). By default 256, 1 MiB and 30 s.
        pub fn queue(mut self, messages: u64, bytes: u64, max_age: Duration) -> Self {
            self.limits.config.queue = readywire_protocol::config::Window { messages, bytes };
            self.limits.config.queue_age = max_age;
            self
        }

        /// Bound of the first retry, base and cap of the later ones (clause `backoff.jitter`). By default 500 ms, 500 ms
        /// and 20 s.
        pub fn backoff(mut self, first: Duration, base: Duration, cap: Duration) -> Self {
            self.limits.config.backoff_first = first;
            self.limits.config.backoff_base = base;
            self.limits.config.backoff_cap = cap;
            self
        }

        /// How long the token, or the opening messages, and the socket may take, per attempt. By default 10 s.
        pub fn connect_timeout(mut self, timeout: Duration) -> Self {
            self.limits.config.connect_timeout = timeout;
            self
        }

        /// How long `connect` may take in all, however many attempts that is. By default 5 min.
        pub fn ready_timeout(mut self, timeout: Duration) -> Self {
            self.limits.ready_timeout = timeout;
            self
        }

        /// How long `close` lets what is under way come to its end. By default 5 s.
        pub fn close_deadline(mut self, deadline: Duration) -> Self {
            self.limits.close_deadline = deadline;
            self
        }

        /// Every timer and limit of the core, for tests that cannot wait as long as an application should.
        #[doc(hidden)]
        pub fn tuned(mut self, tune: impl FnOnce(&mut readywire_protocol::config::ClientConfig)) -> Self {
            tune(&mut self.limits.config);
            self
        }
    };
}
pub(crate) use limits;
