//! Adding up: parts in, a [`Summary`] out.

use std::io;
use std::path::{Path, PathBuf};

use crate::event::Event;
use crate::part::{Counts, Flaw, Part};
use crate::selection::Selection;
use crate::tally::{Alike, Tally, Totals};

/// The most folders within folders. CloudTrail's layout has nine.
pub const MAX_DEPTH: usize = 64;

/// The most gaps that are named one by one; the rest is counted.
const MAX_GAPS: usize = 100_000;

/// What a scan found.
#[derive(Debug, Default)]
pub struct Summary {
    /// The rows, and all else that the events say.
    pub totals: Totals,
    /// How much was read.
    pub counts: Counts,
    /// What was not read or not understood: what may hide a use first, then by path.
    pub gaps: Vec<Gap>,
    /// Gaps that are not named, because there were more than can be.
    pub unnamed_gaps: u64,
}

impl Summary {
    /// Whether every event in the paths was seen: no gap may hide a use.
    pub fn is_complete(&self) -> bool {
        self.unnamed_gaps == 0 && !self.gaps.iter().any(|gap| gap.why.hides_use())
    }
}

/// A place where something was not seen.
#[derive(Debug)]
pub struct Gap {
    /// The file or folder, or the object's URL.
    pub path: PathBuf,
    /// What was wrong.
    pub why: Why,
    /// How often: records or lines of one file with the same trouble, of which `why` tells the first.
    pub count: u64,
}

/// Why something was not seen.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// The operating system refused the folder.
    #[error("the folder cannot be read: {0}")]
    Folder(#[source] io::Error),
    /// The operating system refused the file.
    #[error("the file cannot be read: {0}")]
    File(#[source] io::Error),
    /// A store far away refused to list or to hand out objects, or could not be reached.
    #[error("cannot be fetched: {0}")]
    Fetch(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Folders within folders without end.
    #[error("more than {MAX_DEPTH} folders within folders")]
    TooDeep,
    /// A symbolic link to a folder is not followed: it may lead round in a circle. Name its target instead.
    #[error("a link to a folder is not followed; name the folder itself")]
    LinkedFolder,
    /// A pipe, a device, or the like.
    #[error("not a file")]
    NotAFile,
    /// A name that no log file has: neither `.json`, `.jsonl`, `.ndjson` nor `.gz`. Name the file itself to have it read.
    #[error("not a log file by its name")]
    OtherName,
    /// What the file holds is not what it should be.
    #[error(transparent)]
    Flaw(#[from] Flaw),
}

impl Why {
    /// Whether events may be in what was not seen.
    pub fn hides_use(&self) -> bool {
        match self {
            Why::OtherName => false,
            Why::Flaw(flaw) => flaw.hides_use(),
            Why::Folder(_) | Why::File(_) | Why::Fetch(_) | Why::TooDeep | Why::LinkedFolder | Why::NotAFile => true,
        }
    }
}

/// A part was made for another selection than it is added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a part made for other keys or another span cannot be added up with these")]
pub struct OtherSelection;

/// Adds parts up, whatever they come from.
///
/// *Guarantee*: an event counts once, whichever parts it is in, and in whichever order they come; the summary is what reading all
/// files in one go gives. *Caveat*: the order shows in two cases that AWS's own deliveries do not make: where two different
/// events bear one ID, the first counts; and where there are more rows than [`crate::tally::MAX_ROWS`], the last are folded.
/// Who wants the same answer even then adds parts in the order of their names.
///
/// Memory is the rows, and 16 bytes for each event that is kept; a part is gone when it is added.
#[derive(Debug)]
pub struct Builder {
    tally: Tally,
    counts: Counts,
    gaps: Vec<Gap>,
    unnamed_gaps: u64,
}

impl Builder {
    /// Nothing yet.
    pub fn new(selection: &Selection) -> Builder {
        Builder { tally: Tally::new(selection), counts: Counts::default(), gaps: Vec::new(), unnamed_gaps: 0 }
    }

    /// Adds what the file of this name says.
    ///
    /// # Errors
    /// [`OtherSelection`] where the part was made for another one. Nothing is added then.
    pub fn add(&mut self, name: &Path, part: Part) -> Result<(), OtherSelection> {
        if part.selection != *self.tally.selection() {
            return Err(OtherSelection);
        }
        self.counts.add(part.counts);
        for trouble in part.troubles {
            self.gap(Gap { path: name.to_owned(), why: Why::Flaw(trouble.why), count: trouble.count });
        }
        self.tally.add(part.batch);
        Ok(())
    }

    /// Adds events that say the same and were counted elsewhere, by somebody who counts each ID once: `event` stands for all of them,
    /// with the time of the first. Of the hours in between nothing is known.
    pub fn add_alike(&mut self, event: &Event<'_>, alike: &Alike) {
        self.tally.add_alike(event, alike);
    }

    /// Notes something that was not seen.
    pub fn gap(&mut self, gap: Gap) {
        self.gaps.push(gap);
        if self.gaps.len() >= 2 * MAX_GAPS {
            self.name_gaps();
        }
    }

    /// Counts a file of which nothing but its length is known.
    pub fn count_unread(&mut self, bytes_read: u64) {
        self.counts.add(Counts { files: 1, bytes_read, ..Counts::default() });
    }

    /// What was read so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// What it all comes to.
    pub fn finish(mut self) -> Summary {
        self.name_gaps();
        Summary { totals: self.tally.finish(), counts: self.counts, gaps: self.gaps, unnamed_gaps: self.unnamed_gaps }
    }

    /// Keeps as many gaps as are named: what may hide a use first, should there be too many.
    fn name_gaps(&mut self) {
        self.gaps.sort_by(|one, other| (!one.why.hides_use(), &one.path).cmp(&(!other.why.hides_use(), &other.path)));
        self.unnamed_gaps += self.gaps.len().saturating_sub(MAX_GAPS) as u64;
        self.gaps.truncate(MAX_GAPS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scanner::Scanner;

    fn event(id: u32, key: u32) -> String {
        format!(
            r#"{{"eventTime":"2026-01-02T03:04:{:02}Z","eventSource":"kms.amazonaws.com","eventName":"Encrypt","eventID":"{id}",
            "resources":[{{"ARN":"arn:aws:kms:eu-west-1:1:key/{key}","type":"AWS::KMS::Key"}}]}}"#,
            id % 60
        )
    }

    fn part(events: &[(u32, u32)], selection: &Selection) -> Part {
        let events: Vec<String> = events.iter().map(|(id, key)| event(*id, *key)).collect();
        let document = format!(r#"{{"Records":[{}]}}"#, events.join(","));
        Scanner::default().scan("x.json", document.as_bytes(), selection)
    }

    fn told(summary: &Summary) -> String {
        let Summary { totals, counts, gaps, unnamed_gaps } = summary;
        format!("{:?} {} {counts:?} {gaps:?} {unnamed_gaps}", totals.rows, totals.duplicates)
    }

    #[test]
    fn parts_add_up_in_any_order_also_when_they_were_written_down() {
        let selection = Selection::all();
        let parts = [&[(1, 1), (2, 2)][..], &[(2, 2), (3, 1), (3, 1)], &[(4, 2), (1, 1)]];
        let sum = |order: [usize; 3], stored: bool| {
            let mut builder = Builder::new(&selection);
            for at in order {
                let mut part = part(parts[at], &selection);
                if stored {
                    part = Part::from_bytes(&part.to_bytes()).unwrap();
                }
                builder.add(Path::new("x.json"), part).unwrap();
            }
            told(&builder.finish())
        };
        let expected = sum([0, 1, 2], false);
        assert!(expected.contains("count: 2"), "{expected}");
        for order in [[0, 2, 1], [1, 0, 2], [2, 1, 0]] {
            assert_eq!(sum(order, true), expected);
        }
    }

    #[test]
    fn parts_of_another_selection_are_refused() {
        let mut builder = Builder::new(&Selection::all());
        let other = Selection::all().key("alias/app").unwrap();
        assert_eq!(builder.add(Path::new("x"), part(&[(1, 1)], &other)), Err(OtherSelection));
        assert_eq!(builder.finish().counts, Counts::default());
    }

    #[test]
    fn gaps_that_hide_nothing_give_way() {
        let mut builder = Builder::new(&Selection::all());
        for n in 0..2 * MAX_GAPS + 1 {
            builder.gap(Gap { path: format!("{n}").into(), why: Why::OtherName, count: 1 });
        }
        builder.gap(Gap { path: "z".into(), why: Flaw::Empty.into(), count: 1 });
        let summary = builder.finish();
        assert_eq!((summary.gaps.len(), summary.unnamed_gaps), (MAX_GAPS, MAX_GAPS as u64 + 2));
        assert!(matches!(summary.gaps[0].why, Why::Flaw(Flaw::Empty)));
    }
}
