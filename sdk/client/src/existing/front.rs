//! The sink of this mode: asks the application's rules, and brings each event to whoever waits for it.

use super::Written;
use super::options::{Rule, StopRule};
use crate::engine::EventSink;
use crate::error::{SendError, SlowConsumer};
use crate::front::{BUFFER, Reader, current, note};
use futures::channel::{mpsc, oneshot};
use readywire_protocol::client::{ClientEvent, End, Outcome, StateChange};
use readywire_protocol::close::CloseFrame;
use std::collections::HashMap;
use std::sync::{Arc, RwLock};

/// What the API wants of the sink.
#[derive(Debug)]
pub(crate) enum Request {
    /// Somebody waits for the outcome of a send.
    Outcome { handle: u64, outcome: oneshot::Sender<Result<Written, SendError>> },
    /// Somebody reads messages.
    Messages(Reader<String>),
    /// Somebody follows the state.
    States(mpsc::Sender<StateChange>),
    /// Somebody waits for the end.
    End(oneshot::Sender<End>),
}

pub(super) struct Front {
    state: Arc<RwLock<StateChange>>,
    rule: Option<Box<dyn Rule>>,
    stop: Option<Box<dyn StopRule>>,
    outcomes: HashMap<u64, oneshot::Sender<Result<Written, SendError>>>,
    readers: Vec<Reader<String>>,
    /// Messages that came before anybody read, and whether more came than is kept; `None` once somebody did.
    early: Option<(Vec<String>, bool)>,
    followers: Vec<mpsc::Sender<StateChange>>,
    ends: Vec<oneshot::Sender<End>>,
}

impl Front {
    pub(super) fn new(
        state: Arc<RwLock<StateChange>>,
        rule: Option<Box<dyn Rule>>,
        stop: Option<Box<dyn StopRule>>,
    ) -> Self {
        Self {
            state,
            rule,
            stop,
            outcomes: HashMap::new(),
            readers: Vec::new(),
            early: Some((Vec::new(), false)),
            followers: Vec::new(),
            ends: Vec::new(),
        }
    }

    fn settled(&mut self, handle: u64, outcome: Outcome) {
        let result = match outcome {
            Outcome::Written { attempt } => Ok(Written { attempt }),
            // Nothing acknowledges here.
            Outcome::Acknowledged { .. } => return,
            Outcome::Refused(rejection) => Err(SendError::refused(rejection, current(&self.state).state)),
            Outcome::Expired => Err(SendError::Expired),
            Outcome::Unknown { code } => Err(SendError::Unknown { code: code.to_owned() }),
        };
        tracing::debug!(handle, outcome = ?result, "settled");
        if let Some(waiting) = self.outcomes.remove(&handle) {
            let _ = waiting.send(result);
        }
    }

    fn message(&mut self, text: String) {
        match &mut self.early {
            Some((early, _)) if early.len() < BUFFER => early.push(text),
            Some((_, overflowed)) => *overflowed = true,
            None => self.readers.retain_mut(|reader| reader.push(text.clone())),
        }
    }

    fn read(&mut self, mut reader: Reader<String>) {
        let (early, overflowed) = self.early.take().unwrap_or_default();
        for text in early {
            reader.push(text);
        }
        // The first reader came too late for the rest (clause `answer.slow_consumer`).
        match reader.overflow.take_if(|_| overflowed) {
            Some(overflow) => drop(overflow.send(SlowConsumer)),
            None => self.readers.push(reader),
        }
    }
}

impl EventSink for Front {
    type Request = Request;

    fn request(&mut self, request: Request) {
        match request {
            Request::Outcome { handle, outcome } => drop(self.outcomes.insert(handle, outcome)),
            Request::Messages(reader) => self.read(reader),
            Request::States(mut follower) => {
                if follower.try_send(current(&self.state)).is_ok() {
                    self.followers.push(follower);
                }
            }
            Request::End(end) => self.ends.push(end),
        }
    }

    fn event(&mut self, event: ClientEvent) -> Option<u64> {
        match event {
            ClientEvent::State(change) => {
                note(&self.state, &change);
                // Whoever does not read for a thousand changes has gone away.
                self.followers.retain_mut(|follower| follower.try_send(change.clone()).is_ok());
            }
            ClientEvent::Settled { handle, outcome } => self.settled(handle, outcome),
            ClientEvent::Text(text) => self.message(text),
            ClientEvent::Closed(end) => {
                tracing::info!(code = end.code, reason = end.reason, "closed");
                for waiting in self.ends.drain(..) {
                    let _ = waiting.send(end.clone());
                }
            }
            // The rest is this protocol's own.
            _ => {}
        }
        None
    }

    fn says_ready(&mut self, text: &str) -> bool {
        self.rule.as_mut().is_some_and(|rule| rule.says_ready(text))
    }

    fn stops(&mut self, frame: &CloseFrame) -> bool {
        self.stop.as_mut().is_some_and(|stop| stop.stops(frame.code, &frame.reason))
    }
}
