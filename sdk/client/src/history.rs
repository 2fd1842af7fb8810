//! What a topic has had before, page by page.

use crate::client::Link;
use crate::engine::Input;
use crate::error::HistoryError;
use crate::front::Request;
use crate::subscription::Publication;
use futures::FutureExt;
use futures::channel::oneshot;
use readywire_protocol::client::{Page as CorePage, PagedPublication, Position};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A page of what a topic has had (clause `history.page`).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Page {
    /// The oldest first.
    pub publications: Vec<Publication>,
    /// What the offsets are offsets of. If it is another than was asked for, there are no publications.
    pub epoch: String,
    /// The last offset of the topic.
    pub head: u64,
    /// Whether anything older is kept.
    pub more: bool,
    asked: Asked,
}

impl Page {
    /// The page before this one, as large as this was to be; `None` if nothing older is kept.
    pub fn older(&self) -> Option<History> {
        let oldest = self.publications.first().filter(|_| self.more)?;
        let before = Position { offset: oldest.offset, epoch: Some(self.epoch.clone()) };
        Some(self.asked.clone().below(Some(before)))
    }
}

/// A page on its way; see [`Client::history`](crate::Client::history). It is asked for from the call on. To drop this is to
/// give it up.
#[derive(Debug)]
pub struct History {
    handle: u64,
    asked: Asked,
    page: oneshot::Receiver<Result<CorePage, HistoryError>>,
    over: bool,
}

/// What every page of one reader is asked for by.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) link: Link,
    pub(crate) topic: String,
    pub(crate) limit: u64,
}

impl Asked {
    pub(crate) fn below(self, before: Option<Position>) -> History {
        let handle = self.link.next_handle();
        let (waiting, page) = oneshot::channel();
        // If the run loop is gone, so is the sink, and whoever waits is told that the client is closed.
        self.link.give(Input::Sink(Request::Page { handle, page: waiting }));
        self.link.give(Input::History { handle, topic: self.topic.clone(), limit: self.limit, before });
        History { handle, asked: self, page, over: false }
    }
}

impl Future for History {
    type Output = Result<Page, HistoryError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Poll::Ready(page) = self.page.poll_unpin(context) else { return Poll::Pending };
        self.over = true;
        let CorePage { publications, epoch, head, more, .. } = page.unwrap_or_else(|_| Err(HistoryError::closed()))?;
        let told = |PagedPublication { offset, event, payload }| Publication { offset, event, payload };
        let publications = publications.into_iter().map(told).collect();
        Poll::Ready(Ok(Page { publications, epoch, head, more, asked: self.asked.clone() }))
    }
}

impl Drop for History {
    fn drop(&mut self) {
        if !self.over {
            self.asked.link.cancel(self.handle);
        }
    }
}
