//! Close codes: the range decides what a client does, so that an unknown code still works.

/// Every code this version names, with its name (PROTOCOL.md, "Close codes").
pub const CODES: &[(u16, &str)] = &[
    (1000, "normal"),
    (4001, "forbidden"),
    (4006, "no_common_protocol"),
    (4013, "session_taken_over"),
    (4101, "token_missing"),
    (4102, "token_expired"),
    (4103, "token_not_refreshed"),
    (4104, "token_invalid"),
    (4201, "not_ready_in_time"),
    (4202, "service_failed"),
    (4203, "heartbeat_timeout"),
    (4208, "hello_timeout"),
    (4209, "slow_consumer"),
    (4210, "no_progress"),
    (4229, "too_many"),
    (4301, "draining"),
    (4302, "moved"),
    (4400, "malformed"),
    (4401, "frame_before_ready"),
    (4402, "stage_out_of_order"),
    (4409, "second_hello"),
    (4413, "too_large"),
    (4415, "binary_not_agreed"),
];

/// The name of a code that this version has.
pub fn name(code: u16) -> Option<&'static str> {
    CODES.iter().find(|(known, _)| *known == code).map(|(_, name)| *name)
}

/// Normal end, with `bye`.
pub const NORMAL: u16 = 1000;
/// The client offered no protocol that the server speaks.
pub const NO_COMMON_PROTOCOL: u16 = 4006;
/// The session was taken over by a later attempt.
pub const SESSION_TAKEN_OVER: u16 = 4013;
/// Nobody told who they are.
pub const TOKEN_MISSING: u16 = 4101;
/// The token's time is over.
pub const TOKEN_EXPIRED: u16 = 4102;
/// A fresh token was required, and did not come.
pub const TOKEN_NOT_REFRESHED: u16 = 4103;
/// The server was not ready in time.
pub const NOT_READY_IN_TIME: u16 = 4201;
/// A service that the connection needs failed.
pub const SERVICE_FAILED: u16 = 4202;
/// The peer was silent for too long.
pub const HEARTBEAT_TIMEOUT: u16 = 4203;
/// No hello came.
pub const HELLO_TIMEOUT: u16 = 4208;
/// The client does not take what it is sent.
pub const SLOW_CONSUMER: u16 = 4209;
/// Sends in flight, and no decision on any for too long.
pub const NO_PROGRESS: u16 = 4210;
/// Too many connections, or too much before AUTHENTICATED.
pub const TOO_MANY: u16 = 4229;
/// The server is going away.
pub const DRAINING: u16 = 4301;
/// The subject is served elsewhere; from a client, it has moved to its next connection.
pub const MOVED: u16 = 4302;
/// A frame that cannot be read.
pub const MALFORMED: u16 = 4400;
/// An application frame before `ready`.
pub const FRAME_BEFORE_READY: u16 = 4401;
/// A stage skipped, repeated or out of order.
pub const STAGE_OUT_OF_ORDER: u16 = 4402;
/// A second hello.
pub const SECOND_HELLO: u16 = 4409;
/// A message over the limit.
pub const TOO_LARGE: u16 = 4413;
/// A binary message that nobody agreed to.
pub const BINARY_NOT_AGREED: u16 = 4415;

/// What a client does after a connection ended (clause `close.range`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Stay closed.
    Stop,
    /// Ask for a new token, then retry.
    Reauthenticate,
    /// Retry with backoff.
    Backoff,
    /// Retry at once, here or at the alternate.
    Immediately,
    /// A clause was broken: retry at the cap of the backoff.
    Violation,
}

impl Class {
    /// The name on the wire, in `bye.class`.
    pub const fn name(self) -> &'static str {
        match self {
            Class::Stop => "stop",
            Class::Reauthenticate => "reauthenticate",
            Class::Backoff => "backoff",
            Class::Immediately => "immediately",
            Class::Violation => "violation",
        }
    }

    /// The class with this name; an unknown one acts as backoff, the generic one.
    pub fn parse(name: &str) -> Self {
        match name {
            "stop" => Class::Stop,
            "reauthenticate" => Class::Reauthenticate,
            "immediately" => Class::Immediately,
            "violation" => Class::Violation,
            _ => Class::Backoff,
        }
    }

    /// The class of a code. `bye` says whether a `bye` came before the close frame: 1000 without one is no farewell.
    pub const fn of(code: u16, bye: bool) -> Self {
        match code {
            1000 if bye => Class::Stop,
            4000..=4099 => Class::Stop,
            4100..=4199 => Class::Reauthenticate,
            4300..=4399 => Class::Immediately,
            4400..=4499 => Class::Violation,
            _ => Class::Backoff,
        }
    }
}

/// A close frame: its code and its reason.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CloseFrame {
    /// The code, as on the wire; 1005 and 1006 stand for "none came".
    pub code: u16,
    /// The reason, at most 123 bytes of UTF-8.
    pub reason: String,
}

impl CloseFrame {
    /// A frame whose reason is cut to what a close frame can carry.
    pub fn new(code: u16, reason: &str) -> Self {
        Self { code, reason: cut_reason(reason).to_owned() }
    }
}

/// The longest start of `reason` that a close frame can carry: 123 bytes of UTF-8, cut on a character boundary (clause
/// `close.reason_length`).
pub fn cut_reason(reason: &str) -> &str {
    cut(reason, 123)
}

/// The longest start of `text` within so many bytes, cut on a character boundary.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_cut_on_a_character_boundary() {
        let long = "é".repeat(100);
        assert_eq!(cut_reason(&long).len(), 122);
        assert_eq!(cut_reason("short"), "short");
    }

    #[test]
    fn an_unknown_code_acts_as_its_range() {
        assert_eq!(Class::of(4099, false), Class::Stop);
        assert_eq!(Class::of(4199, false), Class::Reauthenticate);
        assert_eq!(Class::of(4299, false), Class::Backoff);
        assert_eq!(Class::of(4399, false), Class::Immediately);
        assert_eq!(Class::of(4499, false), Class::Violation);
        assert_eq!(Class::of(1000, false), Class::Backoff);
        assert_eq!(Class::of(1000, true), Class::Stop);
        assert_eq!(Class::of(1011, true), Class::Backoff);
    }
}
