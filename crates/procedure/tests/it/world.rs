//! A key, its callers, the trail with its lag and its losses, and a runner that does what plans say: as much of AWS and of the
//! operator as the procedure can tell from the inside of an observation.

use std::collections::BTreeMap;

use api::{KeyArn, Timestamp};
use jiff::SignedDuration;
use procedure::observation::{
    Attempt, ControlChange, EventError, KeyFacts, LastUsage, LastUse, NamedPolicy, ProbeSighting, SourceSeen, UsageRow,
};
use procedure::span::{HOUR, after, before, days};
use procedure::{
    Action, Case, Class, Depth, Digest, Done, Entry, Fact, Failure, Gap, Intent, KeyState, Next, Observation, Opening,
    Plan, Presence, Profile, ProfileName, Seen, Source, Span, Stage, Waived, plan,
};

pub(crate) const ACCOUNT: &str = "111122223333";
pub(crate) const OPERATOR: &str = "arn:aws:iam::111122223333:role/Quietus";
pub(crate) const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

/// The policy that AWS gives to new keys.
pub(crate) const DEFAULT_POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"Enable IAM User Permissions","Effect":"Allow",
    "Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*","Resource":"*"}]}"#;
/// A policy that lets nobody of ours in any more.
pub(crate) const LOCKOUT_POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
    "Principal":{"AWS":"arn:aws:iam::111122223333:user/mallory"},"Action":"kms:*","Resource":"*"}]}"#;

/// How late the trail delivers.
const LAG: SignedDuration = SignedDuration::from_mins(10);
/// How late the service deletes.
const LATE: SignedDuration = SignedDuration::from_hours(6);
/// More plans than this at one moment are a loop that spins.
const MAX_PLANS: usize = 40;

/// One event of the trail.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) at: Timestamp,
    pub(crate) principal: String,
    pub(crate) operation: String,
    pub(crate) error: Option<EventError>,
    pub(crate) request: Option<String>,
    pub(crate) probe: Option<String>,
    pub(crate) lost: bool,
}

/// Where the next act of the runner breaks off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crash {
    /// After the intent, before the act.
    BeforeAct,
    /// After the act, before its result was written down.
    AfterAct,
}

#[derive(Clone)]
pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) arn: KeyArn,
    pub(crate) created: Timestamp,
    pub(crate) tracking_start: Timestamp,
    /// `None` when it is gone.
    pub(crate) state: Option<KeyState>,
    pub(crate) last_use: Option<Timestamp>,
    pub(crate) events: Vec<Event>,
    /// Nothing that happens in these is ever delivered.
    pub(crate) blind: Vec<Span>,
    pub(crate) policy: String,
    pub(crate) grants: Seen<Vec<procedure::observation::GrantFacts>>,
    /// Files reach back to here.
    pub(crate) archive: Option<Timestamp>,
    /// Answers that cannot be had.
    pub(crate) unknown: Vec<&'static str>,
    /// Operations that our role may not call.
    pub(crate) denied: Vec<&'static str>,
    /// How the next acts break off, the next one last; `None` for an act that does not.
    pub(crate) crashes: Vec<Option<Crash>>,
    pub(crate) journal: Vec<Entry>,
    pub(crate) case: Case,
    /// The last plan.
    pub(crate) last: Option<Plan>,
    pub(crate) requests: u32,
    /// Called with each plan, the observation, the case before it, and the truth.
    pub(crate) check: fn(&World, &Observation, &Plan),
}

pub(crate) fn epoch() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

impl World {
    /// A key made long ago, used every day until 500 days ago, and never since.
    pub(crate) fn quiet() -> World {
        let now = epoch();
        let mut world = World {
            now,
            arn: KEY.parse().unwrap(),
            created: before(now, days(1000)),
            tracking_start: before(now, days(1000)),
            state: Some(KeyState::Enabled),
            last_use: None,
            events: Vec::new(),
            blind: Vec::new(),
            policy: DEFAULT_POLICY.to_owned(),
            grants: Seen::Seen(Vec::new()),
            archive: None,
            unknown: Vec::new(),
            denied: Vec::new(),
            crashes: Vec::new(),
            journal: Vec::new(),
            case: Case::default(),
            last: None,
            requests: 0,
            check: |_, _, _| {},
        };
        for ago in (500..600).rev() {
            world.used("role/app", "Decrypt", ago);
        }
        world
    }

    /// Records a use `ago` days before now.
    pub(crate) fn used(&mut self, who: &str, operation: &str, ago: i64) {
        let at = before(self.now, days(ago));
        self.last_use = self.last_use.max(Some(at));
        let principal = format!("arn:aws:iam::{ACCOUNT}:{who}");
        self.event(at, &principal, operation, None, None, None);
    }

    fn event(
        &mut self,
        at: Timestamp,
        principal: &str,
        operation: &str,
        error: Option<EventError>,
        request: Option<String>,
        probe: Option<String>,
    ) {
        let lost = self.blind.iter().any(|span| span.contains(at));
        let (principal, operation) = (principal.to_owned(), operation.to_owned());
        self.events.push(Event { at, principal, operation, error, request, probe, lost });
    }

    /// Somebody calls a cryptographic operation now.
    pub(crate) fn call(&mut self, who: &str, operation: &str) {
        let principal = format!("arn:aws:iam::{ACCOUNT}:{who}");
        let refused = self.refusal();
        if refused.is_none() && Class::of(operation, Some(true)).is_use() && self.state.is_some() {
            self.last_use = Some(self.now);
        }
        self.requests += 1;
        let request = format!("request-{}", self.requests);
        self.event(self.now, &principal, operation, refused, Some(request), None);
    }

    fn refusal(&self) -> Option<EventError> {
        let (code, text) = match self.state? {
            KeyState::Disabled => ("DisabledException", "is disabled."),
            KeyState::PendingDeletion { .. } => ("KMSInvalidStateException", "is pending deletion."),
            _ => return None,
        };
        Some(EventError { code: code.to_owned(), message: format!("{KEY} {text}") })
    }

    /// Somebody else changes the key now.
    pub(crate) fn foreign(&mut self, operation: &str) {
        // What KMS refuses has no effect, and nobody here cares.
        drop(self.change("arn:aws:iam::111122223333:role/Terraform", operation, 30));
    }

    fn change(
        &mut self,
        principal: &str,
        operation: &str,
        window_days: u8,
    ) -> Result<Option<String>, (&'static str, String)> {
        let state = self.state.ok_or(("NotFoundException", "does not exist".to_owned()))?;
        let pending = matches!(state, KeyState::PendingDeletion { .. });
        self.state = Some(match operation {
            "CancelKeyDeletion" if pending => KeyState::Disabled,
            "CancelKeyDeletion" => return Err(("KMSInvalidStateException", format!("{KEY} is not pending deletion."))),
            "PutKeyPolicy" => {
                self.policy = LOCKOUT_POLICY.to_owned();
                state
            }
            _ if pending => return Err(("KMSInvalidStateException", format!("{KEY} is pending deletion."))),
            "EnableKey" => KeyState::Enabled,
            "DisableKey" => KeyState::Disabled,
            "ScheduleKeyDeletion" => {
                KeyState::PendingDeletion { deletion_date: after(self.now, days(i64::from(window_days))) }
            }
            other => panic!("`{other}` is no change of this world"),
        });
        self.requests += 1;
        let request = Some(format!("request-{}", self.requests));
        self.event(self.now, principal, operation, None, request.clone(), None);
        Ok(request)
    }

    /// What the service does when time passes.
    fn service_tick(&mut self) {
        if let Some(KeyState::PendingDeletion { deletion_date }) = self.state
            && self.now >= after(deletion_date, LATE)
        {
            self.state = None;
            self.event(self.now, "AWS Internal", "DeleteKey", None, None, None);
        }
    }

    fn is_visible(&self, event: &Event) -> bool {
        !event.lost && after(event.at, LAG) <= self.now
    }

    /// What the operator sees.
    pub(crate) fn observe(&self, depth: Depth) -> Observation {
        let asked = |name: &str| !self.unknown.contains(&name);
        let denied = |action: &str| Gap::Denied { action: action.to_owned(), message: "no".to_owned() };
        let history = Span::new(before(self.now, days(90)), self.now);
        let archive = self.archive.map(|since| Span::new(since, self.now));
        let reach = archive.map_or(history.since, |span| span.since.min(history.since));
        // A watch leaves out what it may: our own calls, once they are old news.
        let news = before(self.now, days(2));
        let wanted = |event: &Event| depth == Depth::Full || event.principal != OPERATOR || event.at >= news;
        let visible: Vec<(usize, &Event)> = self
            .events
            .iter()
            .enumerate()
            .filter(|(_, event)| wanted(event) && event.at >= reach && self.is_visible(event))
            .collect();
        let since = self.case.watch_since().unwrap_or(history.since).max(history.since);
        let recent = || visible.iter().filter(|(_, event)| event.at >= since);
        let is_change = |event: &Event| Class::of(&event.operation, None) == Class::Manage;
        let is_ours = |event: &Event| {
            let known = |id: &String| self.case.own.requests.contains(id);
            event.principal == OPERATOR && event.request.as_ref().is_some_and(known)
        };
        let others = recent().filter(|(_, event)| !is_change(event) && !is_ours(event));
        let attempts: Vec<Attempt> = others.map(|(id, event)| attempt(*id, event)).collect();
        let changes = recent().filter(|(_, event)| is_change(event) && event.error.is_none());
        let source = |source, span: Span| SourceSeen {
            source,
            account: ACCOUNT.to_owned(),
            region: self.arn.region,
            query: "all of it".to_owned(),
            spans: vec![span],
            holes: Vec::new(),
            background: self.background(span),
        };
        let probes = recent().filter_map(|(id, event)| {
            let probe = event.probe.clone()?;
            self.case.outstanding.iter().any(|(id, _)| *id == probe).then_some(())?;
            Some(ProbeSighting { probe, event_at: event.at, event_id: format!("event-{id}") })
        });
        let full = depth == Depth::Full;
        let sources = if full && asked("events") {
            [Some(source(Source::EventHistory, history)), archive.map(|span| source(Source::Archive, span))]
                .into_iter()
                .flatten()
                .collect()
        } else {
            Vec::new()
        };
        Observation {
            at: self.now,
            depth,
            arn: self.arn,
            operator: OPERATOR.to_owned(),
            clock_skew: if asked("clock") { Seen::Seen(SignedDuration::ZERO) } else { Seen::Unknown(Gap::NotAsked) },
            key: match self.state {
                _ if !asked("key") => Seen::Unknown(denied("kms:DescribeKey")),
                None => Seen::Seen(Presence::Gone),
                Some(state) => Seen::Seen(Presence::Present(self.facts(state))),
            },
            policies: if asked("policies") {
                Seen::Seen(vec![NamedPolicy { name: "default".to_owned(), text: self.policy.clone() }])
            } else {
                Seen::Unknown(denied("kms:GetKeyPolicy"))
            },
            grants: if asked("grants") { self.grants.clone() } else { Seen::Unknown(denied("kms:ListGrants")) },
            aliases: Seen::Seen(Vec::new()),
            tags: Seen::Seen(Vec::new()),
            last_usage: if asked("last-usage") {
                Seen::Seen(LastUsage {
                    tracking_start: self.tracking_start,
                    last: self
                        .last_use
                        .filter(|at| after(*at, HOUR) <= self.now && *at >= self.tracking_start)
                        .map(|at| LastUse { at, operation: "Decrypt".to_owned(), event_id: None }),
                })
            } else {
                Seen::Unknown(denied("kms:GetKeyLastUsage"))
            },
            usage: if full { self.rows(&visible) } else { Vec::new() },
            sources,
            attempts,
            changes: changes
                .map(|(id, event)| ControlChange {
                    event_id: format!("event-{id}"),
                    at: event.at,
                    principal: event.principal.clone(),
                    operation: event.operation.clone(),
                    request_id: event.request.clone(),
                })
                .collect(),
            probes: probes.collect(),
            evidence_keys: Seen::Seen(Vec::new()),
            siblings: Vec::new(),
        }
    }

    fn facts(&self, state: KeyState) -> KeyFacts {
        KeyFacts {
            state,
            created: self.created,
            customer_managed: true,
            usage: "ENCRYPT_DECRYPT".to_owned(),
            spec: "SYMMETRIC_DEFAULT".to_owned(),
            origin: "AWS_KMS".to_owned(),
            family: Vec::new(),
        }
    }

    /// Other keys are used in every hour, and it shows unless the trail is blind.
    fn background(&self, span: Span) -> Vec<Timestamp> {
        let first = span.since.as_second().div_euclid(3600);
        let last = before(span.until, LAG).as_second().div_euclid(3600);
        (first..=last)
            .map(|hour| Timestamp::from_second(hour * 3600).unwrap())
            .filter(|hour| !self.blind.iter().any(|span| span.contains(*hour)))
            .collect()
    }

    fn rows(&self, visible: &[(usize, &Event)]) -> Vec<UsageRow> {
        let mut rows: BTreeMap<(String, String, Option<String>), UsageRow> = BTreeMap::new();
        for (id, event) in visible {
            let class = Class::of(&event.operation, None);
            let ours = self.case.own.is_attempt(&attempt(*id, event), OPERATOR);
            if ours || matches!(class, Class::Manage | Class::Look) {
                continue;
            }
            let code = event.error.as_ref().map(|error| error.code.clone());
            let day = Timestamp::from_second(event.at.as_second().div_euclid(86400) * 86400).unwrap();
            let row =
                rows.entry((event.principal.clone(), event.operation.clone(), code)).or_insert_with(|| UsageRow {
                    principal: event.principal.clone(),
                    account: Some(ACCOUNT.to_owned()),
                    operation: event.operation.clone(),
                    class,
                    error: event.error.clone(),
                    dependents: Vec::new(),
                    count: 0,
                    first: event.at,
                    last: event.at,
                    days: Vec::new(),
                    samples: vec![format!("event-{id}")],
                });
            row.count += 1;
            row.first = row.first.min(event.at);
            row.last = row.last.max(event.at);
            row.days.push(day);
        }
        for row in rows.values_mut() {
            row.days.sort();
            row.days.dedup();
        }
        rows.into_values().collect()
    }

    /// Writes an entry down.
    pub(crate) fn write(&mut self, fact: Fact) {
        let entry = Entry::new(self.now, fact);
        self.case.apply(&entry);
        self.journal.push(entry);
    }

    pub(crate) fn open(&mut self, profile: ProfileName, intent: Intent) {
        self.open_by(Profile::named(profile), intent);
    }

    pub(crate) fn open_by(&mut self, profile: Profile, intent: Intent) {
        self.write(Fact::Opened(Box::new(Opening {
            case: "QC-2026-0001".to_owned(),
            intent,
            key: self.arn,
            owner: "team-a".to_owned(),
            reason: "not needed".to_owned(),
            ticket: None,
            profile,
            by: "olga".to_owned(),
        })));
    }

    /// Does what plans say until they say to wait, and returns until when.
    pub(crate) fn tick(&mut self) -> Timestamp {
        self.tick_to(None)
    }

    /// The same, but stops as soon as the case is in `stage`.
    pub(crate) fn tick_to(&mut self, stage: Option<Stage>) -> Timestamp {
        let mut depth = self.case.depth(self.now);
        for _ in 0..MAX_PLANS {
            if stage == Some(self.case.stage) {
                return self.now;
            }
            let next = self.step(depth);
            if let Next::NeedsApproval { step, plan, .. } = &next {
                assert_eq!(self.case.asks(), Some((*step, *plan)));
            }
            match next {
                Next::Wait { until } | Next::NeedsApproval { until, .. } => {
                    assert!(until > self.now, "a wait into the past: {:?}", self.last);
                    return until;
                }
                Next::Stop => return Timestamp::MAX,
                Next::Observe { depth: closer } => depth = closer,
                Next::Record(_) | Next::Do(_) => depth = self.case.depth(self.now).max(depth),
            }
        }
        panic!("the loop spins in {:?} at {}: {:?}", self.case.stage, self.now, self.last);
    }

    /// Looks, plans, and does the one thing that the plan says.
    fn step(&mut self, depth: Depth) -> Next {
        let seen = self.observe(depth);
        let plan = plan(&self.case, &seen, self.now);
        (self.check)(self, &seen, &plan);
        self.last = Some(plan.clone());
        match &plan.next {
            Next::Wait { .. } | Next::NeedsApproval { .. } | Next::Stop | Next::Observe { .. } => {}
            Next::Record(fact) => self.write_planned(fact.clone()),
            Next::Do(action) => {
                let id = self.case.next_intent;
                let (because, evidence) = (plan.because, seen.digest());
                self.write_planned(Fact::Intended { id, action: action.clone(), because, evidence });
                let crash = self.crashes.pop().flatten();
                if crash != Some(Crash::BeforeAct) {
                    let result = self.act(id, action);
                    if crash.is_none() {
                        self.write(result);
                    }
                }
            }
        }
        plan.next
    }

    fn write_planned(&mut self, fact: Fact) {
        assert!(self.case.admits(&fact, self.now), "a plan asks for a stray {fact:?} in {:?}", self.case.stage);
        self.write(fact);
    }

    fn act(&mut self, id: u32, action: &Action) -> Fact {
        let refused = |(code, message): (&str, String)| Fact::Failed {
            id,
            failure: Failure::Refused { code: code.to_owned(), message, request_id: None },
        };
        let answered =
            |request_id, deletion_date| Fact::Done { id, result: Done::Answered { request_id, deletion_date } };
        match action {
            Action::WriteCapsule => Fact::Done { id, result: Done::Capsule { digest: Digest::of(b"capsule") } },
            Action::Probe { probe } => {
                let error = self.refusal();
                self.requests += 1;
                let request = Some(format!("request-{}", self.requests));
                self.event(self.now, OPERATOR, "GenerateDataKey", error.clone(), request.clone(), Some(probe.clone()));
                match error {
                    Some(_) => answered(request, None),
                    None => Fact::Done { id, result: Done::ProbeSucceeded { request_id: request } },
                }
            }
            Action::Schedule { window_days } => match self.change(OPERATOR, "ScheduleKeyDeletion", *window_days) {
                Ok(request) => answered(request, Some(after(self.now, days(i64::from(*window_days))))),
                Err(error) => refused(error),
            },
            Action::Disable | Action::Cancel | Action::Enable => {
                let operation = action.operation().expect("a KMS operation");
                if self.denied.contains(&operation) {
                    return refused(("AccessDeniedException", "explicit deny in a resource-based policy".to_owned()));
                }
                match self.change(OPERATOR, operation, 30) {
                    Ok(request) => answered(request, None),
                    Err(error) => refused(error),
                }
            }
        }
    }

    /// Lets time pass, the runner waking when plans ask for it.
    pub(crate) fn advance(&mut self, length: SignedDuration) {
        let until = after(self.now, length);
        loop {
            self.service_tick();
            let wake = self.tick();
            if self.now >= until {
                return;
            }
            let dies = match self.state {
                Some(KeyState::PendingDeletion { deletion_date }) => after(deletion_date, LATE),
                _ => Timestamp::MAX,
            };
            self.now = wake.min(until).min(dies.max(after(self.now, SignedDuration::from_secs(1))));
        }
    }

    /// Lets time pass with the runner stopped.
    pub(crate) fn sleep(&mut self, length: SignedDuration) {
        let until = after(self.now, length);
        if let Some(KeyState::PendingDeletion { deletion_date }) = self.state {
            self.now = after(deletion_date, LATE).min(until);
            self.service_tick();
        }
        self.now = until;
    }

    /// A human agrees; what does not fit is refused, as the command line would.
    pub(crate) fn approve(&mut self, by: &str) {
        let Some((step, plan)) = self.case.asks() else { return };
        let fact = Fact::Approved { step, plan, by: by.to_owned() };
        if self.case.admits(&fact, self.now) {
            self.write(fact);
        }
    }

    /// A human says something; what does not fit is refused.
    pub(crate) fn say(&mut self, fact: Fact) {
        if self.case.admits(&fact, self.now) {
            self.write(fact);
        }
    }

    pub(crate) fn waive(&mut self, finding: &str, subject: Option<&str>) {
        self.say(Fact::Waived(Waived {
            finding: finding.to_owned(),
            subject: subject.map(str::to_owned),
            by: "sven".to_owned(),
            reason: "known".to_owned(),
            until: after(self.now, days(365)),
        }));
    }

    pub(crate) fn state_name(&self) -> &'static str {
        self.state.map_or("Gone", |state| state.as_str())
    }

    pub(crate) fn stage(&self) -> Stage {
        self.case.stage
    }

    /// Whether the trail shows a use by somebody else since the start of the quiet window.
    pub(crate) fn use_is_visible(&self) -> bool {
        let since = before(self.now, days(90));
        let mut used = self.events.iter().filter(|event| self.is_visible(event) && event.at >= since);
        used.any(|event| event.principal != OPERATOR && Class::of(&event.operation, None).is_use())
    }
}

fn attempt(id: usize, event: &Event) -> Attempt {
    Attempt {
        event_id: format!("event-{id}"),
        at: event.at,
        principal: event.principal.clone(),
        operation: event.operation.clone(),
        class: Class::of(&event.operation, None),
        error: event.error.clone(),
        request_id: event.request.clone(),
        dependents: Vec::new(),
        probe: event.probe.clone(),
        source_ip: None,
        user_agent: None,
    }
}
