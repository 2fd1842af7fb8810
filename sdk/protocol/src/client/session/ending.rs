//! How a connection ends, and the client.

use super::*;

impl Client {
    /// A binary message came; version 1 has none before both ends agreed (clause `frame.text`).
    pub fn handle_binary(&mut self, now: Instant, number: u64) {
        let misbehaved = PeerMisbehaved::new(Clause::FrameText, "a binary message, which nobody agreed to");
        self.handle_violation(now, number, misbehaved);
    }

    /// What came breaks a clause that the transport itself looks after, such as that text is UTF-8.
    pub fn handle_violation(&mut self, now: Instant, number: u64, misbehaved: PeerMisbehaved) {
        if self.connection.as_ref().is_some_and(|connection| connection.number == number) {
            self.violated(now, misbehaved);
            self.announce();
        }
    }

    pub(super) fn silent(&mut self, now: Instant) {
        let Some(connection) = &self.connection else { return };
        let loss = match connection.stage {
            Stage::Connecting => Loss::local(
                close::NOT_READY_IN_TIME,
                "no `stage ACCEPTED` came: the server may not speak this protocol, readiness is unconfirmed",
            ),
            stage if stage.is_ready() => Loss::local(close::HEARTBEAT_TIMEOUT, "the server fell silent"),
            stage => {
                let mut reason = joined(&["not ready in time: last confirmed ", stage.name()]);
                let mut before = ", pending: ";
                for pending in &connection.pending {
                    reason.push_str(before);
                    reason.push_str(pending);
                    before = ", ";
                }
                Loss::local(close::NOT_READY_IN_TIME, reason)
            }
        };
        self.drop_connection(now, loss);
    }

    pub(super) fn violated(&mut self, now: Instant, misbehaved: PeerMisbehaved) {
        let clause = Some(misbehaved.clause.id().to_owned());
        self.drop_connection(now, Loss { clause, ..Loss::local(misbehaved.code(), misbehaved.explain()) });
    }

    /// Ends the connection from this side: `bye` first (clause `close.bye_first`), though not to a server that never
    /// showed that it speaks this protocol.
    pub(super) fn drop_connection(&mut self, now: Instant, loss: Loss) {
        if let Some(connection) = &mut self.connection
            && (connection.stage > Stage::Connecting || loss.code != close::NOT_READY_IN_TIME)
        {
            connection.bye(Bye {
                code: u64::from(loss.code),
                reason: loss.reason.clone(),
                class: None,
                retry_after_ms: None,
                clause: loss.clause.clone(),
            });
        }
        self.cut_connection(now, loss);
    }

    /// Closes the socket without a word.
    pub(super) fn cut_connection(&mut self, now: Instant, loss: Loss) {
        self.drain_transmits();
        let reason = close::cut_reason(&loss.reason).to_owned();
        // A page may close with 1000 and 3000 to 4999 only.
        let code = if (3000..5000).contains(&loss.code) { loss.code } else { close::NORMAL };
        self.commands.push(Command::Close { number: self.number, code, reason });
        self.lost(now, loss);
    }

    pub(super) fn drain_transmits(&mut self) {
        let number = self.number;
        if let Some(connection) = &mut self.connection {
            while let Some(text) = connection.poll_transmit() {
                self.commands.push(Command::Transmit { number, text });
            }
        }
    }

    pub(super) fn lost(&mut self, now: Instant, loss: Loss) {
        if self.phase == Phase::Ended {
            return;
        }
        let connection = self.connection.take();
        if let Some(connection) = &connection {
            self.last_stage = connection.stage;
            self.last_pending = connection.pending.clone();
        } else {
            self.last_stage = Stage::Connecting;
            self.last_pending.clear();
        }
        // Only an upgrade that was tried says anything about upgrades (clause `upgrade.fallback`).
        if matches!(self.phase, Phase::Dialling { .. } | Phase::Open) {
            self.hello_rides = connection.is_some_and(|connection| connection.stage > Stage::Connecting);
        }
        let ready_since = self.ready_since.take();
        self.progress_deadline = None;
        self.inbox.deadline = None;
        self.outbox.detach();
        if ready_since.is_some() && self.session.is_none() {
            self.start_over(None);
        }
        self.ended_with = Some((loss.code, loss.reason.clone()));
        let wait = match self.closing {
            Some(_) => None,
            None => self.backoff.after(&self.config, loss.class, loss.retry_after, ready_since, now),
        };
        match wait {
            Some(wait) => self.phase = Phase::Waiting { until: now + wait },
            None => self.end(loss),
        }
    }

    pub(super) fn end(&mut self, loss: Loss) {
        self.phase = Phase::Ended;
        self.closing = None;
        let refusal = Rejection::local("closed", "the client was closed before this was written", false);
        for entry in std::mem::take(&mut self.outbox.written) {
            self.settle(&entry, Outcome::Unknown { code: "closed" });
        }
        for entry in std::mem::take(&mut self.outbox.waiting) {
            let refusal = entry.refusal.clone().unwrap_or_else(|| refusal.clone());
            self.settle_unwritten(&entry, "closed", Outcome::Refused(refusal));
        }
        let answers = std::mem::take(&mut self.answers);
        self.end_answers(answers, "closed", "the client was closed before the answer ended");
        self.announce();
        self.events.push(ClientEvent::Closed(End {
            code: loss.code,
            reason: loss.reason,
            class: loss.class,
            clause: loss.clause,
            stage: self.last_stage,
            pending: self.last_pending.clone(),
        }));
    }

    /// Closes when everything is decided, or when time is up.
    pub(super) fn finish_closing(&mut self, now: Instant) {
        let Some(deadline) = self.closing else { return };
        if self.phase == Phase::Ended || (deadline > now && self.unsettled() > 0) {
            return;
        }
        self.tell_taken();
        let loss = Loss { class: Class::Stop, ..Loss::local(close::NORMAL, "closed by the application") };
        if matches!(self.phase, Phase::Open | Phase::Dialling { .. }) {
            self.drop_connection(now, loss);
        } else {
            self.lost(now, loss);
        }
    }
}
