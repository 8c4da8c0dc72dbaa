//! Sealing: CloudTrail's layout and names, the same bytes every time, and no record lost or altered.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use libdeflater::Decompressor;
use server::audit::history::{History, Query};
use server::audit::seal::{log_files, seal};
use server::audit::{AuditLog, Error, Receipt};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::tempdir;

fn record(id: u32, time: &str, region: &str, account: &str) -> String {
    format!(
        r#"{{"eventTime":"{time}","awsRegion":"{region}","eventName":"Decrypt","eventSource":"kms.amazonaws.com","eventID":"{id}","note":"\u00e9 é \/","recipientAccountId":"{account}"}}"#
    )
}

/// What the server does with closed segments.
fn seal_closed(log: &AuditLog, history: &History) -> usize {
    let closed = log.closed_segments();
    for number in &closed {
        let segment = log.read(*number).unwrap();
        let sealed = seal(history.trail(), *number, segment.records().map(|record| record.bytes)).unwrap();
        history.add(sealed);
        log.remove(*number).unwrap();
    }
    closed.len()
}

fn bytes(records: &[String]) -> impl Iterator<Item = &[u8]> {
    records.iter().map(String::as_bytes)
}

fn inflate(gzip: &[u8]) -> String {
    let mut json = vec![0; 1 << 20];
    let length = Decompressor::new().gzip_decompress(gzip, &mut json).unwrap();
    String::from_utf8(json[..length].to_vec()).unwrap()
}

/// Every file under `folder` with its bytes.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        if path.is_dir() {
            assert_eq!(mode, 0o700, "{}", path.display());
            files.extend(tree(&path));
        } else {
            assert_eq!(mode, 0o600, "{}", path.display());
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    files
}

fn four() -> Vec<String> {
    vec![
        record(1, "2026-05-20T23:59:59Z", "us-west-2", "111122223333"),
        record(2, "2026-05-21T00:00:00Z", "us-west-2", "111122223333"),
        record(3, "2026-05-20T20:45:30Z", "us-west-2", "111122223333"),
        record(4, "2026-05-20T20:45:00Z", "eu-west-1", "000000000000"),
    ]
}

#[test]
fn one_file_for_each_account_region_and_day() {
    let files = log_files(7, bytes(&four())).unwrap();
    let found: Vec<(String, String)> = files
        .iter()
        .map(|file| {
            let path = file.sealed.path.to_str().unwrap();
            let (stem, letters) = path.strip_suffix(".json.gz").unwrap().rsplit_once('_').unwrap();
            assert!(letters.len() == 16 && letters.bytes().all(|b| b.is_ascii_alphanumeric()), "{letters}");
            (stem.to_owned(), inflate(&file.gzip))
        })
        .collect();
    let records = four();
    let expected = [
        (
            "AWSLogs/000000000000/CloudTrail/eu-west-1/2026/05/20/000000000000_CloudTrail_eu-west-1_20260520T2045Z",
            format!(r#"{{"Records":[{}]}}"#, records[3]),
        ),
        (
            "AWSLogs/111122223333/CloudTrail/us-west-2/2026/05/20/111122223333_CloudTrail_us-west-2_20260520T2359Z",
            format!(r#"{{"Records":[{},{}]}}"#, records[0], records[2]),
        ),
        (
            "AWSLogs/111122223333/CloudTrail/us-west-2/2026/05/21/111122223333_CloudTrail_us-west-2_20260521T0000Z",
            format!(r#"{{"Records":[{}]}}"#, records[1]),
        ),
    ];
    assert_eq!(found, expected.map(|(path, json)| (path.to_owned(), json)));

    let sealed = &files[1].sealed;
    assert_eq!(sealed.since.to_string(), "2026-05-20T20:45:30Z");
    assert_eq!(sealed.until.to_string(), "2026-05-20T23:59:59Z");
    assert_eq!(sealed.events, 2);
}

#[test]
fn sealing_again_writes_the_same_files() {
    let trail = tempdir().unwrap();
    let first = seal(trail.path(), 7, bytes(&four())).unwrap();
    let files = tree(trail.path());
    assert_eq!(files.len(), 3);

    // A crash may have left the draft of a file, and not the file.
    let lost = files.keys().next().unwrap();
    fs::rename(lost, lost.with_extension("tmp")).unwrap();
    fs::write(lost.with_extension("tmp"), "half").unwrap();
    assert_eq!(seal(trail.path(), 7, bytes(&four())).unwrap(), first);
    assert_eq!(tree(trail.path()), files);

    let names = |segment| log_files(segment, bytes(&four())).unwrap().into_iter().map(|file| file.sealed.path);
    assert!(names(7).zip(names(8)).all(|(a, b)| a != b), "another segment has other names, even with equal records");
}

#[test]
fn a_large_day_goes_into_several_files() {
    let long =
        |id| record(id, "2026-05-20T20:45:30Z", "us-west-2", "111122223333").replace("note", &"n".repeat(600_000));
    let records: Vec<String> = (0..5).map(long).collect();
    let files = log_files(7, bytes(&records)).unwrap();
    let events: Vec<usize> = files.iter().map(|file| file.sealed.events).collect();
    assert_eq!(events, [2, 2, 1]);
    let names: std::collections::BTreeSet<_> = files.iter().map(|file| &file.sealed.path).collect();
    assert_eq!(names.len(), 3);
}

#[test]
fn a_record_that_cannot_be_filed_is_named() {
    let whole = record(1, "2026-05-20T23:59:59Z", "us-west-2", "111122223333");
    for (bad, missing) in [
        ("{".to_owned(), "JSON object"),
        ("[]".to_owned(), "JSON object"),
        (whole.replace("111122223333", "../../etc"), "account in `recipientAccountId`"),
        (whole.replace("us-west-2", "../.."), "Region in `awsRegion`"),
        (whole.replace("awsRegion", "region"), "Region in `awsRegion`"),
        (whole.replace("2026-05-20T", "yesterday"), "time in `eventTime`"),
    ] {
        let error = log_files(3, bytes(&[whole.clone(), bad])).unwrap_err();
        assert_eq!(error.to_string(), format!("record 1 of audit segment 3 has no {missing}"));
        assert!(matches!(error, Error::Unfiled { segment: 3, index: 1, .. }));
    }
    assert_eq!(log_files(3, bytes(&[])).unwrap(), []);
}

#[test]
fn closed_segments_move_into_the_trail() {
    let dir = tempdir().unwrap();
    let trail = dir.path().join("trail");
    let log = Arc::new(AuditLog::open(dir.path()).unwrap());
    let history = History::open(log.clone(), &trail, &dir.path().join("lookup")).unwrap();
    for record in four() {
        log.append(record.as_bytes()).and_then(Receipt::wait).unwrap();
    }
    assert_eq!(seal_closed(&log, &history), 0, "the active segment is not sealed");
    log.rotate().unwrap();
    assert_eq!(seal_closed(&log, &history), 1);
    assert_eq!(log.closed_segments(), [0; 0]);
    assert_eq!(tree(&trail).len(), 3);

    let query = Query::all("111122223333".parse().unwrap(), "us-west-2".parse().unwrap());
    let page = history.lookup(&query, "2026-05-22T00:00:00Z".parse().unwrap()).unwrap();
    let ids: Vec<&str> = page.events.iter().map(|event| event.event_id.as_str()).collect();
    assert_eq!(ids, ["2", "1", "3"]);
    assert_eq!(page.events[0].record, four()[1]);
}
