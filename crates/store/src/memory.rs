//! The store that forgets: for tests, rehearsals and simulations.

use crate::batch::{Appended, Batch, BatchId, Entry, Error, Outcome, REMEMBERED, Store, Version};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A store in this process's memory.
#[derive(Debug, Default)]
pub struct Memory {
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<Vec<u8>, (Vec<u8>, Version)>,
    /// Ascending and without gaps in sequence: [`Store::trim`] takes from the front only.
    queue: VecDeque<Appended>,
    /// The newest [`REMEMBERED`] commits, ascending in revision.
    commits: VecDeque<(Version, BatchId)>,
    revision: Version,
    sequence: u64,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Memory {
        Memory::default()
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().expect("no panic happens under this lock")
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().expect("no panic happens under this lock")
    }
}

impl Store for Memory {
    fn get(&self, key: &[u8]) -> Result<Option<(Vec<u8>, Version)>, Error> {
        Ok(self.read().entries.get(key).cloned())
    }

    fn scan(&self, from: &[u8], until: &[u8], limit: usize) -> Result<Vec<Entry>, Error> {
        if from >= until {
            return Ok(Vec::new());
        }
        let state = self.read();
        let range = state.entries.range::<[u8], _>((Bound::Included(from), Bound::Excluded(until)));
        let entry = |(key, (value, version)): (&Vec<u8>, &(Vec<u8>, Version))| Entry {
            key: key.clone(),
            value: value.clone(),
            version: *version,
        };
        Ok(range.take(limit).map(entry).collect())
    }

    fn commit(&self, batches: &[Batch]) -> Result<Vec<Outcome>, Error> {
        batches.iter().try_for_each(Batch::check)?;
        let mut state = self.write();
        Ok(batches.iter().map(|batch| state.apply(batch)).collect())
    }

    fn find(&self, id: BatchId) -> Result<Option<Version>, Error> {
        let state = self.read();
        Ok(state.commits.iter().rev().find(|(_, committed)| *committed == id).map(|(revision, _)| *revision))
    }

    fn appended(&self, after: u64, limit: usize) -> Result<Vec<Appended>, Error> {
        let state = self.read();
        let first = state.queue.partition_point(|record| record.sequence <= after);
        Ok(state.queue.range(first..).take(limit).cloned().collect())
    }

    fn trim(&self, through: u64) -> Result<(), Error> {
        let mut state = self.write();
        let kept = state.queue.partition_point(|record| record.sequence <= through);
        state.queue.drain(..kept);
        Ok(())
    }
}

impl State {
    /// Applies one batch that is within the limits.
    fn apply(&mut self, batch: &Batch) -> Outcome {
        let version = |key: &Vec<u8>| self.entries.get(key).map(|(_, version)| *version);
        if let Some((key, _)) = batch.expect.iter().find(|(key, expected)| version(key) != *expected) {
            return Outcome::Conflict { key: key.clone() };
        }
        self.revision += 1;
        for (key, value) in &batch.put {
            self.entries.insert(key.clone(), (value.clone(), self.revision));
        }
        for key in &batch.delete {
            self.entries.remove(key);
        }
        for bytes in &batch.append {
            self.sequence += 1;
            self.queue.push_back(Appended { sequence: self.sequence, bytes: bytes.clone() });
        }
        self.commits.push_back((self.revision, batch.id));
        if self.commits.len() as u64 > REMEMBERED {
            self.commits.pop_front();
        }
        Outcome::Committed { revision: self.revision }
    }
}
