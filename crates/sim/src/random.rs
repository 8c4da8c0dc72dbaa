//! The one source of chance in a run: small, seeded, and the same on every machine.

use jiff::SignedDuration;

/// SplitMix64. Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// The sequence of `seed`.
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A sequence of its own, so that one part of the world drawing more often does not move all the others.
    pub(crate) fn branch(&mut self) -> Random {
        Random(self.next())
    }

    /// A number below `bound`, which is not 0. The bias of the remainder is of no matter here.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A number from `least` to `most`, both included.
    pub(crate) fn between(&mut self, least: i64, most: i64) -> i64 {
        least + i64::try_from(self.below(most.abs_diff(least) + 1)).expect("the distance of two small numbers is small")
    }

    /// Whether something of this likelihood, in thousandths, happens.
    pub(crate) fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// One of several, of which there is at least one.
    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[usize::try_from(self.below(from.len() as u64)).expect("an index is small")]
    }

    /// A length of whole seconds from `least` to `most`.
    pub(crate) fn length(&mut self, least: SignedDuration, most: SignedDuration) -> SignedDuration {
        SignedDuration::from_secs(self.between(least.as_secs(), most.as_secs()))
    }
}
