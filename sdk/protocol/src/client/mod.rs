//! The client's end: [`Client`] is what outlives connections, and drives one connection, or two while
//! the server of the first goes away; [`Existing`] is the same for servers that do not speak this protocol.

mod address;
mod backoff;
mod carried;
mod connection;
mod event;
mod existing;
mod outbox;
mod queue;
mod refresh;
mod session;

pub use carried::Carried;
pub use event::{
    AnswerPart, ClientEvent, ClientState, Command, End, Outcome, Page, PagedPublication, Position, Rejection,
    SendOptions, Start, StateChange, TokenFailure, TokenResult,
};
pub use existing::{Existing, ExistingServer, OpeningResult, READY_MESSAGE};
pub use session::Client;
