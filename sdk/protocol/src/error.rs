//! What went wrong, by who is to blame.

use crate::clause::Clause;
use crate::close;
use crate::text::joined;
use std::fmt;

/// The peer broke a clause.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerMisbehaved {
    /// The clause that was broken.
    pub clause: Clause,
    /// What was found, in words that a person can act on.
    pub found: String,
    id: &'static str,
}

impl PeerMisbehaved {
    /// The peer broke `clause`; `found` says how.
    // Inlined, so that the id of a constant clause is a constant, too: a page then loads the ids that its client can tell,
    // and not all there are.
    #[inline(always)]
    pub fn new(clause: Clause, found: impl Into<String>) -> Self {
        Self { clause, found: found.into(), id: clause.id() }
    }

    /// The id of the clause.
    pub fn id(&self) -> &'static str {
        self.id
    }

    /// The clause and what was found, for a person. `to_string` would bring all of formatting into the browser bundle.
    pub(crate) fn explain(&self) -> String {
        joined(&[self.id, ": ", &self.found])
    }

    /// The close code for this violation.
    pub fn code(&self) -> u16 {
        match self.clause {
            Clause::UpgradeSubprotocol => close::NO_COMMON_PROTOCOL,
            Clause::ReadyGate => close::FRAME_BEFORE_READY,
            Clause::StageOrder | Clause::StageAccepted | Clause::ReadyOnce => close::STAGE_OUT_OF_ORDER,
            Clause::HelloOnce => close::SECOND_HELLO,
            Clause::FrameSize => close::TOO_LARGE,
            Clause::FrameText => close::BINARY_NOT_AGREED,
            Clause::PreauthLimits => close::TOO_MANY,
            _ => close::MALFORMED,
        }
    }
}

impl fmt::Display for PeerMisbehaved {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.explain())
    }
}

impl std::error::Error for PeerMisbehaved {}
