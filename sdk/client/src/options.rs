//! How to connect, and how to send.

use crate::client::Line;
use crate::credential::{Credential, TokenReason};
use crate::limits::{Limits, limits};
use crate::question::Questions;
use crate::transport::{Task, TaskFn};
use readywire_protocol::client::{SendOptions as CoreOptions, TokenFailure};
use std::fmt;
use std::future::Future;
use std::time::Duration;

pub(crate) type Provider = TaskFn<TokenReason, Result<Credential, TokenFailure>>;

/// How to connect. The defaults are those of the specification.
#[derive(Default)]
pub struct Options {
    pub(crate) limits: Limits,
    pub(crate) provider: Option<Provider>,
    /// What is given to it waits, and is taken in before the first attempt to connect.
    pub(crate) line: Line,
}

impl fmt::Debug for Options {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let provider = self.provider.is_some();
        formatter
            .debug_struct("Options")
            .field("limits", &self.limits)
            .field("token", &provider)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    limits!();

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

    /// The questions of this event that the server asks, from the very first: it may ask as soon as it is ready, and what
    /// comes before there is a reader is answered with `unhandled`. As [`Client::questions`](crate::Client::questions), but in
    /// place before anything can come. They end when the client does, or if it never comes to be.
    ///
    /// ```
    /// # use readywire::Options;
    /// let mut options = Options::new().bearer("token");
    /// let questions = options.questions("confirm");
    /// ```
    pub fn questions(&mut self, event: &str) -> Questions {
        self.line.link.questions(event)
    }

    /// Whether the hello rides in the upgrade, which saves a round trip (clause `upgrade.hello`). By default it does.
    pub fn hello_in_upgrade(mut self, rides: bool) -> Self {
        self.limits.config.hello_in_upgrade = rides;
        self
    }

    /// Further hosts, by name or address and without a port, to which a server that goes away may send this client, and its
    /// token with it (clause `drain.alternate`). By default only the host of the address that it is given.
    pub fn alternates(mut self, hosts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.limits.config.alternates = hosts.into_iter().map(Into::into).collect();
        self
    }

    /// Name and version that the server's log shows.
    pub fn agent(mut self, name: impl Into<String>, version: impl Into<String>) -> Self {
        self.limits.config.agent = (name.into(), version.into());
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

impl From<SendOptions> for CoreOptions {
    fn from(options: SendOptions) -> Self {
        let SendOptions { fail_fast, expire_after, key, topic } = options;
        Self { fail_fast, expire_after, key, topic, ..Self::default() }
    }
}
