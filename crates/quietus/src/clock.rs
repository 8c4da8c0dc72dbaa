//! `quietus clock`: the virtual clock of a development server.

use std::process::ExitCode;

use anyhow::Result;
use operator::clock::{self, advance};

use crate::args::{Clock, span};
use crate::terminal::{hinted, moment, say};

/// What to do when a server has no clock to turn.
const HINT: &str = "start the server with `quietus serve --dev --clock virtual`, and name it with --endpoint-url";

pub(crate) fn run(args: &Clock) -> Result<ExitCode> {
    let now = match args {
        Clock::Advance { span: words, endpoint_url } => {
            let by = span(&words.join(" ")).map_err(|why| {
                hinted(anyhow::anyhow!(why), "give days, hours, minutes and seconds, such as `2d 1h`")
            })?;
            advance(endpoint_url, by).map_err(|error| hinted(error, HINT))?
        }
        Clock::Show { endpoint_url } => {
            let clock = clock::Clock::of_endpoint(endpoint_url.clone()).map_err(|error| hinted(error, HINT))?;
            clock.now().map_err(|error| hinted(error, HINT))?
        }
    };
    say!("{}", moment(now));
    Ok(ExitCode::SUCCESS)
}
