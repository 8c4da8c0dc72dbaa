//! What to do next, and why.

use std::fmt;

use api::Timestamp;
use serde::{Deserialize, Serialize};

use crate::case::Case;
use crate::digest::Digest;
use crate::journal::Fact;
use crate::observation::{Depth, Observation};
use crate::reason::Reason;

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

/// What to do next with `case`, given what was seen, at `now`.
pub fn plan(_case: &Case, _seen: &Observation, _now: Timestamp) -> Plan {
    Plan { next: Next::Stop, because: Reason::NotOpened }
}
