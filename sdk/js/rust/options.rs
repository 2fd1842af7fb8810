//! What `connect` was told, as numbers and booleans of one object; what is left out has the core's default.

use js_sys::{Object, Reflect};
use readywire_protocol::config::ClientConfig;
use readywire_protocol::time::Duration;
use wasm_bindgen::prelude::JsValue;

pub(crate) fn config(options: &Object) -> ClientConfig {
    let mut config = ClientConfig::default();
    let whole = |name, field: &mut u64| {
        if let Some(value) = number(options, name) {
            *field = value as u64;
        }
    };
    whole("queueMessages", &mut config.queue.messages);
    whole("queueBytes", &mut config.queue.bytes);
    let time = |name, field: &mut Duration| {
        if let Some(value) = number(options, name).and_then(milliseconds) {
            *field = value;
        }
    };
    time("queueMaxAgeMs", &mut config.queue_age);
    time("backoffFirstMs", &mut config.backoff_first);
    time("backoffBaseMs", &mut config.backoff_base);
    time("backoffCapMs", &mut config.backoff_cap);
    time("connectTimeoutMs", &mut config.connect_timeout);
    config.hello_in_upgrade = flag(options, "helloInUpgrade").unwrap_or(config.hello_in_upgrade);
    config.agent.0 = "readywire-js".to_owned();
    config
}

pub(crate) fn flag(options: &Object, name: &str) -> Option<bool> {
    Reflect::get(options, &JsValue::from_str(name)).ok()?.as_bool()
}

/// A time that a timer can hold: no more than a year.
pub(crate) fn milliseconds(value: f64) -> Option<Duration> {
    (value >= 0.0).then(|| Duration::from_millis(value.min(31_536_000_000.0) as u64))
}

fn number(options: &Object, name: &str) -> Option<f64> {
    Reflect::get(options, &JsValue::from_str(name)).ok()?.as_f64()
}
