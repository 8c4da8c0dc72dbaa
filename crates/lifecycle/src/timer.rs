//! What time does to a key besides deleting it, and in which states it does so.

use api::Timestamp;

use crate::State;
use crate::time::DAY_SECONDS;

/// What time alone does to a key, each at a date of its own. In this order where several are due at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// The waiting period is over, and the key is deleted. Its date is part of the state: [`crate::deadline`].
    Deletion,
    /// The key is no longer Creating or Updating. Its date is part of the state: [`crate::deadline`].
    Settlement,
    /// Imported material has reached its `ValidTo`, and is deleted.
    Expiry,
    /// The rotation period is over, and the key gets new material.
    Rotation,
}

impl Timer {
    /// Every timer.
    pub const ALL: [Timer; 4] = [Timer::Deletion, Timer::Settlement, Timer::Expiry, Timer::Rotation];
}

/// Whether `timer` runs while a key is in `state`. One that does not run stands still, and is due at once when it runs again after
/// its date.
///
/// Material expires in every state. Nothing rotates while a key is disabled or waits for deletion; a key that is enabled again and
/// is overdue rotates at once. Source: AWS KMS API Reference, GetKeyRotationStatus.
pub fn runs(timer: Timer, state: &State) -> bool {
    match (timer, state) {
        (Timer::Deletion, State::PendingDeletion { .. }) => true,
        (
            Timer::Deletion,
            State::Creating { .. }
            | State::Enabled
            | State::Disabled
            | State::PendingReplicaDeletion { .. }
            | State::PendingImport
            | State::Unavailable { .. }
            | State::Updating { .. },
        ) => false,

        (Timer::Settlement, State::Creating { .. } | State::Updating { .. }) => true,
        (
            Timer::Settlement,
            State::Enabled
            | State::Disabled
            | State::PendingDeletion { .. }
            | State::PendingReplicaDeletion { .. }
            | State::PendingImport
            | State::Unavailable { .. },
        ) => false,

        (
            Timer::Expiry,
            State::Creating { .. }
            | State::Enabled
            | State::Disabled
            | State::PendingDeletion { .. }
            | State::PendingReplicaDeletion { .. }
            | State::PendingImport
            | State::Unavailable { .. }
            | State::Updating { .. },
        ) => true,

        (Timer::Rotation, State::Enabled | State::Updating { .. }) => true,
        (
            Timer::Rotation,
            State::Creating { .. }
            | State::Disabled
            | State::PendingDeletion { .. }
            | State::PendingReplicaDeletion { .. }
            | State::PendingImport
            | State::Unavailable { .. },
        ) => false,
    }
}

/// How long a key keeps one material when it is rotated automatically.
///
/// Whole days, 90 to 2560 inclusive; 365 when the caller names none.
/// Source: AWS KMS API Reference, EnableKeyRotation, `RotationPeriodInDays`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RotationPeriod(u16);

/// A rotation period that AWS does not offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("rotation period of `{days}` days is not between 90 and 2560")]
pub struct PeriodOutOfRange {
    /// The days that were asked for.
    pub days: i64,
}

impl RotationPeriod {
    /// The period when a request names none: 365 days.
    pub const DEFAULT: RotationPeriod = RotationPeriod(365);

    /// A period of `days` whole days.
    ///
    /// # Errors
    /// [`PeriodOutOfRange`] unless `90 <= days <= 2560`.
    pub fn of_days(days: i64) -> Result<RotationPeriod, PeriodOutOfRange> {
        match u16::try_from(days) {
            Ok(days @ 90..=2560) => Ok(RotationPeriod(days)),
            _ => Err(PeriodOutOfRange { days }),
        }
    }

    /// The length in whole days.
    pub fn days(self) -> u16 {
        self.0
    }

    /// The moment the period is over when it begins at `now`.
    pub fn after(self, now: Timestamp) -> Timestamp {
        let seconds = now.as_second().saturating_add(i64::from(self.0) * DAY_SECONDS);
        Timestamp::new(seconds, now.subsec_nanosecond()).unwrap_or(Timestamp::MAX)
    }
}
