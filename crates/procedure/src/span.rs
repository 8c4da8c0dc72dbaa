//! Stretches of time, and sets of them.
//!
//! Everything the procedure says about evidence is "from here to there": a source saw a span, a span is required, a span is
//! missing. All arithmetic saturates, because dates come from outside.

use api::Timestamp;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// An hour.
pub const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// A day of 24 hours; the procedure counts in UTC.
pub const DAY: SignedDuration = SignedDuration::from_hours(24);

/// `days` days.
pub const fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

/// The moment `length` after `at`, or the last that there is.
pub fn after(at: Timestamp, length: SignedDuration) -> Timestamp {
    at.checked_add(length).unwrap_or(if length.is_negative() { Timestamp::MIN } else { Timestamp::MAX })
}

/// The moment `length` before `at`, or the first that there is.
pub fn before(at: Timestamp, length: SignedDuration) -> Timestamp {
    at.checked_sub(length).unwrap_or(if length.is_negative() { Timestamp::MAX } else { Timestamp::MIN })
}

/// A stretch of time: `since <= t < until`. Empty where `until <= since`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span {
    /// The first moment in it.
    pub since: Timestamp,
    /// The first moment after it.
    pub until: Timestamp,
}

impl Span {
    /// The stretch from `since` to `until`.
    pub fn new(since: Timestamp, until: Timestamp) -> Span {
        Span { since, until }
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.until <= self.since
    }

    /// How long it is; zero where it is empty.
    pub fn length(&self) -> SignedDuration {
        self.until.duration_since(self.since).max(SignedDuration::ZERO)
    }

    /// Whether `at` is in it.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.since <= at && at < self.until
    }

    /// What is in both.
    pub fn overlap(&self, other: Span) -> Span {
        Span::new(self.since.max(other.since), self.until.min(other.until))
    }
}

/// The same moments as `spans`: sorted, disjoint, none empty, none touching.
pub fn union(spans: impl IntoIterator<Item = Span>) -> Vec<Span> {
    let mut spans: Vec<Span> = spans.into_iter().filter(|span| !span.is_empty()).collect();
    spans.sort();
    let mut whole: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match whole.last_mut() {
            Some(last) if span.since <= last.until => last.until = last.until.max(span.until),
            _ => whole.push(span),
        }
    }
    whole
}

/// The moments of `whole` that are in none of `taken`. Both and the answer are as [`union`] leaves them.
pub fn minus(whole: &[Span], taken: &[Span]) -> Vec<Span> {
    let mut left = Vec::new();
    for span in whole {
        let mut since = span.since;
        for cut in taken.iter().filter(|cut| !cut.overlap(*span).is_empty()) {
            if since < cut.since {
                left.push(Span::new(since, cut.since));
            }
            since = since.max(cut.until);
        }
        if since < span.until {
            left.push(Span::new(since, span.until));
        }
    }
    left
}

/// How long `spans` are together. They must be disjoint.
pub fn length(spans: &[Span]) -> SignedDuration {
    spans.iter().fold(SignedDuration::ZERO, |sum, span| sum.saturating_add(span.length()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(since: i64, until: i64) -> Span {
        let at = |hour| after(Timestamp::UNIX_EPOCH, SignedDuration::from_hours(hour));
        Span::new(at(since), at(until))
    }

    #[test]
    fn union_joins_what_touches() {
        assert_eq!(union([span(5, 6), span(0, 2), span(1, 3), span(3, 4), span(9, 8)]), [span(0, 4), span(5, 6)]);
    }

    #[test]
    fn minus_leaves_what_is_not_taken() {
        let taken = [span(1, 2), span(4, 6), span(9, 12)];
        assert_eq!(minus(&[span(0, 5), span(5, 10)], &taken), [span(0, 1), span(2, 4), span(6, 9)]);
        assert_eq!(minus(&[span(0, 3)], &[]), [span(0, 3)]);
        assert_eq!(length(&minus(&[span(0, 3)], &[span(0, 1)])), SignedDuration::from_hours(2));
    }

    #[test]
    fn the_ends_of_time_are_no_panic() {
        assert_eq!(after(Timestamp::MAX, DAY), Timestamp::MAX);
        assert_eq!(before(Timestamp::MIN, DAY), Timestamp::MIN);
    }
}
