//! When the next use is due, from the uses that are known.
//!
//! Quiet for ninety days says much about a service that called every minute, and nothing about a job that runs once a year. So a
//! caller that used the key within the look-back, and not lately, is believed to have stopped only if it was busy for at least as long
//! as it has been silent, or has been silent for more than a year. Otherwise the soak must reach past its next use; and where that cannot be told, there is no verdict of QUIET.

use api::Timestamp;
use jiff::SignedDuration;

use crate::finding::Finding;
use crate::observation::UsageRow;
use crate::span::{after, days};

/// Added to the longest gap and to the next date: a job may be late by a quarter, and by a weekend. Source: procedure.md 6.5.4.
const GRACE: SignedDuration = days(3);

/// What comes back every year has come back within this.
const SEASON: SignedDuration = days(400);

/// What one caller's uses say about its next, as seen at `now` after a silence. `None` where it has stopped.
pub(crate) fn cadence(
    principal: &str,
    rows: &[&UsageRow],
    now: Timestamp,
    soak_max: SignedDuration,
) -> Option<Finding> {
    let known: Vec<Timestamp> =
        rows.iter().flat_map(|row| row.days.iter().copied().chain([row.first, row.last])).collect();
    let cadence = trail::cadence::cadence(&known)?;
    let gap = cadence.longest_gap;
    let by_gap = after(cadence.last, gap.saturating_add(gap / 4).saturating_add(GRACE));
    let due = cadence.next_expected.map_or(by_gap, |next| by_gap.max(after(next, GRACE)));
    let busy = cadence.last.duration_since(cadence.first);
    let silence = now.duration_since(cadence.last);
    if due < now && (silence <= busy || silence > SEASON) {
        return None;
    }
    let told = cadence.period.is_some() && now <= due && due <= after(now, soak_max);
    Some(Finding::Cadence {
        principal: Some(principal.to_owned()),
        last: cadence.last,
        gap: cadence.period.map(|_| gap),
        due: told.then_some(due),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::{DAY, before};
    use api::Class;

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
    fn a_season_that_did_not_come_back_in_a_year_is_over() {
        assert_eq!(uses(&(500..600).collect::<Vec<_>>()), None);
        assert_eq!(due_in(uses(&(300..400).collect::<Vec<_>>())), None);
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
