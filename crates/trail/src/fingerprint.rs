//! Fingerprints: 16 bytes that stand for a text, so that a text that was met before is known without keeping it.
//!
//! *Why that is sound*: the family of functions is NH of UMAC (RFC 4418, 5.2.2; Black, Halevi, Krawczyk, Krovetz and Rogaway, *UMAC:
//! Fast and Secure Message Authentication*, 1999, theorem 4.2) with words of 64 bits. Two texts that differ, whoever chose them, so long
//! as he chose them without the key, have the same fingerprint with a chance of at most 2^-64. Each process draws its own key, and no
//! fingerprint leaves it. A scan that meets a thousand million different texts, and remembers some ten thousand of them, mistakes one for
//! another with a chance below one in a million.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::ahead;

/// The longest input, in blocks.
const MAX_BLOCKS: usize = 256;

const BLOCK_BYTES: usize = 16;

/// No text that is longer has a fingerprint.
pub(crate) const MAX_TEXT_BYTES: usize = (MAX_BLOCKS - 1) * BLOCK_BYTES;

/// A block's two words, or a fingerprint's.
pub(crate) type Words = [u64; 2];

/// Two words for each block. INVARIANT: drawn once, from the system's source of randomness.
pub(crate) struct Key(Box<[Words; MAX_BLOCKS]>);

/// Stands for a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint(Words);

impl Key {
    /// This process's own.
    pub(crate) fn own() -> &'static Key {
        static KEY: OnceLock<Key> = OnceLock::new();
        KEY.get_or_init(|| {
            let mut bytes = [[0; BLOCK_BYTES]; MAX_BLOCKS];
            getrandom::fill(bytes.as_flattened_mut()).expect("the system has a source of randomness");
            Key(Box::new(bytes.map(|bytes| words(&bytes))))
        })
    }

    /// The fingerprint of some texts in their order, and of a number that stands before them. Nothing where they are too long.
    pub(crate) fn of<const N: usize>(&self, number: u64, texts: [&[u8]; N]) -> Option<Fingerprint> {
        // Lengths of 16 bits each: with them, no two inputs are the same blocks.
        const { assert!(N <= 4 && MAX_BLOCKS * BLOCK_BYTES < 1 << 16) };
        let lengths = texts.iter().fold(0, |lengths, text| lengths << 16 | text.len() as u64 & 0xffff);
        let mut sum = Sum { keys: &self.0[..], sum: 0 };
        sum.add([number, lengths])?;
        for text in texts {
            if !text.is_empty() {
                sum = sum.with(text)?;
            }
        }
        Some(Fingerprint(split(sum.sum)))
    }

    /// The fingerprint of two numbers. Not to be compared with those of texts.
    pub(crate) fn of_numbers(&self, numbers: Words) -> Fingerprint {
        Fingerprint(split(product(numbers, &self.0[0])))
    }
}

struct Sum<'k> {
    keys: &'k [Words],
    sum: u128,
}

impl<'k> Sum<'k> {
    #[inline]
    fn with(self, text: &[u8]) -> Option<Sum<'k>> {
        let (blocks, rest) = text.as_chunks();
        let (keys, later) = self.keys.split_at_checked(blocks.len())?;
        // In two sums, so that the processor need not wait for one product before it adds the next.
        let (pairs, odd) = blocks.as_chunks();
        let (key_pairs, odd_key) = keys.as_chunks();
        let mut sums = [self.sum, 0];
        for ([one, other], [key, other_key]) in pairs.iter().zip(key_pairs) {
            sums[0] = sums[0].wrapping_add(product(words(one), key));
            sums[1] = sums[1].wrapping_add(product(words(other), other_key));
        }
        let sum = sums[0].wrapping_add(sums[1]);
        let sum = odd.iter().zip(odd_key).fold(sum, |sum, (block, key)| sum.wrapping_add(product(words(block), key)));
        let mut sum = Sum { keys: later, sum };
        match text.last_chunk() {
            _ if rest.is_empty() => {}
            // Some of it for the second time, which is less work than to fill it up.
            Some(last) => sum.add(words(last))?,
            None => {
                let mut block = [0; BLOCK_BYTES];
                block[..rest.len()].copy_from_slice(rest);
                sum.add(words(&block))?;
            }
        }
        Some(sum)
    }

    #[inline]
    fn add(&mut self, words: Words) -> Option<()> {
        let (key, later) = self.keys.split_first()?;
        self.keys = later;
        self.sum = self.sum.wrapping_add(product(words, key));
        Some(())
    }
}

#[inline]
fn product([one, other]: Words, key: &Words) -> u128 {
    u128::from(one.wrapping_add(key[0])) * u128::from(other.wrapping_add(key[1]))
}

#[inline]
fn words(block: &[u8; BLOCK_BYTES]) -> Words {
    split(u128::from_le_bytes(*block))
}

fn split(both: u128) -> Words {
    [both as u64, (both >> 64) as u64]
}

/// A table of bounded size to which many threads add, and in which nothing ever changes.
pub(crate) struct Table<V> {
    /// A power of two.
    slots: Box<[OnceLock<(Fingerprint, V)>]>,
    filled: AtomicUsize,
}

impl<V> Table<V> {
    /// A table of `1 << bits` slots, of which three quarters can be filled.
    pub(crate) fn new(bits: u32) -> Table<V> {
        Table { slots: (0..1_usize << bits).map(|_| OnceLock::new()).collect(), filled: AtomicUsize::new(0) }
    }

    /// Whether nothing more can be added.
    pub(crate) fn is_full(&self) -> bool {
        self.count() >= self.slots.len() / 4 * 3
    }

    /// How many values were added.
    pub(crate) fn count(&self) -> usize {
        self.filled.load(Ordering::Relaxed)
    }

    /// Begins to bring near what [`Table::get`] will look at.
    pub(crate) fn fetch(&self, fingerprint: &Fingerprint) {
        self.probe(fingerprint).take(1).for_each(ahead::fetch);
    }

    /// What was added under a fingerprint.
    pub(crate) fn get(&self, fingerprint: &Fingerprint) -> Option<&V> {
        // Slots are never emptied, so what was added stands before the first empty one.
        let there = self.probe(fingerprint).map_while(OnceLock::get);
        there.into_iter().find(|(known, _)| known == fingerprint).map(|(_, value)| value)
    }

    /// Adds a value, unless one is there already. Returns the one that is there; nothing where the table is full.
    pub(crate) fn add(&self, fingerprint: Fingerprint, value: V) -> Option<&V> {
        if self.is_full() {
            return None;
        }
        let mut entry = Some((fingerprint, value));
        for slot in self.probe(&fingerprint) {
            let (known, value) =
                slot.get_or_init(|| entry.take().expect("it goes into one slot and is looked for no further"));
            if entry.is_none() {
                self.filled.fetch_add(1, Ordering::Relaxed);
            }
            if *known == fingerprint {
                return Some(value);
            }
        }
        None
    }

    fn probe(&self, fingerprint: &Fingerprint) -> impl Iterator<Item = &OnceLock<(Fingerprint, V)>> {
        let last = self.slots.len() - 1;
        // Fingerprints of numbers or texts that are nearly alike may be near each other, so their bits are mixed: crowded, most of the table would
        // have to be looked through. (By the golden ratio: Knuth, The Art of Computer Programming, volume 3, 6.4.)
        let [one, other] = fingerprint.0;
        let from = ((one ^ other).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize;
        (0..self.slots.len()).map(move |step| &self.slots[from.wrapping_add(step) & last])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(number: u64, texts: [&[u8]; 2]) -> Fingerprint {
        Key::own().of(number, texts).unwrap()
    }

    #[test]
    fn it_is_the_sum_of_products_that_umac_defines() {
        let Key(words) = Key::own();
        let product = |block: usize, one: u64, other: u64| {
            let [a, b] = words[block];
            u128::from(one.wrapping_add(a)) * u128::from(other.wrapping_add(b))
        };
        let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        let is_sum = |texts: [&[u8]; 2], products: &[u128]| {
            let sum = products.iter().copied().fold(0, u128::wrapping_add);
            assert_eq!(Key::own().of(7, texts), Some(Fingerprint([sum as u64, (sum >> 64) as u64])));
        };
        assert_eq!(Key::own().of_numbers([7, 8]), Fingerprint(split(product(0, 7, 8))));
        let text = *b"sixteen bytes, and some";
        let first = product(1, word(&text[..8]), word(&text[8..16]));
        is_sum([&text[..16], b""], &[product(0, 7, 16 << 16), first]);
        is_sum([&text, b""], &[product(0, 7, 23 << 16), first, product(2, word(&text[7..15]), word(&text[15..]))]);
        is_sum([b"", b"few"], &[product(0, 7, 3), product(1, word(b"few"), 0)]);
    }

    #[test]
    fn what_is_too_long_has_none() {
        let long = vec![0; (MAX_BLOCKS - 1) * BLOCK_BYTES];
        assert!(Key::own().of(0, [&long]).is_some());
        assert!(Key::own().of(0, [&long, &[1]]).is_none());
        assert!(Key::own().of(0, [&long[..], b"", &long]).is_none());
    }

    #[test]
    fn numbers_that_are_alike_do_not_crowd_whatever_the_key() {
        for key in [[0, 0], [1, 1], [0, u64::MAX], [1 << 63, 1 << 16], Key::own().0[0]] {
            let key = Key(Box::new([key; MAX_BLOCKS]));
            let table = Table::new(13);
            let numbers = |n: u64| key.of_numbers([(n % 10) * (1 << 32) + n / 100, 1 + n / 10 % 10]);
            (0..4000).for_each(|n| assert!(table.add(numbers(n), n).is_some()));
            let steps = |fingerprint: Fingerprint| {
                table.probe(&fingerprint).position(|slot| slot.get().is_some_and(|(known, _)| *known == fingerprint))
            };
            let all: usize = (0..4000).map(|n| steps(numbers(n)).unwrap()).sum();
            // By chance it is about a half each.
            assert!(all < 4000, "{all} steps with {:?}", key.0[0]);
        }
    }

    #[test]
    fn a_full_table_takes_no_more_and_keeps_what_it_has() {
        let table = Table::new(4);
        for number in 0..20 {
            let added = table.add(of(number, [b"", b""]), number);
            assert_eq!(added.copied(), (number < 12).then_some(number));
        }
        assert!(table.is_full());
        for number in 0..20 {
            assert_eq!(table.get(&of(number, [b"", b""])).copied(), (number < 12).then_some(number));
        }
    }

    #[test]
    fn threads_agree_on_who_came_first() {
        let table = Table::new(12);
        let added = |thread: u64| (0..2000).map(|n| *table.add(of(n, [b"", b""]), (thread, n)).unwrap()).collect();
        let told: Vec<Vec<(u64, u64)>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|thread| scope.spawn(move || added(thread))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(told.windows(2).all(|pair| pair[0] == pair[1]));
        assert!(told[0].iter().zip(0..).all(|((_, n), at)| *n == at));
        assert_eq!(table.count(), 2000);
    }

    proptest! {
        #[test]
        fn texts_that_differ_have_fingerprints_that_differ(
            one in prop::collection::vec(0..2_u8, 0..40),
            other in prop::collection::vec(0..2_u8, 0..40),
            (at, end) in (0..40_usize, 0..40_usize),
        ) {
            let (at, end) = (at.min(one.len()), end.min(other.len()));
            let (one, other) = ([&one[..at], &one[at..]], [&other[..end], &other[end..]]);
            prop_assert_eq!(of(1, one) == of(1, other), one == other);
            prop_assert_ne!(of(1, one), of(2, one));
        }
    }
}
