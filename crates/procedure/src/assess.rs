//! The verdict on a key: what was found, how far it was seen, and what was not looked at.

use std::collections::{BTreeMap, BTreeSet};

use api::{KeyArn, Timestamp};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::cadence::cadence;
use crate::coverage::{Cover, EDGE, cover, percent};
use crate::digest::Digest;
use crate::finding::{Finding, GapReason, Verdict, Waiver, Weight};
use crate::journal::{Intent, Waived};
use crate::observation::{Gap, KeyFacts, KeyState, Observation, Presence, Seen, UsageRow};
use crate::plan::Step;
use crate::profile::Profile;
use crate::scope::scope;
use crate::span::{Span, after, before, length, union};
use crate::text;
use crate::usage::{Need, SAME_EVENT, explains, had_access, is_target, late_last_usage, need, row_counts};

/// By which rules to judge an observation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The numbers.
    pub profile: Profile,
    /// What the case is for.
    pub intent: Intent,
    /// What humans accept.
    pub waivers: Vec<Waived>,
    /// Since when the key has been disabled by this case: from there on probes show what could be seen, and the soak counts it.
    pub watched_since: Option<Timestamp>,
    /// Time that earlier assessments of this case found covered by events; uses in it were judged then.
    pub earlier: Coverage,
    /// When AWS last refused an act of this case.
    pub refused_at: Option<Timestamp>,
}

impl Terms {
    /// The terms of a look without a case: nothing waived, nothing known from before.
    pub fn of(profile: Profile) -> Terms {
        Terms {
            profile,
            intent: Intent::Retire,
            waivers: Vec::new(),
            watched_since: None,
            earlier: Coverage::default(),
            refused_at: None,
        }
    }
}

/// What an observation comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assessment {
    /// When the observation was made.
    pub at: Timestamp,
    /// Until when it may be acted upon.
    pub valid_until: Timestamp,
    /// The key.
    #[serde(with = "text")]
    pub key: KeyArn,
    /// The answer.
    pub verdict: Verdict,
    /// What was found, gravest first.
    pub findings: Vec<Judged>,
    /// The look-back: what had to be seen.
    pub lookback: Span,
    /// How much of it was seen, and how well.
    pub coverage: Coverage,
    /// Who could use the key, in words; the evaluator's answer, one line each.
    pub scope: Vec<String>,
    /// What was not looked at: always said, whatever the verdict.
    pub not_looked_at: Vec<String>,
    /// The key's state, where it was seen.
    pub state: Option<KeyState>,
    /// How long the soak must be.
    pub soak: Soak,
    /// The waiting period to ask for, in days.
    pub window_days: u8,
    /// What the approval is bound to.
    pub baseline: Baseline,
    /// Digest of the observation.
    pub evidence: Digest,
}

impl Assessment {
    /// The hash of the plan to take `step` on the ground of this assessment: an approval names it.
    pub fn plan_hash(&self, step: Step) -> Digest {
        Digest::of_value(&(
            self.key.to_string(),
            step,
            self.window_days,
            self.verdict,
            self.state.map(|state| state.as_str()),
            &self.baseline,
            self.findings
                .iter()
                .filter(|judged| judged.waived_by.is_some())
                .map(|j| j.finding.id())
                .collect::<Vec<_>>(),
        ))
    }

    /// The findings that stand open.
    pub fn open(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|judged| judged.waived_by.is_none()).map(|judged| &judged.finding)
    }
}

/// A finding, and whether a human accepts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// What was found.
    pub finding: Finding,
    /// Who accepts it, where a waiver holds.
    pub waived_by: Option<String>,
}

/// How much of the look-back was seen: disjoint parts, together the look-back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Coverage {
    /// Seen by an event source, with other keys' traffic around it.
    pub supported: Vec<Span>,
    /// Watched by this case with probes.
    pub watched: Vec<Span>,
    /// Read from an event source, with nothing that confirms it.
    pub assumed: Vec<Span>,
    /// Not seen by events, but GetKeyLastUsage shows that nothing succeeded in it.
    pub bounded: Vec<Span>,
    /// Not seen.
    pub missing: Vec<Span>,
}

/// How long the soak must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Soak {
    /// The least seen time.
    pub least: SignedDuration,
    /// Not over before this, because a use is due until then.
    pub not_before: Option<Timestamp>,
}

/// Digests of what an approval is bound to: when one changes, the approval is stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// The key policies, by name; `None` where they could not be read.
    pub policies: Option<Digest>,
    /// The grants.
    pub grants: Option<Digest>,
    /// The resources that events name as dependents.
    pub dependents: Digest,
}

/// Judges an observation.
///
/// # Guarantees
/// - `QUIET` only where the key, its policies, grants and last usage were seen, the quiet window was seen by events without a hole, the
///   rest of the look-back by events or bounded by last usage, and nothing in all of it counts as use; or where a human with the right
///   to do so waived what was missing.
/// - The answer depends on nothing but the arguments.
///
/// # Assumptions
/// - Usage rows hold none of our own calls; `attempts` may.
/// - A source whose span covers a time holds all events of its account and Region in that time, holes apart.
pub fn assess(seen: &Observation, terms: &Terms) -> Assessment {
    let scope = scope(seen);
    let mut found = scope.findings;
    let facts = present(seen, terms, &mut found);
    let quiet_since = before(seen.at, terms.profile.quiet);
    let lookback = lookback(seen, terms, facts);
    let cover = own_coverage(seen, terms, lookback);

    uses(seen, terms, quiet_since, &mut found);
    cadences(seen, terms, lookback, quiet_since, &cover, &mut found);
    last_usage(seen, terms, lookback, quiet_since, &mut found);
    gaps(seen, terms, lookback, &cover, &mut found);
    public_keys(seen, facts, &mut found);
    aliases(seen, &mut found);
    surroundings(seen, terms, facts, &mut found);
    found.retain(|finding| !is_covered_abroad(finding, seen, terms));

    let foreign = found.iter().any(|finding| matches!(finding, Finding::ForeignAccount { .. }));
    let findings = judged(found, seen, terms);
    Assessment {
        at: seen.at,
        valid_until: after(seen.at, terms.profile.evidence_ttl),
        key: seen.arn,
        verdict: verdict(&findings),
        lookback,
        coverage: cover.coverage,
        scope: scope.lines,
        not_looked_at: not_looked_at(seen),
        state: facts.map(|facts| facts.state),
        soak: soak(terms, &findings),
        window_days: if foreign { terms.profile.window_days.max(FOREIGN_WINDOW) } else { terms.profile.window_days },
        baseline: baseline(seen, terms),
        findings,
        evidence: seen.digest(),
    }
}

/// Waiting period where other accounts may use the key: their people have to hear of it. Source: procedure.md 6.7.2.
const FOREIGN_WINDOW: u8 = 21;

impl Terms {
    /// Whether a waiver for the finding, and for this subject of it, holds at `at`.
    ///
    /// F-ATTEMPT is waived for one principal at a time: whoever may call could otherwise hide behind the first waiver.
    pub(crate) fn waives(&self, finding: &str, subject: Option<&str>, at: Timestamp) -> bool {
        self.waiver(finding, subject, at).is_some()
    }

    fn waiver(&self, finding: &str, subject: Option<&str>, at: Timestamp) -> Option<&Waived> {
        self.waivers.iter().find(|waived| {
            let whom = match waived.subject.as_deref() {
                Some(named) => subject == Some(named),
                None => finding != "F-ATTEMPT",
            };
            waived.finding == finding && whom && at < waived.until
        })
    }
}

/// The first that fits. Source: procedure.md 6.5.8.
fn verdict(findings: &[Judged]) -> Verdict {
    let heaviest =
        findings.iter().filter(|judged| judged.waived_by.is_none()).map(|judged| judged.finding.weight()).max();
    match heaviest {
        Some(Weight::Blocks) => Verdict::Blocked,
        Some(Weight::Used) => Verdict::InUse,
        Some(Weight::Unclear) => Verdict::Inconclusive,
        Some(Weight::Note) | None => Verdict::Quiet,
    }
}

/// Sorts, and marks what is waived.
fn judged(mut found: Vec<Finding>, seen: &Observation, terms: &Terms) -> Vec<Judged> {
    found.sort_by_cached_key(|finding| {
        (std::cmp::Reverse((finding.weight(), finding.severity())), finding.id(), finding.what())
    });
    found.dedup();
    let waived_by = |finding: &Finding| match finding.waivable() {
        Waiver::Nobody => None,
        Waiver::Owner | Waiver::Security => {
            terms.waiver(finding.id(), finding.subject(), seen.at).map(|waived| waived.by.clone())
        }
    };
    found.into_iter().map(|finding| Judged { waived_by: waived_by(&finding), finding }).collect()
}

/// What DescribeKey says, and what its not saying it comes to.
fn present<'a>(seen: &'a Observation, terms: &Terms, found: &mut Vec<Finding>) -> Option<&'a KeyFacts> {
    let facts = match &seen.key {
        Seen::Unknown(why) => {
            found.push(Finding::Unreadable { what: "key".to_owned(), why: why.clone() });
            return None;
        }
        Seen::Seen(Presence::Gone) => {
            found.push(Finding::Gone);
            return None;
        }
        Seen::Seen(Presence::Present(facts)) => facts,
    };
    if !facts.customer_managed {
        found.push(Finding::NotCustomerManaged);
    }
    match facts.state {
        KeyState::Enabled | KeyState::Disabled => {}
        KeyState::PendingDeletion { .. } if terms.watched_since.is_some() => {}
        KeyState::PendingDeletion { deletion_date } => found.push(Finding::AlreadyPending { deletion_date }),
        state @ (KeyState::Creating
        | KeyState::PendingImport
        | KeyState::PendingReplicaDeletion
        | KeyState::Unavailable
        | KeyState::Updating) => found.push(Finding::State { state }),
    }
    Some(facts)
}

/// What has to be seen: as far back as the profile asks, or since the key was made.
fn lookback(seen: &Observation, terms: &Terms, facts: Option<&KeyFacts>) -> Span {
    let asked = before(seen.at, terms.profile.lookback);
    Span::new(facts.map_or(asked, |facts| facts.created.max(asked)), seen.at)
}

fn own_coverage(seen: &Observation, terms: &Terms, lookback: Span) -> Cover {
    let account = seen.arn.account.to_string();
    cover(seen, &account, lookback, terms.profile.quiet, seen.last_usage.seen(), terms)
}

/// F-USE-*, F-ATTEMPT, F-SUSPECT, from rows and single events within the quiet window.
fn uses(seen: &Observation, terms: &Terms, quiet_since: Timestamp, found: &mut Vec<Finding>) {
    for row in seen.usage.iter().filter(|row| row.last >= quiet_since) {
        if is_target(&terms.intent, &row.principal, &row.dependents) {
            continue;
        }
        match need(row.class, row.error.as_ref()) {
            Need::Use => found.push(Finding::Use {
                class: row.class,
                principal: row.principal.clone(),
                operation: row.operation.clone(),
                error: row.error.clone(),
                dependents: row.dependents.clone(),
                count: row.count,
                first: row.first,
                last: row.last,
            }),
            Need::Attempt => found.push(Finding::Attempt {
                principal: row.principal.clone(),
                operation: row.operation.clone(),
                last: row.last,
                count: row.count,
            }),
            Need::Suspect if had_access(seen, &row.principal) => found.push(Finding::Suspect {
                principal: row.principal.clone(),
                operation: row.operation.clone(),
                last: row.last,
            }),
            Need::Suspect | Need::No => {}
        }
    }
}

/// F-CADENCE: callers that used the key within the look-back, and not lately.
fn cadences(
    seen: &Observation,
    terms: &Terms,
    lookback: Span,
    quiet_since: Timestamp,
    cover: &Cover,
    found: &mut Vec<Finding>,
) {
    let mut callers: BTreeMap<&str, Vec<&UsageRow>> = BTreeMap::new();
    for row in seen.usage.iter().filter(|row| row_counts(row, seen, terms)) {
        callers.entry(&row.principal).or_default().push(row);
    }
    for (principal, rows) in callers {
        let last = rows.iter().map(|row| row.last).max();
        if last.is_some_and(|last| lookback.since <= last && last < quiet_since) {
            found.extend(cadence(principal, &rows, seen.at, terms.profile.soak_max));
        }
    }
    // A last use that no event tells of: by whom, and how often before, nobody knows.
    let Some(last) = seen.last_usage.seen().and_then(|usage| usage.last.as_ref()) else { return };
    let told = cover.coverage.events().iter().any(|span| span.contains(last.at));
    if lookback.contains(last.at) && last.at < quiet_since && !told {
        found.push(Finding::Cadence { principal: None, last: last.at, gap: None, due: None });
    }
}

/// F-LASTUSE and F-LASTUSE-HORIZON, and events that are missing although last usage knows of them.
fn last_usage(seen: &Observation, terms: &Terms, lookback: Span, quiet_since: Timestamp, found: &mut Vec<Finding>) {
    let usage = match &seen.last_usage {
        Seen::Seen(usage) => usage,
        Seen::Unknown(why) => {
            return found.push(Finding::Unreadable { what: "last usage".to_owned(), why: why.clone() });
        }
    };
    if usage.tracking_start > lookback.since {
        found.push(Finding::LastUseHorizon { tracking_start: usage.tracking_start });
    }
    let Some(last) = &usage.last else { return };
    if let Some(last) = late_last_usage(seen, terms, quiet_since) {
        found.push(Finding::LastUse { at: last.at, operation: last.operation.clone() });
    }
    // The proof of sight turned round: a source that read this hour should have held this event.
    let hour = Span::new(before(last.at, SAME_EVENT), after(last.at, SAME_EVENT));
    for source in seen.sources.iter().filter(|source| source.account == seen.arn.account.to_string()) {
        let read = source.region == seen.arn.region && source.spans.iter().any(|span| span.overlap(hour) == hour);
        if read && lookback.contains(last.at) && !seen.usage.iter().any(|row| explains(row, last)) {
            found.push(Finding::CoverageGap { span: hour, why: GapReason::Missed { source: source.source } });
        }
    }
}

/// F-LOOKBACK, F-COV-GAP, F-COV-ASSUMED.
fn gaps(seen: &Observation, terms: &Terms, lookback: Span, cover: &Cover, found: &mut Vec<Finding>) {
    let account = seen.arn.account.to_string();
    let asked = seen.sources.iter().any(|source| source.account == account && source.region == seen.arn.region);
    if !asked {
        found.push(Finding::Unreadable { what: "events".to_owned(), why: Gap::NotAsked });
    }
    for missing in &cover.coverage.missing {
        if cover.reach.is_none_or(|reach| missing.until <= after(reach, EDGE)) {
            found.push(Finding::Lookback { missing: *missing, required: terms.profile.lookback });
            continue;
        }
        let why = cover.reasons.iter().find(|(span, _)| !span.overlap(*missing).is_empty());
        let why = why.map_or(GapReason::NotAsked, |(_, why)| why.clone());
        found.push(Finding::CoverageGap { span: *missing, why });
    }
    let percent = percent(length(&cover.coverage.assumed), lookback.length());
    let allowed = terms.profile.assumed_percent;
    if percent > allowed {
        found.push(Finding::CoverageAssumed { percent, allowed });
    }
}

/// F-PUBKEY-OUT.
fn public_keys(seen: &Observation, facts: Option<&KeyFacts>, found: &mut Vec<Finding>) {
    if !facts.is_some_and(KeyFacts::encrypts_in_public) {
        return;
    }
    for row in seen.usage.iter().filter(|row| row.operation == "GetPublicKey" && row.error.is_none()) {
        found.push(Finding::PublicKeyOut { principal: row.principal.clone(), last: row.last });
    }
}

/// F-ALIAS-MOVED.
fn aliases(seen: &Observation, found: &mut Vec<Finding>) {
    for change in
        seen.changes.iter().filter(|change| matches!(change.operation.as_str(), "UpdateAlias" | "DeleteAlias"))
    {
        found.push(Finding::AliasMoved {
            principal: change.principal.clone(),
            at: change.at,
            operation: change.operation.clone(),
        });
    }
}

/// F-SELF-BLIND, F-MRK-SIBLING, F-RACE-USE, F-CLOCK.
fn surroundings(seen: &Observation, terms: &Terms, facts: Option<&KeyFacts>, found: &mut Vec<Finding>) {
    let arn = seen.arn.to_string();
    if seen.evidence_keys.seen().is_some_and(|keys| keys.contains(&arn)) {
        found.push(Finding::SelfBlind);
    }
    for member in facts.iter().flat_map(|facts| &facts.family).filter(|member| **member != arn) {
        let verdict = seen.siblings.iter().find(|sibling| sibling.arn == *member).and_then(|sibling| sibling.verdict);
        if verdict != Some(Verdict::Quiet) {
            found.push(Finding::Sibling { arn: member.clone(), verdict });
        }
    }
    if let Some(at) = terms.refused_at
        && seen.at < after(at, terms.profile.evidence_ttl)
    {
        found.push(Finding::RaceUse { at });
    }
    match &seen.clock_skew {
        Seen::Seen(skew) if skew.abs() <= terms.profile.clock_skew_max => {}
        Seen::Seen(skew) => found.push(Finding::Clock { skew: Some(*skew) }),
        Seen::Unknown(_) => found.push(Finding::Clock { skew: None }),
    }
}

/// Whether events of the foreign account itself were seen over the quiet window: then its denied calls would have shown.
fn is_covered_abroad(finding: &Finding, seen: &Observation, terms: &Terms) -> bool {
    let Finding::ForeignAccount { account, .. } = finding else { return false };
    let window = Span::new(before(seen.at, terms.profile.quiet), seen.at);
    let alone = Terms { watched_since: None, earlier: Coverage::default(), ..terms.clone() };
    let cover = cover(seen, account, window, terms.profile.quiet, None, &alone);
    let unconfirmed = percent(length(&cover.coverage.assumed), window.length());
    cover.coverage.missing.is_empty() && unconfirmed <= terms.profile.assumed_percent
}

/// The soak this evidence asks for. Source: procedure.md 6.5.4.
fn soak(terms: &Terms, findings: &[Judged]) -> Soak {
    let dues = findings.iter().filter_map(|judged| match judged.finding {
        Finding::Cadence { due, .. } => due,
        _ => None,
    });
    Soak { least: terms.profile.soak_min, not_before: dues.max() }
}

fn baseline(seen: &Observation, terms: &Terms) -> Baseline {
    let quiet_since = before(seen.at, terms.profile.quiet);
    // Older rows leave the sources with time; an approval must not go stale by that.
    let lately = seen.usage.iter().filter(|row| row.last >= quiet_since);
    let dependents: BTreeSet<&String> = lately.flat_map(|row| &row.dependents).collect();
    Baseline {
        policies: policies_digest(seen),
        grants: seen.grants.seen().map(Digest::of_value),
        dependents: Digest::of_value(&(seen.aliases.seen(), dependents)),
    }
}

/// What the key's policies are, for comparing; `None` where they could not be read.
pub(crate) fn policies_digest(seen: &Observation) -> Option<Digest> {
    seen.policies.seen().map(Digest::of_value)
}

/// What this procedure does not look at, and what this observation did not.
fn not_looked_at(seen: &Observation) -> Vec<String> {
    let account = seen.arn.account;
    let mut not = vec![
        format!(
            "IAM policies of account {account}: any identity that they allow is counted as able to use the key; events show the use of all of them"
        ),
        "inventories of AWS services: volumes, snapshots, backups and resources that name the key without calling it"
            .to_owned(),
        "ciphertext outside AWS services: files, repositories, backups, other people's disks".to_owned(),
        format!("events outside Region {} and the accounts listed under sources", seen.arn.region),
        "the last minutes before each look: events may still be under way".to_owned(),
        "a timer of AWS that would cancel the deletion if quietus stopped during the waiting period: none is installed"
            .to_owned(),
    ];
    if let Some(gap) = seen.evidence_keys.gap() {
        not.push(format!("which keys protect the trail: {gap}"));
    }
    if let Some(gap) = seen.aliases.gap() {
        not.push(format!("aliases: {gap}"));
    }
    if let Some(gap) = seen.tags.gap() {
        not.push(format!("tags: {gap}"));
    }
    not
}

impl Coverage {
    /// The time that event sources or probes saw, however well.
    pub(crate) fn events(&self) -> Vec<Span> {
        union(self.supported.iter().chain(&self.watched).chain(&self.assumed).copied())
    }
}
