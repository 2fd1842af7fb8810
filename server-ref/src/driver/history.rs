//! Pages of what topics have had: one at a time is read for a connection, and none before the socket has room for it.

use super::Driver;
use crate::log::LogError;
use axum::extract::ws::Message;
use futures::FutureExt;
use futures::future::BoxFuture;
use readywire_protocol::frame::HistoryRequest;
use readywire_protocol::server::Page;
use std::collections::VecDeque;
use std::future::pending;

/// The requests that are not answered.
#[derive(Default)]
pub(super) struct Pages {
    waiting: VecDeque<HistoryRequest>,
    reading: Option<BoxFuture<'static, Read>>,
}

/// What the log said.
pub(super) struct Read {
    request: u64,
    page: Result<Page<Message>, LogError>,
}

impl Pages {
    /// Ends when the page that is being read is there. Loses nothing when dropped.
    pub(super) async fn read(&mut self) -> Read {
        let Some(reading) = &mut self.reading else { return pending().await };
        let read = reading.await;
        self.reading = None;
        read
    }
}

impl Driver {
    pub(super) fn history(&mut self, asked: HistoryRequest) {
        self.pages.waiting.push_back(asked);
    }

    /// Begins to read the next page, if the socket has room for one.
    pub(super) fn next_page(&mut self) {
        while self.pages.reading.is_none() && !self.pages.waiting.is_empty() && self.wire.room().is_some() {
            let Some(asked) = self.pages.waiting.pop_front() else { return };
            let hub = self.hub.clone();
            let (Some(claims), Some(policy)) = (&self.claims, hub.topics.policy()) else { return };
            // Who may follow it may read it (clause `history.refused`).
            if let Err(rejection) = policy.may_subscribe(&claims.sub, &asked.topic) {
                self.core.refuse_page(asked.request, &rejection.code, rejection.retry);
                self.wire.take(&mut self.core, &self.hub);
                continue;
            }
            let gathering = self.core.gathering(asked.limit);
            let hub = self.hub.clone();
            let read = async move { Read { request: asked.request, page: hub.topics.page(&asked, gathering).await } };
            self.pages.reading = Some(read.boxed());
        }
    }

    /// A page is there.
    pub(super) fn page_read(&mut self, read: Read) {
        let Read { request, page } = read;
        // The publications stand behind what the core has said so far, and before the end of their page.
        self.wire.take(&mut self.core, &self.hub);
        match page {
            Ok(page) => {
                for publication in self.core.page(request, page) {
                    self.wire.push(publication);
                }
            }
            Err(error) => {
                tracing::error!(%error, "a page cannot be read");
                self.core.refuse_page(request, "unavailable", true);
            }
        }
        self.wire.take(&mut self.core, &self.hub);
    }
}
