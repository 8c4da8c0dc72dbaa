//! Taking away what deleted keys leave behind.

use store::{Batch, BatchId};

use crate::decide::Change;
use crate::state::{Name, State};

/// Most leftovers of one batch, below the store's limits on expectations and writes of 128.
const LEFTOVERS_PER_BATCH: usize = 100;

/// A batch that removes grants of keys that are gone, if there are any; `fresh` names it.
///
/// A key may have 50,000 grants, more than fit into the batch of its deletion. They are invisible from that batch on, so it does
/// not matter when they go, and no record tells of it: the grants ended with the key, which its DeleteKey record tells.
///
/// # Guarantees
/// - INVARIANT: only leftovers. A grant of a key that is gone can never be one of a living key again, and each is expected as it
///   was seen.
pub fn sweep(state: &State, fresh: &mut dyn FnMut() -> [u8; 16]) -> Option<Batch> {
    let mut leftovers = state.leftovers().take(LEFTOVERS_PER_BATCH).peekable();
    leftovers.peek()?;
    let change = leftovers.fold(Change::default(), |change, (version, grant)| {
        let name = Name::Grant(grant.key, grant.slot);
        change.and_on(name.clone(), Some(*version)).delete(name)
    });
    Some(change.into_batch(BatchId(fresh()), Vec::new()))
}
