//! What can go wrong with keys, with sealed bytes and with the keyring's file.

use std::io;
use std::path::PathBuf;

use api::KeySpec;

use crate::keyring::{Epoch, MAX_EPOCHS};

/// Why bytes did not open, why a key could not be used, or why the keyring could not be read or changed.
///
/// The first two are what a caller of KMS can bring about, and both mean `InvalidCiphertextException`; all others are the
/// operator's.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes are no ciphertext blob or wrapped material: too short, or of an unknown version.
    #[error("not a ciphertext of this service: wrong length or unknown version")]
    Malformed,
    /// The bytes, or what they were bound to (header, encryption context, additional data), are not what was sealed.
    #[error("the ciphertext, or what it is bound to, is not what was sealed")]
    Tampered,
    /// A key spec or algorithm that has no implementation here, or that the material does not have.
    #[error("key spec {spec} does not offer this")]
    Unsupported {
        /// The key spec.
        spec: KeySpec,
    },
    /// A digest was to be signed or verified that has not the length of the signing algorithm's.
    #[error("a digest of {bytes} bytes is to be signed, and the algorithm's has {right}")]
    DigestLength {
        /// How long it is.
        bytes: usize,
        /// How long it should be.
        right: usize,
    },
    /// More was to be encrypted under a public key than it can hold.
    #[error("{bytes} bytes are to be encrypted, and the key takes {most} at most")]
    TooLong {
        /// How long the plaintext is.
        bytes: usize,
        /// How long it may be.
        most: usize,
    },
    /// The cryptographic library failed where nothing that it was given can be wrong.
    #[error("the cryptographic library failed; memory may be short")]
    Library,
    /// The root key that wrapped this material is not in the keyring: its epoch was destroyed, or the keyring is another.
    #[error("the root key of epoch {epoch} is not in the keyring: it was destroyed, or this is the wrong keyring")]
    NoSuchEpoch {
        /// The epoch that the wrapped material names.
        epoch: Epoch,
    },
    /// New material is wrapped in the current epoch, so it cannot be destroyed.
    #[error(
        "epoch {epoch} is the current one and cannot be destroyed; begin a new epoch and wrap all material again first"
    )]
    CurrentEpoch {
        /// The epoch that was to be destroyed.
        epoch: Epoch,
    },
    /// The keyring holds as many epochs as it may.
    #[error("the keyring holds {MAX_EPOCHS} epochs, the most it may; destroy old ones first")]
    TooManyEpochs,
    /// A keyring was to be created where a file is already.
    #[error("`{}` exists already; open it, or choose another path", path.display())]
    AlreadyExists {
        /// The path of the keyring.
        path: PathBuf,
    },
    /// Others than the owner may use the keyring's file.
    #[error("others may use the keyring `{}` (mode {mode:04o}); find out who did, then run `chmod 600` on it", path.display())]
    Exposed {
        /// The path of the keyring.
        path: PathBuf,
        /// The permission bits of the file.
        mode: u32,
    },
    /// The file is not a keyring, or was damaged.
    #[error("`{}` is no keyring or is damaged: {what}; restore it from its backup", path.display())]
    Damaged {
        /// The path of the keyring.
        path: PathBuf,
        /// What was wrong with it.
        what: &'static str,
    },
    /// The file has a format that this program does not know.
    #[error("the keyring `{}` has format version {version}, and this program reads version 1; use a newer program", path.display())]
    UnknownVersion {
        /// The path of the keyring.
        path: PathBuf,
        /// The version that the file names.
        version: u32,
    },
    /// Somebody else changed the file after this process read it.
    #[error("the keyring `{}` was changed since this process opened it; restart the process", path.display())]
    ChangedMeanwhile {
        /// The path of the keyring.
        path: PathBuf,
    },
    /// The operating system refused something.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or folder it was tried on.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}
