//! What is kept beside keys: aliases, and what is left of deleted keys.

use api::{KeyId, Timestamp};
use serde::{Deserialize, Serialize};

use super::record::RECORD_VERSION;

/// An alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// The key it points to.
    pub target: KeyId,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last pointed to a key.
    pub updated: Timestamp,
}

/// What is left of a deleted key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    v: u8,
    /// When the key was made.
    pub created: Timestamp,
    /// When its waiting period was over.
    pub deletion_date: Timestamp,
    /// When it was deleted.
    pub deleted: Timestamp,
}

impl Tombstone {
    pub(crate) fn new(created: Timestamp, deletion_date: Timestamp, deleted: Timestamp) -> Tombstone {
        Tombstone { v: RECORD_VERSION, created, deletion_date, deleted }
    }
}
