//! The Readywire protocol: one sans-I/O core for both ends.
//!
//! A WebSocket that is open is not a server that is ready. This crate keeps the two apart: [`client::Client`]
//! writes no application frame before the server's `ready` on that very connection, and [`server::ServerConnection`]
//! hands no application frame over before it said so. Neither opens a socket, reads a clock or draws a random
//! number: a driver feeds in what happened (`handle_*`), gives commands (plain verbs) and carries out what
//! `poll_*` returns. The rules are in `PROTOCOL.md`; [`clause::Clause`] names each.
//!
//! The loop of a driver:
//!
//! 1. feed one input: a message, a closed socket, an elapsed deadline, or a command of the application;
//! 2. drain the commands or transmits, and carry them out;
//! 3. drain the events, and only then call the application;
//! 4. sleep until the next input or until `poll_timeout`.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod clause;
pub mod client;
pub mod close;
pub mod config;
pub mod error;
pub mod frame;
pub mod json;
#[cfg(feature = "schema")]
pub mod schema;
pub mod server;
pub mod stage;
pub mod time;

/// The WebSocket subprotocol of version 1 (clause `upgrade.subprotocol`).
pub const SUBPROTOCOL: &str = "readywire.v1";
/// What the subprotocol entry that carries the hello starts with (clause `upgrade.hello`).
pub const HELLO_PREFIX: &str = "readywire.hello.";
/// The most bytes an encoded hello may have in the upgrade (clause `upgrade.hello`).
pub const HELLO_ENTRY_BYTES: usize = 4096;

mod base64url;
mod capability;
mod random;
mod text;
