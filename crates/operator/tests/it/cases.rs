//! Whole cases, told as stories: what happens in the world, day by day, and how it ends.

use jiff::SignedDuration;
use operator::cases::{Cases, Folder};
use operator::commands::{self, NewCase, outcome_word};
use operator::reconcile::{Rest, Runner};
use operator::{Act, World};
use procedure::span::{HOUR, after, days};
use procedure::{Case, Intent, KeyState, Profile, ProfileName, Stage, Step};

use crate::crash::{Fuse, Mortal};
use crate::world::{Fake, KEY, epoch};

/// More rounds than this are a case that does not end.
const MAX_ROUNDS: usize = 5_000;

/// Something that happens in the world, so long after the case was opened.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event {
    /// A role calls an operation.
    Call(&'static str, &'static str),
    /// Events are not delivered any more.
    Blind,
    /// Somebody gives the key back.
    Abandon,
}
use Event::{Abandon, Blind, Call};

/// A profile whose case takes nine days, with few probes.
pub(crate) fn quick() -> Profile {
    Profile {
        probe_every: SignedDuration::from_hours(6),
        blind_after: SignedDuration::from_hours(13),
        soak_min: days(2),
        ..Profile::named(ProfileName::Sandbox)
    }
}

/// A case of the key.
pub(crate) fn new_case(profile: Profile) -> NewCase {
    NewCase {
        key: KEY.parse().unwrap(),
        intent: Intent::Retire,
        owner: "team-a".to_owned(),
        reason: "the application is gone".to_owned(),
        ticket: None,
        profile,
        by: "ann".to_owned(),
    }
}

/// How a case ended.
pub(crate) struct Ended {
    pub(crate) folder: Folder,
    _temp: tempfile::TempDir,
    pub(crate) world: Fake,
    case: Case,
    /// What the last process did.
    steps: i64,
}

/// A folder in memory where there is one: what is durable is slow, and other tests look at that.
pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Runs a case to its end. Each process lives for as many steps as `lives` says, the last for ever.
pub(crate) fn run(profile: Profile, script: &[(SignedDuration, Event)], lives: &[i64]) -> Ended {
    let temp = scratch();
    let folder = Folder::at(temp.path().join("cases"));
    let world = Fake::new(Fuse::never());
    for (_, event) in script.iter().filter(|(offset, _)| !offset.is_positive()) {
        if let Call(who, operation) = event {
            world.call(who, operation);
            world.advance(after(world.now(), HOUR));
        }
    }
    let id = commands::open_case(&folder, new_case(profile), world.now()).unwrap();
    let mut script: Vec<_> = script.iter().copied().filter(|(offset, _)| offset.is_positive()).collect();
    let mut lives = lives.iter().copied();
    let mut rounds = 0;
    let steps = 'process: loop {
        let fuse = Fuse::of(lives.next().unwrap_or(Fuse::MANY));
        let mortal = Mortal { folder: &folder, fuse: fuse.clone() };
        let here = world.with(fuse.clone());
        let now = || Ok(here.now());
        let told = |_, _: &_| {};
        let runner = Runner::new(&mortal, &here, &now, &told);
        loop {
            rounds += 1;
            assert!(rounds < MAX_ROUNDS, "the case does not end: {:?}", folder.read(id).unwrap().entries().last());
            let round = runner.one(id);
            if fuse.is_blown() {
                // Time passes before the next process is started.
                world.advance(after(world.now(), SignedDuration::from_mins(1)));
                continue 'process;
            }
            let until = match round.rest.unwrap() {
                Rest::Stop { .. } => break 'process fuse.burnt(),
                Rest::NeedsApproval { step, plan, .. } => {
                    let by = if step == Step::Disable { "bea" } else { "cyd" };
                    commands::approve(&folder, id, step, Some(plan), by, world.now()).unwrap();
                    continue;
                }
                Rest::Wait { until, .. } => until,
                Rest::Steps => after(world.now(), SignedDuration::from_secs(1)),
                Rest::Busy => panic!("nobody else is there"),
            };
            match script.first().copied().filter(|(offset, _)| after(epoch(), *offset) <= until) {
                None => world.advance(until),
                Some((offset, event)) => {
                    script.remove(0);
                    world.advance(after(epoch(), offset));
                    match event {
                        Call(who, operation) => world.call(who, operation),
                        Blind => world.blind(),
                        Abandon => {
                            drop(commands::abandon(&folder, id, "ann", "changed our minds", world.now()).unwrap())
                        }
                    }
                }
            }
        }
    };
    let case = Case::fold(folder.read(id).unwrap().entries());
    Ended { folder, _temp: temp, world, case, steps }
}

/// What a story comes to: outcome, acts, the key's state.
fn check(profile: Profile, script: &[(SignedDuration, Event)], expected: &str) -> Ended {
    let ended = run(profile, script, &[]);
    assert_eq!(summary(&ended), expected);
    assert!(ended.case.strays.is_empty(), "{:?}", ended.case.strays);
    ended
}

fn summary(ended: &Ended) -> String {
    let state = ended.world.state().map_or("gone", |state| state.as_str());
    format!("{} by {}; {state}", outcome_word(ended.case.outcome()), ended.world.acts().join(", "))
}

#[test]
fn a_quiet_key_is_deleted() {
    let ended = check(quick(), &[], "deleted by DisableKey, ScheduleKeyDeletion, deleted; gone");
    assert_eq!(ended.case.stage, Stage::Closed);
    let capsule = ended.case.capsule.unwrap().0;
    let id = ended.folder.list().unwrap()[0];
    let bytes = ended.folder.kept(id, &format!("capsule-{}.json", &capsule.to_string()[..16])).unwrap();
    assert_eq!(procedure::Digest::of(&bytes), capsule);
    let verified = commands::verify(&ended.folder, id).unwrap();
    assert!(verified.kept >= 5 && verified.lost.is_empty() && !verified.torn, "{verified:?}");
    let capsule_file = ended.folder.of(id).join(format!("capsule-{}.json", &capsule.to_string()[..16]));
    std::fs::write(capsule_file, "changed").unwrap();
    assert_eq!(commands::verify(&ended.folder, id).unwrap().lost.len(), 1);
    // Every decision's evidence can be read again.
    for entry in ended.folder.read(id).unwrap().entries() {
        if let procedure::Fact::Assessed(assessment) = &entry.fact {
            let bytes = ended.folder.kept(id, &operator::reconcile::evidence_name(assessment.evidence)).unwrap();
            assert_eq!(procedure::Digest::of(&bytes), assessment.evidence);
            serde_json::from_slice::<procedure::Observation>(&bytes).unwrap();
        }
    }
}

#[test]
fn a_quiet_key_is_deleted_by_the_standard_profile_too() {
    let profile = Profile { probe_every: HOUR * 6, blind_after: HOUR * 13, ..Profile::named(ProfileName::Standard) };
    check(profile, &[], "deleted by DisableKey, ScheduleKeyDeletion, deleted; gone");
}

#[test]
fn a_key_in_use_is_never_touched() {
    check(quick(), &[(days(0), Call("app", "Decrypt"))], "INCONCLUSIVE by ; Enabled");
}

#[test]
fn use_in_the_soak_gives_the_key_back() {
    let profile = Profile { on_attempt: procedure::OnAttempt::Restore, ..quick() };
    check(profile, &[(days(1), Call("app", "Decrypt"))], "rescued by DisableKey, EnableKey; Enabled");
}

#[test]
fn use_while_pending_cancels_and_gives_the_key_back() {
    let profile = Profile { on_attempt: procedure::OnAttempt::Restore, ..quick() };
    let acts = "DisableKey, ScheduleKeyDeletion, CancelKeyDeletion, EnableKey";
    check(profile, &[(days(5), Call("app", "Decrypt"))], &format!("rescued by {acts}; Enabled"));
}

#[test]
fn blindness_while_pending_cancels() {
    let ended = run(quick(), &[(days(4), Blind)], &[]);
    assert!(ended.world.state().is_some(), "{}", summary(&ended));
    assert!(ended.world.acts().contains(&"CancelKeyDeletion".to_owned()), "{}", summary(&ended));
}

#[test]
fn a_foreign_enable_ends_what_we_do() {
    let ended = check(quick(), &[(days(1), Call("admin", "EnableKey"))], "foreign by DisableKey; Enabled");
    assert_eq!(ended.world.state(), Some(KeyState::Enabled));
}

#[test]
fn an_abandoned_case_gives_the_key_back() {
    check(quick(), &[(days(1), Abandon)], "abandoned by DisableKey, EnableKey; Enabled");
}

#[test]
fn a_crash_between_any_two_steps_changes_nothing_about_the_end() {
    let runs = if std::env::var_os("SLOW").is_some() { i64::MAX } else { 20 };
    let stories: [&[(SignedDuration, Event)]; 4] =
        [&[], &[(days(1), Call("app", "Decrypt"))], &[(days(5), Call("app", "Decrypt"))], &[(days(1), Abandon)]];
    let profile = Profile { on_attempt: procedure::OnAttempt::Restore, ..quick() };
    for script in stories {
        let whole = run(profile.clone(), script, &[]);
        let stride = (whole.steps / runs).max(1);
        for at in (0..whole.steps).step_by(usize::try_from(stride).unwrap()) {
            // The second process and the third die soon after the first.
            let ended = run(profile.clone(), script, &[at, 3, 7]);
            assert_eq!(summary(&ended), summary(&whole), "{script:?}, a crash at step {at}");
        }
    }
}

#[test]
fn two_runners_do_everything_once() {
    let temp = scratch();
    let folder = Folder::at(temp.path());
    let world = Fake::new(Fuse::never());
    let id = commands::open_case(&folder, new_case(quick()), world.now()).unwrap();
    let now = || Ok(world.now());
    let told = |_, _: &_| {};
    let (one, other) = (Runner::new(&folder, &world, &now, &told), Runner::new(&folder, &world, &now, &told));
    for _ in 0..MAX_ROUNDS {
        let rounds = std::thread::scope(|scope| {
            let first = scope.spawn(|| one.one(id));
            [other.one(id), first.join().unwrap()]
        });
        let mut until = None;
        for round in rounds {
            match round.rest.unwrap() {
                Rest::Stop { .. } => {
                    assert_eq!(world.acts(), ["DisableKey", "ScheduleKeyDeletion", "deleted"]);
                    assert!(Case::fold(folder.read(id).unwrap().entries()).strays.is_empty());
                    return;
                }
                Rest::NeedsApproval { step, plan, .. } => {
                    let by = if step == Step::Disable { "bea" } else { "cyd" };
                    // The other runner's round may have asked the same.
                    let _ = commands::approve(&folder, id, step, Some(plan), by, world.now());
                    until = Some(world.now());
                }
                Rest::Wait { until: at, .. } => until = Some(until.map_or(at, |known: api::Timestamp| known.min(at))),
                Rest::Busy | Rest::Steps => until = Some(world.now()),
            }
        }
        world.advance(until.unwrap());
    }
    panic!("the case does not end");
}

#[test]
fn a_case_that_cannot_be_read_does_not_delay_the_others() {
    let temp = scratch();
    let folder = Folder::at(temp.path());
    let world = Fake::new(Fuse::never());
    let broken = folder.allocate(2026).unwrap();
    std::fs::write(folder.of(broken).join("000001.json"), "{}\"}\n").unwrap();
    let whole = commands::open_case(&folder, new_case(quick()), world.now()).unwrap();
    let now = || Ok(world.now());
    let told = |_, _: &_| {};
    let rounds = Runner::new(&folder, &world, &now, &told).once(4).unwrap();
    assert_eq!(rounds.iter().map(|round| round.case).collect::<Vec<_>>(), [broken, whole]);
    assert!(rounds[0].rest.as_ref().unwrap_err().to_string().contains("000001.json"));
    assert_eq!((rounds[0].exit_code(), rounds[1].exit_code()), (1, 0));
    assert!(matches!(rounds[1].rest, Ok(Rest::NeedsApproval { step: Step::Disable, .. })));
}

#[test]
fn what_people_say_is_refused_where_it_makes_no_sense() {
    let temp = scratch();
    let folder = Folder::at(temp.path());
    let world = Fake::new(Fuse::never());
    let profile = Profile { approvals: Profile::named(ProfileName::Critical).approvals, ..quick() };
    let id = commands::open_case(&folder, new_case(profile), world.now()).unwrap();
    let refusal = |result: Result<Case, commands::Refused>| result.unwrap_err().to_string();
    let approve = |step, plan, by| commands::approve(&folder, id, step, plan, by, world.now());

    let again = commands::open_case(&folder, new_case(quick()), world.now()).unwrap_err().to_string();
    assert!(again.contains("already open for this key"), "{again}");
    assert!(refusal(approve(Step::Disable, None, "bea")).contains("asks for no approval of `disable`"));
    assert!(refusal(commands::resume(&folder, id, "ann", "go on", world.now())).contains("cannot be resumed"));
    assert!(refusal(commands::hold(&folder, id, "ann", " ", world.now())).contains("the reason is empty"));

    let now = || Ok(world.now());
    let told = |_, _: &_| {};
    let runner = Runner::new(&folder, &world, &now, &told);
    runner.one(id);
    let stale = procedure::Digest::of(b"another plan");
    assert!(refusal(approve(Step::Disable, Some(stale), "bea")).contains("look at the case again"));
    approve(Step::Disable, None, "bea").unwrap();
    assert!(refusal(approve(Step::Disable, None, "bea")).contains("has already approved"));
    assert!(refusal(approve(Step::Delete, None, "bea")).contains("asks for no approval of `delete`"));
    let (journal, _) = commands::show(&folder, id).unwrap();
    assert_eq!(journal.entries().len(), 3, "nothing that was refused was written");
}

#[test]
fn a_rescue_needs_no_lease_and_no_case() {
    let temp = scratch();
    let folder = Folder::at(temp.path());
    let world = Fake::new(Fuse::never());
    let id = commands::open_case(&folder, new_case(quick()), world.now()).unwrap();
    let now = || Ok(world.now());
    let told = |_, _: &_| {};
    let runner = Runner::new(&folder, &world, &now, &told);
    runner.one(id);
    commands::approve(&folder, id, Step::Disable, None, "bea", world.now()).unwrap();
    runner.one(id);
    assert_eq!(world.state(), Some(KeyState::Disabled));
    let lease = folder.lease(id).unwrap();
    let round = commands::rescue(&folder, &runner, id, "dan", world.now()).unwrap();
    assert_eq!((world.state(), round.stage), (Some(KeyState::Enabled), Some(Stage::Rescued)));
    drop(lease);

    let alone = Fake::new(Fuse::never());
    alone.act(KEY.parse().unwrap(), &Act::Schedule { window_days: 7 });
    let done = commands::rescue_key(&alone, KEY.parse().unwrap(), &|| Ok(alone.now())).unwrap();
    assert_eq!((done.as_slice(), alone.state()), ([Act::Cancel, Act::Enable].as_slice(), Some(KeyState::Enabled)));
}
