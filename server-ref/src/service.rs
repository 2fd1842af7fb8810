//! Services: what has to run before a connection is ready.
//!
//! A [`Services`] is wired by hand where the server is put together and passed on; there is no registry to look
//! things up in. Services of [`Scope::Process`] start once; those of [`Scope::Connection`] start for each connection,
//! and such a start goes on when its connection goes, so that the subject's next attempt finds it further.

mod delay;
mod start;

pub use delay::DelayService;
pub use start::{Progress, StartFailure, StartUp};

use futures::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

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

    /// Whether it runs well, from now on; `None` for one that always does.
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
    process: StartUp,
    per_connection: Vec<Arc<dyn Service>>,
    under_way: Mutex<BTreeMap<String, StartUp>>,
    impaired: watch::Sender<Vec<String>>,
    watched: Mutex<BTreeSet<String>>,
}

impl fmt::Debug for Services {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Services({:?})", self.process)
    }
}

impl Services {
    /// Wires services and starts those of the process. Needs a tokio runtime.
    ///
    /// # Errors
    /// Names or dependencies that make no sense.
    pub fn start(services: Vec<Arc<dyn Service>>) -> Result<Arc<Self>, WiringError> {
        check(&services)?;
        let (process, per_connection): (Vec<_>, Vec<_>) =
            services.iter().cloned().partition(|service| service.scope() == Scope::Process);
        let all = Arc::new(Self {
            process: StartUp::begin(process, None),
            per_connection,
            under_way: Mutex::default(),
            impaired: watch::Sender::new(Vec::new()),
            watched: Mutex::default(),
        });
        for service in services {
            if let Some(health) = service.health() {
                all.report(service.name(), *health.borrow());
                tokio::spawn(follow(Arc::downgrade(&all), service.name().to_owned(), health));
            }
        }
        Ok(all)
    }

    /// How far the process's own services are.
    pub fn process(&self) -> &StartUp {
        &self.process
    }

    /// Starts what a connection of this subject needs, or joins the start that an earlier attempt left behind.
    pub fn connect(&self, subject: &str) -> StartUp {
        let mut under_way = lock(&self.under_way);
        under_way.retain(|_, start| !start.is_stale());
        if let Some(start) = under_way.get(subject).filter(|start| !start.has_failed()) {
            return start.clone();
        }
        let start = StartUp::begin(self.per_connection.clone(), Some(subject.to_owned()));
        under_way.insert(subject.to_owned(), start.clone());
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
    while health.changed().await.is_ok() {
        let Some(services) = services.upgrade() else { return };
        let well = *health.borrow_and_update();
        services.report(&name, well);
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
