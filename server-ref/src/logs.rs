//! Where the binary's logs go.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{Directive, LevelFilter};

/// Libraries that show, at their finest, what passes through them: frames and headers, and in these tokens.
const TALKATIVE: [&str; 5] = ["tungstenite", "tokio_tungstenite", "hyper", "hyper_util", "axum"];

/// Writes logs to the error stream, since the first line of the other is the address. `RUST_LOG` chooses which.
pub fn to_error_stream() {
    let errors = std::io::stderr();
    tracing_subscriber::fmt()
        .with_env_filter(chosen(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"))))
        .with_ansi(errors.is_terminal())
        .with_writer(std::io::stderr)
        .init();
}

/// Whatever was asked for, no token gets into a log (clause `upgrade.redact`).
fn chosen(filter: EnvFilter) -> EnvFilter {
    TALKATIVE.iter().fold(filter, |filter, library| match format!("{library}=info").parse::<Directive>() {
        Ok(directive) if filter.max_level_hint().is_none_or(|most| most > LevelFilter::INFO) => {
            filter.add_directive(directive)
        }
        _ => filter,
    })
}
