//! One attempt to connect, and the connection that comes of it.

use super::super::connection::ReadyConnection;
use super::*;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Attempt {
    /// Names it, and its connection, to the driver.
    pub(super) number: u64,
    pub(super) phase: Phase,
    pub(super) connection: Option<Connection>,
    /// Whether its hello rides in the upgrade.
    pub(super) hello_rides: bool,
    pub(super) token: Option<Auth>,
    /// The offset of the inbox that its hello named, once there is a hello.
    pub(super) inbox: Option<u64>,
    pub(super) ready_since: Option<Instant>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    Idle,
    AskingToken { deadline: Instant },
    Dialling { deadline: Instant },
    Open,
    Waiting { until: Instant },
    Ended,
}

impl Attempt {
    pub(super) fn new(number: u64, phase: Phase) -> Self {
        Self { number, phase, connection: None, hello_rides: false, token: None, inbox: None, ready_since: None }
    }

    /// The right to write application frames.
    pub(super) fn ready(&mut self) -> Option<ReadyConnection<'_>> {
        self.connection.as_mut()?.ready()
    }

    /// Whether there is a socket, or one is being opened.
    pub(super) fn has_socket(&self) -> bool {
        matches!(self.phase, Phase::Dialling { .. } | Phase::Open)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::AskingToken { deadline } | Phase::Dialling { deadline } => Some(deadline),
            Phase::Waiting { until } => Some(until),
            Phase::Idle | Phase::Open | Phase::Ended => self.connection.as_ref().and_then(Connection::deadline),
        }
    }

    /// Whether its upgrade worked; `None` if it was not tried (clause `upgrade.fallback`).
    pub(super) fn upgrade_worked(&self) -> Option<bool> {
        let confirmed = self.connection.as_ref().is_some_and(|connection| connection.stage > Stage::Connecting);
        self.has_socket().then_some(confirmed)
    }
}

/// The attempt with this number.
pub(super) fn find<'a>(
    current: &'a mut Attempt,
    next: &'a mut Option<Box<Attempt>>,
    number: u64,
) -> Option<&'a mut Attempt> {
    if current.number == number {
        return Some(current);
    }
    next.as_deref_mut().filter(|next| next.number == number)
}

impl Client {
    pub(super) fn attempt(&mut self, number: u64) -> Option<&mut Attempt> {
        find(&mut self.current, &mut self.next, number)
    }

    /// A deadline of this attempt may have passed.
    pub(super) fn attempt_due(&mut self, now: Instant, number: u64) {
        let Some(attempt) = self.attempt(number) else { return };
        if attempt.deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        match attempt.phase {
            Phase::AskingToken { .. } => {
                let loss = Loss::local(close::TOKEN_MISSING, "no token in time");
                self.lost(now, number, Loss { class: Class::Backoff, ..loss });
            }
            Phase::Dialling { .. } => {
                self.drop_connection(now, number, Loss::local(1006, "the WebSocket did not open in time"));
            }
            Phase::Waiting { .. } => self.retry(now, number),
            Phase::Idle | Phase::Open | Phase::Ended => self.silent(now, number),
        }
    }
}
