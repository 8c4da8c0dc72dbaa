//! What was seen of one key's events, remembered beyond the time that the source keeps them.
//!
//! Event history forgets after 90 days, and a soak can last longer; and nobody wants to read 90 days again every hour. So the
//! events of the key and the times that were read to their end are appended to a file: one JSON value a line. A line is either an
//! event as it came, or a mark that says what was read; a mark is written after its events. The file is memory, not proof: it can be
//! deleted, and then everything is read again as far as the source still reaches.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use api::Timestamp;
use procedure::Span;
use procedure::span::union;
use serde::{Deserialize, Serialize};

use crate::sight::Call;

/// The largest file that is read: ten times what a case of half a year with a probe each hour has. (Ours.)
const MAX_BYTES: u64 = 256 << 20;

/// One line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Line {
    /// An event's JSON, as the source gave it.
    Event(String),
    /// What was read to its end.
    Read {
        /// When.
        span: Span,
        /// The hours in it with read-only events of any key.
        background: Vec<Timestamp>,
    },
}

/// What is remembered.
#[derive(Debug, Default, Clone)]
pub(crate) struct Memory {
    /// How far the file was read.
    bytes: u64,
    /// Calls on the key.
    pub(crate) calls: Vec<Call>,
    /// The times that were read, disjoint.
    pub(crate) spans: Vec<Span>,
    /// Hours with read-only events of any key.
    pub(crate) background: Vec<Timestamp>,
}

/// The file; or none, where nothing is to be remembered.
#[derive(Debug)]
pub(crate) struct Notebook {
    path: Option<PathBuf>,
}

impl Memory {
    /// Reads what the file has more than this; all of it, where it is not the file that it was.
    ///
    /// A line that is torn or unknown is passed over. It cannot be a mark whose events are missing.
    fn read_on(&mut self, path: &Path, arn: &str, aliases: &[String]) -> io::Result<()> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        if length < self.bytes {
            *self = Memory::default();
        }
        file.seek(SeekFrom::Start(self.bytes))?;
        let mut lines = BufReader::new(file.take(MAX_BYTES));
        let mut line = Vec::new();
        // A line without an end is being written; the next reading takes it up.
        while lines.read_until(b'\n', &mut line)? > 0 && line.last() == Some(&b'\n') {
            self.bytes += line.len() as u64;
            match serde_json::from_slice(&line) {
                Ok(Line::Event(event)) => self.calls.extend(Call::remembered(&event, arn, aliases)),
                Ok(Line::Read { span, background }) => {
                    self.spans.push(span);
                    self.background.extend(background);
                }
                Err(_) => {}
            }
            line.clear();
        }
        self.spans = union(self.spans.drain(..));
        self.background.sort_unstable();
        self.background.dedup();
        Ok(())
    }
}

impl Notebook {
    pub(crate) fn at(path: Option<&Path>) -> Notebook {
        Notebook { path: path.map(Path::to_owned) }
    }

    /// Brings `memory` up to what the file says; to nothing, where it cannot be read: then it is as if it had been deleted.
    pub(crate) fn recall(&self, memory: &mut Memory, arn: &str, aliases: &[String]) {
        let read = self.path.as_deref().map(|path| memory.read_on(path, arn, aliases));
        if !matches!(read, Some(Ok(()))) {
            *memory = Memory::default();
        }
    }

    /// Appends events, then the mark that they were read.
    ///
    /// # Errors
    /// Where it cannot be written; then nothing is lost but the time to read it again.
    pub(crate) fn note(&self, events: &[String], span: Span, background: &[Timestamp]) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let mut file = open(path)?;
        file.lock()?;
        // Whatever a crash left of a last line must not swallow the first of ours.
        let mut lines = b"\n".to_vec();
        for event in events {
            put(&mut lines, &Line::Event(event.clone()))?;
        }
        file.write_all(&lines)?;
        file.sync_all()?;
        lines.clear();
        put(&mut lines, &Line::Read { span, background: background.to_vec() })?;
        file.write_all(&lines)?;
        file.sync_all()
    }
}

fn put(lines: &mut Vec<u8>, line: &Line) -> io::Result<()> {
    serde_json::to_writer(&mut *lines, line)?;
    lines.push(b'\n');
    Ok(())
}

fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, KEY};

    fn span(since: &str, until: &str) -> Span {
        Span::new(since.parse().unwrap(), until.parse().unwrap())
    }

    #[test]
    fn what_was_noted_is_recalled_and_a_torn_line_costs_itself_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let notebook = Notebook::at(Some(&path));
        let hour = "2026-01-01T05:00:00Z".parse().unwrap();
        let (first, second) = (
            span("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
            span("2026-01-01T22:00:00Z", "2026-01-03T00:00:00Z"),
        );
        let event = |id| testing::event(id, "2026-01-01T05:30:00Z", "app", "Decrypt", "");
        let mut memory = Memory::default();
        notebook.recall(&mut memory, KEY, &[]);
        assert!(memory.calls.is_empty() && memory.spans.is_empty());
        notebook.note(&[event("a")], first, &[hour]).unwrap();
        notebook.recall(&mut memory, KEY, &[]);
        assert_eq!((memory.calls.len(), memory.spans.as_slice()), (1, [first].as_slice()));
        open(&path).unwrap().write_all(b"{\"read\":{\"span\":{\"since\":\"20").unwrap();
        notebook.recall(&mut memory, KEY, &[]);
        notebook.note(&[event("b")], second, &[hour]).unwrap();
        let mut afresh = Memory::default();
        for memory in [&mut memory, &mut afresh] {
            notebook.recall(memory, KEY, &[]);
            assert_eq!(memory.calls.len(), 2);
            assert_eq!(memory.spans, [Span::new(first.since, second.until)]);
            assert_eq!(memory.background, [hour]);
        }
        std::fs::remove_file(&path).unwrap();
        notebook.recall(&mut memory, KEY, &[]);
        assert!(memory.calls.is_empty(), "a file that is gone is forgotten");
    }
}
