//! Official clients drive the running server: boto3, the AWS CLI, the AWS SDK for JavaScript, and the AWS Encryption SDK of two languages.
//! The AWS SDK for Rust has a file of its own, `sdk.rs`: it needs nothing installed.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test fails by panicking, and skips aloud")]

mod common;
#[path = "clients/environment.rs"]
mod environment;

use std::path::Path;
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{Served, finished, without_aws};
use environment::{node, python};
use serde_json::Value;

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");

/// A script of `tests/clients`, to be given the server's address.
fn python_script(programs: &Path, script: &str) -> Command {
    let mut python = without_aws(Command::new(programs.join("python")));
    // `-B`: nothing is written beside the sources.
    python.arg("-B").arg(Path::new(SCRIPTS).join(script));
    python
}

/// The same for Node.
fn node_script(packages: &Path, script: &str) -> Command {
    let mut node = without_aws(Command::new("node"));
    node.arg("--no-warnings").arg(Path::new(SCRIPTS).join("node").join(script)).env("NODE_PATH", packages);
    node
}

/// Runs `script` to its good end. What it printed: a line for each of `count` stories that held.
#[track_caller]
fn tells(script: &mut Command, count: usize) {
    let (code, stdout, stderr) = finished(&script.output().unwrap());
    assert_eq!(code, Some(0), "{stdout}\n{stderr}");
    assert_eq!(stdout.lines().filter(|line| line.starts_with("ok ")).count(), count, "{stdout}");
}

#[test]
fn boto3_drives_the_server() {
    let Some(programs) = python() else { return };
    let data = tempfile::tempdir().unwrap();
    let served = Served::virtually(data.path());
    tells(python_script(&programs, "kms_boto3.py").arg(&served.endpoint), 8);
    assert!(served.terminate(), "the server did not stop on SIGTERM");
}

/// Every key spec and algorithm, each answer checked by an implementation of its own.
#[test]
fn every_algorithm_agrees_with_another_implementation() {
    let Some(programs) = python() else { return };
    let data = tempfile::tempdir().unwrap();
    let served = Served::virtually(data.path());
    tells(python_script(&programs, "kms_algorithms.py").arg(&served.endpoint), 10);
}

/// SM2, in both directions, with the program `openssl`, where that has it.
#[test]
fn sm2_agrees_with_openssl() {
    let Some(programs) = python() else { return };
    let curves = Command::new("openssl").args(["ecparam", "-list_curves"]).output();
    if !curves.is_ok_and(|curves| String::from_utf8_lossy(&curves.stdout).contains("SM2")) {
        eprintln!("SKIPPED, there is no openssl with SM2 here");
        return;
    }
    let (data, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let served = Served::virtually(data.path());
    let mut script = python_script(&programs, "sm2_openssl.py");
    tells(script.args([&served.endpoint, "openssl"]).arg(scratch.path()), 3);
}

#[test]
fn boto3_lives_a_multi_region_family() {
    let Some(programs) = python() else { return };
    let data = tempfile::tempdir().unwrap();
    let served = Served::virtually(data.path());
    tells(python_script(&programs, "multi_region_boto3.py").arg(&served.endpoint), 3);
}

#[test]
fn boto3_imports_and_rotates_key_material() {
    let Some(programs) = python() else { return };
    let data = tempfile::tempdir().unwrap();
    let served = Served::virtually(data.path());
    tells(python_script(&programs, "material_boto3.py").arg(&served.endpoint), 5);
}

/// What was held to the model is `conformance.txt`, and with it a part of `docs/compatibility.md`; `BLESS=1` writes both anew, this one first.
#[test]
fn every_answer_conforms_to_the_model_of_the_installed_sdk() {
    let Some(programs) = python() else { return };
    let data = tempfile::tempdir().unwrap();
    let served = Served::virtually(data.path());
    let output = python_script(&programs, "conformance/conformance.py").arg(&served.endpoint).output().unwrap();
    let (code, stdout, stderr) = finished(&output);
    assert_eq!(code, Some(0), "{stdout}\n{stderr}");
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(golden, &stdout).unwrap();
    }
    assert!(!stdout.contains(": not offered"), "operations of the model are missing: {stdout}");
    assert_eq!(stdout, std::fs::read_to_string(golden).unwrap(), "other answers were checked; run with BLESS=1");
}

#[test]
fn the_sdk_for_javascript_drives_the_server() {
    let Some(packages) = node() else { return };
    let data = tempfile::tempdir().unwrap();
    let served = Served::virtually(data.path());
    tells(node_script(&packages, "kms_sdk.cjs").arg(&served.endpoint), 6);
}

#[test]
fn messages_of_the_encryption_sdk_open_in_either_language() {
    let (Some(programs), Some(packages)) = (python(), node()) else { return };
    let (data, messages) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let served = Served::virtually(data.path());
    let in_python = || {
        let mut script = python_script(&programs, "encryption_sdk.py");
        script.arg(&served.endpoint).arg(messages.path());
        script
    };
    tells(in_python().arg("seal"), 1);
    tells(node_script(&packages, "encryption_sdk.cjs").arg(&served.endpoint).arg(messages.path()), 3);
    tells(in_python().arg("open"), 4);
}

#[test]
fn the_aws_cli_drives_the_server() {
    let Some(programs) = python() else { return };
    let data = tempfile::tempdir().unwrap();
    let served = Served::virtually(data.path());
    let aws = |args: &[&str]| -> Output {
        without_aws(Command::new(programs.join("aws")))
            .args(["--endpoint-url", &served.endpoint, "--region", "eu-west-1", "--output", "json"])
            .args(args)
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .output()
            .unwrap()
    };
    let answer = |args: &[&str]| -> Value {
        let (code, stdout, stderr) = finished(&aws(args));
        assert_eq!(code, Some(0), "aws {args:?}: {stderr}");
        serde_json::from_str(&stdout).unwrap_or(Value::Null)
    };
    let refused = |args: &[&str]| -> String {
        let (code, _, stderr) = finished(&aws(args));
        assert_ne!(code, Some(0), "aws {args:?} was not refused");
        stderr.trim().to_owned()
    };

    let made = answer(&["kms", "create-key", "--description", "from the CLI", "--tags", "TagKey=a,TagValue=b"]);
    let key = made["KeyMetadata"]["Arn"].as_str().unwrap().to_owned();
    answer(&["kms", "create-alias", "--alias-name", "alias/cli", "--target-key-id", &key]);
    let sealed = answer(&["kms", "encrypt", "--key-id", "alias/cli", "--plaintext", "secret"]);
    // Version 1 of the CLI takes bytes from a file, and answers in base64.
    let file = data.path().join("blob");
    std::fs::write(&file, STANDARD.decode(sealed["CiphertextBlob"].as_str().unwrap()).unwrap()).unwrap();
    let blob = format!("fileb://{}", file.display());
    assert_eq!(answer(&["kms", "decrypt", "--ciphertext-blob", &blob])["Plaintext"], STANDARD.encode("secret"));
    let scheduled = answer(&["kms", "schedule-key-deletion", "--key-id", &key, "--pending-window-in-days", "7"]);
    assert_eq!(scheduled["KeyState"], "PendingDeletion");
    let refusal = refused(&["kms", "decrypt", "--ciphertext-blob", &blob]);
    let expected = format!("(KMSInvalidStateException) when calling the Decrypt operation: {key} is pending deletion.");
    assert!(refusal.ends_with(&expected), "{refusal}");
    let advanced =
        common::quietus().args(["clock", "advance", "7d", "--endpoint-url", &served.endpoint]).output().unwrap();
    assert_eq!(finished(&advanced).0, Some(0), "{advanced:?}");
    assert!(refused(&["kms", "describe-key", "--key-id", "alias/cli"]).contains("(NotFoundException)"));
    let events = answer(&[
        "cloudtrail",
        "lookup-events",
        "--lookup-attributes",
        "AttributeKey=EventName,AttributeValue=DeleteKey",
    ]);
    assert_eq!(events["Events"][0]["Resources"][0]["ResourceName"], key);
    assert_eq!(answer(&["sts", "get-caller-identity"])["Account"], "000000000000");
}

/// An access key of another account, and one of a user, are profiles in the folder's credentials.
#[test]
fn boto3_drives_the_server_as_two_accounts() {
    let Some(programs) = python() else { return };
    let data = tempfile::tempdir().unwrap();
    assert!(Served::virtually(data.path()).terminate(), "the server did not stop on SIGTERM");
    let credentials = data.path().join("credentials");
    let mut text = std::fs::read_to_string(&credentials).unwrap();
    for (id, secret, principal) in
        [("AKIABOB", "bob", "444455556666:root"), ("AKIAANN", "ann", "000000000000:user/ann")]
    {
        text += &format!(
            "\n[{secret}]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\nquietus_principal = arn:aws:iam::{principal}\n"
        );
    }
    std::fs::write(&credentials, text).unwrap();
    let served = Served::virtually(data.path());
    tells(python_script(&programs, "kms_accounts.py").arg(&served.endpoint), 3);
    assert!(served.terminate(), "the server did not stop on SIGTERM");
}
