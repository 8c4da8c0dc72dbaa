//! CloudTrail's own layout: what a path tells of the files under it, before any of them is read.
//!
//! `[prefix/]AWSLogs/[o-<organisation>/]<account>/CloudTrail/<Region>/YYYY/MM/DD/<file>`. Source: CloudTrail User Guide, "CloudTrail log
//! file examples". A path that does not follow it tells nothing, and what it holds is read.
//!
//! *Caveat*: the day in a path is that of the delivery, not of the event. CloudTrail delivers within minutes as a rule and promises
//! nothing, so days around the span that is asked for are read too: [`EARLY`] and [`LATE`].

use std::collections::BTreeSet;

use api::{AccountId, Region, Timestamp};
use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Days before the span that are read too. No event comes before it happens; this is for clocks. (Ours.)
pub const EARLY: i64 = 1;
/// Days after the span that are read too, for what was delivered late. (Ours.)
pub const LATE: i64 = 7;

/// Which files are read, as far as their paths tell: everything, where nothing is named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only files of these accounts.
    pub accounts: BTreeSet<AccountId>,
    /// Only files of these Regions.
    pub regions: BTreeSet<Region>,
    /// Only files that may hold events at or after this moment.
    pub since: Option<Timestamp>,
    /// Only files that may hold events before this moment.
    pub until: Option<Timestamp>,
}

/// What becomes of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is read.
    Read,
    /// It is of another account, Region or time than is asked for.
    NotAsked,
    /// It is of a digest, which holds no events.
    Digest,
    /// It is of another service that writes beside CloudTrail.
    OtherService,
}

/// What a path tells, as far as it goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place<'p> {
    /// Everything up to the account: `prefix/AWSLogs/o-1`.
    pub root: &'p str,
    /// `111122223333`.
    pub account: Option<&'p str>,
    /// `CloudTrail`, `CloudTrail-Digest`, `Config`…
    pub service: Option<&'p str>,
    /// `eu-west-1`.
    pub region: Option<&'p str>,
    /// The first and the last day that the path stands for.
    pub days: Option<(Date, Date)>,
    /// Whether year, month and day are all told.
    pub is_day: bool,
}

impl<'p> Place<'p> {
    /// Reads a path of a folder or file, parts joined by `/`; nothing where it is not in the layout.
    pub fn of(path: &'p str) -> Option<Place<'p>> {
        let begin = path.match_indices("AWSLogs").map(|(at, _)| at).filter(|at| {
            let end = at + "AWSLogs".len();
            (*at == 0 || path[..*at].ends_with('/')) && (end == path.len() || path[end..].starts_with('/'))
        });
        let begin = begin.last()?;
        let after = begin + "AWSLogs".len();
        let mut parts = path[after..].split('/').skip(1).filter(|part| !part.is_empty()).peekable();
        let mut root = &path[..after];
        if let Some(organisation) = parts.next_if(|part| part.starts_with("o-")) {
            root = &path[..after + 1 + organisation.len()];
        }
        let account = parts.next();
        if account.is_some_and(|account| account.parse::<AccountId>().is_err()) {
            return None;
        }
        let (service, region) = (parts.next(), parts.next());
        let year = parts.next().and_then(|part| part.parse::<i16>().ok());
        let month = year.and_then(|_| parts.next()?.parse::<i8>().ok());
        let day = month.and_then(|_| parts.next()?.parse::<i8>().ok());
        Some(Place { root, account, service, region, days: days(year, month, day), is_day: day.is_some() })
    }
}

/// The days that a year, a month or a day stands for.
fn days(year: Option<i16>, month: Option<i8>, day: Option<i8>) -> Option<(Date, Date)> {
    let first = Date::new(year?, month.unwrap_or(1), day.unwrap_or(1)).ok()?;
    let last = match (month, day) {
        (_, Some(_)) => first,
        (Some(_), None) => first.last_of_month(),
        (None, None) => first.last_of_year(),
    };
    Some((first, last))
}

impl Filter {
    /// What becomes of a folder or file.
    pub fn judge(&self, path: &str) -> Verdict {
        let Some(place) = Place::of(path) else { return Verdict::Read };
        if place.account.is_some_and(|account| !self.wants_account(account)) {
            return Verdict::NotAsked;
        }
        match place.service {
            None => return Verdict::Read,
            Some("CloudTrail-Digest") => return Verdict::Digest,
            Some(service) if !service.starts_with("CloudTrail") => return Verdict::OtherService,
            Some(_) => {}
        }
        let is_asked = place.region.is_none_or(|region| self.wants_region(region))
            && place.days.is_none_or(|(first, last)| self.wants_some_of(first, last));
        if is_asked { Verdict::Read } else { Verdict::NotAsked }
    }

    /// Whether folders below `folder`, itself read, can meet another verdict than it: whether to look before listing all of it.
    pub fn may_narrow(&self, folder: &str) -> bool {
        let names_days = self.since.is_some() || self.until.is_some();
        let Some(place) = Place::of(folder) else {
            return names_days || !self.accounts.is_empty() || !self.regions.is_empty();
        };
        match (place.account, place.service, place.region, place.days) {
            // Digests and other services are left out by their folders, not file by file.
            (None, ..) | (_, None, ..) => true,
            (_, _, None, _) => !self.regions.is_empty() || names_days,
            (_, _, _, None) => names_days,
            (_, _, _, Some((first, last))) => !(self.wants_all_of(first, last) || place.is_day),
        }
    }

    fn wants_account(&self, account: &str) -> bool {
        self.accounts.is_empty() || account.parse().is_ok_and(|account| self.accounts.contains(&account))
    }

    fn wants_region(&self, region: &str) -> bool {
        self.regions.is_empty() || region.parse().is_ok_and(|region| self.regions.contains(&region))
    }

    fn wants_some_of(&self, first: Date, last: Date) -> bool {
        self.first_day().is_none_or(|day| day <= last) && self.last_day().is_none_or(|day| first <= day)
    }

    fn wants_all_of(&self, first: Date, last: Date) -> bool {
        self.first_day().is_none_or(|day| day <= first) && self.last_day().is_none_or(|day| last <= day)
    }

    /// The first day that is read; none where time is not limited, or not by any date that there is.
    pub fn first_day(&self) -> Option<Date> {
        date(self.since?).checked_sub(EARLY.days()).ok()
    }

    /// The last day that is read.
    pub fn last_day(&self) -> Option<Date> {
        date(self.until?).checked_add(LATE.days()).ok()
    }
}

/// The day of a moment, UTC.
fn date(at: Timestamp) -> Date {
    at.to_zoned_datetime(TimeZone::UTC).date()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(accounts: &[&str], regions: &[&str], since: &str, until: &str) -> Filter {
        let at = |text: &str| (!text.is_empty()).then(|| format!("{text}T12:00:00Z").parse().unwrap());
        Filter {
            accounts: accounts.iter().map(|text| text.parse().unwrap()).collect(),
            regions: regions.iter().map(|text| text.parse().unwrap()).collect(),
            since: at(since),
            until: at(until),
        }
    }

    #[test]
    fn a_path_tells_what_it_tells() {
        let place = Place::of("my/AWSLogs/o-ab1/111122223333/CloudTrail/eu-west-1/2026/02/03/x.json.gz").unwrap();
        assert_eq!((place.root, place.account), ("my/AWSLogs/o-ab1", Some("111122223333")));
        assert_eq!((place.service, place.region, place.is_day), (Some("CloudTrail"), Some("eu-west-1"), true));
        let day = Date::new(2026, 2, 3).unwrap();
        assert_eq!(place.days, Some((day, day)));
        let month = Place::of("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/02").unwrap();
        assert_eq!(month.days.map(|(_, last)| last), Date::new(2026, 2, 28).ok());
        assert_eq!(Place::of("AWSLogs").unwrap().root, "AWSLogs");
        assert_eq!(Place::of("a/AWSLogs/b/AWSLogs/o-1/").unwrap().root, "a/AWSLogs/b/AWSLogs/o-1");
        for other in ["", "logs/a.json", "MyAWSLogs/111122223333", "AWSLogs/somebody/CloudTrail"] {
            assert_eq!(Place::of(other), None, "{other}");
        }
    }

    #[test]
    fn every_path_has_its_verdict() {
        use Verdict::{Digest, NotAsked, OtherService, Read};
        let narrow = filter(&["111122223333"], &["eu-west-1"], "2026-02-03", "2026-02-04");
        for (path, verdict) in [
            ("", Read),
            ("somewhere/else.json.gz", Read),
            ("AWSLogs", Read),
            ("AWSLogs/o-1", Read),
            ("AWSLogs/111122223333", Read),
            ("AWSLogs/o-1/111122223333/CloudTrail", Read),
            ("AWSLogs/444455556666", NotAsked),
            ("AWSLogs/111122223333/CloudTrail-Digest/eu-west-1", Digest),
            ("AWSLogs/111122223333/Config/eu-west-1/x.json.gz", OtherService),
            ("AWSLogs/111122223333/CloudTrail/us-east-1", NotAsked),
            ("AWSLogs/111122223333/CloudTrail/eu-west-1", Read),
            ("AWSLogs/111122223333/CloudTrail/eu-west-1/2025", NotAsked),
            ("AWSLogs/111122223333/CloudTrail/eu-west-1/2026", Read),
            ("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/01", NotAsked),
            ("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/02/01/a.json.gz", NotAsked),
            ("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/02/02/a.json.gz", Read),
            ("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/02/11/a.json.gz", Read),
            ("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/02/12/a.json.gz", NotAsked),
        ] {
            assert_eq!(narrow.judge(path), verdict, "{path}");
        }
        assert_eq!(Filter::default().judge("AWSLogs/444455556666/CloudTrail/us-east-1/2020/01/01/a.json"), Read);
    }

    #[test]
    fn a_folder_is_looked_into_only_where_that_can_save_reading() {
        let since = filter(&[], &[], "2026-02-03", "");
        for (folder, looks) in [
            ("", true),
            ("AWSLogs", true),
            ("AWSLogs/111122223333", true),
            ("AWSLogs/111122223333/CloudTrail/eu-west-1", true),
            ("AWSLogs/111122223333/CloudTrail/eu-west-1/2026", true),
            ("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/02", true),
            ("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/03", false),
            ("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/02/02", false),
            ("AWSLogs/111122223333/CloudTrail/eu-west-1/2027", false),
        ] {
            assert_eq!(since.may_narrow(folder), looks, "{folder}");
        }
        let regions = filter(&[], &["eu-west-1"], "", "");
        assert!(regions.may_narrow("AWSLogs/111122223333/CloudTrail"));
        assert!(!regions.may_narrow("AWSLogs/111122223333/CloudTrail/eu-west-1"));
        assert!(!Filter::default().may_narrow("logs") && Filter::default().may_narrow("AWSLogs/111122223333"));
        assert!(!Filter::default().may_narrow("AWSLogs/111122223333/CloudTrail"));
    }

    #[test]
    fn times_at_the_end_of_time_limit_nothing() {
        let ends = Filter { since: Some(Timestamp::MIN), until: Some(Timestamp::MAX), ..Filter::default() };
        assert_eq!(ends.judge("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/02/02/a.json.gz"), Verdict::Read);
    }
}
