//! Reading log files of this machine: paths in, a [`Summary`] out. The only module of this crate that touches the disk.
//!
//! Every file is looked at or named: what cannot be read is a [`Gap`] of the summary. As many threads as there are cores read
//! files and make a [`Part`] of each; the parts are added up in the order of their paths.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rayon::prelude::*;

use crate::part::Part;
pub use crate::part::{Counts, Flaw};
use crate::scanner::Scanners;
use crate::selection::Selection;
use crate::summary::{Builder, MAX_DEPTH};
pub use crate::summary::{Gap, Summary, Why};

/// Files read between two reports of progress: at most so many, and no further one when they have so many bytes. The parts of two
/// such chunks are in memory.
const CHUNK_FILES: usize = 128;
const CHUNK_BYTES: u64 = 32 << 20;

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

/// Reads every log file in `paths`: files as they are named, folders with all that is in them.
///
/// # Errors
/// [`Error::Path`] where one of `paths` does not exist or may not be looked at. Trouble within folders is a [`Gap`].
pub fn scan(paths: &[PathBuf], selection: &Selection, progress: &mut dyn FnMut(&Progress)) -> Result<Summary, Error> {
    Ok(read(find(paths, &|_| true)?, selection, progress))
}

/// Reads the files that were found.
///
/// `progress` is called before the first and after every few files.
///
/// *Guarantee*: the same files give the same summary, whatever the number of threads.
pub fn read(found: Found, selection: &Selection, progress: &mut dyn FnMut(&Progress)) -> Summary {
    let mut builder = Builder::new(selection);
    found.gaps.into_iter().for_each(|gap| builder.gap(gap));
    let mut state = Progress {
        files: found.files.len() as u64,
        bytes: found.files.iter().map(|file| file.bytes).sum(),
        ..Progress::default()
    };
    progress(&state);
    let scanners = Scanners::default();
    let mut read = Vec::new();
    for chunk in chunks(&found.files) {
        // What was read before is added up while the next files are read.
        let (next, ()) = rayon::join(|| read_chunk(chunk, &scanners, selection), || add(&mut builder, read));
        read = next;
        state.done = builder.counts();
        progress(&state);
    }
    add(&mut builder, read);
    state.done = builder.counts();
    progress(&state);
    // What the scanners learned is what rows are told by.
    drop(scanners);
    builder.finish()
}

/// The files in runs that are read in one go.
fn chunks(files: &[FoundFile]) -> impl Iterator<Item = &[FoundFile]> {
    let mut rest = files;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let few = rest.iter().take(CHUNK_FILES).take_while(|file| {
            let is_room = bytes < CHUNK_BYTES;
            bytes += file.bytes;
            is_room
        });
        let (chunk, later) = rest.split_at(few.count());
        rest = later;
        (!chunk.is_empty()).then_some(chunk)
    })
}

fn add(builder: &mut Builder, read: Vec<(&Path, io::Result<Part>)>) {
    for (path, part) in read {
        match part {
            Ok(part) => builder.add(path, part).expect("all parts are made for the builder's selection"),
            Err(error) => {
                builder.count_unread(0);
                builder.gap(Gap { path: path.to_owned(), why: Why::File(error), count: 1 });
            }
        }
    }
}

fn read_chunk<'f>(
    chunk: &'f [FoundFile],
    scanners: &Scanners,
    selection: &Selection,
) -> Vec<(&'f Path, io::Result<Part>)> {
    let read = chunk.par_iter().with_max_len(1).map(|FoundFile { path, .. }| {
        let part = File::open(path).and_then(|file| scanners.with(|scanner| scanner.scan_from(path, file, selection)));
        (path.as_path(), part)
    });
    read.collect()
}

/// Files to read, and what could not be looked at.
#[derive(Debug, Default)]
pub struct Found {
    /// The files, by path, each once.
    pub files: Vec<FoundFile>,
    /// What is not read, and why.
    pub gaps: Vec<Gap>,
}

/// A file of this machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FoundFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// When it was last written, where the file system tells.
    pub modified: Option<SystemTime>,
}

/// Looks for the log files in `paths`, without reading any. Of what is in a folder, files and folders that `is_asked` refuses are
/// left out, and are no gaps.
///
/// # Errors
/// [`Error::Path`] where one of `paths` does not exist or may not be looked at. Trouble within folders is a [`Gap`].
pub fn find(paths: &[PathBuf], is_asked: &dyn Fn(&Path) -> bool) -> Result<Found, Error> {
    let mut search = Search { found: Found::default(), is_asked };
    for path in paths {
        let metadata = fs::metadata(path).map_err(|source| Error::Path { path: path.clone(), source })?;
        if metadata.is_dir() {
            search.folder(path, 0);
        } else {
            search.file(path.clone(), &metadata);
        }
    }
    let mut found = search.found;
    found.files.sort();
    found.files.dedup();
    Ok(found)
}

struct Search<'a> {
    found: Found,
    is_asked: &'a dyn Fn(&Path) -> bool,
}

impl Search<'_> {
    fn gap(&mut self, path: PathBuf, why: Why) {
        self.found.gaps.push(Gap { path, why, count: 1 });
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
        if !(self.is_asked)(&path) {
            return;
        }
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        match fs::metadata(&path) {
            Err(error) => self.gap(path, Why::File(error)),
            Ok(metadata) if metadata.is_dir() && is_link => self.gap(path, Why::LinkedFolder),
            Ok(metadata) if metadata.is_dir() => self.folder(&path, depth + 1),
            Ok(_) if !has_log_name(&path) => self.gap(path, Why::OtherName),
            Ok(_) if path.components().any(|part| part.as_os_str() == "CloudTrail-Digest") => {
                self.gap(path, Flaw::Digest.into())
            }
            Ok(metadata) => self.file(path, &metadata),
        }
    }

    fn file(&mut self, path: PathBuf, metadata: &fs::Metadata) {
        if metadata.is_file() {
            self.found.files.push(FoundFile { path, bytes: metadata.len(), modified: metadata.modified().ok() });
        } else {
            self.gap(path, Why::NotAFile);
        }
    }
}

/// Whether a file in a folder is read: `.json`, `.jsonl`, `.ndjson`, `.gz`.
pub fn has_log_name(path: &Path) -> bool {
    let suffix = path.extension().and_then(|suffix| suffix.to_str()).unwrap_or_default().to_ascii_lowercase();
    matches!(suffix.as_str(), "json" | "jsonl" | "ndjson" | "gz")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_to_read() {
        for name in ["a.json", "a.json.gz", "A.JSON", "a.jsonl", "a.ndjson.gz", "a.gz"] {
            assert!(has_log_name(Path::new(name)), "{name}");
        }
        for name in ["LICENSE", "a.json.tmp", ".gz", "a.csv"] {
            assert!(!has_log_name(Path::new(name)), "{name}");
        }
    }
}
