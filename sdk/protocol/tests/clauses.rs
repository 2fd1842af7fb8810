//! `PROTOCOL.md` and the code say the same: clauses, close codes, frames, timers and limits, both ways.

use readywire_protocol::clause::{Clause, Level};
use readywire_protocol::close::{self, Class};
use readywire_protocol::config::{ClientConfig, ServerConfig, Window};
use readywire_protocol::error::PeerMisbehaved;
use readywire_protocol::frame::{ClientFrame, FRAME_NAMES, ServerFrame};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const PROTOCOL: &str = include_str!("../PROTOCOL.md");

/// The text under a heading, up to the next one of its rank or a higher one.
fn section(heading: &str) -> &'static str {
    let start = PROTOCOL.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no `{heading}`")) + 1;
    let body = &PROTOCOL[start + heading.len()..];
    let rank = heading.find(' ').expect("a rank");
    let end = (2..=rank).filter_map(|rank| body.find(&format!("\n{} ", "#".repeat(rank)))).min();
    &body[..end.unwrap_or(body.len())]
}

/// The rows of the tables in a text, cell by cell, without the headings.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let lines = text.lines().filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'));
    let cells = lines.map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    cells
        .filter(|cells| cells[0].starts_with(['`', '*']) || cells[0].starts_with(|first: char| first.is_numeric()))
        .collect()
}

/// What stands in backticks, outside of fenced blocks.
fn quoted(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (index, prose) in text.split("\n```").enumerate() {
        if index % 2 == 0 {
            assert!(prose.matches('`').count() % 2 == 0, "an open quote: {prose}");
            found.extend(prose.split('`').skip(1).step_by(2));
        }
    }
    found
}

fn bare(quoted: &str) -> &str {
    quoted.trim_matches('`')
}

#[test]
fn every_clause_is_defined_exactly_once_and_no_other() {
    let mut defined = Vec::new();
    for line in PROTOCOL.lines() {
        let line = line.strip_prefix("- ").unwrap_or(line);
        let Some((id, rest)) = line.strip_prefix("**").and_then(|line| line.split_once("** (")) else { continue };
        let (binding, text) = rest.split_once(") ").unwrap_or_else(|| panic!("no text: {line}"));
        let (strength, side) = binding.split_once(", ").unwrap_or_else(|| panic!("no side: {line}"));
        assert!(!text.is_empty(), "{id} says nothing");
        defined.push((id, strength, side));
    }
    let ours: Vec<_> =
        Clause::ALL.iter().map(|clause| (clause.id(), clause.strength().name(), clause.side().name())).collect();
    let ids =
        |clauses: &[(&str, &str, &str)]| clauses.iter().map(|clause| clause.0.to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(ids(&defined), ids(&ours), "the same clauses");
    assert_eq!(defined, ours, "once each, in the same order, as binding, for the same side");
}

#[test]
fn every_clause_stands_under_its_level() {
    let appendix = section("## Clauses by level");
    for &level in Level::ALL {
        let paragraph =
            appendix.split("\n\n").find(|text| text.trim_start().starts_with(&format!("*{}*:", level.name())));
        let listed = quoted(paragraph.unwrap_or_else(|| panic!("nothing about {}", level.name())));
        let ours: Vec<_> =
            Clause::ALL.iter().filter(|clause| clause.level() == level).map(|clause| clause.id()).collect();
        assert_eq!(listed, ours, "{}", level.name());
    }
}

/// Every `word.word` in backticks is a clause or a field of a frame.
#[test]
fn everything_that_looks_like_a_clause_is_one_or_is_a_field() {
    let schemas: Vec<Value> =
        [readywire_protocol::schema::client_frames(), readywire_protocol::schema::server_frames()]
            .iter()
            .map(|text| serde_json::from_str(text).expect("a schema is JSON"))
            .collect();
    let mut clauses = 0;
    for name in quoted(PROTOCOL) {
        let word = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let parts: Vec<&str> = name.split('.').collect();
        if parts.len() < 2 || !parts.iter().all(|part| word(part)) {
            continue;
        }
        let clause = Clause::ALL.iter().any(|clause| clause.id() == name);
        clauses += usize::from(clause);
        assert!(
            clause || schemas.iter().any(|schema| is_field(schema, &parts)),
            "`{name}` is neither clause nor field"
        );
    }
    assert!(clauses > Clause::ALL.len(), "clauses are referred to: {clauses}");
}

/// Whether a path such as `ready.session`, or one that begins further in, such as `session.resumed`, exists.
fn is_field(schema: &Value, parts: &[&str]) -> bool {
    let frames = schema["oneOf"].as_array().expect("one schema for each frame");
    let frame = frames.iter().find(|frame| frame["properties"]["type"]["const"] == parts[0]);
    let inner = || {
        let places = frames.iter().chain(schema["$defs"].as_object().expect("definitions").values());
        places.filter_map(|place| place["properties"].get(parts[0])).collect::<Vec<_>>()
    };
    frame.into_iter().chain(inner()).any(|start| {
        let mut at = vec![start];
        for part in &parts[1..] {
            at = at
                .iter()
                .flat_map(|place| referred(schema, place))
                .filter_map(|place| place["properties"].get(*part))
                .collect();
        }
        !at.is_empty()
    })
}

/// A schema and those that it refers to.
fn referred<'a>(root: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    let alternatives = schema["anyOf"].as_array().into_iter().flatten();
    let items = schema.get("items");
    let mut found = vec![schema];
    for place in [schema].into_iter().chain(alternatives).chain(items) {
        if let Some(target) = place["$ref"].as_str() {
            found.extend(root.pointer(target.trim_start_matches('#')));
        }
    }
    found
}

#[test]
fn the_table_of_close_codes_is_that_of_the_code() {
    let table: Vec<(u16, &str)> = rows(section("### Close codes"))
        .into_iter()
        .map(|cells| {
            assert!(cells.len() == 3 && !cells[2].is_empty(), "code, name and when: {cells:?}");
            (cells[0].parse().expect("a code"), bare(cells[1]))
        })
        .collect();
    assert_eq!(table, close::CODES);
}

#[test]
fn the_ranges_have_the_classes_of_the_code() {
    let mut seen = BTreeSet::new();
    for cells in rows(section("## Closing")) {
        let Some(start) = cells[0].strip_suffix("xx").and_then(|range| range.parse::<u16>().ok()) else { continue };
        for code in [start * 100, start * 100 + 99] {
            assert_eq!(Class::of(code, true).name(), bare(cells[1]), "{code}");
        }
        seen.insert(start);
    }
    assert_eq!(seen, BTreeSet::from([40, 41, 42, 43, 44]));
}

#[test]
fn the_table_of_violations_has_the_code_of_every_clause() {
    let mut codes = BTreeMap::new();
    let mut other = None;
    for cells in rows(section("### Violations")) {
        let code: u16 = cells[0].parse().expect("a code");
        let clauses = quoted(cells[1]);
        if clauses.is_empty() {
            other = Some(code);
        }
        codes.extend(clauses.into_iter().map(|clause| (clause, code)));
    }
    let other = other.expect("the code of every other clause");
    for clause in Clause::ALL {
        let told = codes.remove(clause.id()).unwrap_or(other);
        assert_eq!(PeerMisbehaved::new(*clause, "").code(), told, "{clause}");
    }
    assert!(codes.is_empty(), "not clauses: {codes:?}");
}

#[test]
fn every_frame_has_a_section_and_every_section_is_a_frame() {
    let headings: Vec<&str> =
        section("## Frames").lines().filter_map(|line| line.strip_prefix("### ")).map(bare).collect();
    assert_eq!(headings, FRAME_NAMES);
}

#[test]
fn every_example_is_a_frame_of_its_section_and_direction() {
    for name in FRAME_NAMES {
        let text = section(&format!("### `{name}`"));
        let directions = match text.trim_start().split([' ', ',']).next() {
            Some("Client") => [true, false],
            Some("Server") => [false, true],
            Some("Both") => [true, true],
            other => panic!("{name}: no direction: {other:?}"),
        };
        let mut decoded = [false, false];
        for example in text.split("\n```json\n").skip(1) {
            let example = example.split("\n```").next().expect("the block ends");
            let kind = serde_json::from_str::<Value>(example).expect("JSON")["type"].clone();
            assert_eq!(kind, *name);
            let sides = [ClientFrame::decode(example).is_ok(), ServerFrame::decode(example).is_ok()];
            assert!(sides[0] || sides[1], "{name}: {example}");
            decoded = [decoded[0] || sides[0], decoded[1] || sides[1]];
        }
        assert_eq!(decoded, directions, "{name}: which sides its examples are of");
    }
}

/// The table's default for each name and side.
fn defaults(heading: &str) -> BTreeMap<(&'static str, &'static str), &'static str> {
    let rows = rows(section(heading));
    let count = rows.len();
    let table: BTreeMap<_, _> = rows.into_iter().map(|cells| ((cells[2], bare(cells[0])), cells[1])).collect();
    assert_eq!(table.len(), count, "each once");
    table
}

fn number_and_unit(text: &str) -> (u64, &str) {
    let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
    (number.parse().unwrap_or_else(|_| panic!("no number: {text}")), unit)
}

fn duration(text: &str) -> Duration {
    match number_and_unit(text) {
        (number, "ms") => Duration::from_millis(number),
        (number, "s") => Duration::from_secs(number),
        (number, "min") => Duration::from_secs(number * 60),
        _ => panic!("no duration: {text}"),
    }
}

fn size(text: &str) -> u64 {
    match number_and_unit(text) {
        (number, "" | "messages") => number,
        (number, "KiB") => number << 10,
        (number, "MiB") => number << 20,
        _ => panic!("no size: {text}"),
    }
}

/// Names each field once, so that a new one cannot be forgotten here and in the document.
#[test]
fn timers_and_limits_have_the_defaults_of_the_code() {
    let ClientConfig {
        agent: _,
        address: _,
        alternates: _,
        hello_in_upgrade: _,
        carried: _,
        connect_timeout,
        stage_timeout,
        stage_grace,
        ready_cap,
        queue,
        queue_age,
        window,
        progress_timeout,
        probe_timeout,
        taken_delay,
        refresh_ahead,
        refresh_timeout,
        refresh_pause,
        backoff_first,
        backoff_base,
        backoff_cap,
        stable_after,
        retry_after_cap,
    } = ClientConfig::default();
    let ServerConfig {
        hello_timeout,
        ready_timeout,
        ping_interval,
        ping_timeout,
        max_message_bytes,
        in_flight,
        ack_delay,
        refresh_demand,
        preauth_frames,
        preauth_bytes,
        session_ttl,
        sessions_per_subject,
        inbox,
        key_memory,
        release_wait,
        topics: _,
        subscriptions,
        has_streams: _,
        stream,
        streams,
        read_delay,
        has_questions: _,
    } = ServerConfig::default();

    let timers: BTreeMap<_, _> =
        defaults("## Timers").into_iter().map(|(name, default)| (name, duration(default))).collect();
    let expected = BTreeMap::from([
        (("client", "connect_timeout"), connect_timeout),
        (("client", "stage_timeout"), stage_timeout),
        (("client", "stage_grace"), stage_grace),
        (("client", "ready_cap"), ready_cap),
        (("client", "queue_age"), queue_age),
        (("client", "progress_timeout"), progress_timeout),
        (("client", "probe_timeout"), probe_timeout),
        (("client", "taken_delay"), taken_delay),
        (("client", "refresh_ahead"), refresh_ahead),
        (("client", "refresh_timeout"), refresh_timeout),
        (("client", "refresh_pause"), refresh_pause),
        (("client", "backoff_first"), backoff_first),
        (("client", "backoff_base"), backoff_base),
        (("client", "backoff_cap"), backoff_cap),
        (("client", "stable_after"), stable_after),
        (("client", "retry_after_cap"), retry_after_cap),
        (("server", "hello_timeout"), hello_timeout),
        (("server", "ready_timeout"), ready_timeout),
        (("server", "ping_interval"), ping_interval),
        (("server", "ping_timeout"), ping_timeout),
        (("server", "ack_delay"), ack_delay),
        (("server", "refresh_demand"), refresh_demand),
        (("server", "session_ttl"), session_ttl),
        (("server", "key_memory"), key_memory),
        (("server", "release_wait"), release_wait),
        (("server", "read_delay"), read_delay),
    ]);
    assert_eq!(timers, expected);

    let limits: BTreeMap<_, _> = defaults("## Limits")
        .into_iter()
        .map(|(name, default)| (name, default.split(", ").map(size).collect::<Vec<_>>()))
        .collect();
    let both = |window: Window| vec![window.messages, window.bytes];
    let expected = BTreeMap::from([
        (("client", "queue"), both(queue)),
        (("client", "window"), both(window)),
        (("server", "max_message_bytes"), vec![max_message_bytes]),
        (("server", "in_flight"), both(in_flight)),
        (("server", "preauth_frames"), vec![u64::from(preauth_frames)]),
        (("server", "preauth_bytes"), vec![preauth_bytes]),
        (("server", "inbox"), both(inbox)),
        (("server", "sessions_per_subject"), vec![sessions_per_subject as u64]),
        (("server", "subscriptions"), vec![subscriptions as u64]),
        (("server", "stream"), both(stream)),
        (("server", "streams"), vec![streams as u64]),
    ]);
    assert_eq!(limits, expected);
}
