//! The server's end: [`ServerConnection`] is one connection, [`Sessions`] is what outlives it.
//!
//! The driver stands between them: it authenticates a hello, starts services, binds the session, hands sends to the
//! application and messages to the connection.

mod connection;
mod session;
mod sessions;

pub use connection::{Bound, Decision, Ending, Gathering, Page, ServerConnection, ServerEvent, Subscribed, Transmit};
pub use session::{InboxRange, Session, SessionRecord};
pub use sessions::{AppendError, BindError, Binding, Credentials, SecretHash, SessionMessage, Sessions, Take};
