//! The SDK against the reference server, over loopback.
#![cfg(not(target_arch = "wasm32"))]

mod answers;
mod connecting;
mod cuts;
mod sends;
mod server;
mod tokens;
mod unreadable;
