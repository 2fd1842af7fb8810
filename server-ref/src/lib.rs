//! The Readywire reference server: an axum router to embed, and the parts that it is put together from.
//!
//! An application plugs in by a [`Handler`](application::Handler) for each event; what has to run before a connection
//! is ready is a [`Service`](service::Service). Both are handed over as values, in [`hub::Parts`]: there is no
//! registry to look anything up in.
//!
//! ```
//! use futures::FutureExt;
//! use futures::future::BoxFuture;
//! use readywire_server::application::{Answer, Application, Failure, Handler, Request};
//! use readywire_server::claims::Authority;
//! use readywire_server::hub::Parts;
//! use readywire_server::server::{self, Place};
//! use readywire_server::service::{Service, Services};
//! use std::sync::Arc;
//!
//! struct Storage;
//!
//! impl Service for Storage {
//!     fn name(&self) -> &str {
//!         "storage" // clients see it in `pending` while it starts
//!     }
//!     fn start<'a>(&'a self, _: Option<&'a str>) -> BoxFuture<'a, Result<(), String>> {
//!         async { Ok(()) }.boxed()
//!     }
//! }
//!
//! struct Greet;
//!
//! impl Handler for Greet {
//!     fn requires(&self) -> &[&str] {
//!         &["storage"] // refused for a while when that is impaired
//!     }
//!     fn handle<'a>(&'a self, request: Request, answer: &'a mut Answer) -> BoxFuture<'a, Result<(), Failure>> {
//!         async move { answer.end("greeting", &format!("hello {}", request.subject)).await }.boxed()
//!     }
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let parts = Parts {
//!     application: Application::new().with("greet", Greet),
//!     services: Services::start(vec![Arc::new(Storage)])?,
//!     ..Parts::new(Authority::new(b"at least thirty-two bytes of secret", "issuer", "audience")?)
//! };
//! let running = server::serve(parts, Place::at("127.0.0.1:0".parse()?)).await?;
//! println!("ws://{}/ws", running.address());
//! running.until(async { /* asked to stop */ }).await?;
//! # Ok(())
//! # }
//! ```
//!
//! To mount it in an axum server of your own, make a [`hub::Hub`] of the parts, take [`http::router`], and serve it from
//! a [`listener::Listener`]. One task per connection then drives the protocol's core, `readywire_protocol::server`.

#![forbid(unsafe_code)]

pub mod admin;
pub mod application;
pub mod claims;
pub mod command_line;
pub mod drain;
mod driver;
pub mod faults;
pub mod gate;
pub mod gateway;
pub mod handlers;
pub mod http;
pub mod hub;
mod inspection;
pub mod listener;
pub mod log;
pub mod logs;
pub mod metrics;
pub mod origin;
pub mod parts;
mod plain;
mod publish;
mod secrets;
pub mod server;
pub mod service;
mod session_inbox;
mod session_room;
mod sessions;
pub mod signals;
mod strangers;
mod stream_log;
mod tickets;
pub mod topics;
