//! How to use an existing server.

use crate::limits::{Limits, limits};
use crate::transport::{Task, TaskFn};
use readywire_protocol::client::TokenFailure;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::time::Duration;

/// Gives the messages that a connection begins with.
pub(super) type Opening = TaskFn<(), Result<Vec<String>, TokenFailure>>;

/// There is a rule, so the client knows when the server is ready.
#[derive(Clone, Copy, Debug)]
pub enum Confirmed {}

/// There is no rule, so nobody knows.
#[derive(Clone, Copy, Debug)]
pub enum Unconfirmed {}

/// Looks at messages, and says whether it is the one by which the server says that it is ready.
pub(super) trait Rule: Task {
    fn says_ready(&mut self, text: &str) -> bool;
}

impl<F: FnMut(&str) -> bool + Task> Rule for F {
    fn says_ready(&mut self, text: &str) -> bool {
        self(text)
    }
}

/// Looks at the end of a connection, and says whether it is for good.
pub(super) trait StopRule: Task {
    fn stops(&mut self, code: u16, reason: &str) -> bool;
}

impl<F: FnMut(u16, &str) -> bool + Task> StopRule for F {
    fn stops(&mut self, code: u16, reason: &str) -> bool {
        self(code, reason)
    }
}

/// How to use an existing server.
pub struct Options<R> {
    pub(super) limits: Limits,
    pub(super) protocols: Vec<String>,
    pub(super) opening: Option<Opening>,
    pub(super) rule: Option<Box<dyn Rule>>,
    pub(super) stop: Option<Box<dyn StopRule>>,
    readiness: PhantomData<fn() -> R>,
}

impl<R> fmt::Debug for Options<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Options")
            .field("limits", &self.limits)
            .field("protocols", &self.protocols)
            .field("rule", &self.rule.is_some())
            .finish_non_exhaustive()
    }
}

impl Options<Confirmed> {
    /// A server that is ready when `rule` says so of one of its messages, on each connection anew. The rule is asked for
    /// each text message until then.
    pub fn ready_when(rule: impl FnMut(&str) -> bool + Task + 'static) -> Self {
        Self { rule: Some(Box::new(rule)), ..Self::new() }
    }

    /// How long the ready message may take behind the open socket (clause `existing.timeout`). By default 10 s.
    pub fn ready_message_timeout(mut self, timeout: Duration) -> Self {
        self.limits.config.stage_timeout = timeout;
        self
    }
}

impl Options<Unconfirmed> {
    /// A server that never says that it is ready: messages go out at the open socket, and may be lost (clause
    /// `existing.unconfirmed`).
    pub fn unconfirmed() -> Self {
        Self::new()
    }
}

impl<R> Options<R> {
    fn new() -> Self {
        Self {
            limits: Limits::default(),
            protocols: Vec::new(),
            opening: None,
            rule: None,
            stop: None,
            readiness: PhantomData,
        }
    }

    /// Offers a subprotocol, behind those offered before. The server has to select one of them.
    pub fn protocol(mut self, protocol: impl Into<String>) -> Self {
        self.protocols.push(protocol.into());
        self
    }

    /// Asks `opening` before each attempt for the messages that the connection begins with, so that a token in them is
    /// fresh (clause `existing.opening`).
    pub fn opening<P, F>(mut self, mut opening: P) -> Self
    where
        P: FnMut() -> F + Task + 'static,
        F: Future<Output = Result<Vec<String>, TokenFailure>> + Task + 'static,
    {
        self.opening = Some(Box::new(move |()| Box::pin(opening())));
        self
    }

    /// Stays closed after an end of which `rule` says so. By default the client comes back after each (clause
    /// `existing.close`).
    pub fn stop_when(mut self, rule: impl FnMut(u16, &str) -> bool + Task + 'static) -> Self {
        self.stop = Some(Box::new(rule));
        self
    }

    limits!();
}
