//! When the next use is due, from the uses that are known.
//!
//! Quiet for ninety days says much about a service that called every minute, and nothing about a job that runs once a year. So a
//! caller that used the key within the look-back, and not lately, is believed to have stopped only if it was busy for at least as long
//! as it has been silent. Otherwise the soak must reach past its next use; and where that cannot be told, there is no verdict of QUIET.

use api::Timestamp;
use jiff::SignedDuration;

use crate::finding::Finding;
use crate::observation::UsageRow;
use crate::span::{after, days};

/// Uses closer together than this are one occurrence, which says nothing of a longer rhythm.
const OCCURRENCE: SignedDuration = days(7);
/// Added to the longest gap: a job may be late by a quarter, and by a weekend. Source: procedure.md 6.5.4.
const GRACE: SignedDuration = days(3);

/// What one caller's uses, none of them after `quiet_since`, say about its next. `None` where it has stopped.
pub(crate) fn cadence(
    principal: &str,
    rows: &[&UsageRow],
    now: Timestamp,
    soak_max: SignedDuration,
) -> Option<Finding> {
    let mut known: Vec<Timestamp> =
        rows.iter().flat_map(|row| row.days.iter().copied().chain([row.first, row.last])).collect();
    known.sort();
    known.dedup();
    let (first, last) = (*known.first()?, *known.last()?);
    let gap = known.windows(2).map(|pair| pair[1].duration_since(pair[0])).max().unwrap_or(SignedDuration::ZERO);
    let silence = now.duration_since(last);
    let due = after(last, gap.saturating_add(gap / 4).saturating_add(GRACE));
    if last.duration_since(first) >= silence && due < now {
        return None;
    }
    let told = gap >= OCCURRENCE && now <= due && due <= after(now, soak_max);
    Some(Finding::Cadence {
        principal: Some(principal.to_owned()),
        last,
        gap: (gap >= OCCURRENCE).then_some(gap),
        due: told.then_some(due),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::Class;
    use crate::span::{DAY, before};

    fn uses(ago: &[i64]) -> Option<Finding> {
        let now = after(Timestamp::UNIX_EPOCH, days(1000));
        let mut days_used: Vec<Timestamp> = ago.iter().map(|ago| before(now, days(*ago))).collect();
        days_used.sort();
        let row = UsageRow {
            principal: "job".into(),
            account: None,
            operation: "Decrypt".into(),
            class: Class::ReadData,
            error: None,
            dependents: Vec::new(),
            count: ago.len() as u64,
            first: days_used[0],
            last: days_used[days_used.len() - 1],
            days: days_used,
            samples: Vec::new(),
        };
        cadence("job", &[&row], now, days(400))
    }

    fn due_in(finding: Option<Finding>) -> Option<i64> {
        let Some(Finding::Cadence { due, .. }) = finding else { panic!("a cadence: {finding:?}") };
        let now = after(Timestamp::UNIX_EPOCH, days(1000));
        due.map(|due| due.duration_since(now).as_secs() / DAY.as_secs())
    }

    #[test]
    fn a_daily_caller_that_fell_silent_has_stopped() {
        assert_eq!(uses(&(200..401).collect::<Vec<_>>()), None);
    }

    #[test]
    fn one_use_within_the_look_back_tells_nothing() {
        assert_eq!(due_in(uses(&[200])), None);
    }

    #[test]
    fn a_burst_is_one_occurrence() {
        assert_eq!(due_in(uses(&[201, 200])), None);
    }

    #[test]
    fn a_year_between_two_uses_is_waited_for() {
        // 365 days and a quarter, and three days, less the 200 that have passed.
        assert_eq!(due_in(uses(&[565, 200])), Some(259));
    }
}
