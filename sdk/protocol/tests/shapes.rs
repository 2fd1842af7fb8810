//! The TypeScript interfaces of `PROTOCOL.md` and the schemas from the frame types are the same shapes.

use readywire_protocol::frame::FRAME_NAMES;
use readywire_protocol::schema;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const PROTOCOL: &str = include_str!("../PROTOCOL.md");

/// A field: whether it may be absent, and its type.
type Fields = BTreeMap<String, (bool, String)>;

/// Every interface in the document, by name.
fn interfaces() -> BTreeMap<String, Fields> {
    let mut found = BTreeMap::new();
    for block in PROTOCOL.split("\n```ts\n").skip(1) {
        let block = block.split("\n```").next().expect("the block ends");
        for text in block.split("interface ").skip(1) {
            let (name, body) = text.split_once(" {\n").expect("a name and a body");
            let body = body.split("\n}").next().expect("the interface ends");
            let fields = body.lines().map(|line| {
                let line = line.split(" // ").next().expect("a line").trim();
                let (name, kind) = line
                    .strip_suffix(';')
                    .and_then(|line| line.split_once(": "))
                    .unwrap_or_else(|| panic!("no field: {line}"));
                (name.trim_end_matches('?').to_owned(), (name.ends_with('?'), kind.to_owned()))
            });
            let former = found.insert(name.to_owned(), fields.collect());
            assert!(former.is_none(), "two interfaces are named {name}");
        }
    }
    found
}

struct Reader<'a> {
    root: &'a Value,
    interfaces: &'a BTreeMap<String, Fields>,
    used: BTreeSet<String>,
}

impl<'a> Reader<'a> {
    /// Holds an interface against a schema and what that refers to.
    fn compare(&mut self, name: &str, schema: &'a Value) {
        let mut properties: BTreeMap<&'a String, &'a Value> = BTreeMap::new();
        let mut required = BTreeSet::new();
        let referred = schema["$ref"].as_str().map(|target| self.resolve(target));
        for part in [Some(schema), referred].into_iter().flatten() {
            properties.extend(part["properties"].as_object().into_iter().flatten());
            required.extend(part["required"].as_array().into_iter().flatten().filter_map(Value::as_str));
        }
        let interfaces = self.interfaces;
        let fields = interfaces.get(name).unwrap_or_else(|| panic!("no interface {name}"));
        self.used.insert(name.to_owned());
        // The frame's own type; an object of the same shape inside another frame has none.
        let named: BTreeSet<_> =
            fields.keys().filter(|field| *field != "type" || properties.contains_key(field)).collect();
        assert_eq!(named, properties.keys().copied().collect(), "{name}");
        for (field, (optional, kind)) in fields {
            let Some(property) = properties.get(field) else { continue };
            assert_eq!(*optional, !required.contains(field.as_str()), "whether {name}.{field} may be absent");
            self.compare_type(&format!("{name}.{field}"), kind, property);
        }
    }

    fn compare_type(&mut self, place: &str, kind: &str, schema: &'a Value) {
        if let Some(element) = kind.strip_suffix("[]") {
            assert!(is(schema, "array"), "{place}: {schema}");
            return self.compare_type(place, element, &schema["items"]);
        }
        match kind {
            "string" => assert!(is(schema, "string"), "{place}: {schema}"),
            "number" => assert!(is(schema, "integer"), "{place}: {schema}"),
            "boolean" => assert!(is(schema, "boolean"), "{place}: {schema}"),
            "unknown" => assert_eq!(schema["$ref"], "#/$defs/Payload", "{place}: {schema}"),
            literals if literals.starts_with('"') => {
                let told: BTreeSet<&str> = literals.split(" | ").map(|literal| literal.trim_matches('"')).collect();
                assert_eq!(told, self.literals(schema), "{place}");
            }
            name => {
                let alternatives = schema["anyOf"].as_array().into_iter().flatten();
                let object = [schema].into_iter().chain(alternatives).find(|schema| schema.get("$ref").is_some());
                self.compare(name, object.unwrap_or_else(|| panic!("{place} is no object: {schema}")));
            }
        }
    }

    fn literals(&self, schema: &'a Value) -> BTreeSet<&'a str> {
        let schema = schema["$ref"].as_str().map_or(schema, |target| self.resolve(target));
        let listed = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let described = schema["oneOf"].as_array().into_iter().flatten().flat_map(|each| self.literals(each));
        listed.chain(schema["const"].as_str()).chain(described).collect()
    }

    fn resolve(&self, target: &str) -> &'a Value {
        self.root.pointer(target.trim_start_matches('#')).expect("the reference leads somewhere")
    }
}

fn is(schema: &Value, kind: &str) -> bool {
    match &schema["type"] {
        Value::Array(kinds) => kinds.iter().any(|each| each == kind),
        each => each == kind,
    }
}

#[test]
fn every_interface_is_the_shape_of_its_frame() {
    let interfaces = interfaces();
    let roots = [schema::client_frames(), schema::server_frames()]
        .map(|text| serde_json::from_str::<Value>(&text).expect("JSON"));
    let mut used = BTreeSet::new();
    let mut compared = BTreeSet::new();
    for (side, root) in roots.iter().enumerate() {
        for frame in root["oneOf"].as_array().expect("one schema for each frame") {
            let kind = frame["properties"]["type"]["const"].as_str().expect("a type");
            let of_kind = interfaces
                .iter()
                .filter(|(_, fields)| fields.get("type").is_some_and(|(_, literal)| literal.trim_matches('"') == kind));
            let candidates: Vec<&String> = of_kind.map(|(name, _)| name).collect();
            // Where the sides differ, what the client sends comes first.
            let name = match candidates[..] {
                [only] => only,
                [first, second] => {
                    let first_is_first =
                        PROTOCOL.find(&format!("interface {first} ")) < PROTOCOL.find(&format!("interface {second} "));
                    if first_is_first == (side == 0) { first } else { second }
                }
                _ => panic!("interfaces of `{kind}`: {candidates:?}"),
            };
            let mut reader = Reader { root, interfaces: &interfaces, used: BTreeSet::new() };
            reader.compare(name, frame);
            used.extend(reader.used);
            compared.insert(kind.to_owned());
        }
    }
    assert_eq!(compared, FRAME_NAMES.iter().map(|name| (*name).to_owned()).collect());
    assert_eq!(used, interfaces.keys().cloned().collect(), "every interface is used");
}
