//! Sign, Verify, GenerateMac, VerifyMac and GetPublicKey, told call by call.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use api::{KeySpec, MessageType, SigningAlgorithm};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use world::{ACCOUNT, World, user};

/// One spec of each family that signs, the fast ones.
const SPECS: &[KeySpec] = &[
    KeySpec::Rsa2048,
    KeySpec::EccNistP256,
    KeySpec::EccNistP384,
    KeySpec::EccNistP521,
    KeySpec::EccSecgP256k1,
    KeySpec::EccNistEdwards25519,
    KeySpec::MlDsa44,
    KeySpec::MlDsa65,
    KeySpec::MlDsa87,
];

fn signing_key(world: &mut World, spec: KeySpec) -> String {
    world.create_key_with(json!({ "KeySpec": spec, "KeyUsage": "SIGN_VERIFY" })).to_string()
}

fn blob(bytes: &[u8]) -> Value {
    json!(STANDARD.encode(bytes))
}

fn bytes(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap()).unwrap()
}

/// A message of a kind that the algorithm takes.
fn message(kind: MessageType, algorithm: SigningAlgorithm) -> Vec<u8> {
    match kind {
        MessageType::Raw => b"the quick brown fox".to_vec(),
        MessageType::Digest | MessageType::ExternalMu => vec![7; algorithm.digest_bytes().unwrap()],
    }
}

#[test]
fn what_is_signed_verifies_and_nothing_else_does() {
    let mut world = World::new();
    for spec in SPECS {
        let (key, other) = (signing_key(&mut world, *spec), signing_key(&mut world, *spec));
        for algorithm in spec.signing_algorithms() {
            for kind in algorithm.message_types() {
                let message = message(*kind, *algorithm);
                let asked = json!({
                    "KeyId": key, "Message": blob(&message), "MessageType": kind, "SigningAlgorithm": algorithm,
                });
                let signed = world.call("Sign", asked.clone()).unwrap();
                assert_eq!(signed["KeyId"], key);
                assert_eq!(signed["SigningAlgorithm"], json!(algorithm));
                let record = world.last_record();
                assert_eq!(
                    record["requestParameters"],
                    json!({ "messageType": kind, "keyId": key, "signingAlgorithm": algorithm })
                );
                assert_eq!(record["responseElements"], Value::Null);
                assert!(record.get("additionalEventData").is_none(), "{record}");

                let mut check = asked.clone();
                check["Signature"] = signed["Signature"].clone();
                let verified = world.call("Verify", check.clone()).unwrap();
                let expected = json!({ "KeyId": key, "SignatureValid": true, "SigningAlgorithm": algorithm });
                assert_eq!(verified, expected, "{spec} {algorithm} {kind}");
                assert!(world.last_record()["requestParameters"].get("signature").is_none());

                let mut changed = message.clone();
                changed[0] ^= 1;
                let mut signature = bytes(&signed["Signature"]);
                let middle = signature.len() / 2;
                signature[middle] ^= 1;
                for (member, value) in [
                    ("Message", blob(&changed)),
                    ("Signature", blob(&signature)),
                    ("Signature", blob(b"x")),
                    ("KeyId", json!(other)),
                ] {
                    let mut wrong = check.clone();
                    wrong[member] = value;
                    assert_eq!(
                        world.call("Verify", wrong).unwrap_err(),
                        "KMSInvalidSignatureException",
                        "{spec} {algorithm} {kind} {member}"
                    );
                }
            }
        }
    }
}

#[test]
fn an_algorithm_takes_what_aws_lets_it_take() {
    let mut world = World::new();
    let ecdsa = signing_key(&mut world, KeySpec::EccNistP256);
    let edwards = signing_key(&mut world, KeySpec::EccNistEdwards25519);
    let lattice = signing_key(&mut world, KeySpec::MlDsa44);
    for (key, algorithm, kind, length, expected) in [
        (
            &ecdsa,
            "ECDSA_SHA_384",
            "RAW",
            3,
            "InvalidKeyUsageException: Algorithm ECDSA_SHA_384 is incompatible with key spec ECC_NIST_P256.",
        ),
        (
            &ecdsa,
            "ECDSA_SHA_384",
            "DIGEST",
            3,
            "InvalidKeyUsageException: Algorithm ECDSA_SHA_384 is incompatible with key spec ECC_NIST_P256.",
        ),
        (
            &ecdsa,
            "RSASSA_PSS_SHA_256",
            "RAW",
            3,
            "InvalidKeyUsageException: Algorithm RSASSA_PSS_SHA_256 is incompatible with key spec ECC_NIST_P256.",
        ),
        (
            &ecdsa,
            "ECDSA_SHA_256",
            "DIGEST",
            31,
            "ValidationException: Digest is invalid length for algorithm ECDSA_SHA_256.",
        ),
        (
            &ecdsa,
            "ECDSA_SHA_256",
            "DIGEST",
            33,
            "ValidationException: Digest is invalid length for algorithm ECDSA_SHA_256.",
        ),
        (
            &ecdsa,
            "ECDSA_SHA_256",
            "EXTERNAL_MU",
            64,
            "ValidationException: Message type EXTERNAL_MU is incompatible with algorithm ECDSA_SHA_256.",
        ),
        (
            &edwards,
            "ED25519_SHA_512",
            "DIGEST",
            64,
            "ValidationException: Message type DIGEST is incompatible with algorithm ED25519_SHA_512.",
        ),
        (
            &edwards,
            "ED25519_PH_SHA_512",
            "RAW",
            64,
            "ValidationException: Message type RAW is incompatible with algorithm ED25519_PH_SHA_512.",
        ),
        (
            &edwards,
            "ED25519_PH_SHA_512",
            "DIGEST",
            63,
            "ValidationException: Digest is invalid length for algorithm ED25519_PH_SHA_512.",
        ),
        (
            &lattice,
            "ML_DSA_SHAKE_256",
            "DIGEST",
            64,
            "ValidationException: Message type DIGEST is incompatible with algorithm ML_DSA_SHAKE_256.",
        ),
        (
            &lattice,
            "ML_DSA_SHAKE_256",
            "EXTERNAL_MU",
            63,
            "ValidationException: Digest is invalid length for algorithm ML_DSA_SHAKE_256.",
        ),
    ] {
        for operation in ["Sign", "Verify"] {
            let request = json!({
                "KeyId": key, "Message": blob(&vec![1; length]), "MessageType": kind, "SigningAlgorithm": algorithm,
                "Signature": "AQID",
            });
            assert_eq!(world.call(operation, request).unwrap_err(), expected, "{operation}");
        }
    }
    // The state comes before the algorithm, and the usage before both.
    world.call("DisableKey", json!({ "KeyId": ecdsa })).unwrap();
    let request = json!({ "KeyId": ecdsa, "Message": "AQID", "SigningAlgorithm": "ECDSA_SHA_384" });
    assert_eq!(world.call("Sign", request).unwrap_err(), format!("DisabledException: {ecdsa} is disabled."));
    let plain = world.create_key().to_string();
    let request = json!({ "KeyId": plain, "Message": "AQID", "SigningAlgorithm": "ECDSA_SHA_384" });
    assert_eq!(
        world.call("Sign", request).unwrap_err(),
        format!("InvalidKeyUsageException: {plain} key usage is ENCRYPT_DECRYPT which is not valid for Sign.")
    );
    let request = json!({ "KeyId": edwards, "Plaintext": "AQID" });
    assert_eq!(
        world.call("Encrypt", request).unwrap_err(),
        format!("InvalidKeyUsageException: {edwards} key usage is SIGN_VERIFY which is not valid for Encrypt.")
    );
}

#[test]
fn broken_requests_are_named() {
    let mut world = World::new();
    let key = signing_key(&mut world, KeySpec::EccNistP256);
    for (request, expected) in [
        (
            json!({ "KeyId": key, "Message": "AQID" }),
            "Value null at 'signingAlgorithm' failed to satisfy constraint: Member must not be null",
        ),
        (
            json!({ "KeyId": key, "SigningAlgorithm": "ECDSA_SHA_256" }),
            "Value at 'message' failed to satisfy constraint: Member must not be null",
        ),
        (
            json!({ "KeyId": key, "SigningAlgorithm": "ECDSA_SHA_256", "Message": blob(&[0; 4097]) }),
            "Value at 'message' failed to satisfy constraint: Member must have length less than or equal to 4096",
        ),
        (
            json!({ "KeyId": key, "SigningAlgorithm": "ECDSA_SHA_256", "Message": "AQID", "MessageType": "FOO" }),
            "Value 'FOO' at 'messageType' failed to satisfy constraint: Member must satisfy enum value set: [RAW, DIGEST, EXTERNAL_MU]",
        ),
    ] {
        let expected = format!("ValidationException: 1 validation error detected: {expected}");
        assert_eq!(world.call("Sign", request).unwrap_err(), expected);
    }
    let request = json!({ "KeyId": key, "SigningAlgorithm": "ECDSA_SHA_256", "Message": "AQID" });
    assert_eq!(
        world.call("Verify", request).unwrap_err(),
        "ValidationException: 1 validation error detected: Value null at 'signature' failed to satisfy constraint: Member must not be null"
    );
}

#[test]
fn codes_are_made_and_checked() {
    let mut world = World::new();
    for (spec, algorithm, length) in [
        ("HMAC_224", "HMAC_SHA_224", 28),
        ("HMAC_256", "HMAC_SHA_256", 32),
        ("HMAC_384", "HMAC_SHA_384", 48),
        ("HMAC_512", "HMAC_SHA_512", 64),
    ] {
        let kind = json!({ "KeySpec": spec, "KeyUsage": "GENERATE_VERIFY_MAC" });
        let key = world.create_key_with(kind.clone()).to_string();
        let other = world.create_key_with(kind).to_string();
        let asked = json!({ "KeyId": key, "Message": "AQID", "MacAlgorithm": algorithm });
        let made = world.call("GenerateMac", asked.clone()).unwrap();
        assert_eq!(bytes(&made["Mac"]).len(), length);
        assert_eq!((&made["KeyId"], &made["MacAlgorithm"]), (&json!(key), &json!(algorithm)));
        assert_eq!(world.last_record()["requestParameters"], json!({ "keyId": key, "macAlgorithm": algorithm }));
        world.restart();
        let mut check = asked.clone();
        check["Mac"] = made["Mac"].clone();
        let expected = json!({ "KeyId": key, "MacValid": true, "MacAlgorithm": algorithm });
        assert_eq!(world.call("VerifyMac", check.clone()).unwrap(), expected);
        let cut = blob(&bytes(&made["Mac"])[1..]);
        for (member, value) in [("Message", json!("AQIE")), ("Mac", cut), ("KeyId", json!(other))] {
            let mut wrong = check.clone();
            wrong[member] = value;
            assert_eq!(world.call("VerifyMac", wrong).unwrap_err(), "KMSInvalidMacException", "{member}");
        }
        let mut wrong = asked.clone();
        wrong["MacAlgorithm"] = json!(if spec == "HMAC_224" { "HMAC_SHA_256" } else { "HMAC_SHA_224" });
        let refusal = world.call("GenerateMac", wrong.clone()).unwrap_err();
        let algorithm = wrong["MacAlgorithm"].as_str().unwrap();
        assert_eq!(
            refusal,
            format!("InvalidKeyUsageException: Algorithm {algorithm} is incompatible with key spec {spec}.")
        );
    }
    let plain = world.create_key().to_string();
    let request = json!({ "KeyId": plain, "Message": "AQID", "MacAlgorithm": "HMAC_SHA_256" });
    assert_eq!(
        world.call("GenerateMac", request).unwrap_err(),
        format!("InvalidKeyUsageException: {plain} key usage is ENCRYPT_DECRYPT which is not valid for GenerateMac.")
    );
    assert!(
        world
            .call("GenerateMac", json!({ "KeyId": plain, "Message": "AQID", "MacAlgorithm": "x" }))
            .unwrap_err()
            .ends_with("[HMAC_SHA_384, HMAC_SHA_256, HMAC_SHA_224, HMAC_SHA_512]")
    );
}

#[test]
fn public_keys_are_handed_out_and_stay_the_same() {
    let mut world = World::new();
    let key = signing_key(&mut world, KeySpec::EccNistP256);
    world.call("CreateAlias", json!({ "AliasName": "alias/sign", "TargetKeyId": key })).unwrap();
    let answer = world.call("GetPublicKey", json!({ "KeyId": "alias/sign" })).unwrap();
    for (member, value) in [
        ("KeyId", json!(key)),
        ("KeySpec", json!("ECC_NIST_P256")),
        ("CustomerMasterKeySpec", json!("ECC_NIST_P256")),
        ("KeyUsage", json!("SIGN_VERIFY")),
        ("SigningAlgorithms", json!(["ECDSA_SHA_256"])),
    ] {
        assert_eq!(answer[member], value, "{member}");
    }
    assert!(answer.get("EncryptionAlgorithms").is_none());
    assert_eq!(bytes(&answer["PublicKey"]).len(), 91, "a P-256 SubjectPublicKeyInfo");
    let record = world.last_record();
    assert_eq!(record["requestParameters"], json!({ "keyId": "alias/sign" }));
    assert_eq!((&record["readOnly"], &record["responseElements"]), (&json!(true), &Value::Null));
    world.restart();
    assert_eq!(world.call("GetPublicKey", json!({ "KeyId": key })).unwrap(), answer);
    let usage = world.call("GetKeyLastUsage", json!({ "KeyId": key })).unwrap();
    assert_eq!(usage["KeyLastUsage"], json!({}), "handing out a public key is no use of the key");

    let hmac = world.create_key_with(json!({ "KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC" }));
    for key in [world.create_key().to_string(), hmac.to_string()] {
        assert_eq!(world.call("GetPublicKey", json!({ "KeyId": key })).unwrap_err(), "UnsupportedOperationException");
    }
}

#[test]
fn a_dry_run_checks_all_and_does_nothing() {
    let mut world = World::new();
    const DRY: &str = "DryRunOperationException: The request would have succeeded, but the DryRun option is set.";
    let key = signing_key(&mut world, KeySpec::EccNistP256);
    let mut request = json!({ "KeyId": key, "Message": "AQID", "SigningAlgorithm": "ECDSA_SHA_256" });
    let signature = world.call("Sign", request.clone()).unwrap()["Signature"].clone();
    request["DryRun"] = json!(true);
    assert_eq!(world.call("Sign", request.clone()).unwrap_err(), DRY);
    assert_eq!(world.last_record()["requestParameters"]["dryRun"], true);
    let mut check = request.clone();
    check["Signature"] = signature;
    assert_eq!(world.call("Verify", check.clone()).unwrap_err(), DRY);
    request["SigningAlgorithm"] = json!("ECDSA_SHA_512");
    assert!(world.call("Sign", request).unwrap_err().starts_with("InvalidKeyUsageException"));
    let hmac = world.create_key_with(json!({ "KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC" })).to_string();
    let request = json!({ "KeyId": hmac, "Message": "AQID", "MacAlgorithm": "HMAC_SHA_256", "DryRun": true });
    assert_eq!(world.call("GenerateMac", request).unwrap_err(), DRY);
    let usage = world.call("GetKeyLastUsage", json!({ "KeyId": hmac })).unwrap();
    assert_eq!(usage["KeyLastUsage"], json!({}), "a dry run is no use of the key");
}

#[test]
fn each_use_of_a_key_is_its_last_until_the_next() {
    let mut world = World::new();
    let key = signing_key(&mut world, KeySpec::EccNistP256);
    let request = json!({ "KeyId": key, "Message": "AQID", "SigningAlgorithm": "ECDSA_SHA_256" });
    let mut check = request.clone();
    check["Signature"] = world.call("Sign", request).unwrap()["Signature"].clone();
    let used = |world: &mut World| {
        let usage = world.call("GetKeyLastUsage", json!({ "KeyId": key })).unwrap();
        usage["KeyLastUsage"]["Operation"].clone()
    };
    assert_eq!(used(&mut world), "Sign");
    world.pass(1);
    world.call("Verify", check.clone()).unwrap();
    assert_eq!(used(&mut world), "Verify");
    world.pass(1);
    check["Message"] = json!("AQIE");
    world.call("Verify", check).unwrap_err();
    world.call("GetPublicKey", json!({ "KeyId": key })).unwrap();
    assert_eq!(used(&mut world), "Verify", "what failed, and what is no use, does not count");
}

#[test]
fn policies_see_how_a_key_is_used() {
    let mut world = World::new();
    let key = signing_key(&mut world, KeySpec::EccNistEdwards25519);
    let hmac = world.create_key_with(json!({ "KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC" })).to_string();
    let statement = |action: &str, condition: Value| {
        json!({
            "Effect": "Allow",
            "Principal": { "AWS": format!("arn:aws:iam::{ACCOUNT}:user/ann") },
            "Action": action,
            "Resource": "*",
            "Condition": { "StringEquals": condition },
        })
    };
    let owner = json!({
        "Effect": "Allow", "Principal": { "AWS": format!("arn:aws:iam::{ACCOUNT}:root") }, "Action": "kms:*", "Resource": "*",
    });
    let mut put = |key: &str, statement: Value| {
        let policy = json!({ "Version": "2012-10-17", "Statement": [owner.clone(), statement] });
        world.call("PutKeyPolicy", json!({ "KeyId": key, "Policy": policy.to_string() })).unwrap();
    };
    put(&key, statement("kms:Sign", json!({ "kms:SigningAlgorithm": "ED25519_SHA_512", "kms:MessageType": "RAW" })));
    put(
        &hmac,
        statement(
            "kms:GenerateMac",
            json!({ "kms:MacAlgorithm": "HMAC_SHA_256", "kms:KeyUsage": "GENERATE_VERIFY_MAC" }),
        ),
    );

    let ann = user("ann");
    let digest = blob(&[1; 64]);
    let sign = |algorithm: &str, kind: &str| {
        json!({ "KeyId": key, "Message": digest, "MessageType": kind, "SigningAlgorithm": algorithm }).to_string()
    };
    world.call_as(&ann, "Sign", &sign("ED25519_SHA_512", "RAW")).unwrap();
    let refusal = world.call_as(&ann, "Sign", &sign("ED25519_PH_SHA_512", "DIGEST")).unwrap_err();
    assert!(refusal.starts_with("AccessDeniedException: User: "), "{refusal}");
    let mac = |algorithm: &str| json!({ "KeyId": hmac, "Message": "AQID", "MacAlgorithm": algorithm }).to_string();
    world.call_as(&ann, "GenerateMac", &mac("HMAC_SHA_256")).unwrap();
    let refusal = world.call_as(&ann, "GenerateMac", &mac("HMAC_SHA_512")).unwrap_err();
    assert!(refusal.starts_with("AccessDeniedException: User: "), "{refusal}");
}
