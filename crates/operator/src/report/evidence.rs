//! What a report takes from the observations that are kept beside the journal, by digest.

use std::collections::{BTreeMap, BTreeSet};

use api::Class;
use policy::{Document, KEY_ACTIONS};
use procedure::observation::{Attempt, EventError, SourceSeen};
use procedure::{Action, Case, Digest, Fact, Observation, Opening, Presence, Reason};

use super::story::{ABILITIES, Could, Counts, Dependent, MAX_ROWS, SourceOf, Tried, WIDE};
use super::words;
use crate::cases::{Cases, Journal};
use crate::reconcile::evidence_name;

/// The observation of the last assessment, where it is kept and unchanged.
pub(super) fn last_evidence(cases: &impl Cases, journal: &Journal) -> Option<Observation> {
    let digest = journal.entries().iter().rev().find_map(|entry| match &entry.fact {
        Fact::Assessed(assessment) => Some(assessment.evidence),
        _ => None,
    })?;
    observation(cases, journal, digest)
}

pub(super) fn observation(cases: &impl Cases, journal: &Journal, digest: Digest) -> Option<Observation> {
    let bytes = cases.kept(journal.case(), &evidence_name(digest)).ok()?;
    (Digest::of(&bytes) == digest).then(|| serde_json::from_slice(&bytes).ok())?
}

pub(super) fn identity(opening: &Opening, seen: Option<&Observation>) -> Vec<(&'static str, String)> {
    let mut card = vec![
        ("Key", opening.key.to_string()),
        ("Account", opening.key.account.to_string()),
        ("Region", opening.key.region.to_string()),
    ];
    let Some(seen) = seen else { return card };
    if let Some(Presence::Present(facts)) = seen.key.seen() {
        card.push(("Created", words::moment(facts.created)));
        card.push(("Spec and usage", format!("{}, {}", facts.spec, facts.usage)));
        card.push(("Origin", facts.origin.clone()));
        card.push(("State when last assessed", facts.state.as_str().to_owned()));
    }
    let list = |items: Vec<String>| if items.is_empty() { "none".to_owned() } else { items.join(", ") };
    if let Some(aliases) = seen.aliases.seen() {
        card.push(("Aliases", list(aliases.clone())));
    }
    if let Some(tags) = seen.tags.seen() {
        card.push(("Tags", list(tags.iter().map(|tag| format!("{}={}", tag.key, tag.value)).collect())));
    }
    if let Some(usage) = seen.last_usage.seen() {
        let last = match &usage.last {
            Some(last) => format!("{} at {}", last.operation, words::moment(last.at)),
            None => format!("none recorded since tracking began at {}", words::moment(usage.tracking_start)),
        };
        card.push(("GetKeyLastUsage", last));
    }
    card.push(("Looked at by", seen.operator.clone()));
    // Long values take a line each, after the short ones.
    card[1..].sort_by_key(|(_, value)| value.len() > WIDE);
    card
}

/// A row for each principal of each statement that allows something, and for each grant.
pub(super) fn could(seen: &Observation) -> Vec<Could> {
    let mut rows: BTreeMap<(String, String), Could> = BTreeMap::new();
    for named in seen.policies.seen().into_iter().flatten() {
        let Ok(document) = Document::parse(&named.text) else { continue };
        let reach = policy::reach(&document, &seen.arn);
        for (column, (_, counts)) in ABILITIES.iter().enumerate() {
            let actions = KEY_ACTIONS.iter().filter(|(action, class)| counts(action, *class));
            for possible in actions.flat_map(|(action, _)| reach.can(action)) {
                let row = possible.row;
                let statement = row.sid.as_deref().map_or_else(|| format!("#{}", row.statement + 1), str::to_owned);
                let by = format!("policy {}, {statement}", named.name);
                let unless = possible.unless.iter().map(|deny| format!("unless denied by #{}", deny.statement + 1));
                let conditions: BTreeSet<String> = row.conditions.iter().cloned().chain(unless).collect();
                let could = rows.entry((row.who.to_string(), by.clone())).or_insert_with(|| Could {
                    who: row.who.to_string(),
                    by,
                    abilities: vec![false; ABILITIES.len()],
                    conditions: Vec::new(),
                });
                could.abilities[column] = true;
                could.conditions =
                    could.conditions.iter().cloned().chain(conditions).collect::<BTreeSet<_>>().into_iter().collect();
            }
        }
    }
    for grant in seen.grants.seen().into_iter().flatten() {
        let able =
            |counts: Counts| grant.operations.iter().any(|name| counts(&format!("kms:{name}"), Class::of(name, None)));
        let by = format!("grant {}", grant.id);
        let could = Could {
            who: grant.grantee.clone(),
            by: by.clone(),
            abilities: ABILITIES.iter().map(|(_, counts)| able(*counts)).collect(),
            conditions: grant.constraints.clone(),
        };
        rows.insert((grant.grantee.clone(), by), could);
    }
    rows.into_values().take(MAX_ROWS).collect()
}

pub(super) fn dependents(seen: &Observation) -> Vec<Dependent> {
    let mut all: BTreeMap<String, Dependent> = BTreeMap::new();
    for row in &seen.usage {
        for name in &row.dependents {
            let known_by = || "encryption context".to_owned();
            let dependent = all.entry(name.clone()).or_insert_with(|| Dependent {
                name: name.clone(),
                known_by: known_by(),
                last: None,
                count: 0,
            });
            dependent.last = dependent.last.max(Some(row.last));
            dependent.count += row.count;
        }
    }
    for grant in seen.grants.seen().into_iter().flatten() {
        for name in &grant.constraints {
            let known_by = format!("grant {}", grant.id);
            let named = Dependent { name: name.clone(), known_by, last: None, count: 0 };
            all.entry(name.clone()).or_insert(named);
        }
    }
    let mut all: Vec<Dependent> = all.into_values().collect();
    all.sort_by(|one, other| other.last.cmp(&one.last).then_with(|| one.name.cmp(&other.name)));
    all
}

/// The attempts that the journal names, and those beside them in the evidence of what was done about them: each once, by time.
pub(super) fn attempts(cases: &impl Cases, journal: &Journal, case: &Case) -> Vec<Tried> {
    let mut all: BTreeMap<String, Tried> = BTreeMap::new();
    for attempt in &case.attempts {
        all.insert(attempt.event_id.clone(), tried(attempt));
    }
    for entry in journal.entries() {
        let (because, evidence) = match &entry.fact {
            Fact::Intended { action: Action::Cancel | Action::Enable, because, evidence, .. } => {
                (because, Some(*evidence))
            }
            Fact::RescueStarted { because } => (because, None),
            _ => continue,
        };
        let Reason::Attempt { principal, operation, at, event_id } = because else { continue };
        let seen = evidence.and_then(|evidence| observation(cases, journal, evidence));
        for attempt in seen.iter().flat_map(|seen| &seen.attempts) {
            let refused = attempt.error.as_ref().is_some_and(EventError::is_key_state);
            if refused && seen.as_ref().is_some_and(|seen| !case.own.is_attempt(attempt, &seen.operator)) {
                all.insert(attempt.event_id.clone(), tried(attempt));
            }
        }
        let id = event_id.clone().unwrap_or_else(|| format!("{principal} {operation} {at}"));
        all.entry(id).or_insert_with_key(|id| Tried {
            at: *at,
            principal: principal.clone(),
            operation: operation.clone(),
            error: "not kept".to_owned(),
            dependents: Vec::new(),
            source_ip: None,
            user_agent: None,
            event_id: id.clone(),
        });
    }
    let mut all: Vec<Tried> = all.into_values().collect();
    all.sort_by(|one, other| (one.at, &one.event_id).cmp(&(other.at, &other.event_id)));
    all
}

pub(super) fn tried(attempt: &Attempt) -> Tried {
    let error = attempt.error.as_ref().map_or_else(|| "none: it succeeded".to_owned(), |error| error.code.clone());
    Tried {
        at: attempt.at,
        principal: attempt.principal.clone(),
        operation: attempt.operation.clone(),
        error,
        dependents: attempt.dependents.clone(),
        source_ip: attempt.source_ip.clone(),
        user_agent: attempt.user_agent.clone(),
        event_id: attempt.event_id.clone(),
    }
}

pub(super) fn sources(seen: &Observation) -> Vec<SourceOf> {
    let source = |source: &SourceSeen| SourceOf {
        source: source.source.as_str(),
        account: source.account.clone(),
        region: source.region.to_string(),
        query: source.query.clone(),
        spans: source.spans.clone(),
        holes: source.holes.iter().map(|hole| (hole.span, hole.why.to_string())).collect(),
    };
    seen.sources.iter().map(source).collect()
}
