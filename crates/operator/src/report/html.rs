//! The report as a page: one file, nothing fetched, for a screen in light or dark and for paper.

use api::Timestamp;
use procedure::{Outcome, Span, Verdict};

use super::page::Page;
use super::story::{ABILITIES, Story, WIDE};
use super::{timeline, words};

const STYLE: &str = include_str!("style.css");
/// Journal lines that are shown at once; the rest unfolds.
const SHOWN_LINES: usize = 25;

/// Writes one section.
type Part = fn(&Story, &mut Page);

impl Story {
    /// The story as a page.
    pub(super) fn html(&self) -> String {
        let mut page = Page::default();
        page.raw(r#"<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"><title>"#);
        page.text(&self.case)
            .raw(" · ")
            .text(self.headline())
            .raw("</title><style>")
            .raw(STYLE)
            .raw("</style></head><body><main>");
        self.header(&mut page);
        let parts: [(&'static str, Part); 10] = [
            ("What people said", Story::said_html),
            ("The verdicts", Story::verdicts_html),
            ("Who could use the key", Story::could_html),
            ("Who did", Story::did_html),
            ("What depends on it", Story::dependents_html),
            ("What was done", Story::actions_html),
            ("Attempts and the watch", Story::watch_html),
            ("What was not looked at", Story::blind_html),
            ("What stays uncertain", Story::residual_html),
            ("The journal, and how to check it", Story::journal_html),
        ];
        for (number, (title, part)) in (1..).zip(parts) {
            page.raw(r#"<section><h2><span class="number">"#).text(number).raw("</span>").raw(title).raw("</h2>");
            part(self, &mut page);
            page.raw("</section>");
        }
        page.raw("<footer>Made by quietus at ").text(words::moment(self.made_at));
        page.raw(
            ". All times are UTC. Nothing in this page was fetched from elsewhere.</footer></main></body></html>\n",
        );
        page.finish()
    }

    /// What became of it, in two or three words.
    pub(super) fn headline(&self) -> &'static str {
        match self.verdict_now {
            Outcome::Deleted => "Key deleted",
            Outcome::Rescued => "Key given back",
            Outcome::Abandoned => "Case abandoned",
            Outcome::Expired => "Case expired",
            Outcome::Foreign => "Changed by somebody else",
            Outcome::Lost => "Key lost",
            Outcome::Verdict(Verdict::InUse) => "Key in use",
            Outcome::Verdict(Verdict::Blocked) => "Blocked",
            Outcome::Verdict(Verdict::Inconclusive) => "Not enough was seen",
            Outcome::Verdict(Verdict::Quiet) | Outcome::Open => "Case under way",
        }
    }

    fn header(&self, page: &mut Page) {
        let tone = match self.verdict_now {
            Outcome::Deleted => "calm",
            Outcome::Rescued | Outcome::Abandoned => "good",
            Outcome::Expired | Outcome::Foreign | Outcome::Verdict(_) => "warn",
            Outcome::Lost => "bad",
            Outcome::Open => "calm",
        };
        page.raw(r#"<header><p class="eyebrow">Key deletion case "#)
            .text(&self.case)
            .raw("</p><h1>")
            .raw(self.headline());
        page.raw(r#"<span class="pill "#).raw(tone).raw(r#"">"#).text(self.stage).raw("</span></h1>");
        for sentence in &self.summary {
            page.raw(r#"<p class="lead">"#).prose(sentence).raw("</p>");
        }
        page.raw(r#"<dl class="facts">"#);
        let opening = &self.opening;
        fact(page, "Owner", &opening.owner);
        fact(page, "Opened by", &opening.by);
        fact(page, "Opened", &words::moment(self.opened_at));
        if let Some(at) = self.ended_at {
            fact(page, "Ended", &words::moment(at));
        }
        fact(page, "Took", &words::length(self.span().length()));
        fact(page, "Profile", opening.profile.name.as_str());
        if let Some(ticket) = &opening.ticket {
            fact(page, "Ticket", ticket);
        }
        for (name, value) in &self.identity {
            let class = if value.len() > WIDE { r#"<div class="wide"><dt>"# } else { "<div><dt>" };
            page.raw(class).text(name).raw(r#"</dt><dd class="mono">"#).text(value).raw("</dd></div>");
        }
        page.raw("</dl><figure>");
        timeline::draw(self, page);
        page.raw(
            r#"<figcaption><span style="--swatch:var(--amber)">disabled and watched</span><span style="--swatch:var(--red)">waiting for deletion</span><span style="--swatch:var(--teal)">probe that came back</span><span class="hatched">blind</span><span class="dashed" style="--swatch:var(--red)">deletion date</span><span class="turned" style="--swatch:var(--red)">use attempt</span><span class="round" style="--swatch:var(--plum)">a person</span></figcaption></figure></header>"#,
        );
    }

    fn said_html(&self, page: &mut Page) {
        table(page, &["When", "Who", "What", "In their words"]);
        for said in &self.people {
            row(page, &[Cell::When(said.at), Cell::Code(&said.by), Cell::Text(&said.what), Cell::Text(&said.words)]);
        }
        end_table(page);
    }

    fn verdicts_html(&self, page: &mut Page) {
        if self.verdicts.is_empty() {
            return none(page, "No assessment was made yet.");
        }
        table(page, &["When", "Verdict", "Look-back", "How well it was seen", "Open findings", "Evidence"]);
        for verdict in &self.verdicts {
            let tone = match verdict.verdict {
                "QUIET" => r#"<span class="pill good">"#,
                "IN_USE" | "BLOCKED" => r#"<span class="pill bad">"#,
                _ => r#"<span class="pill warn">"#,
            };
            page.raw(r#"<tr><td class="when">"#).text(words::moment(verdict.at)).raw("</td><td>");
            page.element(tone, verdict.verdict, "</span></td>");
            page.element(
                "<td>",
                format_args!("{} to {}", words::day(verdict.lookback.since), words::day(verdict.lookback.until)),
                "</td><td>",
            );
            for (place, part) in verdict.coverage.iter().enumerate() {
                page.raw(if place > 0 { "<br>" } else { "" }).text(part);
            }
            page.raw("</td>").element(r#"<td class="count">"#, verdict.open, "</td>");
            page.element(r#"<td class="mono">"#, verdict.evidence, "</td></tr>");
        }
        end_table(page);
        page.raw("<h3>Findings of the last assessment</h3>");
        if self.findings.is_empty() {
            return none(page, "None.");
        }
        page.raw(r#"<ul class="findings">"#);
        for found in &self.findings {
            page.raw(r#"<li class=""#).raw(found.severity).raw(r#""><span class="id mono">"#).raw(found.id);
            page.raw(r#"</span><span class="pill">"#).raw(found.severity).raw("</span>");
            if let Some(by) = &found.waived_by {
                page.raw(r#" <span class="pill calm">accepted by "#).text(by).raw("</span>");
            }
            page.raw("<p>").prose(&sentence(&found.what)).raw("</p>");
            page.raw(r#"<p class="note">"#)
                .prose(&sentence(found.why))
                .raw(" ")
                .prose(&sentence(&found.remedy))
                .raw("</p></li>");
        }
        page.raw("</ul>");
    }

    fn could_html(&self, page: &mut Page) {
        if self.could.is_empty() {
            none(page, "Nobody is known to, or the policies could not be read.");
        } else {
            page.raw(r#"<div class="scroll"><table><thead><tr><th>Who</th><th>By</th>"#);
            for (ability, _) in ABILITIES {
                page.raw(r#"<th class="tick">"#).raw(ability).raw("</th>");
            }
            page.raw("<th>Only if</th></tr></thead><tbody>");
            for could in &self.could {
                page.element(r#"<tr><td class="mono">"#, &could.who, "</td>").element("<td>", &could.by, "</td>");
                for able in &could.abilities {
                    page.raw(if *able { r#"<td class="tick">✓</td>"# } else { r#"<td class="tick"></td>"# });
                }
                page.element("<td>", could.conditions.join("; "), "</td></tr>");
            }
            end_table(page);
        }
        page.raw(r#"<p class="note">Read from the key policies and grants. Where a policy hands the decision to IAM, any identity of that account is counted.</p>"#);
    }

    fn did_html(&self, page: &mut Page) {
        if self.did.is_empty() {
            return none(page, "No call of anybody else was seen in the last full look.");
        }
        table(page, &["Who", "Operation", "Class", "Error", "For", "Count", "First", "Last"]);
        for use_of in &self.did {
            let error = use_of.error.as_ref().map_or("", |error| error.code.as_str());
            row(
                page,
                &[
                    Cell::Code(&use_of.principal),
                    Cell::Text(&use_of.operation),
                    Cell::Text(use_of.class.as_str()),
                    Cell::Text(error),
                    Cell::Code(&use_of.dependents.join(", ")),
                    Cell::Count(use_of.count),
                    Cell::When(use_of.first),
                    Cell::When(use_of.last),
                ],
            );
        }
        end_table(page);
        if self.left_out > 0 {
            page.raw(r#"<p class="note">"#).text(self.left_out);
            page.raw(" more rows, here or among what depends on the key, are in the evidence only.</p>");
        }
    }

    fn dependents_html(&self, page: &mut Page) {
        if self.dependents.is_empty() {
            return none(page, "No encryption context and no grant named a resource.");
        }
        table(page, &["Resource", "Known by", "Calls", "Last call"]);
        for dependent in &self.dependents {
            let last = dependent.last.map_or(Cell::Text("none seen"), Cell::When);
            row(
                page,
                &[Cell::Code(&dependent.name), Cell::Text(&dependent.known_by), Cell::Count(dependent.count), last],
            );
        }
        end_table(page);
    }

    fn actions_html(&self, page: &mut Page) {
        if self.actions.is_empty() {
            return none(page, "Nothing was done to the key.");
        }
        table(page, &["When", "What", "Why", "What came of it", "Request id"]);
        for action in &self.actions {
            row(
                page,
                &[
                    Cell::When(action.at),
                    Cell::Name(&action.action),
                    Cell::Text(&action.because),
                    Cell::Text(&action.result),
                    Cell::Code(action.request_id.as_deref().unwrap_or("")),
                ],
            );
        }
        end_table(page);
    }

    fn watch_html(&self, page: &mut Page) {
        let watch = &self.watch;
        if watch.sent > 0 {
            page.raw("<p>").text(watch.back).raw(" of ").text(watch.sent).raw(" probes came back");
            if let Some(seconds) = watch.slowest_seconds {
                page.raw(", the slowest noticed after ").text(words::length(jiff::SignedDuration::from_secs(seconds)));
            }
            page.raw(". A probe is a call of our own that must be refused; that its event arrives shows that the calls of others would be seen.</p>");
            for blind in &watch.blind {
                page.raw("<p>Blind from ")
                    .text(words::span(*blind))
                    .raw(", ")
                    .text(words::length(blind.length()))
                    .raw(".</p>");
            }
        }
        if self.attempts.is_empty() {
            return none(page, "No use attempt was seen while the key was watched.");
        }
        table(page, &["When", "Who", "Operation", "Error", "For", "From", "Event"]);
        for attempt in &self.attempts {
            let from = [attempt.source_ip.as_deref(), attempt.user_agent.as_deref()];
            row(
                page,
                &[
                    Cell::When(attempt.at),
                    Cell::Code(&attempt.principal),
                    Cell::Text(&attempt.operation),
                    Cell::Text(&attempt.error),
                    Cell::Code(&attempt.dependents.join(", ")),
                    Cell::Text(&from.into_iter().flatten().collect::<Vec<_>>().join(", ")),
                    Cell::Code(&attempt.event_id),
                ],
            );
        }
        end_table(page);
    }

    fn blind_html(&self, page: &mut Page) {
        list(page, &self.not_looked_at);
        page.raw("<h3>Sources of the last full look</h3>");
        if self.sources.is_empty() {
            return none(page, "No observation is kept.");
        }
        table(page, &["Source", "Account and Region", "Asked", "Read", "Not seen"]);
        for source in &self.sources {
            page.element("<tr><td>", source.source, "</td>");
            page.element("<td>", format_args!("{} {}", source.account, source.region), "</td>");
            page.element(r#"<td class="mono">"#, &source.query, "</td><td>");
            spans(page, &source.spans);
            page.raw("</td><td>");
            for (place, (span, why)) in source.holes.iter().enumerate() {
                page.raw(if place > 0 { "<br>" } else { "" }).text(words::span(*span)).raw(": ").text(why);
            }
            page.raw(if source.holes.is_empty() { "nothing known</td></tr>" } else { "</td></tr>" });
        }
        end_table(page);
    }

    fn residual_html(&self, page: &mut Page) {
        if self.residual.is_empty() {
            return none(page, "Nothing beyond what was not looked at.");
        }
        list(page, &self.residual);
    }

    fn journal_html(&self, page: &mut Page) {
        page.raw("<p>")
            .text(self.journal.len())
            .raw(" entries, each with the hash of the one before. The last hash stands for all of them: <code>");
        page.text(self.head).raw("</code></p>");
        if self.strays > 0 {
            page.raw("<p>").text(self.strays).raw(" entries made no sense where they stood, and changed nothing.</p>");
        }
        page.raw("<p>To check an entry without quietus, in the folder of the case:</p><pre>sed 's/,&quot;sha256&quot;:&quot;[0-9a-f]*&quot;}$//' 000001.json | tr -d '\\n' | sha256sum</pre>");
        page.raw(r#"<p class="note">The result is the entry's own <code>sha256</code>, and the <code>previous</code> of the next.</p>"#);
        self.lines(page, 0, SHOWN_LINES);
        if self.journal.len() > SHOWN_LINES {
            page.raw("<details><summary>").text(self.journal.len() - SHOWN_LINES).raw(" more entries</summary>");
            self.lines(page, SHOWN_LINES, usize::MAX);
            page.raw("</details>");
        }
    }

    fn lines(&self, page: &mut Page, skip: usize, take: usize) {
        table(page, &["Entry", "When", "What", "SHA-256"]);
        for line in self.journal.iter().skip(skip).take(take) {
            let sequence = line.sequence.to_string();
            row(
                page,
                &[
                    Cell::Text(&sequence),
                    Cell::When(line.at),
                    Cell::Text(&line.kind),
                    Cell::Code(&line.sha256.to_string()),
                ],
            );
        }
        end_table(page);
    }
}

/// A cell of a table.
enum Cell<'a> {
    Text(&'a str),
    /// Text that is not broken.
    Name(&'a str),
    Code(&'a str),
    When(Timestamp),
    Count(u64),
}

fn table(page: &mut Page, heads: &[&'static str]) {
    page.raw(r#"<div class="scroll"><table><thead><tr>"#);
    for head in heads {
        let open = if matches!(*head, "Count" | "Calls" | "Open findings") { r#"<th class="count">"# } else { "<th>" };
        page.raw(open).raw(head).raw("</th>");
    }
    page.raw("</tr></thead><tbody>");
}

fn row(page: &mut Page, cells: &[Cell<'_>]) {
    page.raw("<tr>");
    for cell in cells {
        match cell {
            Cell::Text(text) => page.raw("<td>").prose(text).raw("</td>"),
            Cell::Name(text) => page.element(r#"<td class="when">"#, text, "</td>"),
            Cell::Code(text) => page.element(r#"<td class="mono">"#, text, "</td>"),
            Cell::When(at) => page.element(r#"<td class="when">"#, words::moment(*at), "</td>"),
            Cell::Count(count) => page.element(r#"<td class="count">"#, count, "</td>"),
        };
    }
    page.raw("</tr>");
}

fn end_table(page: &mut Page) {
    page.raw("</tbody></table></div>");
}

fn fact(page: &mut Page, name: &'static str, value: &str) {
    page.raw("<div><dt>").raw(name).raw("</dt><dd>").text(value).raw("</dd></div>");
}

fn none(page: &mut Page, text: &'static str) {
    page.raw(r#"<p class="note">"#).raw(text).raw("</p>");
}

fn list(page: &mut Page, items: &[String]) {
    page.raw("<ul>");
    for item in items {
        page.raw("<li>").prose(&sentence(item)).raw("</li>");
    }
    page.raw("</ul>");
}

fn spans(page: &mut Page, spans: &[Span]) {
    for (place, span) in spans.iter().enumerate() {
        page.raw(if place > 0 { "<br>" } else { "" }).text(words::span(*span));
    }
    if spans.is_empty() {
        page.raw("nothing");
    }
}

/// A phrase as a sentence: a capital, a full stop.
pub(super) fn sentence(phrase: &str) -> String {
    let mut letters = phrase.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    let stop = if phrase.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{stop}", letters.as_str())
}
