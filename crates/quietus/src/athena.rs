//! `quietus scan --engine athena`: the same count, by Athena, where the files are.

use std::io::{BufRead as _, IsTerminal as _};

use anyhow::{Result, anyhow, bail};
use operator::athena::{self, Answer, Ask, Estimate, Evidence, Plan};
use operator::aws::Target;
use operator::sources::Source;
use operator::sources::layout::Filter;
use trail::Selection;

use crate::args;
use crate::terminal::{counted, hinted, note};

/// Partitions that are shown one by one, those with the most bytes first; the rest is added up.
const PARTITIONS_SHOWN: usize = 20;

/// Counts `sources` by Athena, when what it costs is agreed to.
pub(crate) fn scan(
    args: &args::Athena,
    sources: &[Source],
    filter: Filter,
    selection: Selection,
    target: &Target,
) -> Result<Answer> {
    let [Source::Bucket(bucket)] = sources else {
        return Err(hinted(
            anyhow!(
                "Athena reads one bucket, and {} given",
                if sources.len() == 1 { "a path of this machine is" } else { "several places are" }
            ),
            "name one `s3://bucket/prefix/AWSLogs`; without `--engine athena` everything is read here",
        ));
    };
    let ask = Ask {
        bucket: bucket.clone(),
        filter,
        selection,
        database: args.database.clone(),
        table: args.table.clone(),
        workgroup: args.workgroup.clone(),
        output: args.output.clone(),
    };
    let plan = athena::plan(ask, target).map_err(with_hint)?;
    tell(plan.estimate());
    agree(args, &plan)?;
    plan.run().map_err(with_hint)
}

fn with_hint(error: athena::Error) -> anyhow::Error {
    let hint = match &error {
        athena::Error::Call { .. } => {
            "check --workgroup, --output, the Region, and that you may use Athena and Glue there"
        }
        athena::Error::Failed { .. } => {
            "look the query up in Athena; the table needs the columns of AWS's page and the partitions account, region, timestamp"
        }
        athena::Error::List { .. } => {
            "check the bucket's name, --profile and --endpoint-url, and that s3:ListBucket is allowed"
        }
        athena::Error::NotStopped { query_id, .. } => {
            let stop = format!("aws athena stop-query-execution --query-execution-id {query_id}");
            return hinted(error, format!("stop it by `{stop}`, with the same profile and Region"));
        }
        athena::Error::InterruptedStart => {
            "find it by `aws athena list-query-executions`, and stop it by `aws athena stop-query-execution`"
        }
        athena::Error::Nothing { .. } => "check the prefix, --in-account, --in-region, --since and --until",
        _ => return error.into(),
    };
    hinted(error, hint)
}

/// What will be read and what that costs, on standard error.
fn tell(estimate: &Estimate) {
    let mut partitions: Vec<_> = estimate.partitions.iter().collect();
    partitions.sort_by_key(|partition| std::cmp::Reverse(partition.bytes));
    for partition in partitions.iter().take(PARTITIONS_SHOWN) {
        let (first, last) = partition.days;
        let objects = counted(partition.objects, "object");
        let bytes = counted(partition.bytes, "byte");
        note!("{} {}, {first} to {last}: {objects}, {bytes}", partition.account, partition.region);
    }
    if let more @ 1.. = partitions.len().saturating_sub(PARTITIONS_SHOWN) {
        note!("and {}", counted(more as u64, "more partition"));
    }
    note!(
        "estimate: {} in {}, {} at USD {} for 10^12 bytes",
        counted(estimate.bytes(), "byte"),
        counted(estimate.objects(), "object"),
        usd(estimate.usd()),
        athena::USD_PER_TB,
    );
}

/// Asks a person where it costs more than the limit.
fn agree(args: &args::Athena, plan: &Plan) -> Result<()> {
    let cost = plan.estimate().usd();
    if args.yes || cost <= args.max_cost {
        return Ok(());
    }
    let over = format!("the query is estimated at {}, more than the limit of {}", usd(cost), usd(args.max_cost));
    if !std::io::stdin().is_terminal() {
        return Err(hinted(
            anyhow!(over),
            "narrow it by --since, --until, --in-account or --in-region, raise --max-cost, or give --yes",
        ));
    }
    note!("{over}; run it? [y/N]");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    if !matches!(answer.trim(), "y" | "Y" | "yes") {
        bail!("not run");
    }
    Ok(())
}

/// An amount of US dollars; small ones are not nothing.
fn usd(amount: f64) -> String {
    if amount < 0.01 { "less than USD 0.01".to_owned() } else { format!("USD {amount:.2}") }
}

/// Whence the rows come, in one line.
pub(crate) fn told(evidence: &Evidence) -> String {
    format!(
        "Athena query {} over {}: {} scanned, {}",
        evidence.query_id,
        evidence.table,
        counted(evidence.bytes_scanned, "byte"),
        counted(evidence.groups, "group"),
    )
}
