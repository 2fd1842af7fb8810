//! WebSockets on this platform, and the tasks that carry them.
//!
//! Both platforms have the same names: [`open`] begins to connect and gives a [`Socket`]; what happens to it arrives in
//! an [`EventSender`] as [`SocketEvent`], under the number that `open` was given.

#[cfg(target_arch = "wasm32")]
mod browser;
#[cfg(not(target_arch = "wasm32"))]
mod native;

#[cfg(all(target_arch = "wasm32", feature = "api"))]
pub use browser::{EventReceiver, Task, TaskFn, TaskFuture, can_spawn, events, spawn};
#[cfg(target_arch = "wasm32")]
pub use browser::{EventSender, Farewell, Socket, open};
#[cfg(not(target_arch = "wasm32"))]
pub use native::{
    EventReceiver, EventSender, Farewell, Socket, Task, TaskFn, TaskFuture, can_spawn, events, open, spawn,
};

use readywire_protocol::close::CloseFrame;
use readywire_protocol::error::PeerMisbehaved;

/// What happened to a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketEvent {
    /// The WebSocket handshake is done, with this subprotocol.
    Open(String),
    /// A text message came.
    Text(String),
    /// A binary message came.
    Binary(Vec<u8>),
    /// What came cannot be read, since it breaks a clause; nothing more is read, and what is written still goes out.
    Unreadable(PeerMisbehaved),
    /// It is gone, or never came to be; after this there is nothing more.
    Closed(Option<CloseFrame>),
}
