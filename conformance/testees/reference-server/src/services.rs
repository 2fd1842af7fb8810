//! The services of the contract: `index` and `search`, which start at once, but not for everybody.

use futures::FutureExt;
use futures::future::BoxFuture;
use readywire_server::service::{Scope, Service};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Both.
pub(crate) fn all(search: &Arc<Search>) -> Vec<Arc<dyn Service>> {
    vec![Arc::new(Index), search.clone()]
}

/// Longer than anybody waits.
const FOR_EVER: Duration = Duration::from_secs(24 * 3600);

/// Takes a while for `slow`, fails for `failing`, and never starts for `stuck`.
struct Index;

impl Service for Index {
    fn name(&self) -> &str {
        "index"
    }

    fn scope(&self) -> Scope {
        Scope::Connection
    }

    fn deadline(&self) -> Duration {
        FOR_EVER
    }

    fn start<'a>(&'a self, subject: Option<&'a str>) -> BoxFuture<'a, Result<(), String>> {
        async move {
            match subject {
                Some("slow") => tokio::time::sleep(Duration::from_millis(150)).await,
                Some("stuck") => std::future::pending().await,
                Some("failing") => return Err("there is no index for this subject".to_owned()),
                _ => {}
            }
            Ok(())
        }
        .boxed()
    }
}

/// Takes a while for `slow`, and runs badly when it is told to.
pub(crate) struct Search {
    health: watch::Sender<bool>,
}

impl Default for Search {
    fn default() -> Self {
        Self { health: watch::Sender::new(true) }
    }
}

impl Search {
    /// From now on it runs badly, or well.
    pub(crate) fn impair(&self, on: bool) {
        self.health.send_replace(!on);
    }
}

impl Service for Search {
    fn name(&self) -> &str {
        "search"
    }

    fn scope(&self) -> Scope {
        Scope::Connection
    }

    fn start<'a>(&'a self, subject: Option<&'a str>) -> BoxFuture<'a, Result<(), String>> {
        async move {
            if subject == Some("slow") {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            Ok(())
        }
        .boxed()
    }

    fn health(&self) -> Option<watch::Receiver<bool>> {
        Some(self.health.subscribe())
    }
}
