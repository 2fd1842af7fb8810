//! Servers that do not speak this protocol, used as they are: a mode that you choose, never a guess (clause
//! `existing.mode`).
//!
//! A plain WebSocket server is open long before it listens, and what is sent to it meanwhile is lost. If it says
//! anything by which one can tell that it is ready, such as the `connection_ack` of GraphQL over WebSocket, a *rule*
//! recognises that, and nothing but the opening messages leaves before it, on the first connection and on every later
//! one. What waits is bounded, and goes out in order; lost connections are tried again with backoff.
//!
//! ```no_run
//! use futures::StreamExt;
//! use readywire::existing::{self, Options};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let options = Options::ready_when(|text| text.contains(r#""type":"connection_ack""#))
//!     .protocol("graphql-transport-ws")
//!     .opening(|| async { Ok(vec![r#"{"type":"connection_init"}"#.to_owned()]) });
//! let client = existing::connect("wss://example.com/graphql", options).await?;
//! client.ready().await; // only a client with a rule can say so
//! client.send(r#"{"type":"subscribe","id":"1","payload":{"query":"subscription { tick }"}}"#).await?;
//! let mut messages = client.messages();
//! while let Some(text) = messages.next().await {
//!     println!("{}", text?);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Such a server acknowledges nothing, and the client does not pretend: [`Client::send`] resolves to [`Written`], which
//! says that the message was handed to the socket, and on which attempt's connection. When that connection has ended,
//! what was written on it is unknown. Without a rule ([`Options::unconfirmed`]) messages go out at the open socket, the
//! state is [`State::Unconfirmed`], and there is no `ready()` to await.

mod front;
mod options;

pub use options::{Confirmed, Options, Unconfirmed};

use crate::clock;
use crate::connect::{Progress, check, nothing_confirmed};
use crate::driver::{self, Provider};
use crate::engine::{Happening, Input, Question};
use crate::error::{ConnectError, SendError};
use crate::front::{BUFFER, Reader, current};
use crate::limits::Limits;
use crate::messages::{Messages, States};
use crate::options::SendOptions;
use crate::transport::{self, TaskFuture};
use front::{Front, Request};
use futures::channel::{mpsc, oneshot};
use futures::{FutureExt, StreamExt};
use readywire_protocol::client::{
    ClientState as State, End, Existing, ExistingServer, SendOptions as CoreOptions, StateChange,
};
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;
use tracing::Instrument;

/// Connects to an existing server. Resolves when the rule has said that it is ready; without a rule, when the socket is
/// open. What a retry can mend is retried.
///
/// # Errors
/// How far it came, what was seen last, and what to do.
pub async fn connect<R>(url: &str, options: Options<R>) -> Result<Client<R>, ConnectError> {
    check(url)?;
    let Options { limits, protocols, opening, rule, stop, .. } = options;
    let Limits { config, ready_timeout, close_deadline } = limits;
    let (inputs, receiver) = mpsc::unbounded();
    let state = Arc::new(RwLock::new(nothing_confirmed()));
    let core = Existing::new(config, ExistingServer { protocols, confirms: rule.is_some() }, clock::seed());
    let front = Front::new(state.clone(), rule, stop);
    let run = driver::run(core, url.to_owned(), receiver, front, Opening(opening));
    let client = Client {
        inputs,
        handles: Arc::new(AtomicU64::new(1)),
        state,
        close_deadline,
        readiness: PhantomData::<fn() -> R>,
    };
    // Asked for before the loop runs, so that no change is missed.
    let mut progress = Progress { states: client.states(), last: current(&client.state) };
    let end = client.ending();
    transport::spawn(run.instrument(tracing::info_span!("readywire", url)));
    match progress.within(ready_timeout).await {
        Some(true) => Ok(client),
        Some(false) => Err(match end.await {
            Ok(end) => ConnectError::Closed(end),
            Err(_) => progress.timeout(),
        }),
        None => {
            client.give(Input::Close { deadline: Duration::ZERO });
            Err(progress.timeout())
        }
    }
}

struct Opening(Option<options::Opening>);

impl Provider<Request> for Opening {
    fn ask(&mut self, question: Question) -> TaskFuture<Happening<Request>> {
        // There are no tokens to be fresh, so it is asked for attempts alone.
        let (Question::Attempt(number) | Question::Refresh(number)) = question;
        let opening = self.0.as_mut().map(|opening| opening(()));
        Box::pin(async move {
            let messages = match opening {
                Some(opening) => opening.await,
                None => Ok(Vec::new()),
            };
            Happening::Opening(number, messages)
        })
    }
}

/// The message was handed to the socket. Nobody acknowledges it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The attempt whose connection it was written on, as in [`StateChange::attempt`]. When that connection has ended,
    /// nobody can tell what became of the message.
    pub attempt: u64,
}

/// A connection to an existing server, through as many sockets as it takes. [`connect`] makes one; clones share it, and
/// when the last one is dropped it closes.
pub struct Client<R> {
    inputs: mpsc::UnboundedSender<Input<Request>>,
    handles: Arc<AtomicU64>,
    state: Arc<RwLock<StateChange>>,
    close_deadline: Duration,
    readiness: PhantomData<fn() -> R>,
}

impl<R> Clone for Client<R> {
    fn clone(&self) -> Self {
        Self {
            inputs: self.inputs.clone(),
            handles: self.handles.clone(),
            state: self.state.clone(),
            close_deadline: self.close_deadline,
            readiness: PhantomData,
        }
    }
}

impl<R> fmt::Debug for Client<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Client").field("state", &self.state()).finish_non_exhaustive()
    }
}

impl Client<Confirmed> {
    /// Resolves when the rule has said that the server is ready, on this connection or a later one; false if the client is
    /// over.
    pub async fn ready(&self) -> bool {
        let mut states = self.states();
        while let Some(change) = states.next().await {
            match change.state {
                State::Closed => return false,
                state if state.is_ready() => return true,
                _ => {}
            }
        }
        false
    }
}

impl<R> Client<R> {
    /// With a rule `Connecting`, `ProcessingReady` or `Closed`; without one `Connecting`, `Unconfirmed` or `Closed`.
    pub fn state(&self) -> State {
        current(&self.state).state
    }

    /// The state, and everything that is known with it.
    pub fn status(&self) -> StateChange {
        current(&self.state)
    }

    /// The state now, then each change.
    pub fn states(&self) -> States {
        let (follower, changes) = mpsc::channel(BUFFER);
        self.give(Input::Sink(Request::States(follower)));
        States { changes }
    }

    /// Writes a message, or lets it wait until the gate is open. See [`Written`] for what that means.
    pub fn send(&self, text: impl Into<String>) -> Writing {
        self.send_with(text, SendOptions::new())
    }

    /// As [`Client::send`], with options; a key means nothing here.
    pub fn send_with(&self, text: impl Into<String>, options: SendOptions) -> Writing {
        let handle = self.handles.fetch_add(1, Ordering::Relaxed);
        let (waiting, outcome) = oneshot::channel();
        self.give(Input::Sink(Request::Outcome { handle, outcome: waiting }));
        let SendOptions { fail_fast, expire_after, .. } = options;
        let options = CoreOptions { fail_fast, expire_after, ..CoreOptions::default() };
        self.give(Input::Text { handle, text: text.into(), options });
        Writing { handle, outcome }
    }

    /// Withdraws a message that was not written yet.
    pub fn abandon(&self, writing: &Writing) {
        self.give(Input::Abandon { handle: writing.handle });
    }

    /// What the server says, as it came, the ready message included. The first caller also gets what came before; each
    /// gets all that comes after.
    pub fn messages(&self) -> Messages<String> {
        let (items, messages) = mpsc::channel(BUFFER);
        let (slow, overflow) = oneshot::channel();
        self.give(Input::Sink(Request::Messages(Reader { items, overflow: Some(slow) })));
        Messages { messages, overflow, told: false }
    }

    /// The network or the machine woke up: if the client waits to connect again, it does so at once.
    pub fn wake(&self) {
        self.give(Input::Wake);
    }

    /// Refuses new messages, lets those that wait be written within the deadline of the options, and closes.
    pub async fn close(&self) {
        let end = self.ending();
        self.give(Input::Close { deadline: self.close_deadline });
        let _ = end.await;
    }

    /// Resolves when the client is over, whoever ended it; `None` if it was over before.
    pub async fn closed(&self) -> Option<End> {
        self.ending().await.ok()
    }

    fn ending(&self) -> oneshot::Receiver<End> {
        let (waiting, end) = oneshot::channel();
        self.give(Input::Sink(Request::End(waiting)));
        end
    }

    fn give(&self, input: Input<Request>) {
        // If the run loop is gone, so is the sink, and whoever waits is told that the client is closed.
        let _ = self.inputs.unbounded_send(input);
    }
}

/// A message on its way to the socket. To drop this is to lose interest in the outcome, not to withdraw the message.
#[derive(Debug)]
pub struct Writing {
    handle: u64,
    outcome: oneshot::Receiver<Result<Written, SendError>>,
}

impl Future for Writing {
    type Output = Result<Written, SendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.outcome.poll_unpin(context).map(|outcome| outcome.unwrap_or_else(|_| Err(SendError::closed())))
    }
}
