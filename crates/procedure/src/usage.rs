//! What counts as a use of the key, for a verdict and for the watch alike.

use api::Timestamp;
use jiff::SignedDuration;

use crate::assess::Terms;
use crate::case::Own;
use crate::journal::Intent;
use crate::observation::{Attempt, EventError, LastUse, Observation, UsageRow};
use crate::span::{HOUR, after, before};
use api::Class;

/// What one call, or a row of calls, says about the need for the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Somebody used it, or wanted to.
    Use,
    /// Somebody wanted to, and was refused because the key is disabled or pending.
    Attempt,
    /// Somebody was refused who perhaps needs it.
    Suspect,
    /// None.
    No,
}

/// Reads one call.
///
/// A public key that is asked of a disabled key is an attempt too: whoever asks wants to use it (procedure.md 6.6.6).
pub(crate) fn need(class: Class, error: Option<&EventError>) -> Need {
    match error {
        None if class.is_use() => Need::Use,
        None => Need::No,
        Some(_) if !class.is_use() && class != Class::Export => Need::No,
        Some(error) if error.is_no_use() => Need::No,
        Some(error) if error.is_suspect() => Need::Suspect,
        Some(error) if error.is_key_state() => Need::Attempt,
        Some(_) if class == Class::Export => Need::No,
        Some(_) => Need::Use,
    }
}

/// Whether losing this is what the case is for.
pub(crate) fn is_target(intent: &Intent, principal: &str, dependents: &[String]) -> bool {
    match intent {
        Intent::Retire => false,
        Intent::Shred { targets } => {
            let listed = |name: &str| targets.iter().any(|target| target == name);
            listed(principal) || (!dependents.is_empty() && dependents.iter().all(|dependent| listed(dependent)))
        }
    }
}

/// A use that was seen, in few words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sighting {
    pub(crate) principal: String,
    pub(crate) operation: String,
    pub(crate) at: Timestamp,
    pub(crate) event_id: Option<String>,
}

/// The latest use, by anybody but us and what is listed or waived, at or after `since`: in attempts or in usage rows.
pub(crate) fn latest_use(seen: &Observation, terms: &Terms, own: &Own, since: Timestamp) -> Option<Sighting> {
    let attempts = seen.attempts.iter().filter(|attempt| counts(attempt, seen, terms, own)).map(|attempt| Sighting {
        principal: attempt.principal.clone(),
        operation: attempt.operation.clone(),
        at: attempt.at,
        event_id: Some(attempt.event_id.clone()),
    });
    let rows = seen.usage.iter().filter(|row| row_counts(row, seen, terms)).map(|row| Sighting {
        principal: row.principal.clone(),
        operation: row.operation.clone(),
        at: row.last,
        event_id: row.samples.last().cloned(),
    });
    attempts.chain(rows).filter(|sighting| sighting.at >= since).max_by(|one, other| {
        (one.at, &one.principal, &one.event_id).cmp(&(other.at, &other.principal, &other.event_id))
    })
}

/// The last use by GetKeyLastUsage, where it lies at or after `since` and is not that of something whose loss is meant.
pub(crate) fn late_last_usage<'a>(seen: &'a Observation, terms: &Terms, since: Timestamp) -> Option<&'a LastUse> {
    let last = seen.last_usage.seen()?.last.as_ref().filter(|last| last.at >= since)?;
    let meant = |row: &&UsageRow| is_target(&terms.intent, &row.principal, &row.dependents);
    (!seen.usage.iter().filter(meant).any(|row| explains(row, last))).then_some(last)
}

/// A use that last usage knows shows in the events within this time of it.
pub(crate) const SAME_EVENT: SignedDuration = HOUR;

/// Whether the last use is one of the row's.
pub(crate) fn explains(row: &UsageRow, last: &LastUse) -> bool {
    row.error.is_none() && before(row.first, SAME_EVENT) <= last.at && last.at <= after(row.last, SAME_EVENT)
}

/// The latest refusal, at or after `since`, of a principal that is known to have used the key.
pub(crate) fn latest_suspect(seen: &Observation, terms: &Terms, since: Timestamp) -> Option<Sighting> {
    let refused = |class, error: Option<&EventError>, principal: &str| {
        need(class, error) == Need::Suspect
            && had_access(seen, principal)
            && !terms.waives("F-SUSPECT", Some(principal), seen.at)
    };
    seen.attempts
        .iter()
        .filter(|attempt| attempt.at >= since)
        .filter(|attempt| refused(attempt.class, attempt.error.as_ref(), &attempt.principal))
        .max_by_key(|attempt| (attempt.at, &attempt.event_id))
        .map(|attempt| Sighting {
            principal: attempt.principal.clone(),
            operation: attempt.operation.clone(),
            at: attempt.at,
            event_id: Some(attempt.event_id.clone()),
        })
}

/// Whether events show that the principal used the key successfully.
pub(crate) fn had_access(seen: &Observation, principal: &str) -> bool {
    seen.usage.iter().any(|row| row.principal == principal && row.error.is_none() && row.class.is_use())
}

fn counts(attempt: &Attempt, seen: &Observation, terms: &Terms, own: &Own) -> bool {
    !own.is_attempt(attempt, &seen.operator)
        && !is_target(&terms.intent, &attempt.principal, &attempt.dependents)
        && is_open_need(need(attempt.class, attempt.error.as_ref()), &attempt.principal, seen, terms)
}

/// Whether a row is use, by somebody that is neither listed nor waived.
pub(crate) fn row_counts(row: &UsageRow, seen: &Observation, terms: &Terms) -> bool {
    !is_target(&terms.intent, &row.principal, &row.dependents)
        && is_open_need(need(row.class, row.error.as_ref()), &row.principal, seen, terms)
}

fn is_open_need(need: Need, principal: &str, seen: &Observation, terms: &Terms) -> bool {
    match need {
        Need::Use => true,
        Need::Attempt => !terms.waives("F-ATTEMPT", Some(principal), seen.at),
        Need::Suspect | Need::No => false,
    }
}
