//! What to do about the end of a client: one text for the Rust and the npm package.

use readywire_protocol::client::End;
use readywire_protocol::close::{self, Class};
use readywire_protocol::stage::Stage;

/// Whether connecting again may help, without a change on this side.
pub fn retryable(end: &End) -> bool {
    matches!(end.class, Class::Backoff | Class::Immediately)
}

/// When the socket opened and nothing confirmed that the server is ready.
pub const UNCONFIRMED: &str = "The server confirms nothing. If it does not speak readywire.v1, use it as an existing \
    server, by a mode of its own: `connectExisting` in JavaScript, `existing::connect` in Rust, with a rule that knows \
    the message by which it says that it is ready.";

/// When an existing server said nothing that its rule takes for ready.
pub const RULE: &str = "No message was the ready one: compare the rule with what the server says, and the opening \
    messages with what it waits for.";

/// What a person can do about it.
pub fn remedy(end: &End) -> &'static str {
    match (end.code, end.class) {
        (close::NORMAL, _) => "Nothing: this side closed.",
        (4001, _) => "Ask whoever runs the server for permission.",
        (4006, _) => {
            "The server does not select the subprotocol: check the address, and that nothing in between removes \
             `Sec-WebSocket-Protocol`. A server that does not speak readywire.v1 is used as an existing server, by a mode \
             of its own: `connectExisting` in JavaScript, `existing::connect` in Rust."
        }
        (close::SESSION_TAKEN_OVER, _) => {
            "Another client resumed this session: share one client, or keep sessions apart."
        }
        (close::TOKEN_MISSING, _) => "Give a token provider that works: the server wants to know who is there.",
        (close::TOKEN_NOT_REFRESHED, _) => {
            "Let the token provider give a fresh token in time: it is asked half way through, or 30 s ahead."
        }
        (close::TOKEN_EXPIRED, _) => {
            "Let the token provider ask for a fresh token each time, and compare the clocks of both machines."
        }
        (_, Class::Reauthenticate) => {
            "Check the token: its signature, audience and issuer must be what the server expects."
        }
        (_, Class::Violation) => {
            "One end breaks the protocol: look up the clause in PROTOCOL.md, then update that end."
        }
        (close::BINARY_NOT_AGREED, Class::Stop) => "Existing servers are used over text: have it send text.",
        (_, Class::Stop) => "The server asks not to come back: its reason says why.",
        (close::NOT_READY_IN_TIME, _) if end.stage == Stage::Connecting => UNCONFIRMED,
        _ => "Connect again later, or look at the server's log for what the last stage waits for.",
    }
}
