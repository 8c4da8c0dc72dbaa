//! The files of the log: their names, how one is begun, read, and put right after a crash.

use super::Error;
use super::frame::{self, Frame, HEADER_BYTES};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A record as it stands in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its sequence in the store's queue; 0 for a record that was never in the store.
    pub source: u64,
    /// The record, JSON.
    pub bytes: &'a [u8],
}

/// A segment in memory, whole and checked.
#[derive(Debug)]
pub struct Segment {
    number: u64,
    base: u64,
    bytes: Vec<u8>,
    frames: Vec<Frame>,
}

impl Segment {
    /// The segment's number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Its records, in the order in which they became durable.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let record = |frame: &Frame| Record { source: frame.source, bytes: &self.bytes[frame.record.clone()] };
        self.frames.iter().map(record)
    }

    /// The highest store sequence in this segment and those before it; 0 for none.
    pub(super) fn last_store_sequence(&self) -> u64 {
        last_store_sequence(self.base, &self.frames)
    }
}

/// What a crash had left half written at the end of the log, and was cut off: nobody was told that it was durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornTail {
    /// The segment's file.
    pub path: PathBuf,
    /// Where the file ends now.
    pub offset: u64,
    /// How many bytes were cut off.
    pub bytes: u64,
}

/// The newest segment after it was put right, ready for more.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) file: File,
    pub(super) length: u64,
    pub(super) holds_records: bool,
    pub(super) last_store_sequence: u64,
    pub(super) torn: Option<TornTail>,
}

/// The file of segment `number`.
pub(super) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:012}.log"))
}

/// The numbers of all segments in `folder`, ascending. Other files are none of ours.
pub(super) fn numbers(folder: &Path) -> Result<Vec<u64>, Error> {
    let list = || -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".log")).filter(|digits| digits.len() == 12);
            numbers.extend(number.and_then(|digits| digits.parse::<u64>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    };
    list().map_err(|source| Error::file("list", folder, source))
}

/// Makes the folder, which only its owner may enter.
pub(super) fn make_folder(folder: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|source| Error::file("make folder", folder, source))
}

/// Begins segment `number`, empty, durable, which follows store sequence `base`.
pub(super) fn create(folder: &Path, number: u64, base: u64) -> Result<File, Error> {
    let path = path(folder, number);
    let make = || -> io::Result<File> {
        let mut file = OpenOptions::new().append(true).read(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(&frame::header(base))?;
        file.sync_all()?;
        Ok(file)
    };
    let file = make().map_err(|source| Error::file("begin segment", &path, source))?;
    sync_folder(folder)?;
    Ok(file)
}

/// Makes the names in `folder` durable.
pub(super) fn sync_folder(folder: &Path) -> Result<(), Error> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|source| Error::file("sync folder", folder, source))
}

/// Reads the bytes `within` of segment `number`, which must be durable and undamaged; they start and end at a frame.
///
/// `None` where there is no such segment (any more).
pub(super) fn read(folder: &Path, number: u64, within: Range<u64>) -> Result<Option<Segment>, Error> {
    let path = path(folder, number);
    let load = || -> io::Result<([u8; HEADER_BYTES], u64, Vec<u8>)> {
        let file = File::open(&path)?;
        let length = file.metadata()?.len();
        let mut header = [0; HEADER_BYTES];
        file.read_exact_at(&mut header, 0)?;
        let start = within.start.max(HEADER_BYTES as u64);
        let wanted = within.end.min(length).saturating_sub(start);
        let mut bytes = vec![0; usize::try_from(wanted).map_err(|_| ErrorKind::OutOfMemory)?];
        file.read_exact_at(&mut bytes, start)?;
        Ok((header, start, bytes))
    };
    let corrupt = |offset: u64| Error::Corrupt { path: path.clone(), offset };
    let (header, start, bytes) = match load() {
        Ok(loaded) => loaded,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(corrupt(0)),
        Err(source) => return Err(Error::file("read", &path, source)),
    };
    let base = frame::base(&header).ok_or_else(|| corrupt(0))?;
    let (frames, end) = frames(&bytes, start);
    if end < bytes.len() {
        return Err(corrupt(start + end as u64));
    }
    Ok(Some(Segment { number, base, bytes, frames }))
}

/// Opens the newest segment and cuts off what a crash left half written.
///
/// `base` is the store sequence that the segments before it reached, for a segment whose header is not yet whole.
pub(super) fn recover(folder: &Path, number: u64, base: u64) -> Result<Recovered, Error> {
    let path = path(folder, number);
    let bytes = fs::read(&path).map_err(|source| Error::file("read", &path, source))?;
    let corrupt = |offset: usize| Error::Corrupt { path: path.clone(), offset: offset as u64 };

    let written = frame::base(&bytes);
    let (frames, end) = match written {
        Some(_) => {
            let (frames, end) = frames(&bytes[HEADER_BYTES..], HEADER_BYTES as u64);
            (frames, HEADER_BYTES + end)
        }
        None if bytes.len() <= HEADER_BYTES => (Vec::new(), 0),
        None => return Err(corrupt(0)),
    };
    if frame::has_mark_after(&bytes, end) {
        return Err(corrupt(end));
    }
    let mend = || -> io::Result<File> {
        let mut file = OpenOptions::new().append(true).read(true).open(&path)?;
        if end < bytes.len() {
            file.set_len(end as u64)?;
        }
        if written.is_none() {
            file.write_all(&frame::header(base))?;
        }
        // Also what was whole: a crash may have come between its write and its sync.
        file.sync_all()?;
        Ok(file)
    };
    let torn = TornTail { path: path.clone(), offset: end as u64, bytes: (bytes.len() - end) as u64 };
    Ok(Recovered {
        file: mend().map_err(|source| Error::file("mend", &path, source))?,
        length: end.max(HEADER_BYTES) as u64,
        holds_records: !frames.is_empty(),
        last_store_sequence: last_store_sequence(written.unwrap_or(base), &frames),
        torn: (torn.bytes > 0).then_some(torn),
    })
}

/// Whether segment `number` has no whole header: a crash came while it was begun.
pub(super) fn is_headless(folder: &Path, number: u64) -> Result<bool, Error> {
    let path = path(folder, number);
    let length = fs::metadata(&path).map_err(|source| Error::file("examine", &path, source))?.len();
    if length > HEADER_BYTES as u64 {
        return Ok(false);
    }
    let bytes = fs::read(&path).map_err(|source| Error::file("read", &path, source))?;
    Ok(frame::base(&bytes).is_none())
}

fn last_store_sequence(base: u64, frames: &[Frame]) -> u64 {
    frames.iter().map(|frame| frame.source).fold(base, u64::max)
}

/// The records' frames of `bytes`, which begin at `origin` of their segment, marks left out; and where whole frames end.
fn frames(bytes: &[u8], origin: u64) -> (Vec<Frame>, usize) {
    let (mut frames, mut offset) = (Vec::new(), 0);
    while let Some(frame) = frame::frame(bytes, offset, origin) {
        offset = frame.record.end;
        if !frame.record.is_empty() {
            frames.push(frame);
        }
    }
    (frames, offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::frame::{FRAME_BYTES, head, header, mark};

    /// A segment file of groups of records, as the writer would have written it, and where each record's frame ends.
    fn written(groups: &[&[&str]]) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut ends) = (header(5).to_vec(), Vec::new());
        for group in groups {
            bytes.extend(mark(bytes.len() as u64));
            for record in *group {
                bytes.extend(head(0, record.as_bytes()));
                bytes.extend(record.as_bytes());
                ends.push(bytes.len());
            }
        }
        (bytes, ends)
    }

    fn recovered(bytes: &[u8]) -> (Result<Recovered, Error>, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(path(folder.path(), 1), bytes).unwrap();
        let recovered = recover(folder.path(), 1, 9);
        (recovered, fs::read(path(folder.path(), 1)).unwrap())
    }

    const GROUPS: &[&[&str]] = &[&["one"], &["two", "three", "four"]];

    #[test]
    fn a_tail_torn_anywhere_is_cut_to_the_last_whole_frame() {
        let (bytes, _) = written(GROUPS);
        for length in 0..=bytes.len() {
            let (recovered, left) = recovered(&bytes[..length]);
            let recovered = recovered.unwrap();
            let headless = length < HEADER_BYTES;
            assert_eq!(recovered.last_store_sequence, if headless { 9 } else { 5 });
            let expected = if headless { header(9).to_vec() } else { bytes[..left.len()].to_vec() };
            assert_eq!(left, expected);
            assert_eq!(recovered.length, left.len() as u64);
            let cut = recovered.torn.map_or(0, |torn| torn.bytes);
            assert_eq!(cut as usize, if headless { length } else { length - left.len() });
            assert!(length - left.len().min(length) < FRAME_BYTES + "three".len());
        }
    }

    #[test]
    fn damage_in_the_last_group_cuts_what_follows() {
        let (bytes, ends) = written(GROUPS);
        let mut damaged = bytes.clone();
        damaged[ends[2] - 1] ^= 1;
        let (recovered, left) = recovered(&damaged);
        assert_eq!(left, bytes[..ends[1]]);
        let torn = recovered.unwrap().torn.unwrap();
        assert_eq!((torn.offset, torn.bytes), (ends[1] as u64, (bytes.len() - ends[1]) as u64));
    }

    #[test]
    fn damage_before_a_durable_group_is_an_error_and_nothing_is_cut() {
        let (bytes, ends) = written(GROUPS);
        for at in 0..ends[0] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x40;
            let (recovered, left) = recovered(&damaged);
            let offset = match at {
                ..HEADER_BYTES => 0,
                _ if at < HEADER_BYTES + FRAME_BYTES => HEADER_BYTES,
                _ => HEADER_BYTES + FRAME_BYTES,
            };
            let error = recovered.unwrap_err();
            assert!(matches!(&error, Error::Corrupt { offset: found, .. } if *found == offset as u64), "{at}: {error}");
            assert_eq!(left, damaged);
        }
    }

    #[test]
    fn zeros_that_were_never_written_are_no_records() {
        let (bytes, _) = written(GROUPS);
        let (recovered, left) = recovered(&[&bytes[..], &[0; 100]].concat());
        assert_eq!(left, bytes);
        assert_eq!(recovered.unwrap().torn.unwrap().bytes, 100);
    }
}
