//! What the events of one file say: who did what to which key, in numbers of a [`Registry`], and for each event its ID and time.
//!
//! *Why numbers*: events repeat what others said, in one file and in the next. What is said is spelt out once, by whichever thread meets it first;
//! from then on it is a number to all of them, up to the rows of [`crate::tally`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;
use indexmap::IndexSet;
use jiff::Timestamp;
use serde::de::{Deserializer, Error as _};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::selection::Selection;
use crate::tally::{Manner, hour};
use crate::usage::{Class, KeyName, KeyUse, Usage};

/// What the events of one file say.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// What the numbers stand for.
    pub(crate) registry: Arc<Registry>,
    pub(crate) events: Vec<Kept>,
    pub(crate) aliases: Aliases,
    /// Events of any key in each hour, counted from 1970, by place.
    pub(crate) places: Vec<(u32, BTreeMap<i32, u64>)>,
    /// Events of KMS, of any key and time.
    pub(crate) kms_records: u64,
}

/// Keys that were seen with an alias that was selected, by the alias's ARN.
pub(crate) type Aliases = BTreeMap<String, BTreeSet<String>>;

/// An event that was kept.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) id: Option<EventId>,
    pub(crate) at: Timestamp,
    pub(crate) statement: u32,
}

/// AWS's event IDs are UUIDs, which take 16 bytes; others are kept as they are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub(crate) enum EventId {
    /// Its number, little-endian.
    Uuid([u8; 16]),
    Text(Box<str>),
}

/// What an event says about keys that are kept, but for its time and ID.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Statement {
    /// One for each of the event's keys; nearly always one.
    pub(crate) rows: Vec<RowOf>,
    /// An alias that was selected, and the key that it was seen with.
    aliases: Vec<(String, String)>,
}

/// What makes two events fall into the same row, and the manner.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct RowOf {
    pub(crate) identity: Arc<Identity>,
    pub(crate) manner: Manner,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Identity {
    pub(crate) key: KeyName,
    pub(crate) principal: String,
    pub(crate) event_name: String,
    pub(crate) error_code: Option<String>,
    pub(crate) dependents: Vec<String>,
}

/// Account, Region, and whether the events change nothing.
pub(crate) type Place = (String, String, bool);

/// What an event says, in numbers of a [`Registry`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Noted {
    statement: u32,
    place: u32,
    /// Whether any of its keys is kept.
    is_kept: bool,
    has_aliases: bool,
}

/// Statements and places by number. Many threads may share one.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    statements: Numbers<Statement>,
    places: Numbers<Place>,
}

/// With more statements or places than this, it is time for another registry.
const MAX_REGISTERED: usize = 1 << 14;

impl Registry {
    /// Whether it holds so much that it should be replaced, together with all that was noted in its numbers.
    pub(crate) fn is_full(&self) -> bool {
        self.statements.count().max(self.places.count()) > MAX_REGISTERED
    }

    /// What a number stands for.
    pub(crate) fn statement(&self, number: u32) -> Arc<Statement> {
        self.statements.value(number)
    }

    /// The place that a number stands for.
    pub(crate) fn place(&self, number: u32) -> Arc<Place> {
        self.places.value(number)
    }

    /// What `event`, an event of KMS, says.
    fn noted(&self, event: &Event<'_>, selection: &Selection) -> Noted {
        let mut usage = Usage::of(event);
        let keys = std::mem::take(&mut usage.keys);
        let account = event.recipient_account_id.as_deref().or(event.user_identity.account_id.as_deref());
        let place = (
            account.unwrap_or_default().to_owned(),
            event.aws_region.as_deref().unwrap_or_default().to_owned(),
            event.read_only.unwrap_or_default(),
        );
        let aliases = keys.iter().filter_map(|part| noted_alias(selection, part)).collect();
        let kept = keys.into_iter().filter(|part| keeps(selection, part));
        let statement = Statement { rows: kept.map(|part| RowOf::of(&usage, part)).collect(), aliases };
        Noted {
            is_kept: !statement.rows.is_empty(),
            has_aliases: !statement.aliases.is_empty(),
            statement: self.statements.number(statement),
            place: self.places.number(place),
        }
    }
}

/// A number for each value, from 0: its place in the set.
#[derive(Debug)]
struct Numbers<T>(Mutex<IndexSet<Arc<T>, RandomState>>);

impl<T> Default for Numbers<T> {
    fn default() -> Numbers<T> {
        Numbers(Mutex::default())
    }
}

impl<T> Numbers<T> {
    fn known(&self) -> MutexGuard<'_, IndexSet<Arc<T>, RandomState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self) -> usize {
        self.known().len()
    }

    fn value(&self, number: u32) -> Arc<T> {
        Arc::clone(&self.known()[number as usize])
    }
}

impl<T: Eq + std::hash::Hash> Numbers<T> {
    fn number(&self, value: T) -> u32 {
        let (number, _) = self.known().insert_full(Arc::new(value));
        u32::try_from(number).expect("a file of at most 1 GiB has fewer events than 2^32")
    }
}

/// Fills one batch after another.
#[derive(Debug, Default)]
pub(crate) struct Filler {
    batch: Batch,
}

impl Filler {
    /// Begins a batch that speaks in the numbers of `registry`. One that was begun before is dropped.
    pub(crate) fn begin(&mut self, registry: &Arc<Registry>) {
        let mut events = std::mem::take(&mut self.batch.events);
        events.clear();
        self.batch = Batch { registry: Arc::clone(registry), events, ..Batch::default() };
    }

    /// Takes one event of KMS. Returns what it says.
    pub(crate) fn observe(&mut self, event: &Event<'_>, selection: &Selection) -> Noted {
        let noted = self.batch.registry.noted(event, selection);
        self.note(noted, event.event_time, event.event_id.as_deref().map(EventId::of), selection);
        noted
    }

    /// Takes an event of KMS of which it is known what it says.
    pub(crate) fn note(&mut self, noted: Noted, at: Timestamp, id: Option<EventId>, selection: &Selection) {
        let batch = &mut self.batch;
        batch.kms_records += 1;
        if !selection.holds(at) {
            return;
        }
        // A file is of one place, or a few.
        let place = batch.places.iter().position(|(place, _)| *place == noted.place).unwrap_or_else(|| {
            batch.places.push((noted.place, BTreeMap::new()));
            batch.places.len() - 1
        });
        *batch.places[place].1.entry(hour(at)).or_default() += 1;
        if noted.has_aliases {
            for (alias, key) in &batch.registry.statement(noted.statement).aliases {
                batch.aliases.entry(alias.clone()).or_default().insert(key.clone());
            }
        }
        if noted.is_kept {
            batch.events.push(Kept { id, at, statement: noted.statement });
        }
    }

    /// The batch that was begun. The next file will have about as many events.
    pub(crate) fn finish(&mut self) -> Batch {
        let next = Batch { events: Vec::with_capacity(self.batch.events.len()), ..Batch::default() };
        std::mem::replace(&mut self.batch, next)
    }
}

impl RowOf {
    /// The row of one of an event's keys.
    pub(crate) fn of(usage: &Usage<'_>, part: KeyUse) -> RowOf {
        RowOf {
            identity: Arc::new(Identity {
                key: part.key,
                principal: usage.caller.principal.to_string(),
                event_name: usage.event_name.to_owned(),
                error_code: usage.error_code.map(str::to_owned),
                dependents: part.dependents,
            }),
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
pub(crate) fn noted_alias(selection: &Selection, part: &KeyUse) -> Option<(String, String)> {
    let KeyName::Arn(key) = &part.key else { return None };
    let alias = part.alias.as_ref().filter(|alias| !selection.is_every_key() && selection.wants_alias(alias))?;
    Some((alias.clone(), key.clone()))
}

/// What can be dropped without knowing the other events: parts of keys that are surely not selected.
pub(crate) fn keeps(selection: &Selection, part: &KeyUse) -> bool {
    match &part.key {
        KeyName::Arn(_) => selection.names_aliases() || selection.wants(part),
        KeyName::Alias(_) => selection.wants(part) || part.class.is_use() || part.class == Class::Export,
        KeyName::Unknown => true,
    }
}

/// A batch as it is written down: numbers from 0 in the order in which its events use them, and what they stand for.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spelt {
    statements: Vec<Arc<Statement>>,
    events: Vec<(Option<EventId>, Timestamp, u32)>,
    aliases: Aliases,
    places: Vec<(Arc<Place>, BTreeMap<i32, u64>)>,
    kms_records: u64,
}

impl Serialize for Batch {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let mut statements = Vec::new();
        let mut numbers = HashMap::new();
        let mut number = |statement: u32| {
            *numbers.entry(statement).or_insert_with(|| {
                statements.push(self.registry.statement(statement));
                statements.len() as u32 - 1
            })
        };
        let events = self.events.iter().map(|event| (event.id.clone(), event.at, number(event.statement))).collect();
        let places = self.places.iter().map(|(place, hours)| (self.registry.place(*place), hours.clone())).collect();
        let (aliases, kms_records) = (self.aliases.clone(), self.kms_records);
        Spelt { statements, events, aliases, places, kms_records }.serialize(out)
    }
}

impl<'de> Deserialize<'de> for Batch {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Batch, D::Error> {
        let Spelt { statements, events, aliases, places, kms_records } = Spelt::deserialize(from)?;
        let registry = Registry::default();
        let numbers: Vec<u32> = statements
            .into_iter()
            .map(|statement| registry.statements.number(Arc::unwrap_or_clone(statement)))
            .collect();
        let places = places
            .into_iter()
            .map(|(place, hours)| (registry.places.number(Arc::unwrap_or_clone(place)), hours))
            .collect();
        let event = |(id, at, number): (Option<EventId>, Timestamp, u32)| {
            let statement = *numbers.get(number as usize)?;
            Some(Kept { id, at, statement })
        };
        let events: Option<Vec<Kept>> = events.into_iter().map(event).collect();
        let events = events.ok_or_else(|| D::Error::custom("an event says something that is not there"))?;
        Ok(Batch { registry: Arc::new(registry), events, aliases, places, kms_records })
    }
}

impl EventId {
    fn of(text: &str) -> EventId {
        uuid(text.as_bytes()).map_or_else(|| EventId::Text(text.into()), |id| EventId::Uuid(id.to_le_bytes()))
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
                let digits = format!("{:032x}", u128::from_le_bytes(number));
                [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
            }
        }
    }
}

/// The number that a UUID in its canonical form stands for. Only that form, so that two texts never become one number.
pub(crate) fn uuid(text: &[u8]) -> Option<u128> {
    let text: &[u8; 36] = text.try_into().ok()?;
    if [text[8], text[13], text[18], text[23]] != *b"----" {
        return None;
    }
    let four = |at: usize| u64::from(u32::from_be_bytes(*text[at..].first_chunk().expect("four bytes are left")));
    let (mut number, mut is_right) = (0, true);
    for (one, other) in [(0, 4), (9, 14), (19, 24), (28, 32)] {
        let (part, is_digits) = eight_digits(four(one) << 32 | four(other));
        number = number << 32 | u128::from(part);
        // Whether all are digits is looked at once.
        is_right &= is_digits;
    }
    is_right.then_some(number)
}

/// The number that eight hexadecimal digits in lower case stand for, the first of them in the highest byte, and whether that is what they are:
/// all eight at a time.
#[inline]
fn eight_digits(digits: u64) -> (u32, bool) {
    const EACH: u64 = 0x0101_0101_0101_0101;
    // `0` to `9` are 0x30 to 0x39, `a` to `f` are 0x61 to 0x66.
    let is_letter = (digits >> 6) & EACH;
    let value = (digits & (0x0f * EACH)) + 9 * is_letter;
    let is_ten_or_more = ((value + 6 * EACH) >> 4) & EACH;
    let is_wrong = (digits & (0xf0 * EACH) ^ (0x30 * EACH + 0x30 * is_letter))
        | value & (0xf0 * EACH)
        | (is_ten_or_more ^ is_letter);
    let pairs = (value | value >> 4) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    ((fours | fours >> 16) as u32, is_wrong == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let right = b"01234567-89ab-cdef-0123-456789abcdef";
        assert_eq!(uuid(right), Some(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef));
        for at in 0..right.len() {
            for byte in 0..=255 {
                let mut text = *right;
                text[at] = byte;
                let is_right = if right[at] == b'-' { byte == b'-' } else { matches!(byte, b'0'..=b'9' | b'a'..=b'f') };
                let number = is_right.then(|| {
                    let digits = String::from_utf8(text.to_vec()).unwrap().replace('-', "");
                    u128::from_str_radix(&digits, 16).unwrap()
                });
                assert_eq!(uuid(&text), number, "{byte} at {at}");
            }
        }
    }
}
