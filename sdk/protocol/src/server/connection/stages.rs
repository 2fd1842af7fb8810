//! The stages that this end confirms, each when its driver says so.

use super::*;

/// What the server's application confirms with `ready`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bound {
    /// The session; `None` at a Core server.
    pub session: Option<SessionGrant>,
    /// The highest id taken or refused.
    pub received: u64,
    /// Refusals above the hello's `settled`.
    pub refused: Vec<Refusal>,
    /// The last offset that the client holds.
    pub inbox: u64,
    /// Services that do not work.
    pub impaired: Vec<String>,
    /// When the token ends.
    pub token_expires_in: Option<Duration>,
}

impl ServerConnection {
    /// The hello's credential is good.
    pub fn authenticated(&mut self, now: Instant) {
        if self.stage == Stage::Accepted && self.greeted {
            self.stage = Stage::Authenticated;
            self.news(now);
        }
    }

    /// These services are still starting; tells the client if that is news.
    pub fn pending(&mut self, now: Instant, pending: Vec<String>) {
        if self.stage == Stage::Authenticated && pending != self.pending {
            self.pending = pending;
            self.news(now);
        }
    }

    /// Everything that the connection needs is running.
    pub fn services_ready(&mut self, now: Instant) {
        if self.stage == Stage::Authenticated {
            self.stage = Stage::ServicesReady;
            self.pending.clear();
            self.news(now);
        }
    }

    /// The driver will process the next message: say so, once (clauses `ready.once`, `ready.same_path`).
    pub fn ready(&mut self, bound: Bound) {
        if self.stage != Stage::ServicesReady {
            return;
        }
        self.stage = if bound.impaired.is_empty() { Stage::ProcessingReady } else { Stage::Degraded };
        self.impaired.clone_from(&bound.impaired);
        self.ready_deadline = None;
        self.last_delivered = bound.inbox;
        // A client that cannot resume is told of no session (clause `frame.level`).
        let session = bound.session.filter(|_| self.agreed(RESUME));
        if session.is_none() {
            self.levels.retain(|level| ![RESUME, ANSWERS, STREAMS, QUESTIONS].contains(&level.as_str()));
        }
        self.received = bound.received;
        let stream = Some(self.config.stream).filter(|_| self.agreed(STREAMS));
        let capabilities = self.levels.clone();
        self.write(&ServerFrame::Ready(Box::new(Ready {
            session,
            received: bound.received,
            refused: bound.refused,
            impaired: bound.impaired,
            limits: Limits {
                max_message_bytes: self.config.max_message_bytes,
                max_in_flight: self.config.in_flight.messages,
                max_in_flight_bytes: self.config.in_flight.bytes,
                stream_messages: stream.map(|stream| stream.messages),
                stream_bytes: stream.map(|stream| stream.bytes),
            },
            heartbeat: Heartbeat {
                interval_ms: millis(self.config.ping_interval),
                timeout_ms: millis(self.config.ping_timeout),
            },
            token_expires_in_ms: bound.token_expires_in.map(millis),
            capabilities,
        })));
        self.answer_early();
    }

    /// These services do not work; none means that all do (clause `stage.degraded`).
    pub fn impaired(&mut self, impaired: Vec<String>, reason: Option<String>) {
        if !self.stage.is_ready() || impaired == self.impaired {
            return;
        }
        self.stage = if impaired.is_empty() { Stage::ProcessingReady } else { Stage::Degraded };
        self.impaired.clone_from(&impaired);
        self.write(&ServerFrame::Stage(StageNews { impaired, reason, ..StageNews::new(self.stage) }));
    }

    fn news(&mut self, now: Instant) {
        let deadline_ms = (!self.pending.is_empty()).then(|| millis(self.budget(now)));
        let pending = self.pending.clone();
        self.write(&ServerFrame::Stage(StageNews { pending, deadline_ms, ..StageNews::new(self.stage) }));
    }
}
