//! The routes.

use crate::application::Room;
use crate::faults::FaultRequest;
use crate::hub::Hub;
use crate::metrics;
use crate::service::Progress;
use crate::{driver, plain};
use axum::Router;
use axum::extract::{ConnectInfo, Request, State, WebSocketUpgrade};
use axum::http::header::{AUTHORIZATION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL};
use axum::http::header::{REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
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

/// Every route of a server. Serve it with the peer's address as `ConnectInfo<SocketAddr>`.
pub fn router(hub: Arc<Hub>, faults: bool, web_root: Option<&Path>) -> Router {
    let mut router = Router::new()
        .route("/ws", get(upgrade))
        .route("/plain", get(upgrade_plain))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readiness))
        .route(
            "/metrics",
            get(async |State(hub): State<Arc<Hub>>| ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], hub.metrics.text())),
        )
        .route("/notify", post(notify));
    if faults {
        router = router.route("/faults", post(switch_faults));
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
        Err(forbidden) => (StatusCode::FORBIDDEN, forbidden.reason()).into_response(),
    }
}

async fn readiness(State(hub): State<Arc<Hub>>) -> (StatusCode, String) {
    if *hub.draining().borrow() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned());
    }
    match hub.parts.services.process().now() {
        Progress::Ready => (StatusCode::OK, "ready\n".to_owned()),
        Progress::Pending(names) => (StatusCode::SERVICE_UNAVAILABLE, format!("starting: {}\n", names.join(", "))),
        Progress::Failed(failure) => (StatusCode::SERVICE_UNAVAILABLE, format!("{failure}\n")),
    }
}

async fn upgrade(State(hub): State<Arc<Hub>>, headers: HeaderMap, peer: Peer, upgrade: WebSocketUpgrade) -> Response {
    if *hub.draining().borrow() {
        return unavailable("the server is going away");
    }
    let Some(stranger) = hub.stranger(peer.0) else {
        return unavailable("too many connections from this address have not said who they are");
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
    upgrade
        .protocols([SUBPROTOCOL])
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_message_size(limit)
        .max_frame_size(limit)
        .on_upgrade(move |socket| {
            let tracked = hub.connections.clone();
            tracked.track_future(driver::serve(hub, socket, offered, bearer, stranger))
        })
}

async fn upgrade_plain(State(hub): State<Arc<Hub>>, upgrade: WebSocketUpgrade) -> Response {
    if *hub.draining().borrow() {
        return unavailable("the server is going away");
    }
    upgrade.read_buffer_size(READ_BUFFER).max_message_size(OVERSIZE).on_upgrade(move |socket| plain::serve(hub, socket))
}

fn unavailable(reason: &'static str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], reason).into_response()
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
        return (StatusCode::UNAUTHORIZED, error.to_string()).into_response();
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
        Some(subject) => hub.to_subject(subject, &notice.event, &payload),
        None => hub.to_everyone(&notice.event, &payload),
    };
    axum::Json(serde_json::json!({ "sessions": sessions })).into_response()
}

async fn switch_faults(State(hub): State<Arc<Hub>>, body: String) -> Response {
    match FaultRequest::parse(&body) {
        Ok(request) => {
            tracing::info!(?request, "faults switched");
            hub.parts.faults.apply(request);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

/// The other end's address; unspecified if whoever embeds the router does not give it.
struct Peer(IpAddr);

impl<S: Sync> axum::extract::FromRequestParts<S> for Peer {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, _: &S) -> Result<Self, Self::Rejection> {
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        Ok(Self(address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))))
    }
}
