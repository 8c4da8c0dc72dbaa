//! EnableKey, DisableKey (both [`super::OfKey`]), ScheduleKeyDeletion, CancelKeyDeletion.

use std::borrow::Cow;

use serde::Serialize;

use super::{Epoch, KEY_ID};
use crate::validate::{Reader, Request};

/// ScheduleKeyDeletion.
#[derive(Debug)]
pub struct ScheduleKeyDeletion<'a> {
    /// The key as the caller named it.
    pub key: Cow<'a, str>,
    /// The waiting period in days, 1 to 365 here; 7 to 30 is checked by the lifecycle, with a text of its own.
    pub pending_window_in_days: Option<i64>,
}

impl<'a> Request<'a> for ScheduleKeyDeletion<'a> {
    fn read(reader: &Reader<'_, 'a>) -> ScheduleKeyDeletion<'a> {
        ScheduleKeyDeletion {
            key: reader.required_text("KeyId", KEY_ID, None),
            pending_window_in_days: reader.number("PendingWindowInDays", 1..=365),
        }
    }
}

/// The answer of ScheduleKeyDeletion.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Scheduled {
    /// The key **ARN**, in spite of the name.
    pub key_id: String,
    /// When the waiting period is over; absent while PendingReplicaDeletion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_date: Option<Epoch>,
    /// `PendingDeletion` or `PendingReplicaDeletion`.
    pub key_state: &'static str,
    /// The waiting period in days.
    pub pending_window_in_days: u8,
}

/// The answer of CancelKeyDeletion.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Cancelled {
    /// The key ARN.
    pub key_id: String,
}
