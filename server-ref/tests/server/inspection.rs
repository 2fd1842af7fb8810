//! What `GET /admin/connections` tells, and whom.

use crate::peer::{Raw, authority, hello_as, parts, resuming, served, started, switch};
use crate::web;
use readywire_protocol::config::ServerConfig;
use readywire_server::admin::AdminToken;
use readywire_server::hub::Parts;
use readywire_server::server::{self, Place, Running};
use serde_json::{Value, json};

const TOKEN: &str = "a token for whoever runs this";

async fn with_admin(parts: Parts) -> Running {
    let admin = Some(AdminToken::new(TOKEN).unwrap());
    server::serve(parts, Place { admin, faults: true, ..Place::at("127.0.0.1:0".parse().unwrap()) }).await.unwrap()
}

async fn asked(server: &Running, query: &str) -> web::Response {
    let bearer = format!("Bearer {TOKEN}");
    let path = format!("/admin/connections{query}");
    web::request(server.address(), "GET", &path, &[("authorization", &bearer)], "").await
}

async fn seen(server: &Running, query: &str) -> Value {
    let response = asked(server, query).await;
    assert_eq!(response.status, 200, "{response:?}");
    assert!(response.head.contains("cache-control: no-store"), "{}", response.head);
    serde_json::from_str(&response.body).unwrap()
}

fn names(stages: &Value) -> Vec<&str> {
    stages.as_array().unwrap().iter().map(|stage| stage["stage"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn there_is_no_such_route_without_a_token_of_its_own() {
    let server = started(&[]).await;
    assert_eq!(asked(&server, "").await.status, 404);
    let line: [&str; 3] = ["readywire-server", "--admin-token-file", "/nowhere/at/all"];
    let line = <readywire_server::command_line::CommandLine as clap::Parser>::parse_from(line);
    assert!(server::start(&line, authority()).await.unwrap_err().contains("/nowhere/at/all"));
}

#[tokio::test]
async fn nobody_without_the_token_learns_anything() {
    let server = with_admin(parts()).await;
    let user = format!("Bearer {}", authority().mint("alice", crate::peer::HOUR));
    for headers in [&[][..], &[("authorization", "Bearer a token for whoever")], &[("authorization", user.as_str())]] {
        for (method, path) in [("GET", "/admin/connections"), ("POST", "/admin/connections")] {
            let refused = web::request(server.address(), method, path, headers, "").await;
            assert_eq!(refused.status, 401, "{method} with {headers:?}");
            assert!(refused.head.contains("www-authenticate: bearer"), "{}", refused.head);
        }
    }
}

#[tokio::test]
async fn a_connection_that_waits_says_at_which_stage_and_for_what() {
    let server = with_admin(parts()).await;
    switch(&server, json!({ "service_delay_ms": { "search": 3_600_000 } }));
    let mut hello = hello_as("alice");
    hello["client"] = json!({ "name": "n".repeat(1000), "version": "1" });
    let mut waiting = Raw::greet(&server, &hello).await;
    while waiting.until("stage").await["pending"].is_null() {}
    let stranger = Raw::dial(&server, "readywire.v1").await;

    let found = seen(&server, "?stage=authenticated").await;
    assert_eq!(found["matching"], 1);
    let connection = &found["connections"][0];
    assert_eq!(connection["subject"], "alice");
    assert_eq!(connection["stage"], "AUTHENTICATED");
    assert_eq!(connection["pending"], json!(["search"]));
    assert_eq!(names(&connection["stages"]), ["ACCEPTED", "AUTHENTICATED"]);
    assert_eq!(connection["client"].as_str().unwrap().len(), 64);
    assert!(connection["remote"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert_eq!(seen(&server, "?stage=ACCEPTED").await["matching"], 1);
    assert_eq!(seen(&server, "?subject=bob").await["matching"], 0);
    drop(stranger);

    // Gone before it came to ready: what is remembered says how far it was.
    switch(&server, json!({ "cut": true, "subject": "alice" }));
    waiting.cut().await;
    let found = seen(&server, "?subject=alice").await;
    assert_eq!((&found["matching"], &found["connections"]), (&json!(0), &json!([])));
    let ended = &found["ended"][0];
    assert_eq!((&ended["end"]["stage"], &ended["end"]["code"]), (&json!("AUTHENTICATED"), &json!(1006)));
    assert_eq!(ended["pending"], json!(["search"]));
}

#[tokio::test]
async fn a_refusal_is_remembered_with_its_reason_and_without_the_token() {
    let server = with_admin(parts()).await;
    let mut hello = hello_as("alice");
    hello["auth"]["token"] = json!("secret.secret.secret");
    Raw::greet(&server, &hello).await.ended().await;
    let body = asked(&server, "").await.body;
    assert!(!body.contains("secret.secret"), "{body}");
    let end = serde_json::from_str::<Value>(&body).unwrap()["ended"][0]["end"].clone();
    assert_eq!(
        (&end["code"], &end["name"], &end["stage"]),
        (&json!(4104), &json!("token_invalid"), &json!("ACCEPTED"))
    );
    assert_eq!(end["reason"], "the token is not a JSON Web Token");
}

#[tokio::test]
async fn a_ready_connection_shows_its_queues_and_how_the_one_before_ended() {
    let server = with_admin(parts()).await;
    let (mut first, ready) = Raw::ready(&server, &hello_as("alice")).await;
    // A message that nobody takes.
    first.echoes(1).await;
    switch(&server, json!({ "cut": true }));
    first.cut().await;
    switch(&server, json!({ "impair": ["search"] }));
    let (mut second, again) = Raw::ready(&server, &resuming("alice", &ready, 1, 0)).await;
    second.message(1).await;
    let found = seen(&server, "").await;
    let connection = &found["connections"][0];
    assert_eq!(connection["stage"], "DEGRADED");
    assert_eq!(connection["impaired"], json!(["search"]));
    assert_eq!(connection["session"], ready["session"]["id"]);
    assert_eq!(connection["capabilities"], json!(["resume", "answers"]));
    assert_eq!((&connection["inbox"]["waiting"], &connection["inbox"]["untaken"]), (&json!(1), &json!(1)));
    assert!(connection["inbox"]["bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{connection}");
    assert_eq!(names(&connection["stages"]), ["ACCEPTED", "AUTHENTICATED", "SERVICES_READY", "DEGRADED"]);
    assert_eq!(connection["former"]["code"], 1006);
    assert_eq!(connection["former"]["connection"], found["ended"][0]["id"]);
    assert!(!found.to_string().contains(again["session"]["token"].as_str().unwrap()));
}

#[tokio::test]
async fn a_send_whose_ack_is_late_shows_as_in_flight() {
    let config = ServerConfig { ack_delay: crate::peer::HOUR, ..ServerConfig::default() };
    let server = with_admin(Parts { config, ..parts() }).await;
    let (mut raw, _) = Raw::ready(&server, &hello_as("alice")).await;
    raw.echoes(1).await;
    assert_eq!(seen(&server, "").await["connections"][0]["in_flight"], 1);
}

#[tokio::test]
async fn answers_are_bounded_and_questions_checked() {
    let server = with_admin(parts()).await;
    for _ in 0..300 {
        let mut wrong = Raw::dial(&server, "readywire.v1").await;
        wrong.text("no frame").await;
        wrong.ended().await;
    }
    let (_first, _) = Raw::ready(&server, &hello_as("alice")).await;
    let (_second, _) = Raw::ready(&server, &hello_as("bob")).await;
    let found = seen(&server, "?limit=1000000").await;
    assert_eq!(found["ended"].as_array().unwrap().len(), 256);
    let found = seen(&server, "?limit=1").await;
    assert_eq!(
        (&found["matching"], &found["connections"][0]["subject"]),
        (&json!(2), &json!("bob")),
        "the newest first"
    );
    assert_eq!(found["connections"].as_array().unwrap().len(), 1);
    assert_eq!(found["ended"].as_array().unwrap().len(), 1);
    for (wrong, expected) in [("?stage=READY", "PROCESSING_READY"), ("?who=alice", "subject"), ("?limit=-1", "invalid")]
    {
        let refused = asked(&server, wrong).await;
        assert_eq!(refused.status, 400);
        assert!(refused.body.contains(expected), "{}", refused.body);
    }
}

#[tokio::test]
async fn what_is_served_by_default_has_no_admin_routes() {
    assert_eq!(asked(&served(parts()).await, "").await.status, 404);
}
