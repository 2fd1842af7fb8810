//! How handlers take their time, so that a person can follow them.

use crate::application::{Answer, Failure};
use std::time::Duration;

/// The longest pause that a client may ask for.
pub(super) const SLOWEST: Duration = Duration::from_secs(1);

/// Waits, but not for a client that has asked to stop.
pub(super) async fn pause(answer: &Answer, pace: Duration) -> Result<(), Failure> {
    let pause = tokio::time::sleep(pace);
    answer.cancellation().run_until_cancelled(pause).await.ok_or_else(Failure::cancelled)
}
