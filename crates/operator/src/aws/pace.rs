//! How fast LookupEvents may be asked.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// LookupEvents allows two calls a second for an account and Region. Source: CloudTrail API Reference, LookupEvents.
const BETWEEN: Duration = Duration::from_millis(500);

/// Lets calls through one by one, at their pace; all at once on this machine, where nobody counts them.
#[derive(Debug)]
pub(super) struct Pace(Option<Mutex<Interval>>);

impl Pace {
    /// Must be called on the runtime that waits.
    pub(super) fn of(is_loopback: bool) -> Pace {
        Pace((!is_loopback).then(|| {
            let mut interval = interval(BETWEEN);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            Mutex::new(interval)
        }))
    }

    /// Waits for the next turn.
    pub(super) async fn turn(&self) {
        if let Some(interval) = &self.0 {
            interval.lock().await.tick().await;
        }
    }
}
