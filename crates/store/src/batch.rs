//! The contract: what a batch is, what a store promises about it, and what can go wrong.
//!
//! *Guarantees*, of every implementation:
//! - A batch is applied whole or not at all, and a committed one survives the loss of power.
//! - A batch whose expectations do not hold changes nothing; it leaves no revision, no queue entry and no id behind.
//! - Revisions and queue sequences only rise. Neither is ever used a second time, not after [`Store::trim`] either, and not
//!   after a restart.
//! - A read sees one committed state, never the middle of a commit.
//!
//! *Assumptions*: ids are unique (16 random bytes); a store has one writer process at a time.

use std::path::PathBuf;

/// The revision at which a value was last written; 1 or more.
///
/// Every committed batch takes the next revision, so a version names one write for ever: a key that is deleted and put
/// again never comes back to a version it had.
pub type Version = u64;

/// Longest key, in bytes; the shortest is 1.
pub const KEY_BYTES: usize = 1024;
/// Most bytes in one batch: keys, values and appended records together. etcd refuses a request above 1.5 MiB.
pub const BATCH_BYTES: usize = 1 << 20;
/// Most expectations in one batch. etcd refuses a 129th operation.
pub const BATCH_EXPECTS: usize = 128;
/// Most writes in one batch: puts, deletes and appends together. etcd refuses a 129th operation.
pub const BATCH_WRITES: usize = 128;
/// How many committed batches [`Store::find`] remembers, counted back from the newest.
pub const REMEMBERED: u64 = 4096;

/// The name of one attempt to commit, chosen by the caller: random, so that no two batches share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BatchId(pub [u8; 16]);

/// Everything one operation changes, or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// What [`Store::find`] looks for when the outcome of the commit is not known.
    pub id: BatchId,
    /// What must still be true: key, and the version that was read; `None` where there was no such key. No key twice.
    pub expect: Vec<(Vec<u8>, Option<Version>)>,
    /// Keys and their new values. No key twice, and none that is also deleted.
    pub put: Vec<(Vec<u8>, Vec<u8>)>,
    /// Keys to remove. One that is not there is no error; say so in `expect` if it matters.
    pub delete: Vec<Vec<u8>>,
    /// Records for the queue, in order.
    pub append: Vec<Vec<u8>>,
}

impl Batch {
    /// A batch that changes nothing yet.
    pub fn new(id: BatchId) -> Batch {
        Batch { id, expect: Vec::new(), put: Vec::new(), delete: Vec::new(), append: Vec::new() }
    }

    /// Holds the batch to the limits of the contract.
    ///
    /// [`Store::commit`] checks too, but refuses its whole group for one bad batch; who groups the batches of several
    /// callers checks each before it joins.
    ///
    /// # Errors
    /// The first limit that is broken.
    pub fn check(&self) -> Result<(), Error> {
        let writes = self.put.len() + self.delete.len() + self.append.len();
        if self.expect.len() > BATCH_EXPECTS {
            return Err(Error::Expects { count: self.expect.len() });
        }
        if writes > BATCH_WRITES {
            return Err(Error::Writes { count: writes });
        }
        check_keys(self.expect.iter().map(|(key, _)| key))?;
        check_keys(self.put.iter().map(|(key, _)| key).chain(&self.delete))?;

        let expected: usize = self.expect.iter().map(|(key, _)| key.len()).sum();
        let put: usize = self.put.iter().map(|(key, value)| key.len() + value.len()).sum();
        let deleted: usize = self.delete.iter().map(Vec::len).sum();
        let appended: usize = self.append.iter().map(Vec::len).sum();
        let bytes = expected + put + deleted + appended;
        if bytes > BATCH_BYTES { Err(Error::Bytes { bytes }) } else { Ok(()) }
    }
}

/// Every key has a legal length and none comes twice.
fn check_keys<'a>(keys: impl Iterator<Item = &'a Vec<u8>>) -> Result<(), Error> {
    let mut keys: Vec<&[u8]> = keys.map(Vec::as_slice).collect();
    if let Some(key) = keys.iter().find(|key| key.is_empty() || key.len() > KEY_BYTES) {
        return Err(Error::KeyLength { bytes: key.len() });
    }
    keys.sort_unstable();
    match keys.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Error::KeyTwice { key: pair[0].to_vec() }),
        None => Ok(()),
    }
}

/// What became of one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is durable.
    Committed {
        /// The version of everything it put.
        revision: Version,
    },
    /// An expectation did not hold, and nothing changed.
    Conflict {
        /// The first key, in the order of [`Batch::expect`], that had another version.
        key: Vec<u8>,
    },
}

/// One key with its value, as a scan sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
    /// The revision that wrote the value.
    pub version: Version,
}

/// One record of the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// Its place: 1 for the first record ever appended, and rising by 1.
    pub sequence: u64,
    /// The record.
    pub bytes: Vec<u8>,
}

/// An ordered key-value store with check-and-set commits and a queue.
pub trait Store: Send + Sync {
    /// The value of `key` and its version; `None` where there is no such key.
    ///
    /// # Errors
    /// [`Error::Engine`] when the storage cannot be read.
    fn get(&self, key: &[u8]) -> Result<Option<(Vec<u8>, Version)>, Error>;

    /// The entries with `from <= key < until`, ascending, at most `limit`, all from one committed state.
    ///
    /// The next page starts at the last key with a zero byte appended; it may see a later state.
    ///
    /// # Errors
    /// [`Error::Engine`] when the storage cannot be read.
    fn scan(&self, from: &[u8], until: &[u8], limit: usize) -> Result<Vec<Entry>, Error>;

    /// Commits several batches in one durable write; each sees the ones before it, and a conflicting one changes nothing.
    ///
    /// The outcomes are in the order of the batches.
    ///
    /// # Errors
    /// - A broken limit ([`Batch::check`]) of any batch: none of them was committed.
    /// - [`Error::Engine`]: none of them was committed.
    /// - [`Error::Unknown`]: it cannot be told whether they were; all of them or none. Ask [`Store::find`].
    fn commit(&self, batches: &[Batch]) -> Result<Vec<Outcome>, Error>;

    /// The revision that the batch `id` was committed at, if it was, among the last [`REMEMBERED`] batches.
    ///
    /// # Errors
    /// [`Error::Engine`] when the storage cannot be read.
    fn find(&self, id: BatchId) -> Result<Option<Version>, Error>;

    /// The queue's records with a sequence above `after`, ascending, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Engine`] when the storage cannot be read.
    fn appended(&self, after: u64, limit: usize) -> Result<Vec<Appended>, Error>;

    /// Forgets the queue's records up to and including sequence `through`: they are safe elsewhere.
    ///
    /// # Errors
    /// [`Error::Engine`] or [`Error::Unknown`]; trimming again is harmless.
    fn trim(&self, through: u64) -> Result<(), Error>;
}

/// What can go wrong in a store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key is empty or too long.
    #[error("key of {bytes} bytes is not between 1 and {KEY_BYTES} bytes long")]
    KeyLength {
        /// The key's length.
        bytes: usize,
    },
    /// A batch expects, or writes, one key twice.
    #[error("key `{}` comes twice in one batch", key.escape_ascii())]
    KeyTwice {
        /// The key.
        key: Vec<u8>,
    },
    /// A batch has too many expectations.
    #[error("batch of {count} expectations has more than {BATCH_EXPECTS}")]
    Expects {
        /// How many it has.
        count: usize,
    },
    /// A batch has too many puts, deletes and appends.
    #[error("batch of {count} writes has more than {BATCH_WRITES}")]
    Writes {
        /// How many it has.
        count: usize,
    },
    /// A batch is too large.
    #[error("batch of {bytes} bytes is larger than {BATCH_BYTES}")]
    Bytes {
        /// Its keys, values and records together.
        bytes: usize,
    },
    /// Another process has the store open.
    #[error("store `{path}` is in use by another process; stop that one first")]
    InUse {
        /// The store's file.
        path: PathBuf,
    },
    /// The file is a database, but not one that this crate made.
    #[error("`{path}` is not a Quietus store; give the path of one, or of a file that does not exist yet")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The store was written in a format that this version does not know.
    #[error("store `{path}` has format {found}, and this version reads format {known}; use the version that wrote it")]
    Format {
        /// The store's file.
        path: PathBuf,
        /// The format it says it has.
        found: u64,
        /// The format this version reads and writes.
        known: u64,
    },
    /// A file could not be made, opened or named.
    #[error("cannot {doing} `{path}`: {source}")]
    File {
        /// What was tried.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The file is damaged or no database at all.
    #[error("cannot open store `{path}`: {source}")]
    Open {
        /// The store's file.
        path: PathBuf,
        /// What the engine says.
        source: Box<redb::DatabaseError>,
    },
    /// The storage failed, and nothing was changed. After a failed read or write the store refuses further work until it
    /// is opened again.
    #[error("storage failed: {source}")]
    Engine {
        /// What the engine says.
        source: Box<redb::Error>,
    },
    /// The storage failed in the middle of a commit, which may or may not have become durable. Open the store again and
    /// look for the batch's id.
    #[error("storage failed during a commit, whose outcome is not known: {source}")]
    Unknown {
        /// What the engine says.
        source: Box<redb::Error>,
    },
}
