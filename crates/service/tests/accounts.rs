//! Callers of other accounts: what they may name, what they are told, and whose trail tells of it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use serde_json::{Value, json};
use world::{ACCOUNT, OTHER_ACCOUNT, World, root};

/// A world with a key that the other account may use for `actions`.
fn shared(actions: &Value) -> (World, String) {
    let mut world = World::new();
    let own = json!({ "Effect": "Allow", "Principal": { "AWS": ACCOUNT }, "Action": "kms:*", "Resource": "*" });
    let share = json!({ "Effect": "Allow", "Principal": { "AWS": OTHER_ACCOUNT }, "Action": actions, "Resource": "*" });
    let policy = json!({ "Version": "2012-10-17", "Statement": [own, share] }).to_string();
    let key = world.create_key_with(json!({ "Policy": policy })).to_string();
    world.trail.clear();
    (world, key)
}

fn hidden(action: &str) -> String {
    format!(
        "AccessDeniedException: User: arn:aws:iam::{OTHER_ACCOUNT}:root is not authorized to perform: {action} on this resource because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access"
    )
}

fn recipients(world: &World) -> Vec<&str> {
    world.trail.iter().map(|record| record["recipientAccountId"].as_str().unwrap()).collect()
}

#[test]
fn a_use_across_accounts_is_told_to_both() {
    let (mut world, key) = shared(&json!(["kms:Encrypt", "kms:Decrypt"]));
    let stranger = root(OTHER_ACCOUNT);
    let body = json!({ "KeyId": key, "Plaintext": "AQID", "EncryptionContext": { "a": "1" } }).to_string();
    world.call_as(&stranger, "Encrypt", &body).unwrap();
    assert_eq!(recipients(&world), [OTHER_ACCOUNT, ACCOUNT]);
    let (theirs, ours) = (world.trail[0].clone(), world.trail[1].clone());
    for member in ["eventName", "eventTime", "requestParameters", "resources", "requestID", "additionalEventData"] {
        assert_eq!(theirs[member], ours[member], "{member}");
    }
    assert_eq!(theirs["sharedEventID"], ours["sharedEventID"]);
    assert!(theirs["sharedEventID"].as_str().is_some_and(|id| id.len() == 36));
    assert_ne!(theirs["eventID"], ours["eventID"]);
    assert_eq!(theirs["userIdentity"]["type"], "Root");
    assert_eq!(
        ours["userIdentity"],
        json!({ "type": "AWSAccount", "principalId": OTHER_ACCOUNT, "accountId": OTHER_ACCOUNT })
    );
    // GetKeyLastUsage leads the key's owner to the record that the owner has.
    let last = world.call("GetKeyLastUsage", json!({ "KeyId": key })).unwrap();
    assert_eq!(last["KeyLastUsage"]["CloudTrailEventId"], ours["eventID"]);
    assert!(world.last_record().get("sharedEventID").is_none(), "a call at home has no twin");
}

#[test]
fn who_is_let_in_and_fails_is_told_of_in_both_and_who_is_denied_only_at_home() {
    let (mut world, key) = shared(&json!("kms:Encrypt"));
    let stranger = root(OTHER_ACCOUNT);
    world.call("DisableKey", json!({ "KeyId": key })).unwrap();
    world.trail.clear();
    let body = json!({ "KeyId": key, "Plaintext": "AQID" }).to_string();
    let refused = world.call_as(&stranger, "Encrypt", &body).unwrap_err();
    assert_eq!(refused, format!("DisabledException: {key} is disabled."));
    assert_eq!(recipients(&world), [OTHER_ACCOUNT, ACCOUNT]);
    assert_eq!(world.trail[1]["errorCode"], "DisabledException");

    world.trail.clear();
    let denied =
        world.call_as(&stranger, "GenerateDataKey", &json!({ "KeyId": key, "KeySpec": "AES_256" }).to_string());
    assert_eq!(denied.unwrap_err(), hidden("kms:GenerateDataKey"));
    assert_eq!(recipients(&world), [OTHER_ACCOUNT]);
    assert_eq!(world.trail[0]["errorCode"], "AccessDenied");
    assert_eq!(world.trail[0]["resources"], json!([]), "the record tells the caller no more than the answer");
    assert!(world.trail[0].get("sharedEventID").is_none());
}

#[test]
fn what_does_not_exist_elsewhere_reads_like_what_is_not_shared() {
    let (mut world, key) = shared(&json!(["kms:DescribeKey", "kms:Encrypt", "kms:DisableKey", "kms:TagResource"]));
    let stranger = root(OTHER_ACCOUNT);
    world.call("CreateAlias", json!({ "AliasName": "alias/app", "TargetKeyId": key })).unwrap();
    let alias = |name: &str| format!("arn:aws:kms:eu-west-1:{ACCOUNT}:alias/{name}");
    let missing = format!("arn:aws:kms:eu-west-1:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab");
    for name in [&key, &alias("app")] {
        let described = world.call_as(&stranger, "DescribeKey", &json!({ "KeyId": name }).to_string()).unwrap();
        assert_eq!(described["KeyMetadata"]["Arn"], key);
        assert_eq!(described["KeyMetadata"]["AWSAccountId"], ACCOUNT);
    }
    for name in [&missing, &alias("none")] {
        let body = json!({ "KeyId": name, "Plaintext": "AQID" }).to_string();
        assert_eq!(world.call_as(&stranger, "Encrypt", &body).unwrap_err(), hidden("kms:Encrypt"));
    }
    // A bare ID or name is of the caller's own account.
    let id = key.rsplit('/').next().unwrap();
    for name in [id, "alias/app"] {
        let error = world.call_as(&stranger, "DescribeKey", &json!({ "KeyId": name }).to_string()).unwrap_err();
        assert!(error.starts_with("NotFoundException") && error.contains(OTHER_ACCOUNT), "{error}");
    }
}

#[test]
fn operations_that_stay_at_home_are_denied_whatever_the_key_policy_says() {
    for row in api::OPERATIONS.iter().filter(|row| row.service == api::Service::Kms && !row.across_accounts) {
        let (mut world, key) = shared(&json!("kms:*"));
        let body = json!({
            "KeyId": key, "TargetKeyId": key, "AliasName": "alias/theirs", "TagKeys": ["a"], "Description": "",
            "Tags": [{ "TagKey": "a", "TagValue": "b" }], "Policy": policy::default_key_policy(world::account(), "aws"),
        });
        if matches!(row.name, "CreateAlias" | "UpdateAlias" | "DeleteAlias") || row.keys == api::Keys::None {
            continue;
        }
        let answer = world.call_as(&root(OTHER_ACCOUNT), row.name, &body.to_string());
        if let Err(error) = &answer
            && error.starts_with("ValidationException")
        {
            continue;
        }
        assert_eq!(answer, Err(hidden(row.action)), "{}", row.name);
        assert_eq!(recipients(&world), [OTHER_ACCOUNT], "{}", row.name);
    }
    let (mut world, key) = shared(&json!("kms:*"));
    let body = json!({ "AliasName": "alias/theirs", "TargetKeyId": key }).to_string();
    assert_eq!(world.call_as(&root(OTHER_ACCOUNT), "CreateAlias", &body), Err(hidden("kms:CreateAlias")));
}

#[test]
fn a_ciphertext_moves_between_the_keys_of_two_accounts() {
    let (mut world, ours) = shared(&json!("kms:ReEncrypt*"));
    let stranger = root(OTHER_ACCOUNT);
    let sealed = world.encrypt(&ours).unwrap();
    let made = world.call_as(&stranger, "CreateKey", "{}").unwrap();
    let theirs = made["KeyMetadata"]["Arn"].as_str().unwrap().to_owned();
    world.trail.clear();
    let id = ours.rsplit('/').next().unwrap();
    let body = json!({ "CiphertextBlob": sealed, "SourceKeyId": id, "DestinationKeyId": theirs }).to_string();
    let moved = world.call_as(&stranger, "ReEncrypt", &body).unwrap();
    assert_eq!((moved["SourceKeyId"].as_str(), moved["KeyId"].as_str()), (Some(&*ours), Some(&*theirs)));
    assert_eq!(recipients(&world), [OTHER_ACCOUNT, ACCOUNT]);
    let events: Vec<Value> = world.trail.iter().map(|record| record["eventID"].clone()).collect();
    // Each account's last use names the record in its own trail.
    let last = world.call("GetKeyLastUsage", json!({ "KeyId": ours })).unwrap();
    assert_eq!(last["KeyLastUsage"]["CloudTrailEventId"], events[1]);
    let last = world.call_as(&stranger, "GetKeyLastUsage", &json!({ "KeyId": theirs }).to_string()).unwrap();
    assert_eq!(last["KeyLastUsage"]["CloudTrailEventId"], events[0]);
}
