//! The contract of a store: one suite for every implementation.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::PathBuf;
use store::{
    Appended, BATCH_BYTES, BATCH_EXPECTS, BATCH_WRITES, Batch, BatchId, Embedded, Entry, Error, KEY_BYTES, Memory,
    Outcome, REMEMBERED, Store, Version,
};
use tempfile::TempDir;

/// A store under test, which can be closed and opened again if it keeps anything.
struct Subject {
    store: Option<Box<dyn Store>>,
    folder: Option<TempDir>,
}

impl Subject {
    fn memory() -> Subject {
        Subject { store: Some(Box::new(Memory::new())), folder: None }
    }

    fn embedded() -> Subject {
        let mut subject = Subject { store: None, folder: Some(TempDir::new().unwrap()) };
        subject.reopen();
        subject
    }

    fn file(&self) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.path().join("store"))
    }

    /// Closes the store and opens it again; a store in memory just stays.
    fn reopen(&mut self) {
        if let Some(file) = self.file() {
            self.store = None;
            self.store = Some(Box::new(Embedded::open(&file).unwrap()));
        }
    }

    fn store(&self) -> &dyn Store {
        self.store.as_deref().unwrap()
    }

    fn commit(&self, batches: &[Batch]) -> Vec<Outcome> {
        self.store().commit(batches).unwrap()
    }

    /// Commits one batch that must not conflict.
    fn put(&self, batch: Batch) -> Version {
        match self.commit(&[batch]).as_slice() {
            [Outcome::Committed { revision }] => *revision,
            other => panic!("{other:?}"),
        }
    }

    fn value(&self, key: &str) -> Option<String> {
        self.store().get(key.as_bytes()).unwrap().map(|(value, _)| String::from_utf8(value).unwrap())
    }

    fn version(&self, key: &str) -> Option<Version> {
        self.store().get(key.as_bytes()).unwrap().map(|(_, version)| version)
    }

    fn queue(&self) -> Vec<(u64, String)> {
        let record = |record: Appended| (record.sequence, String::from_utf8(record.bytes).unwrap());
        self.store().appended(0, usize::MAX).unwrap().into_iter().map(record).collect()
    }
}

/// A batch written down in a line: `a=1 -b +record a@3 b@-` puts a, deletes b, appends, expects a at 3 and b absent.
fn batch(id: u8, text: &str) -> Batch {
    let mut batch = Batch::new(BatchId([id; 16]));
    for word in text.split_whitespace() {
        if let Some((key, value)) = word.split_once('=') {
            batch.put.push((key.into(), value.into()));
        } else if let Some((key, version)) = word.split_once('@') {
            batch.expect.push((key.into(), version.parse().ok()));
        } else if let Some(key) = word.strip_prefix('-') {
            batch.delete.push(key.into());
        } else if let Some(record) = word.strip_prefix('+') {
            batch.append.push(record.into());
        } else {
            panic!("`{word}` is no part of a batch");
        }
    }
    batch
}

fn conflict(key: &str) -> Outcome {
    Outcome::Conflict { key: key.into() }
}

/// Each promise as a test of its own, for each implementation.
macro_rules! contract {
    ($($promise:ident)*) => {
        mod memory { $(#[test] fn $promise() { super::$promise(super::Subject::memory()); })* }
        mod embedded { $(#[test] fn $promise() { super::$promise(super::Subject::embedded()); })* }
    };
}

contract! {
    what_is_put_is_there_with_its_version
    versions_are_checked
    a_conflict_changes_nothing
    a_deleted_key_never_returns_to_an_old_version
    batches_of_one_commit_see_each_other
    no_batches_are_no_commit
    scans_are_ordered_and_half_open
    scans_page
    limits_are_held
    one_bad_batch_refuses_its_whole_group
    the_largest_batch_goes_in
    sequences_are_never_used_again
    the_queue_pages
    ids_are_found
    ids_are_forgotten_in_the_end
    one_of_many_racers_wins
}

fn what_is_put_is_there_with_its_version(mut subject: Subject) {
    assert_eq!(subject.put(batch(1, "a=1 b=2")), 1);
    assert_eq!(subject.put(batch(2, "b=3 empty=")), 2);
    for _ in 0..2 {
        assert_eq!((subject.value("a").as_deref(), subject.version("a")), (Some("1"), Some(1)));
        assert_eq!((subject.value("b").as_deref(), subject.version("b")), (Some("3"), Some(2)));
        assert_eq!(subject.value("empty").as_deref(), Some(""));
        assert_eq!(subject.value("c"), None);
        subject.reopen();
    }
    assert_eq!(subject.put(batch(3, "-a -never")), 3);
    subject.reopen();
    assert_eq!(subject.value("a"), None);
}

fn versions_are_checked(subject: Subject) {
    subject.put(batch(1, "a=1 a@-"));
    assert_eq!(subject.commit(&[batch(2, "a=2 a@-")]), [conflict("a")]);
    assert_eq!(subject.commit(&[batch(3, "a=2 a@7")]), [conflict("a")]);
    assert_eq!(subject.commit(&[batch(4, "z=2 z@1")]), [conflict("z")]);
    assert_eq!(subject.commit(&[batch(5, "x=2 a@1 y@1 z@1")]), [conflict("y")]);
    assert_eq!(subject.put(batch(6, "a=2 a@1 b@-")), 2);
    assert_eq!(subject.value("a").as_deref(), Some("2"));
}

fn a_conflict_changes_nothing(mut subject: Subject) {
    subject.put(batch(1, "a=1 b=1 +one"));
    assert_eq!(subject.commit(&[batch(2, "a=2 c=2 -b +two a@9")]), [conflict("a")]);
    subject.reopen();
    assert_eq!(subject.value("a").as_deref(), Some("1"));
    assert_eq!(subject.value("b").as_deref(), Some("1"));
    assert_eq!(subject.value("c"), None);
    assert_eq!(subject.queue(), [(1, "one".to_owned())]);
    assert_eq!(subject.store().find(BatchId([2; 16])).unwrap(), None);
    assert_eq!(subject.put(batch(3, "a=3 +three")), 2, "a conflict takes no revision");
    assert_eq!(subject.queue(), [(1, "one".to_owned()), (2, "three".to_owned())]);
}

fn a_deleted_key_never_returns_to_an_old_version(subject: Subject) {
    subject.put(batch(1, "a=1"));
    subject.put(batch(2, "-a"));
    subject.put(batch(3, "a=1"));
    assert_eq!(subject.version("a"), Some(3));
    assert_eq!(subject.commit(&[batch(4, "a=2 a@1")]), [conflict("a")]);
}

fn batches_of_one_commit_see_each_other(mut subject: Subject) {
    let outcomes = subject.commit(&[
        batch(1, "a=1 a@- +one"),
        batch(2, "a=2 a@- +two"),
        batch(3, "a=3 b=3 a@1 +three"),
        batch(4, "-b b@2"),
        batch(5, "c=5 b@-"),
    ]);
    let committed = |revision| Outcome::Committed { revision };
    assert_eq!(outcomes, [committed(1), conflict("a"), committed(2), committed(3), committed(4)]);
    subject.reopen();
    assert_eq!((subject.value("a").as_deref(), subject.version("a")), (Some("3"), Some(2)));
    assert_eq!(subject.value("b"), None);
    assert_eq!(subject.version("c"), Some(4));
    assert_eq!(subject.queue(), [(1, "one".to_owned()), (2, "three".to_owned())]);
}

fn no_batches_are_no_commit(subject: Subject) {
    assert_eq!(subject.commit(&[]), []);
    assert_eq!(subject.put(batch(1, "")), 1, "an empty batch is a batch");
}

fn scans_are_ordered_and_half_open(subject: Subject) {
    subject.put(batch(1, "b/2=x a=x b/1=x c=x b/10=x b=x"));
    let keys = |from: &str, until: &str, limit| -> Vec<String> {
        let entries = subject.store().scan(from.as_bytes(), until.as_bytes(), limit).unwrap();
        entries.into_iter().map(|entry| String::from_utf8(entry.key).unwrap()).collect()
    };
    assert_eq!(keys("b/", "b0", 10), ["b/1", "b/10", "b/2"]);
    assert_eq!(keys("b/1", "b/2", 10), ["b/1", "b/10"]);
    assert_eq!(keys("", "zz", 2), ["a", "b"]);
    assert_eq!(keys("", "zz", 0), [""; 0]);
    assert_eq!(keys("", "", 10), [""; 0]);
    assert_eq!(keys("c", "a", 10), [""; 0]);
    assert_eq!(keys("c", "c", 10), [""; 0]);
}

fn scans_page(subject: Subject) {
    for decade in 0..10 {
        let puts: Vec<String> = (0..10).map(|unit| format!("k{decade}{unit}=v{decade}{unit}")).collect();
        subject.put(batch(decade, &puts.join(" ")));
    }
    let mut seen: Vec<Entry> = Vec::new();
    let mut from = b"k".to_vec();
    loop {
        let page = subject.store().scan(&from, b"l", 7).unwrap();
        let Some(last) = page.last() else { break };
        from = [last.key.as_slice(), &[0]].concat();
        seen.extend(page);
    }
    let whole = subject.store().scan(b"k", b"l", usize::MAX).unwrap();
    assert_eq!(seen, whole);
    assert_eq!(whole.len(), 100);
    assert!(whole.is_sorted_by(|a, b| a.key < b.key));
    let entry = Entry { key: b"k42".to_vec(), value: b"v42".to_vec(), version: 5 };
    assert_eq!(whole[42], entry);
}

fn limits_are_held(subject: Subject) {
    let many = |count: usize| -> Vec<(Vec<u8>, Vec<u8>)> {
        (0..count).map(|n| (format!("k{n}").into_bytes(), Vec::new())).collect()
    };
    let empty = || Batch::new(BatchId([0; 16]));
    let refused = |batch: Batch| subject.store().commit(&[batch]).unwrap_err();

    let long = vec![b'k'; KEY_BYTES + 1];
    assert!(matches!(refused(Batch { put: vec![(long, vec![])], ..empty() }), Error::KeyLength { bytes: 1025 }));
    assert!(matches!(refused(Batch { delete: vec![vec![]], ..empty() }), Error::KeyLength { bytes: 0 }));
    assert!(matches!(refused(batch(1, "a=1 b=1 a=2")), Error::KeyTwice { key } if key == b"a"));
    assert!(matches!(refused(batch(1, "a=1 -a")), Error::KeyTwice { key } if key == b"a"));
    assert!(matches!(refused(batch(1, "a@1 a@1")), Error::KeyTwice { key } if key == b"a"));

    let expect = (0..=BATCH_EXPECTS).map(|n| (format!("k{n}").into_bytes(), None)).collect();
    assert!(matches!(refused(Batch { expect, ..empty() }), Error::Expects { count: 129 }));
    let writes = Batch { put: many(BATCH_WRITES), append: vec![vec![]], ..empty() };
    assert!(matches!(refused(writes), Error::Writes { count: 129 }));
    let bytes = Batch { put: vec![(b"k".to_vec(), vec![0; BATCH_BYTES])], ..empty() };
    assert!(matches!(refused(bytes), Error::Bytes { bytes } if bytes == BATCH_BYTES + 1));

    assert_eq!(subject.put(batch(1, "a=1")), 1, "nothing of the refused ones was done");
}

fn one_bad_batch_refuses_its_whole_group(subject: Subject) {
    assert!(subject.store().commit(&[batch(1, "a=1"), batch(2, "b=1 -b")]).is_err());
    assert_eq!(subject.value("a"), None);
    assert_eq!(subject.store().find(BatchId([1; 16])).unwrap(), None);
}

fn the_largest_batch_goes_in(mut subject: Subject) {
    let key = vec![b'k'; KEY_BYTES];
    let value = vec![7; BATCH_BYTES - KEY_BYTES - 100];
    let largest = Batch { put: vec![(key.clone(), value.clone())], append: vec![vec![9; 100]], ..batch(1, "") };
    subject.put(largest);
    subject.reopen();
    assert_eq!(subject.store().get(&key).unwrap(), Some((value, 1)));
    assert_eq!(subject.store().appended(0, 1).unwrap()[0].bytes, [9; 100]);

    let expect = (0..BATCH_EXPECTS).map(|n| (format!("e{n}").into_bytes(), None)).collect();
    let append = vec![vec![]; BATCH_WRITES];
    assert_eq!(subject.put(Batch { expect, append, ..batch(2, "") }), 2);
}

fn sequences_are_never_used_again(mut subject: Subject) {
    subject.put(batch(1, "+one +two"));
    subject.put(batch(2, "+three"));
    subject.store().trim(2).unwrap();
    assert_eq!(subject.queue(), [(3, "three".to_owned())]);
    subject.store().trim(1).unwrap();
    subject.store().trim(1_000_000).unwrap();
    assert_eq!(subject.queue(), []);
    subject.reopen();
    assert_eq!(subject.queue(), []);
    subject.put(batch(3, "+four"));
    assert_eq!(subject.queue(), [(4, "four".to_owned())]);
    subject.store().trim(u64::MAX).unwrap();
    subject.put(batch(4, "+five"));
    assert_eq!(subject.queue(), [(5, "five".to_owned())]);
}

fn the_queue_pages(subject: Subject) {
    subject.put(batch(1, "+1 +2 +3 +4 +5"));
    let page = |after, limit| -> Vec<u64> {
        subject.store().appended(after, limit).unwrap().into_iter().map(|record| record.sequence).collect()
    };
    assert_eq!(page(0, 2), [1, 2]);
    assert_eq!(page(2, 2), [3, 4]);
    assert_eq!(page(4, 2), [5]);
    assert_eq!(page(5, 2), [0; 0]);
    assert_eq!(page(u64::MAX, 2), [0; 0]);
    subject.store().trim(3).unwrap();
    assert_eq!(page(0, 9), [4, 5]);
    assert_eq!(page(1, 9), [4, 5]);
}

fn ids_are_found(mut subject: Subject) {
    subject.put(batch(7, "a=1"));
    subject.put(batch(8, "a=2"));
    subject.reopen();
    assert_eq!(subject.store().find(BatchId([7; 16])).unwrap(), Some(1));
    assert_eq!(subject.store().find(BatchId([8; 16])).unwrap(), Some(2));
    assert_eq!(subject.store().find(BatchId([9; 16])).unwrap(), None);
}

fn ids_are_forgotten_in_the_end(subject: Subject) {
    let id = |n: u64| {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&n.to_be_bytes());
        BatchId(id)
    };
    let batches: Vec<Batch> = (1..=REMEMBERED + 2).map(|n| Batch::new(id(n))).collect();
    for group in batches.chunks(1000) {
        subject.commit(group);
    }
    assert_eq!(subject.store().find(id(1)).unwrap(), None);
    assert_eq!(subject.store().find(id(2)).unwrap(), None);
    assert_eq!(subject.store().find(id(3)).unwrap(), Some(3));
    assert_eq!(subject.store().find(id(REMEMBERED + 2)).unwrap(), Some(REMEMBERED + 2));
}

fn one_of_many_racers_wins(subject: Subject) {
    let store = subject.store();
    subject.put(batch(0, "a=0"));
    for round in 1..=5 {
        let won: usize = std::thread::scope(|scope| {
            let racer = |n: u8| {
                let take = batch(n, &format!("a={n} a@{round}"));
                move || usize::from(matches!(store.commit(&[take]).unwrap()[0], Outcome::Committed { .. }))
            };
            let racers: Vec<_> = (1..=4).map(|n| scope.spawn(racer(n))).collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).sum()
        });
        assert_eq!(won, 1);
    }
}

/// One step of a random history.
#[derive(Debug, Clone)]
enum Step {
    Commit(Vec<Batch>),
    Trim(u64),
    Scan(Vec<u8>, Vec<u8>, usize),
    Reopen,
}

/// Few keys, so that they meet.
fn any_key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec![0u8, 1, b'a', 255]), 1..3)
}

fn any_batch() -> impl Strategy<Value = Batch> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..4);
    let expect = prop::collection::btree_map(any_key(), prop::option::weighted(0.3, 1..6u64), 0..2);
    let writes = prop::collection::btree_map(any_key(), prop::option::weighted(0.8, bytes()), 0..4);
    let append = prop::collection::vec(bytes(), 0..3);
    (any::<[u8; 16]>(), expect, writes, append).prop_map(|(id, expect, writes, append)| {
        let mut batch = Batch { expect: expect.into_iter().collect(), append, ..Batch::new(BatchId(id)) };
        for (key, value) in writes {
            match value {
                Some(value) => batch.put.push((key, value)),
                None => batch.delete.push(key),
            }
        }
        batch
    })
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::collection::vec(any_batch(), 0..4).prop_map(Step::Commit),
        1 => (0..12u64).prop_map(Step::Trim),
        3 => (any_key(), any_key(), 0..5usize).prop_map(|(from, until, limit)| Step::Scan(from, until, limit)),
        1 => Just(Step::Reopen),
    ]
}

/// The contract, ten lines long and obviously right.
#[derive(Default)]
struct Model {
    entries: BTreeMap<Vec<u8>, (Vec<u8>, Version)>,
    queue: BTreeMap<u64, Vec<u8>>,
    ids: BTreeMap<[u8; 16], Version>,
    revision: Version,
    sequence: u64,
}

impl Model {
    fn commit(&mut self, batch: &Batch) -> Outcome {
        for (key, version) in &batch.expect {
            if self.entries.get(key).map(|entry| entry.1) != *version {
                return Outcome::Conflict { key: key.clone() };
            }
        }
        self.revision += 1;
        self.entries.retain(|key, _| !batch.delete.contains(key));
        self.entries.extend(batch.put.iter().map(|(key, value)| (key.clone(), (value.clone(), self.revision))));
        for bytes in &batch.append {
            self.sequence += 1;
            self.queue.insert(self.sequence, bytes.clone());
        }
        self.ids.insert(batch.id.0, self.revision);
        Outcome::Committed { revision: self.revision }
    }
}

fn agrees_with_the_model(mut subject: Subject, steps: Vec<Step>) {
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Commit(batches) => {
                let expected: Vec<Outcome> = batches.iter().map(|batch| model.commit(batch)).collect();
                assert_eq!(subject.commit(&batches), expected);
            }
            Step::Trim(through) => {
                model.queue.retain(|sequence, _| *sequence > through);
                subject.store().trim(through).unwrap();
            }
            Step::Scan(from, until, limit) => {
                let within = |(key, _): &(&Vec<u8>, _)| **key >= from && **key < until;
                let entry = |(key, (value, version)): (&Vec<u8>, &(Vec<u8>, Version))| Entry {
                    key: key.clone(),
                    value: value.clone(),
                    version: *version,
                };
                let expected: Vec<Entry> = model.entries.iter().filter(within).take(limit).map(entry).collect();
                assert_eq!(subject.store().scan(&from, &until, limit).unwrap(), expected);
            }
            Step::Reopen => subject.reopen(),
        }
    }
    let all = subject.store().scan(&[], &[255; 4], usize::MAX).unwrap();
    let all: BTreeMap<_, _> = all.into_iter().map(|entry| (entry.key, (entry.value, entry.version))).collect();
    assert_eq!(all, model.entries);
    for (key, entry) in &model.entries {
        assert_eq!(subject.store().get(key).unwrap().as_ref(), Some(entry));
    }
    let queue = subject.store().appended(0, usize::MAX).unwrap();
    let queue: BTreeMap<_, _> = queue.into_iter().map(|record| (record.sequence, record.bytes)).collect();
    assert_eq!(queue, model.queue);
    for (id, revision) in model.ids {
        assert_eq!(subject.store().find(BatchId(id)).unwrap(), Some(revision));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]
    #[test]
    fn memory_agrees_with_the_model(steps in prop::collection::vec(any_step(), 0..40)) {
        agrees_with_the_model(Subject::memory(), steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]
    #[test]
    fn embedded_agrees_with_the_model(steps in prop::collection::vec(any_step(), 0..30)) {
        agrees_with_the_model(Subject::embedded(), steps);
    }
}
