//! What a command does to a key.

use api::Timestamp;

use crate::{PendingWindow, Refusal, State};

/// A command to a key's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// EnableKey.
    Enable,
    /// DisableKey.
    Disable,
    /// ScheduleKeyDeletion with its waiting period.
    ScheduleDeletion(PendingWindow),
    /// CancelKeyDeletion.
    CancelDeletion,
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
/// - Cancelling leads to Disabled, whatever the key was before (AWS KMS API Reference, CancelKeyDeletion).
/// - Nothing but time (`due`) ever answers [`Change::Deleted`].
///
/// # Errors
/// The [`Refusal`] that the caller will read.
pub fn decide(state: &State, command: Command, now: Timestamp) -> Result<Change, Refusal> {
    use Command::{CancelDeletion, Disable, Enable, ScheduleDeletion};
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

        (Enabled | Disabled | PendingImport | Unavailable { .. } | Creating, ScheduleDeletion(window)) => {
            Change::To(PendingDeletion { deletion_date: window.after(now) })
        }

        (PendingDeletion { .. } | PendingReplicaDeletion { .. }, CancelDeletion) => Change::To(Disabled),

        (PendingDeletion { .. }, Enable | Disable | ScheduleDeletion(_)) => return Err(Refusal::PendingDeletion),
        (PendingReplicaDeletion { .. }, Enable | Disable | ScheduleDeletion(_)) => {
            return Err(Refusal::PendingReplicaDeletion);
        }
        (PendingImport, Enable | Disable) => return Err(Refusal::PendingImport),
        (Creating, Enable | Disable) => return Err(Refusal::Creating),
        (Updating, Enable | Disable | ScheduleDeletion(_)) => return Err(Refusal::Updating),
        (Enabled | Disabled | PendingImport | Unavailable { .. } | Creating | Updating, CancelDeletion) => {
            return Err(Refusal::NotPendingDeletion);
        }
    })
}
