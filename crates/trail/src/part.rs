//! What one file or object of a trail says by itself: a [`Part`], which stands for the file from then on.
//!
//! A part knows every event that was kept by its ID, time and rows, so that parts can be added up in any order, each event counted
//! once whichever file it came in; and it can be written down and read again, so that a file need not be. Adding up is
//! [`crate::summary`]'s.

use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::event;
use crate::inflate;
use crate::selection::Selection;
use crate::split::Broken;

/// The version of the form in which parts are written down. It grows whenever the same bytes would mean, or the same file would
/// give, something else: then parts written before are not read, and their files are read again.
pub const VERSION: u32 = 2;

/// How much was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Files read, broken ones too.
    pub files: u64,
    /// Bytes as they are stored, most of them compressed.
    pub bytes_read: u64,
    /// Bytes of JSON.
    pub bytes: u64,
    /// Records of any service.
    pub records: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: Counts) {
        self.files += other.files;
        self.bytes_read += other.bytes_read;
        self.bytes += other.bytes;
        self.records += other.records;
    }
}

/// What one file says. Made by [`crate::scanner::Scanner`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Part {
    pub(crate) selection: Selection,
    pub(crate) counts: Counts,
    pub(crate) troubles: Vec<Trouble>,
    pub(crate) batch: Batch,
}

/// Something of a file that was not read, or not understood.
#[derive(Debug, Serialize, Deserialize)]
pub struct Trouble {
    /// What was wrong.
    pub why: Flaw,
    /// How often: records or lines with the same trouble, of which `why` tells the first.
    pub count: u64,
}

/// What was wrong with the bytes of a file.
#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
pub enum Flaw {
    /// The file is empty.
    #[error("the file is empty")]
    Empty,
    /// The file is larger than is read.
    #[error("the file has more than {limit} bytes")]
    TooLarge {
        /// What is read at most.
        limit: usize,
    },
    /// The gzip data is broken.
    #[error("{0}")]
    Gzip(#[source] inflate::Error),
    /// The JSON between records is broken: what comes behind was not read.
    #[error("{broken}, behind {records} records")]
    Cut {
        /// Where and why.
        #[source]
        broken: Broken,
        /// Records before that place, which count.
        records: u64,
    },
    /// A line of a `.jsonl` file is broken.
    #[error("line {line}: {broken}")]
    Line {
        /// The line, from 1.
        line: u64,
        /// Where in the line, and why.
        #[source]
        broken: Broken,
    },
    /// A record may be an event of KMS and cannot be read.
    #[error("record {record}: {error}")]
    Record {
        /// The record, from 1.
        record: u64,
        /// What is wrong with it.
        #[source]
        error: event::Error,
    },
    /// A digest file of CloudTrail: it proves the integrity of log files and holds no events.
    #[error("a digest file, which holds no events")]
    Digest,
    /// JSON that is no log file.
    #[error("not a CloudTrail log file")]
    NotCloudTrail,
}

impl Flaw {
    /// Whether events may be in what was not seen.
    pub fn hides_use(&self) -> bool {
        match self {
            Flaw::Digest | Flaw::NotCloudTrail => false,
            Flaw::Empty
            | Flaw::TooLarge { .. }
            | Flaw::Gzip(_)
            | Flaw::Cut { .. }
            | Flaw::Line { .. }
            | Flaw::Record { .. } => true,
        }
    }
}

/// Why bytes are no part that this program wrote down.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// They are of another version.
    #[error("written down in version {version}, where this program reads version {VERSION}")]
    Version {
        /// Which one.
        version: u32,
    },
    /// They are damaged.
    #[error("damaged: {0}")]
    Damaged(#[source] serde_json::Error),
}

#[derive(Deserialize)]
struct Head {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct Written<P> {
    version: u32,
    part: P,
}

impl Part {
    /// Which events were kept. Parts of different selections cannot be added up.
    pub fn selection(&self) -> &Selection {
        &self.selection
    }

    /// How much was read.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// What was not read or not understood.
    pub fn troubles(&self) -> &[Trouble] {
        &self.troubles
    }

    /// The part written down: JSON, which compresses well.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(&Written { version: VERSION, part: self }).expect("a part has texts for keys")
    }

    /// Reads what [`Part::to_bytes`] wrote down.
    ///
    /// # Errors
    /// [`Unreadable`]: then the file itself is to be read again.
    pub fn from_bytes(bytes: &[u8]) -> Result<Part, Unreadable> {
        let head: Head = serde_json::from_slice(bytes).map_err(Unreadable::Damaged)?;
        if head.version != VERSION {
            return Err(Unreadable::Version { version: head.version });
        }
        let written: Written<Part> = serde_json::from_slice(bytes).map_err(Unreadable::Damaged)?;
        Ok(written.part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scanner::Scanner;

    fn part(json: &str) -> Part {
        Scanner::default().scan("x.json", json.as_bytes(), &Selection::all())
    }

    const EVENT: &str = r#"{"Records":[{"eventTime":"2026-01-02T03:04:05.5Z","eventSource":"kms.amazonaws.com","eventName":"Encrypt",
        "awsRegion":"eu-west-1","recipientAccountId":"1","eventID":"no UUID","requestParameters":{"encryptionContext":{"a":"1"}},
        "resources":[{"ARN":"arn:aws:kms:eu-west-1:1:key/x","type":"AWS::KMS::Key"}]},{"eventSource":"kms.amazonaws.com"},"kms.amazonaws.com"#;

    #[test]
    fn a_part_is_read_as_it_was_written() {
        let part = part(EVENT);
        assert_eq!(part.troubles.len(), 2);
        let bytes = part.to_bytes();
        let again = Part::from_bytes(&bytes).unwrap();
        assert_eq!(again.to_bytes(), bytes);
        let told = |part: &Part| part.troubles.iter().map(|trouble| trouble.why.to_string()).collect::<Vec<_>>();
        assert_eq!(told(&again), told(&part));
        assert_eq!(again.counts(), part.counts());
    }

    #[test]
    fn what_is_no_part_is_refused() {
        let bytes = part(EVENT).to_bytes();
        let text = String::from_utf8(bytes.clone()).unwrap();
        let refusal = |text: &str| Part::from_bytes(text.as_bytes()).unwrap_err().to_string();
        assert!(refusal(&text[..text.len() - 3]).starts_with("damaged: "));
        let newer = text.replacen(r#""version":2"#, r#""version":3"#, 1);
        assert_eq!(refusal(&newer), "written down in version 3, where this program reads version 2");
        let astray = text.replacen(r#".5Z",0]"#, r#".5Z",7]"#, 1);
        assert_ne!(astray, text);
        assert!(refusal(&astray).starts_with("damaged: an event says something that is not there"));
    }
}
