//! From the command line to a connection and a clock.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use api::{KeyRef, Region};
use operator::aws::{Account, Aws, Target};
use operator::clock::Clock;
use operator::sources::Source;
use procedure::{Profile, ProfileName};

use crate::args::{Care, Connection, Endpoint, Time};
use crate::terminal::hinted;

/// The account that commands talk to, one connection for each Region, and whose time counts.
pub(crate) struct Place {
    pub(crate) account: Account,
    pub(crate) clock: Clock,
}

impl Place {
    pub(crate) fn of(args: &Endpoint) -> Result<Place> {
        Place::with_archives(args, Vec::new(), None)
    }

    /// The same, with CloudTrail files to read beside event history, and where to remember what they say.
    pub(crate) fn with_archives(args: &Endpoint, sources: Vec<Source>, cache: Option<PathBuf>) -> Result<Place> {
        let shares_clock = args.clock == Time::Endpoint;
        let clock = if shares_clock {
            let url = args.connection.endpoint_url.as_deref().ok_or_else(|| {
                hinted(
                    anyhow!("no endpoint is given whose clock could count"),
                    "give --endpoint-url with --clock endpoint",
                )
            })?;
            Clock::of_endpoint(url.parse()?)?
        } else {
            Clock::System
        };
        let target = Target { shares_clock, ..target(&args.connection) };
        Ok(Place { account: Account::of(target).with_archives(sources, cache), clock })
    }

    /// The connection that the command line names.
    pub(crate) fn connection(&self) -> Result<Arc<Aws>> {
        Ok(self.account.connection(None)?)
    }

    /// The connection of the Region that `key` names, or else of the command line's.
    pub(crate) fn connection_of(&self, key: &str) -> Result<Arc<Aws>> {
        Ok(self.account.connection(region_of(key))?)
    }

    /// Who acts: the name that was given, or the caller that AWS knows.
    pub(crate) fn who(&self, by: Option<&String>) -> Result<String> {
        use operator::World as _;
        match by {
            Some(by) => Ok(by.clone()),
            None => Ok(self.connection()?.operator().to_owned()),
        }
    }
}

/// Where to connect, as the command line says.
pub(crate) fn target(args: &Connection) -> Target {
    Target {
        endpoint_url: args.endpoint_url.clone(),
        profile: args.profile.clone(),
        region: args.region.clone(),
        credentials: None,
        shares_clock: false,
    }
}

/// The Region that an ARN names.
fn region_of(key: &str) -> Option<Region> {
    match KeyRef::parse(key).ok()? {
        KeyRef::KeyArn(arn) => Some(arn.region),
        KeyRef::AliasArn(arn) => Some(arn.region),
        KeyRef::Key(_) | KeyRef::Alias(_) => None,
    }
}

/// The numbers to be careful by.
pub(crate) fn profile(care: Care) -> Profile {
    Profile::named(match care {
        Care::Standard => ProfileName::Standard,
        Care::Critical => ProfileName::Critical,
        Care::Sandbox => ProfileName::Sandbox,
    })
}
