//! What users see of keys, aliases, policies and tags, told call by call.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use serde_json::{Value, json};
use world::{ACCOUNT, OTHER_ACCOUNT, World, root, user};

const DAY: i64 = 86_400;

#[test]
fn a_new_key_is_described_as_aws_describes_it() {
    let mut world = World::new();
    let made = world.call("CreateKey", json!({})).unwrap();
    let metadata = &made["KeyMetadata"];
    let id = metadata["KeyId"].as_str().unwrap();
    assert_eq!(metadata["Arn"], format!("arn:aws:kms:eu-west-1:{ACCOUNT}:key/{id}"));
    for (member, value) in [
        ("AWSAccountId", json!(ACCOUNT)),
        ("CreationDate", json!(1_779_309_900)),
        ("Enabled", json!(true)),
        ("Description", json!("")),
        ("KeyUsage", json!("ENCRYPT_DECRYPT")),
        ("KeyState", json!("Enabled")),
        ("Origin", json!("AWS_KMS")),
        ("KeyManager", json!("CUSTOMER")),
        ("CustomerMasterKeySpec", json!("SYMMETRIC_DEFAULT")),
        ("KeySpec", json!("SYMMETRIC_DEFAULT")),
        ("EncryptionAlgorithms", json!(["SYMMETRIC_DEFAULT"])),
        ("MultiRegion", json!(false)),
    ] {
        assert_eq!(metadata[member], value, "{member}");
    }
    assert_eq!(metadata["CurrentKeyMaterialId"].as_str().unwrap().len(), 64);
    assert_eq!(world.call("DescribeKey", json!({ "KeyId": id })).unwrap(), made);
}

#[test]
fn a_scheduled_key_waits_and_dies_with_all_that_is_its() {
    let mut world = World::new();
    let key = world.create_key();
    let arn = key.to_string();
    let ciphertext = world.encrypt(&arn).unwrap();
    world.call("CreateAlias", json!({ "AliasName": "alias/app", "TargetKeyId": arn })).unwrap();
    let answer = world.call("ScheduleKeyDeletion", json!({ "KeyId": arn, "PendingWindowInDays": 7 })).unwrap();
    let date = 1_779_309_900 + 7 * DAY;
    assert_eq!(
        answer,
        json!({ "KeyId": arn, "DeletionDate": date, "KeyState": "PendingDeletion", "PendingWindowInDays": 7 })
    );
    assert_eq!(world.last_record()["responseElements"]["deletionDate"], "May 27, 2026, 8:45:00 PM");
    let described = world.call("DescribeKey", json!({ "KeyId": "alias/app" })).unwrap();
    assert_eq!(described["KeyMetadata"]["DeletionDate"], date);
    assert_eq!(described["KeyMetadata"]["Enabled"], false);

    assert_eq!(world.pass(7 * DAY - 1), []);
    assert_eq!(world.state_of(&key), "PendingDeletion");
    assert_eq!(world.pass(1), [key]);
    let record = world.last_record().clone();
    assert_eq!(record["eventName"], "DeleteKey");
    assert_eq!(record["eventType"], "AwsServiceEvent");
    assert_eq!(record["responseElements"]["keyId"], arn);
    assert!(record.get("requestID").is_none());

    for _ in 0..2 {
        assert_eq!(world.state_of(&key), format!("NotFoundException: Key '{arn}' does not exist"));
        assert_eq!(
            world.call("DescribeKey", json!({ "KeyId": "alias/app" })).unwrap_err(),
            format!("NotFoundException: Alias arn:aws:kms:eu-west-1:{ACCOUNT}:alias/app is not found.")
        );
        assert!(
            world.call("Decrypt", json!({ "CiphertextBlob": ciphertext })).unwrap_err().starts_with(
                "AccessDeniedException: The ciphertext refers to a customer master key that does not exist"
            )
        );
        assert_eq!(
            world.call("CancelKeyDeletion", json!({ "KeyId": arn })).unwrap_err().split(':').next(),
            Some("NotFoundException")
        );
        assert_eq!(world.call("ListKeys", json!({})).unwrap(), json!({ "Keys": [], "Truncated": false }));
        assert_eq!(world.call("ListAliases", json!({})).unwrap(), json!({ "Aliases": [], "Truncated": false }));
        assert_eq!(world.state.tombstone(&key).unwrap().deleted, world.now);
        world.restart();
    }
}

#[test]
fn a_late_tick_deletes_late_and_an_extra_delay_holds_it_back() {
    let mut world = World::new();
    let key = world.create_key();
    world.call("ScheduleKeyDeletion", json!({ "KeyId": key.to_string(), "PendingWindowInDays": 7 })).unwrap();
    world.now = api::Timestamp::from_second(world.now.as_second() + 7 * DAY + 3599).unwrap();
    let mut fresh = || [1; 16];
    assert!(service::tick(&world.state, &world.vault, world.now, 3600, &mut fresh).is_empty());
    assert_eq!(world.state_of(&key), "PendingDeletion", "a read never decides a deletion");
    world.now = api::Timestamp::from_second(world.now.as_second() + 1).unwrap();
    assert_eq!(service::tick(&world.state, &world.vault, world.now, 3600, &mut fresh).len(), 1);
}

#[test]
fn of_a_cancel_and_a_deletion_that_race_exactly_one_wins() {
    for cancel_first in [true, false] {
        let mut world = World::new();
        let key = world.create_key();
        world.call("ScheduleKeyDeletion", json!({ "KeyId": key.to_string(), "PendingWindowInDays": 7 })).unwrap();
        world.now = api::Timestamp::from_second(world.now.as_second() + 7 * DAY).unwrap();
        let deletion = world.due().remove(0).batch;
        if cancel_first {
            world.call("CancelKeyDeletion", json!({ "KeyId": key.to_string() })).unwrap();
            assert!(!world.commit(deletion), "the key was cancelled");
            assert_eq!(world.state_of(&key), "Disabled");
            assert!(world.due().is_empty());
        } else {
            assert!(world.commit(deletion));
            let error = world.call("CancelKeyDeletion", json!({ "KeyId": key.to_string() })).unwrap_err();
            assert!(error.starts_with("NotFoundException"), "{error}");
        }
    }
}

#[test]
fn a_deletion_does_not_overlook_an_alias_that_came_late() {
    let mut world = World::new();
    let (dying, living) = (world.create_key(), world.create_key());
    world.call("CreateAlias", json!({ "AliasName": "alias/a", "TargetKeyId": dying.to_string() })).unwrap();
    world.call("ScheduleKeyDeletion", json!({ "KeyId": dying.to_string(), "PendingWindowInDays": 7 })).unwrap();
    world.now = api::Timestamp::from_second(world.now.as_second() + 7 * DAY).unwrap();
    let deletion = world.due().remove(0).batch;
    world.call("UpdateAlias", json!({ "AliasName": "alias/a", "TargetKeyId": living.to_string() })).unwrap();
    assert!(!world.commit(deletion), "the alias has left the key");
    assert_eq!(world.tick(), [dying]);
    assert_eq!(
        world.call("DescribeKey", json!({ "KeyId": "alias/a" })).unwrap()["KeyMetadata"]["Arn"],
        living.to_string()
    );
}

#[test]
fn windows_outside_7_to_30_days_are_refused_in_two_ways() {
    let mut world = World::new();
    let key = world.create_key().to_string();
    for days in [1, 6, 31, 365] {
        let error =
            world.call("ScheduleKeyDeletion", json!({ "KeyId": key, "PendingWindowInDays": days })).unwrap_err();
        assert_eq!(error, "ValidationException: PendingWindowInDays must be between 7 and 30");
    }
    for (days, bound) in [(0, "greater than or equal to 1"), (366, "less than or equal to 365")] {
        let error =
            world.call("ScheduleKeyDeletion", json!({ "KeyId": key, "PendingWindowInDays": days })).unwrap_err();
        assert_eq!(
            error,
            format!(
                "ValidationException: 1 validation error detected: Value '{days}' at 'pendingWindowInDays' failed to satisfy constraint: Member must have value {bound}"
            )
        );
    }
}

#[test]
fn a_key_may_be_named_in_four_ways_where_aws_takes_them() {
    let mut world = World::new();
    let key = world.create_key();
    world.call("CreateAlias", json!({ "AliasName": "alias/app", "TargetKeyId": key.key.to_string() })).unwrap();
    let alias_arn = format!("arn:aws:kms:eu-west-1:{ACCOUNT}:alias/app");
    for name in [key.key.to_string(), key.to_string(), "alias/app".to_owned(), alias_arn.clone()] {
        let answer = world.call("Encrypt", json!({ "KeyId": name, "Plaintext": "AQID" })).unwrap();
        assert_eq!(answer["KeyId"], key.to_string());
        assert_eq!(world.last_record()["requestParameters"]["keyId"], name);
        assert_eq!(world.last_record()["resources"][0]["ARN"], key.to_string());
    }
    for name in ["alias/app", &alias_arn] {
        let error = world.call("DisableKey", json!({ "KeyId": name })).unwrap_err();
        assert_eq!(error, format!("NotFoundException: Invalid keyId '{name}'"));
    }
    for (name, expected) in [
        ("fake-key-id", "NotFoundException: Invalid keyId 'fake-key-id'".to_owned()),
        (
            "1234abcd-12ab-34cd-56ef-1234567890ab",
            format!("NotFoundException: Key 'arn:aws:kms:eu-west-1:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab' does not exist"),
        ),
        (
            "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "NotFoundException: Invalid arn us-east-1".to_owned(),
        ),
        ("alias/none", format!("NotFoundException: Alias arn:aws:kms:eu-west-1:{ACCOUNT}:alias/none is not found.")),
        (
            "",
            "ValidationException: 1 validation error detected: Value '' at 'keyId' failed to satisfy constraint: Member must have length greater than or equal to 1".to_owned(),
        ),
    ] {
        assert_eq!(world.call("DescribeKey", json!({ "KeyId": name })).unwrap_err(), expected);
    }
}

#[test]
fn what_is_encrypted_opens_only_whole_and_with_its_context() {
    let mut world = World::new();
    let (key, other) = (world.create_key().to_string(), world.create_key().to_string());
    let context = json!({ "app": "ledger", "row": "7" });
    let sealed =
        world.call("Encrypt", json!({ "KeyId": key, "Plaintext": "c2VjcmV0", "EncryptionContext": context })).unwrap();
    let blob = sealed["CiphertextBlob"].as_str().unwrap().to_owned();
    let open = json!({ "CiphertextBlob": blob, "EncryptionContext": { "row": "7", "app": "ledger" } });
    let opened = world.call("Decrypt", open.clone()).unwrap();
    assert_eq!(opened["Plaintext"], "c2VjcmV0");
    assert_eq!(opened["KeyId"], key);
    assert_eq!(world.last_record()["requestParameters"]["keyId"], key);
    assert_eq!(world.last_record()["requestParameters"]["encryptionContext"], context);
    assert_eq!(world.last_record()["additionalEventData"]["keyMaterialId"], opened["KeyMaterialId"]);

    assert_eq!(world.call("Decrypt", json!({ "CiphertextBlob": blob })).unwrap_err(), "InvalidCiphertextException");
    assert_eq!(world.call("Decrypt", json!({ "CiphertextBlob": "AAAA" })).unwrap_err(), "InvalidCiphertextException");
    let mut wrong = open.clone();
    wrong["KeyId"] = json!(other);
    assert_eq!(
        world.call("Decrypt", wrong).unwrap_err(),
        "IncorrectKeyException: The key ID in the request does not identify a CMK that can perform this operation."
    );
    let moved = world
        .call(
            "ReEncrypt",
            json!({ "CiphertextBlob": blob, "SourceEncryptionContext": context, "DestinationKeyId": other }),
        )
        .unwrap();
    assert_eq!((&moved["SourceKeyId"], &moved["KeyId"]), (&json!(key), &json!(other)));
    assert_eq!(world.last_record()["resources"].as_array().unwrap().len(), 2);
    let opened = world.call("Decrypt", json!({ "CiphertextBlob": moved["CiphertextBlob"] })).unwrap();
    assert_eq!((&opened["Plaintext"], &opened["KeyId"]), (&json!("c2VjcmV0"), &json!(other)));
    world.restart();
    assert_eq!(world.call("Decrypt", open).unwrap()["Plaintext"], "c2VjcmV0");
}

#[test]
fn data_keys_come_in_the_length_that_was_asked() {
    let mut world = World::new();
    let key = world.create_key().to_string();
    for (request, characters) in [
        (json!({ "KeyId": key, "KeySpec": "AES_256" }), 44),
        (json!({ "KeyId": key, "KeySpec": "AES_128" }), 24),
        (json!({ "KeyId": key, "NumberOfBytes": 1024 }), 1368),
    ] {
        let answer = world.call("GenerateDataKey", request.clone()).unwrap();
        assert_eq!(answer["Plaintext"].as_str().unwrap().len(), characters);
        let opened = world.call("Decrypt", json!({ "CiphertextBlob": answer["CiphertextBlob"] })).unwrap();
        assert_eq!(opened["Plaintext"], answer["Plaintext"]);
        let silent = world.call("GenerateDataKeyWithoutPlaintext", request).unwrap();
        assert!(silent.get("Plaintext").is_none());
        assert!(!world.last_record().to_string().contains(silent["CiphertextBlob"].as_str().unwrap()));
    }
    for request in [json!({ "KeyId": key }), json!({ "KeyId": key, "KeySpec": "AES_256", "NumberOfBytes": 32 })] {
        let error = world.call("GenerateDataKey", request).unwrap_err();
        assert_eq!(error, "ValidationException: Please specify either number of bytes or key spec.");
    }
    assert_eq!(world.call("GenerateRandom", json!({})).unwrap_err(), "ValidationException: NumberOfBytes is required.");
    let random = world.call("GenerateRandom", json!({ "NumberOfBytes": 3 })).unwrap();
    assert_eq!(random["Plaintext"].as_str().unwrap().len(), 4);
}

#[test]
fn a_dry_run_checks_everything_and_is_no_use() {
    let mut world = World::new();
    let key = world.create_key().to_string();
    let dry = "DryRunOperationException: The request would have succeeded, but the DryRun option is set.";
    let request = json!({ "KeyId": key, "Plaintext": "AQID", "DryRun": true });
    assert_eq!(world.call("Encrypt", request.clone()).unwrap_err(), dry);
    let usage = world.call("GetKeyLastUsage", json!({ "KeyId": key })).unwrap();
    assert_eq!(usage["KeyLastUsage"], json!({}));
    world.call("DisableKey", json!({ "KeyId": key })).unwrap();
    assert_eq!(world.call("Encrypt", request).unwrap_err(), format!("DisabledException: {key} is disabled."));
}

#[test]
fn the_last_use_is_the_last_success_and_outlives_a_change_of_the_key() {
    let mut world = World::new();
    let key = world.create_key().to_string();
    world.encrypt(&key).unwrap();
    let at = world.now.as_second();
    let event = world.last_record()["eventID"].clone();
    world.pass(DAY);
    world.call("DisableKey", json!({ "KeyId": key })).unwrap();
    world.encrypt(&key).unwrap_err();
    world.call("GenerateRandom", json!({ "NumberOfBytes": 1 })).unwrap();
    let usage = world.call("GetKeyLastUsage", json!({ "KeyId": key })).unwrap();
    assert_eq!(usage["KeyId"], key);
    assert_eq!(usage["KeyLastUsage"]["Operation"], "Encrypt");
    assert_eq!(usage["KeyLastUsage"]["Timestamp"], at);
    assert_eq!(usage["KeyLastUsage"]["CloudTrailEventId"], event);
    assert_eq!(usage["TrackingStartDate"], usage["KeyCreationDate"]);
}

#[test]
fn uses_that_were_written_down_are_known_after_a_restart() {
    let mut world = World::new();
    let key = world.create_key();
    world.encrypt(&key.to_string()).unwrap();
    let used = world.state.key(&key).unwrap().last_use().unwrap();
    let put = service::uses_batch(&world.state, [&key]);
    let batch = store::Batch { id: store::BatchId([9; 16]), expect: vec![], put, delete: vec![], append: vec![] };
    assert!(world.commit(batch));
    world.restart();
    assert_eq!(world.state.key(&key).unwrap().last_use(), Some(used));
}

fn policy(statements: Value) -> String {
    json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
}

#[test]
fn the_key_policy_decides_who_may() {
    let mut world = World::new();
    let app = user("app");
    let own = json!({ "Sid": "own", "Effect": "Allow", "Principal": { "AWS": format!("arn:aws:iam::{ACCOUNT}:root") }, "Action": "kms:*", "Resource": "*" });
    let may = json!({ "Effect": "Allow", "Principal": { "AWS": app.arn }, "Action": ["kms:Encrypt", "kms:Decrypt"], "Resource": "*",
        "Condition": { "StringEquals": { "kms:EncryptionContext:app": "ledger" } } });
    let key = world.create_key_with(json!({ "Policy": policy(json!([own, may])) })).to_string();
    let request =
        |context: Value| json!({ "KeyId": key, "Plaintext": "AQID", "EncryptionContext": context }).to_string();
    let sealed = world.call_as(&app, "Encrypt", &request(json!({ "app": "ledger" }))).unwrap();
    let denied = world.call_as(&app, "Encrypt", &request(json!({ "app": "other" }))).unwrap_err();
    let arn = &app.arn;
    assert_eq!(
        denied,
        format!(
            "AccessDeniedException: User: {arn} is not authorized to perform: kms:Encrypt on resource: {key} because no identity-based policy allows the kms:Encrypt action"
        )
    );
    let record = world.last_record();
    assert_eq!(record["errorCode"], "AccessDenied");
    assert_eq!(record["requestParameters"], Value::Null);
    assert_eq!(record["resources"][0]["ARN"], key);
    assert_eq!(record["userIdentity"]["userName"], "app");

    // A denial is seen before the state: find, authorize, permit.
    world.call("DisableKey", json!({ "KeyId": key })).unwrap();
    assert!(world.call_as(&app, "Encrypt", &request(json!({}))).unwrap_err().starts_with("AccessDenied"));
    assert!(world.call_as(&app, "Encrypt", &request(json!({ "app": "ledger" }))).unwrap_err().starts_with("Disabled"));
    world.call("EnableKey", json!({ "KeyId": key })).unwrap();

    // Another account's root user: only what the key policy gives it.
    let stranger = root(OTHER_ACCOUNT);
    let body =
        json!({ "CiphertextBlob": sealed["CiphertextBlob"], "EncryptionContext": { "app": "ledger" } }).to_string();
    let hidden = world.call_as(&stranger, "Decrypt", &body).unwrap_err();
    assert!(hidden.starts_with("AccessDeniedException: The ciphertext refers to a customer master key"), "{hidden}");
    let share =
        json!({ "Effect": "Allow", "Principal": { "AWS": OTHER_ACCOUNT }, "Action": "kms:Decrypt", "Resource": "*" });
    world.call("PutKeyPolicy", json!({ "KeyId": key, "Policy": policy(json!([own, share])) })).unwrap();
    assert_eq!(world.call_as(&stranger, "Decrypt", &body).unwrap()["Plaintext"], "AQID");
    assert!(
        world.call_as(&app, "Encrypt", &request(json!({ "app": "ledger" }))).unwrap_err().starts_with("AccessDenied")
    );
    world.restart();
    assert!(
        world.call_as(&app, "Encrypt", &request(json!({ "app": "ledger" }))).unwrap_err().starts_with("AccessDenied")
    );
}

#[test]
fn a_policy_can_hold_the_deleting_hand() {
    let mut world = World::new();
    let own = json!({ "Effect": "Allow", "Principal": { "AWS": format!("arn:aws:iam::{ACCOUNT}:root") }, "Action": "kms:*", "Resource": "*" });
    let quiet = json!({ "Effect": "Deny", "Principal": "*", "Action": ["kms:DisableKey", "kms:ScheduleKeyDeletion"], "Resource": "*",
        "Condition": { "NumericLessThanEquals": { "kms:TrailingDaysWithoutKeyUsage": "90" } } });
    let long = json!({ "Effect": "Deny", "Principal": "*", "Action": "kms:ScheduleKeyDeletion", "Resource": "*",
        "Condition": { "NumericLessThanEquals": { "kms:ScheduleKeyDeletionPendingWindowInDays": "21" } } });
    let key = world.create_key_with(json!({ "Policy": policy(json!([own, quiet, long])) })).to_string();
    let schedule = |days: i64| json!({ "KeyId": key, "PendingWindowInDays": days });
    world.pass(90 * DAY);
    let denied = world.call("ScheduleKeyDeletion", schedule(30)).unwrap_err();
    assert!(denied.ends_with("with an explicit deny in a resource-based policy"), "{denied}");
    world.encrypt(&key).unwrap();
    world.pass(90 * DAY);
    world.call("DisableKey", json!({ "KeyId": key })).unwrap_err();
    world.pass(DAY);
    world.call("DisableKey", json!({ "KeyId": key })).unwrap();
    world.call("ScheduleKeyDeletion", schedule(21)).unwrap_err();
    world.call("ScheduleKeyDeletion", schedule(22)).unwrap();
}

#[test]
fn a_policy_that_locks_its_author_out_is_refused() {
    let mut world = World::new();
    let key = world.create_key().to_string();
    let nobody = policy(
        json!([{ "Effect": "Allow", "Principal": { "AWS": format!("arn:aws:iam::{ACCOUNT}:user/x") }, "Action": "kms:*", "Resource": "*" }]),
    );
    let refused = "MalformedPolicyDocumentException: The new key policy will not allow you to update the key policy in the future.";
    assert_eq!(world.call("PutKeyPolicy", json!({ "KeyId": key, "Policy": nobody })).unwrap_err(), refused);
    assert_eq!(world.call("CreateKey", json!({ "Policy": nobody })).unwrap_err(), refused);
    let bypass = json!({ "KeyId": key, "Policy": nobody, "BypassPolicyLockoutSafetyCheck": true });
    world.call("PutKeyPolicy", bypass).unwrap();
    assert!(world.call("GetKeyPolicy", json!({ "KeyId": key })).unwrap_err().starts_with("AccessDenied"));
    for broken in ["nonsense", "{}", "[]"] {
        let error = world.call("CreateKey", json!({ "Policy": broken })).unwrap_err();
        assert!(error.starts_with("MalformedPolicyDocumentException"), "{broken}: {error}");
    }
}

#[test]
fn aliases_are_listed_by_name_and_each_region_and_account_has_its_own() {
    let mut world = World::new();
    let names = ["alias/-", "alias/A", "alias/_", "alias/a", "alias/a/b", "alias/z"];
    let mut keys = Vec::new();
    for region in ["eu-west-1", "eu-west-2", "us-east-1"] {
        world.region = region.parse().unwrap();
        for account in [ACCOUNT, OTHER_ACCOUNT] {
            for named in [&names[..2], &names[2..]] {
                let made = world.call_as(&root(account), "CreateKey", "{}").unwrap();
                let key = made["KeyMetadata"]["Arn"].as_str().unwrap().to_owned();
                for name in named.iter().rev() {
                    let body = json!({ "AliasName": name, "TargetKeyId": key }).to_string();
                    world.call_as(&root(account), "CreateAlias", &body).unwrap();
                }
                keys.push((region, account, key, named));
            }
        }
    }
    let listed = |world: &mut World, account: &str, mut body: Value| {
        let mut seen = Vec::new();
        loop {
            let page = world.call_as(&root(account), "ListAliases", &body.to_string()).unwrap();
            let names = page["Aliases"].as_array().unwrap().iter();
            seen.extend(names.map(|alias| alias["AliasName"].as_str().unwrap().to_owned()));
            match page.get("NextMarker") {
                Some(marker) => body["Marker"] = marker.clone(),
                None => return seen,
            }
        }
    };
    for (region, account, key, named) in keys {
        world.region = region.parse().unwrap();
        for limit in [1, 4, 100] {
            assert_eq!(listed(&mut world, account, json!({ "Limit": limit })), names);
        }
        assert_eq!(listed(&mut world, account, json!({ "KeyId": key })), *named);
        assert!(world.state.aliases_to(key.parse().unwrap()).map(|name| name.as_str()).eq(named.iter().copied()));
    }
}

#[test]
fn enabling_what_is_enabled_is_decided_on_the_key_as_it_is() {
    let mut world = World::new();
    let key = world.create_key().to_string();
    let body = json!({ "KeyId": key });
    let unchanging = world.decided("EnableKey", &body).unwrap();
    assert!(unchanging.put.is_empty() && !unchanging.expect.is_empty());
    world.call("DisableKey", body.clone()).unwrap();
    assert!(!world.commit(unchanging), "its record would say that the key was enabled after it was disabled");
    world.call("DisableKey", body).unwrap();
    assert_eq!(world.last_record()["eventName"], "DisableKey");
}

#[test]
fn aliases_follow_aws_rules() {
    let mut world = World::new();
    let (a, b) = (world.create_key().to_string(), world.create_key().to_string());
    let arn = format!("arn:aws:kms:eu-west-1:{ACCOUNT}:alias/app");
    let create = |name: &str, target: &str| json!({ "AliasName": name, "TargetKeyId": target });
    world.call("CreateAlias", create("alias/app", &a)).unwrap();
    assert_eq!(world.last_record()["resources"][1]["ARN"], arn);
    for (request, expected) in [
        (create("alias/app", &b), format!("AlreadyExistsException: An alias with the name {arn} already exists")),
        (
            create("app", &a),
            "ValidationException: Alias must start with the prefix \"alias/\". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html".to_owned(),
        ),
        (create("alias/aws/ebs", &a), "NotAuthorizedException".to_owned()),
        (create("alias/b", "alias/app"), "ValidationException: Aliases must refer to keys. Not aliases".to_owned()),
        (
            create("alias/a b", &a),
            "ValidationException: 1 validation error detected: Value 'alias/a b' at 'aliasName' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$".to_owned(),
        ),
    ] {
        assert_eq!(world.call("CreateAlias", request).unwrap_err(), expected);
    }
    assert!(world.call("UpdateAlias", create("alias/none", &a)).unwrap_err().starts_with("NotFoundException: Alias"));
    world.pass(60);
    world.call("UpdateAlias", create("alias/app", &b)).unwrap();
    let listed = world.call("ListAliases", json!({ "KeyId": b })).unwrap();
    assert_eq!(listed["Aliases"][0]["AliasName"], "alias/app");
    assert_eq!(
        listed["Aliases"][0]["LastUpdatedDate"].as_i64().unwrap()
            - listed["Aliases"][0]["CreationDate"].as_i64().unwrap(),
        60
    );
    assert_eq!(world.call("ListAliases", json!({ "KeyId": a })).unwrap()["Aliases"], json!([]));

    // An alias may leave a key that is pending deletion, and not come to one.
    world.call("ScheduleKeyDeletion", json!({ "KeyId": b })).unwrap();
    assert_eq!(
        world.call("CreateAlias", create("alias/c", &b)).unwrap_err(),
        format!("KMSInvalidStateException: {b} is pending deletion.")
    );
    world.call("UpdateAlias", create("alias/app", &a)).unwrap();
    assert!(world.call("UpdateAlias", create("alias/app", &b)).unwrap_err().starts_with("KMSInvalidState"));
    for n in 1..50 {
        world.call("CreateAlias", create(&format!("alias/n{n}"), &a)).unwrap();
    }
    assert!(world.call("CreateAlias", create("alias/n50", &a)).unwrap_err().starts_with("LimitExceededException"));
    world.call("DeleteAlias", json!({ "AliasName": "alias/app" })).unwrap();
    assert_eq!(world.last_record()["responseElements"]["keyId"], a);
    assert!(world.call("DeleteAlias", json!({ "AliasName": "alias/app" })).unwrap_err().starts_with("NotFound"));
}

#[test]
fn tags_follow_aws_rules() {
    let mut world = World::new();
    let key = world.create_key().to_string();
    let tag = |key: &str, value: &str| json!({ "TagKey": key, "TagValue": value });
    let put = |tags: Vec<Value>| json!({ "KeyId": key, "Tags": tags });
    world.call("TagResource", put(vec![tag("b", "1"), tag("a", "2")])).unwrap();
    assert_eq!(world.last_record()["requestParameters"]["tags"][0], json!({ "tagKey": "b", "tagValue": "1" }));
    world.call("TagResource", put(vec![tag("b", "3")])).unwrap();
    let listed = world.call("ListResourceTags", json!({ "KeyId": key })).unwrap();
    assert_eq!(listed, json!({ "Tags": [tag("a", "2"), tag("b", "3")], "Truncated": false }));
    let many = (0..49).map(|n| tag(&format!("t{n}"), "")).collect();
    for (tags, expected) in [
        (vec![tag("x", ""), tag("x", "")], "TagException: Duplicate tag keys"),
        (vec![tag("AwS:x", "")], "TagException: Tags beginning with aws: are reserved"),
        (many, "TagException: Too many tags"),
    ] {
        assert_eq!(world.call("TagResource", put(tags)).unwrap_err(), expected);
    }
    let long = "k".repeat(129);
    assert_eq!(
        world.call("TagResource", put(vec![tag(&long, "")])).unwrap_err(),
        format!(
            "ValidationException: 1 validation error detected: Value '{long}' at 'tags.1.member.tagKey' failed to satisfy constraint: Member must have length less than or equal to 128"
        )
    );
    world.call("UntagResource", json!({ "KeyId": key, "TagKeys": ["a", "unknown"] })).unwrap();
    assert_eq!(world.call("ListResourceTags", json!({ "KeyId": key })).unwrap()["Tags"], json!([tag("b", "3")]));
}

#[test]
fn lists_come_in_pages_that_miss_nothing() {
    let mut world = World::new();
    let mut keys: Vec<String> = (0..25).map(|_| world.create_key().key.to_string()).collect();
    keys.sort();
    world.region = "us-east-1".parse().unwrap();
    world.create_key();
    world.region = "eu-west-1".parse().unwrap();
    let (mut seen, mut marker) = (Vec::new(), Value::Null);
    loop {
        let mut request = json!({ "Limit": 7 });
        if !marker.is_null() {
            request["Marker"] = marker;
        }
        let page = world.call("ListKeys", request).unwrap();
        let items = page["Keys"].as_array().unwrap();
        assert!(items.len() <= 7);
        seen.extend(items.iter().map(|item| item["KeyId"].as_str().unwrap().to_owned()));
        marker = page["NextMarker"].clone();
        assert_eq!(page["Truncated"], !marker.is_null());
        if marker.is_null() {
            break;
        }
    }
    assert_eq!(seen, keys);
    assert_eq!(world.call("ListKeys", json!({ "Marker": "nonsense" })).unwrap_err(), "InvalidMarkerException");
    let mut owned_by = |owners: Value| world.call("ListKeys", json!({ "ResourceOwners": owners }));
    let own = owned_by(json!(["SELF"])).unwrap();
    assert_eq!(owned_by(json!(["OTHER_ACCOUNTS_VIA_RAM", "SELF"])).unwrap(), own);
    assert_eq!(owned_by(json!(["OTHER_ACCOUNTS_VIA_RAM"])).unwrap(), json!({ "Keys": [], "Truncated": false }));
    assert!(
        owned_by(json!([]))
            .unwrap_err()
            .contains("at 'resourceOwners' failed to satisfy constraint: Member must have length")
    );
    assert!(owned_by(json!(["ALL"])).unwrap_err().contains("enum value set: [SELF, OTHER_ACCOUNTS_VIA_RAM]"));
    assert!(world.call("ListKeys", json!({ "Limit": 1001 })).unwrap_err().contains("at 'limit'"));
}

#[test]
fn what_is_not_offered_says_so() {
    let mut world = World::new();
    let key = world.create_key().to_string();
    let blob = world.encrypt(&key).unwrap();
    let recipient = json!({ "CiphertextBlob": blob, "Recipient": {} });
    assert_eq!(
        world.call("Decrypt", recipient).unwrap_err(),
        "ValidationException: Recipient needs KeyEncryptionAlgorithm and AttestationDocument."
    );
    for (request, code) in [
        (json!({ "KeySpec": "RSA_2048" }), "ValidationException: You must specify a KeyUsage value"),
        (
            json!({ "KeySpec": "SM2", "KeyUsage": "SIGN_VERIFY" }),
            "UnsupportedOperationException: KeySpec SM2 is not supported in this region.",
        ),
        (json!({ "KeyUsage": "SIGN_VERIFY" }), "ValidationException: KeyUsage SIGN_VERIFY is not compatible"),
        (json!({ "Origin": "AWS_CLOUDHSM" }), "ValidationException: CustomKeyStoreId is required"),
        (json!({ "Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": "cks-1" }), "CustomKeyStoreNotFoundException"),
        (json!({ "KeySpec": "AES" }), "ValidationException: 1 validation error detected: Value 'AES' at 'keySpec'"),
    ] {
        let error = world.call("CreateKey", request).unwrap_err();
        assert!(error.starts_with(code), "{error}");
    }
}

#[test]
fn users_without_policies_may_only_ask_who_they_are() {
    let mut world = World::new();
    let app = user("app");
    for operation in ["CreateKey", "ListKeys", "ListAliases", "GenerateRandom"] {
        let error = world.call_as(&app, operation, "{}").unwrap_err();
        let arn = &app.arn;
        assert_eq!(
            error,
            format!(
                "AccessDeniedException: User: {arn} is not authorized to perform: kms:{operation} on resource: * because no identity-based policy allows the kms:{operation} action"
            )
        );
    }
    let who = world.call_as(&app, "GetCallerIdentity", "").unwrap();
    assert_eq!((&who["Account"], &who["Arn"]), (&json!(ACCOUNT), &json!(app.arn)));
    assert!(who["UserId"].as_str().unwrap().starts_with("AIDA"));
    assert_eq!(world.call("GetCallerIdentity", json!({})).unwrap()["UserId"], ACCOUNT);
}

#[test]
fn no_secret_is_ever_recorded() {
    let mut world = World::new();
    let key = world.create_key().to_string();
    let plaintext = "dGhlIHNlY3JldCBvZiBzZWNyZXRz";
    let grantee = format!("arn:aws:iam::{ACCOUNT}:user/app");
    let grant = json!({ "KeyId": key, "GranteePrincipal": grantee, "Operations": ["Encrypt"] });
    let token = world.call("CreateGrant", grant).unwrap()["GrantToken"].as_str().unwrap().to_owned();
    let sealed =
        world.call("Encrypt", json!({ "KeyId": key, "Plaintext": plaintext, "GrantTokens": [token] })).unwrap();
    let blob = sealed["CiphertextBlob"].as_str().unwrap().to_owned();
    world.call("Decrypt", json!({ "CiphertextBlob": blob })).unwrap();
    world.call("ReEncrypt", json!({ "CiphertextBlob": blob, "DestinationKeyId": key })).unwrap();
    world.call("Encrypt", json!({ "KeyId": "alias/none", "Plaintext": plaintext })).unwrap_err();
    let data = world.call("GenerateDataKey", json!({ "KeyId": key, "KeySpec": "AES_256" })).unwrap();
    let trail = serde_json::to_string(&world.trail).unwrap();
    for secret in [plaintext, &blob, &token, data["Plaintext"].as_str().unwrap()] {
        assert!(!trail.contains(secret));
    }
}
