//! The node's audit log: no answer leaves before its record is durable.
//!
//! Every call ends in a record, and the record is appended here and made durable before the answer is sent. Records of
//! calls that change nothing come directly; records of changes were committed in the store with the change, and are pumped
//! from its queue. Closed segments of the log are sealed into CloudTrail log files ([`seal`]) and then removed;
//! [`history`] answers `LookupEvents` from both. A crash between any two of these steps leaves a state from which doing them
//! again goes on: sealing a segment twice writes the same files, and a record that stands twice is answered once.
//!
//! This module moves bytes: it reads of a record only what names its file and what a lookup asks for. It has no clock.

mod filing;
mod frame;
mod group;
pub mod history;
pub mod seal;
mod segment;

pub use group::Receipt;
pub use segment::{Record, Segment, TornTail};

use group::{Active, Group};
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use trail::part::Flaw;

/// How large the log lets its parts become.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A segment this long is closed; it may end longer by one group.
    pub segment_bytes: u64,
    /// Most bytes of records that wait for the disk; what does not fit is refused.
    pub queue_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { segment_bytes: 32 << 20, queue_bytes: 16 << 20 }
    }
}

/// An append-only log of records in numbered segments, `DIR/audit/<12 digits>.log`.
pub struct AuditLog {
    folder: PathBuf,
    group: Group,
    torn: Option<TornTail>,
    /// Held so that no other process writes to the log.
    _lock: Lock,
}

impl AuditLog {
    /// Opens the log in the folder `dir`, and makes it if there is none (folder 0700, files 0600).
    ///
    /// What a crash left half written is cut off ([`AuditLog::torn_tail`]).
    ///
    /// # Errors
    /// [`Error::InUse`] while another process has it open; [`Error::Corrupt`] where the newest segment is damaged before its
    /// tail; [`Error::File`].
    pub fn open(dir: &Path) -> Result<AuditLog, Error> {
        AuditLog::with_limits(dir, Limits::default())
    }

    /// As [`AuditLog::open`], with limits of the caller's own.
    ///
    /// # Errors
    /// As [`AuditLog::open`].
    pub fn with_limits(dir: &Path, limits: Limits) -> Result<AuditLog, Error> {
        let folder = dir.join("audit");
        segment::make_folder(&folder)?;
        let lock = Lock::take(&folder)?;
        let mut numbers = segment::numbers(&folder)?;
        let newest = match numbers.pop() {
            Some(newest) => newest,
            None => {
                segment::create(&folder, 1, 0)?;
                1
            }
        };
        let base = match numbers.last() {
            Some(before) if segment::is_headless(&folder, newest)? => {
                segment::read(&folder, *before, 0..u64::MAX)?.map_or(0, |segment| segment.last_store_sequence())
            }
            _ => 0,
        };
        let recovered = segment::recover(&folder, newest, base)?;
        let active = Active {
            sink: Box::new(recovered.file),
            number: newest,
            length: recovered.length,
            holds_records: recovered.holds_records,
        };
        let closed = numbers.into_iter().collect();
        let group = Group::start(&folder, limits, active, closed, recovered.last_store_sequence)?;
        Ok(AuditLog { folder, group, torn: recovered.torn, _lock: lock })
    }

    /// What was cut off when the log was opened.
    pub fn torn_tail(&self) -> Option<&TornTail> {
        self.torn.as_ref()
    }

    /// Accepts a record; it is durable when the receipt says so.
    ///
    /// # Errors
    /// [`Error::Full`] when too much waits for the disk, [`Error::Size`], and [`Error::Failed`] for ever after a write failed.
    /// The record is then not in the log.
    pub fn append(&self, record: &[u8]) -> Result<Receipt, Error> {
        self.group.append(0, record)
    }

    /// Accepts a record from the store's queue, where it has `sequence`, 1 or more; one that is in already is not taken a
    /// second time, and its receipt is good when it is durable.
    ///
    /// # Assumptions
    /// One caller hands over the queue in order.
    ///
    /// # Errors
    /// As [`AuditLog::append`].
    pub fn append_from_store(&self, sequence: u64, record: &[u8]) -> Result<Receipt, Error> {
        self.group.append(sequence, record)
    }

    /// The highest store sequence that was accepted, 0 for none: the pump goes on after it. When the log is opened, all up
    /// to it is durable; later only the receipts tell.
    pub fn last_store_sequence(&self) -> u64 {
        self.group.last_store_sequence()
    }

    /// Closes the active segment, if it holds a record, and begins the next. Blocks until that is durable.
    ///
    /// # Errors
    /// [`Error::Failed`].
    pub fn rotate(&self) -> Result<(), Error> {
        self.group.rotate()
    }

    /// The segments that will never change again, ascending.
    pub fn closed_segments(&self) -> Vec<u64> {
        self.group.segments().closed.into_iter().collect()
    }

    /// Reads a closed segment.
    ///
    /// # Errors
    /// [`Error::NotClosed`], [`Error::Corrupt`] and [`Error::File`].
    pub fn read(&self, number: u64) -> Result<Segment, Error> {
        let closed = self.group.segments().closed.contains(&number);
        let segment = if closed { segment::read(&self.folder, number, 0..u64::MAX)? } else { None };
        segment.ok_or(Error::NotClosed { number })
    }

    /// Removes a closed segment, whose records are safe elsewhere.
    ///
    /// # Errors
    /// [`Error::NotClosed`] and [`Error::File`].
    pub fn remove(&self, number: u64) -> Result<(), Error> {
        if !self.group.forget(number) {
            return Err(Error::NotClosed { number });
        }
        let path = segment::path(&self.folder, number);
        std::fs::remove_file(&path).map_err(|source| Error::file("remove", &path, source))?;
        segment::sync_folder(&self.folder)
    }

    /// Which segments there are, and how much of the active one is durable.
    fn segments(&self) -> group::Segments {
        self.group.segments()
    }

    /// The durable records at `within`, of any segment; `None` once it was removed.
    fn read_within(&self, number: u64, within: Range<u64>) -> Result<Option<Segment>, Error> {
        segment::read(&self.folder, number, within)
    }
}

/// What makes this process the log's only one.
///
/// Given back in so many words when the log closes: closing the file alone would leave it with a child process that is between
/// its fork and its exec, and the log could not be opened again until then.
#[derive(Debug)]
struct Lock(File);

impl Lock {
    fn take(folder: &Path) -> Result<Lock, Error> {
        let path = folder.join("lock");
        let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = opened.map_err(|source| Error::file("open", &path, source))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock(file)),
            Err(TryLockError::WouldBlock) => Err(Error::InUse { path: folder.to_owned() }),
            Err(TryLockError::Error(source)) => Err(Error::file("lock", &path, source)),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A lock that cannot be given back goes with the file.
        let _ = self.0.unlock();
    }
}

/// What can go wrong with the log and its trail.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder could not be used.
    #[error("cannot {doing} `{path}`: {source}")]
    File {
        /// What was tried.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Another process writes to the log.
    #[error("audit log `{path}` is in use by another process; stop that one first")]
    InUse {
        /// The log's folder.
        path: PathBuf,
    },
    /// Durable bytes have changed, or another version wrote them.
    #[error(
        "audit segment `{path}` is damaged at byte {offset}; restore it, or move it away to go on without its records"
    )]
    Corrupt {
        /// The segment's file.
        path: PathBuf,
        /// Where the first frame that is not whole begins.
        offset: u64,
    },
    /// A record is empty or too long.
    #[error("audit record of {bytes} bytes is not between 1 and {max} bytes long", max = frame::RECORD_BYTES)]
    Size {
        /// The record's length.
        bytes: usize,
    },
    /// More waits for the disk than may.
    #[error("audit log is too busy: {bytes} bytes wait for the disk; try again")]
    Full {
        /// How much waits.
        bytes: usize,
    },
    /// A write failed, now or earlier.
    #[error("the audit log has failed and takes no more records: {cause}")]
    Failed {
        /// The first failure.
        cause: Arc<Error>,
    },
    /// There is no closed segment of this number.
    #[error("audit segment {number} is not a closed segment")]
    NotClosed {
        /// The number.
        number: u64,
    },
    /// A record cannot be filed: it is not JSON, or lacks what names its file.
    #[error("record {index} of audit segment {segment} has no {missing}")]
    Unfiled {
        /// The segment's number.
        segment: u64,
        /// The record's place in it, from 0.
        index: usize,
        /// What it lacks.
        missing: &'static str,
    },
    /// A file of the trail is not a CloudTrail log file.
    #[error("trail file `{path}` is damaged: {what}; restore it, or move it away")]
    Trail {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: Damage,
    },
}

/// What is wrong with a file of the trail.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// It could not be read as a log file.
    #[error(transparent)]
    Flaw(Flaw),
    /// A record in it is no event.
    #[error("record {record} has no time, ID or name")]
    NoEvent {
        /// The record's place, from 1.
        record: u64,
    },
}

impl Error {
    fn file(doing: &'static str, path: &Path, source: io::Error) -> Error {
        Error::File { doing, path: path.to_owned(), source }
    }
}
