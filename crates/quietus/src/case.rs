//! `quietus case`, `reconcile`, `rescue` and `report`: what people ask of cases.

use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, anyhow};
use operator::World as _;
use operator::cases::{CaseId, Folder};
use operator::commands::{self, NewCase, outcome_word};
use operator::reconcile::{Rest, Round, Runner};
use procedure::{Entry, Intent, Step, Waived};
use serde_json::json;

use crate::args::{Approve, Case, Open, Reconcile, Report, Rescue, Say, Waive};
use crate::aws::{Place, profile};
use crate::show;
use crate::terminal::{hinted, moment, note, print, say, table};

/// Cases that are carried on side by side; each waits for the network most of the time.
const THREADS: usize = 4;

pub(crate) fn run(args: &Case) -> Result<ExitCode> {
    match args {
        Case::Open(args) => open(args),
        Case::List { json, cases } => list(&cases.cases, *json),
        Case::Show { case, json, cases } => show_case(&cases.cases, *case, *json),
        Case::Approve(args) => approve(args),
        Case::Waive(args) => waive(args),
        Case::Hold(args) => say_so(args, "held", commands::hold),
        Case::Resume(args) => say_so(args, "resumed", commands::resume),
        Case::Abandon(args) => {
            say_so(args, "abandoned; the next reconcile gives the key back as it was", commands::abandon)
        }
    }
}

fn open(args: &Open) -> Result<ExitCode> {
    let place = Place::of(&args.speaker.endpoint)?;
    let aws = place.connection_of(&args.key)?;
    let new = NewCase {
        key: aws.resolve(&args.key)?,
        intent: if args.shred.is_empty() { Intent::Retire } else { Intent::Shred { targets: args.shred.clone() } },
        owner: args.owner.clone(),
        reason: args.reason.clone(),
        ticket: args.ticket.clone(),
        profile: profile(args.care),
        by: args.speaker.by.clone().unwrap_or_else(|| aws.operator().to_owned()),
    };
    let id = commands::open_case(&Folder::at(&args.speaker.cases.cases), new, place.clock.now()?)?;
    say!("{id}");
    note!("opened; nothing is changed before an approval. Next: quietus reconcile --once");
    Ok(ExitCode::SUCCESS)
}

fn list(cases: &Path, as_json: bool) -> Result<ExitCode> {
    let listed = commands::list(&Folder::at(cases))?;
    let mut shown = table(&["case", "stage", "since", "outcome", "key"]);
    let mut unreadable = false;
    for commands::Listed { id, case } in &listed {
        match case {
            Ok(case) => {
                let (stage, since) = (case.stage.as_str(), moment(case.stage_since));
                let outcome = outcome_word(case.outcome());
                let key = case.key().map(|key| key.to_string()).unwrap_or_default();
                if as_json {
                    say!(
                        "{}",
                        json!({ "case": id.to_string(), "stage": stage, "since": since, "outcome": outcome, "key": key })
                    );
                } else {
                    shown.add_row([id.to_string(), stage.to_owned(), since, outcome.to_owned(), key]);
                }
            }
            Err(error) => {
                unreadable = true;
                note!("error: {id}: {error}");
            }
        }
    }
    if !as_json {
        if listed.is_empty() {
            note!("no cases in {}", cases.display());
        } else {
            print(&shown);
        }
    }
    Ok(if unreadable { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn show_case(cases: &Path, id: CaseId, as_json: bool) -> Result<ExitCode> {
    let (journal, case) = commands::show(&Folder::at(cases), id)?;
    if as_json {
        let asked = commands::asked(&case).map(|(step, plan)| json!({ "step": step.as_str(), "plan": plan }));
        let outcome = outcome_word(case.outcome());
        say!(
            "{}",
            json!({ "case": id.to_string(), "stage": case.stage.as_str(), "since": moment(case.stage_since), "outcome": outcome,
                    "opening": case.opening, "asked": asked, "assessment": case.assessment, "entries": journal.entries() })
        );
    } else {
        show::case(id, &case, journal.entries());
    }
    Ok(ExitCode::SUCCESS)
}

fn approve(args: &Approve) -> Result<ExitCode> {
    let place = Place::of(&args.speaker.endpoint)?;
    let cases = Folder::at(&args.speaker.cases.cases);
    let (_, case) = commands::show(&cases, args.case)?;
    let step = commands::asked(&case).map_or(Step::Disable, |(step, _)| step);
    let by = place.who(args.speaker.by.as_ref())?;
    commands::approve(&cases, args.case, step, Some(args.plan), &by, place.clock.now()?)?;
    note!("{by} approved to {} the key of {}. Next: quietus reconcile", step.as_str(), args.case);
    Ok(ExitCode::SUCCESS)
}

fn waive(args: &Waive) -> Result<ExitCode> {
    let place = Place::of(&args.say.speaker.endpoint)?;
    let now = place.clock.now()?;
    let until = now.checked_add(args.lasts).map_err(|error| anyhow!("the waiver would never end: {error}"))?;
    let waived = Waived {
        finding: args.finding.clone(),
        subject: args.subject.clone(),
        by: place.who(args.say.speaker.by.as_ref())?,
        reason: args.say.reason.clone(),
        until,
    };
    commands::waive(&Folder::at(&args.say.speaker.cases.cases), args.say.case, waived, now)?;
    note!("{} waived until {}; the next assessment takes it into account", args.finding, moment(until));
    Ok(ExitCode::SUCCESS)
}

type Command = fn(&Folder, CaseId, &str, &str, api::Timestamp) -> Result<procedure::Case, commands::Refused>;

fn say_so(args: &Say, what: &str, command: Command) -> Result<ExitCode> {
    let place = Place::of(&args.speaker.endpoint)?;
    let by = place.who(args.speaker.by.as_ref())?;
    command(&Folder::at(&args.speaker.cases.cases), args.case, &by, &args.reason, place.clock.now()?)?;
    note!("{} {what}", args.case);
    Ok(ExitCode::SUCCESS)
}

/// Carries all open cases on.
pub(crate) fn reconcile(args: &Reconcile) -> Result<ExitCode> {
    let place = Place::with_archives(&args.endpoint, args.offline.clone(), args.cache.folder.clone())?;
    let cases = Folder::at(&args.cases.cases);
    let now = || place.clock.now();
    let told = |case: CaseId, entry: &Entry| say!("{}  {case}  {}", moment(entry.at), show::fact(&entry.fact));
    let runner = Runner::new(&cases, &place.account, &now, &told);
    if args.once {
        let rounds = runner.once(THREADS)?;
        if rounds.is_empty() {
            note!("no cases in {}", args.cases.cases.display());
        }
        return Ok(ExitCode::from(tell(&rounds)));
    }
    static STOP: AtomicBool = AtomicBool::new(false);
    stop_on_signal(&STOP)?;
    let every = Duration::try_from(args.every)
        .map_err(|_| hinted(anyhow!("a wait of `{}` is none", args.every), "give --every a span such as `60s`"))?;
    runner.run_loop(THREADS, every, &STOP, |rounds| {
        tell(rounds);
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Sets `stop` on SIGTERM and on an interrupt, so that the loop ends between two steps.
fn stop_on_signal(stop: &'static AtomicBool) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
            match terminate {
                Ok(mut terminate) => tokio::select! {
                    _ = terminate.recv() => {}
                    _ = tokio::signal::ctrl_c() => {}
                },
                // Without the one signal there is still the other.
                Err(_) => drop(tokio::signal::ctrl_c().await),
            }
            stop.store(true, Ordering::Relaxed);
        });
    });
    Ok(())
}

/// Says where each case was left; the gravest exit code.
fn tell(rounds: &[Round]) -> u8 {
    for round in rounds {
        let stage = round.stage.map_or("unreadable", |stage| stage.as_str());
        match &round.rest {
            Ok(Rest::NeedsApproval { step, plan, .. }) => {
                note!(
                    "{}  {stage}: approve to {} with: quietus case approve {} --plan {plan}",
                    round.case,
                    step.as_str(),
                    round.case
                );
            }
            Ok(Rest::Wait { until, because }) => {
                note!("{}  {stage}: {because}; next look by {}", round.case, moment(*until))
            }
            Ok(Rest::Stop { because }) => note!("{}  {stage}: {because}", round.case),
            Ok(Rest::Busy) => note!("{}  {stage}: another runner is on it", round.case),
            Ok(Rest::Steps) => note!("{}  {stage}: more in the next round", round.case),
            Err(error) => note!("error: {}: {error}", round.case),
        }
    }
    rounds.iter().map(Round::exit_code).max().unwrap_or(0)
}

/// Brings a key back, with a case or without.
pub(crate) fn rescue(args: &Rescue) -> Result<ExitCode> {
    let place = Place::of(&args.speaker.endpoint)?;
    let now = || place.clock.now();
    if let Ok(id) = args.target.parse::<CaseId>() {
        let cases = Folder::at(&args.speaker.cases.cases);
        let told = |case: CaseId, entry: &Entry| say!("{}  {case}  {}", moment(entry.at), show::fact(&entry.fact));
        let runner = Runner::new(&cases, &place.account, &now, &told);
        let by = place.who(args.speaker.by.as_ref())?;
        let round = commands::rescue(&cases, &runner, id, &by, place.clock.now()?)?;
        return Ok(ExitCode::from(tell(&[round])));
    }
    let aws = place.connection_of(&args.target)?;
    let key = aws.resolve(&args.target)?;
    let done = commands::rescue_key(aws.as_ref(), key, &now)?;
    for act in &done {
        say!("{}  {key}", act.operation());
    }
    note!("{key} is Enabled{}", if done.is_empty() { ", as it was" } else { "" });
    Ok(ExitCode::SUCCESS)
}

/// Writes a case's report.
pub(crate) fn report(args: &Report) -> Result<ExitCode> {
    let place = Place::of(&args.endpoint)?;
    let cases = Folder::at(&args.cases.cases);
    let out = args.out.clone().unwrap_or_else(|| cases.of(args.case));
    for path in operator::report::write(&cases, args.case, &out, place.clock.now()?)? {
        say!("{}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}
