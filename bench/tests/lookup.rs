//! The benchmark runs, small: it must not rot between the days on which somebody wants to know.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

use serde_json::Value;

#[test]
fn every_kind_of_lookup_is_measured() {
    for json in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_lookup"))
            .args(["--events", "300", "--rounds", "2", "--folder"])
            .arg(folder.path())
            .args(json.then_some("--json"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        if json {
            let report: Value = serde_json::from_str(&text).unwrap();
            let rows = report["rows"].as_array().unwrap();
            assert_eq!(rows.len(), 8);
            assert!(rows.iter().all(|row| row["ratio"].as_f64().unwrap() > 0.0), "{report}");
            let found = |n: usize| rows[n]["events"].as_f64().unwrap();
            assert_eq!((found(0), found(3), found(4)), (50.0, 0.0, 1.0), "a full page, an unknown key, one event");
        } else {
            assert!(text.starts_with("LookupEvents, first page"), "{text}");
        }
        assert_eq!(folder.path().read_dir().unwrap().count(), 0, "the history is removed");
    }
}
