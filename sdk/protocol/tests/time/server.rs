//! The timers of the server's end: hello, `ready`, heartbeat, ack.

use crate::far::{Far, bound};
use crate::frames;
use crate::near::{milliseconds, seconds};
use readywire_protocol::clause::Clause;
use readywire_protocol::config::ServerConfig;
use readywire_protocol::frame::ServerFrame;
use readywire_protocol::server::Decision;
use readywire_protocol::stage::Stage;

fn assert_ended(far: &Far, code: u16, clause: Option<Clause>, reason: &str) {
    let bye = far.bye().expect("a bye");
    assert_eq!((bye.code, bye.clause.as_deref()), (u64::from(code), clause.map(Clause::id)));
    assert_eq!(bye.reason, reason);
    assert_eq!(far.closed, Some((code, reason.to_owned())));
    let ending = far.ending().expect("an end");
    assert_eq!((ending.code, ending.clause), (code, clause));
    assert_eq!(far.timer(), None, "after the end no timer runs");
}

fn ping(number: u64) -> ServerFrame {
    ServerFrame::Ping { nonce: number.to_string() }
}

#[test]
fn a_hello_has_three_seconds() {
    let mut far = Far::waiting();
    far.expires_in(seconds(3));
    assert_ended(&far, 4208, Some(Clause::HelloTimeout), "no hello came in time");
}

#[test]
fn other_frames_are_no_hello() {
    let mut far = Far::waiting();
    far.pass(seconds(2));
    far.hears(r#"{"type":"ping","nonce":"7"}"#);
    assert_eq!(far.timer(), Some(seconds(1)));
    far.hears(r#"{"type":"hello"}"#);
    assert_eq!(far.timer(), Some(seconds(18)), "the hello came: the next is the first ping");
}

#[test]
fn ready_has_thirty_seconds_over_all() {
    for stage in [Stage::Accepted, Stage::Authenticated, Stage::ServicesReady] {
        let mut far = Far::at(stage);
        far.pass(seconds(20));
        assert_eq!(far.writes(), [ping(1)]);
        far.hears(r#"{"type":"pong","nonce":"1"}"#);
        far.expires_in(seconds(10));
        assert_ended(&far, 4201, None, &format!("not ready in time: at {stage}, pending: "));
    }
}

#[test]
fn what_is_left_is_told_with_what_is_pending() {
    let mut far = Far::at(Stage::Authenticated);
    let pending = |far: &mut Far, names: &[&str]| {
        far.core.pending(far.now, names.iter().map(|name| (*name).to_owned()).collect());
        far.writes()
    };
    far.pass(seconds(4));
    assert_eq!(pending(&mut far, &["a", "b"]), [frames::pending(Stage::Authenticated, &["a", "b"], Some(26_000))]);
    far.pass(milliseconds(1500));
    assert_eq!(pending(&mut far, &["a", "b"]), [], "no news");
    assert_eq!(pending(&mut far, &["b"]), [frames::pending(Stage::Authenticated, &["b"], Some(24_500))]);
    assert_eq!(far.core.budget(far.now), milliseconds(24_500));
    far.pass(milliseconds(24_499));
    far.hears(r#"{"type":"pong","nonce":"1"}"#);
    far.expires_in(milliseconds(1));
    assert_ended(&far, 4201, None, "not ready in time: at AUTHENTICATED, pending: b");
}

#[test]
fn ready_stops_its_deadline() {
    let mut far = Far::at(Stage::ServicesReady);
    far.pass(seconds(15));
    far.core.ready(bound());
    far.settle();
    assert_eq!(far.timer(), Some(seconds(5)), "only the heartbeat is left");
    assert_eq!(far.core.budget(far.now), seconds(0));
}

#[test]
fn a_ping_goes_out_every_twenty_seconds_from_the_start() {
    for stage in [Stage::Authenticated, Stage::ProcessingReady] {
        let mut far = Far::at(stage);
        for number in 1..=if stage.is_ready() { 4 } else { 1 } {
            far.expires_in(seconds(20));
            assert_eq!(far.writes(), [ping(number)], "at {stage}");
            far.hears(&format!(r#"{{"type":"pong","nonce":"{number}"}}"#));
        }
    }
}

#[test]
fn silence_after_a_ping_is_the_end() {
    let mut far = Far::ready();
    far.pass(seconds(20));
    far.forget();
    far.expires_in(seconds(10));
    assert_ended(&far, 4203, None, "the client fell silent");
}

#[test]
fn any_frame_is_life() {
    for text in [r#"{"type":"pong","nonce":"1"}"#, r#"{"type":"ping","nonce":"1"}"#, r#"{"type":"taken","offset":0}"#] {
        let mut far = Far::ready();
        far.pass(seconds(20));
        far.pass(seconds(9));
        far.hears(text);
        assert_eq!(far.timer(), Some(seconds(11)), "the next ping keeps its time: {text}");
    }
}

#[test]
fn silence_without_a_ping_is_nothing() {
    let mut far = Far::ready();
    far.pass(seconds(19));
    far.hears(r#"{"type":"pong","nonce":"0"}"#);
    far.expires_in(seconds(1));
    assert_eq!(far.writes(), [ping(1)], "what came before the ping does not answer it");
    assert_eq!(far.timer(), Some(seconds(10)));
}

#[test]
fn one_ping_is_outstanding_at_a_time() {
    let config = ServerConfig { ping_interval: seconds(1), ping_timeout: seconds(10), ..ServerConfig::default() };
    let mut far = Far::with(config, Stage::ProcessingReady, frames::hello());
    for _ in 0..10 {
        far.pass(seconds(1));
    }
    assert_eq!(far.writes(), [ping(1)]);
    far.expires_in(seconds(1));
    assert_ended(&far, 4203, None, "the client fell silent");
}

#[test]
fn an_ack_waits_for_company_for_twenty_milliseconds() {
    let mut far = Far::ready();
    for id in 1..=3 {
        far.hears(&format!(r#"{{"type":"send","id":{id},"event":"e"}}"#));
    }
    assert_eq!(far.timer(), Some(seconds(20)), "what is not decided is not acknowledged");
    far.core.decide(far.now, 1, Decision::Taken);
    far.pass(milliseconds(15));
    far.core.decide(far.now, 2, Decision::Taken);
    far.expires_in(milliseconds(5));
    assert_eq!(far.writes(), [frames::ack(2)]);
    far.core.decide(far.now, 3, Decision::Taken);
    far.expires_in(milliseconds(20));
    assert_eq!(far.writes(), [frames::ack(3)]);
}

#[test]
fn an_ack_that_went_out_needs_no_timer() {
    let config = ServerConfig {
        in_flight: readywire_protocol::config::Window { messages: 4, bytes: 1000 },
        ..ServerConfig::default()
    };
    let mut far = Far::with(config, Stage::ProcessingReady, frames::hello());
    for id in 1..=2 {
        far.hears(&format!(r#"{{"type":"send","id":{id},"event":"e"}}"#));
        far.core.decide(far.now, id, Decision::Taken);
    }
    assert_eq!(far.writes(), [frames::ack(2)]);
    assert_eq!(far.timer(), Some(seconds(20)));
}

/// A process that slept for long looks at everything at once, and ends once.
#[test]
fn a_late_call_does_what_was_due() {
    let mut far = Far::waiting();
    far.pass(seconds(3600));
    assert_ended(&far, 4208, Some(Clause::HelloTimeout), "no hello came in time");
    let mut far = Far::ready();
    far.pass(seconds(3600));
    assert_eq!(far.writes(), [ping(1)], "nobody was asked yet, so nobody is dead");
}

#[test]
fn after_every_end_no_timer_runs() {
    for stage in [Stage::Accepted, Stage::Authenticated, Stage::ServicesReady, Stage::ProcessingReady, Stage::Degraded]
    {
        let ends: [fn(&mut Far); 5] = [
            |far| far.core.refuse(4202, "mail is gone", None),
            |far| far.core.handle_closed(None),
            |far| far.core.handle_binary(far.now, vec![0]),
            |far| far.hears("no JSON"),
            |far| far.hears(r#"{"type":"bye","code":1000}"#),
        ];
        for (index, end) in ends.into_iter().enumerate() {
            let mut far = Far::at(stage);
            if stage.is_ready() {
                far.hears(r#"{"type":"send","id":1,"event":"e"}"#);
                far.core.decide(far.now, 1, Decision::Taken);
            }
            end(&mut far);
            assert_eq!(far.core.poll_timeout(), None, "at {stage}, end {index}");
        }
    }
}
