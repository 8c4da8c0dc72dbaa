//! Counting: events in, rows of key × principal × operation × error × dependents out.
//!
//! Counting has two steps, so that many threads can do the first: a [`Batch`] takes the events of one file and keeps what is
//! selected; the [`Tally`] takes batches and counts each event once, by its ID, whichever batch it came in. The outcome depends on the order of the batches only where two events share an ID and differ, and where rows are
//! folded.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use foldhash::quality::RandomState;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::batch::{Batch, EventId, Identity, Kept, Place, Registry, RowOf, keeps, noted_alias};
use crate::event::Event;
use crate::ids::Ids;
use crate::selection::Selection;
use crate::usage::{Class, KeyName, Outcome, Purpose, Usage, Weight};

/// Rows are kept apart by their dependents up to so many; from then on new ones are folded together under [`FOLDED`].
pub const MAX_ROWS: usize = 1_000_000;

/// Stands for the dependents of rows that were folded together.
pub const FOLDED: &str = "(more)";

/// How often one principal did one thing to one key for the same dependents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The key's ARN; where only an alias is known, the alias's; empty where the events name neither.
    pub key: String,
    /// Who: [`crate::usage::Caller::principal`].
    pub principal: String,
    /// The operation.
    pub event_name: String,
    /// The error code of refused calls.
    pub error_code: Option<String>,
    /// What the encryption context names: sorted, each once.
    pub dependents: Vec<String>,
    /// How many events, each ID once.
    pub count: u64,
    /// The earliest of them.
    pub first: Timestamp,
    /// The latest of them.
    pub last: Timestamp,
    /// The ways in which it was done; nearly always one. Each once.
    #[serde(skip)]
    pub manners: Vec<Manner>,
    /// The hours in which it was done, counted from 1970: sorted, each once.
    #[serde(skip)]
    pub hours: Vec<i32>,
}

impl Row {
    /// Whether any of the events means that somebody needs the key.
    pub fn is_use(&self) -> bool {
        self.manners.iter().any(Manner::is_use)
    }

    /// The times of use to the hour, ascending: what `cadence` works on.
    pub fn times(&self) -> impl Iterator<Item = Timestamp> {
        self.hours.iter().map(|hour| hour_start(*hour))
    }
}

/// One way in which something was done to a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Manner {
    /// What was done.
    pub class: Class,
    /// How it ended.
    pub outcome: Outcome,
    /// Whose business it was, by the caller's word.
    pub purpose: Purpose,
    /// The service that called on the principal's behalf.
    pub via: Option<String>,
}

impl Manner {
    /// Whether this means that somebody needs the key, or may. Purpose is not asked: who leaves out test calls compares the
    /// principal first.
    pub fn is_use(&self) -> bool {
        self.class.is_use()
            && match self.outcome {
                Outcome::Success => true,
                Outcome::Failure(failure) => failure.weight() != Weight::NoUse,
            }
    }
}

/// An account and Region in which events of KMS were seen, and when: whether quiet there means anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// The account that the events were delivered to.
    pub account: String,
    /// The Region.
    pub region: String,
    /// Whether these are events that change nothing, as cryptographic operations are.
    pub read_only: bool,
    /// Events of any key in each hour, counted from 1970.
    pub hours: BTreeMap<i32, u64>,
}

impl Activity {
    /// The hours with events, ascending.
    pub fn times(&self) -> impl Iterator<Item = Timestamp> {
        self.hours.keys().map(|hour| hour_start(*hour))
    }
}

/// Events that say the same, counted elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alike {
    /// How many, each ID once.
    pub count: u64,
    /// How many deliveries of them there were.
    pub deliveries: u64,
    /// When the last of them was.
    pub last: Timestamp,
}

/// What all batches come to.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    /// One row for each key × principal × operation × error × dependents, in this order.
    pub rows: Vec<Row>,
    /// Uses that name no key, or, under a selection, only an alias that was not selected: they may be of any key.
    pub unattributed: Vec<Row>,
    /// Keys that were selected because they were seen with an alias, by alias ARN. An alias may have moved in between.
    pub aliases: BTreeMap<String, BTreeSet<String>>,
    /// Where and when events of KMS were seen, whichever key they were of, in the selected span.
    pub activity: Vec<Activity>,
    /// Events of KMS, of any key and time, second deliveries too.
    pub kms_records: u64,
    /// Second deliveries among the events that were kept.
    pub duplicates: u64,
    /// Events whose dependents were folded together, because there were more than [`MAX_ROWS`] rows.
    pub folded: u64,
}

/// The sum of batches.
#[derive(Debug)]
pub(crate) struct Tally {
    selection: Selection,
    rows: Rows,
    index: HashMap<Arc<Identity>, u32, RandomState>,
    /// Whose numbers the last batch spoke in.
    registry: Arc<Registry>,
    /// Where what it says is counted, by its numbers: the row, [`SEVERAL`] or [`UNMET`].
    met: Vec<u32>,
    /// Where what is not in exactly one row is counted.
    several: HashMap<u32, Several>,
    ids: Ids,
    other_ids: HashSet<Box<str>>,
    activity: BTreeMap<Place, BTreeMap<i32, u64>>,
    totals: Totals,
    max_rows: usize,
}

/// What it says has no place yet.
const UNMET: u32 = u32::MAX;
/// What it says is counted in [`Tally::several`].
const SEVERAL: u32 = u32::MAX - 1;

/// Where events that say the same are counted.
#[derive(Debug)]
struct Several {
    /// Rows, each once: one event counts once in a row, also where it is about the same key twice.
    rows: Box<[u32]>,
    /// How many of its keys are in rows whose dependents are folded.
    folded: u64,
}

impl Tally {
    /// Nothing yet.
    pub(crate) fn new(selection: &Selection) -> Tally {
        Tally {
            selection: selection.clone(),
            rows: Rows::default(),
            index: HashMap::default(),
            registry: Arc::default(),
            met: Vec::new(),
            several: HashMap::new(),
            ids: Ids::default(),
            other_ids: HashSet::new(),
            activity: BTreeMap::new(),
            totals: Totals::default(),
            max_rows: MAX_ROWS,
        }
    }

    /// Which events are counted.
    pub(crate) fn selection(&self) -> &Selection {
        &self.selection
    }

    /// Takes a batch, made for the same selection.
    pub(crate) fn add(&mut self, batch: Batch) {
        self.totals.kms_records += batch.kms_records;
        for (alias, keys) in batch.aliases {
            self.totals.aliases.entry(alias).or_default().extend(keys);
        }
        for (place, hours) in batch.places {
            let known = self.activity.entry(Place::clone(&batch.registry.place(place))).or_default();
            hours.into_iter().for_each(|(hour, count)| *known.entry(hour).or_default() += count);
        }
        if !Arc::ptr_eq(&self.registry, &batch.registry) {
            self.registry = batch.registry;
            self.met.clear();
            self.several.clear();
        }
        // One thing at a time: then memory is asked for many an ID at once.
        for event in &batch.events {
            if let Some(EventId::Uuid(id)) = &event.id {
                self.ids.fetch(u128::from_le_bytes(*id));
            }
        }
        let is_new = |event: &Kept| event.id.as_ref().is_none_or(|id| self.is_new(id));
        let is_new: Vec<bool> = batch.events.iter().map(is_new).collect();
        for (event, is_new) in batch.events.iter().zip(is_new) {
            if !is_new {
                self.totals.duplicates += 1;
                continue;
            }
            let number = event.statement as usize;
            if self.met.get(number).is_none_or(|row| *row == UNMET) {
                self.meet(event);
            }
            match self.met[number] {
                SEVERAL => {
                    let Several { rows, folded } = &self.several[&event.statement];
                    rows.iter().for_each(|row| self.rows.count(*row, event.at));
                    self.totals.folded += folded;
                }
                row => self.rows.count(row, event.at),
            }
        }
    }

    /// Finds the rows of what an event says, and makes those that are not there.
    fn meet(&mut self, event: &Kept) {
        let statement = self.registry.statement(event.statement);
        let (mut rows, mut folded) = (Vec::new(), 0);
        for row_of in &statement.rows {
            let (row, is_folded) = self.make_place(row_of, event.at);
            folded += u64::from(is_folded);
            if !rows.contains(&row) {
                rows.push(row);
            }
        }
        let number = event.statement as usize;
        if number >= self.met.len() {
            self.met.resize(number + 1, UNMET);
        }
        self.met[number] = match rows[..] {
            [row] if folded == 0 => row,
            _ => {
                self.several.insert(event.statement, Several { rows: rows.into(), folded });
                SEVERAL
            }
        };
    }

    /// Takes events that say the same and were counted elsewhere, each ID once: `event` is the first of them.
    pub(crate) fn add_alike(&mut self, event: &Event<'_>, alike: &Alike) {
        self.totals.kms_records += alike.deliveries;
        self.totals.duplicates += alike.deliveries.saturating_sub(alike.count);
        if alike.count == 0 || !self.selection.holds(event.event_time) {
            return;
        }
        let mut usage = Usage::of(event);
        let keys = std::mem::take(&mut usage.keys);
        for (alias, key) in keys.iter().filter_map(|part| noted_alias(&self.selection, part)) {
            self.totals.aliases.entry(alias).or_default().insert(key);
        }
        let mut counted: Vec<u32> = Vec::new();
        for part in keys {
            if !keeps(&self.selection, &part) {
                continue;
            }
            let (place, is_folded) = self.make_place(&RowOf::of(&usage, part), event.event_time);
            if !counted.contains(&place) {
                self.rows.count_alike(place, event.event_time, alike);
                counted.push(place);
            }
            self.totals.folded += if is_folded { alike.count } else { 0 };
        }
    }

    fn is_new(&mut self, id: &EventId) -> bool {
        match id {
            EventId::Uuid(id) => self.ids.insert(u128::from_le_bytes(*id)),
            EventId::Text(id) => self.other_ids.insert(id.clone()),
        }
    }

    /// The row of `row_of`, made if there is none, with its manner; and whether its dependents are folded in it.
    fn make_place(&mut self, row_of: &RowOf, at: Timestamp) -> (u32, bool) {
        let mut identity = Arc::clone(&row_of.identity);
        let is_folded =
            self.rows.len() >= self.max_rows && !identity.dependents.is_empty() && !self.index.contains_key(&identity);
        if is_folded {
            identity = Arc::new(Identity { dependents: vec![FOLDED.to_owned()], ..Identity::clone(&identity) });
        }
        let next = u32::try_from(self.rows.len()).expect("a table of rows is folded long before");
        let place = *self.index.entry(identity).or_insert_with_key(|identity| {
            self.rows.push(identity, at);
            next
        });
        let manners = &mut self.rows.told[place as usize].manners;
        if !manners.contains(&row_of.manner) {
            manners.push(row_of.manner.clone());
        }
        (place, is_folded)
    }

    /// The rows, now that all is known.
    pub(crate) fn finish(self) -> Totals {
        let mut totals = self.totals;
        let aliased: HashSet<&String> = totals.aliases.values().flatten().collect();
        // These hold what rows are told by as well: without them, and without scanners, it is moved, not copied.
        drop((self.index, self.registry, self.several));
        let Rows { told, counts } = self.rows;
        let mut all: Vec<(Told, Count)> = told.into_iter().zip(counts).collect();
        all.sort_unstable_by(|(one, _), (other, _)| one.identity.cmp(&other.identity));
        for (told, count) in all {
            let (is_selected, may_be) = match &told.identity.key {
                KeyName::Arn(arn) => (self.selection.wants_key(arn) || aliased.contains(arn), false),
                KeyName::Alias(alias) => (self.selection.wants_alias(alias), true),
                KeyName::Unknown => (false, true),
            };
            if is_selected {
                totals.rows.push(told.finish(count));
            } else if may_be {
                totals.unattributed.push(told.finish(count));
            }
        }
        drop(aliased);
        totals.rows.sort_by(|one, other| one.order().cmp(&other.order()));
        let activity = self.activity.into_iter();
        totals.activity = activity
            .map(|((account, region, read_only), hours)| Activity { account, region, read_only, hours })
            .collect();
        totals
    }
}

/// The rows that are being counted. What changes with every event is apart from the rest, so that it is near.
#[derive(Debug, Default)]
struct Rows {
    told: Vec<Told>,
    counts: Vec<Count>,
}

/// What tells a row from others, and what seldom changes.
#[derive(Debug)]
struct Told {
    identity: Arc<Identity>,
    manners: Vec<Manner>,
    /// In no order, some more than once.
    hours: Vec<i32>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    count: u64,
    first: Timestamp,
    last: Timestamp,
    /// The hour that was noted last.
    hour: Option<i32>,
}

impl Rows {
    fn len(&self) -> usize {
        self.told.len()
    }

    fn push(&mut self, identity: &Arc<Identity>, at: Timestamp) {
        self.told.push(Told { identity: Arc::clone(identity), manners: Vec::new(), hours: Vec::new() });
        self.counts.push(Count { count: 0, first: at, last: at, hour: None });
    }

    fn count(&mut self, row: u32, at: Timestamp) {
        let count = &mut self.counts[row as usize];
        count.count += 1;
        count.first = count.first.min(at);
        count.last = count.last.max(at);
        let hour = Some(hour(at));
        if count.hour != hour {
            count.hour = hour;
            let hours = &mut self.told[row as usize].hours;
            if hours.len() == hours.capacity() {
                hours.sort_unstable();
                hours.dedup();
            }
            hours.extend(hour);
        }
    }

    fn count_alike(&mut self, row: u32, first: Timestamp, alike: &Alike) {
        let count = &mut self.counts[row as usize];
        count.count += alike.count;
        count.first = count.first.min(first);
        count.last = count.last.max(alike.last);
        self.told[row as usize].hours.extend([hour(first), hour(alike.last)]);
    }
}

impl Told {
    fn finish(mut self, count: Count) -> Row {
        self.hours.sort_unstable();
        self.hours.dedup();
        let Told { identity, manners, hours } = self;
        let Count { count, first, last, .. } = count;
        let Identity { key, principal, event_name, error_code, dependents } = Arc::unwrap_or_clone(identity);
        let key = match key {
            KeyName::Arn(name) | KeyName::Alias(name) => name,
            KeyName::Unknown => String::new(),
        };
        Row { key, principal, event_name, error_code, dependents, count, first, last, manners, hours }
    }
}

impl Row {
    fn order(&self) -> (&str, &str, &str, Option<&str>, &[String]) {
        (&self.key, &self.principal, &self.event_name, self.error_code.as_deref(), &self.dependents)
    }
}

const HOUR_SECONDS: i64 = 3600;

/// The hour, counted from 1970.
pub(crate) fn hour(at: Timestamp) -> i32 {
    i32::try_from(at.as_second().div_euclid(HOUR_SECONDS)).expect("a Timestamp is within years -9999 to 9999")
}

fn hour_start(hour: i32) -> Timestamp {
    Timestamp::from_second(i64::from(hour) * HOUR_SECONDS).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Filler;
    use serde_json::{Value, json};

    const K1: &str = "arn:aws:kms:eu-west-1:111122223333:key/11111111-0000-4000-8000-000000000000";
    const K2: &str = "arn:aws:kms:eu-west-1:111122223333:key/22222222-0000-4000-8000-000000000000";

    fn event(id: &str, name: &str, hour: u8, members: Value) -> Value {
        let mut event = json!({
            "eventID": id, "eventTime": format!("2026-01-02T{hour:02}:10:00Z"), "eventSource": "kms.amazonaws.com",
            "eventName": name, "awsRegion": "eu-west-1", "recipientAccountId": "111122223333", "readOnly": true,
            "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/ada"},
        });
        event.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        event
    }

    fn of(key: &str) -> Value {
        json!({"resources": [{"ARN": key, "type": "AWS::KMS::Key"}]})
    }

    fn total(selection: &Selection, batches: &[&[Value]]) -> Totals {
        tally(selection, batches, MAX_ROWS)
    }

    fn tally(selection: &Selection, batches: &[&[Value]], max_rows: usize) -> Totals {
        let mut tally = Tally { max_rows, ..Tally::new(selection) };
        for events in batches {
            let mut filler = Filler::default();
            filler.begin(&Arc::default());
            for event in *events {
                filler.observe(&Event::parse(event.to_string().as_bytes()).unwrap(), selection);
            }
            tally.add(filler.finish());
        }
        tally.finish()
    }

    fn lines(rows: &[Row]) -> Vec<String> {
        let key = |row: &Row| row.key.rsplit('/').next().unwrap().chars().take(3).collect::<String>();
        rows.iter().map(|row| format!("{} {} {:?} {}", key(row), row.event_name, row.dependents, row.count)).collect()
    }

    #[test]
    fn an_event_counts_once_however_often_it_is_delivered() {
        let one = event("00000000-0000-4000-8000-000000000001", "Decrypt", 1, of(K1));
        let other = event("00000000-0000-4000-8000-000000000002", "Decrypt", 5, of(K1));
        let nameless = event("not a UUID", "Decrypt", 3, of(K1));
        let totals =
            total(&Selection::all(), &[&[one.clone(), nameless.clone()], &[other.clone(), one, nameless, other]]);
        assert_eq!(lines(&totals.rows), ["111 Decrypt [] 3"]);
        assert_eq!((totals.kms_records, totals.duplicates), (6, 3));
        let row = &totals.rows[0];
        assert_eq!(format!("{} {}", row.first, row.last), "2026-01-02T01:10:00Z 2026-01-02T05:10:00Z");
        assert_eq!(
            row.times().map(|at| at.to_string()).collect::<Vec<_>>().join(" "),
            "2026-01-02T01:00:00Z 2026-01-02T03:00:00Z 2026-01-02T05:00:00Z"
        );
    }

    #[test]
    fn an_event_without_an_id_always_counts() {
        let mut nameless = event("", "Decrypt", 1, of(K1));
        nameless.as_object_mut().unwrap().remove("eventID");
        assert_eq!(total(&Selection::all(), &[&[nameless.clone(), nameless]]).rows[0].count, 2);
    }

    #[test]
    fn rows_serialise_as_documented() {
        let context = json!({"requestParameters": {"encryptionContext": {"b": "2", "a": "1"}}, "errorCode": "X",
            "resources": [{"ARN": K1, "type": "AWS::KMS::Key"}]});
        let totals =
            total(&Selection::all(), &[&[event("1", "Decrypt", 1, context), event("2", "Encrypt", 1, of(K1))]]);
        let json: Vec<String> = totals.rows.iter().map(|row| serde_json::to_string(row).unwrap()).collect();
        let who = "arn:aws:iam::111122223333:user/ada";
        let when = r#""first":"2026-01-02T01:10:00Z","last":"2026-01-02T01:10:00Z""#;
        assert_eq!(
            json,
            [
                format!(
                    r#"{{"key":"{K1}","principal":"{who}","eventName":"Decrypt","errorCode":"X","dependents":["a=1","b=2"],"count":1,{when}}}"#
                ),
                format!(
                    r#"{{"key":"{K1}","principal":"{who}","eventName":"Encrypt","errorCode":null,"dependents":[],"count":1,{when}}}"#
                ),
            ]
        );
    }

    #[test]
    fn reencrypt_counts_for_both_keys_and_once_where_they_are_one() {
        let both = json!({"resources": [{"ARN": K1}, {"ARN": K2}]});
        let same = json!({"resources": [{"ARN": K1}, {"ARN": K1}]});
        let totals = total(&Selection::all(), &[&[event("1", "ReEncrypt", 1, both), event("2", "ReEncrypt", 1, same)]]);
        assert_eq!(lines(&totals.rows), ["111 ReEncrypt [] 2", "222 ReEncrypt [] 1"]);
        let classes: Vec<Class> = totals.rows[0].manners.iter().map(|manner| manner.class).collect();
        assert_eq!(classes, [Class::ReadData, Class::WriteData]);
    }

    #[test]
    fn an_alias_selects_what_names_it_and_the_keys_it_was_seen_with() {
        let named = |alias: &str, key: Option<&str>| match key {
            Some(key) => json!({"requestParameters": {"keyId": alias}, "resources": [{"ARN": key}]}),
            None => json!({"requestParameters": {"keyId": alias}, "errorCode": "NotFoundException"}),
        };
        let events = [
            event("1", "Decrypt", 1, of(K1)),
            event("2", "Encrypt", 2, named("alias/app", Some(K1))),
            event("3", "Encrypt", 3, named("alias/app", None)),
            event("4", "Encrypt", 3, named("alias/else", None)),
            event("5", "Decrypt", 1, of(K2)),
        ];
        let totals = total(&Selection::all().key("alias/app").unwrap(), &[&events]);
        assert_eq!(lines(&totals.rows), ["app Encrypt [] 1", "111 Decrypt [] 1", "111 Encrypt [] 1"]);
        assert_eq!(lines(&totals.unattributed), ["els Encrypt [] 1"]);
        let seen: Vec<_> = totals.aliases.into_iter().collect();
        assert_eq!(
            seen,
            [("arn:aws:kms:eu-west-1:111122223333:alias/app".to_owned(), BTreeSet::from([K1.to_owned()]))]
        );
        let totals = total(&Selection::all().key(K2).unwrap(), &[&events]);
        assert_eq!(lines(&totals.rows), ["222 Decrypt [] 1"]);
        assert_eq!(lines(&totals.unattributed), ["app Encrypt [] 1", "els Encrypt [] 1"]);
    }

    #[test]
    fn the_span_bounds_what_is_kept() {
        let events = [1, 2, 3].map(|hour| event(&hour.to_string(), "Decrypt", hour, of(K1)));
        let at = |text: &str| text.parse().unwrap();
        let selection = Selection::all().since(at("2026-01-02T02:00:00Z")).until(at("2026-01-02T03:00:00Z"));
        let totals = total(&selection, &[&events]);
        assert_eq!((totals.rows[0].count, totals.kms_records, totals.activity[0].hours.len()), (1, 3, 1));
    }

    #[test]
    fn where_rows_are_too_many_their_dependents_are_folded_and_counted() {
        let mut events = Vec::new();
        for n in 0..6 {
            let context =
                json!({"requestParameters": {"encryptionContext": {"n": n.to_string()}}, "resources": [{"ARN": K1}]});
            events.push(event(&n.to_string(), "Decrypt", 1, context));
        }
        let totals = tally(&Selection::all(), &[&events], 4);
        assert_eq!(totals.rows.len(), 5);
        assert_eq!(totals.rows.iter().map(|row| row.count).sum::<u64>(), 6);
        assert_eq!(totals.folded, 2);
        assert_eq!(totals.rows[0].dependents, [FOLDED]);
    }

    #[test]
    fn activity_is_of_every_key() {
        let events =
            [event("1", "Decrypt", 1, of(K1)), event("2", "Decrypt", 1, of(K2)), event("3", "ListKeys", 4, json!({}))];
        let totals = total(&Selection::all().key(K2).unwrap(), &[&events]);
        let [activity] = &totals.activity[..] else { panic!("one place") };
        assert_eq!((activity.account.as_str(), activity.region.as_str()), ("111122223333", "eu-west-1"));
        assert_eq!(activity.hours.values().copied().collect::<Vec<_>>(), [2, 1]);
    }
}
