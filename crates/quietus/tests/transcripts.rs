//! What people see: commands with their exit code, standard output and standard error, to the letter.
//!
//! Each file of `transcripts/` holds commands, run one after the other in a folder of their own that has `fixtures/` in it;
//! `BLESS=1` writes what is seen anew. `[…]` stands for what differs from run to run.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use common::{finished, quietus};

/// Runs the commands of a transcript; the transcript as it is now.
fn replay(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    copy(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures")), &folder.path().join("fixtures"));
    let mut seen = String::new();
    for line in text.lines() {
        if line.starts_with('#') {
            writeln!(seen, "{line}\n").unwrap();
        }
        let Some(command) = line.strip_prefix("$ quietus ") else { continue };
        let words = shell_words(command);
        let output = quietus().args(&words).current_dir(folder.path()).env("COLUMNS", "100").output().unwrap();
        let (code, stdout, stderr) = finished(&output);
        writeln!(seen, "$ quietus {command}").unwrap();
        for (name, text) in [("", stdout), ("! ", stderr)] {
            for line in text.lines() {
                writeln!(seen, "{}", format!("{name}{line}").trim_end()).unwrap();
            }
        }
        writeln!(seen, "exit {}\n", code.unwrap()).unwrap();
    }
    seen
}

/// Words between blanks; double quotes hold words together.
fn shell_words(command: &str) -> Vec<String> {
    let quoted = |(at, part): (usize, &str)| -> Vec<String> {
        if at % 2 == 1 { vec![part.to_owned()] } else { part.split_whitespace().map(str::to_owned).collect() }
    };
    command.split('"').enumerate().flat_map(quoted).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

#[test]
fn commands_print_what_the_transcripts_show() {
    let mut wrong = Vec::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let seen = replay(&text);
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, &seen).unwrap();
        } else if seen != text {
            wrong.push(format!("{}:\n{seen}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "run with BLESS=1 and read the diff\n{}", wrong.join("\n"));
}
