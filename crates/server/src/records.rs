//! Where records go: into the audit log, from there into the trail's files, and in a rehearsed outage aside.
//!
//! A *rehearsed outage* is a development server's way to show a blind trail: for a Region, records are still durable before an
//! answer leaves, but they go to a second log and reach neither LookupEvents nor the trail until delivery starts again, or never.
//! A server that is not for development has no second log and no way to ask for one.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use api::{KeyArn, Region, Timestamp};
use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use service::LastUse;
use store::Appended;
use trail::event::Event;

use crate::audit::history::{History, LookupError, Page, Query};
use crate::audit::{self, AuditLog, Error, Receipt, Segment, seal};
use crate::files::{self, FileError, unreadable};
use crate::folder::Folder;

/// How often a record of the store's queue is offered to an audit log that is too busy to take it, a millisecond apart.
const OFFERS: usize = 10_000;

/// How many files that lookups know nothing of are read each time that records are sealed.
const CATCH_UP_FILES: usize = 256;

/// What happens to a Region's records in a rehearsed outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outage {
    /// They are delivered, late, when delivery starts again.
    Stopped,
    /// They are never delivered.
    Lost,
}

/// The node's records.
pub(crate) struct Records {
    log: Arc<AuditLog>,
    history: ArcSwap<History>,
    trail: PathBuf,
    index: PathBuf,
    outages: Option<Outages>,
    /// The receipts of the last records taken over from the store: one for each log.
    pumped: Mutex<[Option<Receipt>; 2]>,
}

/// The second log, and whose records go there.
struct Outages {
    log: AuditLog,
    regions: Mutex<BTreeMap<String, Outage>>,
    /// Whether any Region has an outage: all that a call looks at otherwise.
    any: AtomicBool,
    file: PathBuf,
}

/// Why records could not be sealed or delivered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealError {
    #[error(transparent)]
    Audit(#[from] Error),
    #[error(transparent)]
    File(#[from] FileError),
    /// What was last used could not be written down, so the records that tell it stay.
    #[error("last uses could not be written to the store")]
    Uses,
}

impl Records {
    /// Opens the logs and the history of `folder`; `dev` servers can rehearse outages.
    pub(crate) fn open(folder: &Folder, dev: bool) -> Result<Records, SealError> {
        let log = Arc::new(AuditLog::open(folder.root())?);
        if let Some(torn) = log.torn_tail() {
            let (path, bytes) = (torn.path.display(), torn.bytes);
            tracing::warn!(%path, bytes, "cut off a half-written group of records, of which nobody was told");
        }
        let history = ArcSwap::from_pointee(History::open(log.clone(), &folder.trail(), &folder.lookup())?);
        let outages = if dev { Some(Outages::open(folder.withheld())?) } else { None };
        let (trail, index) = (folder.trail(), folder.lookup());
        Ok(Records { log, history, trail, index, outages, pumped: Mutex::default() })
    }

    /// Accepts the record of a call to `region`; it is durable when the receipt says so.
    pub(crate) fn append(&self, region: &Region, record: &[u8]) -> Result<Receipt, Error> {
        match &self.outages {
            Some(outages) if outages.has(region.as_str()) => outages.log.append(record),
            Some(_) | None => self.log.append(record),
        }
    }

    /// Accepts a record of the store's queue, in order; blocks while the log is too busy.
    pub(crate) fn append_from_store(&self, record: &Appended) -> Result<(), Error> {
        let withheld = self.outages.as_ref().filter(|outages| outages.has_any() && outages.has(&region(&record.bytes)));
        let (at, log) = match withheld {
            Some(outages) => (1, &outages.log),
            None => (0, &*self.log),
        };
        let mut offers = OFFERS;
        let receipt = loop {
            match log.append_from_store(record.sequence, &record.bytes) {
                Err(Error::Full { .. }) if offers > 0 => {
                    offers -= 1;
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
                other => break other?,
            }
        };
        self.pumped()[at] = Some(receipt);
        Ok(())
    }

    /// The highest sequence of the store's queue that was accepted.
    pub(crate) fn last_store_sequence(&self) -> u64 {
        let withheld = self.outages.as_ref().map_or(0, |outages| outages.log.last_store_sequence());
        self.log.last_store_sequence().max(withheld)
    }

    /// Blocks until every record taken over from the store is durable here.
    pub(crate) fn wait(&self) -> Result<(), Error> {
        let receipts = std::mem::take(&mut *self.pumped());
        receipts.into_iter().flatten().try_for_each(Receipt::wait)
    }

    fn pumped(&self) -> MutexGuard<'_, [Option<Receipt>; 2]> {
        self.pumped.lock().expect("no panic happens under this lock")
    }

    /// One page of LookupEvents.
    pub(crate) fn lookup(&self, query: &Query, now: Timestamp) -> Result<Page, LookupError> {
        self.history.load().lookup(query, now)
    }

    /// The last use of each key, as the records that are not sealed yet tell it.
    ///
    /// *Assumptions*: nobody appends meanwhile.
    pub(crate) fn uses(&self, mut note: impl FnMut(&KeyArn, &LastUse)) -> Result<(), Error> {
        for log in self.logs() {
            log.rotate()?;
            for number in log.closed_segments() {
                uses(&log.read(number)?, &mut note);
            }
        }
        Ok(())
    }

    fn logs(&self) -> impl Iterator<Item = &AuditLog> {
        std::iter::once(&*self.log).chain(self.outages.iter().map(|outages| &outages.log))
    }

    /// Whether a segment is closed and waits to be sealed.
    pub(crate) fn has_closed(&self) -> bool {
        !self.log.closed_segments().is_empty()
    }

    /// Seals every record that is durable now into the trail. `keep` must make the last uses of these keys durable elsewhere, and
    /// says whether it did: only then do the records go. Blocks.
    pub(crate) fn seal(&self, keep: impl Fn(Vec<KeyArn>) -> bool) -> Result<(), SealError> {
        self.deliver(&keep)?;
        self.log.rotate()?;
        for number in self.log.closed_segments() {
            let segment = self.log.read(number)?;
            if !keep(used(&segment)) {
                return Err(SealError::Uses);
            }
            let sealed = seal::seal(&self.trail, number, segment.records().map(|record| record.bytes))?;
            self.history.load().add(sealed);
            self.log.remove(number)?;
        }
        self.history.load().catch_up(CATCH_UP_FILES);
        Ok(())
    }

    /// Begins or ends a rehearsed outage; what was withheld is delivered when it ends. Blocks.
    ///
    /// `None` where this server cannot rehearse any.
    pub(crate) fn set_outage(
        &self,
        region: &Region,
        outage: Option<Outage>,
        keep: impl Fn(Vec<KeyArn>) -> bool,
    ) -> Option<Result<(), SealError>> {
        let outages = self.outages.as_ref()?;
        let set = || {
            // What is lost is lost before the Region is delivered again.
            self.deliver(&keep)?;
            outages.set(region.as_str(), outage)?;
            self.deliver(&keep)
        };
        Some(set())
    }

    /// Moves withheld records on: those of a Region that is delivered again into the log, those that are lost away, all others
    /// to the end of their own log.
    fn deliver(&self, keep: &impl Fn(Vec<KeyArn>) -> bool) -> Result<(), SealError> {
        let Some(outages) = &self.outages else { return Ok(()) };
        outages.log.rotate()?;
        let regions = outages.regions().clone();
        for number in outages.log.closed_segments() {
            let segment = outages.log.read(number)?;
            let stopped = |record: audit::Record<'_>| regions.get(&region(record.bytes)) == Some(&Outage::Stopped);
            if segment.records().all(stopped) {
                continue;
            }
            if !keep(used(&segment)) {
                return Err(SealError::Uses);
            }
            let mut receipts = Vec::new();
            for record in segment.records() {
                match regions.get(&region(record.bytes)) {
                    None => receipts.push(self.log.append(record.bytes)?),
                    Some(Outage::Stopped) => receipts.push(outages.log.append(record.bytes)?),
                    Some(Outage::Lost) => {}
                }
            }
            receipts.into_iter().try_for_each(Receipt::wait)?;
            outages.log.remove(number)?;
        }
        Ok(())
    }

    /// Forgets every record, every file of the trail and every outage. Blocks.
    pub(crate) fn reset(&self) -> Result<(), SealError> {
        if let Some(outages) = &self.outages {
            outages.clear()?;
        }
        for log in self.logs() {
            log.rotate()?;
            for number in log.closed_segments() {
                log.remove(number)?;
            }
        }
        for folder in [&self.index, &self.trail] {
            match fs::remove_dir_all(folder) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(files::io("remove", folder)(error).into());
                }
                Ok(()) | Err(_) => {}
            }
        }
        self.history.store(Arc::new(History::open(self.log.clone(), &self.trail, &self.index)?));
        Ok(())
    }
}

impl Outages {
    fn open(folder: PathBuf) -> Result<Outages, SealError> {
        let log = AuditLog::open(&folder)?;
        let file = folder.join("regions.json");
        let regions: BTreeMap<String, Outage> = match files::read(&file)? {
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| unreadable(&file, &error))?,
            None => BTreeMap::new(),
        };
        Ok(Outages { log, any: AtomicBool::new(!regions.is_empty()), regions: Mutex::new(regions), file })
    }

    fn regions(&self) -> MutexGuard<'_, BTreeMap<String, Outage>> {
        self.regions.lock().expect("no panic happens under this lock")
    }

    fn has_any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    fn has(&self, region: &str) -> bool {
        self.has_any() && self.regions().contains_key(region)
    }

    fn set(&self, region: &str, outage: Option<Outage>) -> Result<(), FileError> {
        self.change(|regions| {
            match outage {
                Some(outage) => regions.insert(region.to_owned(), outage),
                None => regions.remove(region),
            };
        })
    }

    fn clear(&self) -> Result<(), FileError> {
        self.change(BTreeMap::clear)
    }

    fn change(&self, edit: impl FnOnce(&mut BTreeMap<String, Outage>)) -> Result<(), FileError> {
        let mut regions = self.regions();
        let mut next = regions.clone();
        edit(&mut next);
        let bytes = serde_json::to_vec(&next).expect("a map of texts is JSON");
        files::replace(&self.file, &bytes)?;
        self.any.store(!next.is_empty(), Ordering::Release);
        *regions = next;
        Ok(())
    }
}

/// The Region that a record of ours names; empty where it names none.
fn region(record: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Placed<'a> {
        #[serde(borrow, rename = "awsRegion")]
        region: Option<std::borrow::Cow<'a, str>>,
    }

    let placed = serde_json::from_slice::<Placed<'_>>(record).ok();
    placed.and_then(|placed| placed.region).map(std::borrow::Cow::into_owned).unwrap_or_default()
}

/// The keys that a segment's records say were used, each once.
fn used(segment: &Segment) -> Vec<KeyArn> {
    let mut keys = std::collections::BTreeSet::new();
    uses(segment, &mut |key, _| {
        keys.insert(*key);
    });
    keys.into_iter().collect()
}

/// Every use of a key that a segment's records tell of: successful cryptographic operations.
fn uses(segment: &Segment, note: &mut impl FnMut(&KeyArn, &LastUse)) {
    for record in segment.records() {
        // Our own records read well; one that does not tells of no use.
        let Ok(event) = Event::parse(record.bytes) else { continue };
        let operation = api::find(api::Service::Kms, &event.event_name).filter(|row| row.is_cryptographic());
        let Some(operation) = operation else { continue };
        if &*event.event_source != api::Service::Kms.event_source() || event.error_code.is_some() {
            continue;
        }
        let last = LastUse {
            operation: operation.name.to_owned(),
            at: event.event_time,
            event_id: event.event_id.as_deref().unwrap_or_default().to_owned(),
            request_id: event.request_id.as_deref().unwrap_or_default().to_owned(),
        };
        let keys = event.resources.iter().filter_map(|resource| resource.arn.as_deref()?.parse::<KeyArn>().ok());
        // Of the twin records of a call across accounts each tells of its own account's keys.
        let recipient = event.recipient_account_id.as_deref().and_then(|account| account.parse().ok());
        let keys = keys.filter(|key| recipient.is_none_or(|recipient| key.account == recipient));
        keys.for_each(|key| note(&key, &last));
    }
}

impl From<SealError> for crate::error::StartError {
    fn from(error: SealError) -> crate::error::StartError {
        match error {
            SealError::Audit(error) => crate::error::StartError::Audit(error),
            SealError::File(error) => crate::error::StartError::File(error),
            SealError::Uses => unreachable!("nothing is sealed when a server starts"),
        }
    }
}

impl From<audit::history::LookupError> for api::Fault {
    fn from(error: LookupError) -> api::Fault {
        use api::Fault;
        match error {
            LookupError::InvalidNextToken => Fault::new(
                "InvalidNextTokenException",
                "The token was not given out for this lookup; send the same parameters as with the page that it came from.",
            ),
            LookupError::InvalidTimeRange { .. } => {
                Fault::new("InvalidTimeRangeException", "The end of the time range is before its start.")
            }
            LookupError::InvalidMaxResults { given } => {
                Fault::new("InvalidMaxResultsException", format!("MaxResults of {given} is not between 1 and 50."))
            }
            LookupError::Unreadable(_) => Fault::internal(),
        }
    }
}
