//! Reading log files: paths in, a [`Summary`] out. The only module of this crate that touches the disk.
//!
//! Every file is looked at or named: what cannot be read, is damaged, or is no log file is a [`Gap`] of the summary, and a gap
//! that may hide a use says so. Damage costs as little as possible: the records before it, and the lines and members around it,
//! still count.
//!
//! How it is fast: whole files are read and inflated into buffers that are used again, by as many threads as there are cores; a
//! file is cut into records without parsing them; only a record that holds the bytes `kms`, or a JSON escape that may spell one
//! of these letters, is parsed. *Why no event of KMS is missed by that*: its `eventSource` is `kms.amazonaws.com`. JSON can
//! spell a letter only as itself or as `\u` and four hexadecimal digits. If `k`, `m` and `s` all stand as themselves, the
//! record holds `kms`; if not, it holds the escape of one of them, and these begin with `\u006` (k, m) or `\u007` (s).

use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use memchr::memmem::Finder;
use rayon::prelude::*;

use crate::event::{self, Event};
use crate::inflate::{self, Inflater};
use crate::selection::Selection;
use crate::split::{self, Broken, Outline};
use crate::tally::{Batch, Tally, Totals};

/// The most that one file may hold, on disk and inflated. CloudTrail's own files are a thousand times smaller; exports may not be.
pub const MAX_FILE_BYTES: usize = 1 << 30;

/// The most folders within folders. CloudTrail's layout has nine.
const MAX_DEPTH: usize = 64;

/// The most gaps that are named one by one; the rest is counted.
const MAX_GAPS: usize = 100_000;

/// Files read between two reports of progress, and the most whose results wait to be added up.
const CHUNK_FILES: usize = 64;

/// Why a scan could not begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A path that was asked for cannot be looked at.
    #[error("cannot look at `{}`: {source}", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

/// What a scan found.
#[derive(Debug, Default)]
pub struct Summary {
    /// The rows, and all else that the events say.
    pub totals: Totals,
    /// How much was read.
    pub counts: Counts,
    /// What was not read or not understood, by path.
    pub gaps: Vec<Gap>,
    /// Gaps that are not named, because there were more than can be.
    pub unnamed_gaps: u64,
}

impl Summary {
    /// Whether every event in the paths was seen: no gap may hide a use.
    pub fn is_complete(&self) -> bool {
        self.unnamed_gaps == 0 && !self.gaps.iter().any(|gap| gap.why.hides_use())
    }
}

/// How much was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Files read, broken ones too.
    pub files: u64,
    /// Bytes on disk.
    pub bytes_read: u64,
    /// Bytes of JSON.
    pub bytes: u64,
    /// Records of any service.
    pub records: u64,
}

/// How far a scan is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// What was read so far.
    pub done: Counts,
    /// Files to read in all.
    pub files: u64,
    /// Bytes on disk to read in all.
    pub bytes: u64,
}

/// A place where something was not seen.
#[derive(Debug)]
pub struct Gap {
    /// The file or folder.
    pub path: PathBuf,
    /// What was wrong.
    pub why: Why,
    /// How often: records or lines of one file with the same trouble, of which `why` tells the first.
    pub count: u64,
}

/// Why something was not seen.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// The operating system refused the folder.
    #[error("the folder cannot be read: {0}")]
    Folder(#[source] io::Error),
    /// The operating system refused the file.
    #[error("the file cannot be read: {0}")]
    File(#[source] io::Error),
    /// Folders within folders without end.
    #[error("more than {MAX_DEPTH} folders within folders")]
    TooDeep,
    /// A symbolic link to a folder is not followed: it may lead round in a circle. Name its target instead.
    #[error("a link to a folder is not followed; name the folder itself")]
    LinkedFolder,
    /// A pipe, a device, or the like.
    #[error("not a file")]
    NotAFile,
    /// The file is empty.
    #[error("the file is empty")]
    Empty,
    /// The file is larger than is read.
    #[error("the file has more than {limit} bytes")]
    TooLarge {
        /// What is read at most.
        limit: usize,
    },
    /// The gzip data is broken.
    #[error("{0}")]
    Gzip(#[source] inflate::Error),
    /// The JSON between records is broken: what comes behind was not read.
    #[error("{broken}, behind {records} records")]
    Cut {
        /// Where and why.
        #[source]
        broken: Broken,
        /// Records before that place, which count.
        records: u64,
    },
    /// A line of a `.jsonl` file is broken.
    #[error("line {line}: {broken}")]
    Line {
        /// The line, from 1.
        line: u64,
        /// Where in the line, and why.
        #[source]
        broken: Broken,
    },
    /// A record may be an event of KMS and cannot be read.
    #[error("record {record}: {error}")]
    Record {
        /// The record, from 1.
        record: u64,
        /// What is wrong with it.
        #[source]
        error: event::Error,
    },
    /// A digest file of CloudTrail: it proves the integrity of log files and holds no events.
    #[error("a digest file, which holds no events")]
    Digest,
    /// JSON that is no log file.
    #[error("not a CloudTrail log file")]
    NotCloudTrail,
    /// A name that no log file has: neither `.json`, `.jsonl`, `.ndjson` nor `.gz`. Name the file itself to have it read.
    #[error("not a log file by its name")]
    OtherName,
}

impl Why {
    /// Whether events may be in what was not seen.
    pub fn hides_use(&self) -> bool {
        match self {
            Why::Digest | Why::NotCloudTrail | Why::OtherName => false,
            Why::Folder(_)
            | Why::File(_)
            | Why::TooDeep
            | Why::LinkedFolder
            | Why::NotAFile
            | Why::Empty
            | Why::TooLarge { .. }
            | Why::Gzip(_)
            | Why::Cut { .. }
            | Why::Line { .. }
            | Why::Record { .. } => true,
        }
    }
}

/// Reads every log file in `paths`: files as they are named, folders with all that is in them.
///
/// `progress` is called before the first and after every few files.
///
/// *Guarantee*: the same files give the same summary, whatever the number of threads.
///
/// # Errors
/// [`Error::Path`] where one of `paths` does not exist or may not be looked at. Trouble within folders is a [`Gap`].
pub fn scan(paths: &[PathBuf], selection: &Selection, progress: &mut dyn FnMut(&Progress)) -> Result<Summary, Error> {
    let found = find(paths)?;
    let mut summary = Summary { gaps: found.gaps, ..Summary::default() };
    let mut tally = Tally::new(selection);
    let mut state = Progress {
        files: found.files.len() as u64,
        bytes: found.files.iter().map(|file| file.bytes).sum(),
        ..Progress::default()
    };
    progress(&state);
    let workspaces = Mutex::new(Vec::new());
    for chunk in found.files.chunks(CHUNK_FILES) {
        let read: Vec<Reading<'_>> = chunk
            .par_iter()
            .map(|file| {
                let lent = workspaces.lock().unwrap_or_else(PoisonError::into_inner).pop();
                let mut workspace: Workspace = lent.unwrap_or_default();
                let reading = Reading::of(&file.path, tally.batch(), &mut workspace, MAX_FILE_BYTES);
                workspaces.lock().unwrap_or_else(PoisonError::into_inner).push(workspace);
                reading
            })
            .collect();
        for reading in read {
            summary.counts.add(reading.counts);
            summary.gaps.extend(reading.gaps);
            tally.add(reading.batch);
        }
        state.done = summary.counts;
        progress(&state);
    }
    summary.totals = tally.finish();
    // What may hide a use is named first, should there be too many to name.
    summary.gaps.sort_by(|one, other| (!one.why.hides_use(), &one.path).cmp(&(!other.why.hides_use(), &other.path)));
    summary.unnamed_gaps = summary.gaps.len().saturating_sub(MAX_GAPS) as u64;
    summary.gaps.truncate(MAX_GAPS);
    Ok(summary)
}

impl Counts {
    fn add(&mut self, other: Counts) {
        self.files += other.files;
        self.bytes_read += other.bytes_read;
        self.bytes += other.bytes;
        self.records += other.records;
    }
}

/// The files to read, by path, each once.
#[derive(Default)]
struct Found {
    files: Vec<FoundFile>,
    gaps: Vec<Gap>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct FoundFile {
    path: PathBuf,
    bytes: u64,
}

fn find(paths: &[PathBuf]) -> Result<Found, Error> {
    let mut found = Found::default();
    for path in paths {
        let metadata = fs::metadata(path).map_err(|source| Error::Path { path: path.clone(), source })?;
        if metadata.is_dir() {
            found.folder(path, 0);
        } else {
            found.file(path.clone(), &metadata);
        }
    }
    found.files.sort();
    found.files.dedup();
    Ok(found)
}

impl Found {
    fn gap(&mut self, path: PathBuf, why: Why) {
        self.gaps.push(Gap { path, why, count: 1 });
    }

    fn folder(&mut self, path: &Path, depth: usize) {
        if depth > MAX_DEPTH {
            return self.gap(path.to_owned(), Why::TooDeep);
        }
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => return self.gap(path.to_owned(), Why::Folder(error)),
        };
        for entry in entries {
            match entry {
                Ok(entry) => self.entry(&entry, depth),
                Err(error) => self.gap(path.to_owned(), Why::Folder(error)),
            }
        }
    }

    fn entry(&mut self, entry: &fs::DirEntry, depth: usize) {
        let path = entry.path();
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        match fs::metadata(&path) {
            Err(error) => self.gap(path, Why::File(error)),
            Ok(metadata) if metadata.is_dir() && is_link => self.gap(path, Why::LinkedFolder),
            Ok(metadata) if metadata.is_dir() => self.folder(&path, depth + 1),
            Ok(_) if !has_log_name(&path) => self.gap(path, Why::OtherName),
            Ok(_) if path.components().any(|part| part.as_os_str() == "CloudTrail-Digest") => {
                self.gap(path, Why::Digest)
            }
            Ok(metadata) => self.file(path, &metadata),
        }
    }

    fn file(&mut self, path: PathBuf, metadata: &fs::Metadata) {
        if metadata.is_file() {
            self.files.push(FoundFile { path, bytes: metadata.len() });
        } else {
            self.gap(path, Why::NotAFile);
        }
    }
}

fn has_log_name(path: &Path) -> bool {
    let suffix = path.extension().and_then(|suffix| suffix.to_str()).unwrap_or_default().to_ascii_lowercase();
    matches!(suffix.as_str(), "json" | "jsonl" | "ndjson" | "gz")
}

/// Whether each line is a value of its own, so that a broken line does not hide the next: `.jsonl`, `.ndjson`, also with `.gz`.
fn has_lines(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    name.ends_with(".jsonl") || name.ends_with(".ndjson")
}

/// What a thread needs for one file after another: buffers that stay.
#[derive(Default)]
struct Workspace {
    file: Vec<u8>,
    inflater: Inflater,
    needles: Needles,
}

/// What every event of KMS holds one of; the module's comment says why.
struct Needles([Finder<'static>; 3]);

impl Default for Needles {
    fn default() -> Needles {
        Needles([Finder::new("kms"), Finder::new("\\u006"), Finder::new("\\u007")])
    }
}

impl Needles {
    fn may_be_in(&self, bytes: &[u8]) -> bool {
        self.0.iter().any(|needle| needle.find(bytes).is_some())
    }
}

/// What one file says.
struct Reading<'s> {
    path: PathBuf,
    batch: Batch<'s>,
    counts: Counts,
    gaps: Vec<Gap>,
}

impl<'s> Reading<'s> {
    fn of(path: &Path, batch: Batch<'s>, workspace: &mut Workspace, cap: usize) -> Reading<'s> {
        let counts = Counts { files: 1, ..Counts::default() };
        let mut reading = Reading { path: path.to_owned(), batch, counts, gaps: Vec::new() };
        if let ControlFlow::Break(why) = reading.file(workspace, cap) {
            reading.gap(why);
        }
        reading
    }

    fn gap(&mut self, why: Why) {
        self.gaps.push(Gap { path: self.path.clone(), why, count: 1 });
    }

    /// Breaks with what kept the whole file from being read.
    fn file(&mut self, workspace: &mut Workspace, cap: usize) -> ControlFlow<Why> {
        let Workspace { file, inflater, needles } = workspace;
        file.clear();
        // One byte more than is allowed tells that the file is too large, whatever its length was when it was found.
        let opened = File::open(&self.path).and_then(|disk| disk.take(cap as u64 + 1).read_to_end(file));
        if let Err(error) = opened {
            return ControlFlow::Break(Why::File(error));
        }
        self.counts.bytes_read = file.len() as u64;
        if file.is_empty() {
            return ControlFlow::Break(Why::Empty);
        }
        if file.len() > cap {
            return ControlFlow::Break(Why::TooLarge { limit: cap });
        }
        if !inflate::is_gzip(file) {
            return self.json(file, needles);
        }
        let (json, result) = inflater.inflate(file, cap);
        if result.is_ok() && json.is_empty() {
            return ControlFlow::Break(Why::Empty);
        }
        if let Err(error) = result {
            self.gap(Why::Gzip(error));
            if json.is_empty() {
                return ControlFlow::Continue(());
            }
        }
        self.json(json, needles)
    }

    fn json(&mut self, json: &[u8], needles: &Needles) -> ControlFlow<Why> {
        self.counts.bytes = json.len() as u64;
        let needles = needles.may_be_in(json).then_some(needles);
        let outline = if has_lines(&self.path) { self.lines(json, needles) } else { self.values(json, needles)? };
        if outline.records > 0 || outline.documents > 0 {
            ControlFlow::Continue(())
        } else if outline.digests > 0 {
            ControlFlow::Break(Why::Digest)
        } else if outline.others > 0 {
            ControlFlow::Break(Why::NotCloudTrail)
        } else if self.gaps.is_empty() {
            // Nothing but blanks.
            ControlFlow::Break(Why::Empty)
        } else {
            ControlFlow::Continue(())
        }
    }

    /// A document, or events one behind the other.
    fn values(&mut self, json: &[u8], needles: Option<&Needles>) -> ControlFlow<Why, Outline> {
        let (outline, result) = split::split(json, |record| self.record(record, needles));
        match result {
            Ok(()) => ControlFlow::Continue(outline),
            Err(broken) => ControlFlow::Break(Why::Cut { broken, records: outline.records }),
        }
    }

    /// A value in each line.
    fn lines(&mut self, json: &[u8], needles: Option<&Needles>) -> Outline {
        let mut sum = Outline::default();
        let mut trouble: Option<Gap> = None;
        for (number, line) in (1..).zip(json.split(|byte| *byte == b'\n')) {
            let (outline, result) = split::split(line, |record| self.record(record, needles));
            sum.records += outline.records;
            sum.documents += outline.documents;
            sum.digests += outline.digests;
            sum.others += outline.others;
            if let Err(broken) = result {
                let first = || Gap { path: self.path.clone(), why: Why::Line { line: number, broken }, count: 0 };
                trouble.get_or_insert_with(first).count += 1;
            }
        }
        self.gaps.extend(trouble);
        sum
    }

    fn record(&mut self, record: &[u8], needles: Option<&Needles>) {
        self.counts.records += 1;
        if !needles.is_some_and(|needles| needles.may_be_in(record)) {
            return;
        }
        match Event::parse_kms(record) {
            Ok(Some(event)) => self.batch.observe(&event),
            Ok(None) => {}
            Err(error) => {
                let known = self.gaps.iter_mut().find(|gap| matches!(gap.why, Why::Record { .. }));
                match known {
                    Some(gap) => gap.count += 1,
                    None => self.gap(Why::Record { record: self.counts.records, error }),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("big.json");
        fs::write(&path, r#"{"Records":[]}"#).unwrap();
        let selection = Selection::all();
        let read = |cap| Reading::of(&path, Tally::new(&selection).batch(), &mut Workspace::default(), cap).gaps;
        assert!(read(14).is_empty());
        assert!(matches!(read(13)[0].why, Why::TooLarge { limit: 13 }));
    }

    #[test]
    fn names_tell_what_to_read() {
        for name in ["a.json", "a.json.gz", "A.JSON", "a.jsonl", "a.ndjson.gz", "a.gz"] {
            assert!(has_log_name(Path::new(name)), "{name}");
        }
        for name in ["LICENSE", "a.json.tmp", ".gz", "a.csv"] {
            assert!(!has_log_name(Path::new(name)), "{name}");
        }
        assert!(
            has_lines(Path::new("a.jsonl"))
                && has_lines(Path::new("x/a.NDJSON.gz"))
                && !has_lines(Path::new("a.json.gz"))
        );
    }
}
