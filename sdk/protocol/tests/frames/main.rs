//! Frames and the reader of JSON below them: what is written is read back, hostile text never panics, and what is JSON
//! is told by another reader.

mod any;
mod binary;
mod defaults;
mod hostile;
mod oracle;
mod payload;
mod round_trip;
mod text;

/// Enough to find what is wrong in a few runs, and little enough for every run. What fails is printed, not kept in a
/// file: it belongs into a test of its own.
fn cases() -> proptest::test_runner::Config {
    proptest::test_runner::Config { cases: 500, failure_persistence: None, ..Default::default() }
}
