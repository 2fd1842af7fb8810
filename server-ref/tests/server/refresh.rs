//! Fresh tokens on living connections, and tickets.

use crate::peer::{HOUR, Raw, authority, hello_as, hello_with, parts, served, started, switch};
use crate::web;
use readywire_protocol::config::ServerConfig;
use readywire_server::claims::Claims;
use readywire_server::hub::Parts;
use serde_json::{Value, json};
use std::time::Duration;

/// A hello that speaks Refresh, with a token that lasts so many seconds at most.
fn refreshing(seconds: u64) -> Value {
    let mut hello = hello_with(&authority().mint("alice", Duration::from_secs(seconds)));
    hello["capabilities"] = json!(["resume", "answers", "refresh"]);
    hello
}

/// So long that what is left when a fresh one is demanded, a quarter at most, is enough on a busy machine.
const LASTS: u64 = 8;

fn fresh(token: &str) -> Value {
    json!({ "type": "auth", "scheme": "bearer", "token": token })
}

fn altered(alter: impl FnOnce(&mut Claims)) -> Value {
    let mut claims = authority().claims("alice", HOUR);
    alter(&mut claims);
    fresh(&authority().sign(&claims))
}

#[tokio::test]
async fn a_fresh_token_keeps_its_connection() {
    let server = started(&[]).await;
    let (mut raw, ready) = Raw::ready(&server, &refreshing(LASTS)).await;
    assert_eq!(ready["capabilities"], json!(["resume", "answers", "refresh"]));
    let left = ready["auth"]["expires_in_ms"].as_u64().unwrap();
    assert!(left <= LASTS * 1000);
    let asked = raw.until("auth").await;
    assert_eq!(asked["required"], true, "{asked}");
    assert!(asked["deadline_ms"].as_u64().unwrap() <= left / 4 + 1, "{asked} of {left}");
    raw.write(&fresh(&authority().mint("alice", HOUR))).await;
    let answer = raw.until("auth").await;
    assert!(answer["error"].is_null() && answer["expires_in_ms"].as_u64().unwrap() > 3_590_000, "{answer}");
    raw.echoes(1).await;
    let metrics = web::get(server.address(), "/metrics").await.body;
    for line in ["readywire_refreshes_total{outcome=\"accepted\"} 1", "readywire_refresh_demands_total 1"] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
}

#[tokio::test]
async fn without_a_fresh_token_it_ends_with_4103() {
    let server = started(&[]).await;
    let (mut raw, _) = Raw::ready(&server, &refreshing(LASTS)).await;
    raw.until("auth").await;
    // To bring one that is no good is to bring none.
    raw.write(&fresh("nonsense")).await;
    let answer = raw.until("auth").await;
    assert_eq!((&answer["error"]["code"], &answer["retry"]), (&json!("token_invalid"), &json!(true)));
    let ended = raw.ended().await;
    assert_eq!((ended.code, ended.reason.as_str()), (4103, "a fresh token was required, and did not come in time"));
    let metrics = web::get(server.address(), "/metrics").await.body;
    assert!(metrics.contains("readywire_refreshes_total{outcome=\"not_in_time\"} 1"), "{metrics}");
}

#[tokio::test]
async fn the_time_to_refresh_can_be_chosen() {
    let server = served(Parts {
        config: ServerConfig { refresh_demand: Duration::from_millis(200), ..ServerConfig::default() },
        ..parts()
    })
    .await;
    let (mut raw, _) = Raw::ready(&server, &refreshing(4)).await;
    let asked = raw.until("auth").await;
    assert!(asked["deadline_ms"].as_u64().unwrap() <= 200, "{asked}");
    assert_eq!(raw.ended().await.code, 4103);
}

#[tokio::test]
async fn a_fresh_token_is_checked_like_any_other_and_speaks_for_the_same_subject() {
    let server = started(&["--faults"]).await;
    let first = authority().mint("alice", HOUR);
    let mut hello = hello_with(&first);
    hello["capabilities"] = json!(["refresh"]);
    let (mut raw, ready) = Raw::ready(&server, &hello).await;
    assert_eq!(ready["capabilities"], json!(["refresh"]), "it needs no session");
    let ticket = authority().mint_ticket("bob", HOUR);
    for (auth, code, retry) in [
        (fresh(&authority().mint("bob", HOUR)), "subject_changed", false),
        (json!({ "type": "auth", "scheme": "ticket", "token": ticket }), "subject_changed", false),
        (json!({ "type": "auth", "scheme": "ticket", "token": first }), "token_invalid", true),
        (altered(|claims| claims.exp = claims.iat), "token_expired", true),
        (altered(|claims| claims.aud = "somebody else".into()), "token_invalid", true),
        (fresh(""), "token_missing", true),
        (json!({ "type": "auth", "scheme": "magic", "token": "t" }), "token_invalid", true),
    ] {
        raw.write(&auth).await;
        let answer = raw.until("auth").await;
        assert_eq!((&answer["error"]["code"], answer["retry"] == true), (&json!(code), retry), "{answer}");
        let token = auth["token"].as_str().unwrap();
        assert!(token.len() < 2 || !answer.to_string().contains(token), "{answer}");
    }
    raw.write(&json!({ "type": "send", "id": 1, "event": "echo" })).await;
    raw.acked(1).await;
    // From now on it is the fresh one that counts.
    raw.write(&fresh(&authority().mint("alice", HOUR))).await;
    raw.until("auth").await;
    server
        .hub()
        .parts
        .faults
        .apply(readywire_server::faults::FaultRequest::parse(r#"{"expire_tokens": true}"#).unwrap());
    assert_eq!(raw.ended().await.code, 4102);
    hello["auth"]["token"] = json!(first);
    Raw::ready(&server, &hello).await;
}

#[tokio::test]
async fn a_ticket_for_a_token() {
    let server = started(&["--ticket-ttl", "5s"]).await;
    let address = server.address();
    let token = authority().mint("alice", HOUR);
    let bearer = format!("Bearer {token}");
    let response = web::request(address, "POST", "/tickets", &[("authorization", &bearer)], "").await;
    assert_eq!(response.status, 200, "{}", response.body);
    assert!(response.head.to_lowercase().contains("cache-control: no-store"), "{}", response.head);
    let given: Value = serde_json::from_str(&response.body).unwrap();
    assert_eq!(given["expires_in_ms"], 5000);
    let mut hello = hello_as("alice");
    hello["auth"] = json!({ "scheme": "ticket", "token": given["ticket"] });
    hello["capabilities"] = json!(["resume", "refresh"]);
    let (mut raw, ready) = Raw::ready(&server, &hello).await;
    assert_eq!((&ready["session"]["subject"], &ready["auth"]), (&json!("alice"), &Value::Null));
    // A ticket that refreshes is good for nothing else, and neither is the one that was used.
    for (ticket, good) in [(given["ticket"].clone(), false), (json!(authority().mint_ticket("alice", HOUR)), true)] {
        raw.write(&json!({ "type": "auth", "scheme": "ticket", "token": ticket })).await;
        let answer = raw.until("auth").await;
        assert_eq!(answer["error"].is_null(), good, "{answer}");
        assert!(answer["expires_in_ms"].is_null());
        hello["auth"]["token"] = ticket;
        hello["resume"] = json!({ "session": "s", "token": "t", "attempt": 1 });
        assert_eq!(Raw::greet(&server, &hello).await.ended().await.code, 4104);
    }
}

#[tokio::test]
async fn no_ticket_without_a_good_token() {
    let server = started(&["--faults"]).await;
    let address = server.address();
    let good = format!("Bearer {}", authority().mint("alice", HOUR));
    let ask = async |headers: &[(&str, &str)]| web::request(address, "POST", "/tickets", headers, "").await;
    assert_eq!(ask(&[]).await.status, 401);
    let ticket = format!("Bearer {}", authority().mint_ticket("alice", HOUR));
    let refused = ask(&[("authorization", &ticket)]).await;
    assert_eq!(refused.status, 401, "no ticket for a ticket");
    assert!(refused.head.to_lowercase().contains("www-authenticate: bearer"), "{}", refused.head);
    assert_eq!(web::get(address, "/tickets").await.status, 405);
    let (mut raw, _) = Raw::ready(&server, &hello_with(good.strip_prefix("Bearer ").unwrap())).await;
    switch(&server, json!({ "expire_tokens": true }));
    raw.ended().await;
    assert_eq!(ask(&[("authorization", &good)]).await.status, 401, "a token that has expired");
}

#[tokio::test]
async fn a_ticket_does_not_outlast_its_token() {
    let server = started(&[]).await;
    let bearer = format!("Bearer {}", authority().mint("alice", Duration::from_secs(20)));
    let response = web::request(server.address(), "POST", "/tickets", &[("authorization", &bearer)], "").await;
    let given: Value = serde_json::from_str(&response.body).unwrap();
    assert!(given["expires_in_ms"].as_u64().unwrap() <= 20_000, "{given}");
}

/// A page of a listed origin may ask from where it is; one of another origin learns nothing.
#[tokio::test]
async fn pages_ask_for_tickets_from_listed_origins_alone() {
    let server = started(&["--allow-origin", "https://page.example"]).await;
    let address = server.address();
    let preflight = async |origin: &str| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization"),
        ];
        web::request(address, "OPTIONS", "/tickets", &headers, "").await
    };
    let listed = preflight("https://page.example").await;
    assert_eq!(listed.status, 200);
    assert!(listed.head.contains("access-control-allow-origin: https://page.example"), "{}", listed.head);
    assert!(listed.head.contains("access-control-allow-headers: authorization"), "{}", listed.head);
    let other = preflight("https://elsewhere.example").await;
    assert_eq!(other.status, 403);
    assert!(!other.head.contains("access-control"), "{}", other.head);
}
