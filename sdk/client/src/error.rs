//! What can go wrong, by who is to blame; each says how far it came and what to do.

use crate::remedy;
use readywire_protocol::client::{ClientState, End, READY_MESSAGE, Rejection};
use readywire_protocol::close;
use std::fmt;
use std::time::Duration;

/// The connection never became ready.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address is no WebSocket address, or there is no runtime to work on: mend the call.
    Misuse {
        /// What is wrong with it.
        message: String,
    },
    /// Not ready within [`Options::ready_timeout`](crate::Options::ready_timeout).
    Timeout {
        /// The last stage that the latest connection confirmed.
        stage: ClientState,
        /// What was pending then.
        pending: Vec<String>,
        /// Why the last attempt ended, if one did.
        reason: Option<String>,
        /// The close code of that attempt.
        code: Option<u16>,
    },
    /// The server, or the token provider, made it pointless to go on.
    Closed(End),
}

impl ConnectError {
    /// The last stage that was confirmed.
    pub fn stage(&self) -> ClientState {
        match self {
            Self::Misuse { .. } => ClientState::Connecting,
            Self::Timeout { stage, .. } => *stage,
            Self::Closed(end) => end.last_state(),
        }
    }

    /// What was pending at that stage.
    pub fn pending(&self) -> &[String] {
        match self {
            Self::Misuse { .. } => &[],
            Self::Timeout { pending, .. } => pending,
            Self::Closed(end) => &end.pending,
        }
    }

    /// Whether the same may work later.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Misuse { .. } => false,
            Self::Timeout { .. } => true,
            Self::Closed(end) => remedy::retryable(end),
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Misuse { .. } => "Mend the call.",
            Self::Timeout { pending, .. } if pending.iter().any(|pending| pending == READY_MESSAGE) => remedy::RULE,
            Self::Timeout { stage: ClientState::Connecting, code: Some(close::NOT_READY_IN_TIME), .. } => {
                remedy::UNCONFIRMED
            }
            Self::Timeout { .. } => "Allow more time, or look at the server's log for what the last stage waits for.",
            Self::Closed(end) => remedy::remedy(end),
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Misuse { message } => formatter.write_str(message)?,
            Self::Timeout { reason, .. } => {
                formatter.write_str("not ready in time")?;
                if let Some(reason) = reason {
                    write!(formatter, ": {reason}")?;
                }
            }
            Self::Closed(end) => write!(formatter, "closed with {}: {}", end.code, end.reason)?,
        }
        write!(formatter, " (last stage {}", self.stage().name())?;
        if !self.pending().is_empty() {
            write!(formatter, ", pending {}", self.pending().join(", "))?;
        }
        write!(formatter, "). {}", self.remedy())
    }
}

impl std::error::Error for ConnectError {}

/// A send was not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The payload is nothing that JSON can say: mend the call. Nothing was sent.
    Misuse {
        /// What is wrong with it.
        message: String,
    },
    /// The server is not ready, and the send was not to wait.
    NotReady {
        /// The stage that the server has confirmed.
        stage: ClientState,
    },
    /// It was not taken, and never will be.
    Refused {
        /// For a program: the server's code, or `queue_full`, `too_large`, `key_too_long`, `subject_changed`,
        /// `unsupported`, `invalid_topic`, `stream_over`, `withdrawn` or `closed`.
        code: String,
        /// For a person.
        message: String,
        /// Whether the same may work later.
        retry: bool,
        /// Not before so long.
        retry_after: Option<Duration>,
        /// The service that it needs and that does not work. Such a send is refused only if it was not to wait, or has
        /// waited and been refused again and again.
        service: Option<String>,
    },
    /// It waited too long and was never written.
    Expired,
    /// It was written, and nobody can tell what has become of it. Send it again only if processing it twice does no
    /// harm, or give it a key the next time.
    Unknown {
        /// Why, for a program.
        code: String,
    },
}

impl SendError {
    pub(crate) fn refused(rejection: Rejection, stage: ClientState) -> Self {
        let Rejection { code, message, retry, retry_after, service } = rejection;
        if code == "not_ready" {
            return Self::NotReady { stage };
        }
        Self::Refused { code, message, retry, retry_after, service }
    }

    pub(crate) fn closed() -> Self {
        let message = "the client is closed".to_owned();
        Self::Refused { code: "closed".to_owned(), message, retry: false, retry_after: None, service: None }
    }
}

impl SendError {
    /// The service whose trouble is to blame, if one is.
    pub fn service(&self) -> Option<&str> {
        match self {
            Self::Refused { service, .. } => service.as_deref(),
            _ => None,
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Misuse { message } => write!(formatter, "not sent: {message}"),
            Self::NotReady { stage } => {
                write!(formatter, "not sent: the server has confirmed only {}; wait, or let it queue", stage.name())
            }
            Self::Refused { code, message, retry, .. } => {
                let remedy = if *retry { "; the same may work later" } else { "" };
                write!(formatter, "refused ({code}): {message}{remedy}")
            }
            Self::Expired => formatter.write_str("expired: it waited too long and was never sent"),
            Self::Unknown { code } => {
                write!(formatter, "unknown ({code}): it was sent, and nobody can tell whether it was taken")
            }
        }
    }
}

impl std::error::Error for SendError {}

/// An answer ended otherwise than by its last message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnswerError {
    /// The send that asked was not acknowledged.
    Send(SendError),
    /// The server, or the loss of the session, ended the answer.
    Failed {
        /// For a program: the server's code, `cancelled`, `session_lost` or `closed`.
        code: String,
        /// For a person.
        message: String,
    },
    /// A message of it is not what was asked for.
    Payload {
        /// What is wrong with it.
        message: String,
    },
    /// It was not read as fast as it came, and was cancelled.
    SlowConsumer,
    /// It ended without the message that was asked for.
    Empty,
}

impl fmt::Display for AnswerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send(error) => error.fmt(formatter),
            Self::Failed { code, message } => write!(formatter, "the answer failed ({code}): {message}"),
            Self::Payload { message } => write!(formatter, "the answer is not of the type asked for: {message}"),
            Self::SlowConsumer => formatter.write_str("the answer was not read as fast as it came, and was cancelled"),
            Self::Empty => formatter.write_str("the answer ended without a message"),
        }
    }
}

impl std::error::Error for AnswerError {}

/// A subscription ended otherwise than by its own application.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscriptionError {
    /// The server refused or revoked it, or the client knows that it has to end.
    Ended {
        /// For a program: the server's code, such as `forbidden`, `revoked` or `binary_not_agreed`, or `unsupported`,
        /// `already_subscribed`, `invalid_topic`, `subject_changed` or `closed`.
        code: String,
        /// Whether asking again may help.
        retry: bool,
    },
    /// It was not read as fast as it came, and was unsubscribed.
    SlowConsumer,
}

impl fmt::Display for SubscriptionError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended { code, retry } => {
                let remedy = if *retry { "; asking again may help" } else { "" };
                write!(formatter, "the subscription ended ({code}){remedy}")
            }
            Self::SlowConsumer => {
                formatter.write_str("the topic was not read as fast as it came, and is followed no longer")
            }
        }
    }
}

impl std::error::Error for SubscriptionError {}

/// There is no page of what a topic has had.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HistoryError {
    /// The server refused it, or the client knows that it would.
    Refused {
        /// For a program: the server's code, such as `forbidden` or `binary_not_agreed`, or `too_many`, `invalid_topic`,
        /// `invalid_limit`, `unsupported`, `subject_changed`, `timeout` or `closed`.
        code: String,
        /// Whether asking again may help.
        retry: bool,
    },
}

impl HistoryError {
    pub(crate) fn closed() -> Self {
        Self::Refused { code: "closed".to_owned(), retry: false }
    }
}

impl fmt::Display for HistoryError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Refused { code, retry } = self;
        let remedy = if *retry { "; asking again may help" } else { "" };
        write!(formatter, "what the topic has had cannot be read ({code}){remedy}")
    }
}

impl std::error::Error for HistoryError {}

/// Messages were not read as fast as they came; the stream is over, call `messages()` again and read faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowConsumer;

impl fmt::Display for SlowConsumer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("messages were not read as fast as they came")
    }
}

impl std::error::Error for SlowConsumer {}
