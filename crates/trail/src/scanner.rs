//! Reading the bytes of one file: bytes in, a [`Part`] out, whichever disk or network they came from.
//!
//! Every file is looked at or named: what is damaged or is no log file is a [`Trouble`] of its part, and a trouble that may hide a
//! use says so. Damage costs as little as possible: the records before it, and the lines and members around it, still count.
//!
//! There are two ways through a file. The long one cuts it into records without parsing them, and parses only a record that holds
//! the bytes `kms.amazonaws.com`, or a JSON escape that may spell one of these. *Why no event of KMS is missed by that*: its
//! `eventSource` is `kms.amazonaws.com`. JSON can spell a character only as itself or as `\u` and four hexadecimal digits. If all
//! stand as themselves, the record holds the text; if not, it holds the escape of one of them, and these begin with `\u006`
//! (a, c, k, m, n, o), `\u007` (s, w, z) or `\u002` (the dot). The short way is [`crate::shortcut`]'s: for files that came through whole
//! and are as AWS writes them, which are nearly all.

use std::io;
use std::mem;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use memchr::memmem::Finder;

use crate::batch::Filler;
use crate::event::{self, Event};
use crate::inflate::{self, Inflated, Inflater};
use crate::memory::Memory;
use crate::part::{Counts, Flaw, Part, Trouble};
use crate::selection::Selection;
use crate::shortcut::{self, Shortcut};
use crate::split::{self, Outline};

/// The most that one file may hold, as it is stored and inflated. CloudTrail's own files are a thousand times smaller; exports may
/// not be.
pub const MAX_FILE_BYTES: usize = 1 << 30;

/// Room for the first read of the first file.
const LEAST_READ_BYTES: usize = 256 * 1024;

/// What reads one file after another: buffers that stay as large as the largest file so far.
#[derive(Default)]
pub struct Scanner {
    stored: Vec<u8>,
    inflater: Inflater,
    needles: Needles,
    shortcut: Shortcut,
    filler: Filler,
    learned: Arc<Learned>,
}

/// What scanners that work on the same trail learn together.
#[derive(Default)]
struct Learned(RwLock<Option<Arc<Memory>>>);

impl Learned {
    /// The memory to read the next file with: made anew where there is none for this selection, or it is full.
    fn memory(&self, selection: &Selection) -> Arc<Memory> {
        let is_right = |memory: &&Arc<Memory>| memory.selection() == selection && !memory.is_full();
        if let Some(memory) = self.0.read().unwrap_or_else(PoisonError::into_inner).as_ref().filter(is_right) {
            return Arc::clone(memory);
        }
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match current.as_ref().filter(is_right) {
            Some(memory) => Arc::clone(memory),
            None => Arc::clone(current.insert(Arc::new(Memory::new(selection)))),
        }
    }
}

/// Scanners that are lent to whoever reads a file next: as many as files are read at once. They learn together.
#[derive(Default)]
pub struct Scanners {
    idle: Mutex<Vec<Scanner>>,
    learned: Arc<Learned>,
}

impl Scanners {
    /// Lends a scanner to `read`.
    pub fn with<T>(&self, read: impl FnOnce(&mut Scanner) -> T) -> T {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let lent = idle().pop();
        let mut scanner = lent.unwrap_or_else(|| Scanner { learned: Arc::clone(&self.learned), ..Scanner::default() });
        let outcome = read(&mut scanner);
        idle().push(scanner);
        outcome
    }
}

impl Scanner {
    /// Reads a file, gzip or plain, that is whole in memory.
    ///
    /// The end of `name` tells whether each line is a value of its own: `.jsonl`, `.ndjson`, also with `.gz`. Files of at most
    /// [`MAX_FILE_BYTES`] are read, stored and inflated.
    ///
    /// *Guarantee*: the same bytes give the same part.
    pub fn scan(&mut self, name: impl AsRef<Path>, bytes: &[u8], selection: &Selection) -> Part {
        self.scan_capped(name.as_ref(), bytes, selection, MAX_FILE_BYTES)
    }

    /// Reads a file to its end, or as far as it may be long, and scans it.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn scan_from(&mut self, name: &Path, from: impl io::Read, selection: &Selection) -> io::Result<Part> {
        let mut stored = mem::take(&mut self.stored);
        // One byte more than is allowed tells that the file is too large, whatever its length was when it was found.
        let part = read_up_to(MAX_FILE_BYTES + 1, from, &mut stored).map(|bytes| self.scan(name, bytes, selection));
        self.stored = stored;
        part
    }

    fn scan_capped(&mut self, name: &Path, bytes: &[u8], selection: &Selection, cap: usize) -> Part {
        let Scanner { inflater, needles, shortcut, filler, learned, .. } = self;
        let memory = learned.memory(selection);
        filler.begin(memory.registry());
        if !has_lines(name)
            && let Some(mut steps) = inflater.steps(bytes, cap)
            && let Some(records) = shortcut.read(&mut steps, &memory, filler)
        {
            let bytes_read = bytes.len() as u64;
            let counts = Counts { files: 1, bytes_read, bytes: steps.bytes() as u64, records };
            return Part { selection: selection.clone(), counts, troubles: Vec::new(), batch: filler.finish() };
        }
        filler.begin(memory.registry());
        let observe = |record: &[u8]| {
            if needles.may_be_in(record)
                && let Some(event) = Event::parse_kms(record)?
            {
                filler.observe(&event, selection);
            }
            Ok(())
        };
        let content = Content::of(bytes, inflater, cap);
        let Walk { counts, troubles, .. } = Walk::of(name, bytes.len(), content, observe);
        Part { selection: selection.clone(), counts, troubles, batch: filler.finish() }
    }

    /// The records of a gzip file that is whole and in AWS's layout, in order, found several times faster than by [`Scanner::records`]; nothing for any other
    /// file. One that is no whole record may be a part of one: then [`Scanner::records`] is to be asked.
    pub fn pieces(&mut self, bytes: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
        if !inflate::is_gzip(bytes) || bytes.len() > MAX_FILE_BYTES {
            return None;
        }
        let Inflated { text, result } = self.inflater.inflate(bytes, MAX_FILE_BYTES);
        result.ok()?;
        shortcut::pieces(text)
    }

    /// Calls `each` with every record of a file, of any service, in order. Returns how much that was, and what could not be read.
    pub fn records(
        &mut self,
        name: impl AsRef<Path>,
        bytes: &[u8],
        mut each: impl FnMut(&[u8]),
    ) -> (Counts, Vec<Trouble>) {
        let each = |record: &[u8]| {
            each(record);
            Ok(())
        };
        let Walk { counts, troubles, .. } =
            Walk::of(name.as_ref(), bytes.len(), Content::of(bytes, &mut self.inflater, MAX_FILE_BYTES), each);
        (counts, troubles)
    }
}

/// Reads to the end, or so many bytes, into a buffer that stays as large as the largest file so far: in few calls, where `read_to_end`
/// begins with small ones each time.
fn read_up_to(limit: usize, mut from: impl io::Read, buffer: &mut Vec<u8>) -> io::Result<&[u8]> {
    let mut filled = 0;
    while filled < limit {
        if filled == buffer.len() {
            buffer.resize((2 * filled).clamp(LEAST_READ_BYTES, limit), 0);
        }
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(&buffer[..filled.min(limit)])
}

/// Whether each line is a value of its own, so that a broken line does not hide the next: `.jsonl`, `.ndjson`, also with `.gz`.
fn has_lines(name: &Path) -> bool {
    let name = name.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    name.ends_with(".jsonl") || name.ends_with(".ndjson")
}

/// What every event of KMS holds one of; the module's comment says why.
struct Needles([Finder<'static>; 4]);

impl Default for Needles {
    fn default() -> Needles {
        Needles([event::KMS, "\\u006", "\\u007", "\\u002"].map(Finder::new))
    }
}

impl Needles {
    fn may_be_in(&self, bytes: &[u8]) -> bool {
        self.0.iter().any(|needle| needle.find(bytes).is_some())
    }
}

/// What the bytes of a file are.
enum Content<'b> {
    Empty,
    TooLarge { limit: usize },
    Plain(&'b [u8]),
    Gzip(Inflated<'b>),
}

impl<'b> Content<'b> {
    fn of(bytes: &'b [u8], inflater: &'b mut Inflater, cap: usize) -> Content<'b> {
        if bytes.is_empty() {
            Content::Empty
        } else if bytes.len() > cap {
            Content::TooLarge { limit: cap }
        } else if inflate::is_gzip(bytes) {
            Content::Gzip(inflater.inflate(bytes, cap))
        } else {
            Content::Plain(bytes)
        }
    }
}

/// A way through one file, record by record.
struct Walk<F> {
    /// Called with each record; says what is wrong with it.
    each: F,
    counts: Counts,
    troubles: Vec<Trouble>,
}

impl<F: FnMut(&[u8]) -> Result<(), event::Error>> Walk<F> {
    fn of(name: &Path, bytes_read: usize, content: Content<'_>, each: F) -> Walk<F> {
        let counts = Counts { files: 1, bytes_read: bytes_read as u64, ..Counts::default() };
        let mut walk = Walk { each, counts, troubles: Vec::new() };
        if let ControlFlow::Break(why) = walk.file(name, content) {
            walk.trouble(why);
        }
        walk
    }

    fn trouble(&mut self, why: Flaw) {
        self.troubles.push(Trouble { why, count: 1 });
    }

    /// Breaks with what kept the whole file from being read.
    fn file(&mut self, name: &Path, content: Content<'_>) -> ControlFlow<Flaw> {
        let json = match content {
            Content::Empty => return ControlFlow::Break(Flaw::Empty),
            Content::TooLarge { limit } => return ControlFlow::Break(Flaw::TooLarge { limit }),
            Content::Plain(json) => json,
            Content::Gzip(Inflated { text, result }) => match (text, result) {
                ([], Ok(())) => return ControlFlow::Break(Flaw::Empty),
                (json, Ok(())) => json,
                (json, Err(error)) => {
                    self.trouble(Flaw::Gzip(error));
                    if json.is_empty() {
                        return ControlFlow::Continue(());
                    }
                    json
                }
            },
        };
        self.json(name, json)
    }

    fn json(&mut self, name: &Path, json: &[u8]) -> ControlFlow<Flaw> {
        self.counts.bytes = json.len() as u64;
        let outline = if has_lines(name) { self.lines(json) } else { self.values(json)? };
        if outline.records > 0 || outline.documents > 0 {
            ControlFlow::Continue(())
        } else if outline.digests > 0 {
            ControlFlow::Break(Flaw::Digest)
        } else if outline.others > 0 {
            ControlFlow::Break(Flaw::NotCloudTrail)
        } else if self.troubles.is_empty() {
            // Nothing but blanks.
            ControlFlow::Break(Flaw::Empty)
        } else {
            ControlFlow::Continue(())
        }
    }

    /// A document, or events one behind the other.
    fn values(&mut self, json: &[u8]) -> ControlFlow<Flaw, Outline> {
        let (outline, result) = split::split(json, |record| self.record(record));
        match result {
            Ok(()) => ControlFlow::Continue(outline),
            Err(broken) => ControlFlow::Break(Flaw::Cut { broken, records: outline.records }),
        }
    }

    /// A value in each line.
    fn lines(&mut self, json: &[u8]) -> Outline {
        let mut sum = Outline::default();
        let mut trouble: Option<Trouble> = None;
        for (number, line) in (1..).zip(json.split(|byte| *byte == b'\n')) {
            let (outline, result) = split::split(line, |record| self.record(record));
            sum.records += outline.records;
            sum.documents += outline.documents;
            sum.digests += outline.digests;
            sum.others += outline.others;
            if let Err(broken) = result {
                let first = || Trouble { why: Flaw::Line { line: number, broken }, count: 0 };
                trouble.get_or_insert_with(first).count += 1;
            }
        }
        self.troubles.extend(trouble);
        sum
    }

    fn record(&mut self, record: &[u8]) {
        self.counts.records += 1;
        if let Err(error) = (self.each)(record) {
            let known = self.troubles.iter_mut().find(|trouble| matches!(trouble.why, Flaw::Record { .. }));
            match known {
                Some(trouble) => trouble.count += 1,
                None => self.trouble(Flaw::Record { record: self.counts.records, error }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inflate::tests::{gzip, gzip_at};
    use libdeflater::CompressionLvl;

    #[test]
    fn every_spelling_of_the_event_source_is_found() {
        let needles = Needles::default();
        let spell = |at: usize, upper: bool| -> String {
            let escape = |c: char| if upper { format!("\\u{:04X}", c as u32) } else { format!("\\u{:04x}", c as u32) };
            let letters = event::KMS.chars().enumerate();
            letters.map(|(i, c)| if i == at { escape(c) } else { c.to_string() }).collect()
        };
        for at in 0..event::KMS.len() {
            for upper in [false, true] {
                let json = format!(
                    r#"{{"eventSource":"{}","eventName":"x","eventTime":"2026-01-01T00:00:00Z"}}"#,
                    spell(at, upper)
                );
                assert!(Event::parse_kms(json.as_bytes()).unwrap().is_some());
                assert!(needles.may_be_in(json.as_bytes()), "{json}");
            }
        }
        assert!(!needles.may_be_in(br#"{"eventSource":"s3.amazonaws.com","userAgent":"\u003cKMS\u003e"}"#));
    }

    #[test]
    fn a_file_over_the_cap_is_named_and_not_read() {
        let read = |cap| {
            let part = Scanner::default().scan_capped(Path::new("x"), br#"{"Records":[]}"#, &Selection::all(), cap);
            part.troubles
        };
        assert!(read(14).is_empty());
        assert!(matches!(read(13)[0].why, Flaw::TooLarge { limit: 13 }));
    }

    #[test]
    fn records_count_however_long_they_may_be() {
        let record = |bytes: usize| {
            format!(
                r#"{{"eventVersion":"1.11","userIdentity":{{"arn":"a"}},"eventTime":"2026-01-02T03:04:05Z","eventSource":"kms.amazonaws.com","eventName":"Decrypt","x":"{}"}}"#,
                "x".repeat(bytes)
            )
        };
        for bytes in [250_000, 400_000, 1_000_000] {
            let json = format!(r#"{{"Records":[{},{},{}]}}"#, record(1), record(bytes), record(2));
            let part = Scanner::default().scan("x.json.gz", &gzip(json.as_bytes()), &Selection::all());
            assert_eq!(
                (part.counts.records, part.batch.kms_records, part.troubles.len()),
                (3, 3, 0),
                "{:?}",
                part.troubles
            );
            assert_eq!(part.counts.bytes, json.len() as u64);
        }
    }

    #[test]
    fn a_file_as_aws_writes_it_with_a_wrong_checksum_or_length_says_nothing() {
        let record = concat!(
            r#"{"eventVersion":"1.11","userIdentity":{"arn":"a"},"eventTime":"2026-01-02T03:04:05Z","#,
            r#""eventSource":"kms.amazonaws.com","eventName":"Decrypt"}"#
        );
        let json = format!(r#"{{"Records":[{record}]}}"#);
        let gzip = gzip(json.as_bytes());
        let length = gzip.len();
        let scan = |bytes: &[u8]| Scanner::default().scan("x.json.gz", bytes, &Selection::all());
        assert_eq!((scan(&gzip).batch.kms_records, scan(&gzip).troubles.len()), (1, 0));
        for at in length - 8..length {
            let mut broken = gzip.clone();
            broken[at] ^= 1;
            let part = scan(&broken);
            assert!(matches!(
                part.troubles[..],
                [Trouble { why: Flaw::Gzip(inflate::Error::Damaged { member: 1 }), .. }]
            ));
            assert_eq!((part.batch.kms_records, part.batch.events.len(), part.counts.records), (0, 0, 0));
        }
        let stored = gzip_at(CompressionLvl::new(0).unwrap(), json.as_bytes());
        let capped = |cap| Scanner::default().scan_capped(Path::new("x.json.gz"), &stored, &Selection::all(), cap);
        assert!(capped(stored.len()).troubles.is_empty());
        assert!(matches!(capped(stored.len() - 1).troubles[0].why, Flaw::TooLarge { .. }));
        let twice = scan(&[&gzip[..], &gzip].concat());
        assert_eq!((twice.batch.kms_records, twice.troubles.len()), (2, 0));
    }

    #[test]
    fn all_records_can_be_had_whatever_their_service() {
        let lines = b"{\"eventName\":\"a\"}\n{\"eventName\":\n{\"eventName\":\"b\"}\n";
        let mut seen = Vec::new();
        let (counts, troubles) = Scanner::default().records("x.jsonl", lines, |record| seen.push(record.to_vec()));
        assert_eq!(seen, [br#"{"eventName":"a"}"#, br#"{"eventName":"b"}"#]);
        assert_eq!((counts.records, troubles.len()), (2, 1));
    }

    #[test]
    fn names_tell_whether_lines_are_values() {
        for name in ["a.jsonl", "x/a.NDJSON.gz"] {
            assert!(has_lines(Path::new(name)), "{name}");
        }
        assert!(!has_lines(Path::new("a.json.gz")));
    }
}
