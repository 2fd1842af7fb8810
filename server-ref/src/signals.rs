//! The operating system's requests to stop.

use std::future::Future;
#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Ctrl-C and SIGTERM. Either is caught from the beginning on, not only once somebody waits: whoever sends one as soon as
/// the server listens finds it ready.
#[derive(Debug)]
pub struct Signals {
    #[cfg(unix)]
    interrupt: Signal,
    #[cfg(unix)]
    terminate: Signal,
}

impl Signals {
    /// Catches them from now on.
    ///
    /// # Errors
    /// The signals cannot be caught.
    pub fn caught() -> Result<Self, String> {
        #[cfg(unix)]
        {
            let caught = |kind| signal(kind).map_err(|error| format!("cannot catch signals: {error}"));
            Ok(Self { interrupt: caught(SignalKind::interrupt())?, terminate: caught(SignalKind::terminate())? })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// Ends when the next one comes.
    pub async fn next(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        // Without a handler for it, the signal ends the process by itself.
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Ends when the first comes.
///
/// # Errors
/// The signals cannot be caught.
pub fn asked_to_stop() -> Result<impl Future<Output = ()>, String> {
    let mut signals = Signals::caught()?;
    Ok(async move { signals.next().await })
}
