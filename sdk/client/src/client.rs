//! A connected client.

use crate::answer::Answer;
use crate::engine::Input;
use crate::error::{AnswerError, SendError};
use crate::front::{BUFFER, Reader, Request, current};
use crate::history::{Asked, History};
use crate::messages::{Messages, SendChanges, States};
use crate::options::SendOptions;
use crate::payload::{FromPayload, IntoPayload};
use crate::question::Questions;
use crate::sending::{Outcome, Sending};
use crate::stream::ClientStream;
use crate::subscription::Subscription;
use futures::StreamExt;
use futures::channel::{mpsc, oneshot};
use readywire_protocol::client::{ClientState, End, Position, SendOptions as CoreOptions, Start, StateChange};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

/// A connection to a server, through as many sockets as it takes. [`connect`](crate::connect) makes one.
///
/// Clones share it. When the last one is dropped, and with it every answer, stream, subscription and reader of questions, the
/// session is ended.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) link: Link,
    pub(crate) state: Arc<RwLock<StateChange>>,
    pub(crate) close_deadline: Duration,
}

/// The way to the run loop.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) inputs: mpsc::UnboundedSender<Input<Request>>,
    pub(crate) handles: Arc<AtomicU64>,
}

/// A link, and where what is given to it waits for the run loop.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) link: Link,
    pub(crate) inputs: mpsc::UnboundedReceiver<Input<Request>>,
}

impl Default for Line {
    fn default() -> Self {
        let (sender, inputs) = mpsc::unbounded();
        Self { link: Link { inputs: sender, handles: Arc::new(AtomicU64::new(1)) }, inputs }
    }
}

impl Link {
    /// False if the run loop has ended.
    pub(crate) fn give(&self, input: Input<Request>) -> bool {
        self.inputs.unbounded_send(input).is_ok()
    }

    pub(crate) fn cancel(&self, handle: u64) {
        self.give(Input::Cancel { handle });
    }

    /// A handle that names nothing else of this client.
    pub(crate) fn next_handle(&self) -> u64 {
        self.handles.fetch_add(1, Ordering::Relaxed)
    }

    /// Gives what is sent under a handle of its own, and waits for its outcome from before that on.
    pub(crate) fn send(&self, input: impl FnOnce(u64) -> Input<Request>) -> Sending {
        let handle = self.next_handle();
        let (waiting, outcome) = oneshot::channel();
        self.give(Input::Sink(Request::Outcome { handle, outcome: waiting }));
        self.give(input(handle));
        Sending { handle, outcome: Outcome::Awaited(outcome) }
    }
}

impl Client {
    /// What the server has confirmed on this connection.
    pub fn state(&self) -> ClientState {
        current(&self.state).state
    }

    /// The state, and everything that is known with it: pending and impaired services, the next attempt.
    pub fn status(&self) -> StateChange {
        current(&self.state)
    }

    /// The state now, then each change. A late subscriber misses nothing that still holds.
    pub fn states(&self) -> States {
        let (follower, changes) = mpsc::channel(BUFFER);
        self.link.give(Input::Sink(Request::States(follower)));
        States { changes }
    }

    /// How the sends of this client go on from now: written, held for a service that does not work, settled. Ends for
    /// whoever leaves a thousand changes unread.
    pub fn sends(&self) -> SendChanges {
        let (follower, changes) = mpsc::channel(BUFFER);
        self.link.give(Input::Sink(Request::Sends(follower)));
        SendChanges { changes }
    }

    /// Sends a message, or lets it wait until the server is ready. Resolves when the server has taken it; otherwise the
    /// error says which one of the other outcomes it had.
    pub fn send(&self, event: &str, payload: impl IntoPayload) -> Sending {
        self.send_with(event, payload, SendOptions::new())
    }

    /// As [`Client::send`], with options.
    pub fn send_with(&self, event: &str, payload: impl IntoPayload, options: SendOptions) -> Sending {
        let payload = match payload.into_payload() {
            Ok(payload) => payload,
            Err(error) => return Sending::failed(error),
        };
        let options = CoreOptions { answer: false, ..options.into() };
        self.link.send(|handle| Input::Send { handle, event: event.to_owned(), payload, options })
    }

    /// Sends a message only if the server is ready now.
    ///
    /// # Errors
    /// [`SendError::NotReady`], naming the stage.
    pub fn try_send(&self, event: &str, payload: impl IntoPayload) -> Result<Sending, SendError> {
        let stage = self.state();
        if !stage.is_ready() {
            return Err(SendError::NotReady { stage });
        }
        Ok(self.send_with(event, payload, SendOptions::new().fail_fast()))
    }

    /// Gives a send up: withdrawn if it was never written, unknown if it was; it is never written again.
    pub fn abandon(&self, sending: &Sending) {
        self.link.give(Input::Abandon { handle: sending.handle });
    }

    /// Sends a message and waits for the first message of its answer.
    ///
    /// # Errors
    /// The send was not acknowledged, or the answer failed.
    pub async fn request<T: FromPayload>(&self, event: &str, payload: impl IntoPayload) -> Result<T, AnswerError> {
        let part = self.stream(event, payload).next().await;
        part.unwrap_or(Err(AnswerError::Empty)).map(|part| part.payload)
    }

    /// Sends a message and streams its answer.
    pub fn stream<T: FromPayload>(&self, event: &str, payload: impl IntoPayload) -> Answer<T> {
        self.stream_with(event, payload, SendOptions::new())
    }

    /// As [`Client::stream`], with options.
    pub fn stream_with<T: FromPayload>(
        &self,
        event: &str,
        payload: impl IntoPayload,
        options: SendOptions,
    ) -> Answer<T> {
        self.ask(event, payload, options, false)
    }

    /// Sends a message that others follow to the same handler, one after the other and no faster than it reads them, and
    /// streams the answer: an upload, the sound of a voice, a long list.
    pub fn open_stream<T: FromPayload>(&self, event: &str, payload: impl IntoPayload) -> ClientStream<T> {
        self.open_stream_with(event, payload, SendOptions::new())
    }

    /// As [`Client::open_stream`], with options.
    pub fn open_stream_with<T: FromPayload>(
        &self,
        event: &str,
        payload: impl IntoPayload,
        options: SendOptions,
    ) -> ClientStream<T> {
        ClientStream::new(self.ask(event, payload, options, true))
    }

    fn ask<T: FromPayload>(
        &self,
        event: &str,
        payload: impl IntoPayload,
        options: SendOptions,
        stream: bool,
    ) -> Answer<T> {
        let handle = self.link.next_handle();
        let (mut items, parts) = mpsc::channel(BUFFER);
        let (slow, overflow) = oneshot::channel();
        match payload.into_payload() {
            Ok(payload) => {
                let reader = Reader { items, overflow: Some(slow) };
                self.link.give(Input::Sink(Request::Answer { handle, reader }));
                let options = CoreOptions { answer: true, stream, ..options.into() };
                // If the run loop is gone, so is the sink, and whoever waits is told that the client is closed.
                self.link.give(Input::Send { handle, event: event.to_owned(), payload, options });
            }
            // Nobody else has written to it: there is room.
            Err(error) => drop(items.try_send(Err(AnswerError::Send(error)))),
        }
        Answer { handle, link: self.link.clone(), parts, overflow, over: false, payload: PhantomData }
    }

    /// Messages that answer nothing. The first caller also gets what came before; each gets all that come after.
    pub fn messages(&self) -> Messages {
        let (items, messages) = mpsc::channel(BUFFER);
        let (slow, overflow) = oneshot::channel();
        self.link.give(Input::Sink(Request::Messages(Reader { items, overflow: Some(slow) })));
        Messages { messages, overflow, told: false }
    }

    /// The questions of this event that the server asks from now on, for this application to answer. One reader for each
    /// event: another takes its place. What nobody reads the server is told, as `unhandled`, and it may ask as soon as it is
    /// ready: [`Options::questions`](crate::Options::questions) gives them from the very first on.
    pub fn questions(&self, event: &str) -> Questions {
        self.link.questions(event)
    }

    /// Follows a topic from now on. What comes is told in order and across reconnects, and if something is missing, that
    /// is told, too. One subscription for each topic; another is refused as `already_subscribed`.
    pub fn subscribe(&self, topic: &str) -> Subscription {
        self.follow(topic, Start::Now)
    }

    /// As [`Client::subscribe`], and begins with so many of the latest publications, or with all that are kept if those are
    /// fewer.
    pub fn subscribe_last(&self, topic: &str, last: u64) -> Subscription {
        self.follow(topic, Start::Last(last))
    }

    /// As [`Client::subscribe`], from behind a position on: one that was held before, or offset 0 for all that is kept.
    pub fn subscribe_from(&self, topic: &str, position: Position) -> Subscription {
        self.follow(topic, Start::Behind(position))
    }

    /// Asks for what a topic has had: a page of at most `limit` publications, 1 to 256 of them, the newest that are kept.
    /// [`Page::older`](crate::Page::older) goes on from there. It needs no subscription, and comes once and whole, through
    /// as many connections as it takes.
    pub fn history(&self, topic: &str, limit: u64) -> History {
        self.asked(topic, limit).below(None)
    }

    /// As [`Client::history`], from below a position on, such as that of the oldest publication that is held.
    pub fn history_before(&self, topic: &str, limit: u64, position: Position) -> History {
        self.asked(topic, limit).below(Some(position))
    }

    fn asked(&self, topic: &str, limit: u64) -> Asked {
        Asked { link: self.link.clone(), topic: topic.to_owned(), limit }
    }

    /// Publishes to a topic: a send like any other (clause `topic.publish`).
    pub fn publish(&self, topic: &str, event: &str, payload: impl IntoPayload) -> Sending {
        self.publish_with(topic, event, payload, SendOptions::new())
    }

    /// As [`Client::publish`], with options.
    pub fn publish_with(&self, topic: &str, event: &str, payload: impl IntoPayload, options: SendOptions) -> Sending {
        self.send_with(event, payload, SendOptions { topic: Some(topic.to_owned()), ..options })
    }

    fn follow(&self, topic: &str, from: Start) -> Subscription {
        let handle = self.link.next_handle();
        let (items, events) = mpsc::channel(BUFFER);
        let (slow, overflow) = oneshot::channel();
        let reader = Reader { items, overflow: Some(slow) };
        self.link.give(Input::Sink(Request::Subscription { handle, reader }));
        self.link.give(Input::Subscribe { handle, topic: topic.to_owned(), from });
        Subscription { handle, link: self.link.clone(), events, overflow, over: false }
    }

    /// The network or the machine woke up: find out at once whether the connection still lives.
    pub fn wake(&self) {
        self.link.give(Input::Wake);
    }

    /// Refuses new sends, lets those under way be decided within the deadline of the options, says `bye`, and ends the
    /// session. Resolves when all that is done.
    pub async fn close(&self) {
        let (waiting, end) = oneshot::channel();
        self.link.give(Input::Sink(Request::End(waiting)));
        self.link.give(Input::Close { deadline: self.close_deadline });
        let _ = end.await;
    }

    /// Resolves when the client is over, whoever ended it; `None` if it was over before.
    pub async fn closed(&self) -> Option<End> {
        let (waiting, end) = oneshot::channel();
        self.link.give(Input::Sink(Request::End(waiting)));
        end.await.ok()
    }
}
