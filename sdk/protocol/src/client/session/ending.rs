//! How a connection ends, and the client.

use super::*;

/// How a connection ended, as far as this side knows.
pub(super) struct Loss {
    pub(super) code: u16,
    pub(super) reason: String,
    pub(super) class: Class,
    pub(super) retry_after: Option<Duration>,
    pub(super) clause: Option<String>,
}

impl Loss {
    pub(super) fn local(code: u16, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), class: Class::of(code, false), retry_after: None, clause: None }
    }

    pub(super) fn told(bye: Bye) -> Self {
        let code = u16::try_from(bye.code).unwrap_or(1006);
        Self {
            code,
            reason: bye.reason,
            class: bye.class.unwrap_or(Class::of(code, true)),
            retry_after: bye.retry_after_ms.map(Duration::from_millis),
            clause: bye.clause,
        }
    }
}

impl Client {
    /// What came breaks a clause that the transport itself looks after, such as that text is UTF-8.
    pub fn handle_violation(&mut self, now: Instant, number: u64, misbehaved: PeerMisbehaved) {
        if self.attempt(number).is_some_and(|attempt| attempt.connection.is_some()) {
            self.violated(now, number, misbehaved);
            self.announce();
        } else if self.is_former(number) {
            self.former_is_gone(now, Parting::Leave);
        }
    }

    pub(super) fn silent(&mut self, now: Instant, number: u64) {
        let Some(connection) = self.attempt(number).and_then(|attempt| attempt.connection.as_ref()) else { return };
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
        self.drop_connection(now, number, loss);
    }

    pub(super) fn violated(&mut self, now: Instant, number: u64, misbehaved: PeerMisbehaved) {
        let clause = Some(misbehaved.id().to_owned());
        self.drop_connection(now, number, Loss { clause, ..Loss::local(misbehaved.code(), misbehaved.explain()) });
    }

    /// Ends the connection from this side: `bye` first (clause `close.bye_first`).
    pub(super) fn drop_connection(&mut self, now: Instant, number: u64, loss: Loss) {
        let mut connection = self.attempt(number).and_then(|attempt| attempt.connection.take());
        self.hang_up(number, connection.as_mut(), &loss, true);
        self.put_back(number, connection);
        self.lost(now, number, loss);
    }

    /// Closes the socket without a word.
    pub(super) fn cut_connection(&mut self, now: Instant, number: u64, loss: Loss) {
        let mut connection = self.attempt(number).and_then(|attempt| attempt.connection.take());
        self.hang_up(number, connection.as_mut(), &loss, false);
        self.put_back(number, connection);
        self.lost(now, number, loss);
    }

    fn put_back(&mut self, number: u64, connection: Option<Connection>) {
        if let Some(attempt) = self.attempt(number) {
            attempt.connection = connection;
        }
    }

    /// Writes what is left to write, with or without a `bye`, and closes the socket. A server that never showed that it
    /// speaks this protocol gets no `bye`.
    pub(super) fn hang_up(&mut self, number: u64, connection: Option<&mut Connection>, loss: &Loss, bye: bool) {
        if let Some(connection) = connection {
            if bye && (connection.stage > Stage::Connecting || loss.code != close::NOT_READY_IN_TIME) {
                connection.bye(Bye {
                    code: u64::from(loss.code),
                    reason: loss.reason.clone(),
                    class: None,
                    retry_after_ms: None,
                    clause: loss.clause.clone(),
                });
            }
            while let Some(wire) = connection.poll_transmit() {
                self.commands.push(Command::of(number, wire));
            }
        }
        let reason = close::cut_reason(&loss.reason).to_owned();
        // A page may close with 1000 and 3000 to 4999 only.
        let code = if (3000..5000).contains(&loss.code) { loss.code } else { close::NORMAL };
        self.commands.push(Command::Close { number, code, reason });
    }

    pub(super) fn lost(&mut self, now: Instant, number: u64, mut loss: Loss) {
        if self.current.phase == Phase::Ended {
            return;
        }
        if self.current.number != number {
            return self.next_lost(now, &loss);
        }
        // Whoever took the session over is this client itself (clause `session.attempt`).
        let fenced = loss.code == close::SESSION_TAKEN_OVER && self.superseded;
        if fenced {
            loss.class = Class::Immediately;
        }
        if self.number == number {
            self.upgrade_works = self.current.upgrade_worked().unwrap_or(self.upgrade_works);
        }
        (self.last_stage, self.last_pending) = match self.current.connection.take() {
            Some(connection) => (connection.stage, connection.pending),
            None => (Stage::Connecting, Vec::new()),
        };
        let ready_since = self.current.ready_since.take();
        self.progress_deadline = None;
        self.inbox.deadline = None;
        self.outbox.detach(!fenced);
        self.detach_topics();
        if ready_since.is_some() && self.session.is_none() {
            self.start_over(None);
        }
        self.ended_with = Some((loss.code, loss.reason.clone()));
        if loss.class != Class::Stop && self.take_over(&loss) {
            return;
        }
        let wait = match self.closing {
            Some(_) => None,
            None => self.backoff.after(&self.config, loss.class, loss.retry_after, ready_since, now),
        };
        match wait {
            Some(wait) => self.current.phase = Phase::Waiting { until: now + wait },
            None => self.end(loss),
        }
    }

    pub(super) fn end(&mut self, loss: Loss) {
        self.current.phase = Phase::Ended;
        self.closing = None;
        self.handover_at = None;
        self.hang_up_next(&loss, false);
        let refusal = Rejection::local("closed", "the client was closed before this was written", false);
        let written = std::mem::take(&mut self.outbox.written);
        for entry in self.take_former().into_iter().chain(written) {
            self.settle(&entry, Outcome::Unknown { code: "closed" });
        }
        for entry in std::mem::take(&mut self.outbox.waiting) {
            let refusal = entry.refusal.clone().unwrap_or_else(|| refusal.clone());
            self.settle_unwritten(&entry, "closed", Outcome::Refused(refusal));
        }
        self.forget_given_up(0, u64::MAX);
        for answer in std::mem::take(&mut self.answers) {
            self.events.push(former::over(answer.handle, "closed", "the client was closed before the answer ended"));
        }
        self.lose_questions();
        self.end_topics("closed");
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
        if self.current.phase == Phase::Ended || (deadline > now && self.unsettled() > 0) {
            return;
        }
        let loss = Loss { class: Class::Stop, ..Loss::local(close::NORMAL, "closed by the application") };
        // The session may be there already.
        self.hang_up_next(&loss, true);
        self.tell_taken();
        if self.current.has_socket() {
            self.drop_connection(now, self.current.number, loss);
        } else {
            self.lost(now, self.current.number, loss);
        }
    }

    fn hang_up_next(&mut self, loss: &Loss, bye: bool) {
        if let Some(mut next) = self.next.take().filter(|next| next.has_socket()) {
            self.hang_up(next.number, next.connection.as_mut(), loss, bye);
        }
    }
}
