//! The client with an open socket: every stage against every frame of a server.

use crate::frames;
use crate::near::{Near, named, seconds};
use readywire_protocol::client::{ClientEvent, ClientState, SendOptions};
use readywire_protocol::frame::{ClientFrame, ServerFrame};
use readywire_protocol::stage::Stage;

pub(crate) const STAGES: [Stage; 6] = [
    Stage::Connecting,
    Stage::Accepted,
    Stage::Authenticated,
    Stage::ServicesReady,
    Stage::ProcessingReady,
    Stage::Degraded,
];

const ACCEPTED: &str = "4402 stage.accepted";
const ORDER: &str = "4402 stage.order";
const ONCE: &str = "4402 ready.once";
const GATE: &str = "4401 ready.gate";
const ABOVE: &str = "4400 ack.not_above_sent";
const OFFSET: &str = "4400 inbox.offset";
const LEVEL: &str = "4400 frame.level";
const NONE_IMPAIRED: &str = "4400 stage.degraded";
const DIRECTION: &str = "4400 frame.direction";

/// To answer a send is to have taken it.
const ANSWERED: &str = "2: acknowledged 2; part for 2";

/// A frame, and what comes of it at each of [`STAGES`]: what is told or written, or the code and the clause with which
/// the client ends the connection. Before `ready` nothing is in flight; after it, send 1 and send 2, which asks for an
/// answer.
pub(crate) type Row = (&'static str, [&'static str; 6]);

pub(crate) const FRAMES: &[Row] = &[
    (r#"{"type":"stage","stage":"ACCEPTED","connection":"c-1"}"#, ["-> accepted", "", ORDER, ORDER, ORDER, ORDER]),
    (r#"{"type":"stage","stage":"AUTHENTICATED"}"#, [ACCEPTED, "-> authenticated", "", ORDER, ORDER, ORDER]),
    (r#"{"type":"stage","stage":"SERVICES_READY"}"#, [ACCEPTED, ORDER, "-> services_ready", "", ORDER, ORDER]),
    (r#"{"type":"stage","stage":"PROCESSING_READY"}"#, [ACCEPTED, ORDER, ORDER, ORDER, ORDER, "-> processing_ready"]),
    (
        r#"{"type":"stage","stage":"DEGRADED","impaired":["search"]}"#,
        [ACCEPTED, ORDER, ORDER, ORDER, "-> degraded", ""],
    ),
    (
        r#"{"type":"stage","stage":"DEGRADED","impaired":["mail"]}"#,
        [ACCEPTED, ORDER, ORDER, ORDER, "-> degraded", "-> degraded"],
    ),
    (
        r#"{"type":"stage","stage":"DEGRADED","impaired":[]}"#,
        [ACCEPTED, ORDER, ORDER, ORDER, NONE_IMPAIRED, NONE_IMPAIRED],
    ),
    (r#"{"type":"stage","stage":"DEGRADED"}"#, [ACCEPTED, ORDER, ORDER, ORDER, NONE_IMPAIRED, NONE_IMPAIRED]),
    (r#"{"type":"stage","stage":"CONNECTING"}"#, [ACCEPTED, ORDER, ORDER, ORDER, ORDER, ORDER]),
    (r#"{"type":"stage","stage":"CLOSED"}"#, [ACCEPTED, ORDER, ORDER, ORDER, ORDER, ORDER]),
    (r#"{"type":"stage","stage":"READY"}"#, [ORDER; 6]),
    (
        r#"{"type":"ready","limits":{"max_message_bytes":9,"max_in_flight":9,"max_in_flight_bytes":9},"heartbeat":{"interval_ms":9,"timeout_ms":9}}"#,
        [ACCEPTED, ORDER, ORDER, "-> processing_ready", ONCE, ONCE],
    ),
    (
        r#"{"type":"ready","impaired":["mail"],"limits":{"max_message_bytes":9,"max_in_flight":9,"max_in_flight_bytes":9},"heartbeat":{"interval_ms":9,"timeout_ms":9}}"#,
        [ACCEPTED, ORDER, ORDER, "-> degraded", ONCE, ONCE],
    ),
    (
        r#"{"type":"ready","session":{"id":"s","token":"t","subject":"u"},"received":1,"limits":{"max_message_bytes":9,"max_in_flight":9,"max_in_flight_bytes":9},"heartbeat":{"interval_ms":9,"timeout_ms":9},"capabilities":["resume"]}"#,
        [ACCEPTED, ORDER, ORDER, "4400 session.received_range", ONCE, ONCE],
    ),
    (
        r#"{"type":"ready","limits":{"max_message_bytes":9,"max_in_flight":9,"max_in_flight_bytes":9},"heartbeat":{"interval_ms":9,"timeout_ms":9},"capabilities":["resume"]}"#,
        [ACCEPTED, ORDER, ORDER, "4400 frame.field", ONCE, ONCE],
    ),
    (
        r#"{"type":"ready","session":{"id":"s","token":"t","subject":"u","resumed":true},"limits":{"max_message_bytes":9,"max_in_flight":9,"max_in_flight_bytes":9},"heartbeat":{"interval_ms":9,"timeout_ms":9},"capabilities":["resume"]}"#,
        [ACCEPTED, ORDER, ORDER, "4400 session.resumed", ONCE, ONCE],
    ),
    (r#"{"type":"ack","id":0}"#, [ACCEPTED, GATE, GATE, GATE, "", ""]),
    (r#"{"type":"ack","id":1}"#, [ACCEPTED, GATE, GATE, GATE, "1: acknowledged 1", "1: acknowledged 1"]),
    (r#"{"type":"ack","id":3}"#, [ACCEPTED, GATE, GATE, GATE, ABOVE, ABOVE]),
    (r#"{"type":"nack","id":0,"code":"no"}"#, [ACCEPTED, GATE, GATE, GATE, "", ""]),
    (r#"{"type":"nack","id":2,"code":"no"}"#, [ACCEPTED, GATE, GATE, GATE, "2: refused no", "2: refused no"]),
    (r#"{"type":"nack","id":3,"code":"no"}"#, [ACCEPTED, GATE, GATE, GATE, ABOVE, ABOVE]),
    (r#"{"type":"message","offset":0}"#, [ACCEPTED, GATE, GATE, GATE, "", ""]),
    (r#"{"type":"message","offset":1}"#, [ACCEPTED, GATE, GATE, GATE, "message 1", "message 1"]),
    (r#"{"type":"message","offset":2}"#, [ACCEPTED, GATE, GATE, GATE, OFFSET, OFFSET]),
    (r#"{"type":"message","offset":1,"re":2}"#, [ACCEPTED, GATE, GATE, GATE, ANSWERED, ANSWERED]),
    (r#"{"type":"message","offset":1,"re":1}"#, [ACCEPTED, GATE, GATE, GATE, "", ""]),
    (r#"{"type":"message","offset":1,"re":0}"#, [ACCEPTED, GATE, GATE, GATE, "", ""]),
    (r#"{"type":"message","offset":1,"re":99,"end":true}"#, [ACCEPTED, GATE, GATE, GATE, "", ""]),
    (
        r#"{"type":"subscribed","topic":"t","offset":1,"head":1,"epoch":"e"}"#,
        [ACCEPTED, GATE, GATE, GATE, LEVEL, LEVEL],
    ),
    (r#"{"type":"unsubscribed","topic":"t"}"#, [ACCEPTED, GATE, GATE, GATE, LEVEL, LEVEL]),
    (r#"{"type":"publication","topic":"t","offset":1,"event":"e"}"#, [ACCEPTED, GATE, GATE, GATE, LEVEL, LEVEL]),
    (r#"{"type":"page","request":1,"epoch":"e"}"#, [ACCEPTED, GATE, GATE, GATE, LEVEL, LEVEL]),
    (r#"{"type":"read","re":1,"id":1}"#, [ACCEPTED, GATE, GATE, GATE, LEVEL, LEVEL]),
    (r#"{"type":"cancel","re":1}"#, [ACCEPTED, GATE, GATE, GATE, LEVEL, LEVEL]),
    (r#"{"type":"auth","expires_in_ms":1000}"#, [ACCEPTED, GATE, GATE, GATE, LEVEL, LEVEL]),
    (r#"{"type":"drain","deadline_ms":1000}"#, [ACCEPTED, GATE, GATE, GATE, "-> processing_ready", "-> degraded"]),
    (r#"{"type":"ping","nonce":"7"}"#, ["pong 7"; 6]),
    (r#"{"type":"pong","nonce":"7"}"#, [""; 6]),
    (r#"{"type":"bye","code":4202,"reason":"mail is gone"}"#, ["ends with 4202"; 6]),
    (r#"{"type":"hello"}"#, [DIRECTION; 6]),
    (r#"{"type":"send","id":1,"event":"e"}"#, [DIRECTION; 6]),
    (r#"{"type":"taken","offset":1}"#, [DIRECTION; 6]),
    (r#"{"type":"subscribe","topic":"t"}"#, [DIRECTION; 6]),
    (r#"{"type":"unsubscribe","topic":"t"}"#, [DIRECTION; 6]),
    (r#"{"type":"history","request":1,"topic":"t","limit":1}"#, [DIRECTION; 6]),
];

/// A client at this stage, as the table has it.
pub(crate) fn at(stage: Stage) -> Near {
    let mut near = Near::at(stage);
    if stage.is_ready() {
        near.send(1, SendOptions::default());
        near.send(2, SendOptions { answer: true, ..SendOptions::default() });
        assert_eq!(near.ids(), [1, 2]);
        near.forget();
    }
    near
}

/// What came of a frame, in the words of the table.
fn what_came(near: &mut Near) -> Vec<String> {
    let ended = near.closed.clone();
    let mut found = Vec::new();
    for frame in near.writes() {
        match frame {
            ClientFrame::Pong { nonce } => found.push(format!("pong {nonce}")),
            ClientFrame::Bye(bye) => found.push(format!("{} {}", bye.code, bye.clause.unwrap_or_default())),
            other => found.push(format!("writes {other:?}")),
        }
    }
    for event in near.tells() {
        match event {
            ClientEvent::Settled { handle, outcome } => found.push(format!("{handle}: {}", named(&outcome))),
            ClientEvent::Message { offset, .. } => found.push(format!("message {offset}")),
            ClientEvent::Answer(part) => found.push(format!("part for {}", part.handle)),
            ClientEvent::State(change) if ended.is_none() => found.push(format!("-> {}", change.state.name())),
            // Told with the end of the connection, and looked at elsewhere.
            ClientEvent::State(_) | ClientEvent::Session { .. } => {}
            other => found.push(format!("{other:?}")),
        }
    }
    if let Some((code, _)) = ended
        && found.is_empty()
    {
        found.push(format!("ends with {code}"));
    }
    found
}

#[test]
fn every_stage_meets_every_frame() {
    for (text, expected) in FRAMES {
        for (stage, expected) in STAGES.into_iter().zip(expected) {
            let mut near = at(stage);
            near.hears_text(text);
            let expected: Vec<_> = expected.split("; ").filter(|what| !what.is_empty()).collect();
            assert_eq!(what_came(&mut near), expected, "at {stage}: {text}");
        }
    }
}

#[test]
fn the_table_has_every_frame_that_there_is() {
    for name in readywire_protocol::frame::FRAME_NAMES {
        let mark = format!(r#""type":"{name}""#);
        assert!(FRAMES.iter().any(|(text, _)| text.contains(&mark)), "no `{name}`");
    }
}

/// What ends a connection is said before the close frame, and once: code, clause, reason, and when to come back.
#[test]
fn a_violation_is_named_before_the_close_frame() {
    for (text, expected) in FRAMES {
        for (stage, expected) in STAGES.into_iter().zip(expected) {
            let Some((code, clause)) =
                expected.split_once(' ').and_then(|(code, clause)| Some((code.parse::<u16>().ok()?, clause)))
            else {
                continue;
            };
            let mut near = at(stage);
            near.hears_text(text);
            let context = format!("at {stage}: {text}");
            crate::client_hostile::assert_violation(&near, code, clause, &context);
            // What the old socket still brings counts no more.
            let after = near.client.clone();
            near.client.handle_message(near.now, near.number, &frames::ready().encode());
            near.client.handle_binary(near.now, near.number, vec![0]);
            near.client.handle_closed(near.now, near.number, None);
            assert_eq!(near.client, after, "{context}");
        }
    }
}

/// Whoever reads the fields that this version knows reads the same, whatever else stands in a frame and wherever.
#[test]
fn unknown_fields_and_the_order_of_fields_change_nothing() {
    for (text, _) in FRAMES {
        for stage in STAGES {
            let mut plain = at(stage);
            plain.hears_text(text);
            let members = text.trim_matches(['{', '}']);
            let (kind, rest) = members.split_once(',').unwrap_or((members, r#""b":0"#));
            let extra = format!(r#"{{"a":{{"type":[1,{{}}]}},"type ":"ready",{rest},{kind},"z":null}}"#);
            // An object at the end of the frame lost its brace above.
            let extra =
                if text.ends_with("}}") { extra.replace(&format!(",{kind}"), &format!("}},{kind}")) } else { extra };
            assert!(ServerFrame::decode(&extra).is_ok() == ServerFrame::decode(text).is_ok(), "{extra}");
            let mut more = at(stage);
            more.hears_text(&extra);
            assert_eq!(more.client, plain.client, "at {stage}: {extra}");
            assert_eq!(more.written, plain.written, "at {stage}: {extra}");
            assert_eq!(more.events, plain.events, "at {stage}: {extra}");
        }
    }
}

/// Readiness belongs to one connection, and only the server's `ready` makes it.
#[test]
fn nothing_is_written_before_ready_and_everything_after() {
    let mut near = Near::connecting();
    near.send(1, SendOptions::default());
    for stage in [Stage::Accepted, Stage::Authenticated, Stage::ServicesReady] {
        near.hears(&frames::stage(stage));
        assert_eq!(near.ids(), [0; 0], "at {stage}");
    }
    near.hears(&frames::ready());
    assert_eq!(near.ids(), [1]);

    near.breaks_off();
    assert_eq!(near.state(), ClientState::Connecting);
    near.send(2, SendOptions::default());
    near.again();
    near.reach(Stage::ServicesReady);
    assert_eq!(near.ids(), [0; 0], "the old readiness is gone with its connection");
    near.hears(&frames::resumed(1));
    assert_eq!(near.ids(), [2]);
    assert_eq!(near.timer(), Some(seconds(15)));
}
