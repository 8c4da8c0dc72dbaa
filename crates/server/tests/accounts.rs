//! Two accounts on one server: each finds its own copy of what concerns both, in its history and in its files; and each has its own
//! request quotas.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Client, Signer};
use jiff::SignedDuration;
use serde_json::{Value, json};
use server::{AccessKey, ClockKind, Config, Principal, RequestQuotas, Running, Server};

const OTHER: &str = "444455556666";

fn config() -> Config {
    let bob = AccessKey {
        id: "AKIABOB".to_owned(),
        secret: "bob's secret".to_owned().into(),
        principal: Principal::root(OTHER.parse().unwrap()),
    };
    Config { extra_keys: vec![bob], clock: ClockKind::Virtual { start: None }, ..Config::ephemeral() }
}

async fn clients(running: &Running) -> (Client, Client) {
    let host = running.addr().to_string();
    let bob = Signer { id: "AKIABOB".to_owned(), secret: "bob's secret".to_owned(), region: "eu-west-1".to_owned() };
    (Client::connect(running).await, Client::open(&host, bob).await.unwrap())
}

/// The records of an operation in the history of the client's account.
async fn records(client: &mut Client, operation: &str) -> Vec<Value> {
    let events = client.events("EventName", operation).await;
    events.iter().map(|event| serde_json::from_str(event["CloudTrailEvent"].as_str().unwrap()).unwrap()).collect()
}

#[tokio::test]
async fn each_account_finds_its_own_copy_in_its_history_and_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let running = Server::start(Config { data: Some(folder.path().join("data")), ..config() }).await.unwrap();
    let (mut ours, mut theirs) = clients(&running).await;
    let key = ours.create_key().await;
    let grantee = format!("arn:aws:iam::{OTHER}:root");
    let grant = json!({ "KeyId": key, "GranteePrincipal": grantee, "Operations": ["Encrypt", "CreateGrant"] });
    ours.kms("CreateGrant", grant.clone()).await.ok();
    let encrypt = json!({ "KeyId": key, "Plaintext": "AQID" });
    theirs.kms("Encrypt", encrypt.clone()).await.ok();
    // A change across accounts is told to both as well, in one batch with the change.
    theirs.kms("CreateGrant", grant).await.ok();
    let denied = theirs.kms("DisableKey", json!({ "KeyId": key })).await.refusal();
    assert!(denied.contains("because the resource does not exist in this Region"), "{denied}");

    for sealed in [false, true] {
        if sealed {
            running.advance(SignedDuration::from_mins(10)).await.unwrap();
        }
        for (operation, here, there) in [("Encrypt", 1, 1), ("CreateGrant", 2, 1), ("DisableKey", 0, 1)] {
            let (ours, theirs) = (records(&mut ours, operation).await, records(&mut theirs, operation).await);
            assert_eq!((ours.len(), theirs.len()), (here, there), "{operation}");
            assert!(ours.iter().all(|record| record["recipientAccountId"] == running.account().to_string()));
            assert_eq!(theirs[0]["recipientAccountId"], OTHER);
            // Events of one second come in no order that is known.
            let twin = ours.iter().find(|record| record.get("sharedEventID").is_some());
            assert_eq!(twin.is_some(), here > 0, "{operation}");
            if let Some(twin) = twin {
                assert_eq!(twin["sharedEventID"], theirs[0]["sharedEventID"], "{operation}");
                assert_ne!(twin["eventID"], theirs[0]["eventID"], "{operation}");
                assert_eq!(twin["userIdentity"]["type"], "AWSAccount");
            }
        }
    }
    for account in [running.account().to_string(), OTHER.to_owned()] {
        let folder = folder.path().join(format!("data/trail/AWSLogs/{account}/CloudTrail/eu-west-1"));
        assert!(folder.is_dir(), "{}", folder.display());
    }
    // After a restart the last use names the copy of the key's own account, as before.
    let named = |answer: Value| answer["KeyLastUsage"]["CloudTrailEventId"].clone();
    theirs.kms("Encrypt", encrypt).await.ok();
    let before = named(ours.kms("GetKeyLastUsage", json!({ "KeyId": key })).await.ok());
    drop((ours, theirs));
    running.stop().await;
    let running = Server::start(Config { data: Some(folder.path().join("data")), ..config() }).await.unwrap();
    let (mut ours, _) = clients(&running).await;
    assert_eq!(named(ours.kms("GetKeyLastUsage", json!({ "KeyId": key })).await.ok()), before);
    assert_eq!(records(&mut ours, "Encrypt").await[0]["eventID"], before);
    running.stop().await;
}

#[tokio::test]
async fn calls_over_the_quota_are_throttled_and_recorded_by_account() {
    let quotas = RequestQuotas::Aws;
    let running = Server::start(Config { request_quotas: quotas, ..config() }).await.unwrap();
    let (mut ours, mut theirs) = clients(&running).await;
    for _ in 0..5 {
        ours.create_key().await;
    }
    let refused = ours.kms("CreateKey", json!({ "Description": "too many" })).await;
    assert_eq!(refused.status, 400);
    assert_eq!(
        refused.refusal(),
        "ThrottlingException: You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls."
    );
    let told = records(&mut ours, "CreateKey").await;
    let throttled: Vec<&Value> = told.iter().filter(|record| record["errorCode"] == "ThrottlingException").collect();
    assert_eq!((told.len(), throttled.len()), (6, 1));
    assert_eq!(throttled[0]["requestParameters"], Value::Null);
    assert_eq!(throttled[0]["requestID"], refused.request_id());
    assert_eq!(ours.kms("ListKeys", json!({})).await.ok()["Keys"].as_array().unwrap().len(), 5, "it made no key");
    // Another account has its own.
    theirs.create_key().await;
    // In a second five more pass.
    running.advance(SignedDuration::from_secs(1)).await.unwrap();
    for _ in 0..5 {
        ours.create_key().await;
    }
    ours.kms("CreateKey", json!({})).await.refusal();
    running.stop().await;
}
