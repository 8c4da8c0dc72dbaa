//! `quietus scan`: who used which key, counted from CloudTrail files.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Result;
use comfy_table::CellAlignment;
use operator::athena::Answer;
use operator::sources::layout::Filter;
use operator::sources::{Error, Request, scan};
use serde_json::json;
use trail::Selection;
use trail::scan::Summary;
use trail::tally::Row;

use crate::args::{Engine, Scan};
use crate::athena;
use crate::aws::target;
use crate::progress::Line;
use crate::terminal::{counted, hinted, moment, note, print, say, table};

/// Gaps that are shown one by one; the rest is counted.
const GAPS_SHOWN: usize = 20;

pub(crate) fn run(args: &Scan) -> Result<ExitCode> {
    let mut selection = Selection::all();
    for key in &args.keys {
        selection = selection.key(key).map_err(|error| {
            hinted(
                error,
                "give --key a key ARN, a key ID, `alias/<name>` or an alias ARN; without --key every key is counted",
            )
        })?;
    }
    if let Some(since) = args.since {
        selection = selection.since(since);
    }
    if let Some(until) = args.until {
        selection = selection.until(until);
    }
    let filter = Filter {
        accounts: args.accounts.iter().copied().collect(),
        regions: args.regions.iter().copied().collect(),
        since: args.since,
        until: args.until,
    };
    if args.athena.engine == Engine::Athena {
        return by_athena(args, filter, selection);
    }
    let request = Request {
        sources: &args.sources,
        filter: &filter,
        selection: &selection,
        cache: args.cache.folder.as_deref(),
        target: &target(&args.connection),
    };
    let mut line = Line::new();
    let found = scan(&request, &mut |progress| line.show(progress));
    drop(line);
    let found = found.map_err(|error| {
        let hint = hint(&error);
        hinted(error, hint)
    })?;
    let summary = &found.summary;
    if args.json {
        for row in &summary.totals.rows {
            say!("{}", serde_json::to_string(row)?);
        }
    } else {
        show(summary);
        if args.cache.folder.is_some() {
            say!("{} of {} known already", found.recalled, counted(summary.counts.files, "file"));
        }
    }
    tell_gaps(summary);
    if let Some(trouble) = &found.cache_trouble {
        note!("warning: not everything could be remembered, so it will be read again: {trouble}");
    }
    Ok(if summary.is_complete() { ExitCode::SUCCESS } else { ExitCode::from(INCOMPLETE) })
}

/// The same, counted by Athena.
fn by_athena(args: &Scan, filter: Filter, selection: Selection) -> Result<ExitCode> {
    let target = target(&args.connection);
    let Answer { summary, evidence } = athena::scan(&args.athena, &args.sources, filter, selection, &target)?;
    if args.json {
        for row in &summary.totals.rows {
            say!("{}", serde_json::to_string(row)?);
        }
        say!("{}", json!({ "evidence": evidence }));
    } else {
        let keys = show_keys(&summary);
        let totals = &summary.totals;
        let duplicates = counted(totals.duplicates, "duplicate");
        say!("{} of KMS, {duplicates}; {}", counted(totals.kms_records, "record"), counted(keys, "key"));
        say!("{}", athena::told(&evidence));
    }
    Ok(ExitCode::SUCCESS)
}

/// What to do about a scan that could not begin.
fn hint(error: &Error) -> &'static str {
    match error {
        Error::Local(_) => "give files or folders that hold CloudTrail's `.json`, `.json.gz` or `.jsonl` files",
        Error::NoCredentials { .. } => {
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile with --profile"
        }
        Error::Bucket { .. } => {
            "check the bucket's name, --profile and --endpoint-url, and that s3:ListBucket and s3:GetObject are allowed"
        }
        Error::Nothing { .. } => "give the prefix that CloudTrail writes to, such as `s3://BUCKET/AWSLogs`",
        Error::TooMany { .. } => {
            "name a narrower prefix, or fewer accounts and Regions with --in-account and --in-region"
        }
        Error::Cache { .. } => "give --cache a folder that you may write to, or leave it out",
        Error::Runtime(_) => "try again when this machine has threads to spare",
    }
}

/// Something could not be read that may hold events. Source: procedure.md 6.5.8, INCONCLUSIVE.
const INCOMPLETE: u8 = 12;

fn show(summary: &Summary) {
    let keys = show_keys(summary);
    let (counts, totals) = (&summary.counts, &summary.totals);
    say!(
        "{} in {}, {} of KMS, {}; {}",
        counted(counts.records, "record"),
        counted(counts.files, "file"),
        totals.kms_records,
        counted(totals.duplicates, "duplicate"),
        counted(keys, "key"),
    );
}

/// A table for each key. Returns how many keys there are.
fn show_keys(summary: &Summary) -> u64 {
    let mut keys: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in &summary.totals.rows {
        keys.entry(&row.key).or_default().push(row);
    }
    for (key, rows) in &keys {
        say!("{}", if key.is_empty() { "(no key is named)" } else { key });
        let mut shown = table(&["", "count", "first", "last", "operation", "error", "principal", "dependents"]);
        if let Some(column) = shown.column_mut(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for row in rows {
            shown.add_row([
                String::new(),
                row.count.to_string(),
                moment(row.first),
                moment(row.last),
                row.event_name.clone(),
                row.error_code.clone().unwrap_or_else(|| "-".to_owned()),
                row.principal.clone(),
                if row.dependents.is_empty() { "-".to_owned() } else { row.dependents.join("\n") },
            ]);
        }
        print(&shown);
        say!("");
    }
    keys.len() as u64
}

/// What could not be read is told on standard error, also beside `--json`.
fn tell_gaps(summary: &Summary) {
    for gap in summary.gaps.iter().take(GAPS_SHOWN) {
        let level = if gap.why.hides_use() { "gap" } else { "note" };
        let times = if gap.count > 1 { format!(" ({} times)", gap.count) } else { String::new() };
        note!("{level}: {}: {}{times}", gap.path.display(), gap.why);
    }
    let more = summary.gaps.len().saturating_sub(GAPS_SHOWN) as u64 + summary.unnamed_gaps;
    if more > 0 {
        note!("and {more} more");
    }
    if !summary.is_complete() {
        note!("warning: some files could not be read whole; what they hold is not counted");
    }
}
