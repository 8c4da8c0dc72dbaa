//! Every stage × every signal: what the plan says. The table is a file; a changed cell is a visible change.
//!
//! To write it anew: `UPDATE_GOLDEN=1 cargo test -p procedure --test it signals`.

use std::fmt::Write as _;

use procedure::span::{after, before, days};
use procedure::{Depth, Fact, Intent, KeyState, Next, Plan, Presence, ProfileName, Reason, Seen, Span, Stage, plan};

use crate::world::{DEFAULT_POLICY, World};

/// A standard case that has just come to `stage`.
fn at(stage: Stage) -> World {
    let mut world = World::quiet();
    let by = || "olga".to_owned();
    let reason = || "because".to_owned();
    match stage {
        Stage::Assessed => world.used("role/app", "Decrypt", 3),
        Stage::Rescuing | Stage::Rescued | Stage::Returning | Stage::Foreign | Stage::Held | Stage::Abandoned => {
            world = at(Stage::Soaking);
        }
        Stage::Ended => {
            world = at(Stage::AwaitDisable);
            world.advance(days(31));
        }
        _ => {}
    }
    match stage {
        Stage::Rescuing => world.say(Fact::RescueStarted { because: Reason::Asked { by: by() } }),
        Stage::Rescued => {
            world.say(Fact::RescueStarted { because: Reason::Asked { by: by() } });
            world.tick();
        }
        Stage::Returning => world.say(Fact::Abandoned { by: by(), reason: reason() }),
        Stage::Abandoned => {
            world.say(Fact::Abandoned { by: by(), reason: reason() });
            world.tick();
        }
        Stage::Held => world.say(Fact::Held { by: by(), reason: reason() }),
        Stage::Foreign => {
            world.foreign("EnableKey");
            world.advance(days(1));
        }
        Stage::Lost => {
            world = at(Stage::Soaking);
            world.state = None;
            world.tick();
        }
        _ => {}
    }
    if stage == Stage::Draft {
        return world;
    }
    if world.stage() == Stage::Draft {
        world.open(ProfileName::Standard, Intent::Retire);
    }
    // People agree whenever they are asked; time passes until the stage is reached.
    for _ in 0..4_000 {
        if world.stage() == stage {
            return world;
        }
        let wake = world.tick_to(Some(stage));
        if world.stage() == stage {
            return world;
        }
        if world.case.asks().is_some() {
            let by = if world.stage() == Stage::AwaitDisable { "ben" } else { "cem" };
            world.approve(by);
        } else {
            let length = wake.duration_since(world.now);
            if stage == Stage::Deleted || stage == Stage::Closed {
                world.advance(length);
            } else {
                world.now = wake;
            }
        }
    }
    panic!("{stage:?} is not reached: {:?}", world.stage());
}

/// What happens to the world.
type Signal = (&'static str, fn(&mut World));

const SIGNALS: [Signal; 9] = [
    ("nothing", |_| {}),
    ("use", |world| {
        world.call("role/app", "Decrypt");
        world.now = after(world.now, jiff::SignedDuration::from_mins(20));
    }),
    ("key unknown", |world| world.unknown.push("key")),
    ("policies unknown", |world| world.unknown.push("policies")),
    ("policy changed", |world| world.policy = DEFAULT_POLICY.replace("Enable IAM", "Allow IAM")),
    ("enabled by another", |world| world.state = world.state.map(|_| KeyState::Enabled)),
    ("pending by another", |world| {
        let deletion_date = after(world.now, days(8));
        world.state = world.state.map(|_| KeyState::PendingDeletion { deletion_date });
    }),
    ("gone", |world| world.state = None),
    ("blind for 4 days", |world| {
        let until = after(world.now, days(4));
        world.blind.push(Span::new(before(world.now, days(1)), after(until, days(30))));
        world.now = until;
    }),
];

#[test]
fn every_stage_and_every_signal() {
    let mut table = String::new();
    for stage in Stage::ALL {
        writeln!(table, "{}", stage.as_str()).unwrap();
        let arrived = at(stage);
        for (name, signal) in SIGNALS {
            let mut world = arrived.clone();
            signal(&mut world);
            let mut seen = world.observe(Depth::Full);
            if name == "gone" {
                seen.key = Seen::Seen(Presence::Gone);
            }
            let plan = plan(&world.case, &seen, world.now);
            writeln!(table, "    {name:<20} {}", short(&plan)).unwrap();
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/golden/signals.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &table).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(table, golden, "the table changed: look at it, then write it anew with UPDATE_GOLDEN=1");
}

fn short(plan: &Plan) -> String {
    let next = match &plan.next {
        Next::Observe { .. } => "look closer".to_owned(),
        Next::Do(action) => format!("DO {action}").split('`').next().unwrap_or_default().trim().to_owned(),
        Next::Record(fact) => format!("record {}", word(fact)),
        Next::Wait { .. } => "wait".to_owned(),
        Next::NeedsApproval { step, .. } => format!("ask {}", step.as_str()),
        Next::Stop => "stop".to_owned(),
    };
    format!("{next:<26} {}", word(&plan.because))
}

/// The first word of a debug form: its variant.
fn word(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}
