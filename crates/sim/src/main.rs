//! `sim SEED`: prints what happens in the run of a seed, and the rules that did not hold.

use std::io::{self, Write};
use std::process::ExitCode;

use sim::{Shape, Subject, run};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let seed = arguments.next().and_then(|seed| seed.parse().ok());
    let (Some(seed), None) = (seed, arguments.next()) else {
        // Nobody is left to tell when this cannot be written.
        let _ = writeln!(io::stderr(), "usage: sim SEED, with a number from 0 to {}", u64::MAX);
        return ExitCode::from(2);
    };
    match print(seed, &mut io::stdout().lock()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) | Err(_) => ExitCode::FAILURE,
    }
}

/// Prints the run of `seed`; whether every rule held.
fn print(seed: u64, out: &mut impl Write) -> io::Result<bool> {
    let shape = Shape::rough(seed);
    writeln!(out, "{shape:#?}")?;
    let report = run(seed, &shape, Subject::default());
    for line in report.trace.lines() {
        writeln!(out, "{line}")?;
    }
    for ending in &report.endings {
        writeln!(out, "{}: {}, {:?}", ending.key, ending.stage.as_str(), ending.outcome)?;
    }
    for violation in &report.violations {
        writeln!(out, "VIOLATED {violation}")?;
    }
    writeln!(out, "seed {seed}, trace {:016x}", report.trace.hash())?;
    Ok(report.violations.is_empty())
}
