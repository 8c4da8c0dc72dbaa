//! The scan against real CloudTrail files, which are kept beside the project and may be missing.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod naive;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use naive::{Identity, Naive};
use serde_json::Value;
use trail::Selection;
use trail::scan::{Summary, Why, scan};

/// `<project root>/../shared/data/cloudtrail`, or nothing, said aloud.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn folder() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/cloudtrail");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED: there is no {}, so nothing was compared with real files", folder.display());
    None
}

fn scanned(folder: PathBuf, selection: &Selection) -> Summary {
    scan(&[folder], selection, &mut |_| ()).unwrap()
}

fn counted(folder: &Path, keys: &[&str]) -> (Naive, u64) {
    let mut naive = Naive::default();
    let mut files = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|suffix| suffix == "json") {
                files += 1;
                let document: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
                document["Records"].as_array().unwrap().iter().for_each(|record| naive.record(record, keys));
            }
        }
    }
    (naive, files)
}

fn rows(summary: &Summary) -> BTreeMap<Identity, naive::Count> {
    let rows = summary.totals.rows.iter().map(|row| {
        let row = row.clone();
        let identity = (row.key, row.principal, row.event_name, row.error_code, row.dependents);
        (identity, (row.count, row.first.to_string(), row.last.to_string()))
    });
    rows.collect()
}

#[test]
fn real_files_give_the_numbers_of_an_independent_count() {
    let Some(folder) = folder() else { return };
    let (naive, files) = counted(&folder, &[]);
    let summary = scanned(folder, &Selection::all());
    assert!(naive.kms_records > 0, "the files hold events of KMS");
    assert_eq!(rows(&summary), naive.rows);
    assert_eq!(summary.totals.rows.len(), naive.rows.len(), "no two rows have one identity");
    let counts = (summary.counts.files, summary.counts.records, summary.totals.kms_records, summary.totals.duplicates);
    assert_eq!(counts, (files, naive.records, naive.kms_records, naive.duplicates));
    assert!(summary.is_complete(), "{:?}", summary.gaps);
    assert!(summary.gaps.iter().all(|gap| matches!(gap.why, Why::OtherName)), "{:?}", summary.gaps);
}

#[test]
fn a_selected_key_gives_its_own_rows_and_no_others() {
    let Some(folder) = folder() else { return };
    let everything = scanned(folder.clone(), &Selection::all());
    let mut keys: Vec<String> = everything.totals.rows.iter().map(|row| row.key.clone()).collect();
    keys.dedup();
    for key in keys {
        let (naive, _) = counted(&folder, &[&key]);
        for name in [key.as_str(), key.rsplit('/').next().unwrap()] {
            let summary = scanned(folder.clone(), &Selection::all().key(name).unwrap());
            assert_eq!(rows(&summary), naive.rows, "{name}");
        }
    }
}
