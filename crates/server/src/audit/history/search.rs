//! What a query asks for, and the best answer so far.

use super::{Item, LookupError, PAGE_EVENTS, Page, Query, REACH, Resource};
use api::Timestamp;
use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::collections::BTreeMap;
use trail::lookup::{self, Record, Wanted};

/// Longest token that is looked at; ours are under 200 bytes.
const TOKEN_BYTES: usize = 1024;

/// A checked query.
pub(super) struct Search<'a> {
    pub(super) query: &'a Query,
    wanted: Option<Wanted<'a>>,
    account: String,
    earliest: Timestamp,
    latest: Timestamp,
    limit: usize,
    fingerprint: [u8; 16],
    /// Only events after this one, in falling order.
    after: Option<(Timestamp, String)>,
}

impl Search<'_> {
    pub(super) fn new(query: &Query, now: Timestamp) -> Result<Search<'_>, LookupError> {
        if let (Some(start), Some(end)) = (query.start, query.end)
            && start > end
        {
            return Err(LookupError::InvalidTimeRange { start, end });
        }
        let limit = query.limit.unwrap_or(PAGE_EVENTS);
        if !(1..=PAGE_EVENTS).contains(&limit) {
            return Err(LookupError::InvalidMaxResults { given: limit });
        }
        let reach = now.checked_sub(REACH).unwrap_or(Timestamp::MIN);
        let fingerprint = fingerprint(query);
        let after = match &query.token {
            Some(token) => Some(token_place(token, &fingerprint).ok_or(LookupError::InvalidNextToken)?),
            None => None,
        };
        Ok(Search {
            query,
            wanted: query.attribute.as_ref().map(|(attribute, value)| Wanted::new(*attribute, value)),
            account: query.account.to_string(),
            earliest: query.start.map_or(reach, |start| start.max(reach)),
            latest: query.end.unwrap_or(Timestamp::MAX),
            limit,
            fingerprint,
            after,
        })
    }

    /// Whether an event at `time` may be on this page.
    fn spans(&self, time: Timestamp) -> bool {
        self.reaches(time) && self.earliest <= time
    }

    /// Whether events that begin at `since` may be in the query's time.
    pub(super) fn reaches(&self, since: Timestamp) -> bool {
        let before = self.after.as_ref().is_none_or(|(after, _)| since <= *after);
        before && since <= self.latest
    }

    /// Whether `json`, a record unread, may be looked for.
    pub(super) fn may_match(&self, json: &[u8]) -> bool {
        self.wanted.as_ref().is_none_or(|wanted| wanted.may_be(json))
    }

    /// The mark that a file has where what is looked for is in it; `None` where that is every event.
    pub(super) fn mark(&self) -> Option<u32> {
        self.wanted.as_ref().map(Wanted::mark)
    }
}

/// A token: version, fingerprint of the query, time in nanoseconds, event ID.
const TOKEN_VERSION: u8 = 1;

fn token(fingerprint: &[u8; 16], time: Timestamp, event_id: &str) -> String {
    let time = time.as_nanosecond().to_be_bytes();
    URL_SAFE_NO_PAD.encode([&[TOKEN_VERSION], &fingerprint[..], &time, event_id.as_bytes()].concat())
}

/// The place that a token stands for; `None` where it was not given out for this query.
fn token_place(token: &str, fingerprint: &[u8; 16]) -> Option<(Timestamp, String)> {
    if token.len() > TOKEN_BYTES {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (version, rest) = bytes.split_first()?;
    let (bound, rest) = rest.split_first_chunk::<16>()?;
    let (time, event_id) = rest.split_first_chunk::<16>()?;
    if *version != TOKEN_VERSION || bound != fingerprint {
        return None;
    }
    let time = Timestamp::from_nanosecond(i128::from_be_bytes(*time)).ok()?;
    Some((time, String::from_utf8(event_id.to_vec()).ok()?))
}

/// What a token is bound to: everything in a query but the page's size and place.
fn fingerprint(query: &Query) -> [u8; 16] {
    let what = (query.account, query.region, &query.attribute, query.start, query.end);
    // `Debug` quotes strings, so no two queries print alike.
    let digest = digest::digest(&digest::SHA256, format!("{what:?}").as_bytes());
    *digest.as_ref().first_chunk().expect("SHA-256 has 32 bytes")
}

/// The best events so far: at most one more than the page holds.
pub(super) struct Found<'a> {
    pub(super) search: &'a Search<'a>,
    events: BTreeMap<(Timestamp, String), Item>,
}

impl Found<'_> {
    pub(super) fn new<'a>(search: &'a Search<'a>) -> Found<'a> {
        Found { search, events: BTreeMap::new() }
    }

    /// An event before this can no longer come onto the page.
    pub(super) fn floor(&self) -> Timestamp {
        match self.events.first_key_value() {
            Some(((time, _), _)) if self.events.len() > self.search.limit => *time,
            _ => self.search.earliest,
        }
    }

    /// Whether an event at `time` may still come onto the page.
    pub(super) fn wants(&self, time: Timestamp) -> bool {
        self.search.spans(time) && time >= self.floor()
    }

    pub(super) fn offer(&mut self, record: &Record<'_>, text: &str) {
        let (search, time) = (self.search, record.event_time);
        let here = record.aws_region == search.query.region.as_str()
            && record.recipient_account_id.as_deref() == Some(search.account.as_str());
        if !self.wants(time) || !here || !search.wanted.as_ref().is_none_or(|wanted| wanted.is(record)) {
            return;
        }
        let place = (time, record.event_id.clone().into_owned());
        if search.after.as_ref().is_some_and(|after| place >= *after) {
            return;
        }
        self.events.entry(place).or_insert_with(|| item(record, text));
        if self.events.len() > search.limit + 1 {
            self.events.pop_first();
        }
    }

    pub(super) fn page(mut self) -> Page {
        let more = self.events.len() > self.search.limit;
        if more {
            self.events.pop_first();
        }
        let last = self.events.first_key_value().map(|((time, id), _)| token(&self.search.fingerprint, *time, id));
        Page { token: last.filter(|_| more), events: self.events.into_values().rev().collect() }
    }
}

fn item(record: &Record<'_>, text: &str) -> Item {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let resource = |resource: &lookup::Resource<'_>| Resource {
        kind: owned(resource.kind.as_deref()),
        name: owned(resource.name.as_deref()),
    };
    Item {
        event_id: record.event_id.clone().into_owned(),
        event_name: record.event_name.clone().into_owned(),
        read_only: record.read_only,
        access_key_id: owned(record.access_key_id()),
        event_time: record.event_time,
        event_source: record.event_source.clone().into_owned(),
        username: owned(record.username()),
        resources: record.resources().iter().map(resource).collect(),
        record: text.to_owned(),
    }
}
