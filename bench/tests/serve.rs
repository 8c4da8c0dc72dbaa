//! The benchmark runs, small: it must not rot between the days on which somebody wants to know.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

use serde_json::Value;

fn run(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_serve"))
        .args(["--seconds", "0.1", "--rounds", "1", "--folder"])
        .arg(folder.path())
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_operation_is_measured() {
    for operation in ["encrypt", "decrypt", "generate-data-key"] {
        let report: Value = serde_json::from_str(&run(&["--json", "--operation", operation])).unwrap();
        let rows = report["rows"].as_array().unwrap();
        let connections: Vec<_> = rows.iter().map(|row| row["connections"].as_u64().unwrap()).collect();
        assert_eq!(connections, [1, 8, 64]);
        for number in
            rows.iter().flat_map(|row| [&row["ratio"], &row["hello"]["perSecond"], &row["quietus"]["perSecond"]])
        {
            assert!(number.as_f64().unwrap() > 0.0, "{report}");
        }
        assert!(report["diskSyncsPerSecond"].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn people_get_a_table() {
    let table = run(&[]);
    assert!(table.starts_with("Encrypt, signed, audited"), "{table}");
    assert_eq!(table.matches("hello ").count(), 3, "{table}");
}
