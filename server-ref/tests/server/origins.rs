//! Pages: which are let in.

use crate::peer::{Raw, authority, hello_as, started};
use crate::web;
use readywire_server::server::Running;
use tokio_tungstenite::tungstenite::Error;

/// The status of an upgrade from a page of `origin`, to a server that goes by `host`.
async fn upgrade(server: &Running, origin: &str, host: Option<&str>) -> u16 {
    let address = server.address().to_string();
    let headers =
        [("sec-websocket-protocol", "readywire.v1"), ("origin", origin), ("host", host.unwrap_or(address.as_str()))];
    match Raw::with_headers(server.address(), &headers).await {
        Ok(mut raw) => {
            raw.write(&hello_as("alice")).await;
            raw.until("ready").await;
            101
        }
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn on_loopback_every_page_of_this_machine_is_let_in_and_no_other() {
    let server = started(&[]).await;
    let port = server.address().port();
    for page in ["http://127.0.0.1:41234", "http://localhost:5173", &format!("http://127.0.0.1:{port}")] {
        assert_eq!(upgrade(&server, page, None).await, 101, "{page}");
    }
    for page in ["https://evil.example", "null", "http://127.0.0.1.evil.example:41234"] {
        assert_eq!(upgrade(&server, page, None).await, 403, "{page}");
    }
}

#[tokio::test]
async fn a_name_that_was_rebound_to_this_server_is_refused() {
    let server = started(&[]).await;
    let rebound = format!("evil.example:{}", server.address().port());
    assert_eq!(upgrade(&server, &format!("http://{rebound}"), Some(&rebound)).await, 403);
    let response = web::request(server.address(), "GET", "/metrics", &[("host", &rebound)], "").await;
    assert_eq!(response.status, 403, "nothing else either");
    assert!(response.body.contains("Host"), "{}", response.body);
}

#[tokio::test]
async fn once_origins_are_listed_only_those_are_let_in() {
    let server = started(&["--allow-origin", "https://app.example.org"]).await;
    assert_eq!(upgrade(&server, "https://app.example.org", None).await, 101);
    assert_eq!(upgrade(&server, "https://app.example.org", Some("app.example.org")).await, 101);
    assert_eq!(upgrade(&server, "http://127.0.0.1:41234", None).await, 403);
}

#[tokio::test]
async fn other_routes_are_guarded_alike() {
    let server = started(&["--faults"]).await;
    let evil = ("origin", "https://evil.example");
    let bearer = format!("Bearer {}", authority().mint("alice", crate::peer::HOUR));
    let headers = [evil, ("authorization", &bearer)];
    assert_eq!(web::post(server.address(), "/notify", &headers, "{}").await.status, 403);
    let faults = web::post(server.address(), "/faults", &[evil], r#"{"cut": true}"#).await;
    assert_eq!(faults.status, 403);
    assert!(faults.body.contains("--allow-origin"), "{}", faults.body);
}
