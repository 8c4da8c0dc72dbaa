//! A case: the fold of its journal.
//!
//! Which fact leads from which stage to which is [`crate::turn`]'s; here is what a case remembers of each fact.

use std::collections::BTreeSet;

use api::{KeyArn, Timestamp};
use jiff::SignedDuration;

use crate::assess::{Assessment, Coverage, Soak, Terms};
use crate::digest::Digest;
use crate::finding::Verdict;
use crate::journal::{Done, Entry, Fact, Failure, Intent, Opening, Waived};
use crate::observation::{Attempt, ControlChange, KeyState};
use crate::plan::{Action, Step};
use crate::profile::Profile;
use crate::reason::Reason;
use crate::span::{DAY, after, before, union};
use crate::stage::{Outcome, Stage};
use crate::turn::{Turn, turn};

/// How long an effect may take to show: eventual consistency of KMS, and a runner that was held up between intent and act.
/// After that an intent without effect is settled as having had none. (Ours; KMS says its changes take "up to five minutes" to spread.)
pub const SETTLE: SignedDuration = SignedDuration::from_mins(10);

/// How long before an assessment the watch begins: events that were still under way when it was made. (Ours; CloudTrail delivers within
/// minutes on average, and guarantees nothing.)
const OVERLAP: SignedDuration = DAY;

/// Probes that are remembered as not yet back; older ones prove nothing any more.
const MAX_OUTSTANDING: usize = 64;

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
    /// The last action with a result, good or bad, when that was, and how many times in a row it was the last.
    pub tried: Option<(Action, Timestamp, u32)>,
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
    /// Whether that probe could not be made, or its answer was lost.
    pub probe_failed: bool,
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
            tried: None,
            refused_at: None,
            original: None,
            disabled_at: None,
            scheduled: None,
            deletion_date: None,
            capsule: None,
            outstanding: Vec::new(),
            probed_at: None,
            probe_failed: false,
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

    /// What the case is for; retiring, before it is opened.
    pub fn intent(&self) -> &Intent {
        self.opening.as_ref().map_or(&Intent::Retire, |opening| &opening.intent)
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

    /// Since when attempts and changes are wanted whole in every observation: what the assessment in force looked at, and
    /// a day before it, for events that were still under way. `None` while nothing is assessed.
    pub fn watch_since(&self) -> Option<Timestamp> {
        self.assessment.as_ref().map(|assessment| before(assessment.at, OVERLAP))
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

    /// Which step of which plan people are asked to approve now, if any.
    pub fn asks(&self) -> Option<(Step, Digest)> {
        let assessment = self.assessment.as_ref()?;
        let step = match self.stage {
            Stage::AwaitDisable => Step::Disable,
            Stage::AwaitDelete => Step::Delete,
            Stage::LastLook if self.assessed_here && self.approvals_needed(Step::Commit) > 0 => Step::Commit,
            _ => return None,
        };
        (assessment.verdict == Verdict::Quiet).then(|| (step, assessment.plan_hash(step)))
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
                self.probe_failed = false;
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
        self.take_try(&flight.action, at);
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
        self.take_try(&flight.action, at);
        if let Failure::Refused { request_id, .. } = failure {
            self.own.requests.extend(request_id.clone());
        }
        match &flight.action {
            // A call whose answer was lost may still come back; the next is made soon.
            Action::Probe { probe } => {
                self.probe_failed = true;
                if !matches!(failure, Failure::NoEffect) {
                    self.outstanding.retain(|(id, _)| id != probe);
                }
            }
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

    fn take_try(&mut self, action: &Action, at: Timestamp) {
        let before = self.tried.take().filter(|(tried, ..)| tried == action).map_or(0, |(_, _, times)| times);
        self.tried = Some((action.clone(), at, before.saturating_add(1)));
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
