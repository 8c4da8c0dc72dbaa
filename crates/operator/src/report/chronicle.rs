//! What a report takes from the journal: who said what, stages, verdicts, acts, probes, in the order of time.

use std::collections::BTreeMap;

use api::Timestamp;
use procedure::span::length;
use procedure::{
    Action, Assessment, Case, Digest, Done, Entry, Fact, Failure, Intent, Reason, Severity, Span, Stage, Step,
};

use super::story::{Acted, Found, KeyPhase, Line, Probe, Said, Stretch, VerdictOf, Watch};
use super::words;
use crate::cases::Journal;

pub(super) fn said(entry: &Entry) -> Option<Said> {
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

pub(super) fn stages(entries: &[Entry], until: Timestamp) -> Vec<Stretch> {
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

pub(super) fn verdict(entry: &Entry) -> Option<VerdictOf> {
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

pub(super) fn findings(assessment: &Assessment) -> Vec<Found> {
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

/// Every act but the probes, which are told of together.
pub(super) fn actions(entries: &[Entry]) -> Vec<Acted> {
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
                    if let Failure::Refused { request_id, .. } = failure {
                        action.request_id.clone_from(request_id);
                    }
                }
            }
            _ => {}
        }
    }
    actions
}

pub(super) fn probes(entries: &[Entry]) -> Vec<Probe> {
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
pub(super) fn watch(entries: &[Entry], probes: &[Probe], until: Timestamp) -> Watch {
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

pub(super) fn lines(journal: &Journal) -> Vec<Line> {
    let both = journal.entries().iter().zip(journal.hashes());
    let line = |(place, (entry, sha256)): (usize, (&Entry, &Digest))| Line {
        sequence: place + 1,
        at: entry.at,
        kind: words::kind(&entry.fact),
        sha256: *sha256,
    };
    both.enumerate().map(line).collect()
}

pub(super) fn key_states(entries: &[Entry]) -> Vec<(Timestamp, KeyPhase)> {
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

pub(super) fn deletion_date(entries: &[Entry]) -> Option<Timestamp> {
    entries.iter().rev().find_map(|entry| match &entry.fact {
        Fact::Done { result: Done::Answered { deletion_date, .. } | Done::Observed { deletion_date }, .. } => {
            *deletion_date
        }
        _ => None,
    })
}
