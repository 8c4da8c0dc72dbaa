//! The sealed files of the trail: which there are, what is known of each, and looking through those that may matter.
//!
//! Files are known by their names from the start; what is in them is learnt from the index when a lookup first comes to their day,
//! or from the file where the index does not say. In memory are a name, two times and a place of each file; marks stay on disk.
//!
//! A lookup goes from the newest day back. It leaves out, unopened, each file whose time is not asked for or whose marks lack what
//! is looked for, and stops where nothing older can come onto the page. So a page costs the index of the days it spans, and the
//! files that its events are in.

use super::NO_PANIC;
use super::index::{self, Rows};
use super::row::Row;
use super::search::Found;
use crate::audit::seal::Sealed;
use crate::audit::{Damage, Error};
use api::{AccountId, Region, Timestamp};
use jiff::SignedDuration;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use tracing::warn;
use trail::lookup::Record;
use trail::marks::{self, Marker, Marks};
use trail::scanner::{MAX_FILE_BYTES, Scanner};

/// So many files are looked up in the index together, where they may stand in another order; and what is learnt of them is written down together.
const AT_ONCE: usize = 64;

type Place = (AccountId, Region);
/// A file's name without its folder, and the file.
type Named = (String, Sealed);

/// The trail's files as far as they are known.
pub(super) struct Files {
    trail: PathBuf,
    index: PathBuf,
    /// For each account and Region its days, `YYYY/MM/DD`.
    known: RwLock<BTreeMap<Place, BTreeMap<Arc<str>, Day>>>,
    /// Whose turn it is to write to the index, or to load what is written. Taken before `known`.
    writing: Mutex<()>,
}

/// The files in one folder of the trail.
#[derive(Debug, Clone, Default)]
struct Day {
    /// Those with the latest events last.
    files: Arc<Vec<Known>>,
    /// Where the index file of this day ends, once it was loaded.
    end: Option<u64>,
}

/// What is known of a file without opening it.
#[derive(Debug, Clone)]
struct Known {
    name: Arc<str>,
    /// No event is later.
    until: Timestamp,
    /// No event is earlier, once that is known.
    since: Option<Timestamp>,
    /// Where the index says what it holds, if it does.
    row: Option<index::Place>,
}

/// What a file turned out to hold.
struct Contents {
    since: Timestamp,
    until: Timestamp,
    marks: Marks,
}

impl Files {
    /// The log files that are under `trail` now. Whatever has another name is none of ours.
    pub(super) fn list(trail: &Path, index: &Path) -> Result<Files, Error> {
        let mut known = BTreeMap::new();
        let accounts = Path::new("AWSLogs");
        for name in names(trail, accounts)? {
            let Ok(account) = name.parse::<AccountId>() else { continue };
            let regions = accounts.join(name).join("CloudTrail");
            for name in names(trail, &regions)? {
                let Ok(region) = name.parse::<Region>() else { continue };
                known.insert((account, region), days(trail, &regions.join(name))?);
            }
        }
        let (trail, index) = (trail.to_owned(), index.to_owned());
        Ok(Files { trail, index, known: RwLock::new(known), writing: Mutex::default() })
    }

    pub(super) fn trail(&self) -> &Path {
        &self.trail
    }

    /// Takes up files that were just sealed; what they hold is durable in the index then, where that can be written.
    pub(super) fn add(&self, sealed: Vec<Sealed>) {
        let mut days: BTreeMap<(Place, Arc<str>), Vec<Named>> = BTreeMap::new();
        for file in sealed {
            let (date, name) = date_and_name(&file.path).expect("sealing names its files so");
            days.entry(((file.account, file.region), date.into())).or_default().push((name, file));
        }
        for ((place, date), files) in days {
            self.change(place, &date, |day| {
                let known = Arc::make_mut(&mut day.files);
                for (name, file) in &files {
                    if known.iter().all(|known| *known.name != **name) {
                        known.push(Known { name: (**name).into(), until: file.until, since: None, row: None });
                    }
                }
                day.sort();
            });
            let contents = |(name, file): Named| {
                let Sealed { since, until, marks, .. } = file;
                Some((name, Contents { since, until, marks: marks? }))
            };
            let learnt: Vec<_> = files.into_iter().filter_map(contents).collect();
            self.learn(place, &date, &learnt);
        }
    }

    /// Opens the files that may hold what is looked for, newest first, until the page is full.
    pub(super) fn look(&self, found: &mut Found<'_>) -> Result<(), Error> {
        let place = (found.search.query.account, found.search.query.region);
        let mut reader = Reader::default();
        for (latest, date) in self.days(place) {
            if latest < found.floor() {
                // And so are all that follow.
                break;
            }
            self.look_in_day(place, &date, found, &mut reader)?;
        }
        Ok(())
    }

    fn look_in_day(
        &self,
        place: Place,
        date: &Arc<str>,
        found: &mut Found<'_>,
        reader: &mut Reader,
    ) -> Result<(), Error> {
        let files = self.loaded(place, date);
        reader.rows.open(&self.index_file(place, date));
        for files in files.rchunks(AT_ONCE) {
            if files.last().is_none_or(|file| file.until < found.floor()) {
                break;
            }
            self.look_in_files(place, date, files, found, reader)?;
        }
        Ok(())
    }

    fn look_in_files(
        &self,
        place: Place,
        date: &Arc<str>,
        files: &[Known],
        found: &mut Found<'_>,
        reader: &mut Reader,
    ) -> Result<(), Error> {
        let mut learnt = Vec::new();
        let may_hold = self.may_hold(place, date, files, found, reader);
        for (file, may_hold) in files.iter().zip(may_hold).rev() {
            if file.until < found.floor() {
                break;
            }
            let path = || self.path(place, date, &file.name);
            let outcome = match may_hold {
                Some(false) => continue,
                Some(true) => reader.look(&path(), found)?,
                None => reader.learn(&path(), Some(found))?,
            };
            match outcome {
                Outcome::Gone => self.forget(place, date, &file.name),
                Outcome::Skimmed | Outcome::Whole(None) => {}
                Outcome::Whole(Some(contents)) => learnt.push((file.name.to_string(), contents)),
            }
        }
        self.learn(place, date, &learnt);
        Ok(())
    }

    /// Whether what is looked for may be in these files, as their times and the index say; `None` where the file is to be asked.
    fn may_hold(
        &self,
        place: Place,
        date: &Arc<str>,
        files: &[Known],
        found: &Found<'_>,
        reader: &mut Reader,
    ) -> Vec<Option<bool>> {
        let is_reached = |file: &Known| file.since.is_none_or(|since| found.search.reaches(since));
        let by_time = files.iter().map(|file| if is_reached(file) { file.row.map(|_| true) } else { Some(false) });
        let mut may_hold: Vec<Option<bool>> = by_time.collect();
        let Some(mark) = found.search.mark() else { return may_hold };
        let (asked, places): (Vec<usize>, Vec<index::Place>) = (0..files.len())
            .filter(|number| may_hold[*number] == Some(true) && files[*number].until >= found.floor())
            .filter_map(|number| Some((number, files[number].row?)))
            .unzip();
        let mut is_damaged = false;
        reader.rows.read(&places, |nth, row| {
            let number = asked[nth];
            let row = row.filter(|row| row.name == &*files[number].name);
            is_damaged |= row.is_none();
            may_hold[number] = row.map(|row| marks::hold(row.marks, mark));
        });
        if is_damaged {
            self.distrust(place, date);
        }
        may_hold
    }

    /// Reads up to `most` files that the index does not know, the newest first, so that lookups need not; whether none is left.
    ///
    /// A damaged file is passed over: the lookup that needs it says so.
    pub(super) fn catch_up(&self, most: usize) -> bool {
        let places: Vec<Place> = self.known.read().expect(NO_PANIC).keys().copied().collect();
        let mut reader = Reader::default();
        let mut left = most;
        for place in places {
            for (_, date) in self.days(place) {
                let mut learnt = Vec::new();
                let files = self.loaded(place, &date);
                for file in files.iter().rev().filter(|file| file.row.is_none()).take(left) {
                    left -= 1;
                    if let Ok(Outcome::Whole(Some(contents))) = reader.learn(&self.path(place, &date, &file.name), None)
                    {
                        learnt.push((file.name.to_string(), contents));
                    }
                }
                self.learn(place, &date, &learnt);
                if left == 0 {
                    return false;
                }
            }
        }
        true
    }

    /// The days of a place with the time that no event of theirs is later than, falling.
    fn days(&self, place: Place) -> Vec<(Timestamp, Arc<str>)> {
        let known = self.known.read().expect(NO_PANIC);
        let days = known.get(&place).into_iter().flatten();
        let mut days: Vec<_> = days.filter_map(|(date, day)| Some((day.files.last()?.until, date.clone()))).collect();
        days.sort_unstable_by(|a, b| b.cmp(a));
        days
    }

    /// The files of a day with all that the index says of them.
    fn loaded(&self, place: Place, date: &Arc<str>) -> Arc<Vec<Known>> {
        let day = self.day(place, date);
        if day.end.is_some() {
            return day.files;
        }
        let turn = self.turn();
        self.load(&turn, place, date);
        self.day(place, date).files
    }

    fn day(&self, place: Place, date: &Arc<str>) -> Day {
        self.known.read().expect(NO_PANIC).get(&place).and_then(|days| days.get(date)).cloned().unwrap_or_default()
    }

    fn change(&self, place: Place, date: &Arc<str>, edit: impl FnOnce(&mut Day)) {
        edit(self.known.write().expect(NO_PANIC).entry(place).or_default().entry(date.clone()).or_default());
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().expect(NO_PANIC)
    }

    /// Takes over what the index says of a day, unless that was done; where its index file ends, if it can be used.
    fn load(&self, _turn: &MutexGuard<'_, ()>, place: Place, date: &Arc<str>) -> Option<u64> {
        let end = self.day(place, date).end;
        if end.is_some() {
            return end;
        }
        let path = self.index_file(place, date);
        let mut rows = BTreeMap::new();
        let loaded = index::load(&path, |at, row| {
            rows.insert(row.name.to_owned(), (row.since, row.until, at));
        });
        match loaded {
            Ok(end) => {
                self.change(place, date, |day| {
                    for file in Arc::make_mut(&mut day.files) {
                        if let Some((since, until, at)) = rows.get(&*file.name) {
                            (file.since, file.until, file.row) = (Some(*since), *until, Some(*at));
                        }
                    }
                    day.sort();
                    day.end = Some(end);
                });
                Some(end)
            }
            Err(error) => {
                warn!(path = %path.display(), %error, "cannot read what is known of the trail's files, so they are read themselves");
                None
            }
        }
    }

    /// Writes down what files of a day were found to hold, but for those of which that is written.
    fn learn(&self, place: Place, date: &Arc<str>, learnt: &[(String, Contents)]) {
        if learnt.is_empty() {
            return;
        }
        let turn = self.turn();
        let end = self.load(&turn, place, date);
        let day = self.day(place, date);
        let is_unwritten = |name: &str| day.files.iter().any(|file| *file.name == *name && file.row.is_none());
        let learnt: Vec<&(String, Contents)> = learnt.iter().filter(|(name, _)| is_unwritten(name)).collect();
        if learnt.is_empty() {
            return;
        }
        let marks: Vec<Vec<u8>> = learnt.iter().map(|(_, contents)| contents.marks.to_bytes()).collect();
        let rows: Vec<Row<'_>> =
            learnt.iter().zip(&marks).map(|((name, contents), marks)| row(name, contents, marks)).collect();
        let path = self.index_file(place, date);
        let written = match end.map(|end| index::append(&path, end, &rows)) {
            Some(Ok((places, end))) => Some((places, end)),
            Some(Err(error)) => {
                warn!(path = %path.display(), %error, "cannot write down what the trail's files hold, so lookups read them all");
                None
            }
            None => None,
        };
        let (places, end) = match written {
            Some((places, end)) => (places, Some(end)),
            // What stands behind the last whole row is cut off before the next is written.
            None => (vec![None; rows.len()], None),
        };
        self.change(place, date, |day| {
            let files = Arc::make_mut(&mut day.files);
            for (row, at) in rows.iter().zip(places) {
                if let Some(file) = files.iter_mut().find(|file| *file.name == *row.name) {
                    (file.since, file.until, file.row) = (Some(row.since), row.until, at);
                }
            }
            day.sort();
            day.end = end;
        });
    }

    /// What the index says of a day is not what was written: it is loaded anew, and what it no longer says is learnt again.
    fn distrust(&self, place: Place, date: &Arc<str>) {
        let _turn = self.turn();
        self.change(place, date, |day| {
            Arc::make_mut(&mut day.files).iter_mut().for_each(|file| file.row = None);
            day.end = None;
        });
    }

    fn forget(&self, place: Place, date: &Arc<str>, name: &str) {
        self.change(place, date, |day| Arc::make_mut(&mut day.files).retain(|file| *file.name != *name));
    }

    fn path(&self, (account, region): Place, date: &str, name: &str) -> PathBuf {
        self.trail.join(format!("AWSLogs/{account}/CloudTrail/{region}/{date}/{name}"))
    }

    fn index_file(&self, (account, region): Place, date: &str) -> PathBuf {
        self.index.join(format!("{account}/{region}/{}", date.replace('/', "-")))
    }
}

impl Day {
    fn sort(&mut self) {
        let files = Arc::make_mut(&mut self.files);
        files.sort_unstable_by(|a, b| (a.until, &a.name).cmp(&(b.until, &b.name)));
    }
}

fn row<'a>(name: &'a str, contents: &'a Contents, marks: &'a [u8]) -> Row<'a> {
    Row { name, since: contents.since, until: contents.until, marks }
}

/// `YYYY/MM/DD` and the name, of a log file's path.
fn date_and_name(path: &Path) -> Option<(String, String)> {
    let mut parts = path.to_str()?.rsplitn(5, '/');
    let name = parts.next()?;
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    Some((format!("{year}/{month}/{day}"), name.to_owned()))
}

/// The log files of one account and Region, whose folder is `region`: `YYYY/MM/DD/*.json.gz` below it.
fn days(trail: &Path, region: &Path) -> Result<BTreeMap<Arc<str>, Day>, Error> {
    let mut dates = vec![String::new()];
    for separator in ["", "/", "/"] {
        let mut below = Vec::new();
        for date in dates {
            below.extend(names(trail, &region.join(&date))?.into_iter().map(|name| format!("{date}{separator}{name}")));
        }
        dates = below;
    }
    let mut days = BTreeMap::new();
    for date in dates {
        let known = |name: String| Some(Known { until: latest(&name)?, name: name.into(), since: None, row: None });
        let files: Vec<Known> = names(trail, &region.join(&date))?.into_iter().filter_map(known).collect();
        let mut day = Day { files: Arc::new(files), end: None };
        day.sort();
        days.insert(date.into(), day);
    }
    Ok(days)
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

/// Reads log files, and the index, with buffers that are used again.
#[derive(Default)]
struct Reader {
    rows: Rows,
    file: Vec<u8>,
    scanner: Scanner,
}

/// What came of reading a file.
enum Outcome {
    /// Someone keeps less of the trail than we know of.
    Gone,
    /// Only what may be looked for was read.
    Skimmed,
    /// All was read; nothing is in it where there are no contents.
    Whole(Option<Contents>),
}

impl Reader {
    /// Reads of a file what may be looked for.
    fn look(&mut self, path: &Path, found: &mut Found<'_>) -> Result<Outcome, Error> {
        if !self.read(path)? {
            return Ok(Outcome::Gone);
        }
        let mut offer = |json: &[u8]| {
            if !found.search.may_match(json) {
                return Some(());
            }
            let text = std::str::from_utf8(json).ok()?;
            found.offer(&Record::parse(text)?, text);
            Some(())
        };
        let is_done =
            self.scanner.pieces(&self.file).is_some_and(|mut pieces| pieces.all(|json| offer(json).is_some()));
        if !is_done {
            // What is offered again changes nothing.
            self.records(path, offer)?;
        }
        Ok(Outcome::Skimmed)
    }

    /// Reads all of a file, and offers what is in it.
    fn learn(&mut self, path: &Path, mut found: Option<&mut Found<'_>>) -> Result<Outcome, Error> {
        let mut marker = Marker::default();
        let mut span: Option<(Timestamp, Timestamp)> = None;
        if !self.read(path)? {
            return Ok(Outcome::Gone);
        }
        self.records(path, |json| {
            let text = std::str::from_utf8(json).ok()?;
            let record = Record::parse(text)?;
            let time = record.event_time;
            let (since, until) = span.unwrap_or((time, time));
            span = Some((since.min(time), until.max(time)));
            marker.add(&record);
            if let Some(found) = &mut found {
                found.offer(&record, text);
            }
            Some(())
        })?;
        let contents = span.map(|(since, until)| Contents { since, until, marks: marker.finish() });
        Ok(Outcome::Whole(contents))
    }

    /// Reads a file; whether it is there.
    fn read(&mut self, path: &Path) -> Result<bool, Error> {
        self.file.clear();
        let mut read = || File::open(path)?.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut self.file);
        match read() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(source) => Err(Error::file("read", path, source)),
        }
    }

    /// Calls `each` with the JSON of every record of the file that was read, until it says that one is no event.
    fn records(&mut self, path: &Path, mut each: impl FnMut(&[u8]) -> Option<()>) -> Result<(), Error> {
        let damaged = |what| Error::Trail { path: path.to_owned(), what };
        let (mut record, mut strange) = (0, None);
        let (_, troubles) = self.scanner.records(path, &self.file, |json| {
            record += 1;
            if strange.is_none() && each(json).is_none() {
                strange = Some(record);
            }
        });
        match (troubles.into_iter().next(), strange) {
            (Some(trouble), _) => Err(damaged(Damage::Flaw(trouble.why))),
            (None, Some(record)) => Err(damaged(Damage::NoEvent { record })),
            (None, None) => Ok(()),
        }
    }
}
