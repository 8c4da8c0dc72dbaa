//! Steps onwards: assess, ask, keep, disable, soak, ask again, schedule, look a last time, commit.
//!
//! A step towards loss (DisableKey, ScheduleKeyDeletion, Commit) is planned only from a full observation that is QUIET at this moment
//! under the case's terms, with the hash that people approved, and, once the key is disabled, with a detector that is proven to see.

use api::Timestamp;
use jiff::SignedDuration;

use crate::assess::Assessment;
use crate::case::Case;
use crate::digest::Digest;
use crate::finding::Verdict;
use crate::journal::Fact;
use crate::observation::{Attempt, Depth, KeyState, Seen};
use crate::plan::{Action, Next, Plan, Step};
use crate::reason::Reason;
use crate::span::{DAY, HOUR, after, before};
use crate::stage::Stage;
use crate::usage::latest_suspect;
use crate::view::{Sight, View};

/// Between two tries of a step onwards: at first, and at most.
const RETRY: SignedDuration = SignedDuration::from_mins(5);
const RETRY_MOST: SignedDuration = DAY;
/// How soon to look again at a key that could not be looked at.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_mins(5);
/// How soon a probe that could not be made is made again.
const PROBE_AGAIN: SignedDuration = SignedDuration::from_mins(10);
/// How often an inconclusive last look is repeated.
const LAST_LOOK_AGAIN: SignedDuration = SignedDuration::from_mins(15);
/// How long the DeleteKey event is waited for.
const DELETE_EVENT: SignedDuration = DAY;

impl Case {
    /// How closely to look before the next plan. A plan that needs more says so with [`Next::Observe`].
    pub fn depth(&self, now: Timestamp) -> Depth {
        let aged = self.assessment.as_ref().is_none_or(|assessment| now >= assessment.valid_until);
        match self.stage {
            Stage::Assessing
            | Stage::Preserving
            | Stage::Disabling
            | Stage::SoakPassed
            | Stage::Scheduling
            | Stage::LastLook => Depth::Full,
            Stage::Assessed | Stage::AwaitDisable | Stage::AwaitDelete if aged => Depth::Full,
            Stage::Draft
            | Stage::Assessed
            | Stage::AwaitDisable
            | Stage::AwaitDelete
            | Stage::Soaking
            | Stage::Pending
            | Stage::Committed
            | Stage::Deleted
            | Stage::Closed
            | Stage::Held
            | Stage::Rescuing
            | Stage::Rescued
            | Stage::Returning
            | Stage::Abandoned
            | Stage::Ended
            | Stage::Foreign
            | Stage::Lost => Depth::Watch,
        }
    }

    /// When patience ends in the present stage, where time alone does not lead on.
    ///
    /// Every case ends. Before the key is touched, `patience` after the last human act is the end. Disabled, the soak either passes or
    /// has taken twice its length; passed, people have `approval_ttl` to agree. Pending, the deletion date is the end: committed before
    /// the margin or cancelled at it. Giving back ends when AWS lets it. Rescued, held or foreign, people have `approval_ttl` to say how
    /// it goes on. Only human acts (approve, waive, resume) begin any of these anew.
    pub fn expires(&self) -> Option<Timestamp> {
        let profile = self.profile()?;
        let patience = after(self.human_at, profile.patience);
        match self.stage {
            Stage::Assessing | Stage::Assessed | Stage::Preserving | Stage::Disabling => Some(patience),
            Stage::AwaitDisable => Some(patience.min(after(self.stage_since, profile.approval_ttl))),
            Stage::Soaking => {
                let begun = self.disabled_at.unwrap_or(self.stage_since).max(self.human_at);
                let soak = self.soak.map_or(profile.soak_min, |soak| {
                    soak.not_before.map_or(soak.least, |until| soak.least.max(until.duration_since(begun)))
                });
                Some(after(begun, soak.saturating_mul(2).saturating_add(profile.blind_max)))
            }
            Stage::SoakPassed | Stage::AwaitDelete | Stage::Scheduling => {
                let passed = self.soak_passed_at.unwrap_or(self.stage_since).max(self.human_at);
                Some(after(passed, profile.approval_ttl))
            }
            Stage::Held | Stage::Rescued | Stage::Foreign => Some(after(self.stage_since, profile.approval_ttl)),
            Stage::Draft
            | Stage::Pending
            | Stage::LastLook
            | Stage::Committed
            | Stage::Deleted
            | Stage::Closed
            | Stage::Rescuing
            | Stage::Returning
            | Stage::Abandoned
            | Stage::Ended
            | Stage::Lost => None,
        }
    }
}

impl View<'_> {
    /// The case has waited long enough.
    pub(crate) fn if_expired(&self) -> Option<Plan> {
        self.case.expires().filter(|until| self.now >= *until)?;
        let because = match self.case.stage {
            Stage::Foreign => Reason::Foreign { found: "nobody said how it goes on".to_owned() },
            _ => Reason::PatienceOver { after: self.now.duration_since(self.case.human_at.max(self.case.stage_since)) },
        };
        Some(self.record(Fact::Expired { because: because.clone() }, because))
    }

    /// What keeps eyes on a key that is disabled or pending: probes back, blindness, suspicion, the next probe.
    pub(crate) fn if_watching(&self) -> Option<Plan> {
        if !self.is_held_by_us() || self.case.disabled_at.is_none() {
            return None;
        }
        self.probe_back().or_else(|| self.gone_blind()).or_else(|| self.suspicion()).or_else(|| self.probe_due())
    }

    fn probe_back(&self) -> Option<Plan> {
        let back = |(id, made): &(String, Timestamp)| {
            let sighting = self.seen.probes.iter().find(|sighting| sighting.probe == *id)?;
            Some((sighting, *made))
        };
        let (sighting, made) = self.case.outstanding.iter().find_map(back)?;
        let fact = Fact::ProbeSeen {
            probe: sighting.probe.clone(),
            event_at: sighting.event_at,
            event_id: sighting.event_id.clone(),
        };
        Some(self.record(fact, Reason::ProbeBack { after: self.now.duration_since(made) }))
    }

    fn gone_blind(&self) -> Option<Plan> {
        let since = self.blind_since().filter(|_| self.case.blind_since.is_none())?;
        Some(self.record(Fact::WentBlind { since }, Reason::Blind { since }))
    }

    fn suspicion(&self) -> Option<Plan> {
        let since = self.case.disabled_at?;
        let suspect = latest_suspect(self.seen, &self.terms, since)?;
        let attempt = self.seen.attempts.iter().find(|attempt| Some(&attempt.event_id) == suspect.event_id.as_ref())?;
        let known = |known: &Attempt| known.principal == attempt.principal;
        if self.case.attempts.iter().any(known) {
            return None;
        }
        let because = Reason::Suspect { principal: suspect.principal, at: suspect.at };
        Some(self.record(Fact::AttemptSeen(Box::new(attempt.clone())), because))
    }

    fn probe_due(&self) -> Option<Plan> {
        // On a key that can be used the probe would succeed, and be a use.
        let refused = matches!(self.state(), Sight::Is(KeyState::Disabled | KeyState::PendingDeletion { .. }));
        if !refused || self.now < self.next_probe() {
            return None;
        }
        let probe = format!("{}-{}", self.opening.case, self.case.next_intent);
        Some(self.act(Action::Probe { probe }, Reason::ProbeDue))
    }

    fn next_probe(&self) -> Timestamp {
        let every = self.profile().probe_every;
        let wait = if self.case.probe_failed { every.min(PROBE_AGAIN) } else { every };
        self.case.probed_at.map_or(self.now, |at| after(at, wait))
    }

    /// The next step onwards.
    pub(crate) fn onwards(&self) -> Plan {
        // To assess is to say what could not be seen; to give back is tried unseen; the end needs no key.
        let blindly = matches!(
            self.case.stage,
            Stage::Assessing | Stage::Assessed | Stage::Rescuing | Stage::Returning | Stage::Deleted
        );
        if let Sight::Unknown(gap) = self.state()
            && !blindly
        {
            return self.wait_for(LOOK_AGAIN, Reason::KeyUnknown { why: gap.clone() });
        }
        match self.case.stage {
            Stage::Draft => Plan { next: Next::Stop, because: Reason::NotOpened },
            Stage::Closed | Stage::Abandoned | Stage::Ended | Stage::Lost => {
                Plan { next: Next::Stop, because: Reason::Ended }
            }
            Stage::Assessing => self.assess_now(Reason::AssessmentDue),
            Stage::Assessed => self.assessed(),
            Stage::AwaitDisable => self.await_approval(Step::Disable),
            Stage::Preserving => {
                self.gate(Step::Disable).unwrap_or_else(|| self.act(Action::WriteCapsule, Reason::CapsuleDue))
            }
            Stage::Disabling => self
                .gate(Step::Disable)
                .unwrap_or_else(|| self.act(Action::Disable, Reason::GatesPassed { step: Step::Disable })),
            Stage::Soaking => self.soaking(),
            Stage::SoakPassed => self.soak_passed(),
            Stage::AwaitDelete => self.await_approval(Step::Delete),
            Stage::Scheduling => self.scheduling(),
            Stage::Pending => self.pending(),
            Stage::LastLook => self.last_look(),
            Stage::Committed => self.committed(),
            Stage::Deleted => self.deleted(),
            Stage::Held => self.wait_for_people(Reason::Held),
            Stage::Rescued | Stage::Foreign => self.wait_for_people(Reason::HumanDecides),
            Stage::Rescuing => self.give_back(Fact::Rescued),
            Stage::Returning => self.give_back(Fact::Returned),
        }
    }

    fn assess_now(&self, because: Reason) -> Plan {
        self.look_closer().unwrap_or_else(|| self.record(Fact::Assessed(Box::new(self.assess())), because))
    }

    /// Not QUIET: again when the evidence has aged.
    fn assessed(&self) -> Plan {
        match &self.case.assessment {
            Some(assessment) if self.now < assessment.valid_until => self.wait(
                self.soonest([Some(assessment.valid_until)]),
                Reason::VerdictStands { verdict: assessment.verdict },
            ),
            Some(assessment) => self.assess_now(Reason::AssessmentAged { at: assessment.at }),
            None => self.assess_now(Reason::AssessmentDue),
        }
    }

    fn await_approval(&self, step: Step) -> Plan {
        let Some(assessment) = &self.case.assessment else { return self.assess_now(Reason::AssessmentDue) };
        if let Some(because) = self.drift(assessment, step) {
            return self.assess_now(because);
        }
        let plan = assessment.plan_hash(step);
        let (have, need) = (self.case.approved(step, plan, self.now), self.case.approvals_needed(step));
        if have >= need {
            // All agree; what is left of the way is for the fold, which goes on with a fresh assessment.
            return self.assess_now(Reason::GatesPassed { step });
        }
        self.ask(step, plan, have, need, self.soonest([Some(assessment.valid_until), self.watching_until()]))
    }

    fn ask(&self, step: Step, plan: Digest, have: u8, need: u8, until: Timestamp) -> Plan {
        let until = until.max(after(self.now, SignedDuration::from_secs(1)));
        Plan { next: Next::NeedsApproval { step, plan, until }, because: Reason::ApprovalMissing { step, have, need } }
    }

    /// Why the assessment in force does not fit what was seen, if it does not.
    fn drift(&self, assessment: &Assessment, step: Step) -> Option<Reason> {
        if self.now >= assessment.valid_until {
            return Some(Reason::AssessmentAged { at: assessment.at });
        }
        if let Some(sighting) = self.use_in_sight() {
            return Some(Reason::LateUse { operation: sighting.operation, at: sighting.at });
        }
        let changed = |seen: Option<Digest>, assessed: Option<Digest>| seen.is_some() && seen != assessed;
        let baseline = assessment.baseline;
        let drifted = changed(crate::assess::policies_digest(self.seen), baseline.policies)
            || changed(self.seen.grants.seen().map(Digest::of_value), baseline.grants)
            || (self.seen.depth == Depth::Full && self.assess().plan_hash(step) != assessment.plan_hash(step));
        drifted.then_some(Reason::PlanChanged)
    }

    /// What stands between here and a step towards loss, if anything does.
    fn gate(&self, step: Step) -> Option<Plan> {
        if let Some(closer) = self.look_closer() {
            return Some(closer);
        }
        let fresh = self.assess();
        let plan = fresh.plan_hash(step);
        let assessed = self.case.assessment.as_ref();
        let because = if fresh.verdict != Verdict::Quiet {
            Reason::VerdictStands { verdict: fresh.verdict }
        } else if assessed.is_none_or(|assessed| assessed.plan_hash(step) != plan) {
            Reason::PlanChanged
        } else if let Some(aged) = assessed.filter(|assessed| self.now >= assessed.valid_until) {
            Reason::AssessmentAged { at: aged.at }
        } else if self.case.approved(step, plan, self.now) < self.case.approvals_needed(step) {
            let (have, need) = (self.case.approved(step, plan, self.now), self.case.approvals_needed(step));
            Reason::ApprovalMissing { step, have, need }
        } else {
            return self.hindrance(step);
        };
        Some(self.record(Fact::Assessed(Box::new(fresh)), because))
    }

    /// What delays a step that is quiet and approved.
    fn hindrance(&self, step: Step) -> Option<Plan> {
        // The assessment may have been waived about the clock; an act with dates in it is not.
        let skew_max = self.profile().clock_skew_max;
        if !matches!(&self.seen.clock_skew, Seen::Seen(skew) if skew.abs() <= skew_max) {
            return Some(self.wait_for(LOOK_AGAIN, Reason::Clock));
        }
        if let (Step::Delete | Step::Commit, Some(since)) = (step, self.blind_since()) {
            return Some(self.wait(self.soonest([self.watching_until()]), Reason::Blind { since }));
        }
        let until = self.backing_off(RETRY, RETRY_MOST)?;
        Some(
            self.wait(
                self.soonest([Some(until), self.watching_until()]),
                Reason::BackOff { failures: self.case.failures },
            ),
        )
    }

    fn soaking(&self) -> Plan {
        let (required, until) =
            self.case.soak.map_or((self.profile().soak_min, None), |soak| (soak.least, soak.not_before));
        let seen = self.case.seen;
        let due = until.is_none_or(|until| self.now >= until);
        if seen >= required && due && self.blind_since().is_none() {
            return self.record(Fact::SoakPassed, Reason::SoakPassed { seen });
        }
        let because =
            self.blind_since().map_or(Reason::SoakRunning { seen, required, until }, |since| Reason::Blind { since });
        self.wait(self.soonest([until.filter(|until| self.now < *until), self.watching_until()]), because)
    }

    fn soak_passed(&self) -> Plan {
        match &self.case.assessment {
            Some(assessment) if self.case.assessed_here && self.now < assessment.valid_until => {
                let until = self.soonest([Some(assessment.valid_until), self.watching_until()]);
                self.wait(until, Reason::VerdictStands { verdict: assessment.verdict })
            }
            _ => self.assess_now(Reason::AssessmentDue),
        }
    }

    fn scheduling(&self) -> Plan {
        if let Some(hindrance) = self.gate(Step::Delete) {
            return hindrance;
        }
        let passed = self.case.soak_passed_at;
        match (&self.case.assessment, self.case.capsule) {
            (Some(assessment), Some((_, kept_at))) if Some(kept_at) >= passed => self.act(
                Action::Schedule { window_days: assessment.window_days },
                Reason::GatesPassed { step: Step::Delete },
            ),
            _ => self.act(Action::WriteCapsule, Reason::CapsuleDue),
        }
    }

    fn pending(&self) -> Plan {
        let Some(deletion_date) = self.deletion_date() else {
            return self.wait_for(LOOK_AGAIN, Reason::OutcomeAwaited { action: self.scheduled_action() });
        };
        let look = before(deletion_date, self.profile().margin.saturating_add(self.profile().last_look));
        if self.now >= look {
            return self.record(Fact::LastLook, Reason::LastLookDue);
        }
        self.wait(self.soonest([Some(look), self.watching_until()]), Reason::WindowRunning { deletion_date })
    }

    fn scheduled_action(&self) -> Action {
        let window_days = self.case.scheduled.map_or(self.profile().window_days, |(_, window_days)| window_days);
        Action::Schedule { window_days }
    }

    /// Commits, if everything is quiet and proven at this moment; otherwise looks again until the margin cancels.
    fn last_look(&self) -> Plan {
        if let Some(closer) = self.look_closer() {
            return closer;
        }
        let fresh = self.assess();
        let known = self.case.assessment.as_ref().filter(|_| self.case.assessed_here);
        if known.is_none_or(|known| known.plan_hash(Step::Commit) != fresh.plan_hash(Step::Commit)) {
            return self.record(Fact::Assessed(Box::new(fresh)), Reason::LastLookDue);
        }
        let again = self.soonest([Some(after(self.now, LAST_LOOK_AGAIN)), self.watching_until()]);
        if fresh.verdict != Verdict::Quiet || !self.sources_are_fresh() {
            return self.wait(again, Reason::LastLookFailed { verdict: fresh.verdict });
        }
        if let Some(hindrance) = self.hindrance(Step::Commit) {
            return hindrance;
        }
        let plan = fresh.plan_hash(Step::Commit);
        let (have, need) = (self.case.approved(Step::Commit, plan, self.now), self.case.approvals_needed(Step::Commit));
        if have < need {
            return self.ask(Step::Commit, plan, have, need, again);
        }
        self.record(Fact::Committed, Reason::LastLookPassed)
    }

    /// Whether an event source of the key's own account and Region was read up to now.
    fn sources_are_fresh(&self) -> bool {
        let account = self.seen.arn.account.to_string();
        let newest = before(self.seen.at, self.profile().blind_after);
        self.seen
            .sources
            .iter()
            .filter(|source| source.account == account && source.region == self.seen.arn.region)
            .any(|source| source.spans.iter().any(|span| span.until >= newest))
    }

    fn committed(&self) -> Plan {
        let Some(deletion_date) = self.deletion_date() else {
            return self.wait_for(LOOK_AGAIN, Reason::OutcomeAwaited { action: self.scheduled_action() });
        };
        let look = if self.now < deletion_date { deletion_date } else { after(self.now, HOUR) };
        self.wait(self.soonest([Some(look), self.watching_until()]), Reason::DeletionAwaited { deletion_date })
    }

    fn deleted(&self) -> Plan {
        let delete_event = self.delete_event();
        let until = after(self.case.stage_since, DELETE_EVENT);
        if delete_event.is_some() || self.now >= until {
            return self.record(Fact::Closed { delete_event }, Reason::Deleted);
        }
        self.wait(until.min(after(self.now, HOUR)), Reason::DeleteEventAwaited)
    }

    fn wait_for_people(&self, because: Reason) -> Plan {
        self.wait(self.soonest([Some(after(self.now, DAY)), self.watching_until()]), because)
    }

    /// When the watch has to be looked after again, while there is one.
    fn watching_until(&self) -> Option<Timestamp> {
        let watching = self.is_held_by_us() && self.case.disabled_at.is_some();
        watching.then(|| self.next_probe())
    }

    /// The soonest of these and of the end of patience; tomorrow where none is.
    fn soonest<const N: usize>(&self, times: [Option<Timestamp>; N]) -> Timestamp {
        let soonest = times.into_iter().chain([self.case.expires()]).flatten().min();
        soonest.unwrap_or_else(|| after(self.now, DAY))
    }
}
