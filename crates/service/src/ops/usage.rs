//! GetKeyLastUsage.

use api::Fault;
use api::shape::usage::{LastUsage, LastUse};
use api::shape::{Epoch, OfKey};

use crate::authorize::Asks;
use crate::decide::{Asked, Done};

/// The last successful cryptographic operation. Uses are tracked from the moment a key is made, so tracking starts then.
pub(super) fn get_key_last_usage(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: OfKey<'_> = asked.request()?;
    let key = asked.key(&request.key, Asks::default())?;
    let used = key.last_use().map(|used| LastUse {
        operation: Some(used.operation.clone()),
        timestamp: Some(Epoch(used.at)),
        cloud_trail_event_id: Some(used.event_id.clone()),
        kms_request_id: Some(used.request_id.clone()),
    });
    Ok(Done::answer(&LastUsage {
        key_id: key.arn.to_string(),
        key_last_usage: used.unwrap_or_default(),
        tracking_start_date: Epoch(key.created),
        key_creation_date: Epoch(key.created),
    }))
}
