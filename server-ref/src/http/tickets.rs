//! `POST /tickets`: a token in the header for a ticket that is good for one attempt to connect.

use super::{bearer, unauthorized};
use crate::claims::TokenError;
use crate::hub::Hub;
use crate::secrets;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::Method;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use std::sync::Arc;
use std::time::Duration;
use tower_http::cors::{AllowOrigin, CorsLayer};

/// The route. A page of another origin may use it if it may connect: who may not is refused before.
pub(super) fn route() -> MethodRouter<Arc<Hub>> {
    let listed = AllowOrigin::predicate(|_, _| true);
    let pages = CorsLayer::new().allow_origin(listed).allow_methods([Method::POST]).allow_headers([AUTHORIZATION]);
    post(issue).layer(pages)
}

async fn issue(State(hub): State<Arc<Hub>>, headers: HeaderMap) -> Response {
    let token = bearer(&headers).unwrap_or_default();
    let parts = &hub.parts;
    let claims = match parts.authority.validate(token) {
        Ok(_) if parts.faults.has_expired(&secrets::hash(token)) => return unauthorized(&TokenError::Expired),
        Ok(claims) => claims,
        Err(error) => return unauthorized(&error),
    };
    // It does not outlast what it was given for.
    let ttl = parts.ticket_ttl.min(claims.expires_in());
    let ticket = parts.authority.mint_ticket(&claims.sub, ttl);
    hub.metrics.tickets.inc();
    let answer = serde_json::json!({ "ticket": ticket, "expires_in_ms": milliseconds(ttl) });
    ([(CACHE_CONTROL, "no-store")], axum::Json(answer)).into_response()
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
