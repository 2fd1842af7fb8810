//! The checked-in JSON Schema is current, and says just what the decoders accept.

use readywire_protocol::frame::{ClientFrame, ServerFrame};
use readywire_protocol::schema;
use serde_json::{Map, Value, json};
use std::path::Path;

/// What checks a schema file, and what it is held to.
struct Side {
    file: &'static str,
    generate: fn() -> String,
    decodes: fn(&str) -> bool,
}

const SIDES: [Side; 2] = [
    Side {
        file: "client-frames.schema.json",
        generate: schema::client_frames,
        decodes: |text| ClientFrame::decode(text).is_ok(),
    },
    Side {
        file: "server-frames.schema.json",
        generate: schema::server_frames,
        decodes: |text| ServerFrame::decode(text).is_ok(),
    },
];

#[test]
fn the_checked_in_schemas_are_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema");
    let renew = std::env::var_os("READYWIRE_RENEW_SCHEMA").is_some();
    for side in SIDES {
        let path = folder.join(side.file);
        let current = (side.generate)();
        if renew {
            std::fs::create_dir_all(&folder).expect("the folder can be made");
            std::fs::write(&path, &current).expect("the schema can be written");
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == current,
            "schema/{} is not what the frame types say; renew it with\n\
             READYWIRE_RENEW_SCHEMA=1 cargo test -p readywire-protocol --test schema",
            side.file
        );
    }
}

/// Every frame with everything in it, so that each member can be spoilt in turn.
fn full_frames() -> Vec<Value> {
    let refusal = json!({ "id": 1, "code": "c", "message": "m", "retry": true, "retry_after_ms": 5, "service": "s" });
    let with_type = |name: &str, mut frame: Value| {
        frame["type"] = name.into();
        frame
    };
    vec![
        json!({ "type": "hello", "client": { "name": "n", "version": "v" }, "auth": { "scheme": "bearer", "token": "t" },
            "capabilities": ["resume"], "window": { "messages": 1, "bytes": 2 },
            "resume": { "session": "s", "token": "t", "attempt": 1, "settled": 2, "inbox": 3 } }),
        json!({ "type": "stage", "stage": "ACCEPTED", "connection": "c", "pending": ["p"], "impaired": ["i"],
            "reason": "r", "deadline_ms": 1 }),
        json!({ "type": "ready", "session": { "id": "i", "token": "t", "ttl_ms": 1, "resumed": false,
                "lost_because": "not_found", "subject": "s", "durability": "process" },
            "received": 1, "refused": [refusal], "impaired": ["i"],
            "limits": { "max_message_bytes": 1, "max_in_flight": 2, "max_in_flight_bytes": 3,
                "stream_messages": 4, "stream_bytes": 5 },
            "heartbeat": { "interval_ms": 1, "timeout_ms": 2 }, "auth": { "expires_in_ms": 1 },
            "capabilities": ["resume"] }),
        json!({ "type": "send", "id": 1, "event": "e", "payload": {}, "answer": true, "key": "k", "topic": "t",
            "stream": true, "of": 1, "end": true, "re": 2, "error": { "code": "c", "message": "m" } }),
        json!({ "type": "ack", "id": 1 }),
        with_type("nack", refusal),
        json!({ "type": "message", "offset": 1, "event": "e", "payload": {}, "re": 1, "end": true,
            "error": { "code": "c", "message": "m" }, "asks": true }),
        json!({ "type": "taken", "offset": 1, "topic": "t" }),
        json!({ "type": "cancel", "re": 1 }),
        json!({ "type": "subscribe", "topic": "t", "offset": 1, "epoch": "e", "last": 2 }),
        json!({ "type": "unsubscribe", "topic": "t" }),
        json!({ "type": "subscribed", "topic": "t", "offset": 1, "head": 2, "epoch": "e", "recovered": true }),
        json!({ "type": "unsubscribed", "topic": "t", "code": "c", "retry": true }),
        json!({ "type": "publication", "topic": "t", "offset": 1, "request": 2, "event": "e", "payload": {} }),
        json!({ "type": "history", "request": 1, "topic": "t", "limit": 2, "before": 3, "epoch": "e" }),
        json!({ "type": "page", "request": 1, "epoch": "e", "head": 2, "more": true, "code": "c", "retry": true }),
        json!({ "type": "read", "re": 1, "id": 2 }),
        json!({ "type": "auth", "scheme": "bearer", "token": "t" }),
        json!({ "type": "auth", "expires_in_ms": 1, "required": true, "deadline_ms": 2,
            "error": { "code": "c", "message": "m" }, "retry": true }),
        json!({ "type": "drain", "deadline_ms": 1, "reconnect_after_ms": [1, 2], "alternate": "wss://a" }),
        json!({ "type": "ping", "nonce": "n" }),
        json!({ "type": "pong", "nonce": "n" }),
        json!({ "type": "bye", "code": 1000, "reason": "r", "class": "stop", "retry_after_ms": 1, "clause": "c" }),
    ]
}

#[test]
fn the_schemas_accept_what_the_decoders_accept_and_nothing_else() {
    let replacements = [
        json!(null),
        json!("x"),
        json!(7),
        json!(-1),
        json!(1.5),
        json!(1u64 << 53),
        json!(true),
        json!([]),
        json!({}),
    ];
    let mut verdicts = [0, 0];
    for side in SIDES {
        let schema: Value = serde_json::from_str(&(side.generate)()).expect("a schema is JSON");
        for frame in full_frames() {
            let mut spoilt = vec![frame.clone()];
            for path in paths(&frame, String::new()) {
                spoilt.push(without(&frame, &path));
                for replacement in &replacements {
                    let mut frame = frame.clone();
                    *frame.pointer_mut(&path).expect("a path of this frame") = replacement.clone();
                    spoilt.push(frame);
                }
            }
            for frame in spoilt {
                let text = frame.to_string();
                let decodes = (side.decodes)(&text);
                assert_eq!(decodes, accepts(&schema, &schema, &frame), "{} on {text}", side.file);
                verdicts[usize::from(decodes)] += 1;
            }
        }
    }
    assert!(verdicts.iter().all(|count| *count > 300), "both verdicts were seen: {verdicts:?}");
}

#[test]
fn the_schemas_name_every_stage_that_may_stand_in_a_frame() {
    let schema: Value = serde_json::from_str(&schema::server_frames()).expect("a schema is JSON");
    for stage in readywire_protocol::stage::Stage::ALL {
        let frame = json!({ "type": "stage", "stage": stage.name() });
        let on_the_wire = !matches!(stage.name(), "CONNECTING" | "CLOSED");
        assert_eq!(accepts(&schema, &schema, &frame), on_the_wire, "{stage}");
    }
}

/// The JSON pointers of all members and elements, but for what a payload holds.
fn paths(value: &Value, prefix: String) -> Vec<String> {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(elements) => elements.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    let mut found = Vec::new();
    for (name, value) in inner {
        let path = format!("{prefix}/{name}");
        if name != "payload" {
            found.extend(paths(value, path.clone()));
        }
        found.push(path);
    }
    found
}

fn without(frame: &Value, path: &str) -> Value {
    let mut frame = frame.clone();
    let (parent, name) = path.rsplit_once('/').expect("a path has a name");
    match frame.pointer_mut(parent).expect("a path of this frame") {
        Value::Object(members) => drop(members.remove(name)),
        Value::Array(elements) => drop(elements.remove(name.parse().expect("an index"))),
        _ => unreachable!("only objects and arrays have members"),
    }
    frame
}

/// As much of JSON Schema as our schemas use; a keyword that is not known here fails the test.
fn accepts(root: &Value, schema: &Value, value: &Value) -> bool {
    let Value::Object(keywords) = schema else { return schema == &Value::Bool(true) };
    keywords.iter().all(|(keyword, rule)| match keyword.as_str() {
        "$schema" | "$defs" | "title" | "description" | "default" => true,
        "$ref" => {
            let pointer = rule.as_str().and_then(|target| target.strip_prefix('#')).expect("a local reference");
            accepts(root, root.pointer(pointer).expect("the reference leads somewhere"), value)
        }
        "oneOf" => schemas(rule).filter(|schema| accepts(root, schema, value)).count() == 1,
        "anyOf" => schemas(rule).any(|schema| accepts(root, schema, value)),
        "type" => match rule {
            Value::Array(kinds) => kinds.iter().any(|kind| is(kind, value)),
            kind => is(kind, value),
        },
        "const" => rule == value,
        "enum" => schemas(rule).any(|allowed| allowed == value),
        "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().expect("a number")),
        "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().expect("a number")),
        "items" => value.as_array().is_none_or(|elements| elements.iter().all(|each| accepts(root, rule, each))),
        "required" => {
            let names = rule.as_array().expect("a list").iter().map(|name| name.as_str().expect("a name"));
            value.as_object().is_none_or(|members| names.into_iter().all(|name| members.contains_key(name)))
        }
        "properties" => value.as_object().is_none_or(|members| properties(root, rule, members)),
        other => panic!("a keyword that this test does not know: {other}"),
    })
}

fn schemas(rule: &Value) -> impl Iterator<Item = &Value> {
    rule.as_array().expect("a list").iter()
}

fn properties(root: &Value, rule: &Value, members: &Map<String, Value>) -> bool {
    let rules = rule.as_object().expect("rules by name");
    members.iter().all(|(name, value)| rules.get(name).is_none_or(|rule| accepts(root, rule, value)))
}

fn is(kind: &Value, value: &Value) -> bool {
    match kind.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        other => panic!("a type that this test does not know: {other:?}"),
    }
}
