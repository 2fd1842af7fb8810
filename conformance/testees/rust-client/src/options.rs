//! What a client is made with.

use readywire::{Options, SendOptions};
use readywire_protocol::config::ClientConfig;
use serde_json::Value;
use std::time::Duration;

/// The options that are taken.
pub(crate) const NAMES: &[&str] = &[
    "backoff_base_ms",
    "backoff_cap_ms",
    "backoff_first_ms",
    "close_deadline_ms",
    "connect_timeout_ms",
    "hello_in_upgrade",
    "progress_timeout_ms",
    "probe_timeout_ms",
    "queue_age_ms",
    "queue_bytes",
    "queue_messages",
    "read_messages",
    "ready_cap_ms",
    "refresh_ahead_ms",
    "refresh_pause_ms",
    "refresh_timeout_ms",
    "retry_after_cap_ms",
    "stable_after_ms",
    "stage_grace_ms",
    "stage_timeout_ms",
    "taken_delay_ms",
    "window_bytes",
    "window_messages",
];

/// The options of an order to connect.
pub(crate) fn of(order: &Value) -> Options {
    let given = &order["options"];
    let options = Options::new().close_deadline(close_deadline(given)).tuned(|config| tune(config, given));
    match given["hello_in_upgrade"].as_bool() {
        Some(rides) => options.hello_in_upgrade(rides),
        None => options,
    }
}

/// The options of an order to send.
pub(crate) fn of_send(order: &Value) -> SendOptions {
    let mut options = SendOptions::new();
    if order["policy"] == "fail_fast" {
        options = options.fail_fast();
    }
    if let Some(age) = order["expire_after_ms"].as_u64() {
        options = options.expire_after(Duration::from_millis(age));
    }
    if let Some(key) = order["key"].as_str() {
        options = options.key(key);
    }
    options
}

/// How long `close` waits.
pub(crate) fn close_deadline(given: &Value) -> Duration {
    given["close_deadline_ms"].as_u64().map_or(Duration::from_secs(5), Duration::from_millis)
}

/// Timers and limits.
pub(crate) fn tune(config: &mut ClientConfig, given: &Value) {
    let time = |name: &str, field: &mut Duration| {
        *field = given[name].as_u64().map_or(*field, Duration::from_millis);
    };
    let count = |name: &str, field: &mut u64| *field = given[name].as_u64().unwrap_or(*field);
    time("backoff_base_ms", &mut config.backoff_base);
    time("backoff_cap_ms", &mut config.backoff_cap);
    time("backoff_first_ms", &mut config.backoff_first);
    time("connect_timeout_ms", &mut config.connect_timeout);
    time("progress_timeout_ms", &mut config.progress_timeout);
    time("probe_timeout_ms", &mut config.probe_timeout);
    time("queue_age_ms", &mut config.queue_age);
    count("queue_bytes", &mut config.queue.bytes);
    count("queue_messages", &mut config.queue.messages);
    time("ready_cap_ms", &mut config.ready_cap);
    time("refresh_ahead_ms", &mut config.refresh_ahead);
    time("refresh_pause_ms", &mut config.refresh_pause);
    time("refresh_timeout_ms", &mut config.refresh_timeout);
    time("retry_after_cap_ms", &mut config.retry_after_cap);
    time("stable_after_ms", &mut config.stable_after);
    time("stage_grace_ms", &mut config.stage_grace);
    time("stage_timeout_ms", &mut config.stage_timeout);
    time("taken_delay_ms", &mut config.taken_delay);
    count("window_bytes", &mut config.window.bytes);
    count("window_messages", &mut config.window.messages);
}
