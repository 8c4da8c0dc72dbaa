//! Why a server does not start: what was wrong, and what to do.

use std::net::SocketAddr;
use std::path::PathBuf;

use api::{AccountId, Timestamp};

use crate::credentials::CredentialsError;
use crate::files::FileError;

/// A server that does not start. Nothing was changed but, at most, an empty data folder made.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on `{listen}`: {source}; stop what uses the port, or give another with `--listen`")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// A development server on an address that others can reach.
    #[error(
        "`--dev` has well-known access keys and listens on loopback only, not on `{listen}`; use 127.0.0.1, or leave out `--dev`"
    )]
    NotLoopback {
        /// The address.
        listen: SocketAddr,
    },
    /// A virtual clock in a server that is not for development.
    #[error("a virtual clock could end a real key's waiting period; use it only with `--dev`")]
    VirtualClock,
    /// What custom key stores need is not there or not readable.
    #[error("custom key stores: {what}")]
    KeyStores {
        /// What was wrong, and with which file.
        what: String,
    },
    /// The extra delay is longer than AWS's.
    #[error("deletion delay of `{seconds}` seconds is not between 0 and 86400 (24 hours)")]
    DeletionDelay {
        /// The delay.
        seconds: u32,
    },
    /// The folder holds something else.
    #[error(
        "`{path}` holds `{holds}` and no `server.json`, so it is no data folder of Quietus; give a new or empty folder"
    )]
    NotOurs {
        /// The folder.
        path: PathBuf,
        /// Something in it.
        holds: String,
    },
    /// A development server made the folder.
    #[error("data folder `{path}` was made by a `--dev` server; start it with `--dev`, or give another folder")]
    DevFolder {
        /// The folder.
        path: PathBuf,
    },
    /// A server that is not for development made the folder.
    #[error("data folder `{path}` was made by a server without `--dev`; leave out `--dev`, or give another folder")]
    ServerFolder {
        /// The folder.
        path: PathBuf,
    },
    /// The folder belongs to another account.
    #[error(
        "data folder `{path}` was made for account {account}, not {asked}; leave out `--account`, or give another folder"
    )]
    OtherAccount {
        /// The folder.
        path: PathBuf,
        /// Its account.
        account: AccountId,
        /// The account that was asked for.
        asked: AccountId,
    },
    /// A newer version made the folder.
    #[error("`{path}` has format {found}, and this version reads format {known}; use the version that wrote it")]
    Format {
        /// `server.json`.
        path: PathBuf,
        /// Its format.
        found: u8,
        /// Ours.
        known: u8,
    },
    /// A virtual clock has shown later times than it is.
    #[error(
        "data folder `{path}` has run on a virtual clock until {shown}, and time does not go back; start it with `--clock virtual`, or give another folder"
    )]
    ClockAhead {
        /// The folder.
        path: PathBuf,
        /// What the virtual clock showed last.
        shown: Timestamp,
    },
    /// The store has keys, and what unwraps them is gone.
    #[error("keyring `{path}` is missing, and without it no key of the store can be used; restore it from a backup")]
    NoKeyring {
        /// Where it should be.
        path: PathBuf,
    },
    /// The keyring is another folder's.
    #[error("keyring `{path}` does not belong to this data folder; restore the one that was made with it")]
    ForeignKeyring {
        /// The keyring.
        path: PathBuf,
    },
    /// The keyring cannot be used.
    #[error("keyring `{path}` cannot be used: {source}")]
    Keyring {
        /// The keyring.
        path: PathBuf,
        /// What is wrong with it.
        source: crypto::Error,
    },
    /// The access keys cannot be used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// A small file of the folder cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The store holds a record that cannot be read.
    #[error("the store cannot be read: {0}")]
    Corrupt(#[from] service::Corrupt),
    /// The audit log or the trail cannot be used.
    #[error(transparent)]
    Audit(#[from] crate::audit::Error),
    /// The certificate or its key cannot be used.
    #[error("cannot use {what} `{path}`: {why}")]
    Tls {
        /// `certificate` or `private key`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The operating system gives no thread.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}
