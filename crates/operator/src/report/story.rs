//! What a report says, read off the journal and the evidence: pure data, each part with its own type.

use api::{Class, Timestamp};
use policy::RESCUE;
use procedure::observation::UsageRow;
use procedure::span::after;
use procedure::{Case, Digest, Opening, Outcome, Span};
use serde::Serialize;

use super::{chronicle, evidence, summary};
use crate::cases::{Cases, Journal};
use crate::commands::outcome_word;

/// Most rows of a table that can grow with the world; the rest is counted. (Ours.)
pub(super) const MAX_ROWS: usize = 200;

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
pub(super) type Counts = fn(&str, Class) -> bool;

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
        let seen = evidence::last_evidence(cases, journal);
        let ended_at = case.stage.is_end().then_some(case.stage_since);
        let until = ended_at.unwrap_or(now);
        let mut left_out = 0;
        let mut short = |rows: usize| left_out += rows.saturating_sub(MAX_ROWS);
        let mut did = seen.as_ref().map(|seen| seen.usage.clone()).unwrap_or_default();
        short(did.len());
        did.sort_by_key(|row| std::cmp::Reverse(row.last));
        did.truncate(MAX_ROWS);
        let mut dependents = seen.as_ref().map(evidence::dependents).unwrap_or_default();
        short(dependents.len());
        dependents.truncate(MAX_ROWS);
        let probes = chronicle::probes(entries);
        let watch = chronicle::watch(entries, &probes, until);
        let assessment = case.assessment.as_ref();
        Story {
            made_at: now,
            case: journal.case().to_string(),
            opened_at: entries.first().map_or(now, |entry| entry.at),
            stage: case.stage.as_str(),
            outcome: outcome_word(case.outcome()),
            ended_at,
            summary: summary::summary(case, entries, seen.as_ref(), &watch),
            identity: evidence::identity(&opening, seen.as_ref()),
            people: entries.iter().filter_map(chronicle::said).collect(),
            stages: chronicle::stages(entries, until),
            verdicts: entries.iter().filter_map(chronicle::verdict).collect(),
            findings: assessment.map(chronicle::findings).unwrap_or_default(),
            could: seen.as_ref().map(evidence::could).unwrap_or_default(),
            scope: assessment.map(|assessment| assessment.scope.clone()).unwrap_or_default(),
            did,
            dependents,
            actions: chronicle::actions(entries),
            attempts: evidence::attempts(cases, journal, case),
            watch,
            sources: seen.as_ref().map(evidence::sources).unwrap_or_default(),
            not_looked_at: assessment.map(|assessment| assessment.not_looked_at.clone()).unwrap_or_default(),
            residual: summary::residual(case, seen.as_ref()),
            journal: chronicle::lines(journal),
            head: journal.head(),
            strays: case.strays.len(),
            left_out,
            key_states: chronicle::key_states(entries),
            probes,
            deletion_date: chronicle::deletion_date(entries),
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

impl Story {
    /// The time that the case has taken so far.
    pub(super) fn span(&self) -> Span {
        let until = self.ended_at.unwrap_or(self.made_at);
        Span::new(self.opened_at, until.max(after(self.opened_at, jiff::SignedDuration::from_mins(1))))
    }
}
