//! The server's clock: the only place that asks what time it is.
//!
//! A real clock is the operating system's. A virtual one, which only a development server may have, stands still until it is
//! advanced, and is written down before anybody sees a new time, so that it never goes back, not after a restart either.
//! Signatures and the `Date` header always follow the wall clock; key states, records and ticks follow the server's.
//!
//! [`Watch`] compares the wall clock with the monotonic one: a wall clock that jumps ahead must not end anybody's waiting period.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use api::Timestamp;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::files::{self, FileError};

/// How far the wall clock may run ahead of the monotonic one between two looks before destructive ticks wait.
///
/// Far above what time synchronisation corrects, far below the shortest waiting period (7 days).
pub(crate) const TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// The latest time a virtual clock may show, so that adding the longest waiting period never overflows: the year 2200.
const LATEST: i64 = 7_258_118_400_000_000;

/// What time it is for this server.
#[derive(Debug)]
pub struct Clock {
    source: Source,
    started: Instant,
}

#[derive(Debug)]
enum Source {
    Real,
    Virtual {
        /// Microseconds since the epoch.
        now: AtomicI64,
        file: PathBuf,
    },
}

/// A virtual clock cannot be set as asked.
#[derive(Debug, thiserror::Error)]
pub enum ClockError {
    /// The clock is the operating system's.
    #[error("this server runs on the real clock, which cannot be advanced; start it with `--dev --clock virtual`")]
    Real,
    /// The time asked for is before the clock's, or out of its range.
    #[error("`{to}` is not between `{now}`, which the clock shows, and the year 2200")]
    OutOfRange {
        /// What was asked for.
        to: String,
        /// What the clock shows.
        now: Timestamp,
    },
    /// The new time could not be written down, so it did not begin.
    #[error(transparent)]
    File(#[from] FileError),
}

#[derive(Serialize, Deserialize)]
struct Written {
    v: u8,
    now: Timestamp,
}

impl Clock {
    /// The operating system's clock.
    pub(crate) fn real() -> Clock {
        Clock { source: Source::Real, started: instant() }
    }

    /// The virtual clock written down in `file`, or a new one that shows `start` (else the wall time).
    ///
    /// # Errors
    /// Where the file cannot be read or written.
    pub(crate) fn virtual_in(file: PathBuf, start: Option<Timestamp>) -> Result<Clock, FileError> {
        let now = match virtual_time(&file)? {
            Some(written) => written,
            None => start.unwrap_or_else(wall),
        };
        let clock = Clock {
            source: Source::Virtual { now: AtomicI64::new(now.as_microsecond()), file: file.clone() },
            started: instant(),
        };
        files::replace(&file, &written(clock.now()))?;
        Ok(clock)
    }

    /// What time it is for keys, records and ticks.
    pub fn now(&self) -> Timestamp {
        match &self.source {
            Source::Real => wall(),
            Source::Virtual { now, .. } => Timestamp::from_microsecond(now.load(Ordering::Acquire))
                .expect("a virtual clock is set only within range"),
        }
    }

    /// What time it is for signatures.
    pub fn wall(&self) -> Timestamp {
        wall()
    }

    /// Time since this clock was made, which no one can set.
    pub(crate) fn monotonic(&self) -> Duration {
        instant().duration_since(self.started)
    }

    /// Whether the clock moves only when it is told to.
    pub fn is_virtual(&self) -> bool {
        matches!(self.source, Source::Virtual { .. })
    }

    /// Sets a virtual clock to a later time; it is written down first.
    ///
    /// *Assumptions*: one caller at a time.
    ///
    /// # Errors
    /// [`ClockError`]; the clock then shows what it showed.
    pub(crate) fn set(&self, to: Timestamp) -> Result<(), ClockError> {
        let Source::Virtual { now, file } = &self.source else { return Err(ClockError::Real) };
        let (before, after) = (now.load(Ordering::Acquire), to.as_microsecond());
        if !(before..=LATEST).contains(&after) {
            return Err(ClockError::OutOfRange { to: to.to_string(), now: self.now() });
        }
        files::replace(file, &written(to))?;
        now.store(after, Ordering::Release);
        Ok(())
    }
}

/// The time that a virtual clock wrote down in `file`, if one ever ran there.
pub(crate) fn virtual_time(file: &std::path::Path) -> Result<Option<Timestamp>, FileError> {
    let Some(bytes) = files::read(file)? else { return Ok(None) };
    let written: Written = serde_json::from_slice(&bytes).map_err(|error| files::unreadable(file, &error))?;
    Ok(Some(written.now))
}

fn written(now: Timestamp) -> Vec<u8> {
    serde_json::to_vec(&Written { v: 1, now }).expect("a time is text")
}

#[expect(clippy::disallowed_methods, reason = "this is the edge that everything else asks")]
pub(crate) fn wall() -> Timestamp {
    Timestamp::now()
}

#[expect(clippy::disallowed_methods, reason = "this is the edge that everything else asks")]
fn instant() -> Instant {
    Instant::now()
}

/// Watches for a wall clock that runs ahead of the monotonic one.
#[derive(Debug)]
pub(crate) struct Watch {
    wall: Timestamp,
    monotonic: Duration,
}

impl Watch {
    /// Begins to watch.
    pub(crate) fn new(wall: Timestamp, monotonic: Duration) -> Watch {
        Watch { wall, monotonic }
    }

    /// How far the wall clock has jumped ahead since the last look that found nothing; `None` where it kept pace.
    ///
    /// A jump stays a jump until the wall clock is back where it should be: only looks at clocks in step move the base line.
    pub(crate) fn jump(&mut self, wall: Timestamp, monotonic: Duration) -> Option<SignedDuration> {
        let passed = SignedDuration::try_from(monotonic.saturating_sub(self.monotonic)).unwrap_or(SignedDuration::MAX);
        let ahead = wall.duration_since(self.wall).saturating_sub(passed);
        if ahead > TOLERANCE {
            return Some(ahead);
        }
        if ahead >= -TOLERANCE {
            *self = Watch { wall, monotonic };
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn passed(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_virtual_clock_never_goes_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clock.json");
        let clock = Clock::virtual_in(file.clone(), Some(at(0))).unwrap();
        clock.set(at(60)).unwrap();
        assert!(matches!(clock.set(at(59)), Err(ClockError::OutOfRange { .. })));
        assert_eq!(clock.now(), at(60));
        drop(clock);
        assert_eq!(Clock::virtual_in(file, Some(at(0))).unwrap().now(), at(60));
    }

    #[test]
    fn a_real_clock_cannot_be_set() {
        assert!(matches!(Clock::real().set(at(0)), Err(ClockError::Real)));
    }

    #[test]
    fn a_jump_ahead_is_seen_until_it_is_taken_back() {
        let mut watch = Watch::new(at(0), passed(0));
        assert_eq!(watch.jump(at(61), passed(60)), None);
        assert_eq!(watch.jump(at(86_521), passed(120)), Some(SignedDuration::from_secs(86_400)));
        assert_eq!(watch.jump(at(86_581), passed(180)), Some(SignedDuration::from_secs(86_400)));
        assert_eq!(watch.jump(at(241), passed(240)), None);
    }

    #[test]
    fn a_clock_that_is_slow_or_goes_back_ends_nothing_early_and_is_no_jump() {
        let mut watch = Watch::new(at(0), passed(0));
        assert_eq!(watch.jump(at(-3600), passed(60)), None);
        assert_eq!(watch.jump(at(120), passed(120)), None);
    }
}
