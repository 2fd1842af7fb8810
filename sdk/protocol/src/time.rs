//! Time as the core sees it: a duration since an origin that the driver chose.

use std::ops::{Add, Sub};
pub use std::time::Duration;

/// A moment, as a duration since the driver's origin. Unlike `std::time::Instant` it can be made in a test, hashed
/// and used in wasm.
// In nanoseconds: one number to add to and to compare, where a duration is two. It ends after 584 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The moment that lies `since_origin` after the driver's origin.
    pub const fn from_origin(since_origin: Duration) -> Self {
        Self(nanoseconds(since_origin))
    }

    /// How long after the origin this moment lies.
    pub const fn since_origin(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// How long after `earlier` this moment lies; zero if it does not.
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    // Called, since a page would load this arithmetic for each of some fifty deadlines.
    #[inline(never)]
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanoseconds(duration)))
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;
    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanoseconds(duration)))
    }
}

const fn nanoseconds(duration: Duration) -> u64 {
    const LONGEST: u64 = u64::MAX / 1_000_000_000 - 1;
    if duration.as_secs() > LONGEST {
        return u64::MAX;
    }
    duration.as_secs() * 1_000_000_000 + duration.subsec_nanos() as u64
}

/// The whole milliseconds of a duration. `Duration::as_millis` would bring 128-bit arithmetic into the browser bundle.
pub fn milliseconds(duration: Duration) -> u64 {
    const LONGEST: u64 = u64::MAX / 1000 - 1;
    duration.as_secs().min(LONGEST) * 1000 + u64::from(duration.subsec_millis())
}

/// The earlier of two deadlines, either of which may be unset.
pub(crate) fn earliest(left: Option<Instant>, right: Option<Instant>) -> Option<Instant> {
    match (left, right) {
        (Some(left), Some(right)) => Some(left.min(right)),
        (only, None) | (None, only) => only,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_overflows() {
        let (now, end) = (Instant::from_origin(Duration::from_nanos(7)), Instant::from_origin(Duration::MAX));
        assert_eq!(now + Duration::MAX, end);
        assert_eq!(end + Duration::from_secs(1), end);
        assert_eq!(now - Duration::from_secs(1), Instant::default());
        assert_eq!(now.saturating_since(end), Duration::ZERO);
        assert_eq!((now + Duration::new(2, 5)).since_origin(), Duration::new(2, 12));
    }

    #[test]
    fn milliseconds_are_whole_ones() {
        assert_eq!(milliseconds(Duration::new(3, 4_999_999)), 3004);
        assert!(milliseconds(Duration::MAX) > u64::MAX / 2);
    }
}
