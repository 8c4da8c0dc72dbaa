//! `docs/compatibility.md` lists what the operation table holds, row for row, and what of it was held to AWS's own model;
//! `BLESS=1` writes the list anew. What was held is `conformance.txt`, which the test of conformance in `clients.rs` keeps.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;

use api::{Keys, Needs, OPERATIONS, Service};

/// `Encrypt: 53; -`: an operation of AWS's model, how many answers were held to it, members of its answer that none of them had.
const HELD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance.txt");

const BEGIN: &str = "<!-- generated from the operation table: begin -->\n";
const END: &str = "<!-- generated from the operation table: end -->\n";

fn names(keys: Keys) -> &'static str {
    match keys {
        Keys::None => "-",
        Keys::Id => "key ID, key ARN",
        Keys::IdOrAlias => "key ID, key ARN, alias name, alias ARN",
        Keys::Ciphertext => "the ciphertext; `KeyId` in any form confirms it",
        Keys::CiphertextAndDestination => "the ciphertext, and the destination in any form",
        Keys::Grant => "a grant token; or key ID, key ARN with the grant's ID",
        Keys::Alias => "alias name; target by key ID or key ARN",
    }
}

fn needs(needs: Needs) -> &'static str {
    match needs {
        Needs::Nothing => "any",
        Needs::Usable => "Enabled",
        Needs::Rotation => "neither Disabled nor pending deletion",
        Needs::Replicable => "Enabled, not Updating",
        Needs::Grantable => "Enabled, Unavailable",
        Needs::ImportParameters | Needs::Import => "any but pending deletion",
        Needs::MaterialDeletion => "any",
        Needs::NotPendingDeletion => "any but pending deletion",
        Needs::Decision => "see the state table",
    }
}

/// (answers held to the model, members that none of them had), where the operation is KMS's.
fn held<'a>(all: &'a str, operation: &str) -> Option<(&'a str, &'a str)> {
    let mut lines = all.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(name, _)| *name == operation)?.1.split_once("; ")
}

fn list() -> String {
    let mut text = String::from(
        "| service | operation | names its key by | key of another account | key state | use of the key | answers held to the model | members never answered |\n|---|---|---|---|---|---|---|---|\n",
    );
    let all = std::fs::read_to_string(HELD).unwrap();
    for row in OPERATIONS {
        let service = match row.service {
            Service::Kms => "KMS",
            Service::Sts => "STS",
            Service::CloudTrail => "CloudTrail",
        };
        let used = if row.is_cryptographic() { "yes" } else { "no" };
        let foreign = if row.across_accounts { "yes" } else { "no" };
        let (keys, needs) = (names(row.keys), needs(row.needs));
        let (answers, unseen) =
            if row.service == Service::Kms { held(&all, row.name).unwrap_or(("-", "-")) } else { ("-", "-") };
        writeln!(text, "| {service} | {} | {keys} | {foreign} | {needs} | {used} | {answers} | {unseen} |", row.name)
            .unwrap();
    }
    text
}

#[test]
fn the_page_lists_the_operation_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/compatibility.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (listed, after) = rest.split_once(END).unwrap();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, format!("{before}{BEGIN}{}{END}{after}", list())).unwrap();
    } else {
        assert_eq!(listed, list(), "the operation table changed; run with BLESS=1");
    }
}
