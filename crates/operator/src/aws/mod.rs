//! The real world: KMS, CloudTrail and STS through the official SDK.
//!
//! The only async code of this crate. [`Aws`] owns the runtime it runs on, so that everything outside is plain functions; it must
//! be neither used nor dropped on a thread of another runtime.

mod act;
mod connect;
mod history;
mod keys;
mod pace;
mod reach;
mod resolve;
mod trouble;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use api::{AccountId, KeyArn, Region, Timestamp};
use procedure::observation::{Observation, SourceSeen, Tag};
use procedure::{Depth, Gap, Presence, Seen};
use tokio::runtime::Runtime;

pub use aws_sdk_kms::config::Credentials;
pub use connect::{Error, Target};
pub use reach::Account;
pub use resolve::Unresolved;

use crate::archive::{self, Archives};
use crate::notebook::Memory;
use crate::sight::{Sighted, Subject};
use crate::world::{Act, Answer, Ask, World};
use connect::Skew;
pub(crate) use connect::{load, why_none};
use pace::Pace;
pub(crate) use trouble::chain;

/// A connection to one account and Region of AWS, or of `quietus serve`.
#[derive(Debug)]
pub struct Aws {
    kms: aws_sdk_kms::Client,
    /// The same without retries: an act is tried once, and the next look tells what became of it.
    acting: aws_sdk_kms::Client,
    trail: aws_sdk_cloudtrail::Client,
    account: AccountId,
    region: Region,
    operator: String,
    endpoint: Option<String>,
    skew: Arc<Skew>,
    /// Whether time comes from the service itself, so that clocks cannot differ.
    shares_clock: bool,
    pace: Pace,
    archives: Archives,
    /// What notebooks say, so that only what is new in them is read again.
    memories: Mutex<BTreeMap<PathBuf, Memory>>,
    // Last, so that it outlives the clients when all of this is dropped.
    runtime: Runtime,
}

impl Aws {
    /// Connects, and asks who we are.
    ///
    /// # Errors
    /// [`Error`], each saying what to do: no Region, no credentials, no answer, refused.
    pub fn open(target: &Target) -> Result<Aws, Error> {
        connect::open(target)
    }

    /// The same, reading CloudTrail files too.
    #[must_use]
    pub fn with_archives(mut self, archives: Archives) -> Aws {
        self.archives = archives;
        self
    }

    /// The account of the caller.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// The Region that calls go to.
    pub fn region(&self) -> Region {
        self.region
    }

    /// The endpoint, where it is not AWS's own.
    pub fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    /// The key that `text` names by id, ARN, alias or alias ARN.
    ///
    /// # Errors
    /// [`Unresolved`] where it names none, or one that this connection does not reach.
    pub fn resolve(&self, text: &str) -> Result<KeyArn, Unresolved> {
        self.runtime.block_on(resolve::resolve(self, text))
    }

    async fn look(&self, ask: &Ask<'_>) -> Observation {
        let arn = ask.key.to_string();
        let (key, policies, grants, aliases, tags, last_usage, evidence_keys) = tokio::join!(
            keys::describe(&self.kms, &arn),
            keys::policies(&self.kms, &arn),
            keys::grants(&self.kms, &arn),
            keys::aliases(&self.kms, &arn),
            self.tags(ask.depth, &arn),
            keys::last_usage(&self.kms, &arn),
            self.evidence_keys(ask.depth),
        );
        let alias_arns = alias_arns(&ask.key, aliases.seen());
        let subject = Subject {
            key: ask.key,
            aliases: &alias_arns,
            operator: &self.operator,
            own: ask.own,
            probes: ask.probes,
            since: ask.since,
        };
        let (mut seen, source) = history::read(self, ask, subject).await;
        let mut sources = vec![source];
        if ask.depth == Depth::Full && !self.archives.sources.is_empty() {
            let found = archive::read(&self.archives, &subject, ask.lookback, ask.now);
            archive::merge(&mut seen.usage, found.usage);
            sources.extend(found.sources);
        }
        self.put_together(ask, key, seen, sources, |observation| {
            observation.policies = policies;
            observation.grants = grants;
            observation.aliases = aliases;
            observation.tags = tags;
            observation.last_usage = last_usage;
            observation.evidence_keys = evidence_keys;
        })
    }

    fn put_together(
        &self,
        ask: &Ask<'_>,
        key: Seen<Presence>,
        seen: Sighted,
        sources: Vec<SourceSeen>,
        fill: impl FnOnce(&mut Observation),
    ) -> Observation {
        let mut observation = Observation {
            at: ask.now,
            depth: ask.depth,
            arn: ask.key,
            operator: self.operator.clone(),
            clock_skew: if self.shares_clock { Seen::Seen(jiff::SignedDuration::ZERO) } else { self.skew.seen() },
            key,
            policies: Seen::Unknown(Gap::NotAsked),
            grants: Seen::Unknown(Gap::NotAsked),
            aliases: Seen::Unknown(Gap::NotAsked),
            tags: Seen::Unknown(Gap::NotAsked),
            last_usage: Seen::Unknown(Gap::NotAsked),
            usage: seen.usage,
            sources,
            attempts: seen.attempts,
            changes: seen.changes,
            probes: seen.probes,
            evidence_keys: Seen::Unknown(Gap::NotAsked),
            siblings: Vec::new(),
        };
        fill(&mut observation);
        observation
    }

    fn take_memory(&self, notebook: Option<&Path>) -> Memory {
        let mut memories = self.memories.lock().unwrap_or_else(PoisonError::into_inner);
        notebook.and_then(|path| memories.remove(path)).unwrap_or_default()
    }

    fn keep_memory(&self, notebook: Option<&Path>, memory: Memory) {
        if let Some(path) = notebook {
            self.memories.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), memory);
        }
    }

    async fn tags(&self, depth: Depth, arn: &str) -> Seen<Vec<Tag>> {
        match depth {
            Depth::Watch => Seen::Unknown(Gap::NotAsked),
            Depth::Full => keys::tags(&self.kms, arn).await,
        }
    }

    async fn evidence_keys(&self, depth: Depth) -> Seen<Vec<String>> {
        match depth {
            Depth::Watch => Seen::Unknown(Gap::NotAsked),
            Depth::Full => keys::trail_keys(&self.trail).await,
        }
    }
}

/// The ARNs of the key's aliases, as events name them.
fn alias_arns(key: &KeyArn, names: Option<&Vec<String>>) -> Vec<String> {
    let front = format!("arn:{}:kms:{}:{}", key.region.partition(), key.region, key.account);
    names.into_iter().flatten().map(|name| format!("{front}:{name}")).collect()
}

/// AWS's time as ours, in whole milliseconds: it travels as a decimal fraction, and what comes after the third digit is noise.
/// What is out of range is out of any deadline.
fn timestamp(at: &aws_sdk_kms::primitives::DateTime) -> Option<Timestamp> {
    let millis = (i64::from(at.subsec_nanos()) + 500_000) / 1_000_000;
    Timestamp::from_millisecond(at.secs().checked_mul(1_000)?.checked_add(millis)?).ok()
}

impl World for Aws {
    fn operator(&self) -> &str {
        &self.operator
    }

    fn observe(&self, ask: &Ask<'_>) -> Observation {
        self.runtime.block_on(self.look(ask))
    }

    fn act(&self, key: KeyArn, act: &Act) -> Answer {
        self.runtime.block_on(act::act(self, key, act))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_whole_milliseconds() {
        let at = |secs, nanos| timestamp(&aws_sdk_kms::primitives::DateTime::from_secs_and_nanos(secs, nanos)).unwrap();
        assert_eq!(at(1, 828_000_068).to_string(), "1970-01-01T00:00:01.828Z");
        assert_eq!(at(1, 999_999_999).to_string(), "1970-01-01T00:00:02Z");
        assert_eq!(at(-1, 0).to_string(), "1969-12-31T23:59:59Z");
        assert!(timestamp(&aws_sdk_kms::primitives::DateTime::from_secs(i64::MAX)).is_none());
    }
}
