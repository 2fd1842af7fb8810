//! A fresh token on a living connection (clauses `auth.*`).

use crate::frames;
use crate::near::{Near, seconds, token};
use readywire_protocol::client::TokenFailure;
use readywire_protocol::frame::{AnswerError, Auth, ClientFrame, ServerFrame, TokenNews};
use readywire_protocol::stage::Stage;

fn near() -> Near {
    let mut near = Near::at(Stage::ServicesReady);
    near.hears(&frames::with(|ready| ready.capabilities.push("refresh".to_owned())));
    near.forget();
    near
}

fn required() -> ServerFrame {
    ServerFrame::Auth(TokenNews { required: true, deadline_ms: Some(9000), ..TokenNews::default() })
}

fn refused(retry: bool) -> ServerFrame {
    let error = Some(AnswerError { code: "token_invalid".to_owned(), message: String::new() });
    ServerFrame::Auth(TokenNews { error, retry, ..TokenNews::default() })
}

fn answers(near: &mut Near, token: Result<Option<Auth>, TokenFailure>) {
    let number = near.asked_fresh.pop().expect("a question");
    near.client.provide_fresh_token(near.now, number, token);
    near.settle();
}

#[test]
fn what_is_required_is_asked_for_and_brought() {
    for degraded in [false, true] {
        let mut near = near();
        if degraded {
            near.hears(&frames::stage(Stage::Degraded));
        }
        near.hears(&required());
        answers(&mut near, Ok(Some(token())));
        assert_eq!(near.writes(), [ClientFrame::Auth(token())]);
        assert!(near.state().is_ready());
    }
}

#[test]
fn draining_or_closing_refreshes_all_the_same() {
    let mut near = near();
    near.hears_text(r#"{"type":"drain","deadline_ms":60000}"#);
    near.send(1, Default::default());
    near.client.close(near.now, seconds(60));
    near.forget();
    near.hears(&required());
    answers(&mut near, Ok(Some(token())));
    assert_eq!(near.writes(), [ClientFrame::Auth(token())]);
}

#[test]
fn one_refresh_is_under_way_at_a_time() {
    let mut near = near();
    near.hears(&required());
    near.hears(&required());
    assert_eq!(near.asked_fresh.len(), 1, "the application is asked once");
    answers(&mut near, Ok(Some(token())));
    assert_eq!(near.writes().len(), 1);
    near.hears(&required());
    assert_eq!(near.asked_fresh.len(), 0, "the one that is on its way will do");
    near.hears(&ServerFrame::Auth(TokenNews { expires_in_ms: Some(60_000), ..TokenNews::default() }));
    near.pass(seconds(1));
    near.hears(&required());
    assert_eq!(near.asked_fresh.len(), 1, "and now another may begin");
}

#[test]
fn a_refused_token_is_followed_by_another_if_that_may_work() {
    let mut near = near();
    near.hears(&required());
    answers(&mut near, Ok(Some(token())));
    near.hears(&refused(true));
    assert!(near.state().is_ready(), "the former token stays in force");
    near.pass(seconds(1));
    answers(&mut near, Ok(Some(token())));
    assert_eq!(near.writes().len(), 2);
    near.hears(&refused(false));
    near.pass(seconds(20));
    assert_eq!(near.asked_fresh, [0; 0], "no other would work");
    near.hears(&required());
    assert_eq!(near.asked_fresh.len(), 1, "but the server asks again");
}

#[test]
fn an_application_that_says_no_is_not_asked_again_on_this_connection() {
    let mut near = near();
    near.hears(&required());
    answers(&mut near, Err(TokenFailure { message: "signed out".to_owned(), fatal: true }));
    assert!(near.state().is_ready(), "the token in force still is");
    near.hears(&required());
    near.hears(&ServerFrame::Auth(TokenNews { expires_in_ms: Some(0), ..TokenNews::default() }));
    near.pass(seconds(20));
    assert_eq!(near.asked_fresh, [0; 0]);
    assert_eq!(near.writes(), []);
    near.hears_text(r#"{"type":"bye","code":4103}"#);
    near.retry();
    assert!(near.asked.is_some(), "the next attempt asks");
}

/// A token that no frame can hold fails the refresh, and not the connection.
#[test]
fn a_token_over_the_limit_is_not_written() {
    let mut near = near();
    near.hears(&required());
    answers(&mut near, Ok(Some(Auth { scheme: "bearer".to_owned(), token: "x".repeat(1000) })));
    assert_eq!(near.writes(), []);
    near.pass(seconds(1));
    answers(&mut near, Ok(None));
    assert_eq!(near.writes(), []);
    near.pass(seconds(1));
    assert_eq!(near.asked_fresh.len(), 1, "nothing is a failure, too");
}

/// Answers that nobody waits for, as they may cross on the way, harm nobody.
#[test]
fn answers_out_of_place_are_ignored() {
    let mut near = near();
    near.client.provide_fresh_token(near.now, 1, Ok(Some(token())));
    near.hears(&refused(true));
    near.hears(&refused(false));
    near.pass(seconds(20));
    assert_eq!((near.asked_fresh.len(), near.writes()), (0, vec![]));
    near.hears(&required());
    near.client.provide_fresh_token(near.now, 99, Ok(Some(token())));
    near.hears(&refused(false));
    answers(&mut near, Ok(Some(token())));
    assert_eq!(near.writes(), [ClientFrame::Auth(token())]);
}
