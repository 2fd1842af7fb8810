//! The monotonic clock of the operating system, and tokio's timers.

use readywire_protocol::time::{Duration, Instant};
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

/// The time since the first call.
pub fn now() -> Instant {
    static ORIGIN: OnceLock<tokio::time::Instant> = OnceLock::new();
    Instant::from_origin(ORIGIN.get_or_init(tokio::time::Instant::now).elapsed())
}

/// Ends not before `duration` is over.
pub async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// Something different each time, for jitter.
pub fn seed() -> u64 {
    RandomState::new().hash_one(())
}
