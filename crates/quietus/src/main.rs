//! `quietus`: the command line over the service and the procedure.
//!
//! This crate reads arguments, calls the halves, prints, and ends with an exit code. It decides nothing.

mod args;
mod assess;
mod athena;
mod aws;
mod case;
mod clock;
mod progress;
mod rehearse;
mod scan;
mod serve;
mod show;
mod terminal;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Rehearse(args) => rehearse::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Clock(args) => clock::run(&args),
        Command::Scan(args) => scan::run(&args),
        Command::Assess(args) => assess::run(&args),
        Command::Case(args) => case::run(&args),
        Command::Reconcile(args) => case::reconcile(&args),
        Command::Rescue(args) => case::rescue(&args),
        Command::Report(args) => case::report(&args),
    };
    done.unwrap_or_else(|error| terminal::failed(&error))
}
