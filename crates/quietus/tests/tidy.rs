//! The repository's own rules, so that reviews need not look for them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Every source file of the workspace with its text, relative to the root.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("crates")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(found.len() > 50, "the sources are where they are looked for");
    found
}

#[test]
fn files_begin_with_what_they_are() {
    for (name, text) in sources() {
        assert!(text.starts_with("//!"), "{name} does not begin with a paragraph that says what it is");
        assert!(!text.starts_with("//! placeholder"), "{name} is empty");
    }
}

#[test]
fn nothing_is_left_for_later() {
    let marks =
        [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["un", "implemented!"].concat(), ["to", "do!("].concat()];
    for (name, text) in sources() {
        for mark in &marks {
            assert!(!text.contains(mark), "{name} holds `{mark}`");
        }
    }
}

#[test]
fn lines_fit() {
    // Stories in tests are told in lines as long as they need.
    for (name, text) in sources().into_iter().filter(|(name, _)| name.contains("/src/")) {
        let long = text.lines().enumerate().find(|(_, line)| {
            // Texts that a test expects to the letter, and data, may be longer than a line of code.
            line.chars().count() > 140 && !line.contains('"') && !line.trim_start().starts_with("//")
        });
        assert!(long.is_none(), "{name}:{} is too long to read", long.unwrap().0 + 1);
    }
}

#[test]
fn the_pages_that_others_rely_on_are_there() {
    for page in
        ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "SECURITY.md", "docs/compatibility.md", "docs/procedure.md"]
    {
        let text = fs::read_to_string(root().join(page)).unwrap_or_default();
        assert!(text.len() > 200, "{page} is missing or says nothing");
    }
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for command in ["cargo run --release -- rehearse", "cargo test --workspace --locked"] {
        assert!(readme.contains(command), "README.md does not show `{command}`");
    }
    let ci = fs::read_to_string(root().join(".ci/run")).unwrap();
    assert!(ci.contains("cargo test --workspace --locked"), "CI runs the README's test command");
}
