//! People: those who answer for a case, and strangers who do not know of it.

use api::Timestamp;
use jiff::SignedDuration;
use procedure::span::{DAY, after, days};
use procedure::{Digest, Fact, Reason, Stage, Step, Waived};
use serde_json::json;

use crate::operator::File;
use crate::random::Random;
use crate::shape::Attendance;
use crate::world::{Answer, World, policy, root};

/// Who opens cases.
pub(crate) const OPENER: &str = "olga";
/// Who may approve.
const APPROVERS: [&str; 4] = ["olga", "anna", "ben", "cara"];
/// How often a case is begun anew, or its evidence accepted as it is, at most.
const SECOND_CHANCES: u32 = 2;
/// Findings about what was not seen, which an owner may accept.
const WAIVABLE: [&str; 4] = ["F-LOOKBACK", "F-COV-GAP", "F-COV-ASSUMED", "F-CADENCE"];

/// The people around one case.
pub(crate) struct People {
    random: Random,
    attendance: Attendance,
    answered: usize,
    second_chances: u32,
}

/// Something a human will do.
#[derive(Debug, Clone)]
pub(crate) enum Deed {
    /// Approves a step of the plan with that hash.
    Approve { step: Step, plan: Digest, by: &'static str },
    /// Looks at the case, and perhaps does something.
    Review,
}

impl People {
    pub(crate) fn new(random: Random, attendance: Attendance) -> People {
        People { random, attendance, answered: 0, second_chances: SECOND_CHANCES }
    }

    fn are_erratic(&self) -> bool {
        self.attendance == Attendance::Erratic
    }

    /// When each of them answers what was newly asked.
    pub(crate) fn answers(&mut self, file: &File, now: Timestamp) -> Vec<(Timestamp, Deed)> {
        let mut deeds = Vec::new();
        if self.attendance == Attendance::Absent {
            return deeds;
        }
        for (step, plan, _) in &file.asked[self.answered..] {
            for by in APPROVERS {
                let delay = match self.random.below(10) {
                    0 if self.are_erratic() => continue,
                    1 if self.are_erratic() => self.random.length(days(5), days(12)),
                    _ => self.random.length(SignedDuration::from_mins(5), DAY),
                };
                deeds.push((after(now, delay), Deed::Approve { step: *step, plan: *plan, by }));
            }
        }
        self.answered = file.asked.len();
        deeds
    }

    /// When somebody looks at the case again.
    pub(crate) fn next_review(&mut self, now: Timestamp) -> Timestamp {
        after(now, self.random.length(SignedDuration::from_hours(6), days(4)))
    }

    pub(crate) fn act(&mut self, deed: &Deed, world: &mut World, file: &mut File) {
        let (by, fact) = match deed {
            Deed::Approve { step, plan, by } => {
                (*by, Fact::Approved { step: *step, plan: *plan, by: (*by).to_owned() })
            }
            Deed::Review => match self.review(world.now, file) {
                Some(fact) => (OPENER, fact),
                None => return,
            },
        };
        if file.case.admits(&fact, world.now) {
            file.append(world, by, fact);
        } else if self.are_erratic() && self.random.chance(100) {
            // Two wrote at once: what is of no sense here must be of no effect.
            file.append(world, by, fact);
        }
    }

    fn review(&mut self, now: Timestamp, file: &File) -> Option<Fact> {
        let (by, reason) = (OPENER.to_owned(), "as people do".to_owned());
        if self.attendance == Attendance::Absent {
            return None;
        }
        let abandon = Fact::Abandoned { by: by.clone(), reason: reason.clone() };
        match file.case.stage {
            Stage::Rescued | Stage::Foreign | Stage::Held => match self.random.below(4) {
                0 | 1 if self.second_chances > 0 => {
                    self.second_chances -= 1;
                    Some(Fact::Resumed { by, reason })
                }
                2 => Some(abandon),
                _ => None,
            },
            Stage::Assessed if self.second_chances > 0 && self.random.chance(200) => {
                let open = file
                    .case
                    .assessment
                    .as_ref()?
                    .open()
                    .map(procedure::Finding::id)
                    .find(|id| WAIVABLE.contains(id))?;
                self.second_chances -= 1;
                let until = after(now, days(90));
                Some(Fact::Waived(Waived { finding: open.to_owned(), subject: None, by, reason, until }))
            }
            _ if !self.are_erratic() => None,
            _ => match self.random.below(240) {
                0 => Some(abandon),
                1 => Some(Fact::Held { by, reason }),
                2 => Some(Fact::RescueStarted { because: Reason::Asked { by } }),
                _ => None,
            },
        }
    }
}

/// What a stranger does to a key, as the account's root user.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Meddling {
    Enable,
    Disable,
    Cancel,
    Schedule,
    /// Another policy that says the same.
    Reword,
    /// A policy that shuts the operator out.
    ShutOut,
    /// The policy that lets the operator in again.
    LetIn,
}

impl Meddling {
    pub(crate) fn draw(random: &mut Random) -> Meddling {
        *random.pick(&[
            Meddling::Enable,
            Meddling::Enable,
            Meddling::Cancel,
            Meddling::Cancel,
            Meddling::Reword,
            Meddling::ShutOut,
            Meddling::Disable,
            Meddling::Schedule,
        ])
    }

    /// Does it; whether the service answered. `applications` are the users that the policy names.
    pub(crate) fn act(self, world: &mut World, file: &File, applications: &[String]) -> bool {
        let arn = file.key.to_string();
        let put = |rescue, note| json!({ "KeyId": arn, "PolicyName": "default", "Policy": policy(applications, rescue, note) });
        let (operation, body) = match self {
            Meddling::Enable => ("EnableKey", json!({ "KeyId": arn })),
            Meddling::Disable => ("DisableKey", json!({ "KeyId": arn })),
            Meddling::Cancel => ("CancelKeyDeletion", json!({ "KeyId": arn })),
            Meddling::Schedule => ("ScheduleKeyDeletion", json!({ "KeyId": arn, "PendingWindowInDays": 7 })),
            Meddling::Reword => ("PutKeyPolicy", put(true, "reworded")),
            Meddling::ShutOut => ("PutKeyPolicy", put(false, "shut out")),
            Meddling::LetIn => ("PutKeyPolicy", put(true, "let in")),
        };
        world.trace.say(world.now, &file.name, format_args!("stranger: {operation} ({self:?})"));
        world.call(&root(), operation, &body) != Answer::Silence
    }
}
