//! Where cases are kept: one folder each, with the journal as numbered files that are never changed.
//!
//! ```text
//! CASES/QC-2026-0001/000001.json …   the journal, one entry a file (chain.rs)
//!                    evidence/…      what decisions rest on, by digest
//!                    capsule-….json  what dies with the key
//!                    events.jsonl    events of the key that were seen, beyond the time that the source keeps them
//!                    lease           the lock of the runner that acts
//! ```
//!
//! *Guarantees*: an entry is there whole or not at all, and durable when [`Cases::append`] returns; two runners never write the
//! same number: the second is told, reads again and decides again. *Assumptions*: the file system has hard links and locks.

mod chain;
mod files;
mod folder;
mod id;
mod journal;
mod lease;

use std::io;
use std::path::PathBuf;

use procedure::Entry;

pub use chain::{Broken, MAX_LINK_BYTES};
pub(crate) use files::{make_folders, publish_over};
pub use folder::Folder;
pub use id::{CaseId, InvalidCaseId};
pub use journal::{Fault, Journal};
pub use lease::Lease;

/// Most entries of one case; ten a day for thirty years. (Ours.)
pub const MAX_ENTRIES: u32 = 100_000;

/// What keeps cases. [`Folder`] does; tests put one before it that fails where they want.
pub trait Cases: Sync {
    /// The cases there are, oldest first.
    ///
    /// # Errors
    /// Where they cannot be listed.
    fn list(&self) -> Result<Vec<CaseId>, Error>;

    /// A new case of that year, for the caller alone. Its journal is empty.
    ///
    /// # Errors
    /// Where it cannot be made.
    fn allocate(&self, year: u16) -> Result<CaseId, Error>;

    /// The journal of a case, read to its end and checked. Changes nothing.
    ///
    /// # Errors
    /// [`Error::NoSuchCase`]; [`Error::Journal`] naming the entry at which the chain breaks.
    fn read(&self, case: CaseId) -> Result<Journal, Error>;

    /// Reads on from where `journal` ends. What was read before is not read again.
    ///
    /// # Errors
    /// As [`Cases::read`].
    fn refresh(&self, journal: &mut Journal) -> Result<(), Error>;

    /// Writes the next entry, durably, and takes it up in `journal`.
    ///
    /// # Errors
    /// [`Error::Taken`] if another runner has written that number first: read again and decide again.
    fn append(&self, journal: &mut Journal, entry: Entry) -> Result<(), Error>;

    /// The right to act towards loss; `None` while another runner has it.
    ///
    /// # Errors
    /// Where it cannot be asked for.
    fn lease(&self, case: CaseId) -> Result<Option<Lease>, Error>;

    /// Keeps a file beside the journal, durably and readable again. A file of that name and content may be there already.
    ///
    /// # Errors
    /// [`Error::Kept`] if a file of that name and another content is there.
    fn keep(&self, case: CaseId, name: &str, bytes: &[u8]) -> Result<(), Error>;

    /// A file that was kept.
    ///
    /// # Errors
    /// Where it is not there or cannot be read.
    fn kept(&self, case: CaseId, name: &str) -> Result<Vec<u8>, Error>;

    /// Where the events that were seen of the case's key may be remembered.
    fn notebook(&self, case: CaseId) -> Option<PathBuf>;
}

/// Why a case could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("cannot use `{}`: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// There is no such case.
    #[error("case `{case}` is not in `{}`; `quietus case list` shows those that are", within.display())]
    NoSuchCase {
        /// The case.
        case: CaseId,
        /// Where it was looked for.
        within: PathBuf,
    },
    /// The journal is not what was written.
    #[error("journal entry `{}` cannot be trusted: {fault}; restore the folder from a copy", entry.display())]
    Journal {
        /// The entry's file.
        entry: PathBuf,
        /// What is wrong.
        fault: Fault,
    },
    /// Another runner has written the next entry.
    #[error("another runner has written entry {sequence} of case `{case}` just now; look at the case again")]
    Taken {
        /// The case.
        case: CaseId,
        /// The number that both wanted.
        sequence: u32,
    },
    /// Another file of that name is kept.
    #[error("`{}` is there already, with another content", path.display())]
    Kept {
        /// The file.
        path: PathBuf,
    },
    /// The entry is larger than one may be.
    #[error("a journal entry of {bytes} bytes is larger than {MAX_LINK_BYTES}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The case has as many entries as it may have.
    #[error("case `{case}` has {MAX_ENTRIES} journal entries, and takes no more; abandon it and open another")]
    Full {
        /// The case.
        case: CaseId,
    },
}
