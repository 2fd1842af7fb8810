//! Speaks the suite's testee protocol (`CERTIFY_CLIENT.md`) for the Rust SDK, over any two channels of lines.

#![forbid(unsafe_code)]

mod existing;
mod log;
mod options;
mod orders;
mod reports;
mod session;

pub use log::report_logs;

use orders::Orders;
use serde_json::{Value, json};
use std::collections::HashMap;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

/// Says hello, then does what is ordered until there are no more orders.
pub async fn serve(mut orders: UnboundedReceiver<String>, reports: UnboundedSender<String>) {
    let hello = json!({
        "on": "hello",
        "name": "readywire (Rust)",
        "version": env!("CARGO_PKG_VERSION"),
        "levels": ["resume", "answers", "topics", "refresh", "binary", "streams", "questions"],
        // `connect` gives the client only when it is ready for the first time, and there is nothing left to write with
        // behind the end of a stream.
        "lacks": ["early_client", "write_behind_the_end"],
        "options": options::NAMES,
    });
    let _ = reports.send(hello.to_string());
    let mut runs: HashMap<String, UnboundedSender<Value>> = HashMap::new();
    while let Some(line) = orders.recv().await {
        let Ok(order) = serde_json::from_str::<Value>(&line) else { continue };
        let Some(id) = order["run"].as_str() else { continue };
        match order["op"].as_str() {
            // Without orders a run ends.
            Some("end") => drop(runs.remove(id)),
            Some("connect") => {
                let (sender, receiver) = mpsc::unbounded_channel();
                let reports = reports::Reports::new(id, reports.clone());
                runs.insert(id.to_owned(), sender);
                let orders = Orders::behind(&order, receiver, reports);
                if order["existing"].is_object() {
                    tokio::spawn(existing::run(order, orders));
                } else {
                    tokio::spawn(session::run(order, orders));
                }
            }
            _ => {
                if let Some(run) = runs.get(id) {
                    let _ = run.send(order);
                }
            }
        }
    }
}
