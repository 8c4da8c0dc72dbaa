//! A virtual clock, and what becomes due on the way; rehearsed outages; emptying a server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::Client;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use server::{AdvanceError, ClockKind, Config, Running, Server};

/// Between two looks of a client that polls.
const LOOK: std::time::Duration = std::time::Duration::from_millis(50);
const DAY: SignedDuration = SignedDuration::from_hours(24);

fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn config(data: Option<&Path>) -> Config {
    Config {
        data: data.map(|folder| folder.join("data")),
        clock: ClockKind::Virtual { start: Some(start()) },
        ..Config::ephemeral()
    }
}

async fn virtual_server() -> (Running, Client) {
    let running = Server::start(config(None)).await.unwrap();
    let client = Client::connect(&running).await;
    (running, client)
}

async fn advance(client: &mut Client, seconds: i64) -> Value {
    client.plain("POST", "/_quietus/clock", &json!({ "advance_seconds": seconds }).to_string()).await.ok()
}

fn time_of(event: &Value) -> Timestamp {
    let record: Value = serde_json::from_str(event["CloudTrailEvent"].as_str().unwrap()).unwrap();
    record["eventTime"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_waiting_period_ends_when_the_clock_says_so() {
    let (running, mut client) = virtual_server().await;
    let key = client.create_key().await;
    let sealed = client.kms("Encrypt", json!({ "KeyId": key, "Plaintext": STANDARD.encode(b"x") })).await.ok();
    client.kms("CreateAlias", json!({ "AliasName": "alias/app", "TargetKeyId": key })).await.ok();
    let scheduled = client.kms("ScheduleKeyDeletion", json!({ "KeyId": key, "PendingWindowInDays": 7 })).await.ok();
    assert_eq!(scheduled["DeletionDate"], (start() + 7 * DAY).as_second());

    assert_eq!(advance(&mut client, 7 * 86_400 - 1).await["now"], "2026-01-07T23:59:59Z");
    let described = client.kms("DescribeKey", json!({ "KeyId": key })).await.ok();
    assert_eq!(described["KeyMetadata"]["KeyState"], "PendingDeletion");

    advance(&mut client, 86_400).await;
    let gone = client.kms("DescribeKey", json!({ "KeyId": key })).await.refusal();
    assert_eq!(gone, format!("NotFoundException: Key '{key}' does not exist"));
    assert!(client.kms("Decrypt", json!({ "CiphertextBlob": sealed["CiphertextBlob"] })).await.status == 400);
    assert_eq!(client.kms("ListAliases", json!({})).await.ok()["Aliases"], json!([]));
    // Not when the clock was read next, but when it was due.
    let deleted = client.events("EventName", "DeleteKey").await;
    assert_eq!(deleted.len(), 1);
    assert_eq!(time_of(&deleted[0]), start() + 7 * DAY);
    running.stop().await;
}

#[tokio::test]
async fn each_deletion_has_its_own_time_however_far_the_clock_goes() {
    let (running, mut client) = virtual_server().await;
    for days in [30, 7, 7, 12] {
        let key = client.create_key().await;
        client.kms("ScheduleKeyDeletion", json!({ "KeyId": key, "PendingWindowInDays": days })).await.ok();
    }
    advance(&mut client, 31 * 86_400).await;
    let mut days: Vec<i64> = client
        .events("EventName", "DeleteKey")
        .await
        .iter()
        .map(|event| time_of(event).duration_since(start()).as_hours() / 24)
        .collect();
    days.sort_unstable();
    assert_eq!(days, [7, 7, 12, 30]);
    assert_eq!(client.kms("ListKeys", json!({})).await.ok()["Keys"], json!([]));
    running.stop().await;
}

#[tokio::test]
async fn keys_may_be_deleted_late_as_aws_does() {
    let late = Config { deletion_delay_seconds: 3600, ..config(None) };
    let running = Server::start(late).await.unwrap();
    let mut client = Client::connect(&running).await;
    let key = client.create_key().await;
    client.kms("ScheduleKeyDeletion", json!({ "KeyId": key, "PendingWindowInDays": 7 })).await.ok();
    advance(&mut client, 7 * 86_400 + 3599).await;
    client.kms("DescribeKey", json!({ "KeyId": key })).await.ok();
    advance(&mut client, 1).await;
    assert_eq!(client.kms("DescribeKey", json!({ "KeyId": key })).await.status, 400);
    running.stop().await;
}

/// The clock stops at each thing that is due: rotations come in time where deletions come late.
#[tokio::test]
async fn rotations_come_at_their_own_time_however_far_the_clock_goes() {
    let late = Config { deletion_delay_seconds: 3600, ..config(None) };
    let running = Server::start(late).await.unwrap();
    let mut client = Client::connect(&running).await;
    let (key, doomed) = (client.create_key().await, client.create_key().await);
    let request = json!({ "KeyId": key, "RotationPeriodInDays": 90 });
    client.kms("EnableKeyRotation", request).await.ok();
    client.kms("ScheduleKeyDeletion", json!({ "KeyId": doomed, "PendingWindowInDays": 30 })).await.ok();
    let sealed = client.kms("Encrypt", json!({ "KeyId": key, "Plaintext": STANDARD.encode(b"x") })).await.ok();
    // LookupEvents looks back 90 days.
    for (days, rotated, due) in [(100, 1, 90), (90, 2, 180)] {
        advance(&mut client, days * 86_400).await;
        let listed = client.kms("ListKeyRotations", json!({ "KeyId": key })).await.ok();
        assert_eq!(listed["Rotations"].as_array().unwrap().len(), rotated);
        let events = client.events("EventName", "RotateKey").await;
        assert_eq!(events.iter().map(time_of).max(), Some(start() + due * DAY));
    }
    assert_eq!(client.kms("DescribeKey", json!({ "KeyId": doomed })).await.status, 400);
    let opened = client.kms("Decrypt", json!({ "CiphertextBlob": sealed["CiphertextBlob"] })).await.ok();
    assert_eq!(opened["Plaintext"], STANDARD.encode(b"x"));
    running.stop().await;
}

#[tokio::test]
async fn a_cancelled_deletion_never_comes() {
    let (running, mut client) = virtual_server().await;
    let key = client.create_key().await;
    client.kms("ScheduleKeyDeletion", json!({ "KeyId": key, "PendingWindowInDays": 7 })).await.ok();
    advance(&mut client, 7 * 86_400 - 1).await;
    client.kms("CancelKeyDeletion", json!({ "KeyId": key })).await.ok();
    advance(&mut client, 400 * 86_400).await;
    let described = client.kms("DescribeKey", json!({ "KeyId": key })).await.ok();
    assert_eq!(described["KeyMetadata"]["KeyState"], "Disabled");
    running.stop().await;
}

/// A cancel and the tick that deletes meet again and again: each key is either cancelled or deleted, and never both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_cancel_and_a_deletion_exactly_one_wins() {
    let (running, mut client) = virtual_server().await;
    for _ in 0..20 {
        let key = client.create_key().await;
        client.kms("ScheduleKeyDeletion", json!({ "KeyId": key, "PendingWindowInDays": 7 })).await.ok();
        let advancing = running.advance(7 * DAY);
        let cancelling = client.kms("CancelKeyDeletion", json!({ "KeyId": key }));
        let (advanced, cancelled) = tokio::join!(advancing, cancelling);
        advanced.unwrap();
        let described = client.kms("DescribeKey", json!({ "KeyId": key })).await;
        let deleted = client.events("ResourceName", &key).await.iter().any(|event| event["EventName"] == "DeleteKey");
        assert_eq!(cancelled.status == 200, described.status == 200);
        assert_eq!(cancelled.status == 200, !deleted);
    }
    running.stop().await;
}

#[tokio::test]
async fn the_clock_never_goes_back() {
    let folder = tempfile::tempdir().unwrap();
    let running = Server::start(config(Some(folder.path()))).await.unwrap();
    running.advance(40 * DAY).await.unwrap();
    assert!(matches!(running.advance(-DAY).await, Err(AdvanceError::Clock(_))));
    let mut client = Client::connect(&running).await;
    for wrong in [r#"{"advance_seconds": -1}"#, r#"{"advance_seconds": 9223372036854775807}"#, "{}", "1", ""] {
        assert_eq!(client.plain("POST", "/_quietus/clock", wrong).await.status, 400, "{wrong}");
    }
    running.stop().await;

    let running = Server::start(config(Some(folder.path()))).await.unwrap();
    let mut client = Client::connect(&running).await;
    assert_eq!(client.plain("GET", "/_quietus/clock", "").await.ok()["now"], "2026-02-10T00:00:00Z");
    running.stop().await;
}

#[tokio::test]
async fn a_page_in_a_browser_cannot_use_the_controls() {
    use http_body_util::Full;
    let (running, mut client) = virtual_server().await;
    let request = hyper::Request::builder()
        .method("POST")
        .uri(format!("http://{}/_quietus/reset", client.host))
        .header("host", &client.host)
        .header("origin", "https://example.com")
        .body(Full::default())
        .unwrap();
    assert_eq!(client.send(request).await.unwrap().status, 403);
    running.stop().await;
}

#[tokio::test]
async fn what_happened_is_sealed_into_the_trail() {
    let folder = tempfile::tempdir().unwrap();
    let running = Server::start(config(Some(folder.path()))).await.unwrap();
    let mut client = Client::connect(&running).await;
    let key = client.create_key().await;
    advance(&mut client, 300).await;
    let day = folder.path().join("data/trail/AWSLogs/000000000000/CloudTrail/eu-west-1/2026/01/01");
    let files: Vec<_> = std::fs::read_dir(&day).unwrap().collect();
    assert_eq!(files.len(), 1);
    // From the files as from the log.
    assert_eq!(client.events("ResourceName", &key).await.len(), 1);
    running.stop().await;
}

#[tokio::test]
async fn last_use_survives_sealing_and_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let running = Server::start(config(Some(folder.path()))).await.unwrap();
    let mut client = Client::connect(&running).await;
    let (sealed, unsealed) = (client.create_key().await, client.create_key().await);
    client.kms("Encrypt", json!({ "KeyId": sealed, "Plaintext": "AAAA" })).await.ok();
    advance(&mut client, 301).await;
    let data_key = json!({ "KeyId": unsealed, "KeySpec": "AES_256" });
    let used = client.kms("GenerateDataKey", data_key).await;
    used.ok();
    running.stop().await;

    let running = Server::start(config(Some(folder.path()))).await.unwrap();
    let mut client = Client::connect(&running).await;
    let usage = client.kms("GetKeyLastUsage", json!({ "KeyId": sealed })).await.ok();
    assert_eq!(usage["KeyLastUsage"]["Operation"], "Encrypt");
    assert_eq!(usage["KeyLastUsage"]["Timestamp"], start().as_second());
    let usage = client.kms("GetKeyLastUsage", json!({ "KeyId": unsealed })).await.ok();
    assert_eq!(usage["KeyLastUsage"]["Operation"], "GenerateDataKey");
    assert_eq!(usage["KeyLastUsage"]["KmsRequestId"], used.request_id());
    running.stop().await;
}

async fn set_delivery(client: &mut Client, delivery: &str) {
    let body = json!({ "region": "eu-west-1", "delivery": delivery }).to_string();
    client.plain("POST", "/_quietus/trail", &body).await.ok();
}

#[tokio::test]
async fn a_stopped_trail_delivers_late_and_a_lost_one_never() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = Server::start(config(Some(folder.path()))).await.unwrap();
    let mut client = Client::connect(&running).await;
    let key = client.create_key().await;
    let use_it = || json!({ "KeyId": key, "Plaintext": "AAAA" });

    set_delivery(&mut client, "stopped").await;
    client.kms("Encrypt", use_it()).await.ok();
    client.kms("DisableKey", json!({ "KeyId": key })).await.ok();
    client.kms("EnableKey", json!({ "KeyId": key })).await.ok();
    assert_eq!(client.events("ResourceName", &key).await.len(), 1);
    // Other Regions are delivered.
    client.signer.region = "us-east-1".to_owned();
    client.create_key().await;
    assert_eq!(client.events("EventName", "CreateKey").await.len(), 1);
    client.signer.region = "eu-west-1".to_owned();

    // It lasts over time and a restart, and what was withheld comes late.
    advance(&mut client, 3600).await;
    running.stop().await;
    running = Server::start(config(Some(folder.path()))).await.unwrap();
    client = Client::connect(&running).await;
    assert_eq!(client.events("ResourceName", &key).await.len(), 1);
    set_delivery(&mut client, "started").await;
    let events = client.events("ResourceName", &key).await;
    assert_eq!(events.len(), 4);
    assert!(events.iter().all(|event| time_of(event) == start()));

    set_delivery(&mut client, "lost").await;
    client.kms("Encrypt", use_it()).await.ok();
    set_delivery(&mut client, "started").await;
    client.kms("Encrypt", use_it()).await.ok();
    let events = client.events("ResourceName", &key).await;
    assert_eq!(events.iter().filter(|event| event["EventName"] == "Encrypt").count(), 2);
    // The use itself is known.
    advance(&mut client, 3600).await;
    let usage = client.kms("GetKeyLastUsage", json!({ "KeyId": key })).await.ok();
    assert_eq!(usage["KeyLastUsage"]["Timestamp"], (start() + SignedDuration::from_hours(1)).as_second());

    for wrong in
        [r#"{"region": "nowhere", "delivery": "lost"}"#, r#"{"region": "eu-west-1", "delivery": "late"}"#, "{}"]
    {
        assert_eq!(client.plain("POST", "/_quietus/trail", wrong).await.status, 400, "{wrong}");
    }
    running.stop().await;
}

#[tokio::test]
async fn a_reset_server_is_empty() {
    let (running, mut client) = virtual_server().await;
    for n in 0..70 {
        let key = client.create_key().await;
        client.kms("CreateAlias", json!({ "AliasName": format!("alias/a{n}"), "TargetKeyId": key })).await.ok();
    }
    advance(&mut client, 600).await;
    client.plain("POST", "/_quietus/reset", "").await.ok();
    assert_eq!(client.kms("ListKeys", json!({})).await.ok()["Keys"], json!([]));
    assert_eq!(client.kms("ListAliases", json!({})).await.ok()["Aliases"], json!([]));
    assert_eq!(client.events("EventName", "CreateKey").await.len(), 0);
    client.create_key().await;
    assert_eq!(client.events("EventName", "CreateKey").await.len(), 1);
    assert_eq!(client.plain("GET", "/_quietus/clock", "").await.ok()["now"], "2026-01-01T00:10:00Z");
    running.stop().await;
}

/// On a real clock nobody advances time: the server wakes when a replica is made, and when a primary has moved.
#[tokio::test]
async fn what_lasts_for_a_moment_ends_by_itself() {
    let running = Server::start(Config::ephemeral()).await.unwrap();
    let mut client = Client::connect(&running).await;
    let made = client.kms("CreateKey", json!({ "MultiRegion": true })).await.ok();
    let key = made["KeyMetadata"]["KeyId"].clone();
    client.kms("ReplicateKey", json!({ "KeyId": key, "ReplicaRegion": "sa-east-1" })).await.ok();
    let minute = std::time::Duration::from_secs(60);
    let made = tokio::time::timeout(minute, async {
        loop {
            let moved = client.kms("UpdatePrimaryRegion", json!({ "KeyId": key, "PrimaryRegion": "sa-east-1" })).await;
            if moved.status == 200 {
                return;
            }
            assert!(moved.refusal().ends_with(" is creating."));
            tokio::time::sleep(LOOK).await;
        }
    });
    made.await.expect("the replica is made");
    let moved = tokio::time::timeout(minute, async {
        loop {
            let described = client.kms("DescribeKey", json!({ "KeyId": key })).await.ok();
            let metadata = &described["KeyMetadata"];
            assert_eq!(metadata["MultiRegionConfiguration"]["PrimaryKey"]["Region"], "sa-east-1");
            if metadata["KeyState"] == "Enabled" {
                return;
            }
            assert_eq!(metadata["KeyState"], "Updating");
            tokio::time::sleep(LOOK).await;
        }
    });
    moved.await.expect("the move of the primary ends");
    running.stop().await;
}
