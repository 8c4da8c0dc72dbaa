//! `just bench serve`: signed calls against `quietus serve`, beside a hello-world server and the disk.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use comfy_table::{Cell, CellAlignment, Table, presets};
use serde::Serialize;
use serde_json::{Value, json};

use crate::child::{self, Role, Server};
use crate::disk;
use crate::load::{self, Seen};
use crate::request::{Operation, signed};

/// Connections at a time where nothing else is asked for, one row of the table each.
pub const CONNECTIONS: [usize; 3] = [1, 8, 64];
/// Most connections at a time.
pub const MAX_CONNECTIONS: usize = 512;
/// Signed requests that the load goes through in turn.
const REQUESTS: usize = 256;
/// A signature is good for five minutes, and the requests are signed before each pair of steps: a step must end well before.
pub const MAX_STEP_SECONDS: f64 = 60.0;
/// Most times that a pair of steps is repeated.
pub const MAX_ROUNDS: u32 = 20;
/// How much of a step's length the load runs before it counts.
const WARM_UP: f64 = 0.2;

/// What to measure.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What is asked for.
    pub operation: Operation,
    /// Connections at a time, 1 to [`MAX_CONNECTIONS`] each, one row each.
    pub connections: Vec<usize>,
    /// Length of a step, at most [`MAX_STEP_SECONDS`].
    pub step: Duration,
    /// How often the two servers take turns, at most [`MAX_ROUNDS`].
    pub rounds: u32,
}

/// One server under one load.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Side {
    /// Answers a second.
    pub per_second: f64,
    /// Half of the answers took no longer.
    pub p50_micros: f64,
    /// 99 of 100 answers took no longer.
    pub p99_micros: f64,
    /// The server's processor time for a thousand answers, without the load's.
    pub cpu_seconds_per_1000: f64,
}

/// Both servers under one load.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Connections at a time.
    pub connections: usize,
    /// The peer.
    pub hello: Side,
    /// `quietus serve`.
    pub quietus: Side,
    /// Quietus' answers for each of the peer's.
    pub ratio: f64,
    /// The load's own processor time for a thousand answers, of either: it runs on the same processors.
    pub load_cpu_seconds_per_1000: f64,
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What was asked for.
    pub operation: Operation,
    /// One for each number of connections.
    pub rows: Vec<Row>,
    /// How often a second the disk makes one record durable after another: no single caller gets more answers.
    pub disk_syncs_per_second: f64,
}

/// Measures, with `program` as the servers' program and the data on the disk of `folder`.
///
/// # Errors
/// Where a server does not start, or refuses a request: a benchmark of refusals would be worth nothing.
pub fn measure(program: &Path, folder: &Path, plan: &Plan) -> Result<Report> {
    ensure!(plan.step.as_secs_f64() <= MAX_STEP_SECONDS, "a step is at most {MAX_STEP_SECONDS} seconds long");
    ensure!(
        plan.connections.iter().all(|connections| (1..=MAX_CONNECTIONS).contains(connections)),
        "there are 1 to {MAX_CONNECTIONS} connections"
    );
    ensure!((1..=MAX_ROUNDS).contains(&plan.rounds), "there are 1 to {MAX_ROUNDS} rounds");
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let data = tempfile::tempdir_in(folder)?;
    let quietus = Server::start(program, &Role::Quietus { data: data.path().join("data") })?;
    let calls = Calls::prepare(&quietus, plan.operation)?;
    let hello = Server::start(program, &Role::Hello { body_bytes: calls.answer_bytes()? })?;

    let mut syncs = vec![disk::syncs_per_second(data.path(), plan.step)?];
    let mut rows = Vec::new();
    for connections in &plan.connections {
        rows.push(compare(&hello, &quietus, &calls, *connections, plan)?);
        syncs.push(disk::syncs_per_second(data.path(), plan.step)?);
    }
    let disk_syncs_per_second = syncs.iter().sum::<f64>() / syncs.len() as f64;
    Ok(Report { operation: plan.operation, rows, disk_syncs_per_second })
}

/// A key that was made for the measurement, and how to ask for its use.
struct Calls<'a> {
    server: &'a Server,
    operation: Operation,
    key: String,
    ciphertext: String,
}

impl Calls<'_> {
    fn prepare(server: &Server, operation: Operation) -> Result<Calls<'_>> {
        let mut calls = Calls { server, operation, key: String::new(), ciphertext: String::new() };
        let text = |answer: &Value, pointer: &str| {
            let text = answer.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
            text.with_context(|| format!("{answer} has no {pointer}"))
        };
        calls.key = text(&calls.ask("CreateKey", &json!({}))?, "/KeyMetadata/Arn")?;
        let sealed = calls.ask("Encrypt", &Operation::Encrypt.body(&calls.key, "", 0))?;
        calls.ciphertext = text(&sealed, "/CiphertextBlob")?;
        Ok(calls)
    }

    fn ask(&self, operation: &str, body: &Value) -> Result<Value> {
        let answer = load::ask(self.server.address.addr, &self.signed(operation, body)?)?;
        Ok(serde_json::from_slice(&answer)?)
    }

    fn signed(&self, operation: &str, body: &Value) -> Result<Vec<u8>> {
        let address = &self.server.address;
        let key = address.key.as_ref().context("a server of keys has an access key")?;
        signed(&address.addr.to_string(), key, operation, body)
    }

    fn body(&self, number: usize) -> Value {
        self.operation.body(&self.key, &self.ciphertext, number)
    }

    /// Freshly signed requests.
    fn requests(&self) -> Result<Vec<Vec<u8>>> {
        (0..REQUESTS).map(|number| self.signed(self.operation.name(), &self.body(number))).collect()
    }

    /// The length of the answer to one of them.
    fn answer_bytes(&self) -> Result<usize> {
        Ok(load::ask(self.server.address.addr, &self.signed(self.operation.name(), &self.body(0))?)?.len())
    }
}

/// The two servers in turns, so that a neighbour's noise meets both.
fn compare(hello: &Server, quietus: &Server, calls: &Calls<'_>, connections: usize, plan: &Plan) -> Result<Row> {
    let mut sides = [(hello, Tally::default()), (quietus, Tally::default())];
    for _ in 0..plan.rounds {
        let requests = calls.requests()?;
        for (server, tally) in &mut sides {
            load::run(server.address.addr, &requests, connections, plan.step.mul_f64(WARM_UP))?;
            tally.step(server, &requests, connections, plan.step)?;
        }
    }
    let [hello, quietus] = sides.map(|(_, tally)| tally);
    let answers = (hello.seen.latencies.len() + quietus.seen.latencies.len()).max(1) as f64;
    let load_cpu_seconds_per_1000 = (hello.load_cpu_seconds + quietus.load_cpu_seconds) * 1000.0 / answers;
    let (hello, quietus) = (hello.side(), quietus.side());
    let ratio = quietus.per_second / hello.per_second;
    Ok(Row { connections, hello, quietus, ratio, load_cpu_seconds_per_1000 })
}

/// What the steps against one server have added up to.
#[derive(Default)]
struct Tally {
    seen: Seen,
    cpu_seconds: f64,
    load_cpu_seconds: f64,
}

impl Tally {
    fn step(&mut self, server: &Server, requests: &[Vec<u8>], connections: usize, length: Duration) -> Result<()> {
        let load_before = child::cpu_seconds(std::process::id())?;
        let before = server.cpu_seconds()?;
        self.seen.add(load::run(server.address.addr, requests, connections, length)?);
        self.cpu_seconds += server.cpu_seconds()? - before;
        self.load_cpu_seconds += child::cpu_seconds(std::process::id())? - load_before;
        Ok(())
    }

    fn side(mut self) -> Side {
        let answers = self.seen.latencies.len().max(1) as f64;
        Side {
            per_second: self.seen.rate(),
            p50_micros: self.seen.percentile_micros(50),
            p99_micros: self.seen.percentile_micros(99),
            cpu_seconds_per_1000: self.cpu_seconds * 1000.0 / answers,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        let header = ["connections", "", "requests/s", "ratio", "p50 us", "p99 us", "CPU s / 1000"];
        table.set_header(header);
        for row in &self.rows {
            table.add_row(cells(&row.connections.to_string(), "hello", &row.hello, ""));
            table.add_row(cells("", "quietus", &row.quietus, &format!("{:.2}", row.ratio)));
        }
        for at in [0, 2, 3, 4, 5, 6] {
            if let Some(column) = table.column_mut(at) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let load = self.rows.iter().map(|row| row.load_cpu_seconds_per_1000).fold(0.0, f64::max);
        writeln!(out, "{}, signed, audited, against a hello-world hyper server", self.operation.name())?;
        writeln!(out, "{table}")?;
        writeln!(
            out,
            "disk: {:.0} appends of a record with fdatasync a second, one thread",
            self.disk_syncs_per_second
        )?;
        write!(out, "load: up to {load:.4} CPU s / 1000 on the same processors")
    }
}

fn cells(connections: &str, name: &str, side: &Side, ratio: &str) -> [Cell; 7] {
    [
        Cell::new(connections),
        Cell::new(name),
        Cell::new(format!("{:.0}", side.per_second)),
        Cell::new(ratio),
        Cell::new(format!("{:.0}", side.p50_micros)),
        Cell::new(format!("{:.0}", side.p99_micros)),
        Cell::new(format!("{:.4}", side.cpu_seconds_per_1000)),
    ]
}
