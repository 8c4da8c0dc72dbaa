//! The sealed files of the trail: which there are, what is known of each, and looking through one.

use super::NO_PANIC;
use super::search::Found;
use super::tail::event;
use crate::audit::Error;
use crate::audit::seal::Sealed;
use api::{AccountId, Region, Timestamp};
use jiff::SignedDuration;
use libdeflater::{DecompressionError, Decompressor};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

/// A log file that inflates to more than this is none of ours.
const INFLATED_BYTES: usize = 512 << 20;

type Place = (AccountId, Region);

/// The trail's files as far as they are known.
pub(super) struct Files {
    trail: PathBuf,
    /// For each account and Region its files, those with the latest events last.
    known: RwLock<BTreeMap<Place, Vec<Arc<Summary>>>>,
}

/// What is known of a file without opening it.
#[derive(Debug, Clone)]
struct Summary {
    /// Relative to the trail.
    path: PathBuf,
    /// No event is later.
    until: Timestamp,
    /// The earliest event and the number of events, once the file was looked through.
    contents: Option<(Timestamp, usize)>,
}

impl Files {
    /// The log files that are under `trail` now. Whatever has another name is none of ours.
    pub(super) fn list(trail: &Path) -> Result<Files, Error> {
        let mut known = BTreeMap::new();
        let accounts = Path::new("AWSLogs");
        for name in names(trail, accounts)? {
            let Ok(account) = name.parse::<AccountId>() else { continue };
            let regions = accounts.join(name).join("CloudTrail");
            for name in names(trail, &regions)? {
                let Ok(region) = name.parse::<Region>() else { continue };
                let mut files = summaries(trail, regions.join(name))?;
                files.sort_by(order);
                known.insert((account, region), files.into_iter().map(Arc::new).collect::<Vec<_>>());
            }
        }
        Ok(Files { trail: trail.to_owned(), known: RwLock::new(known) })
    }

    pub(super) fn trail(&self) -> &Path {
        &self.trail
    }

    pub(super) fn add(&self, sealed: Vec<Sealed>) {
        let mut known = self.known.write().expect(NO_PANIC);
        for Sealed { account, region, path, since, until, events } in sealed {
            let files = known.entry((account, region)).or_default();
            if files.iter().all(|file| file.path != path) {
                let summary = Summary { path, until, contents: Some((since, events)) };
                let at = files.partition_point(|file| order(file, &summary).is_lt());
                files.insert(at, Arc::new(summary));
            }
        }
    }

    /// Opens the files that may hold what is looked for, newest first, until the page is full.
    pub(super) fn look(&self, found: &mut Found<'_>) -> Result<(), Error> {
        let place = (found.search.query.account, found.search.query.region);
        let files = self.known.read().expect(NO_PANIC).get(&place).cloned().unwrap_or_default();
        let mut reader = Reader::default();
        for summary in files.iter().rev() {
            if summary.until < found.floor() {
                // And so are all that follow.
                break;
            }
            if summary.contents.is_some_and(|(since, _)| !found.search.reaches(since)) {
                continue;
            }
            let path = self.trail.join(&summary.path);
            match reader.inflate(&path)? {
                Some(json) => {
                    if let Some(span) = look_in_file(json, &path, found)? {
                        self.learn(place, summary, &span);
                    }
                }
                // Someone keeps less of the trail than we know of.
                None => self.forget(place, summary),
            }
        }
        Ok(())
    }

    fn learn(&self, place: Place, learnt: &Summary, span: &Span) {
        if learnt.contents.is_some() {
            return;
        }
        let mut known = self.known.write().expect(NO_PANIC);
        let files = known.entry(place).or_default();
        if let Some(file) = files.iter_mut().find(|file| file.path == learnt.path) {
            let contents = Some((span.since, span.events));
            *file = Arc::new(Summary { path: learnt.path.clone(), until: span.until, contents });
            files.sort_by(|a, b| order(a, b));
        }
    }

    fn forget(&self, place: Place, gone: &Summary) {
        self.known.write().expect(NO_PANIC).entry(place).or_default().retain(|file| file.path != gone.path);
    }
}

fn order(a: &Summary, b: &Summary) -> Ordering {
    (a.until, &a.path).cmp(&(b.until, &b.path))
}

/// The time from a file's first event to its last.
struct Span {
    since: Timestamp,
    until: Timestamp,
    events: usize,
}

/// The log files of one account and Region, whose folder is `region`: `YYYY/MM/DD/*.json.gz` below it.
fn summaries(trail: &Path, region: PathBuf) -> Result<Vec<Summary>, Error> {
    let mut folders = vec![region];
    for _ in ["year", "month", "day"] {
        let mut below = Vec::new();
        for folder in folders {
            below.extend(names(trail, &folder)?.into_iter().map(|name| folder.join(name)));
        }
        folders = below;
    }
    let mut files = Vec::new();
    for folder in folders {
        for name in names(trail, &folder)? {
            if let Some(until) = latest(&name) {
                files.push(Summary { path: folder.join(name), until, contents: None });
            }
        }
    }
    Ok(files)
}

/// The names in a folder below `trail`; none if there is no such folder.
fn names(trail: &Path, folder: &Path) -> Result<Vec<String>, Error> {
    let folder = trail.join(folder);
    let list = || -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&folder)? {
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    };
    match list() {
        Ok(names) => Ok(names),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(source) => Err(Error::file("list", &folder, source)),
    }
}

/// The end of the minute in a log file's name: no event in the file is later, neither in ours nor in AWS's, whose names
/// carry the time of delivery.
fn latest(name: &str) -> Option<Timestamp> {
    let minute = name.strip_suffix(".json.gz")?.split('_').nth(3)?;
    let time = minute.strip_suffix('Z').filter(|minute| minute.len() == 13)?;
    let minute: Timestamp = format!("{time}00Z").parse().ok()?;
    Some(minute + SignedDuration::from_secs(60) - SignedDuration::from_nanos(1))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LogFile<'a> {
    #[serde(borrow)]
    records: Vec<&'a RawValue>,
}

/// Looks through an inflated file; its span, unless it could be skipped unread.
fn look_in_file(json: &[u8], path: &Path, found: &mut Found<'_>) -> Result<Option<Span>, Error> {
    if !found.search.may_match(json) {
        return Ok(None);
    }
    let damaged = |what| Error::Trail { path: path.to_owned(), what };
    let file: LogFile<'_> = serde_json::from_slice(json).map_err(|_| damaged("it is not a list of records"))?;
    let mut span: Option<Span> = None;
    for record in &file.records {
        let (time, event) = event(record.get()).ok_or_else(|| damaged("a record has no time, ID or name"))?;
        let span = span.get_or_insert(Span { since: time, until: time, events: 0 });
        (span.since, span.until, span.events) = (span.since.min(time), span.until.max(time), span.events + 1);
        found.offer(time, &event, record.get());
    }
    Ok(span)
}

/// Reads files with buffers that are used again.
#[derive(Default)]
struct Reader {
    inflated: Vec<u8>,
}

impl Reader {
    /// The JSON of a file; `None` where there is no such file.
    fn inflate(&mut self, path: &Path) -> Result<Option<&[u8]>, Error> {
        let damaged = |what| Error::Trail { path: path.to_owned(), what };
        let gzip = match fs::read(path) {
            Ok(gzip) => gzip,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::file("read", path, source)),
        };
        let mut decompressor = Decompressor::new();
        let mut room = (gzip.len() * 16).clamp(1 << 16, INFLATED_BYTES).max(self.inflated.len());
        loop {
            self.inflated.resize(room, 0);
            match decompressor.gzip_decompress(&gzip, &mut self.inflated) {
                Ok(length) => return Ok(Some(&self.inflated[..length])),
                Err(DecompressionError::InsufficientSpace) if room < INFLATED_BYTES => {
                    room = (room * 2).min(INFLATED_BYTES);
                }
                Err(DecompressionError::InsufficientSpace) => return Err(damaged("it inflates to more than 512 MiB")),
                Err(DecompressionError::BadData) => return Err(damaged("it is not gzip")),
            }
        }
    }
}
