//! The routes.

mod tickets;

use crate::admin::{self, AdminToken};
use crate::application::{Failure, Room};
use crate::claims::{Claims, TokenError};
use crate::driver::greeting::ANONYMOUS;
use crate::driver::tokens::FOR_EVER;
use crate::faults::FaultRequest;
use crate::gate::{self, Behind, PlainUpgrade};
use crate::hub::Hub;
use crate::listener::{Peer, Tap};
use crate::metrics;
use crate::secrets;
use crate::service::Progress;
use crate::{driver, plain};
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{ConnectInfo, Query, Request, State, WebSocketUpgrade};
use axum::http::header::{
    AUTHORIZATION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, ORIGIN, REFERRER_POLICY, RETRY_AFTER,
    SEC_WEBSOCKET_PROTOCOL, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use readywire_protocol::SUBPROTOCOL;
use readywire_protocol::json::Payload;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use tower_http::services::ServeDir;
use tower_http::set_header::SetResponseHeaderLayer;

/// What the served page may do: load from here, run wasm, and talk to WebSockets.
const PAGE_POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; connect-src 'self' ws: wss:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'";
/// Bytes that are read at once; connections are many and most of them idle.
const READ_BUFFER: usize = 4096;
/// Bytes that may wait for a flush.
const WRITE_BUFFER: usize = 16 << 10;
/// A message somewhat over the limit still arrives, so that it can be refused by its clause.
const OVERSIZE: usize = 64 << 10;

/// Every route of a server. Serve it from a [`Listener`](crate::listener::Listener) with its
/// [`Peer`] as connect info; a `SocketAddr` does, too, and an embedder who gives neither shares one
/// allowance of strangers among all clients.
///
/// With `faults` the fault switches can be reached, and `/plain`, which takes anybody in; only with an `admin` token is
/// there anything below `/admin`.
pub fn router(hub: Arc<Hub>, faults: bool, web_root: Option<&Path>, admin: Option<AdminToken>) -> Router {
    let mut router = Router::new()
        .route("/ws", get(upgrade))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readiness))
        .route(
            "/metrics",
            get(async |State(hub): State<Arc<Hub>>| ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], hub.metrics.text())),
        )
        .route("/notify", post(notify))
        .route("/tickets", tickets::route());
    if faults {
        router = router.route("/faults", post(switch_faults)).route("/plain", get(upgrade_plain));
    }
    if let Some(token) = admin {
        router = router.merge(admin::router(token));
    }
    if let Some(root) = web_root {
        let header = |name, value| SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value));
        let page = Router::new()
            .fallback_service(ServeDir::new(root))
            .layer(header(CONTENT_SECURITY_POLICY, PAGE_POLICY))
            .layer(header(X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .layer(header(REFERRER_POLICY, "no-referrer"));
        router = router.fallback_service(page);
    }
    router.layer(middleware::from_fn_with_state(hub.clone(), check_origin)).with_state(hub)
}

async fn check_origin(State(hub): State<Arc<Hub>>, request: Request, next: Next) -> Response {
    match hub.parts.origins.check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(forbidden) => {
            let (origin, host) = (request.headers().get(ORIGIN), request.headers().get(HOST));
            tracing::info!(?origin, ?host, "{}", forbidden.reason().trim());
            (StatusCode::FORBIDDEN, forbidden.reason()).into_response()
        }
    }
}

async fn readiness(State(hub): State<Arc<Hub>>) -> (StatusCode, String) {
    if *hub.draining().borrow() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned());
    }
    match hub.parts.services.process().now() {
        Progress::Ready => match hub.parts.services.impaired().borrow().join(", ") {
            none if none.is_empty() => (StatusCode::OK, "ready\n".to_owned()),
            // Still ready for everything else.
            impaired => (StatusCode::OK, format!("degraded: {impaired}\n")),
        },
        Progress::Pending(names) => (StatusCode::SERVICE_UNAVAILABLE, format!("starting: {}\n", names.join(", "))),
        Progress::Failed(failure) => (StatusCode::SERVICE_UNAVAILABLE, format!("{failure}\n")),
    }
}

async fn upgrade(
    State(hub): State<Arc<Hub>>,
    headers: HeaderMap,
    query: Result<Query<Ticket>, QueryRejection>,
    from: From,
    upgrade: WebSocketUpgrade,
) -> Response {
    if *hub.draining().borrow() {
        return unavailable("the server is going away\n");
    }
    let Some(stranger) = hub.stranger(from.address) else {
        return unavailable("too many connections from this address have not said who they are\n");
    };
    // Read here and handed to the core: the entry with the hello is neither echoed nor logged.
    let offered: Vec<String> = headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|entry| entry.trim().to_owned())
        .collect();
    let limit = usize::try_from(hub.parts.config.max_message_bytes).unwrap_or(usize::MAX).saturating_add(OVERSIZE);
    let bearer = bearer(&headers).map(str::to_owned);
    let behind = match (&hub.parts.gateway, &hub.parts.gate) {
        (Some(gateway), _) => Some((Behind::Gateway(gateway.clone()), gateway.protocols().to_vec())),
        (None, Some(gate)) => Some((Behind::Handler(gate.clone()), gate.protocols.clone())),
        (None, None) => None,
    };
    if let Some((behind, protocols)) = behind.filter(|_| !offered.iter().any(|entry| entry == SUBPROTOCOL)) {
        let ticket = query.ok().and_then(|Query(Ticket { ticket })| ticket);
        let claims = identify_plain(&hub, bearer.as_deref(), ticket.as_deref());
        let plain = PlainUpgrade { claims, token: bearer, stranger, behind };
        let tracked = hub.connections.token();
        return upgrade
            .protocols(protocols)
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(WRITE_BUFFER)
            .max_message_size(limit)
            .max_frame_size(limit)
            .on_upgrade(async move |socket| {
                gate::serve(hub, socket, plain).await;
                drop(tracked);
            });
    }
    let accepted = driver::Upgrade { offered, bearer, remote: from.remote, tap: from.tap, stranger };
    // Taken now: a server that goes away waits for this connection, too, before its task has begun.
    let tracked = hub.connections.token();
    upgrade
        .protocols([SUBPROTOCOL])
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_message_size(limit)
        .max_frame_size(limit)
        .on_upgrade(async move |socket| {
            driver::serve(hub, socket, accepted).await;
            drop(tracked);
        })
}

async fn upgrade_plain(State(hub): State<Arc<Hub>>, upgrade: WebSocketUpgrade) -> Response {
    if *hub.draining().borrow() {
        return unavailable("the server is going away\n");
    }
    let upgrade = upgrade.read_buffer_size(READ_BUFFER).write_buffer_size(WRITE_BUFFER);
    upgrade.max_message_size(OVERSIZE).on_upgrade(move |socket| plain::serve(hub, socket))
}

/// What a client without the protocol may say in the address.
#[derive(Deserialize)]
struct Ticket {
    ticket: Option<String>,
}

/// Who a client without the protocol is: it cannot say hello.
fn identify_plain(hub: &Hub, bearer: Option<&str>, ticket: Option<&str>) -> Result<Claims, TokenError> {
    match (bearer, ticket) {
        (Some(token), _) => {
            let claims = hub.parts.authority.validate(token)?;
            if hub.parts.faults.has_expired(&secrets::hash(token)) { Err(TokenError::Expired) } else { Ok(claims) }
        }
        (None, Some(ticket)) => {
            let claims = hub.parts.authority.validate_ticket(ticket)?;
            // Attempts are told apart in a hello alone: here a ticket is good for exactly one connection.
            let spent = hub.tickets.spend_once(secrets::hash(ticket), claims.expires_in());
            if spent { Ok(claims) } else { Err(TokenError::Spent) }
        }
        (None, None) if hub.parts.anonymous => Ok(hub.parts.authority.claims(ANONYMOUS, FOR_EVER)),
        (None, None) => Err(TokenError::Missing),
    }
}

fn unavailable(reason: &'static str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], reason).into_response()
}

fn unauthorized(error: &TokenError) -> Response {
    (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")], format!("{error}\n")).into_response()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

#[derive(Deserialize)]
struct Notice<'a> {
    subject: Option<String>,
    event: String,
    #[serde(borrow)]
    payload: &'a RawValue,
}

async fn notify(State(hub): State<Arc<Hub>>, headers: HeaderMap, body: String) -> Response {
    if let Err(error) = hub.parts.authority.validate(bearer(&headers).unwrap_or_default()) {
        return unauthorized(&error);
    }
    let read = serde_json::from_str::<Notice<'_>>(&body).map_err(|error| error.to_string());
    let read = read.and_then(|notice| match Payload::parse(notice.payload.get()) {
        Ok(payload) => Ok((notice, payload)),
        Err(error) => Err(error.to_string()),
    });
    let (notice, payload) = match read {
        Ok(read) => read,
        Err(error) => {
            let help = format!("{error}; expected {{\"subject\": optional, \"event\", \"payload\"}}\n");
            return (StatusCode::BAD_REQUEST, help).into_response();
        }
    };
    let sessions = match &notice.subject {
        Some(subject) => hub.to_subject(subject, &notice.event, &payload).await,
        None => hub.to_everyone(&notice.event, &payload).await,
    };
    match sessions.map_err(Failure::from) {
        Ok(sessions) => axum::Json(serde_json::json!({ "sessions": sessions })).into_response(),
        Err(failure) => (StatusCode::PAYLOAD_TOO_LARGE, format!("{}\n", failure.message)).into_response(),
    }
}

async fn switch_faults(State(hub): State<Arc<Hub>>, body: String) -> Response {
    let known: Vec<&str> = hub.parts.services.names().collect();
    let read = FaultRequest::parse(&body).and_then(|request| match request.stranger(&known) {
        Some(name) => Err(format!("there is no service `{name}`; there are: {}", known.join(", "))),
        None => Ok(request),
    });
    match read {
        Ok(request) => {
            tracing::info!(?request, "faults switched");
            hub.parts.faults.apply(request);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

/// Where a request comes from, as far as whoever embeds the router tells; the address is unspecified if nobody does.
struct From {
    address: IpAddr,
    remote: Option<SocketAddr>,
    tap: Option<Arc<Tap>>,
}

impl<S: Sync> axum::extract::FromRequestParts<S> for From {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, _: &S) -> Result<Self, Self::Rejection> {
        if let Some(ConnectInfo(peer)) = parts.extensions.get::<ConnectInfo<Peer>>() {
            let remote = Some(peer.address);
            return Ok(Self { address: peer.address.ip(), remote, tap: Some(peer.tap.clone()) });
        }
        let remote = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
        let address = remote.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |remote| remote.ip());
        Ok(Self { address, remote, tap: None })
    }
}
