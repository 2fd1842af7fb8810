//! The Readywire reference server: an axum router to embed, and the parts that it is put together from.
//!
//! [`hub::Hub`] holds what connections share, [`http::router`] makes the routes over it, [`driver`] runs one task per
//! connection around the protocol's core. Applications plug in through [`application::Handler`], what has to run
//! before a connection is ready through [`service::Service`].

#![forbid(unsafe_code)]

pub mod application;
pub mod claims;
pub mod command_line;
mod driver;
pub mod faults;
pub mod handlers;
pub mod http;
pub mod hub;
pub mod listener;
pub mod logs;
pub mod metrics;
pub mod origin;
mod plain;
mod secrets;
pub mod server;
pub mod service;
mod session_inbox;
pub mod signals;
mod strangers;
