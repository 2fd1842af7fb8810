//! Everybody else, as the handlers of one session see them.
//!
//! A handler starts in the order of its session's ids, and what it does first is part of its start. A notice or a
//! publication takes its time, which this process keeps in order by itself; another process, where the session may go
//! meanwhile, cannot. So note is kept of what is under way, and a session is released when it is done (clause
//! `send.order`).

use crate::application::{Room, Unanswered, Undeliverable};
use crate::hub::Hub;
use futures::FutureExt;
use futures::future::BoxFuture;
use readywire_protocol::json::Payload;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The room of one handler.
#[derive(Debug)]
pub(crate) struct SessionRoom {
    hub: Arc<Hub>,
    starts: TaskTracker,
    started: Arc<AtomicBool>,
    /// Set when the work is to stop.
    cancellation: CancellationToken,
}

impl SessionRoom {
    pub(crate) fn new(hub: Arc<Hub>, starts: &TaskTracker, cancellation: CancellationToken) -> Self {
        Self { hub, starts: starts.clone(), started: Arc::default(), cancellation }
    }

    /// To be set when the handler has come to its first real wait: from then on it goes on by itself.
    pub(crate) fn started(&self) -> Arc<AtomicBool> {
        self.started.clone()
    }

    fn noted<'a, T: 'a>(&self, call: BoxFuture<'a, T>) -> BoxFuture<'a, T> {
        if self.started.load(Ordering::Relaxed) {
            return call;
        }
        let under_way = self.starts.token();
        call.inspect(move |_| drop(under_way)).boxed()
    }
}

impl Room for SessionRoom {
    fn to_everyone<'a>(&'a self, event: &'a str, payload: &'a Payload) -> BoxFuture<'a, Result<usize, Undeliverable>> {
        self.noted(self.hub.to_everyone(event, payload))
    }

    fn to_subject<'a>(
        &'a self,
        subject: &'a str,
        event: &'a str,
        payload: &'a Payload,
    ) -> BoxFuture<'a, Result<usize, Undeliverable>> {
        self.noted(self.hub.to_subject(subject, event, payload))
    }

    fn publish<'a>(
        &'a self,
        topic: &'a str,
        event: &'a str,
        payload: &'a Payload,
    ) -> BoxFuture<'a, Result<u64, Undeliverable>> {
        self.noted(self.hub.publish(topic, event, payload))
    }

    fn revoke<'a>(&'a self, subject: &'a str, topic: &'a str) -> BoxFuture<'a, Result<(), Undeliverable>> {
        self.noted(Room::revoke(&*self.hub, subject, topic))
    }

    /// Nobody waits for the answer of work that was stopped.
    fn ask<'a>(
        &'a self,
        subject: &'a str,
        session: &'a str,
        event: &'a str,
        payload: &'a Payload,
        within: Duration,
    ) -> BoxFuture<'a, Result<Payload, Unanswered>> {
        let asking = self.hub.ask(subject, session, event, payload, within);
        async move {
            let answered = self.cancellation.run_until_cancelled(asking).await;
            answered.unwrap_or(Err(Unanswered::Stopped))
        }
        .boxed()
    }
}
