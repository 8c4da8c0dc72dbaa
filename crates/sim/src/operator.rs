//! The procedure's loop without its I/O: look, plan, write the intent, act, write the result, each a step of its own.
//!
//! Between any two steps others may act, time passes, and the runner may die or be held up. What it knows is gone then; the journal
//! stays. Two runners share the journals, and of two that write the same entry one is told to look again.

use std::collections::VecDeque;

use api::{KeyArn, Timestamp};
use jiff::SignedDuration;
use procedure::span::{HOUR, after};
use procedure::{
    Action, Case, Depth, Digest, Done, Entry, Fact, Failure, Next, Observation, Plan, SETTLE, Stage, Step,
};
use serde_json::{Value, json};
use trail::context::PROBE;

use crate::checkers::Rule;
use crate::observer::{date, observe};
use crate::random::Random;
use crate::run::Subject;
use crate::shape::Faults;
use crate::world::{Answer, OPERATOR, World, user};

/// Most steps of one wake-up in one case. (Ours; a rescue with all its looks needs about thirty.)
const MAX_STEPS: u32 = 200;

/// The case of one key, with its journal in memory.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) key: KeyArn,
    /// The key's nickname.
    pub(crate) name: String,
    /// The journal as it would stand on the disk, one entry a line.
    lines: Vec<String>,
    /// The fold of the journal.
    pub(crate) case: Case,
    /// The runner that may act towards loss.
    lease: Option<usize>,
    /// What people are asked: the step, the plan's hash, and the entry of the journal that brought it up.
    pub(crate) asked: Vec<(Step, Digest, Timestamp)>,
}

/// Another runner, or a human, has written the entry first.
struct Taken;

impl File {
    pub(crate) fn new(key: KeyArn, name: String) -> File {
        File { key, name, lines: Vec::new(), case: Case::default(), lease: None, asked: Vec::new() }
    }

    /// The number of entries.
    fn len(&self) -> usize {
        self.lines.len()
    }

    /// Writes an entry after the first `known`.
    fn append_after(&mut self, known: usize, world: &mut World, who: &str, fact: Fact) -> Result<(), Taken> {
        if known != self.len() {
            return Err(Taken);
        }
        self.append(world, who, fact);
        Ok(())
    }

    /// Writes an entry at the end.
    pub(crate) fn append(&mut self, world: &mut World, who: &str, fact: Fact) {
        let entry = Entry::new(world.now, fact);
        self.tell(world, who, &entry.fact);
        self.lines.push(serde_json::to_string(&entry).expect("an entry has a JSON form"));
        let stage = self.case.stage;
        self.case.apply(&entry);
        match &entry.fact {
            Fact::SoakPassed if self.case.stage != stage => {
                let outages = world.delivery.outages().to_vec();
                world.checks.soaked(self.key, self.case.seen, &outages, world.now);
            }
            Fact::Intended { action: Action::Disable, .. } => world.checks.disables(self.key, world.now),
            Fact::Resumed { .. } if stage == Stage::Foreign => world.checks.adopted(self.key),
            Fact::Rescued | Fact::Returned if self.case.stage != stage => world.checks.given_back(self.key, world.now),
            _ => {}
        }
        if self.case.stage != stage {
            world.trace.say(world.now, &self.name, format_args!("is {}", self.case.stage.as_str()));
        }
    }

    fn tell(&self, world: &mut World, who: &str, fact: &Fact) {
        let told = match fact {
            Fact::Intended { action: Action::Probe { .. }, .. } | Fact::ProbeSeen { .. } => return,
            Fact::Done { .. } if matches!(self.case.flight.as_ref().map(|f| &f.action), Some(Action::Probe { .. })) => {
                return;
            }
            Fact::Intended { action, because, .. } => format!("intends {action}: {because}"),
            Fact::Assessed(found) => {
                let open: Vec<&str> = found.open().map(procedure::Finding::id).collect();
                format!("assessed: {} {}", found.verdict, open.join(" "))
            }
            Fact::Approved { step, .. } => format!("approves to {}", step.as_str()),
            Fact::Done { result, .. } => match result {
                Done::Answered { .. } => "done".to_owned(),
                Done::Observed { .. } => "found it done".to_owned(),
                Done::Capsule { .. } => "kept the capsule".to_owned(),
                Done::ProbeSucceeded { .. } => "a probe was not refused".to_owned(),
            },
            Fact::Failed { failure: Failure::Refused { code, .. }, .. } => format!("refused with {code}"),
            Fact::Failed { failure, .. } => format!("failed: {failure:?}"),
            Fact::AttemptSeen(attempt) => format!("sees {} by {}", attempt.operation, attempt.principal),
            Fact::RescueStarted { because } => format!("starts a rescue: {because}"),
            Fact::Expired { because } => format!("gives up: {because}"),
            Fact::ForeignChange { found, .. } => format!("foreign change: {found}"),
            Fact::WentBlind { since } => format!("blind since {since}"),
            Fact::Opened(_) => "opens the case".to_owned(),
            Fact::Waived(waived) => format!("waives {}", waived.finding),
            Fact::Held { .. } => "holds".to_owned(),
            Fact::Resumed { .. } => "resumes".to_owned(),
            Fact::Abandoned { .. } => "abandons".to_owned(),
            Fact::SoakPassed
            | Fact::LastLook
            | Fact::Committed
            | Fact::Rescued
            | Fact::Returned
            | Fact::Deleted
            | Fact::Closed { .. }
            | Fact::Lost { .. }
            | Fact::Noted { .. } => return,
        };
        let told = world.plain(told);
        world.trace.say(world.now, &self.name, format_args!("{who}: {told}"));
    }

    /// Reads the journal again from its first line, as a runner does that begins anew, and compares.
    fn reread(&self, world: &mut World) {
        let entries: Result<Vec<Entry>, _> = self.lines.iter().map(|line| serde_json::from_str(line)).collect();
        match entries {
            Err(error) => world.checks.violated(Rule::Fold, world.now, format_args!("{}: {error}", self.name)),
            Ok(entries) if Case::fold(&entries) != self.case => {
                world.checks.violated(Rule::Fold, world.now, format_args!("{} folds to another case", self.name));
            }
            Ok(_) => {}
        }
    }
}

/// Where a runner is between two steps.
enum Phase {
    Asleep,
    /// About to look at a case.
    Looking {
        depth: Depth,
    },
    /// Has looked, and knows so many entries.
    Thinking {
        known: usize,
        seen: Box<Observation>,
    },
    /// Has written the intent, and is about to act.
    Acting {
        id: u32,
        action: Action,
        intended: Timestamp,
    },
    /// Has acted, and is about to write down what came of it.
    Telling {
        id: u32,
        result: Result<Done, Failure>,
    },
}

/// One process that carries the procedure out.
pub(crate) struct Runner {
    place: usize,
    name: String,
    random: Random,
    faults: Faults,
    subject: Subject,
    phase: Phase,
    /// The cases left to look at in this wake-up, the current one first.
    todo: VecDeque<usize>,
    /// When the current case was first looked at in this wake-up, and steps taken since.
    began: Timestamp,
    steps: u32,
    /// When to wake next, as far as the cases looked at so far ask for.
    next: Timestamp,
    /// The longest it sleeps.
    poll: SignedDuration,
}

impl Runner {
    pub(crate) fn new(place: usize, mut random: Random, faults: Faults, subject: Subject, now: Timestamp) -> Runner {
        let poll = random.length(HOUR * 2, HOUR * 6);
        Runner {
            place,
            name: format!("runner {}", place + 1),
            random,
            faults,
            subject,
            phase: Phase::Asleep,
            todo: VecDeque::new(),
            began: now,
            steps: 0,
            next: now,
            poll,
        }
    }

    /// Takes one step; when to take the next.
    pub(crate) fn step(&mut self, world: &mut World, files: &mut [File]) -> Timestamp {
        // Most steps are looks; those that write or act are the ones to die between.
        let risk = match self.phase {
            Phase::Asleep => 0,
            Phase::Looking { .. } | Phase::Thinking { .. } => self.faults.runner.div_ceil(20),
            Phase::Acting { .. } | Phase::Telling { .. } => self.faults.runner,
        };
        if self.random.chance(risk) {
            return self.die(world, files);
        }
        match std::mem::replace(&mut self.phase, Phase::Asleep) {
            Phase::Asleep => {
                self.todo = (0..files.len()).filter(|place| !files[*place].case.stage.is_end()).collect();
                self.next = after(world.now, self.poll);
                self.begin(world.now);
            }
            Phase::Looking { depth } => self.look(world, files, depth),
            Phase::Thinking { known, seen } => self.think(world, files, known, seen),
            Phase::Acting { id, action, intended } => self.act(world, files, id, action, intended),
            Phase::Telling { id, result } => self.write_result(world, files, id, result),
        }
        if matches!(self.phase, Phase::Asleep) {
            return self.next.max(after(world.now, SignedDuration::from_mins(1)));
        }
        if self.random.chance(self.faults.stall) {
            return after(world.now, self.random.length(SignedDuration::from_mins(1), HOUR));
        }
        after(world.now, self.random.length(SignedDuration::ZERO, SignedDuration::from_secs(4)))
    }

    /// The process ends between two steps, and another begins in a while.
    fn die(&mut self, world: &mut World, files: &mut [File]) -> Timestamp {
        let most = if self.random.chance(100) { HOUR * 10 } else { SignedDuration::from_mins(30) };
        let away = self.random.length(SignedDuration::from_mins(1), most);
        world.trace.say(world.now, &self.name, format_args!("dies, and is away for {}m", away.as_mins()));
        for file in files {
            file.reread(world);
            if file.lease == Some(self.place) {
                file.lease = None;
            }
        }
        self.phase = Phase::Asleep;
        after(world.now, away)
    }

    /// Begins with the case that is first in `todo`, or goes to sleep.
    fn begin(&mut self, now: Timestamp) {
        self.began = now;
        self.steps = 0;
        self.phase = if self.todo.is_empty() { Phase::Asleep } else { Phase::Looking { depth: Depth::Watch } };
    }

    /// Is done with the current case until `until`.
    fn leave(&mut self, world: &mut World, files: &mut [File], until: Option<Timestamp>) {
        let Some(place) = self.todo.pop_front() else { return };
        self.give_back_lease(&mut files[place]);
        world.checks.woke(files[place].key, self.began, world.now);
        self.next = until.map_or(self.next, |until| until.min(self.next));
        self.begin(world.now);
    }

    fn give_back_lease(&self, file: &mut File) {
        if file.lease == Some(self.place) {
            file.lease = None;
        }
    }

    /// Looks again before anything else is decided.
    fn look_again(&mut self, file: &mut File) {
        self.give_back_lease(file);
        self.phase = Phase::Looking { depth: Depth::Watch };
    }

    fn look(&mut self, world: &mut World, files: &mut [File], depth: Depth) {
        let Some(place) = self.todo.front().copied() else { return };
        let file = &files[place];
        self.steps += 1;
        if self.steps > MAX_STEPS {
            let what = format!("{} in stage {}", file.name, file.case.stage.as_str());
            world.checks.violated(Rule::Spin, world.now, what);
            return self.leave(world, files, None);
        }
        let known = file.len();
        let seen = Box::new(observe(world, file.key, &file.case, depth));
        self.phase = Phase::Thinking { known, seen };
    }

    fn think(&mut self, world: &mut World, files: &mut [File], known: usize, seen: Box<Observation>) {
        let Some(place) = self.todo.front().copied() else { return };
        if files[place].len() != known {
            // What was planned on the old journal could not be written.
            return self.look_again(&mut files[place]);
        }
        self.steps += 1;
        let file = &mut files[place];
        let Plan { next, because } = (self.subject.plan)(&file.case, &seen, world.now);
        match next {
            Next::Observe { depth } => self.phase = Phase::Looking { depth },
            Next::Record(fact) => {
                if matches!(fact, Fact::Committed) {
                    world.checks.commits(file.key, seen.at, world.now);
                }
                match file.append_after(known, world, &self.name, fact) {
                    Ok(()) if self.steps <= MAX_STEPS => self.phase = Phase::Thinking { known: known + 1, seen },
                    Ok(()) | Err(Taken) => self.look_again(file),
                }
            }
            Next::Do(action) => {
                if action.is_towards_loss() {
                    if file.lease.is_some_and(|holder| holder != self.place) {
                        return self.leave(world, files, Some(after(world.now, SignedDuration::from_mins(1))));
                    }
                    file.lease = Some(self.place);
                }
                let id = file.case.next_intent;
                let intent = Fact::Intended { id, action: action.clone(), because, evidence: seen.digest() };
                match file.append_after(known, world, &self.name, intent) {
                    Ok(()) => self.phase = Phase::Acting { id, action, intended: world.now },
                    Err(Taken) => self.look_again(file),
                }
            }
            Next::Wait { until } => self.leave(world, files, Some(until)),
            Next::NeedsApproval { step, plan, until } => {
                let asks = (step, plan, file.case.stage_since);
                if !file.asked.contains(&asks) {
                    file.asked.push(asks);
                    world.trace.say(world.now, &file.name, format_args!("people are asked to {}", step.as_str()));
                }
                self.leave(world, files, Some(until));
            }
            Next::Stop => self.leave(world, files, None),
        }
    }

    fn act(&mut self, world: &mut World, files: &mut [File], id: u32, action: Action, intended: Timestamp) {
        let Some(place) = self.todo.front().copied() else { return };
        let file = &mut files[place];
        // Not even a probe: an act that comes later is not known again as ours.
        if world.now.duration_since(intended) > SETTLE / 2 {
            world.trace.say(world.now, &file.name, format_args!("{}: too late to act", self.name));
            return self.look_again(file);
        }
        match carry_out(world, file, &action) {
            Some(result) => self.phase = Phase::Telling { id, result },
            None => {
                world.trace.say(world.now, &file.name, format_args!("{}: no answer", self.name));
                self.look_again(file);
            }
        }
    }

    fn write_result(&mut self, world: &mut World, files: &mut [File], id: u32, result: Result<Done, Failure>) {
        let Some(place) = self.todo.front().copied() else { return };
        let file = &mut files[place];
        let fact = match result {
            Ok(result) => Fact::Done { id, result },
            Err(failure) => Fact::Failed { id, failure },
        };
        if file.case.admits(&fact, world.now) {
            file.append(world, &self.name, fact);
        }
        self.look_again(file);
    }
}

/// One act; `None` where no answer came.
fn carry_out(world: &mut World, file: &File, action: &Action) -> Option<Result<Done, Failure>> {
    let arn = file.key.to_string();
    let (operation, body) = match action {
        Action::WriteCapsule => return Some(Ok(Done::Capsule { digest: Digest::of(file.name.as_bytes()) })),
        Action::Disable => ("DisableKey", json!({ "KeyId": arn })),
        Action::Enable => ("EnableKey", json!({ "KeyId": arn })),
        Action::Cancel => ("CancelKeyDeletion", json!({ "KeyId": arn })),
        Action::Schedule { window_days } => {
            ("ScheduleKeyDeletion", json!({ "KeyId": arn, "PendingWindowInDays": window_days }))
        }
        Action::Probe { probe } => {
            let context = json!({ PROBE: probe });
            ("GenerateDataKey", json!({ "KeyId": arn, "KeySpec": "AES_256", "EncryptionContext": context }))
        }
    };
    let is_probe = matches!(action, Action::Probe { .. });
    Some(match world.call(&user(OPERATOR), operation, &body) {
        Answer::Silence => return None,
        Answer::Reply { request_id, .. } if is_probe => Ok(Done::ProbeSucceeded { request_id: Some(request_id) }),
        Answer::Reply { body, request_id } => Ok(answered(&body, request_id)),
        Answer::Refused { code, request_id, .. }
            if is_probe && (code == "DisabledException" || code == "KMSInvalidStateException") =>
        {
            Ok(answered(&Value::Null, request_id))
        }
        Answer::Refused { code, message, request_id } => {
            Err(Failure::Refused { code, message, request_id: Some(request_id) })
        }
    })
}

fn answered(body: &Value, request_id: String) -> Done {
    Done::Answered { request_id: Some(request_id), deletion_date: date(&body["DeletionDate"]) }
}

#[cfg(test)]
mod tests {
    use procedure::{Opening, Profile, ProfileName};

    use super::*;
    use crate::checkers::Checkers;
    use crate::delivery::Delivery;

    /// The one rule that no fault in the service or the planner can break: planted where it is kept.
    #[test]
    fn a_case_that_its_journal_does_not_tell_is_noticed() {
        let now: Timestamp = "2026-01-05T08:00:00Z".parse().unwrap();
        let mut random = Random::new(1);
        let delivery = Delivery::new(random.branch(), Faults::NONE, now);
        let mut world = World::new(now, Subject::default(), &mut random, delivery, Checkers::default());
        let key = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab".parse().unwrap();
        let opening = Opening {
            case: "QC-2026-0001".to_owned(),
            intent: procedure::Intent::Retire,
            key,
            owner: "ann".to_owned(),
            reason: "a test".to_owned(),
            ticket: None,
            profile: Profile::named(ProfileName::Standard),
            by: "ann".to_owned(),
        };
        let mut file = File::new(key, "key 1".to_owned());
        file.append(&mut world, "ann", Fact::Opened(Box::new(opening)));
        file.reread(&mut world);
        file.case.failures += 1;
        file.reread(&mut world);
        let rules: Vec<Rule> = world.checks.violations().iter().map(|violation| violation.rule).collect();
        assert_eq!(rules, [Rule::Fold]);
    }
}
