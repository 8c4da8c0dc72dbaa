//! The data folder: what kind of server it belongs to, and where in it things are.
//!
//! ```text
//! server.json   what made this folder: format, kind, account, when
//! keyring       the root keys, mode 0600
//! credentials   access keys, mode 0600
//! store.redb    keys, aliases, tombstones
//! audit/        records not yet sealed
//! trail/        sealed CloudTrail log files
//! lookup/       what is in these files, for lookups; derived, may be removed
//! clock.json    what a virtual clock shows (development servers only)
//! clock-held.json  destructive ticks wait for an operator
//! withheld/     records of a rehearsed outage (development servers only)
//! ```

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use api::{AccountId, Timestamp};
use crypto::{KeyMaterial, Keyring, WrappedMaterial};
use serde::{Deserialize, Serialize};
use store::{Embedded, Memory, Store};

use crate::error::StartError;
use crate::files::{self, FileError, io};

/// Version of `server.json` written today.
const FORMAT: u8 = 1;

/// What the keyring's proof in `server.json` is bound to.
const PROOF: &[u8] = b"quietus keyring";

/// Whether a folder belongs to a development server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Well-known access keys and, if it likes, a virtual clock.
    Dev,
    /// Everything else.
    Server,
}

/// `server.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Marker {
    v: u8,
    kind: Kind,
    account: String,
    created: Timestamp,
    /// Something that only this folder's keyring unwraps, so that another folder's keyring is noticed at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<String>,
}

/// An open data folder.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    marker: Marker,
    account: AccountId,
    /// Removes the folder of a server that keeps nothing.
    temporary: Option<tempfile::TempDir>,
}

/// What the caller asks of the folder.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) kind: Kind,
    /// The account to create, or the one that must be there.
    pub(crate) account: Option<AccountId>,
    pub(crate) now: Timestamp,
}

impl Folder {
    /// Opens the folder at `root`, and makes it if there is none.
    pub(crate) fn open(root: &Path, wanted: Wanted) -> Result<Folder, StartError> {
        DirBuilder::new().recursive(true).mode(0o700).create(root).map_err(io("make folder", root))?;
        Folder::in_folder(root.to_owned(), None, wanted)
    }

    /// A folder that is gone when it is dropped.
    pub(crate) fn temporary(wanted: Wanted) -> Result<Folder, StartError> {
        let made = tempfile::Builder::new().prefix("quietus-").tempdir();
        let folder = made.map_err(io("make folder", &std::env::temp_dir()))?;
        Folder::in_folder(folder.path().to_owned(), Some(folder), wanted)
    }

    fn in_folder(root: PathBuf, temporary: Option<tempfile::TempDir>, wanted: Wanted) -> Result<Folder, StartError> {
        let path = root.join("server.json");
        let marker = match files::read(&path)? {
            Some(bytes) => read_marker(&path, &bytes)?,
            None => {
                refuse_foreign(&root)?;
                let account = match (wanted.account, wanted.kind) {
                    (Some(account), _) => account,
                    (None, Kind::Dev) => AccountId::ZERO,
                    (None, Kind::Server) => random_account(),
                };
                let account = account.to_string();
                let marker = Marker { v: FORMAT, kind: wanted.kind, account, created: wanted.now, proof: None };
                write_marker(&path, &marker)?;
                marker
            }
        };
        let account: AccountId = marker.account.parse().map_err(|error| files::unreadable(&path, &error))?;
        match (marker.kind, wanted.kind) {
            (Kind::Dev, Kind::Dev) | (Kind::Server, Kind::Server) => {}
            (Kind::Dev, Kind::Server) => return Err(StartError::DevFolder { path: root }),
            (Kind::Server, Kind::Dev) => return Err(StartError::ServerFolder { path: root }),
        }
        match wanted.account {
            Some(asked) if asked != account => Err(StartError::OtherAccount { path: root, account, asked }),
            Some(_) | None => Ok(Folder { root, marker, account, temporary }),
        }
    }

    /// The account that this folder was made for.
    pub(crate) fn account(&self) -> AccountId {
        self.account
    }

    /// Where the folder is.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn credentials(&self) -> PathBuf {
        self.root.join("credentials")
    }

    pub(crate) fn clock(&self) -> PathBuf {
        self.root.join("clock.json")
    }

    pub(crate) fn clock_held(&self) -> PathBuf {
        self.root.join("clock-held.json")
    }

    pub(crate) fn withheld(&self) -> PathBuf {
        self.root.join("withheld")
    }

    pub(crate) fn trail(&self) -> PathBuf {
        self.root.join("trail")
    }

    pub(crate) fn lookup(&self) -> PathBuf {
        self.root.join("lookup")
    }

    /// Opens the store and the keyring that belongs to it. On a first start both are made, and the keyring is durable first.
    ///
    /// # Errors
    /// [`StartError::NoKeyring`] where the store holds something and the keyring is gone, [`StartError::ForeignKeyring`] where
    /// it is another folder's.
    pub(crate) fn open_store(&mut self) -> Result<(Box<dyn Store>, Keyring), StartError> {
        let store: Box<dyn Store> = match &self.temporary {
            Some(_) => Box::new(Memory::new()),
            None => Box::new(Embedded::open(&self.root.join("store.redb"))?),
        };
        let path = self.root.join("keyring");
        let exists = path.try_exists().map_err(io("look for", &path))?;
        let empty = store.scan(&[0], &[0xff], 1)?.is_empty();
        if !exists && (!empty || self.marker.proof.is_some()) {
            return Err(StartError::NoKeyring { path });
        }
        let keyring = if exists { Keyring::open(&path) } else { Keyring::create(&path) };
        let keyring = keyring.map_err(|source| StartError::Keyring { path: path.clone(), source })?;
        self.prove(&path, &keyring)?;
        Ok((store, keyring))
    }

    /// Holds the keyring against the proof in `server.json`, or makes the proof.
    fn prove(&mut self, path: &Path, keyring: &Keyring) -> Result<(), StartError> {
        let marker = self.root.join("server.json");
        let Some(proof) = &self.marker.proof else {
            let unused = KeyMaterial::generate(api::KeySpec::SymmetricDefault);
            let unused = unused.map_err(|source| StartError::Keyring { path: path.to_owned(), source })?;
            let proof = keyring.wrap(&unused, PROOF);
            self.marker.proof = Some(base64_text(proof.as_bytes()));
            return Ok(write_marker(&marker, &self.marker)?);
        };
        let wrapped = base64_bytes(proof).and_then(|bytes| WrappedMaterial::from_bytes(&bytes).ok());
        let wrapped = wrapped.ok_or_else(|| files::unreadable(&marker, &"`proof` is no wrapped material"))?;
        match keyring.unwrap(&wrapped, PROOF) {
            Ok(_) => Ok(()),
            Err(crypto::Error::Tampered | crypto::Error::NoSuchEpoch { .. }) => {
                Err(StartError::ForeignKeyring { path: path.to_owned() })
            }
            Err(source) => Err(StartError::Keyring { path: path.to_owned(), source }),
        }
    }
}

fn read_marker(path: &Path, bytes: &[u8]) -> Result<Marker, StartError> {
    let marker: Marker = serde_json::from_slice(bytes).map_err(|error| files::unreadable(path, &error))?;
    if marker.v != FORMAT {
        return Err(StartError::Format { path: path.to_owned(), found: marker.v, known: FORMAT });
    }
    Ok(marker)
}

fn write_marker(path: &Path, marker: &Marker) -> Result<(), FileError> {
    files::replace(path, &serde_json::to_vec_pretty(marker).expect("a marker holds only texts and numbers"))
}

/// A folder without `server.json` must be new: what else is in it may be somebody's.
fn refuse_foreign(root: &Path) -> Result<(), StartError> {
    let entries = fs::read_dir(root).map_err(io("list", root))?;
    for entry in entries {
        let name = entry.map_err(io("list", root))?.file_name();
        let name = name.to_string_lossy();
        // A new file system has the first, a first start cut short the second.
        if name != "lost+found" && name != ".server.json.new" {
            return Err(StartError::NotOurs { path: root.to_owned(), holds: name.into_owned() });
        }
    }
    Ok(())
}

/// Twelve random digits, the first not zero.
fn random_account() -> AccountId {
    let mut bytes = [0; 8];
    crypto::random(&mut bytes);
    let number = 100_000_000_000 + u64::from_le_bytes(bytes) % 900_000_000_000;
    number.to_string().parse().expect("twelve digits are an account")
}

fn base64_text(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn base64_bytes(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}
