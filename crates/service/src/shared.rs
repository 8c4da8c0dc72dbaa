//! What the members of a multi-Region family share, kept in step: one batch changes it for all of them.
//!
//! Shared are the material that KMS made and the rotation; spec, usage and origin never change. Imported material is imported into
//! each member by itself. Source: AWS KMS Developer Guide, "Multi-Region keys in AWS KMS", shared properties.

use api::Timestamp;
use serde_json::json;

use crate::decide::Change;
use crate::record;
use crate::state::{Key, Name, Origin, State, encode_key};

/// `new` in the place of `key`, and what it shares in the place of what its replicas had. The records tell, in the Region of each
/// replica, that it was brought into step.
pub(crate) fn change(state: &State, key: &Key, new: &Key, now: Timestamp) -> (Change, Vec<Vec<u8>>) {
    let mut change = replace(state, new);
    let mut records = Vec::new();
    if key.multi_region {
        let family = Name::Family(key.arn.account, key.arn.key);
        change = change.and_on(family, state.family_version(&key.arn));
    }
    let request_id = record::fresh_event_id();
    for replica in state.replicas(key.arn) {
        let mut follower = Key { rotation: new.rotation, ..Key::clone(replica) };
        if key.origin == Origin::AwsKms {
            follower.material = new.material.clone();
        }
        change = change.and(replace(state, &follower));
        records.push(synchronized(&follower, now, &request_id));
    }
    (change, records)
}

/// The record of bringing a member into step with its family.
pub(crate) fn synchronized(key: &Key, now: Timestamp, request_id: &str) -> Vec<u8> {
    record::by_kms("SynchronizeMultiRegionKey", key.arn, now, request_id, &json!({ "keyId": key.arn }))
}

/// `new` in the place of the key of that name, which is expected as it was read.
pub(crate) fn replace(state: &State, new: &Key) -> Change {
    let name = Name::Key(new.arn);
    Change::on(name.clone(), state.key_version(&new.arn)).put(name, encode_key(new))
}
