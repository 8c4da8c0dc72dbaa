//! Steps towards safety: what makes us give a key back, how, and what happens to acts whose outcome nobody knows.
//!
//! Nothing here asks for an approval, or for evidence beyond the sighting itself. Every rule may only lead to CancelKeyDeletion,
//! EnableKey, or an entry; none leads to DisableKey or ScheduleKeyDeletion.

use api::Timestamp;
use jiff::SignedDuration;

use crate::assess::policies_digest;
use crate::case::{Flight, SETTLE};
use crate::finding::Verdict;
use crate::journal::{Done, Fact, Failure, Intent};
use crate::observation::{ControlChange, Depth, KeyState};
use crate::plan::{Action, Plan};
use crate::profile::OnAttempt;
use crate::reason::Reason;
use crate::scope::closed_rescue;
use crate::span::{HOUR, after, before, days};
use crate::stage::Stage;
use crate::usage::late_last_usage;
use crate::view::{Sight, View};

/// Between two tries of the same step towards safety: at first, and at most; it doubles, so that the journal of a key that AWS will
/// not let us give back grows by a few entries an hour. The margin is many times the most.
const RETRY: SignedDuration = SignedDuration::from_secs(30);
const RETRY_MOST: SignedDuration = HOUR;
/// How long an answer to an idempotent call may be out before the call counts as lost.
const ANSWER: SignedDuration = SignedDuration::from_mins(1);
/// How far the date of a deletion may lie from the one we asked for, and still be ours.
const SAME_DATE: SignedDuration = HOUR;
/// A deletion that the service has not carried out this long after its date is taken back. AWS says: up to 24 hours late.
const OVERDUE: SignedDuration = days(7);

impl View<'_> {
    /// The key is gone: as committed, or lost.
    pub(crate) fn if_gone(&self) -> Option<Plan> {
        if self.state() != Sight::Gone {
            return None;
        }
        match self.case.stage {
            Stage::Committed => Some(self.record(Fact::Deleted, Reason::Deleted)),
            Stage::Deleted => None,
            _ => Some(self.record(Fact::Lost { delete_event: self.delete_event() }, Reason::Lost)),
        }
    }

    pub(crate) fn delete_event(&self) -> Option<String> {
        let event = self.seen.changes.iter().find(|change| change.operation == "DeleteKey");
        event.map(|change| change.event_id.clone())
    }

    /// Gives the key back where anything speaks for it.
    pub(crate) fn if_threatened(&self) -> Option<Plan> {
        if !self.is_held_by_us() {
            return None;
        }
        let because = self.threat()?;
        let held = self.case.stage == Stage::Held;
        let is_use = matches!(because, Reason::Attempt { .. } | Reason::LateUse { .. });
        if is_use && self.profile().on_attempt == OnAttempt::Hold {
            let hold = Fact::Held { by: "quietus".to_owned(), reason: because.to_string() };
            if !held {
                return Some(self.record(hold, because));
            }
            // Held already: only the deletion is taken back.
            self.deletion_date()?;
        }
        let action = match self.state() {
            Sight::Is(KeyState::PendingDeletion { .. } | KeyState::PendingReplicaDeletion) => Action::Cancel,
            Sight::Is(KeyState::Disabled) if self.case.was_enabled() => Action::Enable,
            Sight::Unknown(_) if self.is_pending_by_us() => Action::Cancel,
            Sight::Unknown(_) => Action::Enable,
            // Not disabled (any more): either an act of ours is still in flight, or somebody else was quicker.
            Sight::Is(KeyState::Enabled) => {
                let ours = self.case.flight.as_ref().is_some_and(|flight| flight.action.is_towards_loss());
                return ours.then(|| self.record(Fact::RescueStarted { because: because.clone() }, because));
            }
            Sight::Is(_) => return Some(self.record(Fact::RescueStarted { because: because.clone() }, because)),
            Sight::Gone => return None,
        };
        let in_flight = self.case.flight.as_ref().is_some_and(|flight| flight.action == action);
        (!in_flight).then(|| self.act_safely(action, because))
    }

    /// Acts at once; the same act again only after a while, because what it did may not show yet, or cannot be seen at all.
    fn act_safely(&self, action: Action, because: Reason) -> Plan {
        let again = self.case.tried.as_ref().filter(|(tried, ..)| *tried == action).map(|(_, at, times)| {
            let doublings = times.saturating_sub(1).min(16);
            after(*at, RETRY.saturating_mul(1 << doublings).min(RETRY_MOST))
        });
        match again.filter(|until| self.now < *until) {
            Some(until) => self.wait(until, Reason::OutcomeAwaited { action }),
            None => self.act(action, because),
        }
    }

    /// The first reason to give the key back. Source: procedure.md 6.6.6, 6.8.2, 6.8.3.
    fn threat(&self) -> Option<Reason> {
        self.use_threat()
            .or_else(|| self.hold_threat())
            .or_else(|| self.path_threat())
            .or_else(|| self.blind_threat())
            .or_else(|| self.deadline_threat())
            .or_else(|| self.stray_deletion())
    }

    fn use_threat(&self) -> Option<Reason> {
        if let Some(sighting) = self.use_in_sight() {
            let late = self.case.disabled_at.is_none_or(|disabled_at| sighting.at < disabled_at);
            return Some(if late {
                Reason::LateUse { operation: sighting.operation, at: sighting.at }
            } else {
                let (principal, operation, event_id) = (sighting.principal, sighting.operation, sighting.event_id);
                Reason::Attempt { principal, operation, at: sighting.at, event_id }
            });
        }
        // Without the events nobody can say whether the last use was of something whose loss is meant.
        if self.seen.depth < Depth::Full && *self.case.intent() != Intent::Retire {
            return None;
        }
        let last = late_last_usage(self.seen, &self.terms, self.quiet_since())?;
        Some(Reason::LateUse { operation: last.operation.clone(), at: last.at })
    }

    /// A hold does not stop the clock of a deletion, so it takes the deletion back.
    fn hold_threat(&self) -> Option<Reason> {
        (self.case.stage == Stage::Held && self.deletion_date().is_some()).then_some(Reason::Held)
    }

    /// Our way back is being closed while there is still time.
    fn path_threat(&self) -> Option<Reason> {
        let assessed = self.case.assessment.as_ref().and_then(|assessment| assessment.baseline.policies);
        if let (Some(_), Some(now), Some(assessed)) = (self.deletion_date(), policies_digest(self.seen), assessed)
            && now != assessed
        {
            return Some(Reason::PolicyWhilePending);
        }
        closed_rescue(self.seen).map(|action| Reason::RescuePathClosing { action: action.to_owned() })
    }

    fn blind_threat(&self) -> Option<Reason> {
        let profile = self.profile();
        let blind = self.blind_since();
        if let Some(date) = self.deletion_date() {
            let near = before(date, profile.margin.saturating_add(profile.blind_repair));
            if self.now < near {
                return None;
            }
            // A key that cannot be looked at cannot be probed either, and so is blind soon enough.
            return blind.map(|since| Reason::Blind { since });
        }
        let since = blind?;
        (self.now.duration_since(since) > profile.blind_max).then_some(Reason::Blind { since })
    }

    fn deadline_threat(&self) -> Option<Reason> {
        let deletion_date = self.deletion_date()?;
        match self.case.stage {
            Stage::LastLook if self.last_look_failed().is_some() => {
                self.last_look_failed().map(|verdict| Reason::LastLookFailed { verdict })
            }
            Stage::Pending | Stage::LastLook => {
                (self.now >= before(deletion_date, self.profile().margin)).then_some(Reason::Deadline { deletion_date })
            }
            Stage::Committed => (self.now > after(deletion_date, OVERDUE)).then_some(Reason::Overdue { deletion_date }),
            _ => None,
        }
    }

    /// What the last look found, where that is a reason to stop. `INCONCLUSIVE` may still become better before the margin.
    fn last_look_failed(&self) -> Option<Verdict> {
        let assessment = self.case.assessment.as_ref().filter(|_| self.case.assessed_here)?;
        matches!(assessment.verdict, Verdict::InUse | Verdict::Blocked).then_some(assessment.verdict)
    }

    /// The key waits for deletion where we are not that far, and it was us: an act that was held up landed late.
    fn stray_deletion(&self) -> Option<Reason> {
        self.deletion_date()?;
        let early =
            matches!(self.case.stage, Stage::Disabling | Stage::Soaking | Stage::SoakPassed | Stage::AwaitDelete);
        let ours = self.case.own.acts.iter().any(|(operation, _)| *operation == "ScheduleKeyDeletion");
        (early && ours)
            .then(|| Reason::Foreign { found: "an earlier ScheduleKeyDeletion of ours took effect late".to_owned() })
    }

    /// Somebody else changed the key: no fight. F-FOREIGN.
    pub(crate) fn if_foreign(&self) -> Option<Plan> {
        if !self.is_held_by_us() || self.case.disabled_at.is_none() {
            return None;
        }
        let change = self.foreign_change();
        let found = match (&change, self.unexpected_state()) {
            (Some(change), _) => format!("{} by `{}` at {}", change.operation, change.principal, change.at),
            (None, Some(found)) => found,
            (None, None) => return None,
        };
        Some(self.record(Fact::ForeignChange { change, found: found.clone() }, Reason::Foreign { found }))
    }

    fn foreign_change(&self) -> Option<ControlChange> {
        let since = self.case.disabled_at?;
        let states = |change: &&ControlChange| {
            matches!(
                change.operation.as_str(),
                "EnableKey" | "DisableKey" | "ScheduleKeyDeletion" | "CancelKeyDeletion" | "DeleteImportedKeyMaterial"
            )
        };
        let others = self.seen.changes.iter().filter(states).filter(|change| change.at >= since);
        others
            .filter(|change| !self.case.own.is_change(change, &self.seen.operator))
            .min_by_key(|change| change.at)
            .cloned()
    }

    /// What was found, where it is not what we left and has had the time to show.
    fn unexpected_state(&self) -> Option<String> {
        let Sight::Is(state) = self.state() else { return None };
        // INVARIANT: what an act has led to is judged by a look made long enough after it. The time since the act is not enough:
        // a runner may be held up between looking and deciding, and an old look would make our own act somebody else's.
        let settled = |since: Option<Timestamp>| since.is_none_or(|since| self.seen.at > after(since, SETTLE));
        let expected = match (self.case.stage, state) {
            (Stage::Pending | Stage::LastLook | Stage::Committed, KeyState::PendingDeletion { deletion_date }) => {
                self.case.deletion_date.is_none_or(|ours| is_same_date(ours, deletion_date))
            }
            (Stage::Pending | Stage::LastLook | Stage::Committed, KeyState::Disabled) => {
                !settled(self.case.scheduled.map(|(at, _)| at))
            }
            (Stage::Pending | Stage::LastLook | Stage::Committed, _) => false,
            (_, KeyState::Disabled) => true,
            (_, KeyState::Enabled) => !settled(self.case.disabled_at),
            // Its store went away or its material ran out: not somebody's act on this key, and it cannot be used either way.
            (_, KeyState::Unavailable | KeyState::PendingImport) => true,
            (_, _) => false,
        };
        (!expected).then(|| match state {
            KeyState::PendingDeletion { deletion_date } => format!("the key is to be deleted at {deletion_date}"),
            other => format!("the key is {}", other.as_str()),
        })
    }

    /// An act is in flight: finds out what came of it, without repeating it.
    pub(crate) fn if_in_flight(&self) -> Option<Plan> {
        let flight = self.case.flight.as_ref()?;
        let action = flight.action.clone();
        let answer_out = if flight.action.is_towards_loss() || matches!(flight.action, Action::WriteCapsule) {
            SETTLE
        } else {
            ANSWER
        };
        Some(match self.effect(flight) {
            Effect::Seen(result) => {
                self.record(Fact::Done { id: flight.id, result }, Reason::OutcomeObserved { action })
            }
            // Only a look made that long after the act shows that it had none.
            Effect::Unseen if self.seen.at >= after(flight.at, answer_out) => {
                self.record(Fact::Failed { id: flight.id, failure: Failure::NoEffect }, Reason::NoEffect { action })
            }
            Effect::Unseen => {
                self.wait(after(flight.at, answer_out).min(after(self.now, RETRY)), Reason::OutcomeAwaited { action })
            }
            Effect::Unknowable => self.wait_for(RETRY, Reason::OutcomeAwaited { action }),
        })
    }

    fn effect(&self, flight: &Flight) -> Effect {
        let observed = |deletion_date| Effect::Seen(Done::Observed { deletion_date });
        match (&flight.action, self.state()) {
            (Action::WriteCapsule, _) => Effect::Unseen,
            (Action::Probe { probe }, _) => {
                if self.seen.probes.iter().any(|sighting| sighting.probe == *probe) {
                    observed(None)
                } else {
                    Effect::Unseen
                }
            }
            // What leads towards loss is settled by sight alone; what leads towards safety is rather tried again.
            (Action::Disable | Action::Schedule { .. }, Sight::Unknown(_)) => Effect::Unknowable,
            (Action::Cancel | Action::Enable, Sight::Unknown(_)) => Effect::Unseen,
            (Action::Disable, Sight::Is(KeyState::Disabled)) => observed(None),
            (Action::Schedule { window_days }, Sight::Is(KeyState::PendingDeletion { deletion_date }))
                if is_same_date(after(flight.at, days(i64::from(*window_days))), deletion_date) =>
            {
                observed(Some(deletion_date))
            }
            (Action::Cancel, Sight::Is(KeyState::PendingDeletion { .. } | KeyState::PendingReplicaDeletion)) => {
                Effect::Unseen
            }
            (Action::Cancel, Sight::Is(_)) => observed(None),
            (Action::Enable, Sight::Is(KeyState::Enabled)) => observed(None),
            (Action::Disable | Action::Schedule { .. } | Action::Enable, Sight::Is(_)) => Effect::Unseen,
            (Action::Disable | Action::Schedule { .. } | Action::Cancel | Action::Enable, Sight::Gone) => {
                Effect::Unseen
            }
        }
    }

    /// Brings the key back to where it was, and says `done` when it is there.
    ///
    /// Tried for ever: the case ends as soon as AWS lets the key be cancelled and enabled, or says that it is gone.
    pub(crate) fn give_back(&self, done: Fact) -> Plan {
        let because = self.case.rescue.clone().or_else(|| self.case.leaving.clone()).unwrap_or(Reason::GivingBack);
        let action = match self.state() {
            Sight::Is(KeyState::PendingDeletion { .. } | KeyState::PendingReplicaDeletion) => Action::Cancel,
            Sight::Is(KeyState::Disabled) if self.case.was_enabled() => Action::Enable,
            Sight::Unknown(_) if self.case.scheduled.is_some() => Action::Cancel,
            Sight::Unknown(_) => Action::Enable,
            Sight::Is(_) | Sight::Gone => return self.is_back(done),
        };
        self.act_safely(action, because)
    }

    /// The key is where it was: unless an act of ours that nobody heard of again may still land.
    fn is_back(&self, done: Fact) -> Plan {
        match self.case.loose.map(|at| after(at, SETTLE)).filter(|until| self.seen.at < *until) {
            Some(until) => self.wait(until.min(after(self.now, RETRY)), Reason::GivingBack),
            None => self.record(done, Reason::Restored),
        }
    }
}

/// What is known of an act in flight.
enum Effect {
    /// It took effect.
    Seen(Done),
    /// It shows no effect so far.
    Unseen,
    /// Nobody can tell.
    Unknowable,
}

fn is_same_date(one: Timestamp, other: Timestamp) -> bool {
    one.duration_since(other).abs() <= SAME_DATE
}
