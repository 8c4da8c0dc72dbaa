//! What people read: errors with a hint, tables, numbers.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use api::Timestamp;
use comfy_table::{ContentArrangement, Table, presets};

/// Prints a line for people or programs to standard output. A reader that has gone away is no error.
macro_rules! say {
    ($($part:tt)*) => {
        $crate::terminal::write_line(format_args!($($part)*))
    };
}
pub(crate) use say;

/// Behind [`say`].
pub(crate) fn write_line(text: std::fmt::Arguments<'_>) {
    let mut out = anstream::stdout().lock();
    if writeln!(out, "{text}").is_err() {
        // `quietus … | head` closed the pipe: nobody reads on, so there is nothing left to do.
        std::process::exit(0);
    }
}

/// Prints a line about the work itself to standard error.
macro_rules! note {
    ($($part:tt)*) => {
        $crate::terminal::write_note(format_args!($($part)*))
    };
}
pub(crate) use note;

/// Behind [`note`].
pub(crate) fn write_note(text: std::fmt::Arguments<'_>) {
    // A closed standard error leaves nobody to tell.
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// What to do about an error; printed on a line of its own.
#[derive(Debug)]
pub(crate) struct Hint(pub(crate) String);

impl std::fmt::Display for Hint {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

/// An error with what to do about it.
pub(crate) fn hinted(error: impl Into<anyhow::Error>, hint: impl Into<String>) -> anyhow::Error {
    error.into().context(Hint(hint.into()))
}

/// Prints an error and ends with exit code 1.
pub(crate) fn failed(error: &anyhow::Error) -> ExitCode {
    let hint = error.downcast_ref::<Hint>();
    let mut causes: Vec<String> = Vec::new();
    for cause in error.chain().skip(usize::from(hint.is_some())).map(ToString::to_string) {
        // Some libraries repeat their cause in their own text.
        if !causes.last().is_some_and(|known| known.contains(&cause)) {
            causes.push(cause);
        }
    }
    note!("error: {}", causes.join(": "));
    if let Some(hint) = hint {
        note!("hint: {hint}");
    }
    ExitCode::FAILURE
}

/// A table without frames, as wide as the terminal; in a pipe as wide as it needs.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.to_vec());
    if std::io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    table
}

/// Prints a table, without the blanks that fill its last column.
pub(crate) fn print(table: &Table) {
    for line in table.lines() {
        say!("{}", line.trim_end());
    }
}

/// A moment in whole seconds, UTC.
pub(crate) fn moment(at: Timestamp) -> String {
    format!("{at:.0}")
}

/// `1 file`, `2 files`.
pub(crate) fn counted(count: u64, one: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {one}{plural}")
}
