//! The mutations: each breaks one promise of the protocol's core.

/// One change that some test has to notice.
#[derive(Debug)]
pub(crate) struct Mutation {
    /// Below `sdk/protocol/src`.
    pub(crate) file: &'static str,
    /// What stands there, exactly once.
    pub(crate) text: &'static str,
    pub(crate) replacement: &'static str,
    /// The promise that is broken.
    pub(crate) breaks: &'static str,
}

/// Every mutation, client first.
pub(crate) const MUTATIONS: &[Mutation] = &[
    Mutation {
        file: "client/connection.rs",
        text: "let limits = self.limits.filter(|_| self.stage.is_ready())?;",
        replacement: "let limits = self.limits.unwrap_or(Limits { max_message_bytes: 1 << 20, max_in_flight: 64, max_in_flight_bytes: 1 << 20, ..Limits::default() });",
        breaks: "ready.gate: the client writes at `open`",
    },
    Mutation {
        file: "client/connection.rs",
        text: "_ if !self.stage.is_ready() => {\n                Err(PeerMisbehaved::new(Clause::ReadyGate,",
        replacement: "_ if false => {\n                Err(PeerMisbehaved::new(Clause::ReadyGate,",
        breaks: "ready.gate: the client takes messages before `ready`",
    },
    Mutation {
        file: "stage.rs",
        text: "(Connecting, Accepted) | (Accepted, Authenticated) | (Authenticated, ServicesReady) => Ok(Step::Advance),",
        replacement: "(Connecting, Accepted) | (Accepted, Authenticated | ServicesReady) | (Authenticated, ServicesReady) => Ok(Step::Advance),",
        breaks: "stage.order: a stage may be skipped",
    },
    Mutation {
        file: "stage.rs",
        text: "Stage::ProcessingReady | Stage::Degraded => Err(Clause::ReadyOnce),",
        replacement: "Stage::ProcessingReady | Stage::Degraded => Ok(self),",
        breaks: "ready.once: a second `ready` passes",
    },
    Mutation {
        file: "client/connection.rs",
        text: "if progress {",
        replacement: "if progress || !self.stage.is_ready() {",
        breaks: "stage.progress: a server says \"soon\" for ever",
    },
    Mutation {
        file: "client/connection.rs",
        text: "self.silence.map(|silence| self.last_heard + silence)",
        replacement: "self.silence.and(None)",
        breaks: "heartbeat.dead: the client waits for a silent server",
    },
    Mutation {
        file: "client/session/readiness.rs",
        text: "self.current.ready_since = Some(now);",
        replacement: "self.current.ready_since = Some(now);\n        self.next_id = ready.received + 1;",
        breaks: "send.id_increasing: ids are used again after a reconnect",
    },
    Mutation {
        file: "client/outbox.rs",
        text: "|entry| entry.id - 1)",
        replacement: "|entry| entry.id)",
        breaks: "session.settled: an open outcome is told as known",
    },
    Mutation {
        file: "client/session/readiness.rs",
        text: "for refusal in &ready.refused {\n            self.refused(now, refusal.clone());\n        }\n",
        replacement: "",
        breaks: "session.settled: `received` settles what was refused",
    },
    Mutation {
        file: "client/outbox.rs",
        text: "if entry.on_wire { Some(entry.clone()) } else { take(&mut self.written, index) }",
        replacement: "Some(entry.clone())",
        breaks: "send.failed_never_sent: what was given up is written again",
    },
    Mutation {
        file: "client/session/readiness.rs",
        text: "entry.uncertain = true;",
        replacement: "entry.uncertain = false;",
        breaks: "send.one_outcome: what a lost session may have taken expires",
    },
    Mutation {
        file: "client/session/readiness.rs",
        text: "let again = entry.losses < MAX_LOSSES;",
        replacement: "let again = true;",
        breaks: "send.three_connections: one send ends every connection",
    },
    Mutation {
        file: "client/session/sending.rs",
        text: "self.outbox.waiting.push(entry);",
        replacement: "self.outbox.waiting.insert(0, entry);",
        breaks: "queue.fifo: the newest goes out first",
    },
    Mutation {
        file: "client/session/flush.rs",
        text: "flight.messages < limits.max_in_flight.max(1)",
        replacement: "flight.messages <= limits.max_in_flight.max(1)",
        breaks: "send.window: one send too many in flight",
    },
    Mutation {
        file: "client/session/flush.rs",
        text: "self.progress_deadline = Some(now + self.config.progress_timeout);",
        replacement: "self.progress_deadline = None;",
        breaks: "send.no_progress: the client waits for decisions for ever",
    },
    Mutation {
        file: "client/session/readiness.rs",
        text: "self.events.push(former::session_lost(&answer));",
        replacement: "drop(answer);",
        breaks: "session.lost: answers of a lost session stay open",
    },
    Mutation {
        file: "client/session/readiness.rs",
        text: "(Some(ours), Some(theirs)) => *ours != theirs.subject,",
        replacement: "(Some(_), Some(_)) => false,",
        breaks: "session.subject: queued sends go out for somebody else",
    },
    Mutation {
        file: "client/session/dialling.rs",
        text: "session.attempt += 1;",
        replacement: "session.attempt += 0;",
        breaks: "session.attempt: a late upgrade takes the session over",
    },
    Mutation {
        file: "client/session/ending.rs",
        text: "(deadline > now && self.unsettled() > 0)",
        replacement: "self.unsettled() > 0",
        breaks: "failure 10: closing waits for ever",
    },
    Mutation {
        file: "client/session/ending.rs",
        text: "self.upgrade_works = self.current.upgrade_worked().unwrap_or(self.upgrade_works);",
        replacement: "self.upgrade_works = true;",
        breaks: "upgrade.fallback: the same upgrade is tried for ever",
    },
    Mutation {
        file: "client/session.rs",
        text: "let attempt = attempt::find(&mut self.current, &mut self.next, number);",
        replacement: "let attempt = attempt::find(&mut self.current, &mut self.next, number.max(self.number));",
        breaks: "an old socket speaks for the new one",
    },
    Mutation {
        file: "client/session/inbound.rs",
        text: "if self.inbox.told == self.inbox.seen || held_back {",
        replacement: "if self.inbox.told == self.inbox.seen {",
        breaks: "drain.transfer: `taken` overtakes the hello that names less, and the session is lost",
    },
    Mutation {
        file: "client/session/inbound.rs",
        text: "if message.offset <= self.inbox.held {",
        replacement: "if message.offset < self.inbox.held {",
        breaks: "drain.transfer: a message that came on the old connection is told again",
    },
    Mutation {
        file: "client/session/handover.rs",
        text: "let loss = Loss::local(close::MOVED,",
        replacement: "let loss = Loss::local(close::NORMAL,",
        breaks: "drain.transfer: the session is ended with the old connection",
    },
    Mutation {
        file: "client/session/handover.rs",
        text: "self.outbox.detach(false);",
        replacement: "",
        breaks: "drain.transfer: what the old connection did not decide is not written again",
    },
    Mutation {
        file: "client/session/ending.rs",
        text: "let fenced = loss.code == close::SESSION_TAKEN_OVER && self.superseded;",
        replacement: "let fenced = false;",
        breaks: "drain.transfer: to be fenced by its own attempt stops the client",
    },
    Mutation {
        file: "client/session/handover.rs",
        text: "self.superseded &= loss.code != close::SESSION_TAKEN_OVER;",
        replacement: "",
        breaks: "drain.next: two clients take a session from each other for ever",
    },
    Mutation {
        file: "client/session/handover.rs",
        text: "if self.closing.is_none()\n            && let",
        replacement: "if let",
        breaks: "drain.next: a client that closes opens another connection",
    },
    Mutation {
        file: "client/session/ending.rs",
        text: "if loss.class != Class::Stop && self.take_over(&loss) {",
        replacement: "if self.take_over(&loss) {",
        breaks: "drain.next: a client that is told to stop goes on with its next connection",
    },
    Mutation {
        file: "client/session/handover.rs",
        text: "if resumed || self.is_stranger(ready.session.as_ref()) {",
        replacement: "if true {",
        breaks: "drain.new_session: decisions of the old connection are lost with its session",
    },
    Mutation {
        file: "client/session/former.rs",
        text: "if id > highest =>",
        replacement: "if id > u64::MAX - highest =>",
        breaks: "drain.new_session: the old connection decides what was written on the next",
    },
    Mutation {
        file: "client/address.rs",
        text: "known && (alternate.secure || !own.secure)",
        replacement: "known",
        breaks: "drain.alternate: a token goes to a weaker scheme",
    },
    Mutation {
        file: "client/backoff.rs",
        text: "self.refusals = 0;\n        self.violations = 0;",
        replacement: "self.refusals = 0;\n        self.failures = 0;\n        self.violations = 0;",
        breaks: "backoff.reset: failures are forgotten at `ready`",
    },
    Mutation {
        file: "client/backoff.rs",
        text: "return Some(asked.min(config.retry_after_cap));",
        replacement: "let _ = asked;",
        breaks: "backoff.retry_after: the client does not wait as asked",
    },
    Mutation {
        file: "server/connection/inbound.rs",
        text: "_ if !self.stage.is_ready() => {",
        replacement: "_ if self.stage == Stage::Accepted => {",
        breaks: "ready.gate: the server takes frames before `ready`",
    },
    Mutation {
        file: "server/connection/decisions.rs",
        text: "self.write(&ServerFrame::Nack(Refusal { id, ..refusal }));",
        replacement: "self.write(&ServerFrame::Ack { id });\n                self.write(&ServerFrame::Nack(Refusal { id, ..refusal }));",
        breaks: "nack.before_ack: the ack goes out first",
    },
    Mutation {
        file: "server/connection/decisions.rs",
        text: "self.ack_due = Some(now + self.config.ack_delay);",
        replacement: "self.ack_due = None;",
        breaks: "ack.within: a lone ack never goes out",
    },
    Mutation {
        file: "server/connection/inbox.rs",
        text: "self.delivered_bytes + bytes > self.window.bytes {",
        replacement: "self.delivered_bytes + bytes < bytes {",
        breaks: "inbox.window: deliver ignores the client's window",
    },
    Mutation {
        file: "server/connection.rs",
        text: "self.dead_at = Some(now + self.config.ping_timeout);",
        replacement: "self.dead_at = None;",
        breaks: "heartbeat.dead: the server keeps dead connections",
    },
    Mutation {
        file: "server/connection.rs",
        text: "hello_deadline: Some(now + config.hello_timeout),",
        replacement: "hello_deadline: None,",
        breaks: "hello.timeout: a stranger stays as long as it likes",
    },
    Mutation {
        file: "server/session.rs",
        text: "(id <= self.received).then(",
        replacement: "(id < self.received).then(",
        breaks: "send.duplicate: a repeated send is processed twice",
    },
    Mutation {
        file: "server/session.rs",
        text: "self.released < self.decided_under && self.decided_under < self.fence",
        replacement: "self.released < self.decided_under && self.decided_under > self.fence",
        breaks: "send.order: the next connection of a session overtakes the former one",
    },
    Mutation {
        file: "server/session.rs",
        text: "if self.decided_under == self.fence {",
        replacement: "if self.decided_under <= self.fence {",
        breaks: "send.order: who waited in vain and went has others not wait",
    },
    Mutation {
        file: "server/sessions.rs",
        text: "filter(|kept| kept.owner == Some(owner)) else {\n            return Take::Fenced;",
        replacement: "filter(|_| owner > 0) else {\n            return Take::Fenced;",
        breaks: "session.fence: the former owner goes on taking",
    },
    Mutation {
        file: "server/session.rs",
        text: "if resume.attempt < self.attempt {",
        replacement: "if resume.attempt < self.attempt && resume.attempt == 0 {",
        breaks: "session.attempt: a lower attempt wins",
    },
    Mutation {
        file: "server/session.rs",
        text: "self.refused.insert(refusal.id, refusal);",
        replacement: "",
        breaks: "nack.kept: a refusal is forgotten with its connection",
    },
    Mutation {
        file: "server/sessions.rs",
        text: "if self.keys.contains_key(key) {",
        replacement: "if false {",
        breaks: "send.key: a key is processed once per session",
    },
    Mutation {
        file: "server/session.rs",
        text: "self.tokens.drain(..proof);",
        replacement: "self.tokens.clear();",
        breaks: "session.token: a lost `ready` loses the session",
    },
    Mutation {
        file: "server/sessions.rs",
        text: "message.offset <= offset)",
        replacement: "message.offset <= offset + 1)",
        breaks: "inbox.bounded: a message is dropped before it was taken",
    },
];
