//! CloudTrail's event history, by LookupEvents.
//!
//! What counts is the read of *all* KMS events of the account and Region: it is known to hold every call, and the events of other
//! keys in it show that it recorded at all. The look by the key's own name is a cross-check: AWS does not say that it finds
//! cryptographic calls (procedure.md 3.2, T-26), so what it finds counts, and what it does not find proves nothing.

use api::Timestamp;
use aws_sdk_cloudtrail::primitives::DateTime;
use aws_sdk_cloudtrail::types::{Event, LookupAttribute, LookupAttributeKey};
use jiff::SignedDuration;
use procedure::observation::{Hole, SourceSeen};
use procedure::span::{after, before, days, minus, union};
use procedure::{Depth, Gap, Source, Span};
use trail::event::KMS;

use super::trouble::Trouble;
use super::{Aws, timestamp};
use crate::notebook::Notebook;
use crate::sight::{Sight, Sighted, Subject};
use crate::world::Ask;

/// How far back event history reaches. Source: CloudTrail User Guide, "Working with CloudTrail event history".
const RETENTION: SignedDuration = days(90);
/// Most events of a page. Source: CloudTrail API Reference, LookupEvents, `MaxResults`.
const PAGE: i32 = 50;
/// Most pages of one read: 100,000 events, which take a quarter of an hour at two pages a second. (Ours.)
const MAX_PAGES: usize = 2_000;
/// Most pages of the cross-check. (Ours.)
const MAX_CHECK_PAGES: usize = 100;

/// How much of what was read already is read again, for events that came late.
fn overlap(depth: Depth) -> SignedDuration {
    match depth {
        Depth::Watch => SignedDuration::from_hours(2),
        Depth::Full => SignedDuration::from_hours(24),
    }
}

/// Reads what `ask` wants of event history, together with what is remembered of it.
pub(super) async fn read(aws: &Aws, ask: &Ask<'_>, subject: Subject<'_>) -> (Sighted, SourceSeen) {
    let notebook = Notebook::at(ask.notebook);
    // Taken out while it is in use: another look at the same notebook, if there is one, reads it afresh.
    let mut memory = aws.take_memory(ask.notebook);
    notebook.recall(&mut memory, &ask.key.to_string(), subject.aliases);
    let wanted = match ask.depth {
        Depth::Watch => Span::new(ask.since.min(ask.now), ask.now),
        Depth::Full => Span::new(ask.lookback.min(ask.since).min(ask.now), ask.now),
    };
    let mut sight = Sight::of(subject);
    for call in &memory.calls {
        sight.recall(call);
    }
    // What is remembered, but for its last stretch, and what AWS has forgotten need not be asked for.
    let settled = memory.spans.iter().map(|span| Span::new(span.since, before(span.until, overlap(ask.depth))));
    let missing = minus(&[wanted], &union(settled));
    let floor = before(ask.now, RETENTION);
    let asked =
        missing.first().map(|first| Span::new(first.since.max(floor), wanted.until)).filter(|span| !span.is_empty());

    let mut reader = Reader { aws, found: Vec::new(), hours: Vec::new() };
    let mut holes = Vec::new();
    let mut read = Vec::new();
    if let Some(asked) = asked {
        let end = reader.lookup(LookupAttributeKey::EventSource, KMS, asked, MAX_PAGES, &mut sight).await;
        let done = Span::new(end.since.max(asked.since), asked.until);
        read.push(done);
        if let Some(why) = end.why {
            holes.push(Hole { span: Span::new(asked.since, done.since), why });
        }
        // A notebook that cannot be written costs time, not truth.
        let _ = notebook.note(&reader.found, done, &reader.hours());
    }
    if ask.depth == Depth::Full {
        let span = Span::new(wanted.since.max(floor), wanted.until);
        let arn = ask.key.to_string();
        reader.lookup(LookupAttributeKey::ResourceName, &arn, span, MAX_CHECK_PAGES, &mut sight).await;
    }
    let spans: Vec<Span> =
        union(read.into_iter().chain(memory.spans.iter().copied())).iter().map(|span| span.overlap(wanted)).collect();
    let spans = union(spans);
    let forgotten = minus(&minus(&[wanted], &spans), &[Span::new(floor, wanted.until)]);
    holes.extend(forgotten.into_iter().map(|span| Hole { span, why: Gap::BeyondRetention }));
    let mut seen = sight.finish(wanted);
    holes.append(&mut seen.holes);
    holes.retain(|hole| !hole.span.overlap(wanted).is_empty());
    holes.sort_by_key(|hole| hole.span);
    let mut background: Vec<Timestamp> = seen.background.drain(..).chain(memory.background.iter().copied()).collect();
    background.sort_unstable();
    background.dedup();
    background.retain(|hour| *hour >= before(wanted.since, SignedDuration::from_hours(1)));
    let source = SourceSeen {
        source: Source::EventHistory,
        account: ask.key.account.to_string(),
        region: ask.key.region,
        query: match ask.depth {
            Depth::Watch => format!("LookupEvents EventSource={KMS}"),
            Depth::Full => format!("LookupEvents EventSource={KMS}, cross-checked by ResourceName={}", ask.key),
        },
        spans,
        holes,
        background,
    };
    aws.keep_memory(ask.notebook, memory);
    (seen, source)
}

/// How far a lookup came.
struct End {
    /// Everything from here on was read.
    since: Timestamp,
    /// Why it came no further, where it did not come to its beginning.
    why: Option<Gap>,
}

struct Reader<'a> {
    aws: &'a Aws,
    /// Events worth remembering.
    found: Vec<String>,
    hours: Vec<Timestamp>,
}

impl Reader<'_> {
    /// Reads the events of `span` that have the attribute, newest first.
    async fn lookup(
        &mut self,
        key: LookupAttributeKey,
        value: &str,
        span: Span,
        pages: usize,
        sight: &mut Sight<'_>,
    ) -> End {
        let mut reached = span.until;
        let mut token = None;
        for _ in 0..pages {
            self.aws.pace.turn().await;
            let attribute = LookupAttribute::builder().attribute_key(key.clone()).attribute_value(value).build();
            let call = self.aws.trail.lookup_events().max_results(PAGE).set_next_token(token);
            let call = call.start_time(DateTime::from_secs(span.since.as_second()));
            let call = call.end_time(DateTime::from_secs(span.until.as_second().saturating_add(1)));
            let page = match attribute {
                Ok(attribute) => call.lookup_attributes(attribute).send().await.map_err(Trouble::from),
                Err(error) => Err(Trouble::NotMade { message: error.to_string() }),
            };
            let page = match page {
                Ok(page) => page,
                Err(trouble) => {
                    let why = Some(trouble.gap("cloudtrail", "LookupEvents"));
                    return End { since: reached, why };
                }
            };
            for event in page.events() {
                self.take(event, span, sight);
            }
            if let Some(at) = page.events().last().and_then(|event| event.event_time()).and_then(timestamp) {
                // Others of the same second may be on the next page.
                reached = reached.min(after(at, SignedDuration::from_secs(1)));
            }
            token = page.next_token().map(str::to_owned);
            if token.is_none() {
                return End { since: span.since, why: None };
            }
        }
        End { since: reached, why: Some(Gap::TooMuch) }
    }

    fn take(&mut self, event: &Event, span: Span, sight: &mut Sight<'_>) {
        let about = event.event_time().and_then(timestamp).unwrap_or(span.until);
        let json = event.cloud_trail_event().unwrap_or_default();
        if sight.take(json, about).is_some() {
            self.found.push(json.to_owned());
        }
        if event.event_source() == Some(KMS) && event.read_only() == Some("true") {
            self.hours.push(crate::sight::floor(about, procedure::span::HOUR));
        }
    }

    /// The hours of background in this read.
    fn hours(&self) -> Vec<Timestamp> {
        let mut hours = self.hours.clone();
        hours.sort_unstable();
        hours.dedup();
        hours
    }
}
