//! The report as Markdown, for tickets and pull requests.

use std::fmt::Write;

use super::html::sentence;
use super::story::{ABILITIES, Story};
use super::words;

impl Story {
    /// The story as Markdown.
    pub(super) fn markdown(&self) -> String {
        let mut text = String::new();
        self.put(&mut text).expect("a String takes every text");
        text
    }

    fn put(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "# {}: {}\n", self.case, self.headline())?;
        for said in &self.summary {
            writeln!(out, "{}\n", prose(said))?;
        }
        self.put_facts(out)?;
        self.put_people(out)?;
        self.put_verdicts(out)?;
        self.put_scope(out)?;
        self.put_usage(out)?;
        self.put_actions(out)?;
        self.put_watch(out)?;
        self.put_limits(out)?;
        self.put_journal(out)?;
        writeln!(out, "\nMade by quietus at {}.", words::moment(self.made_at))
    }

    fn put_facts(&self, out: &mut String) -> std::fmt::Result {
        let opening = &self.opening;
        let mut rows = vec![
            ("Stage", self.stage.to_owned()),
            ("Owner", opening.owner.clone()),
            ("Opened", format!("{} by {}", words::moment(self.opened_at), opening.by)),
        ];
        rows.extend(self.ended_at.map(|at| ("Ended", words::moment(at))));
        rows.push(("Took", words::length(self.span().length())));
        rows.push(("Profile", opening.profile.name.to_string()));
        rows.extend(opening.ticket.clone().map(|ticket| ("Ticket", ticket)));
        rows.extend(self.identity.iter().cloned());
        head(out, &["", ""])?;
        rows.iter().try_for_each(|(name, value)| row(out, &[prose(name), prose(value)]))
    }

    fn put_people(&self, out: &mut String) -> std::fmt::Result {
        section(out, 1, "What people said")?;
        head(out, &["When", "Who", "What", "In their words"])?;
        self.people.iter().try_for_each(|said| {
            row(out, &[words::moment(said.at), code(&said.by), prose(&said.what), prose(&said.words)])
        })
    }

    fn put_verdicts(&self, out: &mut String) -> std::fmt::Result {
        section(out, 2, "The verdicts")?;
        if self.verdicts.is_empty() {
            return writeln!(out, "No assessment was made yet.");
        }
        head(out, &["When", "Verdict", "Look-back", "How well it was seen", "Open findings", "Evidence"])?;
        for verdict in &self.verdicts {
            let lookback = format!("{} to {}", words::day(verdict.lookback.since), words::day(verdict.lookback.until));
            let (coverage, open) = (prose(&verdict.coverage.join("; ")), verdict.open.to_string());
            let evidence = code(&verdict.evidence.to_string());
            row(out, &[words::moment(verdict.at), code(verdict.verdict), lookback, coverage, open, evidence])?;
        }
        writeln!(out, "\n### Findings of the last assessment\n")?;
        if self.findings.is_empty() {
            return writeln!(out, "None.");
        }
        self.findings.iter().try_for_each(|found| {
            let waived = found.waived_by.as_ref().map(|by| format!(" Accepted by {}.", prose(by))).unwrap_or_default();
            let (what, why, remedy) = (sentence(&found.what), sentence(found.why), sentence(&found.remedy));
            writeln!(
                out,
                "- **{}** ({}): {} {} {}{waived}",
                found.id,
                found.severity,
                prose(&what),
                prose(&why),
                prose(&remedy)
            )
        })
    }

    fn put_scope(&self, out: &mut String) -> std::fmt::Result {
        section(out, 3, "Who could use the key")?;
        if self.could.is_empty() {
            return writeln!(out, "Nobody is known to, or the policies could not be read.");
        }
        head(out, &["Who", "By", "May", "Only if"])?;
        self.could.iter().try_for_each(|could| {
            let able = ABILITIES.iter().zip(&could.abilities).filter(|(_, able)| **able);
            let may = able.map(|((name, _), _)| *name).collect::<Vec<_>>().join(", ");
            row(out, &[code(&could.who), prose(&could.by), may, prose(&could.conditions.join("; "))])
        })
    }

    fn put_usage(&self, out: &mut String) -> std::fmt::Result {
        section(out, 4, "Who did")?;
        if self.did.is_empty() {
            writeln!(out, "No call of anybody else was seen in the last full look.")?;
        } else {
            head(out, &["Who", "Operation", "Error", "For", "Count", "First", "Last"])?;
            for done in &self.did {
                let error = done.error.as_ref().map(|error| error.code.clone()).unwrap_or_default();
                let (first, last) = (words::moment(done.first), words::moment(done.last));
                let (who, dependents) = (code(&done.principal), prose(&done.dependents.join(", ")));
                row(
                    out,
                    &[who, prose(&done.operation), prose(&error), dependents, done.count.to_string(), first, last],
                )?;
            }
        }
        if self.left_out > 0 {
            writeln!(out, "\n{} more rows, here or below, are in the evidence only.", self.left_out)?;
        }
        section(out, 5, "What depends on it")?;
        if self.dependents.is_empty() {
            return writeln!(out, "No encryption context and no grant named a resource.");
        }
        head(out, &["Resource", "Known by", "Calls", "Last call"])?;
        self.dependents.iter().try_for_each(|one| {
            let last = one.last.map_or("none seen".to_owned(), words::moment);
            row(out, &[code(&one.name), prose(&one.known_by), one.count.to_string(), last])
        })
    }

    fn put_actions(&self, out: &mut String) -> std::fmt::Result {
        section(out, 6, "What was done")?;
        if self.actions.is_empty() {
            return writeln!(out, "Nothing was done to the key.");
        }
        head(out, &["When", "What", "Why", "What came of it", "Request id"])?;
        self.actions.iter().try_for_each(|action| {
            let request = action.request_id.as_deref().map(code).unwrap_or_default();
            row(
                out,
                &[
                    words::moment(action.at),
                    prose(&action.action),
                    prose(&action.because),
                    prose(&action.result),
                    request,
                ],
            )
        })
    }

    fn put_watch(&self, out: &mut String) -> std::fmt::Result {
        section(out, 7, "Attempts and the watch")?;
        let watch = &self.watch;
        if watch.sent > 0 {
            writeln!(out, "{} of {} probes came back.\n", watch.back, watch.sent)?;
        }
        for blind in &watch.blind {
            writeln!(out, "- blind from {}", words::span(*blind))?;
        }
        if self.attempts.is_empty() {
            return writeln!(out, "No use attempt was seen while the key was watched.");
        }
        head(out, &["When", "Who", "Operation", "Error", "For", "Event"])?;
        self.attempts.iter().try_for_each(|one| {
            let (who, event) = (code(&one.principal), code(&one.event_id));
            row(
                out,
                &[
                    words::moment(one.at),
                    who,
                    prose(&one.operation),
                    prose(&one.error),
                    prose(&one.dependents.join(", ")),
                    event,
                ],
            )
        })
    }

    fn put_limits(&self, out: &mut String) -> std::fmt::Result {
        section(out, 8, "What was not looked at")?;
        self.not_looked_at.iter().try_for_each(|item| writeln!(out, "- {}", prose(item)))?;
        for source in &self.sources {
            let spans: Vec<String> = source.spans.iter().map(|span| words::span(*span)).collect();
            let read = if spans.is_empty() { "nothing".to_owned() } else { spans.join("; ") };
            let place = format!("{} of account {}, {}", source.source, source.account, source.region);
            writeln!(out, "- {} was read for {read} ({})", prose(&place), prose(&source.query))?;
            for (span, why) in &source.holes {
                writeln!(out, "  - not seen {}: {}", words::span(*span), prose(why))?;
            }
        }
        section(out, 9, "What stays uncertain")?;
        if self.residual.is_empty() {
            return writeln!(out, "Nothing beyond what was not looked at.");
        }
        self.residual.iter().try_for_each(|item| writeln!(out, "- {}", prose(item)))
    }

    fn put_journal(&self, out: &mut String) -> std::fmt::Result {
        section(out, 10, "The journal, and how to check it")?;
        writeln!(out, "{} entries; the hash of the last stands for all: `{}`\n", self.journal.len(), self.head)?;
        writeln!(out, "```sh\nsed 's/,\"sha256\":\"[0-9a-f]*\"}}$//' 000001.json | tr -d '\\n' | sha256sum\n```\n")?;
        head(out, &["Entry", "When", "What", "SHA-256"])?;
        self.journal.iter().try_for_each(|line| {
            let hash = code(&line.sha256.to_string());
            row(out, &[line.sequence.to_string(), words::moment(line.at), prose(&line.kind), hash])
        })
    }
}

fn section(out: &mut String, number: u8, title: &str) -> std::fmt::Result {
    writeln!(out, "\n## {number}. {title}\n")
}

fn head(out: &mut String, names: &[&str]) -> std::fmt::Result {
    writeln!(out, "| {} |\n|{}", names.join(" | "), " --- |".repeat(names.len()))
}

fn row(out: &mut String, cells: &[String]) -> std::fmt::Result {
    writeln!(out, "| {} |", cells.join(" | "))
}

/// A value within running text: nothing in it is markup.
fn prose(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' | '*' | '_' | '<' | '>' | '[' | ']' | '|' | '#' | '~' => safe.extend(['\\', letter]),
            letter if letter.is_control() => safe.push(' '),
            letter => safe.push(letter),
        }
    }
    // Back ticks of our own sentences stay; one that is left alone would swallow the rest of the line.
    if safe.matches('`').count() % 2 == 1 { safe.replace('`', "'") } else { safe }
}

/// A value as code.
fn code(text: &str) -> String {
    let text: String =
        text.chars().map(|letter| if letter.is_control() || letter == '`' { ' ' } else { letter }).collect();
    if text.is_empty() { text } else { format!("`{}`", text.replace('|', "\\|")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_never_markup() {
        assert_eq!(prose("<b>*x*_y_|z\n`"), "\\<b\\>\\*x\\*\\_y\\_\\|z '");
        assert_eq!(code("a`b|c"), "`a b\\|c`");
    }
}
