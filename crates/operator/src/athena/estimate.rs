//! What a query will cost: the objects that it will read, listed, and their bytes.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use jiff::civil::Date;
use object_store::ObjectStore;
use object_store::path::Path;

use super::Error;
use crate::sources::Bucket;
use crate::sources::layout::{Filter, Place, Verdict};

/// What Athena charges for a terabyte that it reads, as it is stored. Source: aws.amazon.com/athena/pricing, SQL queries, most
/// Regions. Some Regions ask more, and a discount may apply: it is an estimate.
pub const USD_PER_TB: f64 = 5.0;
/// Bytes of a terabyte, taken the smaller way, so that the estimate is the higher.
const TB: f64 = 1e12;
/// The least that a query is charged for. Source: as above.
pub const MIN_BYTES: u64 = 10_000_000;
/// Partitions listed at the same time. (Ours; S3 takes 5,500 requests a second for each prefix.)
const LISTED_AT_ONCE: usize = 16;

/// The objects of one account and Region that will be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// The account.
    pub account: String,
    /// The Region.
    pub region: String,
    /// How many.
    pub objects: u64,
    /// Their bytes, as they are stored.
    pub bytes: u64,
    /// The days of the first and the last of them.
    pub days: (Date, Date),
}

/// What will be read; never nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Estimate {
    /// By account and Region, ascending.
    pub partitions: Vec<Partition>,
}

impl Estimate {
    /// All bytes.
    pub fn bytes(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.bytes).sum()
    }

    /// All objects.
    pub fn objects(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.objects).sum()
    }

    /// What reading them costs, in US dollars.
    #[allow(clippy::cast_precision_loss, reason = "an estimate")]
    pub fn usd(&self) -> f64 {
        self.bytes().max(MIN_BYTES) as f64 / TB * USD_PER_TB
    }

    /// The days of the first and the last object.
    pub(super) fn days(&self) -> Option<(Date, Date)> {
        let first = self.partitions.iter().map(|partition| partition.days.0).min()?;
        let last = self.partitions.iter().map(|partition| partition.days.1).max()?;
        Some((first, last))
    }
}

/// A trail's files.
#[derive(Debug)]
pub(super) struct Trail {
    /// The folder of the accounts.
    pub(super) root: Path,
    /// All that are there, asked for or not: what the table is made of.
    pub(super) accounts: BTreeSet<String>,
    pub(super) regions: BTreeSet<String>,
    pub(super) estimate: Estimate,
}

/// Lists what `filter` asks for.
pub(super) async fn list(bucket: &Bucket, store: &Arc<dyn ObjectStore>, filter: &Filter) -> Result<Trail, Error> {
    let place = |path: &Path| bucket.url_of(path);
    let failed = |path: &Path, why| Error::List { place: place(path), why };
    let root = root(bucket, store).await?;
    let accounts = folders(store, &root).await.map_err(|why| failed(&root, why))?;
    let accounts = accounts.into_iter().filter(|path| Place::of(path.as_ref()).is_some_and(|at| at.account.is_some()));
    let accounts: Vec<Path> = accounts.collect();
    let trails = stream::iter(accounts).map(|account| async move {
        let path = account.join("CloudTrail");
        folders(store, &path).await.map_err(|why| failed(&path, why))
    });
    let trails: Vec<Result<Vec<Path>, Error>> = trails.buffered(LISTED_AT_ONCE).collect().await;
    let regions: Vec<Path> = trails.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    let (mut all_accounts, mut all_regions) = (BTreeSet::new(), BTreeSet::new());
    for path in &regions {
        let at = Place::of(path.as_ref()).unwrap_or_default();
        all_accounts.extend(at.account.map(str::to_owned));
        all_regions.extend(at.region.map(str::to_owned));
    }
    let asked = regions.into_iter().filter(|path| filter.judge(path.as_ref()) == Verdict::Read);
    let measured = stream::iter(asked.collect::<Vec<_>>()).map(|path| async move {
        let measured = measure(store, &path, filter).await;
        measured.map_err(|why| failed(&path, why))
    });
    let measured: Vec<Result<Option<Partition>, Error>> = measured.buffered(LISTED_AT_ONCE).collect().await;
    let mut partitions: Vec<Partition> =
        measured.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    if partitions.is_empty() {
        return Err(Error::Nothing { place: place(&root) });
    }
    partitions.sort_by(|one, other| (&one.account, &one.region).cmp(&(&other.account, &other.region)));
    Ok(Trail { root, accounts: all_accounts, regions: all_regions, estimate: Estimate { partitions } })
}

/// The folder that holds the accounts: `AWSLogs`, or an organisation in it.
async fn root(bucket: &Bucket, store: &Arc<dyn ObjectStore>) -> Result<Path, Error> {
    let named = bucket.prefix();
    let root = match Place::of(named.as_ref()) {
        None => named.clone().join("AWSLogs"),
        Some(at) if at.account.is_none() => named.clone(),
        Some(_) => return Err(Error::NotARoot { place: bucket.to_string() }),
    };
    let inside = folders(store, &root).await.map_err(|why| Error::List { place: bucket.url_of(&root), why })?;
    let is_organisation = |path: &&Path| path.filename().is_some_and(|name| name.starts_with("o-"));
    let is_account = |path: &Path| Place::of(path.as_ref()).is_some_and(|at| at.account.is_some());
    let organisations: Vec<&Path> = inside.iter().filter(is_organisation).collect();
    match (organisations.as_slice(), inside.iter().any(is_account)) {
        ([], true) => Ok(root),
        ([], false) => Err(Error::Nothing { place: bucket.url_of(&root) }),
        ([organisation], false) => Ok((*organisation).clone()),
        _ => Err(Error::Several { place: bucket.url_of(&root) }),
    }
}

async fn folders(store: &Arc<dyn ObjectStore>, path: &Path) -> object_store::Result<Vec<Path>> {
    Ok(store.list_with_delimiter(Some(path)).await?.common_prefixes)
}

/// The objects of one account and Region, of the days that are asked for.
async fn measure(
    store: &Arc<dyn ObjectStore>,
    path: &Path,
    filter: &Filter,
) -> object_store::Result<Option<Partition>> {
    // S3 lists in the order of keys, and the layout's days are in order: begin with the first, end behind the last.
    let mut objects = match filter.first_day() {
        Some(day) => store.list_with_offset(Some(path), &Path::from(format!("{path}/{}", folder(day)))),
        None => store.list(Some(path)),
    };
    let mut days: BTreeMap<Date, (u64, u64)> = BTreeMap::new();
    while let Some(object) = objects.next().await {
        let object = object?;
        let Some((day, _)) = Place::of(object.location.as_ref()).filter(|at| at.is_day).and_then(|at| at.days) else {
            continue;
        };
        if filter.last_day().is_some_and(|last| last < day) {
            break;
        }
        if filter.judge(object.location.as_ref()) == Verdict::Read {
            let sum = days.entry(day).or_default();
            *sum = (sum.0 + 1, sum.1 + object.size);
        }
    }
    let at = Place::of(path.as_ref()).unwrap_or_default();
    let (Some((first, _)), Some((last, _))) = (days.first_key_value(), days.last_key_value()) else { return Ok(None) };
    Ok(Some(Partition {
        account: at.account.unwrap_or_default().to_owned(),
        region: at.region.unwrap_or_default().to_owned(),
        objects: days.values().map(|(objects, _)| objects).sum(),
        bytes: days.values().map(|(_, bytes)| bytes).sum(),
        days: (*first, *last),
    }))
}

/// A day as the layout spells it: `2026/02/03`.
pub(super) fn folder(day: Date) -> String {
    format!("{:04}/{:02}/{:02}", day.year(), day.month(), day.day())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_costs_by_its_bytes_and_never_nothing() {
        let day = Date::constant(2026, 1, 2);
        let partition =
            |bytes| Partition { account: String::new(), region: String::new(), objects: 1, bytes, days: (day, day) };
        let usd = |bytes: &[u64]| Estimate { partitions: bytes.iter().copied().map(partition).collect() }.usd();
        assert_eq!(usd(&[400_000_000_000, 600_000_000_000]), 5.0);
        assert_eq!(usd(&[1]), 0.00005);
        assert_eq!(folder(day), "2026/01/02");
    }
}
