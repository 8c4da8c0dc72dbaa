//! The verdict on a key: what was found, how far it was seen, and what was not looked at.

use api::{KeyArn, Timestamp};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::finding::{Finding, Verdict};
use crate::journal::{Intent, Waived};
use crate::observation::{KeyState, Observation};
use crate::plan::Step;
use crate::profile::Profile;
use crate::span::Span;
use crate::text;

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
pub fn assess(_seen: &Observation, _terms: &Terms) -> Assessment {
    unimplemented!("being written")
}
