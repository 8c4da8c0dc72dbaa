//! Reports: one in full, and what holds for all.

use std::path::{Path, PathBuf};

use operator::cases::Cases;
use operator::commands;
use operator::report;
use procedure::span::{after, days};
use procedure::{OnAttempt, Profile};

use crate::cases::{Ended, Event, new_case, quick, run, scratch};
use crate::world::{Fake, epoch};

/// The report of a case in every form: Markdown, JSON, page.
fn forms(ended: &Ended) -> [String; 3] {
    let id = ended.folder.list().unwrap()[0];
    let out = scratch();
    let written = report::write(&ended.folder, id, &out.path().join("reports"), ended.world.now()).unwrap();
    let names: Vec<_> = written.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["QC-2026-0001.md", "QC-2026-0001.json", "QC-2026-0001.html"]);
    texts(&written)
}

fn texts(written: &[PathBuf]) -> [String; 3] {
    let texts: Vec<String> = written.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    texts.try_into().unwrap()
}

fn rescued() -> Ended {
    let profile = Profile { on_attempt: OnAttempt::Restore, ..quick() };
    run(profile, &[(days(1), Event::Call("app", "Decrypt"))], &[])
}

/// The text with every hash of 64 digits as `(hash)`: what is hashed is held to elsewhere.
fn without_hashes(text: &str) -> String {
    let mut kept = String::new();
    let mut digits = String::new();
    for letter in text.chars().chain(['\0']) {
        if letter.is_ascii_digit() || ('a'..='f').contains(&letter) {
            digits.push(letter);
            continue;
        }
        kept.push_str(if digits.len() == 64 { "(hash)" } else { &digits });
        digits.clear();
        kept.push(letter);
    }
    kept.trim_end_matches('\0').to_owned()
}

/// Compares with a file beside the tests; with `UPDATE=1` writes it.
fn golden(name: &str, text: &str) {
    let text = &without_hashes(text);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden").join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == *text, "{name} differs; look at `UPDATE=1 cargo test -p operator --test it` and git diff");
}

#[test]
fn the_report_of_a_rescue_reads_like_this() {
    let [markdown, json, _] = forms(&rescued());
    golden("rescued.md", &markdown);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["outcome"], &json["case"]), (&"rescued".into(), &"QC-2026-0001".into()));
    assert_eq!(json["attempts"][0]["operation"], "Decrypt");
}

#[test]
fn no_report_calls_a_key_unneeded_and_each_says_what_was_not_looked_at() {
    for ended in [run(quick(), &[], &[]), rescued()] {
        for text in forms(&ended) {
            let lower = text.to_lowercase();
            for claim in ["unused", "safe to delete", "not in use", "no longer needed"] {
                assert!(!lower.contains(claim), "{claim}");
            }
            assert!(lower.contains("ciphertext outside aws services"), "{text:.300}");
        }
    }
}

#[test]
fn the_page_stands_alone() {
    let [_, _, page] = forms(&run(quick(), &[], &[]));
    for outside in ["http:", "https:", "src=", "@import", "<script", "<link"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("<svg") && page.contains("prefers-color-scheme: dark") && page.contains("@media print"));
    if let Some(folder) = std::env::var_os("REPORTS") {
        let profile = Profile { on_attempt: OnAttempt::Restore, ..quick() };
        let stories = [
            ("deleted", run(quick(), &[], &[])),
            ("rescued", rescued()),
            ("cancelled", run(profile, &[(days(5), Event::Call("app", "Decrypt"))], &[])),
            ("blind", run(quick(), &[(days(4), Event::Blind)], &[])),
            (
                "standard",
                run(
                    Profile {
                        probe_every: procedure::span::HOUR * 6,
                        blind_after: procedure::span::HOUR * 13,
                        ..Profile::named(procedure::ProfileName::Standard)
                    },
                    &[],
                    &[],
                ),
            ),
        ];
        for (name, ended) in stories {
            let [_, _, page] = forms(&ended);
            std::fs::write(Path::new(&folder).join(format!("{name}.html")), page).unwrap();
        }
    }
}

#[test]
fn what_people_typed_never_becomes_markup() {
    let temp = scratch();
    let folder = operator::cases::Folder::at(temp.path());
    let world = Fake::new(crate::crash::Fuse::never());
    let mut new = new_case(quick());
    new.reason = "<img src=x onerror=alert(1)> | `tick` *bold*".to_owned();
    new.owner = "\"><script>alert(1)</script>".to_owned();
    let id = commands::open_case(&folder, new, world.now()).unwrap();
    let written = report::write(&folder, id, temp.path(), after(epoch(), days(1))).unwrap();
    let [markdown, _, page] = texts(&written);
    assert!(!page.contains("<img") && !page.contains("<script") && page.contains("&lt;img src=x"));
    assert!(markdown.contains("\\<img") && markdown.contains("\\| "));
}
