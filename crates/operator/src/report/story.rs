//! What a report says, read off the journal and the evidence: pure data, each part with its own type.

use std::collections::{BTreeMap, BTreeSet};

use api::{Class, Timestamp};
use policy::{Document, KEY_ACTIONS, RESCUE};
use procedure::observation::{Observation, UsageRow};
use procedure::span::{after, length};
use procedure::{
    Action, Assessment, Case, Digest, Done, Entry, Fact, Intent, Opening, Outcome, Presence, Reason, Severity, Span,
    Stage, Step,
};
use serde::Serialize;

use super::words;
use crate::cases::{Cases, Journal};
use crate::commands::outcome_word;
use crate::reconcile::evidence_name;

/// Most rows of a table that can grow with the world; the rest is counted. (Ours.)
const MAX_ROWS: usize = 200;

/// Longer values take a line of their own. (Ours.)
pub(super) const WIDE: usize = 26;

/// The whole of it.
#[derive(Debug, Clone, Serialize)]
pub struct Story {
    /// When the report was made.
    pub made_at: Timestamp,
    /// The case's name.
    pub case: String,
    /// What was asked.
    pub opening: Opening,
    /// When.
    pub opened_at: Timestamp,
    /// Where the case stands.
    pub stage: &'static str,
    /// What became of it, in a word.
    pub outcome: &'static str,
    /// When it ended, if it has.
    pub ended_at: Option<Timestamp>,
    /// What became of it, in a sentence or three.
    pub summary: Vec<String>,
    /// The key, as it was last seen.
    pub identity: Vec<(&'static str, String)>,
    /// What people said.
    pub people: Vec<Said>,
    /// The stages.
    pub stages: Vec<Stretch>,
    /// Every assessment.
    pub verdicts: Vec<VerdictOf>,
    /// The findings of the last.
    pub findings: Vec<Found>,
    /// Who could use the key.
    pub could: Vec<Could>,
    /// Grants, and what the policies say besides, in words.
    pub scope: Vec<String>,
    /// Who did.
    pub did: Vec<UsageRow>,
    /// What depends on the key, as events and grants name it.
    pub dependents: Vec<Dependent>,
    /// What was done to the key, each act with its result.
    pub actions: Vec<Acted>,
    /// Use attempts that were seen.
    pub attempts: Vec<Tried>,
    /// How well the watch could see.
    pub watch: Watch,
    /// Where evidence came from in the last full look.
    pub sources: Vec<SourceOf>,
    /// What was not looked at.
    pub not_looked_at: Vec<String>,
    /// What stays uncertain, whatever was done.
    pub residual: Vec<String>,
    /// The journal's entries.
    pub journal: Vec<Line>,
    /// The hash that stands for all of them.
    pub head: Digest,
    /// Entries that made no sense where they stood.
    pub strays: usize,
    /// Rows that were left out of long tables.
    pub left_out: usize,
    #[serde(skip)]
    pub(super) key_states: Vec<(Timestamp, KeyPhase)>,
    #[serde(skip)]
    pub(super) probes: Vec<Probe>,
    #[serde(skip)]
    pub(super) deletion_date: Option<Timestamp>,
    #[serde(skip)]
    pub(super) verdict_now: Outcome,
}

/// Something a person said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Said {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// What: `opened the case`.
    pub what: String,
    /// In their own words, where they gave any.
    pub words: String,
}

/// A stage, from when to when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stretch {
    /// Its name.
    pub stage: &'static str,
    /// Its time.
    pub span: Span,
}

/// One assessment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerdictOf {
    /// When.
    pub at: Timestamp,
    /// The verdict.
    pub verdict: &'static str,
    /// What had to be seen.
    pub lookback: Span,
    /// How much of it was seen, in words.
    pub coverage: Vec<String>,
    /// How many findings stood open.
    pub open: usize,
    /// Digest of the observation it rests on.
    pub evidence: Digest,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// `F-USE-READ`.
    pub id: &'static str,
    /// `critical`.
    pub severity: &'static str,
    /// What was found.
    pub what: String,
    /// Why it matters.
    pub why: &'static str,
    /// What to do.
    pub remedy: String,
    /// Who accepted it.
    pub waived_by: Option<String>,
}

/// What one principal could do, by a statement of a policy or a grant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Could {
    /// Who.
    pub who: String,
    /// By what.
    pub by: String,
    /// What, in the order of the matrix's columns.
    pub abilities: Vec<bool>,
    /// Under which conditions.
    pub conditions: Vec<String>,
}

/// Whether an action, which is of that class, counts for a column.
type Counts = fn(&str, Class) -> bool;

/// The columns of the matrix of who could: a name, and which actions on the key count.
pub(super) const ABILITIES: [(&str, Counts); 7] = [
    ("read data", |_, class| class == Class::ReadData),
    ("write data", |_, class| class == Class::WriteData),
    ("sign or verify", |_, class| matches!(class, Class::Sign | Class::Mac | Class::Check)),
    ("grant", |_, class| class == Class::Bind),
    ("bring back", |action, _| RESCUE.contains(&action)),
    ("end", |action, _| matches!(action, "kms:DisableKey" | "kms:ScheduleKeyDeletion")),
    ("change policy", |action, _| action == "kms:PutKeyPolicy"),
];

/// A resource that depends on the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dependent {
    /// What the encryption context or a grant names.
    pub name: String,
    /// How it is known.
    pub known_by: String,
    /// When a call last named it.
    pub last: Option<Timestamp>,
    /// How many calls named it.
    pub count: u64,
}

/// One act with its result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Acted {
    /// The number of the intent.
    pub id: u32,
    /// When it was intended.
    pub at: Timestamp,
    /// What.
    pub action: String,
    /// Why.
    pub because: String,
    /// What came of it.
    pub result: String,
    /// AWS's request id.
    pub request_id: Option<String>,
    /// Digest of the observation it was decided from.
    pub evidence: Digest,
}

/// A use attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tried {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub principal: String,
    /// Which operation.
    pub operation: String,
    /// The error it met.
    pub error: String,
    /// What it was for.
    pub dependents: Vec<String>,
    /// From where.
    pub source_ip: Option<String>,
    /// By which program.
    pub user_agent: Option<String>,
    /// `eventID`.
    pub event_id: String,
}

/// How well the watch could see.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Watch {
    /// Probes that were sent.
    pub sent: usize,
    /// Probes that came back.
    pub back: usize,
    /// The longest that one took, in seconds.
    pub slowest_seconds: Option<i64>,
    /// Times in which nothing came back.
    pub blind: Vec<Span>,
}

/// One source of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceOf {
    /// Its name.
    pub source: &'static str,
    /// The account.
    pub account: String,
    /// The Region.
    pub region: String,
    /// What was asked.
    pub query: String,
    /// What was read.
    pub spans: Vec<Span>,
    /// What was not, and why.
    pub holes: Vec<(Span, String)>,
}

/// One journal entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Its number.
    pub sequence: usize,
    /// Its time.
    pub at: Timestamp,
    /// Its kind.
    pub kind: String,
    /// Its hash.
    pub sha256: Digest,
}

/// What the key could be used for, over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyPhase {
    Enabled,
    Disabled,
    Pending,
    Gone,
}

/// A probe, and when it came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Probe {
    pub(super) at: Timestamp,
    pub(super) back: Option<Timestamp>,
}

impl Story {
    /// The story of `case` as its journal tells it.
    pub(super) fn of(cases: &impl Cases, journal: &Journal, case: &Case, now: Timestamp) -> Story {
        let entries = journal.entries();
        let opening = case.opening.clone().expect("only a case that was opened is told of");
        let seen = last_evidence(cases, journal);
        let ended_at = case.stage.is_end().then_some(case.stage_since);
        let until = ended_at.unwrap_or(now);
        let mut left_out = 0;
        let mut short = |rows: usize| left_out += rows.saturating_sub(MAX_ROWS);
        let mut did = seen.as_ref().map(|seen| seen.usage.clone()).unwrap_or_default();
        short(did.len());
        did.sort_by_key(|row| std::cmp::Reverse(row.last));
        did.truncate(MAX_ROWS);
        let mut dependents = seen.as_ref().map(dependents).unwrap_or_default();
        short(dependents.len());
        dependents.truncate(MAX_ROWS);
        let probes = probes(entries);
        let watch = watch(entries, &probes, until);
        let assessment = case.assessment.as_ref();
        Story {
            made_at: now,
            case: journal.case().to_string(),
            opened_at: entries.first().map_or(now, |entry| entry.at),
            stage: case.stage.as_str(),
            outcome: outcome_word(case.outcome()),
            ended_at,
            summary: summary(case, entries, seen.as_ref(), &watch),
            identity: identity(&opening, seen.as_ref()),
            people: entries.iter().filter_map(said).collect(),
            stages: stages(entries, until),
            verdicts: entries.iter().filter_map(verdict).collect(),
            findings: assessment.map(findings).unwrap_or_default(),
            could: seen.as_ref().map(could).unwrap_or_default(),
            scope: assessment.map(|assessment| assessment.scope.clone()).unwrap_or_default(),
            did,
            dependents,
            actions: actions(entries),
            attempts: attempts(cases, journal, case),
            watch,
            sources: seen.as_ref().map(sources).unwrap_or_default(),
            not_looked_at: assessment.map(|assessment| assessment.not_looked_at.clone()).unwrap_or_default(),
            residual: residual(case, seen.as_ref()),
            journal: lines(journal),
            head: journal.head(),
            strays: case.strays.len(),
            left_out,
            key_states: key_states(entries),
            probes,
            deletion_date: deletion_date(entries),
            verdict_now: case.outcome(),
            opening,
        }
    }

    /// The story as JSON.
    pub(super) fn json(&self) -> String {
        let mut text =
            serde_json::to_string_pretty(self).expect("our types have JSON forms: no maps with keys that are not text");
        text.push('\n');
        text
    }
}

/// The observation of the last assessment, where it is kept and unchanged.
fn last_evidence(cases: &impl Cases, journal: &Journal) -> Option<Observation> {
    let digest = journal.entries().iter().rev().find_map(|entry| match &entry.fact {
        Fact::Assessed(assessment) => Some(assessment.evidence),
        _ => None,
    })?;
    observation(cases, journal, digest)
}

fn observation(cases: &impl Cases, journal: &Journal, digest: Digest) -> Option<Observation> {
    let bytes = cases.kept(journal.case(), &evidence_name(digest)).ok()?;
    (Digest::of(&bytes) == digest).then(|| serde_json::from_slice(&bytes).ok())?
}

fn summary(case: &Case, entries: &[Entry], seen: Option<&Observation>, watch: &Watch) -> Vec<String> {
    let mut sentences = vec![ending(case, entries)];
    if let Some(assessment) = &case.assessment {
        sentences.push(evidence(assessment, seen));
    }
    if watch.sent > 0 {
        let blind = match watch.blind.as_slice() {
            [] => "The watch was never blind.".to_owned(),
            spans => {
                let spans: Vec<String> = spans.iter().map(|span| words::span(*span)).collect();
                format!("The watch was blind {}.", spans.join("; "))
            }
        };
        sentences.push(format!(
            "While the key could not be used, {} of {} probes came back. {blind}",
            watch.back, watch.sent
        ));
    }
    sentences
}

fn ending(case: &Case, entries: &[Entry]) -> String {
    let since = words::moment(case.stage_since);
    let why = case.rescue.as_ref().or(case.leaving.as_ref()).map(|reason| format!(": {reason}")).unwrap_or_default();
    match case.outcome() {
        Outcome::Deleted => {
            format!("The key was deleted at the end of its waiting period; the case closed at {since}.")
        }
        Outcome::Rescued => match restored_at(entries) {
            Some(at) => {
                format!("The key was given back{why}. It is as it was before the case since {}.", words::moment(at))
            }
            None => format!("The key is being given back{why}."),
        },
        Outcome::Abandoned => format!("The case was abandoned at {since}{why}; the key is as it was before."),
        Outcome::Expired => format!("The case ended at {since}{why}; the key is as it was before."),
        Outcome::Foreign => {
            format!("Somebody else changed the key, so the case stopped at {since}: {}", foreign(entries))
        }
        Outcome::Lost => format!("The key was found gone at {since}, and this case had not committed to that."),
        Outcome::Verdict(verdict) if case.stage.is_end() => {
            format!("The case ended at {since} with the verdict {verdict}; nothing was done to the key.")
        }
        Outcome::Verdict(verdict) => format!("The verdict is {verdict} since {since}; nothing is done to the key."),
        Outcome::Open => format!("The case is under way: {} since {since}.", case.stage.as_str()),
    }
}

fn restored_at(entries: &[Entry]) -> Option<Timestamp> {
    entries.iter().rev().find(|entry| matches!(entry.fact, Fact::Rescued | Fact::Returned)).map(|entry| entry.at)
}

fn foreign(entries: &[Entry]) -> String {
    let change = entries.iter().rev().find_map(|entry| match &entry.fact {
        Fact::ForeignChange { change, found } => Some((change, found)),
        _ => None,
    });
    match change {
        Some((Some(change), _)) => {
            format!("`{}` called {} at {}.", change.principal, change.operation, words::moment(change.at))
        }
        Some((None, found)) => format!("{found}."),
        None => "nobody knows who.".to_owned(),
    }
}

/// The only sentence that says what was not seen, with its limits in the same breath.
fn evidence(assessment: &Assessment, seen: Option<&Observation>) -> String {
    let mut sources: BTreeSet<&str> =
        seen.into_iter().flat_map(|seen| &seen.sources).map(|source| source.source.as_str()).collect();
    if !assessment.coverage.bounded.is_empty() {
        sources.insert("GetKeyLastUsage");
    }
    let sources = match sources.len() {
        0 => "no source".to_owned(),
        _ => sources.into_iter().collect::<Vec<_>>().join(" and "),
    };
    let missing = &assessment.coverage.missing;
    let blind = match missing.as_slice() {
        [] => "none within that time".to_owned(),
        spans => spans.iter().map(|span| words::span(*span)).collect::<Vec<_>>().join("; "),
    };
    let uses =
        seen.map_or(0, |seen| seen.usage.iter().filter(|row| row.class.is_use()).map(|row| row.count).sum::<u64>());
    let from_to =
        format!("from {} to {}", words::day(assessment.lookback.since), words::moment(assessment.lookback.until));
    let found = if uses == 0 { format!("no use seen {from_to}") } else { format!("{uses} uses seen {from_to}") };
    let (at, verdict) = (words::moment(assessment.at), assessment.verdict);
    format!("The last assessment, of {at}, said {verdict}: {found} in {sources}; blind spots: {blind}.")
}

fn identity(opening: &Opening, seen: Option<&Observation>) -> Vec<(&'static str, String)> {
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

fn said(entry: &Entry) -> Option<Said> {
    let (by, what, words) = match &entry.fact {
        Fact::Opened(opening) => {
            let what = match &opening.intent {
                Intent::Retire => "opened the case, to retire the key".to_owned(),
                Intent::Shred { targets } => {
                    format!("opened the case, to shred what {} need the key for", targets.join(", "))
                }
            };
            (&opening.by, what, opening.reason.clone())
        }
        Fact::Approved { step, plan, by } => {
            let what = match step {
                Step::Disable => "approved disabling the key",
                Step::Delete => "approved scheduling its deletion",
                Step::Commit => "approved letting the deletion happen",
            };
            (by, what.to_owned(), format!("plan `{plan}`"))
        }
        Fact::Waived(waived) => {
            let whom = waived.subject.as_ref().map(|subject| format!(" for {subject}")).unwrap_or_default();
            let what = format!("accepted {}{whom} until {}", waived.finding, words::moment(waived.until));
            (&waived.by, what, waived.reason.clone())
        }
        Fact::Held { by, reason } => (by, "held the case".to_owned(), reason.clone()),
        Fact::Resumed { by, reason } => (by, "resumed the case".to_owned(), reason.clone()),
        Fact::Abandoned { by, reason } => (by, "abandoned the case".to_owned(), reason.clone()),
        Fact::RescueStarted { because: Reason::Asked { by } } => {
            (by, "asked for the key back".to_owned(), String::new())
        }
        Fact::Noted { by, text } => (by, "noted".to_owned(), text.clone()),
        _ => return None,
    };
    Some(Said { at: entry.at, by: by.clone(), what, words })
}

fn stages(entries: &[Entry], until: Timestamp) -> Vec<Stretch> {
    let mut stages: Vec<Stretch> = Vec::new();
    let mut case = Case::default();
    let mut before = Stage::Draft;
    for entry in entries {
        case.apply(entry);
        if case.stage != before {
            before = case.stage;
            if let Some(last) = stages.last_mut() {
                last.span.until = entry.at;
            }
            stages.push(Stretch { stage: case.stage.as_str(), span: Span::new(entry.at, until.max(entry.at)) });
        }
    }
    stages
}

fn verdict(entry: &Entry) -> Option<VerdictOf> {
    let Fact::Assessed(assessment) = &entry.fact else { return None };
    let coverage = &assessment.coverage;
    let whole = assessment.lookback.length().as_secs().max(1);
    let parts = [
        ("seen, with other keys' traffic around it", &coverage.supported),
        ("watched with probes", &coverage.watched),
        ("read, with nothing that confirms it", &coverage.assumed),
        ("bounded by GetKeyLastUsage", &coverage.bounded),
        ("not seen", &coverage.missing),
    ];
    let parts = parts.into_iter().filter(|(_, spans)| !spans.is_empty());
    let share = |spans: &[Span]| {
        let percent = length(spans).as_secs().saturating_mul(100) / whole;
        format!("{percent} %, {}", words::length(length(spans)))
    };
    Some(VerdictOf {
        at: entry.at,
        verdict: assessment.verdict.as_str(),
        lookback: assessment.lookback,
        coverage: parts.map(|(how, spans)| format!("{how}: {}", share(spans))).collect(),
        open: assessment.open().count(),
        evidence: assessment.evidence,
    })
}

fn findings(assessment: &Assessment) -> Vec<Found> {
    let found = assessment.findings.iter().map(|judged| Found {
        id: judged.finding.id(),
        severity: match judged.finding.severity() {
            Severity::Critical => "critical",
            Severity::High => "high",
            Severity::Medium => "medium",
            Severity::Low => "low",
            Severity::Info => "info",
        },
        what: judged.finding.what(),
        why: judged.finding.why(),
        remedy: judged.finding.remedy(),
        waived_by: judged.waived_by.clone(),
    });
    found.collect()
}

/// A row for each principal of each statement that allows something, and for each grant.
fn could(seen: &Observation) -> Vec<Could> {
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

fn dependents(seen: &Observation) -> Vec<Dependent> {
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

/// Every act but the probes, which are told of together.
fn actions(entries: &[Entry]) -> Vec<Acted> {
    let mut actions: Vec<Acted> = Vec::new();
    for entry in entries {
        match &entry.fact {
            Fact::Intended { action: Action::Probe { .. }, .. } => {}
            Fact::Intended { id, action, because, evidence } => actions.push(Acted {
                id: *id,
                at: entry.at,
                action: words::action(action),
                because: because.to_string(),
                result: "no result is known yet".to_owned(),
                request_id: None,
                evidence: *evidence,
            }),
            Fact::Done { id, result } => {
                if let Some(action) = actions.iter_mut().find(|action| action.id == *id) {
                    action.result = words::done(result);
                    action.request_id = match result {
                        Done::Answered { request_id, .. } | Done::ProbeSucceeded { request_id } => request_id.clone(),
                        Done::Observed { .. } | Done::Capsule { .. } => None,
                    };
                }
            }
            Fact::Failed { id, failure } => {
                if let Some(action) = actions.iter_mut().find(|action| action.id == *id) {
                    action.result = words::failure(failure);
                    if let procedure::Failure::Refused { request_id, .. } = failure {
                        action.request_id.clone_from(request_id);
                    }
                }
            }
            _ => {}
        }
    }
    actions
}

/// The attempts that the journal names, and those beside them in the evidence of what was done about them: each once, by time.
fn attempts(cases: &impl Cases, journal: &Journal, case: &Case) -> Vec<Tried> {
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
            let refused = attempt.error.as_ref().is_some_and(procedure::observation::EventError::is_key_state);
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

fn tried(attempt: &procedure::observation::Attempt) -> Tried {
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

fn probes(entries: &[Entry]) -> Vec<Probe> {
    let mut probes: Vec<(&String, Probe)> = Vec::new();
    for entry in entries {
        match &entry.fact {
            Fact::Intended { action: Action::Probe { probe }, .. } => {
                probes.push((probe, Probe { at: entry.at, back: None }));
            }
            Fact::ProbeSeen { probe, .. } => {
                if let Some((_, sent)) = probes.iter_mut().rev().find(|(id, _)| *id == probe) {
                    sent.back = sent.back.or(Some(entry.at));
                }
            }
            _ => {}
        }
    }
    probes.into_iter().map(|(_, probe)| probe).collect()
}

/// Blind from the last sight before it was noticed until the next probe came back.
fn watch(entries: &[Entry], probes: &[Probe], until: Timestamp) -> Watch {
    let took = probes.iter().filter_map(|probe| Some(probe.back?.duration_since(probe.at).as_secs()));
    let mut blind: Vec<Span> = Vec::new();
    let mut open = None;
    for entry in entries {
        match &entry.fact {
            Fact::WentBlind { since } => open = open.or(Some(*since)),
            Fact::ProbeSeen { .. } | Fact::Rescued | Fact::Returned | Fact::Closed { .. } => {
                blind.extend(open.take().map(|since| Span::new(since, entry.at)));
            }
            _ => {}
        }
    }
    blind.extend(open.map(|since| Span::new(since, until)));
    Watch {
        sent: probes.len(),
        back: probes.iter().filter(|probe| probe.back.is_some()).count(),
        slowest_seconds: took.max(),
        blind,
    }
}

fn sources(seen: &Observation) -> Vec<SourceOf> {
    let source = |source: &procedure::observation::SourceSeen| SourceOf {
        source: source.source.as_str(),
        account: source.account.clone(),
        region: source.region.to_string(),
        query: source.query.clone(),
        spans: source.spans.clone(),
        holes: source.holes.iter().map(|hole| (hole.span, hole.why.to_string())).collect(),
    };
    seen.sources.iter().map(source).collect()
}

/// What stays uncertain even after the end.
fn residual(case: &Case, seen: Option<&Observation>) -> Vec<String> {
    let mut residual = Vec::new();
    if matches!(case.stage, Stage::Committed | Stage::Deleted | Stage::Closed) {
        residual.push("A use in the last minutes before the deletion could not have been acted upon: events take minutes to arrive.".to_owned());
        residual.push(
            "Data keys that were unwrapped earlier go on working where they are cached, until they are needed again."
                .to_owned(),
        );
    }
    if let Some(Presence::Present(facts)) = seen.and_then(|seen| seen.key.seen()) {
        if facts.encrypts_in_public() {
            residual.push("Holders of the public key can go on encrypting outside KMS; nothing records it, and nothing decrypts it.".to_owned());
        }
        match facts.origin.as_str() {
            "EXTERNAL" => residual.push("The key material was imported: whoever kept a copy still has it.".to_owned()),
            "AWS_CLOUDHSM" => {
                residual.push("Copies of the key material may remain in backups of the CloudHSM cluster.".to_owned())
            }
            "EXTERNAL_KEY_STORE" => {
                residual.push("The key in the external key manager is not touched by any of this.".to_owned())
            }
            _ => {}
        }
    }
    residual
}

fn lines(journal: &Journal) -> Vec<Line> {
    let both = journal.entries().iter().zip(journal.hashes());
    let line = |(place, (entry, sha256)): (usize, (&Entry, &Digest))| Line {
        sequence: place + 1,
        at: entry.at,
        kind: words::kind(&entry.fact),
        sha256: *sha256,
    };
    both.enumerate().map(line).collect()
}

fn key_states(entries: &[Entry]) -> Vec<(Timestamp, KeyPhase)> {
    let mut phases = Vec::new();
    let mut intents: BTreeMap<u32, &Action> = BTreeMap::new();
    for entry in entries {
        let phase = match &entry.fact {
            Fact::Opened(_) => Some(KeyPhase::Enabled),
            Fact::Intended { id, action, .. } => {
                intents.insert(*id, action);
                None
            }
            Fact::Done { id, .. } => intents.get(id).and_then(|action| match action {
                Action::Disable | Action::Cancel => Some(KeyPhase::Disabled),
                Action::Schedule { .. } => Some(KeyPhase::Pending),
                Action::Enable => Some(KeyPhase::Enabled),
                Action::Probe { .. } | Action::WriteCapsule => None,
            }),
            Fact::Rescued | Fact::Returned => Some(KeyPhase::Enabled),
            Fact::Deleted | Fact::Lost { .. } => Some(KeyPhase::Gone),
            _ => None,
        };
        phases.extend(
            phase.filter(|phase| phases.last().is_none_or(|(_, last)| last != phase)).map(|phase| (entry.at, phase)),
        );
    }
    phases
}

fn deletion_date(entries: &[Entry]) -> Option<Timestamp> {
    entries.iter().rev().find_map(|entry| match &entry.fact {
        Fact::Done { result: Done::Answered { deletion_date, .. } | Done::Observed { deletion_date }, .. } => {
            *deletion_date
        }
        _ => None,
    })
}

impl Story {
    /// The time that the case has taken so far.
    pub(super) fn span(&self) -> Span {
        let until = self.ended_at.unwrap_or(self.made_at);
        Span::new(self.opened_at, until.max(after(self.opened_at, jiff::SignedDuration::from_mins(1))))
    }
}
