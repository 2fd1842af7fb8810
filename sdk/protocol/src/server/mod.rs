//! The server's end: [`ServerConnection`] is one connection, [`Sessions`] is what outlives it.
//!
//! The driver stands between them: it authenticates a hello, starts services, binds the session, hands sends to the
//! application and messages to the connection.

mod connection;
mod session;

pub use connection::{Bound, Decision, Ending, ServerConnection, ServerEvent, Transmit};
pub use session::{AppendError, BindError, Binding, Credentials, SecretHash, SessionMessage, Sessions, Take};
