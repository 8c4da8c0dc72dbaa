//! What was read before, so that a second scan reads only what is new.
//!
//! One file for each selection and folder of log files, one line for each log file: the digest of the line, the log file's name,
//! length and stamp (its ETag, or when it was last written), and its part as `trail` writes it down. Lines are only ever added.
//!
//! *Guarantee*: a part that is handed out is the one that reading the same file gives. A line that is damaged, of another version
//! or of another state of the file is as good as none: the file is read again.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use procedure::Digest;
use serde::{Deserialize, Serialize};
use trail::Selection;
use trail::part::{Part, VERSION};

/// Lines longer than this are not read: parts of the largest files that CloudTrail makes are far shorter. (Ours.)
const MAX_LINE_BYTES: usize = 256 << 20;
/// A digest has 64 digits, and a blank stands behind it.
const DIGEST_BYTES: usize = 64;

/// Which state of which log file a part is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) stamp: String,
}

/// A folder of parts.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    selection: Selection,
    /// The lines of the file that was looked into last. Log files come folder by folder.
    lines: Option<(PathBuf, Lines)>,
    /// Why nothing is written any more.
    trouble: Option<io::Error>,
}

/// Where the line of each log file is: its place and length.
type Lines = HashMap<String, (u64, usize)>;

impl Cache {
    /// The parts in `folder` that were made for `selection`.
    ///
    /// # Errors
    /// Where the folder cannot be made.
    pub(super) fn open(folder: &Path, selection: &Selection) -> io::Result<Cache> {
        let made_for = Digest::of_value(&(VERSION, selection)).to_string();
        let folder = folder.join(&made_for[..16]);
        // It tells who uses which key, as the trail itself does.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        Ok(Cache { folder, selection: selection.clone(), lines: None, trouble: None })
    }

    /// The part of a log file in this state, where it is known.
    pub(super) fn recall(&mut self, state: &State) -> Option<Part> {
        let path = self.file_of(&state.name);
        if self.lines.as_ref().is_none_or(|(known, _)| *known != path) {
            let lines = index(&path).unwrap_or_default();
            self.lines = Some((path.clone(), lines));
        }
        let (at, length) = *self.lines.as_ref()?.1.get(&state.name)?;
        let mut line = vec![0; length];
        let mut file = File::open(&path).ok()?;
        file.seek(SeekFrom::Start(at)).ok()?;
        file.read_exact(&mut line).ok()?;
        let (known, part) = parse(&line)?;
        let part = (known == *state).then(|| Part::from_bytes(part).ok())??;
        (*part.selection() == self.selection).then_some(part)
    }

    /// Keeps the part of a log file. What cannot be kept is read again the next time.
    pub(super) fn keep(&mut self, state: &State, part: &Part) {
        if self.trouble.is_some() {
            return;
        }
        let path = self.file_of(&state.name);
        let mut line = vec![b'\n'; 1];
        line.extend(written(state, part));
        line.push(b'\n');
        let open = || OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        // One write, so that lines of two scans at once do not mix.
        self.trouble = open().and_then(|mut file| file.write_all(&line)).err();
    }

    /// Why not all parts could be kept.
    pub(super) fn trouble(self) -> Option<io::Error> {
        self.trouble
    }

    fn file_of(&self, name: &str) -> PathBuf {
        let parent = name.rsplit_once('/').map_or("", |(parent, _)| parent);
        self.folder.join(format!("{}.parts", &Digest::of(parent.as_bytes()).to_string()[..32]))
    }
}

/// A line, without its end.
fn written(state: &State, part: &Part) -> Vec<u8> {
    let mut content = serde_json::to_vec(state).expect("a state is texts and a number");
    content.push(b'\t');
    content.extend(part.to_bytes());
    let mut line = Digest::of(&content).to_string().into_bytes();
    line.push(b' ');
    line.extend(content);
    line
}

/// The state and the part of a whole and undamaged line.
fn parse(line: &[u8]) -> Option<(State, &[u8])> {
    let (digest, content) = line.split_at_checked(DIGEST_BYTES)?;
    let content = content.strip_prefix(b" ")?;
    (Digest::of(content).to_string().as_bytes() == digest).then_some(())?;
    let end = content.iter().position(|byte| *byte == b'\t')?;
    Some((serde_json::from_slice(&content[..end]).ok()?, &content[end + 1..]))
}

/// The lines of a file by their log files' names; of two, the later. What they say is checked when it is used.
fn index(path: &Path) -> io::Result<Lines> {
    let mut file = BufReader::new(File::open(path)?);
    let mut lines = Lines::new();
    let (mut at, mut line) = (0, Vec::new());
    loop {
        line.clear();
        let read = file.by_ref().take(MAX_LINE_BYTES as u64).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(lines);
        }
        let name = || -> Option<String> {
            let state = line.get(DIGEST_BYTES + 1..)?.split(|byte| *byte == b'\t').next()?;
            Some(serde_json::from_slice::<State>(state).ok()?.name)
        };
        if let Some(name) = name() {
            lines.insert(name, (at, line.strip_suffix(b"\n").unwrap_or(&line).len()));
        }
        at += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trail::scanner::Scanner;

    const EVENT: &str = r#"{"Records":[{"eventTime":"2026-01-02T03:04:05Z","eventSource":"kms.amazonaws.com","eventName":"Encrypt",
        "eventID":"1","resources":[{"ARN":"arn:aws:kms:eu-west-1:1:key/x","type":"AWS::KMS::Key"}]}]}"#;

    fn part() -> Part {
        Scanner::default().scan("x.json", EVENT.as_bytes(), &Selection::all())
    }

    fn state(name: &str, stamp: &str) -> State {
        State { name: name.to_owned(), bytes: 7, stamp: stamp.to_owned() }
    }

    fn open(folder: &Path) -> Cache {
        Cache::open(folder, &Selection::all()).unwrap()
    }

    #[test]
    fn a_part_is_recalled_for_the_same_state_and_selection_only() {
        let folder = tempfile::tempdir().unwrap();
        let mut cache = open(folder.path());
        cache.keep(&state("d/a", "1"), &part());
        cache.keep(&state("d/b", "1"), &part());
        assert!(cache.trouble().is_none());
        let mut cache = open(folder.path());
        assert_eq!(cache.recall(&state("d/a", "1")).unwrap().to_bytes(), part().to_bytes());
        assert!(cache.recall(&state("d/b", "1")).is_some());
        assert!(cache.recall(&state("d/a", "2")).is_none() && cache.recall(&state("d/c", "1")).is_none());
        assert!(cache.recall(&State { bytes: 8, ..state("d/a", "1") }).is_none());
        let other = Selection::all().key("alias/app").unwrap();
        assert!(Cache::open(folder.path(), &other).unwrap().recall(&state("d/a", "1")).is_none());
        // A newer state takes the place of the older.
        open(folder.path()).keep(&state("d/a", "2"), &part());
        assert!(open(folder.path()).recall(&state("d/a", "2")).is_some());
    }

    #[test]
    fn a_damaged_byte_makes_a_line_as_good_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let mut cache = open(folder.path());
        cache.keep(&state("d/a", "1"), &part());
        let path = cache.file_of("d/a");
        let whole = fs::read(&path).unwrap();
        for at in (1..whole.len() - 1).step_by(3) {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&path, &damaged).unwrap();
            assert!(open(folder.path()).recall(&state("d/a", "1")).is_none(), "byte {at}");
            fs::write(&path, &whole[..at]).unwrap();
            assert!(open(folder.path()).recall(&state("d/a", "1")).is_none(), "cut at {at}");
        }
        // What is written behind a torn line is found.
        fs::write(&path, &whole[..40]).unwrap();
        open(folder.path()).keep(&state("d/b", "1"), &part());
        assert!(open(folder.path()).recall(&state("d/b", "1")).is_some());
    }

    #[test]
    fn a_folder_that_cannot_be_written_costs_only_time() {
        let folder = tempfile::tempdir().unwrap();
        let mut cache = open(folder.path());
        fs::create_dir(cache.file_of("d/a")).unwrap();
        assert!(cache.recall(&state("d/a", "1")).is_none());
        cache.keep(&state("d/a", "1"), &part());
        assert!(cache.trouble().is_some());
    }
}
