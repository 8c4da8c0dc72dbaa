//! One run: a world from a seed, turned from event to event until every case has ended.

use std::collections::BTreeMap;

use api::{KeyArn, Timestamp};
use jiff::SignedDuration;
use procedure::span::{HOUR, after, days};
use procedure::{Case, Fact, Intent, Observation, Opening, Outcome, Plan, Stage};
use serde_json::json;
use service::{Call, Due, Effect, State, Vault};

use crate::app::{self, App, Pattern};
use crate::checkers::{Checkers, Life, Rule, Violation};
use crate::delivery::Delivery;
use crate::operator::{File, Runner};
use crate::people::{Deed, Meddling, OPENER, People};
use crate::random::Random;
use crate::shape::{Applications, Shape};
use crate::trace::Trace;
use crate::world::{Answer, World, policy, root, user};

/// What is put to the test. The real things by default; a test plants a fault in one, and sees it caught.
#[derive(Clone, Copy)]
pub struct Subject {
    /// [`service::decide`].
    pub decide: fn(&State, &Vault, &Call<'_>) -> Effect,
    /// [`service::tick`].
    pub tick: Tick,
    /// [`procedure::plan`].
    pub plan: fn(&Case, &Observation, Timestamp) -> Plan,
}

/// What [`service::tick`] is: state, vault, time, delay in seconds, ids; what is due.
pub type Tick = fn(&State, &Vault, Timestamp, u32, &mut dyn FnMut() -> [u8; 16]) -> Vec<Due>;

impl Default for Subject {
    fn default() -> Subject {
        Subject { decide: service::decide, tick: service::tick, plan: procedure::plan }
    }
}

/// What came of a run.
#[derive(Debug, Clone)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// What happened.
    pub trace: Trace,
    /// The rules that did not hold; empty in a good run.
    pub violations: Vec<Violation>,
    /// How each case ended, by the key's nickname.
    pub endings: Vec<Ending>,
}

/// How one case ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// The key's nickname.
    pub key: String,
    /// Where the case stands.
    pub stage: Stage,
    /// What became of it.
    pub outcome: Outcome,
}

/// The longest a case may take: patience, approvals, soaks and windows, for as many rounds as people may begin.
const BOUND: SignedDuration = days(400);

/// Most turns of a run; the longest good ones take a tenth of that.
const MAX_TURNS: u64 = 300_000;

/// Runs the world of `seed`.
pub fn run(seed: u64, shape: &Shape, subject: Subject) -> Report {
    let mut hall = Hall::new(seed, shape, subject);
    let end = after(hall.opened, BOUND);
    hall.until(end);
    hall.close(seed)
}

/// Whose turn it is.
enum Turn {
    App(usize),
    Open(usize),
    Runner(usize),
    Human(usize, Deed),
    Stranger(usize, Meddling),
    Tick,
}

/// Everything of one run.
struct Hall {
    world: World,
    random: Random,
    shape: Shape,
    opened: Timestamp,
    apps: Vec<App>,
    files: Vec<File>,
    runners: Vec<Runner>,
    people: Vec<People>,
    /// Sorted by time; the number keeps turns of one moment apart and in order.
    turns: BTreeMap<(Timestamp, u64), Turn>,
    planned: u64,
}

impl Hall {
    fn new(seed: u64, shape: &Shape, subject: Subject) -> Hall {
        let mut random = Random::new(seed);
        let began: Timestamp = "2026-01-05T08:00:00Z".parse().expect("a date");
        let opened = after(began, days(shape.history_days));
        let delivery = Delivery::new(random.branch(), shape.faults, opened);
        let world = World::new(began, subject, &mut random, delivery, Checkers::default());
        let runners = (0..shape.runners)
            .map(|place| Runner::new(place, random.branch(), shape.faults, subject, opened))
            .collect();
        let people = (0..shape.keys).map(|_| People::new(random.branch(), shape.faults.people)).collect();
        let mut hall = Hall {
            world,
            random,
            shape: shape.clone(),
            opened,
            apps: Vec::new(),
            files: Vec::new(),
            runners,
            people,
            turns: BTreeMap::new(),
            planned: 0,
        };
        hall.furnish();
        hall
    }

    /// Makes the keys and their applications, and says when each first has its turn.
    fn furnish(&mut self) {
        let sentinel = self.create("sentinel", &["sentinel".to_owned()]);
        self.files.push(File::new(sentinel, "sentinel".to_owned()));
        self.add_app("sentinel".to_owned(), 0, Pattern::Sentinel);
        for number in 1..=self.shape.keys {
            let place = self.files.len();
            let count = match self.shape.applications {
                Applications::Nobody => 0,
                Applications::Drawn => *self.random.pick(&[0, 0, 1, 1, 2]),
                Applications::AtTheLast(_) => 1,
            };
            let names: Vec<String> = (1..=count).map(|app| format!("app{number}.{app}")).collect();
            let name = format!("key {number}");
            let key = self.create(&name, &names);
            self.files.push(File::new(key, name));
            for app in names {
                let pattern = match self.shape.applications {
                    Applications::AtTheLast(lead) => Pattern::AtTheLast { lead },
                    Applications::Nobody | Applications::Drawn => app::draw(self.opened, &mut self.random),
                };
                self.add_app(app, place, pattern);
            }
            let opening = after(self.opened, self.random.length(SignedDuration::ZERO, days(2)));
            self.plan(opening, Turn::Open(place));
            self.meddle(place);
        }
        for place in 0..self.runners.len() {
            let first = after(self.opened, self.random.length(SignedDuration::ZERO, HOUR));
            self.plan(first, Turn::Runner(place));
        }
        self.plan(self.opened, Turn::Tick);
        self.world.call_faults = self.shape.faults.call;
    }

    fn create(&mut self, name: &str, applications: &[String]) -> KeyArn {
        let request = json!({ "Policy": policy(applications, true, "as made"), "Description": name });
        let Answer::Reply { body, .. } = self.world.call_surely(&root(), "CreateKey", &request) else {
            unreachable!("the root user may create keys, and nothing goes wrong yet");
        };
        let arn = body["KeyMetadata"]["Arn"].as_str().expect("a key has an ARN");
        let arn: KeyArn = arn.parse().expect("the service makes ARNs that `api` reads");
        self.world.name(arn, name.to_owned());
        arn
    }

    fn add_app(&mut self, name: String, key: usize, pattern: Pattern) {
        let operation = *self.random.pick(&["Decrypt", "Decrypt", "Encrypt", "GenerateDataKey"]);
        let app = App { name, key, operation, ciphertext: None, pattern };
        self.world.trace.say(
            self.world.now,
            &app.name,
            format_args!(
                "uses {}: {:?} {}",
                self.files.get(key).map_or("a key", |f| &f.name),
                app.pattern,
                app.operation
            ),
        );
        let first = after(self.world.now, self.random.length(SignedDuration::from_mins(1), HOUR * 2));
        self.plan(first, Turn::App(self.apps.len()));
        self.apps.push(app);
    }

    /// Perhaps sends a stranger to a key.
    fn meddle(&mut self, place: usize) {
        if !self.shape.faults.strangers {
            return;
        }
        for _ in 0..self.random.below(3) {
            let meddling = Meddling::draw(&mut self.random);
            let at = after(self.opened, self.random.length(HOUR, days(25)));
            if let Meddling::ShutOut = meddling {
                let again = after(at, self.random.length(HOUR, days(3)));
                self.plan(again, Turn::Stranger(place, Meddling::LetIn));
            }
            self.plan(at, Turn::Stranger(place, meddling));
        }
    }

    fn plan(&mut self, at: Timestamp, turn: Turn) {
        self.planned += 1;
        self.turns.insert((at, self.planned), turn);
    }

    /// Takes turns until every case has ended, or `end`.
    fn until(&mut self, end: Timestamp) {
        while let Some(((at, _), turn)) = self.turns.pop_first() {
            let over = at > after(self.opened, days(3)) && self.is_over();
            if over || at > end || self.planned > MAX_TURNS || self.world.checks.is_enough() {
                return;
            }
            self.world.turn_to(at.max(self.world.now));
            self.take(turn);
        }
    }

    fn is_over(&self) -> bool {
        self.files[1..].iter().all(|file| file.case.stage.is_end())
    }

    fn take(&mut self, turn: Turn) {
        let now = self.world.now;
        match turn {
            Turn::App(place) => {
                self.use_key(place);
                if let Some(next) = self.apps[place].next(now, &mut self.random) {
                    self.plan(next, Turn::App(place));
                }
            }
            Turn::Open(place) => {
                self.open(place);
                let review = self.people[place - 1].next_review(now);
                self.plan(review, Turn::Human(place, Deed::Review));
            }
            Turn::Runner(runner) => {
                // The first file is the sentinel's, which has no case.
                let next = self.runners[runner].step(&mut self.world, &mut self.files[1..]);
                self.plan(next, Turn::Runner(runner));
                for place in 1..self.files.len() {
                    for (at, deed) in self.people[place - 1].answers(&self.files[place], now) {
                        self.plan(at, Turn::Human(place, deed));
                    }
                }
            }
            Turn::Human(place, deed) => {
                self.people[place - 1].act(&deed, &mut self.world, &mut self.files[place]);
                if let Deed::Review = deed {
                    let review = self.people[place - 1].next_review(now);
                    self.plan(review, Turn::Human(place, deed));
                }
            }
            Turn::Stranger(place, meddling) => {
                let names: Vec<String> =
                    self.apps.iter().filter(|app| app.key == place).map(|app| app.name.clone()).collect();
                let heard = meddling.act(&mut self.world, &self.files[place], &names);
                if !heard && matches!(meddling, Meddling::LetIn) {
                    // Somebody mends this in the end; a case that is shut out for ever cannot end.
                    self.plan(after(now, HOUR), Turn::Stranger(place, meddling));
                }
            }
            Turn::Tick => {
                for arn in self.world.tick() {
                    let name = self.files.iter().find(|file| file.key == arn).map_or("a key", |file| &file.name);
                    self.world.trace.say(now, name, "service: DeleteKey");
                }
                let next = after(now, self.random.length(SignedDuration::from_mins(1), HOUR));
                self.plan(next, Turn::Tick);
            }
        }
    }

    fn open(&mut self, place: usize) {
        let file = &mut self.files[place];
        let opening = Opening {
            case: format!("QC-2026-{place:04}"),
            intent: Intent::Retire,
            key: file.key,
            owner: OPENER.to_owned(),
            reason: "the hall ends keys".to_owned(),
            ticket: None,
            profile: self.shape.profile.clone(),
            by: OPENER.to_owned(),
        };
        self.world.checks.opened(file.key, self.shape.profile.clone());
        file.append(&mut self.world, OPENER, Fact::Opened(Box::new(opening)));
    }

    /// An application calls.
    fn use_key(&mut self, place: usize) {
        let app = &mut self.apps[place];
        let now = self.world.now;
        let key = self.files[app.key].key;
        let deletion = match self.world.life(&key) {
            Life::Pending(date) => Some(date),
            Life::Enabled | Life::Disabled | Life::Gone => None,
        };
        if !app.calls(now, deletion) {
            return;
        }
        let arn = key.to_string();
        let caller = user(&app.name);
        let context = json!({ "app": app.name });
        let (operation, body) = match (app.operation, &app.ciphertext) {
            ("Decrypt", Some(blob)) => ("Decrypt", json!({ "CiphertextBlob": blob, "EncryptionContext": context })),
            ("GenerateDataKey", _) => {
                ("GenerateDataKey", json!({ "KeyId": arn, "KeySpec": "AES_256", "EncryptionContext": context }))
            }
            _ => ("Encrypt", json!({ "KeyId": arn, "Plaintext": "AQID", "EncryptionContext": context })),
        };
        let answer = self.world.call(&caller, operation, &body);
        if let Answer::Reply { body, .. } = &answer
            && operation == "Encrypt"
        {
            app.ciphertext = body["CiphertextBlob"].as_str().map(str::to_owned);
        }
        if app.pattern != Pattern::Sentinel && now >= self.opened {
            let told = match &answer {
                Answer::Reply { .. } => "done",
                Answer::Refused { code, .. } => code,
                Answer::Silence => "no answer",
            };
            self.world.trace.say(now, &app.name, format_args!("{operation}: {told}"));
        }
    }

    /// Holds the last rules to what is there at the end.
    fn close(mut self, seed: u64) -> Report {
        self.world.audit();
        for file in &self.files[1..] {
            if !file.case.stage.is_end() {
                let stage = file.case.stage.as_str();
                let what = format!("{} is {stage} since {}", file.name, file.case.stage_since);
                self.world.checks.violated(Rule::Endless, self.world.now, what);
            }
        }
        let endings = self.files[1..].iter().map(|file| Ending {
            key: file.name.clone(),
            stage: file.case.stage,
            outcome: file.case.outcome(),
        });
        let endings = endings.collect();
        Report { seed, trace: self.world.trace, violations: self.world.checks.violations(), endings }
    }
}
