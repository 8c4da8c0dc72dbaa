//! `just bench lookup`: how long LookupEvents takes for its first page, out of millions of events.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use bench::lookup::{MAX_EVENTS, Plan, measure};
use clap::Parser;

/// Measures first pages of LookupEvents over 90 days of sealed files, beside inflating one of these files.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many events there are; ten million take 1.5 GB of disk while this runs.
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1..=MAX_EVENTS))]
    events: u64,
    /// How often each kind of lookup is asked.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Where the history is made and removed again, for its disk; beside this program where none is given.
    #[arg(long)]
    folder: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let program = std::env::current_exe().context("this program's own path is unknown")?;
    let beside = || program.parent().unwrap_or(Path::new(".")).join("bench-data");
    let folder = arguments.folder.clone().unwrap_or_else(beside);
    let report = measure(&folder, &Plan { events: arguments.events, rounds: arguments.rounds })?;
    let text = if arguments.json { serde_json::to_string(&report)? } else { report.to_string() };
    writeln!(std::io::stdout(), "{text}").context("the report could not be written")
}
