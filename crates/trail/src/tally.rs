//! Counting: events in, rows of key × principal × operation × error × dependents out.
//!
//! Counting has two steps, so that many threads can do the first: a [`Batch`] takes the events of one file (or of one page of an
//! event history) and keeps what is selected; the [`Tally`] takes batches and counts each event once, by its ID, whichever batch
//! it came in. The outcome depends on the order of the batches only where two events share an ID and differ, and where rows are
//! folded.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::hash::ByWords;
use crate::ids::Ids;
use crate::selection::Selection;
use crate::usage::{Class, KeyName, KeyUse, Outcome, Purpose, Usage, Weight};

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
    /// The ways in which it was done; nearly always one.
    #[serde(skip)]
    pub manners: BTreeSet<Manner>,
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

/// What the events of one file say.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Batch {
    rows: Vec<Arc<RowOf>>,
    events: Vec<Kept>,
    aliases: BTreeMap<String, BTreeSet<String>>,
    places: Vec<(Place, BTreeMap<i32, u64>)>,
    kms_records: u64,
}

/// An event that was kept: its ID, its time, and its rows by their number in the batch.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    id: Option<EventId>,
    at: Timestamp,
    rows: Rows,
}

/// Nearly every event is of one row.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "Vec<u32>", into = "Vec<u32>")]
enum Rows {
    One(u32),
    More(Box<[u32]>),
}

/// What makes two events fall into the same row, and the manner.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct RowOf {
    identity: Identity,
    manner: Manner,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    key: KeyName,
    principal: String,
    event_name: String,
    error_code: Option<String>,
    dependents: Vec<String>,
}

/// Account, Region, and whether the events change nothing.
type Place = (String, String, bool);

/// AWS's event IDs are UUIDs, which take 16 bytes; others are kept as they are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub(crate) enum EventId {
    Uuid(u128),
    Text(Box<str>),
}

impl Batch {
    /// Takes one event of KMS. Returns what another event that says the same, at whatever time, would say.
    ///
    /// *Assumptions*: the registry was told that this batch has begun.
    pub(crate) fn observe(&mut self, event: &Event<'_>, registry: &mut Registry, selection: &Selection) -> Noted {
        let usage = Usage::of(event);
        let account = event.recipient_account_id.as_deref().or(event.user_identity.account_id.as_deref());
        let place = (
            account.unwrap_or_default().to_owned(),
            event.aws_region.as_deref().unwrap_or_default().to_owned(),
            event.read_only.unwrap_or_default(),
        );
        let kept = usage.keys.iter().filter(|part| keeps(selection, part));
        let noted = Noted {
            place: registry.places.number(place),
            rows: kept.map(|part| registry.rows.number(RowOf::of(&usage, part))).collect(),
            aliases: usage.keys.iter().filter_map(|part| noted_alias(selection, part)).collect(),
        };
        let id = event.event_id.as_deref().map(EventId::of);
        self.note(&noted, event.event_time, id, registry, selection);
        noted
    }

    /// Takes an event of KMS of which it is known what it says.
    pub(crate) fn note(
        &mut self,
        noted: &Noted,
        at: Timestamp,
        id: Option<EventId>,
        registry: &mut Registry,
        selection: &Selection,
    ) {
        self.kms_records += 1;
        if !selection.holds(at) {
            return;
        }
        let place =
            registry.places.place(noted.place, &mut self.places, |place| (Place::clone(place), BTreeMap::new()));
        *self.places[place as usize].1.entry(hour(at)).or_default() += 1;
        for (alias, key) in &noted.aliases {
            self.aliases.entry(alias.clone()).or_default().insert(key.clone());
        }
        let rows = match noted.rows[..] {
            [] => return,
            [row] => Rows::One(registry.rows.place(row, &mut self.rows, Arc::clone)),
            ref rows => {
                let places = rows.iter().map(|row| registry.rows.place(*row, &mut self.rows, Arc::clone));
                Rows::More(places.collect())
            }
        };
        self.events.push(Kept { id, at, rows });
    }

    /// Whether every event points to rows that are there: what was written down may have been changed.
    pub(crate) fn is_sound(&self) -> bool {
        self.events.iter().flat_map(|event| event.rows.numbers()).all(|number| (*number as usize) < self.rows.len())
    }
}

/// What an event of KMS says, but for its time and ID, in numbers of a [`Registry`].
#[derive(Debug)]
pub(crate) struct Noted {
    place: u32,
    rows: Box<[u32]>,
    /// An alias that was selected, and the key that it was seen with.
    aliases: Box<[(String, String)]>,
}

/// Rows and places by number, kept from batch to batch, so that what comes again is not spelt out again.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    rows: Numbers<RowOf>,
    places: Numbers<Place>,
}

/// More rows or places than this are not remembered.
const MAX_REGISTERED: usize = 1 << 13;

impl Registry {
    /// Whether it holds so much that it should be replaced, together with all that was noted in its numbers.
    pub(crate) fn is_full(&self) -> bool {
        self.rows.known.len().max(self.places.known.len()) > MAX_REGISTERED
    }

    /// Says that another batch is filled from now on.
    pub(crate) fn begin(&mut self) {
        self.rows.batch += 1;
        self.places.batch += 1;
    }
}

/// Values by number, and for each where it stands in the batch that is being filled.
#[derive(Debug)]
struct Numbers<T> {
    known: Vec<(Arc<T>, u64, u32)>,
    index: HashMap<Arc<T>, u32, ByWords>,
    /// Counts batches.
    batch: u64,
}

impl<T> Default for Numbers<T> {
    fn default() -> Numbers<T> {
        Numbers { known: Vec::new(), index: HashMap::default(), batch: 0 }
    }
}

impl<T: Eq + std::hash::Hash> Numbers<T> {
    fn number(&mut self, value: T) -> u32 {
        if let Some(number) = self.index.get(&value) {
            return *number;
        }
        let number = u32::try_from(self.known.len()).expect("a file of at most 1 GiB has fewer events than 2^32");
        let value = Arc::new(value);
        // Batches are counted from 1.
        self.known.push((value.clone(), 0, 0));
        self.index.insert(value, number);
        number
    }

    /// The place in `batch` of the value with this number, made if there is none.
    fn place<P>(&mut self, number: u32, batch: &mut Vec<P>, make: impl Fn(&Arc<T>) -> P) -> u32 {
        let (value, seen_in, place) = &mut self.known[number as usize];
        if *seen_in != self.batch {
            *seen_in = self.batch;
            *place = u32::try_from(batch.len()).expect("no more than there are numbers");
            batch.push(make(value));
        }
        *place
    }
}

impl RowOf {
    fn of(usage: &Usage<'_>, part: &KeyUse) -> RowOf {
        RowOf {
            identity: Identity {
                key: part.key.clone(),
                principal: usage.caller.principal.to_string(),
                event_name: usage.event_name.to_owned(),
                error_code: usage.error_code.map(str::to_owned),
                dependents: part.dependents.clone(),
            },
            manner: Manner {
                class: part.class,
                outcome: usage.outcome,
                purpose: part.purpose,
                via: usage.caller.via.map(str::to_owned),
            },
        }
    }
}

/// The alias that selects a part's key, and the key.
fn noted_alias(selection: &Selection, part: &KeyUse) -> Option<(String, String)> {
    let KeyName::Arn(key) = &part.key else { return None };
    let alias = part.alias.as_ref().filter(|alias| !selection.is_every_key() && selection.wants_alias(alias))?;
    Some((alias.clone(), key.clone()))
}

/// What can be dropped without knowing the other events: parts of keys that are surely not selected.
fn keeps(selection: &Selection, part: &KeyUse) -> bool {
    match &part.key {
        KeyName::Arn(_) => selection.names_aliases() || selection.wants(part),
        KeyName::Alias(_) => selection.wants(part) || part.class.is_use() || part.class == Class::Export,
        KeyName::Unknown => true,
    }
}

impl Rows {
    fn numbers(&self) -> &[u32] {
        match self {
            Rows::One(number) => std::slice::from_ref(number),
            Rows::More(numbers) => numbers,
        }
    }
}

impl From<Vec<u32>> for Rows {
    fn from(numbers: Vec<u32>) -> Rows {
        match numbers[..] {
            [number] => Rows::One(number),
            _ => Rows::More(numbers.into()),
        }
    }
}

impl From<Rows> for Vec<u32> {
    fn from(rows: Rows) -> Vec<u32> {
        rows.numbers().to_owned()
    }
}

/// How many rows are found by their address.
const MAX_LATELY: usize = 1 << 16;

/// The sum of batches.
#[derive(Debug)]
pub(crate) struct Tally {
    selection: Selection,
    rows: Vec<(Identity, Row)>,
    index: HashMap<Identity, u32>,
    /// Where rows are counted that came lately, by their address: cheaper than to compare them.
    lately: HashMap<usize, (Arc<RowOf>, (u32, bool)), ByWords>,
    ids: Ids,
    other_ids: HashSet<Box<str>>,
    activity: BTreeMap<Place, BTreeMap<i32, u64>>,
    totals: Totals,
    max_rows: usize,
}

impl Tally {
    /// Nothing yet.
    pub(crate) fn new(selection: &Selection) -> Tally {
        Tally {
            selection: selection.clone(),
            rows: Vec::new(),
            index: HashMap::new(),
            lately: HashMap::default(),
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
            let known = self.activity.entry(place).or_default();
            hours.into_iter().for_each(|(hour, count)| *known.entry(hour).or_default() += count);
        }
        // Which row each of the batch's rows is in, found when it is first needed: an event that is a second delivery makes none.
        let mut places: Vec<Option<(u32, bool)>> = vec![None; batch.rows.len()];
        for event in batch.events {
            if event.id.is_some_and(|id| !self.is_new(id)) {
                self.totals.duplicates += 1;
                continue;
            }
            let numbers = event.rows.numbers();
            for (at, number) in numbers.iter().enumerate() {
                let row_of = &batch.rows[*number as usize];
                let (place, is_folded) = match places[*number as usize] {
                    Some(place) => place,
                    None => *places[*number as usize].insert(self.place(row_of, event.at)),
                };
                let row = &mut self.rows[place as usize].1;
                // One event counts once in a row, also where it is about the same key twice.
                if !numbers[..at].iter().any(|before| places[*before as usize].is_some_and(|(other, _)| other == place))
                {
                    row.count(event.at);
                }
                self.totals.folded += u64::from(is_folded);
            }
        }
    }

    /// Takes events that say the same and were counted elsewhere, each ID once: `event` is the first of them.
    pub(crate) fn add_alike(&mut self, event: &Event<'_>, alike: &Alike) {
        self.totals.kms_records += alike.deliveries;
        self.totals.duplicates += alike.deliveries.saturating_sub(alike.count);
        if alike.count == 0 || !self.selection.holds(event.event_time) {
            return;
        }
        let usage = Usage::of(event);
        for (alias, key) in usage.keys.iter().filter_map(|part| noted_alias(&self.selection, part)) {
            self.totals.aliases.entry(alias).or_default().insert(key);
        }
        let mut counted: Vec<u32> = Vec::new();
        for part in &usage.keys {
            if !keeps(&self.selection, part) {
                continue;
            }
            let (place, is_folded) = self.make_place(&RowOf::of(&usage, part), event.event_time);
            if !counted.contains(&place) {
                self.rows[place as usize].1.count_alike(event.event_time, alike);
                counted.push(place);
            }
            self.totals.folded += if is_folded { alike.count } else { 0 };
        }
    }

    fn is_new(&mut self, id: EventId) -> bool {
        match id {
            EventId::Uuid(id) => self.ids.insert(id),
            EventId::Text(id) => self.other_ids.insert(id),
        }
    }

    /// The row of `row_of`, made if there is none, with its manner; and whether its dependents are folded in it.
    fn place(&mut self, row_of: &Arc<RowOf>, at: Timestamp) -> (u32, bool) {
        let address = Arc::as_ptr(row_of).addr();
        if let Some((_, place)) = self.lately.get(&address) {
            return *place;
        }
        let place = self.make_place(row_of, at);
        if self.lately.len() >= MAX_LATELY {
            self.lately.clear();
        }
        // It is kept, so that no other comes to stand at its address.
        self.lately.insert(address, (row_of.clone(), place));
        place
    }

    fn make_place(&mut self, row_of: &RowOf, at: Timestamp) -> (u32, bool) {
        let mut identity = &row_of.identity;
        let folded;
        let is_folded =
            self.rows.len() >= self.max_rows && !identity.dependents.is_empty() && !self.index.contains_key(identity);
        if is_folded {
            folded = Identity { dependents: vec![FOLDED.to_owned()], ..identity.clone() };
            identity = &folded;
        }
        let place = match self.index.get(identity) {
            Some(place) => *place,
            None => {
                let place = u32::try_from(self.rows.len()).expect("a table of rows is folded long before");
                self.rows.push((identity.clone(), Row::new(identity, at)));
                self.index.insert(identity.clone(), place);
                place
            }
        };
        self.rows[place as usize].1.manners.insert(row_of.manner.clone());
        (place, is_folded)
    }

    /// The rows, now that all is known.
    pub(crate) fn finish(self) -> Totals {
        let mut totals = self.totals;
        let aliased: HashSet<&String> = totals.aliases.values().flatten().collect();
        let mut all = self.rows;
        all.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        for (identity, mut row) in all {
            row.hours.sort_unstable();
            row.hours.dedup();
            let (is_selected, may_be) = match &identity.key {
                KeyName::Arn(arn) => (self.selection.wants_key(arn) || aliased.contains(arn), false),
                KeyName::Alias(alias) => (self.selection.wants_alias(alias), true),
                KeyName::Unknown => (false, true),
            };
            if is_selected {
                totals.rows.push(row);
            } else if may_be {
                totals.unattributed.push(row);
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

impl Row {
    fn new(identity: &Identity, at: Timestamp) -> Row {
        let key = match &identity.key {
            KeyName::Arn(name) | KeyName::Alias(name) => name.clone(),
            KeyName::Unknown => String::new(),
        };
        Row {
            key,
            principal: identity.principal.clone(),
            event_name: identity.event_name.clone(),
            error_code: identity.error_code.clone(),
            dependents: identity.dependents.clone(),
            count: 0,
            first: at,
            last: at,
            manners: BTreeSet::new(),
            hours: Vec::new(),
        }
    }

    fn count(&mut self, at: Timestamp) {
        self.count += 1;
        self.first = self.first.min(at);
        self.last = self.last.max(at);
        let hour = hour(at);
        if self.hours.last() != Some(&hour) {
            if self.hours.len() == self.hours.capacity() {
                self.hours.sort_unstable();
                self.hours.dedup();
            }
            self.hours.push(hour);
        }
    }

    fn count_alike(&mut self, first: Timestamp, alike: &Alike) {
        self.count += alike.count;
        self.first = self.first.min(first);
        self.last = self.last.max(alike.last);
        self.hours.extend([hour(first), hour(alike.last)]);
    }

    fn order(&self) -> (&str, &str, &str, Option<&str>, &[String]) {
        (&self.key, &self.principal, &self.event_name, self.error_code.as_deref(), &self.dependents)
    }
}

impl EventId {
    fn of(text: &str) -> EventId {
        uuid(text.as_bytes()).map_or_else(|| EventId::Text(text.into()), EventId::Uuid)
    }
}

impl From<String> for EventId {
    fn from(text: String) -> EventId {
        EventId::of(&text)
    }
}

impl From<EventId> for String {
    fn from(id: EventId) -> String {
        match id {
            EventId::Text(text) => text.into(),
            EventId::Uuid(number) => {
                let digits = format!("{number:032x}");
                [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
            }
        }
    }
}

/// The number that a UUID in its canonical form stands for. Only that form, so that two texts never become one number.
pub(crate) fn uuid(text: &[u8]) -> Option<u128> {
    let text: &[u8; 36] = text.try_into().ok()?;
    let mut number = 0_u128;
    // Wrong digits leave a trace here, which is looked at once at the end.
    let mut trace = 0;
    for (from, to) in [(0, 8), (9, 13), (14, 18), (19, 23), (24, 36)] {
        trace |= u8::from(from > 0 && text[from - 1] != b'-') << 4;
        let mut group = 0_u64;
        for byte in &text[from..to] {
            let digit = DIGITS[usize::from(*byte)];
            trace |= digit;
            group = group << 4 | u64::from(digit);
        }
        number = number << (4 * (to - from)) | u128::from(group);
    }
    (trace < 16).then_some(number)
}

/// What each byte stands for as a hexadecimal digit in lower case; 16 for none.
const DIGITS: [u8; 256] = {
    let mut digits = [16; 256];
    let mut digit = 0;
    while digit < 16 {
        digits[b"0123456789abcdef"[digit as usize] as usize] = digit;
        digit += 1;
    }
    digits
};

const HOUR_SECONDS: i64 = 3600;

fn hour(at: Timestamp) -> i32 {
    i32::try_from(at.as_second().div_euclid(HOUR_SECONDS)).expect("a Timestamp is within years -9999 to 9999")
}

fn hour_start(hour: i32) -> Timestamp {
    Timestamp::from_second(i64::from(hour) * HOUR_SECONDS).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
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
            let (mut batch, mut registry) = (Batch::default(), Registry::default());
            registry.begin();
            for event in *events {
                batch.observe(&Event::parse(event.to_string().as_bytes()).unwrap(), &mut registry, selection);
            }
            tally.add(batch);
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

    #[test]
    fn only_canonical_uuids_become_numbers() {
        assert_eq!(uuid(b"00000000-0000-0000-0000-0000000000ff"), Some(255));
        for text in [
            "",
            "00000000-0000-0000-0000-0000000000FF",
            "000000000000-0000-0000-00000000000ff",
            "{0000000-0000-0000-0000-0000000000ff",
        ] {
            assert_eq!(uuid(text.as_bytes()), None, "{text}");
        }
    }
}
