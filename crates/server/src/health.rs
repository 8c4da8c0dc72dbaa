//! Whether the server can keep its promises, and if not, why.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use tracing::{error, info, warn};

/// What is wrong with the server.
///
/// A store or an audit log that failed stays failed until the server is started again: what is on disk after a failed write
/// cannot be told from here. A held clock only keeps keys from being deleted.
#[derive(Debug, Default)]
pub(crate) struct Health {
    store: OnceLock<String>,
    audit: OnceLock<String>,
    held: ArcSwapOption<String>,
    trail: ArcSwapOption<String>,
}

impl Health {
    /// The store failed; the first cause counts.
    pub(crate) fn store_failed(&self, why: &dyn std::fmt::Display) {
        if self.store.set(why.to_string()).is_ok() {
            error!(%why, "the store has failed, and no more calls are taken: start the server again");
        }
    }

    /// The audit log or the trail failed; the first cause counts.
    pub(crate) fn audit_failed(&self, why: &dyn std::fmt::Display) {
        if self.audit.set(why.to_string()).is_ok() {
            error!(%why, "the audit log has failed, and no more calls are taken: free space or repair, then start the server again");
        }
    }

    /// Keys are not deleted until an operator has looked at the clock.
    pub(crate) fn hold(&self, why: String) {
        if self.held.load().as_deref() != Some(&why) {
            error!(%why, "keys whose waiting period is over are not deleted");
            self.held.store(Some(Arc::new(why)));
        }
    }

    /// The clock is in order again.
    pub(crate) fn release(&self) {
        if self.held.swap(None).is_some() {
            info!("the wall clock is back in step; keys whose waiting period is over are deleted again");
        }
    }

    /// Whether keys are not deleted until an operator has looked at the clock.
    pub(crate) fn is_held(&self) -> bool {
        self.held.load().is_some()
    }

    /// Records could not be sealed into the trail, or could again. They are safe in the audit log meanwhile.
    pub(crate) fn sealed(&self, outcome: Result<(), &dyn std::fmt::Display>) {
        match outcome {
            Ok(()) => self.trail.store(None),
            Err(why) => {
                warn!(%why, "records could not be sealed into the trail; they are safe in the audit log, and it is tried again");
                self.trail.store(Some(Arc::new(why.to_string())));
            }
        }
    }

    /// Whether no answer can be promised any more.
    pub(crate) fn is_broken(&self) -> bool {
        self.store.get().is_some() || self.audit.get().is_some()
    }

    /// Why no answer can be promised any more.
    pub(crate) fn reasons(&self) -> Vec<String> {
        let store = self.store.get().map(|why| format!("store: {why}"));
        let audit = self.audit.get().map(|why| format!("audit log: {why}"));
        store.into_iter().chain(audit).collect()
    }

    /// What an operator should look at, though calls are answered.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let (held, trail) = (self.held.load(), self.trail.load());
        let held = held.iter().map(|why| format!("clock: {why}"));
        held.chain(trail.iter().map(|why| format!("trail: {why}"))).collect()
    }
}
