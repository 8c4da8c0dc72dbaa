//! Which fact leads from which stage to which: the one place that says so.
//!
//! The table is total. A fact that makes no sense where it stands (a second runner's, a human's that came too late) is a *stray*: it is
//! counted, told in the report, and changes nothing, so that no prefix and no mixture of entries can fail to fold, and none can move a
//! key towards loss by being out of place.

use api::Timestamp;

use crate::assess::Assessment;
use crate::case::Case;
use crate::digest::Digest;
use crate::finding::Verdict;
use crate::journal::{Done, Fact};
use crate::plan::{Action, Step};
use crate::reason::Reason;
use crate::stage::Stage;

/// What a fact does to a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Leads to this stage.
    To(Stage),
    /// Is taken in; the stage stays.
    Stay,
    /// Makes no sense here.
    Stray,
}

/// Where `fact` leads from where `case` stands. Every stage is named for every fact, so that a new one does not compile until someone
/// has thought about it.
#[expect(clippy::too_many_lines, reason = "one table: stage × fact")]
pub(crate) fn turn(case: &Case, fact: &Fact, at: Timestamp) -> Turn {
    use Stage::*;
    use Turn::{Stay, Stray, To};
    match (case.stage, fact) {
        (_, Fact::Noted { .. }) => Stay,

        (Draft, Fact::Opened(_)) => To(Assessing),
        (
            Draft,
            Fact::Assessed(_)
            | Fact::Approved { .. }
            | Fact::Waived(_)
            | Fact::Intended { .. }
            | Fact::Done { .. }
            | Fact::Failed { .. }
            | Fact::ProbeSeen { .. }
            | Fact::WentBlind { .. }
            | Fact::AttemptSeen(_)
            | Fact::SoakPassed
            | Fact::LastLook
            | Fact::Committed
            | Fact::RescueStarted { .. }
            | Fact::Rescued
            | Fact::ForeignChange { .. }
            | Fact::Held { .. }
            | Fact::Resumed { .. }
            | Fact::Abandoned { .. }
            | Fact::Expired { .. }
            | Fact::Returned
            | Fact::Deleted
            | Fact::Closed { .. }
            | Fact::Lost { .. },
        ) => Stray,

        // Nothing follows an end.
        (
            Closed | Abandoned | Ended | Lost,
            Fact::Opened(_)
            | Fact::Assessed(_)
            | Fact::Approved { .. }
            | Fact::Waived(_)
            | Fact::Intended { .. }
            | Fact::Done { .. }
            | Fact::Failed { .. }
            | Fact::ProbeSeen { .. }
            | Fact::WentBlind { .. }
            | Fact::AttemptSeen(_)
            | Fact::SoakPassed
            | Fact::LastLook
            | Fact::Committed
            | Fact::RescueStarted { .. }
            | Fact::Rescued
            | Fact::ForeignChange { .. }
            | Fact::Held { .. }
            | Fact::Resumed { .. }
            | Fact::Abandoned { .. }
            | Fact::Expired { .. }
            | Fact::Returned
            | Fact::Deleted
            | Fact::Closed { .. }
            | Fact::Lost { .. },
        ) => Stray,

        (
            Assessing | Assessed | AwaitDisable | Preserving | Disabling | Soaking | SoakPassed | AwaitDelete
            | Scheduling | Pending | LastLook | Committed | Deleted | Held | Rescuing | Rescued | Returning | Foreign,
            Fact::Opened(_),
        ) => Stray,

        // Before the key is touched a verdict decides how it goes on; after the soak it decides again.
        (Assessing | Assessed | AwaitDisable | Preserving | Disabling, Fact::Assessed(found)) => {
            before_loss(case, Step::Disable, found, at)
        }
        (SoakPassed | AwaitDelete | Scheduling, Fact::Assessed(found)) => before_loss(case, Step::Delete, found, at),
        (LastLook, Fact::Assessed(_)) => Stay,
        (
            Soaking | Pending | Committed | Deleted | Held | Rescuing | Rescued | Returning | Foreign,
            Fact::Assessed(_),
        ) => Stray,

        (AwaitDisable, Fact::Approved { step: Step::Disable, plan, by }) => {
            approval(case, Step::Disable, *plan, by, at, Preserving)
        }
        (AwaitDelete, Fact::Approved { step: Step::Delete, plan, by }) => {
            approval(case, Step::Delete, *plan, by, at, Scheduling)
        }
        (LastLook, Fact::Approved { step: Step::Commit, plan, by }) => {
            approval(case, Step::Commit, *plan, by, at, LastLook)
        }
        (
            Assessing | Assessed | AwaitDisable | Preserving | Disabling | Soaking | SoakPassed | AwaitDelete
            | Scheduling | Pending | LastLook | Committed | Deleted | Held | Rescuing | Rescued | Returning | Foreign,
            Fact::Approved { .. },
        ) => Stray,

        (Assessed, Fact::Waived(_)) => To(Assessing),
        (
            Assessing | AwaitDisable | Preserving | Disabling | Soaking | SoakPassed | AwaitDelete | Scheduling
            | Pending | LastLook | Committed | Held | Rescuing | Rescued | Foreign,
            Fact::Waived(_),
        ) => Stay,
        (Deleted | Returning, Fact::Waived(_)) => Stray,

        // An intent makes sense only where its action does; steps towards safety make sense wherever the key may be held.
        (stage, Fact::Intended { action, .. }) => match (stage, action) {
            (Preserving | Scheduling, Action::WriteCapsule) => Stay,
            (Disabling, Action::Disable) => Stay,
            (Scheduling, Action::Schedule { .. }) => Stay,
            (
                Soaking | SoakPassed | AwaitDelete | Scheduling | Pending | LastLook | Committed | Held,
                Action::Probe { .. },
            ) => Stay,
            (
                Disabling | Soaking | SoakPassed | AwaitDelete | Scheduling | Pending | LastLook | Committed,
                Action::Cancel | Action::Enable,
            ) => To(Rescuing),
            (Rescuing | Returning, Action::Cancel | Action::Enable) => Stay,
            (Held, Action::Cancel) => Stay,
            (Held, Action::Enable) => To(Rescuing),
            (
                Assessing | Assessed | AwaitDisable | Disabling | Soaking | SoakPassed | AwaitDelete | Pending
                | LastLook | Committed | Deleted | Held | Rescuing | Rescued | Returning | Foreign | Draft | Closed
                | Abandoned | Ended | Lost,
                Action::WriteCapsule,
            )
            | (
                Assessing | Assessed | AwaitDisable | Preserving | Soaking | SoakPassed | AwaitDelete | Scheduling
                | Pending | LastLook | Committed | Deleted | Held | Rescuing | Rescued | Returning | Foreign | Draft
                | Closed | Abandoned | Ended | Lost,
                Action::Disable,
            )
            | (
                Assessing | Assessed | AwaitDisable | Preserving | Disabling | Soaking | SoakPassed | AwaitDelete
                | Pending | LastLook | Committed | Deleted | Held | Rescuing | Rescued | Returning | Foreign | Draft
                | Closed | Abandoned | Ended | Lost,
                Action::Schedule { .. },
            )
            | (
                Assessing | Assessed | AwaitDisable | Preserving | Disabling | Deleted | Rescuing | Rescued | Returning
                | Foreign | Draft | Closed | Abandoned | Ended | Lost,
                Action::Probe { .. },
            )
            | (
                Assessing | Assessed | AwaitDisable | Preserving | Deleted | Rescued | Foreign | Draft | Closed
                | Abandoned | Ended | Lost,
                Action::Cancel | Action::Enable,
            ) => Stray,
        },

        (stage, Fact::Done { id, result }) => match in_flight(case, *id) {
            None => Stray,
            Some(action) => match (stage, action, result) {
                (
                    Soaking | SoakPassed | AwaitDelete | Scheduling | Pending | LastLook | Committed,
                    Action::Probe { .. },
                    Done::ProbeSucceeded { .. },
                ) => To(Held),
                (Preserving, Action::WriteCapsule, _) => To(Disabling),
                (Disabling, Action::Disable, _) => To(Soaking),
                (Scheduling, Action::Schedule { .. }, _) => To(Pending),
                // The stage has moved on since the intent; the result is remembered.
                (
                    Draft | Assessing | Assessed | AwaitDisable | Preserving | Disabling | Soaking | SoakPassed
                    | AwaitDelete | Scheduling | Pending | LastLook | Committed | Deleted | Closed | Held | Rescuing
                    | Rescued | Returning | Abandoned | Ended | Foreign | Lost,
                    _,
                    _,
                ) => Stay,
            },
        },
        (stage, Fact::Failed { id, failure }) => match in_flight(case, *id) {
            None => Stray,
            Some(action) => match (stage, action, failure.is_access_denied()) {
                (Disabling, Action::Disable, true) => To(Assessing),
                (Scheduling, Action::Schedule { .. }, true) => To(SoakPassed),
                (
                    Draft | Assessing | Assessed | AwaitDisable | Preserving | Disabling | Soaking | SoakPassed
                    | AwaitDelete | Scheduling | Pending | LastLook | Committed | Deleted | Closed | Held | Rescuing
                    | Rescued | Returning | Abandoned | Ended | Foreign | Lost,
                    _,
                    _,
                ) => Stay,
            },
        },

        (
            Soaking | SoakPassed | AwaitDelete | Scheduling | Pending | LastLook | Committed | Held | Rescuing
            | Returning,
            Fact::ProbeSeen { probe, .. },
        ) => {
            if case.outstanding.iter().any(|(id, _)| id == probe) {
                Stay
            } else {
                Stray
            }
        }
        (
            Assessing | Assessed | AwaitDisable | Preserving | Disabling | Deleted | Rescued | Foreign,
            Fact::ProbeSeen { .. },
        ) => Stray,

        (
            Soaking | SoakPassed | AwaitDelete | Scheduling | Pending | LastLook | Committed | Held,
            Fact::WentBlind { .. },
        ) => Stay,
        (
            Assessing | Assessed | AwaitDisable | Preserving | Disabling | Deleted | Rescuing | Rescued | Returning
            | Foreign,
            Fact::WentBlind { .. },
        ) => Stray,

        (
            Assessing | Assessed | AwaitDisable | Preserving | Disabling | Soaking | SoakPassed | AwaitDelete
            | Scheduling | Pending | LastLook | Committed | Deleted | Held | Rescuing | Rescued | Returning | Foreign,
            Fact::AttemptSeen(_),
        ) => Stay,

        (Soaking, Fact::SoakPassed) => To(SoakPassed),
        (
            Assessing | Assessed | AwaitDisable | Preserving | Disabling | SoakPassed | AwaitDelete | Scheduling
            | Pending | LastLook | Committed | Deleted | Held | Rescuing | Rescued | Returning | Foreign,
            Fact::SoakPassed,
        ) => Stray,

        (Pending, Fact::LastLook) => To(LastLook),
        (
            Assessing | Assessed | AwaitDisable | Preserving | Disabling | Soaking | SoakPassed | AwaitDelete
            | Scheduling | LastLook | Committed | Deleted | Held | Rescuing | Rescued | Returning | Foreign,
            Fact::LastLook,
        ) => Stray,

        (LastLook, Fact::Committed) => To(Committed),
        (
            Assessing | Assessed | AwaitDisable | Preserving | Disabling | Soaking | SoakPassed | AwaitDelete
            | Scheduling | Pending | Committed | Deleted | Held | Rescuing | Rescued | Returning | Foreign,
            Fact::Committed,
        ) => Stray,

        (
            Disabling | Soaking | SoakPassed | AwaitDelete | Scheduling | Pending | LastLook | Committed | Held
            | Foreign | Returning,
            Fact::RescueStarted { .. },
        ) => To(Rescuing),
        (
            Assessing | Assessed | AwaitDisable | Preserving | Deleted | Rescuing | Rescued,
            Fact::RescueStarted { .. },
        ) => Stray,

        (Rescuing, Fact::Rescued) => To(Rescued),
        (
            Assessing | Assessed | AwaitDisable | Preserving | Disabling | Soaking | SoakPassed | AwaitDelete
            | Scheduling | Pending | LastLook | Committed | Deleted | Held | Rescued | Returning | Foreign,
            Fact::Rescued,
        ) => Stray,

        (
            Disabling | Soaking | SoakPassed | AwaitDelete | Scheduling | Pending | LastLook | Committed | Held,
            Fact::ForeignChange { .. },
        ) => To(Foreign),
        (
            Assessing | Assessed | AwaitDisable | Preserving | Deleted | Rescuing | Rescued | Returning | Foreign,
            Fact::ForeignChange { .. },
        ) => Stray,

        (
            Assessing | Assessed | AwaitDisable | Preserving | Disabling | Soaking | SoakPassed | AwaitDelete
            | Scheduling | Pending | LastLook | Committed,
            Fact::Held { .. },
        ) => To(Held),
        (Deleted | Held | Rescuing | Rescued | Returning | Foreign, Fact::Held { .. }) => Stray,

        (Held, Fact::Resumed { .. }) => To(if case.disabled_at.is_some() { Soaking } else { Assessing }),
        (Rescued | Foreign, Fact::Resumed { .. }) => To(Assessing),
        (
            Assessing | Assessed | AwaitDisable | Preserving | Disabling | Soaking | SoakPassed | AwaitDelete
            | Scheduling | Pending | LastLook | Committed | Deleted | Rescuing | Returning,
            Fact::Resumed { .. },
        ) => Stray,

        // What was changed is given back first; what was given back, or never taken, ends at once.
        (
            Assessing | Assessed | AwaitDisable | Preserving | Disabling | Soaking | SoakPassed | AwaitDelete
            | Scheduling | Pending | LastLook | Committed | Held | Foreign,
            Fact::Abandoned { .. },
        ) => To(if case.holds_key() { Returning } else { Abandoned }),
        (Rescued, Fact::Abandoned { .. }) => To(Abandoned),
        (Deleted | Rescuing | Returning, Fact::Abandoned { .. }) => Stray,

        (
            Assessing | Assessed | AwaitDisable | Preserving | Disabling | Soaking | SoakPassed | AwaitDelete
            | Scheduling | Held,
            Fact::Expired { .. },
        ) => To(if case.holds_key() { Returning } else { Ended }),
        (Rescued | Foreign, Fact::Expired { .. }) => To(Ended),
        (Pending | LastLook | Committed | Deleted | Rescuing | Returning, Fact::Expired { .. }) => Stray,

        (Returning, Fact::Returned) => {
            To(if matches!(case.leaving, Some(Reason::Asked { .. })) { Abandoned } else { Ended })
        }
        (
            Assessing | Assessed | AwaitDisable | Preserving | Disabling | Soaking | SoakPassed | AwaitDelete
            | Scheduling | Pending | LastLook | Committed | Deleted | Held | Rescuing | Rescued | Foreign,
            Fact::Returned,
        ) => Stray,

        (Committed, Fact::Deleted) => To(Deleted),
        (
            Assessing | Assessed | AwaitDisable | Preserving | Disabling | Soaking | SoakPassed | AwaitDelete
            | Scheduling | Pending | LastLook | Deleted | Held | Rescuing | Rescued | Returning | Foreign,
            Fact::Deleted,
        ) => Stray,

        (Deleted, Fact::Closed { .. }) => To(Closed),
        (
            Assessing | Assessed | AwaitDisable | Preserving | Disabling | Soaking | SoakPassed | AwaitDelete
            | Scheduling | Pending | LastLook | Committed | Held | Rescuing | Rescued | Returning | Foreign,
            Fact::Closed { .. },
        ) => Stray,

        (
            Assessing | Assessed | AwaitDisable | Preserving | Disabling | Soaking | SoakPassed | AwaitDelete
            | Scheduling | Pending | LastLook | Held | Rescuing | Rescued | Returning | Foreign,
            Fact::Lost { .. },
        ) => To(Lost),
        (Committed | Deleted, Fact::Lost { .. }) => Stray,
    }
}

/// Where an assessment leads while `step` is not yet taken.
fn before_loss(case: &Case, step: Step, found: &Assessment, at: Timestamp) -> Turn {
    let (asking, ready, otherwise) = match step {
        Step::Disable => (Stage::AwaitDisable, Stage::Preserving, Stage::Assessed),
        Step::Delete | Step::Commit => (Stage::AwaitDelete, Stage::Scheduling, Stage::SoakPassed),
    };
    if found.verdict != Verdict::Quiet {
        return Turn::To(otherwise);
    }
    if case.approved(step, found.plan_hash(step), at) < case.approvals_needed(step) {
        return Turn::To(asking);
    }
    // A fresh assessment that changes nothing does not undo the capsule that was written meanwhile.
    Turn::To(if case.stage == Stage::Disabling { Stage::Disabling } else { ready })
}

/// Where an approval leads: on, when it is the last that was missing.
fn approval(case: &Case, step: Step, plan: Digest, by: &str, at: Timestamp, next: Stage) -> Turn {
    let current = case.assessment.as_ref().map(|assessment| assessment.plan_hash(step));
    let again = case.approvals.iter().any(|given| given.step == step && given.plan == plan && given.by == by);
    if current != Some(plan) || again || !case.may_approve(step, by) {
        return Turn::Stray;
    }
    if case.approved(step, plan, at).saturating_add(1) >= case.approvals_needed(step) {
        Turn::To(next)
    } else {
        Turn::Stay
    }
}

fn in_flight(case: &Case, id: u32) -> Option<&Action> {
    case.flight.as_ref().filter(|flight| flight.id == id).map(|flight| &flight.action)
}
