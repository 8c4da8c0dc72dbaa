//! The report of a case: what was asked, found and done, by whom and when, and what was not looked at.
//!
//! [`Story`] is read off the journal and the evidence kept beside it; the three forms are written from it and nothing else, so that
//! they say the same. The words are chosen: a report never calls a key unneeded. It says that no use was seen, from when to when, in
//! which sources, and where those were blind.

mod chronicle;
mod evidence;
mod html;
mod markdown;
mod page;
mod story;
mod summary;
mod timeline;
mod words;

use std::path::{Path, PathBuf};

use api::Timestamp;

use crate::cases::{self, CaseId, Cases};
use crate::commands;

pub use story::Story;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The case cannot be read, or was never opened.
    #[error(transparent)]
    Case(#[from] commands::Refused),
    /// A file cannot be written.
    #[error("cannot write `{}`: {source}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// The story of a case as it is known at `now`.
///
/// # Errors
/// [`Error::Case`], where it cannot be read or was never opened.
pub fn tell(cases: &impl Cases, id: CaseId, now: Timestamp) -> Result<Story, Error> {
    let (journal, case) = commands::show(cases, id)?;
    Ok(Story::of(cases, &journal, &case, now))
}

/// Writes a case's report into `folder`, which is made if need be, as Markdown, JSON and a page, named after the case, and says where each is: in this order.
///
/// # Errors
/// [`Error`], where the case cannot be read or a file cannot be written.
pub fn write(cases: &impl Cases, id: CaseId, folder: &Path, now: Timestamp) -> Result<Vec<PathBuf>, Error> {
    let story = tell(cases, id, now)?;
    let forms = [("md", story.markdown()), ("json", story.json()), ("html", story.html())];
    let mut written = Vec::with_capacity(forms.len());
    cases::make_folders(folder).map_err(|source| Error::Write { path: folder.to_owned(), source })?;
    for (form, text) in forms {
        let path = folder.join(format!("{id}.{form}"));
        cases::publish_over(&path, text.as_bytes()).map_err(|source| Error::Write { path: path.clone(), source })?;
        written.push(path);
    }
    Ok(written)
}
