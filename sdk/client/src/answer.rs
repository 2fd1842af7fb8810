//! An answer, message by message.

use crate::client::Link;
use crate::error::{AnswerError, SlowConsumer};
use crate::payload::FromPayload;
use futures::Stream;
use futures::channel::{mpsc, oneshot};
use readywire_protocol::client::AnswerPart as CorePart;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

/// One message of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerPart<T> {
    /// Its offset in the session's inbox.
    pub offset: u64,
    /// What it is.
    pub event: String,
    /// The payload.
    pub payload: T,
}

/// The messages that answer one send, in order, across reconnects (clause `answer.outlives`). Dropping it before its end
/// stops the work at the server.
#[derive(Debug)]
pub struct Answer<T> {
    pub(crate) handle: u64,
    pub(crate) link: Link,
    pub(crate) parts: mpsc::Receiver<Result<CorePart, AnswerError>>,
    pub(crate) overflow: oneshot::Receiver<SlowConsumer>,
    pub(crate) over: bool,
    pub(crate) payload: PhantomData<fn() -> T>,
}

impl<T> Answer<T> {
    /// Names the message that asked among those of its client, as [`SendChange::handle`](crate::SendChange::handle) does.
    pub fn handle(&self) -> u64 {
        self.handle
    }

    /// Stops the work at the server; what comes until it has ended is still told.
    pub fn cancel(&self) {
        self.link.cancel(self.handle);
    }
}

impl<T: FromPayload> Stream for Answer<T> {
    type Item = Result<AnswerPart<T>, AnswerError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        let Poll::Ready(next) = Pin::new(&mut self.parts).poll_next(context) else { return Poll::Pending };
        let Some(part) = next else {
            self.over = true;
            let overflow = self.overflow.try_recv().ok().flatten();
            return Poll::Ready(overflow.map(|SlowConsumer| Err(AnswerError::SlowConsumer)));
        };
        let part = match part {
            Ok(part) => part,
            Err(error) => {
                self.over = true;
                return Poll::Ready(Some(Err(error)));
            }
        };
        if part.end {
            self.over = true;
        }
        if let Some(error) = part.error {
            return Poll::Ready(Some(Err(AnswerError::Failed { code: error.code, message: error.message })));
        }
        if part.end && part.event.is_empty() {
            // Nothing but the end.
            return Poll::Ready(None);
        }
        Poll::Ready(Some(match T::from_payload(&part.payload) {
            Ok(payload) => Ok(AnswerPart { offset: part.offset, event: part.event, payload }),
            Err(error) => Err(AnswerError::Payload { message: error.message }),
        }))
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        if !self.over {
            self.cancel();
        }
    }
}
