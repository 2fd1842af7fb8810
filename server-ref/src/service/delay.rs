use super::{Scope, Service};
use crate::faults::{Faults, Switches};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// A service that takes its time, and does what the fault switches say: for demonstrations and tests.
#[derive(Debug)]
pub struct DelayService {
    name: String,
    delay: Duration,
    deadline: Duration,
    dependencies: Vec<String>,
    switches: watch::Receiver<Switches>,
    health: watch::Sender<bool>,
}

impl DelayService {
    /// A service whose start takes `delay` for each connection. Needs a tokio runtime.
    pub fn new(name: &str, delay: Duration, faults: &Faults) -> Self {
        let switches = faults.switches();
        let health = watch::Sender::new(true);
        let (name, reports, mut news) = (name.to_owned(), health.clone(), switches.clone());
        let of = name.clone();
        tokio::spawn(async move {
            loop {
                let well = !news.borrow_and_update().impaired.contains(&of);
                reports.send_if_modified(|now| std::mem::replace(now, well) != well);
                if news.changed().await.is_err() {
                    return;
                }
            }
        });
        Self { name, delay, deadline: Duration::from_secs(30), dependencies: Vec::new(), switches, health }
    }

    /// With another deadline for its start.
    #[must_use]
    pub fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// With services that have to run before.
    #[must_use]
    pub fn after(mut self, names: &[&str]) -> Self {
        self.dependencies = names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// The same, ready to be wired.
    pub fn wired(self) -> Arc<dyn Service> {
        Arc::new(self)
    }
}

impl Service for DelayService {
    fn name(&self) -> &str {
        &self.name
    }

    fn dependencies(&self) -> &[String] {
        &self.dependencies
    }

    fn scope(&self) -> Scope {
        Scope::Connection
    }

    fn deadline(&self) -> Duration {
        self.deadline
    }

    fn start<'a>(&'a self, _: Option<&'a str>) -> BoxFuture<'a, Result<(), String>> {
        let mut switches = self.switches.clone();
        async move {
            let began = Instant::now();
            loop {
                let delay = {
                    let now = switches.borrow_and_update();
                    if now.failing.contains(&self.name) {
                        return Err("switched to fail".to_owned());
                    }
                    now.delays.get(&self.name).copied().unwrap_or(self.delay)
                };
                if began.elapsed() >= delay {
                    return Ok(());
                }
                // A switch turned meanwhile counts at once.
                tokio::select! {
                    () = sleep_until(began + delay) => {}
                    changed = switches.changed() => if changed.is_err() {
                        sleep_until(began + delay).await;
                    },
                }
            }
        }
        .boxed()
    }

    fn health(&self) -> Option<watch::Receiver<bool>> {
        Some(self.health.subscribe())
    }
}
