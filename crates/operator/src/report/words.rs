//! Times, lengths and results in words, the same in every form of a report.

use api::Timestamp;
use jiff::SignedDuration;
use jiff::tz::Offset;
use procedure::{Action, Done, Fact, Failure, Span};

/// `2026-06-01 08:30 UTC`, and with seconds where there are any.
pub(super) fn moment(at: Timestamp) -> String {
    let civil = Offset::UTC.to_datetime(at);
    let seconds = if civil.second() == 0 { String::new() } else { format!(":{:02}", civil.second()) };
    format!("{} {:02}:{:02}{seconds} UTC", civil.date(), civil.hour(), civil.minute())
}

/// `2026-06-01`.
pub(super) fn day(at: Timestamp) -> String {
    Offset::UTC.to_datetime(at).date().to_string()
}

/// `30 days 4 hours`: the two largest units.
pub(super) fn length(length: SignedDuration) -> String {
    let seconds = length.as_secs().max(0);
    let units = [("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)];
    let mut parts = Vec::new();
    let mut rest = seconds;
    for (unit, size) in units {
        let count = rest / size;
        rest %= size;
        match count {
            0 if parts.is_empty() => continue,
            0 => break,
            1 => parts.push(format!("1 {unit}")),
            _ => parts.push(format!("{count} {unit}s")),
        }
        if parts.len() == 2 {
            break;
        }
    }
    if parts.is_empty() { "no time".to_owned() } else { parts.join(" ") }
}

/// `2026-06-01 08:30 UTC to 2026-06-02 08:30 UTC`.
pub(super) fn span(span: Span) -> String {
    format!("{} to {}", moment(span.since), moment(span.until))
}

/// An action as a person says it.
pub(super) fn action(action: &Action) -> String {
    match action {
        Action::WriteCapsule => "write the capsule".to_owned(),
        Action::Disable => "DisableKey".to_owned(),
        Action::Probe { .. } => "probe".to_owned(),
        Action::Schedule { window_days } => format!("ScheduleKeyDeletion, {window_days} days"),
        Action::Cancel => "CancelKeyDeletion".to_owned(),
        Action::Enable => "EnableKey".to_owned(),
    }
}

/// What came of an action.
pub(super) fn done(done: &Done) -> String {
    match done {
        Done::Answered { deletion_date: Some(date), .. } => format!("done; deletion date {}", moment(*date)),
        Done::Answered { deletion_date: None, .. } => "done".to_owned(),
        Done::Observed { .. } => "found done; its answer was lost".to_owned(),
        Done::Capsule { digest } => format!("kept, SHA-256 `{digest}`"),
        Done::ProbeSucceeded { .. } => "the probe was let through: the key could be used".to_owned(),
    }
}

/// How an action failed.
pub(super) fn failure(failure: &Failure) -> String {
    match failure {
        Failure::Refused { code, message, .. } => format!("refused with {code}: {message}"),
        Failure::Local { message } => format!("not tried: {message}"),
        Failure::NoEffect => "found to have had no effect".to_owned(),
    }
}

/// The kind of a journal entry, in a word or two.
pub(super) fn kind(fact: &Fact) -> String {
    match fact {
        Fact::Opened(_) => "opened".to_owned(),
        Fact::Assessed(assessment) => format!("assessed {}", assessment.verdict),
        Fact::Approved { step, .. } => format!("approved {}", step.as_str()),
        Fact::Waived(waived) => format!("waived {}", waived.finding),
        Fact::Intended { id, action, .. } => format!("intended {id}: {}", self::action(action)),
        Fact::Done { id, .. } => format!("done {id}"),
        Fact::Failed { id, .. } => format!("failed {id}"),
        Fact::ProbeSeen { .. } => "probe came back".to_owned(),
        Fact::WentBlind { .. } => "went blind".to_owned(),
        Fact::AttemptSeen(_) => "attempt seen".to_owned(),
        Fact::SoakPassed => "soak passed".to_owned(),
        Fact::LastLook => "last look".to_owned(),
        Fact::Committed => "committed".to_owned(),
        Fact::RescueStarted { .. } => "rescue started".to_owned(),
        Fact::Rescued => "rescued".to_owned(),
        Fact::ForeignChange { .. } => "changed by somebody else".to_owned(),
        Fact::Held { .. } => "held".to_owned(),
        Fact::Resumed { .. } => "resumed".to_owned(),
        Fact::Abandoned { .. } => "abandoned".to_owned(),
        Fact::Expired { .. } => "patience over".to_owned(),
        Fact::Returned => "key returned".to_owned(),
        Fact::Deleted => "key gone".to_owned(),
        Fact::Closed { .. } => "closed".to_owned(),
        Fact::Lost { .. } => "lost".to_owned(),
        Fact::Noted { .. } => "noted".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_two_units_at_most() {
        for (seconds, words) in [
            (0, "no time"),
            (59, "59 seconds"),
            (3_600, "1 hour"),
            (90_061, "1 day 1 hour"),
            (86_460, "1 day"),
            (30 * 86_400 + 4 * 3_600, "30 days 4 hours"),
        ] {
            assert_eq!(length(SignedDuration::from_secs(seconds)), words);
        }
        assert_eq!(moment("2026-06-01T08:30:05Z".parse().unwrap()), "2026-06-01 08:30:05 UTC");
    }
}
