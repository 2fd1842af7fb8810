//! Behind a gateway: a session's connection to the application, from the first attempt to the end of the session.

use super::Driver;
use crate::application::Rejection;
use crate::gateway::{Gateway, Seen, Upstream, text_of};
use crate::sessions::Taking;
use readywire_protocol::close;
use readywire_protocol::frame::{Refusal, Send};
use readywire_protocol::server::Decision;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::watch;

/// The upstream of this connection's session, or of the one that it is to be.
pub(super) struct Behind {
    gateway: Arc<Gateway>,
    upstream: Arc<Upstream>,
    seen: watch::Receiver<Seen>,
    written: watch::Receiver<u64>,
    /// Whether it is that of a session that goes on.
    resumes: bool,
    /// Sends that were taken and are not written yet, and so not acknowledged.
    undecided: VecDeque<u64>,
    lost: bool,
}

impl Driver {
    /// Finds or opens the upstream. False while it is not ready; whoever asks then has told the client.
    pub(super) fn has_upstream(&mut self) -> bool {
        let Some(gateway) = self.hub.parts.gateway.clone() else { return true };
        if self.behind.is_none() {
            self.behind = Some(self.open_upstream(gateway));
        }
        let Some(behind) = &mut self.behind else { return false };
        let seen = behind.seen.borrow_and_update().clone();
        match seen {
            // A resume reads `received` when nothing is left to be written, so that what it settles was written.
            Seen::Ready { .. } if behind.upstream.is_flushed() => true,
            Seen::Ready { .. } | Seen::Connecting => {
                let names = vec!["upstream".to_owned()];
                self.record.pending(&names);
                self.core.pending(self.hub.now(), names);
                false
            }
            Seen::Lost { code, reason } => {
                self.lose_upstream(code, &reason);
                false
            }
        }
    }

    fn open_upstream(&self, gateway: Arc<Gateway>) -> Behind {
        let subject = self.claims.as_ref().map(|claims| claims.sub.as_str()).unwrap_or_default();
        let going_on = self.resume.as_ref().and_then(|resume| gateway.of(subject, resume));
        let resumes = going_on.is_some();
        let upstream = going_on.unwrap_or_else(|| gateway.open(subject, self.forwarded.as_deref()));
        let (seen, written) = (upstream.seen(), upstream.written());
        Behind { gateway, upstream, seen, written, resumes, undecided: VecDeque::new(), lost: false }
    }

    /// The session is bound: its upstream goes with it. False if both are not of one piece, which ends the connection.
    pub(super) fn attach_upstream(&mut self, resumed: bool, token: &str) -> bool {
        let (Some(behind), Some(held), Some(claims)) = (&mut self.behind, &self.held, &self.claims) else {
            return true;
        };
        if behind.resumes != resumed {
            behind.lost = true;
            self.core.refuse(close::SERVICE_FAILED, "the session ended meanwhile, or its upstream did", None);
            return false;
        }
        let address = held.session.address();
        match resumed {
            true => behind.gateway.renew(&address.id, token),
            false => behind.gateway.attach(&self.hub, address, &claims.sub, token, &behind.upstream),
        }
        self.impaired.extend(behind.gateway.impairment());
        true
    }

    /// The upstream is further, has written something, or is lost.
    pub(super) async fn upstream_moved(&mut self) {
        let Some(behind) = &mut self.behind else { return };
        let written = *behind.written.borrow_and_update();
        while behind.undecided.front().is_some_and(|id| *id <= written) {
            let Some(id) = behind.undecided.pop_front() else { break };
            self.core.decide(self.hub.now(), id, Decision::Taken);
        }
        let seen = behind.seen.borrow_and_update().clone();
        match seen {
            Seen::Lost { code, reason } => self.lose_upstream(code, &reason),
            _ if self.held.is_none() => self.progress().await,
            _ => {}
        }
    }

    fn lose_upstream(&mut self, code: u16, reason: &str) {
        if let Some(behind) = &mut self.behind {
            behind.lost = true;
        }
        match code {
            // The application has said good-bye.
            close::NORMAL if self.held.is_some() => self.core.refuse(code, "the application closed", None),
            close::NOT_READY_IN_TIME | close::SERVICE_FAILED => self.core.refuse(code, reason, None),
            // Its codes are its own; a client of this protocol would read them as ours.
            _ => self.core.refuse(close::SERVICE_FAILED, &format!("upstream: closed with {code} {reason}"), None),
        }
    }

    /// Whether the session has lost its upstream, and so ends.
    pub(super) fn lost_upstream(&self) -> bool {
        self.behind.as_ref().is_some_and(|behind| behind.lost || behind.upstream.is_lost())
    }

    /// A send for the upstream was taken. It is acknowledged when it is written.
    pub(super) fn pass_on(&mut self, send: Send, taking: Taking) {
        let Some(behind) = &mut self.behind else { return };
        match taking {
            Taking::Again(Decision::Taken) if behind.upstream.awaits(send.id) => behind.undecided.push_back(send.id),
            Taking::Again(decision) => self.core.decide(self.hub.now(), send.id, decision),
            Taking::New => {
                let Ok(text) = text_of(&send.event, &send.payload) else { return };
                behind.undecided.push_back(send.id);
                if !behind.upstream.try_send(send.id, text) {
                    // It was taken, and cannot be written: the session ends rather than lose it without a word.
                    self.lose_upstream(close::SERVICE_FAILED, "upstream: it takes no more");
                }
            }
        }
    }
}

impl Behind {
    /// What speaks against taking a send, if it is new.
    pub(super) fn judge(&self, send: &Send) -> Option<Refusal> {
        let rejection = match text_of(&send.event, &send.payload) {
            // Nobody here knows which of the application's messages that would be, nor when it ends (clause `answer.end`).
            Ok(_) if send.answer || send.topic.is_some() => Rejection::new(
                "unsupported",
                "the application behind has its own answers and topics: send, and read its messages",
            ),
            Ok(_) if self.upstream.has_room(self.undecided.len()) => return None,
            Ok(_) => Rejection::new("upstream_busy", "the application behind does not read as fast as this").retry(),
            Err(rejection) => rejection,
        };
        let Rejection { code, message, retry, .. } = rejection;
        Some(Refusal { message, retry, ..Refusal::new(send.id, code) })
    }
}

/// Ends when the upstream has something to tell.
pub(super) async fn moved(behind: Option<&mut Behind>) {
    let Some(behind) = behind.filter(|behind| !behind.lost) else { return std::future::pending().await };
    // What has come to its end says nothing more, and does not keep the other from it.
    tokio::select! {
        Ok(()) = behind.seen.changed() => {}
        Ok(()) = behind.written.changed() => {}
        else => std::future::pending().await,
    }
}
