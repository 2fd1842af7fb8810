//! A send under way.

use crate::error::SendError;
use futures::FutureExt;
use futures::channel::oneshot;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The server has taken the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// Its id on the wire.
    pub id: u64,
}

/// A message on its way: resolves to its one outcome (clause `send.one_outcome`).
///
/// It is on its way from the call on, in the order of the calls. To drop this is to lose interest in the outcome, not to
/// withdraw the message.
#[derive(Debug)]
pub struct Sending {
    pub(crate) handle: u64,
    pub(crate) outcome: Outcome,
}

#[derive(Debug)]
pub(crate) enum Outcome {
    Known(Option<SendError>),
    Awaited(oneshot::Receiver<Result<Acknowledged, SendError>>),
}

impl Sending {
    pub(crate) fn failed(error: SendError) -> Self {
        Self { handle: 0, outcome: Outcome::Known(Some(error)) }
    }
}

impl Future for Sending {
    type Output = Result<Acknowledged, SendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.outcome {
            Outcome::Known(error) => Poll::Ready(Err(error.take().unwrap_or_else(SendError::closed))),
            Outcome::Awaited(outcome) => {
                outcome.poll_unpin(context).map(|outcome| outcome.unwrap_or_else(|_| Err(SendError::closed())))
            }
        }
    }
}
