//! What a command does to a key.

use api::Timestamp;

use crate::time::{UPDATING_SECONDS, later};
use crate::{PendingWindow, Refusal, State};

/// A command to a key's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// EnableKey.
    Enable,
    /// DisableKey.
    Disable,
    /// ScheduleKeyDeletion with its waiting period, of a key without replicas.
    ScheduleDeletion(PendingWindow),
    /// ScheduleKeyDeletion of a primary that has replicas: its waiting period begins when the last of them is deleted.
    ScheduleAfterReplicas(PendingWindow),
    /// CancelKeyDeletion.
    CancelDeletion,
    /// UpdatePrimaryRegion, to the old primary and to the new one.
    MovePrimary,
    /// To a primary: its last replica has just been deleted. Not a caller's command: nothing refuses it.
    LoseLastReplica,
}

/// What a command, or time, does to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing; the call succeeds all the same.
    Stay,
    /// The key moves to this state.
    To(State),
    /// The key and all that belongs to it is gone.
    Deleted,
}

/// What `command` does to a key in `state` at `now`.
///
/// # Guarantees
/// - A deletion date is always a whole waiting period after `now`.
/// - A primary with replicas has no deletion date: it gets one when it has lost the last of them.
/// - Cancelling leads to Disabled, whatever the key was before (AWS KMS API Reference, CancelKeyDeletion).
/// - Nothing but time (`due`) ever answers [`Change::Deleted`].
///
/// # Errors
/// The [`Refusal`] that the caller will read.
pub fn decide(state: &State, command: Command, now: Timestamp) -> Result<Change, Refusal> {
    use Command::{
        CancelDeletion, Disable, Enable, LoseLastReplica, MovePrimary, ScheduleAfterReplicas, ScheduleDeletion,
    };
    use State::{
        Creating, Disabled, Enabled, PendingDeletion, PendingImport, PendingReplicaDeletion, Unavailable, Updating,
    };

    Ok(match (*state, command) {
        (Enabled, Enable) | (Disabled, Disable) => Change::Stay,
        (Enabled, Disable) => Change::To(Disabled),
        (Disabled, Enable) => Change::To(Enabled),
        // A custom key store that is not connected: accepted, and it shows when the store is connected again.
        (Unavailable { .. }, Enable) => Change::To(Unavailable { enabled: true }),
        (Unavailable { .. }, Disable) => Change::To(Unavailable { enabled: false }),

        (Enabled | Disabled | PendingImport | Unavailable { .. } | Creating { .. }, ScheduleDeletion(window)) => {
            Change::To(PendingDeletion { deletion_date: window.after(now) })
        }
        (Enabled | Disabled | PendingImport | Unavailable { .. } | Creating { .. }, ScheduleAfterReplicas(window)) => {
            Change::To(PendingReplicaDeletion { window })
        }
        (PendingReplicaDeletion { window }, LoseLastReplica) => {
            Change::To(PendingDeletion { deletion_date: window.after(now) })
        }

        (PendingDeletion { .. } | PendingReplicaDeletion { .. }, CancelDeletion) => Change::To(Disabled),

        (Enabled | Updating { .. }, MovePrimary) => Change::To(Updating { until: later(now, UPDATING_SECONDS) }),

        (
            Creating { .. }
            | Enabled
            | Disabled
            | PendingDeletion { .. }
            | PendingImport
            | Unavailable { .. }
            | Updating { .. },
            LoseLastReplica,
        ) => Change::Stay,

        (Disabled, MovePrimary) => return Err(Refusal::Disabled),
        (PendingDeletion { .. }, Enable | Disable | ScheduleDeletion(_) | ScheduleAfterReplicas(_) | MovePrimary) => {
            return Err(Refusal::PendingDeletion);
        }
        (
            PendingReplicaDeletion { .. },
            Enable | Disable | ScheduleDeletion(_) | ScheduleAfterReplicas(_) | MovePrimary,
        ) => return Err(Refusal::PendingReplicaDeletion),
        (PendingImport, Enable | Disable | MovePrimary) => return Err(Refusal::PendingImport),
        (Unavailable { .. }, MovePrimary) => return Err(Refusal::Unavailable),
        (Creating { .. }, Enable | Disable | MovePrimary) => return Err(Refusal::Creating),
        (Updating { .. }, Enable | Disable | ScheduleDeletion(_) | ScheduleAfterReplicas(_)) => {
            return Err(Refusal::Updating);
        }
        (
            Enabled | Disabled | PendingImport | Unavailable { .. } | Creating { .. } | Updating { .. },
            CancelDeletion,
        ) => return Err(Refusal::NotPendingDeletion),
    })
}
