//! `quietus`: the command line over the service and the procedure.
//!
//! This crate reads arguments, calls the halves, prints, and ends with an exit code. It decides nothing.

mod args;
mod scan;
mod serve;
mod terminal;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Scan(args) => scan::run(&args),
        Command::Serve(args) => serve::run(&args),
        _ => unreachable!(),
    };
    done.unwrap_or_else(|error| terminal::failed(&error))
}
