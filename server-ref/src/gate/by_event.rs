//! Plain messages for the handlers that an application already has.

use super::{PlainClient, PlainHandler};
use crate::application::{Answer, Application, Inbox, Request, Undeliverable, process};
use crate::parts::Parts;
use futures::FutureExt;
use futures::future::BoxFuture;
use readywire_protocol::json::Payload;
use readywire_protocol::server::SessionMessage;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio_util::sync::CancellationToken;

/// Takes `{"event", "payload"}`, hands it to the application's handler for that event, and writes each part of the answer
/// in the same shape; what goes wrong as `{"event", "error": {"code", "message"}}`.
#[derive(Debug)]
pub struct ByEvent {
    application: Application,
    next: AtomicU64,
}

impl ByEvent {
    /// For the handlers of this application.
    pub fn new(application: Application) -> Self {
        Self { application, next: AtomicU64::new(1) }
    }
}

#[derive(Deserialize)]
struct Line<'a> {
    event: String,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

impl PlainHandler for ByEvent {
    fn handle<'a>(&'a self, text: String, client: &'a PlainClient) -> BoxFuture<'a, ()> {
        async move {
            let read = serde_json::from_str::<Line<'_>>(&text).map_err(|error| error.to_string()).and_then(|line| {
                let payload = Payload::parse(line.payload.map_or("null", RawValue::get));
                Ok((line.event, payload.map_err(|error| error.to_string())?))
            });
            let (event, payload) = match read {
                Ok(read) => read,
                Err(why) => {
                    client.send(failed("", "malformed", &why)).await;
                    return;
                }
            };
            let Some(handler) = self.application.handler(&event).cloned() else {
                client.send(failed(&event, "unknown_event", "nothing here handles it")).await;
                return;
            };
            if let Err(rejection) = handler.admit(&client.subject, &payload) {
                client.send(failed(&event, &rejection.code, &rejection.message)).await;
                return;
            }
            let id = self.next.fetch_add(1, Ordering::Relaxed);
            let inbox = Arc::new(Lines(client.clone()));
            let request = Request {
                subject: client.subject.clone(),
                session: format!("plain-{id}"),
                id,
                event,
                payload,
                parts: Parts::default(),
                room: client.room.clone(),
            };
            process(handler, request, Answer::new(inbox, id, true, CancellationToken::new())).await;
        }
        .boxed()
    }
}

fn failed(event: &str, code: &str, message: &str) -> String {
    serde_json::json!({ "event": event, "error": { "code": code, "message": message } }).to_string()
}

/// The client as the inbox of its answers.
struct Lines(PlainClient);

impl Inbox for Lines {
    fn append(&self, message: SessionMessage) -> BoxFuture<'_, Result<(), Undeliverable>> {
        async move {
            let SessionMessage { event, payload, error, .. } = message;
            let text = match error {
                Some(error) => failed(&event, &error.code, &error.message),
                // Nothing but the end.
                None if event.is_empty() => return Ok(()),
                None => {
                    let event = serde_json::Value::from(event);
                    format!("{{\"event\":{event},\"payload\":{}}}", payload.text().unwrap_or("null"))
                }
            };
            if self.0.send(text).await { Ok(()) } else { Err(Undeliverable::Gone) }
        }
        .boxed()
    }
}
