//! The timers of a token: when the client asks for a fresh one, when the server requires it, and when it is over.

use crate::far::{Far, bound};
use crate::frames;
use crate::near::{Near, milliseconds, seconds, token};
use readywire_protocol::client::TokenFailure;
use readywire_protocol::config::{ClientConfig, ServerConfig};
use readywire_protocol::frame::{Auth, ClientFrame, Hello, ServerFrame, TokenNews};
use readywire_protocol::server::{Bound, ServerEvent};
use readywire_protocol::stage::Stage;
use readywire_protocol::time::Duration;

/// A ready client whose token ends in so many milliseconds, and whose server stays alive without a word.
fn near(expires_in_ms: Option<u64>) -> Near {
    let mut near = Near::at(Stage::ServicesReady);
    near.hears(&frames::with(|ready| {
        ready.capabilities.push("refresh".to_owned());
        ready.heartbeat.interval_ms = 1 << 50;
        ready.token_expires_in_ms = expires_in_ms;
    }));
    near.forget();
    near
}

fn news(expires_in_ms: u64) -> ServerFrame {
    ServerFrame::Auth(TokenNews { expires_in_ms: Some(expires_in_ms), ..TokenNews::default() })
}

fn gives(near: &mut Near) {
    let number = near.asked_fresh.pop().expect("a question");
    near.client.provide_fresh_token(near.now, number, Ok(Some(token())));
    near.settle();
    assert_eq!(near.writes(), [ClientFrame::Auth(token())]);
}

#[test]
fn a_fresh_token_is_asked_for_thirty_seconds_ahead_or_half_way() {
    for (life, asks_after) in [(3_600_000, 3_570_000), (60_000, 30_000), (20_000, 10_000), (2000, 1000), (1, 1), (0, 0)]
    {
        let mut near = near(Some(life));
        match asks_after {
            0 => near.pass(Duration::ZERO),
            after => near.expires_in(milliseconds(after)),
        }
        assert_eq!(near.asked_fresh, [1], "{life}");
    }
    assert_eq!(near(None).asked_fresh, [0; 0], "no end is known");
}

/// The far end of every number that a server can write.
#[test]
fn an_end_that_no_timer_reaches_is_far_off() {
    for life in [i32::MAX as u64 + 1, u64::from(u32::MAX) + 1, (1 << 53) - 1] {
        let near = near(Some(life));
        assert_eq!(near.asked_fresh, [0; 0], "{life}");
        assert!(near.timer().is_some_and(|timer| timer >= milliseconds(life / 2).min(seconds(1 << 33))), "{life}");
    }
}

#[test]
fn each_answer_counts_anew() {
    let mut near = near(Some(60_000));
    near.expires_in(seconds(30));
    gives(&mut near);
    near.hears(&news(10_000));
    near.expires_in(seconds(5));
    gives(&mut near);
    near.hears(&ServerFrame::Auth(TokenNews::default()));
    near.pass(seconds(3600));
    assert_eq!(near.asked_fresh, [0; 0], "the latest has no end");
    near.hears(&news(4000));
    near.expires_in(seconds(2));
    assert_eq!(near.asked_fresh.len(), 1, "and then one, as the server tells");
}

#[test]
fn short_lives_make_no_tight_loop() {
    let mut near = near(Some(0));
    near.pass(Duration::ZERO);
    gives(&mut near);
    near.hears(&news(0));
    assert_eq!(near.asked_fresh, [0; 0]);
    near.expires_in(seconds(1));
    gives(&mut near);
    near.hears(&news(0));
    near.hears(&ServerFrame::Auth(TokenNews { required: true, deadline_ms: Some(9), ..TokenNews::default() }));
    near.expires_in(seconds(1));
    gives(&mut near);
}

#[test]
fn an_application_has_ten_seconds_for_a_fresh_token() {
    let mut near = near(Some(60_000));
    near.expires_in(seconds(30));
    let late = near.asked_fresh.pop().expect("a question");
    near.expires_in(seconds(10));
    assert_eq!(near.asked_fresh, [0; 0], "it has failed, and backs off");
    near.client.provide_fresh_token(near.now, late, Ok(Some(token())));
    near.settle();
    assert_eq!(near.writes(), [], "too late");
    assert!(near.timer().is_some_and(|timer| timer <= milliseconds(500)));
    near.pass(milliseconds(500));
    gives(&mut near);
}

#[test]
fn failures_back_off_as_attempts_do() {
    let mut near = near(Some(60_000));
    near.pass(seconds(30));
    let mut longest = Duration::ZERO;
    for bound in [500, 1000, 2000, 4000, 8000, 16_000, 20_000, 20_000].map(milliseconds) {
        let number = near.asked_fresh.pop().expect("a question");
        near.client.provide_fresh_token(near.now, number, Err("offline".into()));
        near.settle();
        let wait = near.timer().expect("it begins anew");
        assert!(wait <= bound, "{wait:?} of {bound:?}");
        longest = longest.max(wait);
        near.pass(wait);
    }
    assert!(longest > seconds(2), "it does back off");
    // A demand counts from anew.
    let number = near.asked_fresh.pop().expect("a question");
    near.client.provide_fresh_token(near.now, number, Err("offline".into()));
    near.hears(&ServerFrame::Auth(TokenNews { required: true, deadline_ms: Some(9000), ..TokenNews::default() }));
    let number = near.asked_fresh.pop().expect("at once");
    near.client.provide_fresh_token(near.now, number, Err("offline".into()));
    near.settle();
    assert!(near.timer().is_some_and(|timer| timer <= milliseconds(500)));
}

#[test]
fn a_token_that_was_refused_is_followed_by_another_after_a_pause() {
    let mut near = near(Some(60_000));
    near.expires_in(seconds(30));
    gives(&mut near);
    let error = readywire_protocol::frame::AnswerError { code: "token_invalid".to_owned(), message: String::new() };
    near.hears(&ServerFrame::Auth(TokenNews { error: Some(error), retry: true, ..TokenNews::default() }));
    near.expires_in(seconds(1));
    assert_eq!(near.asked_fresh.len(), 1);
}

/// Who cannot give one is not asked again, not even when the server wants one.
#[test]
fn a_hopeless_application_is_left_alone() {
    let mut near = near(Some(60_000));
    near.pass(seconds(30));
    let number = near.asked_fresh.pop().expect("a question");
    let failure = TokenFailure { message: "signed out".to_owned(), fatal: true };
    near.client.provide_fresh_token(near.now, number, Err(failure));
    near.settle();
    near.hears(&ServerFrame::Auth(TokenNews { required: true, deadline_ms: Some(9000), ..TokenNews::default() }));
    for _ in 0..5 {
        near.pass(seconds(4));
    }
    assert_eq!(near.asked_fresh, [0; 0]);
    assert!(near.state().is_ready(), "its connection goes on until the server ends it");
}

#[test]
fn an_overdue_refresh_begins_on_waking_up() {
    let mut near = near(Some(60_000));
    near.now = near.now + seconds(3600);
    near.client.wake(near.now);
    near.settle();
    assert_eq!(near.asked_fresh.len(), 1);
}

#[test]
fn nothing_is_refreshed_where_nobody_agreed() {
    let mut near = Near::at(Stage::ServicesReady);
    near.hears(&frames::with(|ready| ready.token_expires_in_ms = Some(10_000)));
    near.pass(seconds(9));
    assert_eq!(near.asked_fresh, [0; 0]);
    near.hears_text(r#"{"type":"auth","required":true,"deadline_ms":9}"#);
    assert_eq!(near.bye().and_then(|bye| bye.clause.as_deref()), Some("frame.level"));
}

/// What a connection was about ends with it: the next asks for its own token.
#[test]
fn a_refresh_ends_with_its_connection() {
    let mut near = near(Some(60_000));
    near.pass(seconds(30));
    let number = near.asked_fresh.pop().expect("a question");
    near.breaks_off();
    near.again();
    near.client.provide_fresh_token(near.now, number, Ok(Some(token())));
    near.settle();
    near.reach(Stage::ProcessingReady);
    assert_eq!(near.writes(), []);
    assert_eq!(near.asked_fresh, [0; 0]);
}

#[test]
fn the_timers_can_be_chosen() {
    let config = ClientConfig { refresh_ahead: seconds(5), refresh_timeout: seconds(2), ..ClientConfig::default() };
    let mut near = Near::idle(config);
    near.connect();
    near.reach(Stage::ServicesReady);
    near.hears(&frames::with(|ready| {
        ready.capabilities.push("refresh".to_owned());
        ready.token_expires_in_ms = Some(20_000);
    }));
    near.expires_in(seconds(15));
    near.expires_in(seconds(2));
    assert_eq!(near.asked_fresh.len(), 1, "that question has failed");
    near.pass(milliseconds(500));
    assert_eq!(near.asked_fresh.len(), 2);
}

/// A server at `stage` whose client's token ends in so long.
fn far(stage: Stage, life: Duration, levels: &[&str]) -> Far {
    let capabilities = levels.iter().map(|level| (*level).to_owned()).collect();
    let quiet =
        ServerConfig { ping_interval: seconds(1 << 20), ready_timeout: seconds(1 << 20), ..ServerConfig::default() };
    let mut far = Far::with(quiet, stage, Hello { capabilities, ..Hello::default() });
    far.core.token_ends(far.now, Some(life));
    far
}

fn required(deadline_ms: u64) -> ServerFrame {
    ServerFrame::Auth(TokenNews { required: true, deadline_ms: Some(deadline_ms), ..TokenNews::default() })
}

#[test]
fn a_server_requires_a_fresh_token_in_time_and_ends_what_is_not_refreshed() {
    for (life, requires_after) in [(60_000, 45_000), (3_600_000, 3_585_000), (20_000, 15_000), (2000, 1500)] {
        let mut far = far(Stage::ProcessingReady, milliseconds(life), &["refresh"]);
        far.expires_in(milliseconds(requires_after));
        let left = life - requires_after;
        assert_eq!(far.writes(), [required(left)]);
        far.expires_in(milliseconds(left));
        let bye = far.bye().expect("a bye");
        assert_eq!((bye.code, bye.reason.as_str()), (4103, "a fresh token was required, and did not come in time"));
        assert_eq!(far.timer(), None);
    }
}

#[test]
fn without_refresh_a_token_ends_its_connection() {
    for (stage, levels) in [
        (Stage::Authenticated, &["refresh"][..]),
        (Stage::ServicesReady, &["refresh"]),
        (Stage::ProcessingReady, &["resume"]),
        (Stage::Degraded, &[]),
    ] {
        let mut far = far(stage, seconds(60), levels);
        far.expires_in(seconds(60));
        assert_eq!(far.bye().map(|bye| bye.code), Some(4102), "{stage} {levels:?}");
    }
}

/// A demand whose time came before `ready` is made right behind it.
#[test]
fn nothing_is_required_before_ready() {
    let mut far = far(Stage::ServicesReady, seconds(60), &["refresh"]);
    far.pass(seconds(50));
    assert_eq!(far.writes(), []);
    far.core.ready(Bound { session: None, ..bound() });
    far.forget();
    assert_eq!(far.timer(), Some(Duration::ZERO));
    far.pass(Duration::ZERO);
    assert_eq!(far.writes(), [required(10_000)]);
}

#[test]
fn a_fresh_token_counts_anew_and_one_that_is_refused_changes_nothing() {
    let mut far = far(Stage::ProcessingReady, seconds(60), &["refresh"]);
    far.pass(seconds(45));
    far.forget();
    far.hears(r#"{"type":"auth","token":"t-2"}"#);
    let [ServerEvent::FreshToken(Auth { token, scheme })] = &far.tells()[..] else { panic!("no token") };
    assert_eq!((token.as_str(), scheme.as_str()), ("t-2", "bearer"));
    let error = readywire_protocol::frame::AnswerError { code: "token_invalid".to_owned(), message: String::new() };
    far.core.token_refused(error.clone(), true);
    let refused = ServerFrame::Auth(TokenNews { error: Some(error), retry: true, ..TokenNews::default() });
    assert_eq!(far.writes(), [refused]);
    assert_eq!(far.timer(), Some(seconds(15)), "the former token stays in force");
    far.hears(r#"{"type":"auth","token":"t-3"}"#);
    far.core.token_accepted(far.now, Some(seconds(40)));
    assert_eq!(far.writes(), [news(40_000)]);
    far.expires_in(seconds(30));
    assert_eq!(far.writes(), [required(10_000)]);
    far.hears(r#"{"type":"auth","token":"t-4"}"#);
    far.core.token_accepted(far.now, None);
    assert_eq!(far.writes(), [ServerFrame::Auth(TokenNews::default())]);
    assert!(far.timer().is_some_and(|timer| timer > seconds(1 << 19)), "no end is known");
    far.core.token_accepted(far.now, Some(seconds(1)));
    assert_eq!(far.writes(), [], "there was nothing to answer");
}

#[test]
fn a_server_may_require_one_whenever_it_likes() {
    let mut far = far(Stage::Degraded, seconds(60), &["refresh"]);
    far.core.require_token(far.now, seconds(90));
    assert_eq!(far.writes(), [required(60_000)], "not beyond the end");
    far.core.require_token(far.now, seconds(5));
    assert_eq!(far.writes(), [required(5000)]);
    far.core.require_token(far.now, seconds(9));
    assert_eq!(far.writes(), [required(5000)], "the deadline is not put off");
    far.expires_in(seconds(5));
    assert_eq!(far.bye().map(|bye| bye.code), Some(4103));
}

#[test]
fn one_can_be_required_of_a_token_without_an_end() {
    let mut far = far(Stage::ProcessingReady, seconds(60), &["refresh"]);
    far.core.token_ends(far.now, None);
    far.pass(seconds(7));
    far.core.require_token(far.now, seconds(5));
    assert_eq!(far.writes(), [required(5000)]);
    far.expires_in(seconds(5));
    assert_eq!(far.bye().map(|bye| bye.code), Some(4103));
}

/// A process that slept through it all requires nothing for which there is no time.
#[test]
fn nothing_is_required_at_the_end() {
    let mut far = far(Stage::ProcessingReady, seconds(60), &["refresh"]);
    far.pass(seconds(60));
    assert!(matches!(&far.writes()[..], [ServerFrame::Bye(bye)] if bye.code == 4103));
}

#[test]
fn who_did_not_ask_is_not_answered() {
    let mut far = far(Stage::ProcessingReady, seconds(60), &["refresh"]);
    let error = readywire_protocol::frame::AnswerError { code: "token_invalid".to_owned(), message: String::new() };
    far.core.token_refused(error, true);
    far.core.token_accepted(far.now, Some(seconds(5)));
    assert_eq!(far.writes(), []);
    assert_eq!(far.timer(), Some(seconds(45)), "nothing has changed");
}
