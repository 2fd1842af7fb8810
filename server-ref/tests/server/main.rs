//! The server over loopback: real sockets, and a raw client that does what it likes.

mod bad_input;
mod peer;
mod readiness;
mod web;
