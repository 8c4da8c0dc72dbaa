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

/// Rows that stand side by side are read at once, but for more than so much: they are still in the processor's second-level cache when they are
/// checked and searched.
const RUN_BYTES: u64 = 128 << 10;

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

/// Reads rows of one index file.
#[derive(Default)]
pub(super) struct Rows {
    file: Option<File>,
    bytes: Vec<u8>,
}

impl Rows {
    /// Goes on with another index file.
    pub(super) fn open(&mut self, path: &Path) {
        // Without the file, no row of it is whole.
        self.file = File::open(path).ok();
    }

    /// Calls `each` with the number of each place and its row, in whatever order they stand in the file; with `None` where a row is not there, or no
    /// longer whole.
    pub(super) fn read(&mut self, places: &[Place], mut each: impl FnMut(usize, Option<Row<'_>>)) {
        let mut order: Vec<usize> = (0..places.len()).collect();
        order.sort_unstable_by_key(|number| places[*number].start);
        let mut rest = &order[..];
        while let [first, others @ ..] = rest {
            let Place { start, mut end } = places[*first];
            let is_next = |number: &&usize| {
                let next = places[**number];
                let is_next = next.start == end && next.end - start <= RUN_BYTES;
                end = if is_next { next.end } else { end };
                is_next
            };
            let count = 1 + others.iter().take_while(is_next).count();
            let (run, later) = rest.split_at(count);
            rest = later;
            let bytes = self.run(start, end);
            for number in run {
                let at = usize::try_from(places[*number].start - start).ok();
                let row = bytes.and_then(|bytes| Row::read(bytes.get(at?..)?));
                each(*number, row.map(|(row, _)| row));
            }
        }
    }

    fn run(&mut self, start: u64, end: u64) -> Option<&[u8]> {
        let length = usize::try_from(end - start).ok().filter(|length| *length <= ROW_BYTES)?;
        if self.bytes.len() < length {
            self.bytes.resize(length, 0);
        }
        let bytes = &mut self.bytes[..length];
        self.file.as_ref()?.read_exact_at(bytes, start).ok()?;
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_whatever_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("place/day");
        let names: Vec<String> = (0..90).map(|n| format!("{n}.json.gz")).collect();
        let marks: Vec<Vec<u8>> = (0..90_u8).map(|n| vec![n; 4 * 1000]).collect();
        let time = "2026-01-01T00:00:00Z".parse().unwrap();
        let each = names.iter().zip(&marks);
        let written: Vec<Row<'_>> = each.map(|(name, marks)| Row { name, since: time, until: time, marks }).collect();
        let (places, end) = append(&path, 0, &written).unwrap();
        let places: Vec<Place> = places.into_iter().map(Option::unwrap).collect();
        assert!(end > 2 * RUN_BYTES);
        let mut rows = Rows::default();
        let told = |rows: &mut Rows, asked: &[usize]| {
            let places: Vec<Place> = asked.iter().map(|number| places[*number]).collect();
            let mut told = vec![None; asked.len()];
            rows.read(&places, |nth, row| {
                assert_eq!(told[nth].replace(row.is_some()), None);
                assert!(row.is_none_or(|row| row == written[asked[nth]]));
            });
            told
        };
        let all: Vec<usize> = (0..90).collect();
        let falling: Vec<usize> = (0..90).rev().collect();
        let mixed: Vec<usize> = (0..90).map(|n| n * 37 % 90).filter(|n| n % 4 > 0).collect();
        assert_eq!(told(&mut rows, &all), [Some(false); 90], "no file");
        rows.open(&path);
        for asked in [&all, &falling, &mixed, &vec![], &vec![7]] {
            assert_eq!(told(&mut rows, asked), vec![Some(true); asked.len()]);
        }
        // What is damaged spoils no other row; what is cut off spoils those that are read together with it.
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(b"?", places[3].start + 100).unwrap();
        file.set_len(end - 1).unwrap();
        let mut expected = [Some(true); 90];
        expected[3] = Some(false);
        let tail = told(&mut rows, &all);
        assert_eq!(tail[..60], expected[..60]);
        assert_eq!(tail[89], Some(false));
    }
}
