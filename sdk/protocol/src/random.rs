//! Jitter from a seed that the driver draws: the core itself knows no randomness, so that a run can be repeated.

/// SplitMix64: small, and good enough to keep clients from retrying in step.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Somewhere from zero to `bound`.
    pub(crate) fn up_to(&mut self, bound: u64) -> u64 {
        self.next().checked_rem(bound.saturating_add(1)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first numbers of the published SplitMix64 from seed 0.
    #[test]
    fn it_is_splitmix64() {
        let mut random = Random::new(0);
        let first = [random.next(), random.next(), random.next()];
        assert_eq!(first, [0xE220_A839_7B1D_CDAF, 0x6E78_9E6A_A1B9_65F4, 0x06C4_5D18_8009_454F]);
    }

    #[test]
    fn the_bound_is_among_them() {
        let mut random = Random::new(7);
        let drawn: Vec<_> = (0..200).map(|_| random.up_to(2)).collect();
        assert!([0, 1, 2].iter().all(|number| drawn.contains(number)) && drawn.iter().all(|number| *number <= 2));
        assert_eq!(random.up_to(0), 0);
    }
}
