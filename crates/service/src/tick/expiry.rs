//! The `ValidTo` of imported material.

use api::Timestamp;
use serde_json::json;
use store::{Batch, BatchId};

use crate::record::ServiceEvent;
use crate::shared;
use crate::state::{Key, State};

/// The end of all material of `key` that has expired at `now`: the key waits for it to be imported again.
pub(super) fn batch(state: &State, key: &Key, now: Timestamp, id: [u8; 16]) -> Batch {
    let arn = key.arn;
    let mut new = Key::clone(key);
    new.forget(|material| material.expiry().is_some_and(|date| date <= now));
    let (change, followed) = shared::change(state, key, &new, now);
    // Source: AWS KMS Developer Guide, CloudTrail example of DeleteExpiredKeyMaterial.
    let details = json!({ "keyId": arn.key.to_string() });
    let event = ServiceEvent { name: "DeleteExpiredKeyMaterial", key: arn, details, additional: None };
    let records = std::iter::once(event.record(now, id)).chain(followed).collect();
    change.into_batch(BatchId(id), records)
}
