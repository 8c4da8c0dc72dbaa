//! What the embedded store promises about its file.

use redb::{Database, TableDefinition};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use store::{Batch, BatchId, Embedded, Error, FORMAT, Store};
use tempfile::TempDir;

#[test]
fn a_second_opening_is_refused() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("store");
    let first = Embedded::open(&file).unwrap();
    let error = Embedded::open(&file).unwrap_err();
    assert!(matches!(&error, Error::InUse { path } if *path == file));
    assert_eq!(
        error.to_string(),
        format!("store `{}` is in use by another process; stop that one first", file.display())
    );
    drop(first);
    Embedded::open(&file).unwrap();
}

#[test]
fn two_that_start_at_once_share_no_draft() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("store");
    for _ in 0..20 {
        let opened: Vec<_> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..3).map(|_| scope.spawn(|| Embedded::open(&file))).collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        assert_eq!(opened.iter().filter(|store| store.is_ok()).count(), 1);
        assert!(opened.iter().all(|store| matches!(store, Ok(_) | Err(Error::InUse { .. }))));
        drop(opened);
        fs::remove_file(&file).unwrap();
    }
}

#[test]
fn only_the_owner_may_read_the_file() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("store");
    drop(Embedded::open(&file).unwrap());
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
}

#[test]
fn a_draft_left_by_a_crash_is_replaced() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("store");
    fs::write(folder.path().join("store.new"), "half a header").unwrap();
    Embedded::open(&file).unwrap();
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let folder = TempDir::new().unwrap();
    let error = Embedded::open(&folder.path().join("missing/store")).unwrap_err();
    assert!(matches!(&error, Error::File { doing: "open", path, .. } if *path == folder.path().join("missing")));
}

#[test]
fn other_files_are_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let text = folder.path().join("text");
    fs::write(&text, "dear diary").unwrap();
    assert!(matches!(Embedded::open(&text).unwrap_err(), Error::Open { .. }));
    assert_eq!(fs::read(&text).unwrap(), b"dear diary");

    let empty = folder.path().join("empty");
    fs::write(&empty, "").unwrap();
    assert!(matches!(Embedded::open(&empty).unwrap_err(), Error::Open { .. }));

    let other = folder.path().join("other");
    drop(Database::create(&other).unwrap());
    assert!(matches!(Embedded::open(&other).unwrap_err(), Error::Foreign { path } if path == other));
}

#[test]
fn a_later_format_is_refused() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("store");
    drop(Embedded::open(&file).unwrap());
    let database = Database::open(&file).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(TableDefinition::<&str, u64>::new("meta")).unwrap().insert("format", 9).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = Embedded::open(&file).unwrap_err();
    assert!(matches!(error, Error::Format { found: 9, known: FORMAT, .. }));
}

/// `tests/format-1.redb` was written by the first version: the entry `a` = `1` at revision 1, the record `one`.
#[test]
fn format_1_is_read() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("store");
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/format-1.redb"), &file).unwrap();
    let store = Embedded::open(&file).unwrap();
    assert_eq!(store.get(b"a").unwrap(), Some((b"1".to_vec(), 1)));
    assert_eq!(store.appended(0, 9).unwrap()[0].bytes, b"one");
    assert_eq!(store.find(BatchId([7; 16])).unwrap(), Some(1));
    store.commit(&[Batch { append: vec![b"two".to_vec()], ..Batch::new(BatchId([8; 16])) }]).unwrap();
    assert_eq!(store.appended(1, 9).unwrap()[0].sequence, 2);
}
