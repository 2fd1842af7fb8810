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

/// How far a message is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendState {
    /// It was written, and nobody has decided it yet.
    InFlight {
        /// Its id on the wire.
        id: u64,
    },
    /// A service that it needs does not work. It waits for that service, and goes out by itself (clause `nack.held`).
    Held {
        /// The service.
        service: String,
    },
    /// It has its one outcome.
    Settled(Result<Acknowledged, SendError>),
}

/// A step on the way of a message; see [`Client::sends`](crate::Client::sends).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendChange {
    /// Which message: see [`Sending::handle`] and [`Answer::handle`](crate::Answer::handle).
    pub handle: u64,
    /// How far it is now.
    pub state: SendState,
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
    /// Names the message among those of its client, as [`SendChange::handle`] does.
    pub fn handle(&self) -> u64 {
        self.handle
    }

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
