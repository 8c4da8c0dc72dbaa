//! How often a caller comes back: the longest pause, the period, the next use to expect.
//!
//! A key that is used once a year is quiet for 364 days. Who waits for a use to show itself must wait longer than the pauses that
//! were seen, and past the date on which the next one is due. Nothing here is certain: a period is a guess from a few returns,
//! and the lack of one means nothing. Source of the rules: `procedure.md` 6.5.4.

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde::Serialize;

/// How often somebody came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cadence {
    /// The first use.
    pub first: Timestamp,
    /// The last use.
    pub last: Timestamp,
    /// The longest pause between two uses; zero where there is only one.
    pub longest_gap: SignedDuration,
    /// The usual time from one visit to the next, where there is one.
    pub period: Option<Period>,
    /// The calendar date that the visits keep to, where they keep to one.
    pub calendar: Option<Calendar>,
    /// When the next visit is due by the calendar or the period. It may be past already.
    pub next_expected: Option<Timestamp>,
}

/// The usual time from one visit to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// How long.
    pub every: SignedDuration,
    /// Seen at least twice, and four times in five within a quarter of it; else a guess from a single return.
    pub is_regular: bool,
}

/// Dates that people and schedulers keep to: within three days of the end of each such span, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Calendar {
    /// The end of months.
    MonthEnd,
    /// The end of quarters.
    QuarterEnd,
    /// The end of years.
    YearEnd,
}

/// Uses that are no farther apart than this are one visit; the coarsest view in which visits are regular is taken, so that the
/// many calls of a nightly job are one visit, and its nights the period.
const VIEWS: [SignedDuration; 4] = [
    SignedDuration::from_hours(84),
    SignedDuration::from_hours(12),
    SignedDuration::from_hours(3),
    SignedDuration::from_mins(30),
];

/// A visit within so many days of a boundary keeps to it.
const NEAR_DAYS: i64 = 3;

/// Visits more often than this keep to no calendar that is looked for.
const LEAST_CALENDAR_PERIOD: SignedDuration = SignedDuration::from_hours(20 * 24);

/// The cadence of one caller's (or one dependent's) uses, in any order; none where there is no use.
pub fn cadence(times: &[Timestamp]) -> Option<Cadence> {
    let mut times = times.to_vec();
    times.sort_unstable();
    let (first, last) = (*times.first()?, *times.last()?);
    let longest_gap = gaps(&times).max().unwrap_or(SignedDuration::ZERO);
    let views = VIEWS.map(|apart| visits(&times, apart));
    let regular = views.iter().find_map(|visits| regular(visits).map(|every| (visits, every)));
    let (visits, period) = match (regular, &views[0][..]) {
        (Some((visits, every)), _) => (visits, Some(Period { every, is_regular: true })),
        (None, [one, other]) => (&views[0], Some(Period { every: other.duration_since(*one), is_regular: false })),
        (None, _) => (&views[0], None),
    };
    let calendar = period.filter(|period| period.every >= LEAST_CALENDAR_PERIOD).and_then(|_| calendar(visits));
    let latest = visits.last().copied().unwrap_or(last);
    let next_expected = match (calendar, period) {
        (Some(calendar), _) => calendar.next(latest),
        (None, Some(period)) => latest.checked_add(period.every).ok(),
        (None, None) => None,
    };
    Some(Cadence { first, last, longest_gap, period, calendar, next_expected })
}

/// The pauses between neighbours.
fn gaps(times: &[Timestamp]) -> impl Iterator<Item = SignedDuration> {
    times.windows(2).map(|pair| pair[1].duration_since(pair[0]))
}

/// The beginnings of visits: runs of uses that are no farther than `apart` from each other.
fn visits(times: &[Timestamp], apart: SignedDuration) -> Vec<Timestamp> {
    let later = times.windows(2).filter(|pair| pair[1].duration_since(pair[0]) > apart).map(|pair| pair[1]);
    times.first().copied().into_iter().chain(later).collect()
}

/// The median time between visits, if four in five are within a quarter of it and there are at least two.
fn regular(visits: &[Timestamp]) -> Option<SignedDuration> {
    let mut gaps: Vec<SignedDuration> = gaps(visits).collect();
    gaps.sort_unstable();
    let median = *gaps.get(gaps.len() / 2).filter(|_| gaps.len() >= 2)?;
    let near = gaps.iter().filter(|gap| (**gap - median).abs() <= median / 4).count();
    (near * 5 >= gaps.len() * 4).then_some(median)
}

/// The strictest calendar that every visit keeps to.
fn calendar(visits: &[Timestamp]) -> Option<Calendar> {
    let boundaries: Option<Vec<Date>> = visits.iter().map(|at| near_month_end(*at)).collect();
    let boundaries = boundaries?;
    let every = |months: i8| boundaries.iter().all(|boundary| (boundary.month() - 1) % months == 0);
    if every(12) {
        Some(Calendar::YearEnd)
    } else if every(3) {
        Some(Calendar::QuarterEnd)
    } else {
        Some(Calendar::MonthEnd)
    }
}

/// The first day of the month whose beginning is within [`NEAR_DAYS`] of `at`.
fn near_month_end(at: Timestamp) -> Option<Date> {
    let day = TimeZone::UTC.to_datetime(at).date();
    let this = day.first_of_month();
    let next = this.checked_add(1.month()).ok()?;
    [this, next].into_iter().find(|boundary| {
        let days = boundary.since(day).map_or(i64::MAX, |span| i64::from(span.get_days()));
        // The first three days of a month, and the last three.
        (1 - NEAR_DAYS..=NEAR_DAYS).contains(&days)
    })
}

impl Calendar {
    /// The boundary that follows the one which a visit at `at` belonged to.
    fn next(self, at: Timestamp) -> Option<Timestamp> {
        let months: i64 = match self {
            Calendar::MonthEnd => 1,
            Calendar::QuarterEnd => 3,
            Calendar::YearEnd => 12,
        };
        let boundary = near_month_end(at)?;
        let next = date(boundary.year(), boundary.month(), 1).checked_add(months.months()).ok()?;
        TimeZone::UTC.to_timestamp(next.at(0, 0, 0, 0)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The longest gap in days, the period in days (`~` where it is a guess), the calendar, and the next use.
    fn check(times: &[&str], told: &str) {
        let times: Vec<Timestamp> = times.iter().map(|at| format!("{at}:00Z").parse().unwrap()).collect();
        assert_eq!(tell(&times), told);
    }

    fn tell(times: &[Timestamp]) -> String {
        let cadence = cadence(times).unwrap();
        let days = |duration: SignedDuration| duration.as_secs_f64() / 86_400.0;
        let period = cadence.period.map_or("-".to_owned(), |period| {
            format!("{}{:.1}", if period.is_regular { "" } else { "~" }, days(period.every))
        });
        let calendar = cadence.calendar.map_or("-".to_owned(), |calendar| format!("{calendar:?}"));
        let next = cadence.next_expected.map_or("-".to_owned(), |at| at.strftime("%Y-%m-%dT%H:%M").to_string());
        format!("{:.1} {period} {calendar} {next}", days(cadence.longest_gap))
    }

    fn hourly(since: &str, hours: impl Iterator<Item = i64>) -> Vec<Timestamp> {
        let since: Timestamp = format!("{since}:00Z").parse().unwrap();
        hours.map(|hour| since + SignedDuration::from_hours(hour)).collect()
    }

    #[test]
    fn no_use_has_no_cadence_and_one_use_has_no_period() {
        assert_eq!(cadence(&[]), None);
        check(&["2026-03-04T05:06"], "0.0 - - -");
    }

    #[test]
    fn one_return_is_a_guess() {
        check(&["2025-03-10T02:00", "2026-03-10T02:00"], "365.0 ~365.0 - 2027-03-10T02:00");
    }

    #[test]
    fn a_nightly_job_returns_tomorrow() {
        let nights = hourly("2026-01-01T02:00", (0..30).flat_map(|day| [day * 24, day * 24 + 1]));
        assert_eq!(tell(&nights), "1.0 1.0 - 2026-01-31T02:00");
    }

    #[test]
    fn working_days_are_days_and_weekends_are_the_longest_gap() {
        let days = hourly("2026-01-05T09:00", (0..28).filter(|day| day % 7 < 5).map(|day| day * 24));
        assert_eq!(tell(&days), "3.0 1.0 - 2026-01-31T09:00");
    }

    #[test]
    fn months_quarters_and_years_end_on_their_day() {
        check(
            &["2026-01-31T23:00", "2026-02-28T23:00", "2026-04-01T01:00", "2026-04-30T23:00"],
            "31.1 29.9 MonthEnd 2026-06-01T00:00",
        );
        check(&["2025-10-01T01:00", "2025-12-31T22:00", "2026-04-02T00:00"], "91.9 91.9 QuarterEnd 2026-07-01T00:00");
        check(&["2024-12-30T01:00", "2026-01-02T12:00"], "368.5 ~368.5 YearEnd 2027-01-01T00:00");
        check(&["2026-01-15T00:00", "2026-02-15T00:00", "2026-03-15T00:00"], "31.0 31.0 - 2026-04-15T00:00");
    }

    #[test]
    fn steady_and_random_use_have_no_period_to_wait_for() {
        let steady: Vec<Timestamp> =
            (0..500).map(|minute| Timestamp::from_second(1_767_225_600 + minute * 60).unwrap()).collect();
        assert_eq!(tell(&steady), "0.0 - - -");
        check(&["2026-01-01T00:00", "2026-01-20T00:00", "2026-01-25T00:00", "2026-03-01T00:00"], "35.0 - - -");
    }

    #[test]
    fn one_long_pause_does_not_hide_a_daily_habit() {
        let habit = hourly("2026-01-01T06:00", (0..30).chain(70..100).map(|day| day * 24));
        assert_eq!(tell(&habit), "41.0 1.0 - 2026-04-11T06:00");
    }

    proptest! {
        #[test]
        fn any_times_in_any_order_have_a_cadence(seconds in prop::collection::vec(-377_705_000_000_i64..253_402_000_000, 1..20)) {
            let times: Vec<Timestamp> = seconds.iter().map(|second| Timestamp::from_second(*second).unwrap()).collect();
            let mut turned = times.clone();
            turned.reverse();
            prop_assert_eq!(cadence(&times), cadence(&turned));
        }
    }
}
