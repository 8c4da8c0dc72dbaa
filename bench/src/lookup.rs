//! `just bench lookup`: first pages of LookupEvents over a long history, beside inflating one file of it.
//!
//! The history is 90 days of one account and Region, sealed every five minutes by the server's own code, so its files, their sizes
//! and the index are those of a server that has run so long. Keys are used unevenly: the busiest ones all the time, most of them
//! now and then. Everything is drawn from numbers, so that the same plan makes the same history.
//!
//! The files were just written, so the operating system has them in memory, as it has those of a running server; what is measured
//! is the work, and a cold disk comes on top.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use api::{AccountId, Region, Timestamp};
use comfy_table::{Cell, CellAlignment, Table, presets};
use jiff::SignedDuration;
use libdeflater::Decompressor;
use serde::Serialize;
use server::audit::AuditLog;
use server::audit::history::{Attribute, History, Query};
use server::audit::seal::{Sealed, seal};

use crate::now;

/// Most events of a history: 15 GB of disk.
pub const MAX_EVENTS: u64 = 100_000_000;
/// The span of the history and the time between two files: how far back a lookup sees, and how often a server seals.
const DAYS: u64 = 90;
const FILE_SECONDS: u64 = 300;
const FILES: u64 = DAYS * 24 * 3600 / FILE_SECONDS;
/// How many keys there are.
const KEYS: u64 = 100_000;
/// Threads that make the history, and files that they make before it hears of them.
const MAKERS: usize = 2;
const ADDED_AT_ONCE: usize = 32;
/// Files that are inflated for comparison.
const INFLATED: usize = 200;

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How many events there are, at most [`MAX_EVENTS`].
    pub events: u64,
    /// How often each kind of lookup is asked.
    pub rounds: u32,
}

/// What was measured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    events: u64,
    files: usize,
    trail_bytes: u64,
    index_bytes: u64,
    /// Finding the files when a server starts.
    open_micros: f64,
    /// The first lookup of all, which also loads the index.
    first_micros: f64,
    /// Reading and inflating one file, half of the time.
    inflate_micros: f64,
    rows: Vec<Row>,
}

/// One kind of lookup.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    lookup: &'static str,
    /// Events on the page, on average.
    events: f64,
    p50_micros: f64,
    p99_micros: f64,
    /// The median in files inflated.
    ratio: f64,
}

/// Makes the history in a folder below `folder`, measures, and removes it.
///
/// # Errors
/// Where it cannot be made or read.
pub fn measure(folder: &Path, plan: &Plan) -> Result<Report> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let folder = tempfile::tempdir_in(folder).context("cannot make a folder for the history")?;
    let history = open(folder.path())?;
    make(&history, plan.events)?;
    drop(history);

    let begun = now();
    let history = open(folder.path())?;
    let open_micros = micros(begun.elapsed());
    let (_, first_micros) = look(&history, Some((Attribute::ResourceName, "nowhere".to_owned())))?;
    let files = files(&folder.path().join("trail"))?;
    let inflate_micros = inflate(&files)?;

    let mut rows = Vec::new();
    for (lookup, attribute) in KINDS {
        let (mut times, mut events) = (Vec::new(), 0);
        for round in 0..plan.rounds {
            let draw = draw(u64::from(round), u64::MAX);
            let (found, time) = look(&history, attribute(draw, plan.events))?;
            times.push(time);
            events += found;
        }
        times.sort_by(f64::total_cmp);
        let p50_micros = quantile(&times, 0.5);
        let ratio = p50_micros / inflate_micros;
        let events = events as f64 / f64::from(plan.rounds);
        rows.push(Row { lookup, events, p50_micros, p99_micros: quantile(&times, 0.99), ratio });
    }
    let index_bytes = bytes(&self::files(&folder.path().join("lookup"))?)?;
    let trail_bytes = bytes(&files)?;
    let files = files.len();
    Ok(Report { events: plan.events, files, trail_bytes, index_bytes, open_micros, first_micros, inflate_micros, rows })
}

/// What is asked for, from a random number and the number of events.
type Ask = fn(u64, u64) -> Option<(Attribute, String)>;

const KINDS: [(&str, Ask); 8] = [
    ("nothing", |_, _| None),
    ("ResourceName, any key", |draw, _| Some((Attribute::ResourceName, key(draw % KEYS)))),
    ("ResourceName, a busy key", |draw, _| Some((Attribute::ResourceName, key(draw % 10)))),
    ("ResourceName, unknown", |draw, _| Some((Attribute::ResourceName, key(KEYS + draw % KEYS)))),
    ("EventId", |draw, events| Some((Attribute::EventId, event_id(draw % events)))),
    ("EventName, often", |_, _| Some((Attribute::EventName, "Decrypt".to_owned()))),
    ("EventName, seldom", |_, _| Some((Attribute::EventName, SELDOM.to_owned()))),
    ("Username", |draw, _| Some((Attribute::Username, user(draw)))),
];

fn open(folder: &Path) -> Result<History> {
    let log = Arc::new(AuditLog::open(folder).context("cannot open a log")?);
    History::open(log, &folder.join("trail"), &folder.join("lookup")).context("cannot open the history")
}

/// A lookup's first page: how many events are on it, and how long it took.
fn look(history: &History, attribute: Option<(Attribute, String)>) -> Result<(usize, f64)> {
    let query = Query { attribute, ..Query::all(ACCOUNT.parse::<AccountId>()?, REGION.parse::<Region>()?) };
    let begun = now();
    let page = history.lookup(&query, until()?)?;
    Ok((page.events.len(), micros(begun.elapsed())))
}

/// Reading and inflating a file, half of the time.
fn inflate(files: &[PathBuf]) -> Result<f64> {
    let mut inflated = vec![0; 4 << 20];
    let mut times = Vec::new();
    for file in files.iter().step_by(files.len().div_ceil(INFLATED)) {
        let begun = now();
        let gzip = fs::read(file)?;
        Decompressor::new().gzip_decompress(&gzip, &mut inflated).context("a file does not inflate")?;
        times.push(micros(begun.elapsed()));
    }
    ensure!(!times.is_empty(), "there is no file");
    times.sort_by(f64::total_cmp);
    Ok(quantile(&times, 0.5))
}

fn quantile(sorted: &[f64], quantile: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * quantile).round() as usize]
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files.extend(self::files(&entry.path())?);
        } else {
            files.push(entry.path());
        }
    }
    Ok(files)
}

fn bytes(files: &[PathBuf]) -> Result<u64> {
    files.iter().map(|file| Ok(fs::metadata(file)?.len())).sum()
}

const ACCOUNT: &str = "111122223333";
const REGION: &str = "eu-central-1";
/// One call in 200,000 is of this operation, the others of [`OFTEN`].
const SELDOM: &str = "ScheduleKeyDeletion";
const OFTEN: [&str; 4] = ["Decrypt", "GenerateDataKey", "Decrypt", "Encrypt"];

/// The end of the history.
fn until() -> Result<Timestamp> {
    Ok("2026-06-20T00:00:00Z".parse()?)
}

fn key(n: u64) -> String {
    format!("arn:aws:kms:{REGION}:{ACCOUNT}:key/{}", uuid(draw(n, 1)))
}

fn event_id(n: u64) -> String {
    uuid(draw(n, 2))
}

fn user(n: u64) -> String {
    format!("service-{:03}", n % 200)
}

fn uuid(n: u64) -> String {
    let m = draw(n, 3);
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        n >> 32,
        n >> 16 & 0xffff,
        n & 0xfff,
        m >> 52,
        m & 0xffff_ffff_ffff
    )
}

/// A number that looks random, for each pair of numbers (splitmix64).
fn draw(n: u64, stream: u64) -> u64 {
    let mut z =
        n.wrapping_add(stream.wrapping_mul(0x632b_e59b_d9b4_e019)).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Seals `events` events into the trail of `history`, which hears of the files in their order, as from a server.
fn make(history: &History, events: u64) -> Result<()> {
    for first in (0..FILES).step_by(ADDED_AT_ONCE) {
        let files: Vec<u64> = (first..FILES).take(ADDED_AT_ONCE).collect();
        let sealed = std::thread::scope(|scope| -> Result<Vec<Sealed>> {
            let make_files = |files: &[u64]| files.iter().map(|file| make_file(history, *file, events)).collect();
            let shares = files.chunks(ADDED_AT_ONCE / MAKERS);
            let makers: Vec<_> = shares.map(|files| scope.spawn(move || make_files(files))).collect();
            let made = makers.into_iter().map(|maker| maker.join().expect("a maker does not panic"));
            Ok(made.collect::<Result<Vec<Vec<Vec<Sealed>>>>>()?.concat().concat())
        });
        history.add(sealed?);
    }
    Ok(())
}

fn make_file(history: &History, file: u64, events: u64) -> Result<Vec<Sealed>> {
    let begin = until()? - SignedDuration::from_secs(i64::try_from((FILES - file) * FILE_SECONDS)?);
    let (first, end) = (events * file / FILES, events * (file + 1) / FILES);
    let mut records = Vec::new();
    for n in first..end {
        let second = (n - first) * FILE_SECONDS / (end - first);
        records.push(record(n, begin + SignedDuration::from_secs(i64::try_from(second)?)));
    }
    Ok(seal(history.trail(), file + 1, records.iter().map(String::as_bytes))?)
}

/// A record of 1.4 KB, as a busy server writes it.
fn record(n: u64, time: Timestamp) -> String {
    let random = draw(n, 4);
    let name = if random.is_multiple_of(200_000) { SELDOM } else { OFTEN[(random % 4) as usize] };
    // The fourth power of a number in 0..1: a tenth of all uses are of ten keys, and no key is without use.
    let uniform = (draw(n, 5) >> 11) as f64 / (1_u64 << 53) as f64;
    let key = key((uniform.powi(4) * KEYS as f64) as u64);
    let (event_id, request_id, user) = (event_id(n), uuid(draw(n, 6)), user(draw(n, 7)));
    let session = draw(n, 8);
    format!(
        r#"{{"eventVersion":"1.11","userIdentity":{{"type":"AssumedRole","principalId":"AROAEXAMPLE{session:016X}:{user}","arn":"arn:aws:sts::{ACCOUNT}:assumed-role/application/{user}","accountId":"{ACCOUNT}","accessKeyId":"ASIA{:016X}","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"AROAEXAMPLE","arn":"arn:aws:iam::{ACCOUNT}:role/application","accountId":"{ACCOUNT}","userName":"application"}},"attributes":{{"creationDate":"2026-01-01T00:00:00Z","mfaAuthenticated":"false"}}}}}},"eventTime":"{time:.0}","eventSource":"kms.amazonaws.com","eventName":"{name}","awsRegion":"{REGION}","sourceIPAddress":"10.{}.{}.{}","userAgent":"aws-sdk-rust/1.3.3 os/linux lang/rust/1.90.0","requestParameters":{{"encryptionContext":{{"tenant":"tenant-{}","object":"orders/{session:016x}"}},"keyId":"{key}","encryptionAlgorithm":"SYMMETRIC_DEFAULT"}},"responseElements":null,"requestID":"{request_id}","eventID":"{event_id}","readOnly":{},"resources":[{{"accountId":"{ACCOUNT}","type":"AWS::KMS::Key","ARN":"{key}"}}],"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"{ACCOUNT}","eventCategory":"Management","tlsDetails":{{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"kms.{REGION}.amazonaws.com"}}}}"#,
        draw(session % 5000, 9),
        session % 256,
        session / 256 % 256,
        session / 65536 % 256,
        session % 1000,
        name != SELDOM,
    )
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { events, files, .. } = self;
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let milliseconds = |micros: f64| format!("{:.2}", micros / 1e3);
        writeln!(
            f,
            "LookupEvents, first page, out of {events} events in {files} files ({:.0} MB, index {:.0} MB)",
            megabytes(self.trail_bytes),
            megabytes(self.index_bytes)
        )?;
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(["by", "events", "p50 ms", "p99 ms", "files inflated"]);
        for row in &self.rows {
            let number = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
            table.add_row([
                Cell::new(row.lookup),
                number(format!("{:.1}", row.events)),
                number(milliseconds(row.p50_micros)),
                number(milliseconds(row.p99_micros)),
                number(format!("{:.1}", row.ratio)),
            ]);
        }
        writeln!(f, "{table}")?;
        write!(
            f,
            "one file inflated {} ms, history opened {} ms, very first lookup {} ms",
            milliseconds(self.inflate_micros),
            milliseconds(self.open_micros),
            milliseconds(self.first_micros)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_the_size_of_a_real_one_and_is_found_by_what_it_says() {
        let record = record(7, until().unwrap());
        assert!((1200..1700).contains(&record.len()), "{}", record.len());
        let parsed: serde_json::Value = serde_json::from_str(&record).unwrap();
        assert_eq!(parsed["eventID"], event_id(7));
    }
}
