//! Every operation on a key in every state that a key can reach here, as a client reads the answer: a changed cell is a visible
//! diff of `wire_table.txt`. The KMS operations of the table are all in it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::fmt::Write as _;

use api::{KeyUsage, Keys, OPERATIONS, Operation, Service};
use serde_json::{Value, json};
use world::World;

/// What an enabled key of a usage made before its state changed, by the name of the request's member.
type Made = Value;

/// The request of CreateKey for a key that `operation` takes, but for its origin.
fn kind_of_key(operation: &Operation) -> Value {
    let (spec, usage) = match (operation.name, operation.usage) {
        ("GetPublicKey", _) | (_, Some(KeyUsage::SignVerify)) => ("ECC_NIST_P256", "SIGN_VERIFY"),
        (_, Some(KeyUsage::GenerateVerifyMac)) => ("HMAC_256", "GENERATE_VERIFY_MAC"),
        (_, Some(KeyUsage::KeyAgreement)) => ("ECC_NIST_P256", "KEY_AGREEMENT"),
        (_, Some(KeyUsage::EncapsulateDecapsulate)) => ("ML_KEM_512", "ENCAPSULATE_DECAPSULATE"),
        (_, Some(KeyUsage::EncryptDecrypt) | None) => ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"),
    };
    json!({ "KeySpec": spec, "KeyUsage": usage })
}

/// What `operation` needs and `key` makes.
fn make(world: &mut World, operation: &str, key: &str) -> Made {
    let mut made = |name: &str, mut request: Value| {
        request["KeyId"] = json!(key);
        world.call(name, request).unwrap()
    };
    match operation {
        "Decrypt" | "ReEncrypt" => made("Encrypt", json!({ "Plaintext": "AQID" })),
        "Verify" => made("Sign", json!({ "Message": "AQID", "SigningAlgorithm": "ECDSA_SHA_256" })),
        "VerifyMac" => made("GenerateMac", json!({ "Message": "AQID", "MacAlgorithm": "HMAC_SHA_256" })),
        "DeriveSharedSecret" => made("GetPublicKey", json!({})),
        "Decapsulate" => made("Encapsulate", json!({ "EncapsulationAlgorithm": "ML_KEM" })),
        _ => Value::Null,
    }
}

/// A world with a key in `state`, an alias to it, and what it made while it could.
fn world_with(state: &str, operation: &Operation) -> (World, String, Made) {
    let mut world = World::new();
    let kind = kind_of_key(operation);
    let mut asked = kind.clone();
    asked["Origin"] = json!(if state == "PendingImport" { "EXTERNAL" } else { "AWS_KMS" });
    let key = world.create_key_with(asked).to_string();
    world.call("CreateAlias", json!({ "AliasName": "alias/app", "TargetKeyId": key })).unwrap();
    let spare = world.create_key_with(kind).to_string();
    let made = make(&mut world, operation.name, if state == "PendingImport" { &spare } else { &key });
    match state {
        "Disabled" => drop(world.call("DisableKey", json!({ "KeyId": key })).unwrap()),
        "PendingDeletion" => drop(world.call("ScheduleKeyDeletion", json!({ "KeyId": key })).unwrap()),
        "Deleted" => {
            world.call("ScheduleKeyDeletion", json!({ "KeyId": key, "PendingWindowInDays": 7 })).unwrap();
            world.pass(7 * 86_400);
        }
        _ => {}
    }
    (world, key, made)
}

fn request(operation: &str, key: &str, made: &Made) -> Value {
    match operation {
        "CreateGrant" => {
            json!({ "KeyId": key, "GranteePrincipal": "arn:aws:iam::111122223333:user/app", "Operations": ["DescribeKey"] })
        }
        "RetireGrant" | "RevokeGrant" => json!({ "KeyId": key, "GrantId": "0".repeat(64) }),
        "CreateAlias" => json!({ "AliasName": "alias/new", "TargetKeyId": key }),
        "UpdateAlias" => json!({ "AliasName": "alias/app", "TargetKeyId": key }),
        "DeleteAlias" => json!({ "AliasName": "alias/app" }),
        "Decrypt" => json!({ "CiphertextBlob": made["CiphertextBlob"] }),
        "ReEncrypt" => json!({ "CiphertextBlob": made["CiphertextBlob"], "DestinationKeyId": key }),
        "Encrypt" => json!({ "KeyId": key, "Plaintext": "AQID" }),
        "GenerateDataKey" | "GenerateDataKeyWithoutPlaintext" => json!({ "KeyId": key, "KeySpec": "AES_256" }),
        "GetParametersForImport" => {
            json!({ "KeyId": key, "WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048" })
        }
        "ImportKeyMaterial" => json!({
            "KeyId": key, "ImportToken": "AQID", "EncryptedKeyMaterial": "AQID",
            "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE",
        }),
        "PutKeyPolicy" => json!({ "KeyId": key, "Policy": policy::default_key_policy(world::account(), "aws") }),
        "GenerateDataKeyPair" | "GenerateDataKeyPairWithoutPlaintext" => {
            json!({ "KeyId": key, "KeyPairSpec": "ECC_NIST_P256" })
        }
        "Sign" => json!({ "KeyId": key, "Message": "AQID", "SigningAlgorithm": "ECDSA_SHA_256" }),
        "Verify" => {
            json!({ "KeyId": key, "Message": "AQID", "SigningAlgorithm": "ECDSA_SHA_256", "Signature": made["Signature"] })
        }
        "GenerateMac" => json!({ "KeyId": key, "Message": "AQID", "MacAlgorithm": "HMAC_SHA_256" }),
        "VerifyMac" => json!({ "KeyId": key, "Message": "AQID", "MacAlgorithm": "HMAC_SHA_256", "Mac": made["Mac"] }),
        "DeriveSharedSecret" => {
            json!({ "KeyId": key, "KeyAgreementAlgorithm": "ECDH", "PublicKey": made["PublicKey"] })
        }
        "Encapsulate" => json!({ "KeyId": key, "EncapsulationAlgorithm": "ML_KEM" }),
        "Decapsulate" => json!({
            "KeyId": key,
            "EncapsulationAlgorithm": "ML_KEM",
            "SharedSecretCiphertextBlob": made["SharedSecretCiphertextBlob"],
        }),
        "TagResource" => json!({ "KeyId": key, "Tags": [{ "TagKey": "a", "TagValue": "b" }] }),
        "UntagResource" => json!({ "KeyId": key, "TagKeys": ["a"] }),
        "UpdateKeyDescription" => json!({ "KeyId": key, "Description": "x" }),
        "ReplicateKey" => json!({ "KeyId": key, "ReplicaRegion": "us-east-1" }),
        "UpdatePrimaryRegion" => json!({ "KeyId": key, "PrimaryRegion": "us-east-1" }),
        _ => json!({ "KeyId": key }),
    }
}

#[test]
fn every_operation_answers_as_aws_does_in_every_state() {
    let mut table = String::new();
    let rows = OPERATIONS.iter().filter(|row| row.service == Service::Kms && row.keys != Keys::None);
    for row in rows {
        writeln!(table, "{}", row.name).unwrap();
        for state in ["Enabled", "Disabled", "PendingDeletion", "PendingImport", "Deleted"] {
            let (mut world, key, made) = world_with(state, row);
            let told = world.trail.len();
            let answer = match world.call(row.name, request(row.name, &key, &made)) {
                Ok(_) => "ok".to_owned(),
                Err(error) => error.replace(&key, "<key ARN>"),
            };
            writeln!(table, "    {state:<17}{answer}").unwrap();
            // The call's own record is the first; what follows from it comes behind.
            let record = &world.trail[told];
            let code = record["errorCode"].as_str().unwrap_or("ok").to_owned();
            assert_eq!(record["eventName"], row.name);
            assert_eq!(record["readOnly"], row.read_only);
            assert!(answer.starts_with(&code), "{} {state}: answered `{answer}`, recorded `{code}`", row.name);
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wire_table.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, &table).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    assert_eq!(table, golden, "the wire table changed; run with BLESS=1 and read the diff");
}

#[test]
fn every_row_of_the_table_has_a_handler() {
    let mut world = World::new();
    for row in OPERATIONS.iter().filter(|row| service::is_answered_here(row.service)) {
        let answer = world.call_as(&world::root(world::ACCOUNT), row.name, "{}");
        assert_ne!(answer, Err("UnknownOperationException".to_owned()), "{}", row.name);
    }
}
