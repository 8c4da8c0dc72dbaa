//! The README's first command, whole: five stories with the outcomes they are told for. With `SLOW=1` only, since without
//! optimisation it takes minutes.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test fails by panicking, and skips aloud")]

mod common;

use common::{finished, quietus};

#[test]
fn the_rehearsal_shows_what_it_is_to_show() {
    if std::env::var_os("SLOW").is_none() {
        eprintln!("SKIPPED, the rehearsal takes minutes without optimisation: set SLOW=1");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let output = quietus().args(["rehearse", "--dir", "rehearsal"]).current_dir(folder.path()).output().unwrap();
    let (code, stdout, stderr) = finished(&output);
    assert_eq!(code, Some(0), "{stdout}\n{stderr}");
    for (name, outcome) in [
        ("orders-archive", "deleted"),
        ("payroll-export", "rescued"),
        ("disaster-vault", "rescued"),
        ("annual-report", "INCONCLUSIVE"),
        ("eu-billing", "INCONCLUSIVE"),
    ] {
        let line = stdout.lines().find(|line| line.trim_start().starts_with(name) && line.contains("QC-")).unwrap();
        assert!(line.contains(outcome), "{line}");
    }
    let pages = stdout.lines().filter_map(|line| line.strip_prefix("  rehearsal/reports/"));
    assert_eq!(pages.filter(|page| folder.path().join("rehearsal/reports").join(page).exists()).count(), 5, "{stdout}");
}
