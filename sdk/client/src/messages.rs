//! What comes without being asked for: messages, changes of state, and how sends go on.

use crate::error::SlowConsumer;
use crate::payload::{FromPayload, PayloadError};
use crate::sending::SendChange;
use futures::Stream;
use futures::channel::mpsc;
use readywire_protocol::client::StateChange;
use readywire_protocol::json::Payload as CorePayload;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A message that answers nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its offset in the session's inbox: 1, 2, 3…
    pub offset: u64,
    /// What it is.
    pub event: String,
    pub(crate) payload: CorePayload,
}

impl Message {
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

/// Messages, from when it was asked for; see [`Client::messages`](crate::Client::messages). Those of an existing server are
/// text.
#[derive(Debug)]
pub struct Messages<T = Message> {
    pub(crate) messages: mpsc::Receiver<T>,
    pub(crate) overflow: futures::channel::oneshot::Receiver<SlowConsumer>,
    pub(crate) told: bool,
}

impl<T> Stream for Messages<T> {
    type Item = Result<T, SlowConsumer>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match Pin::new(&mut self.messages).poll_next(context) {
            Poll::Ready(None) => {
                let overflow = self.overflow.try_recv().ok().flatten().filter(|_| !self.told);
                self.told = true;
                Poll::Ready(overflow.map(Err))
            }
            other => other.map(|message| message.map(Ok)),
        }
    }
}

/// Changes of state, beginning with the state when it was asked for; see [`Client::states`](crate::Client::states).
#[derive(Debug)]
pub struct States {
    pub(crate) changes: mpsc::Receiver<StateChange>,
}

impl Stream for States {
    type Item = StateChange;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.changes).poll_next(context)
    }
}

/// How sends go on, from when it was asked for; see [`Client::sends`](crate::Client::sends).
#[derive(Debug)]
pub struct SendChanges {
    pub(crate) changes: mpsc::Receiver<SendChange>,
}

impl Stream for SendChanges {
    type Item = SendChange;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.changes).poll_next(context)
    }
}
