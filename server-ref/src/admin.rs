//! The routes of whoever runs the server, below `/admin`: there only with a token of their own, and behind it every one.

use crate::hub::Hub;
use crate::inspection::{Filter, Seen};
use crate::secrets;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use readywire_protocol::stage::Stage;
use serde::Deserialize;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The fewest bytes that an admin token may have.
pub const TOKEN_BYTES: usize = 16;
/// How many connections an answer has when nobody asks for another number, and at most.
const SHOWN: (usize, usize) = (100, 1000);

/// What opens the routes below `/admin`. Only its hash is kept.
#[derive(Clone)]
pub struct AdminToken([u8; 32]);

impl AdminToken {
    /// This token; white space around it does not count.
    ///
    /// # Errors
    /// It is shorter than [`TOKEN_BYTES`].
    pub fn new(token: &str) -> Result<Self, AdminTokenTooShort> {
        let token = token.trim();
        if token.len() < TOKEN_BYTES {
            Err(AdminTokenTooShort { bytes: token.len() })
        } else {
            Ok(Self(secrets::hash(token)))
        }
    }

    fn opens(&self, headers: &HeaderMap) -> bool {
        let presented = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let presented = presented.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        secrets::same(&secrets::hash(presented), &self.0)
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AdminToken(…)")
    }
}

/// An admin token that is easier to guess than it may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminTokenTooShort {
    /// How many bytes it has.
    pub bytes: usize,
}

impl fmt::Display for AdminTokenTooShort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the admin token has {} bytes, it needs at least {TOKEN_BYTES}", self.bytes)
    }
}

impl std::error::Error for AdminTokenTooShort {}

/// Every route below `/admin`, none of which answers without the token.
pub(crate) fn router(token: AdminToken) -> Router<Arc<Hub>> {
    Router::new()
        .route("/admin/connections", get(connections))
        .route("/admin/drain", post(drain))
        .route_layer(middleware::from_fn_with_state(token, authorise))
}

async fn authorise(State(token): State<AdminToken>, request: Request, next: Next) -> Response {
    if token.opens(request.headers()) {
        return next.run(request).await;
    }
    tracing::warn!(path = request.uri().path(), "a request without the admin token");
    (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")], "this wants the admin token as a bearer token\n")
        .into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    subject: Option<String>,
    stage: Option<String>,
    limit: Option<usize>,
}

impl Asked {
    fn filter(self) -> Result<Filter, String> {
        let stage = match self.stage {
            None => None,
            Some(name) => Some(Stage::parse(&name.to_ascii_uppercase()).ok_or_else(|| {
                format!("there is no stage `{name}`; there are: {}\n", Stage::ALL.map(Stage::name).join(", "))
            })?),
        };
        Ok(Filter { subject: self.subject, stage, limit: self.limit.unwrap_or(SHOWN.0).min(SHOWN.1) })
    }
}

/// Who is here, how far, and what became of those that left.
async fn connections(State(hub): State<Arc<Hub>>, asked: Result<Query<Asked>, QueryRejection>) -> Response {
    let filter =
        asked.map_err(|rejection| format!("{}\n", rejection.body_text())).and_then(|Query(asked)| asked.filter());
    match filter {
        Ok(filter) => {
            let seen: Seen = hub.inspection.look(&filter);
            ([(CACHE_CONTROL, "no-store")], Json(seen)).into_response()
        }
        Err(wrong) => (StatusCode::BAD_REQUEST, wrong).into_response(),
    }
}

/// The server goes away, as on SIGTERM. Asked again, it says the same.
async fn drain(State(hub): State<Arc<Hub>>) -> Response {
    let connections = hub.connections.len();
    hub.drain();
    hub.ask_to_drain();
    let left =
        hub.drain_begun().map(|drain| (drain.window(), drain.deadline.saturating_duration_since(Instant::now())));
    let (window, deadline) = left.unwrap_or_default();
    let told = serde_json::json!({
        "connections": connections,
        "window_ms": millis(window),
        "deadline_ms": millis(deadline),
    });
    (StatusCode::ACCEPTED, Json(told)).into_response()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opens(token: &AdminToken, authorization: &'static str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, authorization.parse().unwrap());
        token.opens(&headers)
    }

    #[test]
    fn only_the_whole_token_opens() {
        let token = AdminToken::new(" sixteen bytes of it\n").unwrap();
        assert!(opens(&token, "Bearer sixteen bytes of it"));
        for wrong in
            ["", "Bearer", "Bearer ", "Bearer sixteen bytes", "Bearer sixteen bytes of it!", "sixteen bytes of it"]
        {
            assert!(!opens(&token, wrong), "{wrong}");
        }
        assert!(!token.opens(&HeaderMap::new()));
        assert_eq!(format!("{token:?}"), "AdminToken(…)");
    }

    #[test]
    fn a_short_token_is_none() {
        assert_eq!(AdminToken::new("  fifteen bytes..  ").unwrap_err(), AdminTokenTooShort { bytes: 15 });
    }
}
