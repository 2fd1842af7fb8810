//! A topic that is followed.

use crate::client::Link;
use crate::error::{SlowConsumer, SubscriptionError};
use crate::payload::{FromPayload, PayloadError};
use futures::Stream;
use futures::channel::{mpsc, oneshot};
use readywire_protocol::json::Payload as CorePayload;
use std::pin::Pin;
use std::task::{Context, Poll};

/// What comes of a topic that is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TopicEvent {
    /// The subscription stands, for the first time, again after a reconnect, or behind a gap.
    Subscribed {
        /// Publications above this one follow.
        offset: u64,
        /// The replay ends with this one.
        head: u64,
        /// What the offsets are offsets of: with another epoch they begin anew.
        epoch: String,
        /// Whether nothing is missing since the last publication, or since the position that was asked for.
        recovered: bool,
    },
    /// A publication.
    Publication(Publication),
}

/// One message of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Its offset in the topic: increasing, with gaps.
    pub offset: u64,
    /// What it is.
    pub event: String,
    pub(crate) payload: CorePayload,
}

impl Publication {
    /// The payload: any value that serde can read, or [`Bytes`](crate::Bytes).
    ///
    /// # Errors
    /// It is not of this type.
    pub fn payload<T: FromPayload>(&self) -> Result<T, PayloadError> {
        T::from_payload(&self.payload)
    }

    /// The payload as JSON text; `None` if it is bytes.
    pub fn json(&self) -> Option<&str> {
        self.payload.text()
    }

    /// The payload as bytes; `None` if it is JSON.
    pub fn bytes(&self) -> Option<&[u8]> {
        self.payload.bytes()
    }
}

/// What comes of one topic, in order, across reconnects (clause `topic.renew`); see
/// [`Client::subscribe`](crate::Client::subscribe). Dropping it unsubscribes.
#[derive(Debug)]
pub struct Subscription {
    pub(crate) handle: u64,
    pub(crate) link: Link,
    pub(crate) events: mpsc::Receiver<Result<TopicEvent, SubscriptionError>>,
    pub(crate) overflow: oneshot::Receiver<SlowConsumer>,
    pub(crate) over: bool,
}

impl Subscription {
    /// Follows the topic no longer. What had come before is still read; then the stream ends.
    pub fn unsubscribe(&self) {
        self.link.cancel(self.handle);
    }
}

impl Stream for Subscription {
    type Item = Result<TopicEvent, SubscriptionError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        let Poll::Ready(next) = Pin::new(&mut self.events).poll_next(context) else { return Poll::Pending };
        self.over = !matches!(next, Some(Ok(_)));
        if next.is_none() {
            let overflow = self.overflow.try_recv().ok().flatten();
            return Poll::Ready(overflow.map(|SlowConsumer| Err(SubscriptionError::SlowConsumer)));
        }
        Poll::Ready(next)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if !self.over {
            self.unsubscribe();
        }
    }
}
