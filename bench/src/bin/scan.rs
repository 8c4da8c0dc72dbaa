//! `just bench scan`: what the trail scan costs beside reading and inflating its files, and beside DuckDB and ClickHouse.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use bench::scan::corpus::Shape;
use bench::scan::{MAX_ROUNDS, Plan, Role, measure};
use clap::Parser;

/// Makes CloudTrail files, and counts the uses of ten keys in them.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    /// Files to make.
    #[arg(long, default_value_t = 1200)]
    files: usize,
    /// Records in each.
    #[arg(long, default_value_t = 2000)]
    records: usize,
    /// Where the generator's chance begins.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How often the scan and the inflater take turns.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_ROUNDS)))]
    rounds: u32,
    /// Leave out DuckDB and ClickHouse, which are installed from PyPI.
    #[arg(long)]
    no_peers: bool,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Where files and peers are kept; beside this program where none is given.
    #[arg(long)]
    folder: Option<PathBuf>,
    #[command(subcommand)]
    role: Option<Role>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let text = if let Some(role) = &arguments.role {
        serde_json::to_string(&role.play()?)?
    } else {
        let program = std::env::current_exe().context("this program's own path is unknown")?;
        let beside = || program.parent().unwrap_or(Path::new(".")).join("bench-scan");
        let folder = arguments.folder.clone().unwrap_or_else(beside);
        let Arguments { files, records, seed, rounds, .. } = arguments;
        let plan = Plan { shape: Shape { seed, files, records }, rounds, peers: !arguments.no_peers };
        let report = measure(&program, &folder, &plan)?;
        if arguments.json { serde_json::to_string(&report)? } else { report.to_string() }
    };
    writeln!(std::io::stdout(), "{text}").context("the report could not be written")
}
