//! A case: the fold of its journal.
//!
//! [`turn`] is the one place that says which fact leads from which stage to which. It is total: a fact that makes no sense where it
//! stands (a second runner's, a human's that came too late) is a *stray*. It is counted, told in the report, and changes nothing, so
//! that no prefix and no mixture of entries can fail to fold, and none can move a key towards loss by being out of place.

use std::collections::BTreeSet;

use api::{KeyArn, Timestamp};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::assess::{Assessment, Coverage, Soak, Terms};
use crate::digest::Digest;
use crate::finding::Verdict;
use crate::journal::{Done, Entry, Fact, Failure, Intent, Opening, Waived};
use crate::observation::{Attempt, ControlChange, KeyState};
use crate::plan::{Action, Step};
use crate::profile::Profile;
use crate::reason::Reason;
use crate::span::{after, before, union};

/// How long an effect may take to show: eventual consistency of KMS, and a runner that was held up between intent and act.
/// After that an intent without effect is settled as having had none. (Ours; KMS says its changes take "up to five minutes" to spread.)
pub const SETTLE: SignedDuration = SignedDuration::from_mins(10);

/// Probes that are remembered as not yet back; older ones prove nothing any more.
const MAX_OUTSTANDING: usize = 64;

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

/// One person's agreement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// To which step.
    pub step: Step,
    /// Of which plan.
    pub plan: Digest,
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// An intent whose result is not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flight {
    /// Its number.
    pub id: u32,
    /// What was intended.
    pub action: Action,
    /// When it was written down.
    pub at: Timestamp,
}

/// How our own calls are known again in the trail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Own {
    /// Request ids that AWS answered with.
    pub requests: BTreeSet<String>,
    /// Probes that were intended, and when: for calls whose answer was lost.
    pub probes: Vec<(String, Timestamp)>,
    /// Acts that were intended, and when, likewise.
    pub acts: Vec<(&'static str, Timestamp)>,
}

impl Own {
    /// Whether the call is ours: our principal *and* a request of ours. Either alone would hide a stolen role, or a forged context.
    pub fn is_attempt(&self, attempt: &Attempt, operator: &str) -> bool {
        attempt.principal == operator
            && (attempt.request_id.as_ref().is_some_and(|id| self.requests.contains(id))
                || self.probes.iter().any(|(id, at)| attempt.probe.as_ref() == Some(id) && near(*at, attempt.at)))
    }

    /// Whether the change is ours, by the same rule.
    pub fn is_change(&self, change: &ControlChange, operator: &str) -> bool {
        change.principal == operator
            && (change.request_id.as_ref().is_some_and(|id| self.requests.contains(id))
                || self.acts.iter().any(|(name, at)| change.operation == *name && near(*at, change.at)))
    }
}

/// Whether an event may be the effect of an intent.
fn near(intended: Timestamp, event: Timestamp) -> bool {
    before(intended, SETTLE) <= event && event <= after(intended, SETTLE)
}

/// Everything that the journal says about a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Where it stands.
    pub stage: Stage,
    /// Since when.
    pub stage_since: Timestamp,
    /// How it began; `None` in [`Stage::Draft`] only.
    pub opening: Option<Opening>,
    /// The last assessment.
    pub assessment: Option<Assessment>,
    /// Whether it was made in the present stage, and no human has waived anything since.
    pub assessed_here: bool,
    /// Time that assessments of this case, since it last began from the start, have found covered.
    pub earlier: Coverage,
    /// The soak they asked for, the longest of each.
    pub soak: Option<Soak>,
    /// Approvals since the case last began from the start.
    pub approvals: Vec<Approval>,
    /// Waivers, in force or not.
    pub waivers: Vec<Waived>,
    /// The intent whose result is not known.
    pub flight: Option<Flight>,
    /// The number the next intent gets.
    pub next_intent: u32,
    /// Failures in a row, of actions other than probes, and when the last was.
    pub failures: u32,
    /// When the last action failed.
    pub failed_at: Option<Timestamp>,
    /// When AWS last refused a step towards loss.
    pub refused_at: Option<Timestamp>,
    /// The key's state when the case first acted on it: what it is brought back to.
    pub original: Option<KeyState>,
    /// When this case disabled the key, until it is given back.
    pub disabled_at: Option<Timestamp>,
    /// When this case scheduled deletion, and for how many days: the last intent to do so, until the key is given back.
    pub scheduled: Option<(Timestamp, u8)>,
    /// DeletionDate as the answer said; DescribeKey is the authority.
    pub deletion_date: Option<Timestamp>,
    /// The last capsule, and when it was written.
    pub capsule: Option<(Digest, Timestamp)>,
    /// Probes not yet back: id and when intended. The newest last.
    pub outstanding: Vec<(String, Timestamp)>,
    /// When the last probe was intended.
    pub probed_at: Option<Timestamp>,
    /// The time of the newest probe that came back in time: until here the detector was proven to see.
    pub proven_until: Option<Timestamp>,
    /// Disabled time that the detector was proven to see.
    pub seen: SignedDuration,
    /// Times of blindness as they were noticed; the last is open while `blind`.
    pub blind_since: Option<Timestamp>,
    /// When the soak was passed.
    pub soak_passed_at: Option<Timestamp>,
    /// When a human last opened, approved, waived or resumed.
    pub human_at: Timestamp,
    /// When a step towards loss was last intended whose result never came, because a step towards safety went before it.
    pub loose: Option<Timestamp>,
    /// Why the key is or was given back.
    pub rescue: Option<Reason>,
    /// What ended the case, where a human or patience did.
    pub leaving: Option<Reason>,
    /// How our own calls are known again.
    pub own: Own,
    /// Attempts that were written down.
    pub attempts: Vec<Attempt>,
    /// Positions (from 0) of entries that made no sense where they stood.
    pub strays: Vec<usize>,
    /// How many entries were folded.
    pub entries: usize,
}

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

impl Default for Case {
    fn default() -> Case {
        Case {
            stage: Stage::Draft,
            stage_since: Timestamp::UNIX_EPOCH,
            opening: None,
            assessment: None,
            assessed_here: false,
            earlier: Coverage::default(),
            soak: None,
            approvals: Vec::new(),
            waivers: Vec::new(),
            flight: None,
            next_intent: 1,
            failures: 0,
            failed_at: None,
            refused_at: None,
            original: None,
            disabled_at: None,
            scheduled: None,
            deletion_date: None,
            capsule: None,
            outstanding: Vec::new(),
            probed_at: None,
            proven_until: None,
            seen: SignedDuration::ZERO,
            blind_since: None,
            soak_passed_at: None,
            human_at: Timestamp::UNIX_EPOCH,
            loose: None,
            rescue: None,
            leaving: None,
            own: Own::default(),
            attempts: Vec::new(),
            strays: Vec::new(),
            entries: 0,
        }
    }
}

impl Case {
    /// The case that a journal tells.
    pub fn fold<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Case {
        let mut case = Case::default();
        for entry in entries {
            case.apply(entry);
        }
        case
    }

    /// Takes in one more entry.
    pub fn apply(&mut self, entry: &Entry) {
        let place = self.entries;
        self.entries += 1;
        let turn = turn(self, &entry.fact, entry.at);
        if turn == Turn::Stray {
            self.strays.push(place);
            return;
        }
        self.take_in(&entry.fact, entry.at);
        if let Turn::To(stage) = turn
            && stage != self.stage
        {
            self.enter(stage, entry.at);
        }
    }

    /// Whether the fact makes sense now. What a human says is refused before it is written down when it does not.
    pub fn admits(&self, fact: &Fact, at: Timestamp) -> bool {
        turn(self, fact, at) != Turn::Stray
    }

    /// The numbers this case goes by; `None` before it is opened.
    pub fn profile(&self) -> Option<&Profile> {
        self.opening.as_ref().map(|opening| &opening.profile)
    }

    /// The key this case is about; `None` before it is opened.
    pub fn key(&self) -> Option<KeyArn> {
        self.opening.as_ref().map(|opening| opening.key)
    }

    /// The terms by which this case assesses.
    pub fn terms(&self) -> Option<Terms> {
        let opening = self.opening.as_ref()?;
        Some(Terms {
            profile: opening.profile.clone(),
            intent: opening.intent.clone(),
            waivers: self.waivers.clone(),
            watched_since: self.disabled_at,
            earlier: self.earlier.clone(),
            refused_at: self.refused_at,
        })
    }

    /// Since when attempts and changes are wanted whole in every observation: from the moment the key was to be disabled, or that
    /// the assessment in force looked at. `None` while nothing is watched.
    pub fn watch_since(&self) -> Option<Timestamp> {
        self.assessment.as_ref().map(|assessment| assessment.at)
    }

    /// Whether this case has, or may have, changed the key, and not yet given it back.
    pub fn holds_key(&self) -> bool {
        self.disabled_at.is_some()
            || self.scheduled.is_some()
            || self.loose.is_some()
            || self.flight.as_ref().is_some_and(|flight| flight.action.is_towards_loss())
    }

    /// Whether the key was enabled before the case, so that giving it back means enabling it.
    pub fn was_enabled(&self) -> bool {
        !matches!(self.original, Some(KeyState::Disabled))
    }

    /// How many valid approvals `step` of `plan` has at `at`.
    pub fn approved(&self, step: Step, plan: Digest, at: Timestamp) -> u8 {
        let Some(profile) = self.profile() else { return 0 };
        let valid = |approval: &&Approval| {
            approval.step == step && approval.plan == plan && at <= after(approval.at, profile.approval_ttl)
        };
        u8::try_from(self.approvals.iter().filter(valid).count()).unwrap_or(u8::MAX)
    }

    /// How many `step` needs.
    pub fn approvals_needed(&self, step: Step) -> u8 {
        self.profile().map_or(u8::MAX, |profile| match step {
            Step::Disable => profile.approvals.disable,
            Step::Delete => profile.approvals.delete,
            Step::Commit => profile.approvals.commit,
        })
    }

    /// Whether `by` may approve `step`: nobody twice, and with four eyes nobody for deletion who opened the case or approved disabling.
    pub fn may_approve(&self, step: Step, by: &str) -> bool {
        let Some(opening) = &self.opening else { return false };
        let approved = |step| self.approvals.iter().any(|approval| approval.step == step && approval.by == by);
        let four_eyes = opening.profile.approvals.four_eyes;
        match step {
            Step::Disable | Step::Commit => true,
            Step::Delete => !four_eyes || (opening.by != by && !approved(Step::Disable)),
        }
    }

    /// What became of the case so far.
    pub fn outcome(&self) -> Outcome {
        let verdict = self.assessment.as_ref().map(|assessment| assessment.verdict);
        match self.stage {
            Stage::Closed | Stage::Deleted => Outcome::Deleted,
            Stage::Lost => Outcome::Lost,
            Stage::Abandoned => Outcome::Abandoned,
            Stage::Foreign => Outcome::Foreign,
            Stage::Rescued | Stage::Rescuing => Outcome::Rescued,
            Stage::Ended if self.rescue.is_some() => Outcome::Rescued,
            Stage::Ended if matches!(self.leaving, Some(Reason::Foreign { .. })) => Outcome::Foreign,
            Stage::Ended | Stage::Assessed => match verdict {
                Some(verdict) if verdict != Verdict::Quiet => Outcome::Verdict(verdict),
                _ if self.stage == Stage::Ended => Outcome::Expired,
                _ => Outcome::Open,
            },
            Stage::Returning => Outcome::Expired,
            Stage::Draft
            | Stage::Assessing
            | Stage::AwaitDisable
            | Stage::Preserving
            | Stage::Disabling
            | Stage::Soaking
            | Stage::SoakPassed
            | Stage::AwaitDelete
            | Stage::Scheduling
            | Stage::Pending
            | Stage::LastLook
            | Stage::Committed
            | Stage::Held => Outcome::Open,
        }
    }

    fn enter(&mut self, stage: Stage, at: Timestamp) {
        self.stage = stage;
        self.stage_since = at;
        self.assessed_here = false;
        match stage {
            Stage::Assessing | Stage::Rescued => self.begin_again(),
            Stage::Soaking => {
                // After a pause the soak goes on; the agreement to delete does not.
                self.soak_passed_at = None;
                self.approvals.retain(|approval| approval.step == Step::Disable);
            }
            Stage::SoakPassed => self.soak_passed_at = self.soak_passed_at.or(Some(at)),
            Stage::Draft
            | Stage::Assessed
            | Stage::AwaitDisable
            | Stage::Preserving
            | Stage::Disabling
            | Stage::AwaitDelete
            | Stage::Scheduling
            | Stage::Pending
            | Stage::LastLook
            | Stage::Committed
            | Stage::Deleted
            | Stage::Closed
            | Stage::Held
            | Stage::Rescuing
            | Stage::Returning
            | Stage::Abandoned
            | Stage::Ended
            | Stage::Foreign
            | Stage::Lost => {}
        }
    }

    /// Forgets what belonged to the attempt that is over: agreement, coverage, soak, what was in flight.
    fn begin_again(&mut self) {
        self.earlier = Coverage::default();
        self.soak = None;
        self.approvals.clear();
        self.original = None;
        self.disabled_at = None;
        self.scheduled = None;
        self.deletion_date = None;
        self.capsule = None;
        self.outstanding.clear();
        self.probed_at = None;
        self.proven_until = None;
        self.seen = SignedDuration::ZERO;
        self.blind_since = None;
        self.soak_passed_at = None;
        self.loose = None;
    }

    fn take_in(&mut self, fact: &Fact, at: Timestamp) {
        match fact {
            Fact::Opened(opening) => {
                self.opening = Some((**opening).clone());
                self.human_at = at;
            }
            Fact::Assessed(assessment) => self.take_assessment(assessment),
            Fact::Approved { step, plan, by } => {
                self.approvals.push(Approval { step: *step, plan: *plan, by: by.clone(), at });
                self.human_at = at;
            }
            Fact::Waived(waived) => {
                self.waivers.push(waived.clone());
                self.assessed_here = false;
                self.human_at = at;
            }
            Fact::Intended { id, action, because, .. } => self.take_intent(*id, action, because, at),
            Fact::Done { result, .. } => self.take_result(result, at),
            Fact::Failed { failure, .. } => self.take_failure(failure, at),
            Fact::ProbeSeen { probe, .. } => self.take_sighting(probe, at),
            Fact::WentBlind { since } => self.blind_since = Some(*since),
            Fact::AttemptSeen(attempt) => self.attempts.push((**attempt).clone()),
            Fact::RescueStarted { because } => self.rescue = Some(because.clone()),
            Fact::Resumed { .. } => {
                self.human_at = at;
                self.rescue = None;
            }
            Fact::Abandoned { by, .. } => self.leaving = Some(Reason::Asked { by: by.clone() }),
            Fact::Expired { because } => self.leaving = Some(because.clone()),
            Fact::Held { .. }
            | Fact::SoakPassed
            | Fact::LastLook
            | Fact::Committed
            | Fact::Rescued
            | Fact::ForeignChange { .. }
            | Fact::Returned
            | Fact::Deleted
            | Fact::Closed { .. }
            | Fact::Lost { .. }
            | Fact::Noted { .. } => {}
        }
    }

    fn take_assessment(&mut self, assessment: &Assessment) {
        if assessment.verdict == Verdict::Quiet {
            let join = |ours: &mut Vec<_>, theirs: &[_]| *ours = union(ours.iter().chain(theirs).copied());
            join(&mut self.earlier.supported, &assessment.coverage.supported);
            join(&mut self.earlier.assumed, &assessment.coverage.assumed);
            let asked = assessment.soak;
            self.soak = Some(self.soak.map_or(asked, |before| Soak {
                least: before.least.max(asked.least),
                not_before: before.not_before.max(asked.not_before),
            }));
        }
        self.assessment = Some(assessment.clone());
        self.assessed_here = true;
    }

    fn take_intent(&mut self, id: u32, action: &Action, because: &Reason, at: Timestamp) {
        self.next_intent = self.next_intent.max(id.saturating_add(1));
        if let Some(overtaken) = self.flight.take()
            && overtaken.action.is_towards_loss()
        {
            self.loose = Some(overtaken.at);
        }
        self.flight = Some(Flight { id, action: action.clone(), at });
        if let Some(operation) = action.operation() {
            self.own.acts.push((operation, at));
        }
        match action {
            Action::Disable => {
                if self.original.is_none() {
                    self.original = self.assessment.as_ref().and_then(|assessment| assessment.state);
                }
            }
            Action::Schedule { window_days } => self.scheduled = Some((at, *window_days)),
            Action::Probe { probe } => {
                self.probed_at = Some(at);
                self.own.probes.push((probe.clone(), at));
                self.outstanding.push((probe.clone(), at));
                if self.outstanding.len() > MAX_OUTSTANDING {
                    self.outstanding.remove(0);
                }
            }
            Action::Cancel | Action::Enable => {
                // A hold and a return have their own reasons; what gives the key back in need is told as a rescue.
                if !matches!(self.stage, Stage::Held | Stage::Returning) && self.rescue.is_none() {
                    self.rescue = Some(because.clone());
                }
            }
            Action::WriteCapsule => {}
        }
    }

    fn take_result(&mut self, result: &Done, at: Timestamp) {
        let Some(flight) = self.flight.take() else { return };
        self.failures = 0;
        self.failed_at = None;
        match result {
            Done::Answered { request_id, deletion_date } => {
                self.own.requests.extend(request_id.clone());
                self.deletion_date = deletion_date.or(self.deletion_date);
            }
            Done::ProbeSucceeded { request_id } => self.own.requests.extend(request_id.clone()),
            Done::Capsule { digest } => self.capsule = Some((*digest, at)),
            Done::Observed { deletion_date } => self.deletion_date = deletion_date.or(self.deletion_date),
        }
        match flight.action {
            Action::Disable => self.disabled_at = self.disabled_at.or(Some(at)),
            Action::Cancel => {
                self.scheduled = None;
                self.deletion_date = None;
            }
            Action::WriteCapsule | Action::Probe { .. } | Action::Schedule { .. } | Action::Enable => {}
        }
    }

    fn take_failure(&mut self, failure: &Failure, at: Timestamp) {
        let Some(flight) = self.flight.take() else { return };
        if let Failure::Refused { request_id, .. } = failure {
            self.own.requests.extend(request_id.clone());
        }
        match &flight.action {
            // A probe that could not be made proves nothing; the next is made when it is due.
            Action::Probe { probe } => self.outstanding.retain(|(id, _)| id != probe),
            action => {
                self.failures = self.failures.saturating_add(1);
                self.failed_at = Some(at);
                if action.is_towards_loss() && failure.is_access_denied() {
                    self.refused_at = Some(at);
                }
                // What NoEffect says was seen long enough after the intent. A refusal had no effect either.
                if matches!(action, Action::Schedule { .. }) {
                    self.scheduled = None;
                }
            }
        }
    }

    /// A probe came back: if it was quick enough, the time up to it was seen.
    ///
    /// INVARIANT: `seen` only grows by stretches that lie between two probes which both came back within `blind_after`, and which are
    /// at most `blind_after` apart (or between disabling and the first such probe). All other disabled time is blind and not counted.
    fn take_sighting(&mut self, probe: &str, at: Timestamp) {
        let Some(blind_after) = self.profile().map(|profile| profile.blind_after) else { return };
        let Some(place) = self.outstanding.iter().position(|(id, _)| id == probe) else { return };
        let (_, made) = self.outstanding.remove(place);
        if at.duration_since(made) > blind_after {
            return;
        }
        self.blind_since = None;
        let Some(from) = self.proven_until.max(self.disabled_at) else { return };
        if made <= from {
            return;
        }
        let stretch = made.duration_since(from);
        if stretch <= blind_after {
            self.seen = self.seen.saturating_add(stretch);
        }
        self.proven_until = Some(made);
    }
}

impl Failure {
    /// Whether AWS said that we may not: on a step towards loss that is also how its interlock on recent use answers.
    pub fn is_access_denied(&self) -> bool {
        match self {
            Failure::Refused { code, .. } => code.contains("AccessDenied"),
            Failure::Local { .. } | Failure::NoEffect => false,
        }
    }
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

impl Case {
    /// What the case is for; retiring, before it is opened.
    pub fn intent(&self) -> &Intent {
        self.opening.as_ref().map_or(&Intent::Retire, |opening| &opening.intent)
    }
}
