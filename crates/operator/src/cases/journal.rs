//! A case's journal as it was read: its entries, and the chain that ties them together.

use procedure::{Digest, Entry};

use super::CaseId;
use super::chain::{self, Broken};

/// The entries of one case, checked.
#[derive(Debug, Clone)]
pub struct Journal {
    case: CaseId,
    entries: Vec<Entry>,
    hashes: Vec<Digest>,
    torn: bool,
}

/// What is wrong with a journal, at which entry.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The file of an entry cannot be read as one.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The entry has another number than its file.
    #[error("it says that it is entry {said}")]
    Number {
        /// What it says.
        said: u32,
    },
    /// The entry was written after another one than the one before it.
    #[error("it was written after an entry with the hash {said}, and the one before it has {is}")]
    Chain {
        /// What it says of the one before.
        said: Digest,
        /// What the one before is.
        is: Digest,
    },
    /// The entry is of a version that is not known here, or of none.
    #[error("{0}")]
    Entry(#[source] serde_json::Error),
    /// The opening is of another case: a folder was copied or renamed.
    #[error("it opens case `{said}`")]
    OtherCase {
        /// What it says.
        said: String,
    },
    /// Entries after this number are there, and it is not.
    #[error("it is missing, and later ones are there")]
    Missing,
}

impl Journal {
    /// The journal of a case that has no entries yet.
    pub fn empty(case: CaseId) -> Journal {
        Journal { case, entries: Vec::new(), hashes: Vec::new(), torn: false }
    }

    /// Takes up the next file's content.
    ///
    /// # Errors
    /// [`Fault`] where it is not the entry that follows. A torn file is one only if it is not the `last`.
    pub(super) fn take(&mut self, bytes: &[u8], last: bool) -> Result<(), Fault> {
        let link = match chain::open(bytes) {
            Err(Broken::Torn) if last => {
                self.torn = true;
                return Ok(());
            }
            link => link?,
        };
        if link.sequence != self.next() {
            return Err(Fault::Number { said: link.sequence });
        }
        if link.previous != self.head() {
            return Err(Fault::Chain { said: link.previous, is: self.head() });
        }
        let entry: Entry = serde_json::from_str(link.entry.get()).map_err(Fault::Entry)?;
        if let procedure::Fact::Opened(opening) = &entry.fact
            && opening.case != self.case.to_string()
        {
            return Err(Fault::OtherCase { said: opening.case.clone() });
        }
        self.push(entry, link.sha256);
        Ok(())
    }

    pub(super) fn push(&mut self, entry: Entry, sha256: Digest) {
        self.entries.push(entry);
        self.hashes.push(sha256);
        self.torn = false;
    }

    /// Which case it is of.
    pub fn case(&self) -> CaseId {
        self.case
    }

    /// The entries, oldest first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The hash of each entry, in the same order.
    pub fn hashes(&self) -> &[Digest] {
        &self.hashes
    }

    /// The hash that stands for the whole journal: of its last entry, or zeros.
    pub fn head(&self) -> Digest {
        self.hashes.last().copied().unwrap_or_else(chain::genesis)
    }

    /// The number that the next entry gets.
    pub fn next(&self) -> u32 {
        u32::try_from(self.entries.len()).map_or(u32::MAX, |len| len.saturating_add(1))
    }

    /// Whether a crash of the machine left half of the last entry behind. The next one to be written takes its place.
    pub fn is_torn(&self) -> bool {
        self.torn
    }
}
