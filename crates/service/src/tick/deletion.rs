//! The end of a waiting period.

use api::{KeyArn, Timestamp};
use lifecycle::{Change as Turn, Command, deadline, decide};
use serde_json::json;
use store::{Batch, BatchId};

use crate::decide::Change;
use crate::ops::custody;
use crate::record::ServiceEvent;
use crate::shared::replace;
use crate::state::{Key, Name, State, Tombstone, encode_family, encode_tombstone, member};

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
    if key.multi_region {
        change = change.and(departure(state, arn, now));
    }
    // Source: AWS KMS Developer Guide, CloudTrail example of DeleteKey.
    let event = ServiceEvent {
        name: "DeleteKey",
        key: arn,
        details: json!({ "keyId": arn.key.to_string() }),
        additional: custody::recorded(state, key),
    };
    change.into_batch(BatchId(id), vec![event.record(now, id)])
}

/// What the deletion of `arn` changes in its family: a primary that waited for its last replica begins its own waiting period.
///
/// INVARIANT: the last replica's deletion expects the primary as it was read, whether it waits or not: a primary that is scheduled
/// at that moment would wait for a replica that is gone.
fn departure(state: &State, arn: KeyArn, now: Timestamp) -> Change {
    let name = Name::Family(arn.account, arn.key);
    let change = Change::on(name.clone(), state.family_version(&arn));
    let Some(rest) = state.family(&arn).and_then(|family| family.without(arn.region)) else {
        return change.delete(name);
    };
    let change = change.put(name, encode_family(&rest));
    let Some(primary) = state.key(&member(arn, rest.primary)).filter(|_| rest.replicas.is_empty()) else {
        return change;
    };
    match decide(&primary.state, Command::LoseLastReplica, now) {
        Ok(Turn::To(next)) => change.and(replace(state, &Key { state: next, ..Key::clone(primary) })),
        Ok(Turn::Stay | Turn::Deleted) | Err(_) => {
            change.and_on(Name::Key(primary.arn), state.key_version(&primary.arn))
        }
    }
}
