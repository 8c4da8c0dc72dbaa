//! The power fails at any write: what was acknowledged is there afterwards, and no half of a batch.
//!
//! A disk that keeps written and synced bytes apart runs a fixed workload and dies at its n-th operation, for every n. The
//! bytes that were never synced are lost: all of them, or all but a random part, as a real disk would have it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use redb::StorageBackend;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use store::{Appended, Batch, BatchId, Embedded, Error, Outcome, Store};

/// One change that a disk may lose until it is synced.
#[derive(Debug, Clone)]
enum Change {
    Length(usize),
    Write(usize, Vec<u8>),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::Length(length) => bytes.resize(*length, 0),
            Change::Write(offset, data) => {
                let end = offset + data.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*offset..end].copy_from_slice(data);
            }
        }
    }
}

#[derive(Debug, Default)]
struct Platter {
    synced: Vec<u8>,
    unsynced: Vec<Change>,
    /// What a reader sees: the synced bytes with every later change.
    seen: Vec<u8>,
    operations: usize,
    dies_at: Option<usize>,
}

/// A disk that can be made to die.
#[derive(Debug, Clone, Default)]
struct Disk(Arc<Mutex<Platter>>);

impl Disk {
    fn holding(bytes: Vec<u8>, dies_at: Option<usize>) -> Disk {
        let seen = bytes.clone();
        Disk(Arc::new(Mutex::new(Platter { synced: bytes, seen, dies_at, ..Platter::default() })))
    }

    /// The bytes after the power came back: of the changes that were not synced, those that `survives` says.
    fn after_power_cut(&self, mut survives: impl FnMut() -> bool) -> Vec<u8> {
        let platter = self.0.lock().unwrap();
        let mut bytes = platter.synced.clone();
        platter.unsynced.iter().filter(|_| survives()).for_each(|change| change.apply(&mut bytes));
        bytes
    }

    fn operations(&self) -> usize {
        self.0.lock().unwrap().operations
    }

    fn change(&self, change: Change) -> io::Result<()> {
        let mut platter = self.0.lock().unwrap();
        platter.step()?;
        change.apply(&mut platter.seen);
        platter.unsynced.push(change);
        Ok(())
    }
}

impl Platter {
    /// Counts an operation, and fails it if the power is gone.
    fn step(&mut self) -> io::Result<()> {
        self.operations += 1;
        match self.dies_at {
            Some(dies_at) if self.operations > dies_at => Err(io::Error::other("the power is gone")),
            _ => Ok(()),
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let platter = self.0.lock().unwrap();
        let offset = usize::try_from(offset).unwrap();
        let bytes = platter.seen.get(offset..offset + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.change(Change::Length(usize::try_from(length).unwrap()))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut platter = self.0.lock().unwrap();
        platter.step()?;
        let unsynced = std::mem::take(&mut platter.unsynced);
        unsynced.iter().for_each(|change| change.apply(&mut platter.synced));
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(Change::Write(usize::try_from(offset).unwrap(), data.to_vec()))
    }
}

fn open(disk: &Disk) -> Result<Embedded, Error> {
    Embedded::with_backend(disk.clone(), Path::new("disk"))
}

const COMMITS: u8 = 12;

/// The n-th group of the workload: two batches that write the same two keys, a counter and a record each.
fn group(n: u8) -> [Batch; 2] {
    [0, 1].map(|half| {
        let value = vec![n; 300 * usize::from(n)];
        let mut batch = Batch::new(BatchId([2 * n + half; 16]));
        batch.put = vec![(vec![b'l', half], value.clone()), (vec![b'r', half], value), (vec![b'n', n, half], vec![n])];
        batch.append = vec![vec![n, half]];
        if n > 2 {
            batch.delete = vec![vec![b'n', n - 2, half]];
        }
        batch
    })
}

/// Runs the workload until it ends or the power does; the number of groups that were acknowledged.
fn run(store: &Embedded) -> u8 {
    for n in 1..=COMMITS {
        match store.commit(&group(n)) {
            Ok(outcomes) => assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Committed { .. }))),
            Err(Error::Engine { .. } | Error::Unknown { .. }) => return n - 1,
            Err(other) => panic!("{other}"),
        }
        if n % 4 == 0 && store.trim(u64::from(n)).is_err() {
            return n;
        }
    }
    COMMITS
}

/// The store after the crash: `acknowledged` groups, or the one more whose outcome was unknown, and nothing between.
fn examine(store: &Embedded, acknowledged: u8, context: &str) {
    let done = (1..=COMMITS).take_while(|n| store.find(BatchId([2 * n + 1; 16])).unwrap().is_some()).count();
    let done = u8::try_from(done).unwrap();
    assert!(done == acknowledged || done == acknowledged + 1, "{context}: {acknowledged} acknowledged, {done} found");

    for half in [0, 1] {
        let found = store.find(BatchId([2 * done + half; 16])).unwrap();
        assert_eq!(found, (done > 0).then(|| u64::from(2 * done + half - 1)), "{context}");
        let value = (done > 0).then(|| (vec![done; 300 * usize::from(done)], found.unwrap_or(0)));
        assert_eq!(store.get(&[b'l', half]).unwrap(), value, "{context}");
        assert_eq!(store.get(&[b'r', half]).unwrap(), value, "{context}");
    }
    assert_eq!(store.find(BatchId([2 * (done + 1); 16])).unwrap(), None, "{context}: half a group");
    let counters = store.scan(b"n", b"o", 100).unwrap().len();
    assert_eq!(counters, 2 * usize::from(done.min(2)), "{context}");

    let queue = store.appended(0, 100).unwrap();
    let sequences: Vec<u64> = queue.iter().map(|record| record.sequence).collect();
    let first = sequences.first().copied().unwrap_or(u64::from(2 * done) + 1);
    let expected: Vec<u64> = (first..=u64::from(2 * done)).collect();
    assert_eq!(sequences, expected, "{context}");
    assert!(first <= u64::from(done) + 1, "{context}: trimmed too much");
    for Appended { sequence, bytes } in queue {
        let n = u8::try_from(sequence.div_ceil(2)).unwrap();
        assert_eq!(bytes, [n, u8::from(sequence % 2 == 0)], "{context}");
    }

    let after = store.commit(&[Batch { append: vec![vec![0]], ..Batch::new(BatchId([200; 16])) }]).unwrap();
    assert_eq!(after, [Outcome::Committed { revision: u64::from(2 * done) + 1 }], "{context}");
    assert_eq!(store.appended(u64::from(2 * done), 9).unwrap().len(), 1, "{context}: a sequence was used again");
}

/// A small generator of its own, so that a failure names all it takes to see it again.
struct Coin(u64);

impl Coin {
    fn heads(&mut self) -> bool {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.0 >> 63 == 1
    }
}

#[test]
fn power_may_fail_at_any_write() {
    let new = Disk::default();
    drop(open(&new).unwrap());
    let formatted = new.after_power_cut(|| true);

    let whole = Disk::holding(formatted.clone(), None);
    assert_eq!(run(&open(&whole).unwrap()), COMMITS);
    let operations = whole.operations();
    assert!(operations > 100);

    for dies_at in 0..=operations {
        let disk = Disk::holding(formatted.clone(), Some(dies_at));
        let acknowledged = open(&disk).map_or(0, |store| run(&store));
        for seed in 0..4 {
            let context = format!("power cut after {dies_at} of {operations} operations, seed {seed}");
            let mut coin = Coin(seed + 1);
            let survivors = disk.after_power_cut(|| seed > 0 && coin.heads());
            let store = open(&Disk::holding(survivors, None)).unwrap_or_else(|error| panic!("{context}: {error}"));
            examine(&store, acknowledged, &context);
        }
    }
}

/// The power fails again while the store is being opened after the first time.
#[test]
fn power_may_fail_twice() {
    let new = Disk::default();
    drop(open(&new).unwrap());
    let formatted = new.after_power_cut(|| true);

    for first in (20..200).step_by(9) {
        let disk = Disk::holding(formatted.clone(), Some(first));
        let acknowledged = open(&disk).map_or(0, |store| run(&store));
        let mut coin = Coin(first as u64);
        let survivors = disk.after_power_cut(|| coin.heads());
        for second in 0..40 {
            let again = Disk::holding(survivors.clone(), Some(second));
            let _ = open(&again);
            let store = open(&Disk::holding(again.after_power_cut(|| coin.heads()), None)).unwrap();
            examine(&store, acknowledged, &format!("power cut after {first}, then after {second} operations"));
        }
    }
}
