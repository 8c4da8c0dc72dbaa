//! The states of a key, each with its own data only.

use api::Timestamp;

use crate::PendingWindow;
use crate::time::{CREATING_SECONDS, later};

/// Where a key is in its life. Source: KMS API model, `KeyState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// A replica or a key in a custom key store that is being made.
    Creating {
        /// When it is made; it becomes Enabled or PendingImport at a tick at or after then.
        until: Timestamp,
        /// Whether its material is still to be imported then.
        to_import: bool,
    },
    /// Usable.
    Enabled,
    /// Switched off; EnableKey brings it back.
    Disabled,
    /// Waiting for deletion; the key dies at a tick at or after the date, never before.
    PendingDeletion {
        /// When the waiting period is over.
        deletion_date: Timestamp,
    },
    /// A multi-Region primary whose own waiting period begins when its last replica is deleted.
    PendingReplicaDeletion {
        /// The waiting period that will begin then.
        window: PendingWindow,
    },
    /// Made for imported material that has not come, has expired, or was deleted.
    PendingImport,
    /// In a custom key store that is not connected.
    Unavailable {
        /// The state to return to when the store is connected: Enabled, or else Disabled.
        enabled: bool,
    },
    /// The old or the new primary of a family whose primary is moving to another Region.
    Updating {
        /// When the move is over; the key becomes Enabled at a tick at or after then.
        until: Timestamp,
    },
}

impl State {
    /// Of a replica that is made at `now`; `to_import` where its material is to be imported.
    pub fn of_new_replica(now: Timestamp, to_import: bool) -> State {
        State::Creating { until: later(now, CREATING_SECONDS), to_import }
    }

    /// AWS's spelling: `PendingDeletion`.
    pub fn name(&self) -> &'static str {
        match self {
            State::Creating { .. } => "Creating",
            State::Enabled => "Enabled",
            State::Disabled => "Disabled",
            State::PendingDeletion { .. } => "PendingDeletion",
            State::PendingReplicaDeletion { .. } => "PendingReplicaDeletion",
            State::PendingImport => "PendingImport",
            State::Unavailable { .. } => "Unavailable",
            State::Updating { .. } => "Updating",
        }
    }

    /// This state for a key that has all its material, or not. A key that lacks some waits for it, unless it waits for its
    /// deletion; one that has waited is enabled when the last has come.
    ///
    /// Source: AWS KMS Developer Guide, "Delete imported key material"; AWS KMS API Reference, ImportKeyMaterial.
    #[must_use]
    pub fn with_material(self, complete: bool) -> State {
        match (self, complete) {
            (State::Enabled | State::Disabled | State::Updating { .. }, false) => State::PendingImport,
            (State::PendingImport, true) => State::Enabled,
            (
                State::Creating { .. }
                | State::PendingDeletion { .. }
                | State::PendingReplicaDeletion { .. }
                | State::Unavailable { .. },
                _,
            )
            | (State::Enabled | State::Disabled | State::Updating { .. }, true)
            | (State::PendingImport, false) => self,
        }
    }

    /// The `Enabled` member of DescribeKey. Source: recorded metadata; only an enabled or updating key says `true`.
    pub fn is_enabled(&self) -> bool {
        matches!(self, State::Enabled | State::Updating { .. })
    }
}
