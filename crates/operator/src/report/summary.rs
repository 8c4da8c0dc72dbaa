//! The sentences that a report begins and ends with. Their words are chosen with care: none calls a key unneeded.

use std::collections::BTreeSet;

use api::Timestamp;
use procedure::{Assessment, Case, Entry, Fact, Observation, Outcome, Presence, Stage};

use super::story::Watch;
use super::words;

pub(super) fn summary(case: &Case, entries: &[Entry], seen: Option<&Observation>, watch: &Watch) -> Vec<String> {
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

pub(super) fn ending(case: &Case, entries: &[Entry]) -> String {
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

pub(super) fn restored_at(entries: &[Entry]) -> Option<Timestamp> {
    entries.iter().rev().find(|entry| matches!(entry.fact, Fact::Rescued | Fact::Returned)).map(|entry| entry.at)
}

pub(super) fn foreign(entries: &[Entry]) -> String {
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
pub(super) fn evidence(assessment: &Assessment, seen: Option<&Observation>) -> String {
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

/// What stays uncertain even after the end.
pub(super) fn residual(case: &Case, seen: Option<&Observation>) -> Vec<String> {
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
