//! Tokens that end while their connection lives.

use crate::server::{PATIENCE, TestServer, authority, eager};
use futures::StreamExt;
use readywire::{Credential, Options, TokenFailure, TokenReason, connect};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Options whose provider gives tokens of this life, and tells what each was for.
fn short_lived(life: Duration) -> (Options, mpsc::UnboundedReceiver<TokenReason>) {
    let (asked, reasons) = mpsc::unbounded_channel();
    let options = eager().credential(move |reason| {
        let _ = asked.send(reason);
        std::future::ready(Ok(Credential::Bearer(authority().mint("alice", life))))
    });
    (options, reasons)
}

/// A claim tells whole seconds, so that this is 3 to 4 s. Half of it is left for a machine that is busy.
const SHORT: Duration = Duration::from_secs(4);

async fn next(reasons: &mut mpsc::UnboundedReceiver<TokenReason>) -> TokenReason {
    timeout(PATIENCE, reasons.recv()).await.expect("in time").expect("a question")
}

#[tokio::test]
async fn a_connection_outlives_its_tokens() {
    let server = TestServer::start().await;
    let (options, mut reasons) = short_lived(SHORT);
    let client = connect(&server.url(), options).await.unwrap();
    assert_eq!(next(&mut reasons).await, TokenReason::Connect);
    let connection = client.status().connection;
    for round in 0..3 {
        assert_eq!(next(&mut reasons).await, TokenReason::Refresh);
        assert_eq!(client.request::<u64>("echo", &round).await.unwrap(), round);
    }
    assert_eq!((client.status().connection, client.status().attempt), (connection, 1));
    client.close().await;
}

/// No fresh one comes: the server ends the connection, and the next attempt brings one.
#[tokio::test]
async fn a_provider_that_fails_costs_the_connection_and_no_more() {
    let server = TestServer::start().await;
    let options = eager().credential(|reason| async move {
        match reason {
            TokenReason::Connect => Ok(Credential::Bearer(authority().mint("alice", SHORT))),
            TokenReason::Refresh => Err("offline".into()),
        }
    });
    let client = connect(&server.url(), options).await.unwrap();
    let mut states = client.states();
    let mut code = None;
    loop {
        let change = timeout(PATIENCE, states.next()).await.unwrap().unwrap();
        code = code.or(change.code);
        if change.attempt == 2 && change.state.is_ready() {
            break;
        }
    }
    assert_eq!(code, Some(4103));
    client.close().await;
}

#[tokio::test]
async fn a_provider_that_says_no_is_asked_for_the_next_attempt_and_ends_it() {
    let server = TestServer::start().await;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let options = eager().credential({
        let asked = asked.clone();
        move |reason| {
            let first = {
                let mut asked = asked.lock().unwrap();
                asked.push(reason);
                asked.len() == 1
            };
            async move {
                let fatal = TokenFailure { message: "signed out".to_owned(), fatal: true };
                let token = authority().mint("alice", SHORT);
                if first { Ok(Credential::Bearer(token)) } else { Err(fatal) }
            }
        }
    });
    let client = connect(&server.url(), options).await.unwrap();
    let end = timeout(PATIENCE, client.closed()).await.unwrap().unwrap();
    assert_eq!((end.code, end.reason.as_str()), (4101, "no token: signed out"));
    assert_eq!(*asked.lock().unwrap(), [TokenReason::Connect, TokenReason::Refresh, TokenReason::Connect]);
}

#[tokio::test]
async fn a_token_for_somebody_else_changes_nothing() {
    let server = TestServer::start().await;
    let options = eager().credential(|reason| async move {
        let subject = if reason == TokenReason::Connect { "alice" } else { "bob" };
        Ok(Credential::Bearer(authority().mint(subject, SHORT)))
    });
    let client = connect(&server.url(), options).await.unwrap();
    let mut states = client.states();
    let mut code = None;
    while code.is_none() {
        code = timeout(PATIENCE, states.next()).await.unwrap().unwrap().code;
    }
    assert_eq!(code, Some(4103));
    client.close().await;
}
