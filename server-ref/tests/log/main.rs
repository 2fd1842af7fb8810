//! Every engine is held to one contract: a new one adds a line to its list below.

#![allow(missing_docs, reason = "tests")]

mod contract;

use readywire_server::log::Log;
use readywire_server::log::memory::MemoryLog;
use std::sync::Arc;

async fn memory() -> Arc<dyn Log> {
    MemoryLog::new()
}

contract::holds!(memory);
