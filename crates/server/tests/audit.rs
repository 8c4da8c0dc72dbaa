//! The audit log: what was acknowledged is there, once and in order, whatever happens.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use server::audit::{AuditLog, Error, Limits, Receipt};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use tempfile::tempdir;

/// Appends a record and waits until it is durable.
fn append(log: &AuditLog, record: &str) {
    log.append(record.as_bytes()).and_then(Receipt::wait).unwrap();
}

/// All records: of the closed segments and, once it is closed for this, of the active one.
fn records(log: &AuditLog) -> Vec<String> {
    log.rotate().unwrap();
    let mut records = Vec::new();
    for number in log.closed_segments() {
        let segment = log.read(number).unwrap();
        records.extend(segment.records().map(|record| String::from_utf8(record.bytes.to_vec()).unwrap()));
    }
    records
}

/// Limits under which two short records close a segment.
const SMALL: Limits = Limits { segment_bytes: 90, queue_bytes: 1 << 20 };

#[test]
fn records_survive_a_restart_in_order() {
    let dir = tempdir().unwrap();
    for round in 0..3 {
        let log = AuditLog::open(dir.path()).unwrap();
        assert_eq!(log.torn_tail(), None);
        append(&log, &format!("{round}a"));
        append(&log, &format!("{round}b"));
    }
    let log = AuditLog::open(dir.path()).unwrap();
    assert_eq!(records(&log), ["0a", "0b", "1a", "1b", "2a", "2b"]);
    assert_eq!(log.closed_segments(), [1]);
}

#[test]
fn what_was_accepted_is_written_before_the_log_closes() {
    let dir = tempdir().unwrap();
    let log = AuditLog::open(dir.path()).unwrap();
    let receipts: Vec<_> = (0..100).map(|n| log.append(format!("{n}").as_bytes()).unwrap()).collect();
    drop(log);
    receipts.into_iter().for_each(|receipt| receipt.wait().unwrap());
    assert_eq!(records(&AuditLog::open(dir.path()).unwrap()).len(), 100);
}

#[test]
fn only_the_owner_may_read_the_log() {
    let dir = tempdir().unwrap();
    let log = AuditLog::open(dir.path()).unwrap();
    append(&log, "one");
    log.rotate().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir.path().join("audit")), 0o700);
    for entry in fs::read_dir(dir.path().join("audit")).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
}

#[test]
fn a_second_opening_is_refused() {
    let dir = tempdir().unwrap();
    let log = AuditLog::open(dir.path()).unwrap();
    assert!(matches!(AuditLog::open(dir.path()), Err(Error::InUse { path }) if path == dir.path().join("audit")));
    drop(log);
    AuditLog::open(dir.path()).unwrap();
}

#[test]
fn a_torn_tail_is_reported_and_the_log_goes_on() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("audit/000000000001.log");
    let log = AuditLog::open(dir.path()).unwrap();
    append(&log, "one");
    append(&log, "two");
    drop(log);

    let bytes = fs::read(&file).unwrap();
    fs::write(&file, [&bytes[..], b"half a frame"].concat()).unwrap();
    let log = AuditLog::open(dir.path()).unwrap();
    let torn = log.torn_tail().unwrap();
    assert_eq!((torn.path.as_path(), torn.offset, torn.bytes), (file.as_path(), bytes.len() as u64, 12));
    append(&log, "three");
    assert_eq!(records(&log), ["one", "two", "three"]);
}

#[test]
fn damage_is_an_error_that_names_file_and_offset() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("audit/000000000001.log");
    let log = AuditLog::open(dir.path()).unwrap();
    append(&log, "one");
    log.rotate().unwrap();
    let mut bytes = fs::read(&file).unwrap();
    bytes[45] ^= 1;
    fs::write(&file, &bytes).unwrap();

    let expected = format!(
        "audit segment `{}` is damaged at byte 40; restore it, or move it away to go on without its records",
        file.display()
    );
    assert_eq!(log.read(1).unwrap_err().to_string(), expected);
    drop(log);
    AuditLog::open(dir.path()).unwrap();

    fs::remove_file(dir.path().join("audit/000000000002.log")).unwrap();
    fs::write(&file, [&bytes[..], &bytes[24..40]].concat()).unwrap();
    let log = AuditLog::open(dir.path()).unwrap();
    assert_eq!(log.torn_tail().unwrap().offset, 40, "no mark in its place says that this was ever durable");
}

#[test]
fn segments_are_closed_read_and_removed() {
    let dir = tempdir().unwrap();
    let log = AuditLog::with_limits(dir.path(), SMALL).unwrap();
    log.rotate().unwrap();
    assert_eq!(log.closed_segments(), [0; 0], "an empty segment is not closed");
    for n in 0..6 {
        append(&log, &format!("{n}"));
    }
    assert_eq!(records(&log), ["0", "1", "2", "3", "4", "5"]);
    assert_eq!(log.closed_segments(), [1, 2, 3]);

    log.remove(2).unwrap();
    assert_eq!(log.closed_segments(), [1, 3]);
    for number in [0, 2, 4, 5] {
        assert!(matches!(log.read(number), Err(Error::NotClosed { .. })));
        assert!(matches!(log.remove(number), Err(Error::NotClosed { .. })));
    }
    drop(log);
    let log = AuditLog::open(dir.path()).unwrap();
    assert_eq!(log.closed_segments(), [1, 3]);
    assert_eq!(log.read(3).unwrap().records().count(), 2);
}

#[test]
fn records_of_the_store_are_taken_once() {
    let dir = tempdir().unwrap();
    let pump = |log: &AuditLog, through: u64| {
        for sequence in 1..=through {
            log.append_from_store(sequence, format!("s{sequence}").as_bytes()).and_then(Receipt::wait).unwrap();
        }
    };
    let log = AuditLog::open(dir.path()).unwrap();
    assert_eq!(log.last_store_sequence(), 0);
    pump(&log, 3);
    append(&log, "own");
    pump(&log, 4);
    assert_eq!(log.last_store_sequence(), 4);
    drop(log);

    let log = AuditLog::open(dir.path()).unwrap();
    assert_eq!(log.last_store_sequence(), 4);
    pump(&log, 5);
    assert_eq!(records(&log), ["s1", "s2", "s3", "own", "s4", "s5"]);
    let sources: Vec<u64> = log.read(1).unwrap().records().map(|record| record.source).collect();
    assert_eq!(sources, [1, 2, 3, 0, 4, 5]);

    // The place outlives the segments that held the records, also when the new segment's beginning was torn.
    drop(log);
    let active = dir.path().join("audit/000000000002.log");
    fs::write(&active, &fs::read(&active).unwrap()[..7]).unwrap();
    let log = AuditLog::open(dir.path()).unwrap();
    assert_eq!(log.last_store_sequence(), 5);
    log.remove(1).unwrap();
    drop(log);
    let log = AuditLog::open(dir.path()).unwrap();
    assert_eq!(log.last_store_sequence(), 5);
    pump(&log, 6);
    assert_eq!(records(&log), ["s6"]);
}

#[test]
fn many_threads_share_their_syncs() {
    let dir = tempdir().unwrap();
    let limits = Limits { segment_bytes: 4096, ..Limits::default() };
    let log = AuditLog::with_limits(dir.path(), limits).unwrap();
    thread::scope(|scope| {
        for thread in 0..16 {
            let log = &log;
            scope.spawn(move || (0..100).for_each(|n| append(log, &format!("{thread} {n}"))));
        }
        scope.spawn(|| (0..20).for_each(|_| log.rotate().unwrap()));
    });
    let records = records(&log);
    assert_eq!(records.len(), 1600);
    for thread in 0..16 {
        let own: Vec<usize> = records
            .iter()
            .filter_map(|record| record.strip_prefix(&format!("{thread} ")))
            .map(|n| n.parse().unwrap())
            .collect();
        assert_eq!(own, (0..100).collect::<Vec<_>>());
    }
}

#[test]
fn tasks_wait_without_a_thread_each() {
    let dir = tempdir().unwrap();
    let log = Arc::new(AuditLog::open(dir.path()).unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..64)
            .map(|task| {
                let log = log.clone();
                tokio::spawn(async move {
                    for n in 0..20 {
                        log.append(format!("{task} {n}").as_bytes()).unwrap().await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!(records(&log).len(), 64 * 20);
}

const CHILD: &str = "QUIETUS_TEST_AUDIT_CHILD";

/// Not a test of its own: what `a_killed_process_loses_nothing_acknowledged` kills.
#[test]
fn child_that_appends_until_it_is_killed() {
    let Ok(dir) = std::env::var(CHILD) else { return };
    let log = AuditLog::with_limits(Path::new(&dir), Limits { segment_bytes: 2000, ..Limits::default() }).unwrap();
    thread::scope(|scope| {
        for thread in 0..4 {
            let log = &log;
            scope.spawn(move || {
                for n in 0.. {
                    let record = format!("{} {thread} {n}", std::process::id());
                    append(log, &record);
                    println!("acknowledged {record}");
                }
            });
        }
    });
}

#[test]
fn a_killed_process_loses_nothing_acknowledged() {
    let dir = tempdir().unwrap();
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..8 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_appends_until_it_is_killed", "--nocapture"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for (seen, line) in lines.enumerate() {
            if seen == 10 + 37 * round {
                child.kill().unwrap();
            }
            // After the kill, what the pipe still holds: those were acknowledged too.
            let line = line.unwrap();
            acknowledged.extend(line.split_once("acknowledged ").map(|(_, record)| record.to_owned()));
        }
        child.wait().unwrap();
    }
    let found = records(&AuditLog::open(dir.path()).unwrap());
    assert!(acknowledged.len() > 500);
    let missing: Vec<_> = acknowledged.iter().filter(|record| !found.contains(record)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// How many records a second 64 who wait get durable; `QUIETUS_BENCH_APPENDS=200000` and `--release` for a real figure.
#[test]
#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn throughput() {
    let appends: usize = std::env::var("QUIETUS_BENCH_APPENDS").map_or(6400, |text| text.parse().unwrap());
    let record: Arc<[u8]> = vec![b'x'; 1200].into();
    let dir = tempdir().unwrap();
    let log = Arc::new(AuditLog::open(dir.path()).unwrap());

    let begun = std::time::Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let task = |_| {
            let (log, record) = (log.clone(), record.clone());
            tokio::spawn(async move {
                for _ in 0..appends / 64 {
                    log.append(&record).unwrap().await.unwrap();
                }
            })
        };
        for task in (0..64).map(task).collect::<Vec<_>>() {
            task.await.unwrap();
        }
    });
    println!("64 tasks: {:.0} appends/s", appends as f64 / begun.elapsed().as_secs_f64());

    let begun = std::time::Instant::now();
    thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| (0..appends / 64).for_each(|_| log.append(&record).unwrap().wait().unwrap()));
        }
    });
    println!("64 threads: {:.0} appends/s", appends as f64 / begun.elapsed().as_secs_f64());
}
