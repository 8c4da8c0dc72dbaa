//! Stories: one line is what happens, and what has come of it once the loop has done what it can.

use procedure::span::{after, days};
use procedure::{Fact, Intent, OnAttempt, Outcome, ProfileName, Reason, Span, Verdict};

use crate::laws::brisk;
use crate::world::{Crash, World};

/// Runs a story: `what happens -> stage, key state`. The arrow may be left out.
///
/// `+3d` and `+5h` let time pass with the loop awake, `sleep 3d` with the loop stopped; `blind 3d` loses all events of that time.
fn check(mut world: World, story: &str) -> World {
    for line in story.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (what, expected) = line.split_once("->").unwrap_or((line, ""));
        happen(&mut world, what.trim());
        let is = format!("{}, {}", world.stage().as_str(), world.state_name());
        let expected = expected.trim();
        assert!(
            expected.is_empty() || is.starts_with(expected),
            "`{line}`: it is `{is}` {:?}\n{:?}\n{:?}",
            world.case.rescue.as_ref().or(world.case.leaving.as_ref()),
            world.last,
            world
                .case
                .assessment
                .as_ref()
                .map(|assessment| assessment.open().map(ToString::to_string).collect::<Vec<_>>())
        );
    }
    assert!(world.case.strays.is_empty(), "strays: {:?}", world.case.strays);
    assert_eq!(world.case, procedure::Case::fold(&world.journal), "the case is the fold of its journal");
    world
}

fn happen(world: &mut World, what: &str) {
    let words: Vec<&str> = what.split_whitespace().collect();
    let by = || words.get(1).map_or("olga", |by| by).to_owned();
    let reason = || "because".to_owned();
    match words[..] {
        ["open", profile] => world.open(profile.parse().unwrap(), Intent::Retire),
        ["shred", target] => {
            let targets = vec![format!("arn:aws:iam::111122223333:{target}")];
            world.open(ProfileName::Standard, Intent::Shred { targets });
        }
        ["approve", by] => world.approve(by),
        ["use", who] => world.call(who, "Decrypt"),
        ["use", who, operation] => world.call(who, operation),
        ["foreign", operation] => world.foreign(operation),
        ["blind", length] => world.blind.push(Span::new(world.now, after(world.now, length_of(length)))),
        ["sleep", length] => return world.sleep(length_of(length)),
        ["crash", "before"] => world.crashes.insert(0, Some(Crash::BeforeAct)),
        ["crash", "after"] => world.crashes.insert(0, Some(Crash::AfterAct)),
        ["unknown", "key"] => world.unknown.push("key"),
        ["unknown", "clock"] => world.unknown.push("clock"),
        ["unknown", "events"] => world.unknown.push("events"),
        ["unknown", "policies"] => world.unknown.push("policies"),
        ["known"] => world.unknown.clear(),
        ["deny", "DisableKey"] => world.denied.push("DisableKey"),
        ["allow"] => world.denied.clear(),
        ["waive", finding] => world.waive(finding, None),
        ["waive", finding, subject] => world.waive(finding, Some(&format!("arn:aws:iam::111122223333:{subject}"))),
        ["hold", _] => world.say(Fact::Held { by: by(), reason: reason() }),
        ["resume", _] => world.say(Fact::Resumed { by: by(), reason: reason() }),
        ["abandon", _] => world.say(Fact::Abandoned { by: by(), reason: reason() }),
        ["rescue", _] => world.say(Fact::RescueStarted { because: Reason::Asked { by: by() } }),
        [time] if time.starts_with('+') => return world.advance(length_of(&time[1..])),
        _ => panic!("`{what}` is nothing that happens in a story"),
    }
    world.tick();
}

fn length_of(text: &str) -> jiff::SignedDuration {
    let (number, unit) = text.split_at(text.len() - 1);
    let number: i64 = number.parse().unwrap();
    match unit {
        "d" => days(number),
        "h" => jiff::SignedDuration::from_hours(number),
        "m" => jiff::SignedDuration::from_mins(number),
        _ => panic!("`{text}` is no length"),
    }
}

#[test]
fn a_quiet_key_is_deleted() {
    let world = check(
        World::quiet(),
        "
        open standard  -> await-approval(disable), Enabled
        +1d            -> await-approval(disable), Enabled
        approve ben    -> soaking, Disabled
        +29d           -> soaking, Disabled
        +2d            -> await-approval(delete), Disabled
        approve cem    -> pending, PendingDeletion
        +27d           -> pending, PendingDeletion
        +1d            -> committed, PendingDeletion
        +3d            -> closed, Gone
        +400d          -> closed, Gone
        ",
    );
    assert_eq!(world.case.outcome(), Outcome::Deleted);
}

#[test]
fn use_in_the_soak_gives_the_key_back() {
    let world = check(
        World::quiet(),
        "
        open standard  -> await-approval(disable)
        approve ben    -> soaking, Disabled
        +12d           -> soaking, Disabled
        use role/app   -> soaking, Disabled
        +9m            -> soaking, Disabled
        +1h            -> rescued, Enabled
        +31d           -> ended, Enabled
        ",
    );
    assert_eq!(world.case.outcome(), Outcome::Rescued);
    assert!(matches!(world.case.rescue, Some(Reason::Attempt { .. })));
}

#[test]
fn use_on_day_twenty_of_the_waiting_period_cancels_and_enables() {
    check(
        World::quiet(),
        "
        open standard  -> await-approval(disable)
        approve ben    -> soaking
        +31d           -> await-approval(delete)
        approve cem    -> pending
        +20d           -> pending, PendingDeletion
        use role/app   -> pending, PendingDeletion
        +2h            -> rescued, Enabled
        ",
    );
}

#[test]
fn use_in_the_last_hour_before_the_last_look_cancels() {
    check(
        World::quiet(),
        "
        open standard  -> await-approval(disable)
        approve ben    -> soaking
        +31d           -> await-approval(delete)
        approve cem    -> pending
        +27d           -> pending
        +17h           -> pending
        use role/app   -> pending
        +2h            -> rescued, Enabled
        ",
    );
}

#[test]
fn use_after_the_commit_still_cancels() {
    check(
        World::quiet(),
        "
        open standard  -> await-approval(disable)
        approve ben    -> soaking
        +31d           -> await-approval(delete)
        approve cem    -> pending
        +29d           -> committed, PendingDeletion
        use role/app   -> committed
        +2h            -> rescued, Enabled
        ",
    );
}

#[test]
fn a_rescued_case_goes_on_from_the_start_or_ends() {
    check(
        World::quiet(),
        "
        open standard  -> await-approval(disable)
        approve ben    -> soaking
        use role/app   -> soaking
        +2h            -> rescued, Enabled
        resume olga    -> assessed, Enabled
        +80d           -> assessed
        +20d           -> ended, Enabled
        ",
    );
}

#[test]
fn a_key_in_use_is_never_touched() {
    let mut world = World::quiet();
    world.used("role/app", "Decrypt", 3);
    let world = check(
        world,
        "
        open standard  -> assessed, Enabled
        +89d           -> assessed, Enabled
        +2d            -> ended, Enabled
        ",
    );
    // Patience ended within the window of the last use.
    assert_eq!(world.case.outcome(), Outcome::Verdict(Verdict::InUse));
}

#[test]
fn a_key_used_once_a_year_is_inconclusive() {
    let mut world = World::quiet();
    world.used("role/yearly", "Decrypt", 200);
    let world = check(world, "open standard -> assessed, Enabled\n +91d -> ended, Enabled");
    assert_eq!(world.case.outcome(), Outcome::Verdict(Verdict::Inconclusive));
}

#[test]
fn with_an_archive_the_soak_waits_for_the_yearly_use() {
    let mut world = World::quiet();
    world.archive = Some(world.created);
    world.events.clear();
    world.used("role/yearly", "Decrypt", 565);
    world.used("role/yearly", "Decrypt", 200);
    let mut story = "open critical -> await-approval(disable)
        approve ben -> await-approval(disable)
        approve cem -> soaking, Disabled
        +101d -> soaking, Disabled
        +64d -> soaking, Disabled
        use role/yearly -> soaking
        +2h -> rescued, Enabled"
        .to_owned();
    story.push('\n');
    check(world, &story);
}

#[test]
fn blind_days_do_not_count_and_long_blindness_gives_the_key_back() {
    check(
        World::quiet(),
        "
        open standard  -> await-approval(disable)
        approve ben    -> soaking
        +10d           -> soaking
        blind 5d       -> soaking
        +21d           -> soaking, Disabled
        +3d            -> soaking, Disabled
        +2d            -> await-approval(delete), Disabled
        ",
    );
    check(
        World::quiet(),
        "
        open standard  -> await-approval(disable)
        approve ben    -> soaking
        +10d           -> soaking
        blind 12d      -> soaking
        +6d            -> soaking, Disabled
        +2d            -> rescued, Enabled
        ",
    );
}

#[test]
fn blind_near_the_deadline_cancels() {
    // Scenario 7 of procedure.md 6.17: delivery stops in the waiting period.
    check(
        World::quiet(),
        "
        open standard  -> await-approval(disable)
        approve ben    -> soaking
        +31d           -> await-approval(delete)
        approve cem    -> pending
        +12d           -> pending
        blind 60d      -> pending
        +14d           -> pending, PendingDeletion
        +2d            -> rescued, Enabled
        ",
    );
}

#[test]
fn blind_for_an_hour_or_two_is_repaired() {
    check(
        World::quiet(),
        "
        open standard  -> await-approval(disable)
        approve ben    -> soaking
        +31d           -> await-approval(delete)
        approve cem    -> pending
        +12d           -> pending
        blind 9h       -> pending
        +18d           -> committed
        +2d            -> closed, Gone
        ",
    );
}

#[test]
fn a_runner_that_comes_back_too_late_cancels() {
    check(
        World::quiet(),
        "
        open standard  -> await-approval(disable)
        approve ben    -> soaking
        +31d           -> await-approval(delete)
        approve cem    -> pending
        +3d            -> pending
        sleep 25d      -> pending, PendingDeletion
        +1m            -> rescued, Enabled
        ",
    );
}

#[test]
fn a_key_gone_without_commit_is_lost() {
    // Scenario 8: without a timer of AWS a runner that never comes back loses the key, and says so.
    let world = check(
        World::quiet(),
        "
        open standard  -> await-approval(disable)
        approve ben    -> soaking
        +31d           -> await-approval(delete)
        approve cem    -> pending
        +3d            -> pending
        sleep 40d      -> pending, Gone
        +1m            -> lost, Gone
        ",
    );
    assert_eq!(world.case.outcome(), Outcome::Lost);
}

#[test]
fn nobody_approves() {
    let world = check(World::quiet(), "open standard -> await-approval(disable)\n +31d -> ended, Enabled");
    assert_eq!(world.case.outcome(), Outcome::Expired);
    check(
        World::quiet(),
        "
        open standard  -> await-approval(disable)
        approve ben    -> soaking
        +31d           -> await-approval(delete), Disabled
        +31d           -> ended, Enabled
        ",
    );
}

#[test]
fn four_eyes() {
    check(
        World::quiet(),
        "
        open standard  -> await-approval(disable)
        approve ben    -> soaking
        +31d           -> await-approval(delete)
        approve ben    -> await-approval(delete)
        approve olga   -> await-approval(delete)
        approve cem    -> pending
        ",
    );
    check(
        World::quiet(),
        "
        open critical  -> assessed, Enabled
        ",
    );
}

#[test]
fn a_critical_key_needs_two_people_twice_and_one_to_let_it_go() {
    let story = "
        open critical  -> await-approval(disable)
        approve ben    -> await-approval(disable)
        approve ben    -> await-approval(disable)
        approve cem    -> soaking
        +99d           -> soaking
        +2d            -> await-approval(delete)
        approve cem    -> await-approval(delete)
        approve dora   -> await-approval(delete)
        approve emil   -> pending
        +24d           -> pending
        +37h           -> last-look, PendingDeletion
    ";
    let archived = || {
        let mut world = World::quiet();
        world.archive = Some(world.created);
        world
    };
    check(archived(), &format!("{story}\n approve fay -> committed\n +6d -> closed, Gone"));
    check(archived(), &format!("{story}\n +1d -> rescued, Enabled"));
}

#[test]
fn a_sandbox_asks_once_and_holds_on_use() {
    check(
        World::quiet(),
        "
        open sandbox   -> await-approval(disable)
        approve olga   -> soaking
        +2d            -> pending, PendingDeletion
        +6d            -> committed
        +2d            -> closed, Gone
        ",
    );
    check(
        World::quiet(),
        "
        open sandbox   -> await-approval(disable)
        approve olga   -> soaking
        use role/app   -> soaking
        +2h            -> held, Disabled
        +8d            -> ended, Enabled
        ",
    );
    check(
        World::quiet(),
        "
        open sandbox   -> await-approval(disable)
        approve olga   -> soaking
        +2d            -> pending
        use role/app   -> pending
        +2h            -> held, Disabled
        ",
    );
}

#[test]
fn foreign_changes_are_not_fought() {
    let world = check(
        World::quiet(),
        "
        open standard  -> await-approval(disable)
        approve ben    -> soaking
        +3d            -> soaking
        foreign EnableKey -> foreign, Enabled
        +29d           -> foreign, Enabled
        +2d            -> ended, Enabled
        ",
    );
    assert_eq!(world.case.outcome(), Outcome::Foreign);
    check(
        World::quiet(),
        "
        open standard  -> await-approval(disable)
        approve ben    -> soaking
        +31d           -> await-approval(delete)
        approve cem    -> pending
        +3d            -> pending
        foreign CancelKeyDeletion -> foreign, Disabled
        abandon olga   -> abandoned, Enabled
        ",
    );
    check(
        World::quiet(),
        "
        open standard  -> await-approval(disable)
        approve ben    -> soaking
        +3d            -> soaking
        foreign ScheduleKeyDeletion -> foreign, PendingDeletion
        ",
    );
}

#[test]
fn a_policy_change_while_pending_cancels_while_it_can() {
    check(
        World::quiet(),
        "
        open standard  -> await-approval(disable)
        approve ben    -> soaking
        +31d           -> await-approval(delete)
        approve cem    -> pending
        +3d            -> pending
        foreign PutKeyPolicy -> rescued, Enabled
        ",
    );
}

#[test]
fn a_changed_policy_makes_the_approval_stale() {
    let mut world = World::quiet();
    world.open(ProfileName::Standard, Intent::Retire);
    world.tick();
    let (step, old) = world.case.asks().unwrap();
    world.policy = world.policy.replace("Enable IAM", "Allow IAM");
    world.say(Fact::Approved { step, plan: old, by: "ben".to_owned() });
    world.tick();
    assert_eq!(world.stage().as_str(), "await-approval(disable)");
    let (_, new) = world.case.asks().unwrap();
    assert_ne!(old, new);
    world.approve("cem");
    world.tick();
    assert_eq!(world.state_name(), "Disabled");
}

#[test]
fn hold_cancels_first_and_resume_soaks_on() {
    check(
        World::quiet(),
        "
        open standard  -> await-approval(disable)
        approve ben    -> soaking
        +31d           -> await-approval(delete)
        approve cem    -> pending
        +3d            -> pending
        hold olga      -> held, Disabled
        +2d            -> held, Disabled
        resume olga    -> await-approval(delete), Disabled
        approve cem    -> pending
        ",
    );
}

#[test]
fn abandon_returns_the_key_as_it_was() {
    check(World::quiet(), "open standard -> await\n abandon olga -> abandoned, Enabled");
    check(
        World::quiet(),
        "
        open standard  -> await-approval(disable)
        approve ben    -> soaking
        +31d           -> await-approval(delete)
        approve cem    -> pending
        abandon olga   -> abandoned, Enabled
        ",
    );
    let mut disabled = World::quiet();
    disabled.state = Some(procedure::KeyState::Disabled);
    check(
        disabled,
        "
        open standard  -> await-approval(disable), Disabled
        approve ben    -> soaking
        +31d           -> await-approval(delete)
        approve cem    -> pending
        abandon olga   -> abandoned, Disabled
        ",
    );
}

#[test]
fn a_human_can_rescue_at_any_time() {
    check(
        World::quiet(),
        "
        open standard  -> await-approval(disable)
        approve ben    -> soaking
        rescue olga    -> rescued, Enabled
        ",
    );
}

#[test]
fn a_crash_at_any_act_changes_nothing() {
    // Scenario 9. The acts of the first day: capsule, DisableKey, probe; after the soak: capsule, ScheduleKeyDeletion, probes.
    let story = "
        approve ben    -> 
        +5d            -> await-approval(delete), Disabled
        approve cem    -> 
        +7d            -> committed, PendingDeletion
        +2d            -> closed, Gone
    ";
    for crash in [Crash::BeforeAct, Crash::AfterAct] {
        for act in 0..24 {
            let mut world = World::quiet();
            world.open_by(brisk(OnAttempt::Restore), Intent::Retire);
            world.tick();
            world.crashes = vec![None; act + 1];
            world.crashes[0] = Some(crash);
            check(world, story);
        }
    }
}

#[test]
fn a_crash_in_the_rescue_delays_it_by_minutes() {
    check(
        World::quiet(),
        "
        open standard  -> await-approval(disable)
        approve ben    -> soaking
        +31d           -> await-approval(delete)
        approve cem    -> pending
        +3d            -> pending
        use role/app   -> pending
        crash before
        crash after
        crash before
        +3h            -> rescued, Enabled
        ",
    );
}

#[test]
fn without_sight_of_the_key_nothing_goes_on_and_near_the_deadline_all_goes_back() {
    check(
        World::quiet(),
        "
        open standard  -> await-approval(disable)
        approve ben    -> soaking
        +31d           -> await-approval(delete)
        approve cem    -> pending
        +12d           -> pending
        unknown key    -> pending, PendingDeletion
        +14d           -> pending, PendingDeletion
        +2d            -> rescuing, Enabled
        known          -> rescued, Enabled
        ",
    );
}

#[test]
fn a_key_out_of_sight_is_given_back_without_filling_the_journal() {
    let mut world =
        check(World::quiet(), "open standard\n approve ben -> soaking\n unknown key\n rescue olga -> rescuing");
    let before = world.journal.len();
    world.advance(days(10));
    let grown = world.journal.len() - before;
    assert!(grown < 10 * 24 * 3, "{grown} entries in ten days");
    check(world, "known\n +2h -> rescued, Enabled");
}

#[test]
fn without_a_clock_or_events_no_step_is_taken() {
    check(World::quiet(), "unknown clock\n open standard -> assessed, Enabled");
    check(World::quiet(), "unknown events\n open standard -> assessed, Enabled");
    check(World::quiet(), "unknown policies\n open standard -> assessed, Enabled");
    check(
        World::quiet(),
        "
        open standard   -> await-approval(disable)
        unknown policies
        approve ben     -> assessed, Enabled
        known           -> assessed, Enabled
        +4d             -> soaking, Disabled
        ",
    );
}

#[test]
fn shredding_expects_the_listed_and_nobody_else() {
    let listed = "
        shred role/tenant -> await-approval(disable)
        approve ben       -> soaking
        use role/tenant   -> soaking
        +31d              -> await-approval(delete)
        approve cem       -> pending
        use role/tenant   -> pending
        +31d              -> closed, Gone
    ";
    let mut world = World::quiet();
    world.archive = Some(world.created);
    world.used("role/tenant", "Decrypt", 1);
    check(world, listed);
    check(
        World::quiet(),
        "
        shred role/tenant -> await-approval(disable)
        approve ben       -> soaking
        use role/other    -> soaking
        +2h               -> rescued, Enabled
        ",
    );
}

#[test]
fn a_waived_caller_does_not_keep_the_key_alive() {
    check(
        World::quiet(),
        "
        open standard        -> await-approval(disable)
        waive F-ATTEMPT role/app
        approve ben          -> soaking
        +1d                  -> soaking
        use role/app         -> soaking
        +2h                  -> soaking, Disabled
        use role/other       -> soaking
        +2h                  -> rescued, Enabled
        ",
    );
}

#[test]
fn a_stolen_probe_role_is_not_invisible() {
    let mut world = check(World::quiet(), "open standard\n approve ben -> soaking\n +5d -> soaking");
    // Our principal, but no request of ours.
    world.call("role/Quietus", "Decrypt");
    check(world, "+2h -> rescued, Enabled");
}

#[test]
fn a_refusal_by_the_interlock_is_a_finding() {
    check(
        World::quiet(),
        "
        open standard   -> await-approval(disable)
        deny DisableKey
        approve ben     -> assessed, Enabled
        +1d             -> assessed, Enabled
        allow
        +3d             -> await-approval(disable), Enabled
        approve ben     -> soaking, Disabled
        ",
    );
}
