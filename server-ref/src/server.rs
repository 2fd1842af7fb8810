//! A server put together from a command line, from its start to its end.

use crate::claims::Authority;
use crate::command_line::CommandLine;
use crate::faults::Faults;
use crate::hub::{Hub, Parts};
use crate::origin::Origins;
use crate::service::{DelayService, Service, Services};
use crate::{handlers, http};
use axum::serve::ListenerExt;
use readywire_protocol::config::ServerConfig;
use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long connections may take to say good-bye.
const FAREWELL: Duration = Duration::from_secs(3);
/// Between two looks for sessions whose time is over.
const SWEEP: Duration = Duration::from_secs(5);

/// A server that listens.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    hub: Arc<Hub>,
    stop: CancellationToken,
    serving: JoinHandle<std::io::Result<()>>,
}

/// Starts a server as the command line says.
///
/// # Errors
/// What is wrong, for a person.
pub async fn start(line: &CommandLine, authority: Authority) -> Result<Running, String> {
    let faults = Arc::new(Faults::default());
    let mut delays = BTreeMap::from([("search".to_owned(), Duration::ZERO)]);
    delays.extend(line.service.iter().cloned());
    let services: Vec<Arc<dyn Service>> = delays
        .iter()
        .map(|(name, delay)| DelayService::new(name, *delay, &faults).within(line.deadline).wired())
        .collect();
    let services = Services::start(services).map_err(|error| error.to_string())?;
    let hub = Hub::new(Parts {
        config: ServerConfig { ready_timeout: line.deadline, ..ServerConfig::default() },
        authority,
        services,
        application: handlers::application(),
        faults,
        origins: Origins::new(line.allow_origin.iter().cloned()),
    });
    let router = http::router(hub.clone(), line.faults, line.web_root.as_deref());
    let listener =
        TcpListener::bind(line.listen).await.map_err(|error| format!("cannot listen on {}: {error}", line.listen))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
    });
    let stop = CancellationToken::new();
    let sweeping = (hub.clone(), stop.clone());
    tokio::spawn(async move {
        let (hub, stop) = sweeping;
        let mut ticks = tokio::time::interval(SWEEP);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            hub.sweep();
        }
    });
    let serve = axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(stop.clone().cancelled_owned());
    Ok(Running { address, hub, stop, serving: tokio::spawn(async move { serve.await }) })
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What its connections share.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Serves until `asked`, then lets connections say good-bye.
    ///
    /// # Errors
    /// What went wrong, for a person.
    pub async fn until(self, asked: impl Future<Output = ()>) -> Result<(), String> {
        let Self { hub, stop, mut serving, .. } = self;
        tokio::select! {
            () = asked => {}
            ended = &mut serving => return match ended {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(error) => Err(error.to_string()),
            },
        }
        tracing::info!("going away");
        hub.drain();
        if tokio::time::timeout(FAREWELL, hub.connections.wait()).await.is_err() {
            tracing::warn!(left = hub.connections.len(), "some connections did not end in time");
        }
        stop.cancel();
        // A client that keeps an HTTP connection open does not keep the server.
        let _ = tokio::time::timeout(Duration::from_secs(1), serving).await;
        Ok(())
    }
}

/// Ctrl-C or SIGTERM.
pub async fn asked_to_stop() {
    let interrupted = async {
        // Without a handler for it, the signal ends the process by itself.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signals) => drop(signals.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::select! {
        () = interrupted => {}
        () = terminated => {}
    }
}
