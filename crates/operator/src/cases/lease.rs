//! One runner at a time takes steps towards loss in a case.
//!
//! Two runners are already kept from writing the same journal entry twice; the lease keeps the second from starting at all
//! while the first is between its intent and its act. It is a lock of the operating system, so a runner that dies lets go of it.
//! Steps towards safety never ask for it.

use std::fs::File;
use std::io;
use std::path::Path;

/// The right to act towards loss in one case; given back when dropped.
#[derive(Debug)]
pub struct Lease {
    locked: File,
}

impl Lease {
    /// Takes the lease of the case in `folder`; `None` while another runner holds it.
    ///
    /// # Errors
    /// Where the lock file cannot be made or locked.
    pub(crate) fn take(folder: &Path) -> io::Result<Option<Lease>> {
        let file = super::files::private().create(true).truncate(false).write(true).open(folder.join("lease"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lease { locked: file })),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // In so many words: closing the file alone would leave the lock with a child process that is between its fork and its
        // exec. A lock that cannot be given back goes with the file.
        let _ = self.locked.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holds_it_and_the_next_gets_it_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lease::take(folder.path()).unwrap().unwrap();
        assert!(Lease::take(folder.path()).unwrap().is_none());
        drop(first);
        assert!(Lease::take(folder.path()).unwrap().is_some());
    }
}
