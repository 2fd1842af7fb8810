//! A send that is refused for an impaired service waits for that service, and goes again as a new send.

use crate::frames;
use crate::near::{Near, milliseconds, seconds};
use crate::{outcome, outcomes};
use readywire_protocol::client::{ClientEvent, Outcome, SendOptions};
use readywire_protocol::config::{ClientConfig, Window};
use readywire_protocol::frame::{Refusal, ServerFrame};
use readywire_protocol::stage::Stage;
use readywire_protocol::time::Instant;

fn impaired(id: u64) -> ServerFrame {
    ServerFrame::Nack(frames::impaired(id))
}

fn degraded() -> Near {
    Near::at(Stage::Degraded)
}

#[test]
fn it_waits_for_its_service_and_gets_a_new_id() {
    let mut near = degraded();
    near.send(1, SendOptions::default());
    near.hears(&impaired(1));
    near.send(2, SendOptions::default());
    assert_eq!(near.ids(), [1, 2], "others pass it");
    near.hears_text(r#"{"type":"stage","stage":"DEGRADED","impaired":["search","mail"]}"#);
    assert_eq!(near.ids(), [0; 0], "its service is still impaired");
    near.hears_text(r#"{"type":"stage","stage":"DEGRADED","impaired":["mail"]}"#);
    assert_eq!(near.ids(), [3], "another that is impaired does not matter");
    near.hears(&frames::ack(3));
    assert_eq!(outcomes(&mut near), [outcome(2, "acknowledged 2"), outcome(1, "acknowledged 3")]);
}

#[test]
fn the_application_sees_for_what_it_waits() {
    let mut near = degraded();
    near.send(1, SendOptions::default());
    near.hears(&impaired(1));
    let held = ClientEvent::Held { handle: 1, service: "search".to_owned() };
    assert_eq!(steps(&mut near), [ClientEvent::InFlight { handle: 1, id: 1 }, held]);
    near.hears(&frames::stage(Stage::ProcessingReady));
    near.hears(&frames::ack(2));
    let taken = ClientEvent::Settled { handle: 1, outcome: Outcome::Acknowledged { id: 2 } };
    assert_eq!(steps(&mut near), [ClientEvent::InFlight { handle: 1, id: 2 }, taken]);
}

#[test]
fn a_refusal_that_ends_the_wait_names_the_service() {
    let mut near = degraded();
    near.send(1, SendOptions { fail_fast: true, ..SendOptions::default() });
    near.hears(&impaired(1));
    let [ClientEvent::InFlight { .. }, ClientEvent::Settled { outcome: Outcome::Refused(rejection), .. }] =
        &steps(&mut near)[..]
    else {
        panic!("it does not wait");
    };
    assert_eq!(rejection.service.as_deref(), Some("search"));
}

/// What the application is told of its sends.
fn steps(near: &mut Near) -> Vec<ClientEvent> {
    let steps = near.tells().into_iter();
    steps.filter(|event| !matches!(event, ClientEvent::State(_) | ClientEvent::Session { .. })).collect()
}

#[test]
fn it_goes_at_once_if_the_service_works_already() {
    let mut near = Near::ready();
    near.send(1, SendOptions::default());
    near.hears(&impaired(1));
    assert_eq!(near.ids(), [1, 2]);
}

#[test]
fn several_keep_their_order_and_go_before_what_was_never_written() {
    let mut near = degraded();
    for handle in 1..=7 {
        near.send_text(handle, &handle.to_string(), SendOptions::default());
    }
    assert_eq!(near.ids(), [1, 2, 3, 4]);
    near.hears(&impaired(1));
    near.hears(&impaired(3));
    assert_eq!(near.ids(), [5, 6], "the others use the places");
    near.send_text(8, "8", SendOptions::default());
    near.hears(&frames::stage(Stage::ProcessingReady));
    near.hears(&frames::ack(6));
    let payloads: Vec<_> = near.sends().iter().map(|send| send.payload.text().unwrap().to_owned()).collect();
    assert_eq!(payloads, ["1", "3", "7", "8"]);
}

#[test]
fn three_times_are_enough() {
    let mut near = Near::ready();
    near.send(1, SendOptions::default());
    for id in 1..=3 {
        near.hears(&impaired(id));
        assert_eq!(outcomes(&mut near), [], "offered anew, time {id}");
    }
    assert_eq!(near.ids(), [1, 2, 3, 4]);
    near.hears(&impaired(4));
    assert_eq!(outcomes(&mut near), [outcome(1, "refused service_impaired")]);
    assert_eq!(near.ids(), [0; 0]);
}

#[test]
fn only_a_retryable_refusal_with_a_service_is_waited_out() {
    let refusals = [
        Refusal { retry: false, ..frames::impaired(1) },
        Refusal { service: None, ..frames::impaired(1) },
        frames::refusal(1, "service_impaired"),
    ];
    for refusal in refusals {
        let mut near = degraded();
        near.send(1, SendOptions::default());
        near.hears(&ServerFrame::Nack(refusal.clone()));
        assert_eq!(outcomes(&mut near), [outcome(1, "refused service_impaired")], "{refusal:?}");
    }
    let mut near = degraded();
    near.send(1, SendOptions { fail_fast: true, ..SendOptions::default() });
    near.hears(&impaired(1));
    assert_eq!(outcomes(&mut near), [outcome(1, "refused service_impaired")], "who cannot wait is told");
}

/// Refused for a service, with the wish to hear of it no earlier than that.
fn later(id: u64, milliseconds: u64) -> ServerFrame {
    ServerFrame::Nack(Refusal { retry_after_ms: Some(milliseconds), ..frames::impaired(id) })
}

#[test]
fn it_does_not_come_before_the_time_that_the_server_asked_for() {
    let mut near = Near::ready();
    near.send(1, SendOptions::default());
    near.hears(&later(1, 700));
    near.send(2, SendOptions::default());
    assert_eq!(near.ids(), [1, 2], "others pass it");
    near.hears(&frames::ack(2));
    near.expires_in(milliseconds(700));
    assert_eq!(near.ids(), [3]);
    near.hears(&frames::ack(3));
    assert_eq!(outcomes(&mut near), [outcome(2, "acknowledged 2"), outcome(1, "acknowledged 3")]);
}

#[test]
fn that_time_does_not_stand_for_its_service() {
    let mut near = degraded();
    near.send(1, SendOptions::default());
    near.hears(&later(1, 700));
    near.expires_in(milliseconds(700));
    assert_eq!(near.ids(), [1], "its service is still impaired");
    assert!(near.timer() > Some(seconds(10)), "and no timer runs for it: {:?}", near.timer());
    near.hears(&frames::stage(Stage::ProcessingReady));
    assert_eq!(near.ids(), [2]);
}

#[test]
fn its_service_does_not_stand_for_that_time() {
    let mut near = degraded();
    near.send(1, SendOptions::default());
    near.hears(&later(1, 700));
    near.hears(&frames::stage(Stage::ProcessingReady));
    assert_eq!(near.ids(), [1]);
    near.breaks_off();
    near.again();
    near.reach(Stage::ServicesReady);
    let left = milliseconds(700) - near.now.saturating_since(Instant::default());
    near.hears(&frames::resumed(1));
    assert_eq!(near.ids(), [0; 0], "the time goes on over a reconnect");
    near.expires_in(left);
    assert_eq!(near.ids(), [2]);
}

#[test]
fn a_time_beyond_its_own_is_never_waited_for() {
    let mut near = Near::ready();
    near.send(1, SendOptions::default());
    near.hears(&later(1, (1 << 53) - 1));
    for _ in 0..3 {
        near.pass(milliseconds(9_999));
        near.hears_text(r#"{"type":"pong","nonce":"alive"}"#);
    }
    near.expires_in(milliseconds(3));
    assert_eq!(outcomes(&mut near), [outcome(1, "refused service_impaired")]);
    assert_eq!(near.ids(), [1]);
}

#[test]
fn a_time_that_is_over_while_nobody_is_there_keeps_no_timer() {
    let mut near = Near::ready();
    near.send(1, SendOptions::default());
    near.hears(&later(1, 1));
    near.breaks_off();
    near.pass(milliseconds(1));
    assert!(near.timer() > Some(milliseconds(0)), "a timer that is over would be called for ever");
}

#[test]
fn it_can_be_withdrawn_while_it_waits() {
    for cancel in [false, true] {
        let mut near = degraded();
        near.send(1, crate::answered());
        near.hears(&impaired(1));
        near.forget();
        match cancel {
            true => near.client.cancel(near.now, 1),
            false => near.client.abandon(near.now, 1),
        }
        near.settle();
        assert_eq!(outcomes(&mut near), [outcome(1, "refused withdrawn")], "it was refused, so it is on nobody's wire");
        near.hears(&frames::stage(Stage::ProcessingReady));
        assert_eq!(near.writes(), []);
    }
}

/// It waits across connections, and `ready` tells whether its service works.
#[test]
fn it_waits_across_connections() {
    for works in [true, false] {
        let mut near = degraded();
        near.send(1, SendOptions::default());
        near.hears(&impaired(1));
        near.over_a_cut(&frames::with(|ready| {
            ready.session = Some(frames::grant(true));
            ready.received = 1;
            ready.impaired = if works { Vec::new() } else { vec!["search".to_owned()] };
        }));
        assert_eq!(near.ids(), if works { vec![2] } else { vec![] });
        near.hears_text(r#"{"type":"stage","stage":"DEGRADED","impaired":["mail"]}"#);
        assert_eq!(near.ids(), if works { vec![] } else { vec![2] });
    }
}

/// Refused, offered anew, refused, and so on is not "written on three connections".
#[test]
fn a_refusal_is_a_decision() {
    let mut near = degraded();
    near.send(1, SendOptions::default());
    for id in 1..=3 {
        assert_eq!(near.ids(), [id]);
        near.over_a_cut(&frames::with(|ready| {
            ready.session = Some(frames::grant(true));
            ready.received = id;
            ready.refused = vec![frames::impaired(id)];
        }));
        assert_eq!(outcomes(&mut near), []);
    }
    assert_eq!(near.ids(), [4]);
    near.breaks_off();
    near.resume(3);
    near.hears(&frames::ack(4));
    assert_eq!(outcomes(&mut near), [outcome(1, "acknowledged 4")]);
}

/// What is refused last comes last: those that wait stay (clause `queue.bounds`).
#[test]
fn what_finds_the_queue_full_has_its_refusal() {
    let queue = Window { messages: 1, bytes: 1000 };
    let mut near = Near::idle(ClientConfig { queue, ..ClientConfig::default() });
    near.connect();
    near.reach(Stage::ServicesReady);
    near.hears(&frames::ready_degraded());
    near.send(1, SendOptions::default());
    near.send(2, SendOptions::default());
    near.hears(&impaired(1));
    near.hears(&impaired(2));
    assert_eq!(outcomes(&mut near), [outcome(2, "refused service_impaired")]);
    near.forget();
    near.hears(&frames::stage(Stage::ProcessingReady));
    assert_eq!(near.ids(), [3]);
}
