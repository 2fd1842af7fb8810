//! The streams of the contract.

use futures::FutureExt;
use futures::future::BoxFuture;
use readywire_server::application::{Answer, Failure, Handler, Request};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Semaphore, watch};

/// The latest relay of each subject and name.
#[derive(Default)]
pub(crate) struct Relays(Mutex<BTreeMap<(String, String), Arc<Relayed>>>);

struct Relayed {
    /// How many parts it may read, if it is held.
    permits: Semaphore,
    fate: watch::Sender<Option<Fate>>,
}

/// What a relay came to.
#[derive(Clone, Copy, Serialize)]
struct Fate {
    /// The parts that it got.
    parts: usize,
    /// `ended`, `broken` or `left`.
    how: &'static str,
}

impl Relays {
    fn begin(&self, subject: &str, name: &str) -> Arc<Relayed> {
        let relayed = Arc::new(Relayed { permits: Semaphore::new(0), fate: watch::Sender::new(None) });
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        latest.insert((subject.to_owned(), name.to_owned()), relayed.clone());
        relayed
    }

    fn find(&self, subject: &str, name: &str) -> Result<Arc<Relayed>, Failure> {
        let latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = latest.get(&(subject.to_owned(), name.to_owned())).cloned();
        found.ok_or_else(|| Failure::new("unknown_relay", format!("there is no relay `{name}`")))
    }
}

type Handling<'a> = BoxFuture<'a, Result<(), Failure>>;

/// Sends each part of its stream back.
pub(crate) struct Relay(pub(crate) Arc<Relays>);

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    name: String,
    take: Option<usize>,
    #[serde(default)]
    held: bool,
}

impl Handler for Relay {
    fn handle<'a>(&'a self, mut request: Request, answer: &'a mut Answer) -> Handling<'a> {
        async move {
            let Wanted { name, take, held } = request.read()?;
            let relayed = self.0.begin(&request.subject, &name);
            let stop = answer.cancellation().clone();
            let mut fate = Fate { parts: 0, how: "left" };
            let outcome = loop {
                if take == Some(fate.parts) {
                    break Ok(());
                }
                if held && let Some(Ok(permit)) = stop.run_until_cancelled(relayed.permits.acquire()).await {
                    permit.forget();
                }
                match request.parts.next().await {
                    None => {
                        fate.how = "ended";
                        break Ok(());
                    }
                    Some(Err(broken)) => {
                        fate.how = "broken";
                        break Err(broken.into());
                    }
                    Some(Ok(payload)) => {
                        fate.parts += 1;
                        if let Err(failure) = answer.part("part", payload, false).await {
                            break Err(failure);
                        }
                    }
                }
            };
            relayed.fate.send_replace(Some(fate));
            outcome
        }
        .boxed()
    }
}

/// Lets a relay that is held read on.
pub(crate) struct Permit(pub(crate) Arc<Relays>);

#[derive(Deserialize)]
struct Permitted {
    name: String,
    parts: usize,
}

impl Handler for Permit {
    fn handle<'a>(&'a self, request: Request, _: &'a mut Answer) -> Handling<'a> {
        async move {
            let Permitted { name, parts } = request.read()?;
            self.0.find(&request.subject, &name)?.permits.add_permits(parts);
            Ok(())
        }
        .boxed()
    }
}

/// Tells what a relay came to, once it is over.
pub(crate) struct Outcome(pub(crate) Arc<Relays>);

#[derive(Deserialize)]
struct Asked {
    name: String,
}

impl Handler for Outcome {
    fn handle<'a>(&'a self, request: Request, answer: &'a mut Answer) -> Handling<'a> {
        async move {
            let Asked { name } = request.read()?;
            let mut fate = self.0.find(&request.subject, &name)?.fate.subscribe();
            let stop = answer.cancellation().clone();
            let over = stop.run_until_cancelled(fate.wait_for(Option::is_some)).await.ok_or_else(Failure::cancelled)?;
            let fate = over.ok().and_then(|fate| *fate).ok_or_else(Failure::cancelled)?;
            answer.end(&request.event, &fate).await
        }
        .boxed()
    }
}
