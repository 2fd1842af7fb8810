//! The events of the contract.

use crate::services::Search;
use crate::streams::{Outcome, Permit, Relay, Relays};
use crate::topics::{Contract, Lose, Revoke};
use futures::FutureExt;
use futures::future::BoxFuture;
use readywire_protocol::json::Payload;
use readywire_server::application::{Answer, Application, Failure, Handler, Rejection, Request};
use readywire_server::handlers::{Ask, Echo};
use readywire_server::log::Log;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// All of them.
pub(crate) fn application(search: &Arc<Search>, log: &Arc<dyn Log>) -> Application {
    let relays = Arc::new(Relays::default());
    Application::new()
        .with("echo", Echo)
        .with("count", Count)
        .with("tally", Tally::default())
        .with("refuse", Refuse)
        .with("fail", Fail)
        .with("tell", Tell)
        .with("needy", Needy)
        .with("impair", Impair(search.clone()))
        .with("relay", Relay(relays.clone()))
        .with("permit", Permit(relays.clone()))
        .with("fate", Outcome(relays))
        .with("ask", Ask)
        .with("lose", Lose(log.clone()))
        .with("revoke", Revoke)
        .with_topics(Contract)
}

type Handling<'a> = BoxFuture<'a, Result<(), Failure>>;

/// Counts aloud: `number` 1 to `to`, one every `pace_ms`, and then the end.
struct Count;

#[derive(Deserialize)]
struct Range {
    to: u64,
    #[serde(default)]
    pace_ms: u64,
}

impl Handler for Count {
    fn handle<'a>(&'a self, request: Request, answer: &'a mut Answer) -> Handling<'a> {
        async move {
            let Range { to, pace_ms } = request.read()?;
            for number in 1..=to {
                if pace_ms > 0 {
                    let stop = answer.cancellation().clone();
                    let pause = tokio::time::sleep(Duration::from_millis(pace_ms));
                    stop.run_until_cancelled(pause).await.ok_or_else(Failure::cancelled)?;
                }
                answer.send("number", &number).await?;
            }
            Ok(())
        }
        .boxed()
    }
}

/// How often it was called with this name.
#[derive(Default)]
struct Tally(Mutex<BTreeMap<String, u64>>);

#[derive(Deserialize)]
struct Name {
    name: String,
}

impl Handler for Tally {
    fn handle<'a>(&'a self, request: Request, answer: &'a mut Answer) -> Handling<'a> {
        async move {
            let Name { name } = request.read()?;
            let count = {
                let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                let count = counts.entry(name).or_default();
                *count += 1;
                *count
            };
            answer.end(&request.event, &serde_json::json!({ "count": count })).await
        }
        .boxed()
    }
}

/// Takes nothing.
struct Refuse;

impl Handler for Refuse {
    fn admit(&self, _: &str, _: &Payload) -> Result<(), Rejection> {
        Err(Rejection::new("refused", "as asked"))
    }

    fn handle<'a>(&'a self, _: Request, _: &'a mut Answer) -> Handling<'a> {
        async { Err(Failure::new("internal", "taken, though it was refused")) }.boxed()
    }
}

/// Takes everything, and makes nothing of it.
struct Fail;

impl Handler for Fail {
    fn handle<'a>(&'a self, _: Request, _: &'a mut Answer) -> Handling<'a> {
        async { Err(Failure::new("failed", "as asked")) }.boxed()
    }
}

/// Passes a message on to every session of the sender's subject, its own included.
struct Tell;

#[derive(Deserialize)]
struct Told<'a> {
    event: String,
    #[serde(borrow)]
    payload: &'a RawValue,
}

impl Handler for Tell {
    fn handle<'a>(&'a self, request: Request, _: &'a mut Answer) -> Handling<'a> {
        async move {
            let wrong = |error: String| Failure::new("bad_payload", error);
            let text = request.payload.text().ok_or_else(|| wrong("bytes, not JSON".to_owned()))?;
            let told: Told<'_> = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
            let payload = Payload::parse(told.payload.get()).map_err(|error| wrong(error.to_string()))?;
            request.room.to_subject(&request.subject, &told.event, &payload).await?;
            Ok(())
        }
        .boxed()
    }
}

/// An echo that cannot do without `search`.
struct Needy;

impl Handler for Needy {
    fn requires(&self) -> &[&str] {
        &["search"]
    }

    fn handle<'a>(&'a self, request: Request, answer: &'a mut Answer) -> Handling<'a> {
        Echo.handle(request, answer)
    }
}

/// Has `search` run badly, or well again.
struct Impair(Arc<Search>);

#[derive(Deserialize)]
struct Switch {
    on: bool,
}

impl Handler for Impair {
    fn handle<'a>(&'a self, request: Request, _: &'a mut Answer) -> Handling<'a> {
        async move {
            let Switch { on } = request.read()?;
            self.0.impair(on);
            Ok(())
        }
        .boxed()
    }
}
