//! The short way through a file that AWS itself wrote: without cutting it into records, and without parsing what was parsed before.
//!
//! The long way, [`crate::split`] and then [`Event::parse_kms`], is what defines the answer. This one gives the same answer
//! for files in AWS's own layout, and gives up on all others; then the long way is gone. It rests on three observations:
//!
//! - *Which records matter.* An event of KMS holds the text `kms.amazonaws.com`, or spells a letter of it as an escape: `\u006…`,
//!   `\u007…` or `\u002e`. A file with such an escape is given up. All other records are never looked at, only counted.
//! - *Where they begin.* AWS writes compact JSON and begins every record with `eventVersion`. If each `"eventVersion":"` of a file
//!   stands behind `},{`, these are the places where records begin. If a record of KMS is cut wrongly by that, it is no whole JSON
//!   object, and the file is given up: so none is missed. (*Caveat*: a record of another service without an `eventVersion` is not
//!   counted as one; and a list of objects within another service's record, of which the second is to the letter an event of KMS
//!   and the third begins like one, would be counted as an event. Both err to the side of use.)
//! - *What they say.* Between them, events of KMS differ in times and IDs, and repeat nearly everything else. So an event is cut
//!   into a *head* (who), a *middle* (what) and a *tail* (on which key), and what each of them says is remembered by its bytes.
//!   An event whose pieces are all known in this combination says what the earlier one said, at another time.
//!
//! *Why remembering is sound*: a head or a middle is remembered only if it is by itself a sequence of whole, well-formed members
//! with names that no other piece has ([`members`]), so it is well-formed wherever it stands. A tail, and the names before the
//! middle, are remembered only from a whole record that was parsed; what they are behind such a head and middle, they are behind
//! every other that says the same. What lies between the pieces (time, source, address, two IDs) is compared to the letter, or has
//! a form that is checked.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use memchr::memchr;
use memchr::memmem::Finder;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::event::Event;
use crate::hash::ByWords;
use crate::selection::Selection;
use crate::tally::{Batch, EventId, Noted, Registry, uuid};
use crate::usage::Caller;

const HEAD: &[u8] = br#""eventVersion":""#;
const KMS: &[u8] = b"kms.amazonaws.com";
const ESCAPE: &[u8] = br"\u00";

/// So much of a file is searched for one needle after the other while it is in the nearest cache.
const BLOCK_BYTES: usize = 16 * 1024;

/// Bytes of pieces that are remembered; then all is forgotten.
const MAX_MEMORY_BYTES: usize = 8 << 20;

/// What a table needs for an entry beside its bytes, roughly.
const ENTRY_BYTES: usize = 64;

/// What is kept from file to file.
pub(crate) struct Shortcut {
    head: Finder<'static>,
    kms: Finder<'static>,
    escape: Finder<'static>,
    cuts: Cuts,
    memory: Memory,
    /// What `memory` was made for.
    selection: Selection,
}

impl Default for Shortcut {
    fn default() -> Shortcut {
        Shortcut {
            head: Finder::new(HEAD),
            kms: Finder::new(KMS),
            escape: Finder::new(ESCAPE),
            cuts: Cuts { time: Finder::new(TIME), request: Finder::new(REQUEST) },
            memory: Memory::default(),
            selection: Selection::default(),
        }
    }
}

impl Shortcut {
    /// Reads a file that came through whole (its checksum is right). Returns the batch and the number of records; nothing where the
    /// file is not in AWS's layout.
    pub(crate) fn read(&mut self, json: &[u8], registry: &mut Registry, selection: &Selection) -> Option<(Batch, u64)> {
        let body = json.trim_ascii_end().strip_prefix(br#"{"Records":["#)?.strip_suffix(b"]}")?;
        if !body.starts_with(br#"{"eventVersion":""#) || !body.ends_with(b"}") {
            return None;
        }
        if self.selection != *selection {
            self.forget();
            self.selection = selection.clone();
        }
        let mut batch = Batch::default();
        registry.begin();
        let mut records = 0;
        // The record at hand: where it begins, and whether it mentions KMS.
        let (mut from, mut mentions) = (0, false);
        let mut at = 0;
        while at < body.len() {
            let end = (at + BLOCK_BYTES).min(body.len());
            // A needle that begins in the block may end behind it.
            let block = |needle: &[u8]| &body[at..(end + needle.len() - 1).min(body.len())];
            if self.may_spell_kms(block(ESCAPE), &body[at..]) {
                return None;
            }
            let mut mentioned = self.kms.find_iter(block(KMS)).map(|ahead| at + ahead).peekable();
            for ahead in self.head.find_iter(block(HEAD)) {
                let start = at + ahead - 1;
                if start > 0 {
                    let [.., b'}', b',', b'{'] = body[..=start] else { return None };
                    while mentioned.next_if(|mention| *mention < start).is_some() {
                        mentions = true;
                    }
                    if std::mem::take(&mut mentions) {
                        self.memory.record(&body[from..start - 1], &self.cuts, registry, &mut batch, selection)?;
                    }
                }
                from = start;
                records += 1;
            }
            mentions |= mentioned.next().is_some();
            at = end;
        }
        if mentions {
            self.memory.record(&body[from..], &self.cuts, registry, &mut batch, selection)?;
        }
        Some((batch, records))
    }

    /// Whether an escape that begins in `block`, where `body` begins too, spells a letter of `kms.amazonaws.com`.
    fn may_spell_kms(&self, block: &[u8], body: &[u8]) -> bool {
        // Most blocks hold no escape at all, which is told soonest.
        let first = memchr(b'\\', block).unwrap_or(block.len());
        let escapes = self.escape.find_iter(&block[first..]);
        escapes.map(|ahead| &body[first + ahead + ESCAPE.len()..]).any(may_spell_kms)
    }

    /// Forgets all numbers of the registry.
    pub(crate) fn forget(&mut self) {
        self.memory = Memory::default();
    }
}

/// Whether what stands behind `\u00` spells a letter of `kms.amazonaws.com`.
fn may_spell_kms(digits: &[u8]) -> bool {
    matches!(digits, [b'6' | b'7', ..] | [b'2', b'e' | b'E', ..])
}

const TIME: &[u8] = br#""eventTime":""#;
const SOURCE: &[u8] = br#"","eventSource":"kms.amazonaws.com","eventName":""#;
const REGION: &[u8] = br#"","awsRegion":""#;
const ADDRESS: &[u8] = br#"","sourceIPAddress":""#;
const REQUEST: &[u8] = br#""requestID":""#;
const EVENT: &[u8] = br#"","eventID":""#;

const TIME_BYTES: usize = 20;
const UUID_BYTES: usize = 36;

/// The members that head and middle may have.
const HEAD_MEMBERS: [&str; 2] = ["eventVersion", "userIdentity"];
const MIDDLE_MEMBERS: [&str; 6] =
    ["userAgent", "errorCode", "errorMessage", "requestParameters", "responseElements", "additionalEventData"];
/// An event of KMS in pieces.
struct Pieces<'a> {
    /// `{"eventVersion":…,"userIdentity":…,`
    head: &'a [u8],
    time: &'a [u8; TIME_BYTES],
    /// The operation, and the Region with what stands between them.
    call: &'a [u8],
    /// Where the call came from, if that is no IP address; else nothing.
    host: &'a [u8],
    /// `"userAgent":…,`
    middle: &'a [u8],
    /// The event's ID.
    id: u128,
    /// `"readOnly":…}`
    tail: &'a [u8],
}

struct Cuts {
    time: Finder<'static>,
    request: Finder<'static>,
}

impl Cuts {
    fn cut<'a>(&self, record: &'a [u8]) -> Option<Pieces<'a>> {
        let (head, rest) = record.split_at(self.time.find(record)?);
        let (time, rest) = rest[TIME.len()..].split_first_chunk()?;
        let rest = rest.strip_prefix(SOURCE)?;
        let name = memchr(b'"', rest)?;
        let region = name + REGION.len() + memchr(b'"', rest[name..].strip_prefix(REGION)?)?;
        let (call, rest) = rest.split_at(region);
        let rest = rest.strip_prefix(ADDRESS)?;
        let (address, rest) = rest.split_at(memchr(b'"', rest)?);
        let is_numeric = address.iter().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':'));
        let rest = rest.strip_prefix(b"\",")?;
        let (middle, rest) = rest.split_at(self.request.find(rest)?);
        let (request, rest) = rest[REQUEST.len()..].split_first_chunk::<UUID_BYTES>()?;
        let (id, rest) = rest.strip_prefix(EVENT)?.split_first_chunk::<UUID_BYTES>()?;
        let tail = rest.strip_prefix(b"\",")?;
        // What the caller was told says nothing more, but it must be text.
        uuid(request)?;
        Some(Pieces { head, time, call, host: if is_numeric { &[] } else { address }, middle, id: uuid(id)?, tail })
    }
}

/// What was learned from events that were parsed.
#[derive(Default)]
struct Memory {
    /// Pieces, and the number of what each says about the caller or the request.
    heads: HashMap<Box<[u8]>, u32, ByWords>,
    middles: HashMap<Box<[u8]>, u32, ByWords>,
    /// What pieces say, spelt out, by number. Many a piece says the same: sessions of one role, programs of one service.
    meanings: HashMap<Box<[u8]>, u32, ByWords>,
    /// Few, for each key: one copy of each stays in the nearest cache.
    tails: HashSet<Arc<[u8]>, ByWords>,
    /// By the numbers of head and middle.
    known: HashMap<(u32, u32), Vec<Known>, ByWords>,
    bytes: usize,
    days: Days,
}

/// What an event with these pieces says, whenever it was.
struct Known {
    call: Box<[u8]>,
    host: Box<[u8]>,
    tail: Arc<[u8]>,
    noted: Noted,
}

impl Known {
    fn is_of(&self, pieces: &Pieces<'_>) -> bool {
        *self.call == *pieces.call && *self.host == *pieces.host && *self.tail == *pieces.tail
    }
}

impl Memory {
    /// Takes a record that mentions KMS. `None` where it is no whole JSON object, or may be an event of KMS and cannot be read.
    fn record(
        &mut self,
        record: &[u8],
        cuts: &Cuts,
        registry: &mut Registry,
        batch: &mut Batch,
        selection: &Selection,
    ) -> Option<()> {
        let pieces = cuts.cut(record).and_then(|pieces| Some((self.days.instant(pieces.time)?, pieces)));
        let read = pieces.and_then(|(at, pieces)| Some((at, self.says(&pieces)?, pieces)));
        let Some((at, says, pieces)) = read else {
            // What is of another service was parsed as one whole object as well, else it would be an error.
            if let Some(event) = Event::parse_kms(record).ok()? {
                batch.observe(&event, registry, selection);
            }
            return Some(());
        };
        let known = self.known.entry(says).or_default();
        if let Some(known) = known.iter().find(|known| known.is_of(&pieces)) {
            batch.note(&known.noted, at, Some(EventId::Uuid(pieces.id)), registry, selection);
            return Some(());
        }
        let event = Event::parse_kms(record).ok()??;
        let noted = batch.observe(&event, registry, selection);
        let tail = match self.tails.get(pieces.tail) {
            Some(tail) => tail.clone(),
            None if is_apart(pieces.tail) => {
                let tail: Arc<[u8]> = pieces.tail.into();
                self.bytes += ENTRY_BYTES + tail.len();
                self.tails.insert(tail.clone());
                tail
            }
            None => return Some(()),
        };
        known.push(Known { call: pieces.call.into(), host: pieces.host.into(), tail, noted });
        self.bytes += ENTRY_BYTES + size_of::<Known>();
        Some(())
    }

    /// The numbers of what head and middle say. `None` where they are none to remember: such records are parsed each time.
    fn says(&mut self, pieces: &Pieces<'_>) -> Option<(u32, u32)> {
        if self.bytes > MAX_MEMORY_BYTES {
            *self = Memory::default();
        }
        let head = match self.heads.get(pieces.head) {
            Some(head) => *head,
            None => {
                let number = self.meaning(head_meaning(pieces.head)?);
                self.keep(pieces.head.len());
                self.heads.insert(pieces.head.into(), number);
                number
            }
        };
        let middle = match self.middles.get(pieces.middle) {
            Some(middle) => *middle,
            None => {
                let number = self.meaning(middle_meaning(pieces.middle)?);
                self.keep(pieces.middle.len());
                self.middles.insert(pieces.middle.into(), number);
                number
            }
        };
        Some((head, middle))
    }

    fn meaning(&mut self, meaning: Vec<u8>) -> u32 {
        let next = u32::try_from(self.meanings.len()).expect("fewer than their bytes, which are bounded");
        self.keep(meaning.len());
        *self.meanings.entry(meaning.into()).or_insert(next)
    }

    fn keep(&mut self, bytes: usize) {
        self.bytes += ENTRY_BYTES + bytes;
    }
}

/// What a head says about the caller, if it is well-formed.
fn head_meaning(head: &[u8]) -> Option<Vec<u8>> {
    let whole = [head, LEAST].concat();
    members(&whole, &HEAD_MEMBERS)?;
    let event = Event::parse(&whole).ok()?;
    let identity = &event.user_identity;
    let (invoked_by, account) = (identity.invoked_by.as_deref(), identity.account_id.as_deref());
    serde_json::to_vec(&("head", Caller::of(&event).principal, invoked_by, account)).ok()
}

/// What a middle says about the request, if it is well-formed.
fn middle_meaning(middle: &[u8]) -> Option<Vec<u8>> {
    let whole = [b"{", middle, LEAST].concat();
    let members = members(&whole, &MIDDLE_MEMBERS)?;
    Event::parse(&whole).ok()?;
    let mut meaning = b"middle".to_vec();
    for (name, value) in members {
        // What an event says about keys depends on nothing else. A value ends where it ends, so no two requests are spelt alike.
        if !matches!(name, "userAgent" | "additionalEventData") {
            meaning.push(b'\n');
            meaning.extend([name, value.get()].concat().bytes());
        }
    }
    Some(meaning)
}

/// The least that must follow a head or a middle to make an event of it.
const LEAST: &[u8] = br#""eventTime":"2026-01-01T00:00:00Z","eventSource":"kms.amazonaws.com","eventName":""}"#;
const LEAST_MEMBERS: usize = 3;

/// The members of `whole`, one JSON object, if they are of these names, but for the last ones, which are [`LEAST`]'s.
///
/// If they are, what stands before [`LEAST`] is a sequence of whole members and a comma: anything left open would have been closed
/// in it, and it closes nothing but the object.
fn members<'w>(whole: &'w [u8], names: &[&str]) -> Option<Vec<(&'w str, &'w RawValue)>> {
    let Members(mut found) = serde_json::from_slice(whole).ok()?;
    let least = found.split_off(found.len().checked_sub(LEAST_MEMBERS)?);
    let is_right = least.iter().map(|(name, _)| *name).eq(["eventTime", "eventSource", "eventName"])
        && found.iter().all(|(name, _)| names.contains(name));
    is_right.then_some(found)
}

/// Whether no member of a tail may stand in a head or middle too: a member that is there twice makes a record malformed.
fn is_apart(tail: &[u8]) -> bool {
    let others = [&HEAD_MEMBERS[..], &MIDDLE_MEMBERS].concat();
    let whole = [b"{", tail].concat();
    let members = serde_json::from_slice(&whole);
    members.is_ok_and(|Members(members)| !members.iter().any(|(name, _)| others.contains(name)))
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

/// Times of day, and the day that the last one was on: events of a file are of one day, mostly.
#[derive(Default)]
struct Days {
    date: [u8; 10],
    midnight: i64,
}

impl Days {
    /// The instant that `YYYY-MM-DDTHH:MM:SSZ` names; nothing where the text has another form.
    fn instant(&mut self, text: &[u8; TIME_BYTES]) -> Option<Timestamp> {
        let [date @ .., b'T', h, i, b':', j, k, b':', l, m, b'Z'] = text else { return None };
        if *date != self.date {
            let midnight = format!("{}T00:00:00Z", std::str::from_utf8(date).ok()?).parse::<Timestamp>().ok()?;
            self.date = *date;
            self.midnight = midnight.as_second();
        }
        let pair = |tens: &u8, ones: &u8, end: i64| {
            let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
            let number = i64::from(tens) * 10 + i64::from(ones);
            (tens < 10 && ones < 10 && number < end).then_some(number)
        };
        let seconds = pair(h, i, 24)? * 3600 + pair(j, k, 60)? * 60 + pair(l, m, 60)?;
        Timestamp::from_second(self.midnight + seconds).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str = r#"{"type":"IAMUser","arn":"arn:aws:iam::1:user/ada","accountId":"1"}"#;
    const ROLE: &str = r#"{"type":"AssumedRole","arn":"arn:aws:sts::1:assumed-role/App/i-1","accountId":"1","sessionContext":{"sessionIssuer":{"arn":"arn:aws:iam::1:role/App"}}}"#;

    /// A record as AWS writes it.
    fn record(user: &str, second: u32, agent: &str, tail: &str) -> String {
        format!(
            concat!(
                r#"{{"eventVersion":"1.11","userIdentity":{},"eventTime":"2026-01-02T03:04:{:02}Z","#,
                r#""eventSource":"kms.amazonaws.com","eventName":"Decrypt","awsRegion":"eu-west-1","sourceIPAddress":"192.0.2.1","#,
                r#""userAgent":{},"requestParameters":{{"encryptionContext":{{"a":"1"}}}},"responseElements":null,"#,
                r#""requestID":"00000000-0000-4000-8000-000000000000","eventID":"00000000-0000-4000-8000-0000000000{:02}","#,
                r#""readOnly":true,"resources":[{{"ARN":"arn:aws:kms:eu-west-1:1:key/k","type":"AWS::KMS::Key"}}]{}}}"#
            ),
            user, second, agent, second, tail
        )
    }

    /// Reads a file of these records; what it says, and how many combinations of pieces are known then.
    fn read(shortcut: &mut Shortcut, records: &[String]) -> Option<(u64, usize)> {
        let json = format!(r#"{{"Records":[{}]}}"#, records.join(","));
        let (batch, records) = shortcut.read(json.as_bytes(), &mut Registry::default(), &Selection::all())?;
        assert!(serde_json::to_string(&batch).unwrap().contains(r#""kmsRecords":"#));
        Some((records, shortcut.memory.known.values().map(Vec::len).sum()))
    }

    #[test]
    fn what_repeats_is_parsed_once() {
        let mut shortcut = Shortcut::default();
        let agents = (0..9).map(|second| record(USER, second, &format!(r#""tool/{second}""#), ""));
        let records: Vec<String> = agents.chain([record(ROLE, 9, r#""x""#, "")]).collect();
        assert_eq!(read(&mut shortcut, &records), Some((10, 2)));
        assert_eq!((shortcut.memory.heads.len(), shortcut.memory.middles.len()), (2, 10));
    }

    #[test]
    fn a_file_of_another_layout_is_given_up() {
        let good = record(USER, 1, r#""x""#, "");
        assert!(read(&mut Shortcut::default(), std::slice::from_ref(&good)).is_some());
        let nested = good.replace(r#"{"a":"1"}"#, r#"[{"eventVersion":"1"},{"eventVersion":"1"}]"#);
        let reordered = good
            .replacen(r#""eventVersion":"1.11","#, "", 1)
            .replace(r#""readOnly""#, r#""eventVersion":"1.11","readOnly""#);
        for odd in [
            good.replace("kms.", r"\u006bms."),
            good.replace("kms.amazonaws.com", r"kms\u002Eamazonaws.com"),
            good.replace(r#""readOnly":true"#, r#""readOnly":7"#),
            good.replace(r#""readOnly":true"#, r#""readOnly":true,"userAgent":"y""#),
            good.replace(r#"},"eventTime""#, r#"}},"eventTime""#),
            good.replace(r#""userAgent":"x""#, r#""userAgent":7"#),
            nested,
            reordered,
        ] {
            assert_eq!(read(&mut Shortcut::default(), &[good.clone(), odd.clone()]), None, "{odd}");
            assert_eq!(read(&mut Shortcut::default(), &[good.clone(), odd.clone(), good.clone()]), None, "{odd}");
        }
    }

    #[test]
    fn a_member_that_two_pieces_could_have_is_not_remembered() {
        let mut shortcut = Shortcut::default();
        let without = record(USER, 1, r#""x""#, r#","userAgent":"late""#).replacen(r#""userAgent":"x","#, "", 1);
        assert_eq!(read(&mut shortcut, &[without]), Some((1, 0)));
        assert_eq!(read(&mut shortcut, &[record(USER, 2, r#""x""#, r#","userAgent":"late""#)]), None);
    }

    #[test]
    fn an_instant_has_one_form() {
        let mut days = Days::default();
        let mut told = |text: &str| days.instant(text.as_bytes().try_into().unwrap()).map(|at| at.to_string());
        for text in ["2026-01-02T03:04:05Z", "2026-01-02T23:59:59Z", "2024-02-29T00:00:00Z"] {
            assert_eq!(told(text).as_deref(), Some(text));
        }
        for text in [
            "2026-01-02T24:04:05Z",
            "2026-01-02T03:60:05Z",
            "2026-01-02T03:04:60Z",
            "2026-01-02T0a:04:05Z",
            "2026-02-30T03:04:05Z",
            "2026-01-02 03:04:05Z",
        ] {
            assert_eq!(told(text), None, "{text}");
        }
    }
}
