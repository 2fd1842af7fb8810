//! A WebSocket client that sends nothing before the server has confirmed, on this very connection, that it will process
//! the next message.
//!
//! ```no_run
//! use futures::StreamExt;
//! use readywire::{Options, connect};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = connect("wss://example.com/ws", Options::new().bearer("token")).await?;
//! client.send("chat.message", &"hello").await?;
//! let mut answer = client.stream::<serde_json::Value>("agent.run", &"how does resume work?");
//! while let Some(part) = answer.next().await {
//!     println!("{:?}", part?.payload);
//! }
//! client.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! [`connect`] resolves only at PROCESSING_READY. What is sent later while the connection is away waits in a bounded
//! queue; the client reconnects and resumes by itself, and each send has exactly one outcome. When a server says that it
//! goes away, the next connection is ready before the old one is let go, and sends go on meanwhile. The same API works natively
//! and in a page; in a page, futures are not `Send`. The rules are in the specification, `PROTOCOL.md`, whose clauses
//! the documentation names.
//!
//! Beside answers that come in parts there are streams that go out in parts ([`Client::open_stream`]), questions that the
//! server asks ([`Client::questions`]), and topics ([`Client::subscribe`]). All of them go on across reconnects.
//!
//! A server that does not speak this protocol is used through [`existing`].

#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[cfg(feature = "api")]
mod answer;
#[cfg(feature = "api")]
mod client;
#[doc(hidden)]
pub mod clock;
#[cfg(feature = "api")]
mod connect;
#[cfg(feature = "api")]
mod credential;
#[cfg(feature = "api")]
mod driver;
#[doc(hidden)]
pub mod engine;
#[cfg(feature = "api")]
mod error;
#[cfg(feature = "api")]
pub mod existing;
#[cfg(feature = "api")]
mod front;
#[cfg(feature = "api")]
mod history;
#[cfg(feature = "api")]
mod limits;
#[cfg(feature = "api")]
mod messages;
#[cfg(feature = "api")]
mod options;
#[cfg(feature = "api")]
mod payload;
#[cfg(feature = "api")]
mod question;
#[doc(hidden)]
pub mod remedy;
#[cfg(feature = "api")]
mod sending;
#[cfg(feature = "api")]
mod stream;
#[cfg(feature = "api")]
mod subscription;
#[cfg(feature = "tickets")]
mod tickets;
#[doc(hidden)]
pub mod transport;

#[cfg(feature = "tickets")]
pub use self::tickets::ticket;
#[cfg(feature = "api")]
pub use self::{
    answer::{Answer, AnswerPart},
    client::Client,
    connect::connect,
    credential::{Credential, TokenReason},
    error::{AnswerError, ConnectError, HistoryError, SendError, SlowConsumer, SubscriptionError},
    history::{History, Page},
    messages::{Message, Messages, SendChanges, States},
    options::{Options, SendOptions},
    payload::{Bytes, FromPayload, IntoPayload, Payload, PayloadError},
    question::{Question, Questions},
    sending::{Acknowledged, SendChange, SendState, Sending},
    stream::{ClientStream, StreamWriter},
    subscription::{Publication, Subscription, TopicEvent},
};
pub use readywire_protocol::client::{ClientState as State, End, Position, StateChange, TokenFailure};

/// The example of the project's README, held to the code.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
