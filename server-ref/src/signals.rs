//! The operating system's requests to stop.

use std::future::Future;

/// Ends when Ctrl-C or SIGTERM comes. Either is caught from this call on, not only once the future is polled: whoever
/// sends one as soon as the server listens finds it ready.
///
/// # Errors
/// The signals cannot be caught.
#[cfg(unix)]
pub fn asked_to_stop() -> Result<impl Future<Output = ()>, String> {
    use tokio::signal::unix::{SignalKind, signal};
    let caught = |kind| signal(kind).map_err(|error| format!("cannot catch signals: {error}"));
    let (mut interrupt, mut terminate) = (caught(SignalKind::interrupt())?, caught(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Ends when Ctrl-C comes.
///
/// # Errors
/// Never, here.
#[cfg(not(unix))]
pub fn asked_to_stop() -> Result<impl Future<Output = ()>, String> {
    Ok(async {
        // Without a handler for it, the signal ends the process by itself.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
