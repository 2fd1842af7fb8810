//! One client at a server that speaks the protocol: does what is ordered, and reports everything that it is told.

use crate::options;
use crate::orders::{Orders, Run, text};
use crate::reports::{Reports, told};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::{FutureExt, Stream, StreamExt};
use readywire::{
    Answer, AnswerError, Bytes, Client, Credential, End, History, HistoryError, Messages, Page, Payload, Position,
    Publication, Question, Questions, SendChange, SendChanges, SendState, Sending, States, StreamWriter, Subscription,
    SubscriptionError, TokenReason, TopicEvent, connect,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Makes a client as ordered, and serves it to its end, or to the end of its orders.
pub(crate) async fn run(order: Value, orders: Orders) {
    let provider = orders.provider.clone();
    let options = options::of(&order).credential(move |reason| {
        let token = provider.ask(if reason == TokenReason::Refresh { "refresh" } else { "connect" });
        async move { token.await.map(Credential::Bearer) }
    });
    let url = text(&order["url"]);
    let reads = order["options"]["read_messages"] != false;
    orders.serve(connect(&url, options), |client, reports| Running::new(client, reports, reads)).await;
}

type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

struct Running {
    client: Client,
    reports: Reports,
    messages: Messages,
    /// Whether messages are read.
    reads: bool,
    states: States,
    changes: SendChanges,
    /// The suite's handles by the client's.
    handles: BTreeMap<u64, u64>,
    closed: Option<Later<Option<End>>>,
    closing: Option<Later<()>>,
    sends: BTreeMap<u64, Sending>,
    /// Each with whether it is read.
    answers: BTreeMap<u64, (Answer<Payload>, bool)>,
    /// What writes to the streams that are open.
    streams: BTreeMap<u64, StreamWriter>,
    /// Of topics as of answers.
    topics: BTreeMap<u64, (Subscription, bool)>,
    pages: BTreeMap<u64, History>,
    requests: BTreeMap<u64, Later<Result<Payload, AnswerError>>>,
    questions: Vec<Questions>,
    /// Those that wait for an answer, by their offsets, each with whether anybody still waits for that.
    asked: BTreeMap<u64, (Question, bool)>,
}

impl Running {
    fn new(client: Client, reports: Reports, reads: bool) -> Self {
        Self {
            messages: client.messages(),
            reads,
            states: client.states(),
            changes: client.sends(),
            handles: BTreeMap::new(),
            closed: Some(Box::pin({
                let client = client.clone();
                async move { client.closed().await }
            })),
            closing: None,
            sends: BTreeMap::new(),
            answers: BTreeMap::new(),
            streams: BTreeMap::new(),
            topics: BTreeMap::new(),
            pages: BTreeMap::new(),
            requests: BTreeMap::new(),
            questions: Vec::new(),
            asked: BTreeMap::new(),
            client,
            reports,
        }
    }
}

impl Run for Running {
    fn obey(&mut self, order: &Value) {
        let handle = order["handle"].as_u64().unwrap_or_default();
        let event = text(&order["event"]);
        let payload = &order["payload"];
        let bytes = order["payload_base64"].as_str().and_then(|text| STANDARD.decode(text).ok()).map(Bytes::from);
        match order["op"].as_str().unwrap_or_default() {
            "send" => {
                let options = options::of_send(order);
                let sending = match (&bytes, order["topic"].as_str()) {
                    (Some(bytes), Some(topic)) => self.client.publish_with(topic, &event, bytes.clone(), options),
                    (None, Some(topic)) => self.client.publish_with(topic, &event, payload, options),
                    (Some(bytes), None) => self.client.send_with(&event, bytes.clone(), options),
                    (None, None) => self.client.send_with(&event, payload, options),
                };
                self.handles.insert(sending.handle(), handle);
                self.sends.insert(handle, sending);
            }
            "stream" => {
                let options = options::of_send(order);
                let answer = match &bytes {
                    Some(bytes) => self.client.stream_with(&event, bytes.clone(), options),
                    None => self.client.stream_with(&event, payload, options),
                };
                self.handles.insert(answer.handle(), handle);
                self.answers.insert(handle, (answer, order["read"] != false));
            }
            "open" => {
                let options = options::of_send(order);
                let stream = match &bytes {
                    Some(bytes) => self.client.open_stream_with(&event, bytes.clone(), options),
                    None => self.client.open_stream_with(&event, payload, options),
                };
                let (writer, answer) = stream.split();
                self.handles.insert(answer.handle(), handle);
                self.streams.insert(handle, writer);
                self.answers.insert(handle, (answer, order["read"] != false));
            }
            "write" => {
                let Some(writer) = self.streams.get_mut(&order["stream"].as_u64().unwrap_or_default()) else {
                    return self.reports.trouble("that stream is not open");
                };
                let sending = match bytes {
                    Some(bytes) => writer.try_write(bytes),
                    None => writer.try_write(payload),
                };
                self.sends.insert(handle, sending);
            }
            "finish" => {
                if let Some(writer) = self.streams.remove(&order["stream"].as_u64().unwrap_or_default()) {
                    // Given by now, and on its way, whether anybody waits for it or not.
                    let _ = writer.end().now_or_never();
                }
            }
            "request" => {
                let (client, payload) = (self.client.clone(), payload.clone());
                let answer = async move {
                    match bytes {
                        Some(bytes) => client.request(&event, bytes).await,
                        None => client.request(&event, &payload).await,
                    }
                };
                self.requests.insert(handle, Box::pin(answer));
            }
            "questions" => self.questions.push(self.client.questions(&event)),
            "reply" => {
                let Some((question, _)) = self.asked.remove(&order["question"].as_u64().unwrap_or_default()) else {
                    return self.reports.trouble("that question is not open");
                };
                // Given by now, whether anybody waits for what becomes of it or not.
                drop(match (order["error"].as_object(), bytes) {
                    (Some(error), _) => {
                        let code = error.get("code").and_then(Value::as_str).unwrap_or("failed");
                        question.refuse(code, &text(&order["error"]["message"]))
                    }
                    (None, Some(bytes)) => question.answer(bytes),
                    (None, None) => question.answer(payload),
                });
            }
            "subscribe" => {
                let topic = text(&order["topic"]);
                let from = order["offset"].as_u64();
                let subscription = match from {
                    Some(offset) => {
                        let epoch = order["epoch"].as_str().map(str::to_owned);
                        self.client.subscribe_from(&topic, Position { offset, epoch })
                    }
                    None => match order["last"].as_u64() {
                        Some(last) => self.client.subscribe_last(&topic, last),
                        None => self.client.subscribe(&topic),
                    },
                };
                self.topics.insert(handle, (subscription, order["read"] != false));
            }
            "history" => {
                let (topic, limit) = (text(&order["topic"]), order["limit"].as_u64().unwrap_or_default());
                let page = match order["before"].as_u64() {
                    Some(offset) => {
                        let epoch = order["epoch"].as_str().map(str::to_owned);
                        self.client.history_before(&topic, limit, Position { offset, epoch })
                    }
                    None => self.client.history(&topic, limit),
                };
                self.pages.insert(handle, page);
            }
            "unsubscribe" => drop(self.topics.remove(&handle)),
            "read" if order["handle"].is_null() => self.reads = true,
            "read" => {
                if let Some((_, reads)) = self.answers.get_mut(&handle) {
                    *reads = true;
                }
                if let Some((_, reads)) = self.topics.get_mut(&handle) {
                    *reads = true;
                }
            }
            "cancel" => {
                if let Some((answer, _)) = self.answers.get(&handle) {
                    answer.cancel();
                }
            }
            "abandon" => {
                if let Some(sending) = self.sends.get(&handle) {
                    self.client.abandon(sending);
                }
            }
            "wake" => self.client.wake(),
            "sync" => self.reports.tell("synced", json!({})),
            "close" => {
                let client = self.client.clone();
                self.closing = Some(Box::pin(async move { client.close().await }));
            }
            other => self.reports.trouble(&format!("there is no order `{other}`")),
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) {
        if let Some(closing) = &mut self.closing
            && closing.poll_unpin(context).is_ready()
        {
            self.closing = None;
        }
        // Looked at before all else, and told behind it: the client may go on while this looks around.
        let end = self.closed.as_mut().and_then(|closed| match closed.poll_unpin(context) {
            Poll::Ready(end) => Some(end),
            Poll::Pending => None,
        });
        let reports = &self.reports;
        self.sends.retain(|handle, sending| match sending.poll_unpin(context) {
            Poll::Ready(result) => {
                reports.outcome(*handle, "acknowledged", &result);
                false
            }
            Poll::Pending => true,
        });
        while let Poll::Ready(Some(SendChange { handle, state })) = self.changes.poll_next_unpin(context) {
            if let (SendState::Held { service }, Some(handle)) = (state, self.handles.get(&handle)) {
                reports.tell("held", json!({ "handle": handle, "service": service }));
            }
        }
        self.answers.retain(|handle, (answer, reads)| !*reads || read(reports, *handle, answer, context));
        self.topics.retain(|handle, (topic, reads)| !*reads || follow(reports, *handle, topic, context));
        self.pages.retain(|handle, page| match page.poll_unpin(context) {
            Poll::Ready(page) => {
                paged(reports, *handle, page);
                false
            }
            Poll::Pending => true,
        });
        self.requests.retain(|handle, request| match request.poll_unpin(context) {
            Poll::Ready(Ok(payload)) => {
                reports.tell("answer", told(&payload, json!({ "handle": handle, "end": true, "error": null })));
                false
            }
            Poll::Ready(Err(error)) => {
                reports.failed(*handle, &error);
                false
            }
            Poll::Pending => true,
        });
        for questions in &mut self.questions {
            while let Poll::Ready(Some(question)) = questions.poll_next_unpin(context) {
                match question.payload::<Payload>() {
                    Ok(payload) => {
                        let report = json!({ "question": question.offset, "event": question.event });
                        reports.tell("question", told(&payload, report));
                    }
                    Err(error) => reports.trouble(&error.to_string()),
                }
                self.asked.insert(question.offset, (question, true));
            }
        }
        for (offset, (question, open)) in &mut self.asked {
            if *open && Box::pin(question.withdrawn()).poll_unpin(context).is_ready() {
                *open = false;
                reports.tell("withdrawn", json!({ "question": offset }));
            }
        }
        while self.reads
            && let Poll::Ready(Some(message)) = Pin::new(&mut self.messages).poll_next(context)
        {
            let Ok(message) = message else {
                self.messages = self.client.messages();
                reports.tell("overflow", json!({}));
                continue;
            };
            match message.payload::<Payload>() {
                Ok(payload) => {
                    let report = json!({ "event": message.event, "offset": message.offset });
                    reports.tell("message", told(&payload, report));
                }
                Err(error) => reports.trouble(&error.to_string()),
            }
        }
        while let Poll::Ready(Some(change)) = self.states.poll_next_unpin(context) {
            reports.state(&change);
        }
        if let Some(end) = end {
            self.closed = None;
            match end {
                Some(end) => reports.closed(&end),
                // It was over before anybody asked.
                None => {
                    let status = self.client.status();
                    reports.tell("closed", json!({ "code": status.code, "reason": status.reason }));
                }
            }
        }
    }
}

/// Reports a page, or that there is none.
fn paged(reports: &Reports, handle: u64, page: Result<Page, HistoryError>) {
    let Page { publications, epoch, head, more, .. } = match page {
        Ok(page) => page,
        Err(HistoryError::Refused { code, retry }) => {
            return reports.tell("page", json!({ "handle": handle, "code": code, "retry": retry }));
        }
        Err(error) => return reports.trouble(&error.to_string()),
    };
    let one = |publication: Publication| {
        let report = json!({ "event": publication.event, "offset": publication.offset });
        publication.payload::<Payload>().map(|payload| told(&payload, report))
    };
    match publications.into_iter().map(one).collect::<Result<Vec<_>, _>>() {
        Ok(publications) => {
            let page =
                json!({ "handle": handle, "publications": publications, "epoch": epoch, "head": head, "more": more });
            reports.tell("page", page);
        }
        Err(error) => reports.trouble(&error.to_string()),
    }
}

/// Reports what there is of a topic; false after its end.
fn follow(reports: &Reports, handle: u64, topic: &mut Subscription, context: &mut Context<'_>) -> bool {
    loop {
        match topic.poll_next_unpin(context) {
            Poll::Pending => return true,
            Poll::Ready(Some(Ok(TopicEvent::Subscribed { offset, epoch, recovered, .. }))) => reports.tell(
                "subscribed",
                json!({ "handle": handle, "offset": offset, "epoch": epoch, "recovered": recovered }),
            ),
            Poll::Ready(Some(Ok(TopicEvent::Publication(publication)))) => match publication.payload::<Payload>() {
                Ok(payload) => {
                    let (event, offset) = (publication.event, publication.offset);
                    let report = json!({ "handle": handle, "event": event, "offset": offset });
                    reports.tell("publication", told(&payload, report));
                }
                Err(error) => reports.trouble(&error.to_string()),
            },
            Poll::Ready(Some(Ok(other))) => reports.trouble(&format!("{other:?}")),
            Poll::Ready(Some(Err(SubscriptionError::Ended { code, retry }))) => {
                reports.tell("unsubscribed", json!({ "handle": handle, "code": code, "retry": retry }));
                return false;
            }
            Poll::Ready(Some(Err(SubscriptionError::SlowConsumer))) => {
                reports.tell("unsubscribed", json!({ "handle": handle, "code": "slow_consumer", "retry": true }));
                return false;
            }
            Poll::Ready(Some(Err(error))) => {
                reports.trouble(&error.to_string());
                return false;
            }
            Poll::Ready(None) => return false,
        }
    }
}

/// Reports the parts of an answer that are there; false after its end.
fn read(reports: &Reports, handle: u64, answer: &mut Answer<Payload>, context: &mut Context<'_>) -> bool {
    loop {
        match answer.poll_next_unpin(context) {
            Poll::Pending => return true,
            Poll::Ready(Some(Ok(part))) => {
                let report = json!({ "handle": handle, "event": part.event, "end": false });
                reports.tell("answer", told(&part.payload, report));
            }
            Poll::Ready(Some(Err(error))) => {
                reports.failed(handle, &error);
                return false;
            }
            Poll::Ready(None) => {
                reports.tell("answer", json!({ "handle": handle, "end": true, "error": null }));
                return false;
            }
        }
    }
}
