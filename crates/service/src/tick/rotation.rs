//! The end of a rotation period.

use api::Timestamp;
use store::{Batch, BatchId};

use crate::rotation::{RotationKind, rotate};
use crate::state::{Key, State};
use crate::vault::Vault;

/// The automatic rotation of `key`. The next one is a whole period after `now`, also where this one is late.
pub(super) fn batch(state: &State, vault: &Vault, key: &Key, now: Timestamp, id: [u8; 16]) -> Batch {
    let material = vault.generate(key).expect("only symmetric keys rotate, and their material is 32 random bytes");
    let rotated = rotate(state, key, material, RotationKind::Automatic, now, id);
    rotated.change.into_batch(BatchId(id), rotated.records)
}
