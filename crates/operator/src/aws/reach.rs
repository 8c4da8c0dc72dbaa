//! One connection for each Region, opened when a case first needs it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use api::{KeyArn, Region};

use super::{Aws, Error, Target};
use crate::archive::Archives;
use crate::reconcile::{Unreached, Worlds};
use crate::sources::Source;
use crate::world::World;

/// The worlds of one account: the same credentials in every Region that a case's key is in.
#[derive(Debug)]
pub struct Account {
    target: Target,
    archives: Archives,
    open: Mutex<BTreeMap<Region, Arc<Aws>>>,
}

impl Account {
    /// Nothing is opened yet.
    pub fn of(target: Target) -> Account {
        Account { target, archives: Archives::default(), open: Mutex::default() }
    }

    /// The same, reading CloudTrail files beside event history; what they say is remembered in `cache`.
    #[must_use]
    pub fn with_archives(mut self, sources: Vec<Source>, cache: Option<PathBuf>) -> Account {
        self.archives = Archives { sources, cache, target: self.target.clone() };
        self
    }

    /// The connection of a Region, or, without one, of that which the target or its configuration names.
    ///
    /// # Errors
    /// [`Error`], each saying what to do.
    pub fn connection(&self, region: Option<Region>) -> Result<Arc<Aws>, Error> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(aws) = region.and_then(|region| open.get(&region)) {
            return Ok(Arc::clone(aws));
        }
        let named = region.map(|region| region.to_string());
        let target = Target { region: named.or_else(|| self.target.region.clone()), ..self.target.clone() };
        let aws = Arc::new(Aws::open(&target)?.with_archives(self.archives.clone()));
        Ok(Arc::clone(open.entry(aws.region()).or_insert(aws)))
    }
}

impl Worlds for Account {
    fn reach(&self, key: &KeyArn) -> Result<Arc<dyn World + Send>, Unreached> {
        let unreached = |why: String| Unreached { key: key.to_string(), why };
        let aws = self.connection(Some(key.region)).map_err(|error| unreached(error.to_string()))?;
        if aws.account() != key.account {
            let (theirs, ours) = (key.account, aws.account());
            return Err(unreached(format!(
                "it is in account {theirs}, and these credentials are of {ours}; use that account's"
            )));
        }
        Ok(aws)
    }
}
