//! Sealing: the records of a closed segment as CloudTrail log files, in CloudTrail's own layout and names.
//!
//! A segment's records go into a file for each account, Region and day, and into a next one when that has grown large:
//! `AWSLogs/<account>/CloudTrail/<region>/YYYY/MM/DD/<account>_CloudTrail_<region>_YYYYMMDDTHHMMZ_<16 letters>.json.gz`.
//! The time in the name is the minute of the latest event in the file, and the letters are drawn from the segment's number
//! and the file's content, so sealing the same segment again, after a crash, writes the same names and bytes.
//!
//! Source: CloudTrail User Guide, "CloudTrail log file examples" (file name format).

use super::Error;
use super::filing::Filing;
use super::segment::sync_folder;
use api::{AccountId, Region, Timestamp};
use aws_lc_rs::digest;
use libdeflater::{CompressionLvl, Compressor};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use trail::lookup::Record;
use trail::marks::{Marker, Marks};

/// A log file with this much JSON takes no more records, so that a lookup that needs one record of it inflates little more.
const FILE_JSON_BYTES: usize = 1 << 20;

/// What is in one log file of the trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The account that the records were delivered to.
    pub account: AccountId,
    /// The Region that was called.
    pub region: Region,
    /// The file, relative to the trail's folder.
    pub path: PathBuf,
    /// The time of the earliest event.
    pub since: Timestamp,
    /// The time of the latest event.
    pub until: Timestamp,
    /// How many events there are; 1 or more.
    pub events: usize,
    /// What its records can be looked up by; `None` where one of them cannot be looked up at all.
    pub marks: Option<Marks>,
}

/// A log file that is not written yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// What is in it, and its name.
    pub sealed: Sealed,
    /// Its bytes.
    pub gzip: Vec<u8>,
}

/// The log files of segment `segment`, by account, Region and day, then as the records came. The records keep their order and their bytes.
///
/// # Errors
/// [`Error::Unfiled`] for a record without `eventTime`, `awsRegion` or `recipientAccountId`.
pub fn log_files<'a>(segment: u64, records: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<LogFile>, Error> {
    let mut days: BTreeMap<(AccountId, Region, String), Vec<Part>> = BTreeMap::new();
    for (index, record) in records.into_iter().enumerate() {
        let place = place(record).map_err(|missing| Error::Unfiled { segment, index, missing })?;
        let date = place.time.strftime("%Y/%m/%d").to_string();
        let parts = days.entry((place.account, place.region, date)).or_default();
        if parts.last().is_none_or(|part| part.json.len() >= FILE_JSON_BYTES) {
            parts.push(Part::new(place.time));
        }
        parts.last_mut().expect("one was there or was just pushed").add(place.time, record);
    }
    let mut compressor = Compressor::new(CompressionLvl::default());
    let parts = days.into_iter().flat_map(|(place, parts)| parts.into_iter().map(move |part| (place.clone(), part)));
    let files = parts.map(|((account, region, date), part)| {
        let json = [&part.json[..], b"]}"].concat();
        let minute = part.until.strftime("%Y%m%dT%H%MZ");
        let letters = letters(segment, &json);
        let name = format!("{account}_CloudTrail_{region}_{minute}_{letters}.json.gz");
        let path = PathBuf::from(format!("AWSLogs/{account}/CloudTrail/{region}/{date}/{name}"));
        let Part { since, until, events, .. } = part;
        let sealed = Sealed { account, region, path, since, until, events, marks: part.marker.map(Marker::finish) };
        LogFile { sealed, gzip: gzip(&mut compressor, &json) }
    });
    Ok(files.collect())
}

/// Seals segment `segment`: its log files stand complete and durable under `trail` (files 0600, folders 0700).
///
/// # Errors
/// [`Error::Unfiled`], and [`Error::File`]; sealing again writes the same files.
pub fn seal<'a>(trail: &Path, segment: u64, records: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Sealed>, Error> {
    let files = log_files(segment, records)?;
    files.iter().try_for_each(|file| write(trail, file))?;
    // The names of the files and of the folders above them, which may be new as well; each folder once.
    let folders: BTreeSet<&Path> = files.iter().flat_map(|file| file.sealed.path.ancestors().skip(1)).collect();
    folders.iter().try_for_each(|folder| sync_folder(&trail.join(folder)))?;
    let above = trail.parent().filter(|above| !files.is_empty() && !above.as_os_str().is_empty());
    above.map_or(Ok(()), sync_folder)?;
    Ok(files.into_iter().map(|file| file.sealed).collect())
}

/// Writes one log file under another name, then gives it its own, so that a reader never sees half of one.
fn write(trail: &Path, file: &LogFile) -> Result<(), Error> {
    let path = trail.join(&file.sealed.path);
    let folder = path.parent().expect("a log file is in a folder");
    let draft = path.with_extension("tmp");
    let write = || -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        out.write_all(&file.gzip)?;
        out.sync_all()?;
        fs::rename(&draft, &path)
    };
    write().map_err(|source| Error::file("write", &path, source))
}

/// The records of one file, as they come.
struct Part {
    json: Vec<u8>,
    since: Timestamp,
    until: Timestamp,
    events: usize,
    /// `None` from the first record on that cannot be looked up.
    marker: Option<Marker>,
}

impl Part {
    fn new(time: Timestamp) -> Part {
        let marker = Some(Marker::default());
        Part { json: b"{\"Records\":[".to_vec(), since: time, until: time, events: 0, marker }
    }

    fn add(&mut self, time: Timestamp, record: &[u8]) {
        if self.events > 0 {
            self.json.push(b',');
        }
        self.json.extend_from_slice(record);
        (self.since, self.until) = (self.since.min(time), self.until.max(time));
        self.events += 1;
        let read = std::str::from_utf8(record).ok().and_then(Record::parse);
        match (&mut self.marker, read) {
            (Some(marker), Some(record)) => marker.add(&record),
            (marker, _) => *marker = None,
        }
    }
}

/// Where a record belongs.
struct Place {
    account: AccountId,
    region: Region,
    time: Timestamp,
}

fn place(record: &[u8]) -> Result<Place, &'static str> {
    let filing: Filing<'_> = serde_json::from_slice(record).map_err(|_| "JSON object")?;
    let account = filing.recipient_account_id.as_deref().and_then(|account| account.parse().ok());
    let region = filing.aws_region.as_deref().and_then(|region| region.parse().ok());
    let time = filing.event_time.as_deref().and_then(|time| time.parse().ok());
    Ok(Place {
        account: account.ok_or("account in `recipientAccountId`")?,
        region: region.ok_or("Region in `awsRegion`")?,
        time: time.ok_or("time in `eventTime`")?,
    })
}

/// 16 letters and digits that only this content of this segment has.
fn letters(segment: u64, json: &[u8]) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&segment.to_be_bytes());
    context.update(json);
    let digest = context.finish();
    let mut number = u128::from_be_bytes(*digest.as_ref().first_chunk().expect("SHA-256 has 32 bytes"));
    let letter = || {
        let letter = ALPHABET[usize::try_from(number % 62).expect("less than 62")];
        number /= 62;
        char::from(letter)
    };
    std::iter::repeat_with(letter).take(16).collect()
}

fn gzip(compressor: &mut Compressor, json: &[u8]) -> Vec<u8> {
    let mut gzip = vec![0; compressor.gzip_compress_bound(json.len())];
    let length = compressor.gzip_compress(json, &mut gzip).expect("the buffer has the size that suffices");
    gzip.truncate(length);
    gzip
}
