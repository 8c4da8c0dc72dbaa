//! The play itself: history, then five cases side by side until each has come to rest.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use api::Timestamp;
use aws_sdk_kms::config::Credentials;
use operator::aws::{Account, Target};
use operator::cases::{CaseId, Folder};
use operator::clock::Clock;
use operator::commands::{self, NewCase, outcome_word};
use operator::reconcile::{Rest, Runner};
use procedure::{Action, Entry, Fact, Intent, Outcome, Profile, ProfileName, Stage, Step, Verdict};

use super::cast::{BLIND, CAST, HISTORY_DAYS, OUTAGE, Part, Returns, STEP_HOURS};
use super::show::{Ending, Teller, days};
use super::stage::Stage as Theatre;

/// How many days the cases are given; the longest needs 30 of soak and 30 of waiting, and a few to be asked.
const LAST_DAY: i64 = 75;

/// Cases carried on side by side.
const THREADS: usize = 2;

/// The people of the cases.
const OPENS: &str = "alice";
const APPROVES_DISABLING: &str = "bob";
const APPROVES_DELETION: &str = "carol";

/// A case of the play.
struct Act {
    part: &'static Part,
    id: CaseId,
    /// When deletion was scheduled or the key disabled, by the entries that were told.
    disabled: Option<Timestamp>,
    scheduled: Option<Timestamp>,
    returned: bool,
}

pub(crate) fn play(dir: &Path) -> Result<Vec<Ending>> {
    // The play ends where the machine's own calendar is, more or less; nothing depends on it.
    let today = Clock::System.now()?;
    let mut theatre = Theatre::set(&dir.join("server"), today)?;
    let opening = theatre.now() + days(HISTORY_DAYS);
    let teller = Teller::new(opening);
    teller.chapter(&format!(
        "A service at {} on a virtual clock, {HISTORY_DAYS} days before the cases",
        theatre.endpoint_url()
    ));
    for part in CAST {
        teller.tell(theatre.now(), part.name, &format!("{} ({})", part.about, part.region));
    }
    history(&mut theatre, &teller, opening)?;

    teller.chapter("Five cases are opened, and the procedure runs");
    let cases = Folder::at(dir.join("cases"));
    let account = account(&theatre);
    let mut acts = Vec::new();
    for part in CAST {
        acts.push(open(&theatre, &cases, part)?);
    }
    run(&theatre, &teller, &cases, &account, &mut acts)?;

    let endings = acts.iter().map(|act| ending(&theatre, &cases, act, &dir.join("reports"))).collect::<Result<_>>();
    theatre.clear();
    endings
}

/// The days before the cases: applications live and die, the trail of one Region fails for a while.
fn history(theatre: &mut Theatre, teller: &Teller, opening: Timestamp) -> Result<()> {
    for day in -HISTORY_DAYS..0 {
        for part in CAST.iter().filter(|part| part.used_on.contains(&day)) {
            theatre.work(part)?;
            if part.used_on.last() == Some(&day) {
                teller.tell(theatre.now(), part.name, "used for the last time");
            }
        }
        if day == OUTAGE.0 {
            teller.tell(theatre.now(), BLIND, "the trail of this Region stops delivering");
            theatre.deliver(BLIND, false)?;
        }
        if day == OUTAGE.1 {
            teller.tell(theatre.now(), BLIND, "the trail of this Region delivers again");
            theatre.deliver(BLIND, true)?;
        }
        // Event history reaches back 90 days; only there does it matter that the account is never silent.
        if day >= -100 {
            for _ in 0..24 / STEP_HOURS {
                theatre.beat()?;
                theatre.pass(STEP_HOURS)?;
            }
        } else {
            theatre.pass(24)?;
        }
    }
    anyhow::ensure!(theatre.now() == opening, "the history is {HISTORY_DAYS} days long");
    Ok(())
}

/// The operator's way to the service: the official SDK, like anybody's.
fn account(theatre: &Theatre) -> Account {
    let (id, secret) = theatre.operator();
    let target = Target {
        endpoint_url: Some(theatre.endpoint_url()),
        credentials: Some(Credentials::new(id, secret, None, None, "rehearsal")),
        shares_clock: true,
        ..Target::default()
    };
    Account::of(target)
}

/// The standard profile, but for the probes: as many in a rehearsal's month as its steps allow.
fn profile() -> Profile {
    Profile {
        probe_every: jiff::SignedDuration::from_hours(STEP_HOURS),
        blind_after: jiff::SignedDuration::from_hours(2 * STEP_HOURS),
        ..Profile::named(ProfileName::Standard)
    }
}

fn open(theatre: &Theatre, cases: &Folder, part: &'static Part) -> Result<Act> {
    let new = NewCase {
        key: theatre.key(part).parse()?,
        intent: Intent::Retire,
        owner: format!("team {}", part.name),
        reason: part.about.to_owned(),
        ticket: None,
        profile: profile(),
        by: OPENS.to_owned(),
    };
    let id = commands::open_case(cases, new, theatre.now())?;
    Ok(Act { part, id, disabled: None, scheduled: None, returned: false })
}

/// Goes round until every case rests, with people and applications playing along.
fn run(theatre: &Theatre, teller: &Teller, cases: &Folder, account: &Account, acts: &mut [Act]) -> Result<()> {
    let names: BTreeMap<CaseId, &str> = acts.iter().map(|act| (act.id, act.part.name)).collect();
    let news = Mutex::new(Vec::new());
    let verdicts = Mutex::new(BTreeMap::new());
    let told = |case: CaseId, entry: &Entry| {
        // A verdict that stands is told once, however often it is found again.
        let stands = match &entry.fact {
            Fact::Assessed(made) => lock(&verdicts).insert(case, made.verdict) == Some(made.verdict),
            _ => false,
        };
        if let Some(text) = worth_telling(&entry.fact).filter(|_| !stands) {
            teller.tell(entry.at, names.get(&case).copied().unwrap_or_default(), &text);
        }
        lock(&news).push((case, entry.clone()));
    };
    let now = || Ok(theatre.now());
    let runner = Runner::new(cases, account, &now, &told);
    for step in 0..LAST_DAY * 24 / STEP_HOURS {
        theatre.beat()?;
        // People answer when they are asked, and the case goes on at once.
        for _ in 0..2 {
            let mut asked = false;
            for round in runner.once(THREADS)? {
                if let Rest::NeedsApproval { step, plan, .. } = round.rest? {
                    let by = if step == Step::Disable { APPROVES_DISABLING } else { APPROVES_DELETION };
                    commands::approve(cases, round.case, step, Some(plan), by, theatre.now())?;
                    let name = names.get(&round.case).copied().unwrap_or_default();
                    teller.tell(theatre.now(), name, &format!("{by} approves to {} it", step.as_str()));
                    asked = true;
                }
            }
            if !asked {
                break;
            }
        }
        for (case, entry) in lock(&news).drain(..) {
            let act = acts.iter_mut().find(|act| act.id == case).context("only cases of the play are run")?;
            match entry.fact {
                Fact::Intended { action: Action::Disable, .. } => act.disabled = Some(entry.at),
                Fact::Intended { action: Action::Schedule { .. }, .. } => act.scheduled = Some(entry.at),
                _ => {}
            }
        }
        for act in acts.iter_mut().filter(|act| !act.returned && is_due(act, theatre.now())) {
            act.returned = true;
            let came = theatre.read_back(act.part)?;
            teller.tell(
                theatre.now(),
                act.part.name,
                &format!("the application is back, and wants to decrypt: {came}"),
            );
        }
        let at_rest = |act: &Act| -> Result<bool> {
            let (_, case) = commands::show(cases, act.id)?;
            Ok(matches!(case.stage, Stage::Closed | Stage::Rescued | Stage::Ended | Stage::Assessed | Stage::Abandoned))
        };
        if step > 0 && acts.iter().map(at_rest).collect::<Result<Vec<_>>>()?.into_iter().all(|rests| rests) {
            break;
        }
        theatre.pass(STEP_HOURS)?;
    }
    Ok(())
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the application of a part comes back now.
fn is_due(act: &Act, now: Timestamp) -> bool {
    let after = |since: Option<Timestamp>, day: i64| since.is_some_and(|since| now >= since + days(day));
    match act.part.returns {
        Returns::Never => false,
        Returns::InSoak(day) => after(act.disabled, day),
        Returns::WhilePending(day) => after(act.scheduled, day),
    }
}

/// What the audience is told of; probes come and go unmentioned.
fn worth_telling(fact: &Fact) -> Option<String> {
    match fact {
        Fact::Intended { action: Action::Probe { .. }, .. } | Fact::Done { .. } | Fact::ProbeSeen { .. } => None,
        Fact::Opened(_) | Fact::Approved { .. } | Fact::LastLook => None,
        Fact::Intended { action, .. } => Some(format!("{action}")),
        fact => Some(crate::show::fact(fact)),
    }
}

fn ending(theatre: &Theatre, cases: &Folder, act: &Act, reports: &Path) -> Result<Ending> {
    let (_, case) = commands::show(cases, act.id)?;
    let outcome = case.outcome();
    let why = match (&case.rescue, &case.assessment) {
        (Some(because), _) => because.to_string(),
        (None, Some(made)) if made.verdict != Verdict::Quiet => {
            made.open().map(ToString::to_string).next().unwrap_or_else(|| made.verdict.to_string())
        }
        _ => "no use was seen, the soak and the waiting period passed".to_owned(),
    };
    let state = theatre.state(act.part)?;
    let expected = match act.part.returns {
        Returns::InSoak(_) | Returns::WhilePending(_) => outcome == Outcome::Rescued && state == "Enabled",
        Returns::Never if matches!(act.part.name, "annual-report" | "eu-billing") => {
            outcome == Outcome::Verdict(Verdict::Inconclusive) && state == "Enabled"
        }
        Returns::Never => outcome == Outcome::Deleted && state == "gone",
    };
    let written: Vec<PathBuf> = operator::report::write(cases, act.id, reports, theatre.now())?;
    let page = written.into_iter().find(|path| path.extension().is_some_and(|kind| kind == "html"));
    Ok(Ending {
        part: act.part,
        case: act.id.to_string(),
        outcome: outcome_word(outcome),
        state,
        why,
        as_expected: expected,
        page: page.context("a report has a page")?,
    })
}
