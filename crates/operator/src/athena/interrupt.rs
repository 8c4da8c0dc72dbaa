//! Ctrl-C while Athena works: a query that nobody waits for any more would run on, and cost.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;

/// How long a call may take that is made although Ctrl-C came. (Ours.)
const LAST_WAIT: Duration = Duration::from_secs(20);

/// Ctrl-C from here on. While one of these lives, one that nobody waits for is kept for the next who does.
///
/// *Caveats*: the process does not end by Ctrl-C any more, also when this is gone: tokio never gives a signal back.
#[derive(Debug)]
pub(super) struct Interrupt(Signal);

impl Interrupt {
    /// Begins to listen; not as `ctrl_c()`, which begins when it is first waited for.
    pub(super) fn listen() -> std::io::Result<Self> {
        signal(SignalKind::interrupt()).map(Self)
    }

    /// What `work` gives, or nothing where Ctrl-C is first; `work` is given up then, unless it is only borrowed.
    pub(super) async fn or<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            Some(()) = self.0.recv() => None,
            done = work => Some(done),
        }
    }

    /// What a call gives that is made although Ctrl-C came; nothing where it takes too long, or Ctrl-C comes once more.
    pub(super) async fn or_too_long<T>(&mut self, call: impl Future<Output = T>) -> Option<T> {
        self.or(timeout(LAST_WAIT, call)).await?.ok()
    }
}
