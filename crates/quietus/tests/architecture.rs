//! The arrows of `ARCHITECTURE.md`, held to what Cargo knows: a crate depends only on crates that are drawn below it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Each crate and the crates it may depend on. `ARCHITECTURE.md` draws the same table.
const ARROWS: &[(&str, &[&str])] = &[
    ("api", &[]),
    ("store", &[]),
    ("lifecycle", &["api"]),
    ("policy", &["api"]),
    ("trail", &["api"]),
    ("crypto", &["api"]),
    ("service", &["api", "store", "lifecycle", "policy", "trail", "crypto"]),
    ("procedure", &["api", "policy", "trail"]),
    ("server", &["api", "store", "trail", "crypto", "service"]),
    ("operator", &["api", "policy", "trail", "procedure"]),
    ("quietus", &["api", "trail", "policy", "procedure", "server", "operator"]),
    ("sim", &["api", "store", "lifecycle", "policy", "trail", "crypto", "service", "procedure"]),
    ("bench", &["api", "server", "trail"]),
];

/// What the pure crates must never see: an async runtime, a socket, an SDK.
const EDGES_ONLY: &[&str] = &["tokio", "hyper", "hyper-util", "rustls", "aws-config", "aws-sdk-kms"];
const PURE: &[&str] = &["api", "lifecycle", "policy", "trail", "crypto", "service", "procedure", "store"];

fn metadata() -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The normal dependencies of each crate of the workspace, by name.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let normal = |dependency: &&Value| dependency["kind"].is_null();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let packages = metadata()["packages"].as_array().unwrap().clone();
    packages
        .iter()
        .map(|package| {
            let needs = package["dependencies"].as_array().unwrap().iter().filter(normal).map(name).collect();
            (name(package), needs)
        })
        .collect()
}

#[test]
fn arrows_go_down_only() {
    let dependencies = dependencies();
    let drawn: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    let there: BTreeSet<&str> = dependencies.keys().map(String::as_str).collect();
    assert_eq!(there, drawn, "the crates of the workspace are those that are drawn");
    for (name, may) in ARROWS {
        for needed in dependencies[*name].iter().filter(|needed| drawn.contains(needed.as_str())) {
            assert!(may.contains(&needed.as_str()), "`{name}` must not depend on `{needed}`");
        }
    }
}

#[test]
fn pure_crates_have_no_edges() {
    let dependencies = dependencies();
    for name in PURE {
        for banned in EDGES_ONLY {
            assert!(!dependencies[*name].contains(*banned), "`{name}` is pure and depends on `{banned}`");
        }
    }
}

#[test]
fn cargo_run_runs_quietus() {
    let metadata = metadata();
    let [only] = metadata["workspace_default_members"].as_array().unwrap().as_slice() else {
        panic!("the README's first command needs one default member")
    };
    assert!(only.as_str().unwrap().contains("/crates/quietus#"), "{only}");
}
