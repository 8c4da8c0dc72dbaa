//! Rotation: what users see of it, told call by call, and a naive model of it under random histories.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use api::{KeyArn, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};
use world::{ACCOUNT, World, user};

const DAY: i64 = 86_400;

fn current(world: &mut World, key: &KeyArn) -> String {
    let described = world.call("DescribeKey", json!({ "KeyId": key.to_string() })).unwrap();
    described["KeyMetadata"]["CurrentKeyMaterialId"].as_str().unwrap().to_owned()
}

fn status(world: &mut World, key: &KeyArn) -> Value {
    world.call("GetKeyRotationStatus", json!({ "KeyId": key.to_string() })).unwrap()
}

fn rotations(world: &mut World, key: &KeyArn, which: &str) -> Vec<Value> {
    let request = json!({ "KeyId": key.to_string(), "IncludeKeyMaterial": which });
    world.call("ListKeyRotations", request).unwrap()["Rotations"].as_array().unwrap().clone()
}

fn decrypts(world: &mut World, ciphertext: &str) -> bool {
    world.call("Decrypt", json!({ "CiphertextBlob": ciphertext })).is_ok_and(|answer| answer["Plaintext"] == "AQID")
}

#[test]
fn a_rotated_key_encrypts_with_new_material_and_opens_the_old() {
    let mut world = World::new();
    let key = world.create_key();
    let arn = key.to_string();
    let (first, before) = (current(&mut world, &key), world.encrypt(&arn).unwrap());
    let answer = world.call("RotateKeyOnDemand", json!({ "KeyId": arn })).unwrap();
    assert_eq!(answer, json!({ "KeyId": arn }));

    let second = current(&mut world, &key);
    assert_ne!(first, second);
    let told = &world.trail[world.trail.len() - 3..world.trail.len() - 1];
    assert_eq!(told[0]["eventName"], "RotateKeyOnDemand");
    assert_eq!(told[0]["responseElements"]["keyId"], arn);
    assert_eq!(told[1]["eventName"], "RotateKey");
    assert_eq!(told[1]["eventType"], "AwsServiceEvent");
    assert_eq!(told[1]["resources"][0]["ARN"], arn);
    assert_eq!(
        told[1]["serviceEventDetails"],
        json!({
            "rotationType": "ON_DEMAND", "keyOrigin": "AWS_KMS", "previousKeyMaterialId": first,
            "currentKeyMaterialId": second, "keyId": key.key.to_string(),
        })
    );
    assert_ne!(told[0]["eventID"], told[1]["eventID"]);

    let after = world.encrypt(&arn).unwrap();
    for _ in 0..2 {
        let old = world.call("Decrypt", json!({ "CiphertextBlob": before })).unwrap();
        assert_eq!((&old["Plaintext"], &old["KeyMaterialId"]), (&json!("AQID"), &json!(first)));
        let new = world.call("Decrypt", json!({ "CiphertextBlob": after })).unwrap();
        assert_eq!(new["KeyMaterialId"], second);
        assert_eq!(
            rotations(&mut world, &key, "ROTATIONS_ONLY"),
            [json!({
                "KeyId": key.key.to_string(), "KeyMaterialId": second, "KeyMaterialState": "CURRENT",
                "RotationDate": 1_779_309_900, "RotationType": "ON_DEMAND",
            })]
        );
        assert_eq!(
            rotations(&mut world, &key, "ALL_KEY_MATERIAL")[0],
            json!({ "KeyId": key.key.to_string(), "KeyMaterialId": first, "KeyMaterialState": "NON_CURRENT" })
        );
        world.restart();
    }
}

#[test]
fn automatic_rotation_comes_when_its_period_is_over_and_again() {
    let mut world = World::new();
    let key = world.create_key();
    let arn = key.to_string();
    assert_eq!(status(&mut world, &key), json!({ "KeyId": arn, "KeyRotationEnabled": false }));
    world.call("EnableKeyRotation", json!({ "KeyId": arn, "RotationPeriodInDays": 90 })).unwrap();
    let record = world.last_record();
    assert_eq!(record["requestParameters"], json!({ "keyId": arn, "rotationPeriodInDays": 90 }));
    assert_eq!(record["responseElements"], json!({ "keyId": arn }));
    let start = 1_779_309_900;
    let expected = json!({
        "KeyId": arn, "KeyRotationEnabled": true, "RotationPeriodInDays": 90, "NextRotationDate": start + 90 * DAY,
    });
    assert_eq!(status(&mut world, &key), expected);

    let mut materials = vec![current(&mut world, &key)];
    assert_eq!(world.pass(90 * DAY - 1), []);
    for turn in 1..=3 {
        world.restart();
        let step = if turn == 1 { 1 } else { 90 * DAY };
        assert_eq!(world.pass(step), [key]);
        let record = world.last_record().clone();
        assert_eq!((&record["eventName"], &record["readOnly"]), (&json!("RotateKey"), &json!(false)));
        assert_eq!(record["serviceEventDetails"]["rotationType"], "AUTOMATIC");
        assert_eq!(record["serviceEventDetails"]["previousKeyMaterialId"], *materials.last().unwrap());
        materials.push(current(&mut world, &key));
        assert_eq!(record["serviceEventDetails"]["currentKeyMaterialId"], *materials.last().unwrap());
        assert_eq!(status(&mut world, &key)["NextRotationDate"], start + (turn + 1) * 90 * DAY);
        assert_eq!(world.pass(0), []);
    }
    let listed = rotations(&mut world, &key, "ALL_KEY_MATERIAL");
    let ids: Vec<&str> = listed.iter().map(|entry| entry["KeyMaterialId"].as_str().unwrap()).collect();
    assert_eq!(ids, materials);

    world.call("DisableKeyRotation", json!({ "KeyId": arn })).unwrap();
    assert_eq!(world.pass(10_000 * DAY), []);
}

#[test]
fn nothing_rotates_while_disabled_or_pending_deletion_and_an_overdue_key_rotates_when_it_is_enabled() {
    let mut world = World::new();
    let key = world.create_key();
    let arn = key.to_string();
    let call = |world: &mut World, operation: &str| world.call(operation, json!({ "KeyId": arn })).map(drop);
    call(&mut world, "EnableKeyRotation").unwrap();
    let due = status(&mut world, &key)["NextRotationDate"].clone();
    call(&mut world, "DisableKey").unwrap();
    assert_eq!(world.pass(360 * DAY), []);
    call(&mut world, "ScheduleKeyDeletion").unwrap();
    assert_eq!(status(&mut world, &key), json!({ "KeyId": arn, "KeyRotationEnabled": false }));
    assert_eq!(world.pass(29 * DAY), []);
    for operation in ["EnableKeyRotation", "DisableKeyRotation", "RotateKeyOnDemand"] {
        assert_eq!(
            call(&mut world, operation).unwrap_err(),
            format!("KMSInvalidStateException: {arn} is pending deletion.")
        );
    }
    call(&mut world, "CancelKeyDeletion").unwrap();
    assert_eq!(status(&mut world, &key)["NextRotationDate"], due);
    assert_eq!(world.pass(100 * DAY), []);
    for operation in ["EnableKeyRotation", "DisableKeyRotation", "RotateKeyOnDemand"] {
        assert_eq!(call(&mut world, operation).unwrap_err(), format!("DisabledException: {arn} is disabled."));
    }
    call(&mut world, "EnableKey").unwrap();
    assert_eq!(call(&mut world, "RotateKeyOnDemand").unwrap_err().split(':').next(), Some("ConflictException"));
    assert_eq!(world.tick(), [key]);
    assert_eq!(status(&mut world, &key)["NextRotationDate"], world.now.as_second() + 365 * DAY);
    assert_eq!(world.tick(), []);
}

#[test]
fn a_key_that_is_deleted_is_not_rotated_as_well() {
    let mut world = World::new();
    let key = world.create_key();
    world.call("EnableKeyRotation", json!({ "KeyId": key.to_string() })).unwrap();
    world.call("ScheduleKeyDeletion", json!({ "KeyId": key.to_string(), "PendingWindowInDays": 7 })).unwrap();
    assert_eq!(world.pass(400 * DAY), [key]);
    assert_eq!(world.last_record()["eventName"], "DeleteKey");
    assert_eq!(world.tick(), []);
    assert_eq!(world.state.next_deadline(0), None);
}

#[test]
fn rotation_on_demand_leaves_the_schedule_and_ends_at_25() {
    let mut world = World::new();
    let key = world.create_key();
    let arn = key.to_string();
    world.call("EnableKeyRotation", json!({ "KeyId": arn })).unwrap();
    let before = status(&mut world, &key);
    let first = world.encrypt(&arn).unwrap();
    for _ in 0..25 {
        world.call("RotateKeyOnDemand", json!({ "KeyId": arn })).unwrap();
    }
    assert_eq!(
        world.call("RotateKeyOnDemand", json!({ "KeyId": arn })).unwrap_err(),
        format!(
            "LimitExceededException: The on-demand rotations limit has been reached for the given keyId. No more on-demand rotations can be performed for this key: {arn}"
        )
    );
    assert_eq!(status(&mut world, &key), before);
    assert!(decrypts(&mut world, &first));
    // Automatic rotation has no such limit, but goes before one on demand.
    world.pass(365 * DAY - 20 * 60);
    let soon = world.call("RotateKeyOnDemand", json!({ "KeyId": arn })).unwrap_err();
    assert!(soon.starts_with("ConflictException: An automatic rotation of "), "{soon}");
    assert_eq!(world.pass(20 * 60), [key]);
}

#[test]
fn a_period_begins_when_it_is_set_and_not_when_it_is_set_again() {
    let mut world = World::new();
    let key = world.create_key();
    let enable = |world: &mut World, request: Value| {
        let mut request = request;
        request["KeyId"] = json!(key.to_string());
        world.call("EnableKeyRotation", request).unwrap();
        status(world, &key)["NextRotationDate"].as_i64().unwrap() - world.now.as_second()
    };
    assert_eq!(enable(&mut world, json!({})), 365 * DAY);
    world.pass(10 * DAY);
    assert_eq!(enable(&mut world, json!({ "RotationPeriodInDays": 365 })), 355 * DAY);
    assert_eq!(enable(&mut world, json!({ "RotationPeriodInDays": 2560 })), 2560 * DAY);
    for (days, bound) in [(89, "greater than or equal to 90"), (2561, "less than or equal to 2560")] {
        let request = json!({ "KeyId": key.to_string(), "RotationPeriodInDays": days });
        assert_eq!(
            world.call("EnableKeyRotation", request).unwrap_err(),
            format!(
                "ValidationException: 1 validation error detected: Value '{days}' at 'rotationPeriodInDays' failed to satisfy constraint: Member must have value {bound}"
            )
        );
    }
}

#[test]
fn what_kms_did_not_make_it_does_not_rotate() {
    let mut world = World::new();
    let key = world.create_key_with(json!({ "Origin": "EXTERNAL" })).to_string();
    for operation in ["EnableKeyRotation", "DisableKeyRotation", "GetKeyRotationStatus"] {
        assert_eq!(
            world.call(operation, json!({ "KeyId": key })).unwrap_err(),
            format!("UnsupportedOperationException: {key} origin is EXTERNAL which is not valid for this operation.")
        );
    }
}

#[test]
fn a_policy_can_ask_for_a_rotation_period() {
    let mut world = World::new();
    let statement = |effect: &str, action: &str, condition: Value| {
        json!({
            "Effect": effect, "Principal": { "AWS": "*" }, "Action": action, "Resource": "*", "Condition": condition,
        })
    };
    let short = json!({ "NumericGreaterThan": { "kms:RotationPeriodInDays": "180" } });
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [
            { "Effect": "Allow", "Principal": { "AWS": format!("arn:aws:iam::{ACCOUNT}:root") }, "Action": "kms:*", "Resource": "*" },
            { "Effect": "Allow", "Principal": { "AWS": user("a").arn }, "Action": "kms:*", "Resource": "*" },
            statement("Deny", "kms:EnableKeyRotation", short),
        ],
    });
    let key = world.create_key_with(json!({ "Policy": policy.to_string() })).to_string();
    let mut enable = |days: Option<i64>| {
        let mut request = json!({ "KeyId": key });
        if let Some(days) = days {
            request["RotationPeriodInDays"] = days.into();
        }
        world.call_as(&user("a"), "EnableKeyRotation", &request.to_string())
    };
    assert!(enable(Some(180)).is_ok());
    // The default is 365.
    for days in [Some(181), None] {
        assert!(enable(days).unwrap_err().starts_with("AccessDeniedException"), "{days:?}");
    }
}

#[test]
fn rotations_are_listed_page_by_page() {
    let mut world = World::new();
    let key = world.create_key();
    for _ in 0..5 {
        world.pass(1);
        world.call("RotateKeyOnDemand", json!({ "KeyId": key.to_string() })).unwrap();
    }
    let all = rotations(&mut world, &key, "ALL_KEY_MATERIAL");
    assert_eq!(all.len(), 6);
    let (mut seen, mut marker) = (Vec::new(), None);
    loop {
        let mut request = json!({ "KeyId": key.to_string(), "IncludeKeyMaterial": "ALL_KEY_MATERIAL", "Limit": 4 });
        if let Some(marker) = marker {
            request["Marker"] = marker;
        }
        let page = world.call("ListKeyRotations", request).unwrap();
        seen.extend(page["Rotations"].as_array().unwrap().clone());
        assert_eq!(page["Truncated"], page.get("NextMarker").is_some());
        match page.get("NextMarker") {
            Some(next) => marker = Some(next.clone()),
            None => break,
        }
    }
    assert_eq!(seen, all);
    let wrong = json!({ "KeyId": key.to_string(), "Marker": "nonsense" });
    assert_eq!(world.call("ListKeyRotations", wrong).unwrap_err(), "InvalidMarkerException");
}

/// A key as the documentation tells it, in seconds: no states beyond what rotation asks for, no index of dates.
#[derive(Default)]
struct Naive {
    disabled: bool,
    pending: bool,
    period: Option<(i64, i64)>,
    on_demand: usize,
    materials: usize,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Call(&'static str),
    Period(i64),
    Pass(i64),
}

impl Naive {
    fn live(&self) -> bool {
        !self.disabled && !self.pending
    }

    fn overdue(&self, now: i64) -> bool {
        self.live() && self.period.is_some_and(|(_, next)| next <= now)
    }

    fn tick(&mut self, now: i64) {
        if self.overdue(now) {
            self.materials += 1;
            self.period = self.period.map(|(period, _)| (period, now + period));
        }
    }

    /// Whether the call succeeds.
    fn call(&mut self, operation: &str, days: i64, now: i64) -> bool {
        match operation {
            "EnableKey" | "DisableKey" if !self.pending => self.disabled = operation == "DisableKey",
            "ScheduleKeyDeletion" if !self.pending => self.pending = true,
            "CancelKeyDeletion" if self.pending => (self.pending, self.disabled) = (false, true),
            "EnableKeyRotation" if self.live() => {
                if self.period.is_none_or(|(period, _)| period != days * DAY) {
                    self.period = Some((days * DAY, now + days * DAY));
                }
            }
            "DisableKeyRotation" if self.live() => self.period = None,
            "RotateKeyOnDemand" if self.live() && self.on_demand < 25 && !self.overdue(now + 20 * 60) => {
                self.on_demand += 1;
                self.materials += 1;
            }
            _ => return false,
        }
        true
    }
}

fn step() -> impl Strategy<Value = Step> {
    let call = prop::sample::select(vec![
        "EnableKey",
        "EnableKey",
        "DisableKey",
        "ScheduleKeyDeletion",
        "CancelKeyDeletion",
        "CancelKeyDeletion",
        "DisableKeyRotation",
        "RotateKeyOnDemand",
    ]);
    prop_oneof![
        3 => call.prop_map(Step::Call),
        1 => (90i64..200).prop_map(Step::Period),
        // Shorter than any waiting period, so that no key is deleted here.
        3 => prop_oneof![0i64..3600, 0i64..29 * DAY].prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_histories_agree_with_the_naive_model(steps in prop::collection::vec(step(), 0..80)) {
        let mut world = World::new();
        let key = world.create_key();
        let mut naive = Naive { materials: 1, ..Naive::default() };
        let mut sealed = vec![world.encrypt(&key.to_string()).unwrap()];
        let mut pending_since: Option<Timestamp> = None;
        for step in steps {
            let before = naive.materials;
            match step {
                Step::Pass(seconds) => {
                    let now = world.now.as_second() + seconds;
                    if pending_since.is_some_and(|since| now - since.as_second() >= 30 * DAY) {
                        continue;
                    }
                    world.pass(seconds);
                    naive.tick(now);
                }
                Step::Call(operation) => {
                    let answer = world.call(operation, json!({ "KeyId": key.to_string() }));
                    let expected = naive.call(operation, 0, world.now.as_second());
                    prop_assert_eq!(answer.is_ok(), expected, "{}: {:?}", operation, answer);
                    match operation {
                        "ScheduleKeyDeletion" if expected => pending_since = Some(world.now),
                        "CancelKeyDeletion" if expected => pending_since = None,
                        _ => {}
                    }
                }
                Step::Period(days) => {
                    let request = json!({ "KeyId": key.to_string(), "RotationPeriodInDays": days });
                    let answer = world.call("EnableKeyRotation", request);
                    prop_assert_eq!(answer.is_ok(), naive.call("EnableKeyRotation", days, world.now.as_second()));
                }
            }
            let listed = rotations(&mut world, &key, "ALL_KEY_MATERIAL");
            prop_assert_eq!(listed.len(), naive.materials);
            let events = world.trail.iter().filter(|record| record["eventName"] == "RotateKey").count();
            prop_assert_eq!(events, naive.materials - 1);
            let shown = status(&mut world, &key);
            let schedule = naive.period.filter(|_| !naive.pending);
            prop_assert_eq!(&shown["KeyRotationEnabled"], schedule.is_some());
            prop_assert_eq!(shown["NextRotationDate"].as_i64(), schedule.map(|(_, next)| next));
            if naive.materials > before && naive.live() {
                sealed.push(world.encrypt(&key.to_string()).unwrap());
            }
            // What time will do next, the server sleeps until.
            let next = naive.period.filter(|_| naive.live()).map(|(_, next)| next);
            let deletion = pending_since.map(|since| since.as_second() + 30 * DAY);
            let deadline = world.state.next_deadline(0).map(Timestamp::as_second);
            prop_assert_eq!(deadline, next.or(deletion));
        }
        world.restart();
        let _ = world.call("CancelKeyDeletion", json!({ "KeyId": key.to_string() }));
        world.call("EnableKey", json!({ "KeyId": key.to_string() })).unwrap();
        for ciphertext in &sealed {
            prop_assert!(decrypts(&mut world, ciphertext));
        }
    }
}
