//! What a runner sees: the service's answers, and the events that have arrived.
//!
//! It is the operator's observation without its SDK: the same calls, the same events read by `trail`, put together by the rules that
//! `procedure::observation` states.

use std::collections::BTreeMap;

use api::{KeyArn, Timestamp};
use jiff::SignedDuration;
use procedure::observation::{
    Attempt, ControlChange, KeyFacts, LastUsage, LastUse, MAX_EVENTS, NamedPolicy, ProbeSighting, SourceSeen, UsageRow,
};
use procedure::span::{Span, before};
use procedure::{Case, Class, Depth, Gap, KeyState, Observation, Presence, Seen, Source};
use serde_json::{Value, json};

use crate::delivery::Heard;
use crate::world::{ACCOUNT, Answer, OPERATOR, World, user, user_arn};

/// Seconds in a day.
const DAY_SECONDS: i64 = 86_400;
/// Event ids that a usage row names.
const SAMPLES: usize = 3;

/// Looks at the key of a case.
pub(crate) fn observe(world: &mut World, key: KeyArn, case: &Case, depth: Depth) -> Observation {
    let at = world.now;
    let arn = key.to_string();
    let named = json!({ "KeyId": arn });
    let described = ask(world, "DescribeKey", &named);
    let policy = ask(world, "GetKeyPolicy", &json!({ "KeyId": arn, "PolicyName": "default" }));
    let grants = ask(world, "ListGrants", &named);
    let last_usage = ask(world, "GetKeyLastUsage", &named);

    let quiet = case.profile().map_or(SignedDuration::ZERO, |profile| profile.quiet);
    let since = case.watch_since().unwrap_or_else(|| before(at, quiet));
    let lately: Vec<&Heard> = world.delivery.about(&arn, since).collect();
    let operator = user_arn(OPERATOR);
    let full = depth == Depth::Full;
    Observation {
        at,
        depth,
        arn: key,
        clock_skew: Seen::Seen(SignedDuration::from_secs(1)),
        key: match described {
            Seen::Seen(answer) => Seen::Seen(Presence::Present(facts(&answer["KeyMetadata"]))),
            Seen::Unknown(Gap::Failed { code, .. }) if code == "NotFoundException" => Seen::Seen(Presence::Gone),
            Seen::Unknown(gap) => Seen::Unknown(gap),
        },
        policies: map(policy, |answer| vec![NamedPolicy { name: "default".to_owned(), text: text(&answer["Policy"]) }]),
        grants: map(grants, |_| Vec::new()),
        aliases: Seen::Unknown(Gap::NotAsked),
        tags: Seen::Unknown(Gap::NotAsked),
        last_usage: map(last_usage, |answer| usage(&answer)),
        usage: if full { rows(world.delivery.about(&arn, Timestamp::MIN), case, &operator) } else { Vec::new() },
        sources: if full { vec![source(world, key, at)] } else { Vec::new() },
        attempts: newest(lately.iter().filter_map(|heard| attempt(heard))),
        changes: newest(lately.iter().filter_map(|heard| change(heard))),
        probes: probes(&lately, &operator),
        operator,
        evidence_keys: Seen::Seen(Vec::new()),
        siblings: Vec::new(),
    }
}

fn ask(world: &mut World, operation: &'static str, body: &Value) -> Seen<Value> {
    match world.call(&user(OPERATOR), operation, body) {
        Answer::Reply { body, .. } => Seen::Seen(body),
        Answer::Refused { code, message, .. } if code == "AccessDeniedException" => {
            Seen::Unknown(Gap::Denied { action: format!("kms:{operation}"), message })
        }
        Answer::Refused { code, message, .. } => {
            Seen::Unknown(Gap::Failed { operation: operation.to_owned(), code, message })
        }
        Answer::Silence => Seen::Unknown(Gap::Failed {
            operation: operation.to_owned(),
            code: "timeout".to_owned(),
            message: "no answer came".to_owned(),
        }),
    }
}

fn map<T, U>(seen: Seen<T>, with: impl FnOnce(T) -> U) -> Seen<U> {
    match seen {
        Seen::Seen(value) => Seen::Seen(with(value)),
        Seen::Unknown(gap) => Seen::Unknown(gap),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A date of the JSON protocol: seconds since 1970, with fractions.
pub(crate) fn date(value: &Value) -> Option<Timestamp> {
    let seconds = value.as_f64()?;
    Timestamp::from_second(seconds as i64).ok()
}

fn facts(metadata: &Value) -> KeyFacts {
    KeyFacts {
        state: match text(&metadata["KeyState"]).as_str() {
            "Enabled" => KeyState::Enabled,
            "Disabled" => KeyState::Disabled,
            "PendingDeletion" => KeyState::PendingDeletion {
                deletion_date: date(&metadata["DeletionDate"]).expect("a key that is pending deletion has a date"),
            },
            other => unreachable!("no key here is ever {other}"),
        },
        created: date(&metadata["CreationDate"]).expect("a key has a creation date"),
        customer_managed: metadata["KeyManager"] == "CUSTOMER",
        usage: text(&metadata["KeyUsage"]),
        spec: text(&metadata["KeySpec"]),
        origin: text(&metadata["Origin"]),
        family: Vec::new(),
    }
}

fn usage(answer: &Value) -> LastUsage {
    let last = &answer["KeyLastUsage"];
    LastUsage {
        tracking_start: date(&answer["TrackingStartDate"]).expect("last usage has a tracking start"),
        last: date(&last["Timestamp"]).map(|at| LastUse {
            at,
            operation: text(&last["Operation"]),
            event_id: last["CloudTrailEventId"].as_str().map(str::to_owned),
        }),
    }
}

/// The newest [`MAX_EVENTS`]. Event ids rise with time here, so what is sorted by id is sorted by time.
fn newest<T>(events: impl Iterator<Item = T>) -> Vec<T> {
    let mut events: Vec<T> = events.collect();
    events.drain(..events.len().saturating_sub(MAX_EVENTS));
    events
}

/// A call that can be a use or an attempt at one.
fn attempt(heard: &Heard) -> Option<Attempt> {
    let (_, class, dependents) = heard.about.as_ref()?;
    (class.is_use() || *class == Class::Export).then(|| Attempt {
        event_id: heard.event_id.clone(),
        at: heard.at,
        principal: heard.principal.clone(),
        operation: heard.operation.clone(),
        class: *class,
        error: heard.error.clone(),
        request_id: heard.request_id.clone(),
        dependents: dependents.clone(),
        probe: heard.probe.clone(),
        source_ip: heard.source_ip.clone(),
        user_agent: heard.user_agent.clone(),
    })
}

/// A change of the key that took effect.
fn change(heard: &Heard) -> Option<ControlChange> {
    let (_, class, _) = heard.about.as_ref()?;
    (*class == Class::Manage && heard.error.is_none()).then(|| ControlChange {
        event_id: heard.event_id.clone(),
        at: heard.at,
        principal: heard.principal.clone(),
        operation: heard.operation.clone(),
        request_id: heard.request_id.clone(),
    })
}

fn probes(events: &[&Heard], operator: &str) -> Vec<ProbeSighting> {
    let ours = events.iter().filter(|heard| heard.principal == operator);
    let mut probes: Vec<ProbeSighting> = ours
        .filter_map(|heard| {
            let probe = heard.probe.clone()?;
            Some(ProbeSighting { probe, event_at: heard.at, event_id: heard.event_id.clone() })
        })
        .collect();
    probes.drain(..probes.len().saturating_sub(MAX_EVENTS));
    probes.sort();
    probes
}

/// Who used the key, without the calls of our own.
fn rows<'a>(events: impl Iterator<Item = &'a Heard>, case: &Case, operator: &str) -> Vec<UsageRow> {
    /// Principal, operation, error code, dependents.
    type Name<'a> = (&'a str, &'a str, Option<&'a str>, &'a [String]);
    let mut rows: BTreeMap<Name<'_>, UsageRow> = BTreeMap::new();
    for heard in events {
        let Some((_, class, dependents)) = &heard.about else { continue };
        if attempt(heard).is_some_and(|attempt| case.own.is_attempt(&attempt, operator)) {
            continue;
        }
        let error = heard.error.as_ref().map(|error| error.code.as_str());
        let row = rows
            .entry((&heard.principal, &heard.operation, error, dependents))
            .or_insert_with(|| row(heard, *class, dependents));
        row.count += 1;
        row.last = heard.at;
        if row.samples.len() < SAMPLES {
            row.samples.push(heard.event_id.clone());
        }
        let day = heard.at.as_second().div_euclid(DAY_SECONDS) * DAY_SECONDS;
        let day = Timestamp::from_second(day).expect("a day that begins before a moment is a moment");
        if row.days.last() != Some(&day) {
            row.days.push(day);
        }
    }
    rows.into_values().collect()
}

fn row(heard: &Heard, class: Class, dependents: &[String]) -> UsageRow {
    UsageRow {
        principal: heard.principal.clone(),
        account: heard.account.clone(),
        operation: heard.operation.clone(),
        class,
        error: heard.error.clone(),
        dependents: dependents.to_vec(),
        count: 0,
        first: heard.at,
        last: heard.at,
        days: Vec::new(),
        samples: Vec::new(),
    }
}

/// An event source that answers every question, and knows nothing of what never reached it.
fn source(world: &World, key: KeyArn, at: Timestamp) -> SourceSeen {
    SourceSeen {
        source: Source::EventHistory,
        account: ACCOUNT.to_owned(),
        region: key.region,
        query: "LookupEvents".to_owned(),
        spans: vec![Span::new(before(at, procedure::span::days(90)), at)],
        holes: Vec::new(),
        background: world.delivery.background().collect(),
    }
}
