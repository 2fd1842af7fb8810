//! From a send to its handler.

use super::Driver;
use crate::application::{Answer, Handler, Inbox, Rejection, Request, process, start_of};
use crate::parts::Parts;
use crate::publish::Publish;
use crate::session_inbox::{Nowhere, SessionInbox};
use crate::session_room::SessionRoom;
use crate::sessions::{StreamNews, Taking};
use crate::stream_log::StreamLog;
use futures::{FutureExt, poll};
use readywire_protocol::frame::{Refusal, Send};
use readywire_protocol::json::INTEGER_END;
use readywire_protocol::server::Decision;
use readywire_protocol::time::milliseconds;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use tokio::time::Instant;

impl Driver {
    /// Decides what was sent, in one step, and starts a handler for each that is new; nothing before its time.
    pub(super) async fn decide(&mut self) {
        if self.sends.is_empty() || self.holds_back() {
            return;
        }
        let sends = std::mem::take(&mut self.sends);
        let sends: Vec<(Send, Option<Refusal>)> = sends.into_iter().map(|send| self.judge(send)).collect();
        self.hub.metrics.sends.inc_by(sends.len() as u64);
        let Some(held) = &mut self.held else { return };
        let takings = match held.session.take(&sends).await {
            Ok(takings) => takings,
            Err(error) => return self.log_failed(&error),
        };
        let now = self.hub.now();
        for ((send, _), taking) in sends.into_iter().zip(takings) {
            if self.behind.is_some() {
                self.pass_on(send, taking);
                continue;
            }
            match taking {
                Taking::Again(decision) => {
                    self.core.decide(now, send.id, decision);
                    self.has_opened(&send);
                }
                Taking::New => {
                    self.core.decide(now, send.id, Decision::Taken);
                    self.has_opened(&send);
                    // A part goes to the handler of its stream by the log, and an answer to whoever asked.
                    if send.of.is_none() && send.re.is_none() {
                        self.begin(send);
                    }
                }
            }
        }
        for re in std::mem::take(&mut self.cancels) {
            self.stop(re).await;
        }
    }

    /// What is known by now of the stream that a send was to open.
    fn has_opened(&mut self, send: &Send) {
        let Some(held) = self.held.as_mut().filter(|_| send.stream) else { return };
        match held.session.streams().is_open(send.id) {
            true => self.hub.bound(self.owner, &held.session),
            // Refused, or over, or answered before under its key.
            false => self.core.stream_over(send.id),
        }
    }

    /// Something may have become of the streams: their handlers read, or have ended.
    pub(super) fn streams_moved(&mut self) {
        let Some(held) = &mut self.held else { return };
        let now = self.hub.now();
        for news in held.session.streams().look() {
            match news {
                StreamNews::Read { stream, id } => self.core.stream_read(now, stream, id),
                StreamNews::Over { stream } => {
                    self.core.stream_over(stream);
                    self.hub.bound(self.owner, &held.session);
                }
            }
        }
    }

    /// Whether the session's former connection may still start handlers: what they do comes first (clause `send.order`).
    /// Nothing is taken meanwhile, so that nothing is lost should this connection go, too; the client's window bounds what
    /// waits here.
    pub(super) fn holds_back(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.release.is_some() && held.session.awaits_release())
    }

    /// The session's former connection may have released it, or was waited for long enough.
    pub(super) async fn look_for_release(&mut self) {
        let Some(held) = &mut self.held else { return };
        let Some(release) = &held.release else { return };
        if release.until <= Instant::now() {
            tracing::warn!(session = %held.session.address().id, "its former connection gives no sign: it is taken for gone");
            held.release = None;
        } else if let Err(error) = held.session.catch_up().await {
            self.log_failed(&error);
        }
    }

    /// Stops an answer; one whose send waits is stopped as soon as that is decided.
    pub(super) async fn cancel(&mut self, re: u64) {
        self.decide().await;
        if !self.sends.iter().any(|send| send.id == re) {
            self.stop(re).await;
        } else if !self.cancels.contains(&re) {
            // Once each, so that the client's window bounds them, too.
            self.cancels.push(re);
        }
    }

    async fn stop(&mut self, re: u64) {
        let Some(held) = &mut self.held else { return };
        if !self.hub.cancel(&held.session.address().id, re) {
            held.session.cancel_elsewhere(re);
        }
        match held.session.end_stream(re).await {
            Ok(true) => {
                self.core.stream_over(re);
                self.hub.bound(self.owner, &held.session);
            }
            Ok(false) => {}
            Err(error) => self.log_failed(&error),
        }
    }

    /// What speaks against taking a send, if it is new.
    fn judge(&self, send: Send) -> (Send, Option<Refusal>) {
        if let Some(behind) = &self.behind {
            let refusal = behind.judge(&send);
            return (send, refusal);
        }
        // A part goes where its stream goes, an answer to whoever asked.
        let Some(claims) = self.claims.as_ref().filter(|_| send.of.is_none() && send.re.is_none()) else {
            return (send, None);
        };
        let handler = self.handler_of(&send);
        let handler = handler.as_ref();
        let needed = handler.and_then(|handler| {
            handler.requires().iter().find(|name| self.impaired.iter().any(|impaired| impaired == *name))
        });
        let refuse = match (handler, needed) {
            (None, _) => Some(Refusal {
                message: format!("nothing here handles `{}`", start_of(&send.event)),
                ..Refusal::new(send.id, "unknown_event")
            }),
            (_, Some(service)) => Some(Refusal {
                message: format!("service `{service}` is impaired"),
                retry: true,
                service: Some((*service).to_owned()),
                ..Refusal::new(send.id, "service_impaired")
            }),
            (Some(handler), None) => handler.admit(&claims.sub, &send.payload).err().map(|rejection| {
                let Rejection { code, message, retry, retry_after } = rejection;
                let retry_after_ms = retry_after.map(|wait| milliseconds(wait).min(INTEGER_END - 1));
                Refusal { message: start_of(&message), retry, retry_after_ms, ..Refusal::new(send.id, code) }
            }),
        };
        (send, refuse)
    }

    fn handler_of(&self, send: &Send) -> Option<Arc<dyn Handler>> {
        match &send.topic {
            Some(topic) => {
                let (topic, event) = (topic.clone(), send.event.clone());
                Some(Arc::new(Publish { topic, event, topics: self.hub.topics.clone() }))
            }
            None => self.hub.parts.application.handler(&send.event).cloned(),
        }
    }

    /// Starts the handler of a send that was taken.
    fn begin(&self, send: Send) {
        let (Some(held), Some(claims)) = (&self.held, &self.claims) else { return };
        let Some(handler) = self.handler_of(&send) else { return };
        let (hub, address) = (self.hub.clone(), held.session.address().clone());
        let working = hub.working.clone();
        let cancellation = hub.begin_work(&address.id, send.id);
        let stream = send.stream.then(|| address.stream(send.id));
        let parts = stream.clone().map_or_else(Parts::default, |stream| {
            Parts::new(StreamLog::new(hub.parts.log.clone(), stream, hub.parts.config.stream, cancellation.clone()))
        });
        let inbox: Arc<dyn Inbox> = match self.levels.answers {
            true => Arc::new(SessionInbox { hub: hub.clone(), address: address.clone(), stream: stream.clone() }),
            false => Arc::new(Nowhere),
        };
        let room = SessionRoom::new(hub.clone(), held.session.starts(), cancellation.clone());
        let started = room.started();
        let answer = Answer::new(inbox, send.id, send.answer, cancellation);
        let request = Request {
            subject: claims.sub.clone(),
            session: address.id.to_string(),
            id: send.id,
            event: send.event,
            payload: send.payload,
            parts,
            room: Arc::new(room),
        };
        let mut work = async move {
            process(handler, request, answer).await;
            hub.end_work(&address.id, send.id);
        }
        .boxed();
        // Polled once here, so that handlers start in the order of the ids; the rest outlives this connection.
        let waits = async { matches!(poll!(&mut work), Poll::Pending) }.now_or_never() != Some(false);
        started.store(true, Ordering::Relaxed);
        if waits {
            working.spawn(work);
        }
    }
}
