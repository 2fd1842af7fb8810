//! The topics of the contract.

use futures::FutureExt;
use futures::future::BoxFuture;
use readywire_protocol::config::Window;
use readywire_protocol::json::Payload;
use readywire_server::application::{Answer, Failure, Handler, Rejection, Request};
use readywire_server::log::{Log, Retention};
use readywire_server::topics::{TopicPolicy, forbidden};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// Who may do what, by the word before the slash.
pub(crate) struct Contract;

fn one_of(topic: &str, kinds: &[&str]) -> Result<(), Rejection> {
    let kind = topic.split_once('/').map(|(kind, _)| kind);
    if kind.is_some_and(|kind| kinds.contains(&kind)) { Ok(()) } else { Err(forbidden()) }
}

impl TopicPolicy for Contract {
    fn may_subscribe(&self, _: &str, topic: &str) -> Result<(), Rejection> {
        one_of(topic, &["room", "short", "quiet"])
    }

    fn may_publish(&self, _: &str, topic: &str, _: &str, _: &Payload) -> Result<(), Rejection> {
        one_of(topic, &["room", "short"])
    }

    fn retention(&self, topic: &str) -> Retention {
        let messages = if topic.starts_with("short/") { 4 } else { 1000 };
        Retention { window: Window { messages, bytes: 16 << 20 }, age: Duration::from_secs(600) }
    }
}

/// Takes back what the sender follows.
pub(crate) struct Revoke;

impl Handler for Revoke {
    fn handle<'a>(&'a self, request: Request, _: &'a mut Answer) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let Named { topic } = request.read()?;
            Ok(request.room.revoke(&request.subject, &topic).await?)
        }
        .boxed()
    }
}

/// Loses the log of a topic.
pub(crate) struct Lose(pub(crate) Arc<dyn Log>);

#[derive(Deserialize)]
struct Named {
    topic: String,
}

impl Handler for Lose {
    fn handle<'a>(&'a self, request: Request, _: &'a mut Answer) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let Named { topic } = request.read()?;
            let name = format!("topic/{topic}").into();
            self.0.remove(vec![name]).await.map_err(|error| Failure::new("log", error.to_string()))
        }
        .boxed()
    }
}
