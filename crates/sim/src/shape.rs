//! How a world is made: how much is in it, how careful its cases are, and what goes wrong.

use jiff::SignedDuration;
use procedure::span::{DAY, HOUR, days};
use procedure::{Approvals, OnAttempt, Profile, ProfileName};

use crate::random::Random;

/// What a world is made of. Everything else is drawn from the seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Keys, each with a case. At least 1.
    pub keys: usize,
    /// How long the world runs before cases are opened, in days.
    pub history_days: i64,
    /// How many runners work at the same journals. At least 1.
    pub runners: usize,
    /// The profile of every case.
    pub profile: Profile,
    /// Who uses the keys.
    pub applications: Applications,
    /// What goes wrong.
    pub faults: Faults,
}

/// Who uses the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applications {
    /// Nobody.
    Nobody,
    /// Whoever the seed brings.
    Drawn,
    /// One application each, which calls only when its key is so near to its deletion date.
    AtTheLast(SignedDuration),
}

/// What goes wrong, and how often. Likelihoods are in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Faults {
    /// A call to the service meets a crash of it, or its answer is lost on the way.
    pub call: u64,
    /// A runner dies between two of its steps.
    pub runner: u64,
    /// A runner is held up between two of its steps, for up to an hour.
    pub stall: u64,
    /// An event comes later than a quarter of an hour.
    pub late: u64,
    /// An event comes twice.
    pub doubled: u64,
    /// Times in which the trail delivers nothing, at most.
    pub outages: u64,
    /// Strangers change a key.
    pub strangers: bool,
    /// How the people behave who answer for the cases.
    pub people: Attendance,
}

/// How people behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attendance {
    /// They answer within a day.
    Prompt,
    /// They are late, or write what makes no sense any more, or do not come, or change their minds.
    Erratic,
    /// Nobody ever comes.
    Absent,
}

impl Faults {
    /// Nothing goes wrong; events take their minutes.
    pub const NONE: Faults = Faults {
        call: 0,
        runner: 0,
        stall: 0,
        late: 0,
        doubled: 0,
        outages: 0,
        strangers: false,
        people: Attendance::Prompt,
    };
}

impl Shape {
    /// One key that nobody uses, and nothing goes wrong: it must be deleted.
    pub fn calm() -> Shape {
        Shape {
            keys: 1,
            history_days: 35,
            runners: 1,
            profile: short(),
            applications: Applications::Nobody,
            faults: Faults::NONE,
        }
    }

    /// Everything goes wrong, as `seed` has it.
    pub fn rough(seed: u64) -> Shape {
        // Another sequence than that of the run: the shape is an argument of it.
        let mut random = Random::new(!seed);
        let often = |random: &mut Random, most: i64| random.between(0, most).unsigned_abs();
        Shape {
            keys: *random.pick(&[1, 1, 2]),
            history_days: random.between(32, 50),
            runners: *random.pick(&[1, 2]),
            profile: varied(&mut random),
            applications: Applications::Drawn,
            faults: Faults {
                call: often(&mut random, 150),
                runner: often(&mut random, 100),
                stall: *random.pick(&[5, 20, 60, 250]),
                late: often(&mut random, 200),
                doubled: often(&mut random, 200),
                outages: often(&mut random, 3),
                strangers: random.chance(400),
                people: *random.pick(&[Attendance::Prompt, Attendance::Erratic]),
            },
        }
    }
}

/// A profile of days instead of months, otherwise as strict as the standard one.
fn short() -> Profile {
    Profile {
        lookback: days(30),
        quiet: days(7),
        soak_min: days(3),
        soak_max: days(40),
        window_days: 7,
        approvals: Approvals { disable: 1, delete: 1, commit: 0, four_eyes: true },
        margin: DAY,
        last_look: SignedDuration::from_hours(6),
        blind_repair: SignedDuration::from_hours(12),
        probe_every: SignedDuration::from_hours(4),
        blind_after: SignedDuration::from_hours(9),
        blind_max: days(2),
        approval_ttl: days(7),
        patience: days(14),
        ..Profile::named(ProfileName::Standard)
    }
}

/// The short profile with other numbers, within what profiles may be.
fn varied(random: &mut Random) -> Profile {
    let probe_every = random.length(HOUR * 3, HOUR * 6);
    Profile {
        quiet: days(random.between(5, 20)),
        soak_min: days(random.between(1, 8)),
        window_days: u8::try_from(random.between(7, 12)).expect("a few days"),
        approvals: Approvals {
            disable: if random.chance(300) { 2 } else { 1 },
            delete: if random.chance(200) { 0 } else { 1 },
            commit: if random.chance(200) { 1 } else { 0 },
            four_eyes: random.chance(700),
        },
        assumed_percent: if random.chance(300) { 100 } else { 10 },
        on_attempt: if random.chance(300) { OnAttempt::Hold } else { OnAttempt::Restore },
        margin: DAY + random.length(SignedDuration::ZERO, DAY),
        last_look: random.length(SignedDuration::from_hours(4), SignedDuration::from_hours(12)),
        probe_every,
        blind_after: probe_every * 2 + random.length(HOUR, HOUR * 4),
        ..short()
    }
}
