//! What a client presents: the credential of its hello, and fresh ones over its living connection.

use super::Driver;
use super::greeting::ANONYMOUS;
use crate::claims::{Claims, TokenError};
use crate::faults::TokenHash;
use crate::secrets;
use readywire_protocol::close;
use readywire_protocol::frame::{AnswerError, Auth, Hello};
use std::time::Duration;

/// A token may last longer than the integers of a frame can tell; nobody sees the difference.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
/// No attempt has so high a number: a ticket that refreshes a connection is good for nothing else.
const REFRESHES: u64 = 1 << 63;

/// A credential that is good.
pub(super) struct Credential {
    pub(super) claims: Claims,
    /// `None` of a ticket: it has done all that it is for, and nothing is left to expire.
    pub(super) token: Option<TokenHash>,
}

impl Credential {
    /// How long it is good for from now on; `None`: nobody knows an end.
    pub(super) fn ends_in(&self) -> Option<Duration> {
        self.token.map(|_| self.claims.expires_in().min(FOR_EVER))
    }
}

impl Driver {
    /// Who says hello.
    pub(super) fn identify(&self, hello: &Hello) -> Result<Credential, TokenError> {
        let attempt = hello.resume.as_ref().map_or(0, |resume| resume.attempt);
        match (&hello.auth, &self.bearer) {
            (Some(auth), _) => self.check(auth, attempt),
            (None, Some(bearer)) => self.check_token(bearer),
            (None, None) if self.hub.parts.anonymous => {
                Ok(Credential { claims: self.hub.parts.authority.claims(ANONYMOUS, FOR_EVER), token: None })
            }
            (None, None) => Err(TokenError::Missing),
        }
    }

    /// A fresh credential came over the living connection (clauses `auth.refresh`, `auth.subject`).
    pub(super) fn fresh_token(&mut self, auth: &Auth) {
        let Some(ours) = &self.claims else { return };
        let refused = match self.check(auth, REFRESHES | self.owner) {
            Ok(fresh) if fresh.claims.sub == ours.sub => {
                let ends_in = fresh.ends_in();
                (self.claims, self.token) = (Some(fresh.claims), fresh.token);
                self.hub.metrics.refreshed("accepted");
                return self.core.token_accepted(self.hub.now(), ends_in);
            }
            Ok(_) => ("subject_changed", "the token speaks for somebody else".to_owned(), false),
            // The application may do better next time: it is asked again, and not for ever.
            Err(error) => (close::name(error.code()).unwrap_or("token_invalid"), error.to_string(), true),
        };
        let (code, message, retry) = refused;
        tracing::info!(connection = self.core.id(), code, "a fresh token is refused");
        self.hub.metrics.refreshed(code);
        self.core.token_refused(AnswerError { code: code.to_owned(), message }, retry);
    }

    fn check(&self, auth: &Auth, attempt: u64) -> Result<Credential, TokenError> {
        match auth.scheme.as_str() {
            "bearer" => self.check_token(&auth.token),
            "ticket" => self.spend(&auth.token, attempt),
            _ => Err(TokenError::Scheme),
        }
    }

    fn check_token(&self, token: &str) -> Result<Credential, TokenError> {
        let claims = self.hub.parts.authority.validate(token)?;
        let token = secrets::hash(token);
        match self.hub.parts.faults.has_expired(&token) {
            true => Err(TokenError::Expired),
            false => Ok(Credential { claims, token: Some(token) }),
        }
    }

    fn spend(&self, ticket: &str, attempt: u64) -> Result<Credential, TokenError> {
        let claims = self.hub.parts.authority.validate_ticket(ticket)?;
        let spent = self.hub.tickets.spend(secrets::hash(ticket), attempt, claims.expires_in());
        if spent { Ok(Credential { claims, token: None }) } else { Err(TokenError::Spent) }
    }
}
