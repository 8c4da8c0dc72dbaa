//! Encryption under asymmetric keys, data key pairs, and asking whether one might: told call by call.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use world::{ACCOUNT, World, user};

const DRY: &str = "DryRunOperationException: The request would have succeeded, but the DryRun option is set.";

fn rsa_key(world: &mut World) -> String {
    world.create_key_with(json!({ "KeySpec": "RSA_2048", "KeyUsage": "ENCRYPT_DECRYPT" })).to_string()
}

fn blob(bytes: &[u8]) -> Value {
    json!(STANDARD.encode(bytes))
}

#[test]
fn an_asymmetric_ciphertext_opens_for_who_names_key_and_algorithm() {
    let mut world = World::new();
    let (key, other) = (rsa_key(&mut world), rsa_key(&mut world));
    for (algorithm, most, another) in
        [("RSAES_OAEP_SHA_1", 214, "RSAES_OAEP_SHA_256"), ("RSAES_OAEP_SHA_256", 190, "RSAES_OAEP_SHA_1")]
    {
        let plaintext = vec![9; most];
        let mut request = json!({ "KeyId": key, "Plaintext": blob(&plaintext), "EncryptionAlgorithm": algorithm });
        let sealed = world.call("Encrypt", request.clone()).unwrap();
        assert_eq!((&sealed["KeyId"], &sealed["EncryptionAlgorithm"]), (&json!(key), &json!(algorithm)));
        assert_eq!(world.last_record()["requestParameters"], json!({ "keyId": key, "encryptionAlgorithm": algorithm }));
        assert!(world.last_record().get("additionalEventData").is_none());
        request["Plaintext"] = blob(&vec![9; most + 1]);
        assert_eq!(
            world.call("Encrypt", request).unwrap_err(),
            format!(
                "ValidationException: Algorithm {algorithm} and key spec RSA_2048 cannot encrypt data larger than {most} bytes."
            )
        );

        let ciphertext = &sealed["CiphertextBlob"];
        let open = json!({ "KeyId": key, "CiphertextBlob": ciphertext, "EncryptionAlgorithm": algorithm });
        let opened = world.call("Decrypt", open.clone()).unwrap();
        let expected = json!({ "KeyId": key, "Plaintext": blob(&plaintext), "EncryptionAlgorithm": algorithm });
        assert_eq!(opened, expected);
        let record = world.last_record();
        assert_eq!(record["requestParameters"], json!({ "encryptionAlgorithm": algorithm, "keyId": key }));

        let refused = |world: &mut World, member: &str, value: Value| {
            let mut request = open.clone();
            request[member] = value;
            world.call("Decrypt", request).unwrap_err()
        };
        assert_eq!(refused(&mut world, "KeyId", Value::Null), "ValidationException: KeyId must not be null");
        assert_eq!(refused(&mut world, "KeyId", json!(other)), "InvalidCiphertextException");
        assert_eq!(refused(&mut world, "EncryptionAlgorithm", json!(another)), "InvalidCiphertextException");
        // Without an algorithm the ciphertext is read as one that names its key.
        assert_eq!(refused(&mut world, "EncryptionAlgorithm", Value::Null), "InvalidCiphertextException");
        assert_eq!(refused(&mut world, "CiphertextBlob", blob(&[1; 256])), "InvalidCiphertextException");
        assert_eq!(refused(&mut world, "CiphertextBlob", blob(&[1; 3])), "InvalidCiphertextException");
        assert_eq!(
            refused(&mut world, "EncryptionContext", json!({ "a": "b" })),
            "ValidationException: EncryptionContext is not supported when encrypting/decrypting with asymmetric CMKs."
        );
    }
}

#[test]
fn key_and_algorithm_must_fit() {
    let mut world = World::new();
    let (rsa, plain) = (rsa_key(&mut world), world.create_key().to_string());
    let refused = |algorithm: &str, spec: &str| {
        format!("InvalidKeyUsageException: Algorithm {algorithm} is incompatible with key spec {spec}.")
    };
    assert_eq!(world.encrypt(&rsa).unwrap_err(), refused("SYMMETRIC_DEFAULT", "RSA_2048"));
    let oaep = json!({ "KeyId": plain, "Plaintext": "AQID", "EncryptionAlgorithm": "RSAES_OAEP_SHA_256" });
    assert_eq!(world.call("Encrypt", oaep).unwrap_err(), refused("RSAES_OAEP_SHA_256", "SYMMETRIC_DEFAULT"));
    let sm2 = json!({ "KeyId": rsa, "Plaintext": "AQID", "EncryptionAlgorithm": "SM2PKE" });
    assert_eq!(world.call("Encrypt", sm2).unwrap_err(), refused("SM2PKE", "RSA_2048"));
    let ciphertext = world.encrypt(&plain).unwrap();
    let open = json!({ "KeyId": plain, "CiphertextBlob": ciphertext, "EncryptionAlgorithm": "RSAES_OAEP_SHA_1" });
    assert_eq!(world.call("Decrypt", open).unwrap_err(), refused("RSAES_OAEP_SHA_1", "SYMMETRIC_DEFAULT"));
    // A symmetric ciphertext names its own key, and no other will do, whatever its kind.
    let open = json!({ "KeyId": rsa, "CiphertextBlob": ciphertext });
    assert!(world.call("Decrypt", open).unwrap_err().starts_with("IncorrectKeyException"));
    let request = json!({ "KeyId": "1234abcd-12ab-34cd-56ef-1234567890ab" });
    assert!(world.call("GenerateDataKey", request).unwrap_err().starts_with("NotFoundException"));
    for operation in ["GenerateDataKey", "GenerateDataKeyWithoutPlaintext"] {
        assert_eq!(
            world.call(operation, json!({ "KeyId": rsa })).unwrap_err(),
            "ValidationException: Please specify either number of bytes or key spec."
        );
        let request = json!({ "KeyId": rsa, "KeySpec": "AES_256" });
        assert_eq!(
            world.call(operation, request).unwrap_err(),
            "InvalidKeyUsageException: You cannot generate a data key with an asymmetric CMK"
        );
    }
    for operation in ["GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext"] {
        let request = json!({ "KeyId": rsa, "KeyPairSpec": "ECC_NIST_P256" });
        assert_eq!(
            world.call(operation, request).unwrap_err(),
            "InvalidKeyUsageException: You cannot generate a data key with an asymmetric CMK"
        );
    }
}

#[test]
fn a_ciphertext_moves_between_symmetric_and_asymmetric_keys() {
    let mut world = World::new();
    let (rsa, plain) = (rsa_key(&mut world), world.create_key().to_string());
    let start = world.encrypt(&plain).unwrap();
    let moved = world
        .call(
            "ReEncrypt",
            json!({
                "CiphertextBlob": start, "DestinationKeyId": rsa, "DestinationEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
            }),
        )
        .unwrap();
    assert_eq!((&moved["SourceKeyId"], &moved["KeyId"]), (&json!(plain), &json!(rsa)));
    assert_eq!(moved["SourceEncryptionAlgorithm"], "SYMMETRIC_DEFAULT");
    assert_eq!(moved["DestinationEncryptionAlgorithm"], "RSAES_OAEP_SHA_256");
    assert_eq!(moved["SourceKeyMaterialId"].as_str().unwrap().len(), 64);
    assert!(moved.get("DestinationKeyMaterialId").is_none());
    let additional = &world.last_record()["additionalEventData"];
    assert_eq!(additional, &json!({ "sourceKeyMaterialId": moved["SourceKeyMaterialId"] }));

    let back = json!({
        "CiphertextBlob": moved["CiphertextBlob"], "SourceKeyId": rsa, "SourceEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
        "DestinationKeyId": plain, "DestinationEncryptionContext": { "a": "b" },
    });
    let moved = world.call("ReEncrypt", back.clone()).unwrap();
    let record = world.last_record();
    assert_eq!(record["resources"].as_array().unwrap().len(), 2);
    assert_eq!(record["requestParameters"]["sourceKeyId"], rsa);
    let open = json!({ "CiphertextBlob": moved["CiphertextBlob"], "EncryptionContext": { "a": "b" } });
    assert_eq!(world.call("Decrypt", open).unwrap()["Plaintext"], "AQID");
    for key in [&rsa, &plain] {
        let used = world.call("GetKeyLastUsage", json!({ "KeyId": key })).unwrap();
        assert!(used["KeyLastUsage"].get("Operation").is_some(), "{key}");
    }
    let mut request = back.clone();
    request["SourceKeyId"] = Value::Null;
    assert_eq!(world.call("ReEncrypt", request).unwrap_err(), "ValidationException: SourceKeyId must not be null");
    let mut request = back.clone();
    request["SourceEncryptionContext"] = json!({ "a": "b" });
    assert!(world.call("ReEncrypt", request).unwrap_err().starts_with("ValidationException: EncryptionContext is not"));
    let mut request = back;
    request["DryRun"] = json!(true);
    assert_eq!(world.call("ReEncrypt", request).unwrap_err(), DRY);
    // What a symmetric key sealed may be more than RSA encrypts.
    let long = world.call("Encrypt", json!({ "KeyId": plain, "Plaintext": blob(&[1; 191]) })).unwrap();
    let request = json!({
        "CiphertextBlob": long["CiphertextBlob"], "DestinationKeyId": rsa,
        "DestinationEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
    });
    assert!(world.call("ReEncrypt", request).unwrap_err().ends_with("cannot encrypt data larger than 190 bytes."));
}

#[test]
fn whether_one_might_decrypt_can_be_asked_without_a_ciphertext() {
    let mut world = World::new();
    let (rsa, plain) = (rsa_key(&mut world), world.create_key().to_string());
    let ask = |key: &str| json!({ "KeyId": key, "DryRun": true, "DryRunModifiers": ["IGNORE_CIPHERTEXT"] });
    assert_eq!(world.call("Decrypt", ask(&plain)).unwrap_err(), DRY);
    let record = world.last_record();
    assert_eq!(record["requestParameters"]["dryRunModifiers"], json!(["IGNORE_CIPHERTEXT"]));
    assert_eq!(record["resources"][0]["ARN"], plain);
    let mut request = ask(&plain);
    request["CiphertextBlob"] = json!("AAAA");
    assert_eq!(world.call("Decrypt", request).unwrap_err(), DRY);
    let mut request = ask(&rsa);
    request["EncryptionAlgorithm"] = json!("RSAES_OAEP_SHA_1");
    assert_eq!(world.call("Decrypt", request).unwrap_err(), DRY);
    assert!(world.call("Decrypt", ask(&rsa)).unwrap_err().starts_with("InvalidKeyUsageException: Algorithm SYMM"));

    let mut request = ask(&plain);
    request["KeyId"] = Value::Null;
    assert_eq!(world.call("Decrypt", request).unwrap_err(), "ValidationException: KeyId must not be null");
    // It counts in a dry run only: without one there must be a ciphertext.
    let mut request = ask(&plain);
    request["DryRun"] = json!(false);
    assert_eq!(
        world.call("Decrypt", request).unwrap_err(),
        "ValidationException: 1 validation error detected: Value null at 'ciphertextBlob' failed to satisfy constraint: Member must not be null"
    );
    let mut request = ask(&plain);
    request["DryRunModifiers"] = json!(["FOO"]);
    assert!(world.call("Decrypt", request).unwrap_err().contains("Value '[FOO]' at 'dryRunModifiers'"));

    let both = json!({
        "SourceKeyId": plain, "DestinationKeyId": rsa, "DestinationEncryptionAlgorithm": "RSAES_OAEP_SHA_1",
        "DryRun": true, "DryRunModifiers": ["IGNORE_CIPHERTEXT"],
    });
    assert_eq!(world.call("ReEncrypt", both.clone()).unwrap_err(), DRY);
    let ann = user("ann");
    let refusal = world.call_as(&ann, "Decrypt", &ask(&plain).to_string()).unwrap_err();
    assert!(refusal.starts_with("AccessDeniedException: User: "), "{refusal}");
    world.call("DisableKey", json!({ "KeyId": rsa })).unwrap();
    assert_eq!(world.call("ReEncrypt", both).unwrap_err(), format!("DisabledException: {rsa} is disabled."));
}

#[test]
fn data_key_pairs_come_with_their_private_key_sealed() {
    let mut world = World::new();
    let key = world.create_key().to_string();
    let context = json!({ "purpose": "test" });
    let specs = [
        "RSA_2048",
        "ECC_NIST_P256",
        "ECC_NIST_P384",
        "ECC_NIST_P521",
        "ECC_SECG_P256K1",
        "ECC_NIST_EDWARDS25519",
        "ML_KEM_512",
        "ML_KEM_768",
        "ML_KEM_1024",
    ];
    for spec in specs {
        let request = json!({ "KeyId": key, "KeyPairSpec": spec, "EncryptionContext": context });
        let pair = world.call("GenerateDataKeyPair", request.clone()).unwrap();
        assert_eq!((&pair["KeyId"], &pair["KeyPairSpec"]), (&json!(key), &json!(spec)));
        assert_eq!(pair["KeyMaterialId"].as_str().unwrap().len(), 64);
        let record = world.last_record();
        assert_eq!(
            record["requestParameters"],
            json!({ "keyPairSpec": spec, "encryptionContext": context, "keyId": key })
        );
        assert_eq!(record["additionalEventData"]["keyMaterialId"], pair["KeyMaterialId"]);
        let open = |ciphertext: &Value| json!({ "CiphertextBlob": ciphertext, "EncryptionContext": context });
        let opened = world.call("Decrypt", open(&pair["PrivateKeyCiphertextBlob"])).unwrap();
        assert_eq!(opened["Plaintext"], pair["PrivateKeyPlaintext"]);
        let mut wrong = open(&pair["PrivateKeyCiphertextBlob"]);
        wrong["EncryptionContext"] = json!({});
        assert_eq!(world.call("Decrypt", wrong).unwrap_err(), "InvalidCiphertextException");

        let silent = world.call("GenerateDataKeyPairWithoutPlaintext", request.clone()).unwrap();
        assert!(silent.get("PrivateKeyPlaintext").is_none());
        assert_ne!(silent["PublicKey"], pair["PublicKey"]);
        let mut dry = request;
        dry["DryRun"] = json!(true);
        assert_eq!(world.call("GenerateDataKeyPair", dry).unwrap_err(), DRY);
    }
    let request = json!({ "KeyId": key, "KeyPairSpec": "ML_DSA_44" });
    let refusal = world.call("GenerateDataKeyPair", request).unwrap_err();
    assert!(
        refusal.contains("Value 'ML_DSA_44' at 'keyPairSpec' failed to satisfy constraint: Member must satisfy enum")
    );
    let refusal = world.call("GenerateDataKeyPair", json!({ "KeyId": key })).unwrap_err();
    assert!(refusal.ends_with("Value null at 'keyPairSpec' failed to satisfy constraint: Member must not be null"));
    let request = json!({ "KeyId": key, "KeyPairSpec": "RSA_2048", "Recipient": {} });
    let refusal = world.call("GenerateDataKeyPair", request).unwrap_err();
    assert_eq!(refusal, "ValidationException: Recipient needs KeyEncryptionAlgorithm and AttestationDocument.");
}

#[test]
fn policies_see_algorithms_and_pairs() {
    let mut world = World::new();
    let (rsa, plain) = (rsa_key(&mut world), world.create_key().to_string());
    let mut allow = |key: &str, action: &str, condition: Value| {
        let policy = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Principal": { "AWS": format!("arn:aws:iam::{ACCOUNT}:root") }, "Action": "kms:*", "Resource": "*" },
            {
                "Effect": "Allow", "Principal": { "AWS": format!("arn:aws:iam::{ACCOUNT}:user/ann") }, "Action": action,
                "Resource": "*", "Condition": { "StringEquals": condition },
            },
        ] });
        world.call("PutKeyPolicy", json!({ "KeyId": key, "Policy": policy.to_string() })).unwrap();
    };
    allow(&rsa, "kms:Encrypt", json!({ "kms:EncryptionAlgorithm": "RSAES_OAEP_SHA_256", "kms:KeySpec": "RSA_2048" }));
    allow(&plain, "kms:GenerateDataKeyPair", json!({ "kms:DataKeyPairSpec": "ECC_NIST_P256" }));
    let ann = user("ann");
    let encrypt =
        |algorithm: &str| json!({ "KeyId": rsa, "Plaintext": "AQID", "EncryptionAlgorithm": algorithm }).to_string();
    world.call_as(&ann, "Encrypt", &encrypt("RSAES_OAEP_SHA_256")).unwrap();
    assert!(world.call_as(&ann, "Encrypt", &encrypt("RSAES_OAEP_SHA_1")).unwrap_err().starts_with("AccessDenied"));
    let pair = |spec: &str| json!({ "KeyId": plain, "KeyPairSpec": spec }).to_string();
    world.call_as(&ann, "GenerateDataKeyPair", &pair("ECC_NIST_P256")).unwrap();
    assert!(
        world.call_as(&ann, "GenerateDataKeyPair", &pair("ECC_NIST_P384")).unwrap_err().starts_with("AccessDenied")
    );
}
