//! What must be true whatever happens: rules that know the durable records, the true times and the outages, and nothing of how the
//! service or the procedure work.
//!
//! A key's life is followed by a naive model, moved by records alone; the procedure is followed by the facts in its journal. Where
//! the world itself took the way back (a policy that shuts the operator out), what follows is nobody's fault and no violation.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use api::{KeyArn, Timestamp};
use jiff::SignedDuration;
use procedure::Profile;
use procedure::span::{DAY, HOUR, Span, after, before};
use serde_json::Value;

use crate::world::{OPERATOR, user_arn};

/// An invariant, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// No key is deleted after a use of it, successful or refused, had reached the observer before the last look.
    VisibleUse,
    /// No key is deleted over a refused use that reached a runner which then had time to cancel.
    AnswerableAttempt,
    /// No key is deleted by a case that had not committed to it.
    Uncommitted,
    /// No case commits, and no soak is passed, on time that the detector did not see.
    Blind,
    /// No key is deleted before its deletion date.
    Early,
    /// No key is deleted that was not pending deletion: above all none whose deletion was cancelled.
    NotPending,
    /// Every change has exactly one record and every record of a change a change, a deletion its DeleteKey.
    Record,
    /// A case that says it gave a key back has given it back as it was.
    NotRestored,
    /// Every case ends.
    Endless,
    /// A journal folds to the same case after every crash, and so does what was read back of it.
    Fold,
    /// A wake-up ends.
    Spin,
}

impl Rule {
    /// The name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Rule::VisibleUse => "no deletion after a visible use",
            Rule::AnswerableAttempt => "no deletion over an attempt that could be answered",
            Rule::Uncommitted => "no deletion without a commit",
            Rule::Blind => "no step towards loss on unseen time",
            Rule::Early => "no deletion before its date",
            Rule::NotPending => "no deletion of a key that is not pending",
            Rule::Record => "every change has its record",
            Rule::NotRestored => "what is given back is as it was",
            Rule::Endless => "every case ends",
            Rule::Fold => "the journal folds to the case",
            Rule::Spin => "a wake-up ends",
        }
    }
}

/// A rule that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}: {}", self.at, self.rule.as_str(), self.what)
    }
}

/// A run ends with so many violations: the first is the one to look at.
const MAX_VIOLATIONS: usize = 5;

/// How long a runner that saw an attempt needs at most to cancel, when calls fail now and then.
const ACT: SignedDuration = SignedDuration::from_hours(6);

/// Where a key is in its life, as far as this hall goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    Enabled,
    Disabled,
    Pending(Timestamp),
    Gone,
}

/// A cryptographic call by somebody who is not the operator, and was let in.
#[derive(Debug, Clone)]
struct Use {
    at: Timestamp,
    by: String,
    operation: String,
    refused: bool,
    /// When its event first reaches the observer, if it ever does.
    visible: Option<Timestamp>,
}

/// All that is known of one key.
#[derive(Debug, Clone)]
struct Watched {
    name: String,
    life: Life,
    /// When the case last set about disabling it: what it had assessed until then was to be quiet.
    disabled: Option<Timestamp>,
    scheduled: Option<(Timestamp, String)>,
    /// Its life when the case first set about disabling it, until it is given back.
    original: Option<Life>,
    /// Somebody else changed it since.
    meddled: bool,
    /// When the operator was last refused for want of permission.
    locked_out: Option<Timestamp>,
    uses: Vec<Use>,
    profile: Option<Profile>,
    /// When the case committed, and when it had looked.
    committed: Option<(Timestamp, Timestamp)>,
    /// Wake-ups that went to their end: when they began to look, and when they ended.
    wakes: Vec<(Timestamp, Timestamp)>,
    /// The newest probe that has set out to be seen: when it was made, and when it arrives.
    probes: Vec<(Timestamp, Timestamp)>,
}

/// The rules at work.
#[derive(Debug, Default)]
pub(crate) struct Checkers {
    violations: Vec<Violation>,
    keys: BTreeMap<KeyArn, Watched>,
    event_ids: HashSet<String>,
    /// Records that came with a change.
    changes: usize,
}

impl Checkers {
    pub(crate) fn violations(self) -> Vec<Violation> {
        self.violations
    }

    /// Whether so much is wrong that the run need not go on.
    pub(crate) fn is_enough(&self) -> bool {
        self.violations.len() >= MAX_VIOLATIONS
    }

    pub(crate) fn violated(&mut self, rule: Rule, at: Timestamp, what: impl fmt::Display) {
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(Violation { rule, at, what: what.to_string() });
        }
    }

    pub(crate) fn name(&mut self, arn: KeyArn, name: String) {
        self.key(arn).name = name;
    }

    fn key(&mut self, arn: KeyArn) -> &mut Watched {
        self.keys.entry(arn).or_insert_with(|| Watched {
            name: arn.to_string(),
            life: Life::Gone,
            disabled: None,
            scheduled: None,
            original: None,
            meddled: false,
            locked_out: None,
            uses: Vec::new(),
            profile: None,
            committed: None,
            wakes: Vec::new(),
            probes: Vec::new(),
        })
    }

    /// A batch was committed with so many records.
    pub(crate) fn committed(&mut self, records: usize, now: Timestamp) {
        self.changes += 1;
        if records != 1 {
            self.violated(Rule::Record, now, format_args!("a change was committed with {records} records"));
        }
    }

    /// A record became durable, with a change or without; its event arrives then, or never.
    pub(crate) fn recorded(
        &mut self,
        told: &Value,
        changes: bool,
        arrives: Option<Timestamp>,
        now: Timestamp,
        lives: impl Fn(&KeyArn) -> Life,
    ) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (name, by, error) =
            (text(&told["eventName"]), text(&told["userIdentity"]["arn"]), text(&told["errorCode"]));
        if !self.event_ids.insert(text(&told["eventID"])) {
            self.violated(Rule::Record, now, format_args!("two records of {name} share an event id"));
        }
        let Some(arn) = key_of(told) else { return };
        if error.is_empty() {
            if let Some(next) = self.turned(arn, &name, told, now) {
                self.changed(arn, &name, &by, next, changes, now);
            } else if !changes {
                self.used(arn, name, by, false, told, arrives, now);
            }
        } else if changes {
            self.violated(Rule::Record, now, format_args!("a refused {name} changed something"));
        } else if error == "AccessDenied" {
            if by == user_arn(OPERATOR) {
                self.key(arn).locked_out = Some(now);
            }
        } else if error == "DisabledException" || error == "KMSInvalidStateException" {
            self.used(arn, name, by, true, told, arrives, now);
        }
        let (modelled, found) = (self.key(arn).life, lives(&arn));
        if modelled != found {
            let name = self.key(arn).name.clone();
            self.violated(
                Rule::Record,
                now,
                format_args!("{name} is {modelled:?} by its records and {found:?} by the store"),
            );
            self.key(arn).life = found;
        }
    }

    /// The life that a successful call leads to; `None` for calls that are not about that.
    fn turned(&mut self, arn: KeyArn, name: &str, told: &Value, now: Timestamp) -> Option<Life> {
        Some(match name {
            "CreateKey" | "EnableKey" => Life::Enabled,
            "DisableKey" | "CancelKeyDeletion" => Life::Disabled,
            "ScheduleKeyDeletion" => {
                let days = told["requestParameters"]["pendingWindowInDays"].as_i64().unwrap_or(30);
                Life::Pending(after(now, DAY * i32::try_from(days).unwrap_or(i32::MAX)))
            }
            "DeleteKey" => Life::Gone,
            "PutKeyPolicy" => self.key(arn).life,
            _ => return None,
        })
    }

    fn changed(&mut self, arn: KeyArn, operation: &str, by: &str, next: Life, changes: bool, now: Timestamp) {
        let before = self.key(arn).life;
        if changes && before == next && operation != "PutKeyPolicy" {
            self.violated(
                Rule::Record,
                now,
                format_args!("{operation} was committed as a change of what was so already"),
            );
        }
        if !changes && before != next {
            self.violated(Rule::Record, now, format_args!("{operation} was recorded without its change"));
        }
        if operation == "DeleteKey" {
            self.deleted(arn, now);
        }
        let key = self.key(arn);
        if by != user_arn(OPERATOR) && operation != "DeleteKey" {
            key.meddled |= before != next;
        }
        if operation == "ScheduleKeyDeletion" {
            key.scheduled = Some((now, by.to_owned()));
            key.committed = None;
        }
        key.life = next;
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one record")]
    fn used(
        &mut self,
        arn: KeyArn,
        operation: String,
        by: String,
        refused: bool,
        told: &Value,
        arrives: Option<Timestamp>,
        now: Timestamp,
    ) {
        if !matches!(operation.as_str(), "Encrypt" | "Decrypt" | "GenerateDataKey") {
            return;
        }
        let key = self.key(arn);
        if by != user_arn(OPERATOR) {
            key.uses.push(Use { at: now, by, operation, refused, visible: arrives });
        } else if told["requestParameters"]["encryptionContext"]["quietus:probe"].is_string()
            && let Some(arrives) = arrives
        {
            key.probes.push((now, arrives));
        }
    }

    /// The DeleteKey record of a key became durable.
    fn deleted(&mut self, arn: KeyArn, now: Timestamp) {
        let key = self.key(arn).clone();
        let name = &key.name;
        match key.life {
            Life::Pending(date) if date <= now => {}
            Life::Pending(date) => self.violated(Rule::Early, now, format_args!("{name} was to be deleted at {date}")),
            life @ (Life::Enabled | Life::Disabled | Life::Gone) => {
                return self.violated(Rule::NotPending, now, format_args!("{name} was {life:?}"));
            }
        }
        let Some((scheduled, by)) = &key.scheduled else { return };
        let shut_out = key.locked_out.is_some_and(|at| at >= *scheduled);
        if *by != user_arn(OPERATOR) || shut_out {
            return;
        }
        let Some((committed, looked)) = key.committed else {
            return self.violated(
                Rule::Uncommitted,
                now,
                format_args!("{name} was deleted; its case had not committed"),
            );
        };
        let quiet = key.profile.as_ref().map_or(SignedDuration::ZERO, |profile| profile.quiet);
        let since = before(key.disabled.unwrap_or(*scheduled), quiet);
        for seen in key.uses.iter().filter(|used| used.at >= since) {
            let Some(visible) = seen.visible else { continue };
            let used = format!("{} by {} at {}, visible at {visible}", seen.operation, seen.by, seen.at);
            if visible <= looked {
                let what = format_args!("{name} was committed at {committed} after {used}").to_string();
                self.violated(Rule::VisibleUse, now, what);
            } else if seen.refused
                && key.wakes.iter().any(|(looked, ended)| visible <= *looked && after(*ended, ACT) <= now)
            {
                self.violated(Rule::AnswerableAttempt, now, format_args!("{name} was deleted after {used}"));
            }
        }
    }

    /// Compares the model, and the number of records that the store took, with what is durable.
    pub(crate) fn compare(&mut self, queued: usize, now: Timestamp, lives: impl Fn(&KeyArn) -> Life) {
        if queued != self.changes {
            let changes = self.changes;
            self.violated(Rule::Record, now, format_args!("the store holds {queued} records of {changes} changes"));
        }
        let differ: Vec<String> = (self.keys.iter())
            .filter(|(arn, key)| key.life != lives(arn))
            .map(|(arn, key)| {
                format!("{} is {:?} by its records and {:?} by the store", key.name, key.life, lives(arn))
            })
            .collect();
        for what in differ {
            self.violated(Rule::Record, now, what);
        }
    }

    /// A case was opened.
    pub(crate) fn opened(&mut self, arn: KeyArn, profile: Profile) {
        self.key(arn).profile = Some(profile);
    }

    /// A wake-up went through the case to the end: it began to look at `looked`.
    pub(crate) fn woke(&mut self, arn: KeyArn, looked: Timestamp, now: Timestamp) {
        self.key(arn).wakes.push((looked, now));
    }

    /// The case sets about disabling the key.
    pub(crate) fn disables(&mut self, arn: KeyArn, now: Timestamp) {
        let key = self.key(arn);
        key.disabled = Some(now);
        if key.original.is_none() {
            key.original = Some(key.life);
            key.meddled = false;
        }
    }

    /// The case committed to the deletion, on what it saw at `looked`.
    pub(crate) fn commits(&mut self, arn: KeyArn, looked: Timestamp, now: Timestamp) {
        let key = self.key(arn);
        key.committed = Some((now, looked));
        let Some(profile) = &key.profile else { return };
        // A probe of at most that age must have come back: it may take `blind_after`, and so may the next.
        let oldest = before(looked, profile.blind_after * 2 + HOUR);
        let proven = key.probes.iter().any(|(made, arrived)| *made >= oldest && *arrived <= looked);
        if !proven {
            let what = format!("{} was committed, and no probe since {oldest} had come back", key.name);
            self.violated(Rule::Blind, now, what);
        }
    }

    /// The soak was passed: the case counts `seen` as seen time.
    pub(crate) fn soaked(&mut self, arn: KeyArn, seen: SignedDuration, outages: &[Span], now: Timestamp) {
        let key = self.key(arn);
        let (Some(profile), Some(since)) = (&key.profile, key.disabled) else { return };
        let disabled = Span::new(since, now);
        // An outage may hide between two probes that are that far apart.
        let hidden = profile.blind_after * 2;
        let blind = outages.iter().fold(SignedDuration::ZERO, |sum, outage| {
            sum + (outage.overlap(disabled).length() - hidden).max(SignedDuration::ZERO)
        });
        let most = disabled.length() - blind;
        if seen > most || most < profile.soak_min {
            let what = format!("{} counts {seen:?} of soak, and {most:?} could be seen", key.name);
            self.violated(Rule::Blind, now, what);
        }
    }

    /// Somebody had changed the key, and a human goes on with it as it was found: from here on that is its original state.
    ///
    /// This lets through what may be a fault of the procedure: a key that the case itself had disabled counts as one that was
    /// disabled before the case, and stays so when the case gives it back.
    pub(crate) fn adopted(&mut self, arn: KeyArn) {
        self.key(arn).original = None;
    }

    /// The case says that the key is as it was.
    pub(crate) fn given_back(&mut self, arn: KeyArn, now: Timestamp) {
        let key = self.key(arn);
        let (original, meddled, life) = (key.original.take(), key.meddled, key.life);
        if let Some(original) = original.filter(|original| !meddled && *original != life) {
            let what = format!("{} was {original:?}, and is {life:?}", key.name);
            self.violated(Rule::NotRestored, now, what);
        }
    }
}

/// The key that a record is about.
fn key_of(told: &Value) -> Option<KeyArn> {
    let resources = told["resources"].as_array()?;
    resources.iter().find_map(|resource| resource["ARN"].as_str()?.parse().ok())
}
