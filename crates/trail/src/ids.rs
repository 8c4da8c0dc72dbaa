//! Event IDs that were seen, in little more than the 16 bytes that each one has.
//!
//! A hash table with room to spare would take twice that, and doubling it three times. So most IDs are *settled*: one sorted list
//! without gaps, of which a directory tells where to look. New ones gather in a small table, and settle when it is full.

use crate::ahead;

/// Slots of the table of new IDs, at most: 16 MiB.
const MAX_SLOTS: usize = 1 << 20;

/// Slots of the table when it is made.
const LEAST_SLOTS: usize = 1 << 10;

/// How much larger it becomes when it is full: in few steps, since in each one every number is placed anew, but not by so much that most of its
/// pages stay empty.
const GROWTH: usize = 4;

/// How many parts of the settled list the directory tells apart, as a power of two.
const DIRECTORY_BITS: u32 = 16;

/// Stands in a slot that is free. (Not zero: the system hands out zeroed memory as one page that is read only, and takes twice as long when
/// it is written to after all.)
const FREE: u128 = u128::MAX;

/// A set of 128-bit numbers.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    /// Sorted, each once. INVARIANT: none of them is in `slots`.
    settled: Vec<u128>,
    /// Where in `settled` the numbers with each of the possible first bits begin, and at the end its length; empty without any.
    directory: Vec<usize>,
    /// A power of two; zero where nothing is.
    slots: Vec<u128>,
    filled: usize,
    /// Whether the number is there that would look like a free slot.
    has_free: bool,
}

impl Ids {
    /// Adds a number; whether it is new.
    pub(crate) fn insert(&mut self, id: u128) -> bool {
        let id = mixed(id);
        if id == FREE {
            return !std::mem::replace(&mut self.has_free, true);
        }
        if self.is_settled(id) {
            return false;
        }
        if self.filled * 4 >= self.slots.len() * 3 {
            self.make_room();
        }
        let is_new = place(&mut self.slots, id);
        self.filled += usize::from(is_new);
        is_new
    }

    /// Begins to bring near what [`Ids::insert`] will look at.
    pub(crate) fn fetch(&self, id: u128) {
        if let Some(slot) = self.slots.get(mixed(id) as usize & self.slots.len().wrapping_sub(1)) {
            ahead::fetch(slot);
        }
    }

    fn is_settled(&self, id: u128) -> bool {
        let part = (id >> (u128::BITS - DIRECTORY_BITS)) as usize;
        match self.directory.get(part..part + 2) {
            Some(bounds) => self.settled[bounds[0]..bounds[1]].binary_search(&id).is_ok(),
            None => false,
        }
    }

    fn make_room(&mut self) {
        if self.slots.len() >= MAX_SLOTS {
            return self.settle();
        }
        let larger = (self.slots.len() * GROWTH).clamp(LEAST_SLOTS, MAX_SLOTS);
        let old = std::mem::replace(&mut self.slots, vec![FREE; larger]);
        for id in old.into_iter().filter(|id| *id != FREE) {
            place(&mut self.slots, id);
        }
    }

    /// Moves all new numbers to the settled ones: sorted, and merged from the back, so that no second list is needed.
    fn settle(&mut self) {
        let new = &mut self.slots[..];
        new.sort_unstable();
        let mut new = &new[..self.filled];
        let mut old = self.settled.len();
        self.settled.reserve_exact(new.len());
        self.settled.resize(old + new.len(), 0);
        for at in (0..self.settled.len()).rev() {
            let Some((last, rest)) = new.split_last() else { break };
            if old > 0 && self.settled[old - 1] > *last {
                old -= 1;
                self.settled[at] = self.settled[old];
            } else {
                self.settled[at] = *last;
                new = rest;
            }
        }
        self.slots.fill(FREE);
        self.filled = 0;
        let starts = (0..=1_u128 << DIRECTORY_BITS).scan(0, |from, part| {
            let ahead = self.settled[*from..].partition_point(|id| id >> (u128::BITS - DIRECTORY_BITS) < part);
            *from += ahead;
            Some(*from)
        });
        self.directory = starts.collect();
    }
}

/// Puts a number into the first slot that is free; whether it was not there.
fn place(slots: &mut [u128], id: u128) -> bool {
    let last = slots.len() - 1;
    let mut at = id as usize & last;
    loop {
        match slots[at] {
            FREE => {
                slots[at] = id;
                return true;
            }
            there if there == id => return false,
            _ => at = (at + 1) & last,
        }
    }
}

/// Another number for each number, so that numbers in a row are far apart. Multiplying by an odd number and folding the upper half
/// into the lower can both be undone, so no two become one.
fn mixed(id: u128) -> u128 {
    let id = id.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    id ^ (id >> 64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_number_is_new_once() {
        let mut ids = Ids::default();
        let mut known = HashSet::new();
        let mut number = 1_u128;
        for round in 0..3_000_u128 {
            number = number.wrapping_mul(0x2545_f491_4f6c_dd1d_2545_f491_4f6c_dd1d).wrapping_add(round);
            for id in [number >> 100, number, round, 0, u128::MAX - round] {
                assert_eq!(ids.insert(id), known.insert(id), "{id}");
            }
            if round % 700 == 0 {
                ids.settle();
                assert!(ids.settled.is_sorted_by(|one, other| one < other));
            }
        }
        assert_eq!(ids.settled.len() + ids.filled, known.len());
        assert!(known.iter().all(|id| !ids.insert(*id)));
    }

    #[test]
    fn the_number_that_stands_for_a_free_slot_is_a_number_too() {
        let id = 0xd0f8_14e5_6772_b5e3_0000_0000_0000_0000;
        assert_eq!(mixed(id), FREE);
        let mut ids = Ids::default();
        assert!(ids.insert(1) && ids.insert(id) && !ids.insert(id) && !ids.insert(1));
        ids.settle();
        assert!(!ids.insert(id) && ids.insert(2));
    }

    #[test]
    fn a_full_table_settles_and_takes_no_more_room() {
        let mut ids = Ids::default();
        let count = MAX_SLOTS as u128;
        assert!((1..=count).all(|id| ids.insert(id)));
        assert_eq!(ids.slots.len(), MAX_SLOTS);
        assert_eq!(ids.settled.len(), MAX_SLOTS / 4 * 3);
        assert!(ids.settled.capacity() <= ids.settled.len());
        assert!((1..=count).all(|id| !ids.insert(id)));
    }
}
