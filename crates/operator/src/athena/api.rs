//! Athena's calls: start a statement, wait for it, fetch its rows page by page; on Ctrl-C, stop it.

use std::pin::pin;
use std::time::Duration;

use aws_sdk_athena::Client;
use aws_sdk_athena::error::SdkError;
use aws_sdk_athena::types::{QueryExecutionContext, QueryExecutionState, ResultConfiguration, Row};
use tokio::time::sleep;

use super::group::Odd;
use super::interrupt::Interrupt;
use super::{Ask, Error};

/// How long a statement may take. Source: Athena User Guide, "Service Quotas": a DML query ends after 30 minutes, unless that was
/// raised; and waiting in the queue.
pub(super) const LONGEST: Duration = Duration::from_secs(4 * 3600);
/// Wait between two looks at a statement: first, and at most. (Ours.)
const FIRST_WAIT: Duration = Duration::from_millis(200);
const MAX_WAIT: Duration = Duration::from_secs(5);
/// Rows of a page. Source: Athena API Reference, GetQueryResults, `MaxResults`.
const PAGE_ROWS: i32 = 1000;

/// What calls need.
pub(super) struct Calls<'a> {
    pub(super) client: &'a Client,
    pub(super) ask: &'a Ask,
    pub(super) interrupt: Interrupt,
}

/// A statement that succeeded.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) query_id: String,
    pub(super) bytes_scanned: u64,
}

impl Calls<'_> {
    /// Runs a statement to its end, or stops it on Ctrl-C.
    pub(super) async fn run(&mut self, statement: &str) -> Result<Done, Error> {
        let query_id = self.start(statement).await?;
        match self.interrupt.or(wait(self.client, &query_id)).await {
            Some(done) => done,
            None => Err(self.stop(query_id).await),
        }
    }

    /// Calls `each` with every row of a query's answer, its header first; stops the query on Ctrl-C.
    pub(super) async fn rows(
        &mut self,
        query_id: &str,
        each: impl FnMut(&[Option<&str>]) -> Result<(), Odd>,
    ) -> Result<(), Error> {
        match self.interrupt.or(fetch(self.client, query_id, each)).await {
            Some(done) => done,
            None => Err(self.stop(query_id.to_owned()).await),
        }
    }

    /// Starts a statement; its ID.
    async fn start(&mut self, statement: &str) -> Result<String, Error> {
        let context = QueryExecutionContext::builder().database(self.ask.database.as_str()).build();
        let output = self.ask.output.as_ref().map(|url| ResultConfiguration::builder().output_location(url).build());
        let starting = self
            .client
            .start_query_execution()
            .query_string(statement)
            .query_execution_context(context)
            .set_result_configuration(output)
            .set_work_group(self.ask.workgroup.clone());
        let mut starting = pin!(starting.send());
        let (started, interrupted) = match self.interrupt.or(&mut starting).await {
            Some(started) => (started, false),
            // Whether or not Athena has it already, only the answer tells the ID to stop it by.
            None => (self.interrupt.or_too_long(starting).await.ok_or(Error::InterruptedStart)?, true),
        };
        let Some(query_id) = started.map_err(called)?.query_execution_id else {
            return Err(Error::Call { why: "StartQueryExecution told no ID".to_owned() });
        };
        if interrupted { Err(self.stop(query_id).await) } else { Ok(query_id) }
    }

    /// Stops a query after Ctrl-C; what to end with.
    async fn stop(&mut self, query_id: String) -> Error {
        let stopping = self.client.stop_query_execution().query_execution_id(&query_id).send();
        let why = match self.interrupt.or_too_long(stopping).await {
            Some(Ok(_)) => return Error::Interrupted { query_id },
            Some(Err(error)) => told(&error),
            None => "no answer was waited for".to_owned(),
        };
        Error::NotStopped { query_id, why }
    }
}

async fn wait(client: &Client, query_id: &str) -> Result<Done, Error> {
    let query_id = query_id.to_owned();
    let (mut wait, mut waited) = (FIRST_WAIT, Duration::ZERO);
    loop {
        let answer = client.get_query_execution().query_execution_id(&query_id).send().await.map_err(called)?;
        let execution =
            answer.query_execution.unwrap_or_else(|| aws_sdk_athena::types::QueryExecution::builder().build());
        let status = execution.status();
        match status.and_then(|status| status.state()) {
            Some(QueryExecutionState::Succeeded) => {
                let scanned = execution.statistics().and_then(|statistics| statistics.data_scanned_in_bytes());
                return Ok(Done {
                    query_id,
                    bytes_scanned: scanned.unwrap_or_default().try_into().unwrap_or_default(),
                });
            }
            Some(state @ (QueryExecutionState::Failed | QueryExecutionState::Cancelled)) => {
                let reason = status.and_then(|status| status.state_change_reason());
                let why = reason.map_or_else(|| state.as_str().to_ascii_lowercase(), str::to_owned);
                return Err(Error::Failed { query_id, why });
            }
            // QUEUED, RUNNING, and what Athena may come to say.
            _ => {}
        }
        if waited >= LONGEST {
            // Should even this fail: Athena ends the query itself.
            let _ = client.stop_query_execution().query_execution_id(&query_id).send().await;
            return Err(Error::TooLong { query_id });
        }
        sleep(wait).await;
        waited += wait;
        wait = (wait * 2).min(MAX_WAIT);
    }
}

async fn fetch(
    client: &Client,
    query_id: &str,
    mut each: impl FnMut(&[Option<&str>]) -> Result<(), Odd>,
) -> Result<(), Error> {
    let mut token = None;
    loop {
        let page = client.get_query_results().query_execution_id(query_id).max_results(PAGE_ROWS);
        let page = page.set_next_token(token.take()).send().await.map_err(called)?;
        for row in page.result_set().map(|set| set.rows()).unwrap_or_default() {
            each(&values(row)).map_err(|why| Error::Odd { query_id: query_id.to_owned(), why })?;
        }
        token = page.next_token;
        if token.is_none() {
            return Ok(());
        }
    }
}

fn values(row: &Row) -> Vec<Option<&str>> {
    row.data().iter().map(|datum| datum.var_char_value()).collect()
}

fn called<E>(error: SdkError<E>) -> Error
where
    E: std::error::Error + aws_sdk_athena::error::ProvideErrorMetadata + 'static,
{
    Error::Call { why: told(&error) }
}

/// What went wrong, in one line.
fn told<E>(error: &SdkError<E>) -> String
where
    E: std::error::Error + aws_sdk_athena::error::ProvideErrorMetadata + 'static,
{
    let told = error.as_service_error().and_then(|error| Some((error.code()?, error.message().unwrap_or_default())));
    match told {
        Some((code, message)) => format!("{code}: {message}"),
        None => crate::aws::chain(error),
    }
}
