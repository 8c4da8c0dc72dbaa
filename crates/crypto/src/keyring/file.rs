//! The file a keyring is kept in.
//!
//! Form, all numbers big-endian: the magic, version (four bytes, 1), number of root keys (four bytes), for each, ascending, its
//! epoch (four bytes) and secret (32 bytes); then SHA-256 of all that, which finds damage (not malice: who can write the file can
//! read it too).
//!
//! Three names are used beside each other: `keyring`, and while it changes `.keyring.new` and `.keyring.old`. Whoever finds one of
//! the latter when nobody is changing the keyring found what a crash left, and clears it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use zeroize::Zeroizing;

use super::{Epoch, Epochs, MAX_EPOCHS, Root};
use crate::aead::{KEY_BYTES, Secret};
use crate::error::Error;

const MAGIC: &[u8; 16] = b"quietus keyring\n";
const VERSION: u32 = 1;
const PREFIX_BYTES: usize = MAGIC.len() + 8;
const ENTRY_BYTES: usize = 4 + KEY_BYTES;
const CHECK_BYTES: usize = 32;
/// The longest a keyring can be; no more than this is ever read.
const MAX_BYTES: usize = PREFIX_BYTES + MAX_EPOCHS * ENTRY_BYTES + CHECK_BYTES;

/// Where a keyring is kept.
pub(super) struct KeyringFile {
    path: PathBuf,
    folder: PathBuf,
    new: PathBuf,
    old: PathBuf,
}

impl KeyringFile {
    /// Writes a first file.
    pub(super) fn create(path: &Path, epochs: &Epochs) -> Result<KeyringFile, Error> {
        let file = KeyringFile::at(path)?;
        let _lock = file.lock()?;
        // An old file without a keyring beside it is none of our doing, and may be all that is left: it is not cleared.
        if let Some(path) = [&file.path, &file.old].into_iter().find(|path| fs::symlink_metadata(path).is_ok()) {
            return Err(Error::AlreadyExists { path: path.clone() });
        }
        file.clear_leftovers()?;
        file.write_new(epochs)?;
        file.take_over()?;
        Ok(file)
    }

    /// Reads an existing file.
    pub(super) fn open(path: &Path) -> Result<(KeyringFile, Epochs), Error> {
        let file = KeyringFile::at(path)?;
        let _lock = file.lock()?;
        let epochs = decode(path, &file.read()?)?;
        file.clear_leftovers()?;
        Ok((file, epochs))
    }

    /// Writes `next` in place of `now`, which must be what the file holds.
    ///
    /// A crash anywhere leaves one of the two, whole. On success nothing of `now` is left but what `next` has too.
    pub(super) fn replace(&self, now: &Epochs, next: &Epochs) -> Result<(), Error> {
        let _lock = self.lock()?;
        verify_slices_are_equal(&self.read()?, &encode(now))
            .map_err(|_| Error::ChangedMeanwhile { path: self.path.clone() })?;
        self.clear_leftovers()?;
        self.write_new(next)?;
        // Keep a name for the old file: its bytes must be overwritten, and not before the new file is in place.
        fs::hard_link(&self.path, &self.old).map_err(io_error("link", &self.old))?;
        self.take_over()?;
        self.clear_leftovers()
    }

    fn at(path: &Path) -> Result<KeyringFile, Error> {
        let name = path.file_name().ok_or_else(|| Error::Io {
            action: "use",
            path: path.to_owned(),
            source: io::ErrorKind::InvalidFilename.into(),
        })?;
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let beside = |suffix: &str| {
            let mut beside = std::ffi::OsString::from(".");
            beside.push(name);
            beside.push(suffix);
            folder.join(beside)
        };
        Ok(KeyringFile { path: path.to_owned(), folder: folder.to_owned(), new: beside(".new"), old: beside(".old") })
    }

    /// Keeps other processes from opening or changing the keyring until dropped. The lock is on the folder, since the file itself
    /// is replaced.
    fn lock(&self) -> Result<File, Error> {
        let folder = File::open(&self.folder).map_err(io_error("open", &self.folder))?;
        folder.lock().map_err(io_error("lock", &self.folder))?;
        Ok(folder)
    }

    fn read(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let file = File::open(&self.path).map_err(io_error("open", &self.path))?;
        let about = file.metadata().map_err(io_error("examine", &self.path))?;
        if !about.is_file() {
            return Err(Error::Damaged { path: self.path.clone(), what: "it is not a regular file" });
        }
        let mode = about.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(Error::Exposed { path: self.path.clone(), mode });
        }
        // Room for one byte too many, so that reading never reallocates and too long a file is noticed.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES + 1));
        file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(io_error("read", &self.path))?;
        Ok(bytes)
    }

    fn write_new(&self, epochs: &Epochs) -> Result<(), Error> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.new)
            .map_err(io_error("create", &self.new))?;
        file.write_all(&encode(epochs)).and_then(|()| file.sync_all()).map_err(io_error("write", &self.new))
    }

    /// Gives the new file its name, durably.
    fn take_over(&self) -> Result<(), Error> {
        fs::rename(&self.new, &self.path).map_err(io_error("rename", &self.new))?;
        self.sync_folder()
    }

    /// Overwrites and removes `.old` and `.new` where they are.
    fn clear_leftovers(&self) -> Result<(), Error> {
        for leftover in [&self.old, &self.new] {
            let inode = match fs::symlink_metadata(leftover) {
                Ok(about) => about.ino(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(io_error("examine", leftover)(error)),
            };
            // A crash between linking and renaming leaves two names of one file: the keyring itself, not to be overwritten.
            let is_the_keyring = fs::symlink_metadata(&self.path).is_ok_and(|about| about.ino() == inode);
            if !is_the_keyring {
                overwrite(leftover).map_err(io_error("overwrite", leftover))?;
            }
            fs::remove_file(leftover).map_err(io_error("remove", leftover))?;
            self.sync_folder()?;
        }
        Ok(())
    }

    fn sync_folder(&self) -> Result<(), Error> {
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(io_error("sync", &self.folder))
    }
}

fn overwrite(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    let length = file.metadata()?.len();
    io::copy(&mut io::repeat(0).take(length), &mut file)?;
    file.sync_all()
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source }
}

fn encode(epochs: &Epochs) -> Zeroizing<Vec<u8>> {
    let count = u32::try_from(epochs.roots.len()).expect("at most MAX_EPOCHS");
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES));
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&count.to_be_bytes());
    for root in epochs.roots.values() {
        bytes.extend_from_slice(&root.epoch.0.to_be_bytes());
        bytes.extend_from_slice(root.secret.expose());
    }
    let check = digest(&SHA256, &bytes);
    bytes.extend_from_slice(check.as_ref());
    bytes
}

fn decode(path: &Path, bytes: &[u8]) -> Result<Epochs, Error> {
    let damaged = |what| Error::Damaged { path: path.to_owned(), what };
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| damaged("it does not begin as a keyring does"))?;
    let (version, rest) = number(rest).ok_or_else(|| damaged("it is cut off"))?;
    if version != VERSION {
        return Err(Error::UnknownVersion { path: path.to_owned(), version });
    }
    let (content, check) = bytes.split_last_chunk::<CHECK_BYTES>().ok_or_else(|| damaged("it is cut off"))?;
    if digest(&SHA256, content).as_ref() != check {
        return Err(damaged("its checksum is wrong"));
    }
    // From here on the file is as it was written, so what does not fit was not written by this program.
    let (count, rest) = number(rest).ok_or_else(|| damaged("it is cut off"))?;
    let entries = &rest[..rest.len().saturating_sub(CHECK_BYTES)];
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if !(1..=MAX_EPOCHS).contains(&count) || entries.len() != count * ENTRY_BYTES {
        return Err(damaged("its length does not fit the number of root keys"));
    }
    let roots = entries.chunks_exact(ENTRY_BYTES).map(|entry| {
        let (epoch, secret) = number(entry).expect("an entry is longer than four bytes");
        let secret = Secret::from_slice(secret).expect("an entry is an epoch and a secret");
        (Epoch(epoch), Root::new(Epoch(epoch), secret))
    });
    let epochs = Epochs { roots: roots.collect() };
    if epochs.roots.len() != count {
        return Err(damaged("an epoch is in it twice"));
    }
    Ok(epochs)
}

fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    bytes.split_first_chunk().map(|(number, rest)| (u32::from_be_bytes(*number), rest))
}
