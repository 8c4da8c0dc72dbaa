//! `quietus scan` of buckets and folders: the same answer from both, nothing read that was not asked for, nothing read twice.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test fails by panicking, and skips aloud")]

mod common;
#[path = "clients/environment.rs"]
#[allow(dead_code, reason = "Node is not needed here")]
mod environment;

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use common::moto::Moto;
use common::{Served, finished, quietus, without_aws};
use environment::python;
use serde_json::Value;

const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/11111111-2222-4333-8444-555555555555";

/// An event of KMS.
fn event(id: usize, region: &str, at: &str, key: &str) -> String {
    format!(
        r#"{{"eventVersion":"1.11","userIdentity":{{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/u{}","accountId":"111122223333"}},"eventTime":"{at}","eventSource":"kms.amazonaws.com","eventName":"Decrypt","awsRegion":"{region}","eventID":"e{id}","readOnly":true,"resources":[{{"accountId":"111122223333","type":"AWS::KMS::Key","ARN":"{key}"}}],"eventType":"AwsApiCall","recipientAccountId":"111122223333"}}"#,
        id % 3
    )
}

/// Writes a log file in CloudTrail's layout.
fn deliver(folder: &Path, account: &str, region: &str, day: &str, name: &str, events: &[String]) {
    let folder = folder.join(format!("AWSLogs/{account}/CloudTrail/{region}/{day}"));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    fs::write(&path, format!(r#"{{"Records":[{}]}}"#, events.join(","))).unwrap();
    // What was only just written is not remembered.
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 - events.len() as u64);
    File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
}

/// Two accounts, one of an organisation, two Regions, five days; one event is delivered twice, and a day late.
fn trail() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut id = 0;
    for account in ["111122223333", "o-abc/444455556666"] {
        for region in ["eu-west-1", "us-east-1"] {
            for day in 1..=5 {
                let at = format!("2026-03-{day:02}T10:00:00Z");
                let mut events = vec![event(id, region, &at, KEY), event(id + 1, region, &at, KEY)];
                if day == 5 {
                    events.push(event(id - 2, region, "2026-03-04T10:00:00Z", KEY));
                }
                deliver(folder.path(), account, region, &format!("2026/03/{day:02}"), "a.json", &events);
                id += 2;
            }
        }
    }
    folder
}

/// Exit code, standard output, standard error of `quietus` with these arguments in this AWS.
fn run(moto: &Moto, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = quietus();
    moto.serve(&mut command);
    finished(&command.args(args).output().unwrap())
}

#[test]
fn a_bucket_and_its_copy_on_disk_give_the_same_rows() {
    let folder = trail();
    let Some(programs) = python() else { return };
    let moto = Moto::with_bucket(&programs, "trail", folder.path());
    let local = folder.path().to_str().unwrap().to_owned();
    let file = format!("file://{local}");
    for (narrow, rows) in [
        (&[][..], 3),
        (&["--in-account", "444455556666"], 3),
        (&["--in-region", "eu-west-1", "--in-account", "111122223333"], 3),
        (&["--since", "2026-03-05T00:00:00Z"], 3),
        (&["--until", "2026-03-01T12:00:00Z", "--in-region", "us-east-1"], 3),
        (&["--key", "99999999-2222-4333-8444-555555555555"], 0),
    ] {
        let scan = |source: &str| {
            let (code, stdout, stderr) = run(&moto, &[&["scan", "--json", source], narrow].concat());
            assert_eq!((code, stderr.as_str()), (Some(0), ""), "{source} {narrow:?}");
            stdout
        };
        let expected = scan(&local);
        assert_eq!(expected.lines().count(), rows, "{narrow:?}\n{expected}");
        assert_eq!(scan("s3://trail"), expected, "{narrow:?}");
        assert_eq!(scan("s3://trail/AWSLogs/"), expected, "{narrow:?}");
        assert_eq!(scan(&file), expected, "{narrow:?}");
    }
    // One file by its name, and both copies at once: every event counts once.
    let (_, one, _) = run(&moto, &["scan", "s3://trail/AWSLogs/111122223333/CloudTrail/eu-west-1/2026/03/05/a.json"]);
    assert!(one.ends_with("3 records in 1 file, 3 of KMS, 0 duplicates; 1 key\n"), "{one}");
    let (_, both, _) = run(&moto, &["scan", "s3://trail", &local]);
    assert!(both.ends_with("88 records in 40 files, 88 of KMS, 48 duplicates; 1 key\n"), "{both}");
}

#[test]
fn what_is_not_asked_for_is_not_read() {
    let folder = trail();
    // Who reads these says so.
    for (account, region, day) in [
        ("777788889999", "eu-west-1", "2026/03/03"),
        ("111122223333", "ap-south-1", "2026/03/03"),
        ("111122223333", "eu-west-1", "2026/02/20"),
        ("111122223333", "eu-west-1", "2026/03/20"),
    ] {
        deliver(folder.path(), account, region, day, "broken.json", &["{".to_owned()]);
    }
    let digests = folder.path().join("AWSLogs/111122223333/CloudTrail-Digest/eu-west-1/2026/03/03");
    fs::create_dir_all(&digests).unwrap();
    fs::write(digests.join("d.json.gz"), "no gzip").unwrap();
    let Some(programs) = python() else { return };
    let moto = Moto::with_bucket(&programs, "trail", folder.path());
    let narrow = ["--in-account", "111122223333", "--in-region", "eu-west-1"];
    let days = ["--since", "2026-03-02T00:00:00Z", "--until", "2026-03-05T00:00:00Z"];
    let local = folder.path().to_str().unwrap().to_owned();
    for source in [local.as_str(), "s3://trail"] {
        let (code, stdout, stderr) = run(&moto, &[&["scan", source][..], &narrow, &days].concat());
        assert_eq!(code, Some(0), "{stdout}{stderr}");
        assert!(stdout.ends_with("11 records in 5 files, 11 of KMS, 1 duplicate; 1 key\n"), "{source} {stdout}");
        assert!(stderr.lines().count() == 1 && stderr.contains("a digest file"), "{stderr}");
        let (code, _, stderr) = run(&moto, &["scan", source]);
        assert_eq!((code, stderr.matches("broken.json").count()), (Some(12), 4), "{stderr}");
    }
}

#[test]
fn a_second_scan_reads_only_what_is_new() {
    let folder = trail();
    let Some(programs) = python() else { return };
    let moto = Moto::with_bucket(&programs, "trail", folder.path());
    let cache = tempfile::tempdir().unwrap();
    let kept = cache.path().to_str().unwrap().to_owned();
    let local = folder.path().to_str().unwrap().to_owned();
    for source in ["s3://trail", local.as_str()] {
        let (_, fresh, _) = run(&moto, &["scan", source]);
        let scan = |known: usize| {
            let (code, stdout, stderr) = run(&moto, &["scan", source, "--cache", &kept]);
            assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
            let expected = format!("{known} of 20 files known already\n");
            assert_eq!(stdout.strip_suffix(&expected), Some(fresh.as_str()), "{stdout}");
        };
        scan(0);
        scan(20);
        // Another question has other answers.
        let (_, other, _) = run(&moto, &["scan", source, "--cache", &kept, "--since", "2026-03-03T00:00:00Z"]);
        assert!(other.ends_with("\n0 of 16 files known already\n"), "{other}");
        // What was damaged is read again.
        for entry in fs::read_dir(cache.path()).unwrap() {
            for file in fs::read_dir(entry.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                let mut bytes = fs::read(&path).unwrap();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                fs::write(path, bytes).unwrap();
            }
        }
        scan(0);
        scan(20);
    }
    // Of files that came or changed since, those alone are read.
    deliver(
        folder.path(),
        "111122223333",
        "eu-west-1",
        "2026/03/06",
        "new.json",
        &[event(90, "eu-west-1", "2026-03-06T10:00:00Z", KEY)],
    );
    deliver(folder.path(), "111122223333", "eu-west-1", "2026/03/05", "a.json", &[]);
    let (_, stdout, _) = run(&moto, &["scan", &local, "--cache", &kept]);
    assert!(stdout.ends_with("\n19 of 21 files known already\n"), "{stdout}");
}

#[test]
fn trouble_with_buckets_says_what_to_do() {
    let folder = trail();
    let Some(programs) = python() else { return };
    let moto = Moto::with_bucket(&programs, "trail", folder.path());
    let check = |args: &[&str], error: &str, hint: &str| {
        let (code, stdout, stderr) = run(&moto, args);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
        assert!(stderr.starts_with(error) && stderr.contains(hint), "{stderr}");
    };
    let permissions = "hint: check the bucket's name, --profile and --endpoint-url, and that s3:ListBucket";
    check(&["scan", "s3://nowhere"], "error: cannot look at `s3://nowhere/`: ", permissions);
    let nothing = "error: there is nothing under `s3://trail/elsewhere`\n";
    check(&["scan", "s3://trail/elsewhere"], nothing, "hint: give the prefix that CloudTrail writes to");
    let cache = folder.path().join("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/03/01/a.json");
    let cache = cache.to_str().unwrap();
    check(&["scan", "s3://trail", "--cache", cache], "error: cannot keep what was read in", "hint: give --cache");
}

#[test]
fn an_assessment_reads_a_bucket_too() {
    let Some(programs) = python() else { return };
    let data = tempfile::tempdir().unwrap();
    let served = Served::virtually(data.path());
    let made: Output = without_aws(Command::new(programs.join("aws")))
        .args(["--endpoint-url", &served.endpoint, "--region", "eu-west-1", "--output", "json", "kms", "create-key"])
        .envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")])
        .output()
        .unwrap();
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    let key = made["KeyMetadata"]["Arn"].as_str().unwrap();
    let shown = quietus().args(["clock", "show", "--endpoint-url", &served.endpoint]).output().unwrap();
    let now = finished(&shown).1;
    let (today, _) = now.split_once('T').unwrap();

    let folder = tempfile::tempdir().unwrap();
    let used = event(1, "eu-west-1", &format!("{today}T00:00:00Z"), key);
    let name = format!("000000000000_CloudTrail_eu-west-1_{}T0005Z_a.json", today.replace('-', ""));
    deliver(folder.path(), "000000000000", "eu-west-1", &today.replace('-', "/"), &name, &[used]);
    let moto = Moto::with_bucket(&programs, "trail", folder.path());
    let output = quietus()
        .args(["assess", key, "--json", "--clock", "endpoint", "--endpoint-url", &served.endpoint])
        .args(["--region", "eu-west-1", "--offline", "s3://trail/AWSLogs"])
        .envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")])
        .env("AWS_ENDPOINT_URL_S3", &moto.endpoint)
        .output()
        .unwrap();
    let (_, stdout, stderr) = finished(&output);
    let told: Value = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}"));
    let sources = told["observation"]["sources"].as_array().unwrap();
    let archive = sources.iter().find(|source| source["query"] == "scan of s3://trail/AWSLogs").unwrap();
    assert_eq!(archive["spans"].as_array().unwrap().len(), 1, "{archive}");
    let usage = told["observation"]["usage"].as_array().unwrap();
    assert!(usage.iter().any(|row| row["principal"] == "arn:aws:iam::111122223333:user/u1"), "{usage:?}");
}

#[test]
fn progress_is_shown_on_a_terminal_and_nowhere_else() {
    let folder = trail();
    let silent = finished(&quietus().arg("scan").arg(folder.path()).output().unwrap());
    assert_eq!((silent.0, silent.2.as_str()), (Some(0), ""));
    let spawn = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) != 0)";
    let mut terminal = without_aws(Command::new("python3"));
    let terminal = terminal.args(["-c", spawn, env!("CARGO_BIN_EXE_quietus"), "scan"]).arg(folder.path());
    let Ok(output) = terminal.env("TERM", "xterm").output() else {
        return eprintln!("SKIPPED: without Python there is no terminal to show progress on");
    };
    let (code, stdout, stderr) = finished(&output);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert!(stdout.contains(" of 20 files, "), "{stdout:?}");
    assert!(stdout.contains("44 records in 20 files"), "{stdout:?}");
}
