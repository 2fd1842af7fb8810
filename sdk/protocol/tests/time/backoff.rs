//! How long a client waits before it tries again: jitter, bounds, and what makes it forget.

use crate::frames;
use crate::near::{Near, milliseconds, seconds};
use readywire_protocol::config::ClientConfig;
use readywire_protocol::stage::Stage;
use readywire_protocol::time::Duration;

const LUCK: std::ops::Range<u64> = 0..200;

/// The shortest and the longest wait over many seeds.
fn waits(run: impl Fn(&mut Near) -> Duration) -> (Duration, Duration) {
    let waits = LUCK.map(|seed| {
        let mut near = Near::seeded(ClientConfig::default(), seed);
        near.begin();
        near.give_token();
        run(&mut near)
    });
    let waits: Vec<_> = waits.collect();
    (*waits.iter().min().expect("waits"), *waits.iter().max().expect("waits"))
}

/// Every wait lies between nothing and `bound`, and all of that is used.
fn assert_spread((shortest, longest): (Duration, Duration), bound: Duration) {
    assert!(longest <= bound, "{longest:?} is over {bound:?}");
    assert!(longest > bound * 9 / 10 && shortest < bound / 10, "{shortest:?} to {longest:?} of {bound:?}");
}

/// The socket does not open; tells how long the client waits then.
fn fail(near: &mut Near) -> Duration {
    near.breaks_off();
    near.wait()
}

/// As often as that, each attempt up to `stage`.
fn fail_times(near: &mut Near, times: u32, stage: Option<Stage>) -> Duration {
    let mut wait = Duration::ZERO;
    for time in 0..times {
        if time > 0 {
            near.retry();
            near.give_token();
        }
        if let Some(stage) = stage {
            near.open();
            near.reach(stage);
        }
        wait = fail(near);
    }
    wait
}

#[test]
fn the_first_retry_comes_within_half_a_second() {
    assert_spread(waits(fail), milliseconds(500));
}

#[test]
fn the_bound_doubles_up_to_its_cap() {
    for (failures, bound) in [(2, 1), (3, 2), (4, 4), (5, 8), (6, 16), (7, 20), (8, 20), (40, 20)] {
        assert_spread(waits(|near| fail_times(near, failures, None)), seconds(bound));
    }
}

/// To double what is large already must not begin from nothing again.
#[test]
fn a_base_beyond_all_measure_is_capped_like_any_other() {
    let config = ClientConfig { backoff_base: milliseconds(1 << 60), ..ClientConfig::default() };
    let waits = LUCK.map(|seed| {
        let mut near = Near::seeded(config.clone(), seed);
        near.begin();
        near.give_token();
        fail_times(&mut near, 9, None)
    });
    let longest = waits.max().expect("waits");
    assert!(longest > seconds(18) && longest <= seconds(20), "{longest:?}");
}

#[test]
fn two_clients_do_not_retry_in_step() {
    let mut waits: Vec<_> = LUCK
        .map(|seed| {
            let mut near = Near::seeded(ClientConfig::default(), seed);
            near.begin();
            near.give_token();
            fail_times(&mut near, 8, None)
        })
        .collect();
    waits.sort();
    waits.dedup();
    assert!(waits.len() > 150, "{} different waits", waits.len());
}

#[test]
fn a_violation_is_a_failure_too() {
    let spread = waits(|near| {
        near.open();
        near.hears_text("no JSON");
        assert_eq!(near.wait(), seconds(20));
        near.retry();
        near.give_token();
        fail(near)
    });
    assert_spread(spread, seconds(1));
}

/// Neither an open socket nor a stage makes a client forget, and `ready` alone does not, either.
#[test]
fn nothing_short_of_a_stable_ready_resets_it() {
    for stage in [Stage::Connecting, Stage::Accepted, Stage::ServicesReady] {
        assert_spread(waits(|near| fail_times(near, 4, Some(stage))), seconds(4));
    }
    let run = |ready_for: Duration| {
        waits(|near| {
            fail_times(near, 3, None);
            near.again();
            near.reach(Stage::ProcessingReady);
            near.pass(ready_for);
            fail(near)
        })
    };
    assert_spread(run(milliseconds(4999)), seconds(4));
    assert_spread(run(seconds(5)), milliseconds(500));
}

/// Five seconds of `ready`, not five seconds since the socket opened.
#[test]
fn only_the_time_after_ready_counts() {
    let spread = waits(|near| {
        fail_times(near, 3, None);
        near.again();
        near.reach(Stage::ServicesReady);
        near.pass(seconds(9));
        near.hears(&frames::ready());
        near.pass(seconds(1));
        fail(near)
    });
    assert_spread(spread, seconds(4));
}

/// What the server asks for is waited for to the millisecond, and counts as no failure.
#[test]
fn the_servers_word_outranks_the_backoff() {
    let mut near = Near::ready();
    near.hears_text(r#"{"type":"bye","code":4229,"retry_after_ms":7777}"#);
    near.expires_in(milliseconds(7777));
    assert!(near.asked.is_some(), "the next attempt begins");
}

#[test]
fn a_wait_begins_when_the_connection_ends() {
    let mut near = Near::ready();
    near.pass(seconds(3));
    near.hears_text(r#"{"type":"bye","code":4400}"#);
    near.expires_in(seconds(20));
    assert!(near.asked.is_some(), "the next attempt begins");
}

#[test]
fn who_is_woken_does_not_wait() {
    let mut near = Near::ready();
    near.hears_text(r#"{"type":"bye","code":4400}"#);
    near.pass(seconds(1));
    near.client.wake(near.now);
    near.settle();
    assert!(near.asked.is_some());
    assert_eq!(near.timer(), Some(seconds(10)), "the wait is over, the token's begins");
}

/// The window of a `drain` spreads those who come back; it is no later than any other wait.
#[test]
fn a_drain_says_when_to_come_back() {
    let drained = |from: u64, to: u64, ending: &'static str| {
        waits(move |near| {
            near.open();
            near.reach(Stage::ProcessingReady);
            near.hears_text(&format!(r#"{{"type":"drain","deadline_ms":1,"reconnect_after_ms":[{from},{to}]}}"#));
            near.hears_text(ending);
            near.wait()
        })
    };
    const DRAINING: &str = r#"{"type":"bye","code":4301}"#;
    let (shortest, longest) = drained(1000, 3000, DRAINING);
    assert!(shortest >= seconds(1) && longest <= seconds(3), "{shortest:?} to {longest:?}");
    assert!(longest.saturating_sub(shortest) > milliseconds(1800), "{shortest:?} to {longest:?}");
    assert_eq!(drained(0, 0, DRAINING), (Duration::ZERO, Duration::ZERO));
    assert_eq!(drained(500, 100, DRAINING), (milliseconds(500), milliseconds(500)), "a window that ends early");
    let (_, longest) = drained(0, (1 << 53) - 1, DRAINING);
    assert!(longest <= seconds(300), "every wait is finite: {longest:?}");
    assert_spread(drained(1000, 3000, r#"{"type":"bye","code":4202}"#), milliseconds(500));
}
