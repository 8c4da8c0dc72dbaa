//! `quietus scan --engine athena`: the same rows as the scan of the same files, by Athena's SQL and Athena's calls.
//!
//! AWS is moto here, and Athena's queries are run by DuckDB, transpiled by sqlglot: `clients/athena_server.py`.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test fails by panicking, and skips aloud")]

mod common;
#[path = "clients/environment.rs"]
#[allow(dead_code, reason = "only Python is asked for here")]
mod environment;

use std::path::Path;

use common::moto::Moto;
use common::{finished, quietus};
use environment::python;
use serde_json::Value;

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
