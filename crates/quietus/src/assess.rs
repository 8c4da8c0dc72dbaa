//! `quietus assess`: who could use a key, who did, what could not be seen.

use std::process::ExitCode;

use anyhow::Result;
use operator::commands::assess_key;
use serde_json::json;

use crate::args::Assess;
use crate::aws::{Place, profile};
use crate::show;
use crate::terminal::say;

pub(crate) fn run(args: &Assess) -> Result<ExitCode> {
    let place = Place::with_archives(&args.endpoint, args.offline.clone(), args.cache.folder.clone())?;
    let aws = place.connection_of(&args.key)?;
    let key = aws.resolve(&args.key)?;
    let (made, seen) = assess_key(aws.as_ref(), key, profile(args.care), place.clock.now()?);
    if args.json {
        let findings: Vec<_> = made
            .findings
            .iter()
            .map(|judged| {
                json!({
                    "id": judged.finding.id(),
                    "what": judged.finding.what(),
                    "why": judged.finding.why(),
                    "remedy": judged.finding.remedy(),
                    "facts": judged,
                })
            })
            .collect();
        say!(
            "{}",
            json!({ "verdict": made.verdict, "key": key.to_string(), "findings": findings, "assessment": made, "observation": seen })
        );
    } else {
        show::assessment(&made, &seen);
    }
    Ok(ExitCode::from(made.verdict.exit_code()))
}
