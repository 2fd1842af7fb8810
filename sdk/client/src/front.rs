//! The sink of the Rust API: brings each event to whoever waits for it.

use crate::engine::EventSink;
use crate::error::{AnswerError, HistoryError, SendError, SlowConsumer, SubscriptionError};
use crate::messages::Message;
use crate::question::Asked;
use crate::sending::{Acknowledged, SendChange, SendState};
use crate::subscription::{Publication, TopicEvent};
use futures::channel::{mpsc, oneshot};
use readywire_protocol::client::{AnswerPart, ClientEvent, ClientState, End, Outcome, Page, StateChange};
use std::collections::HashMap;
use std::sync::{Arc, RwLock};

/// Messages that wait for a reader before it counts as too slow.
pub(crate) const BUFFER: usize = 1024;

/// What the API wants of the sink.
#[derive(Debug)]
pub(crate) enum Request {
    /// Somebody waits for the outcome of a send.
    Outcome { handle: u64, outcome: oneshot::Sender<Result<Acknowledged, SendError>> },
    /// Somebody waits until a part of a stream has its place.
    Place { handle: u64, place: oneshot::Sender<Result<(), SendError>> },
    /// Somebody reads an answer.
    Answer { handle: u64, reader: Reader<Result<AnswerPart, AnswerError>> },
    /// Somebody follows a topic.
    Subscription { handle: u64, reader: Reader<Result<TopicEvent, SubscriptionError>> },
    /// Somebody waits for a page.
    Page { handle: u64, page: oneshot::Sender<Result<Page, HistoryError>> },
    /// Somebody answers the questions of an event, in place of whoever did.
    Questions { event: String, questions: mpsc::Sender<Asked> },
    /// Somebody reads messages.
    Messages(Reader<Message>),
    /// Somebody follows the state.
    States(mpsc::Sender<StateChange>),
    /// Somebody follows the sends.
    Sends(mpsc::Sender<SendChange>),
    /// Somebody waits for the end.
    End(oneshot::Sender<End>),
}

/// A reader with a bounded buffer, and a way to tell it that it was too slow.
#[derive(Debug)]
pub(crate) struct Reader<T> {
    pub(crate) items: mpsc::Sender<T>,
    pub(crate) overflow: Option<oneshot::Sender<SlowConsumer>>,
}

impl<T> Reader<T> {
    /// Whether the reader still reads.
    pub(crate) fn push(&mut self, item: T) -> bool {
        match self.items.try_send(item) {
            Ok(()) => true,
            Err(error) => {
                if error.is_full()
                    && let Some(overflow) = self.overflow.take()
                {
                    let _ = overflow.send(SlowConsumer);
                }
                false
            }
        }
    }
}

/// What came before anybody read.
#[derive(Default)]
struct Early {
    messages: Vec<Message>,
    /// Whether more came than is kept.
    overflowed: bool,
}

impl Early {
    fn push(&mut self, message: Message) {
        if self.messages.len() < BUFFER {
            self.messages.push(message);
        } else {
            self.overflowed = true;
        }
    }
}

pub(crate) struct Front {
    state: Arc<RwLock<StateChange>>,
    outcomes: HashMap<u64, oneshot::Sender<Result<Acknowledged, SendError>>>,
    places: HashMap<u64, oneshot::Sender<Result<(), SendError>>>,
    answers: HashMap<u64, Reader<Result<AnswerPart, AnswerError>>>,
    subscriptions: HashMap<u64, Reader<Result<TopicEvent, SubscriptionError>>>,
    pages: HashMap<u64, oneshot::Sender<Result<Page, HistoryError>>>,
    /// Who answers the questions of an event.
    answerers: HashMap<String, mpsc::Sender<Asked>>,
    /// Who is told that a question was withdrawn.
    asked: HashMap<u64, oneshot::Sender<()>>,
    readers: Vec<Reader<Message>>,
    /// Messages that came before anybody read; `None` once somebody did.
    early: Option<Early>,
    followers: Vec<mpsc::Sender<StateChange>>,
    send_followers: Vec<mpsc::Sender<SendChange>>,
    ends: Vec<oneshot::Sender<End>>,
}

impl Front {
    pub(crate) fn new(state: Arc<RwLock<StateChange>>) -> Self {
        Self {
            state,
            outcomes: HashMap::new(),
            places: HashMap::new(),
            answers: HashMap::new(),
            subscriptions: HashMap::new(),
            pages: HashMap::new(),
            answerers: HashMap::new(),
            asked: HashMap::new(),
            readers: Vec::new(),
            early: Some(Early::default()),
            followers: Vec::new(),
            send_followers: Vec::new(),
            ends: Vec::new(),
        }
    }

    fn stage(&self) -> ClientState {
        current(&self.state).state
    }

    fn changed(&mut self, change: StateChange) {
        note(&self.state, &change);
        // Whoever does not read for a thousand changes has gone away.
        self.followers.retain_mut(|follower| follower.try_send(change.clone()).is_ok());
    }

    fn settled(&mut self, handle: u64, outcome: Outcome) {
        let result = match outcome {
            // Written, and nobody acknowledges: that is for existing servers alone.
            Outcome::Written { .. } => Err(SendError::Unknown { code: "not_acknowledged".to_owned() }),
            Outcome::Acknowledged { id } => Ok(Acknowledged { id }),
            Outcome::Refused(rejection) => Err(SendError::refused(rejection, self.stage())),
            Outcome::Expired => Err(SendError::Expired),
            Outcome::Unknown { code } => Err(SendError::Unknown { code: code.to_owned() }),
        };
        tracing::debug!(handle, outcome = ?result, "settled");
        self.sending(handle, || SendState::Settled(result.clone()));
        if let Err(error) = &result
            && let Some(mut answer) = self.answers.remove(&handle)
        {
            answer.push(Err(AnswerError::Send(error.clone())));
        }
        if let Some(place) = self.places.remove(&handle) {
            let _ = place.send(result.clone().map(|_| ()));
        }
        if let Some(waiting) = self.outcomes.remove(&handle) {
            let _ = waiting.send(result);
        }
    }

    fn sending(&mut self, handle: u64, state: impl Fn() -> SendState) {
        self.send_followers.retain_mut(|follower| follower.try_send(SendChange { handle, state: state() }).is_ok());
    }

    fn answered(&mut self, part: AnswerPart) -> Option<u64> {
        let (handle, end) = (part.handle, part.end);
        let reader = self.answers.get_mut(&handle)?;
        let reads = reader.push(Ok(part));
        if reads && !end {
            return None;
        }
        self.answers.remove(&handle);
        (!reads && !end).then_some(handle)
    }

    /// Gives back the handle of a subscription that is not read as fast as it comes (clause `topic.slow_consumer`).
    fn topical(&mut self, handle: u64, event: TopicEvent) -> Option<u64> {
        if self.subscriptions.get_mut(&handle)?.push(Ok(event)) {
            return None;
        }
        self.subscriptions.remove(&handle);
        Some(handle)
    }

    fn paged(&mut self, handle: u64, page: Result<Page, HistoryError>) {
        if let Some(waiting) = self.pages.remove(&handle) {
            let _ = waiting.send(page);
        }
    }

    fn message(&mut self, message: Message) {
        if let Some(early) = &mut self.early {
            return early.push(message);
        }
        self.readers.retain_mut(|reader| reader.push(message.clone()));
    }
}

impl EventSink for Front {
    type Request = Request;

    fn request(&mut self, request: Request) {
        match request {
            Request::Outcome { handle, outcome } => drop(self.outcomes.insert(handle, outcome)),
            Request::Place { handle, place } => drop(self.places.insert(handle, place)),
            Request::Answer { handle, reader } => drop(self.answers.insert(handle, reader)),
            Request::Subscription { handle, reader } => drop(self.subscriptions.insert(handle, reader)),
            Request::Page { handle, page } => drop(self.pages.insert(handle, page)),
            Request::Questions { event, questions } => drop(self.answerers.insert(event, questions)),
            Request::Messages(mut reader) => {
                let early = self.early.take().unwrap_or_default();
                for message in early.messages {
                    reader.push(message);
                }
                // The first reader came too late for the rest (clause `answer.slow_consumer`).
                match reader.overflow.take_if(|_| early.overflowed) {
                    Some(overflow) => drop(overflow.send(SlowConsumer)),
                    None => self.readers.push(reader),
                }
            }
            Request::States(mut follower) => {
                if follower.try_send(current(&self.state)).is_ok() {
                    self.followers.push(follower);
                }
            }
            Request::Sends(follower) => self.send_followers.push(follower),
            Request::End(end) => self.ends.push(end),
        }
    }

    fn event(&mut self, event: ClientEvent) -> Option<u64> {
        match event {
            ClientEvent::State(change) => self.changed(change),
            ClientEvent::Session { id, resumed } => tracing::info!(session = id, resumed, "session"),
            // Nobody asked for it here.
            ClientEvent::Carried(_) => {}
            ClientEvent::InFlight { handle, id } => {
                tracing::debug!(handle, id, "in flight");
                self.sending(handle, || SendState::InFlight { id });
            }
            ClientEvent::Queued { handle } => {
                if let Some(place) = self.places.remove(&handle) {
                    let _ = place.send(Ok(()));
                }
            }
            // Whoever writes next is told.
            ClientEvent::StreamOver { handle } => tracing::debug!(handle, "stream over"),
            ClientEvent::Held { handle, service } => {
                tracing::info!(handle, service, "held until the service works");
                self.sending(handle, || SendState::Held { service: service.clone() });
            }
            ClientEvent::Settled { handle, outcome } => self.settled(handle, outcome),
            ClientEvent::Message { offset, event, payload } => {
                self.message(Message { offset, event, payload });
            }
            ClientEvent::Question { question, offset, event, payload } => {
                let (withdrawn, told) = oneshot::channel();
                let answerer = self.answerers.get_mut(&event);
                let asked = Asked { question, offset, event, payload, withdrawn: told };
                if answerer.is_none_or(|answerer| answerer.try_send(asked).is_err()) {
                    return Some(question);
                }
                self.asked.retain(|_, asked| !asked.is_canceled());
                self.asked.insert(question, withdrawn);
            }
            ClientEvent::Withdrawn { question } => {
                if let Some(withdrawn) = self.asked.remove(&question) {
                    let _ = withdrawn.send(());
                }
            }
            // Only existing servers send bare text.
            ClientEvent::Text(_) => {}
            ClientEvent::Answer(part) => return self.answered(part),
            ClientEvent::Subscribed { handle, offset, head, epoch, recovered } => {
                tracing::debug!(handle, offset, head, epoch, recovered, "subscribed");
                return self.topical(handle, TopicEvent::Subscribed { offset, head, epoch, recovered });
            }
            ClientEvent::Publication { handle, offset, event, payload } => {
                return self.topical(handle, TopicEvent::Publication(Publication { offset, event, payload }));
            }
            ClientEvent::Unsubscribed { handle, code, retry } => {
                tracing::debug!(handle, code, retry, "unsubscribed");
                if let Some(mut reader) = self.subscriptions.remove(&handle).filter(|_| !code.is_empty()) {
                    reader.push(Err(SubscriptionError::Ended { code, retry }));
                }
            }
            ClientEvent::Page(page) => self.paged(page.handle, Ok(*page)),
            ClientEvent::PageRefused { handle, code, retry } => {
                tracing::debug!(handle, code, retry, "no page");
                self.paged(handle, Err(HistoryError::Refused { code, retry }));
            }
            ClientEvent::Closed(end) => {
                tracing::info!(code = end.code, reason = end.reason, "closed");
                for waiting in self.ends.drain(..) {
                    let _ = waiting.send(end.clone());
                }
            }
        }
        None
    }
}

/// Logs a change, and keeps it for whoever asks.
pub(crate) fn note(known: &RwLock<StateChange>, change: &StateChange) {
    let StateChange { state, previous, attempt, code, .. } = change;
    tracing::info!(
        state = state.name(),
        previous = previous.name(),
        attempt,
        code,
        pending = change.pending.join(","),
        reason = change.reason.as_deref().unwrap_or_default(),
        "state"
    );
    match known.write() {
        Ok(mut known) => *known = change.clone(),
        Err(poisoned) => *poisoned.into_inner() = change.clone(),
    }
}

pub(crate) fn current(state: &RwLock<StateChange>) -> StateChange {
    match state.read() {
        Ok(state) => state.clone(),
        Err(poisoned) => poisoned.into_inner().clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::Messages;
    use futures::{FutureExt, StreamExt};
    use readywire_protocol::json::Payload;

    fn front() -> Front {
        let state = StateChange {
            state: ClientState::Connecting,
            previous: ClientState::Connecting,
            pending: Vec::new(),
            impaired: Vec::new(),
            reason: None,
            connection: None,
            attempt: 0,
            handover: false,
            retry_at: None,
            code: None,
        };
        Front::new(Arc::new(RwLock::new(state)))
    }

    fn bring(front: &mut Front, offsets: impl IntoIterator<Item = u64>) {
        for offset in offsets {
            front.event(ClientEvent::Message { offset, event: "note".to_owned(), payload: Payload::null() });
        }
    }

    fn read(front: &mut Front) -> Messages {
        let (items, messages) = mpsc::channel(BUFFER);
        let (slow, overflow) = oneshot::channel();
        front.request(Request::Messages(Reader { items, overflow: Some(slow) }));
        Messages { messages, overflow, told: false }
    }

    /// The offsets of what is there now.
    fn offsets(messages: &mut Messages) -> Vec<Result<u64, SlowConsumer>> {
        let next = || messages.next().now_or_never().flatten();
        std::iter::from_fn(next).map(|next| next.map(|message| message.offset)).collect()
    }

    #[test]
    fn whoever_reads_too_late_is_told_that_messages_are_missing() {
        let (mut front, kept) = (front(), BUFFER as u64);
        bring(&mut front, 1..=kept + 1);
        let expected: Vec<_> = (1..=kept).map(Ok).chain([Err(SlowConsumer)]).collect();
        assert_eq!(offsets(&mut read(&mut front)), expected);
        let mut again = read(&mut front);
        bring(&mut front, [kept + 2]);
        assert_eq!(offsets(&mut again), [Ok(kept + 2)], "who reads again goes on");
    }

    #[test]
    fn whoever_reads_in_time_gets_what_came_before_and_after() {
        let (mut front, kept) = (front(), BUFFER as u64);
        bring(&mut front, 1..=kept);
        let mut messages = read(&mut front);
        bring(&mut front, [kept + 1]);
        assert_eq!(offsets(&mut messages), Vec::from_iter((1..=kept + 1).map(Ok)));
    }
}
