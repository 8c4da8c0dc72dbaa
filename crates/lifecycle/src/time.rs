//! Waiting periods, and what time alone does to a key.

use api::Timestamp;

use crate::{Change, State};

/// Seconds in a day of waiting. KMS counts days of 24 hours, whatever the calendar does.
pub(crate) const DAY_SECONDS: i64 = 86_400;

/// How long a new replica is Creating.
///
/// Source: AWS KMS Developer Guide, "Create multi-Region replica keys": "a few seconds"; which few is ours.
pub(crate) const CREATING_SECONDS: i64 = 2;

/// How long the old and the new primary are Updating.
///
/// Source: AWS KMS Developer Guide, "Change the primary key in a set of multi-Region keys": "a few more seconds"; which few is ours.
pub(crate) const UPDATING_SECONDS: i64 = 2;

/// How long a key waits between being scheduled for deletion and being deleted.
///
/// Whole days, 7 to 30 inclusive; 30 when the caller names none.
/// Source: AWS KMS API Reference, ScheduleKeyDeletion, `PendingWindowInDays`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PendingWindow(u8);

/// A waiting period that AWS does not offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("pending window of `{days}` days is not between 7 and 30")]
pub struct OutOfRange {
    /// The days that were asked for.
    pub days: i64,
}

impl PendingWindow {
    /// The period when a request names none: 30 days.
    pub const DEFAULT: PendingWindow = PendingWindow(30);

    /// A period of `days` whole days.
    ///
    /// # Errors
    /// [`OutOfRange`] unless `7 <= days <= 30`.
    pub fn of_days(days: i64) -> Result<PendingWindow, OutOfRange> {
        match u8::try_from(days) {
            Ok(days @ 7..=30) => Ok(PendingWindow(days)),
            _ => Err(OutOfRange { days }),
        }
    }

    /// The length in whole days.
    pub fn days(self) -> u8 {
        self.0
    }

    /// The moment the period is over when it begins at `now`.
    pub fn after(self, now: Timestamp) -> Timestamp {
        later(now, i64::from(self.0) * DAY_SECONDS)
    }
}

/// The moment `seconds` after `now`.
pub(crate) fn later(now: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::new(now.as_second().saturating_add(seconds), now.subsec_nanosecond()).unwrap_or(Timestamp::MAX)
}

/// When time alone will next change this key, if it will.
pub fn deadline(state: &State) -> Option<Timestamp> {
    match state {
        State::PendingDeletion { deletion_date } => Some(*deletion_date),
        State::Creating { until, .. } | State::Updating { until } => Some(*until),
        State::Enabled
        | State::Disabled
        | State::PendingReplicaDeletion { .. }
        | State::PendingImport
        | State::Unavailable { .. } => None,
    }
}

/// What time alone does to this key at `now`.
///
/// INVARIANT: `Deleted` only from PendingDeletion, and only when its date has come.
pub fn due(state: &State, now: Timestamp) -> Option<Change> {
    deadline(state).filter(|date| *date <= now)?;
    match state {
        State::PendingDeletion { .. } => Some(Change::Deleted),
        State::Creating { to_import: true, .. } => Some(Change::To(State::PendingImport)),
        State::Creating { to_import: false, .. } | State::Updating { .. } => Some(Change::To(State::Enabled)),
        State::Enabled
        | State::Disabled
        | State::PendingReplicaDeletion { .. }
        | State::PendingImport
        | State::Unavailable { .. } => None,
    }
}
