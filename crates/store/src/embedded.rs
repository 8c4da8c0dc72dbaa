//! The store in one file: redb, one durable write transaction for each group of batches.
//!
//! Every write transaction, the empty one at open included, is `Durability::Immediate` with quick repair, so that opening
//! after a crash takes milliseconds at any size. Deleted bytes may stay in free pages of the file; secrecy after deletion
//! is the matter of the key that wrapped them, not of this crate.
//!
//! The file holds four tables. `meta`: the format, and the last revision and sequence given out. `entries`: key to version
//! (8 bytes, big-endian) and value. `queue`: sequence to record. `commits`: revision to batch id, for the newest
//! [`REMEMBERED`] batches; it grows at one end and shrinks at the other, which costs a commit less than an index by id, and
//! only an unknown outcome ever searches it.

use crate::batch::{Appended, Batch, BatchId, Entry, Error, Outcome, REMEMBERED, Store, Version};
use redb::{
    Builder, Database, DatabaseError, Durability, ReadTransaction, ReadableDatabase, ReadableTable, StorageBackend,
    Table, TableDefinition, TableError, WriteTransaction,
};
use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The format this version reads and writes.
pub const FORMAT: u64 = 1;

/// Memory for cached pages; the operating system's page cache stands behind it.
const CACHE_BYTES: usize = 256 << 20;

const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
const ENTRIES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("entries");
const QUEUE: TableDefinition<u64, &[u8]> = TableDefinition::new("queue");
const COMMITS: TableDefinition<u64, [u8; 16]> = TableDefinition::new("commits");

const META_FORMAT: &str = "format";
const META_REVISION: &str = "revision";
const META_SEQUENCE: &str = "sequence";

/// Bytes of the version that stands before each value.
const VERSION_BYTES: usize = 8;

/// A store in one file, open in one process at a time.
#[derive(Debug)]
pub struct Embedded {
    database: Database,
}

impl Embedded {
    /// Opens the store in the file `path`, and makes it if there is none (mode 0600, in a folder that exists).
    ///
    /// A new store gets its name only when it is complete on disk, so a crash during the first start leaves nothing that a
    /// second start would trip over.
    ///
    /// # Errors
    /// [`Error::InUse`], [`Error::Foreign`], [`Error::Format`], [`Error::File`], [`Error::Open`], [`Error::Engine`].
    pub fn open(path: &Path) -> Result<Embedded, Error> {
        if !path.try_exists().map_err(|source| file_error("look for", path, source))? {
            make(path)?;
        }
        let database = builder().open(path).map_err(|error| open_error(path, error))?;
        Embedded { database }.admit(path)
    }

    /// Opens the store in `backend`, and makes it if the backend is empty: for tests that cut the power.
    ///
    /// # Errors
    /// As [`Embedded::open`], naming `path` in place of a file.
    pub fn with_backend(backend: impl StorageBackend, path: &Path) -> Result<Embedded, Error> {
        let empty = backend.len().map_err(|source| file_error("read", path, source))? == 0;
        let database = builder().create_with_backend(backend).map_err(|error| open_error(path, error))?;
        let store = Embedded { database };
        if empty {
            store.format()?;
        }
        store.admit(path)
    }

    /// Writes the format record and the empty tables into a new database.
    fn format(&self) -> Result<(), Error> {
        let transaction = self.write()?;
        {
            let mut meta = transaction.open_table(META).map_err(engine)?;
            meta.insert(META_FORMAT, FORMAT).map_err(engine)?;
            meta.insert(META_REVISION, 0).map_err(engine)?;
            meta.insert(META_SEQUENCE, 0).map_err(engine)?;
            transaction.open_table(ENTRIES).map_err(engine)?;
            transaction.open_table(QUEUE).map_err(engine)?;
            transaction.open_table(COMMITS).map_err(engine)?;
        }
        commit(transaction)
    }

    /// Checks the format, then commits an empty transaction, so that the state a repair found is durable before it is used.
    fn admit(self, path: &Path) -> Result<Embedded, Error> {
        let foreign = || Error::Foreign { path: path.to_owned() };
        let reading = self.read()?;
        let meta = match reading.open_table(META) {
            Ok(meta) => meta,
            Err(TableError::Storage(error)) => return Err(engine(error)),
            Err(_) => return Err(foreign()),
        };
        let found = meta.get(META_FORMAT).map_err(engine)?.ok_or_else(foreign)?.value();
        if found != FORMAT {
            return Err(Error::Format { path: path.to_owned(), found, known: FORMAT });
        }
        commit(self.write()?)?;
        Ok(self)
    }

    fn read(&self) -> Result<ReadTransaction, Error> {
        self.database.begin_read().map_err(engine)
    }

    /// The only way a write begins.
    fn write(&self) -> Result<WriteTransaction, Error> {
        let mut transaction = self.database.begin_write().map_err(engine)?;
        transaction.set_durability(Durability::Immediate).map_err(engine)?;
        transaction.set_quick_repair(true);
        Ok(transaction)
    }
}

impl Store for Embedded {
    fn get(&self, key: &[u8]) -> Result<Option<(Vec<u8>, Version)>, Error> {
        let entries = self.read()?.open_table(ENTRIES).map_err(engine)?;
        let stored = entries.get(key).map_err(engine)?;
        Ok(stored.map(|stored| {
            let (version, value) = split(stored.value());
            (value.to_vec(), version)
        }))
    }

    fn scan(&self, from: &[u8], until: &[u8], limit: usize) -> Result<Vec<Entry>, Error> {
        if from >= until {
            return Ok(Vec::new());
        }
        let entries = self.read()?.open_table(ENTRIES).map_err(engine)?;
        let mut found = Vec::new();
        for entry in entries.range(from..until).map_err(engine)?.take(limit) {
            let (key, stored) = entry.map_err(engine)?;
            let (version, value) = split(stored.value());
            found.push(Entry { key: key.value().to_vec(), value: value.to_vec(), version });
        }
        Ok(found)
    }

    fn commit(&self, batches: &[Batch]) -> Result<Vec<Outcome>, Error> {
        batches.iter().try_for_each(Batch::check)?;
        if batches.is_empty() {
            return Ok(Vec::new());
        }
        let transaction = self.write()?;
        let outcomes = {
            let mut tables = Tables::open(&transaction)?;
            let outcomes = batches.iter().map(|batch| tables.apply(batch)).collect::<Result<Vec<Outcome>, Error>>()?;
            tables.close()?;
            outcomes
        };
        if outcomes.iter().any(|outcome| matches!(outcome, Outcome::Committed { .. })) {
            commit(transaction)?;
        } else {
            transaction.abort().map_err(engine)?;
        }
        Ok(outcomes)
    }

    fn find(&self, id: BatchId) -> Result<Option<Version>, Error> {
        let commits = self.read()?.open_table(COMMITS).map_err(engine)?;
        for entry in commits.iter().map_err(engine)?.rev() {
            let (revision, committed) = entry.map_err(engine)?;
            if committed.value() == id.0 {
                return Ok(Some(revision.value()));
            }
        }
        Ok(None)
    }

    fn appended(&self, after: u64, limit: usize) -> Result<Vec<Appended>, Error> {
        let Some(first) = after.checked_add(1) else { return Ok(Vec::new()) };
        let queue = self.read()?.open_table(QUEUE).map_err(engine)?;
        let mut found = Vec::new();
        for entry in queue.range(first..).map_err(engine)?.take(limit) {
            let (sequence, bytes) = entry.map_err(engine)?;
            found.push(Appended { sequence: sequence.value(), bytes: bytes.value().to_vec() });
        }
        Ok(found)
    }

    fn trim(&self, through: u64) -> Result<(), Error> {
        let transaction = self.write()?;
        transaction.open_table(QUEUE).map_err(engine)?.retain_in(..=through, |_, _| false).map_err(engine)?;
        commit(transaction)
    }
}

/// The tables of one write transaction, with the counters that its batches move on.
struct Tables<'a> {
    meta: Table<'a, &'static str, u64>,
    entries: Table<'a, &'static [u8], &'static [u8]>,
    queue: Table<'a, u64, &'static [u8]>,
    commits: Table<'a, u64, [u8; 16]>,
    revision: Version,
    sequence: u64,
}

impl<'a> Tables<'a> {
    fn open(transaction: &'a WriteTransaction) -> Result<Tables<'a>, Error> {
        let meta = transaction.open_table(META).map_err(engine)?;
        let counter = |name| Ok(meta.get(name).map_err(engine)?.map_or(0, |value| value.value()));
        let (revision, sequence) = (counter(META_REVISION)?, counter(META_SEQUENCE)?);
        Ok(Tables {
            meta,
            entries: transaction.open_table(ENTRIES).map_err(engine)?,
            queue: transaction.open_table(QUEUE).map_err(engine)?,
            commits: transaction.open_table(COMMITS).map_err(engine)?,
            revision,
            sequence,
        })
    }

    /// Applies one batch that is within the limits, seeing those before it.
    fn apply(&mut self, batch: &Batch) -> Result<Outcome, Error> {
        for (key, expected) in &batch.expect {
            let version = self.entries.get(key.as_slice()).map_err(engine)?.map(|stored| split(stored.value()).0);
            if version != *expected {
                return Ok(Outcome::Conflict { key: key.clone() });
            }
        }
        self.revision += 1;
        for (key, value) in &batch.put {
            let mut stored =
                self.entries.insert_reserve(key.as_slice(), VERSION_BYTES + value.len()).map_err(engine)?;
            let (version, bytes) = stored.as_mut().split_at_mut(VERSION_BYTES);
            version.copy_from_slice(&self.revision.to_be_bytes());
            bytes.copy_from_slice(value);
        }
        for key in &batch.delete {
            self.entries.remove(key.as_slice()).map_err(engine)?;
        }
        for bytes in &batch.append {
            self.sequence += 1;
            self.queue.insert(self.sequence, bytes.as_slice()).map_err(engine)?;
        }
        self.commits.insert(self.revision, batch.id.0).map_err(engine)?;
        if let Some(forgotten) = self.revision.checked_sub(REMEMBERED) {
            self.commits.remove(forgotten).map_err(engine)?;
        }
        Ok(Outcome::Committed { revision: self.revision })
    }

    /// Writes the counters back.
    fn close(mut self) -> Result<(), Error> {
        self.meta.insert(META_REVISION, self.revision).map_err(engine)?;
        self.meta.insert(META_SEQUENCE, self.sequence).map_err(engine)?;
        Ok(())
    }
}

/// Makes a complete, empty store under another name, then gives it the name `path`.
///
/// The folder is locked meanwhile, so two processes that start at once do not build on each other's draft.
fn make(path: &Path) -> Result<(), Error> {
    let folder_path = folder_of(path);
    let folder = File::open(folder_path).map_err(|source| file_error("open", folder_path, source))?;
    folder.lock().map_err(|source| file_error("lock", folder_path, source))?;
    if path.try_exists().map_err(|source| file_error("look for", path, source))? {
        return Ok(());
    }
    let draft = draft_of(path);
    match fs::remove_file(&draft) {
        Err(source) if source.kind() != ErrorKind::NotFound => return Err(file_error("remove", &draft, source)),
        _ => {}
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .map_err(|source| file_error("make", &draft, source))?;
    let database = builder().create(&draft).map_err(|error| open_error(&draft, error))?;
    // Dropped, and so closed, before it gets its name.
    Embedded { database }.format()?;
    fs::rename(&draft, path).map_err(|source| file_error("name the new store", path, source))?;
    folder.sync_all().map_err(|source| file_error("sync", folder_path, source))
}

fn draft_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// Makes a write durable. A failure here leaves open whether it became so.
fn commit(transaction: WriteTransaction) -> Result<(), Error> {
    transaction.commit().map_err(|error| Error::Unknown { source: Box::new(error.into()) })
}

/// A stored value's version and the value itself.
fn split(stored: &[u8]) -> (Version, &[u8]) {
    let (version, value) = stored.split_first_chunk().expect("every stored value starts with its version");
    (Version::from_be_bytes(*version), value)
}

fn engine(error: impl Into<redb::Error>) -> Error {
    Error::Engine { source: Box::new(error.into()) }
}

fn open_error(path: &Path, error: DatabaseError) -> Error {
    match error {
        DatabaseError::DatabaseAlreadyOpen => Error::InUse { path: path.to_owned() },
        error => Error::Open { path: path.to_owned(), source: Box::new(error) },
    }
}

fn file_error(doing: &'static str, path: &Path, source: std::io::Error) -> Error {
    Error::File { doing, path: path.to_owned(), source }
}
