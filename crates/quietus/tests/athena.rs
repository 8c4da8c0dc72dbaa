//! `quietus scan --engine athena`: the same rows as the scan of the same files, by Athena's SQL and Athena's calls.
//!
//! AWS is moto here, and Athena's queries are run by DuckDB, transpiled by sqlglot: `clients/athena_server.py`. Where it must be slow
//! or refuse, it is a stub: `common/athena_stub.rs`.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test fails by panicking, and skips aloud")]

mod common;
#[path = "clients/environment.rs"]
#[allow(dead_code, reason = "only Python is asked for here")]
mod environment;

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use common::athena_stub::{AthenaStub, QUERY_ID, Reply, TABLE_ID};
use common::moto::Moto;
use common::{ended, finished, quietus, signal};
use environment::python;
use serde_json::{Value, json};

const KEY: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";

/// Exit code, standard output, standard error of `quietus scan` with these arguments.
fn scan(moto: &Moto, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = quietus();
    moto.serve(&mut command);
    finished(&command.arg("scan").args(args).output().unwrap())
}

#[test]
fn athena_gives_the_rows_of_a_scan_and_says_whence() {
    let folder = tempfile::tempdir().unwrap();
    let shared = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/cloudtrail"));
    if !shared.is_dir() {
        eprintln!("SKIPPED the shared log files: {} is not there", shared.display());
    }
    let Some(programs) = python() else { return };
    let moto = Moto::with_athena(&programs, folder.path(), Some(shared).filter(|path| path.is_dir()));
    let local = folder.path().join("AWSLogs");
    let arn = format!("arn:aws:kms:eu-west-1:111122223333:key/{KEY}");
    for narrow in [
        &[][..],
        &["--key", KEY],
        &["--key", &arn, "--since", "2026-01-02T00:00:00Z"],
        &["--key", "alias/app"],
        &["--since", "2026-01-01T10:00:00.5Z", "--until", "2026-01-02T12:00:00Z"],
        &["--in-account", "444455556666", "--in-region", "us-east-1"],
    ] {
        let (code, expected, stderr) = scan(&moto, &[&[local.to_str().unwrap(), "--json"], narrow].concat());
        assert_eq!(code, Some(0), "{stderr}");
        let bucket = ["s3://logs/AWSLogs", "--engine", "athena", "--output", "s3://logs/results", "--json"];
        let (code, stdout, stderr) = scan(&moto, &[&bucket, narrow].concat());
        assert_eq!(code, Some(0), "{narrow:?}: {stderr}");
        assert!(stderr.contains("estimate: "), "{stderr}");
        let (rows, last) = stdout.trim_end().rsplit_once('\n').unwrap();
        let differs = rows.lines().zip(expected.lines()).find(|(one, other)| one != other);
        assert_eq!(differs, None, "{narrow:?}");
        assert_eq!(rows.lines().count(), expected.lines().count(), "{narrow:?}");
        let evidence: Value = serde_json::from_str(last).unwrap();
        assert_eq!(evidence["evidence"]["bytesScanned"], 12345);
        assert_eq!(evidence["evidence"]["queryId"].as_str().unwrap().len(), 36);
    }
    let (code, stdout, _) = scan(&moto, &["s3://logs", "--engine", "athena", "--table", "mine", "--key", KEY]);
    assert_eq!(code, Some(0));
    let last = stdout.lines().last().unwrap();
    assert!(last.starts_with("Athena query ") && last.contains(" over default.mine: 12345 bytes scanned, "), "{last}");

    // What goes wrong.
    let refused = |args: &[&str]| {
        let (code, _, stderr) = scan(&moto, &[&["--engine", "athena"], args].concat());
        assert_eq!(code, Some(1), "{args:?}: {stderr}");
        stderr
            .lines()
            .filter(|line| line.starts_with("error: ") || line.starts_with("hint: "))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let failed = refused(&["s3://logs", "--table", "bad_data"]);
    assert!(failed.contains(" failed: HIVE_BAD_DATA: bad_data\nhint: "), "{failed}");
    let dear = refused(&["s3://logs", "--max-cost", "0"]);
    assert!(dear.starts_with("error: the query is estimated at less than USD 0.01, more than the limit of"), "{dear}");
    assert!(refused(&["s3://nowhere"]).starts_with("error: cannot list `s3://nowhere/AWSLogs`: "));
    assert!(refused(&["s3://logs/elsewhere"]).starts_with("error: `s3://logs/elsewhere/AWSLogs` holds no log files"));
    let part = refused(&["s3://logs/AWSLogs/111122223333"]);
    assert!(part.starts_with("error: `s3://logs/AWSLogs/111122223333` is not the folder of a whole trail"), "{part}");
    assert!(refused(&[local.to_str().unwrap()]).starts_with("error: Athena reads one bucket"));
}

/// A process that does not outlive its test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Scans by an Athena that answers as `odd` says, with Ctrl-C at each call of `at`. It ends with exit code 1; the calls that stop a
/// query, and what is said.
fn interrupted(at: &[String], odd: fn(&str) -> Option<Reply>) -> (Vec<String>, String) {
    let athena = AthenaStub::start(odd);
    let mut command = quietus();
    athena.serve(&mut command);
    command.args(["scan", "s3://logs", "--engine", "athena"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut scan = Ended(command.spawn().unwrap());
    let mut calls = Vec::new();
    for at in at {
        while calls.last() != Some(at) {
            assert!(calls.len() < 100, "no {at} in {calls:?}");
            calls.push(athena.calls.recv_timeout(Duration::from_secs(60)).unwrap());
        }
        signal(&scan.0, "-INT");
        // Two that come together are one.
        std::thread::sleep(Duration::from_millis(200));
    }
    let status = ended(&mut scan.0).expect("Ctrl-C ends it");
    let told = std::io::read_to_string(scan.0.stderr.take().unwrap()).unwrap();
    assert_eq!(status.code(), Some(1), "{status}: {told}");
    assert_eq!(std::io::read_to_string(scan.0.stdout.take().unwrap()).unwrap(), "");
    calls.extend(athena.calls.try_iter());
    calls.retain(|call| call.starts_with("StopQueryExecution "));
    let (_, told) = told.split_once("error: ").expect("an error is told");
    (calls, told.to_owned())
}

/// Athena's answer to GetQueryExecution while it works.
fn running() -> Reply {
    Reply::Now(json!({ "QueryExecution": { "Status": { "State": "RUNNING" } } }))
}

#[test]
fn ctrl_c_stops_the_query_that_runs() {
    let call = |operation: &str, id: &str| format!("{operation} {id}");
    let stopped =
        |id: &str| (vec![call("StopQueryExecution", id)], format!("interrupted; Athena's query {id} was stopped\n"));
    // While Athena works, on the query or on the table.
    let told = interrupted(&[call("GetQueryExecution", QUERY_ID)], |call| {
        (call.starts_with("GetQueryExecution ") && call.ends_with(QUERY_ID)).then(running)
    });
    assert_eq!(told, stopped(QUERY_ID));
    let told = interrupted(&[call("GetQueryExecution", TABLE_ID)], |call| {
        call.starts_with("GetQueryExecution ").then(running)
    });
    assert_eq!(told, stopped(TABLE_ID));
    // While rows are fetched.
    let told = interrupted(&[call("GetQueryResults", QUERY_ID)], |call| {
        call.starts_with("GetQueryResults ").then_some(Reply::Never)
    });
    assert_eq!(told, stopped(QUERY_ID));
    // While the ID is not known yet.
    let told = interrupted(&[call("StartQueryExecution", QUERY_ID)], |call| match call.split_once(' ') {
        Some(("StartQueryExecution", QUERY_ID)) => Some(Reply::Late(json!({ "QueryExecutionId": QUERY_ID }))),
        Some(("GetQueryExecution", QUERY_ID)) => Some(running()),
        _ => None,
    });
    assert_eq!(told, stopped(QUERY_ID));
}

#[test]
fn ctrl_c_tells_of_a_query_that_may_still_run() {
    let call = |operation: &str| format!("{operation} {QUERY_ID}");
    let left = |why: &str| {
        let error = format!("interrupted; Athena's query {QUERY_ID} could not be stopped and may still run: {why}");
        let stop = format!("aws athena stop-query-execution --query-execution-id {QUERY_ID}");
        (
            vec![call("StopQueryExecution")],
            format!("{error}\nhint: stop it by `{stop}`, with the same profile and Region\n"),
        )
    };
    let told = interrupted(&[call("GetQueryExecution")], |call| match call.split_once(' ') {
        Some(("GetQueryExecution", QUERY_ID)) => Some(running()),
        Some(("StopQueryExecution", _)) => Some(Reply::Refused("AccessDeniedException")),
        _ => None,
    });
    assert_eq!(told, left("AccessDeniedException: no"));
    // Ctrl-C once more, since stopping takes long.
    let told =
        interrupted(&[call("GetQueryExecution"), call("StopQueryExecution")], |call| match call.split_once(' ') {
            Some(("GetQueryExecution", QUERY_ID)) => Some(running()),
            Some(("StopQueryExecution", _)) => Some(Reply::Never),
            _ => None,
        });
    assert_eq!(told, left("no answer was waited for"));
    // The same before the ID is known.
    let twice = [call("StartQueryExecution"), call("StartQueryExecution")];
    let (stops, told) = interrupted(&twice, |call| match call.split_once(' ') {
        Some(("StartQueryExecution", QUERY_ID)) => Some(Reply::Never),
        _ => None,
    });
    assert_eq!(stops, [""; 0]);
    assert!(
        told.starts_with("interrupted while a query was started; it may run, and Athena has not told its ID\nhint: "),
        "{told}"
    );
}
