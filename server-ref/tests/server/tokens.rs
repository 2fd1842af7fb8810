//! Who is let in, and what is said to those who are not.

use crate::peer::{HOUR, Raw, authority, hello_as, hello_with, riding, started, switch};
use readywire_server::claims::{Authority, Claims};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

fn altered(alter: impl FnOnce(&mut Claims)) -> Value {
    let mut claims = authority().claims("alice", HOUR);
    alter(&mut claims);
    hello_with(&authority().sign(&claims))
}

#[tokio::test]
async fn each_bad_token_has_its_code_and_its_reason() {
    let server = started(&[]).await;
    let other = Authority::new(b"another secret, which is as long as it", "readywire", "readywire").unwrap();
    let mut without = hello_as("alice");
    without.as_object_mut().unwrap().remove("auth");
    let mut ticket = hello_as("alice");
    ticket["auth"]["scheme"] = json!("ticket");
    let good = authority().mint("alice", HOUR);
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", good.split('.').nth(1).unwrap());
    let mut reasons = BTreeSet::new();
    for (hello, code) in [
        (without, 4101),
        (altered(|claims| claims.exp = claims.iat - 1), 4102),
        (altered(|claims| claims.exp = claims.iat), 4102),
        (altered(|claims| claims.nbf += 60), 4104),
        (altered(|claims| claims.iss = "somebody else".into()), 4104),
        (altered(|claims| claims.aud = "somebody else".into()), 4104),
        (altered(|claims| claims.sub.clear()), 4104),
        (hello_with(&other.mint("alice", HOUR)), 4104),
        (hello_with(&unsigned), 4104),
        (hello_with("nonsense"), 4104),
        (ticket, 4104),
    ] {
        let ended = Raw::greet(&server, &hello).await.ended().await;
        assert_eq!(ended.code, code, "{}", ended.reason);
        let token = hello["auth"]["token"].as_str().unwrap_or("no token");
        assert!(!ended.reason.contains(token) || token == "no token", "{}", ended.reason);
        let in_the_upgrade = Raw::dial(&server, &riding(&hello)).await.ended().await;
        assert_eq!(in_the_upgrade, ended, "wherever the hello came");
        reasons.insert(ended.reason);
    }
    assert_eq!(reasons.len(), 10, "expired twice, and else each its own: {reasons:#?}");
}

#[tokio::test]
async fn a_native_client_may_use_the_header() {
    let server = started(&[]).await;
    let bearer = format!("Bearer {}", authority().mint("alice", HOUR));
    let headers = [("sec-websocket-protocol", "readywire.v1"), ("authorization", bearer.as_str())];
    let bare = json!({ "type": "hello", "capabilities": ["resume"] });

    let mut raw = Raw::with_headers(server.address(), &headers).await.unwrap();
    raw.write(&bare).await;
    assert_eq!(raw.until("ready").await["session"]["subject"], "alice");

    let mut raw = Raw::with_headers(server.address(), &headers).await.unwrap();
    raw.write(&hello_as("bob")).await;
    assert_eq!(raw.until("ready").await["session"]["subject"], "bob", "the hello counts");

    let cookie = [("sec-websocket-protocol", "readywire.v1"), ("cookie", bearer.as_str())];
    let mut raw = Raw::with_headers(server.address(), &cookie).await.unwrap();
    raw.write(&bare).await;
    assert_eq!(raw.ended().await.code, 4101, "a cookie does not");
}

#[tokio::test]
async fn a_connection_ends_with_its_token() {
    let server = started(&[]).await;
    let short = authority().mint("alice", Duration::from_secs(4));
    let (mut raw, ready) = Raw::ready(&server, &hello_with(&short)).await;
    let left = ready["auth"]["expires_in_ms"].as_u64().unwrap();
    assert!(left <= 4000, "{left}");
    let ended = raw.ended().await;
    assert_eq!((ended.code, ended.reason.as_str()), (4102, "the token has expired: ask for a new one"));
}

#[tokio::test]
async fn a_token_for_ages_is_a_number_that_frames_can_hold() {
    let server = started(&[]).await;
    let (_raw, ready) = Raw::ready(&server, &altered(|claims| claims.exp = u64::MAX)).await;
    assert!(ready["auth"]["expires_in_ms"].as_u64().unwrap() < 1 << 53, "{ready}");
}

#[tokio::test]
async fn a_token_that_is_made_to_expire_stays_so_and_a_fresh_one_helps() {
    let server = started(&["--faults"]).await;
    let hello = hello_as("alice");
    let (mut alice, _) = Raw::ready(&server, &hello).await;
    let (mut bob, _) = Raw::ready(&server, &hello_as("bob")).await;
    switch(&server, json!({ "expire_tokens": true, "subject": "alice" }));
    assert_eq!(alice.ended().await.code, 4102);
    assert_eq!(Raw::greet(&server, &hello).await.ended().await.code, 4102, "the same again");
    let (mut fresh, _) = Raw::ready(&server, &hello_as("alice")).await;
    fresh.echoes(1).await;
    bob.echoes(1).await;
    switch(&server, json!({ "reset": true }));
    Raw::ready(&server, &hello).await;
}

#[tokio::test]
async fn a_ticket_is_good_for_one_attempt() {
    let server = started(&[]).await;
    let mut hello = hello_with(&authority().mint_ticket("alice", HOUR));
    hello["auth"]["scheme"] = json!("ticket");
    let (_, first) = Raw::ready(&server, &hello).await;
    assert_eq!(first["session"]["subject"], "alice");
    assert!(first["auth"]["expires_in_ms"].is_null(), "there is nothing left to expire");
    let (raw, again) = Raw::ready(&server, &hello).await;
    assert_ne!(again["session"]["id"], first["session"]["id"], "the same upgrade, repeated");
    drop(raw);
    hello["resume"] = json!({ "session": again["session"]["id"], "token": again["session"]["token"], "attempt": 1 });
    let ended = Raw::greet(&server, &hello).await.ended().await;
    assert_eq!((ended.code, ended.reason.as_str()), (4104, "the ticket was used before: ask for a new one"));
    // Neither passes for the other.
    hello["auth"]["scheme"] = json!("bearer");
    assert_eq!(Raw::greet(&server, &hello).await.ended().await.code, 4104);
}
