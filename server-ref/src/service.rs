//! Services: what has to run before a connection is ready.
//!
//! A [`Services`] is wired by hand where the server is put together and passed on; there is no registry to look
//! things up in. Services of [`Scope::Process`] start once; those of [`Scope::Connection`] start for each connection,
//! and such a start goes on when its connection goes, so that the subject's next attempt finds it further.

mod delay;
mod start;

pub use delay::DelayService;
pub use start::{Cause, Progress, StartFailure, StartUp};

use start::Before;

use futures::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// A start of the process's own services that failed is tried again at most so often.
const START_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Something that has to run.
pub trait Service: Send + Sync + 'static {
    /// Its name, in `pending` and `impaired`.
    fn name(&self) -> &str;

    /// The services that have to run before this one starts.
    fn dependencies(&self) -> &[String] {
        &[]
    }

    /// Whether it starts once or for each connection.
    fn scope(&self) -> Scope {
        Scope::Process
    }

    /// How long its start may take.
    fn deadline(&self) -> Duration {
        Duration::from_secs(30)
    }

    /// Starts it: for whom, at [`Scope::Connection`]. Fails with what a person has to know.
    fn start<'a>(&'a self, subject: Option<&'a str>) -> BoxFuture<'a, Result<(), String>>;

    /// Whether it runs well, from now on; `None` for one that always does. One that stops reporting does not.
    fn health(&self) -> Option<watch::Receiver<bool>> {
        None
    }
}

/// How often a service starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Once.
    Process,
    /// For each connection.
    Connection,
}

/// Why services cannot be wired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WiringError {
    /// Two have this name.
    Twice(String),
    /// The first needs the second, which nobody provides, or which starts later.
    Unknown(String, String),
    /// These need each other.
    Circle(Vec<String>),
}

impl fmt::Display for WiringError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twice(name) => write!(formatter, "two services are named `{name}`"),
            Self::Unknown(name, missing) => write!(formatter, "service `{name}` needs `{missing}`, which is not there"),
            Self::Circle(names) => write!(formatter, "services need each other: {}", names.join(", ")),
        }
    }
}

impl std::error::Error for WiringError {}

/// Every service of a server.
pub struct Services {
    /// Kept for as long as the server: a service may do its work in tasks that end with it.
    of_process: Vec<Arc<dyn Service>>,
    of_connection: Vec<Arc<dyn Service>>,
    process: Mutex<StartUp>,
    under_way: Mutex<BTreeMap<String, StartUp>>,
    impaired: watch::Sender<Vec<String>>,
    watched: Mutex<BTreeSet<String>>,
}

impl fmt::Debug for Services {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.names()).finish()
    }
}

impl Services {
    /// Wires services and starts those of the process. Needs a tokio runtime.
    ///
    /// # Errors
    /// Names or dependencies that make no sense.
    pub fn start(services: Vec<Arc<dyn Service>>) -> Result<Arc<Self>, WiringError> {
        check(&services)?;
        let (of_process, of_connection): (Vec<_>, Vec<_>) =
            services.iter().cloned().partition(|service| service.scope() == Scope::Process);
        let (process, prepared) = StartUp::prepare(of_process.clone(), None, None);
        let all = Arc::new(Self {
            of_process,
            of_connection,
            process: Mutex::new(process),
            under_way: Mutex::default(),
            impaired: watch::Sender::new(Vec::new()),
            watched: Mutex::default(),
        });
        prepared.begin();
        for service in services {
            if let Some(health) = service.health() {
                all.report(service.name(), *health.borrow());
                tokio::spawn(follow(Arc::downgrade(&all), service.name().to_owned(), health));
            }
        }
        Ok(all)
    }

    /// The names of all services.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.of_process.iter().chain(&self.of_connection).map(|service| service.name())
    }

    /// How far the process's own services are. Asking is what has a start that failed tried again, after a moment:
    /// without what already runs.
    pub fn process(&self) -> StartUp {
        let mut process = lock(&self.process);
        let (Progress::Failed(failure), true) = (process.now(), process.age() >= START_AGAIN_AFTER) else {
            return process.clone();
        };
        let left = self.of_process.iter().filter(|service| failure.pending.iter().any(|name| name == service.name()));
        let (again, prepared) = StartUp::prepare(left.cloned().collect(), None, None);
        *process = again.clone();
        drop(process);
        prepared.begin();
        again
    }

    /// Starts what a connection of this subject needs, or joins the start that an earlier attempt left behind.
    pub fn connect(&self, subject: &str) -> StartUp {
        let before = Before {
            names: self.of_process.iter().map(|service| service.name().to_owned()).collect(),
            progress: self.process().progress(),
        };
        let mut under_way = lock(&self.under_way);
        under_way.retain(|_, start| !start.is_stale());
        if let Some(start) = under_way.get(subject).filter(|start| !start.has_failed()) {
            return start.clone();
        }
        let (start, prepared) = StartUp::prepare(self.of_connection.clone(), Some(subject.to_owned()), Some(before));
        under_way.insert(subject.to_owned(), start.clone());
        drop(under_way);
        prepared.begin();
        start
    }

    /// The connection is ready: the next one starts its own.
    pub fn used(&self, subject: &str, start: &StartUp) {
        let mut under_way = lock(&self.under_way);
        if under_way.get(subject).is_some_and(|current| current.is(start)) {
            under_way.remove(subject);
        }
    }

    /// The services that run badly, now and later, in order of their names.
    pub fn impaired(&self) -> watch::Receiver<Vec<String>> {
        self.impaired.subscribe()
    }

    fn report(&self, name: &str, well: bool) {
        let mut bad = lock(&self.watched);
        let news = if well { bad.remove(name) } else { bad.insert(name.to_owned()) };
        if news {
            self.impaired.send_replace(bad.iter().cloned().collect());
        }
    }
}

async fn follow(services: std::sync::Weak<Services>, name: String, mut health: watch::Receiver<bool>) {
    loop {
        let reports = health.changed().await.is_ok();
        let Some(services) = services.upgrade() else { return };
        // What is not known to be well is not.
        let well = reports && *health.borrow_and_update();
        services.report(&name, well);
        if !reports {
            return;
        }
    }
}

fn check(services: &[Arc<dyn Service>]) -> Result<(), WiringError> {
    let mut scopes = BTreeMap::new();
    for service in services {
        if scopes.insert(service.name(), service.scope()).is_some() {
            return Err(WiringError::Twice(service.name().to_owned()));
        }
    }
    for service in services {
        for needed in service.dependencies() {
            // What starts once cannot wait for what starts with each connection.
            let fits = |scope: &Scope| *scope == Scope::Process || service.scope() == Scope::Connection;
            if !scopes.get(needed.as_str()).is_some_and(fits) {
                return Err(WiringError::Unknown(service.name().to_owned(), needed.clone()));
            }
        }
    }
    let mut left: Vec<_> = services.iter().collect();
    loop {
        let names: BTreeSet<_> = left.iter().map(|service| service.name().to_owned()).collect();
        let before = left.len();
        left.retain(|service| service.dependencies().iter().any(|needed| names.contains(needed)));
        if left.is_empty() {
            return Ok(());
        }
        if left.len() == before {
            return Err(WiringError::Circle(names.into_iter().collect()));
        }
    }
}

/// A lock whose holder panicked guards plain collections, which are whole at every step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
