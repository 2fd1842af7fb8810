//! How to connect, and how to send.

use crate::credential::{Credential, TokenReason};
use crate::transport::{Task, TaskFn};
use readywire_protocol::client::TokenFailure;
use readywire_protocol::config::{ClientConfig, Window};
use std::fmt;
use std::future::Future;
use std::time::Duration;

pub(crate) type Provider = TaskFn<TokenReason, Result<Credential, TokenFailure>>;

/// How to connect. The defaults are those of the specification.
pub struct Options {
    pub(crate) config: ClientConfig,
    pub(crate) provider: Option<Provider>,
    pub(crate) ready_timeout: Duration,
    pub(crate) close_deadline: Duration,
}

impl Default for Options {
    fn default() -> Self {
        let config = ClientConfig::default();
        let ready_timeout = config.ready_cap;
        Self { config, provider: None, ready_timeout, close_deadline: Duration::from_secs(5) }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let provider = self.provider.is_some();
        formatter
            .debug_struct("Options")
            .field("config", &self.config)
            .field("token", &provider)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks `provider` for a token before each attempt to connect, whatever caused it (clause `token.each_attempt`), and
    /// for a fresh one before the token in force ends, so that a connection outlives it (clause `auth.ahead`).
    ///
    /// A failure is followed by another try, later; [`TokenFailure::fatal`] says that asking again cannot help.
    ///
    /// ```
    /// # use readywire::Options;
    /// let options = Options::new().token(|| async { Ok(std::fs::read_to_string("token")?) });
    /// ```
    pub fn token<P, F>(self, mut provider: P) -> Self
    where
        P: FnMut() -> F + Task + 'static,
        F: Future<Output = Result<String, TokenFailure>> + Task + 'static,
    {
        self.credential(move |_| {
            let token = provider();
            async { token.await.map(Credential::Bearer) }
        })
    }

    /// As [`Options::token`], for providers that want to know what the token is for, or that give tickets.
    ///
    /// ```
    /// # use readywire::{Credential, Options, TokenFailure, TokenReason};
    /// # async fn fetch_ticket() -> Result<String, TokenFailure> { Ok(String::new()) }
    /// let options = Options::new().credential(|reason| async move {
    ///     println!("a ticket to {}", if reason == TokenReason::Connect { "connect" } else { "go on" });
    ///     Ok(Credential::Ticket(fetch_ticket().await?))
    /// });
    /// ```
    pub fn credential<P, F>(mut self, mut provider: P) -> Self
    where
        P: FnMut(TokenReason) -> F + Task + 'static,
        F: Future<Output = Result<Credential, TokenFailure>> + Task + 'static,
    {
        self.provider = Some(Box::new(move |reason| Box::pin(provider(reason))));
        self
    }

    /// Uses one token for every attempt. One that can expire is better given by [`Options::token`].
    pub fn bearer(self, token: impl Into<String>) -> Self {
        let token = token.into();
        self.token(move || std::future::ready(Ok(token.clone())))
    }

    /// What may wait for the server to be ready: messages, bytes of payload, and age (clause `queue.bounds`). By default
    /// 256, 1 MiB and 30 s.
    pub fn queue(mut self, messages: u64, bytes: u64, max_age: Duration) -> Self {
        self.config.queue = Window { messages, bytes };
        self.config.queue_age = max_age;
        self
    }

    /// Bound of the first retry, base and cap of the later ones (clause `backoff.jitter`). By default 500 ms, 500 ms and
    /// 20 s.
    pub fn backoff(mut self, first: Duration, base: Duration, cap: Duration) -> Self {
        self.config.backoff_first = first;
        self.config.backoff_base = base;
        self.config.backoff_cap = cap;
        self
    }

    /// How long the token and the socket may take, per attempt. By default 10 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.config.connect_timeout = timeout;
        self
    }

    /// How long [`connect`](crate::connect) may take in all, however many attempts that is. By default 5 min.
    pub fn ready_timeout(mut self, timeout: Duration) -> Self {
        self.ready_timeout = timeout;
        self
    }

    /// How long [`Client::close`](crate::Client::close) lets sends under way be decided. By default 5 s.
    pub fn close_deadline(mut self, deadline: Duration) -> Self {
        self.close_deadline = deadline;
        self
    }

    /// Whether the hello rides in the upgrade, which saves a round trip (clause `upgrade.hello`). By default it does.
    pub fn hello_in_upgrade(mut self, rides: bool) -> Self {
        self.config.hello_in_upgrade = rides;
        self
    }

    /// Further hosts, by name or address and without a port, to which a server that goes away may send this client, and its
    /// token with it (clause `drain.alternate`). By default only the host of the address that it is given.
    pub fn alternates(mut self, hosts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.config.alternates = hosts.into_iter().map(Into::into).collect();
        self
    }

    /// Every timer and limit of the core, for tests that cannot wait as long as an application should.
    #[doc(hidden)]
    pub fn tuned(mut self, tune: impl FnOnce(&mut ClientConfig)) -> Self {
        tune(&mut self.config);
        self
    }

    /// Name and version that the server's log shows.
    pub fn agent(mut self, name: impl Into<String>, version: impl Into<String>) -> Self {
        self.config.agent = (name.into(), version.into());
        self
    }
}

/// How to send one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SendOptions {
    pub(crate) fail_fast: bool,
    pub(crate) expire_after: Option<Duration>,
    pub(crate) key: Option<String>,
    pub(crate) topic: Option<String>,
}

impl SendOptions {
    /// Wait in the queue until the server is ready, for as long as the queue keeps anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Be refused at once when the server is not ready.
    pub fn fail_fast(mut self) -> Self {
        self.fail_fast = true;
        self
    }

    /// Expire when not written within so long.
    pub fn expire_after(mut self, age: Duration) -> Self {
        self.expire_after = Some(age);
        self
    }

    /// Recognised across sessions, so that the send is repeated after one is lost (clause `send.key`); 64 bytes at most.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }
}
