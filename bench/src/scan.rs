//! `just bench scan`: what counting the uses of keys in CloudTrail files costs, beside reading and inflating them and nothing else, and
//! beside DuckDB and ClickHouse asked the same question.
//!
//! Each contender is a process of its own and tells its own wall time, processor time and peak memory; its answer is compared with
//! what the generator knows to be in the files. Starting up and loading modules does not count.

pub mod corpus;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, bail, ensure};
use comfy_table::Table;
use libdeflater::Decompressor;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use trail::Selection;

use crate::child::cpu_seconds;
use crate::now;
use corpus::{Identity, KEYS, Shape, Truth, key_arn};

/// Rounds at most.
pub const MAX_ROUNDS: u32 = 99;

/// What to be, as a child process.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Role {
    /// Reads and inflates all files, on as many threads as there are cores, and nothing else.
    #[command(hide = true)]
    Inflate {
        /// The files.
        folder: PathBuf,
    },
    /// Scans for ten keys.
    #[command(hide = true)]
    Quietus {
        /// The files.
        folder: PathBuf,
    },
}

/// What a contender used, and what it found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    /// Seconds on the clock.
    pub wall: f64,
    /// Seconds of all cores together, user and kernel.
    pub cpu: f64,
    /// The most memory that it ever had, in KiB, its program included.
    pub peak_kib: u64,
    /// What was found; empty for who only inflates.
    pub rows: Vec<Row>,
}

/// key, principal, operation, error code, dependents or encryption context, count, first and last second
pub type Row = (String, String, String, Option<String>, Value, u64, i64, i64);

impl Role {
    /// Is that contender, and tells what it used.
    ///
    /// # Errors
    /// Where the files cannot be read.
    pub fn play(&self) -> Result<Run> {
        let before = cpu_seconds(std::process::id())?;
        let start = now();
        let rows = match self {
            Role::Inflate { folder } => inflate(folder).map(|()| Vec::new()),
            Role::Quietus { folder } => quietus(folder),
        }?;
        let wall = start.elapsed().as_secs_f64();
        let cpu = cpu_seconds(std::process::id())? - before;
        Ok(Run { wall, cpu, peak_kib: peak_kib()?, rows })
    }
}

/// Reads and inflates every file, by libdeflate, into buffers that are used again.
fn inflate(folder: &Path) -> Result<()> {
    let files = files(folder)?;
    let next = AtomicUsize::new(0);
    let each = || -> Result<()> {
        let (mut inflater, mut file, mut out) = (Decompressor::new(), Vec::new(), Vec::new());
        while let Some(path) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            file.clear();
            File::open(path)?.read_to_end(&mut file)?;
            let length = file.last_chunk().map_or(0, |length: &[u8; 4]| u32::from_le_bytes(*length) as usize);
            if out.len() < length {
                out.resize(length, 0);
            }
            let came = inflater.gzip_decompress(&file, &mut out).context("the generator's files are whole")?;
            black_box(&out[..came]);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..std::thread::available_parallelism()?.get()).map(|_| scope.spawn(each)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("a panic has been told already"))
    })
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = vec![folder.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    Ok(files)
}

fn quietus(folder: &Path) -> Result<Vec<Row>> {
    let mut selection = Selection::all();
    for number in 0..KEYS {
        selection = selection.key(&key_arn(number))?;
    }
    let summary = trail::scan::scan(&[folder.to_owned()], &selection, &mut |_| ())?;
    ensure!(summary.is_complete(), "the scan found gaps: {:?}", summary.gaps);
    let rows = summary.totals.rows.into_iter().map(|row| {
        let dependents = row.dependents.into();
        let (first, last) = (row.first.as_second(), row.last.as_second());
        (row.key, row.principal, row.event_name, row.error_code, dependents, row.count, first, last)
    });
    Ok(rows.collect())
}

fn peak_kib() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status").context("cannot read /proc/self/status")?;
    let line =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("the system tells no peak memory")?;
    line.trim().trim_end_matches(" kB").parse().context("a peak in kB")
}

/// The same question in other words: DuckDB and ClickHouse in Python.
const PEERS: &str = include_str!("scan/peers.py");

/// Versions are pinned, so that numbers can be compared; DuckDB 2.0 is tried as well where it can be had.
const PEER_PACKAGES: [(&str, &[&str]); 3] =
    [("duckdb 1.4.4", &["duckdb==1.4.4"]), ("duckdb 2", &["duckdb>=2,<3"]), ("chdb", &["chdb"])];

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// The files.
    pub shape: Shape,
    /// How often the scan and the inflater take turns.
    pub rounds: u32,
    /// Whether to install and run DuckDB and ClickHouse.
    pub peers: bool,
}

/// What came out.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Records in all files.
    pub records: u64,
    /// Bytes of JSON.
    pub bytes: u64,
    /// Bytes on disk.
    pub stored_bytes: u64,
    /// The medians of each contender; peers by their best form.
    pub contenders: BTreeMap<String, Measured>,
    /// The medians over all rounds of the scan's wall and processor time divided by the inflater's in the same round.
    pub against_inflate: (f64, f64),
    /// What was not measured, and why.
    pub missing: Vec<String>,
}

/// One contender's numbers.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Measured {
    /// Seconds on the clock.
    pub wall: f64,
    /// Seconds of all cores together.
    pub cpu: f64,
    /// The most memory, in KiB.
    pub peak_kib: u64,
}

/// Makes the files under `folder` and measures all contenders. `program` is this benchmark, which can play every role.
///
/// # Errors
/// Where a contender of ours fails or answers wrongly. A peer that cannot be had is named in the report.
pub fn measure(program: &Path, folder: &Path, plan: &Plan) -> Result<Report> {
    let corpus = folder.join("trail");
    if corpus.exists() {
        fs::remove_dir_all(&corpus)?;
    }
    let truth = corpus::write(&corpus, plan.shape)?;
    let expected = expected(&truth);
    let (mut scans, mut inflations) = (Vec::new(), Vec::new());
    // The first round warms the caches.
    for round in 0..=plan.rounds {
        let inflation = play(Command::new(program).arg("inflate").arg(&corpus))?;
        let scan = play(Command::new(program).arg("quietus").arg(&corpus))?;
        ensure!(told(&scan) == expected, "the scan's answer is not what is in the files");
        if round > 0 {
            inflations.push(inflation);
            scans.push(scan);
        }
    }
    let ratio = |of: fn(&Run) -> f64| median(scans.iter().zip(&inflations).map(|(scan, base)| of(scan) / of(base)));
    let mut report = Report {
        records: truth.records,
        bytes: truth.bytes,
        stored_bytes: truth.stored_bytes,
        against_inflate: (ratio(|run| run.wall), ratio(|run| run.cpu)),
        contenders: BTreeMap::from([
            ("read + inflate".to_owned(), Measured::of(&inflations)),
            ("quietus".to_owned(), Measured::of(&scans)),
        ]),
        missing: Vec::new(),
    };
    if plan.peers {
        for (name, packages) in PEER_PACKAGES {
            match peer(folder, &corpus, name, packages, &truth) {
                Ok(measured) => drop(report.contenders.insert(name.to_owned(), measured)),
                Err(error) => report.missing.push(format!("{name}: {error:#}")),
            }
        }
    }
    Ok(report)
}

/// Installs a peer into an environment of its own and asks it in every form that it knows; the best counts.
fn peer(folder: &Path, corpus: &Path, name: &str, packages: &[&str], truth: &Truth) -> Result<Measured> {
    let home = folder.join(name.replace(' ', "-"));
    let python = home.join("bin/python");
    if !home.join("ready").exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&home))?;
        run(Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(packages))?;
        fs::write(home.join("ready"), "")?;
    }
    let script = folder.join("peers.py");
    fs::write(&script, PEERS)?;
    let mut best: Option<Run> = None;
    for form in ["typed", "json"] {
        let engine = name.split(' ').next().unwrap_or(name);
        let keys = (0..KEYS).map(key_arn);
        let answer = play(Command::new(&python).arg(&script).args([engine, form]).arg(corpus).args(keys))?;
        let rows: BTreeMap<Identity, (u64, i64, i64)> = answer
            .rows
            .iter()
            .map(|(key, principal, name, error, context, count, first, last)| {
                let context = context.as_str().unwrap_or_default().to_owned();
                let identity = (key.clone(), principal.clone(), name.clone(), error.clone(), context);
                (identity, (*count, *first, *last))
            })
            .collect();
        ensure!(rows == truth.rows, "{name} in its form `{form}` answers something else than what is in the files");
        if best.as_ref().is_none_or(|best| answer.wall < best.wall) {
            best = Some(answer);
        }
    }
    best.map(|run| Measured::of(&[run])).context("there is no form")
}

fn run(command: &mut Command) -> Result<Vec<u8>> {
    let out = command.output().with_context(|| format!("cannot start {command:?}"))?;
    if !out.status.success() {
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        let cause = text.lines().rfind(|line| line.contains("Error"));
        bail!("{}", cause.unwrap_or("it failed without a word"));
    }
    Ok(out.stdout)
}

fn play(command: &mut Command) -> Result<Run> {
    let out = run(command)?;
    let line = out.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty()).unwrap_or_default();
    serde_json::from_slice(line).context("a contender tells what it used as JSON")
}

type Rows = BTreeMap<(String, String, String, Option<String>, Vec<String>), (u64, i64, i64)>;

fn told(run: &Run) -> Rows {
    let rows = run.rows.iter().cloned().map(|(key, principal, name, error, dependents, count, first, last)| {
        let dependents = dependents.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
        ((key, principal, name, error, dependents.collect()), (count, first, last))
    });
    rows.collect()
}

/// What the scan should say: the dependents that the contexts of the generator name.
fn expected(truth: &Truth) -> Rows {
    let mut rows = Rows::new();
    for ((key, principal, name, error, context), (count, first, last)) in &truth.rows {
        let context: BTreeMap<String, String> = serde_json::from_str(context).unwrap_or_default();
        let dependents = context.into_iter().filter(|(key, _)| key != "SecretVersionId").map(|(key, value)| {
            let is_app = key == "tenant" || key == "purpose";
            if is_app { format!("{key}={value}") } else { value }
        });
        let identity = (key.clone(), principal.clone(), name.clone(), error.clone(), dependents.collect());
        let row = rows.entry(identity).or_insert((0, *first, *last));
        *row = (row.0 + count, row.1.min(*first), row.2.max(*last));
    }
    rows
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

impl Measured {
    fn of(runs: &[Run]) -> Measured {
        Measured {
            wall: median(runs.iter().map(|run| run.wall)),
            cpu: median(runs.iter().map(|run| run.cpu)),
            peak_kib: runs.iter().map(|run| run.peak_kib).max().unwrap_or_default(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        writeln!(
            out,
            "{} records, {:.0} MiB of JSON, {:.0} MiB on disk; every answer was compared with what is in the files",
            self.records,
            mebibytes(self.bytes),
            mebibytes(self.stored_bytes)
        )?;
        let mut table = Table::new();
        table.set_header(["", "wall s", "cpu s", "peak MiB", "wall / quietus", "cpu / quietus"]);
        let ours = self.contenders.get("quietus");
        for (name, run) in &self.contenders {
            let times = |value: f64, of: fn(&Measured) -> f64| {
                ours.map_or(String::new(), |ours| format!("{:.2}", value / of(ours)))
            };
            table.add_row([
                name.clone(),
                format!("{:.3}", run.wall),
                format!("{:.3}", run.cpu),
                format!("{:.0}", run.peak_kib as f64 / 1024.0),
                times(run.wall, |run| run.wall),
                times(run.cpu, |run| run.cpu),
            ]);
        }
        writeln!(out, "{table}")?;
        let (wall, cpu) = self.against_inflate;
        write!(out, "quietus / (read + inflate): wall {wall:.2}, cpu {cpu:.2} (medians of rounds; wanted: 1.25)")?;
        for missing in &self.missing {
            write!(out, "\nNOT MEASURED: {missing}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Shape = Shape { seed: 7, files: 6, records: 200 };

    #[test]
    fn the_generator_s_truth_is_what_a_scan_finds_in_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let truth = corpus::write(folder.path(), SMALL).unwrap();
        let run = Role::Quietus { folder: folder.path().to_owned() }.play().unwrap();
        assert_eq!(told(&run), expected(&truth));
        Role::Inflate { folder: folder.path().to_owned() }.play().unwrap();
        let summary = trail::scan::scan(&[folder.path().to_owned()], &Selection::all(), &mut |_| ()).unwrap();
        assert_eq!((summary.counts.records, summary.totals.duplicates), (truth.records, truth.duplicates));
        let average = truth.bytes / truth.records;
        assert!((1200..1700).contains(&average), "{average} bytes a record");
    }

    #[test]
    fn one_shape_is_always_the_same_files() {
        let make = || {
            let folder = tempfile::tempdir().unwrap();
            let truth = corpus::write(folder.path(), SMALL).unwrap();
            let bytes: Vec<Vec<u8>> =
                files(folder.path()).unwrap().iter().map(|path| fs::read(path).unwrap()).collect();
            (truth, bytes)
        };
        assert_eq!(make(), make());
    }
}
