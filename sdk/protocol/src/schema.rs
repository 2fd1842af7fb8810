//! JSON Schema of the frames, from their types: what a peer may read, rule by rule as `decode` does.
//!
//! A schema cannot say everything: duplicate keys, depth, and integers written as `1.0` are left to the clauses
//! `frame.duplicate_key`, `frame.depth` and `frame.integer`.

use crate::frame::{ClientFrame, ServerFrame};
use crate::json::INTEGER_END;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::Value;

/// The schema of what a client sends.
pub fn client_frames() -> String {
    pretty(generator().into_root_schema_for::<ClientFrame>())
}

/// The schema of what a server sends.
pub fn server_frames() -> String {
    pretty(generator().into_root_schema_for::<ServerFrame>())
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12().with_transform(AsOnTheWire).into_generator()
}

fn pretty(schema: Schema) -> String {
    let mut text = format!("{:#}", schema.as_value());
    text.push('\n');
    text
}

/// What Rust's types do not tell: integers end at 2^53, and `null` counts as absent.
#[derive(Clone, Debug)]
struct AsOnTheWire;

impl Transform for AsOnTheWire {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        if schema.remove("format").is_some() {
            schema.insert("maximum".to_owned(), (INTEGER_END - 1).into());
        }
        let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
        let Some(Value::Object(properties)) = schema.get_mut("properties") else { return };
        for (name, property) in properties {
            if required.iter().any(|required| required == name) {
                continue;
            }
            if let Some(kind) = property.get_mut("type").filter(|kind| kind.is_string()) {
                *kind = Value::Array(vec![kind.take(), "null".into()]);
            }
        }
    }
}
