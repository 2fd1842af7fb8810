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
pub struct StartFailure {
    /// The service that is to blame.
    pub service: String,
    /// What it did.
    pub cause: Cause,
    /// Everything that had not started by then.
    pub pending: Vec<String>,
}

/// What a service did instead of starting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It said why it cannot.
    Failed(String),
    /// It took longer than its deadline.
    TimedOut,
}

impl StartFailure {
    /// The close code.
    pub const fn code(&self) -> u16 {
        match self.cause {
            Cause::Failed(_) => close::SERVICE_FAILED,
            Cause::TimedOut => close::NOT_READY_IN_TIME,
        }
    }
}

impl fmt::Display for StartFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let service = &self.service;
        match &self.cause {
            Cause::Failed(reason) => write!(formatter, "service `{service}` failed to start: {reason}"),
            // Says where it hung and on what (clause `stage.deadline`).
            Cause::TimedOut => {
                let pending = self.pending.join(", ");
                write!(formatter, "service `{service}` did not start in time: at AUTHENTICATED, pending: {pending}")
            }
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

/// A start that is yet to begin.
pub(super) struct Prepared(BoxFuture<'static, ()>);

impl Prepared {
    /// Begins. What needs no waiting is done when this returns: warm services cost no further `stage` frame.
    pub(super) fn begin(self) {
        let mut run = self.0;
        let waits = async { matches!(poll!(&mut run), Poll::Pending) }.now_or_never() != Some(false);
        if waits {
            tokio::spawn(run);
        }
    }
}

/// Services that start elsewhere and that others may need.
#[derive(Clone, Debug)]
pub(super) struct Before {
    pub(super) names: Vec<String>,
    pub(super) progress: watch::Receiver<Progress>,
}

impl StartUp {
    /// Wires a start. Nothing of the services is called before [`Prepared::begin`], so that it can be put where others
    /// find it first.
    pub(super) fn prepare(
        services: Vec<Arc<dyn Service>>,
        subject: Option<String>,
        before: Option<Before>,
    ) -> (Self, Prepared) {
        let names = services.iter().map(|service| service.name().to_owned()).collect();
        let (report, progress) = watch::channel(Progress::Pending(names));
        let run = run(services, subject, before, report).boxed();
        (Self { progress, began: Instant::now() }, Prepared(run))
    }

    /// How far it is, now and later.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// How far it is now.
    pub fn now(&self) -> Progress {
        self.progress.borrow().clone()
    }

    /// Since when it has been under way, or over.
    pub(super) fn age(&self) -> Duration {
        self.began.elapsed()
    }

    pub(super) fn has_failed(&self) -> bool {
        matches!(*self.progress.borrow(), Progress::Failed(_))
    }

    pub(super) fn is_stale(&self) -> bool {
        self.age() > STALE_AFTER && !matches!(*self.progress.borrow(), Progress::Pending(_))
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        self.progress.same_channel(&other.progress)
    }
}

async fn run(
    services: Vec<Arc<dyn Service>>,
    subject: Option<String>,
    mut before: Option<Before>,
    report: watch::Sender<Progress>,
) {
    let subject = subject.as_deref();
    let mut waiting: Vec<&dyn Service> = services.iter().map(Arc::as_ref).collect();
    let mut pending: Vec<String> = services.iter().map(|service| service.name().to_owned()).collect();
    let mut starting: FuturesUnordered<BoxFuture<'_, (&str, Result<(), Cause>)>> = FuturesUnordered::new();
    loop {
        let failed_before = before.as_mut().and_then(Before::look);
        let missing = |needed: &String| {
            pending.contains(needed) || before.as_ref().is_some_and(|before| before.names.contains(needed))
        };
        waiting.retain(|service| {
            let blocked = service.dependencies().iter().any(missing);
            if !blocked {
                starting.push(one(*service, subject).boxed());
            }
            blocked
        });
        let needs_before = waiting.iter().any(|service| {
            let needed = service.dependencies();
            before.as_ref().is_some_and(|before| before.names.iter().any(|name| needed.contains(name)))
        });
        if let Some(failure) = failed_before.filter(|_| needs_before) {
            report.send_replace(Progress::Failed(StartFailure { pending, ..failure }));
            return;
        }
        if starting.is_empty() && !needs_before {
            // Nobody is left, or those left wait for one another, which wiring has ruled out.
            report.send_replace(Progress::Ready);
            return;
        }
        let (name, outcome) = tokio::select! {
            Some(started) = starting.next() => started,
            () = further(before.as_mut()), if needs_before => continue,
        };
        match outcome {
            Ok(()) => {
                pending.retain(|waited| waited != name);
                if !pending.is_empty() {
                    report.send_replace(Progress::Pending(pending.clone()));
                }
            }
            Err(cause) => {
                let service = name.to_owned();
                report.send_replace(Progress::Failed(StartFailure { service, cause, pending }));
                return;
            }
        }
    }
}

impl Before {
    /// Keeps the names that do not run yet; tells if they never will.
    fn look(&mut self) -> Option<StartFailure> {
        match &*self.progress.borrow_and_update() {
            Progress::Pending(names) => self.names.clone_from(names),
            Progress::Ready => self.names.clear(),
            Progress::Failed(failure) => {
                self.names.clone_from(&failure.pending);
                return Some(failure.clone());
            }
        }
        None
    }
}

async fn further(before: Option<&mut Before>) {
    match before {
        // One that has come to its end is looked at once more, and says so then.
        Some(before) => drop(before.progress.changed().await),
        None => std::future::pending().await,
    }
}

async fn one<'a>(service: &'a dyn Service, subject: Option<&'a str>) -> (&'a str, Result<(), Cause>) {
    // A panic that went further would leave everybody waiting who has joined this start.
    let start = std::panic::AssertUnwindSafe(async { service.start(subject).await }).catch_unwind();
    let outcome = match tokio::time::timeout(service.deadline(), start).await {
        Ok(Ok(outcome)) => outcome.map_err(Cause::Failed),
        Ok(Err(_)) => Err(Cause::Failed("it panicked".to_owned())),
        Err(_) => Err(Cause::TimedOut),
    };
    (service.name(), outcome)
}
