//! The KMS service as plain functions: what a request does to the state of the world, and what time does.
//!
//! [`decide`] takes one authenticated call and answers with an [`Effect`]: the reply, and what must be durable before the reply
//! may leave. [`tick`] takes the time and answers with what is due: deletions, expiries, rotations, and states that end by
//! themselves. Both read a [`State`], an immutable snapshot;
//! neither commits, sleeps, or asks for the time. The caller commits effects and folds what was committed into the next
//! `State`. Sockets, signatures, files and clocks are the server's.
//!
//! The road of every call is written once, in [`decide`]: parse, find the key, authorize, ask the lifecycle, act, record. That
//! order decides which error a caller sees.

mod authorize;
mod call;
mod connections;
mod copies;
mod decide;
mod fault;
mod find;
mod hash;
mod import_token;
mod ops;
mod outside;
mod record;
mod rotation;
mod shared;
mod state;
mod sweep;
mod tick;
mod token;
mod vault;

pub use call::{Call, Caller, CallerKind, Commit, Effect, Origin, Use};
pub use connections::{Orphan, connections, is_connecting};
pub use decide::{answer_elsewhere, decide, is_answered_here, refuse};
pub use outside::{Access, Backing, Held, Knows, Outside, ProxyTrouble, Purpose, Trouble};
pub use rotation::RotationKind;
pub use state::{
    Alias, Connection, Corrupt, Family, Import, Key, KeyStore, KeyStoreId, KeyStoreKind, LastUse, Material, Rotated,
    Schedule, State, Tombstone, uses_batch,
};
pub use sweep::sweep;
pub use tick::{Due, tick};
pub use vault::Vault;
