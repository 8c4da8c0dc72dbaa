//! The sieve: one pass over a text that finds the few places at which an event source or an escape may stand.
//!
//! It looks at the text in lanes of two bytes. Wherever `"eventSource"` stands, its capital letter and the letter beside it fill a lane: as `tS` if
//! the capital is the second byte of its lane, as `So` if it is the first. So three comparisons find every `"eventSource"` and every
//! backslash, at half the cost of searching for one and then for the other; what else falls through is told apart by who looks at it.

use fearless_simd::{Level, Simd, dispatch, prelude::*};

/// What may be an event source, by its capital letter.
const LANES: [[u8; 2]; 2] = [*b"tS", *b"So"];
const CAPITAL: u8 = b'S';
pub(crate) const BACKSLASH: u8 = b'\\';

/// What is looked at together: something is in about one out of ten such runs.
const RUN_BYTES: usize = 128;

/// The longest block: what was read of it just before, to check it, is then still near.
pub(crate) const MAX_BLOCK_BYTES: usize = 16 * 1024;

/// Knows the vectors of this processor.
pub(crate) struct Sieve(Level);

impl Default for Sieve {
    fn default() -> Sieve {
        Sieve(Level::new())
    }
}

impl Sieve {
    /// Looks through `block`, which stands in the text from `at` on, and sets `found` to the places of each backslash, of the `S` of each
    /// `"eventSource"`, and of a few other `S`, in order.
    ///
    /// Blocks have at most [`MAX_BLOCK_BYTES`]. One with an odd length ends where no `"eventSource"` goes on. A place belongs to the block that the
    /// capital letter or backslash is in.
    pub(crate) fn sift(&self, block: &[u8], at: usize, found: &mut Vec<usize>) {
        found.clear();
        dispatch!(self.0, simd => sift(simd, block, at, found));
    }
}

#[inline(always)]
fn sift<S: Simd>(simd: S, block: &[u8], at: usize, found: &mut Vec<usize>) {
    simd.vectorize(
        #[inline(always)]
        || {
            // Which runs have something is noted without a branch, which the processor could not guess.
            let mut full = [0_u16; MAX_BLOCK_BYTES / RUN_BYTES + 1];
            let mut count = 0;
            let (runs, rest) = block.as_chunks::<RUN_BYTES>();
            for (number, run) in (0..).zip(runs) {
                full[count] = number;
                count += usize::from(holds_any(simd, run));
            }
            for number in &full[..count] {
                let number = usize::from(*number);
                tell(simd, &runs[number], at + number * RUN_BYTES, found);
            }
            let mut last = [0; RUN_BYTES];
            last[..rest.len()].copy_from_slice(rest);
            tell(simd, &last, at + block.len() - rest.len(), found);
        },
    );
}

/// Whether a run may hold an `"eventSource"`'s capital letter, or holds a backslash.
#[inline(always)]
fn holds_any<S: Simd>(simd: S, run: &[u8; RUN_BYTES]) -> bool {
    let backslash = S::u8s::splat(simd, BACKSLASH);
    let mut is_source = S::mask16s::splat(simd, false);
    let mut is_escape = S::mask8s::splat(simd, false);
    for bytes in run.chunks_exact(S::u8s::LEN) {
        let bytes = S::u8s::from_slice(simd, bytes);
        is_source |= may_be_source(simd, bytes);
        is_escape |= bytes.simd_eq(backslash);
    }
    is_source.any_true() | is_escape.any_true()
}

/// Which lanes are those beside the capital letter of an `"eventSource"`.
#[inline(always)]
fn may_be_source<S: Simd>(simd: S, bytes: S::u8s) -> S::mask16s {
    let [one, other] = LANES.map(|lane| S::u16s::splat(simd, u16::from_ne_bytes(lane)));
    let lanes: S::u16s = bytes.bitcast();
    lanes.simd_eq(one) | lanes.simd_eq(other)
}

/// Adds the places of what [`holds_any`] found in a run.
#[inline(always)]
fn tell<S: Simd>(simd: S, run: &[u8; RUN_BYTES], at: usize, found: &mut Vec<usize>) {
    let (capital, backslash) = (S::u8s::splat(simd, CAPITAL), S::u8s::splat(simd, BACKSLASH));
    let (all, none) = (S::u16s::splat(simd, u16::MAX), S::u16s::splat(simd, 0));
    let mut bits = 0;
    for (vector, bytes) in run.chunks_exact(S::u8s::LEN).enumerate() {
        let bytes = S::u8s::from_slice(simd, bytes);
        let lanes: S::u8s = may_be_source(simd, bytes).select(all, none).bitcast();
        let is_found = (bytes & lanes).simd_eq(capital) | bytes.simd_eq(backslash);
        bits |= u128::from(is_found.to_bitmask()) << (vector * S::u8s::LEN);
    }
    found.extend(ones(bits).map(|byte| at + byte));
}

/// The places of the ones in a number, from the lowest.
#[inline(always)]
fn ones(mut bits: u128) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = bits.trailing_zeros() as usize;
        let rest = bits.checked_sub(1)?;
        bits &= rest;
        Some(place)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use memchr::memmem;
    use proptest::prelude::*;

    /// Every vector that this processor has.
    fn sieves() -> Vec<Sieve> {
        let level = Level::new();
        let levels = [
            Some(level),
            Some(Level::baseline()),
            level.as_avx2().map(Simd::level),
            level.as_sse4_2().map(Simd::level),
        ];
        levels.into_iter().flatten().map(Sieve).collect()
    }

    proptest! {
        #[test]
        fn no_event_source_and_no_backslash_falls_past(
            pieces in prop::collection::vec(prop::sample::select(vec!["\"eventSource\"", "S", "t", "\\", "xy", "eventSource", "tS", "o"]), 0..200),
            begin in 0..3_usize,
        ) {
            let text = pieces.concat().into_bytes();
            let block = &text[begin.min(text.len())..];
            for sieve in sieves() {
                let mut found = Vec::new();
                sieve.sift(block, 1000, &mut found);
                let sources = memmem::find_iter(block, "\"eventSource\"").map(|at| at + 6);
                let backslashes = memchr::memchr_iter(BACKSLASH, block);
                prop_assert!(sources.chain(backslashes).all(|at| found.contains(&(1000 + at))));
                prop_assert!(found.is_sorted_by(|one, other| one < other));
                prop_assert!(found.iter().all(|at| matches!(block[at - 1000], CAPITAL | BACKSLASH)));
            }
        }
    }

    #[test]
    fn what_lies_across_two_blocks_is_found_once() {
        let needle = b"\"eventSource\"";
        for at in MAX_BLOCK_BYTES - needle.len()..=MAX_BLOCK_BYTES {
            let mut text = vec![b' '; MAX_BLOCK_BYTES + 99];
            text[at..at + needle.len()].copy_from_slice(needle);
            for sieve in sieves() {
                let (mut all, mut found) = (Vec::new(), Vec::new());
                for (number, block) in text.chunks(MAX_BLOCK_BYTES).enumerate() {
                    sieve.sift(block, number * MAX_BLOCK_BYTES, &mut found);
                    all.extend_from_slice(&found);
                }
                assert_eq!(all, [at + 6]);
            }
        }
    }

    #[test]
    fn ones_are_told_from_the_lowest() {
        assert_eq!(ones(0).count(), 0);
        assert_eq!(ones(1 << 63 | 0b1010).collect::<Vec<_>>(), [1, 3, 63]);
    }
}
