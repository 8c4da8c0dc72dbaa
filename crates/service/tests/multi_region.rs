//! Multi-Region keys: lives of families, told as clients in several Regions see them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::collections::BTreeMap;

use api::{KeyArn, Region};
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use service::Commit;
use world::{ACCOUNT, World};

const DAY: i64 = 86_400;
const HOME: &str = "eu-west-1";
const WEST: &str = "us-west-2";
const EAST: &str = "ap-northeast-1";

fn region(name: &str) -> Region {
    name.parse().unwrap()
}

/// Calls in a Region about the family's member there.
fn call(world: &mut World, at: &str, operation: &str, key: &KeyArn, mut body: Value) -> Result<Value, String> {
    world.region = region(at);
    body["KeyId"] = json!(key.key.to_string());
    world.call(operation, body)
}

fn family(world: &mut World, replicas: &[&str]) -> KeyArn {
    world.region = region(HOME);
    let key = world.create_key_with(json!({ "MultiRegion": true }));
    for at in replicas {
        call(world, HOME, "ReplicateKey", &key, json!({ "ReplicaRegion": at })).unwrap();
    }
    world.pass(10);
    key
}

fn member(key: &KeyArn, at: &str) -> KeyArn {
    KeyArn { region: region(at), ..*key }
}

/// `PRIMARY Enabled`, or the error.
fn seen(world: &mut World, at: &str, key: &KeyArn) -> String {
    match call(world, at, "DescribeKey", key, json!({})) {
        Ok(answer) => {
            let metadata = &answer["KeyMetadata"];
            let role = metadata["MultiRegionConfiguration"]["MultiRegionKeyType"].as_str().unwrap();
            format!("{role} {}", metadata["KeyState"].as_str().unwrap())
        }
        Err(error) => error.replace(&key.key.to_string(), "KEY"),
    }
}

fn relatives(world: &mut World, at: &str, key: &KeyArn) -> Value {
    let answer = call(world, at, "DescribeKey", key, json!({})).unwrap();
    let configuration = &answer["KeyMetadata"]["MultiRegionConfiguration"];
    let replicas: Vec<_> = configuration["ReplicaKeys"].as_array().unwrap().iter().map(|it| &it["Region"]).collect();
    json!({ "primary": configuration["PrimaryKey"]["Region"], "replicas": replicas })
}

/// `eventName Region` of the records since `from`.
fn told(world: &World, from: usize) -> Vec<String> {
    let line =
        |record: &Value| format!("{} {}", record["eventName"].as_str().unwrap(), record["awsRegion"].as_str().unwrap());
    world.trail[from..].iter().map(line).collect()
}

#[test]
fn a_replica_is_made_in_a_moment_and_opens_what_the_primary_sealed() {
    let mut world = World::new();
    let key = family(&mut world, &[]);
    let sealed = call(&mut world, HOME, "Encrypt", &key, json!({ "Plaintext": "AQID" })).unwrap();
    let begun = world.trail.len();
    let made = call(
        &mut world,
        HOME,
        "ReplicateKey",
        &key,
        json!({ "ReplicaRegion": WEST, "Description": "away", "Tags": [{ "TagKey": "a", "TagValue": "b" }] }),
    )
    .unwrap();
    let metadata = &made["ReplicaKeyMetadata"];
    assert_eq!(metadata["Arn"], member(&key, WEST).to_string());
    assert_eq!(metadata["KeyId"], key.key.to_string());
    assert_eq!((&metadata["KeyState"], &metadata["Enabled"]), (&json!("Creating"), &json!(false)));
    assert_eq!(metadata["Description"], "away");
    assert_eq!(made["ReplicaTags"], json!([{ "TagKey": "a", "TagValue": "b" }]));
    assert!(made["ReplicaPolicy"].as_str().unwrap().contains(ACCOUNT));
    let configuration = &metadata["MultiRegionConfiguration"];
    assert_eq!(configuration["MultiRegionKeyType"], "REPLICA");
    assert_eq!(configuration["PrimaryKey"], json!({ "Arn": key.to_string(), "Region": HOME }));
    assert_eq!(configuration["ReplicaKeys"], json!([{ "Arn": member(&key, WEST).to_string(), "Region": WEST }]));

    // Two events, each in its Region.
    assert_eq!(told(&world, begun), ["ReplicateKey eu-west-1", "CreateKey us-west-2"]);
    let (call_of, made_by) = (&world.trail[begun], &world.trail[begun + 1]);
    assert_eq!(call_of["requestParameters"]["replicaRegion"], WEST);
    assert_eq!(call_of["responseElements"]["replicaKeyMetadata"]["keyState"], "Creating");
    assert_eq!(call_of["resources"][0]["ARN"], key.to_string());
    assert_eq!(made_by["userIdentity"]["invokedBy"], "AWS Internal");
    assert_eq!(made_by["requestID"], call_of["requestID"]);
    assert_ne!(made_by["eventID"], call_of["eventID"]);
    assert_eq!(made_by["resources"][0]["ARN"], member(&key, WEST).to_string());

    let decrypt = json!({ "CiphertextBlob": sealed["CiphertextBlob"] });
    world.region = region(WEST);
    let early = world.call("Decrypt", decrypt.clone()).unwrap_err();
    assert_eq!(early, format!("KMSInvalidStateException: {} is creating.", member(&key, WEST)));
    let begun = world.trail.len();
    world.pass(2);
    assert_eq!(told(&world, begun), ["SynchronizeMultiRegionKey us-west-2"]);
    assert_eq!(world.call("Decrypt", decrypt).unwrap()["Plaintext"], "AQID");
    assert_eq!(relatives(&mut world, HOME, &key), json!({ "primary": HOME, "replicas": [WEST] }));

    // Each has its own last use, its own tags and its own policy.
    let used = |world: &mut World, at: &str| {
        call(world, at, "GetKeyLastUsage", &key, json!({})).unwrap()["KeyLastUsage"]["Operation"].clone()
    };
    assert_eq!((used(&mut world, HOME), used(&mut world, WEST)), (json!("Encrypt"), json!("Decrypt")));
    let tags = call(&mut world, HOME, "ListResourceTags", &key, json!({})).unwrap();
    assert_eq!(tags["Tags"], json!([]));
    call(&mut world, WEST, "DisableKey", &key, json!({})).unwrap();
    assert_eq!(seen(&mut world, HOME, &key), "PRIMARY Enabled");
    assert_eq!(seen(&mut world, WEST, &key), "REPLICA Disabled");

    world.restart();
    assert_eq!(seen(&mut world, WEST, &key), "REPLICA Disabled");
    assert_eq!(relatives(&mut world, WEST, &key), json!({ "primary": HOME, "replicas": [WEST] }));
}

#[test]
fn only_a_primary_is_replicated_and_once_into_each_region() {
    let mut world = World::new();
    let key = family(&mut world, &[WEST]);
    let replicate = |world: &mut World, at: &str, to: &str| {
        call(world, at, "ReplicateKey", &key, json!({ "ReplicaRegion": to })).unwrap_err()
    };
    let there = member(&key, WEST);
    assert_eq!(
        replicate(&mut world, WEST, EAST),
        format!("UnsupportedOperationException: {there} is not a multi-region primary key.")
    );
    for at in [HOME, WEST] {
        let expected = format!(
            "AlreadyExistsException: A related multi-region key with the ARN {} already exists",
            member(&key, at)
        );
        assert_eq!(replicate(&mut world, HOME, at), expected);
    }
    assert_eq!(
        replicate(&mut world, HOME, "cn-north-1"),
        "UnsupportedOperationException: cn-north-1 is not a region of the partition aws."
    );
    assert_eq!(
        replicate(&mut world, HOME, "nowhere"),
        "ValidationException: 1 validation error detected: Value 'nowhere' at 'replicaRegion' failed to satisfy constraint: \
         Member must satisfy regular expression pattern: ^([a-z]+-){2,3}\\d+$"
    );
    let single = world.create_key();
    assert_eq!(
        world.call("ReplicateKey", json!({ "KeyId": single.to_string(), "ReplicaRegion": WEST })).unwrap_err(),
        format!("UnsupportedOperationException: {single} is not a multi-region primary key.")
    );
    let locked = json!({ "ReplicaRegion": EAST, "Policy": json!({
        "Version": "2012-10-17",
        "Statement": { "Effect": "Allow", "Principal": { "AWS": "*" }, "Action": "kms:Decrypt", "Resource": "*" },
    }).to_string() });
    let refused = call(&mut world, HOME, "ReplicateKey", &key, locked).unwrap_err();
    assert!(refused.starts_with("MalformedPolicyDocumentException"), "{refused}");
    assert_eq!(relatives(&mut world, HOME, &key), json!({ "primary": HOME, "replicas": [WEST] }));
}

#[test]
fn policies_may_ask_for_regions_and_roles() {
    let mut world = World::new();
    let key = family(&mut world, &[WEST]);
    let allow = |condition: Value, action: &str| {
        json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Principal": { "AWS": format!("arn:aws:iam::{ACCOUNT}:root") }, "Action": "kms:PutKeyPolicy", "Resource": "*" },
            { "Effect": "Allow", "Principal": { "AWS": "*" }, "Action": action, "Resource": "*", "Condition": condition },
        ]}).to_string()
    };
    for (action, body, fits, fails) in [
        (
            "ReplicateKey",
            json!({ "ReplicaRegion": EAST }),
            json!({ "kms:ReplicaRegion": EAST }),
            json!({ "kms:ReplicaRegion": WEST }),
        ),
        (
            "UpdatePrimaryRegion",
            json!({ "PrimaryRegion": WEST }),
            json!({ "kms:PrimaryRegion": WEST }),
            json!({ "kms:MultiRegionKeyType": "REPLICA" }),
        ),
    ] {
        let name = format!("kms:{action}");
        for at in [HOME, WEST] {
            let policy = allow(json!({ "StringEquals": fails }), &name);
            call(&mut world, at, "PutKeyPolicy", &key, json!({ "Policy": policy })).unwrap();
        }
        let refused = call(&mut world, HOME, action, &key, body.clone()).unwrap_err();
        assert!(refused.starts_with("AccessDeniedException"), "{refused}");
        let policy = allow(json!({ "StringEquals": fits, "Bool": { "kms:MultiRegion": "true" } }), &name);
        call(&mut world, HOME, "PutKeyPolicy", &key, json!({ "Policy": policy })).unwrap();
        if action == "UpdatePrimaryRegion" {
            // Both ends are asked.
            let policy = allow(json!({ "StringEquals": { "kms:MultiRegionKeyType": "PRIMARY" } }), &name);
            call(&mut world, WEST, "PutKeyPolicy", &key, json!({ "Policy": policy })).unwrap();
            let refused = call(&mut world, HOME, action, &key, body.clone()).unwrap_err();
            assert!(refused.contains(&member(&key, WEST).to_string()), "{refused}");
            let policy = allow(json!({ "StringEquals": { "kms:MultiRegionKeyType": "REPLICA" } }), &name);
            call(&mut world, WEST, "PutKeyPolicy", &key, json!({ "Policy": policy })).unwrap();
        }
        call(&mut world, HOME, action, &key, body).unwrap();
    }
}

#[test]
fn the_primary_moves_and_the_old_one_may_be_deleted() {
    let mut world = World::new();
    let key = family(&mut world, &[WEST, EAST]);
    let begun = world.trail.len();
    call(&mut world, HOME, "UpdatePrimaryRegion", &key, json!({ "PrimaryRegion": WEST })).unwrap();
    assert_eq!(told(&world, begun), ["UpdatePrimaryRegion eu-west-1", "UpdatePrimaryRegion us-west-2"]);
    let (here, there) = (&world.trail[begun], &world.trail[begun + 1]);
    assert_eq!(here["requestID"], there["requestID"]);
    assert_eq!(here["userIdentity"], there["userIdentity"]);
    assert_eq!(there["requestParameters"], json!({ "keyId": member(&key, WEST).to_string(), "primaryRegion": WEST }));
    assert_eq!(here["responseElements"]["keyId"], key.to_string());
    assert_eq!(there["responseElements"]["keyId"], member(&key, WEST).to_string());

    assert_eq!(seen(&mut world, HOME, &key), "REPLICA Updating");
    assert_eq!(seen(&mut world, WEST, &key), "PRIMARY Updating");
    assert_eq!(seen(&mut world, EAST, &key), "REPLICA Enabled");
    assert_eq!(relatives(&mut world, EAST, &key), json!({ "primary": WEST, "replicas": [EAST, HOME] }));
    // Usable meanwhile, but neither replicated nor managed.
    call(&mut world, WEST, "Encrypt", &key, json!({ "Plaintext": "AQID" })).unwrap();
    for (at, operation, body) in [
        (WEST, "ReplicateKey", json!({ "ReplicaRegion": "sa-east-1" })),
        (WEST, "DisableKey", json!({})),
        (HOME, "ScheduleKeyDeletion", json!({})),
    ] {
        let refused = call(&mut world, at, operation, &key, body).unwrap_err();
        assert_eq!(refused, format!("KMSInvalidStateException: {} is updating.", member(&key, at)));
    }
    world.pass(2);
    assert_eq!(seen(&mut world, WEST, &key), "PRIMARY Enabled");
    call(&mut world, HOME, "ScheduleKeyDeletion", &key, json!({ "PendingWindowInDays": 7 })).unwrap();
    world.pass(7 * DAY);
    assert!(seen(&mut world, HOME, &key).starts_with("NotFoundException"));
    assert_eq!(relatives(&mut world, WEST, &key), json!({ "primary": WEST, "replicas": [EAST] }));
    // And comes back as a replica of the new primary.
    call(&mut world, WEST, "ReplicateKey", &key, json!({ "ReplicaRegion": HOME })).unwrap();
    world.pass(2);
    assert_eq!(seen(&mut world, HOME, &key), "REPLICA Enabled");
    assert_eq!(world.state.tombstone(&key), None);
}

#[test]
fn a_primary_moves_only_to_a_replica_that_is_enabled() {
    let mut world = World::new();
    let key = family(&mut world, &[WEST]);
    let refused = |world: &mut World, at: &str, to: &str| {
        call(world, at, "UpdatePrimaryRegion", &key, json!({ "PrimaryRegion": to })).unwrap_err()
    };
    assert_eq!(
        refused(&mut world, WEST, HOME),
        format!("UnsupportedOperationException: {} is not a multi-region primary key.", member(&key, WEST))
    );
    assert_eq!(
        refused(&mut world, HOME, EAST),
        format!("NotFoundException: Key '{}' does not exist", member(&key, EAST))
    );
    assert!(refused(&mut world, HOME, HOME).starts_with("ValidationException"));
    call(&mut world, WEST, "DisableKey", &key, json!({})).unwrap();
    assert_eq!(refused(&mut world, HOME, WEST), format!("DisabledException: {} is disabled.", member(&key, WEST)));
    call(&mut world, WEST, "EnableKey", &key, json!({})).unwrap();
    call(&mut world, HOME, "DisableKey", &key, json!({})).unwrap();
    assert_eq!(refused(&mut world, HOME, WEST), format!("DisabledException: {key} is disabled."));
}

#[test]
fn a_primary_waits_until_its_last_replica_is_deleted_and_then_its_own_period() {
    let mut world = World::new();
    let key = family(&mut world, &[WEST, EAST]);
    let scheduled = call(&mut world, HOME, "ScheduleKeyDeletion", &key, json!({ "PendingWindowInDays": 9 })).unwrap();
    assert_eq!(
        scheduled,
        json!({ "KeyId": key.to_string(), "KeyState": "PendingReplicaDeletion", "PendingWindowInDays": 9 })
    );
    assert_eq!(world.last_record()["responseElements"].get("deletionDate"), None);
    let described = call(&mut world, HOME, "DescribeKey", &key, json!({})).unwrap();
    assert_eq!(described["KeyMetadata"]["PendingDeletionWindowInDays"], 9);
    assert_eq!(described["KeyMetadata"].get("DeletionDate"), None);
    let waiting = format!("KMSInvalidStateException: {key} is pending replica deletion.");
    for (operation, body) in [
        ("Encrypt", json!({ "Plaintext": "AQID" })),
        ("ReplicateKey", json!({ "ReplicaRegion": "sa-east-1" })),
        ("UpdatePrimaryRegion", json!({ "PrimaryRegion": WEST })),
        ("ScheduleKeyDeletion", json!({})),
    ] {
        assert_eq!(call(&mut world, HOME, operation, &key, body).unwrap_err(), waiting);
    }
    // The replicas live on, for as long as nobody schedules them.
    world.pass(400 * DAY);
    assert_eq!(seen(&mut world, WEST, &key), "REPLICA Enabled");
    call(&mut world, WEST, "ScheduleKeyDeletion", &key, json!({ "PendingWindowInDays": 7 })).unwrap();
    call(&mut world, EAST, "ScheduleKeyDeletion", &key, json!({ "PendingWindowInDays": 8 })).unwrap();
    world.pass(7 * DAY);
    assert_eq!(seen(&mut world, HOME, &key), "PRIMARY PendingReplicaDeletion");
    let begun = world.trail.len();
    world.pass(DAY);
    assert_eq!(told(&world, begun), ["DeleteKey ap-northeast-1"]);
    let described = call(&mut world, HOME, "DescribeKey", &key, json!({})).unwrap();
    assert_eq!(described["KeyMetadata"]["KeyState"], "PendingDeletion");
    assert_eq!(described["KeyMetadata"]["DeletionDate"], json!(world.now.as_second() + 9 * DAY));
    world.restart();
    world.pass(9 * DAY - 1);
    assert_eq!(seen(&mut world, HOME, &key), "PRIMARY PendingDeletion");
    world.pass(1);
    assert!(seen(&mut world, HOME, &key).starts_with("NotFoundException"));
}

#[test]
fn two_replicas_that_are_due_together_both_go_and_the_primary_waits_from_then() {
    let mut world = World::new();
    let key = family(&mut world, &[WEST, EAST]);
    call(&mut world, HOME, "ScheduleKeyDeletion", &key, json!({ "PendingWindowInDays": 7 })).unwrap();
    for at in [WEST, EAST] {
        call(&mut world, at, "ScheduleKeyDeletion", &key, json!({ "PendingWindowInDays": 7 })).unwrap();
    }
    let mut gone = world.pass(20 * DAY);
    gone.sort();
    assert_eq!(gone, [member(&key, EAST), member(&key, WEST)]);
    assert_eq!(seen(&mut world, HOME, &key), "PRIMARY PendingDeletion");
    world.pass(7 * DAY - 1);
    assert_eq!(seen(&mut world, HOME, &key), "PRIMARY PendingDeletion");
    assert_eq!(world.pass(1), [key]);
}

#[test]
fn a_cancelled_primary_is_not_deleted_with_its_last_replica() {
    let mut world = World::new();
    let key = family(&mut world, &[WEST]);
    call(&mut world, HOME, "ScheduleKeyDeletion", &key, json!({ "PendingWindowInDays": 7 })).unwrap();
    call(&mut world, WEST, "ScheduleKeyDeletion", &key, json!({ "PendingWindowInDays": 7 })).unwrap();
    world.now = api::Timestamp::from_second(world.now.as_second() + 7 * DAY).unwrap();
    // Decided, and not yet committed, when somebody cancels.
    let decided = world.due().remove(0).batch;
    call(&mut world, HOME, "CancelKeyDeletion", &key, json!({})).unwrap();
    assert!(!world.commit(decided), "the deletion was decided on a primary that waited");
    assert_eq!(world.tick(), [member(&key, WEST)]);
    assert_eq!(seen(&mut world, HOME, &key), "PRIMARY Disabled");
    world.pass(60 * DAY);
    assert_eq!(seen(&mut world, HOME, &key), "PRIMARY Disabled");
}

#[test]
fn a_primary_that_is_scheduled_while_its_last_replica_dies_does_not_wait_for_ever() {
    let mut world = World::new();
    let key = family(&mut world, &[WEST]);
    call(&mut world, WEST, "ScheduleKeyDeletion", &key, json!({ "PendingWindowInDays": 7 })).unwrap();
    world.now = api::Timestamp::from_second(world.now.as_second() + 7 * DAY).unwrap();
    let decided = world.due().remove(0).batch;
    call(&mut world, HOME, "ScheduleKeyDeletion", &key, json!({ "PendingWindowInDays": 7 })).unwrap();
    assert_eq!(seen(&mut world, HOME, &key), "PRIMARY PendingReplicaDeletion");
    assert!(!world.commit(decided), "the deletion was decided on a primary that did not wait");
    world.tick();
    assert_eq!(seen(&mut world, HOME, &key), "PRIMARY PendingDeletion");
}

/// Of two changes that were decided on one moment, the second finds out.
#[test]
fn changes_of_one_family_never_cross() {
    let replicate = ("ReplicateKey", json!({ "ReplicaRegion": EAST }));
    let schedule = ("ScheduleKeyDeletion", json!({ "PendingWindowInDays": 7 }));
    let promote = ("UpdatePrimaryRegion", json!({ "PrimaryRegion": WEST }));
    let disable = ("DisableKey", json!({}));
    for (first, second) in [
        (&replicate, &schedule),
        (&schedule, &replicate),
        (&replicate, &promote),
        (&promote, &replicate),
        (&promote, &schedule),
        (&promote, &disable),
        (&disable, &promote),
        (&replicate, &replicate),
        (&promote, &promote),
    ] {
        for replicas in [&[WEST][..], &[]] {
            let mut world = World::new();
            let key = family(&mut world, replicas);
            world.region = region(HOME);
            let mut batches = [first, second].map(|(operation, body)| {
                let mut body = body.clone();
                body["KeyId"] = json!(key.key.to_string());
                world.decided(operation, &body)
            });
            let [Some(_), Some(_)] = &batches else { continue };
            let [one, other] = &mut batches;
            assert!(world.commit(one.take().unwrap()));
            assert!(!world.commit(other.take().unwrap()), "{} and {} both happened", first.0, second.0);
        }
    }
}

/// A family as a few lines tell it, one step after the other: what is lived through in random histories below must agree.
struct Naive {
    primary: &'static str,
    members: BTreeMap<&'static str, Life>,
    now: i64,
    rotations: usize,
    deleted: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Creating { until: i64 },
    Enabled,
    Disabled,
    Updating { until: i64 },
    Pending { date: i64 },
    PendingReplicas { days: i64 },
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Replicate { to: &'static str },
    MoveTo { to: &'static str },
    Schedule { days: i64 },
    Cancel,
    Disable,
    Enable,
    Rotate,
    Encrypt,
}

impl Act {
    fn request(self) -> (&'static str, Value) {
        match self {
            Act::Replicate { to } => ("ReplicateKey", json!({ "ReplicaRegion": to })),
            Act::MoveTo { to } => ("UpdatePrimaryRegion", json!({ "PrimaryRegion": to })),
            Act::Schedule { days } => ("ScheduleKeyDeletion", json!({ "PendingWindowInDays": days })),
            Act::Cancel => ("CancelKeyDeletion", json!({})),
            Act::Disable => ("DisableKey", json!({})),
            Act::Enable => ("EnableKey", json!({})),
            Act::Rotate => ("RotateKeyOnDemand", json!({})),
            Act::Encrypt => ("Encrypt", json!({ "Plaintext": "AQID" })),
        }
    }
}

impl Naive {
    /// What `act` in Region `at` answers: `ok`, or how the refusal ends.
    fn act(&mut self, at: &'static str, act: Act) -> &'static str {
        let Some(life) = self.members.get(at).copied() else { return "does not exist" };
        let (leads, now) = (self.primary == at, self.now);
        let state = match life {
            Life::Enabled => "",
            Life::Creating { .. } => "is creating.",
            Life::Disabled => "is disabled.",
            Life::Updating { .. } => "is updating.",
            Life::Pending { .. } => "is pending deletion.",
            Life::PendingReplicas { .. } => "is pending replica deletion.",
        };
        let usable = matches!(life, Life::Enabled | Life::Updating { .. });
        let waits = matches!(life, Life::Pending { .. } | Life::PendingReplicas { .. });
        let next = match act {
            Act::Encrypt if usable => life,
            Act::Encrypt => return state,
            Act::Rotate if !usable => return state,
            Act::Rotate if !leads => return "is not a multi-region primary key.",
            Act::Rotate if self.rotations == 25 => return "LimitExceededException",
            Act::Rotate => {
                self.rotations += 1;
                life
            }
            Act::Replicate { .. } if life != Life::Enabled => return state,
            Act::Replicate { .. } if !leads => return "is not a multi-region primary key.",
            Act::Replicate { to } if self.members.contains_key(to) => return "already exists",
            Act::Replicate { to } => {
                self.members.insert(to, Life::Creating { until: now + 2 });
                life
            }
            Act::MoveTo { .. } if !leads => return "is not a multi-region primary key.",
            Act::MoveTo { to } if to == at => return "name the Region of a replica.",
            Act::MoveTo { to } if !self.members.contains_key(to) => return "does not exist",
            Act::MoveTo { .. } if !usable => return state,
            Act::MoveTo { to } => match self.members[to] {
                Life::Enabled | Life::Updating { .. } => {
                    self.primary = to;
                    self.members.insert(to, Life::Updating { until: now + 2 });
                    Life::Updating { until: now + 2 }
                }
                Life::Creating { .. } => return "is creating.",
                Life::Disabled => return "is disabled.",
                Life::Pending { .. } | Life::PendingReplicas { .. } => return "is pending deletion.",
            },
            Act::Schedule { .. } if waits || matches!(life, Life::Updating { .. }) => return state,
            Act::Schedule { days } if leads && self.members.len() > 1 => Life::PendingReplicas { days },
            Act::Schedule { days } => Life::Pending { date: now + days * DAY },
            Act::Cancel if waits => Life::Disabled,
            Act::Cancel => return "is not pending deletion.",
            Act::Disable | Act::Enable if waits || !matches!(life, Life::Enabled | Life::Disabled) => return state,
            Act::Disable => Life::Disabled,
            Act::Enable => Life::Enabled,
        };
        self.members.insert(at, next);
        "ok"
    }

    fn pass(&mut self, seconds: i64) {
        self.now += seconds;
        let now = self.now;
        let before = self.members.len();
        self.members.retain(|_, life| !matches!(life, Life::Pending { date } if *date <= now));
        self.deleted += before - self.members.len();
        if let ([at], true) = (&self.members.keys().copied().collect::<Vec<_>>()[..], before > 1) {
            assert_eq!(*at, self.primary, "a primary outlives its replicas");
            if let Life::PendingReplicas { days } = self.members[at] {
                self.members.insert(at, Life::Pending { date: now + days * DAY });
            }
        }
        for life in self.members.values_mut() {
            if let Life::Creating { until } | Life::Updating { until } = life
                && *until <= now
            {
                *life = Life::Enabled;
            }
        }
    }

    fn seen(&self, at: &str) -> Option<String> {
        let role = if self.primary == at { "PRIMARY" } else { "REPLICA" };
        let state = match self.members.get(at)? {
            Life::Creating { .. } => "Creating",
            Life::Enabled => "Enabled",
            Life::Disabled => "Disabled",
            Life::Updating { .. } => "Updating",
            Life::Pending { .. } => "PendingDeletion",
            Life::PendingReplicas { .. } => "PendingReplicaDeletion",
        };
        Some(format!("{role} {state}"))
    }
}

#[derive(Debug, Clone)]
enum Step {
    One(&'static str, Act),
    /// Two calls that are decided on one moment.
    Two((&'static str, Act), (&'static str, Act)),
    /// A call while what is due has been decided and not yet been done.
    Late(i64, &'static str, Act),
    Pass(i64),
    Restart,
}

const REGIONS: [&str; 3] = [HOME, WEST, EAST];

fn act() -> impl Strategy<Value = (&'static str, Act)> {
    let to = || select(&REGIONS[..]);
    let act = prop_oneof![
        3 => to().prop_map(|to| Act::Replicate { to }),
        3 => to().prop_map(|to| Act::MoveTo { to }),
        3 => (7i64..=9).prop_map(|days| Act::Schedule { days }),
        1 => Just(Act::Cancel),
        1 => Just(Act::Disable),
        2 => Just(Act::Enable),
        1 => Just(Act::Rotate),
        1 => Just(Act::Encrypt),
    ];
    (to(), act)
}

fn step() -> impl Strategy<Value = Step> {
    let seconds = || prop_oneof![2 => 0i64..5, 2 => 0i64..10 * DAY, 1 => Just(7 * DAY)];
    prop_oneof![
        6 => act().prop_map(|(at, act)| Step::One(at, act)),
        3 => (act(), act()).prop_map(|(one, other)| Step::Two(one, other)),
        2 => (seconds(), act()).prop_map(|(seconds, (at, act))| Step::Late(seconds, at, act)),
        4 => seconds().prop_map(Step::Pass),
        1 => Just(Step::Restart),
    ]
}

/// A call, and how its answer ends as [`Naive::act`] tells it.
fn agree(world: &mut World, naive: &mut Naive, key: &KeyArn, (at, act): (&'static str, Act)) {
    let (operation, body) = act.request();
    let answer = call(world, at, operation, key, body);
    told_alike(&answer, naive.act(at, act), (at, act));
}

fn told_alike(answer: &Result<Value, String>, expected: &str, asked: (&str, Act)) {
    match answer {
        Ok(_) => assert_eq!("ok", expected, "{asked:?}"),
        Err(error) => assert!(error.contains(expected), "{asked:?}: {error}, expected {expected}"),
    }
}

fn live(steps: &[Step]) {
    let mut world = World::new();
    let key = family(&mut world, &[WEST]);
    let sealed = call(&mut world, HOME, "Encrypt", &key, json!({ "Plaintext": "AQID" })).unwrap();
    let members = BTreeMap::from([(HOME, Life::Enabled), (WEST, Life::Enabled)]);
    let mut naive = Naive { primary: HOME, members, now: world.now.as_second(), rotations: 0, deleted: 0 };
    for step in steps {
        match step {
            Step::One(at, act) => agree(&mut world, &mut naive, &key, (at, *act)),
            Step::Two(one, other) => {
                let [first, second] = [one, other].map(|(at, act)| {
                    let (operation, mut body) = act.request();
                    body["KeyId"] = json!(key.key.to_string());
                    world.region = region(at);
                    world.effect_of(operation, &body)
                });
                // One that changes nothing comes before the other; of two changes the second may find out, and is asked again.
                let (ahead, behind) = match (&first.commit, &second.commit) {
                    (_, Commit::Append(_)) => ((other, second), (one, first)),
                    (_, Commit::Batch(_)) => ((one, first), (other, second)),
                };
                for ((at, act), effect) in [ahead, behind] {
                    match effect.commit {
                        Commit::Batch(batch) if !world.commit(batch.clone()) => {
                            agree(&mut world, &mut naive, &key, (at, *act));
                        }
                        Commit::Batch(_) | Commit::Append(_) => {
                            let answer = effect.reply.map(|_| Value::Null).map_err(|fault| fault.to_string());
                            told_alike(&answer, naive.act(at, *act), (at, *act));
                        }
                    }
                }
            }
            Step::Late(seconds, at, act) => {
                world.now = api::Timestamp::from_second(world.now.as_second() + seconds).unwrap();
                let due = world.due();
                // The call sees what time has not yet done.
                naive.now += seconds;
                agree(&mut world, &mut naive, &key, (at, *act));
                for due in due {
                    world.commit(due.batch);
                }
                world.tick();
                naive.pass(0);
            }
            Step::Pass(seconds) => {
                world.pass(*seconds);
                naive.pass(*seconds);
            }
            Step::Restart => world.restart(),
        }
        assert_eq!(world.now.as_second(), naive.now);
        let mut seen_materials = Vec::new();
        for at in REGIONS {
            let state = seen(&mut world, at, &key);
            let Some(expected) = naive.seen(at) else {
                assert!(state.contains("does not exist"), "{at}: {state}");
                continue;
            };
            assert_eq!(state, expected, "{at}");
            let mut replicas: Vec<&str> = naive.members.keys().copied().filter(|at| *at != naive.primary).collect();
            replicas.sort_unstable();
            let expected = json!({ "primary": naive.primary, "replicas": replicas });
            assert_eq!(relatives(&mut world, at, &key), expected, "{at}");
            let described = call(&mut world, at, "DescribeKey", &key, json!({})).unwrap();
            seen_materials.push(described["KeyMetadata"]["CurrentKeyMaterialId"].clone());
            // What was sealed first opens in every member that is usable, whatever happened since.
            world.region = region(at);
            let opened = world.call("Decrypt", json!({ "CiphertextBlob": sealed["CiphertextBlob"] }));
            assert_eq!(opened.is_ok(), state.ends_with("Enabled") || state.ends_with("Updating"), "{at}: {opened:?}");
        }
        seen_materials.dedup();
        assert!(seen_materials.len() <= 1, "the members have one current material");
        let deletions = world.trail.iter().filter(|record| record["eventName"] == "DeleteKey").count();
        assert_eq!(deletions, naive.deleted);
    }
}

proptest! {
    #[test]
    fn random_histories_of_a_family_agree_with_the_naive_one(steps in proptest::collection::vec(step(), 0..40)) {
        live(&steps);
    }
}

/// In other partitions everything is named by them: keys, principals, and who calls.
#[test]
fn a_partition_names_its_own() {
    let mut world = World::new();
    world.region = region("cn-north-1");
    let ann = world::user("ann").in_partition_of(world.region).into_owned();
    assert_eq!(ann.arn, format!("arn:aws-cn:iam::{ACCOUNT}:user/ann"));
    let root = world::root(ACCOUNT).in_partition_of(world.region).into_owned();
    let statement = |principal: &str, action: &str| json!({ "Effect": "Allow", "Principal": { "AWS": principal }, "Action": action, "Resource": "*" });
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        statement(&root.arn, "kms:*"), statement(&ann.arn, "kms:Encrypt"),
    ]});
    let made = world
        .call_as(&root, "CreateKey", &json!({ "MultiRegion": true, "Policy": policy.to_string() }).to_string())
        .unwrap();
    let key = made["KeyMetadata"]["Arn"].as_str().unwrap().to_owned();
    assert!(key.starts_with(&format!("arn:aws-cn:kms:cn-north-1:{ACCOUNT}:key/mrk-")), "{key}");
    let encrypt = json!({ "KeyId": key, "Plaintext": "AQID" }).to_string();
    world.call_as(&ann, "Encrypt", &encrypt).unwrap();
    assert_eq!(world.last_record()["userIdentity"]["arn"], ann.arn);
    let made = world
        .call_as(&root, "ReplicateKey", &json!({ "KeyId": key, "ReplicaRegion": "cn-northwest-1" }).to_string())
        .unwrap();
    assert!(made["ReplicaPolicy"].as_str().unwrap().contains(&format!("arn:aws-cn:iam::{ACCOUNT}:root")));
    let refused = world.call_as(&root, "ReplicateKey", &json!({ "KeyId": key, "ReplicaRegion": WEST }).to_string());
    assert_eq!(
        refused.unwrap_err(),
        "UnsupportedOperationException: us-west-2 is not a region of the partition aws-cn."
    );
    assert_eq!(
        world::user("ann").in_partition_of(region("us-gov-west-1")).arn,
        format!("arn:aws-us-gov:iam::{ACCOUNT}:user/ann")
    );
}

/// A family is rotated by its primary; every member has the new material in the same moment.
#[test]
fn a_family_rotates_as_one() {
    let mut world = World::new();
    let key = family(&mut world, &[WEST]);
    let status = |world: &mut World, at: &str| call(world, at, "GetKeyRotationStatus", &key, json!({})).unwrap();
    let material = |world: &mut World, at: &str| {
        call(world, at, "DescribeKey", &key, json!({})).unwrap()["KeyMetadata"]["CurrentKeyMaterialId"].clone()
    };
    let not_here = format!("UnsupportedOperationException: {} is not a multi-region primary key.", member(&key, WEST));
    for operation in ["EnableKeyRotation", "DisableKeyRotation", "RotateKeyOnDemand"] {
        assert_eq!(call(&mut world, WEST, operation, &key, json!({})).unwrap_err(), not_here);
    }
    let begun = world.trail.len();
    call(&mut world, HOME, "EnableKeyRotation", &key, json!({ "RotationPeriodInDays": 90 })).unwrap();
    assert_eq!(told(&world, begun), ["EnableKeyRotation eu-west-1", "SynchronizeMultiRegionKey us-west-2"]);
    for member in ["KeyRotationEnabled", "RotationPeriodInDays", "NextRotationDate"] {
        assert_eq!(status(&mut world, HOME)[member], status(&mut world, WEST)[member]);
    }
    // What was sealed just after a rotation opens everywhere at once.
    call(&mut world, HOME, "RotateKeyOnDemand", &key, json!({})).unwrap();
    assert_eq!(material(&mut world, HOME), material(&mut world, WEST));
    let sealed = call(&mut world, WEST, "Encrypt", &key, json!({ "Plaintext": "AQID" })).unwrap();
    world.region = region(HOME);
    world.call("Decrypt", json!({ "CiphertextBlob": sealed["CiphertextBlob"] })).unwrap();

    // Once for the family, not once for each member; and a replica made later has all of it.
    let (before, begun) = (material(&mut world, HOME), world.trail.len());
    world.pass(90 * DAY);
    assert_eq!(told(&world, begun), ["RotateKey eu-west-1", "SynchronizeMultiRegionKey us-west-2"]);
    assert_ne!(material(&mut world, HOME), before);
    assert_eq!(material(&mut world, HOME), material(&mut world, WEST));
    call(&mut world, HOME, "ReplicateKey", &key, json!({ "ReplicaRegion": EAST })).unwrap();
    world.pass(2);
    world.region = region(EAST);
    world.call("Decrypt", json!({ "CiphertextBlob": sealed["CiphertextBlob"] })).unwrap();
    assert_eq!(status(&mut world, EAST)["KeyRotationEnabled"], true);

    // A replica never rotates by itself, neither while its primary is disabled nor after a restart.
    call(&mut world, HOME, "DisableKey", &key, json!({})).unwrap();
    let (before, begun) = (material(&mut world, WEST), world.trail.len());
    world.restart();
    world.pass(200 * DAY);
    assert!(told(&world, begun).iter().all(|line| !line.starts_with("RotateKey")));
    assert_eq!(material(&mut world, WEST), before);
    // The new primary does.
    call(&mut world, HOME, "EnableKey", &key, json!({})).unwrap();
    world.tick();
    call(&mut world, HOME, "UpdatePrimaryRegion", &key, json!({ "PrimaryRegion": WEST })).unwrap();
    let begun = world.trail.len();
    world.pass(90 * DAY);
    let rotations = told(&world, begun).into_iter().filter(|line| line.starts_with("RotateKey"));
    assert_eq!(rotations.collect::<Vec<_>>(), ["RotateKey us-west-2"]);
    assert_eq!(material(&mut world, HOME), material(&mut world, EAST));
}

/// The waiting period of a primary begins when its last replica is deleted, and AWS deletes late.
#[test]
fn a_late_deletion_of_the_last_replica_begins_the_primarys_period_late() {
    let mut world = World::new();
    let key = family(&mut world, &[WEST]);
    for at in [HOME, WEST] {
        call(&mut world, at, "ScheduleKeyDeletion", &key, json!({ "PendingWindowInDays": 7 })).unwrap();
    }
    let due = world.now.as_second() + 7 * DAY;
    assert_eq!(world.state.next_deadline(3600).unwrap().as_second(), due + 3600);
    world.now = api::Timestamp::from_second(due + 3600).unwrap();
    let mut fresh = || [7; 16];
    let mut late = service::tick(&world.state, &world.vault, world.now, 3600, &mut fresh);
    assert!(world.commit(late.remove(0).batch) && late.is_empty());
    let described = call(&mut world, HOME, "DescribeKey", &key, json!({})).unwrap();
    assert_eq!(described["KeyMetadata"]["DeletionDate"], json!(due + 3600 + 7 * DAY));
}

/// Imports 32 bytes of `byte` into the member at `at`: the ID of the material.
fn import(world: &mut World, at: &str, key: &KeyArn, byte: u8, import_type: Option<&str>) -> Result<Value, String> {
    let wrapping = json!({ "WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048" });
    let parameters = call(world, at, "GetParametersForImport", key, wrapping)?;
    let public = STANDARD.decode(parameters["PublicKey"].as_str().unwrap()).unwrap();
    let public = OaepPublicEncryptingKey::new(PublicEncryptingKey::from_der(&public).unwrap()).unwrap();
    let mut space = vec![0; public.ciphertext_size()];
    let wrapped = public.encrypt(&OAEP_SHA256_MGF1SHA256, &[byte; 32], &mut space, None).unwrap().to_vec();
    let mut body = json!({
        "ImportToken": parameters["ImportToken"], "EncryptedKeyMaterial": STANDARD.encode(wrapped),
        "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE",
    });
    if let Some(import_type) = import_type {
        body["ImportType"] = json!(import_type);
    }
    Ok(call(world, at, "ImportKeyMaterial", key, body)?["KeyMaterialId"].clone())
}

/// Imported material comes into each member by itself, but the primary says which.
#[test]
fn imported_material_is_imported_into_each_member() {
    let mut world = World::new();
    world.region = region(HOME);
    let key = world.create_key_with(json!({ "MultiRegion": true, "Origin": "EXTERNAL" }));
    let early = call(&mut world, HOME, "ReplicateKey", &key, json!({ "ReplicaRegion": WEST })).unwrap_err();
    assert_eq!(early, format!("KMSInvalidStateException: {key} is pending import."));
    let first = import(&mut world, HOME, &key, 1, None).unwrap();
    let made = call(&mut world, HOME, "ReplicateKey", &key, json!({ "ReplicaRegion": WEST })).unwrap();
    assert_eq!(made["ReplicaKeyMetadata"]["Origin"], "EXTERNAL");
    let early = import(&mut world, WEST, &key, 1, None).unwrap_err();
    assert!(early.ends_with(" is creating."), "{early}");
    world.pass(2);
    assert_eq!(seen(&mut world, WEST, &key), "REPLICA PendingImport");
    assert_eq!(import(&mut world, WEST, &key, 2, None), Err("IncorrectKeyMaterialException".to_owned()));
    assert_eq!(import(&mut world, WEST, &key, 1, None), Ok(first.clone()));
    assert_eq!(seen(&mut world, WEST, &key), "REPLICA Enabled");
    let sealed = call(&mut world, HOME, "Encrypt", &key, json!({ "Plaintext": "AQID" })).unwrap();
    let decrypt = json!({ "CiphertextBlob": sealed["CiphertextBlob"] });
    world.region = region(WEST);
    assert_eq!(world.call("Decrypt", decrypt.clone()).unwrap()["Plaintext"], "AQID");

    // Each member loses its own.
    call(&mut world, HOME, "DeleteImportedKeyMaterial", &key, json!({})).unwrap();
    assert_eq!(seen(&mut world, HOME, &key), "PRIMARY PendingImport");
    assert_eq!(seen(&mut world, WEST, &key), "REPLICA Enabled");
    assert_eq!(import(&mut world, HOME, &key, 1, None), Ok(first));

    // New material comes to the primary first, then to every replica, and only then can the family rotate.
    let states = |world: &mut World, at: &str| {
        let all = json!({ "IncludeKeyMaterial": "ALL_KEY_MATERIAL" });
        let listed = call(world, at, "ListKeyRotations", &key, all).unwrap();
        let states: Vec<Value> =
            listed["Rotations"].as_array().unwrap().iter().map(|entry| entry["KeyMaterialState"].clone()).collect();
        states
    };
    let new = Some("NEW_KEY_MATERIAL");
    assert_eq!(
        import(&mut world, WEST, &key, 2, new).unwrap_err(),
        format!("UnsupportedOperationException: {} is not a multi-region primary key.", member(&key, WEST))
    );
    let begun = world.trail.len();
    let second = import(&mut world, HOME, &key, 2, new).unwrap();
    assert!(told(&world, begun).contains(&"SynchronizeMultiRegionKey us-west-2".to_owned()));
    for at in [HOME, WEST] {
        assert_eq!(states(&mut world, at), ["CURRENT", "PENDING_MULTI_REGION_IMPORT_AND_ROTATION"], "{at}");
    }
    assert_eq!(seen(&mut world, WEST, &key), "REPLICA Enabled");
    let refused = call(&mut world, HOME, "RotateKeyOnDemand", &key, json!({})).unwrap_err();
    assert!(refused.starts_with("KMSInvalidStateException"), "{refused}");
    assert_eq!(import(&mut world, WEST, &key, 2, Some("EXISTING_KEY_MATERIAL")), Ok(second.clone()));
    // What a replica deletes it can import again; what the primary deletes is gone for all.
    call(&mut world, WEST, "DeleteImportedKeyMaterial", &key, json!({ "KeyMaterialId": second })).unwrap();
    assert_eq!(states(&mut world, HOME), ["CURRENT", "PENDING_MULTI_REGION_IMPORT_AND_ROTATION"]);
    assert_eq!(import(&mut world, WEST, &key, 2, None), Ok(second.clone()));
    call(&mut world, HOME, "DeleteImportedKeyMaterial", &key, json!({ "KeyMaterialId": second })).unwrap();
    assert_eq!(states(&mut world, WEST), ["CURRENT"]);
    assert_eq!(import(&mut world, WEST, &key, 2, None), Err("IncorrectKeyMaterialException".to_owned()));
    import(&mut world, HOME, &key, 2, new).unwrap();
    import(&mut world, WEST, &key, 2, None).unwrap();
    assert_eq!(states(&mut world, HOME), ["CURRENT", "PENDING_ROTATION"]);
    call(&mut world, HOME, "RotateKeyOnDemand", &key, json!({})).unwrap();
    let sealed = call(&mut world, HOME, "Encrypt", &key, json!({ "Plaintext": "BAUG" })).unwrap();
    world.restart();
    for at in [HOME, WEST] {
        assert_eq!(states(&mut world, at), ["NON_CURRENT", "CURRENT"]);
        world.region = region(at);
        assert_eq!(world.call("Decrypt", decrypt.clone()).unwrap()["Plaintext"], "AQID");
        let opened = world.call("Decrypt", json!({ "CiphertextBlob": sealed["CiphertextBlob"] })).unwrap();
        assert_eq!((&opened["Plaintext"], &opened["KeyMaterialId"]), (&json!("BAUG"), &second));
    }
}
