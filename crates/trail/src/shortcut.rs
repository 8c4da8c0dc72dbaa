//! The short way through a file that AWS itself wrote: without cutting it into records, and without parsing what was parsed before.
//!
//! The long way, [`crate::split`] and then [`Event::parse_kms`], is what defines the answer. This one gives the same answer
//! for files in AWS's own layout, and gives up on all others; then the long way is gone. It rests on three observations:
//!
//! - *Which records matter.* An event of KMS has a member `eventSource` that is `kms.amazonaws.com`, and JSON can spell a letter of either only
//!   as itself or as an escape. A file with an escape that may be one of these letters is given up. So every event of KMS shows by its
//!   `"eventSource"`, and each place where that stands is looked at: it is a text among others, or the member as AWS writes it, behind
//!   `eventTime` and without blanks, or the file is given up. (*Caveat*: records are counted by it. One that has none is
//!   passed over; the long way names it, if it mentions KMS.)
//! - *Where they begin.* AWS begins every record with `eventVersion`, so the nearest `},{"eventVersion":"` on both sides of an event are taken for
//!   its ends. If that cuts an event wrongly, it is no whole JSON object, and the file is given up: so none is missed. (*Caveat*: a list
//!   of objects within another service's record, of which the second is to the letter an event of KMS and the third begins like
//!   one, would be counted as an event. That errs to the side of use.)
//! - *What they say.* An event is cut into pieces, and [`crate::memory`] knows what nearly all of them say.

use std::ops::Range;

use jiff::Timestamp;
use libdeflater::Crc;
use memchr::memmem::Finder;
use memchr::{memchr, memchr_iter, memrchr_iter};

use crate::batch::{EventId, Filler, uuid};
use crate::event::Event;
use crate::fingerprint::{Fingerprint, MAX_TEXT_BYTES};
use crate::inflate::Steps;
use crate::memory::Memory;
use crate::sieve::{BACKSLASH, MAX_BLOCK_BYTES, Sieve};

/// What stands before the first record.
const OPENING: &[u8] = br#"{"Records":["#;
/// Where one record ends and another begins; where in it that is, and its one capital letter.
const BEGIN: &[u8] = br#"},{"eventVersion":""#;
const BEGIN_AT: usize = 2;
const BEGIN_V: usize = 9;
/// What every event has, with its one capital letter, and what it says of an event of KMS.
const MEMBER: &[u8; 13] = br#""eventSource""#;
const MEMBER_S: usize = 6;
const KMS: &[u8; 20] = br#":"kms.amazonaws.com""#;

/// What is kept from file to file.
pub(crate) struct Shortcut {
    sieve: Sieve,
    begin: Finder<'static>,
    days: Days,
    /// How long the last event's tail was: most are alike.
    tail_bytes: usize,
}

impl Default for Shortcut {
    fn default() -> Shortcut {
        Shortcut { sieve: Sieve::default(), begin: Finder::new(BEGIN), days: Days::default(), tail_bytes: 0 }
    }
}

/// How far some records were read.
#[derive(Default)]
struct Progress {
    /// How many there were.
    records: u64,
    /// What stands before is done.
    from: usize,
    /// Where the next record begins: there, or somewhere behind.
    next: usize,
    /// The last event, if it is still to be looked up what it says.
    met: Option<Met>,
}

/// An event whose pieces are known, each by itself.
struct Met {
    combination: Fingerprint,
    at: Timestamp,
    id: u128,
    record: Range<usize>,
    /// Where its event source stands in it.
    source: usize,
}

impl Shortcut {
    /// Reads a file while it is inflated. Returns the number of records; nothing where it did not come through whole, or is not in AWS's
    /// layout. What was filled in then is to be forgotten.
    pub(crate) fn read(&mut self, steps: &mut Steps<'_>, memory: &Memory, filler: &mut Filler) -> Option<u64> {
        while steps.text().len() < OPENING.len() && !steps.more()? {}
        steps.text().strip_prefix(OPENING)?;
        steps.let_go(OPENING.len());
        let mut checksum = Crc::new();
        checksum.update(OPENING);
        let (mut records, mut found) = (0, Vec::new());
        loop {
            let is_all = steps.more()?;
            let text = steps.text();
            // Up to the end of the last record that is there, as if it were all.
            let (body, end) = if is_all {
                (without_closing(text)?, text.len())
            } else if let Some(begin) = last_begin(text) {
                (&text[..begin - 1], begin)
            } else {
                continue;
            };
            if !body.starts_with(&BEGIN[BEGIN_AT..]) {
                return None;
            }
            let (mut progress, mut done) = (Progress::default(), 0);
            // What was read to check it is still near when it is searched, and then when it is taken apart.
            for block in body.chunks(MAX_BLOCK_BYTES) {
                checksum.update(block);
                self.sieve.sift(block, done, &mut found);
                done += block.len();
                self.places(body, &found, &mut progress, memory, filler)?;
            }
            self.settle(body, &mut progress, memory, filler)?;
            if body.get(progress.next) == Some(&b'{') {
                // A record without an event source.
                return None;
            }
            checksum.update(&text[done..end]);
            records += progress.records;
            if is_all {
                return (checksum.sum() == steps.checksum()).then_some(records);
            }
            steps.let_go(end);
        }
    }

    /// Looks at the places of a block at which an event source or an escape may stand.
    fn places(
        &mut self,
        body: &[u8],
        places: &[usize],
        progress: &mut Progress,
        memory: &Memory,
        filler: &mut Filler,
    ) -> Option<()> {
        for place in places {
            if body[*place] == BACKSLASH {
                if may_spell_a_needle(&body[*place..]) {
                    return None;
                }
            } else if let Some(at) = place.checked_sub(MEMBER_S)
                && at >= progress.from
                && body[at..].first_chunk() == Some(MEMBER)
            {
                self.source(body, at, progress, memory, filler)?;
            }
        }
        Some(())
    }

    /// Looks at a place where `"eventSource"` stands, and takes the event if it is one of KMS.
    fn source(
        &mut self,
        body: &[u8],
        at: usize,
        progress: &mut Progress,
        memory: &Memory,
        filler: &mut Filler,
    ) -> Option<()> {
        progress.from = at + MEMBER.len();
        let value = &body[progress.from..];
        match value {
            // A text in a list or an object.
            [b',' | b'}' | b']', ..] => return Some(()),
            [b':', b'"', ..] if body[..at].ends_with(b"Z\",") => progress.records += 1,
            _ => return None,
        }
        if value.first_chunk() != Some(KMS) {
            progress.next = progress.from;
            return Some(());
        }
        let next = progress.next;
        let start = if body[next..].starts_with(b"{") { next } else { next + last_begin(&body[next..at])? };
        let met = self.met(body, start..at, memory);
        // What this one says is being fetched; what the one before says has come.
        self.settle(body, progress, memory, filler)?;
        let end = match &met {
            Some(met) => met.record.end,
            None => {
                let end = self.end(body, at);
                self.learn(&body[start..end], at - start, memory, filler)?;
                end
            }
        };
        progress.met = met;
        progress.from = end;
        progress.next = end + 1;
        Some(())
    }

    /// Where a record ends of which `from` is a part.
    fn end(&self, body: &[u8], from: usize) -> usize {
        self.begin.find(&body[from..]).map_or(body.len(), |ahead| from + ahead + 1)
    }

    /// An event whose pieces are known, each by itself; the range is what stands before its event source.
    fn met(&mut self, body: &[u8], before: Range<usize>, memory: &Memory) -> Option<Met> {
        let mut pieces = Pieces::cut(&body[before.start..], before.len(), &mut self.days)?;
        let tail = body.len() - pieces.tail.len();
        // Where an event may end, it does, if its tail is known.
        let likely = tail + self.tail_bytes;
        let is_end = self.tail_bytes > 0 && body.get(likely - 1..).is_some_and(|rest| rest.starts_with(BEGIN));
        let end = if is_end { likely } else { self.end(body, tail) };
        self.tail_bytes = end - tail;
        pieces.tail = &body[tail..end];
        let combination = memory.met(&pieces)?;
        Some(Met { combination, at: pieces.at, id: pieces.id, record: before.start..end, source: before.len() })
    }

    /// Takes the event that was met last. `None` as in [`Shortcut::learn`], or where its end was guessed wrongly.
    fn settle(&mut self, body: &[u8], progress: &mut Progress, memory: &Memory, filler: &mut Filler) -> Option<()> {
        let Some(Met { combination, at, id, record, source }) = progress.met.take() else { return Some(()) };
        match memory.known(&combination) {
            Some(noted) => filler.note(noted, at, Some(EventId::Uuid(id.to_le_bytes())), memory.selection()),
            None if self.end(body, record.start + source) == record.end => {
                self.learn(&body[record], source, memory, filler)?;
            }
            None => return None,
        }
        Some(())
    }

    /// Takes a record with this place for KMS as its event source, and remembers what it says. `None` where it is no whole JSON object, or
    /// cannot be read.
    fn learn(&mut self, record: &[u8], source: usize, memory: &Memory, filler: &mut Filler) -> Option<()> {
        // What is of another service after all is parsed as one whole object as well, else it is an error.
        let Some(event) = Event::parse_kms(record).ok()? else { return Some(()) };
        let noted = filler.observe(&event, memory.selection());
        if let Some(pieces) = Pieces::cut(record, source, &mut self.days) {
            memory.learn(&pieces, noted);
        }
        Some(())
    }
}

/// The records of a file in AWS's layout; nothing where it has another. A piece that is no whole record was cut wrongly: then the records are to
/// be had from [`crate::split`].
pub(crate) fn pieces(text: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let body = without_closing(text.strip_prefix(OPENING)?)?;
    if !body.starts_with(&BEGIN[BEGIN_AT..]) {
        return None;
    }
    let begin = Finder::new(BEGIN);
    let mut rest = Some(body);
    Some(std::iter::from_fn(move || {
        let text = rest?;
        let end = begin.find(text);
        rest = end.map(|end| &text[end + BEGIN_AT..]);
        Some(end.map_or(text, |end| &text[..=end]))
    }))
}

/// What stands before the end of a file, up to the end of its last record.
fn without_closing(text: &[u8]) -> Option<&[u8]> {
    text.trim_ascii_end().strip_suffix(b"]}").filter(|body| body.ends_with(b"}"))
}

/// Where the last record in `body` begins. What stands out of a beginning is its capital letter.
fn last_begin(body: &[u8]) -> Option<usize> {
    let begins = memrchr_iter(b'V', body).filter_map(|at| at.checked_sub(BEGIN_V));
    begins.filter(|at| body[*at..].starts_with(BEGIN)).map(|at| at + BEGIN_AT).next()
}

/// Whether an escape may spell a letter of `eventSource` or `kms.amazonaws.com`: they are all of `\u002e`, `\u0053`, `\u006.` and `\u007.`.
fn may_spell_a_needle(escape: &[u8]) -> bool {
    let Some([b'\\', b'u', b'0', b'0', tens, ones]) = escape.first_chunk() else { return false };
    matches!((tens, ones), (b'6' | b'7', _) | (b'2', b'e' | b'E') | (b'5', b'3'))
}

const TIME: &[u8] = br#""eventTime":""#;
const END: &[u8] = br#"","#;
const NAME: &[u8] = br#""eventSource":"kms.amazonaws.com","eventName":""#;
const REGION: &[u8] = br#"","awsRegion":""#;
const ADDRESS: &[u8] = br#"","sourceIPAddress":""#;
/// With its one rare letter.
const REQUEST: &[u8; 13] = br#""requestID":""#;
const REQUEST_Q: usize = 3;
const EVENT: &[u8] = br#"","eventID":""#;

const TIME_BYTES: usize = 20;
const UUID_BYTES: usize = 36;

/// An event of KMS in pieces.
pub(crate) struct Pieces<'a> {
    /// `{"eventVersion":…,"userIdentity":…,`
    pub(crate) head: &'a [u8],
    /// The event's time.
    pub(crate) at: Timestamp,
    /// The operation, and the Region with what stands between them.
    pub(crate) call: &'a [u8],
    /// Where the call came from, if that is no IP address; else nothing.
    pub(crate) host: &'a [u8],
    /// `"userAgent":…,`
    pub(crate) middle: &'a [u8],
    /// The event's ID.
    pub(crate) id: u128,
    /// `"readOnly":…}`
    pub(crate) tail: &'a [u8],
}

impl Pieces<'_> {
    /// Cuts a record with its event source there. What is cut may be longer than the record: so is the tail then.
    fn cut<'a>(record: &'a [u8], source: usize, days: &mut Days) -> Option<Pieces<'a>> {
        let (before, rest) = record.split_at(source);
        let (before, time) = before.strip_suffix(END)?.split_last_chunk()?;
        let head = before.strip_suffix(TIME)?;
        let rest = rest.strip_prefix(NAME)?;
        let name = memchr(b'"', rest)?;
        let region = name + REGION.len() + memchr(b'"', rest[name..].strip_prefix(REGION)?)?;
        let (call, rest) = rest.split_at(region);
        let rest = rest.strip_prefix(ADDRESS)?;
        let (address, rest) = rest.split_at(memchr(b'"', rest)?);
        // (Here and below, without a way out, this takes fewer steps.)
        let is_numeric =
            address.iter().fold(true, |is, byte| is & (byte.is_ascii_hexdigit() | matches!(byte, b'.' | b':')));
        let rest = rest.strip_prefix(b"\",")?;
        // A middle that is longer is never known.
        let near = &rest[..rest.len().min(MAX_TEXT_BYTES)];
        let (middle, rest) = rest.split_at(request(near)?);
        let (request, rest) = rest[REQUEST.len()..].split_first_chunk::<UUID_BYTES>()?;
        let (id, rest) = rest.strip_prefix(EVENT)?.split_first_chunk::<UUID_BYTES>()?;
        let tail = rest.strip_prefix(b"\",")?;
        // What the caller was told says nothing more, but it must be text.
        if !request.iter().fold(true, |is_text, byte| is_text & (byte.is_ascii_alphanumeric() | (*byte == b'-'))) {
            return None;
        }
        let host = if is_numeric { &[] } else { address };
        Some(Pieces { head, at: days.instant(time)?, call, host, middle, id: uuid(id)?, tail })
    }
}

/// Where the first `"requestID":"` in `text` begins.
fn request(text: &[u8]) -> Option<usize> {
    let mut begins = memchr_iter(b'q', text).filter_map(|at| at.checked_sub(REQUEST_Q));
    begins.find(|at| text[*at..].first_chunk() == Some(REQUEST))
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
    use crate::deflate;
    use crate::inflate::{Inflater, tests::gzip};
    use crate::scanner::MAX_FILE_BYTES;
    use crate::selection::Selection;

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

    /// Reads a file of these records; what it says, and how many combinations of pieces are known then. In however many steps, it is the same.
    fn read(memory: &Memory, records: &[String]) -> Option<(u64, usize)> {
        let told = read_in_steps(memory, records, 1);
        for step_bytes in [100, 700, deflate::STEP] {
            assert_eq!(read_in_steps(memory, records, step_bytes), told, "{step_bytes}");
        }
        told
    }

    fn read_in_steps(memory: &Memory, records: &[String], step_bytes: usize) -> Option<(u64, usize)> {
        let json = format!(r#"{{"Records":[{}]}}"#, records.join(","));
        let mut filler = Filler::default();
        filler.begin(memory.registry());
        let packed = gzip(json.as_bytes());
        let mut inflater = Inflater::default();
        let mut steps = inflater.steps(&packed, MAX_FILE_BYTES).unwrap();
        steps.step_bytes = step_bytes;
        let records = Shortcut::default().read(&mut steps, memory, &mut filler)?;
        Some((records, memory.sizes()[2]))
    }

    #[test]
    fn what_repeats_is_parsed_once() {
        let memory = Memory::new(&Selection::all());
        let agents = (0..9).map(|second| record(USER, second, &format!(r#""tool/{second}""#), ""));
        let records: Vec<String> = agents.chain([record(ROLE, 9, r#""x""#, "")]).collect();
        assert_eq!(read(&memory, &records), Some((10, 2)));
        assert_eq!(memory.sizes(), [2, 10, 2]);
    }

    #[test]
    fn a_file_of_another_layout_is_given_up() {
        let good = record(USER, 1, r#""x""#, "");
        assert!(read(&Memory::new(&Selection::all()), std::slice::from_ref(&good)).is_some());
        let nested = good.replace(r#"{"a":"1"}"#, r#"[{"eventVersion":"1"},{"eventVersion":"1"}]"#);
        let reordered = good
            .replacen(r#""eventVersion":"1.11","#, "", 1)
            .replace(r#""readOnly""#, r#""eventVersion":"1.11","readOnly""#);
        for odd in [
            good.replace("kms.", r"\u006bms."),
            good.replace("kms.amazonaws.com", r"kms\u002Eamazonaws.com"),
            good.replace("eventSource", r"event\u0053ource"),
            good.replace(r#""eventSource":"#, r#""eventSource": "#),
            good.replace(r#""eventSource":"#, r#""eventSource" :"#),
            good.replace(r#""eventTime":"#, r#""sourceIPAddress":"x","eventTime":"#)
                .replacen(r#""sourceIPAddress":"192.0.2.1","#, "", 1)
                .replace(r#"Z","eventSource":"#, r#"Z","readOnly":true,"eventSource":"#)
                .replacen(r#""readOnly":true,"resources""#, r#""resources""#, 1),
            good.replace(r#""readOnly":true"#, r#""readOnly":7"#),
            good.replace(r#""readOnly":true"#, r#""readOnly":true,"userAgent":"y""#),
            good.replace(r#"},"eventTime""#, r#"}},"eventTime""#),
            good.replace(r#""userAgent":"x""#, r#""userAgent":7"#),
            nested,
            reordered,
        ] {
            assert_eq!(read(&Memory::new(&Selection::all()), &[good.clone(), odd.clone()]), None, "{odd}");
            assert_eq!(
                read(&Memory::new(&Selection::all()), &[good.clone(), odd.clone(), good.clone()]),
                None,
                "{odd}"
            );
        }
    }

    #[test]
    fn a_record_that_is_longer_than_aws_writes_any_is_left_to_the_long_way() {
        let of = |bytes: usize| {
            let long = record(USER, 2, &format!("\"{}\"", "x".repeat(bytes)), "");
            read(&Memory::new(&Selection::all()), &[record(USER, 1, r#""x""#, ""), long, record(USER, 3, r#""x""#, "")])
        };
        assert_eq!(of(200_000), Some((3, 1)));
        assert_eq!(of(400_000), None);
    }

    #[test]
    fn what_looks_like_an_event_source_is_none() {
        let memory = Memory::new(&Selection::all());
        let good = record(USER, 1, r#""x""#, "");
        let selector = r#"{"field":"eventSource","equals":["kms.amazonaws.com"],"of":["eventSource"]}"#;
        let selecting = good.replace("kms.amazonaws.com", "cloudtrail.amazonaws.com").replace(r#"{"a":"1"}"#, selector);
        let quoting = record(USER, 2, r#""\"eventSource\":\"kms.amazonaws.com\"""#, "");
        let nested = record(USER, 3, r#""x""#, r#","vpce":{"eventTime":"Z","eventSource":"kms.amazonaws.com"}"#);
        let nameless = good.replacen(r#""eventSource":"kms.amazonaws.com","#, "", 1);
        for _ in 0..2 {
            let records =
                [&selecting, &good, &quoting, &nested, &selecting, &nested, &good, &selecting].map(String::clone);
            assert_eq!(read(&memory, &records), Some((8, 2)));
            assert_eq!(read(&memory, &[good.clone(), nameless.clone(), good.clone()]), None);
        }
    }

    #[test]
    fn pieces_are_the_records() {
        let told = |json: &str| pieces(json.as_bytes()).map(|pieces| pieces.map(<[u8]>::to_vec).collect::<Vec<_>>());
        let records: Vec<String> = (1..4).map(|second| record(USER, second, r#""x""#, "")).collect();
        for count in 1..4 {
            let json = format!("{{\"Records\":[{}]}}", records[..count].join(","));
            let bytes: Vec<Vec<u8>> = records[..count].iter().map(|record| record.clone().into_bytes()).collect();
            assert_eq!(told(&json).as_ref(), Some(&bytes));
            assert_eq!(told(&format!("{json}\n")), Some(bytes));
            assert_eq!(told(&json[..json.len() - 1]), None);
            assert_eq!(told(&json.replacen(':', ": ", 1)), None);
        }
        assert_eq!(told(&records[0]), None);
        assert_eq!(told(r#"{"Records":[]}"#), None);
    }

    #[test]
    fn an_event_that_cannot_be_cut_does_not_spoil_the_rest() {
        let memory = Memory::new(&Selection::all());
        let good = record(USER, 1, r#""x""#, "");
        let without_request = good.replacen(r#""requestID":"00000000-0000-4000-8000-000000000000","#, "", 1);
        for _ in 0..2 {
            let records = [&good, &without_request, &good, &without_request].map(String::clone);
            assert_eq!(read(&memory, &records), Some((4, 1)));
        }
    }

    #[test]
    fn a_member_that_two_pieces_could_have_is_not_remembered() {
        let memory = Memory::new(&Selection::all());
        let without = record(USER, 1, r#""x""#, r#","userAgent":"late""#).replacen(r#""userAgent":"x","#, "", 1);
        assert_eq!(read(&memory, &[without]), Some((1, 0)));
        assert_eq!(read(&memory, &[record(USER, 2, r#""x""#, r#","userAgent":"late""#)]), None);
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
