//! Time as the core sees it: a duration since an origin that the driver chose.

use std::ops::{Add, Sub};
pub use std::time::Duration;

/// A moment, as a duration since the driver's origin. Unlike `std::time::Instant` it can be made in a test, hashed
/// and used in wasm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(Duration);

impl Instant {
    /// The moment that lies `since_origin` after the driver's origin.
    pub const fn from_origin(since_origin: Duration) -> Self {
        Self(since_origin)
    }

    /// How long after the origin this moment lies.
    pub const fn since_origin(self) -> Duration {
        self.0
    }

    /// How long after `earlier` this moment lies; zero if it does not.
    pub fn saturating_since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;
    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration))
    }
}

/// The whole milliseconds of a duration. `Duration::as_millis` would bring 128-bit arithmetic into the browser bundle.
pub fn milliseconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1000).saturating_add(u64::from(duration.subsec_millis()))
}

/// The earlier of two deadlines, either of which may be unset.
pub(crate) fn earliest(left: Option<Instant>, right: Option<Instant>) -> Option<Instant> {
    match (left, right) {
        (Some(left), Some(right)) => Some(left.min(right)),
        (only, None) | (None, only) => only,
    }
}
