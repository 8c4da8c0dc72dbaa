//! `just bench serve`: how many signed calls a second `quietus serve` answers, for each that a hello-world server does.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use bench::child::Role;
use bench::request::Operation;
use bench::serve::{CONNECTIONS, MAX_ROUNDS, MAX_STEP_SECONDS, Plan, measure};
use clap::Parser;

/// Measures Quietus beside a hello-world server and the disk, at 1, 8 and 64 connections.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    /// What to ask for.
    #[arg(long, value_enum, default_value = "encrypt")]
    operation: Operation,
    /// Connections at a time; again for another row.
    #[arg(long, default_values_t = CONNECTIONS)]
    connections: Vec<usize>,
    /// Length of a step in seconds; there are two for each number of connections and round.
    #[arg(long, default_value_t = 2.0, value_parser = step)]
    seconds: f64,
    /// How often the two servers take turns.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_ROUNDS)))]
    rounds: u32,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Where the data folder is made, for its disk; beside this program where none is given.
    #[arg(long)]
    folder: Option<PathBuf>,
    #[command(subcommand)]
    role: Option<Role>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(role) = &arguments.role {
        return role.play();
    }
    let program = std::env::current_exe().context("this program's own path is unknown")?;
    let beside = || program.parent().unwrap_or(Path::new(".")).join("bench-data");
    let folder = arguments.folder.clone().unwrap_or_else(beside);
    let step = Duration::from_secs_f64(arguments.seconds);
    let Arguments { operation, connections, rounds, .. } = arguments;
    let plan = Plan { operation, connections, step, rounds };
    let report = measure(&program, &folder, &plan)?;
    let text = if arguments.json { serde_json::to_string(&report)? } else { report.to_string() };
    writeln!(std::io::stdout(), "{text}").context("the report could not be written")
}

fn step(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if seconds > 0.0 && seconds <= MAX_STEP_SECONDS => Ok(seconds),
        _ => Err(format!("`{text}` is not a number of seconds up to {MAX_STEP_SECONDS}")),
    }
}
