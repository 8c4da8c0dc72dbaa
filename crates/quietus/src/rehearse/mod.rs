//! `quietus rehearse`: the whole procedure, seen to happen.
//!
//! A development server on a virtual clock, keys with applications behind them, and the procedure of `quietus case` and `quietus
//! reconcile` over HTTP through the official SDK: the same code that runs against AWS, with months passing in seconds.

mod cast;
mod play;
mod show;
mod stage;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};

use crate::args::Rehearse;
use crate::terminal::hinted;

/// Tells a folder that an earlier rehearsal made, and may be replaced.
const MARK: &str = ".quietus-rehearsal";

pub(crate) fn run(args: &Rehearse) -> Result<ExitCode> {
    clear(&args.dir)?;
    let ending = play::play(&args.dir)?;
    show::ending(&ending);
    Ok(if ending.iter().all(|part| part.as_expected) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Makes room for a rehearsal, and for nothing else: a folder that is not a rehearsal's is left alone.
fn clear(dir: &Path) -> Result<()> {
    let mark = dir.join(MARK);
    let is_empty = fs::read_dir(dir).map_or(true, |mut entries| entries.next().is_none());
    if !is_empty && !mark.exists() {
        let error = anyhow!("`{}` is not empty, and no rehearsal made it", dir.display());
        return Err(hinted(error, "give another folder with --dir"));
    }
    let change = || format!("`{}` cannot be made ready", dir.display());
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(change)?;
    }
    fs::create_dir_all(dir).with_context(change)?;
    fs::write(mark, "A rehearsal made this folder; the next one replaces it.\n").with_context(change)
}
