//! What a plan is made from, with the questions that its rules ask of it.

use api::Timestamp;
use jiff::SignedDuration;

use crate::assess::{Assessment, Terms, assess};
use crate::case::Case;
use crate::journal::{Entry, Fact, Opening};
use crate::observation::{Depth, Gap, KeyState, Observation, Presence, Seen};
use crate::plan::{Action, Next, Plan};
use crate::profile::Profile;
use crate::reason::Reason;
use crate::span::{after, before};
use crate::stage::Stage;
use crate::usage::{Sighting, latest_use};

/// The shortest wait, so that a plan never makes a loop spin.
const MIN_WAIT: SignedDuration = SignedDuration::from_secs(1);

/// Case, observation and time, side by side.
pub(crate) struct View<'a> {
    pub(crate) case: &'a Case,
    pub(crate) opening: &'a Opening,
    pub(crate) seen: &'a Observation,
    pub(crate) now: Timestamp,
    pub(crate) terms: Terms,
}

/// The key's state as far as it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight<'a> {
    Is(KeyState),
    Gone,
    Unknown(&'a Gap),
}

impl<'a> View<'a> {
    pub(crate) fn profile(&self) -> &'a Profile {
        &self.opening.profile
    }

    pub(crate) fn state(&self) -> Sight<'a> {
        match &self.seen.key {
            Seen::Seen(Presence::Present(facts)) => Sight::Is(facts.state),
            Seen::Seen(Presence::Gone) => Sight::Gone,
            Seen::Unknown(gap) => Sight::Unknown(gap),
        }
    }

    /// Judges what was seen, by the case's terms.
    pub(crate) fn assess(&self) -> Assessment {
        assess(self.seen, &self.terms)
    }

    /// Whether the key may not be as it was before the case, and is watched for that.
    pub(crate) fn is_held_by_us(&self) -> bool {
        match self.case.stage {
            Stage::Soaking
            | Stage::SoakPassed
            | Stage::AwaitDelete
            | Stage::Scheduling
            | Stage::Pending
            | Stage::LastLook
            | Stage::Committed => true,
            Stage::Disabling | Stage::Held => self.case.holds_key(),
            Stage::Draft
            | Stage::Assessing
            | Stage::Assessed
            | Stage::AwaitDisable
            | Stage::Preserving
            | Stage::Deleted
            | Stage::Closed
            | Stage::Rescuing
            | Stage::Rescued
            | Stage::Returning
            | Stage::Abandoned
            | Stage::Ended
            | Stage::Foreign
            | Stage::Lost => false,
        }
    }

    /// Whether the journal says that the key waits for deletion by us.
    pub(crate) fn is_pending_by_us(&self) -> bool {
        matches!(self.case.stage, Stage::Pending | Stage::LastLook | Stage::Committed)
    }

    /// DeletionDate: as seen, or else as the answer had it.
    pub(crate) fn deletion_date(&self) -> Option<Timestamp> {
        match self.state() {
            Sight::Is(KeyState::PendingDeletion { deletion_date }) => Some(deletion_date),
            Sight::Is(_) | Sight::Gone => None,
            Sight::Unknown(_) => self.case.deletion_date.filter(|_| self.is_pending_by_us()),
        }
    }

    /// Since when nothing proves that a refused call would be seen; `None` while the key is not disabled by us.
    ///
    /// A probe that is back counts before its entry is written.
    pub(crate) fn unproven_since(&self) -> Option<Timestamp> {
        let in_time = |made: Timestamp| self.now.duration_since(made) <= self.profile().blind_after;
        let is_back = |probe: &String| self.seen.probes.iter().any(|sighting| sighting.probe == *probe);
        let back = self.case.outstanding.iter().filter(|(probe, made)| in_time(*made) && is_back(probe));
        self.case.disabled_at.max(self.case.proven_until).max(back.map(|(_, made)| *made).max())
    }

    /// Since when the detector is blind, if it is. F-BLIND.
    pub(crate) fn blind_since(&self) -> Option<Timestamp> {
        self.unproven_since().filter(|since| self.now.duration_since(*since) > self.profile().blind_after)
    }

    /// The start of the time in which no use may come to light: what the assessment in force called quiet.
    pub(crate) fn quiet_since(&self) -> Timestamp {
        let assessed = self.case.assessment.as_ref().map_or(self.now, |assessment| assessment.at);
        before(assessed, self.profile().quiet)
    }

    /// A use that the assessment in force did not know, by anybody but us.
    pub(crate) fn use_in_sight(&self) -> Option<Sighting> {
        latest_use(self.seen, &self.terms, &self.case.own, self.quiet_since())
    }

    /// When an action that failed may be tried again, where it must still wait.
    pub(crate) fn backing_off(&self, first: SignedDuration, longest: SignedDuration) -> Option<Timestamp> {
        let failed_at = self.case.failed_at?;
        let doublings = self.case.failures.saturating_sub(1).min(16);
        let wait = first.saturating_mul(1 << doublings).min(longest);
        Some(after(failed_at, wait)).filter(|until| self.now < *until)
    }

    pub(crate) fn act(&self, action: Action, because: Reason) -> Plan {
        Plan { next: Next::Do(action), because }
    }

    pub(crate) fn record(&self, fact: Fact, because: Reason) -> Plan {
        debug_assert!(self.case.admits(&fact, self.now), "{:?} in {:?}", Entry::new(self.now, fact), self.case.stage);
        Plan { next: Next::Record(fact), because }
    }

    pub(crate) fn wait(&self, until: Timestamp, because: Reason) -> Plan {
        Plan { next: Next::Wait { until: until.max(after(self.now, MIN_WAIT)) }, because }
    }

    pub(crate) fn wait_for(&self, length: SignedDuration, because: Reason) -> Plan {
        self.wait(after(self.now, length), because)
    }

    /// Looks closer, unless this observation is close enough.
    pub(crate) fn look_closer(&self) -> Option<Plan> {
        (self.seen.depth < Depth::Full)
            .then_some(Plan { next: Next::Observe { depth: Depth::Full }, because: Reason::EvidenceNeeded })
    }
}
