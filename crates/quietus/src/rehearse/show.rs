//! What the audience sees: a line for each thing that happens, and the table at the end.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use api::Timestamp;
use jiff::SignedDuration;

use super::cast::Part;
use crate::terminal::{print, say, table};

/// What became of one part.
pub(crate) struct Ending {
    /// The part.
    pub(crate) part: &'static Part,
    /// The case.
    pub(crate) case: String,
    /// `deleted`, `rescued`, `INCONCLUSIVE`.
    pub(crate) outcome: &'static str,
    /// The key's state in the end.
    pub(crate) state: String,
    /// Why, in one line.
    pub(crate) why: String,
    /// Whether it is what the story is meant to show.
    pub(crate) as_expected: bool,
    /// The report's page.
    pub(crate) page: PathBuf,
}

/// Tells what happens, with the day it happens on.
pub(crate) struct Teller {
    opening: Timestamp,
    colours: bool,
}

impl Teller {
    pub(crate) fn new(opening: Timestamp) -> Teller {
        Teller { opening, colours: std::io::stdout().is_terminal() }
    }

    /// A heading.
    pub(crate) fn chapter(&self, text: &str) {
        let (bold, plain) = if self.colours { ("\u{1b}[1m", "\u{1b}[0m") } else { ("", "") };
        say!("\n{bold}{text}{plain}");
    }

    /// One thing that happened to one part.
    pub(crate) fn tell(&self, at: Timestamp, who: &str, text: &str) {
        let day = at.duration_since(self.opening).as_hours().div_euclid(24);
        say!("  day {day:>4}  {who:<15} {text}");
    }
}

/// The table at the end.
pub(crate) fn ending(endings: &[Ending]) {
    say!("");
    let mut shown = table(&["key", "case", "outcome", "key state", "why"]);
    for ending in endings {
        shown.add_row([
            ending.part.name.to_owned(),
            ending.case.clone(),
            ending.outcome.to_owned(),
            ending.state.clone(),
            ending.why.clone(),
        ]);
    }
    print(&shown);
    say!("\nReports:");
    for ending in endings {
        say!("  {}", ending.page.display());
    }
    for ending in endings.iter().filter(|ending| !ending.as_expected) {
        say!("\n{}: the rehearsal was to show that {}, and it did not", ending.part.name, ending.part.shows);
    }
}

/// How long a span of days is, in whole days.
pub(crate) fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}
