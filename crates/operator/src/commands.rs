//! What people ask for, one function each: open, list, show, verify, approve, waive, hold, resume, abandon, rescue, assess.
//!
//! What a human says is checked against the case before it is written down, and refused with the reason where it makes no sense
//! there: an entry that changes nothing must not look like consent.

use std::collections::BTreeMap;

use api::{KeyArn, Timestamp};
use jiff::tz::Offset;
use procedure::span::before;
use procedure::{
    Action, Assessment, Case, Depth, Digest, Done, Entry, Fact, Intent, KeyState, Observation, Opening, Outcome, Own,
    Presence, Profile, Reason, Seen, Stage, Step, Terms, Verdict, Waived, assess,
};

use crate::capsule;
use crate::cases::{self, CaseId, Cases, Journal};
use crate::clock;
use crate::reconcile::{Round, Runner, evidence_name};
use crate::world::{Act, Answer, Ask, World};

/// Most tries to write beside another runner's entries. (Ours.)
const MAX_TRIES: usize = 8;
/// Most looks at a key that is being rescued without a case. (Ours.)
const MAX_LOOKS: usize = 6;

/// What a person wants a case to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCase {
    /// The key.
    pub key: KeyArn,
    /// What for.
    pub intent: Intent,
    /// Who answers for the key.
    pub owner: String,
    /// Why it shall end.
    pub reason: String,
    /// Where that was agreed.
    pub ticket: Option<String>,
    /// How careful to be.
    pub profile: Profile,
    /// Who opens it.
    pub by: String,
}

/// Why a command was not carried out. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The cases cannot be read or written.
    #[error(transparent)]
    Cases(#[from] cases::Error),
    /// The time cannot be told.
    #[error(transparent)]
    Clock(#[from] clock::Error),
    /// The key has a case already.
    #[error("case `{case}` is already open for this key, in stage `{}`; abandon it first", stage.as_str())]
    Duplicate {
        /// Which.
        case: CaseId,
        /// Where it stands.
        stage: Stage,
    },
    /// Text that must say something is empty.
    #[error("the {what} is empty; say who or why, the report is made of it")]
    Empty {
        /// Which text.
        what: &'static str,
    },
    /// The case was allocated and never opened.
    #[error("case `{case}` was never opened; open another for its key")]
    NotOpened {
        /// Which.
        case: CaseId,
    },
    /// Nothing to approve.
    #[error("case `{case}` is in stage `{}`, which asks for no approval of `{}`", stage.as_str(), step.as_str())]
    NotAsked {
        /// Which case.
        case: CaseId,
        /// Where it stands.
        stage: Stage,
        /// What was to be approved.
        step: Step,
    },
    /// The plan is another one now.
    #[error("the plan is `{is}` now, and `{given}` was approved; look at the case again")]
    OtherPlan {
        /// What was approved.
        given: Digest,
        /// What it is.
        is: Digest,
    },
    /// The same person has approved already.
    #[error("`{by}` has already approved `{}` of this plan; another person must", step.as_str())]
    Again {
        /// Who.
        by: String,
        /// What.
        step: Step,
    },
    /// The person opened the case or approved the step before.
    #[error("`{by}` opened the case or approved disabling, and the profile wants four eyes; another person must approve `{}`", step.as_str())]
    FourEyes {
        /// Who.
        by: String,
        /// What.
        step: Step,
    },
    /// It makes no sense where the case stands.
    #[error("case `{case}` is in stage `{}`, where it cannot be {what}", stage.as_str())]
    NotNow {
        /// Which case.
        case: CaseId,
        /// Where it stands.
        stage: Stage,
        /// What was asked: `held`, `resumed`.
        what: &'static str,
    },
    /// Others wrote all the time.
    #[error("other runners keep writing to case `{case}`; try again")]
    Crowded {
        /// Which case.
        case: CaseId,
    },
    /// A key without a case could not be rescued.
    #[error("`{key}` could not be brought back: {why}; try again, and watch its deletion date")]
    NotRescued {
        /// Which key.
        key: KeyArn,
        /// What stands in the way.
        why: String,
    },
}

/// Opens a case.
///
/// # Errors
/// [`Refused`], where the key has an open case already or a text is empty.
pub fn open_case(cases: &impl Cases, new: NewCase, now: Timestamp) -> Result<CaseId, Refused> {
    for (what, text) in [("owner", &new.owner), ("reason", &new.reason), ("name of who opens the case", &new.by)] {
        said(what, text)?;
    }
    if let Some((case, stage)) = open_case_of(cases, &new.key)? {
        return Err(Refused::Duplicate { case, stage });
    }
    let year = u16::try_from(Offset::UTC.to_datetime(now).year()).unwrap_or(2000).max(2000);
    let id = cases.allocate(year)?;
    let opening = Opening {
        case: id.to_string(),
        intent: new.intent,
        key: new.key,
        owner: new.owner,
        reason: new.reason,
        ticket: new.ticket,
        profile: new.profile,
        by: new.by,
    };
    cases.append(&mut Journal::empty(id), Entry::new(now, Fact::Opened(Box::new(opening))))?;
    Ok(id)
}

fn said(what: &'static str, text: &str) -> Result<(), Refused> {
    if text.trim().is_empty() { Err(Refused::Empty { what }) } else { Ok(()) }
}

/// The case of the key that has not ended, if there is one. A case that cannot be read is passed over: it says so itself.
///
/// # Errors
/// Where the cases cannot be listed.
pub fn open_case_of(cases: &impl Cases, key: &KeyArn) -> Result<Option<(CaseId, Stage)>, cases::Error> {
    let open = |id: CaseId| {
        let case = Case::fold(cases.read(id).ok()?.entries());
        (case.key() == Some(*key) && !case.stage.is_end()).then_some((id, case.stage))
    };
    Ok(cases.list()?.into_iter().rev().find_map(open))
}

/// One line of a list of cases.
#[derive(Debug)]
pub struct Listed {
    /// The case.
    pub id: CaseId,
    /// What its journal says, or why it says nothing.
    pub case: Result<Case, cases::Error>,
}

/// All cases, oldest first.
///
/// # Errors
/// Where they cannot be listed.
pub fn list(cases: &impl Cases) -> Result<Vec<Listed>, cases::Error> {
    let read = |id| Listed { id, case: cases.read(id).map(|journal| Case::fold(journal.entries())) };
    Ok(cases.list()?.into_iter().map(read).collect())
}

/// A case and its journal.
///
/// # Errors
/// [`Refused`], where it cannot be read or was never opened.
pub fn show(cases: &impl Cases, id: CaseId) -> Result<(Journal, Case), Refused> {
    let journal = cases.read(id)?;
    let case = Case::fold(journal.entries());
    if case.opening.is_none() {
        return Err(Refused::NotOpened { case: id });
    }
    Ok((journal, case))
}

/// What a check of a case found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Journal entries, each whole, in order, and tied to the one before.
    pub entries: usize,
    /// The hash that stands for all of them.
    pub head: Digest,
    /// Whether a crash left half of one more behind.
    pub torn: bool,
    /// Observations and capsules that are kept and are what the journal says.
    pub kept: usize,
    /// The names of those that are not.
    pub lost: Vec<String>,
}

/// Checks a case: the chain of its journal, and the hash of everything that the journal refers to.
///
/// # Errors
/// [`Refused::Cases`] naming the entry at which the chain breaks.
pub fn verify(cases: &impl Cases, id: CaseId) -> Result<Verified, Refused> {
    let (journal, _) = show(cases, id)?;
    let mut named: BTreeMap<String, Digest> = BTreeMap::new();
    for entry in journal.entries() {
        match &entry.fact {
            Fact::Assessed(found) => drop(named.insert(evidence_name(found.evidence), found.evidence)),
            // The observation of a probe is not kept: it decided nothing.
            Fact::Intended { action: Action::Probe { .. }, .. } => {}
            Fact::Intended { evidence, .. } => drop(named.insert(evidence_name(*evidence), *evidence)),
            Fact::Done { result: Done::Capsule { digest }, .. } => drop(named.insert(capsule::name(*digest), *digest)),
            _ => {}
        }
    }
    let is_kept = |name: &str, digest: Digest| cases.kept(id, name).is_ok_and(|bytes| Digest::of(&bytes) == digest);
    let (kept, lost): (Vec<_>, Vec<_>) = named.into_iter().partition(|(name, digest)| is_kept(name, *digest));
    Ok(Verified {
        entries: journal.entries().len(),
        head: journal.head(),
        torn: journal.is_torn(),
        kept: kept.len(),
        lost: lost.into_iter().map(|(name, _)| name).collect(),
    })
}

/// The step that people are asked to approve, with the hash to name; `None` where nobody is asked.
pub fn asked(case: &Case) -> Option<(Step, Digest)> {
    let step = match case.stage {
        Stage::AwaitDisable => Step::Disable,
        Stage::AwaitDelete => Step::Delete,
        Stage::LastLook if case.approvals_needed(Step::Commit) > 0 => Step::Commit,
        _ => return None,
    };
    Some((step, case.assessment.as_ref()?.plan_hash(step)))
}

/// Approves a step of the plan as it is now, or of the plan with this hash and no other.
///
/// # Errors
/// [`Refused`], where nothing is asked, the plan is another, or this person may not.
pub fn approve(
    cases: &impl Cases,
    id: CaseId,
    step: Step,
    plan: Option<Digest>,
    by: &str,
    now: Timestamp,
) -> Result<Case, Refused> {
    said("name of who approves", by)?;
    write(cases, id, now, |case| {
        let Some((_, is)) = asked(case).filter(|(asked, _)| *asked == step) else {
            return Err(Refused::NotAsked { case: id, stage: case.stage, step });
        };
        if let Some(given) = plan.filter(|given| *given != is) {
            return Err(Refused::OtherPlan { given, is });
        }
        if case.approvals.iter().any(|given| given.step == step && given.plan == is && given.by == by) {
            return Err(Refused::Again { by: by.to_owned(), step });
        }
        if !case.may_approve(step, by) {
            return Err(Refused::FourEyes { by: by.to_owned(), step });
        }
        Ok((Fact::Approved { step, plan: is, by: by.to_owned() }, "approved"))
    })
}

/// Accepts a finding as it is, until a date.
///
/// # Errors
/// [`Refused`], where it comes too late.
pub fn waive(cases: &impl Cases, id: CaseId, waived: Waived, now: Timestamp) -> Result<Case, Refused> {
    said("name of who waives", &waived.by)?;
    said("reason", &waived.reason)?;
    write(cases, id, now, |_| Ok((Fact::Waived(waived.clone()), "waived for")))
}

/// Pauses a case. A pending deletion is cancelled.
///
/// # Errors
/// [`Refused`], where there is nothing to pause.
pub fn hold(cases: &impl Cases, id: CaseId, by: &str, reason: &str, now: Timestamp) -> Result<Case, Refused> {
    let (by, reason) = consent(by, reason)?;
    write(cases, id, now, |_| Ok((Fact::Held { by: by.clone(), reason: reason.clone() }, "held")))
}

/// Goes on after a pause, a rescue or a foreign change.
///
/// # Errors
/// [`Refused`], where nothing was stopped.
pub fn resume(cases: &impl Cases, id: CaseId, by: &str, reason: &str, now: Timestamp) -> Result<Case, Refused> {
    let (by, reason) = consent(by, reason)?;
    write(cases, id, now, |_| Ok((Fact::Resumed { by: by.clone(), reason: reason.clone() }, "resumed")))
}

/// Gives the key back as it was, and ends the case.
///
/// # Errors
/// [`Refused`], where it has ended.
pub fn abandon(cases: &impl Cases, id: CaseId, by: &str, reason: &str, now: Timestamp) -> Result<Case, Refused> {
    let (by, reason) = consent(by, reason)?;
    write(cases, id, now, |_| Ok((Fact::Abandoned { by: by.clone(), reason: reason.clone() }, "abandoned")))
}

fn consent(by: &str, reason: &str) -> Result<(String, String), Refused> {
    said("name of who says so", by)?;
    said("reason", reason)?;
    Ok((by.to_owned(), reason.to_owned()))
}

/// Writes what a human says, if the case admits it; again where another runner was first.
fn write(
    cases: &impl Cases,
    id: CaseId,
    now: Timestamp,
    fact: impl Fn(&Case) -> Result<(Fact, &'static str), Refused>,
) -> Result<Case, Refused> {
    for _ in 0..MAX_TRIES {
        let (mut journal, mut case) = show(cases, id)?;
        let (fact, what) = fact(&case)?;
        if !case.admits(&fact, now) {
            return Err(Refused::NotNow { case: id, stage: case.stage, what });
        }
        let entry = Entry::new(now, fact);
        match cases.append(&mut journal, entry.clone()) {
            Err(cases::Error::Taken { .. }) => continue,
            written => written?,
        }
        case.apply(&entry);
        return Ok(case);
    }
    Err(Refused::Crowded { case: id })
}

/// Brings a case's key back now: cancels, enables, looks.
///
/// # Errors
/// [`Refused`], where the case has no key to bring back. What came of it is in the [`Round`].
pub fn rescue<C: Cases>(
    cases: &C,
    runner: &Runner<'_, C>,
    id: CaseId,
    by: &str,
    now: Timestamp,
) -> Result<Round, Refused> {
    said("name of who rescues", by)?;
    let (_, case) = show(cases, id)?;
    // One that is under way is only helped on.
    if !matches!(case.stage, Stage::Rescuing | Stage::Returning) {
        let because = Reason::Asked { by: by.to_owned() };
        write(cases, id, now, |_| Ok((Fact::RescueStarted { because: because.clone() }, "rescued")))?;
    }
    Ok(runner.one(id))
}

/// Brings back a key that has no case: cancels its deletion, enables it, and looks until it is so.
///
/// # Errors
/// [`Refused::NotRescued`], saying what stands in the way.
pub fn rescue_key(
    world: &dyn World,
    key: KeyArn,
    now: &dyn Fn() -> Result<Timestamp, clock::Error>,
) -> Result<Vec<Act>, Refused> {
    let mut done = Vec::new();
    let mut trouble = String::new();
    for _ in 0..MAX_LOOKS {
        let act = match state(world, key, now()?) {
            Ok(KeyState::Enabled) => return Ok(done),
            Ok(KeyState::PendingDeletion { .. } | KeyState::PendingReplicaDeletion) => Act::Cancel,
            Ok(KeyState::Disabled) => Act::Enable,
            Ok(other) => {
                let why = format!("it is {}, which neither a cancel nor an enable changes", other.as_str());
                return Err(Refused::NotRescued { key, why });
            }
            Err(why) => {
                trouble = why;
                continue;
            }
        };
        match world.act(key, &act) {
            Answer::Done { .. } => done.push(act),
            Answer::Refused { code, message, .. } => {
                trouble = format!("{} was refused with {code}: {message}", act.operation())
            }
            Answer::NotTried { why } | Answer::Unclear { why } => trouble = why,
            Answer::Admitted { .. } => {}
        }
    }
    Err(Refused::NotRescued { key, why: trouble })
}

fn state(world: &dyn World, key: KeyArn, now: Timestamp) -> Result<KeyState, String> {
    let (own, probes) = (Own::default(), BTreeMap::new());
    let ask =
        Ask { key, depth: Depth::Watch, now, since: now, lookback: now, own: &own, probes: &probes, notebook: None };
    match world.observe(&ask).key {
        Seen::Seen(Presence::Present(facts)) => Ok(facts.state),
        Seen::Seen(Presence::Gone) => Err("it does not exist".to_owned()),
        Seen::Unknown(gap) => Err(format!("it cannot be looked at: {gap}")),
    }
}

/// Looks at a key and judges it, without a case: nothing is written and nothing is changed.
pub fn assess_key(world: &dyn World, key: KeyArn, profile: Profile, now: Timestamp) -> (Assessment, Observation) {
    let (own, probes) = (Own::default(), BTreeMap::new());
    let seen = world.observe(&Ask {
        key,
        depth: Depth::Full,
        now,
        since: before(now, profile.quiet),
        lookback: before(now, profile.lookback),
        own: &own,
        probes: &probes,
        notebook: None,
    });
    (assess(&seen, &Terms::of(profile)), seen)
}

/// What became of a case, in a word for tables: `deleted`, `rescued`, `IN_USE`.
pub fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Open => "open",
        Outcome::Verdict(Verdict::Quiet) => "QUIET",
        Outcome::Verdict(Verdict::InUse) => "IN_USE",
        Outcome::Verdict(Verdict::Blocked) => "BLOCKED",
        Outcome::Verdict(Verdict::Inconclusive) => "INCONCLUSIVE",
        Outcome::Deleted => "deleted",
        Outcome::Rescued => "rescued",
        Outcome::Abandoned => "abandoned",
        Outcome::Expired => "expired",
        Outcome::Foreign => "foreign",
        Outcome::Lost => "lost",
    }
}
