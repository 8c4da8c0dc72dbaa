//! What sealing reads of a record to file it; everything else in it is carried as it is.

use serde::Deserialize;
use std::borrow::Cow;

/// What names the log file that a record belongs in.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Filing<'a> {
    #[serde(borrow)]
    pub(super) event_time: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) aws_region: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) recipient_account_id: Option<Cow<'a, str>>,
}
