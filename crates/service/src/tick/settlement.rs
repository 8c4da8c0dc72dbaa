//! The end of a state that lasts only for a while.

use api::Timestamp;
use lifecycle::{Change, due};
use store::{Batch, BatchId};

use crate::record;
use crate::shared;
use crate::state::{Key, State};

/// `key` is no longer Creating or Updating: what it shares with its family is in place.
pub(super) fn batch(state: &State, key: &Key, now: Timestamp, id: [u8; 16]) -> Batch {
    let next = match due(&key.state, now) {
        Some(Change::To(next)) => next,
        Some(Change::Stay | Change::Deleted) | None => {
            unreachable!("a timer that has run out leads out of Creating and Updating")
        }
    };
    let change = shared::replace(state, &Key { state: next, ..Key::clone(key) });
    change.into_batch(BatchId(id), vec![shared::synchronized(key, now, &record::fresh_event_id())])
}
