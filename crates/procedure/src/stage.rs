//! Where a case can stand, and what can become of it.

use serde::{Deserialize, Serialize};

use crate::finding::Verdict;

/// Where a case stands. Source: procedure.md 6.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Not opened.
    Draft,
    /// An assessment is due.
    Assessing,
    /// Assessed, and not QUIET: nothing happens but another assessment.
    Assessed,
    /// QUIET; people are asked whether to disable.
    AwaitDisable,
    /// Approved; what dies with the key is kept.
    Preserving,
    /// Kept; the key is to be disabled.
    Disabling,
    /// Disabled and watched.
    Soaking,
    /// Watched long enough; the assessment is made again.
    SoakPassed,
    /// QUIET again; people are asked whether to delete.
    AwaitDelete,
    /// Approved; deletion is to be scheduled.
    Scheduling,
    /// Waiting for deletion, and watched.
    Pending,
    /// The last look before the margin.
    LastLook,
    /// The deletion will be let happen; still watched.
    Committed,
    /// The key is gone, as committed.
    Deleted,
    /// Ended with the key's end.
    Closed,
    /// Paused by a human, or for one.
    Held,
    /// The key is being given back because it is needed.
    Rescuing,
    /// The key is back; a human says how it goes on.
    Rescued,
    /// The key is being given back because nobody wants to go on.
    Returning,
    /// Ended by a human, the key as it was.
    Abandoned,
    /// Ended by patience, the key as it was.
    Ended,
    /// Somebody else changed the key; a human says how it goes on.
    Foreign,
    /// The key is gone, and we had not committed.
    Lost,
}

impl Stage {
    /// Every stage, in the order of the procedure.
    pub const ALL: [Stage; 23] = [
        Stage::Draft,
        Stage::Assessing,
        Stage::Assessed,
        Stage::AwaitDisable,
        Stage::Preserving,
        Stage::Disabling,
        Stage::Soaking,
        Stage::SoakPassed,
        Stage::AwaitDelete,
        Stage::Scheduling,
        Stage::Pending,
        Stage::LastLook,
        Stage::Committed,
        Stage::Deleted,
        Stage::Closed,
        Stage::Held,
        Stage::Rescuing,
        Stage::Rescued,
        Stage::Returning,
        Stage::Abandoned,
        Stage::Ended,
        Stage::Foreign,
        Stage::Lost,
    ];

    /// The name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Draft => "draft",
            Stage::Assessing => "assessing",
            Stage::Assessed => "assessed",
            Stage::AwaitDisable => "await-approval(disable)",
            Stage::Preserving => "preserving",
            Stage::Disabling => "disabling",
            Stage::Soaking => "soaking",
            Stage::SoakPassed => "soak-passed",
            Stage::AwaitDelete => "await-approval(delete)",
            Stage::Scheduling => "scheduling",
            Stage::Pending => "pending",
            Stage::LastLook => "last-look",
            Stage::Committed => "committed",
            Stage::Deleted => "deleted",
            Stage::Closed => "closed",
            Stage::Held => "held",
            Stage::Rescuing => "rescuing",
            Stage::Rescued => "rescued",
            Stage::Returning => "returning",
            Stage::Abandoned => "abandoned",
            Stage::Ended => "ended",
            Stage::Foreign => "foreign",
            Stage::Lost => "lost",
        }
    }

    /// Whether nothing will ever happen again.
    pub fn is_end(self) -> bool {
        matches!(self, Stage::Closed | Stage::Abandoned | Stage::Ended | Stage::Lost)
    }
}

/// What became of a case, in one word for tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Under way.
    Open,
    /// Stopped by a verdict that was not QUIET; under way or ended.
    Verdict(Verdict),
    /// Deleted as committed.
    Deleted,
    /// Given back because it was needed, or because nobody could see whether it is.
    Rescued,
    /// Given back because a human asked.
    Abandoned,
    /// Given back, or left, because nobody came.
    Expired,
    /// Changed by somebody else.
    Foreign,
    /// Deleted by somebody else.
    Lost,
}
