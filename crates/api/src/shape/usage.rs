//! GetKeyLastUsage; its request is a [`super::OfKey`].

use serde::Serialize;

use super::Epoch;

/// The answer of GetKeyLastUsage.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LastUsage {
    /// The key ARN.
    pub key_id: String,
    /// The last successful cryptographic operation; empty where none is known.
    pub key_last_usage: LastUse,
    /// Since when uses are known: the later of the key's creation and the beginning of tracking.
    pub tracking_start_date: Epoch,
    /// When the key was made.
    pub key_creation_date: Epoch,
}

/// One use; all members or none.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LastUse {
    /// `Decrypt` and so on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Epoch>,
    /// The CloudTrail record that tells more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud_trail_event_id: Option<String>,
    /// The request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms_request_id: Option<String>,
}
