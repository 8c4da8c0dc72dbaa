//! Scanning past one machine: the same rows as a scan of the files, counted by Athena where the files are.
//!
//! Athena groups events that say the same and counts each event ID once ([`sql`]); what a group says for which key is decided by the
//! code that reads files ([`group`]), so that there is one authority. Before anything runs, the objects are listed and what reading
//! them costs is told ([`estimate`]).
//!
//! *Caveats*: Athena names no gaps: of a broken file it reads what it can, or the whole query fails. Everything here blocks; it must
//! not be called where async code runs.

mod api;
mod estimate;
mod group;
mod interrupt;
mod sql;

use tokio::runtime::Runtime;
use trail::Selection;
use trail::summary::{Builder, Summary};

pub use estimate::{Estimate, MIN_BYTES, Partition, USD_PER_TB};
pub use group::Odd;
pub use sql::{InvalidName, Name};

use interrupt::Interrupt;

use crate::aws::{self, Target};
use crate::sources::Bucket;
use crate::sources::layout::Filter;

/// What to ask Athena.
#[derive(Debug)]
pub struct Ask {
    /// Where the files are, in CloudTrail's layout.
    pub bucket: Bucket,
    /// Which files.
    pub filter: Filter,
    /// Which events.
    pub selection: Selection,
    /// The database of the table. It must exist.
    pub database: Name,
    /// The table, which is made where it is not there; without a name, one that is named after what it is made of.
    pub table: Option<Name>,
    /// The workgroup; Athena's own default where there is none.
    pub workgroup: Option<String>,
    /// Where Athena writes what it finds, `s3://…`; the workgroup's own place where there is none.
    pub output: Option<String>,
}

/// Why Athena gave no rows.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bucket cannot be listed.
    #[error("cannot list `{place}`: {why}")]
    List {
        /// Where.
        place: String,
        /// What the store says.
        #[source]
        why: object_store::Error,
    },
    /// There are no log files.
    #[error("`{place}` holds no log files of CloudTrail that are asked for")]
    Nothing {
        /// Where.
        place: String,
    },
    /// The table needs all accounts of a trail in one folder.
    #[error("`{place}` is not the folder of a whole trail; name the one that ends in `AWSLogs` or `AWSLogs/o-…`")]
    NotARoot {
        /// What was named.
        place: String,
    },
    /// Both accounts and organisations are there.
    #[error("`{place}` holds trails of accounts and of organisations, or of several; name the one that is meant")]
    Several {
        /// Where.
        place: String,
    },
    /// Athena refused a call, or could not be reached.
    #[error("Athena: {why}")]
    Call {
        /// What it says.
        why: String,
    },
    /// A query failed.
    #[error("Athena's query {query_id} failed: {why}")]
    Failed {
        /// The query.
        query_id: String,
        /// What Athena says.
        why: String,
    },
    /// A query took too long, and was stopped.
    #[error("Athena's query {query_id} took more than {} minutes and was stopped", api::LONGEST.as_secs() / 60)]
    TooLong {
        /// The query.
        query_id: String,
    },
    /// Ctrl-C came while Athena worked, and the query was stopped.
    #[error("interrupted; Athena's query {query_id} was stopped")]
    Interrupted {
        /// The query.
        query_id: String,
    },
    /// Ctrl-C came while Athena worked, and the query could not be stopped.
    #[error("interrupted; Athena's query {query_id} could not be stopped and may still run: {why}")]
    NotStopped {
        /// The query.
        query_id: String,
        /// What Athena says.
        why: String,
    },
    /// Ctrl-C came while a query was started, and Athena has not told its ID.
    #[error("interrupted while a query was started; it may run, and Athena has not told its ID")]
    InterruptedStart,
    /// The answer is not what was asked for.
    #[error("Athena's query {query_id} answered what cannot be read: {why}")]
    Odd {
        /// The query.
        query_id: String,
        /// What was wrong.
        #[source]
        why: Odd,
    },
    /// The operating system gave no thread.
    #[error("cannot start a runtime: {0}")]
    Runtime(#[source] std::io::Error),
    /// The operating system lets nobody listen for Ctrl-C.
    #[error("an interrupt cannot be waited for: {0}")]
    Signal(#[source] std::io::Error),
}

/// A query that is ready to run, and what it will cost.
#[derive(Debug)]
pub struct Plan {
    ask: Ask,
    client: aws_sdk_athena::Client,
    estimate: Estimate,
    table: Name,
    definition: String,
    query: String,
    runtime: Runtime,
}

/// What Athena found.
#[derive(Debug)]
pub struct Answer {
    /// The rows, as a scan has them. It counts no files and no bytes.
    pub summary: Summary,
    /// Whence they come.
    pub evidence: Evidence,
}

/// What proves an answer: enough to look the query up in Athena and in CloudTrail.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// `athena`.
    pub engine: &'static str,
    /// Athena's ID of the query.
    pub query_id: String,
    /// `<database>.<table>`.
    pub table: String,
    /// Where the table's files are.
    pub location: String,
    /// Bytes that Athena read, by its own word.
    pub bytes_scanned: u64,
    /// Bytes that were expected.
    pub bytes_estimated: u64,
    /// What was expected to be paid, in US dollars.
    pub usd_estimated: f64,
    /// Groups of events that say the same.
    pub groups: u64,
}

/// Lists the files that are asked for, and makes the query. Nothing is changed and, but for listing, nothing is to be paid.
///
/// # Errors
/// [`Error`], each saying what is wrong.
pub fn plan(ask: Ask, target: &Target) -> Result<Plan, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(Error::Runtime)?;
    let (client, trail) = runtime.block_on(async {
        let config = aws::load(target).await;
        let place = ask.bucket.to_string();
        let store = ask.bucket.open(&config).await.map_err(|why| Error::List { place, why })?;
        let trail = estimate::list(&ask.bucket, &store, &ask.filter).await?;
        Ok::<_, Error>((aws_sdk_athena::Client::new(&config), trail))
    })?;
    let definition = sql::Definition::of(&ask.bucket.url_of(&trail.root), &trail.accounts, &trail.regions);
    let table = ask.table.clone().unwrap_or_else(|| definition.own_name());
    let query = sql::query(&ask.database, &table, &trail.estimate, &ask.selection);
    Ok(Plan {
        definition: definition.statement(&ask.database, &table),
        estimate: trail.estimate,
        ask,
        client,
        table,
        query,
        runtime,
    })
}

impl Plan {
    /// What it will cost.
    pub fn estimate(&self) -> &Estimate {
        &self.estimate
    }

    /// The statement that makes the table where it is not there.
    pub fn definition(&self) -> &str {
        &self.definition
    }

    /// The query.
    pub fn query(&self) -> &str {
        &self.query
    }

    /// Makes the table where it is not there, and runs the query. On Ctrl-C it stops what runs. From here on the process
    /// does not end by Ctrl-C itself.
    ///
    /// # Errors
    /// [`Error`] where Athena refuses, fails, or takes too long, and on Ctrl-C.
    pub fn run(self) -> Result<Answer, Error> {
        let mut builder = Builder::new(&self.ask.selection);
        let (mut groups, mut header) = (0, true);
        let (query_id, bytes_scanned) = self.runtime.block_on(async {
            // Before the first call, so that no query runs that Ctrl-C would not stop.
            let interrupt = Interrupt::listen().map_err(Error::Signal)?;
            let mut calls = api::Calls { client: &self.client, ask: &self.ask, interrupt };
            calls.run(&self.definition).await?;
            let done = calls.run(&self.query).await?;
            calls
                .rows(&done.query_id, |row| {
                    if std::mem::take(&mut header) {
                        return group::check_header(row);
                    }
                    groups += 1;
                    group::add(&mut builder, row)
                })
                .await?;
            Ok::<_, Error>((done.query_id, done.bytes_scanned))
        })?;
        let evidence = Evidence {
            engine: "athena",
            query_id,
            table: format!("{}.{}", self.ask.database, self.table),
            location: self.ask.bucket.to_string(),
            bytes_scanned,
            bytes_estimated: self.estimate.bytes(),
            usd_estimated: self.estimate.usd(),
            groups,
        };
        Ok(Answer { summary: builder.finish(), evidence })
    }
}
