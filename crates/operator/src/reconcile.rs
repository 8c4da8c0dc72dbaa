//! Going round: for each case read, look, plan, write down, act, write down; until there is nothing to do now.
//!
//! *Guarantees*: an act is tried only after its intent is durable, and once; whoever comes next, after a crash at any point or beside
//! us, finds out by looking what became of it. Steps towards loss are taken by one runner at a time. The failure of one case does not
//! touch the others. *Assumptions*: the clock is that of the service, or near it. Nothing is remembered between two rounds but what was
//! read of the journals, which only grow.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::{KeyArn, Timestamp};
use procedure::span::before;
use procedure::{
    Action, Case, Depth, Digest, Done, Entry, Fact, Failure, Next, Observation, Plan, Reason, SETTLE, Stage, Step,
    assess, plan,
};

use crate::capsule;
use crate::cases::{self, CaseId, Cases, Journal, Lease};
use crate::clock;
use crate::world::{Act, Answer, Ask, World};

/// Most steps of one case in one round; the longest way without a wait has about ten. (Ours.)
const MAX_STEPS: usize = 32;
/// Most tries to write a result beside another runner's entries. (Ours.)
const MAX_TRIES: usize = 8;
/// Shortest and longest sleep between two looks at whether to stop. (Ours.)
const NAP: Duration = Duration::from_millis(100);

/// Which world a key is in.
pub trait Worlds: Sync {
    /// The world of that key's account and Region.
    ///
    /// # Errors
    /// [`Unreached`] where there is no way to it.
    fn reach(&self, key: &KeyArn) -> Result<Arc<dyn World + Send>, Unreached>;
}

/// A key whose world cannot be reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` cannot be reached: {why}")]
pub struct Unreached {
    /// The key.
    pub key: String,
    /// Why not, and what to do.
    pub why: String,
}

/// What goes round: where cases are kept, what they are about, and what time it is.
pub struct Runner<'a, C: Cases> {
    cases: &'a C,
    worlds: &'a dyn Worlds,
    now: &'a Now<'a>,
    told: &'a Told<'a>,
    known: Mutex<BTreeMap<CaseId, Known>>,
}

/// Tells the time.
pub type Now<'a> = dyn Fn() -> Result<Timestamp, clock::Error> + Sync + 'a;
/// Is told of each entry when it has been written.
pub type Told<'a> = dyn Fn(CaseId, &Entry) + Sync + 'a;

/// A journal as far as it was read, and its fold.
struct Known {
    journal: Journal,
    case: Case,
}

impl Known {
    fn nothing_of(id: CaseId) -> Known {
        Known { journal: Journal::empty(id), case: Case::default() }
    }

    /// Folds what the journal has more than the case.
    fn fold(&mut self) {
        let folded = self.case.entries;
        self.journal.entries()[folded..].iter().for_each(|entry| self.case.apply(entry));
    }
}

/// How a case was left.
#[derive(Debug)]
pub struct Round {
    /// The case.
    pub case: CaseId,
    /// Its stage; `None` where the journal could not be read.
    pub stage: Option<Stage>,
    /// Where it rests.
    pub rest: Result<Rest, Error>,
}

/// Why there is nothing to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rest {
    /// Nothing until then.
    Wait {
        /// When to look again, at the latest.
        until: Timestamp,
        /// Why.
        because: Reason,
    },
    /// People are asked.
    NeedsApproval {
        /// For what.
        step: Step,
        /// The hash that an approval names.
        plan: Digest,
        /// When to look again, at the latest.
        until: Timestamp,
        /// Why.
        because: Reason,
    },
    /// The case has ended.
    Stop {
        /// Why.
        because: Reason,
    },
    /// Another runner is on it.
    Busy,
    /// So much happened that the rest is for the next round.
    Steps,
}

impl Rest {
    /// Why, where the plan said.
    pub fn because(&self) -> Option<&Reason> {
        match self {
            Rest::Wait { because, .. } | Rest::NeedsApproval { because, .. } | Rest::Stop { because } => Some(because),
            Rest::Busy | Rest::Steps => None,
        }
    }

    /// When to look again at the latest; `None` where there is no need, or at once.
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Rest::Wait { until, .. } | Rest::NeedsApproval { until, .. } => Some(*until),
            Rest::Stop { .. } | Rest::Busy | Rest::Steps => None,
        }
    }
}

impl Round {
    /// The exit code that this round asks for. Source: procedure.md 6.5.8.
    pub fn exit_code(&self) -> u8 {
        let Ok(rest) = &self.rest else { return 1 };
        match (self.stage, rest.because().and_then(Reason::finding)) {
            (Some(Stage::Foreign), _) | (_, Some("F-FOREIGN")) => 30,
            (_, Some("F-DEADLINE")) => 20,
            (_, Some("F-BLIND")) => 21,
            _ => 0,
        }
    }
}

/// Why a case could not go on in this round.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its folder.
    #[error(transparent)]
    Cases(#[from] cases::Error),
    /// The time.
    #[error(transparent)]
    Clock(#[from] clock::Error),
    /// Its key.
    #[error(transparent)]
    Unreached(#[from] Unreached),
}

impl<'a, C: Cases> Runner<'a, C> {
    /// A runner over `cases`, whose keys are in `worlds`. `told` hears of each entry after it has been written.
    pub fn new(cases: &'a C, worlds: &'a dyn Worlds, now: &'a Now<'a>, told: &'a Told<'a>) -> Runner<'a, C> {
        Runner { cases, worlds, now, told, known: Mutex::new(BTreeMap::new()) }
    }

    /// One round over all cases, several at a time, at most `threads`.
    ///
    /// # Errors
    /// Where the cases cannot be listed. What goes wrong with one case is in its [`Round`].
    pub fn once(&self, threads: usize) -> Result<Vec<Round>, cases::Error> {
        let cases = self.cases.list()?;
        let next = AtomicUsize::new(0);
        let rounds = Mutex::new(Vec::with_capacity(cases.len()));
        let work = || {
            while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                let round = self.one(*case);
                rounds.lock().unwrap_or_else(PoisonError::into_inner).push(round);
            }
        };
        if threads <= 1 {
            work();
        } else {
            std::thread::scope(|scope| {
                for _ in 0..threads.min(cases.len()) {
                    scope.spawn(work);
                }
            });
        }
        let mut rounds = rounds.into_inner().unwrap_or_else(PoisonError::into_inner);
        rounds.sort_by_key(|round| round.case);
        Ok(rounds)
    }

    /// Rounds until `stop` is set: the next when the first case wants it, and at the latest `every` after the one before.
    ///
    /// # Errors
    /// As [`Runner::once`], on the first round; later it tries again.
    pub fn run_loop(
        &self,
        threads: usize,
        every: Duration,
        stop: &AtomicBool,
        mut after: impl FnMut(&[Round]),
    ) -> Result<(), cases::Error> {
        let mut rounds = self.once(threads)?;
        loop {
            after(&rounds);
            let mut left = self.pause(&rounds, every);
            while left > Duration::ZERO && !stop.load(Ordering::Relaxed) {
                std::thread::sleep(NAP.min(left));
                left = left.saturating_sub(NAP);
            }
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            rounds = self.once(threads).unwrap_or_default();
        }
    }

    fn pause(&self, rounds: &[Round], every: Duration) -> Duration {
        let Ok(now) = (self.now)() else { return every };
        let soonest = rounds.iter().filter_map(|round| round.rest.as_ref().ok()?.until()).min();
        let wait = soonest.map(|until| until.duration_since(now)).and_then(|wait| Duration::try_from(wait).ok());
        wait.unwrap_or(every).min(every).max(NAP)
    }

    /// One round of one case.
    pub fn one(&self, case: CaseId) -> Round {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&case);
        let mut known = known.unwrap_or_else(|| Known::nothing_of(case));
        let rest = self.go(case, &mut known);
        let stage = rest.is_ok().then_some(known.case.stage);
        // What failed to be read is read again from the start.
        if rest.is_ok() {
            self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(case, known);
        }
        Round { case, stage, rest }
    }

    fn read(&self, known: &mut Known) -> Result<(), Error> {
        if known.journal.entries().is_empty() {
            known.journal = self.cases.read(known.journal.case())?;
        } else {
            self.cases.refresh(&mut known.journal)?;
        }
        known.fold();
        Ok(())
    }

    fn go(&self, id: CaseId, known: &mut Known) -> Result<Rest, Error> {
        let mut lease = None;
        let mut depth = Depth::Watch;
        // What was seen a moment ago is good for several plans, until we act.
        let mut seen: Option<Observation> = None;
        for _ in 0..MAX_STEPS {
            self.read(known)?;
            let Some(key) = known.case.key() else { return Ok(Rest::Stop { because: Reason::NotOpened }) };
            if known.case.stage.is_end() {
                return Ok(Rest::Stop { because: Reason::Ended });
            }
            let world = self.worlds.reach(&key)?;
            let began = (self.now)()?;
            let wanted = depth.max(known.case.depth(began));
            let sight = match seen.take().filter(|seen| seen.depth >= wanted) {
                Some(sight) => sight,
                None => look(self.cases, world.as_ref(), &known.journal, &known.case, wanted, began),
            };
            // Looking takes time; what is decided is decided now.
            let now = (self.now)()?;
            let Plan { next, because } = plan(&known.case, &sight, now);
            match next {
                Next::Observe { depth: Depth::Full } if depth < Depth::Full => depth = Depth::Full,
                Next::Observe { .. } => return Ok(Rest::Steps),
                Next::Record(fact) => {
                    self.record(&mut known.journal, fact, &sight, now)?;
                    seen = Some(sight);
                }
                Next::Do(action) => {
                    if needs_lease(&action) && lease.is_none() {
                        lease = self.cases.lease(id)?;
                        if lease.is_none() {
                            return Ok(Rest::Busy);
                        }
                        // The holder before us may have acted since we read.
                        let head = known.journal.head();
                        self.read(known)?;
                        if known.journal.head() != head {
                            continue;
                        }
                    }
                    let Known { journal, case } = &mut *known;
                    let step = Doing { case, seen: &sight, key, now, because };
                    self.carry_out(journal, action, &step, world.as_ref(), lease.as_ref())?;
                    depth = Depth::Watch;
                }
                Next::Wait { until } => return Ok(Rest::Wait { until, because }),
                Next::NeedsApproval { step, plan, until } => {
                    return Ok(Rest::NeedsApproval { step, plan, until, because });
                }
                Next::Stop => return Ok(Rest::Stop { because }),
            }
        }
        Ok(Rest::Steps)
    }

    /// Appends a fact that the plan wants recorded. Losing the number to another runner is no error: the next step decides again.
    fn record(&self, journal: &mut Journal, fact: Fact, seen: &Observation, now: Timestamp) -> Result<(), Error> {
        if let Fact::Assessed(_) = &fact {
            keep_evidence(self.cases, journal.case(), seen)?;
        }
        match self.append(journal, Entry::new(now, fact)) {
            Err(cases::Error::Taken { .. }) => Ok(()),
            written => Ok(written?),
        }
    }

    fn append(&self, journal: &mut Journal, entry: Entry) -> Result<(), cases::Error> {
        self.cases.append(journal, entry.clone())?;
        (self.told)(journal.case(), &entry);
        Ok(())
    }

    /// Intent, act, result.
    fn carry_out(
        &self,
        journal: &mut Journal,
        action: Action,
        step: &Doing<'_>,
        world: &dyn World,
        _lease: Option<&Lease>,
    ) -> Result<(), Error> {
        // A probe decides nothing, and there are many.
        if !matches!(action, Action::Probe { .. }) {
            keep_evidence(self.cases, journal.case(), step.seen)?;
        }
        let id = step.case.next_intent;
        let intent =
            Fact::Intended { id, action: action.clone(), because: step.because.clone(), evidence: step.seen.digest() };
        match self.append(journal, Entry::new(step.now, intent)) {
            Err(cases::Error::Taken { .. }) => return Ok(()),
            written => written?,
        }
        let result = if self.is_late(step.now)? {
            Some(failed_here(id, "too much time passed between the intent and the act"))
        } else {
            self.outcome(id, &action, step, world)?
        };
        match result {
            Some(fact) => self.write_result(journal, fact),
            // Nobody knows what became of it: the next look tells.
            None => Ok(()),
        }
    }

    /// Whether so much time has passed since the intent that another runner may take it for dead.
    fn is_late(&self, intended: Timestamp) -> Result<bool, Error> {
        Ok((self.now)()?.duration_since(intended) > SETTLE / 2)
    }

    fn outcome(&self, id: u32, action: &Action, step: &Doing<'_>, world: &dyn World) -> Result<Option<Fact>, Error> {
        let act = match action {
            Action::WriteCapsule => return Ok(Some(self.write_capsule(id, step))),
            Action::Disable => Act::Disable,
            Action::Enable => Act::Enable,
            Action::Cancel => Act::Cancel,
            Action::Schedule { window_days } => Act::Schedule { window_days: *window_days },
            Action::Probe { probe } => Act::Probe { probe: probe.clone() },
        };
        Ok(match world.act(step.key, &act) {
            Answer::Done { request_id, deletion_date } => {
                Some(Fact::Done { id, result: Done::Answered { request_id, deletion_date } })
            }
            Answer::Admitted { request_id } => Some(Fact::Done { id, result: Done::ProbeSucceeded { request_id } }),
            Answer::Refused { code, message, request_id } => {
                Some(Fact::Failed { id, failure: Failure::Refused { code, message, request_id } })
            }
            Answer::NotTried { why } => Some(failed_here(id, &why)),
            Answer::Unclear { .. } => None,
        })
    }

    fn write_capsule(&self, id: u32, step: &Doing<'_>) -> Fact {
        let (Some(opening), Some(terms)) = (&step.case.opening, step.case.terms()) else {
            return failed_here(id, "the case has no opening");
        };
        let bytes = capsule::write(opening, step.seen, &assess(step.seen, &terms), step.now);
        let digest = Digest::of(&bytes);
        let case = opening.case.parse().map_err(|error: cases::InvalidCaseId| error.to_string());
        // `keep` reads back what it wrote.
        let kept = case.and_then(|case: CaseId| {
            self.cases.keep(case, &capsule::name(digest), &bytes).map_err(|error| error.to_string())
        });
        match kept {
            Ok(()) => Fact::Done { id, result: Done::Capsule { digest } },
            Err(why) => failed_here(id, &why),
        }
    }

    /// Appends a result, behind whatever others have written since the intent.
    fn write_result(&self, journal: &mut Journal, fact: Fact) -> Result<(), Error> {
        for _ in 0..MAX_TRIES {
            let entry = Entry::new((self.now)()?, fact.clone());
            match self.append(journal, entry) {
                Err(cases::Error::Taken { .. }) => self.cases.refresh(journal)?,
                written => return Ok(written?),
            }
            if !Case::fold(journal.entries()).admits(&fact, (self.now)()?) {
                // Another runner has found out by looking.
                return Ok(());
            }
        }
        Ok(())
    }
}

/// What a step rests on.
struct Doing<'a> {
    case: &'a Case,
    seen: &'a Observation,
    key: KeyArn,
    now: Timestamp,
    because: Reason,
}

fn failed_here(id: u32, message: &str) -> Fact {
    Fact::Failed { id, failure: Failure::Local { message: message.to_owned() } }
}

/// Whether only one runner at a time may do this. Towards safety, two are better than none.
fn needs_lease(action: &Action) -> bool {
    match action {
        Action::Disable | Action::Schedule { .. } | Action::Probe { .. } | Action::WriteCapsule => true,
        Action::Cancel | Action::Enable => false,
    }
}

/// Looks at the key of a case, as far as the case needs.
pub(crate) fn look(
    cases: &impl Cases,
    world: &dyn World,
    journal: &Journal,
    case: &Case,
    depth: Depth,
    now: Timestamp,
) -> Observation {
    let (key, profile) = match &case.opening {
        Some(opening) => (opening.key, &opening.profile),
        None => unreachable!("only a case that was opened is looked at"),
    };
    let probes = probes(journal.entries());
    let notebook = cases.notebook(journal.case());
    world.observe(&Ask {
        key,
        depth,
        now,
        since: case.watch_since().unwrap_or_else(|| before(now, profile.quiet)),
        lookback: before(now, profile.lookback),
        own: &case.own,
        probes: &probes,
        notebook: notebook.as_deref(),
    })
}

/// Which probe each request id was for: the answer's id, by the intent's number.
fn probes(entries: &[Entry]) -> BTreeMap<String, String> {
    let mut intended: BTreeMap<u32, &String> = BTreeMap::new();
    let mut probes = BTreeMap::new();
    for entry in entries {
        match &entry.fact {
            Fact::Intended { id, action: Action::Probe { probe }, .. } => {
                intended.insert(*id, probe);
            }
            Fact::Done { id, result: Done::Answered { request_id: Some(request), .. } } => {
                probes.extend(intended.get(id).map(|probe| (request.clone(), (*probe).clone())));
            }
            _ => {}
        }
    }
    probes
}

/// Keeps an observation under its digest, before anything refers to it.
pub(crate) fn keep_evidence(cases: &impl Cases, case: CaseId, seen: &Observation) -> Result<(), cases::Error> {
    let bytes = serde_json::to_vec(seen).expect("our types have JSON forms: no maps with keys that are not text");
    cases.keep(case, &evidence_name(seen.digest()), &bytes)
}

/// The name of the file that keeps an observation.
pub fn evidence_name(digest: Digest) -> String {
    format!("evidence/{digest}.json")
}
