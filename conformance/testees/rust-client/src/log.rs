//! The SDK's log, as reports: the suite looks for tokens in it.

use serde_json::json;
use std::io::{self, Write};
use tokio::sync::mpsc::UnboundedSender;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Reports every line that the SDK logs, from now on and for the whole program.
pub fn report_logs(reports: UnboundedSender<String>) {
    let _ = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("readywire=trace,readywire_protocol=trace"))
        .with_ansi(false)
        .with_writer(Lines(reports))
        .try_init();
}

struct Lines(UnboundedSender<String>);

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(&self.0)
    }
}

struct Line<'a>(&'a UnboundedSender<String>);

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let report = json!({ "on": "log", "text": String::from_utf8_lossy(bytes) });
        let _ = self.0.send(report.to_string());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
