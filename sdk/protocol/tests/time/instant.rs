//! Moments far off: what does not fit is as far as can be, and what fits is exact.

use crate::near::seconds;
use readywire_protocol::time::{Duration, Instant, milliseconds};

/// The last whole second for which there are nanoseconds in 64 bits, less the one that may follow it in parts.
const LAST: u64 = u64::MAX / 1_000_000_000 - 1;

#[test]
fn a_moment_is_exact_as_far_as_it_goes() {
    let start = Instant::default();
    for (seconds, nanoseconds) in [(0, 1), (1, 999_999_999), (LAST, 0), (LAST, 999_999_999)] {
        let after = Duration::new(seconds, nanoseconds);
        assert_eq!((start + after).saturating_since(start), after);
        assert_eq!((start + after) - after, start);
        assert_eq!(start - after, start, "nothing lies before the start");
    }
    assert_eq!((start + seconds(5)) - seconds(2), start + seconds(3));
}

#[test]
fn what_lies_beyond_is_the_last_moment() {
    let last = Instant::default() + Duration::MAX;
    for seconds in [LAST + 1, LAST + 2, LAST + 3, u64::MAX] {
        assert_eq!(Instant::default() + Duration::new(seconds, 999_999_999), last);
    }
    assert_eq!(last + seconds(1), last);
}

#[test]
fn milliseconds_are_whole_and_end_somewhere() {
    assert_eq!(milliseconds(Duration::new(7, 8_999_999)), 7008);
    let last = u64::MAX / 1000 - 1;
    assert_eq!(milliseconds(Duration::new(last, 999_000_000)), last * 1000 + 999);
    for seconds in [last + 1, last + 2, u64::MAX] {
        assert_eq!(milliseconds(Duration::new(seconds, 999_000_000)), last * 1000 + 999);
    }
}
