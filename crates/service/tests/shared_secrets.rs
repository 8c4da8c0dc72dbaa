//! DeriveSharedSecret, Encapsulate and Decapsulate, told call by call.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use world::{ACCOUNT, World, user};

const DRY: &str = "DryRunOperationException: The request would have succeeded, but the DryRun option is set.";

fn length(value: &Value) -> usize {
    STANDARD.decode(value.as_str().unwrap()).unwrap().len()
}

#[test]
fn two_keys_agree_on_a_secret() {
    let mut world = World::new();
    let mut stranger = None;
    for (spec, bytes) in [("ECC_NIST_P256", 32), ("ECC_NIST_P384", 48), ("ECC_NIST_P521", 66)] {
        let kind = json!({ "KeySpec": spec, "KeyUsage": "KEY_AGREEMENT" });
        let (one, two) = (world.create_key_with(kind.clone()).to_string(), world.create_key_with(kind).to_string());
        let public = |world: &mut World, key: &str| {
            let answer = world.call("GetPublicKey", json!({ "KeyId": key })).unwrap();
            assert_eq!(answer["KeyAgreementAlgorithms"], json!(["ECDH"]));
            answer["PublicKey"].clone()
        };
        let (of_one, of_two) = (public(&mut world, &one), public(&mut world, &two));
        let asked =
            |key: &str, peer: &Value| json!({ "KeyId": key, "KeyAgreementAlgorithm": "ECDH", "PublicKey": peer });
        let secret = world.call("DeriveSharedSecret", asked(&one, &of_two)).unwrap();
        assert_eq!(length(&secret["SharedSecret"]), bytes);
        assert_eq!(
            (&secret["KeyId"], &secret["KeyAgreementAlgorithm"], &secret["KeyOrigin"]),
            (&json!(one), &json!("ECDH"), &json!("AWS_KMS"))
        );
        let record = world.last_record();
        assert_eq!(record["requestParameters"], json!({ "keyId": one, "keyAgreementAlgorithm": "ECDH" }));
        assert_eq!(record["responseElements"], Value::Null);
        let other = world.call("DeriveSharedSecret", asked(&two, &of_one)).unwrap();
        assert_eq!(other["SharedSecret"], secret["SharedSecret"]);

        // What is no public key of the curve is refused without a word.
        let broken = json!("AAAA");
        for peer in [&broken].into_iter().chain(stranger.as_ref()) {
            assert_eq!(world.call("DeriveSharedSecret", asked(&one, peer)).unwrap_err(), "ValidationException");
        }
        let mut dry = asked(&one, &of_two);
        dry["DryRun"] = json!(true);
        assert_eq!(world.call("DeriveSharedSecret", dry).unwrap_err(), DRY);
        let used = world.call("GetKeyLastUsage", json!({ "KeyId": one })).unwrap();
        assert_eq!(used["KeyLastUsage"]["Operation"], "DeriveSharedSecret");
        stranger = Some(of_one);
    }
    let plain = world.create_key().to_string();
    let request = json!({ "KeyId": plain, "KeyAgreementAlgorithm": "ECDH", "PublicKey": stranger });
    assert_eq!(
        world.call("DeriveSharedSecret", request.clone()).unwrap_err(),
        format!(
            "InvalidKeyUsageException: {plain} key usage is ENCRYPT_DECRYPT which is not valid for DeriveSharedSecret."
        )
    );
    let mut request = request;
    request["Recipient"] = json!({});
    let refusal = world.call("DeriveSharedSecret", request).unwrap_err();
    assert_eq!(refusal, "ValidationException: Recipient needs KeyEncryptionAlgorithm and AttestationDocument.");
}

#[test]
fn what_is_encapsulated_is_recovered() {
    let mut world = World::new();
    for (spec, bytes) in [("ML_KEM_512", 768), ("ML_KEM_768", 1088), ("ML_KEM_1024", 1568)] {
        let kind = json!({ "KeySpec": spec, "KeyUsage": "ENCAPSULATE_DECAPSULATE" });
        let (key, other) = (world.create_key_with(kind.clone()).to_string(), world.create_key_with(kind).to_string());
        let asked = |key: &str| json!({ "KeyId": key, "EncapsulationAlgorithm": "ML_KEM" });
        let made = world.call("Encapsulate", asked(&key)).unwrap();
        assert_eq!((&made["KeyId"], &made["EncapsulationAlgorithm"]), (&json!(key), &json!("ML_KEM")));
        assert_eq!((length(&made["SharedSecret"]), length(&made["SharedSecretCiphertextBlob"])), (32, bytes));
        let record = world.last_record();
        assert_eq!(record["requestParameters"], json!({ "keyId": key, "encapsulationAlgorithm": "ML_KEM" }));
        world.restart();
        let open = |key: &str, ciphertext: &Value| json!({ "KeyId": key, "EncapsulationAlgorithm": "ML_KEM", "SharedSecretCiphertextBlob": ciphertext });
        let ciphertext = &made["SharedSecretCiphertextBlob"];
        let recovered = world.call("Decapsulate", open(&key, ciphertext)).unwrap();
        let expected =
            json!({ "KeyId": key, "SharedSecret": made["SharedSecret"], "EncapsulationAlgorithm": "ML_KEM" });
        assert_eq!(recovered, expected);
        assert!(!world.last_record().to_string().contains(ciphertext.as_str().unwrap()));
        // Another key recovers another secret, and does not know it.
        let other = world.call("Decapsulate", open(&other, ciphertext)).unwrap();
        assert_ne!(other["SharedSecret"], made["SharedSecret"]);
        assert_eq!(length(&other["SharedSecret"]), 32);
        let refusal = world.call("Decapsulate", open(&key, &json!("AAAA"))).unwrap_err();
        assert_eq!(refusal, "InvalidCiphertextException");
        for (operation, mut request) in [("Encapsulate", asked(&key)), ("Decapsulate", open(&key, ciphertext))] {
            request["DryRun"] = json!(true);
            assert_eq!(world.call(operation, request).unwrap_err(), DRY);
        }
    }
}

#[test]
fn policies_see_how_a_secret_is_agreed_on() {
    let mut world = World::new();
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Principal": { "AWS": format!("arn:aws:iam::{ACCOUNT}:root") }, "Action": "kms:*", "Resource": "*" },
        {
            "Effect": "Allow", "Principal": { "AWS": format!("arn:aws:iam::{ACCOUNT}:user/ann") },
            "Action": ["kms:DeriveSharedSecret", "kms:GetPublicKey"], "Resource": "*",
            "Condition": { "StringEqualsIfExists": { "kms:KeyAgreementAlgorithm": "ECDH" }, "StringEquals": { "kms:KeyUsage": "KEY_AGREEMENT" } },
        },
    ] });
    let kind = json!({ "KeySpec": "ECC_NIST_P256", "KeyUsage": "KEY_AGREEMENT", "Policy": policy.to_string() });
    let key = world.create_key_with(kind).to_string();
    let ann = user("ann");
    let public = world.call_as(&ann, "GetPublicKey", &json!({ "KeyId": key }).to_string()).unwrap();
    let request = json!({ "KeyId": key, "KeyAgreementAlgorithm": "ECDH", "PublicKey": public["PublicKey"] });
    world.call_as(&ann, "DeriveSharedSecret", &request.to_string()).unwrap();
    assert!(
        world
            .call_as(&user("bob"), "DeriveSharedSecret", &request.to_string())
            .unwrap_err()
            .starts_with("AccessDenied")
    );
}
