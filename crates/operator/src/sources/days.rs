//! Which days a trail's files show, by the layout that they stand in.
//!
//! A file says what is in it, not what should be. A day that neither a path nor a record shows was not seen.

use std::collections::BTreeMap;
use std::path::Path;

use api::{Region, Timestamp};
use jiff::civil::Date;
use procedure::Span;
use procedure::span::{DAY, HOUR, after, union};

use crate::sight::floor;

/// An account and Region.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) account: String,
    pub(crate) region: Region,
}

/// The days that files or records show, each with the end of what it shows.
#[derive(Debug, Default)]
pub(crate) struct Days(BTreeMap<Place, BTreeMap<Timestamp, Timestamp>>);

impl Days {
    fn show(&mut self, place: &Place, day: Timestamp, until: Timestamp) {
        let days = self.0.entry(place.clone()).or_default();
        let known = days.entry(day).or_insert(day);
        *known = (*known).max(until);
    }

    /// Hours with records of a place.
    pub(crate) fn records(&mut self, place: &Place, hours: impl Iterator<Item = Timestamp>) {
        hours.for_each(|hour| self.show(place, floor(hour, DAY), after(hour, HOUR)));
    }

    /// A file of the layout, read or not: what cannot be read, the scan names.
    pub(crate) fn file(&mut self, path: &Path) {
        if let Some((place, day)) = day_of(path) {
            let until = path.file_name().and_then(|name| name.to_str()).and_then(delivered).unwrap_or(day);
            self.show(&place, day, until);
        }
    }

    /// The accounts and Regions that show any day.
    pub(crate) fn places(&self) -> impl Iterator<Item = &Place> {
        self.0.keys()
    }

    /// A day is seen whole when a later one is there too; the last as far as its records and deliveries go.
    pub(crate) fn spans(&self, place: &Place) -> Vec<Span> {
        let Some(days) = self.0.get(place) else { return Vec::new() };
        let last = days.keys().next_back();
        let end = |day: &Timestamp, until: &Timestamp| if Some(day) == last { *until } else { after(*day, DAY) };
        union(days.iter().map(|(day, until)| Span::new(*day, end(day, until))))
    }
}

/// The place and day of a path `…/AWSLogs/[organisation/]<account>/CloudTrail/<Region>/YYYY/MM/DD[/…]`.
pub(crate) fn day_of(path: &Path) -> Option<(Place, Timestamp)> {
    let parts: Vec<&str> = path.components().filter_map(|part| part.as_os_str().to_str()).collect();
    let at = parts.iter().rposition(|part| *part == "CloudTrail")?;
    let account: api::AccountId = parts.get(at.checked_sub(1)?)?.parse().ok()?;
    let region: Region = parts.get(at + 1)?.parse().ok()?;
    let number = |place: usize| parts.get(at + place)?.parse::<i16>().ok();
    let date = Date::new(number(2)?, number(3)?.try_into().ok()?, number(4)?.try_into().ok()?).ok()?;
    let day = jiff::tz::Offset::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()?;
    Some((Place { account: account.to_string(), region }, day))
}

/// When a file was delivered: `<account>_CloudTrail_<Region>_YYYYMMDDTHHmmZ_<unique>.json.gz`.
fn delivered(name: &str) -> Option<Timestamp> {
    let stamp = name.split('_').nth(3)?;
    let (date, time) = stamp.strip_suffix('Z')?.split_once('T')?;
    let part = |text: &str, from: usize, to: usize| text.get(from..to).map(str::to_owned);
    let date = format!("{}-{}-{}", part(date, 0, 4)?, part(date, 4, 6)?, part(date, 6, 8)?);
    format!("{date}T{}:{}:00Z", part(time, 0, 2)?, part(time, 2, 4)?).parse().ok()
}
