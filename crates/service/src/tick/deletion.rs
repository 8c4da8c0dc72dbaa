//! The end of a waiting period.

use api::Timestamp;
use lifecycle::deadline;
use serde_json::json;
use store::{Batch, BatchId};

use crate::decide::Change;
use crate::record::ServiceEvent;
use crate::state::{Key, Name, State, Tombstone, encode_tombstone};

/// The deletion of `key`. Everything that belongs to it goes with it: material, policy and tags (they are in its record),
/// aliases, last use. A tombstone stays.
pub(super) fn batch(state: &State, key: &Key, now: Timestamp, id: [u8; 16]) -> Batch {
    let arn = key.arn;
    let date = deadline(&key.state).expect("a key that is due has a deletion date");
    let tombstone = encode_tombstone(&Tombstone::new(key.created, date, now));
    let mut change = Change::on(Name::Key(arn), state.key_version(&arn))
        .delete(Name::Key(arn))
        .delete(Name::LastUse(arn))
        .put(Name::Tombstone(arn), tombstone);
    for alias in state.aliases_to(arn) {
        let name = (arn.account, arn.region, alias.clone());
        let version = state.alias(&name).map(|(version, _)| *version);
        change = change.and_on(Name::Alias(name.clone()), version).delete(Name::Alias(name));
    }
    // Source: AWS KMS Developer Guide, CloudTrail example of DeleteKey.
    let event = ServiceEvent { name: "DeleteKey", key: arn, details: json!({ "keyId": arn.key.to_string() }) };
    change.into_batch(BatchId(id), vec![event.record(now, id)])
}
