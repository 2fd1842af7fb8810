//! The stages, and every legal step between them.
//!
//! ```text
//! CONNECTING -> ACCEPTED -> AUTHENTICATED -> SERVICES_READY -> PROCESSING_READY <-> DEGRADED
//!       any stage -> CLOSED
//! ```

use crate::clause::Clause;
use std::fmt;

/// How far a connection is. Only [`Stage::ProcessingReady`] and [`Stage::Degraded`] let application frames pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename_all = "SCREAMING_SNAKE_CASE"))]
pub enum Stage {
    /// The client's own, until the server's first frame.
    #[cfg_attr(feature = "schema", schemars(skip))]
    Connecting,
    /// The server speaks this protocol and has taken the connection in.
    Accepted,
    /// The server knows who is there.
    Authenticated,
    /// Everything the connection needs is running.
    ServicesReady,
    /// The server will process the next message.
    ProcessingReady,
    /// As [`Stage::ProcessingReady`], but for the services named.
    Degraded,
    /// The connection is over.
    #[cfg_attr(feature = "schema", schemars(skip))]
    Closed,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Stage; 7] = [
        Stage::Connecting,
        Stage::Accepted,
        Stage::Authenticated,
        Stage::ServicesReady,
        Stage::ProcessingReady,
        Stage::Degraded,
        Stage::Closed,
    ];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Connecting => "CONNECTING",
            Stage::Accepted => "ACCEPTED",
            Stage::Authenticated => "AUTHENTICATED",
            Stage::ServicesReady => "SERVICES_READY",
            Stage::ProcessingReady => "PROCESSING_READY",
            Stage::Degraded => "DEGRADED",
            Stage::Closed => "CLOSED",
        }
    }

    /// The stage with this name on the wire.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.name() == name)
    }

    /// Whether application frames may pass (clause `ready.gate`).
    pub const fn is_ready(self) -> bool {
        matches!(self, Stage::ProcessingReady | Stage::Degraded)
    }

    /// What a `stage` frame naming `next` does to a connection at this stage.
    ///
    /// # Errors
    /// The clause that the step breaks.
    pub fn announced(self, next: Stage) -> Result<Step, Clause> {
        use Stage::{Accepted, Authenticated, Connecting, Degraded, ProcessingReady, ServicesReady};
        match (self, next) {
            (Connecting, Accepted) | (Accepted, Authenticated) | (Authenticated, ServicesReady) => Ok(Step::Advance),
            (ProcessingReady, Degraded) | (Degraded, ProcessingReady) => Ok(Step::Advance),
            (Accepted, Accepted) | (Authenticated, Authenticated) | (ServicesReady, ServicesReady) => Ok(Step::Repeat),
            (Degraded, Degraded) => Ok(Step::Repeat),
            (Connecting, _) => Err(Clause::StageAccepted),
            _ => Err(Clause::StageOrder),
        }
    }

    /// What `ready` does to a connection at this stage.
    ///
    /// # Errors
    /// The clause that the step breaks.
    pub fn confirmed(self) -> Result<Stage, Clause> {
        match self {
            Stage::ServicesReady => Ok(Stage::ProcessingReady),
            Stage::ProcessingReady | Stage::Degraded => Err(Clause::ReadyOnce),
            Stage::Connecting => Err(Clause::StageAccepted),
            Stage::Accepted | Stage::Authenticated | Stage::Closed => Err(Clause::StageOrder),
        }
    }
}

/// What an announced stage is to the stage before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The next stage.
    Advance,
    /// The stage under way, with news.
    Repeat,
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
