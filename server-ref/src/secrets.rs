//! Random secrets, and what is kept of them.

use ring::rand::{SecureRandom, SystemRandom};

/// What is kept of a secret: enough to know it again, not enough to tell it.
pub(crate) fn hash(secret: &str) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, secret.as_bytes());
    let mut hash = [0; 32];
    hash.copy_from_slice(digest.as_ref());
    hash
}

/// So many random bytes, as hexadecimal digits.
pub(crate) fn draw<const BYTES: usize>(random: &SystemRandom) -> String {
    let mut bytes = [0; BYTES];
    // Without randomness every secret would be a guess: better to stop.
    random.fill(&mut bytes).expect("the operating system gives random bytes");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Compares without telling by its time where two hashes differ.
pub(crate) fn same(left: &[u8; 32], right: &[u8; 32]) -> bool {
    left.iter().zip(right).fold(0, |difference, (left, right)| difference | (left ^ right)) == 0
}

/// A random number.
pub(crate) fn number(random: &SystemRandom) -> u64 {
    let mut bytes = [0; 8];
    random.fill(&mut bytes).expect("the operating system gives random bytes");
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_secret_has_all_its_bits_and_is_never_drawn_again() {
        let random = SystemRandom::new();
        let secret = draw::<16>(&random);
        assert_eq!(secret.len(), 32);
        assert_ne!(secret, draw::<16>(&random));
        assert_eq!(hash(&secret), hash(&secret));
        assert_ne!(hash(&secret), hash(&draw::<16>(&random)));
        assert!(same(&hash(&secret), &hash(&secret)));
        assert!(!same(&hash(&secret), &hash(&draw::<16>(&random))));
    }
}
