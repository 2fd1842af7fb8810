//! A room and an inbox that keep what they are given, for the handlers' tests.

use crate::application::{Answer, Handler, Inbox, Request, Room, Unanswered, Undeliverable, process};
use crate::parts::Parts;
use futures::FutureExt;
use futures::future::BoxFuture;
use readywire_protocol::json::Payload;
use readywire_protocol::server::SessionMessage;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

type Sent = (String, String, String);

#[derive(Clone, Default)]
pub(super) struct Recorder {
    parts: Arc<Mutex<Vec<SessionMessage>>>,
    sent: Arc<Mutex<Vec<Sent>>>,
    asked: Arc<Mutex<Vec<Sent>>>,
    answers: Arc<Mutex<VecDeque<Result<Payload, Unanswered>>>>,
    incoming: Arc<Mutex<Option<Parts>>>,
    cancel_after: Option<usize>,
    cancellation: CancellationToken,
}

impl Recorder {
    /// Cancels the answer after so many parts.
    pub(super) fn cancelling_after(parts: usize) -> Self {
        Self { cancel_after: Some(parts), ..Self::default() }
    }

    /// Brings these parts behind what it runs next.
    pub(super) fn bringing(parts: Vec<Payload>) -> Self {
        Self { incoming: Arc::new(Mutex::new(Some(parts.into()))), ..Self::default() }
    }

    /// Answers what is asked like this, one after the other.
    pub(super) fn answering(answers: Vec<Result<Payload, Unanswered>>) -> Self {
        Self { answers: Arc::new(Mutex::new(answers.into())), ..Self::default() }
    }

    pub(super) async fn run(&self, handler: impl Handler, event: &str, payload: &str) {
        let everything: Arc<Self> = Arc::new(self.clone());
        let request = Request {
            subject: "alice".to_owned(),
            session: "s".to_owned(),
            id: 7,
            event: event.to_owned(),
            payload: Payload::parse(payload).unwrap(),
            parts: self.incoming.lock().unwrap().take().unwrap_or_default(),
            room: everything.clone(),
        };
        process(Arc::new(handler), request, Answer::new(everything, 7, true, self.cancellation.clone())).await;
    }

    pub(super) fn parts(&self) -> Vec<SessionMessage> {
        self.parts.lock().unwrap().clone()
    }

    pub(super) fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    pub(super) fn asked(&self) -> Vec<Sent> {
        self.asked.lock().unwrap().clone()
    }
}

impl Inbox for Recorder {
    fn append(&self, message: SessionMessage) -> BoxFuture<'_, Result<(), Undeliverable>> {
        let mut parts = self.parts.lock().unwrap();
        parts.push(message);
        if self.cancel_after == Some(parts.len()) {
            self.cancellation.cancel();
        }
        async { Ok(()) }.boxed()
    }
}

impl Room for Recorder {
    fn to_everyone<'a>(&'a self, event: &'a str, payload: &'a Payload) -> BoxFuture<'a, Result<usize, Undeliverable>> {
        self.to_subject("*", event, payload)
    }

    fn to_subject<'a>(
        &'a self,
        subject: &'a str,
        event: &'a str,
        payload: &'a Payload,
    ) -> BoxFuture<'a, Result<usize, Undeliverable>> {
        self.sent.lock().unwrap().push((
            subject.to_owned(),
            event.to_owned(),
            payload.text().unwrap_or_default().to_owned(),
        ));
        async { Ok(1) }.boxed()
    }

    fn publish<'a>(
        &'a self,
        topic: &'a str,
        event: &'a str,
        payload: &'a Payload,
    ) -> BoxFuture<'a, Result<u64, Undeliverable>> {
        async move { self.to_subject(topic, event, payload).await.map(|_| 1) }.boxed()
    }

    fn revoke<'a>(&'a self, _: &'a str, _: &'a str) -> BoxFuture<'a, Result<(), Undeliverable>> {
        async { Ok(()) }.boxed()
    }

    fn ask<'a>(
        &'a self,
        subject: &'a str,
        _: &'a str,
        event: &'a str,
        payload: &'a Payload,
        _: Duration,
    ) -> BoxFuture<'a, Result<Payload, Unanswered>> {
        let question = (subject.to_owned(), event.to_owned(), payload.text().unwrap_or_default().to_owned());
        self.asked.lock().unwrap().push(question);
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Err(Unanswered::Unsupported));
        async { answer }.boxed()
    }
}
