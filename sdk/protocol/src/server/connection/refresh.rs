//! The token in force: when it ends, when a fresh one is required, and what becomes of that.

use super::*;
use crate::frame::{AnswerError, TokenNews};

/// The token in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct TokenInForce {
    ends: Option<Instant>,
    /// When to require another.
    require_at: Option<Instant>,
    /// A fresh one is required by then.
    required_by: Option<Instant>,
    /// A fresh one has come and is not decided.
    undecided: bool,
}

impl ServerConnection {
    /// The token in force ends in so long from now; `None`: never, as far as anybody knows. At its end the connection ends,
    /// too, unless a fresh one comes before (clause `auth.required`).
    pub fn token_ends(&mut self, now: Instant, ends_in: Option<Duration>) {
        self.token.ends = ends_in.map(|ends_in| now + ends_in);
        self.token.require_at = ends_in.map(|life| now + (life - self.config.refresh_demand.min(life / 4)));
        self.token.required_by = None;
    }

    /// Requires a fresh token within so long, whatever the reason. Does nothing before `ready`, or where the level Refresh
    /// was not agreed on.
    pub fn require_token(&mut self, now: Instant, within: Duration) {
        if !self.refreshes() {
            return;
        }
        let latest = earliest(self.token.ends, self.token.required_by);
        let deadline = latest.map_or(now + within, |latest| latest.min(now + within));
        self.token.require_at = None;
        self.token.required_by = Some(deadline);
        let deadline_ms = Some(millis(deadline.saturating_since(now)));
        self.write(&ServerFrame::Auth(TokenNews { required: true, deadline_ms, ..TokenNews::default() }));
    }

    /// The fresh token is in force from now on, and ends in so long.
    pub fn token_accepted(&mut self, now: Instant, ends_in: Option<Duration>) {
        if !std::mem::take(&mut self.token.undecided) || self.stage == Stage::Closed {
            return;
        }
        self.token_ends(now, ends_in);
        self.write(&ServerFrame::Auth(TokenNews { expires_in_ms: ends_in.map(millis), ..TokenNews::default() }));
    }

    /// The fresh token is refused, and nothing has changed; `retry` says whether another may work.
    pub fn token_refused(&mut self, error: AnswerError, retry: bool) {
        if std::mem::take(&mut self.token.undecided) && self.stage != Stage::Closed {
            self.write(&ServerFrame::Auth(TokenNews { error: Some(error), retry, ..TokenNews::default() }));
        }
    }

    pub(super) fn fresh_token(&mut self, auth: Auth) -> Result<(), PeerMisbehaved> {
        if std::mem::replace(&mut self.token.undecided, true) {
            return Err(PeerMisbehaved::new(Clause::AuthOneAtATime, "an `auth` before the answer to the one before"));
        }
        self.events.push_back(ServerEvent::FreshToken(auth));
        Ok(())
    }

    pub(super) fn require_in_time(&mut self, now: Instant) {
        if let Some(ends) = self.token.ends
            && self.token.require_at.is_some_and(|at| at <= now && now < ends)
        {
            self.require_token(now, ends.saturating_since(now));
        }
    }

    pub(super) fn token_is_over(&self, now: Instant) -> bool {
        earliest(self.token.ends, self.token.required_by).is_some_and(|end| end <= now)
    }

    pub(super) fn end_for_token(&mut self) {
        let (code, reason) = match self.refreshes() {
            true => (close::TOKEN_NOT_REFRESHED, "a fresh token was required, and did not come in time"),
            false => (close::TOKEN_EXPIRED, "the token has expired: ask for a new one"),
        };
        self.end(code, reason.to_owned(), None, None);
    }

    pub(super) fn token_timer(&self) -> Option<Instant> {
        let requires = self.token.require_at.filter(|_| self.refreshes());
        earliest(requires, earliest(self.token.ends, self.token.required_by))
    }

    /// Whether a fresh token can come over this connection.
    fn refreshes(&self) -> bool {
        self.stage.is_ready() && self.agreed(REFRESH)
    }
}
