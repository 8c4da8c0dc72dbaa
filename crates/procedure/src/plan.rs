//! What to do next, and why.

use std::fmt;

use api::Timestamp;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::case::Case;
use crate::digest::Digest;
use crate::journal::Fact;
use crate::observation::{Depth, Observation};
use crate::reason::Reason;
use crate::span::HOUR;
use crate::stage::Stage;
use crate::view::View;

/// A step that people approve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// DisableKey.
    Disable,
    /// ScheduleKeyDeletion.
    Delete,
    /// Letting the waiting period end.
    Commit,
}

impl Step {
    /// The name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Step::Disable => "disable",
            Step::Delete => "delete",
            Step::Commit => "commit",
        }
    }
}

/// One act on the world: one API call, or one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Action {
    /// Keep what dies with the key, outside its account, and read it back.
    WriteCapsule,
    /// DisableKey.
    Disable,
    /// A cryptographic call on the disabled or pending key that must be refused, with encryption context
    /// `{"quietus:probe": probe}`.
    Probe {
        /// The probe's id.
        probe: String,
    },
    /// ScheduleKeyDeletion with this PendingWindowInDays, always sent.
    Schedule {
        /// 7 to 30.
        window_days: u8,
    },
    /// CancelKeyDeletion.
    Cancel,
    /// EnableKey.
    Enable,
}

impl Action {
    /// Whether this leads towards loss. Such an action is never tried while another is in flight, and an operator that wrote its
    /// intent acts within [`crate::SETTLE`] or not at all.
    pub fn is_towards_loss(&self) -> bool {
        match self {
            Action::Disable | Action::Schedule { .. } => true,
            Action::WriteCapsule | Action::Probe { .. } | Action::Cancel | Action::Enable => false,
        }
    }

    /// The KMS operation, where it is one.
    pub fn operation(&self) -> Option<&'static str> {
        match self {
            Action::Disable => Some("DisableKey"),
            Action::Schedule { .. } => Some("ScheduleKeyDeletion"),
            Action::Cancel => Some("CancelKeyDeletion"),
            Action::Enable => Some("EnableKey"),
            Action::WriteCapsule | Action::Probe { .. } => None,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::WriteCapsule => write!(out, "the capsule"),
            Action::Probe { probe } => write!(out, "probe `{probe}`"),
            Action::Schedule { window_days } => write!(out, "ScheduleKeyDeletion ({window_days} days)"),
            Action::Disable => write!(out, "DisableKey"),
            Action::Cancel => write!(out, "CancelKeyDeletion"),
            Action::Enable => write!(out, "EnableKey"),
        }
    }
}

/// What to do next: exactly one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Next {
    /// Look again with this depth, then plan again. Nothing is written down.
    Observe {
        /// How deep.
        depth: Depth,
    },
    /// Append an `Intended` entry, act, append `Done` or `Failed`, then plan again.
    Do(Action),
    /// Append this, then plan again.
    Record(Fact),
    /// Nothing until then; look again at the latest then.
    Wait {
        /// When.
        until: Timestamp,
    },
    /// People are asked; look again at the latest at `until`.
    NeedsApproval {
        /// For what.
        step: Step,
        /// The plan's hash, which an approval names.
        plan: Digest,
        /// When to look again.
        until: Timestamp,
    },
    /// Nothing, ever: the case has ended, or was never opened.
    Stop,
}

/// The answer to "what now?".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// What.
    pub next: Next,
    /// Why.
    pub because: Reason,
}

/// Observations older than this are not acted on. Archives that took longer to read say with their spans how far they reach.
const STALE: SignedDuration = HOUR;
/// Observations from further in the future than this are not acted on: a clock is wrong.
const EARLY: SignedDuration = SignedDuration::from_mins(5);

/// What to do next with `case`, given what was seen, at `now`.
///
/// # Guarantees
/// - Depends on nothing but its arguments; says one thing.
/// - Steps towards safety come before everything else, and need nothing but the sighting.
/// - DisableKey, ScheduleKeyDeletion and the commit are planned only from a full observation that is QUIET right now and fits the
///   approved hash; the last two only while the detector is proven to see.
/// - An entry it asks to record fits the case: its fold is never a stray.
/// - An act is never repeated while an earlier one may be in flight, except towards safety.
///
/// # Assumptions
/// - `seen.attempts`, `seen.changes` and `seen.probes` hold everything since [`Case::watch_since`], not only what is new.
/// - Whoever appends `Intended` acts within half of [`crate::SETTLE`], or not at all.
pub fn plan(case: &Case, seen: &Observation, now: Timestamp) -> Plan {
    let (Some(opening), Some(terms)) = (&case.opening, case.terms()) else {
        return Plan { next: Next::Stop, because: Reason::NotOpened };
    };
    if case.stage.is_end() {
        return Plan { next: Next::Stop, because: Reason::Ended };
    }
    let again = |because| Plan { next: Next::Observe { depth: case.depth(now) }, because };
    if seen.arn != opening.key {
        return again(Reason::OtherKey { seen: seen.arn.to_string() });
    }
    let age = now.duration_since(seen.at);
    if age > STALE || age < -EARLY {
        return again(Reason::StaleObservation { at: seen.at });
    }
    let view = View { case, opening, seen, now, terms };
    let giving_back = matches!(case.stage, Stage::Rescuing | Stage::Returning);
    view.if_gone()
        .or_else(|| view.if_threatened())
        .or_else(|| view.if_in_flight())
        .or_else(|| if giving_back { None } else { view.if_foreign() })
        .or_else(|| view.if_expired())
        .or_else(|| view.if_watching())
        .unwrap_or_else(|| view.onwards())
}
