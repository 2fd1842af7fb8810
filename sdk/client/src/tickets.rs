//! A ticket for a token, over HTTP: in a page by its `fetch`, natively by a small client in a thread of its own.

use crate::credential::Credential;
use readywire_protocol::client::TokenFailure;
use serde::Deserialize;

#[derive(Deserialize)]
struct Issued {
    ticket: String,
}

/// Asks `url` for a ticket by `POST`, with `token` in `Authorization: Bearer`, as the reference server's `/tickets` wants
/// it. A page of another origin has to be one that the server lets connect.
///
/// ```no_run
/// # use readywire::{Options, ticket};
/// # async fn signed_in() -> String { String::new() }
/// let options = Options::new()
///     .credential(|_| async { ticket("https://api.example.org/tickets", &signed_in().await).await });
/// ```
///
/// # Errors
/// The server cannot be reached, or gives none. Only a 403 is final: another token may help against everything else.
pub async fn ticket(url: &str, token: &str) -> Result<Credential, TokenFailure> {
    let (status, body) = post(url, &["Bearer ", token].concat()).await.map_err(|error| failure(url, &error, false))?;
    if status != 200 {
        return Err(failure(url, &format!("{status} {}", body.trim()), status == 403));
    }
    match serde_json::from_str::<Issued>(&body) {
        Ok(issued) => Ok(Credential::Ticket(issued.ticket)),
        Err(_) => Err(failure(url, "the answer holds no ticket", false)),
    }
}

fn failure(url: &str, error: &str, fatal: bool) -> TokenFailure {
    TokenFailure { message: format!("no ticket from {url}: {error}"), fatal }
}

#[cfg(target_arch = "wasm32")]
async fn post(url: &str, authorization: &str) -> Result<(u16, String), String> {
    let request = gloo_net::http::Request::post(url).header("authorization", authorization);
    let response = request.send().await.map_err(|error| error.to_string())?;
    let status = response.status();
    response.text().await.map(|body| (status, body)).map_err(|error| error.to_string())
}

#[cfg(not(target_arch = "wasm32"))]
async fn post(url: &str, authorization: &str) -> Result<(u16, String), String> {
    use std::time::Duration;
    /// Longer than the client waits for a token.
    const PATIENCE: Duration = Duration::from_secs(15);

    let (url, authorization) = (url.to_owned(), authorization.to_owned());
    let asking = tokio::task::spawn_blocking(move || {
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build();
        let request = ureq::Agent::new_with_config(config).post(url).header("authorization", authorization);
        let mut response = request.send_empty().map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        response.body_mut().read_to_string().map(|body| (status, body)).map_err(|error| error.to_string())
    });
    asking.await.map_err(|error| error.to_string())?
}
