//! What the members of a multi-Region family share, kept in step: one batch changes it for all of them.
//!
//! Shared are rotation and which materials there are; spec, usage and origin never change. Material that KMS made is the same in
//! every member. Imported material is imported into each by itself, and each loses its own; but which material it may be is said by
//! the primary. Source: AWS KMS Developer Guide, "Multi-Region keys in AWS KMS", shared properties; AWS KMS API Reference,
//! ImportKeyMaterial.

use api::Timestamp;
use crypto::MaterialId;
use serde_json::json;

use crate::decide::Change;
use crate::record;
use crate::state::{Key, Material, Name, Origin, Schedule, State, encode_key};

/// `new` in the place of `key`, and where that changes what is shared, its replicas after it. The records tell, in the Region of
/// each replica, that it was brought into step.
pub(crate) fn change(state: &State, key: &Key, new: &Key, now: Timestamp) -> (Change, Vec<Vec<u8>>) {
    if !key.multi_region {
        return (replace(state, new), Vec::new());
    }
    let own = match state.primary(key) {
        Some(primary) => replace(state, &follow(Key::clone(new), primary)),
        None => replace(state, new),
    };
    let family = Name::Family(key.arn.account, key.arn.key);
    let mut change = own.and_on(family, state.family_version(&key.arn));
    let mut records = Vec::new();
    let request_id = record::fresh_event_id();
    for replica in state.replicas(key.arn).filter(|_| shape(key) != shape(new)) {
        change = change.and(replace(state, &follow(Key::clone(replica), new)));
        records.push(synchronized(replica, now, &request_id));
    }
    (change, records)
}

/// What is shared of a key, where it can change.
fn shape(key: &Key) -> (Vec<MaterialId>, Option<MaterialId>, Option<Schedule>) {
    let ids = key.material.iter().map(|material| material.id).collect();
    (ids, key.next_material.as_ref().map(|next| next.id), key.rotation)
}

/// `replica` with all that it shares with its primary. Imported material it keeps, as far as it has it.
pub(crate) fn follow(mut replica: Key, primary: &Key) -> Key {
    replica.rotation = primary.rotation;
    match primary.origin {
        // Keys in custom key stores have no replicas.
        Origin::AwsKms | Origin::CloudHsm | Origin::ExternalKeyStore => {
            replica.material.clone_from(&primary.material);
        }
        Origin::External => {
            let known: Vec<Material> = replica.materials().cloned().collect();
            let own = |material: &Material| {
                let own = known.iter().find(|own| own.id == material.id).cloned();
                Material { rotated: material.rotated, ..own.unwrap_or_else(|| Material::awaited(material.id)) }
            };
            replica.material = primary.material.iter().map(own).collect();
            replica.next_material = primary.next_material.as_ref().map(own);
            replica.state = replica.state.with_material(replica.has_all_material());
        }
    }
    replica
}

/// Whether a primary and every replica of it have the imported material that the next rotation will make the current one. A primary
/// that was a replica may still lack it.
pub(crate) fn can_rotate(state: &State, primary: &Key) -> bool {
    let has_next = |key: &Key| key.next_material.as_ref().is_some_and(|next| next.wrapped.is_some());
    has_next(primary) && state.replicas(primary.arn).all(|replica| has_next(replica))
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
