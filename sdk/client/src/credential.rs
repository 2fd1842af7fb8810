//! What the application shows the server, and what for.

use readywire_protocol::frame::Auth;
use std::fmt;

/// What says who is there. Never shown by `Debug` (clause `upgrade.redact`).
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// A token, good for as long as it says.
    Bearer(String),
    /// A ticket, good for one attempt (clause `token.ticket`).
    Ticket(String),
}

/// What a credential is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenReason {
    /// An attempt to connect.
    Connect,
    /// The connection that lives, whose token is about to end.
    Refresh,
}

impl Credential {
    pub(crate) fn into_auth(self) -> Auth {
        let (scheme, token) = match self {
            Self::Bearer(token) => ("bearer", token),
            Self::Ticket(ticket) => ("ticket", ticket),
        };
        Auth { scheme: scheme.to_owned(), token }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Bearer(_) => "Bearer(…)",
            Self::Ticket(_) => "Ticket(…)",
        })
    }
}
