//! Why a plan says what it says: one line for the terminal, the journal and the report.

use std::fmt;

use api::Timestamp;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::finding::{Verdict, plain};
use crate::observation::Gap;
use crate::plan::{Action, Step};

/// Why. Those with a finding's id are findings of the watch; see [`Reason::finding`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Reason {
    /// The journal is empty.
    NotOpened,
    /// The observation is of another key.
    OtherKey {
        /// Of which.
        seen: String,
    },
    /// The observation is too old, or from the future.
    StaleObservation {
        /// When it was made.
        at: Timestamp,
    },
    /// A decision is due that needs all the evidence.
    EvidenceNeeded,
    /// No assessment was made yet.
    AssessmentDue,
    /// The assessment is older than evidence may be.
    AssessmentAged {
        /// When it was made.
        at: Timestamp,
    },
    /// What was seen is not what the assessment, and so the approval, rests on. F-APPROVAL-STALE.
    PlanChanged,
    /// The assessment was not QUIET; it is made again later.
    VerdictStands {
        /// What it was.
        verdict: Verdict,
    },
    /// People are asked.
    ApprovalMissing {
        /// For what.
        step: Step,
        /// How many have agreed.
        have: u8,
        /// How many must.
        need: u8,
    },
    /// A step towards loss has all it needs.
    GatesPassed {
        /// Which step.
        step: Step,
    },
    /// What dies with the key is to be kept first.
    CapsuleDue,
    /// It is time to see whether the detector sees.
    ProbeDue,
    /// A probe came back.
    ProbeBack {
        /// How long it took.
        after: SignedDuration,
    },
    /// Nothing came back for too long. F-BLIND.
    Blind {
        /// Since when.
        since: Timestamp,
    },
    /// Somebody tried to use the key. F-ATTEMPT.
    Attempt {
        /// Who.
        principal: String,
        /// Which operation.
        operation: String,
        /// When.
        at: Timestamp,
        /// `eventID`.
        event_id: Option<String>,
    },
    /// Somebody who had access is refused. F-SUSPECT.
    Suspect {
        /// Who.
        principal: String,
        /// When.
        at: Timestamp,
    },
    /// A use came to light that the assessment had not seen. F-LASTUSE.
    LateUse {
        /// Which operation.
        operation: String,
        /// When it was.
        at: Timestamp,
    },
    /// Somebody else changed the key. F-FOREIGN.
    Foreign {
        /// What was found.
        found: String,
    },
    /// The key's policies changed while it was pending, so that a cancel might soon be refused. F-POLICY-PENDING.
    PolicyWhilePending,
    /// Our way back is being closed. F-RESCUE-PATH.
    RescuePathClosing {
        /// The IAM action that is not allowed any more.
        action: String,
    },
    /// The margin before deletion is reached, and the case is not committed. F-DEADLINE.
    Deadline {
        /// DeletionDate.
        deletion_date: Timestamp,
    },
    /// The service has not deleted the key long after its date. F-DEADLINE.
    Overdue {
        /// DeletionDate.
        deletion_date: Timestamp,
    },
    /// The last look did not find it quiet.
    LastLookFailed {
        /// What it found.
        verdict: Verdict,
    },
    /// The last look found it quiet.
    LastLookPassed,
    /// It is time for the last look.
    LastLookDue,
    /// The clocks differ too much for any step towards loss. F-CLOCK.
    Clock,
    /// The key is gone, and nobody had committed. F-LOST.
    Lost,
    /// The key is gone, as committed.
    Deleted,
    /// The DeleteKey event is waited for, for the report.
    DeleteEventAwaited,
    /// The soak runs.
    SoakRunning {
        /// Seen time so far.
        seen: SignedDuration,
        /// Seen time needed.
        required: SignedDuration,
        /// The soak lasts at least until here.
        until: Option<Timestamp>,
    },
    /// The soak is long enough.
    SoakPassed {
        /// Seen time.
        seen: SignedDuration,
    },
    /// The waiting period runs.
    WindowRunning {
        /// DeletionDate.
        deletion_date: Timestamp,
    },
    /// Committed; the service will delete the key.
    DeletionAwaited {
        /// DeletionDate.
        deletion_date: Timestamp,
    },
    /// An action is in flight; it is not repeated before its effect must have shown.
    OutcomeAwaited {
        /// Which.
        action: Action,
    },
    /// The action was found to have taken effect.
    OutcomeObserved {
        /// Which.
        action: Action,
    },
    /// The action had no effect.
    NoEffect {
        /// Which.
        action: Action,
    },
    /// The last try failed; the next waits.
    BackOff {
        /// Failures in a row.
        failures: u32,
    },
    /// The key cannot be looked at.
    KeyUnknown {
        /// Why.
        why: Gap,
    },
    /// The key is given back.
    GivingBack,
    /// The key is as it was.
    Restored,
    /// A human held the case.
    Held,
    /// Only a human can say how it goes on.
    HumanDecides,
    /// Nobody came, or nothing came, for as long as the profile waits.
    PatienceOver {
        /// How long that was.
        after: SignedDuration,
    },
    /// A human asked for the key back.
    Asked {
        /// Who.
        by: String,
    },
    /// The case has ended.
    Ended,
}

impl Reason {
    /// The id of the finding of procedure.md 6.12 that this is, if it is one.
    pub fn finding(&self) -> Option<&'static str> {
        Some(match self {
            Reason::PlanChanged => "F-APPROVAL-STALE",
            Reason::Blind { .. } => "F-BLIND",
            Reason::Attempt { .. } => "F-ATTEMPT",
            Reason::Suspect { .. } => "F-SUSPECT",
            Reason::LateUse { .. } => "F-LASTUSE",
            Reason::Foreign { .. } => "F-FOREIGN",
            Reason::PolicyWhilePending => "F-POLICY-PENDING",
            Reason::RescuePathClosing { .. } => "F-RESCUE-PATH",
            Reason::Deadline { .. } | Reason::Overdue { .. } => "F-DEADLINE",
            Reason::Clock => "F-CLOCK",
            Reason::Lost => "F-LOST",
            _ => return None,
        })
    }

    /// What to do about it, where something can be done.
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Reason::NotOpened => "open the case first".to_owned(),
            Reason::PlanChanged => "look at the plan again and approve its new hash".to_owned(),
            Reason::ApprovalMissing { step, .. } => {
                format!("approve the step `{}` of the plan by its hash, or abandon the case", step.as_str())
            }
            Reason::Blind { .. } => {
                "mend the delivery of CloudTrail events; the soak clock stands until then".to_owned()
            }
            Reason::Attempt { principal, .. } => format!("move `{principal}` to another key, then resume or abandon"),
            Reason::Suspect { principal, .. } => format!("ask the owner of `{principal}`, then waive F-SUSPECT for it"),
            Reason::LateUse { .. } => "find the caller in CloudTrail and move it, then resume or abandon".to_owned(),
            Reason::Foreign { .. } | Reason::HumanDecides | Reason::Held => {
                "resume the case, which assesses again, or abandon it".to_owned()
            }
            Reason::Clock => "set the clock of the machine that runs quietus".to_owned(),
            Reason::KeyUnknown { why: Gap::Denied { action, .. } } => format!("allow {action} to the operating role"),
            Reason::RescuePathClosing { action } => format!("allow {action} to the operating role in the key policy"),
            Reason::Lost => {
                "find out who deleted the key: its DeleteKey event and ScheduleKeyDeletion before it".to_owned()
            }
            _ => return None,
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NotOpened => write!(out, "no case was opened"),
            Reason::OtherKey { seen } => write!(out, "the observation is of `{seen}`, another key than the case's"),
            Reason::StaleObservation { at } => write!(out, "the observation of {at} is too old to act on"),
            Reason::EvidenceNeeded => write!(out, "a decision is due that needs all the evidence"),
            Reason::AssessmentDue => write!(out, "the key has to be assessed"),
            Reason::AssessmentAged { at } => write!(out, "the assessment of {at} is too old to act on"),
            Reason::PlanChanged => write!(out, "what was seen is not what was assessed and approved"),
            Reason::VerdictStands { verdict } => write!(out, "the verdict is {verdict}; it is looked at again later"),
            Reason::ApprovalMissing { step, have, need } => {
                write!(out, "{have} of {need} people have approved to {}", step.as_str())
            }
            Reason::GatesPassed { step } => {
                write!(out, "quiet, approved and fresh: nothing is left before `{}`", step.as_str())
            }
            Reason::CapsuleDue => write!(out, "what dies with the key is kept first"),
            Reason::ProbeDue => write!(out, "it is time to see whether a refused call comes back"),
            Reason::ProbeBack { after } => write!(out, "a probe came back after {}", plain(*after)),
            Reason::Blind { since } => write!(out, "no probe has come back since {since}: use would not be seen"),
            Reason::Attempt { principal, operation, at, .. } => {
                write!(out, "`{principal}` called {operation} at {at}: the key is needed")
            }
            Reason::Suspect { principal, at } => {
                write!(out, "`{principal}`, which had access before, was refused at {at}")
            }
            Reason::LateUse { operation, at } => write!(out, "a use came to light: {operation} at {at}"),
            Reason::Foreign { found } => write!(out, "somebody else changed the key: {found}"),
            Reason::PolicyWhilePending => write!(out, "the key's policies changed while it waits for deletion"),
            Reason::RescuePathClosing { action } => write!(out, "{action} is not allowed to us any more"),
            Reason::Deadline { deletion_date } => {
                write!(out, "deletion at {deletion_date} is too near to go on without a passed last look")
            }
            Reason::Overdue { deletion_date } => {
                write!(out, "the key was to be deleted at {deletion_date} and is still there")
            }
            Reason::LastLookFailed { verdict } => write!(out, "the last look found {verdict}"),
            Reason::LastLookPassed => write!(out, "the last look found it quiet, from sources that are proven to see"),
            Reason::LastLookDue => write!(out, "it is time for the last look"),
            Reason::Clock => write!(out, "our clock and the service's do not agree, or could not be compared"),
            Reason::Lost => write!(out, "the key is gone, and this case had not committed to that"),
            Reason::Deleted => write!(out, "the key is gone, as committed"),
            Reason::DeleteEventAwaited => write!(out, "the DeleteKey event is waited for"),
            Reason::SoakRunning { seen, required, until } => {
                write!(out, "disabled and watched for {} of {}", plain(*seen), plain(*required))?;
                until.map_or(Ok(()), |until| write!(out, ", and not before {until}"))
            }
            Reason::SoakPassed { seen } => write!(out, "disabled and watched for {} without a use", plain(*seen)),
            Reason::WindowRunning { deletion_date } => write!(out, "the waiting period runs until {deletion_date}"),
            Reason::DeletionAwaited { deletion_date } => {
                write!(out, "the key is deleted at {deletion_date} or up to a day later")
            }
            Reason::OutcomeAwaited { action } => write!(out, "{action} is in flight"),
            Reason::OutcomeObserved { action } => write!(out, "{action} was found to have taken effect"),
            Reason::NoEffect { action } => write!(out, "{action} was found to have had no effect"),
            Reason::BackOff { failures } => write!(out, "the last {failures} tries failed"),
            Reason::KeyUnknown { why } => write!(out, "the key cannot be looked at: {why}"),
            Reason::GivingBack => write!(out, "the key is brought back to where it was"),
            Reason::Restored => write!(out, "the key is where it was before the case"),
            Reason::Held => write!(out, "the case is held"),
            Reason::HumanDecides => write!(out, "only a human can say how this goes on"),
            Reason::PatienceOver { after } => write!(out, "nothing came of it for {}", plain(*after)),
            Reason::Asked { by } => write!(out, "`{by}` asked for it"),
            Reason::Ended => write!(out, "the case has ended"),
        }
    }
}
