//! What was learned from events that were parsed, so that events that say the same need not be. Shared by all threads of a scan.
//!
//! An event is cut into pieces by [`crate::shortcut`]. Between them, events of KMS differ in times and IDs, and repeat nearly everything else. So
//! what a *head* (who), a *middle* (what), and both together with a *tail* (on which key) say is remembered by its [`crate::fingerprint`].
//! An event whose pieces are all known in this combination says what the earlier one said, at another time.
//!
//! *Why remembering is sound*: a head or a middle is remembered only if it is by itself a sequence of whole, well-formed members
//! with names that no other piece has ([`members`]), so it is well-formed wherever it stands. A tail, and the names before the
//! middle, are remembered only from a whole record that was parsed; what they are behind such a head and middle, they are behind
//! every other that says the same. What lies between the pieces (time, source, address, two IDs) is compared to the letter, or has
//! a form that is checked. All this is a property of the text, so it holds as well if the file that it is from proves to be damaged.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::batch::{Noted, Registry};
use crate::event::{Event, UserIdentity};
use crate::fingerprint::{Fingerprint, Key, Table};
use crate::selection::Selection;
use crate::shortcut::Pieces;
use crate::usage::principal;

/// How many of each are remembered, as powers of two.
const HEAD_BITS: u32 = 15;
const MIDDLE_BITS: u32 = 15;
const REST_BITS: u32 = 12;
const KNOWN_BITS: u32 = 15;

/// What was learned, for one selection.
pub(crate) struct Memory {
    selection: Selection,
    registry: Arc<Registry>,
    key: &'static Key,
    /// The number of what each says about the caller or the request.
    heads: Table<u32>,
    middles: Table<u32>,
    /// The number of each call, host and tail, to the letter, if the tail shares no member's name with the pieces before it.
    rests: Table<u32>,
    /// What pieces say, spelt out, by number. Many a piece says the same: sessions of one role, programs of one service.
    meanings: Table<u32>,
    /// Numbers that were given.
    given: AtomicU32,
    /// What an event says, by its three numbers.
    known: Table<Noted>,
}

impl Memory {
    /// Nothing yet.
    pub(crate) fn new(selection: &Selection) -> Memory {
        Memory {
            selection: selection.clone(),
            registry: Arc::default(),
            key: Key::own(),
            heads: Table::new(HEAD_BITS),
            middles: Table::new(MIDDLE_BITS),
            rests: Table::new(REST_BITS),
            meanings: Table::new(MIDDLE_BITS),
            given: AtomicU32::new(0),
            known: Table::new(KNOWN_BITS),
        }
    }

    pub(crate) fn selection(&self) -> &Selection {
        &self.selection
    }

    pub(crate) fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Whether it is time to forget: what is new cannot be remembered any more.
    pub(crate) fn is_full(&self) -> bool {
        self.registry.is_full()
            || self.known.is_full()
            || [&self.heads, &self.middles, &self.rests, &self.meanings].into_iter().any(Table::is_full)
    }

    /// The combination of these pieces, if all three are known. What [`Memory::known`] will look at is fetched.
    pub(crate) fn met(&self, pieces: &Pieces<'_>) -> Option<Fingerprint> {
        // One thing at a time: then the processor looks for all three at once.
        let fingerprints = self.fingerprints(pieces)?;
        let [head, middle, rest] = &fingerprints;
        let rest = self.rests.get(rest);
        let combination = self.combination(self.says(pieces, head, middle)?, *rest?);
        self.known.fetch(&combination);
        Some(combination)
    }

    /// What an event of this combination says, if that was learned.
    pub(crate) fn known(&self, combination: &Fingerprint) -> Option<Noted> {
        self.known.get(combination).copied()
    }

    /// Remembers what an event of these pieces was found to say.
    pub(crate) fn learn(&self, pieces: &Pieces<'_>, noted: Noted) -> Option<()> {
        let [head, middle, rest] = self.fingerprints(pieces)?;
        let says = self.says(pieces, &head, &middle)?;
        let rest = match self.rests.get(&rest) {
            Some(number) => *number,
            None if is_apart(pieces.tail) => *self.rests.add(rest, self.next_number())?,
            None => return None,
        };
        self.known.add(self.combination(says, rest), noted);
        Some(())
    }

    fn fingerprints(&self, pieces: &Pieces<'_>) -> Option<[Fingerprint; 3]> {
        let Pieces { head, middle, call, host, tail, .. } = pieces;
        let head = self.key.of(0, [head])?;
        self.heads.fetch(&head);
        let middle = self.key.of(0, [middle])?;
        self.middles.fetch(&middle);
        Some([head, middle, self.key.of(0, [call, host, tail])?])
    }

    /// The numbers of what head and middle say. Nothing where one is none to remember; else both are whole.
    fn says(&self, pieces: &Pieces<'_>, head: &Fingerprint, middle: &Fingerprint) -> Option<(u32, u32)> {
        let (known_head, known_middle) = (self.heads.get(head), self.middles.get(middle));
        let head = match known_head {
            Some(number) => *number,
            None => self.number(&self.heads, *head, head_meaning(self.key, pieces.head)?)?,
        };
        let middle = match known_middle {
            Some(number) => *number,
            None => self.number(&self.middles, *middle, middle_meaning(self.key, pieces.middle)?)?,
        };
        Some((head, middle))
    }

    /// Remembers what a piece says. Returns its number.
    fn number(&self, table: &Table<u32>, piece: Fingerprint, meaning: Fingerprint) -> Option<u32> {
        let number = match self.meanings.get(&meaning) {
            Some(number) => *number,
            None => *self.meanings.add(meaning, self.next_number())?,
        };
        table.add(piece, number);
        Some(number)
    }

    fn next_number(&self) -> u32 {
        self.given.fetch_add(1, Ordering::Relaxed)
    }

    /// What tells three numbers from any other three.
    fn combination(&self, (head, middle): (u32, u32), rest: u32) -> Fingerprint {
        self.key.of_numbers([u64::from(head) << 32 | u64::from(middle), rest.into()])
    }

    /// How many heads, middles and combinations are known.
    #[cfg(test)]
    pub(crate) fn sizes(&self) -> [usize; 3] {
        [self.heads.count(), self.middles.count(), self.known.count()]
    }
}

/// The members that head and middle may have.
const HEAD_MEMBERS: [&str; 2] = ["eventVersion", "userIdentity"];
const MIDDLE_MEMBERS: [&str; 6] =
    ["userAgent", "errorCode", "errorMessage", "requestParameters", "responseElements", "additionalEventData"];

/// What a head says about the caller, if it is well-formed.
fn head_meaning(key: &Key, head: &[u8]) -> Option<Fingerprint> {
    let whole = [head, LEAST].concat();
    let Head { user_identity: identity, .. } = read(&whole)?;
    let identity = identity.unwrap_or_default();
    let (invoked_by, account) = (identity.invoked_by.as_deref(), identity.account_id.as_deref());
    let texts = [&principal(&identity), invoked_by.unwrap_or_default(), account.unwrap_or_default()];
    let is_said = u64::from(invoked_by.is_some()) << 1 | u64::from(account.is_some());
    key.of(HEAD | is_said, texts.map(str::as_bytes))
}

/// A head with [`LEAST`] behind it, and no other member.
///
/// If it is read as this, what stands before [`LEAST`] is a sequence of whole members and a comma: anything left open would have been
/// closed in [`LEAST`], which closes nothing but the object.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "that they are there, once each, is what counts")]
struct Head<'a> {
    event_version: IgnoredAny,
    #[serde(borrow)]
    user_identity: Option<UserIdentity<'a>>,
    event_time: IgnoredAny,
    event_source: IgnoredAny,
    event_name: IgnoredAny,
}

/// What a middle says about the request, if it is well-formed.
fn middle_meaning(key: &Key, middle: &[u8]) -> Option<Fingerprint> {
    let whole = [b"{", middle, LEAST].concat();
    let members = members(&whole, &MIDDLE_MEMBERS)?;
    Event::parse(&whole).ok()?;
    let mut meaning = Vec::with_capacity(middle.len());
    for (name, value) in members {
        // What an event says about keys depends on nothing else. A value ends where it ends, so no two requests are spelt alike.
        if !matches!(name, "userAgent" | "additionalEventData") {
            meaning.push(b'\n');
            meaning.extend_from_slice(name.as_bytes());
            meaning.extend_from_slice(value.get().as_bytes());
        }
    }
    key.of(MIDDLE, [&meaning])
}

/// So that no head says what a middle says.
const HEAD: u64 = 1 << 8;
const MIDDLE: u64 = 2 << 8;

/// The least that must follow a head or a middle to make an event of it.
const LEAST: &[u8] = br#""eventTime":"2026-01-01T00:00:00Z","eventSource":"kms.amazonaws.com","eventName":""}"#;
const LEAST_MEMBERS: usize = 3;

/// The members of `whole`, one JSON object, if they are of these names, but for the last ones, which are [`LEAST`]'s. If they are, the ones
/// before are whole, as in [`Head`].
fn members<'w>(whole: &'w [u8], names: &[&str]) -> Option<Vec<(&'w str, &'w RawValue)>> {
    let Members(mut found) = read(whole)?;
    let least = found.split_off(found.len().checked_sub(LEAST_MEMBERS)?);
    let is_right = least.iter().map(|(name, _)| *name).eq(["eventTime", "eventSource", "eventName"])
        && found.iter().all(|(name, _)| names.contains(name));
    is_right.then_some(found)
}

/// Whether no member of a tail may stand in a head or middle too: a member that is there twice makes a record malformed.
fn is_apart(tail: &[u8]) -> bool {
    let others = [&HEAD_MEMBERS[..], &MIDDLE_MEMBERS].concat();
    let whole = [b"{", tail].concat();
    read(&whole).is_some_and(|Members(members)| !members.iter().any(|(name, _)| others.contains(name)))
}

/// Reads JSON. Text that is checked as a whole need not be checked piece by piece.
fn read<'w, T: Deserialize<'w>>(whole: &'w [u8]) -> Option<T> {
    serde_json::from_str(std::str::from_utf8(whole).ok()?).ok()
}

/// The members of an object, as they are spelt; names with escapes are refused.
struct Members<'a>(Vec<(&'a str, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members<'a>, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Vec::with_capacity(16);
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}
