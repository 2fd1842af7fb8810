//! A server put together from a command line or from parts, from its start to its end.

use crate::admin::AdminToken;
use crate::claims::Authority;
use crate::command_line::{Command, CommandLine, GatewayLine};
use crate::faults::Faults;
use crate::gate::{ByEvent, Gate};
use crate::gateway::{Gateway, Target};
use crate::hub::{Hub, Parts};
use crate::listener::{Listener, Peer};
use crate::log::memory::MemoryLog;
use crate::log::socket::SocketLog;
use crate::log::{Durability, Log};
use crate::origin::Origins;
use crate::service::{DelayService, Service, Services};
use crate::{handlers, http};
use readywire_protocol::config::ServerConfig;
use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long connections may take to say good-bye.
const FAREWELL: Duration = Duration::from_secs(3);
/// The longest and the shortest time after which a process tells the log again which sessions it has.
const KEEPS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_millis(5));

/// Where to listen, and what to serve there besides the protocol.
#[derive(Clone, Debug)]
pub struct Place {
    /// The address; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Whether the fault switches can be reached, and the comparison without this protocol.
    pub faults: bool,
    /// Folder of a web page to serve at `/`.
    pub web_root: Option<PathBuf>,
    /// What opens the routes below `/admin`; without it there are none.
    pub admin: Option<AdminToken>,
}

impl Place {
    /// A place with nothing besides the protocol.
    pub const fn at(listen: SocketAddr) -> Self {
        Self { listen, faults: false, web_root: None, admin: None }
    }
}

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
    if let Some(Command::Gateway(gateway)) = &line.command {
        return start_gateway(line, gateway, authority).await;
    }
    let faults = Arc::new(Faults::default());
    let mut delays = BTreeMap::from([("search".to_owned(), Duration::ZERO)]);
    delays.extend(line.service.iter().cloned());
    let services: Vec<Arc<dyn Service>> = delays
        .iter()
        .map(|(name, delay)| DelayService::new(name, *delay, &faults).within(line.deadline).wired())
        .collect();
    let log: Arc<dyn Log> = match line.log {
        None => MemoryLog::new(),
        Some(address) => {
            SocketLog::connect(address).await.map_err(|error| format!("cannot reach the log at {address}: {error}"))?
        }
    };
    let parts = Parts {
        log,
        drain: line.drain.options(),
        config: ServerConfig {
            ready_timeout: line.deadline,
            session_ttl: line.session_ttl,
            refresh_demand: line.refresh_demand,
            ..ServerConfig::default()
        },
        services: Services::start(services).map_err(|error| error.to_string())?,
        application: handlers::application(),
        gate: line.gate.then(|| Gate::new(ByEvent::new(handlers::application()))),
        faults,
        ticket_ttl: line.ticket_ttl,
        origins: Origins::of_server(line.listen, line.allow_origin.iter().cloned()),
        ..Parts::new(authority)
    };
    let place =
        Place { listen: line.listen, faults: line.faults, web_root: line.web_root.clone(), admin: line.admin_token()? };
    serve(parts, place).await
}

async fn start_gateway(line: &CommandLine, gateway: &GatewayLine, authority: Authority) -> Result<Running, String> {
    let mut config = ServerConfig { ready_timeout: line.deadline, ..ServerConfig::default() };
    if gateway.anonymous {
        // They are one subject to the server.
        config.sessions_per_subject = gateway.anonymous_sessions;
    }
    if gateway.ready_when.is_none() {
        tracing::warn!("without --ready-when nobody knows whether the application is ready, and clients are told so");
    }
    let target = Target {
        url: gateway.upstream.clone(),
        protocols: gateway.upstream_protocol.clone(),
        opening: gateway.opening.clone(),
        ready_when: gateway.ready_when.clone(),
        ready_timeout: gateway.ready_within,
        forward_token: gateway.forward_token,
    };
    let parts = Parts {
        config,
        gateway: Some(Gateway::new(target)),
        anonymous: gateway.anonymous,
        origins: Origins::of_server(line.listen, line.allow_origin.iter().cloned()),
        ..Parts::new(authority)
    };
    let place =
        Place { listen: line.listen, faults: false, web_root: line.web_root.clone(), admin: line.admin_token()? };
    serve(parts, place).await
}

/// Starts a server of these parts.
///
/// # Errors
/// What is wrong, for a person.
pub async fn serve(parts: Parts, place: Place) -> Result<Running, String> {
    let cannot = |error: std::io::Error| format!("cannot listen on {}: {error}", place.listen);
    let listener = Listener::bind(place.listen).await.map_err(cannot)?;
    let address = listener.address().map_err(cannot)?;
    let hub = Hub::new(parts);
    hub.topics.begun().await;
    let router = http::router(hub.clone(), place.faults, place.web_root.as_deref(), place.admin);
    let stop = CancellationToken::new();
    tokio::spawn(keep_sessions(hub.clone(), stop.clone()));
    let serve = axum::serve(listener, router.into_make_service_with_connect_info::<Peer>())
        .with_graceful_shutdown(stop.clone().cancelled_owned());
    Ok(Running { address, hub, stop, serving: tokio::spawn(async move { serve.await }) })
}

async fn keep_sessions(hub: Arc<Hub>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval((hub.parts.config.session_ttl / 4).clamp(KEEPS.1, KEEPS.0));
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        hub.keep_sessions().await;
    }
}

/// Lets answers come to their end, if anybody can still get them, and ends the rest.
async fn finish_work(hub: &Hub) {
    hub.working.close();
    if hub.parts.log.durability() == Durability::Durable {
        let answers = hub.parts.drain.answers;
        if tokio::time::timeout(answers, hub.working.wait()).await.is_ok() {
            return;
        }
        tracing::warn!(left = hub.running_work(), "some answers did not end in time, and are stopped");
    }
    hub.cancel_work();
    let _ = tokio::time::timeout(FAREWELL, hub.working.wait()).await;
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

    /// Serves until `asked`, or until an administrator asks, then lets clients go to another server.
    ///
    /// # Errors
    /// What went wrong, for a person.
    pub async fn until(self, asked: impl Future<Output = ()>) -> Result<(), String> {
        let Self { hub, stop, mut serving, .. } = self;
        // Also when nobody awaits this to its end.
        let stop = stop.drop_guard();
        tokio::select! {
            () = asked => {}
            () = hub.asked_to_drain() => {}
            ended = &mut serving => return match ended {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(error) => Err(error.to_string()),
            },
        }
        hub.drain();
        let drain = hub.drain_begun().map(|drain| (drain.window(), drain.deadline));
        let (window, deadline) = drain.unwrap_or((Duration::ZERO, Instant::now()));
        tracing::info!(connections = hub.connections.len(), ?window, after = ?deadline - Instant::now(), "going away");
        if tokio::time::timeout_at(deadline + FAREWELL, hub.connections.wait()).await.is_err() {
            tracing::warn!(left = hub.connections.len(), "some connections did not end in time");
        }
        finish_work(&hub).await;
        drop(stop);
        // A client that keeps an HTTP connection open does not keep the server.
        let _ = tokio::time::timeout(Duration::from_secs(1), serving).await;
        Ok(())
    }
}
