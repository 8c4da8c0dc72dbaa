//! How much of a time was seen, and how well.
//!
//! A source that read a time to its end may still have been blind in it: a trail that was stopped delivers nothing, and nothing is
//! what quiet looks like. What tells them apart is the traffic of *other* keys in the same account and Region, the background. Time
//! with background around it is *supported*; a time in which a background that is usually there is missing is a *gap*; and where there
//! is no background to go by, it is *assumed*.

use api::Timestamp;
use jiff::SignedDuration;

use crate::assess::{Coverage, Terms};
use crate::finding::GapReason;
use crate::observation::{LastUsage, Observation, SourceSeen};
use crate::span::{HOUR, Span, after, before, days, minus, union};

/// Holes up to this long are taken as the delivery lag of the sources and the roughness of their bounds.
/// Source: GetKeyLastUsage is up to an hour late; CloudTrail delivers within minutes on average.
pub(crate) const EDGE: SignedDuration = HOUR;

/// A silence up to this long needs no explanation.
const SHORT: SignedDuration = SignedDuration::from_hours(3);
/// A silence longer than this confirms nothing, even where it recurs.
const LONG: SignedDuration = days(7);
/// Fewer hours of background than this are too few to miss something in.
const DENSE: usize = 24;
/// How many silences of at least half the length make a silence part of a rhythm: nights, weekends.
const RHYTHM: usize = 3;
/// How many times the mean distance a silence must be, to be missing traffic and not chance.
const ODD: i64 = 4;

/// What the sources of one account make of `required`, and why something is missing.
pub(crate) struct Cover {
    pub(crate) coverage: Coverage,
    /// The reasons that sources give, for parts of `missing`.
    pub(crate) reasons: Vec<(Span, GapReason)>,
    /// The earliest moment that any source reaches.
    pub(crate) reach: Option<Timestamp>,
}

/// Covers `required` for `account`.
///
/// Events must have seen the last `by_events` of it. GetKeyLastUsage bounds only what lies before: it knows nothing of failures, and
/// only the last success, so it must not stand in for eyes on the time that decides.
pub(crate) fn cover(
    seen: &Observation,
    account: &str,
    required: Span,
    by_events: SignedDuration,
    last_usage: Option<&LastUsage>,
    terms: &Terms,
) -> Cover {
    let whole = union([required]);
    let within = |spans: &[Span]| union(spans.iter().map(|span| span.overlap(required)));
    let sources: Vec<&SourceSeen> =
        seen.sources.iter().filter(|source| source.account == account && source.region == seen.arn.region).collect();
    let sights: Vec<Sight> = sources.iter().map(|source| sight(source)).collect();

    let watched = terms.watched_since.map(|since| Span::new(since, required.until));
    let watched = within(watched.as_slice());
    let supported = sights.iter().flat_map(|sight| &sight.supported).chain(&terms.earlier.supported);
    let supported = minus(&within(&union(supported.copied())), &watched);
    let assumed = sights.iter().flat_map(|sight| &sight.assumed).chain(&terms.earlier.assumed);
    let better = union(supported.iter().chain(&watched).copied());
    let assumed = minus(&within(&union(assumed.copied())), &better);
    let unseen = minus(&whole, &union(better.iter().chain(&assumed).copied()));

    let bound = last_usage.map(|usage| bound(usage, Span::new(required.since, before(required.until, by_events))));
    let unbounded = minus(&unseen, bound.as_slice());
    let bounded = minus(&unseen, &unbounded);
    let missing = unbounded.into_iter().filter(|span| span.length() > EDGE).collect();
    Cover {
        coverage: Coverage { supported, watched, assumed, bounded, missing },
        reasons: sights.into_iter().flat_map(|sight| sight.reasons).collect(),
        reach: sources.iter().flat_map(|source| &source.spans).map(|span| span.since).min(),
    }
}

/// The part of `older` in which GetKeyLastUsage shows that nothing succeeded.
fn bound(usage: &LastUsage, older: Span) -> Span {
    let since = usage.last.as_ref().map_or(usage.tracking_start, |last| last.at.max(usage.tracking_start));
    // The two windows meet with the roughness that sources have.
    Span::new(since, after(older.until, EDGE)).overlap(Span::new(older.since, after(older.until, EDGE)))
}

/// What one source saw.
struct Sight {
    supported: Vec<Span>,
    assumed: Vec<Span>,
    reasons: Vec<(Span, GapReason)>,
}

fn sight(source: &SourceSeen) -> Sight {
    let holes = union(source.holes.iter().map(|hole| hole.span));
    let read = minus(&union(source.spans.iter().copied()), &holes);
    let reasons = source.holes.iter().map(|hole| {
        let why = hole.why.clone();
        (hole.span, GapReason::Source { source: source.source, why })
    });
    let mut sight = Sight { supported: Vec::new(), assumed: Vec::new(), reasons: reasons.collect() };
    let silences = silences(&read, &source.background);
    let heard = minus(&read, &union(silences.iter().copied()));
    sight.supported.extend(heard);
    let mut lengths: Vec<SignedDuration> = silences.iter().map(Span::length).collect();
    lengths.sort();
    let quiet = lengths.iter().fold(SignedDuration::ZERO, |sum, length| sum.saturating_add(*length));
    for silence in silences {
        match judge(silence.length(), &lengths, quiet, source.background.len()) {
            Silence::Rhythm => sight.supported.push(silence),
            Silence::Unconfirmed => sight.assumed.push(silence),
            Silence::Odd => sight.reasons.push((silence, GapReason::Silence { source: source.source })),
        }
    }
    sight
}

/// The parts of `read` in hours without background.
fn silences(read: &[Span], background: &[Timestamp]) -> Vec<Span> {
    let hours = union(background.iter().map(|hour| Span::new(*hour, after(*hour, HOUR))));
    minus(read, &hours)
}

/// What a silence is.
enum Silence {
    /// Part of the rhythm of this account.
    Rhythm,
    /// Nothing says whether something is missing.
    Unconfirmed,
    /// Something is missing.
    Odd,
}

/// Judges a silence of `length` among all of its source, whose `lengths` are sorted and together `quiet`.
fn judge(length: SignedDuration, lengths: &[SignedDuration], quiet: SignedDuration, background: usize) -> Silence {
    if length <= SHORT && background > 0 {
        return Silence::Rhythm;
    }
    let alike = lengths.len() - lengths.partition_point(|other| other.as_secs() * 2 < length.as_secs());
    if alike >= RHYTHM && background >= RHYTHM {
        return if length <= LONG { Silence::Rhythm } else { Silence::Unconfirmed };
    }
    if background < DENSE {
        return Silence::Unconfirmed;
    }
    // The mean distance between two hours of background, this silence left out: never under the hour that we count in.
    let hours = i64::try_from(background).unwrap_or(i64::MAX);
    let mean = (quiet.saturating_sub(length)).as_secs() / hours + HOUR.as_secs();
    if length.as_secs() > ODD.saturating_mul(mean) { Silence::Odd } else { Silence::Unconfirmed }
}

/// Share of `part` in `whole`, in percent, rounded up.
pub(crate) fn percent(part: SignedDuration, whole: SignedDuration) -> u8 {
    let (part, whole) = (part.as_secs().max(0), whole.as_secs().max(1));
    u8::try_from((part.saturating_mul(100) + whole - 1) / whole).unwrap_or(100).min(100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::{Gap, Hole, Source};

    fn hour(hour: i64) -> Timestamp {
        after(Timestamp::UNIX_EPOCH, SignedDuration::from_hours(hour))
    }

    fn source(until: i64, background: impl Iterator<Item = i64>) -> SourceSeen {
        SourceSeen {
            source: Source::EventHistory,
            account: "111122223333".into(),
            region: "eu-west-1".parse().unwrap(),
            query: "test".into(),
            spans: vec![Span::new(hour(0), hour(until))],
            holes: Vec::new(),
            background: background.map(hour).collect(),
        }
    }

    #[test]
    fn hourly_traffic_supports_and_its_loss_is_a_gap() {
        let all = sight(&source(2160, 0..2160));
        assert_eq!(all.supported.iter().map(Span::length).sum::<SignedDuration>(), days(90));
        let blind = sight(&source(2160, (0..2160).filter(|h| !(500..600).contains(h))));
        assert_eq!(blind.reasons.len(), 1);
        assert_eq!(blind.reasons[0].0, Span::new(hour(500), hour(600)));
        assert!(blind.assumed.is_empty());
    }

    #[test]
    fn nights_and_weekends_are_a_rhythm() {
        let office = |h: &i64| (h / 24) % 7 < 5 && (8..18).contains(&(h % 24));
        let seen = sight(&source(2160, (0..2160).filter(office)));
        assert!(seen.reasons.is_empty() && seen.assumed.is_empty());
    }

    #[test]
    fn no_traffic_at_all_is_assumed() {
        let seen = sight(&source(2160, std::iter::empty()));
        assert_eq!(seen.assumed.iter().map(Span::length).sum::<SignedDuration>(), days(90));
        assert!(seen.supported.is_empty());
    }

    #[test]
    fn a_source_knows_its_own_holes() {
        let mut stopped = source(240, 0..240);
        stopped.holes.push(Hole {
            span: Span::new(hour(10), hour(12)),
            why: Gap::NotRecorded { why: "trail was stopped".into() },
        });
        let seen = sight(&stopped);
        assert!(matches!(seen.reasons[0].1, GapReason::Source { .. }));
        assert_eq!(seen.supported.iter().map(Span::length).sum::<SignedDuration>(), SignedDuration::from_hours(238));
    }

    #[test]
    fn percent_rounds_up() {
        assert_eq!(percent(SignedDuration::ZERO, days(1)), 0);
        assert_eq!(percent(SignedDuration::from_secs(1), days(1)), 1);
        assert_eq!(percent(days(2), days(1)), 100);
    }
}
