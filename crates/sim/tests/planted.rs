//! A rule that cannot fail is worth nothing: each fault planted here is caught by the rule that is there for it.

use api::Timestamp;
use jiff::SignedDuration;
use procedure::observation::LastUsage;
use procedure::span::{after, days};
use procedure::{Action, Case, Depth, Fact, Next, Observation, Plan, Seen, Stage};
use service::{Call, Commit, Due, Effect, State, Vault};
use sim::{Applications, Attendance, Faults, Rule, Shape, Subject, run};

/// The first seeds; each planted fault must show in at least one of them.
const SEEDS: u64 = 40;

/// Runs worlds with a fault in the subject until the rule that is there for it speaks. Without the fault the same world holds it.
fn caught(rule: Rule, shape: &Shape, subject: Subject) {
    let breaks = |seed: &u64| run(*seed, shape, subject).violations.iter().any(|violation| violation.rule == rule);
    let Some(seed) = (0..SEEDS).find(breaks) else { panic!("in {SEEDS} runs nothing violates `{}`", rule.as_str()) };
    assert_eq!(run(seed, shape, Subject::default()).violations, [], "seed {seed}");
}

fn calm() -> Shape {
    Shape::calm()
}

/// An application calls for the first time when its key has only so long to live.
fn besieged(lead: SignedDuration) -> Shape {
    Shape { applications: Applications::AtTheLast(lead), ..Shape::calm() }
}

fn with(faults: Faults) -> Shape {
    Shape { faults, ..Shape::calm() }
}

fn planner(plan: fn(&Case, &Observation, Timestamp) -> Plan) -> Subject {
    Subject { plan, ..Subject::default() }
}

#[test]
fn a_planner_that_is_deaf_to_use() {
    fn deaf(case: &Case, seen: &Observation, now: Timestamp) -> Plan {
        let mut deaf = seen.clone();
        deaf.attempts.clear();
        deaf.usage.clear();
        if let Seen::Seen(LastUsage { last, .. }) = &mut deaf.last_usage {
            *last = None;
        }
        procedure::plan(case, &deaf, now)
    }
    caught(Rule::VisibleUse, &besieged(days(4)), planner(deaf));
}

#[test]
fn a_planner_that_sleeps_once_it_has_committed() {
    fn sleepy(case: &Case, seen: &Observation, now: Timestamp) -> Plan {
        let plan = procedure::plan(case, seen, now);
        match (case.stage, &plan.next) {
            (Stage::Committed, Next::Do(_)) => Plan { next: Next::Wait { until: after(now, days(1)) }, ..plan },
            _ => plan,
        }
    }
    caught(Rule::AnswerableAttempt, &besieged(SignedDuration::from_hours(20)), planner(sleepy));
}

#[test]
fn a_planner_that_does_not_look_a_last_time() {
    fn careless(case: &Case, seen: &Observation, now: Timestamp) -> Plan {
        let plan = procedure::plan(case, seen, now);
        match case.stage {
            Stage::Pending | Stage::LastLook => Plan { next: Next::Wait { until: after(now, days(1)) }, ..plan },
            _ => plan,
        }
    }
    caught(Rule::Uncommitted, &calm(), planner(careless));
}

#[test]
fn a_planner_that_takes_every_probe_for_seen() {
    fn trusting(case: &Case, seen: &Observation, now: Timestamp) -> Plan {
        match case.outstanding.first() {
            Some((probe, made)) if case.flight.is_none() => {
                let fact = Fact::ProbeSeen { probe: probe.clone(), event_at: *made, event_id: "none".to_owned() };
                let because = procedure::Reason::ProbeDue;
                Plan { next: Next::Record(fact), because }
            }
            _ => procedure::plan(case, seen, now),
        }
    }
    caught(Rule::Blind, &with(Faults { outages: 3, ..Faults::NONE }), planner(trusting));
}

#[test]
fn a_planner_that_says_rescued_and_does_not_enable() {
    fn boastful(case: &Case, seen: &Observation, now: Timestamp) -> Plan {
        let plan = procedure::plan(case, seen, now);
        match (case.stage, &plan.next) {
            (Stage::Rescuing, Next::Do(Action::Enable)) => Plan { next: Next::Record(Fact::Rescued), ..plan },
            _ => plan,
        }
    }
    caught(Rule::NotRestored, &besieged(days(4)), planner(boastful));
}

#[test]
fn a_planner_that_never_gives_up() {
    fn patient(case: &Case, seen: &Observation, now: Timestamp) -> Plan {
        let plan = procedure::plan(case, seen, now);
        match plan.next {
            Next::Record(Fact::Expired { .. }) => Plan { next: Next::Wait { until: after(now, days(9)) }, ..plan },
            _ => plan,
        }
    }
    caught(Rule::Endless, &with(Faults { people: Attendance::Absent, ..Faults::NONE }), planner(patient));
}

#[test]
fn a_planner_that_only_looks() {
    fn restless(_: &Case, _: &Observation, _: Timestamp) -> Plan {
        Plan { next: Next::Observe { depth: Depth::Watch }, because: procedure::Reason::EvidenceNeeded }
    }
    caught(Rule::Spin, &calm(), planner(restless));
}

type Fresh<'a> = &'a mut dyn FnMut() -> [u8; 16];

#[test]
fn a_tick_that_runs_ahead_of_the_date() {
    fn hasty(state: &State, vault: &Vault, now: Timestamp, delay: u32, fresh: Fresh<'_>) -> Vec<Due> {
        service::tick(state, vault, after(now, days(1)), delay, fresh)
    }
    caught(Rule::Early, &calm(), Subject { tick: hasty, ..Subject::default() });
}

#[test]
fn a_tick_that_does_not_expect_the_key_as_it_was() {
    fn blunt(state: &State, vault: &Vault, now: Timestamp, delay: u32, fresh: Fresh<'_>) -> Vec<Due> {
        let mut due = service::tick(state, vault, now, delay, fresh);
        due.iter_mut().for_each(|due| due.batch.expect.clear());
        due
    }
    caught(Rule::NotPending, &with(Faults { call: 50, ..Faults::NONE }), Subject { tick: blunt, ..Subject::default() });
}

#[test]
fn a_change_without_its_record() {
    fn silent(state: &State, vault: &Vault, call: &Call<'_>) -> Effect {
        let mut effect = service::decide(state, vault, call);
        if let Commit::Batch(batch) = &mut effect.commit
            && call.operation.name == "DisableKey"
        {
            batch.append.clear();
        }
        effect
    }
    caught(Rule::Record, &calm(), Subject { decide: silent, ..Subject::default() });
}

#[test]
fn a_deletion_without_its_record() {
    fn silent(state: &State, vault: &Vault, now: Timestamp, delay: u32, fresh: Fresh<'_>) -> Vec<Due> {
        let mut due = service::tick(state, vault, now, delay, fresh);
        due.iter_mut().for_each(|due| due.batch.append.clear());
        due
    }
    caught(Rule::Record, &calm(), Subject { tick: silent, ..Subject::default() });
}
