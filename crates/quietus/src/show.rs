//! How assessments and cases look on a terminal.

use jiff::SignedDuration;
use operator::cases::CaseId;
use operator::commands;
use procedure::{Assessment, Case, Coverage, Done, Entry, Fact, Failure, Observation, Span, Verdict};

use crate::terminal::{moment, print, say, table};

/// Uses that are shown one by one; the rest is counted.
const USES_SHOWN: usize = 40;

/// An assessment and what it was made from: verdict first, then why, who did, who could, and what was not looked at.
pub(crate) fn assessment(made: &Assessment, seen: &Observation) {
    say!("{}  {}", made.verdict, made.key);
    say!("{}", sentence(made, seen));
    findings(made);

    say!("");
    say!("Who used it, {} to {}", moment(made.lookback.since), moment(made.lookback.until));
    if seen.usage.is_empty() {
        say!("  no use seen in what was read");
    } else {
        let mut shown = table(&["", "count", "first", "last", "operation", "error", "principal", "dependents"]);
        for row in seen.usage.iter().take(USES_SHOWN) {
            shown.add_row([
                String::new(),
                row.count.to_string(),
                moment(row.first),
                moment(row.last),
                row.operation.clone(),
                row.error.as_ref().map_or_else(|| "-".to_owned(), |error| error.code.clone()),
                row.principal.clone(),
                if row.dependents.is_empty() { "-".to_owned() } else { row.dependents.join("\n") },
            ]);
        }
        print(&shown);
        if seen.usage.len() > USES_SHOWN {
            say!("  and {} more; --json shows all", seen.usage.len() - USES_SHOWN);
        }
    }

    list("Who could use it", &made.scope);
    say!("");
    say!("How far it was seen");
    coverage(&made.coverage);
    list("Not looked at", &made.not_looked_at);
}

/// The findings, gravest first, each with what to do.
pub(crate) fn findings(made: &Assessment) {
    if made.findings.is_empty() {
        return;
    }
    say!("");
    say!("Findings");
    for judged in &made.findings {
        let finding = &judged.finding;
        let waived = judged.waived_by.as_ref().map(|by| format!(" (waived by {by})")).unwrap_or_default();
        say!("  {finding}{waived}");
        say!("      why: {}", finding.why());
        say!("      do:  {}", finding.remedy());
    }
}

/// The one sentence about use: never "unused", never "safe to delete".
fn sentence(made: &Assessment, seen: &Observation) -> String {
    let mut sources: Vec<&str> = seen.sources.iter().map(|source| source.source.as_str()).collect();
    if seen.last_usage.seen().is_some() {
        sources.push("GetKeyLastUsage");
    }
    sources.dedup();
    let sources = if sources.is_empty() { "no source".to_owned() } else { sources.join(", ") };
    let (since, until) = (moment(made.lookback.since), moment(made.lookback.until));
    match made.verdict {
        Verdict::Quiet => format!("no use seen from {since} to {until} in {sources}"),
        Verdict::InUse => {
            format!("use, or something that needs the key, was seen from {since} to {until} in {sources}")
        }
        Verdict::Blocked => "something stands in the way that no evidence of quiet can clear".to_owned(),
        Verdict::Inconclusive => format!("not enough was seen from {since} to {until} in {sources} to say"),
    }
}

fn list(title: &str, lines: &[String]) {
    say!("");
    say!("{title}");
    for line in lines {
        say!("  {line}");
    }
    if lines.is_empty() {
        say!("  nothing");
    }
}

fn coverage(coverage: &Coverage) {
    let parts: [(&str, &[Span]); 5] = [
        ("seen, with other traffic around it", &coverage.supported),
        ("watched with probes", &coverage.watched),
        ("read, with nothing that confirms it", &coverage.assumed),
        ("bounded by the last use that AWS knows", &coverage.bounded),
        ("not seen", &coverage.missing),
    ];
    for (name, spans) in parts {
        let total: SignedDuration = spans.iter().map(Span::length).sum();
        if total > SignedDuration::ZERO {
            let hours = total.as_hours();
            let shown: Vec<String> =
                spans.iter().take(4).map(|span| format!("{} to {}", moment(span.since), moment(span.until))).collect();
            let more = if spans.len() > shown.len() { ", …" } else { "" };
            say!("  {:>5}.{} days {name}: {}{more}", hours / 24, hours % 24 * 10 / 24, shown.join(", "));
        }
    }
}

/// Entries of a case that are shown; the rest is in the report.
const ENTRIES_SHOWN: usize = 12;

/// One case: where it stands, why, what comes next, and what happened last.
pub(crate) fn case(id: CaseId, case: &Case, entries: &[Entry]) {
    let Some(opening) = &case.opening else { return };
    say!("{id}  {}  {}", case.stage.as_str(), opening.key);
    say!("  owner     {}", opening.owner);
    say!("  reason    {}", opening.reason);
    if let Some(ticket) = &opening.ticket {
        say!("  ticket    {ticket}");
    }
    say!("  opened by {}, care {}", opening.by, opening.profile.name);
    say!("  in stage since {}", moment(case.stage_since));
    if let Some(date) = case.deletion_date {
        say!("  deletion date {}", moment(date));
    }
    if let Some(because) = case.rescue.as_ref().or(case.leaving.as_ref()) {
        say!("  because   {because}");
    }
    if let Some(made) = &case.assessment {
        say!("");
        say!("{}  assessed {}, good until {}", made.verdict, moment(made.at), moment(made.valid_until));
        findings(made);
    }
    if let Some((step, plan)) = commands::asked(case) {
        say!("");
        say!("People are asked whether to {}. To agree to exactly this plan:", step.as_str());
        say!("  quietus case approve {id} --plan {plan}");
    }
    say!("");
    say!("Last entries of {}", entries.len());
    for entry in entries.iter().rev().take(ENTRIES_SHOWN).rev() {
        say!("  {}  {}", moment(entry.at), fact(&entry.fact));
    }
}

/// What was written down, in one line.
pub(crate) fn fact(fact: &Fact) -> String {
    match fact {
        Fact::Opened(opening) => format!("opened by {} for {}: {}", opening.by, opening.owner, opening.reason),
        Fact::Assessed(made) => {
            let open: Vec<&str> = made.open().map(procedure::Finding::id).collect();
            let findings = if open.is_empty() { String::new() } else { format!(" ({})", open.join(", ")) };
            format!("assessed: {}{findings}", made.verdict)
        }
        Fact::Approved { step, by, .. } => format!("{by} approved to {}", step.as_str()),
        Fact::Waived(waived) => format!("{} waived {}: {}", waived.by, waived.finding, waived.reason),
        Fact::Intended { action, because, .. } => format!("will do {action}: {because}"),
        Fact::Done { result, .. } => match result {
            Done::Answered { deletion_date: Some(date), .. } | Done::Observed { deletion_date: Some(date) } => {
                format!("done; deletion date {}", moment(*date))
            }
            Done::Answered { .. } => "done".to_owned(),
            Done::Observed { .. } => "found done".to_owned(),
            Done::Capsule { digest } => format!("capsule written, {digest}"),
            Done::ProbeSucceeded { .. } => "the probe was not refused: the key can be used".to_owned(),
        },
        Fact::Failed { failure, .. } => match failure {
            Failure::Refused { code, message, .. } => format!("refused: {code}: {message}"),
            Failure::Local { message } => format!("failed here: {message}"),
            Failure::NoEffect => "had no effect".to_owned(),
        },
        Fact::ProbeSeen { event_at, .. } => format!("probe of {} came back", moment(*event_at)),
        Fact::WentBlind { since } => format!("blind since {}", moment(*since)),
        Fact::AttemptSeen(attempt) => {
            let error = attempt.error.as_ref().map_or("succeeded", |error| error.code.as_str());
            format!("{} tried {} at {}: {error}", attempt.principal, attempt.operation, moment(attempt.at))
        }
        Fact::SoakPassed => "the soak is long enough".to_owned(),
        Fact::LastLook => "the last look begins".to_owned(),
        Fact::Committed => "committed: the deletion will be let happen".to_owned(),
        Fact::RescueStarted { because } => format!("bringing the key back: {because}"),
        Fact::Rescued => "rescued: the key is as it was".to_owned(),
        Fact::ForeignChange { change, found } => match change {
            Some(change) => format!("{} did {}: the key is {found}", change.principal, change.operation),
            None => format!("somebody changed the key: it is {found}"),
        },
        Fact::Held { by, reason } => format!("held by {by}: {reason}"),
        Fact::Resumed { by, reason } => format!("resumed by {by}: {reason}"),
        Fact::Abandoned { by, reason } => format!("abandoned by {by}: {reason}"),
        Fact::Expired { because } => format!("expired: {because}"),
        Fact::Returned => "returned: the key is as it was".to_owned(),
        Fact::Deleted => "deleted".to_owned(),
        Fact::Closed { .. } => "closed".to_owned(),
        Fact::Lost { .. } => "lost: the key is gone, and this case had not let it go".to_owned(),
        Fact::Noted { by, text } => format!("{by}: {text}"),
    }
}
