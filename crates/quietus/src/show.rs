//! How assessments and cases look on a terminal.

use jiff::SignedDuration;
use procedure::{Assessment, Coverage, Observation, Span, Verdict};

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
        Verdict::InUse => format!("use, or something that needs the key, was seen from {since} to {until} in {sources}"),
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
            let shown: Vec<String> = spans.iter().take(4).map(|span| format!("{} to {}", moment(span.since), moment(span.until))).collect();
            let more = if spans.len() > shown.len() { ", …" } else { "" };
            say!("  {:>5}.{} days {name}: {}{more}", hours / 24, hours % 24 * 10 / 24, shown.join(", "));
        }
    }
}
