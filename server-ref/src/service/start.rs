use super::Service;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use futures::{FutureExt, poll};
use readywire_protocol::close;
use std::fmt;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long a finished start waits for a connection of its subject to use it.
const STALE_AFTER: Duration = Duration::from_secs(120);

/// How far a start is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// These are still starting.
    Pending(Vec<String>),
    /// Everything runs.
    Ready,
    /// It will not come to that.
    Failed(StartFailure),
}

/// Why a start came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartFailure {
    /// This service could not start.
    Failed {
        /// Its name.
        service: String,
        /// Why.
        reason: String,
    },
    /// This service took longer than its deadline.
    TimedOut {
        /// Its name.
        service: String,
    },
}

impl StartFailure {
    /// The close code.
    pub const fn code(&self) -> u16 {
        match self {
            Self::Failed { .. } => close::SERVICE_FAILED,
            Self::TimedOut { .. } => close::NOT_READY_IN_TIME,
        }
    }

    /// The service's name.
    pub fn service(&self) -> &str {
        match self {
            Self::Failed { service, .. } | Self::TimedOut { service } => service,
        }
    }
}

impl fmt::Display for StartFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { service, reason } => write!(formatter, "service `{service}` failed to start: {reason}"),
            Self::TimedOut { service } => write!(formatter, "service `{service}` did not start in time"),
        }
    }
}

/// One start of a set of services, in the order of their dependencies, side by side where these allow it. It goes on
/// whoever watches.
#[derive(Clone, Debug)]
pub struct StartUp {
    progress: watch::Receiver<Progress>,
    began: Instant,
}

impl StartUp {
    /// Begins. What needs no waiting is done when this returns: warm services cost no further `stage` frame.
    pub(super) fn begin(services: Vec<Arc<dyn Service>>, subject: Option<String>) -> Self {
        let names = services.iter().map(|service| service.name().to_owned()).collect();
        let (report, progress) = watch::channel(Progress::Pending(names));
        let mut run = run(services, subject, report).boxed();
        let waits = async { matches!(poll!(&mut run), Poll::Pending) }.now_or_never() != Some(false);
        if waits {
            tokio::spawn(run);
        }
        Self { progress, began: Instant::now() }
    }

    /// How far it is, now and later.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// How far it is now.
    pub fn now(&self) -> Progress {
        self.progress.borrow().clone()
    }

    pub(super) fn has_failed(&self) -> bool {
        matches!(*self.progress.borrow(), Progress::Failed(_))
    }

    pub(super) fn is_stale(&self) -> bool {
        self.began.elapsed() > STALE_AFTER && !matches!(*self.progress.borrow(), Progress::Pending(_))
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        self.progress.same_channel(&other.progress)
    }
}

type Started = (usize, Result<(), StartFailure>);

async fn run(services: Vec<Arc<dyn Service>>, subject: Option<String>, report: watch::Sender<Progress>) {
    let subject = subject.as_deref();
    let names: Vec<String> = services.iter().map(|service| service.name().to_owned()).collect();
    let mut waiting: Vec<usize> = (0..services.len()).collect();
    let mut pending = names.clone();
    let mut starting: FuturesUnordered<BoxFuture<'_, Started>> = FuturesUnordered::new();
    loop {
        waiting.retain(|&index| {
            let service = &services[index];
            let blocked = service.dependencies().iter().any(|needed| pending.contains(needed));
            if !blocked {
                starting.push(one(index, service.as_ref(), subject).boxed());
            }
            blocked
        });
        match starting.next().await {
            // Those left wait for one another, which wiring has ruled out.
            None => {
                report.send_replace(Progress::Ready);
                return;
            }
            Some((_, Err(failure))) => {
                report.send_replace(Progress::Failed(failure));
                return;
            }
            Some((index, Ok(()))) => {
                pending.retain(|name| *name != names[index]);
                if !pending.is_empty() {
                    report.send_replace(Progress::Pending(pending.clone()));
                }
            }
        }
    }
}

async fn one(index: usize, service: &dyn Service, subject: Option<&str>) -> Started {
    let outcome = tokio::time::timeout(service.deadline(), service.start(subject)).await;
    let name = service.name().to_owned();
    let outcome = match outcome {
        Ok(Ok(())) => Ok(()),
        Ok(Err(reason)) => Err(StartFailure::Failed { service: name, reason }),
        Err(_) => Err(StartFailure::TimedOut { service: name }),
    };
    (index, outcome)
}
