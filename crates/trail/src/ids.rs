//! Event IDs that were seen, in little more than the 16 bytes that each one has.
//!
//! A hash table with room to spare would take twice that, and doubling it three times. So most IDs are *settled*: one sorted list
//! without gaps, of which a directory tells where to look. New ones gather in a table with gaps, and settle when it is full.
//!
//! The table is sorted as well: a number's first bits say where it belongs, and those that belong to one place, or find it taken, stand
//! behind one another in order. So it grows and settles in one pass from front to back, without sorting.

use std::mem;

use crate::ahead;

/// Places of the table of new IDs, as powers of two: at most (16 MiB), and when it is made.
const MAX_PLACE_BITS: u32 = 20;
const LEAST_PLACE_BITS: u32 = 10;

/// How much larger it becomes when it is full, as a power of two: in few steps, since in each one every number is placed anew, but not by so
/// much that most of its pages stay empty.
const GROWTH_BITS: u32 = 2;

/// Room behind the last place, for those that find it taken; there is more if need be.
const SPARE_SLOTS: usize = 64;

/// How many parts of the settled list the directory tells apart, as a power of two.
const DIRECTORY_BITS: u32 = 16;

/// Stands in a slot that is free; no number is larger. (Not zero, also because the system hands out zeroed memory as one page that is read only,
/// and takes twice as long when it is written to after all.)
const FREE: u128 = u128::MAX;

/// A set of 128-bit numbers.
#[derive(Debug)]
pub(crate) struct Ids {
    /// What numbers are multiplied by, so that they are spread evenly, and nobody can choose them so that they are not. INVARIANT: odd, so that no
    /// two become one.
    factor: u128,
    /// Sorted, each once. INVARIANT: none of them is in `new`.
    settled: Vec<u128>,
    /// Where in `settled` the numbers with each of the possible first bits begin, and at the end its length; empty without any.
    directory: Vec<usize>,
    new: Table,
    /// Whether the number is there that would look like a free slot.
    has_free: bool,
}

impl Default for Ids {
    fn default() -> Ids {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the system has a source of randomness");
        Ids {
            factor: u128::from_le_bytes(bytes) | 1,
            settled: Vec::new(),
            directory: Vec::new(),
            new: Table::new(LEAST_PLACE_BITS),
            has_free: false,
        }
    }
}

impl Ids {
    /// Adds a number; whether it is new.
    pub(crate) fn insert(&mut self, id: u128) -> bool {
        let id = self.spread(id);
        if id == FREE {
            return !mem::replace(&mut self.has_free, true);
        }
        if self.is_settled(id) {
            return false;
        }
        if self.new.is_full() {
            self.make_room();
        }
        self.new.insert(id)
    }

    /// Begins to bring near what [`Ids::insert`] will look at.
    pub(crate) fn fetch(&self, id: u128) {
        let id = self.spread(id);
        ahead::fetch(&self.new.slots[self.new.place(id)]);
        if let Some((part, likely)) = self.part(id) {
            part.get(likely).into_iter().for_each(ahead::fetch);
        }
    }

    fn spread(&self, id: u128) -> u128 {
        id.wrapping_mul(self.factor)
    }

    fn is_settled(&self, id: u128) -> bool {
        let Some((part, likely)) = self.part(id) else { return false };
        let (before, behind) = part.split_at(likely);
        match before.last() {
            Some(last) if *last >= id => before.iter().rev().find(|there| **there <= id) == Some(&id),
            _ => behind.iter().find(|there| **there >= id) == Some(&id),
        }
    }

    /// The settled numbers that begin like this one, and where among them it should be, since they are spread evenly.
    fn part(&self, id: u128) -> Option<(&[u128], usize)> {
        let number = (id >> (u128::BITS - DIRECTORY_BITS)) as usize;
        let bounds = self.directory.get(number..number + 2)?;
        let part = &self.settled[bounds[0]..bounds[1]];
        let share = (id << DIRECTORY_BITS) >> 64;
        Some((part, ((share * part.len() as u128) >> 64) as usize))
    }

    fn make_room(&mut self) {
        if self.new.place_bits < MAX_PLACE_BITS {
            self.new.grow();
        } else {
            self.settle();
        }
    }

    /// Moves all new numbers to the settled ones: merged from the back, so that no second list is needed.
    fn settle(&mut self) {
        let mut new = self.new.numbers().rev().peekable();
        let mut old = self.settled.len();
        self.settled.reserve_exact(self.new.filled);
        self.settled.resize(old + self.new.filled, 0);
        for at in (0..self.settled.len()).rev() {
            let Some(last) = new.peek() else { break };
            if old > 0 && self.settled[old - 1] > *last {
                old -= 1;
                self.settled[at] = self.settled[old];
            } else {
                self.settled[at] = *last;
                new.next();
            }
        }
        drop(new);
        self.new.clear();
        self.directory.clear();
        for (at, id) in self.settled.iter().enumerate() {
            let part = (id >> (u128::BITS - DIRECTORY_BITS)) as usize;
            self.directory.resize(self.directory.len().max(part + 1), at);
        }
        self.directory.resize((1 << DIRECTORY_BITS) + 1, self.settled.len());
    }
}

/// Numbers with gaps between them. INVARIANT: those that are not free are sorted, each once, and none stands before its place.
#[derive(Debug)]
struct Table {
    place_bits: u32,
    slots: Vec<u128>,
    filled: usize,
}

impl Table {
    fn new(place_bits: u32) -> Table {
        let mut slots = Vec::with_capacity((1 << place_bits) + SPARE_SLOTS);
        slots.resize(1 << place_bits, FREE);
        Table { place_bits, slots, filled: 0 }
    }

    fn is_full(&self) -> bool {
        self.filled >= (1 << self.place_bits) / 4 * 3
    }

    fn place(&self, id: u128) -> usize {
        (id >> (u128::BITS - self.place_bits)) as usize
    }

    fn numbers(&self) -> impl DoubleEndedIterator<Item = u128> {
        self.slots.iter().copied().filter(|id| *id != FREE)
    }

    /// Adds a number; whether it is new.
    fn insert(&mut self, id: u128) -> bool {
        let place = self.place(id);
        let smaller = self.slots[place..].iter().take_while(|there| **there < id).count();
        let mut at = place + smaller;
        if self.slots.get(at) == Some(&id) {
            return false;
        }
        self.filled += 1;
        // Those behind it move on by one, up to a free slot.
        let mut moved = id;
        while let Some(slot) = self.slots.get_mut(at) {
            moved = mem::replace(slot, moved);
            if moved == FREE {
                return true;
            }
            at += 1;
        }
        self.slots.push(moved);
        true
    }

    fn grow(&mut self) {
        let mut larger = Table::new((self.place_bits + GROWTH_BITS).min(MAX_PLACE_BITS));
        let mut end = 0;
        for id in self.numbers() {
            let at = larger.place(id).max(end);
            if at == larger.slots.len() {
                larger.slots.push(id);
            } else {
                larger.slots[at] = id;
            }
            end = at + 1;
        }
        larger.filled = self.filled;
        *self = larger;
    }

    fn clear(&mut self) {
        self.slots.truncate(1 << self.place_bits);
        self.slots.fill(FREE);
        self.filled = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn is_in_order(ids: &Ids) -> bool {
        let Ids { settled, new, .. } = ids;
        let numbers: Vec<u128> = new.numbers().collect();
        let places = new.slots.iter().enumerate();
        settled.is_sorted_by(|one, other| one < other)
            && numbers.is_sorted_by(|one, other| one < other)
            && numbers.len() == new.filled
            && places.filter(|(_, id)| **id != FREE).all(|(at, id)| new.place(*id) <= at)
    }

    #[test]
    fn each_number_is_new_once() {
        let mut ids = Ids::default();
        let mut known = HashSet::new();
        let mut number = 1_u128;
        for round in 0..3_000_u128 {
            number = number.wrapping_mul(0x2545_f491_4f6c_dd1d_2545_f491_4f6c_dd1d).wrapping_add(round);
            for id in [number >> 100, number, round, 0, u128::MAX - round] {
                assert_eq!(ids.insert(id), known.insert(id), "{id}");
                ids.fetch(id);
            }
            if round % 700 == 0 {
                ids.settle();
                assert!(is_in_order(&ids));
            }
        }
        assert!(is_in_order(&ids));
        assert_eq!(ids.settled.len() + ids.new.filled, known.len());
        assert!(known.iter().all(|id| !ids.insert(*id)));
    }

    #[test]
    fn numbers_that_all_belong_to_one_place_are_told_apart() {
        // Not spread at all: small numbers belong to the first place, large ones to the last.
        let mut ids = Ids { factor: 1, ..Ids::default() };
        for round in 0..5_u128 {
            for id in (0..400).map(|n| n * 5 + round).flat_map(|n| [n, FREE - 1 - n]) {
                assert!(ids.insert(id) && !ids.insert(id), "{id}");
            }
            assert!(is_in_order(&ids));
            if round == 2 {
                ids.settle();
                assert!(is_in_order(&ids));
            }
        }
        assert!((0..2000).all(|n| !ids.insert(n) && !ids.insert(FREE - 1 - n)));
    }

    #[test]
    fn the_number_that_stands_for_a_free_slot_is_a_number_too() {
        let mut ids = Ids { factor: 1, ..Ids::default() };
        assert!(ids.insert(1) && ids.insert(FREE) && !ids.insert(FREE) && !ids.insert(1));
        ids.settle();
        assert!(!ids.insert(FREE) && ids.insert(2));
    }

    #[test]
    fn a_full_table_settles_and_takes_no_more_room() {
        let mut ids = Ids::default();
        let count = 1 << MAX_PLACE_BITS;
        assert!((1..=count).all(|id| ids.insert(id)));
        assert!(ids.new.slots.capacity() <= (1 << MAX_PLACE_BITS) + SPARE_SLOTS);
        assert_eq!(ids.settled.len(), (1 << MAX_PLACE_BITS) / 4 * 3);
        assert!(ids.settled.capacity() <= ids.settled.len());
        assert!((1..=count).all(|id| !ids.insert(id)));
    }
}
