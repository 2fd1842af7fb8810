//! Fresh tokens for the connection that lives (clauses `auth.*`).

use super::*;
use crate::client::TokenFailure;
use crate::client::refresh::{Elapsed, Refresh};

impl Client {
    /// Answers [`Command::AskFreshToken`].
    pub fn provide_fresh_token(&mut self, now: Instant, number: u64, token: TokenResult) {
        let Some(connection) = &mut self.current.connection else { return };
        if !connection.refresh().is_some_and(|refresh| refresh.asks(number)) {
            return;
        }
        let limit = connection.ready().map_or(0, |ready| ready.limits.max_message_bytes);
        let frame = match token {
            Ok(Some(token)) => Some(ClientFrame::Auth(token).encode()).filter(|text| text.len() as u64 <= limit),
            Ok(None) | Err(TokenFailure { fatal: false, .. }) => None,
            Err(TokenFailure { fatal: true, .. }) => {
                connection.refresh_mut().map(Refresh::give_up);
                return;
            }
        };
        let Some(frame) = frame else { return self.refresh_failed(now) };
        if let Some(refresh) = connection.refresh_mut() {
            refresh.written();
        }
        if let Some(mut ready) = connection.ready() {
            ready.write_wire(Wire::Text(frame));
        }
    }

    /// Whether fresh tokens were agreed on.
    pub(super) fn refreshes_tokens(&self) -> bool {
        self.current.connection.as_ref().is_some_and(|connection| connection.refresh().is_some())
    }

    pub(super) fn refresh_deadline(&self) -> Option<Instant> {
        self.current.connection.as_ref()?.refresh()?.deadline()
    }

    /// The token in force ends in so many milliseconds.
    pub(super) fn token_ends(&mut self, now: Instant, expires_in_ms: Option<u64>) {
        if let Some(refresh) = self.current.connection.as_mut().and_then(Connection::refresh_mut) {
            refresh.ends(&self.config, now, expires_in_ms);
        }
    }

    pub(super) fn token_news(&mut self, now: Instant, news: &TokenNews) {
        let Some(refresh) = self.current.connection.as_mut().and_then(Connection::refresh_mut) else {
            return;
        };
        if news.required {
            refresh.required(now);
        } else if news.error.is_some() {
            let wait = |failures| self.backoff.jitter(&self.config, failures);
            refresh.refused(&self.config, now, news.retry.then_some(wait));
        } else {
            refresh.ends(&self.config, now, news.expires_in_ms);
        }
        self.refresh(now);
    }

    /// Begins a refresh that is due, or gives up a question that takes too long.
    pub(super) fn refresh(&mut self, now: Instant) {
        let Some(refresh) = self.current.connection.as_mut().and_then(Connection::refresh_mut) else {
            return;
        };
        match refresh.elapsed(now) {
            Elapsed::Nothing => {}
            Elapsed::Begin => {
                self.refreshes += 1;
                refresh.ask(self.refreshes, now + self.config.refresh_timeout);
                self.commands.push(Command::AskFreshToken { number: self.refreshes });
            }
            Elapsed::TimedOut => self.refresh_failed(now),
        }
    }

    fn refresh_failed(&mut self, now: Instant) {
        if let Some(refresh) = self.current.connection.as_mut().and_then(Connection::refresh_mut) {
            refresh.failed(now, |failures| self.backoff.jitter(&self.config, failures));
        }
    }
}
