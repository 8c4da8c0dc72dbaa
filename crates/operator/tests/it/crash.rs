//! Processes that die: at the n-th thing they do, whatever it is, and from then on do nothing at all.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use operator::cases::{CaseId, Cases, Error, Folder, Journal, Lease};
use procedure::Entry;

/// Counts what a process does, and ends it.
#[derive(Clone)]
pub(crate) struct Fuse(Arc<AtomicI64>);

impl Fuse {
    /// More steps than any process takes.
    pub(crate) const MANY: i64 = 1 << 40;

    /// A process that dies at its n-th step.
    pub(crate) fn of(steps: i64) -> Fuse {
        Fuse(Arc::new(AtomicI64::new(steps)))
    }

    /// A process that lives.
    pub(crate) fn never() -> Fuse {
        Fuse::of(Fuse::MANY)
    }

    /// One more step; whether the process is dead.
    pub(crate) fn blow(&self) -> bool {
        self.0.fetch_sub(1, Ordering::SeqCst) <= 0
    }

    pub(crate) fn is_blown(&self) -> bool {
        self.0.load(Ordering::SeqCst) < 0
    }

    /// How many steps a process with [`Fuse::MANY`] has taken.
    pub(crate) fn burnt(&self) -> i64 {
        Fuse::MANY - self.0.load(Ordering::SeqCst)
    }
}

/// A folder of cases, as a process with a fuse sees it.
pub(crate) struct Mortal<'a> {
    pub(crate) folder: &'a Folder,
    pub(crate) fuse: Fuse,
}

impl Mortal<'_> {
    fn live(&self) -> Result<(), Error> {
        if self.fuse.is_blown() { Err(dead()) } else { Ok(()) }
    }
}

fn dead() -> Error {
    Error::Io { path: PathBuf::from("the process is dead"), source: io::ErrorKind::Interrupted.into() }
}

impl Cases for Mortal<'_> {
    fn list(&self) -> Result<Vec<CaseId>, Error> {
        self.live()?;
        self.folder.list()
    }

    fn allocate(&self, year: u16) -> Result<CaseId, Error> {
        self.live()?;
        self.folder.allocate(year)
    }

    fn read(&self, case: CaseId) -> Result<Journal, Error> {
        self.live()?;
        self.folder.read(case)
    }

    fn refresh(&self, journal: &mut Journal) -> Result<(), Error> {
        self.live()?;
        self.folder.refresh(journal)
    }

    fn append(&self, journal: &mut Journal, entry: Entry) -> Result<(), Error> {
        if self.fuse.blow() {
            return Err(dead());
        }
        self.folder.append(journal, entry)?;
        // Written, and nobody was told.
        if self.fuse.blow() { Err(dead()) } else { Ok(()) }
    }

    fn lease(&self, case: CaseId) -> Result<Option<Lease>, Error> {
        self.live()?;
        self.folder.lease(case)
    }

    fn keep(&self, case: CaseId, name: &str, bytes: &[u8]) -> Result<(), Error> {
        if self.fuse.blow() {
            return Err(dead());
        }
        self.folder.keep(case, name, bytes)
    }

    fn kept(&self, case: CaseId, name: &str) -> Result<Vec<u8>, Error> {
        self.live()?;
        self.folder.kept(case, name)
    }

    fn notebook(&self, _: CaseId) -> Option<PathBuf> {
        None
    }
}
