//! CloudTrail files: an archive that reaches further back than event history, or an offline copy of it.
//!
//! A file says what is in it, not what should be. Whether a day was delivered is read off the layout (`AWSLogs/<account>/CloudTrail/
//! <Region>/YYYY/MM/DD/`) and off the times of the records; a day that neither shows was not seen.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use api::Timestamp;
use procedure::observation::{EventError, Hole, MAX_ROWS, SourceSeen, UsageRow};
use procedure::span::{DAY, HOUR, after, union};
use procedure::{Gap, Source, Span};
use trail::Selection;
use trail::scan::Summary;
use trail::tally::Row;
use trail::usage::{Class, Outcome};

use crate::aws::Target;
use crate::sight::{Subject, floor, stable};
use crate::sources::layout::Filter;
use crate::sources::{self, Days, Place, Request};

/// Most holes that are named. (Ours.)
const MAX_HOLES: usize = 100;

/// Where CloudTrail files are kept.
#[derive(Debug, Clone, Default)]
pub struct Archives {
    /// Folders, files, buckets.
    pub sources: Vec<sources::Source>,
    /// Where to remember what was read.
    pub cache: Option<PathBuf>,
    /// How to reach buckets.
    pub target: Target,
}

/// What files say about a key.
#[derive(Debug, Default)]
pub struct Found {
    /// Who used it.
    pub usage: Vec<UsageRow>,
    /// What the files cover: one source for each account and Region with files or records.
    pub sources: Vec<SourceSeen>,
}

/// Reads `archives` for the subject's key, from `since` to `now`.
///
/// Trouble is in the answer, as holes: a source that cannot be read covers nothing.
pub fn read(archives: &Archives, subject: &Subject<'_>, since: Timestamp, now: Timestamp) -> Found {
    let key = &subject.key;
    let query = archives.sources.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let own = Place { account: key.account.to_string(), region: key.region };
    let whole = Span::new(since, now);
    let failed = |why: Gap| {
        let hole = Hole { span: whole, why };
        Found { usage: Vec::new(), sources: vec![source(&own, &query, Vec::new(), vec![hole], Vec::new())] }
    };
    let selection = match Selection::all().since(since).until(now).key(&key.to_string()) {
        Ok(selection) => selection,
        Err(error) => return failed(Gap::Unreadable { what: error.to_string() }),
    };
    // What is recorded in other Regions is of other keys. Which accounts are recorded, a reader of the sources wants to know.
    let filter = Filter { regions: [key.region].into(), since: Some(since), until: Some(now), ..Filter::default() };
    let request = Request {
        sources: &archives.sources,
        filter: &filter,
        selection: &selection,
        cache: archives.cache.as_deref(),
        target: &archives.target,
    };
    match sources::scan(&request, &mut |_| {}) {
        Ok(found) => tell(found.days, found.summary, &own, subject, &query, whole),
        Err(error) => failed(Gap::Unreadable { what: error.to_string() }),
    }
}

fn tell(mut days: Days, summary: Summary, own: &Place, subject: &Subject<'_>, query: &str, whole: Span) -> Found {
    let mut background: BTreeMap<Place, BTreeSet<Timestamp>> = BTreeMap::new();
    for activity in &summary.totals.activity {
        let Ok(region) = activity.region.parse() else { continue };
        let place = Place { account: activity.account.clone(), region };
        days.records(&place, activity.times());
        let heard = background.entry(place).or_default();
        if activity.read_only {
            heard.extend(activity.times());
        }
    }
    let by_alias = |row: &Row| subject.aliases.contains(&row.key);
    let rows = summary.totals.rows.iter().chain(summary.totals.unattributed.iter().filter(|row| by_alias(row)));
    let mut usage: Vec<UsageRow> = rows.filter_map(|row| usage(row, subject)).collect();
    usage.sort();
    let mut holes = holes(&summary, whole);
    if usage.len() > MAX_ROWS {
        usage.truncate(MAX_ROWS);
        holes.push(Hole { span: whole, why: Gap::TooMuch });
    }
    let mut places: BTreeSet<Place> = days.places().cloned().collect();
    places.insert(own.clone());
    let sources = places.into_iter().map(|place| {
        let heard = background.get(&place).map(|hours| hours.iter().copied().collect()).unwrap_or_default();
        let spans = union(days.spans(&place).into_iter().map(|span| span.overlap(whole)));
        source(&place, query, spans, holes.clone(), heard)
    });
    Found { sources: sources.collect(), usage }
}

fn source(place: &Place, query: &str, spans: Vec<Span>, holes: Vec<Hole>, background: Vec<Timestamp>) -> SourceSeen {
    SourceSeen {
        source: Source::Archive,
        account: place.account.clone(),
        region: place.region,
        query: format!("scan of {query}"),
        spans,
        holes,
        background,
    }
}

/// What the scan could not read, at the day that its path tells, else at any time; and uses that name no key.
fn holes(summary: &Summary, whole: Span) -> Vec<Hole> {
    let mut holes: Vec<Hole> = Vec::new();
    for gap in summary.gaps.iter().filter(|gap| gap.why.hides_use()) {
        let day = sources::day_of(&gap.path).map(|(_, day)| Span::new(day, after(day, DAY)));
        let what = format!("{}: {}", gap.path.display(), gap.why);
        holes.push(Hole { span: day.unwrap_or(whole), why: Gap::Unreadable { what } });
    }
    if summary.unnamed_gaps > 0 || holes.len() > MAX_HOLES {
        holes.truncate(MAX_HOLES);
        holes.push(Hole { span: whole, why: Gap::TooMuch });
    }
    for row in summary.totals.unattributed.iter().filter(|row| row.key.is_empty() && row.error_code.is_none()) {
        let what = format!("{} of `{}`, which name no key", row.event_name, row.principal);
        let span = Span::new(floor(row.first, HOUR), after(row.last, HOUR));
        holes.push(Hole { span, why: Gap::Unreadable { what } });
    }
    holes.retain(|hole| !hole.span.overlap(whole).is_empty());
    holes.sort_by_key(|hole| hole.span);
    holes
}

/// A row without our own calls; `None` where nothing else is in it.
///
/// A scan does not keep request ids, so that in files our own calls are known by our name and their time alone: from the first act of
/// the case on. A stranger who calls in our name shows in event history, where ids are compared.
fn usage(row: &Row, subject: &Subject<'_>) -> Option<UsageRow> {
    let class = row.manners.iter().map(|manner| manner.class).min().unwrap_or(Class::ReadData);
    let is_us = stable(&row.principal, subject.operator) == subject.operator;
    if is_us && class == Class::Look {
        return None;
    }
    let acted = subject.own.probes.iter().map(|(_, at)| *at).chain(subject.own.acts.iter().map(|(_, at)| *at)).min();
    let acted = acted.filter(|_| is_us).map(|at| floor(at, HOUR));
    let hours: Vec<Timestamp> = row.times().filter(|hour| acted.is_none_or(|acted| *hour < acted)).collect();
    let last_hour = *hours.last()?;
    let whole = hours.len() == row.times().count();
    let mut days: Vec<Timestamp> = hours.iter().map(|hour| floor(*hour, DAY)).collect();
    days.dedup();
    let failed = row.manners.iter().all(|manner| manner.outcome != Outcome::Success);
    let code = row.error_code.clone().filter(|_| failed);
    Some(UsageRow {
        principal: stable(&row.principal, subject.operator).to_owned(),
        account: account_of(&row.principal),
        operation: row.event_name.clone(),
        class,
        // A scan keeps codes, not texts; the code alone is read the graver way.
        error: code.map(|code| EventError { code, message: String::new() }),
        dependents: row.dependents.clone(),
        // Of a part of the row only the hours are known: one call in each, at least.
        count: if whole { row.count } else { hours.len() as u64 },
        first: row.first,
        last: if whole { row.last } else { last_hour },
        days,
        samples: Vec::new(),
    })
}

fn account_of(principal: &str) -> Option<String> {
    let account = principal.split(':').nth(4)?;
    account.parse::<api::AccountId>().ok().map(|account| account.to_string())
}

/// Joins rows of two sources. Both may hold the same events, so of two counts the larger is taken, not the sum.
pub(crate) fn merge(rows: &mut Vec<UsageRow>, more: Vec<UsageRow>) {
    for row in more {
        let code = |row: &UsageRow| row.error.as_ref().map(|error| error.code.clone());
        let same = rows.iter_mut().find(|known| {
            known.principal == row.principal
                && known.operation == row.operation
                && code(known) == code(&row)
                && known.dependents == row.dependents
        });
        match same {
            None => rows.push(row),
            Some(known) => {
                known.count = known.count.max(row.count);
                known.class = known.class.min(row.class);
                known.first = known.first.min(row.first);
                known.last = known.last.max(row.last);
                known.days.extend(row.days);
                known.days.sort_unstable();
                known.days.dedup();
            }
        }
    }
    rows.sort();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    use procedure::Own;

    use crate::testing::{self, KEY, OPERATOR};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// A folder in CloudTrail's layout with one file a day.
    fn archive(days: &[(&str, &str, &[String])]) -> tempfile::TempDir {
        let temp = tempfile::tempdir().unwrap();
        for (day, time, events) in days {
            let folder = temp.path().join("AWSLogs/111122223333/CloudTrail/eu-west-1").join(day);
            std::fs::create_dir_all(&folder).unwrap();
            let name = format!("111122223333_CloudTrail_eu-west-1_{}T{time}Z_abc.json", day.replace('/', ""));
            std::fs::write(folder.join(name), format!(r#"{{"Records":[{}]}}"#, events.join(","))).unwrap();
        }
        temp
    }

    fn look(folder: &Path) -> Found {
        look_as(folder, &Own::default())
    }

    fn look_as(folder: &Path, own: &Own) -> Found {
        let since = at("2026-01-01T00:00:00Z");
        let probes = BTreeMap::new();
        let key = KEY.parse().unwrap();
        let subject = Subject { key, aliases: &[], operator: OPERATOR, own, probes: &probes, since };
        let archives = Archives { sources: vec![sources::Source::Local(folder.to_owned())], ..Archives::default() };
        read(&archives, &subject, since, at("2026-02-01T00:00:00Z"))
    }

    #[test]
    fn our_own_calls_count_only_from_before_the_case_acted() {
        let call = |id: &str, time: &str, operation: &str| testing::event(id, time, "quietus", operation, "");
        let temp = archive(&[(
            "2026/01/02",
            "2300",
            &[
                call("a", "2026-01-02T03:00:00Z", "Decrypt"),
                call("b", "2026-01-02T09:00:01Z", "Decrypt"),
                call("c", "2026-01-02T09:00:02Z", "GenerateDataKey"),
                call("d", "2026-01-02T01:00:00Z", "DescribeKey"),
            ],
        )]);
        let own = Own { acts: vec![("DisableKey", at("2026-01-02T09:00:00Z"))], ..Own::default() };
        let rows = look_as(temp.path(), &own).usage;
        let [row] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!((row.operation.as_str(), row.count, row.last), ("Decrypt", 1, at("2026-01-02T03:00:00Z")));
        assert_eq!(look(temp.path()).usage.len(), 2, "without a case, only looks are ours");
    }

    #[test]
    fn days_are_seen_as_far_as_layout_and_records_show_them() {
        let use_of = |id: &str, time: &str| testing::event(id, time, "app", "Decrypt", "");
        let temp = archive(&[
            ("2026/01/02", "1000", &[use_of("a", "2026-01-02T09:30:00Z")]),
            ("2026/01/03", "1000", &[]),
            ("2026/01/07", "1230", &[use_of("b", "2026-01-07T03:10:00Z")]),
        ]);
        let found = look(temp.path());
        let [row] = found.usage.as_slice() else { panic!("{:?}", found.usage) };
        assert_eq!((row.count, row.days.len(), row.class), (2, 2, Class::ReadData));
        assert_eq!(row.account.as_deref(), Some("111122223333"));
        let [source] = found.sources.as_slice() else { panic!("{:?}", found.sources) };
        let expected = [
            Span::new(at("2026-01-02T00:00:00Z"), at("2026-01-04T00:00:00Z")),
            Span::new(at("2026-01-07T00:00:00Z"), at("2026-01-07T12:30:00Z")),
        ];
        assert_eq!(source.spans, expected);
        assert_eq!(source.background, [at("2026-01-02T09:00:00Z"), at("2026-01-07T03:00:00Z")]);
        assert!(source.holes.is_empty());
    }

    #[test]
    fn a_broken_file_is_a_hole_on_its_day() {
        let temp = archive(&[("2026/01/02", "1000", &[]), ("2026/01/03", "1000", &["{\"cut".to_owned()])]);
        let [source] = look(temp.path()).sources.try_into().unwrap();
        assert_eq!(source.holes.len(), 1);
        assert_eq!(source.holes[0].span, Span::new(at("2026-01-03T00:00:00Z"), at("2026-01-04T00:00:00Z")));
    }

    #[test]
    fn a_path_that_is_not_there_covers_nothing() {
        let [source] = look(Path::new("/nowhere/at/all")).sources.try_into().unwrap();
        assert!(source.spans.is_empty() && source.holes.len() == 1);
    }

    #[test]
    fn rows_of_two_sources_are_not_counted_twice() {
        let temp =
            archive(&[("2026/01/02", "1000", &[testing::event("a", "2026-01-02T09:30:00Z", "app", "Decrypt", "")])]);
        let mut rows = look(temp.path()).usage;
        let again = rows.clone();
        merge(&mut rows, again);
        assert_eq!((rows.len(), rows[0].count), (1, 1));
    }
}
