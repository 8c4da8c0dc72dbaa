//! What time does to the world: keys whose waiting period is over are deleted, material that has expired goes, and keys that are
//! due are rotated. States that last only for a while end.

mod deletion;
mod expiry;
mod rotation;
mod settlement;

use api::{KeyArn, Timestamp};
use jiff::SignedDuration;
use lifecycle::Timer;
use store::Batch;

use crate::connections::{Orphan, orphan};
use crate::state::{Key, State};
use crate::vault::Vault;

/// Most batches of one tick; the caller ticks again while there are any.
const DUE_PER_TICK: usize = 64;

/// Something that time does to a key.
#[derive(Debug)]
pub struct Due {
    /// The key.
    pub key: KeyArn,
    /// What becomes of it.
    pub timer: Timer,
    /// The change, with its records.
    pub batch: Batch,
    /// What is to be destroyed outside when the change is durable.
    pub orphan: Option<Orphan>,
}

/// What is due at `now`, at most 64 batches, deletions first and of each kind the longest overdue first; of a key and its
/// family one thing at a time.
///
/// A key is to be deleted when its deletion date and then `deletion_delay_seconds` have passed: AWS deletes up to 24 hours late.
/// Nothing else is held back. `fresh` makes the UUID of a record.
///
/// # Guarantees
/// - INVARIANT: nothing before its date, and only in states in which its timer runs. `State::deadline` is asked for each.
/// - INVARIANT: no key after a cancel. Each batch expects the key as this snapshot has it; CancelKeyDeletion replaces the key's
///   record, so of the two exactly one commits.
/// - INVARIANT: no change without its record. They are one batch.
/// - INVARIANT: the waiting period of a primary that waits for its replicas begins when the last of them is deleted: in that batch.
pub fn tick(
    state: &State,
    vault: &Vault,
    now: Timestamp,
    deletion_delay_seconds: u32,
    fresh: &mut dyn FnMut() -> [u8; 16],
) -> Vec<Due> {
    let delay = SignedDuration::from_secs(i64::from(deletion_delay_seconds));
    let mut due: Vec<Due> = Vec::new();
    for timer in Timer::ALL {
        let at = match timer {
            Timer::Deletion => now.checked_sub(delay).unwrap_or(Timestamp::MIN),
            Timer::Settlement | Timer::Expiry | Timer::Rotation => now,
        };
        for key in state.overdue(timer, at).filter(|key| is_due(state, key, timer, at)) {
            if due.len() == DUE_PER_TICK {
                return due;
            }
            if due.iter().any(|earlier| is_related(&earlier.key, &key.arn)) {
                continue;
            }
            let batch = match timer {
                Timer::Deletion => deletion::batch(state, key, now, fresh()),
                Timer::Settlement => settlement::batch(state, key, now, fresh()),
                Timer::Expiry => expiry::batch(state, key, now, fresh()),
                Timer::Rotation => rotation::batch(state, vault, key, now, fresh()),
            };
            let orphan = (timer == Timer::Deletion).then(|| orphan(state, key)).flatten();
            due.push(Due { key: key.arn, timer, batch, orphan });
        }
    }
    due
}

fn is_due(state: &State, key: &Key, timer: Timer, at: Timestamp) -> bool {
    state.deadline(key, timer).is_some_and(|date| date <= at)
}

/// Whether two names are of one key, or of two members of one family: what happens to one may change the other.
fn is_related(one: &KeyArn, other: &KeyArn) -> bool {
    let family = one.key.is_multi_region() && (one.account, one.key) == (other.account, other.key);
    one == other || family
}
