//! What users see of grants: making, listing, using, retiring and revoking them, and that they end with their key.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use serde_json::{Value, json};
use service::Caller;
use world::{ACCOUNT, OTHER_ACCOUNT, World, root, user};

const DAY: i64 = 86_400;

fn arn(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:{name}")
}

/// A key, and `more` of a grant to `grantee` on it.
fn grant(world: &mut World, key: &str, grantee: &str, operations: &Value, more: &Value) -> Result<Value, String> {
    let mut body = json!({ "KeyId": key, "GranteePrincipal": grantee, "Operations": operations });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    world.call("CreateGrant", body)
}

fn id(made: &Value) -> String {
    made["GrantId"].as_str().unwrap().to_owned()
}

fn encrypt(world: &mut World, caller: &Caller, key: &str, context: &Value) -> Result<Value, String> {
    let body = json!({ "KeyId": key, "Plaintext": "AQID", "EncryptionContext": context }).to_string();
    world.call_as(caller, "Encrypt", &body)
}

fn count(world: &mut World, key: &str) -> usize {
    world.call("ListGrants", json!({ "KeyId": key })).unwrap()["Grants"].as_array().unwrap().len()
}

#[test]
fn a_grant_opens_the_key_until_it_is_revoked_and_says_so_in_the_trail() {
    let mut world = World::new();
    let key = world.create_key().to_string();
    let app = user("app");
    assert!(encrypt(&mut world, &app, &key, &json!({})).unwrap_err().starts_with("AccessDenied"));
    let more = json!({ "RetiringPrincipal": arn("user/ops"), "Name": "first" });
    let made = grant(&mut world, &key, &arn("user/app"), &json!(["Encrypt", "Decrypt", "Encrypt"]), &more).unwrap();
    assert_eq!(id(&made).len(), 64);
    let record = world.last_record().clone();
    assert_eq!(record["requestParameters"]["keyId"], key);
    assert_eq!(record["requestParameters"]["granteePrincipal"], arn("user/app"));
    assert_eq!(record["requestParameters"]["operations"], json!(["Encrypt", "Decrypt", "Encrypt"]));
    assert_eq!(record["responseElements"], json!({ "grantId": made["GrantId"], "keyId": key }));
    assert!(!record.to_string().contains(made["GrantToken"].as_str().unwrap()), "tokens are not recorded");

    world.restart();
    let sealed = encrypt(&mut world, &app, &key, &json!({ "a": "1" })).unwrap();
    let body = json!({ "CiphertextBlob": sealed["CiphertextBlob"], "EncryptionContext": { "a": "1" },
        "GrantTokens": [made["GrantToken"]] });
    assert_eq!(world.call_as(&app, "Decrypt", &body.to_string()).unwrap()["Plaintext"], "AQID");
    assert!(!world.last_record().to_string().contains(made["GrantToken"].as_str().unwrap()));
    let last = world.call("GetKeyLastUsage", json!({ "KeyId": key })).unwrap();
    assert_eq!(last["KeyLastUsage"]["Operation"], "Decrypt", "a grantee's use is a use");
    let describe = json!({ "KeyId": key }).to_string();
    assert!(world.call_as(&app, "DescribeKey", &describe).unwrap_err().starts_with("AccessDenied"));
    assert!(world.call_as(&user("else"), "Encrypt", &body.to_string()).is_err());

    let listed = world.call("ListGrants", json!({ "KeyId": key })).unwrap();
    let expected = json!({
        "KeyId": key, "GrantId": made["GrantId"], "Name": "first", "CreationDate": 1_779_309_900,
        "GranteePrincipal": arn("user/app"), "RetiringPrincipal": arn("user/ops"), "IssuingAccount": arn("root"),
        "Operations": ["Decrypt", "Encrypt"],
    });
    assert_eq!(listed, json!({ "Grants": [expected], "Truncated": false }));

    world.call("RevokeGrant", json!({ "KeyId": key, "GrantId": made["GrantId"] })).unwrap();
    let record = world.last_record();
    assert_eq!(record["requestParameters"], json!({ "keyId": key, "grantId": made["GrantId"] }));
    assert_eq!(record["responseElements"], json!({ "keyId": key }));
    assert!(encrypt(&mut world, &app, &key, &json!({})).unwrap_err().starts_with("AccessDenied"));
    assert_eq!(
        world.call("RevokeGrant", json!({ "KeyId": key, "GrantId": made["GrantId"] })).unwrap_err(),
        format!("NotFoundException: Grant ID {} not found", id(&made))
    );
    assert_eq!(count(&mut world, &key), 0);
}

#[test]
fn an_explicit_deny_wins_over_every_grant() {
    let mut world = World::new();
    let statement = |effect: &str, who: &str, action: &str| json!({ "Effect": effect, "Principal": { "AWS": who }, "Action": action, "Resource": "*" });
    let policy = json!({ "Version": "2012-10-17",
        "Statement": [statement("Allow", ACCOUNT, "kms:*"), statement("Deny", &arn("user/app"), "kms:Encrypt")] });
    let key = world.create_key_with(json!({ "Policy": policy.to_string() })).to_string();
    grant(&mut world, &key, &arn("user/app"), &json!(["Encrypt", "DescribeKey"]), &json!({})).unwrap();
    let denied = encrypt(&mut world, &user("app"), &key, &json!({})).unwrap_err();
    assert!(denied.ends_with("with an explicit deny in a resource-based policy"), "{denied}");
    world.call_as(&user("app"), "DescribeKey", &json!({ "KeyId": key }).to_string()).unwrap();
}

#[test]
fn constraints_on_the_encryption_context_hold() {
    for (constraint, wanted, right, wrong) in [
        (
            "EncryptionContextEquals",
            json!({ "Dept": "IT", "b": "2" }),
            vec![json!({ "b": "2", "Dept": "IT" }), json!({ "dept": "IT", "B": "2" })],
            vec![
                json!({}),
                json!({ "Dept": "IT" }),
                json!({ "Dept": "it", "b": "2" }),
                json!({ "Dept": "IT", "b": "2", "c": "3" }),
            ],
        ),
        (
            "EncryptionContextSubset",
            json!({ "Dept": "IT" }),
            vec![json!({ "Dept": "IT" }), json!({ "DEPT": "IT", "c": "3" })],
            vec![json!({}), json!({ "c": "3" }), json!({ "Dept": "HR" })],
        ),
    ] {
        let mut world = World::new();
        let key = world.create_key().to_string();
        let constraints = json!({ "Constraints": { constraint: wanted } });
        grant(&mut world, &key, &arn("user/app"), &json!(["Encrypt", "DescribeKey"]), &constraints).unwrap();
        let shown = &world.last_record()["requestParameters"]["constraints"];
        assert_eq!(*shown, json!({ api::validate::lower_first(constraint): wanted }));
        let app = user("app");
        for context in right {
            encrypt(&mut world, &app, &key, &context).unwrap();
        }
        for context in wrong {
            assert!(encrypt(&mut world, &app, &key, &context).unwrap_err().starts_with("AccessDenied"), "{context}");
        }
        // Describing a key has no encryption context to constrain.
        world.call_as(&app, "DescribeKey", &json!({ "KeyId": key }).to_string()).unwrap();
    }
    // Nobody here calls on behalf of a resource.
    let mut world = World::new();
    let key = world.create_key().to_string();
    let constraints = json!({ "Constraints": { "SourceArn": "arn:aws:s3::000000000000:bucket" } });
    grant(&mut world, &key, &arn("user/app"), &json!(["Encrypt"]), &constraints).unwrap();
    assert!(encrypt(&mut world, &user("app"), &key, &json!({})).unwrap_err().starts_with("AccessDenied"));
}

#[test]
fn a_named_grant_is_made_once() {
    let mut world = World::new();
    let key = world.create_key().to_string();
    let app = arn("user/app");
    let name = |name: &str| json!({ "Name": name });
    let first = grant(&mut world, &key, &app, &json!(["Encrypt", "Decrypt"]), &name("n")).unwrap();
    let again = grant(&mut world, &key, &app, &json!(["Decrypt", "Encrypt"]), &name("n")).unwrap();
    assert_eq!(first["GrantId"], again["GrantId"]);
    assert_ne!(first["GrantToken"], again["GrantToken"], "every answer has a token of its own");
    for (operations, more) in [
        (json!(["Decrypt"]), name("n")),
        (json!(["Encrypt", "Decrypt"]), name("m")),
        (json!(["Encrypt", "Decrypt"]), json!({})),
        (json!(["Encrypt", "Decrypt"]), json!({})),
        (json!(["Encrypt", "Decrypt"]), json!({ "Name": "n", "RetiringPrincipal": app })),
    ] {
        let other = grant(&mut world, &key, &app, &operations, &more).unwrap();
        assert_ne!(other["GrantId"], first["GrantId"], "{operations} {more}");
    }
    assert_eq!(count(&mut world, &key), 6);
    // Either token names the grant; a grant that is made anew is another one.
    world.call("RetireGrant", json!({ "GrantToken": first["GrantToken"] })).unwrap();
    assert_eq!(
        world.call("RetireGrant", json!({ "GrantToken": again["GrantToken"] })).unwrap_err(),
        "InvalidGrantTokenException"
    );
    let anew = grant(&mut world, &key, &app, &json!(["Encrypt", "Decrypt"]), &name("n")).unwrap();
    assert_ne!(anew["GrantId"], first["GrantId"]);
}

#[test]
fn of_two_calls_that_make_one_named_grant_the_second_finds_the_first() {
    let mut world = World::new();
    let key = world.create_key().to_string();
    let before = world.state.clone();
    let request = json!({ "Name": "n" });
    let first = grant(&mut world, &key, &arn("user/app"), &json!(["Encrypt"]), &request).unwrap();
    // The second was decided on the world before the first: it must not commit.
    let after = std::mem::replace(&mut world.state, before);
    let body = json!({ "KeyId": key, "GranteePrincipal": arn("user/app"), "Operations": ["Encrypt"], "Name": "n" });
    let batch = world.decided("CreateGrant", &body).unwrap();
    world.state = after;
    assert!(!world.commit(batch));
    let again = grant(&mut world, &key, &arn("user/app"), &json!(["Encrypt"]), &request).unwrap();
    assert_eq!(again["GrantId"], first["GrantId"]);
}

#[test]
fn requests_that_make_no_grant() {
    let mut world = World::new();
    let key = world.create_key().to_string();
    let base = json!({ "KeyId": key, "GranteePrincipal": arn("user/app"), "Operations": ["Encrypt"] });
    for (more, expected) in [
        (
            json!({ "Operations": ["Sign"] }),
            "ValidationException: Grant operation Sign is not valid for a key with KeySpec SYMMETRIC_DEFAULT and KeyUsage ENCRYPT_DECRYPT.",
        ),
        (json!({ "Operations": [] }), "ValidationException: Operations must name"),
        (
            json!({ "Operations": ["Encrypt", "ScheduleKeyDeletion"] }),
            "ValidationException: 1 validation error detected: Value '[Encrypt, ScheduleKeyDeletion]' at 'operations' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [Decrypt, Encrypt,",
        ),
        (
            json!({ "GranteePrincipal": null }),
            "ValidationException: GranteePrincipal or GranteeServicePrincipal is required.",
        ),
        (
            json!({ "GranteeServicePrincipal": "s3.eu-west-1.amazonaws.com" }),
            "ValidationException: Only one of GranteePrincipal and GranteeServicePrincipal can be given.",
        ),
        (
            json!({ "GranteePrincipal": null, "GranteeServicePrincipal": "s3.eu-west-1.amazonaws.com" }),
            "ValidationException: A grant with a GranteeServicePrincipal needs",
        ),
        (json!({ "GranteePrincipal": "ann" }), "InvalidArnException: ARN does not refer to a valid principal: ann"),
        (json!({ "GranteePrincipal": ACCOUNT }), "InvalidArnException"),
        (json!({ "RetiringPrincipal": "arn:aws:iam::1:user/x" }), "InvalidArnException"),
        (
            json!({ "GranteePrincipal": "*" }),
            "ValidationException: 1 validation error detected: Value '*' at 'granteePrincipal'",
        ),
        (
            json!({ "Name": "a b" }),
            "ValidationException: 1 validation error detected: Value 'a b' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$",
        ),
        (
            json!({ "Constraints": { "EncryptionContextEquals": { "a": "x".repeat(384) } } }),
            "ValidationException: A constraint on the encryption context may have",
        ),
        (
            json!({ "Constraints": { "SourceArn": "arn:aws:s3:::a-bucket-of-no-account" } }),
            "ValidationException: 1 validation error detected: Value 'arn:aws:s3:::a-bucket-of-no-account' at 'constraints.sourceArn'",
        ),
        (json!({ "Constraints": "x" }), "SerializationException"),
        (json!({ "GrantTokens": ["nonsense"] }), "InvalidGrantTokenException"),
        (
            json!({ "DryRun": true }),
            "DryRunOperationException: The request would have succeeded, but the DryRun option is set.",
        ),
        (json!({ "KeyId": "alias/x" }), "NotFoundException: Invalid keyId 'alias/x'"),
    ] {
        let mut body = base.clone();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let error = world.call("CreateGrant", body).unwrap_err();
        assert!(error.starts_with(expected), "{more}: {error}");
    }
    let pairs: serde_json::Map<String, Value> = (0..9).map(|n| (n.to_string(), "v".into())).collect();
    let constraints = json!({ "Constraints": { "EncryptionContextSubset": pairs } });
    assert!(grant(&mut world, &key, &arn("user/app"), &json!(["Encrypt"]), &constraints).is_err());
    assert_eq!(count(&mut world, &key), 0);
}

#[test]
fn services_can_be_grantees() {
    let mut world = World::new();
    let key = world.create_key().to_string();
    let request = json!({
        "KeyId": key, "GranteeServicePrincipal": "dynamodb.eu-west-1.amazonaws.com", "Operations": ["Decrypt"],
        "RetiringServicePrincipal": "dynamodb.eu-west-1.amazonaws.com", "Constraints": { "SourceArn": "arn:aws:dynamodb:eu-west-1:000000000000:table/t" },
    });
    world.call("CreateGrant", request).unwrap();
    grant(&mut world, &key, "rds.eu-west-1.amazonaws.com", &json!(["Decrypt"]), &json!({})).unwrap();
    world.restart();
    let listed = |filter: Value, world: &mut World| {
        let mut body = json!({ "KeyId": key });
        body.as_object_mut().unwrap().extend(filter.as_object().unwrap().clone());
        world.call("ListGrants", body).unwrap()["Grants"].as_array().unwrap().clone()
    };
    let by_member = listed(json!({ "GranteeServicePrincipal": "dynamodb.eu-west-1.amazonaws.com" }), &mut world);
    assert_eq!(by_member.len(), 1);
    assert_eq!(by_member[0]["RetiringServicePrincipal"], "dynamodb.eu-west-1.amazonaws.com");
    assert!(by_member[0].get("GranteePrincipal").is_none());
    assert_eq!(by_member[0]["Constraints"], json!({ "SourceArn": "arn:aws:dynamodb:eu-west-1:000000000000:table/t" }));
    assert_eq!(listed(json!({ "GranteePrincipal": "rds.eu-west-1.amazonaws.com" }), &mut world).len(), 1);
    assert_eq!(listed(json!({ "GranteePrincipal": "dynamodb.eu-west-1.amazonaws.com" }), &mut world).len(), 0);
}

#[test]
fn who_may_retire_a_grant() {
    let mut world = World::new();
    let key = world.create_key().to_string();
    let retire = |world: &mut World, caller: &Caller, grant: &Value| {
        let body = json!({ "KeyId": key, "GrantId": grant["GrantId"] }).to_string();
        world.call_as(caller, "RetireGrant", &body)
    };
    let more = json!({ "RetiringPrincipal": arn("user/ops") });
    let make = |world: &mut World, operations: Value| grant(world, &key, &arn("user/app"), &operations, &more).unwrap();
    let made = make(&mut world, json!(["Encrypt"]));
    for stranger in [user("app"), user("else"), root(OTHER_ACCOUNT)] {
        assert!(retire(&mut world, &stranger, &made).unwrap_err().starts_with("AccessDenied"));
    }
    retire(&mut world, &user("ops"), &made).unwrap();
    assert_eq!(world.last_record()["additionalEventData"], json!({ "grantId": made["GrantId"] }));
    assert_eq!(world.last_record()["responseElements"], json!({ "keyId": key }));
    let made = make(&mut world, json!(["Encrypt", "RetireGrant"]));
    retire(&mut world, &user("app"), &made).unwrap();
    let made = make(&mut world, json!(["Encrypt"]));
    let dry = json!({ "GrantToken": made["GrantToken"], "DryRun": true });
    assert!(world.call("RetireGrant", dry).unwrap_err().starts_with("DryRunOperationException"));
    retire(&mut world, &root(ACCOUNT), &made).unwrap();
    assert_eq!(
        retire(&mut world, &root(ACCOUNT), &made).unwrap_err(),
        format!("NotFoundException: Grant ID {} not found", id(&made))
    );
    for body in [
        json!({}),
        json!({ "KeyId": key }),
        json!({ "GrantId": id(&made) }),
        json!({ "KeyId": key, "GrantId": id(&made), "GrantToken": made["GrantToken"] }),
    ] {
        assert!(world.call("RetireGrant", body).unwrap_err().starts_with("ValidationException"));
    }
    let error = world.call("RevokeGrant", json!({ "KeyId": key, "GrantId": "x" })).unwrap_err();
    assert_eq!(error, "InvalidGrantIdException: Invalid grant ID: x");
}

#[test]
fn a_grant_hands_on_no_more_than_it_gives() {
    let mut world = World::new();
    let key = world.create_key().to_string();
    let within = |context: Value| json!({ "Constraints": { "EncryptionContextSubset": context } });
    let parent = json!(["Encrypt", "Decrypt", "CreateGrant"]);
    grant(&mut world, &key, &arn("user/app"), &parent, &within(json!({ "Dept": "IT" }))).unwrap();
    let mut make = |operations: Value, more: Value| {
        let mut body = json!({ "KeyId": key, "GranteePrincipal": arn("user/child"), "Operations": operations });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        world.call_as(&user("app"), "CreateGrant", &body.to_string())
    };
    make(json!(["Decrypt"]), within(json!({ "Dept": "IT" }))).unwrap();
    make(json!(["CreateGrant", "Decrypt"]), within(json!({ "Dept": "IT", "more": "1" }))).unwrap();
    make(json!(["Encrypt"]), json!({ "Constraints": { "EncryptionContextEquals": { "Dept": "IT" } } })).unwrap();
    for (operations, more) in [
        (json!(["Decrypt"]), json!({})),
        (json!(["Decrypt"]), within(json!({ "Dept": "HR" }))),
        (json!(["Decrypt"]), within(json!({ "more": "1" }))),
        (json!(["GenerateDataKey"]), within(json!({ "Dept": "IT" }))),
        (json!(["Decrypt", "RetireGrant"]), within(json!({ "Dept": "IT" }))),
    ] {
        assert!(make(operations.clone(), more.clone()).unwrap_err().starts_with("AccessDenied"), "{operations} {more}");
    }
}

#[test]
fn a_policy_can_ask_what_a_grant_says() {
    let mut world = World::new();
    let allow = |action: &str, condition: Value| json!({ "Effect": "Allow", "Principal": { "AWS": arn("user/app") }, "Action": action, "Resource": "*", "Condition": condition });
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Principal": { "AWS": ACCOUNT }, "Action": "kms:*", "Resource": "*" },
        allow("kms:CreateGrant", json!({
            "ForAllValues:StringEquals": { "kms:GrantOperations": ["Encrypt", "Decrypt"] },
            "StringEquals": { "kms:GranteePrincipal": arn("user/child"), "kms:RetiringPrincipal": arn("user/ops"),
                "kms:GrantConstraintType": "EncryptionContextSubset" },
            "Bool": { "kms:GrantIsForAWSResource": "false" } })),
        allow("kms:RevokeGrant", json!({ "Bool": { "kms:GrantIsForAWSResource": "true" } })),
    ] });
    let key = world.create_key_with(json!({ "Policy": policy.to_string() })).to_string();
    let right = json!({ "KeyId": key, "GranteePrincipal": arn("user/child"), "RetiringPrincipal": arn("user/ops"),
        "Operations": ["Encrypt"], "Constraints": { "EncryptionContextSubset": { "a": "1" } } });
    let made = world.call_as(&user("app"), "CreateGrant", &right.to_string()).unwrap();
    for wrong in [
        json!({ "Operations": ["Encrypt", "DescribeKey"] }),
        json!({ "GranteePrincipal": arn("user/else") }),
        json!({ "RetiringPrincipal": null }),
        json!({ "Constraints": { "EncryptionContextEquals": { "a": "1" } } }),
        json!({ "Constraints": null }),
    ] {
        let mut body = right.clone();
        body.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
        let error = world.call_as(&user("app"), "CreateGrant", &body.to_string()).unwrap_err();
        assert!(error.starts_with("AccessDenied"), "{wrong}: {error}");
    }
    let revoke = json!({ "KeyId": key, "GrantId": made["GrantId"] }).to_string();
    assert!(world.call_as(&user("app"), "RevokeGrant", &revoke).unwrap_err().starts_with("AccessDenied"));
}

#[test]
fn grants_are_listed_in_pages_and_by_who_may_retire_them() {
    let mut world = World::new();
    let keys: Vec<String> = (0..2).map(|_| world.create_key().to_string()).collect();
    let mut made = std::collections::BTreeSet::new();
    for key in &keys {
        for n in 0..30 {
            let more = json!({ "RetiringPrincipal": arn("user/ops") });
            made.insert(id(&grant(&mut world, key, &arn(&format!("user/u{n}")), &json!(["Encrypt"]), &more).unwrap()));
        }
    }
    let pages = |world: &mut World, operation: &str, request: &Value| {
        let (mut sizes, mut ids, mut marker) = (Vec::new(), Vec::new(), Value::Null);
        loop {
            let mut body = request.clone();
            body["Marker"] = marker;
            let page = world.call(operation, body).unwrap();
            let grants = page["Grants"].as_array().unwrap();
            sizes.push(grants.len());
            ids.extend(grants.iter().map(id));
            if page["Truncated"] == false {
                assert!(page.get("NextMarker").is_none());
                return (sizes, ids);
            }
            marker = page["NextMarker"].clone();
        }
    };
    let (sizes, first) = pages(&mut world, "ListGrants", &json!({ "KeyId": keys[0], "Limit": 7 }));
    assert_eq!(sizes, [7, 7, 7, 7, 2]);
    assert!(first.is_sorted());
    let (sizes, all) = pages(&mut world, "ListRetirableGrants", &json!({ "RetiringPrincipal": arn("user/ops") }));
    assert_eq!(sizes, [50, 10]);
    assert_eq!(all.into_iter().collect::<std::collections::BTreeSet<_>>(), made);
    let only = json!({ "KeyId": keys[0], "GrantId": first[3], "GranteePrincipal": null });
    assert_eq!(pages(&mut world, "ListGrants", &only).1, [first[3].clone()]);
    let by_grantee = json!({ "KeyId": keys[0], "GranteePrincipal": arn("user/u7") });
    assert_eq!(pages(&mut world, "ListGrants", &by_grantee).1.len(), 1);

    let foreign = json!({ "RetiringPrincipal": format!("arn:aws:iam::{OTHER_ACCOUNT}:user/ops") });
    assert!(world.call("ListRetirableGrants", foreign).unwrap_err().starts_with("AccessDenied"));
    assert!(world.call("ListRetirableGrants", json!({})).unwrap_err().starts_with("ValidationException"));
    for operation in ["ListGrants", "ListRetirableGrants"] {
        let body = json!({ "KeyId": keys[0], "RetiringPrincipal": arn("user/ops"), "Marker": "nonsense" });
        assert_eq!(world.call(operation, body).unwrap_err(), "InvalidMarkerException");
    }
    // Another Region has none of them.
    world.region = "us-east-1".parse().unwrap();
    let here = json!({ "RetiringPrincipal": arn("user/ops") });
    assert_eq!(pages(&mut world, "ListRetirableGrants", &here).1.len(), 0);
}

#[test]
fn a_grant_opens_a_key_to_another_account_and_both_hear_of_it() {
    let mut world = World::new();
    let key = world.create_key().to_string();
    let stranger = root(OTHER_ACCOUNT);
    assert!(encrypt(&mut world, &stranger, &key, &json!({})).unwrap_err().starts_with("AccessDenied"));
    let grantee = format!("arn:aws:iam::{OTHER_ACCOUNT}:root");
    let made =
        grant(&mut world, &key, &grantee, &json!(["Encrypt", "CreateGrant", "RetireGrant"]), &json!({})).unwrap();
    encrypt(&mut world, &stranger, &key, &json!({})).unwrap();
    let twins: Vec<_> = world.trail.iter().rev().take(2).map(|record| record["recipientAccountId"].clone()).collect();
    assert_eq!(twins, [json!(ACCOUNT), json!(OTHER_ACCOUNT)]);
    let mut child = json!({ "KeyId": key, "GranteePrincipal": arn("user/x"), "Operations": ["Encrypt"] });
    world.call_as(&stranger, "CreateGrant", &child.to_string()).unwrap();
    child["Operations"] = json!(["Decrypt"]);
    assert!(world.call_as(&stranger, "CreateGrant", &child.to_string()).is_err());
    let listed = world.call("ListGrants", json!({ "KeyId": key, "GranteePrincipal": arn("user/x") })).unwrap();
    assert_eq!(listed["Grants"][0]["IssuingAccount"], grantee);
    let by_token = json!({ "GrantToken": made["GrantToken"] }).to_string();
    world.call_as(&stranger, "RetireGrant", &by_token).unwrap();
    assert_eq!(world.last_record()["recipientAccountId"], ACCOUNT);
    assert!(encrypt(&mut world, &stranger, &key, &json!({})).unwrap_err().starts_with("AccessDenied"));
}

/// The grants of a deleted key are gone with it, at once and for good, though their records go later.
#[test]
fn a_deleted_keys_grants_never_come_back() {
    let mut world = World::new();
    let key = world.create_key();
    let (name, app) = (key.to_string(), user("app"));
    let mut tokens = Vec::new();
    for n in 0..250 {
        let more = json!({ "RetiringPrincipal": arn("user/ops"), "Name": format!("n{n}") });
        let made = grant(&mut world, &name, &arn("user/app"), &json!(["Encrypt", "DescribeKey"]), &more).unwrap();
        tokens.push(made["GrantToken"].clone());
    }
    world.call("ScheduleKeyDeletion", json!({ "KeyId": name, "PendingWindowInDays": 7 })).unwrap();
    assert_eq!(count(&mut world, &name), 50, "a grant stays while its key waits");
    let made = grant(&mut world, &name, &arn("user/app"), &json!(["Encrypt"]), &json!({})).unwrap_err();
    assert_eq!(made, format!("KMSInvalidStateException: {name} is pending deletion."));
    let stored = world.stored(&name);
    assert_eq!(world.pass(7 * DAY), [key]);

    // The same ARN again, as a multi-Region replica is made again from its primary.
    let records = |world: &World| world.stored("grant/").len();
    assert_eq!(records(&world), 250);
    let check = |world: &mut World| {
        assert_eq!(count(world, &name), 0);
        let error = world.call_as(&app, "DescribeKey", &json!({ "KeyId": name }).to_string()).unwrap_err();
        assert!(error.starts_with("AccessDenied"), "{error}");
        for token in [&tokens[0], &tokens[249]] {
            let retired = world.call("RetireGrant", json!({ "GrantToken": token }));
            assert_eq!(retired.unwrap_err(), "InvalidGrantTokenException");
        }
        let retirable = world.call("ListRetirableGrants", json!({ "RetiringPrincipal": arn("user/ops") })).unwrap();
        assert_eq!(retirable["Grants"], json!([]));
    };
    let made_again = stored.iter().find(|(stored, _)| stored.starts_with("key/")).unwrap();
    let mut record: Value = serde_json::from_slice(&made_again.1).unwrap();
    record["created"] = json!(world.now.to_string());
    record["state"] = json!("Enabled");
    world.put(&made_again.0, &record);
    check(&mut world);
    world.restart();
    check(&mut world);
    // What the new key is given is its own, also where it is given the same.
    let more = json!({ "RetiringPrincipal": arn("user/ops"), "Name": "n0" });
    let mut left = Vec::new();
    grant(&mut world, &name, &arn("user/app"), &json!(["Encrypt", "DescribeKey"]), &more).unwrap();
    while let Some(batch) = world.sweep() {
        assert!(batch.check().is_ok() && batch.append.is_empty());
        assert!(world.commit(batch));
        left.push(records(&world));
        world.restart();
    }
    assert_eq!(left, [151, 51, 1]);
    assert_eq!(count(&mut world, &name), 1);
    world.call_as(&app, "DescribeKey", &json!({ "KeyId": name }).to_string()).unwrap();
}

#[test]
fn a_replica_that_is_made_again_has_none_of_its_old_grants() {
    let mut world = World::new();
    let primary = world.create_key_with(json!({ "MultiRegion": true })).to_string();
    let replicate = |world: &mut World| {
        world.region = "eu-west-1".parse().unwrap();
        world.call("ReplicateKey", json!({ "KeyId": primary, "ReplicaRegion": "us-east-1" })).unwrap();
        world.pass(DAY);
        world.region = "us-east-1".parse().unwrap();
    };
    let replica = primary.replace("eu-west-1", "us-east-1");
    replicate(&mut world);
    let made = grant(&mut world, &replica, &arn("user/app"), &json!(["Encrypt"]), &json!({})).unwrap();
    encrypt(&mut world, &user("app"), &replica, &json!({})).unwrap();
    world.call("ScheduleKeyDeletion", json!({ "KeyId": replica, "PendingWindowInDays": 7 })).unwrap();
    world.pass(7 * DAY);
    replicate(&mut world);
    for _ in 0..2 {
        assert_eq!(world.state_of(&replica.parse().unwrap()), "Enabled");
        assert_eq!(count(&mut world, &replica), 0);
        assert!(encrypt(&mut world, &user("app"), &replica, &json!({})).unwrap_err().starts_with("AccessDenied"));
        let gone = world.call("RevokeGrant", json!({ "KeyId": replica, "GrantId": made["GrantId"] })).unwrap_err();
        assert!(gone.starts_with("NotFoundException"), "{gone}");
        world.restart();
    }
}
