//! The `ValidTo` of imported material.

use api::Timestamp;
use serde_json::json;
use store::{Batch, BatchId};

use crate::decide::Change;
use crate::record::ServiceEvent;
use crate::state::{Key, Name, State, encode_key};

/// The end of all material of `key` that has expired at `now`: the key waits for it to be imported again.
pub(super) fn batch(state: &State, key: &Key, now: Timestamp, id: [u8; 16]) -> Batch {
    let arn = key.arn;
    let mut new = Key::clone(key);
    new.forget(|material| material.expiry().is_some_and(|date| date <= now));
    let name = Name::Key(arn);
    let change = Change::on(name.clone(), state.key_version(&arn)).put(name, encode_key(&new));
    // Source: AWS KMS Developer Guide, CloudTrail example of DeleteExpiredKeyMaterial.
    let details = json!({ "keyId": arn.key.to_string() });
    let event = ServiceEvent { name: "DeleteExpiredKeyMaterial", key: arn, details };
    change.into_batch(BatchId(id), vec![event.record(now, id)])
}
