//! The index files: for each account, Region and day of the trail one file of rows, which says what its log files hold.
//!
//! They stand beside the trail, outside CloudTrail's layout: `DIR/lookup/<account>/<region>/YYYY-MM-DD`. All in them is derived from
//! the trail and may be removed at any time; what is missing or damaged is written again when the log file itself was read.
//!
//! INVARIANT: an index file is a header and whole rows, but for its end, which a crash may have left half written. Whoever appends
//! has cut that off before ([`load`]).

use super::row::{FRAME_BYTES, HEADER, ROW_BYTES, Row, length};
use crate::audit::segment::sync_folder;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;

/// So much of an index file is read at once: the rows of many log files.
const WINDOW_BYTES: u64 = 1 << 20;

/// Where a row stands in its index file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    start: u64,
    end: u64,
}

/// Reads the rows of an index file, and cuts off what is not whole. Returns where the next row goes; 0 where there is no file.
///
/// *Assumptions*: nobody appends meanwhile.
pub(super) fn load(path: &Path, mut each: impl FnMut(Place, &Row<'_>)) -> io::Result<u64> {
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut reader = BufReader::with_capacity(1 << 16, &file);
    let mut bytes = Vec::new();
    let mut end = 0;
    if fill(&mut reader, &mut bytes, HEADER.len())? && bytes == HEADER {
        end = HEADER.len() as u64;
        while let Some(length) = next(&mut reader, &mut bytes)? {
            let Some((row, _)) = Row::read(&bytes) else { break };
            let place = Place { start: end, end: end + length as u64 };
            each(place, &row);
            end = place.end;
        }
    }
    if file.metadata()?.len() > end {
        file.set_len(end)?;
    }
    Ok(end)
}

/// Reads the next row into `bytes`; its length, or `None` where there is no whole one.
fn next(reader: &mut impl Read, bytes: &mut Vec<u8>) -> io::Result<Option<usize>> {
    bytes.clear();
    if !fill(reader, bytes, FRAME_BYTES)? {
        return Ok(None);
    }
    let Some(length) = length(bytes) else { return Ok(None) };
    Ok(fill(reader, bytes, length)?.then_some(length))
}

/// Reads on until `bytes` has `length` bytes; whether there were so many.
fn fill(reader: &mut impl Read, bytes: &mut Vec<u8>, length: usize) -> io::Result<bool> {
    let missing = length.saturating_sub(bytes.len()) as u64;
    reader.take(missing).read_to_end(bytes)?;
    Ok(bytes.len() == length)
}

/// Writes `rows` behind byte `end` of an index file, which [`load`] or the last append returned; where each stands, and where the
/// next one goes. They are durable.
///
/// A row that is too large is left out, as `None`.
pub(super) fn append(path: &Path, end: u64, rows: &[Row<'_>]) -> io::Result<(Vec<Option<Place>>, u64)> {
    let folder = path.parent().expect("an index file is in a folder");
    let mut bytes = if end == 0 { HEADER.to_vec() } else { Vec::new() };
    let mut places = Vec::new();
    for row in rows {
        let row = row.to_bytes();
        let start = end + bytes.len() as u64;
        places.push(row.as_ref().map(|row| Place { start, end: start + row.len() as u64 }));
        bytes.extend(row.unwrap_or_default());
    }
    if end == 0 {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let file = OpenOptions::new().write(true).create(end == 0).truncate(false).mode(0o600).open(path)?;
    file.write_all_at(&bytes, end)?;
    file.sync_all()?;
    if end == 0 {
        // The name may be lost with the folders above it: then the rows are, and are derived again.
        sync_folder(folder).map_err(io::Error::other)?;
    }
    Ok((places, end + bytes.len() as u64))
}

/// Reads rows of one index file, from its end towards its beginning, many at a time.
#[derive(Default)]
pub(super) struct Window {
    file: Option<File>,
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// Goes on with another index file.
    pub(super) fn open(&mut self, path: &Path) {
        self.bytes.clear();
        // Without the file, no row of it is whole.
        self.file = File::open(path).ok();
    }

    /// The row at `place`; `None` where it is not there, or no longer whole.
    pub(super) fn row(&mut self, place: Place) -> Option<Row<'_>> {
        let within = self.start <= place.start && place.end <= self.start + self.bytes.len() as u64;
        if !within {
            let start = place.start.min(place.end.saturating_sub(WINDOW_BYTES));
            let length = usize::try_from(place.end - start).ok().filter(|length| *length <= ROW_BYTES)?;
            self.bytes.resize(length, 0);
            self.start = start;
            if self.file.as_ref()?.read_exact_at(&mut self.bytes, start).is_err() {
                self.bytes.clear();
                return None;
            }
        }
        let at = usize::try_from(place.start - self.start).ok()?;
        Row::read(self.bytes.get(at..)?).map(|(row, _)| row)
    }
}
