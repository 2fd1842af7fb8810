//! The server over loopback: real sockets, and a raw client that does what it likes.

mod answers;
mod bad_input;
mod crossing;
mod drain;
mod endpoints;
mod flights;
mod gate;
mod gateway;
mod inspection;
mod metrics;
mod monitoring;
mod moving;
mod order;
mod origins;
mod peer;
mod process;
mod readiness;
mod refresh;
mod relay;
mod sends;
mod services;
mod sessions;
mod silence;
mod tokens;
mod topics;
mod web;
