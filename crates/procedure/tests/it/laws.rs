//! Laws: whatever happens, in whatever order, these hold.

use procedure::span::{after, days};
use procedure::{
    Action, Case, Depth, Fact, Intent, KeyState, Next, Observation, OnAttempt, Plan, Profile, ProfileName, Reason,
    Seen, Span, Stage,
};
use proptest::prelude::*;

use crate::world::{Crash, World};

/// Something that happens.
#[derive(Debug, Clone)]
enum Event {
    Pass(i64),
    Sleep(i64),
    Use,
    Approve(&'static str),
    Blind(i64),
    Unknown(&'static str),
    Known,
    Crash(Crash),
    Foreign(&'static str),
    Hold,
    Resume,
    Abandon,
    Rescue,
}

fn event() -> impl Strategy<Value = Event> {
    // Mostly time passes and people agree, so that many cases come far; what disturbs them is rarer, but comes in every case.
    prop_oneof![
        20 => (1_i64..120).prop_map(Event::Pass),
        20 => prop_oneof![4 => Just("ben"), 4 => Just("cem"), 1 => Just("olga")].prop_map(Event::Approve),
        2 => Just(Event::Use),
        2 => prop_oneof![Just(Crash::BeforeAct), Just(Crash::AfterAct)].prop_map(Event::Crash),
        1 => (1_i64..200).prop_map(Event::Sleep),
        1 => (1_i64..60).prop_map(Event::Blind),
        1 => prop_oneof![Just("key"), Just("policies"), Just("grants"), Just("clock"), Just("events"), Just("last-usage")]
            .prop_map(Event::Unknown),
        3 => Just(Event::Known),
        1 => prop_oneof![Just("EnableKey"), Just("CancelKeyDeletion"), Just("ScheduleKeyDeletion"), Just("PutKeyPolicy")]
            .prop_map(Event::Foreign),
        1 => prop_oneof![Just(Event::Hold), Just(Event::Resume), Just(Event::Abandon), Just(Event::Rescue)],
    ]
}

/// Standard in its rules, small in its numbers.
pub(crate) fn brisk(on_attempt: OnAttempt) -> Profile {
    Profile {
        soak_min: days(3),
        window_days: 7,
        margin: days(1),
        last_look: jiff::SignedDuration::from_hours(12),
        blind_repair: jiff::SignedDuration::from_hours(12),
        probe_every: jiff::SignedDuration::from_hours(6),
        blind_after: jiff::SignedDuration::from_hours(14),
        blind_max: days(2),
        approval_ttl: days(6),
        patience: days(12),
        on_attempt,
        ..Profile::named(ProfileName::Standard)
    }
}

fn happen(world: &mut World, event: &Event) {
    let by = || "olga".to_owned();
    let reason = || "because".to_owned();
    match event {
        Event::Pass(hours) => return world.advance(jiff::SignedDuration::from_hours(*hours)),
        Event::Sleep(hours) => return world.sleep(jiff::SignedDuration::from_hours(*hours)),
        Event::Use => world.call("role/app", "Decrypt"),
        Event::Approve(by) => world.approve(by),
        Event::Blind(hours) => {
            let until = after(world.now, jiff::SignedDuration::from_hours(*hours));
            world.blind.push(Span::new(world.now, until));
        }
        Event::Unknown(what) => world.unknown.push(what),
        Event::Known => world.unknown.clear(),
        Event::Crash(crash) => world.crashes.push(Some(*crash)),
        Event::Foreign(operation) => world.foreign(operation),
        Event::Hold => world.say(Fact::Held { by: by(), reason: reason() }),
        Event::Resume => world.say(Fact::Resumed { by: by(), reason: reason() }),
        Event::Abandon => world.say(Fact::Abandoned { by: by(), reason: reason() }),
        Event::Rescue => world.say(Fact::RescueStarted { because: Reason::Asked { by: by() } }),
    }
    world.tick();
}

/// A life of weeks, with a probe every six hours and a crash here and there, needs far fewer entries.
const MAX_ENTRIES: usize = 2_500;

fn check_plan(world: &World, seen: &Observation, plan: &Plan) {
    assert_eq!(*plan, procedure::plan(&world.case, seen, world.now), "a plan depends on nothing but its arguments");
    assert!(world.journal.len() < MAX_ENTRIES, "a case that writes for ever: {:?}", &world.journal[MAX_ENTRIES - 20..]);
    let story = || format!("in {:?} at {}: {plan:?}", world.case.stage, world.now);
    let loses = match &plan.next {
        Next::Do(action) => action.is_towards_loss(),
        Next::Record(fact) => matches!(fact, Fact::Committed),
        _ => false,
    };
    if loses {
        assert!(!world.use_is_visible(), "towards loss after a use was visible, {}", story());
        let seen_all = seen.key.seen().is_some()
            && seen.policies.seen().is_some()
            && seen.grants.seen().is_some()
            && seen.last_usage.seen().is_some()
            && matches!(seen.clock_skew, Seen::Seen(_))
            && !seen.sources.is_empty()
            && seen.depth == Depth::Full;
        assert!(seen_all, "towards loss with unknown evidence, {}", story());
    }
    let lost = matches!(world.state, Some(KeyState::Disabled | KeyState::PendingDeletion { .. }));
    let ours = matches!(
        world.case.stage,
        Stage::Soaking
            | Stage::SoakPassed
            | Stage::AwaitDelete
            | Stage::Scheduling
            | Stage::Pending
            | Stage::LastLook
            | Stage::Committed
    );
    if world.use_is_visible() && lost && ours {
        let safe = match &plan.next {
            Next::Do(action) => matches!(action, Action::Cancel | Action::Enable),
            Next::Record(fact) => matches!(fact, Fact::Held { .. } | Fact::RescueStarted { .. }),
            Next::Wait { .. } => {
                matches!(&plan.because, Reason::OutcomeAwaited { action } if !action.is_towards_loss())
            }
            _ => false,
        };
        assert!(safe, "a use is visible and the plan is not towards safety, {}", story());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens(events in prop::collection::vec(event(), 1..40), hold in any::<bool>()) {
        let mut world = World::quiet();
        world.check = check_plan;
        world.open_by(brisk(if hold { OnAttempt::Hold } else { OnAttempt::Restore }), Intent::Retire);
        world.tick();
        for event in &events {
            happen(&mut world, event);
        }
        prop_assert_eq!(&world.case, &Case::fold(&world.journal));

        // Left alone, with AWS answering, every case ends.
        world.unknown.clear();
        world.crashes.clear();
        for _ in 0..12 {
            world.advance(days(10));
        }
        prop_assert!(world.stage().is_end(), "still {:?}: {:?}", world.stage(), world.last);
        prop_assert!(world.case.strays.is_empty());

        // And what it ends with is either deleted as committed, gone by others, or given back unless others took it.
        let foreign = events.iter().any(|event| matches!(event, Event::Foreign(_)));
        match world.stage() {
            Stage::Closed => prop_assert!(world.state.is_none()),
            Stage::Lost => prop_assert!(world.state.is_none()),
            _ => prop_assert!(foreign || world.state == Some(KeyState::Enabled), "{:?} {:?}", world.stage(), world.state),
        }

        // Any part of a journal folds, in any order of its parts.
        let half = world.journal.len() / 2;
        let (first, second) = world.journal.split_at(half);
        let _ = Case::fold(first);
        let _ = Case::fold(second);
        let torn = Case::fold(second.iter().chain(first));
        prop_assert!(torn.strays.len() <= torn.entries);
        let mut case = Case::default();
        for entry in &world.journal {
            case.apply(entry);
        }
        prop_assert_eq!(case, world.case);
    }
}

/// Few by default, because each is weeks of life; `SLOW=1` for many.
fn cases() -> u32 {
    if std::env::var_os("SLOW").is_some() { 1_000 } else { 24 }
}
