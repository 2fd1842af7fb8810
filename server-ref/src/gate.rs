//! A gate for clients that do not speak the protocol (clause `existing.held`), off unless [`Parts::gate`] is set: what
//! they send is held, bounded and in order, until everything that their connection needs is running. So the server can
//! move to the protocol before its clients do, and go back.
//!
//! Such a client cannot say hello, so who it is stands in the upgrade: `Authorization: Bearer`, or a one-time ticket in
//! `?ticket=`, since a page can set no header. A token in an address would be logged everywhere, so none is taken there.
//! Refusals come behind the upgrade, by close codes that a page can read: 41xx for the token, 4202 and 4201 for services
//! that fail or are late, 4229 for more than is held, 1001 when the server goes away.
//!
//! [`Parts::gate`]: crate::hub::Parts::gate

mod by_event;
mod serve;

pub use by_event::ByEvent;
pub(crate) use serve::{Behind, PlainUpgrade, serve};

use crate::application::Room;
use futures::future::BoxFuture;
use readywire_protocol::config::Window;
use std::fmt;
use std::sync::Arc;
use tokio::sync::mpsc;

/// What an application does with the messages of clients that do not speak the protocol.
pub trait PlainHandler: Send + Sync + 'static {
    /// Processes one message. They come one after the other, in the order in which the client sent them; while this works,
    /// the client is read no further than a few messages ahead.
    fn handle<'a>(&'a self, text: String, client: &'a PlainClient) -> BoxFuture<'a, ()>;

    /// The client's connection is ready: nothing of what it sent was processed yet.
    fn joined<'a>(&'a self, client: &'a PlainClient) -> BoxFuture<'a, ()> {
        let _ = client;
        Box::pin(std::future::ready(()))
    }
}

/// A client that does not speak the protocol.
#[derive(Clone)]
pub struct PlainClient {
    /// Who it is.
    pub subject: String,
    /// Everybody else.
    pub room: Arc<dyn Room>,
    replies: mpsc::Sender<String>,
}

impl fmt::Debug for PlainClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PlainClient({})", self.subject)
    }
}

impl PlainClient {
    /// Writes to the client, waiting for room; false if it is gone.
    pub async fn send(&self, text: String) -> bool {
        self.replies.send(text).await.is_ok()
    }
}

/// How clients without the protocol are let in.
#[derive(Clone)]
pub struct Gate {
    /// What is done with their messages.
    pub handler: Arc<dyn PlainHandler>,
    /// Subprotocols of theirs, of which the first that a client offers is selected: a page that offers some fails if none
    /// is.
    pub protocols: Vec<String>,
    /// What is held for one client until it is ready: messages, and bytes. The time is
    /// [`ServerConfig::ready_timeout`](readywire_protocol::config::ServerConfig::ready_timeout).
    pub held: Window,
}

impl Gate {
    /// A gate before `handler`, which holds 256 messages and 1 MiB, and selects no subprotocol.
    pub fn new(handler: impl PlainHandler) -> Self {
        Self { handler: Arc::new(handler), protocols: Vec::new(), held: Window::default() }
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Gate").field("protocols", &self.protocols).field("held", &self.held).finish()
    }
}
