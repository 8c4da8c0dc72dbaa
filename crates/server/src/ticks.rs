//! What time asks for: deleting keys whose waiting period is over, expiring and rotating material, and sealing records into the
//! trail; and connecting custom key stores.
//!
//! On a real clock a task looks at least every half minute. On a virtual clock time moves only in [`Node::advance`], which goes from
//! deadline to deadline, so that the record of each thing that was due carries its own time.

use std::sync::Arc;
use std::time::Duration;

use api::{KeyArn, Timestamp};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use service::Orphan;
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::clock::{Clock, ClockError, Watch};
use crate::commit::Done;
use crate::error::StartError;
use crate::files;
use crate::folder::Folder;
use crate::health::Health;
use crate::ids;
use crate::node::Node;

/// Most batches at one look that take away what deleted keys left behind; nobody waits for it.
const SWEEPS: usize = 64;
/// Longest time between two looks.
const INTERVAL: Duration = Duration::from_secs(30);
/// Shortest time between two looks.
const SHORTEST: Duration = Duration::from_millis(10);

/// What the tick remembers from one turn to the next.
#[derive(Debug)]
pub(crate) struct Ticker {
    watch: Watch,
    /// When records were last sealed, by the server's clock.
    sealed: Timestamp,
    /// Where a hold is written down.
    file: std::path::PathBuf,
    /// The hold is older than this process: only an operator ends it.
    inherited: bool,
}

/// A hold of destructive ticks, as it is written down: a restart must not end it.
#[derive(Serialize, Deserialize)]
struct Hold {
    v: u8,
    /// When the jump was seen, by the wall clock.
    seen: Timestamp,
    ahead_seconds: i64,
}

/// Time could not be advanced.
#[derive(Debug, thiserror::Error)]
pub enum AdvanceError {
    /// The clock cannot be set so.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// Something became due that could not be done; time stopped there.
    #[error("what became due at {at} could not be done; ask /readyz why")]
    Stuck {
        /// What the clock shows.
        at: Timestamp,
    },
}

impl Ticker {
    /// Looks whether destructive ticks were held when the server stopped; `accept` is an operator who has looked at the clock.
    pub(crate) fn open(folder: &Folder, clock: &Clock, health: &Health, accept: bool) -> Result<Ticker, StartError> {
        let file = folder.clock_held();
        let held = match files::read(&file)? {
            Some(bytes) => {
                Some(serde_json::from_slice::<Hold>(&bytes).map_err(|error| files::unreadable(&file, &error))?)
            }
            None => None,
        };
        if accept {
            files::remove(&file)?;
        } else if let Some(hold) = &held {
            health.hold(format!(
                "the wall clock was seen to jump ahead by {} seconds at {}; check it, then start with `--accept-clock`",
                hold.ahead_seconds, hold.seen
            ));
        }
        let watch = Watch::new(clock.wall(), clock.monotonic());
        Ok(Ticker { watch, sealed: clock.now(), file, inherited: held.is_some() && !accept })
    }

    /// Compares the wall clock with the monotonic one, and holds or releases destructive ticks.
    fn look(&mut self, seen: Timestamp, monotonic: Duration, health: &Health) {
        match self.watch.jump(seen, monotonic) {
            Some(ahead) => {
                let hold = Hold { v: 1, seen, ahead_seconds: ahead.as_secs() };
                if !health.is_held() {
                    let text = serde_json::to_vec(&hold).expect("a hold holds only texts and numbers");
                    if let Err(error) = files::replace(&self.file, &text) {
                        error!(%error, "could not write down that the clock jumped; keys wait until this process ends");
                    }
                }
                // Whole minutes, so that each look at the same jump says the same.
                let minutes = ahead.as_mins();
                health.hold(format!(
                    "the wall clock runs {minutes} minutes ahead of the monotonic clock; set it right, or start again with `--accept-clock`"
                ));
            }
            None if !self.inherited && health.is_held() => match files::remove(&self.file) {
                Ok(()) => health.release(),
                Err(error) => error!(%error, "could not take back that the clock jumped"),
            },
            None => {}
        }
    }
}

/// Does what time asks for until `stop` says so.
pub(crate) async fn run(node: Arc<Node>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(node.until_due()) => node.tick().await,
            // Something is due before that; how long to sleep is asked again.
            () = node.sooner.notified() => {}
            () = node.connecting.notified() => node.connect_stores().await,
            () = stopping(&mut stop) => return,
        }
    }
}

/// Returns when the server is to stop.
pub(crate) async fn stopping(stop: &mut watch::Receiver<bool>) {
    // An error is a server that is gone.
    let _ = stop.wait_for(|stopping| *stopping).await;
}

impl Node {
    /// When time next does something to a key.
    fn next_due(&self) -> Option<Timestamp> {
        self.state.load().next_deadline(self.deletion_delay_seconds)
    }

    /// Longest time to sleep.
    fn longest(&self) -> Duration {
        Duration::try_from(self.seal_every).unwrap_or_default().clamp(SHORTEST, INTERVAL)
    }

    /// How long to sleep.
    fn until_due(&self) -> Duration {
        self.soon().unwrap_or_else(|| self.longest())
    }

    /// How long it is until something is due, if that is sooner than the longest sleep.
    fn soon(&self) -> Option<Duration> {
        if self.clock.is_virtual() || self.health.is_held() || self.health.is_broken() {
            return None;
        }
        let due = self.next_due()?.duration_since(self.clock.now());
        let due = Duration::try_from(due).unwrap_or_default().max(SHORTEST);
        Some(due).filter(|due| *due < self.longest())
    }

    /// After a change: wakes the loop where something is due before its next look.
    pub(crate) fn look_sooner(&self) {
        if self.soon().is_some() {
            self.sooner.notify_one();
        }
    }

    /// One look.
    async fn tick(self: &Arc<Node>) {
        let mut ticker = self.ticker.lock().await;
        if !self.clock.is_virtual() {
            ticker.look(self.clock.wall(), self.clock.monotonic(), &self.health);
        }
        if !self.health.is_held() && !self.health.is_broken() {
            self.do_due().await;
        }
        self.connect_stores().await;
        self.seal_due(&mut ticker).await;
    }

    /// Connects the custom key stores that wait for it.
    async fn connect_stores(self: &Arc<Node>) {
        if !service::is_connecting(&self.state.load()) || self.health.is_broken() {
            return;
        }
        let node = self.clone();
        let tried =
            tokio::task::spawn_blocking(move || service::connections(&node.state.load(), &node.vault, &mut ids::fresh));
        // A store that was changed meanwhile is a conflict, and waits for the next look if it must.
        self.committer.commit_all(tried.await.expect("connecting does not panic")).await;
    }

    /// Destroys what deleted keys have left in hardware security modules.
    async fn destroy(self: &Arc<Node>, orphans: Vec<(KeyArn, Orphan)>) {
        if orphans.is_empty() {
            return;
        }
        let node = self.clone();
        let destroyed = tokio::task::spawn_blocking(move || {
            for (key, orphan) in orphans {
                match orphan.destroy(&node.vault) {
                    Ok(()) => info!(%key, "destroyed the key outside of a deleted key"),
                    Err(trouble) => {
                        warn!(%key, ?trouble, ?orphan, "could not destroy the key outside of a deleted key; destroy it there");
                    }
                }
            }
        });
        destroyed.await.expect("destroying does not panic");
    }

    /// Does everything that is due; whether nothing is left.
    async fn do_due(self: &Arc<Node>) -> bool {
        loop {
            let now = self.clock.now();
            let (state, delay) = (self.state.load(), self.deletion_delay_seconds);
            let due = service::tick(&state, &self.vault, now, delay, &mut ids::fresh);
            if due.is_empty() {
                self.sweep().await;
                return true;
            }
            let (mut moved, mut orphans) = (false, Vec::new());
            let (what, batches): (Vec<_>, Vec<_>) =
                due.into_iter().map(|due| ((due.key, due.timer, due.orphan), due.batch)).unzip();
            for ((key, timer, orphan), done) in what.into_iter().zip(self.committer.commit_all(batches).await) {
                match done {
                    Done::Committed => {
                        info!(%key, ?timer, "did to a key what was due");
                        orphans.extend(orphan.map(|orphan| (key, orphan)));
                    }
                    Done::Conflict => info!(%key, ?timer, "a key changed just when something was due"),
                    Done::Failed => error!(%key, ?timer, "what is due to a key could not be done"),
                }
                moved |= done != Done::Failed;
            }
            self.destroy(orphans).await;
            if !moved {
                return false;
            }
        }
    }

    /// Takes away what deleted keys left behind, some of it at each look.
    async fn sweep(&self) {
        for _ in 0..SWEEPS {
            let Some(batch) = service::sweep(&self.state.load(), &mut ids::fresh) else { return };
            if self.committer.commit(batch).await != Done::Committed {
                return;
            }
        }
    }

    async fn seal_due(self: &Arc<Node>, ticker: &mut Ticker) {
        let now = self.clock.now();
        let old = now.duration_since(ticker.sealed) >= self.seal_every;
        if (old || self.records.has_closed()) && self.seal().await {
            ticker.sealed = now;
        }
    }

    /// Seals every record into the trail; whether that was done.
    async fn seal(self: &Arc<Node>) -> bool {
        if self.health.is_broken() {
            return false;
        }
        self.committer.settle().await;
        let node = self.clone();
        let sealed = tokio::task::spawn_blocking(move || node.records.seal(|keys| node.keep_uses(&keys)));
        let sealed = sealed.await.expect("sealing does not panic");
        let outcome = sealed.as_ref().copied().map_err(|error| error as &dyn std::fmt::Display);
        self.health.sealed(outcome);
        sealed.is_ok()
    }

    /// Moves a virtual clock on by `by` and does everything that becomes due on the way, each at its time; what the clock shows
    /// then.
    ///
    /// # Errors
    /// [`AdvanceError`]; time has then passed as far as the clock shows.
    pub(crate) async fn advance(self: &Arc<Node>, by: SignedDuration) -> Result<Timestamp, AdvanceError> {
        let mut ticker = self.ticker.lock().await;
        let until = self.clock.now().checked_add(by).unwrap_or(Timestamp::MAX);
        if !self.clock.is_virtual() || by.is_negative() {
            // Says which of the two.
            self.clock.set(until)?;
        }
        while let Some(due) = self.next_due().filter(|due| *due <= until) {
            let at = due.max(self.clock.now());
            self.set_clock(at).await?;
            if !self.do_due().await {
                return Err(AdvanceError::Stuck { at });
            }
        }
        self.set_clock(until).await?;
        self.committer.settle().await;
        self.seal_due(&mut ticker).await;
        Ok(until)
    }

    async fn set_clock(self: &Arc<Node>, to: Timestamp) -> Result<(), ClockError> {
        let node = self.clone();
        tokio::task::spawn_blocking(move || node.clock.set(to)).await.expect("setting the clock does not panic")
    }

    /// Empties a development server: keys, aliases, tombstones, records, trail. Its clock and its access keys stay.
    pub(crate) async fn reset(self: &Arc<Node>) -> bool {
        // Nothing is deleted or sealed meanwhile.
        let _turn = self.ticker.lock().await;
        if self.committer.reset().await != Done::Committed {
            return false;
        }
        let node = self.clone();
        let reset = tokio::task::spawn_blocking(move || node.records.reset()).await.expect("a reset does not panic");
        if let Err(error) = &reset {
            error!(%error, "could not forget the records");
        }
        reset.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn ticker(file: std::path::PathBuf) -> Ticker {
        Ticker { watch: Watch::new(at(0), Duration::ZERO), sealed: at(0), file, inherited: false }
    }

    #[test]
    fn a_jump_holds_until_it_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clock-held.json");
        let (mut ticker, health) = (ticker(file.clone()), Health::default());
        ticker.look(at(30), Duration::from_secs(30), &health);
        assert!(!health.is_held() && !file.exists());
        ticker.look(at(7200), Duration::from_secs(60), &health);
        assert!(health.is_held() && file.exists());
        assert!(health.reasons().is_empty(), "calls are answered");
        ticker.look(at(90), Duration::from_secs(90), &health);
        assert!(!health.is_held() && !file.exists());
    }

    #[test]
    fn a_hold_of_an_earlier_process_is_not_ended_by_a_steady_clock() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clock-held.json");
        let (mut ticker, health) = (Ticker { inherited: true, ..ticker(file) }, Health::default());
        health.hold("seen before".to_owned());
        ticker.look(at(30), Duration::from_secs(30), &health);
        assert!(health.is_held());
    }
}
