//! What was seen, and what was not: the ground on which "no use was seen" stands or falls.
//!
//! Sources *claim* something of a [`Cell`] for a span of time: that its events were proven to arrive, that they should have, that
//! they were left out. [`Coverage`] weighs the claims against each other and names the gaps. Which claims a trail's
//! configuration justifies is decided elsewhere; here is only what follows from them. Source of the rules: `procedure.md` 6.5.3.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

/// What is known about the use of a key in a span of time. The third value never moves a key towards deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// The key was used.
    Used {
        /// When last.
        at: Timestamp,
        /// By whom: [`crate::usage::Caller::principal`].
        by: String,
    },
    /// The whole span was seen, and no use was in it.
    Quiet {
        /// The span's start.
        since: Timestamp,
        /// The span's end.
        until: Timestamp,
    },
    /// Part of the span was not seen; never to be read as quiet.
    Unknown {
        /// The first gap.
        why: Gap,
    },
}

impl Evidence {
    /// What the latest use that was seen, if any, and the gaps of all cells that matter come to for `span`.
    ///
    /// A use that was seen stands whatever was not seen; quiet needs that there is no gap.
    pub fn weigh(last_use: Option<(Timestamp, String)>, gaps: &[Gap], span: Span) -> Evidence {
        match (last_use.filter(|(at, _)| span.holds(*at)), gaps.first()) {
            (Some((at, by)), _) => Evidence::Used { at, by },
            (None, Some(gap)) => Evidence::Unknown { why: gap.clone() },
            (None, None) => Evidence::Quiet { since: span.since, until: span.until },
        }
    }
}

/// A span of time, never empty: `since <= t < until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Span {
    since: Timestamp,
    until: Timestamp,
}

impl Span {
    /// The span from `since` to just before `until`; none if that is empty.
    pub fn new(since: Timestamp, until: Timestamp) -> Option<Span> {
        (since < until).then_some(Span { since, until })
    }

    /// Its first instant.
    pub fn since(self) -> Timestamp {
        self.since
    }

    /// The first instant that is no longer in it.
    pub fn until(self) -> Timestamp {
        self.until
    }

    /// Whether `at` is in it.
    pub fn holds(self, at: Timestamp) -> bool {
        self.since <= at && at < self.until
    }

    /// How long it is.
    pub fn length(self) -> SignedDuration {
        self.until.duration_since(self.since)
    }
}

/// A set of instants: spans in order that neither overlap nor touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spans(Vec<Span>);

impl FromIterator<Span> for Spans {
    fn from_iter<I: IntoIterator<Item = Span>>(spans: I) -> Spans {
        let mut spans: Vec<Span> = spans.into_iter().collect();
        spans.sort_unstable();
        let mut joined: Vec<Span> = Vec::with_capacity(spans.len());
        for span in spans {
            match joined.last_mut() {
                Some(last) if span.since <= last.until => last.until = last.until.max(span.until),
                _ => joined.push(span),
            }
        }
        Spans(joined)
    }
}

impl Spans {
    /// The spans, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Span> {
        self.0.iter().copied()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `at` is in it.
    pub fn holds(&self, at: Timestamp) -> bool {
        let next = self.0.partition_point(|span| span.since <= at);
        next.checked_sub(1).is_some_and(|before| self.0[before].holds(at))
    }

    /// How long all of it is.
    pub fn length(&self) -> SignedDuration {
        self.iter().fold(SignedDuration::ZERO, |sum, span| sum.saturating_add(span.length()))
    }

    /// What is in this or in `other`.
    #[must_use]
    pub fn union(&self, other: &Spans) -> Spans {
        self.iter().chain(other.iter()).collect()
    }

    /// What is in this and not in `other`.
    #[must_use]
    pub fn subtract(&self, other: &Spans) -> Spans {
        let mut left = Vec::new();
        let mut holes = other.0.iter().peekable();
        for span in &self.0 {
            let mut since = span.since;
            while let Some(hole) = holes.peek() {
                if hole.until <= since {
                    holes.next();
                } else if hole.since < span.until {
                    left.extend(Span::new(since, hole.since));
                    since = hole.until;
                    if hole.until > span.until {
                        break;
                    }
                } else {
                    break;
                }
            }
            left.extend(Span::new(since, span.until));
        }
        Spans(left)
    }
}

/// What must have been seen: one kind of event in one Region of one account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Cell {
    /// The account that the events are delivered to.
    pub account: String,
    /// The Region.
    pub region: String,
    /// The kind of event.
    pub class: EventClass,
}

/// Kinds of event that a source may see or miss apart from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventClass {
    /// Events that change nothing: all cryptographic operations. A write-only trail misses them.
    Read,
    /// Events that change something.
    Write,
    /// Refused calls, which AWS logs "in some scenarios".
    Failed,
}

/// Where events come from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// CloudTrail's own event history of 90 days, to which a trail's exclusions do not apply.
    EventHistory,
    /// A trail, by name or ARN: its bucket or its log group.
    Trail(String),
    /// Files that were handed over.
    Files,
    /// GetKeyLastUsage.
    LastUsage,
}

/// How well a source sees a cell, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// It does not.
    Gap(Hole),
    /// We may not find out.
    Unknown,
    /// It should, but there is no traffic to confirm it.
    Assumed,
    /// It should, and other events of the kind were seen around.
    Supported,
    /// A test event arrived, or the digest chain is whole.
    Proven,
}

/// Why a source does not see a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hole {
    /// No source says anything about it.
    NoSource,
    /// The selectors left such events out.
    Excluded,
    /// Logging was switched off.
    Stopped,
    /// Delivery failed.
    DeliveryError,
    /// The digest chain is broken: files are missing.
    DigestHole,
    /// Longer ago than the source reaches.
    BeyondRetention,
    /// Silence for longer than the usual traffic explains.
    Silent,
    /// Files that are there cannot be read.
    Unreadable,
}

/// What one source says of one cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Who says it.
    pub source: Source,
    /// Of what.
    pub cell: Cell,
    /// For when.
    pub span: Span,
    /// How well it is seen.
    pub status: Status,
}

/// A time in which a cell was not seen by any source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// What was not seen.
    pub cell: Cell,
    /// When.
    pub span: Span,
    /// [`Status::Gap`] or [`Status::Unknown`].
    pub status: Status,
}

/// All claims.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    claims: BTreeMap<Cell, Vec<(Source, Span, Status)>>,
}

impl Coverage {
    /// Adds a claim.
    pub fn claim(&mut self, claim: Claim) {
        self.claims.entry(claim.cell).or_default().push((claim.source, claim.span, claim.status));
    }

    /// The cells that anything was claimed of.
    pub fn cells(&self) -> impl Iterator<Item = &Cell> {
        self.claims.keys()
    }

    /// How well `cell` was seen in `required`: pieces in order that fill it, neighbours different.
    ///
    /// At each instant a source is as good as the best it claims, unless it admits to a gap or to not knowing, which outweighs
    /// all else it says; and the cell is as good as its best source.
    pub fn timeline(&self, cell: &Cell, required: Span) -> Vec<(Span, Status)> {
        let claims = self.claims.get(cell).map_or(&[][..], Vec::as_slice);
        // What begins (1) and ends (-1) at each instant within the span.
        let mut turns: BTreeMap<Timestamp, Vec<(&Source, Status, i32)>> = BTreeMap::new();
        turns.entry(required.since).or_default();
        turns.entry(required.until).or_default();
        for (source, span, status) in claims {
            if let Some(span) = Span::new(span.since.max(required.since), span.until.min(required.until)) {
                turns.entry(span.since).or_default().push((source, *status, 1));
                turns.entry(span.until).or_default().push((source, *status, -1));
            }
        }
        let mut standing: BTreeMap<&Source, BTreeMap<Status, i32>> = BTreeMap::new();
        let mut pieces: Vec<(Span, Status)> = Vec::new();
        let mut since = required.since;
        let mut status = Status::Gap(Hole::NoSource);
        for (at, changes) in turns {
            if let Some(span) = Span::new(since, at) {
                match pieces.last_mut() {
                    Some((last, same)) if *same == status => last.until = at,
                    _ => pieces.push((span, status)),
                }
            }
            for (source, status, change) in changes {
                let count = standing.entry(source).or_default().entry(status).or_default();
                *count += change;
            }
            let word = |claims: &BTreeMap<Status, i32>| {
                let standing: BTreeSet<Status> =
                    claims.iter().filter(|(_, count)| **count > 0).map(|(status, _)| *status).collect();
                let admitted = standing.first().filter(|status| **status < Status::Assumed);
                admitted.or(standing.last()).copied()
            };
            since = at;
            status = standing.values().filter_map(word).max().unwrap_or(Status::Gap(Hole::NoSource));
        }
        pieces
    }

    /// When in `required` the cell was not seen.
    pub fn gaps(&self, cell: &Cell, required: Span) -> Vec<Gap> {
        let pieces = self.timeline(cell, required).into_iter();
        pieces
            .filter(|(_, status)| *status < Status::Assumed)
            .map(|(span, status)| Gap { cell: cell.clone(), span, status })
            .collect()
    }

    /// Which part of `required`, from 0 to 1, has exactly this status.
    pub fn share(&self, cell: &Cell, required: Span, status: Status) -> f64 {
        let pieces = self.timeline(cell, required).into_iter();
        let seconds = pieces.filter(|(_, seen)| *seen == status).map(|(span, _)| span.length().as_secs_f64());
        seconds.sum::<f64>() / required.length().as_secs_f64()
    }
}

/// What the traffic of other keys says about a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Background {
    /// There is too little of it to say anything.
    TooLittle,
    /// There is enough.
    Enough {
        /// Where events, of whichever key, are as near as they usually are.
        seen: Spans,
        /// Where they are missing for longer than is usual.
        silent: Spans,
    },
}

/// With fewer events in a span, what is usual cannot be told.
pub const LEAST_EVENTS: usize = 24;

/// Silence of up to this long is never strange.
const LEAST_SILENCE: SignedDuration = SignedDuration::from_hours(6);

/// Silence is strange if it is longer than this many times a gap of which only one in twenty is longer.
const STRANGE_TIMES: i32 = 8;

/// Tells from the times of all events of one kind in an account and Region, ascending, whether the source was awake in `span`.
///
/// A stretch without events is silent if it is longer than six hours and than eight times the 95th percentile of the gaps
/// between events. The stretches at both ends of the span count as well.
pub fn background(times: &[Timestamp], span: Span) -> Background {
    let times: Vec<Timestamp> = times.iter().copied().filter(|at| span.holds(*at)).collect();
    if times.len() < LEAST_EVENTS {
        return Background::TooLittle;
    }
    let mut gaps: Vec<SignedDuration> = times.windows(2).map(|pair| pair[1].duration_since(pair[0])).collect();
    gaps.sort_unstable();
    let usual = gaps[gaps.len() * 95 / 100];
    let limit = LEAST_SILENCE.max(usual.saturating_mul(STRANGE_TIMES));
    let starts = std::iter::once(span.since).chain(times.iter().copied());
    let ends = times.iter().copied().chain(std::iter::once(span.until));
    let stretches = starts.zip(ends).filter_map(|(since, until)| Span::new(since, until));
    let silent: Spans = stretches.filter(|stretch| stretch.length() > limit).collect();
    Background::Enough { seen: Spans(vec![span]).subtract(&silent), silent }
}

impl Background {
    /// What this lets `source`, whose selectors include the cell's events all through `span`, claim of `cell`.
    pub fn claims(&self, source: &Source, cell: &Cell, span: Span) -> Vec<Claim> {
        let claim = |span, status| Claim { source: source.clone(), cell: cell.clone(), span, status };
        match self {
            Background::TooLittle => vec![claim(span, Status::Assumed)],
            Background::Enough { seen, silent } => {
                let seen = seen.iter().map(|span| claim(span, Status::Supported));
                seen.chain(silent.iter().map(|span| claim(span, Status::Gap(Hole::Silent)))).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(hour * 3600).unwrap()
    }

    fn span(since: i64, until: i64) -> Span {
        Span::new(at(since), at(until)).unwrap()
    }

    fn cell() -> Cell {
        Cell { account: "1".into(), region: "eu-west-1".into(), class: EventClass::Read }
    }

    /// `claims` is lines of `source since until STATUS`, in hours; the answer is the timeline of hours 0 to 100.
    fn check(claims: &str, timeline: &str) {
        let mut coverage = Coverage::default();
        for line in claims.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let [source, since, until, status] = line.split_whitespace().collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            let status = match status {
                "PROVEN" => Status::Proven,
                "SUPPORTED" => Status::Supported,
                "ASSUMED" => Status::Assumed,
                "UNKNOWN" => Status::Unknown,
                "STOPPED" => Status::Gap(Hole::Stopped),
                "EXCLUDED" => Status::Gap(Hole::Excluded),
                other => panic!("{other}"),
            };
            let span = span(since.parse().unwrap(), until.parse().unwrap());
            coverage.claim(Claim { source: Source::Trail(source.into()), cell: cell(), span, status });
        }
        let told: Vec<String> = coverage
            .timeline(&cell(), span(0, 100))
            .iter()
            .map(|(span, status)| format!("{} {status:?}", span.until().as_second() / 3600))
            .collect();
        assert_eq!(told.join(", "), timeline);
    }

    #[test]
    fn nothing_claimed_is_nothing_seen() {
        check("", "100 Gap(NoSource)");
        check("a 20 30 ASSUMED", "20 Gap(NoSource), 30 Assumed, 100 Gap(NoSource)");
    }

    #[test]
    fn a_cell_is_as_good_as_its_best_source() {
        check(
            "a 0 60 STOPPED
             b 0 100 ASSUMED
             b 40 50 PROVEN",
            "40 Assumed, 50 Proven, 100 Assumed",
        );
        check("a 0 100 EXCLUDED\n b 0 100 UNKNOWN", "100 Unknown");
    }

    #[test]
    fn a_source_s_own_gap_outweighs_what_else_it_claims() {
        check(
            "a 0 100 SUPPORTED
             a 30 40 STOPPED
             a 35 36 PROVEN
             a 39 50 UNKNOWN",
            "30 Supported, 40 Gap(Stopped), 50 Unknown, 100 Supported",
        );
        check("a 0 100 STOPPED\n a 0 50 SUPPORTED\n b -5 200 ASSUMED", "100 Assumed");
    }

    #[test]
    fn gaps_and_shares_are_read_off_the_timeline() {
        let mut coverage = Coverage::default();
        let mut claim = |since, until, status| {
            coverage.claim(Claim { source: Source::EventHistory, cell: cell(), span: span(since, until), status });
        };
        claim(0, 75, Status::Assumed);
        claim(75, 90, Status::Unknown);
        let gaps = coverage.gaps(&cell(), span(0, 100));
        let told: Vec<_> = gaps.iter().map(|gap| (gap.span, gap.status)).collect();
        assert_eq!(told, [(span(75, 90), Status::Unknown), (span(90, 100), Status::Gap(Hole::NoSource))]);
        assert_eq!(coverage.share(&cell(), span(0, 100), Status::Assumed), 0.75);
        let elsewhere = Cell { region: "us-east-1".into(), ..cell() };
        assert_eq!(coverage.gaps(&elsewhere, span(0, 1)).len(), 1);
    }

    #[test]
    fn evidence_has_three_values() {
        let gap = Gap { cell: cell(), span: span(5, 6), status: Status::Unknown };
        let weigh = |hour: Option<i64>, gaps: &[Gap]| {
            Evidence::weigh(hour.map(|hour| (at(hour), "ada".to_owned())), gaps, span(0, 10))
        };
        assert!(matches!(weigh(Some(3), std::slice::from_ref(&gap)), Evidence::Used { .. }));
        assert!(matches!(weigh(None, std::slice::from_ref(&gap)), Evidence::Unknown { .. }));
        assert!(matches!(weigh(Some(10), &[]), Evidence::Quiet { .. }));
        assert!(matches!(weigh(None, &[]), Evidence::Quiet { .. }));
    }

    /// The silent stretches among events at `hours` within `until` hours, as `since-until`.
    fn silences(hours: impl Iterator<Item = i64>, until: i64) -> String {
        let times: Vec<Timestamp> = hours.map(at).collect();
        match background(&times, span(0, until)) {
            Background::TooLittle => "too little".to_owned(),
            Background::Enough { silent, .. } => {
                let hour = |at: Timestamp| at.as_second() / 3600;
                let told = silent.iter().map(|span| format!("{}-{}", hour(span.since()), hour(span.until())));
                told.collect::<Vec<_>>().join(" ")
            }
        }
    }

    #[test]
    fn silence_is_strange_where_traffic_is_usual() {
        assert_eq!(silences(0..100, 100), "");
        assert_eq!(silences((0..100).filter(|hour| !(40..47).contains(hour)), 100), "");
        assert_eq!(silences((0..100).filter(|hour| !(40..48).contains(hour)), 100), "39-48");
        assert_eq!(silences(20..80, 100), "0-20 79-100");
        assert_eq!(silences(0..23, 1000), "too little");
    }

    #[test]
    fn traffic_in_office_hours_explains_nights_and_weekends() {
        let office = |hour: &i64| (9..18).contains(&(hour % 24)) && hour / 24 % 7 < 5;
        assert_eq!(silences((0..1000).filter(office), 1000), "");
        let week_off = |hour: &i64| office(hour) && !(336..504).contains(hour);
        assert_eq!(silences((0..1000).filter(week_off), 1000), "281-513");
    }

    #[test]
    fn background_becomes_claims() {
        let times: Vec<Timestamp> = (20..100).map(at).collect();
        let mut coverage = Coverage::default();
        for claim in background(&times, span(0, 100)).claims(&Source::Files, &cell(), span(0, 100)) {
            coverage.claim(claim);
        }
        let told: Vec<Status> = coverage.timeline(&cell(), span(0, 100)).iter().map(|piece| piece.1).collect();
        assert_eq!(told, [Status::Gap(Hole::Silent), Status::Supported]);
        let claims = Background::TooLittle.claims(&Source::Files, &cell(), span(0, 1));
        assert_eq!(claims[0].status, Status::Assumed);
    }

    fn some_spans() -> impl Strategy<Value = Vec<Span>> {
        prop::collection::vec((0..40_i64, 1..10_i64).prop_map(|(since, length)| span(since, since + length)), 0..8)
    }

    proptest! {
        #[test]
        fn spans_are_sets_of_instants(one in some_spans(), other in some_spans()) {
            let within = |spans: &[Span], hour| spans.iter().any(|span| span.holds(at(hour)));
            let (a, b): (Spans, Spans) = (one.iter().copied().collect(), other.iter().copied().collect());
            let (union, left) = (a.union(&b), a.subtract(&b));
            for hour in 0..50 {
                let (in_one, in_other) = (within(&one, hour), within(&other, hour));
                prop_assert_eq!(a.holds(at(hour)), in_one);
                prop_assert_eq!(union.holds(at(hour)), in_one || in_other);
                prop_assert_eq!(left.holds(at(hour)), in_one && !in_other);
            }
            for spans in [&a, &union, &left] {
                prop_assert!(spans.0.windows(2).all(|pair| pair[0].until < pair[1].since));
                let hours = (0..50).filter(|hour| spans.holds(at(*hour))).count();
                prop_assert_eq!(spans.length().as_hours(), i64::try_from(hours).unwrap());
            }
        }

        #[test]
        fn a_timeline_is_what_each_instant_says(claims in prop::collection::vec((0..2_usize, some_spans(), 0..5_usize), 0..6)) {
            let statuses = [Status::Gap(Hole::Stopped), Status::Unknown, Status::Assumed, Status::Supported, Status::Proven];
            let sources = [Source::EventHistory, Source::Files];
            let mut coverage = Coverage::default();
            for (source, spans, status) in &claims {
                for span in spans {
                    coverage.claim(Claim { source: sources[*source].clone(), cell: cell(), span: *span, status: statuses[*status] });
                }
            }
            let timeline = coverage.timeline(&cell(), span(0, 50));
            prop_assert!(timeline.windows(2).all(|pair| pair[0].0.until == pair[1].0.since && pair[0].1 != pair[1].1));
            for hour in 0..50 {
                let word = |source: usize| {
                    let said: Vec<Status> = claims.iter()
                        .filter(|claim| claim.0 == source && claim.1.iter().any(|span| span.holds(at(hour))))
                        .map(|claim| statuses[claim.2]).collect();
                    let worst = said.iter().min().copied()?;
                    if worst < Status::Assumed { Some(worst) } else { said.into_iter().max() }
                };
                let expected = word(0).max(word(1)).unwrap_or(Status::Gap(Hole::NoSource));
                let told = timeline.iter().find(|piece| piece.0.holds(at(hour))).map(|piece| piece.1);
                prop_assert_eq!(told, Some(expected));
            }
        }
    }
}
