//! What was seen of one key's events, remembered beyond the time that the source keeps them.
//!
//! Event history forgets after 90 days, and a soak can last longer; and nobody wants to read 90 days again every hour. So the
//! events of the key and the times that were read to their end are appended to a file: one JSON value a line. A line is either an
//! event as it came, or a mark that says what was read; a mark is written after its events. The file is memory, not proof: it can be
//! deleted, and then everything is read again as far as the source still reaches.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use api::Timestamp;
use procedure::Span;
use procedure::span::union;
use serde::{Deserialize, Serialize};

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
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Events, as they came.
    pub(crate) events: Vec<String>,
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

impl Notebook {
    pub(crate) fn at(path: Option<&Path>) -> Notebook {
        Notebook { path: path.map(Path::to_owned) }
    }

    /// All of it; nothing, where it cannot be read: then it is as if it had been deleted.
    ///
    /// A line that is torn or unknown is passed over. It cannot be a mark whose events are missing.
    pub(crate) fn recall(&self) -> Memory {
        self.path.as_deref().and_then(|path| read(path).ok()).unwrap_or_default()
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

fn read(path: &Path) -> io::Result<Memory> {
    let mut memory = Memory::default();
    for line in BufReader::new(File::open(path)?.take(MAX_BYTES)).split(b'\n') {
        match serde_json::from_slice(&line?) {
            Ok(Line::Event(event)) => memory.events.push(event),
            Ok(Line::Read { span, background }) => {
                memory.spans.push(span);
                memory.background.extend(background);
            }
            Err(_) => {}
        }
    }
    memory.spans = union(memory.spans);
    memory.background.sort_unstable();
    memory.background.dedup();
    Ok(memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(since: &str, until: &str) -> Span {
        Span::new(since.parse().unwrap(), until.parse().unwrap())
    }

    #[test]
    fn what_was_noted_is_recalled_and_a_torn_line_costs_itself_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let notebook = Notebook::at(Some(&path));
        assert_eq!(notebook.recall(), Memory::default());
        let hour = "2026-01-01T05:00:00Z".parse().unwrap();
        let (first, second) = (
            span("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
            span("2026-01-01T22:00:00Z", "2026-01-03T00:00:00Z"),
        );
        notebook.note(&["{\"a\":\"\\n\"}".to_owned()], first, &[hour]).unwrap();
        open(&path).unwrap().write_all(b"{\"read\":{\"span\":{\"since\":\"20").unwrap();
        notebook.note(&["{}".to_owned()], second, &[hour]).unwrap();
        let memory = notebook.recall();
        assert_eq!(memory.events, ["{\"a\":\"\\n\"}", "{}"]);
        assert_eq!(memory.spans, [Span::new(first.since, second.until)]);
        assert_eq!(memory.background, [hour]);
    }

    #[test]
    fn without_a_file_nothing_is_remembered() {
        let notebook = Notebook::at(None);
        notebook.note(&["{}".to_owned()], span("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"), &[]).unwrap();
        assert_eq!(notebook.recall(), Memory::default());
    }
}
