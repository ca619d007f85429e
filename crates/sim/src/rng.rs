//! Seeded randomness: SplitMix64, one stream per purpose.

use serde::{Deserialize, Serialize};

/// A SplitMix64 stream. Saved with the world, so a restored world goes on
/// exactly where it stopped.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Rng {
    state: u64,
}

impl Rng {
    /// The stream named `stream` of `seed`.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut rng = Self { state: seed ^ stream.wrapping_mul(0xD6E8_FEB8_6659_FD93) };
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
        low + self.next() % (high - low + 1)
    }

    /// True with probability `p`.
    pub(crate) fn chance(&mut self, p: f64) -> bool {
        const STEPS: u32 = 1 << 30;
        let roll = u32::try_from(self.next() >> 34).unwrap_or(u32::MAX);
        f64::from(roll) < p * f64::from(STEPS)
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

    /// `len` characters of `alphabet`.
    pub(crate) fn word(&mut self, alphabet: &str, len: usize) -> String {
        let letters: Vec<char> = alphabet.chars().collect();
        let top = letters.len().saturating_sub(1) as u64;
        (0..len).map(|_| letters[usize::try_from(self.between(0, top)).unwrap_or(0)]).collect()
    }
}

/// Lower-case letters and digits.
pub(crate) const LOWER: &str = "abcdefghijklmnopqrstuvwxyz0123456789";
/// Letters and digits.
pub(crate) const MIXED: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_form_of_uuid_v4_and_repeat_by_seed() {
        let (mut a, mut b) = (Rng::new(7, 1), Rng::new(7, 1));
        for _ in 0..100 {
            let id = a.uuid();
            assert_eq!(id, b.uuid());
            assert_eq!(id.len(), 36);
            assert_eq!(&id[14..15], "4");
            assert!("89ab".contains(&id[19..20]));
        }
        assert_ne!(Rng::new(7, 2).uuid(), Rng::new(7, 1).uuid());
    }

    #[test]
    fn chance_respects_its_bounds() {
        let mut rng = Rng::new(1, 1);
        assert!((0..1000).all(|_| rng.chance(1.0)));
        assert!(!(0..1000).any(|_| rng.chance(0.0)));
        let hits = (0..10_000).filter(|_| rng.chance(0.3)).count();
        assert!((2_700..3_300).contains(&hits), "{hits}");
    }
}
