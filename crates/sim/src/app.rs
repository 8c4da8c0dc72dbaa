//! Applications: who needs a key, and when.

use api::Timestamp;
use jiff::SignedDuration;
use procedure::span::{DAY, HOUR, after, days};

use crate::random::Random;

/// When an application calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// Every few hours, for the sake of being heard.
    Sentinel,
    /// Once a day.
    Daily,
    /// Once a week.
    Weekly,
    /// Once in a long time: longer than the quiet time of the profile.
    Yearly,
    /// When it starts, which it seldom does.
    AtBoot,
    /// Daily until then, and never again.
    StopsAt(Timestamp),
    /// Not before then, and daily from then on.
    StartsAt(Timestamp),
    /// When its key is about to be deleted, and not before: the worst there is.
    AtTheLast {
        /// How long before the deletion date it begins to call.
        lead: SignedDuration,
    },
    /// Never.
    Silent,
}

/// One application of one key.
#[derive(Debug, Clone)]
pub(crate) struct App {
    /// The name of its IAM user.
    pub(crate) name: String,
    /// Which key, by its place in the world.
    pub(crate) key: usize,
    /// What it calls: a KMS operation.
    pub(crate) operation: &'static str,
    /// A ciphertext of the key's, once it has one.
    pub(crate) ciphertext: Option<String>,
    pub(crate) pattern: Pattern,
}

impl App {
    /// When it calls next, after a call at `now`.
    pub(crate) fn next(&self, now: Timestamp, random: &mut Random) -> Option<Timestamp> {
        let about = |random: &mut Random, length: SignedDuration| {
            after(now, length + random.length(SignedDuration::ZERO, SignedDuration::from_secs(length.as_secs() / 6)))
        };
        match self.pattern {
            Pattern::Sentinel => Some(about(random, HOUR * 2)),
            Pattern::Daily => Some(about(random, DAY)),
            Pattern::Weekly => Some(about(random, days(7))),
            Pattern::Yearly => Some(about(random, days(26))),
            Pattern::AtBoot => Some(after(now, random.length(days(3), days(90)))),
            Pattern::StopsAt(end) => Some(about(random, DAY)).filter(|next| *next < end),
            Pattern::StartsAt(start) if now < start => Some(start),
            Pattern::StartsAt(_) => Some(about(random, DAY)),
            Pattern::AtTheLast { .. } => Some(after(now, random.length(HOUR, HOUR * 4))),
            Pattern::Silent => None,
        }
    }

    /// Whether it calls at `now` at all, when it has its turn; its key is pending until `deletion`, if it is.
    pub(crate) fn calls(&self, now: Timestamp, deletion: Option<Timestamp>) -> bool {
        match self.pattern {
            Pattern::StartsAt(start) => start <= now,
            Pattern::AtTheLast { lead } => deletion.is_some_and(|date| date <= after(now, lead)),
            Pattern::Silent => false,
            Pattern::Sentinel
            | Pattern::Daily
            | Pattern::Weekly
            | Pattern::Yearly
            | Pattern::AtBoot
            | Pattern::StopsAt(_) => true,
        }
    }
}

/// A pattern for an application of a key whose case is opened at `opened`.
pub(crate) fn draw(opened: Timestamp, random: &mut Random) -> Pattern {
    match random.below(16) {
        0 => Pattern::Daily,
        1 => Pattern::Weekly,
        2 => Pattern::Yearly,
        3 | 4 => Pattern::AtBoot,
        5 => Pattern::StopsAt(after(opened, -random.length(HOUR, days(30)))),
        6 | 7 => Pattern::StartsAt(after(opened, random.length(HOUR, days(30)))),
        8..=10 => {
            let most = *random.pick(&[DAY, days(2), days(5)]);
            Pattern::AtTheLast { lead: random.length(HOUR * 2, most) }
        }
        _ => Pattern::Silent,
    }
}
