//! One case from the first question to the report, as a person runs it: every step a command, against a running server on a
//! virtual clock. The application comes back while the key is disabled, and gets it back.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::Path;

use aws_sdk_kms::Client;
use aws_sdk_kms::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kms::error::ProvideErrorMetadata as _;
use aws_sdk_kms::primitives::Blob;
use common::{Served, finished, quietus};
use serde_json::Value;

/// What a command printed, and its exit code.
struct Said {
    code: i32,
    out: String,
    err: String,
}

struct Desk<'a> {
    folder: &'a Path,
    endpoint: &'a str,
}

impl Desk<'_> {
    fn run(&self, words: &[&str]) -> Said {
        let output = quietus()
            .args(words)
            .current_dir(self.folder)
            .env("AWS_ENDPOINT_URL", self.endpoint)
            .env("AWS_REGION", "eu-west-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("QUIETUS_USE_CLOCK", "endpoint")
            .env("QUIETUS_CASES", "cases")
            .output()
            .unwrap();
        let (code, out, err) = finished(&output);
        Said { code: code.unwrap(), out, err }
    }

    fn done(&self, words: &[&str]) -> Said {
        let said = self.run(words);
        assert_eq!(said.code, 0, "quietus {words:?}: {}{}", said.out, said.err);
        said
    }

    fn refused(&self, words: &[&str], why: &str) {
        let said = self.run(words);
        assert_eq!(said.code, 1, "quietus {words:?}: {}{}", said.out, said.err);
        assert!(said.err.starts_with("error: ") && said.err.contains(why), "{}", said.err);
    }

    fn shown(&self, case: &str) -> Value {
        serde_json::from_str(&self.done(&["case", "show", case, "--json"]).out).unwrap()
    }
}

#[test]
fn a_case_runs_from_the_first_question_to_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::virtually(&folder.path().join("server"));
    let desk = Desk { folder: folder.path(), endpoint: &served.endpoint };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let kms = Client::from_conf(
        aws_sdk_kms::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(&served.endpoint)
            .region(Region::from_static("eu-west-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .build(),
    );
    let sealed = runtime.block_on(async {
        let made = kms.create_key().send().await.unwrap();
        let key = made.key_metadata().unwrap().key_id().to_owned();
        kms.create_alias().alias_name("alias/app").target_key_id(&key).send().await.unwrap();
        kms.encrypt().key_id(&key).plaintext(Blob::new("x")).send().await.unwrap().ciphertext_blob.unwrap()
    });
    // What comes of a Decrypt: nothing, or `Code: end of the message`.
    let decrypt = || {
        let refused = runtime.block_on(kms.decrypt().ciphertext_blob(sealed.clone()).send()).err()?;
        let (_, end) = refused.message().unwrap_or_default().split_once(' ').unwrap_or_default();
        Some(format!("{}: {end}", refused.code().unwrap_or_default()))
    };

    // A key that was just used is in use; one that was not for long enough is quiet, by the numbers of the sandbox.
    let busy = desk.run(&["assess", "alias/app", "--care", "sandbox"]);
    assert_eq!(busy.code, 10, "{}{}", busy.out, busy.err);
    assert!(busy.out.starts_with("IN_USE  arn:aws:kms:eu-west-1:000000000000:key/"), "{}", busy.out);
    desk.done(&["clock", "advance", "40d"]);
    let quiet = desk.run(&["assess", "alias/app", "--care", "sandbox", "--json"]);
    assert_eq!(quiet.code, 0, "{}{}", quiet.out, quiet.err);
    assert_eq!(serde_json::from_str::<Value>(&quiet.out).unwrap()["verdict"], "QUIET");
    // By the standard's numbers, 90 quiet days, it is still in use.
    assert_eq!(desk.run(&["assess", "alias/app"]).code, 10);

    desk.refused(&["case", "open", "alias/none", "--owner", "o", "--reason", "r"], "alias/none");
    let opened = desk.done(&[
        "case",
        "open",
        "alias/app",
        "--owner",
        "team",
        "--reason",
        "retired",
        "--care",
        "sandbox",
        "--by",
        "alice",
    ]);
    let case = opened.out.trim().to_owned();
    desk.refused(&["case", "open", "alias/app", "--owner", "o", "--reason", "r"], &case);
    desk.refused(&["case", "show", "QC-2026-9999"], "QC-2026-9999");

    let asked = desk.done(&["reconcile", "--once"]);
    let plan = asked.err.split("--plan ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    desk.refused(&["case", "approve", &case, "--plan", &"0".repeat(64), "--by", "bob"], "look at the case again");
    assert_eq!(desk.shown(&case)["stage"], "await-approval(disable)", "a refused approval changes nothing");
    desk.done(&["case", "approve", &case, "--plan", &plan, "--by", "bob"]);
    desk.done(&["reconcile", "--once"]);
    assert_eq!(desk.shown(&case)["stage"], "soaking");
    assert_eq!(decrypt().as_deref(), Some("DisabledException: is disabled."));

    // That was a use. In a sandbox the case stops there; a person decides, and the key comes back.
    desk.done(&["reconcile", "--once"]);
    assert_eq!(desk.shown(&case)["stage"], "held");
    desk.done(&["case", "abandon", &case, "--reason", "still needed", "--by", "alice"]);
    desk.done(&["reconcile", "--once"]);
    assert_eq!(desk.shown(&case)["stage"], "abandoned");
    assert_eq!(decrypt(), None);

    // The report stands alone, and says what was not looked at.
    let written = desk.done(&["report", &case, "--out", "out"]);
    let paths: Vec<&str> = written.out.lines().collect();
    assert_eq!(paths.len(), 3, "{}", written.out);
    let page = std::fs::read_to_string(folder.path().join(paths[2])).unwrap();
    assert!(page.contains("alice") && page.contains("bob") && page.contains("still needed"));
    assert!(!page.contains("<script src") && !page.contains("<link"), "the page needs nothing but itself");
    let markdown = std::fs::read_to_string(folder.path().join(paths[0])).unwrap();
    assert!(markdown.to_lowercase().contains("not looked at"), "{markdown}");

    // A journal that was touched is not believed.
    let entry = folder.path().join("cases").join(&case).join("000001.json");
    let text = std::fs::read_to_string(&entry).unwrap();
    std::fs::write(&entry, text.replace("retired", "hurried")).unwrap();
    desk.refused(&["case", "show", &case], "000001");
    std::fs::write(&entry, text).unwrap();

    // Any key can be brought back without a case.
    runtime.block_on(async {
        let key =
            kms.describe_key().key_id("alias/app").send().await.unwrap().key_metadata().unwrap().key_id().to_owned();
        kms.schedule_key_deletion().key_id(key).pending_window_in_days(7).send().await.unwrap();
    });
    let brought = desk.done(&["rescue", "alias/app"]);
    assert!(brought.out.contains("CancelKeyDeletion") && brought.out.contains("EnableKey"), "{}", brought.out);
    assert_eq!(decrypt(), None);
}
