//! From a send to its handler.

use super::Driver;
use crate::application::{Answer, Inbox, Rejection, Request, process, start_of};
use crate::session_inbox::{Nowhere, SessionInbox};
use futures::{FutureExt, poll};
use readywire_protocol::close;
use readywire_protocol::frame::{Refusal, Send};
use readywire_protocol::server::{Decision, Take};
use std::sync::Arc;
use std::task::Poll;

impl Driver {
    /// Decides a send and, if it is new, starts its handler.
    pub(super) fn send(&mut self, send: Send) {
        let (Some(held), Some(claims)) = (&self.held, &self.claims) else { return };
        let (hub, session) = (self.hub.clone(), held.id.clone());
        hub.metrics.sends.inc();
        let handler = hub.parts.application.handler(&send.event).cloned();
        let needed = handler.as_ref().and_then(|handler| {
            handler.requires().iter().find(|name| self.impaired.iter().any(|impaired| impaired == *name))
        });
        let refuse = match (&handler, needed) {
            (None, _) => Some(Refusal {
                message: format!("nothing here handles `{}`", start_of(&send.event)),
                ..refusal(send.id, "unknown_event")
            }),
            (_, Some(service)) => Some(Refusal {
                message: format!("service `{service}` is impaired"),
                retry: true,
                service: Some((*service).to_owned()),
                ..refusal(send.id, "service_impaired")
            }),
            (Some(handler), None) => handler.admit(&claims.sub, &send.payload).err().map(|rejection| {
                let Rejection { code, message, retry } = rejection;
                Refusal { message: start_of(&message), retry, ..refusal(send.id, &code) }
            }),
        };
        match hub.sessions(|sessions| sessions.take(hub.now(), &session, self.owner, &send, refuse)) {
            Take::Fenced => {
                self.core.refuse(close::SESSION_TAKEN_OVER, "a later attempt has the session", None);
            }
            Take::Again(decision) => self.core.decide(hub.now(), send.id, decision),
            Take::New => {
                self.core.decide(hub.now(), send.id, Decision::Taken);
                let Some(handler) = handler else { return };
                let cancellation = hub.begin_work(&session, send.id);
                let inbox: Arc<dyn Inbox> = match self.levels.answers {
                    true => Arc::new(SessionInbox { hub: hub.clone(), session: session.clone() }),
                    false => Arc::new(Nowhere),
                };
                let answer = Answer::new(inbox, send.id, send.answer, cancellation);
                let request = Request {
                    subject: claims.sub.clone(),
                    session: session.clone(),
                    id: send.id,
                    event: send.event,
                    payload: send.payload,
                    room: hub.clone(),
                };
                let mut work = async move {
                    process(handler, request, answer).await;
                    hub.end_work(&session, send.id);
                }
                .boxed();
                // Polled once here, so that handlers start in the order of the ids; the rest outlives this connection.
                let waits = async { matches!(poll!(&mut work), Poll::Pending) }.now_or_never() != Some(false);
                if waits {
                    tokio::spawn(work);
                }
            }
        }
    }
}

fn refusal(id: u64, code: &str) -> Refusal {
    Refusal { id, code: code.to_owned(), message: String::new(), retry: false, retry_after_ms: None, service: None }
}
