//! What an operation may ask of a key in each state.

use api::Needs;

use crate::State;

/// Why a key's state does not let an operation happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum Refusal {
    /// DisabledException.
    #[error("is disabled.")]
    Disabled,
    /// KMSInvalidStateException. Cryptographic operations too: the key-state page says DisabledException for them, but every
    /// recorded answer is this one.
    #[error("is pending deletion.")]
    PendingDeletion,
    /// KMSInvalidStateException.
    #[error("is pending replica deletion.")]
    PendingReplicaDeletion,
    /// KMSInvalidStateException, from CancelKeyDeletion.
    #[error("is not pending deletion.")]
    NotPendingDeletion,
    /// KMSInvalidStateException.
    #[error("is pending import.")]
    PendingImport,
    /// KMSInvalidStateException.
    #[error("is unavailable.")]
    Unavailable,
    /// KMSInvalidStateException.
    #[error("is creating.")]
    Creating,
    /// KMSInvalidStateException.
    #[error("is updating.")]
    Updating,
}

/// Whether a key in `state` is fit for an operation that `needs` this of it.
///
/// `Needs::Decision` is always let through: [`crate::decide`] answers those operations.
///
/// # Errors
/// The [`Refusal`] that the caller will read.
pub fn permit(needs: Needs, state: &State) -> Result<(), Refusal> {
    match (needs, state) {
        (Needs::Nothing | Needs::Decision, _) => Ok(()),

        (Needs::Usable | Needs::Grantable | Needs::Replicable, State::Enabled)
        | (Needs::Usable | Needs::Grantable, State::Updating { .. })
        | (Needs::Grantable, State::Unavailable { .. }) => Ok(()),
        (Needs::Replicable, State::Updating { .. }) => Err(Refusal::Updating),
        (Needs::Usable | Needs::Grantable | Needs::Replicable, State::Disabled) => Err(Refusal::Disabled),
        (Needs::Usable | Needs::Grantable | Needs::Replicable, State::PendingImport) => Err(Refusal::PendingImport),
        (Needs::Usable | Needs::Replicable, State::Unavailable { .. }) => Err(Refusal::Unavailable),
        (Needs::Usable | Needs::Grantable | Needs::Replicable, State::Creating { .. }) => Err(Refusal::Creating),

        (
            Needs::ImportParameters | Needs::Import | Needs::MaterialDeletion,
            State::Enabled | State::Disabled | State::PendingImport | State::Unavailable { .. },
        )
        | (Needs::Import, State::Updating { .. }) => Ok(()),
        (Needs::ImportParameters | Needs::MaterialDeletion, State::Updating { .. }) => Err(Refusal::Updating),
        (Needs::ImportParameters | Needs::Import | Needs::MaterialDeletion, State::Creating { .. }) => {
            Err(Refusal::Creating)
        }
        // Material can be deleted while its key waits for deletion, and cannot come back.
        (Needs::MaterialDeletion, State::PendingDeletion { .. } | State::PendingReplicaDeletion { .. }) => Ok(()),
        (Needs::ImportParameters | Needs::Import, State::PendingDeletion { .. }) => Err(Refusal::PendingDeletion),
        (Needs::ImportParameters | Needs::Import, State::PendingReplicaDeletion { .. }) => {
            Err(Refusal::PendingReplicaDeletion)
        }

        (
            Needs::Rotation,
            State::Enabled | State::PendingImport | State::Unavailable { .. } | State::Updating { .. },
        ) => Ok(()),
        (Needs::Rotation, State::Disabled) => Err(Refusal::Disabled),
        (Needs::Rotation, State::PendingDeletion { .. }) => Err(Refusal::PendingDeletion),
        (Needs::Rotation, State::PendingReplicaDeletion { .. }) => Err(Refusal::PendingReplicaDeletion),
        (Needs::Rotation, State::Creating { .. }) => Err(Refusal::Creating),

        (
            Needs::Usable | Needs::Grantable | Needs::Replicable | Needs::NotPendingDeletion,
            State::PendingDeletion { .. },
        ) => Err(Refusal::PendingDeletion),
        (
            Needs::Usable | Needs::Grantable | Needs::Replicable | Needs::NotPendingDeletion,
            State::PendingReplicaDeletion { .. },
        ) => Err(Refusal::PendingReplicaDeletion),

        (
            Needs::NotPendingDeletion,
            State::Creating { .. }
            | State::Enabled
            | State::Disabled
            | State::PendingImport
            | State::Unavailable { .. }
            | State::Updating { .. },
        ) => Ok(()),
    }
}
