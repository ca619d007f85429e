//! Seeded randomness: SplitMix64.

use serde::{Deserialize, Serialize};

/// A SplitMix64 stream. It is saved with the cluster, so that a restored
/// cluster continues exactly where it stopped.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Rng {
    state: u64,
}

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Self { state: seed ^ 0xA076_1D64_78BD_642F };
        rng.next();
        rng
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `low..=high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        if high <= low {
            return low;
        }
        let span = (high - low).saturating_add(1);
        low + self.next() % span
    }

    /// A value of the form of a version 4 UUID.
    pub(crate) fn uuid(&mut self) -> String {
        let (a, b) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            a >> 32,
            (a >> 16) & 0xffff,
            a & 0xfff,
            0x8000 | ((b >> 48) & 0x3fff),
            b & 0xffff_ffff_ffff
        )
    }

    /// The random end of a generated name. Kubernetes uses letters and digits
    /// that form no words.
    pub(crate) fn suffix(&mut self) -> String {
        let mut bits = self.next();
        let mut text = String::with_capacity(5);
        for _ in 0..5 {
            text.push(safe_letter(bits));
            bits /= 27;
        }
        text
    }
}

/// One of the 27 characters of generated names.
fn safe_letter(bits: u64) -> char {
    const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let index = usize::try_from(bits % 27).unwrap_or(0);
    LETTERS.get(index).copied().map_or('b', char::from)
}

/// A hash of `text` in the alphabet of generated names, as used in
/// `pod-template-hash`.
pub(crate) fn name_hash(text: &str) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    let mut short = hash ^ (hash >> 32);
    let mut name = String::with_capacity(10);
    for _ in 0..10 {
        name.push(safe_letter(short));
        short /= 27;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_follow_from_the_seed() {
        let (mut a, mut b, mut other) = (Rng::new(7), Rng::new(7), Rng::new(8));
        for _ in 0..100 {
            let id = a.uuid();
            assert_eq!(id, b.uuid());
            assert_ne!(id, other.uuid());
            assert_eq!((id.len(), &id[14..15]), (36, "4"));
            assert!((10..=20).contains(&a.between(10, 20)));
            assert_eq!(b.between(5, 5), 5);
            let suffix = a.suffix();
            assert!(
                suffix.len() == 5 && suffix.chars().all(|letter| !"aeiou013".contains(letter)),
                "{suffix}"
            );
            b = a.clone();
        }
        assert_eq!(name_hash("x"), name_hash("x"));
        assert_ne!(name_hash("x"), name_hash("y"));
    }
}
