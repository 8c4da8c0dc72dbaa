//! The keyring: root keys in epochs, which wrap all key material.
//!
//! It lives apart from the store, because a store cannot forget: engines, logs, snapshots and backups keep deleted bytes. To make
//! old copies of deleted keys unreadable: [`Keyring::begin_epoch`], wrap the surviving material again, then
//! [`Keyring::destroy_epoch`]. What was deleted before is now wrapped by a root key that is nowhere.
//!
//! **Guarantees.** A root key that wrapped anything was on disk before: an epoch counts only once its file is durable. The file is
//! replaced whole or not at all; a replaced file is overwritten before it is let go.
//!
//! **Assumptions.** One process changes a keyring at a time; it is that process's duty that nothing needed is wrapped in an epoch
//! that it destroys. The keyring's own backups are destroyed by those who made them.
//!
//! **Caveats.** Overwriting reaches the blocks only where the file system writes in place: not on copy-on-write file systems, and
//! not what an SSD has remapped. Put the keyring on an encrypted volume where that matters.

mod file;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use zeroize::Zeroizing;

use crate::aead::{Aead, Secret};
use crate::error::Error;
use crate::material::{KeyMaterial, WrappedMaterial};
use file::KeyringFile;

/// How many epochs a keyring may hold at a time: one a day for more than two years with none destroyed.
pub(crate) const MAX_EPOCHS: usize = 1000;

/// The number of a root key: 1 for the first, and never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u32);

impl fmt::Display for Epoch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// Root keys, the newest of which wraps.
///
/// Bound on use: none that matters; like blobs, each wrapping has an AES-256-GCM key of its own (module `aead`).
pub struct Keyring {
    epochs: RwLock<Epochs>,
    /// `None` for a keyring that ends with its process.
    file: Option<KeyringFile>,
}

impl Keyring {
    /// Makes a keyring with its first epoch, at `path`, mode 0600. It is durable when this returns.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] where there is something at `path`; [`Error::Io`].
    pub fn create(path: impl AsRef<Path>) -> Result<Keyring, Error> {
        let epochs = Epochs::first();
        let file = KeyringFile::create(path.as_ref(), &epochs)?;
        Ok(Keyring { epochs: RwLock::new(epochs), file: Some(file) })
    }

    /// Opens the keyring at `path`.
    ///
    /// # Errors
    /// [`Error::Exposed`] where others may read or write the file, [`Error::Damaged`] and [`Error::UnknownVersion`] where it
    /// does not read as a keyring, [`Error::Io`].
    pub fn open(path: impl AsRef<Path>) -> Result<Keyring, Error> {
        let (file, epochs) = KeyringFile::open(path.as_ref())?;
        Ok(Keyring { epochs: RwLock::new(epochs), file: Some(file) })
    }

    /// A keyring that is never written down: what it wraps is lost when it is dropped.
    pub fn in_memory() -> Keyring {
        Keyring { epochs: RwLock::new(Epochs::first()), file: None }
    }

    /// Wraps `material` under the current root key, bound to `aad`: something that names the key it belongs to.
    pub fn wrap(&self, material: &KeyMaterial, aad: &[u8]) -> WrappedMaterial {
        let root = self.read(|epochs| epochs.current());
        WrappedMaterial::build(root.epoch, material.expose().len(), |bytes| {
            let bound = [bytes.as_slice(), aad].concat();
            root.aead.seal(&bound, material.expose(), bytes);
        })
    }

    /// Unwraps what [`Keyring::wrap`] made with the same `aad`, in any epoch that is not destroyed.
    ///
    /// # Errors
    /// [`Error::NoSuchEpoch`] where its root key is gone, [`Error::Tampered`] where it or `aad` is not what was wrapped.
    pub fn unwrap(&self, wrapped: &WrappedMaterial, aad: &[u8]) -> Result<KeyMaterial, Error> {
        let epoch = wrapped.epoch();
        let root = self.read(|epochs| epochs.roots.get(&epoch).cloned()).ok_or(Error::NoSuchEpoch { epoch })?;
        let (prefix, sealed) = wrapped.split();
        let secret = root.aead.open(&[prefix, aad].concat(), sealed)?;
        Ok(KeyMaterial::from_bytes(secret).expect("the length of wrapped material was checked"))
    }

    /// As [`Keyring::wrap`], for a secret that is no key material: a password, 1 to 4096 bytes.
    ///
    /// # Errors
    /// [`Error::Malformed`] where it is of another length.
    pub fn wrap_secret(&self, secret: &[u8], aad: &[u8]) -> Result<WrappedMaterial, Error> {
        let material = KeyMaterial::from_bytes(Zeroizing::new(secret.to_vec())).ok_or(Error::Malformed)?;
        Ok(self.wrap(&material, aad))
    }

    /// Unwraps what [`Keyring::wrap_secret`] made.
    ///
    /// # Errors
    /// As [`Keyring::unwrap`].
    pub fn unwrap_secret(&self, wrapped: &WrappedMaterial, aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        Ok(Zeroizing::new(self.unwrap(wrapped, aad)?.expose().to_vec()))
    }

    /// The epoch that wraps now. Material of any other should be wrapped again before the other is destroyed.
    pub fn current_epoch(&self) -> Epoch {
        self.read(|epochs| epochs.current().epoch)
    }

    /// The epochs whose root keys exist, ascending.
    pub fn epochs(&self) -> Vec<Epoch> {
        self.read(|epochs| epochs.roots.keys().copied().collect())
    }

    /// Adds a new root key, which wraps from now on; the others still unwrap. It is durable when this returns.
    ///
    /// # Errors
    /// [`Error::TooManyEpochs`], [`Error::ChangedMeanwhile`], [`Error::Io`]; the keyring then goes on as it was.
    pub fn begin_epoch(&self) -> Result<Epoch, Error> {
        self.change(|epochs| epochs.begin())
    }

    /// Destroys the root key of `epoch`: whatever it wrapped, wherever copies of it lie, can never be read again.
    ///
    /// Destroying an epoch that is already destroyed succeeds, so that it can be tried again.
    ///
    /// # Errors
    /// [`Error::CurrentEpoch`] for the one that wraps, [`Error::NoSuchEpoch`] for one that never was,
    /// [`Error::ChangedMeanwhile`], [`Error::Io`].
    pub fn destroy_epoch(&self, epoch: Epoch) -> Result<(), Error> {
        self.change(|epochs| epochs.destroy(epoch))
    }

    /// Tries `edit` on a copy; only when that is durable does it become what this keyring holds.
    fn change<T>(&self, edit: impl FnOnce(&mut Epochs) -> Result<T, Error>) -> Result<T, Error> {
        let mut epochs = self.epochs.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = epochs.clone();
        let done = edit(&mut next)?;
        if let Some(file) = &self.file {
            file.replace(&epochs, &next)?;
        }
        *epochs = next;
        Ok(done)
    }

    fn read<T>(&self, look: impl FnOnce(&Epochs) -> T) -> T {
        // A panic while the lock was held cannot have left half a change: `change` assigns the whole.
        look(&self.epochs.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The root keys there are. Copies share them, so that no secret is copied.
#[derive(Clone)]
struct Epochs {
    /// INVARIANT: never empty, and the last is the newest epoch ever begun.
    roots: BTreeMap<Epoch, Arc<Root>>,
}

impl Epochs {
    fn first() -> Epochs {
        Epochs { roots: BTreeMap::from([(Epoch(1), Root::new(Epoch(1), Secret::generate()))]) }
    }

    fn current(&self) -> Arc<Root> {
        let (_, root) = self.roots.last_key_value().expect("a keyring is never empty");
        root.clone()
    }

    fn begin(&mut self) -> Result<Epoch, Error> {
        let next = self.current().epoch.0.checked_add(1).map(Epoch);
        let epoch = next.filter(|_| self.roots.len() < MAX_EPOCHS).ok_or(Error::TooManyEpochs)?;
        self.roots.insert(epoch, Root::new(epoch, Secret::generate()));
        Ok(epoch)
    }

    fn destroy(&mut self, epoch: Epoch) -> Result<(), Error> {
        let current = self.current().epoch;
        if epoch == current {
            return Err(Error::CurrentEpoch { epoch });
        }
        if epoch.0 == 0 || epoch > current {
            return Err(Error::NoSuchEpoch { epoch });
        }
        self.roots.remove(&epoch);
        Ok(())
    }
}

/// One root key: its bytes to write the file from, and prepared to wrap.
struct Root {
    epoch: Epoch,
    secret: Secret,
    aead: Aead,
}

impl Root {
    fn new(epoch: Epoch, secret: Secret) -> Arc<Root> {
        let aead = Aead::new(&secret);
        Arc::new(Root { epoch, secret, aead })
    }
}

#[cfg(test)]
mod tests;
