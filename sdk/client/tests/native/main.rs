//! The SDK against the reference server, over loopback.
#![cfg(not(target_arch = "wasm32"))]

mod answers;
mod binary;
mod cluster;
mod connecting;
mod cuts;
mod existing;
mod handover;
mod history;
mod questions;
mod sends;
mod server;
mod streams;
#[cfg(feature = "tickets")]
mod tickets;
mod tokens;
mod topics;
mod unreadable;
