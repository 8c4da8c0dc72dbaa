//! Hashing for tables of bytes that this process alone can look into: quick on texts of hundreds of bytes.
//!
//! *Caveat*: who chooses the texts can make them collide. Use it where that costs time and nothing else, in tables that are bounded.

use std::hash::{BuildHasher, Hasher};

/// Makes [`Words`].
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ByWords;

impl BuildHasher for ByWords {
    type Hasher = Words;

    fn build_hasher(&self) -> Words {
        Words([0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344, 0xa409_3822_299f_31d0, 0x082e_fa98_ec4e_6c89])
    }
}

/// Four lanes of eight bytes each, so that multiplications overlap.
pub(crate) struct Words([u64; 4]);

const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

fn mixed(lane: u64, word: u64) -> u64 {
    (lane.rotate_left(29) ^ word).wrapping_mul(ODD)
}

impl Hasher for Words {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let Words([mut a, mut b, mut c, mut d]) = *self;
        let (blocks, rest) = bytes.as_chunks::<32>();
        for block in blocks {
            let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| block[at * 8 + byte]));
            a = mixed(a, word(0));
            b = mixed(b, word(1));
            c = mixed(c, word(2));
            d = mixed(d, word(3));
        }
        let (words, rest) = rest.as_chunks::<8>();
        for word in words {
            a = mixed(a, u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        d = mixed(d, u64::from_le_bytes(last));
        *self = Words([a, b, c, d]);
    }

    fn write_u32(&mut self, number: u32) {
        self.0[0] = mixed(self.0[0], number.into());
    }

    fn write_usize(&mut self, number: usize) {
        self.0[0] = mixed(self.0[0], number as u64);
    }

    fn finish(&self) -> u64 {
        let folded = self.0.iter().fold(0_u64, |all, lane| (all.rotate_left(23) ^ lane).wrapping_mul(ODD));
        folded ^ (folded >> 29)
    }
}
