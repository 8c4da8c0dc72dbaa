//! How far a scan is, on a terminal: files, bytes, records, rate, time left. Elsewhere nothing is shown.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use operator::sources::Progress;

use crate::terminal::counted;

/// While the whole is not known, there is no time left to tell.
const FINDING: &str = "{bytes} of {total_bytes} found so far  {binary_bytes_per_sec}  {msg}";
const READING: &str = "{bytes} of {total_bytes}  {binary_bytes_per_sec}  {eta} left  {msg}";

/// A line on standard error that goes away when it is dropped.
pub(crate) struct Line {
    bar: ProgressBar,
    is_whole: bool,
}

impl Line {
    /// A line that shows nothing yet; nor later, where standard error is no terminal.
    pub(crate) fn new() -> Line {
        let is_seen = std::io::stderr().is_terminal();
        let target = if is_seen { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        bar.set_style(style(FINDING));
        Line { bar, is_whole: false }
    }

    /// Shows how far it is now.
    pub(crate) fn show(&mut self, progress: &Progress) {
        if progress.is_whole && !self.is_whole {
            self.is_whole = true;
            self.bar.set_style(style(READING));
        }
        if !self.bar.is_hidden() {
            let done = progress.done;
            self.bar.set_length(progress.bytes);
            self.bar.set_message(format!(
                "{} of {}, {}",
                done.files,
                counted(progress.files, "file"),
                counted(done.records, "record")
            ));
            self.bar.set_position(done.bytes_read.min(progress.bytes));
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is a constant, and a test reads it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_well_formed() {
        let _ = (style(FINDING), style(READING));
    }
}
