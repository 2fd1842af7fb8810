//! Every engine is held to one contract: a new one adds a line to its list below.

#![allow(missing_docs, reason = "tests")]

mod contract;

use readywire_server::log::Log;
use readywire_server::log::memory::MemoryLog;
use readywire_server::log::socket::{self, SocketLog};
use std::sync::Arc;

async fn memory() -> Arc<dyn Log> {
    MemoryLog::new()
}

/// Another process would be no different: what goes over a socket does not know.
async fn shared() -> Arc<dyn Log> {
    let listener = socket::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(socket::serve(listener, MemoryLog::new()));
    SocketLog::connect(address).await.unwrap()
}

contract::holds!(memory);
contract::holds!(shared);
