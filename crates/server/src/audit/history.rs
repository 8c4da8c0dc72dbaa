//! `LookupEvents`: what the trail and the log hold of the last 90 days, newest first.
//!
//! Events come from three places: the sealed files of the trail, closed segments that wait to be sealed, and the durable
//! part of the active segment, which is kept in memory. An event may stand in two of them for a moment, and is answered
//! once. Events are ordered by time, then by event ID, both falling; a page's token is the place of its last event in that
//! order, bound to the query it answered.
//!
//! Source: CloudTrail API Reference, LookupEvents.

mod files;
mod index;
mod row;
mod search;
mod tail;

use super::seal::Sealed;
use super::{AuditLog, Error};
use api::{AccountId, Region, Timestamp};
use files::Files;
use jiff::SignedDuration;
use search::{Found, Search};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use tail::{Rows, Tail};

pub use trail::lookup::{Attribute, UnknownAttribute};

/// How far back a lookup sees. Source: CloudTrail API Reference, LookupEvents.
const REACH: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Most events on a page, and the default. Source: CloudTrail API Reference, LookupEvents, `MaxResults`.
pub const PAGE_EVENTS: usize = 50;

/// One page of history, as it is asked for.
#[derive(Debug, Clone)]
pub struct Query {
    /// The account whose events are asked for.
    pub account: AccountId,
    /// The Region whose events are asked for.
    pub region: Region,
    /// What the events must have, if anything: the attribute and its exact value.
    pub attribute: Option<(Attribute, String)>,
    /// The earliest time, inclusive; never more than 90 days back, whatever it says.
    pub start: Option<Timestamp>,
    /// The latest time, inclusive.
    pub end: Option<Timestamp>,
    /// Most events on the page: 1 to [`PAGE_EVENTS`], which is also the default.
    pub limit: Option<usize>,
    /// Where the page before this one ended.
    pub token: Option<String>,
}

impl Query {
    /// All events of an account and Region, first page.
    pub fn all(account: AccountId, region: Region) -> Query {
        Query { account, region, attribute: None, start: None, end: None, limit: None, token: None }
    }
}

/// Events, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The events.
    pub events: Vec<Item>,
    /// Where the next page begins; `None` on the last.
    pub token: Option<String>,
}

/// One event of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The event's own ID.
    pub event_id: String,
    /// The operation.
    pub event_name: String,
    /// Whether the operation changes nothing; `None` where the record does not say.
    pub read_only: Option<bool>,
    /// The access key that signed the call.
    pub access_key_id: Option<String>,
    /// When it happened.
    pub event_time: Timestamp,
    /// The service that was called.
    pub event_source: String,
    /// The caller's name.
    pub username: Option<String>,
    /// What it was about.
    pub resources: Vec<Resource>,
    /// The record itself, JSON.
    pub record: String,
}

/// A resource of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Its type: `AWS::KMS::Key`.
    pub kind: Option<String>,
    /// Its ARN.
    pub name: Option<String>,
}

/// Why a lookup has no answer.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// The token was not given out for this query.
    #[error("the token is not one that this query was answered with")]
    InvalidNextToken,
    /// The range ends before it starts.
    #[error("time range from {start} ends before it starts, at {end}")]
    InvalidTimeRange {
        /// Its start.
        start: Timestamp,
        /// Its end.
        end: Timestamp,
    },
    /// The page is to have no event, or too many.
    #[error("page of {given} events is not between 1 and {PAGE_EVENTS}")]
    InvalidMaxResults {
        /// How many were asked for.
        given: usize,
    },
    /// History could not be read: the answer would have been incomplete.
    #[error(transparent)]
    Unreadable(#[from] Error),
}

/// Reads what the node has recorded.
pub struct History {
    log: Arc<AuditLog>,
    files: Files,
    tail: Mutex<Tail>,
}

impl History {
    /// The history of `log` and of the files that are in the folder `trail` now; what is known of these is kept in the folder
    /// `index`. No file is opened.
    ///
    /// # Errors
    /// [`Error::File`] when a folder cannot be listed. A trail that does not exist yet is empty.
    pub fn open(log: Arc<AuditLog>, trail: &Path, index: &Path) -> Result<History, Error> {
        Ok(History { log, files: Files::list(trail, index)?, tail: Mutex::default() })
    }

    /// The folder that segments are sealed into.
    pub fn trail(&self) -> &Path {
        self.files.trail()
    }

    /// Takes up files that were just sealed; one that is known already stays as it is.
    ///
    /// What they hold is then in the index, durably. Where that could not be written, lookups open the files instead: the index
    /// is derived from them and never an answer of its own.
    pub fn add(&self, sealed: Vec<Sealed>) {
        self.files.add(sealed);
    }

    /// Reads up to `most` files that the index does not know yet, so that lookups need not: those of a folder that was made
    /// before there was an index, or whose index was lost. Whether none is left.
    pub fn catch_up(&self, most: usize) -> bool {
        self.files.catch_up(most)
    }

    /// One page of the events that match `query`, at most 90 days before `now`.
    ///
    /// Reads files; not for a thread that must not block.
    ///
    /// # Errors
    /// [`LookupError`]. A damaged segment or file is an error: an answer that leaves events out is worse than none.
    pub fn lookup(&self, query: &Query, now: Timestamp) -> Result<Page, LookupError> {
        let search = Search::new(query, now)?;
        let mut found = Found::new(&search);
        // The log before the files: a segment that is sealed and removed meanwhile is in the files by then.
        self.look_in_log(&mut found)?;
        self.files.look(&mut found)?;
        Ok(found.page())
    }

    fn look_in_log(&self, found: &mut Found<'_>) -> Result<(), Error> {
        let segments = self.log.segments();
        self.tail(segments.active, segments.active_bytes)?.rows.look(found);
        for number in segments.closed.into_iter().rev() {
            if let Some(segment) = self.log.read_within(number, 0..u64::MAX)? {
                Rows::of(&segment)?.look(found);
            }
        }
        Ok(())
    }

    /// The records of the active segment, of which `durable` bytes are durable.
    fn tail(&self, active: u64, durable: u64) -> Result<MutexGuard<'_, Tail>, Error> {
        let mut tail = self.tail.lock().expect(NO_PANIC);
        if tail.segment != active {
            *tail = Tail { segment: active, ..Tail::default() };
        }
        if tail.read_to < durable
            && let Some(more) = self.log.read_within(active, tail.read_to..durable)?
        {
            // What fails in the middle is read again from the start.
            if let Err(error) = tail.rows.extend(&more) {
                *tail = Tail::default();
                return Err(error);
            }
            tail.read_to = durable;
        }
        Ok(tail)
    }
}

const NO_PANIC: &str = "no panic happens under this lock";
