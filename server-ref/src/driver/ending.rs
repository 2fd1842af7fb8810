//! How a connection ends: what its driver ends it for, and what is left to do then.

use super::Driver;
use crate::claims::TokenError;
use crate::faults::{self, Strike};
use crate::log::LogError;
use readywire_protocol::clause::Clause;
use readywire_protocol::close;
use readywire_protocol::server::{Ending, ServerEvent};
use readywire_protocol::stage::Stage;
use tokio::time::Instant;

impl Driver {
    /// Nothing is told of the session any more: it is over, or the log is out of reach.
    pub(super) async fn session_gone(&mut self) {
        let Some(held) = &self.held else { return };
        let lost = || LogError::Unavailable("nothing is heard of the session any more".to_owned());
        let why = held.session.look().await.err().unwrap_or_else(lost);
        self.log_failed(&why);
    }

    /// The log does not let this connection go on.
    pub(super) fn log_failed(&mut self, error: &LogError) {
        match error {
            LogError::Fenced => {
                if let Some(held) = &mut self.held {
                    held.session.fence_off();
                }
                if !self.leaves_by_itself() {
                    self.taken_over();
                }
            }
            // Whoever has a session ends it by itself, but for this.
            LogError::Missing => self.core.refuse(close::SLOW_CONSUMER, "the inbox of the session is full", None),
            error => self.core.refuse(close::SERVICE_FAILED, &error.to_string(), None),
        }
    }

    pub(super) fn taken_over(&mut self) {
        self.core.refuse(close::SESSION_TAKEN_OVER, "a later attempt has the session", None);
    }

    pub(super) async fn strike(&mut self, strike: &Strike) {
        if !strike.is_for(self.claims.as_ref().map(|claims| claims.sub.as_str())) {
            return;
        }
        match (strike, self.token) {
            (Strike::Cut { .. }, _) => {
                self.cut = true;
                self.core.handle_closed(None);
                self.settle().await;
            }
            (Strike::Drain { .. }, _) if self.core.stage().is_ready() => {
                // Of a drain of the whole server one is enough.
                if self.drain_at.is_none() && self.drained_at.is_none() {
                    self.drained_at = Some(Instant::now() + faults::DRAIN_DEADLINE);
                    self.core.drain(faults::DRAIN_DEADLINE, faults::RECONNECT_AFTER);
                }
            }
            (Strike::Drain { .. }, _) => self.core.refuse(close::DRAINING, "the server is going away", None),
            (Strike::ExpireToken { .. }, Some(token)) => {
                self.hub.parts.faults.expire(token);
                self.core.refuse(close::TOKEN_EXPIRED, &TokenError::Expired.to_string(), None);
            }
            // Nothing to expire yet.
            (Strike::ExpireToken { .. }, None) => {}
        }
    }

    pub(super) async fn closed(&mut self, ending: &Ending) {
        tracing::info!(
            connection = self.core.id(),
            stage = %ending.stage,
            code = ending.code,
            clause = ending.clause.map(Clause::id),
            // A client's own words may be long.
            reason = close::cut_reason(&ending.reason),
            cut = self.cut,
            "closed"
        );
        match ending.stage.is_ready() {
            true => self.hub.metrics.ended(ending.code),
            false => self.hub.metrics.failed(ending.stage, ending.code),
        }
        match ending.code {
            close::TOKEN_NOT_REFRESHED => self.hub.metrics.refreshed("not_in_time"),
            close::TOKEN_EXPIRED if ending.stage > Stage::Accepted => {
                self.hub.metrics.auth_refused(&TokenError::Expired);
            }
            _ => {}
        }
        if ending.clause == Some(Clause::ReadyGate) {
            self.hub.metrics.frames_before_ready.inc();
        }
        self.record.step(Stage::Closed);
        self.hub.inspection.ended(self.owner, ending);
        self.stranger = None;
        self.services = None;
        self.drain_at = None;
        self.drained_at = None;
        self.forget_topics();
        if let Some(held) = self.held.take() {
            let ends = ending.ends_session || held.watches.is_none();
            let ends = ends || self.lost_upstream();
            self.hub.leave(self.owner, held.session, ends, self.core.untaken()).await;
        }
    }
}

impl Drop for Driver {
    /// A task that is dropped half way leaves nothing behind, either.
    fn drop(&mut self) {
        self.core.handle_closed(None);
        while let Some(event) = self.core.poll_event() {
            if let ServerEvent::Closed(ending) = event {
                self.hub.inspection.ended(self.owner, &ending);
            }
        }
        self.step(Stage::Closed);
        self.forget_topics();
        let Some(held) = self.held.take() else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (hub, owner, untaken) = (self.hub.clone(), self.owner, self.core.untaken());
            let ends = held.watches.is_none();
            runtime.spawn(async move { hub.leave(owner, held.session, ends, untaken).await });
        }
    }
}
