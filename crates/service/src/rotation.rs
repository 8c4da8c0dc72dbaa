//! Rotation: a key gets new material, which encrypts from now on; what the old materials sealed still opens.
//!
//! Automatic and on demand are one thing here. It happens at once, in one batch with its RotateKey record, so no key is ever seen
//! in the middle of a rotation.

use api::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::decide::Change;
use crate::record::ServiceEvent;
use crate::shared;
use crate::state::{Key, Material, Rotated, State};

/// What brought a rotation about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RotationKind {
    /// The rotation period was over.
    #[serde(rename = "AUTOMATIC")]
    Automatic,
    /// RotateKeyOnDemand.
    #[serde(rename = "ON_DEMAND")]
    OnDemand,
}

impl RotationKind {
    /// AWS's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            RotationKind::Automatic => "AUTOMATIC",
            RotationKind::OnDemand => "ON_DEMAND",
        }
    }
}

/// A rotation, to be committed.
pub(crate) struct Rotation {
    pub(crate) change: Change,
    /// The RotateKey event, then those of the replicas that are brought into step.
    pub(crate) records: Vec<Vec<u8>>,
}

/// Makes `material` the current one of `key` and of its replicas. `id` is the UUID of the record.
///
/// An automatic rotation begins a new period; one on demand leaves the schedule as it is.
pub(crate) fn rotate(
    state: &State,
    key: &Key,
    material: Material,
    kind: RotationKind,
    now: Timestamp,
    id: [u8; 16],
) -> Rotation {
    let (previous, current) = (key.current_material(), material.id);
    let mut new = Key::clone(key);
    new.next_material = None;
    new.material.push(Material { rotated: Some(Rotated { at: now, kind }), ..material });
    if let (RotationKind::Automatic, Some(schedule)) = (kind, &mut new.rotation) {
        schedule.next = schedule.period.after(now);
    }
    let (change, followed) = shared::change(state, key, &new, now);
    // Source: AWS KMS Developer Guide, CloudTrail example of RotateKey.
    let details = json!({
        "rotationType": kind.as_str(),
        "keyOrigin": key.origin.as_str(),
        "previousKeyMaterialId": previous.map(|id| id.to_string()),
        "currentKeyMaterialId": current.to_string(),
        "keyId": key.arn.key.to_string(),
    });
    let event = ServiceEvent { name: "RotateKey", key: key.arn, details, additional: None };
    let records = std::iter::once(event.record(now, id)).chain(followed).collect();
    Rotation { change, records }
}
