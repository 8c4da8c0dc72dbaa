//! Imported material: what users see of it, told call by call, and a naive model of it under random histories.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use api::{KeyArn, Timestamp};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded as _};
use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};
use store::Store as _;
use world::{ACCOUNT, World, user};

const DAY: i64 = 86_400;
const START: i64 = 1_779_309_900;
const INCORRECT: &str = "IncorrectKeyMaterialException";

/// What came of GetParametersForImport, as the caller who wraps with it sees it.
#[derive(Clone)]
struct Parameters {
    algorithm: String,
    token: String,
    public: Vec<u8>,
    valid_to: i64,
}

fn parameters(world: &mut World, key: &KeyArn, algorithm: &str) -> Parameters {
    let request = json!({ "KeyId": key.to_string(), "WrappingAlgorithm": algorithm, "WrappingKeySpec": "RSA_2048" });
    let answer = world.call("GetParametersForImport", request).unwrap();
    assert_eq!(answer["KeyId"], key.to_string());
    Parameters {
        algorithm: algorithm.to_owned(),
        token: answer["ImportToken"].as_str().unwrap().to_owned(),
        public: STANDARD.decode(answer["PublicKey"].as_str().unwrap()).unwrap(),
        valid_to: answer["ParametersValidTo"].as_i64().unwrap(),
    }
}

impl Parameters {
    /// A request that imports `material`.
    fn request(&self, key: &KeyArn, material: &[u8]) -> Value {
        json!({
            "KeyId": key.to_string(), "ImportToken": self.token, "EncryptedKeyMaterial": STANDARD.encode(self.wrap(material)),
            "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE",
        })
    }

    fn wrap(&self, material: &[u8]) -> Vec<u8> {
        let key = OaepPublicEncryptingKey::new(PublicEncryptingKey::from_der(&self.public).unwrap()).unwrap();
        let oaep = if self.algorithm.ends_with("SHA_1") { &OAEP_SHA1_MGF1SHA1 } else { &OAEP_SHA256_MGF1SHA256 };
        let encrypt = |plaintext: &[u8]| {
            let mut space = vec![0; key.ciphertext_size()];
            key.encrypt(oaep, plaintext, &mut space, None).unwrap().to_vec()
        };
        if !self.algorithm.starts_with("RSA_AES") {
            return encrypt(material);
        }
        let aes_key = [7; 32];
        let mut space = vec![0; material.len() + 15];
        let inner = AesKek::new(&AES_256, &aes_key).unwrap().wrap_with_padding(material, &mut space).unwrap().to_vec();
        [encrypt(&aes_key), inner].concat()
    }
}

fn with(mut request: Value, members: &Value) -> Value {
    for (name, value) in members.as_object().unwrap() {
        if value.is_null() {
            request.as_object_mut().unwrap().remove(name);
        } else {
            request[name] = value.clone();
        }
    }
    request
}

fn external(world: &mut World) -> KeyArn {
    world.create_key_with(json!({ "Origin": "EXTERNAL" }))
}

/// Imports 32 bytes of `byte`; its ID.
fn import(world: &mut World, key: &KeyArn, byte: u8, members: &Value) -> Result<String, String> {
    let parameters = parameters(world, key, "RSAES_OAEP_SHA_256");
    let answer = world.call("ImportKeyMaterial", with(parameters.request(key, &[byte; 32]), members))?;
    assert_eq!(answer["KeyId"], key.to_string());
    Ok(answer["KeyMaterialId"].as_str().unwrap().to_owned())
}

fn delete(world: &mut World, key: &KeyArn, id: Option<&str>) -> Result<Value, String> {
    let members = json!({ "KeyMaterialId": id });
    world.call("DeleteImportedKeyMaterial", with(json!({ "KeyId": key.to_string() }), &members))
}

fn described(world: &mut World, key: &KeyArn) -> Value {
    world.call("DescribeKey", json!({ "KeyId": key.to_string() })).unwrap()["KeyMetadata"].clone()
}

fn listed(world: &mut World, key: &KeyArn) -> Vec<(String, String, String)> {
    let request = json!({ "KeyId": key.to_string(), "IncludeKeyMaterial": "ALL_KEY_MATERIAL" });
    let answer = world.call("ListKeyRotations", request).unwrap();
    let word = |entry: &Value, member: &str| entry[member].as_str().unwrap().to_owned();
    let entries = answer["Rotations"].as_array().unwrap();
    entries
        .iter()
        .map(|entry| (word(entry, "KeyMaterialId"), word(entry, "KeyMaterialState"), word(entry, "ImportState")))
        .collect()
}

fn decrypts(world: &mut World, ciphertext: &str) -> bool {
    world.call("Decrypt", json!({ "CiphertextBlob": ciphertext })).is_ok_and(|answer| answer["Plaintext"] == "AQID")
}

#[test]
fn a_key_is_enabled_by_its_import_in_every_wrapping() {
    for algorithm in ["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256", "RSA_AES_KEY_WRAP_SHA_1", "RSA_AES_KEY_WRAP_SHA_256"] {
        let mut world = World::new();
        let key = external(&mut world);
        let arn = key.to_string();
        let before = described(&mut world, &key);
        assert_eq!((&before["KeyState"], &before["Enabled"]), (&json!("PendingImport"), &json!(false)));
        for member in ["ExpirationModel", "ValidTo", "CurrentKeyMaterialId"] {
            assert!(before.get(member).is_none(), "{member}");
        }
        assert_eq!(world.encrypt(&arn).unwrap_err(), format!("KMSInvalidStateException: {arn} is pending import."));
        let parameters = parameters(&mut world, &key, algorithm);
        assert_eq!(parameters.valid_to, START + DAY);
        let record = world.last_record();
        assert_eq!(record["requestParameters"]["wrappingAlgorithm"], algorithm);
        assert!(record["responseElements"].is_null() && record["readOnly"] == true);
        let request = with(parameters.request(&key, &[1; 32]), &json!({ "KeyMaterialDescription": "first of 2" }));
        let answer = world.call("ImportKeyMaterial", request).unwrap();
        assert_eq!(answer["KeyId"], arn);
        let record = world.last_record();
        assert_eq!(
            record["requestParameters"],
            json!({
                "keyId": arn, "expirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE", "keyMaterialDescription": "first of 2",
            })
        );
        assert_eq!(record["responseElements"], json!({ "keyId": arn }));

        let after = described(&mut world, &key);
        assert_eq!((&after["KeyState"], &after["Enabled"]), (&json!("Enabled"), &json!(true)));
        assert_eq!(after["ExpirationModel"], "KEY_MATERIAL_DOES_NOT_EXPIRE");
        assert_eq!(after["CurrentKeyMaterialId"], answer["KeyMaterialId"]);
        let ciphertext = world.encrypt(&arn).unwrap();
        world.restart();
        assert!(decrypts(&mut world, &ciphertext));
    }
}

#[test]
fn deleted_material_is_gone_and_comes_back_under_its_name() {
    let mut world = World::new();
    let key = external(&mut world);
    let arn = key.to_string();
    let id = import(&mut world, &key, 1, &json!({})).unwrap();
    let ciphertext = world.encrypt(&arn).unwrap();
    let wrapped = world.state.key(&key).unwrap().material[0].wrapped.clone().unwrap();
    let digits: String = wrapped.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let stored = |world: &World| {
        let entries = world.store.scan(&[], &[0xff], usize::MAX).unwrap();
        entries.iter().any(|entry| std::str::from_utf8(&entry.value).unwrap().contains(&digits))
    };
    assert!(stored(&world));
    assert_eq!(delete(&mut world, &key, None).unwrap(), json!({ "KeyId": arn, "KeyMaterialId": id }));
    let pending = described(&mut world, &key);
    assert_eq!((&pending["KeyState"], &pending["CurrentKeyMaterialId"]), (&json!("PendingImport"), &json!(id)));
    assert!(pending.get("ExpirationModel").is_none());
    assert!(!stored(&world));
    for operation in ["EnableKey", "DisableKey"] {
        assert_eq!(
            world.call(operation, json!({ "KeyId": arn })).unwrap_err(),
            format!("KMSInvalidStateException: {arn} is pending import.")
        );
    }
    // Again it has no effect.
    assert_eq!(delete(&mut world, &key, Some(&id)).unwrap()["KeyMaterialId"], id);
    assert!(!decrypts(&mut world, &ciphertext));
    world.restart();

    for members in [json!({}), json!({ "ImportType": "EXISTING_KEY_MATERIAL" }), json!({ "KeyMaterialId": id })] {
        assert_eq!(import(&mut world, &key, 2, &members).unwrap_err(), INCORRECT, "{members}");
    }
    let wrong = json!({ "KeyMaterialId": "ab".repeat(32) });
    assert_eq!(import(&mut world, &key, 1, &wrong).unwrap_err(), INCORRECT);
    let members = json!({ "KeyMaterialId": id, "ImportType": "EXISTING_KEY_MATERIAL" });
    assert_eq!(import(&mut world, &key, 1, &members).unwrap(), id);
    assert!(decrypts(&mut world, &ciphertext));
    // Another key names the same bytes differently.
    let other = external(&mut world);
    assert_ne!(import(&mut world, &other, 1, &json!({})).unwrap(), id);
}

#[test]
fn material_expires_when_it_is_due_in_whatever_state() {
    let mut world = World::new();
    let key = external(&mut world);
    let arn = key.to_string();
    let until = |seconds: i64| json!({ "ValidTo": seconds, "ExpirationModel": "KEY_MATERIAL_EXPIRES" });
    let id = import(&mut world, &key, 1, &until(START + 100)).unwrap();
    assert_eq!(world.last_record()["requestParameters"]["validTo"], "May 20, 2026, 8:46:40 PM");
    let ciphertext = world.encrypt(&arn).unwrap();
    let metadata = described(&mut world, &key);
    assert_eq!(metadata["ValidTo"], START + 100);
    assert_eq!(metadata["ExpirationModel"], "KEY_MATERIAL_EXPIRES");
    assert_eq!(world.state.next_deadline(3600).unwrap().as_second(), START + 100, "no delay but for deletions");
    assert_eq!(world.pass(99), []);
    assert!(decrypts(&mut world, &ciphertext));
    assert_eq!(world.pass(1), [key]);
    let record = world.last_record();
    assert_eq!(record["eventName"], "DeleteExpiredKeyMaterial");
    assert_eq!(record["eventType"], "AwsServiceEvent");
    assert_eq!(record["serviceEventDetails"], json!({ "keyId": key.key.to_string() }));
    assert_eq!(world.state_of(&key), "PendingImport");
    assert_eq!(world.tick(), []);

    // Imported again, it expires later; while disabled as well.
    assert_eq!(import(&mut world, &key, 1, &until(START + 1000)).unwrap(), id);
    assert!(decrypts(&mut world, &ciphertext));
    world.call("DisableKey", json!({ "KeyId": arn })).unwrap();
    assert_eq!(world.pass(900), [key]);
    assert_eq!(world.state_of(&key), "PendingImport");

    // A key that waits for its deletion stays so, and still lacks its material when that is cancelled.
    import(&mut world, &key, 1, &until(START + 2000)).unwrap();
    world.call("ScheduleKeyDeletion", json!({ "KeyId": arn, "PendingWindowInDays": 7 })).unwrap();
    assert_eq!(world.pass(1000), [key]);
    assert_eq!(world.last_record()["eventName"], "DeleteExpiredKeyMaterial");
    assert_eq!(world.state_of(&key), "PendingDeletion");
    world.call("CancelKeyDeletion", json!({ "KeyId": arn })).unwrap();
    assert_eq!(world.state_of(&key), "PendingImport");
    // New terms for material that is there.
    import(&mut world, &key, 1, &until(START + 3000)).unwrap();
    import(&mut world, &key, 1, &json!({})).unwrap();
    assert_eq!(described(&mut world, &key)["ExpirationModel"], "KEY_MATERIAL_DOES_NOT_EXPIRE");
    assert_eq!(world.pass(400 * DAY), []);
    assert!(decrypts(&mut world, &ciphertext));
}

#[test]
fn new_material_waits_for_its_rotation_and_every_material_is_needed() {
    let mut world = World::new();
    let key = external(&mut world);
    let arn = key.to_string();
    let rotate = |world: &mut World| world.call("RotateKeyOnDemand", json!({ "KeyId": arn }));
    let first = import(&mut world, &key, 1, &json!({})).unwrap();
    let old = world.encrypt(&arn).unwrap();
    assert_eq!(
        rotate(&mut world).unwrap_err(),
        format!("KMSInvalidStateException: No available key material pending rotation for the key: {arn}.")
    );
    let new = json!({ "ImportType": "NEW_KEY_MATERIAL", "KeyMaterialDescription": "second" });
    assert_eq!(import(&mut world, &key, 1, &new).unwrap_err(), INCORRECT, "it has it already");
    let second = import(&mut world, &key, 2, &new).unwrap();
    assert_eq!(described(&mut world, &key)["CurrentKeyMaterialId"], first);
    let third = import(&mut world, &key, 3, &new).unwrap_err();
    assert!(third.starts_with("KMSInvalidStateException: New key material (id: "), "{third}");
    let end = format!(
        ") cannot be imported into KMS key {arn}, because another key material (id: {second}) is pending rotation."
    );
    assert!(third.ends_with(&end), "{third}");

    // What waits for its rotation may go, and nothing is missing then.
    delete(&mut world, &key, Some(&second)).unwrap();
    assert_eq!(world.state_of(&key), "Enabled");
    assert_eq!(listed(&mut world, &key).len(), 1);
    assert!(delete(&mut world, &key, Some(&second)).unwrap_err().starts_with("NotFoundException"));
    import(&mut world, &key, 2, &new).unwrap();
    assert_eq!(
        listed(&mut world, &key),
        [
            (first.clone(), "CURRENT".to_owned(), "IMPORTED".to_owned()),
            (second.clone(), "PENDING_ROTATION".to_owned(), "IMPORTED".to_owned()),
        ]
    );
    assert_eq!(rotate(&mut world).unwrap(), json!({ "KeyId": arn }));
    let event = world.last_record();
    assert_eq!(event["serviceEventDetails"]["keyOrigin"], "EXTERNAL");
    assert_eq!(event["serviceEventDetails"]["currentKeyMaterialId"], second);
    assert_eq!(described(&mut world, &key)["CurrentKeyMaterialId"], second);
    let young = world.encrypt(&arn).unwrap();
    assert!(decrypts(&mut world, &old) && decrypts(&mut world, &young));

    // Of two materials each is needed.
    for (id, byte) in [(&first, 1), (&second, 2)] {
        delete(&mut world, &key, Some(id)).unwrap();
        world.restart();
        assert_eq!(world.state_of(&key), "PendingImport");
        assert!(!decrypts(&mut world, &old) && !decrypts(&mut world, &young));
        import(&mut world, &key, byte, &json!({})).unwrap();
        assert_eq!(world.state_of(&key), "Enabled");
        assert!(decrypts(&mut world, &old) && decrypts(&mut world, &young));
    }
    delete(&mut world, &key, Some(&first)).unwrap();
    delete(&mut world, &key, Some(&second)).unwrap();
    import(&mut world, &key, 2, &json!({})).unwrap();
    assert_eq!(world.state_of(&key), "PendingImport", "one is still missing");
    let request = json!({ "KeyId": arn, "IncludeKeyMaterial": "ALL_KEY_MATERIAL" });
    assert_eq!(
        world.call("ListKeyRotations", request).unwrap()["Rotations"],
        json!([
            {
                "KeyId": key.key.to_string(), "KeyMaterialId": first, "ImportState": "PENDING_IMPORT",
                "KeyMaterialState": "NON_CURRENT",
            },
            {
                "KeyId": key.key.to_string(), "KeyMaterialId": second, "KeyMaterialDescription": "second",
                "ImportState": "IMPORTED", "KeyMaterialState": "CURRENT",
                "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE", "RotationDate": START, "RotationType": "ON_DEMAND",
            },
        ])
    );
}

#[test]
fn a_token_is_good_for_a_day_for_its_key_and_its_wrapping() {
    let mut world = World::new();
    let (key, other) = (external(&mut world), external(&mut world));
    let parameters = parameters(&mut world, &key, "RSAES_OAEP_SHA_256");
    let refused = |world: &mut World, key: &KeyArn, parameters: &Parameters| {
        world.call("ImportKeyMaterial", parameters.request(key, &[1; 32])).unwrap_err()
    };
    assert_eq!(refused(&mut world, &other, &parameters), "InvalidImportTokenException");
    let nonsense = Parameters { token: STANDARD.encode([0; 300]), ..parameters.clone() };
    assert_eq!(refused(&mut world, &key, &nonsense), "InvalidImportTokenException");
    let twisted = Parameters { algorithm: "RSAES_OAEP_SHA_1".to_owned(), ..parameters.clone() };
    assert_eq!(refused(&mut world, &key, &twisted), "InvalidCiphertextException");
    let strange = self::parameters(&mut world, &key, "RSAES_OAEP_SHA_256");
    let crossed = Parameters { public: strange.public, ..parameters.clone() };
    assert_eq!(refused(&mut world, &key, &crossed), "InvalidCiphertextException");
    for length in [0, 16, 31, 33, 64] {
        let answer = world.call("ImportKeyMaterial", parameters.request(&key, &vec![1; length]));
        assert_eq!(answer.unwrap_err(), INCORRECT, "{length} bytes");
    }
    // A whole day, over a restart; not a second longer.
    world.pass(DAY);
    world.restart();
    world.call("ImportKeyMaterial", parameters.request(&key, &[1; 32])).unwrap();
    world.pass(1);
    assert_eq!(refused(&mut world, &key, &parameters), "ExpiredImportTokenException");
}

#[test]
fn an_expiry_is_asked_for_in_words_that_fit() {
    let mut world = World::new();
    let key = external(&mut world);
    for (members, text) in [
        (
            json!({ "ExpirationModel": null }),
            "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES",
        ),
        (
            json!({ "ValidTo": START + 1 }),
            "A validTo date must not be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE",
        ),
        (
            json!({ "ExpirationModel": null, "ValidTo": START }),
            "The validTo date must be in the future and at most 365 days from now",
        ),
        (
            json!({ "ExpirationModel": null, "ValidTo": START + 365 * DAY + 1 }),
            "The validTo date must be in the future and at most 365 days from now",
        ),
        (
            json!({ "KeyMaterialId": "ab".repeat(32), "ImportType": "NEW_KEY_MATERIAL" }),
            "KeyMaterialId must not be set if the ImportType is NEW_KEY_MATERIAL",
        ),
    ] {
        assert_eq!(import(&mut world, &key, 1, &members).unwrap_err(), format!("ValidationException: {text}"));
    }
    let edge = json!({ "ExpirationModel": null, "ValidTo": START + 365 * DAY });
    import(&mut world, &key, 1, &edge).unwrap();
    assert_eq!(described(&mut world, &key)["ValidTo"], START + 365 * DAY);
}

#[test]
fn nothing_is_imported_where_kms_made_the_material_or_while_a_key_waits_for_deletion() {
    let mut world = World::new();
    let made = world.create_key().to_string();
    let ask =
        |key: &str| json!({ "KeyId": key, "WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048" });
    let refusal = |key: &str| {
        format!("UnsupportedOperationException: {key} origin is AWS_KMS which is not valid for this operation.")
    };
    assert_eq!(world.call("GetParametersForImport", ask(&made)).unwrap_err(), refusal(&made));
    assert_eq!(world.call("DeleteImportedKeyMaterial", json!({ "KeyId": made })).unwrap_err(), refusal(&made));
    let key = external(&mut world);
    let parameters = parameters(&mut world, &key, "RSAES_OAEP_SHA_256");
    assert_eq!(
        world
            .call("ImportKeyMaterial", with(parameters.request(&key, &[1; 32]), &json!({ "KeyId": made })))
            .unwrap_err(),
        refusal(&made)
    );
    import(&mut world, &key, 1, &json!({})).unwrap();
    world.call("ScheduleKeyDeletion", json!({ "KeyId": key.to_string() })).unwrap();
    let pending = format!("KMSInvalidStateException: {key} is pending deletion.");
    assert_eq!(world.call("GetParametersForImport", ask(&key.to_string())).unwrap_err(), pending);
    assert_eq!(world.call("ImportKeyMaterial", parameters.request(&key, &[1; 32])).unwrap_err(), pending);
    delete(&mut world, &key, None).unwrap();
    assert_eq!(world.state_of(&key), "PendingDeletion");
    assert!(world.state.key(&key).unwrap().material[0].wrapped.is_none());
}

/// Keys that have one material for ever: what is said only of several is refused.
#[test]
fn asymmetric_and_hmac_keys_have_one_material() {
    for (spec, usage) in [("RSA_2048", "SIGN_VERIFY"), ("HMAC_256", "GENERATE_VERIFY_MAC")] {
        let mut world = World::new();
        let key = world.create_key_with(json!({ "Origin": "EXTERNAL", "KeySpec": spec, "KeyUsage": usage }));
        for operation in ["EnableKeyRotation", "DisableKeyRotation", "GetKeyRotationStatus", "ListKeyRotations"] {
            let answer = world.call(operation, json!({ "KeyId": key.to_string() }));
            assert_eq!(answer.unwrap_err(), "UnsupportedOperationException", "{operation}");
        }
        for (member, value) in [
            ("ImportType", "NEW_KEY_MATERIAL".to_owned()),
            ("KeyMaterialDescription", "x".to_owned()),
            ("KeyMaterialId", "ab".repeat(32)),
        ] {
            let refusal = import(&mut world, &key, 1, &json!({ member: value })).unwrap_err();
            let text = format!("ValidationException: {member} is only valid for symmetric encryption KMS keys");
            assert_eq!(refusal, text);
        }
    }
}

#[test]
fn wrappings_that_aws_does_not_offer_are_refused() {
    let mut world = World::new();
    let key = external(&mut world).to_string();
    for (algorithm, spec) in
        [("RSAES_PKCS1_V1_5", "RSA_2048"), ("SM2PKE", "SM2"), ("SM2PKE", "RSA_2048"), ("RSAES_OAEP_SHA_256", "SM2")]
    {
        let request = json!({ "KeyId": key, "WrappingAlgorithm": algorithm, "WrappingKeySpec": spec });
        let refusal = world.call("GetParametersForImport", request).unwrap_err();
        assert!(refusal.starts_with("UnsupportedOperationException"), "{refusal}");
    }
}

#[test]
fn policies_can_ask_how_material_is_imported() {
    let mut world = World::new();
    let allow = |action: &str, condition: Value| {
        json!({
            "Effect": "Allow", "Principal": { "AWS": user("a").arn }, "Action": action, "Resource": "*",
            "Condition": condition,
        })
    };
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Principal": { "AWS": format!("arn:aws:iam::{ACCOUNT}:root") }, "Action": "kms:*", "Resource": "*" },
        allow("kms:GetParametersForImport", json!({ "StringEquals": {
            "kms:WrappingAlgorithm": "RSAES_OAEP_SHA_256", "kms:WrappingKeySpec": "RSA_2048",
        } })),
        allow("kms:ImportKeyMaterial", json!({
            "StringEquals": { "kms:ExpirationModel": "KEY_MATERIAL_EXPIRES" },
            "DateLessThan": { "kms:ValidTo": "2026-05-21T00:00:00Z" },
        })),
    ] });
    let key = world.create_key_with(json!({ "Origin": "EXTERNAL", "Policy": policy.to_string() }));
    let mut ask = |algorithm: &str, spec: &str| {
        let request = json!({ "KeyId": key.to_string(), "WrappingAlgorithm": algorithm, "WrappingKeySpec": spec });
        world.call_as(&user("a"), "GetParametersForImport", &request.to_string()).is_ok()
    };
    assert!(ask("RSAES_OAEP_SHA_256", "RSA_2048"));
    assert!(!ask("RSAES_OAEP_SHA_1", "RSA_2048") && !ask("RSAES_OAEP_SHA_256", "RSA_3072"));
    let parameters = parameters(&mut world, &key, "RSAES_OAEP_SHA_256");
    let mut may = |members: Value| {
        let request = with(parameters.request(&key, &[1; 32]), &members);
        world.call_as(&user("a"), "ImportKeyMaterial", &request.to_string()).is_ok()
    };
    assert!(!may(json!({})));
    assert!(!may(json!({ "ExpirationModel": null, "ValidTo": START + DAY })));
    assert!(may(json!({ "ExpirationModel": null, "ValidTo": START + 60 })));
}

/// In a family the primary has new material first, then each replica the same; only then they rotate, all at once.
#[test]
fn a_family_imports_one_by_one_and_rotates_together() {
    let mut world = World::new();
    let home = world.region;
    let there = "us-west-2".parse().unwrap();
    let key = world.create_key_with(json!({ "Origin": "EXTERNAL", "MultiRegion": true }));
    let replica = KeyArn { region: there, ..key };
    let at = |world: &mut World, key: &KeyArn, byte: u8, members: &Value| {
        world.region = key.region;
        import(world, key, byte, members)
    };
    let states = |world: &mut World| {
        [home, there].map(|region| {
            world.region = region;
            world.state_of(&KeyArn { region, ..key })
        })
    };
    let lines = |world: &mut World| {
        [home, there].map(|region| {
            world.region = region;
            let lines = listed(world, &KeyArn { region, ..key });
            lines.into_iter().map(|(_, state, import)| format!("{state} {import}")).collect::<Vec<_>>().join(", ")
        })
    };
    let refusal = format!("UnsupportedOperationException: {replica} is not a multi-region primary key.");

    let first = at(&mut world, &key, 1, &json!({})).unwrap();
    world.call("ReplicateKey", json!({ "KeyId": key.to_string(), "ReplicaRegion": "us-west-2" })).unwrap();
    world.pass(10);
    assert_eq!(states(&mut world), ["Enabled", "PendingImport"]);
    assert_eq!(lines(&mut world), ["CURRENT IMPORTED", "CURRENT PENDING_IMPORT"]);
    assert_eq!(at(&mut world, &replica, 2, &json!({})).unwrap_err(), INCORRECT);
    assert_eq!(at(&mut world, &replica, 1, &json!({})).unwrap(), first);
    assert_eq!(states(&mut world), ["Enabled", "Enabled"]);
    world.region = home;
    let ciphertext = world.encrypt(&key.to_string()).unwrap();
    world.region = there;
    assert!(decrypts(&mut world, &ciphertext));

    let new = json!({ "ImportType": "NEW_KEY_MATERIAL" });
    assert_eq!(at(&mut world, &replica, 2, &new).unwrap_err(), refusal);
    let second = at(&mut world, &key, 2, &new).unwrap();
    let multi = "CURRENT IMPORTED, PENDING_MULTI_REGION_IMPORT_AND_ROTATION";
    assert_eq!(lines(&mut world), [format!("{multi} IMPORTED"), format!("{multi} PENDING_IMPORT")]);
    world.region = home;
    let rotate = json!({ "KeyId": key.to_string() });
    let early = world.call("RotateKeyOnDemand", rotate.clone()).unwrap_err();
    assert!(early.contains("No available key material pending rotation"), "{early}");
    assert_eq!(at(&mut world, &replica, 2, &json!({})).unwrap(), second);
    // What a replica loses it can have again; the primary stays as it is.
    delete(&mut world, &replica, Some(&second)).unwrap();
    assert_eq!(lines(&mut world)[1], format!("{multi} PENDING_IMPORT"));
    at(&mut world, &replica, 2, &json!({})).unwrap();
    assert_eq!(lines(&mut world), ["CURRENT IMPORTED, PENDING_ROTATION IMPORTED"; 2]);
    world.region = home;
    world.call("RotateKeyOnDemand", rotate).unwrap();
    world.restart();
    assert_eq!(lines(&mut world), ["NON_CURRENT IMPORTED, CURRENT IMPORTED"; 2]);
    world.region = there;
    let young = world.encrypt(&replica.to_string()).unwrap();
    world.region = home;
    assert!(decrypts(&mut world, &young) && decrypts(&mut world, &ciphertext));

    // A replica that becomes the primary before it has the next material must import it first.
    at(&mut world, &key, 3, &new).unwrap();
    world.region = home;
    world.call("UpdatePrimaryRegion", json!({ "KeyId": key.to_string(), "PrimaryRegion": "us-west-2" })).unwrap();
    world.pass(10);
    world.region = there;
    let rotate = |world: &mut World| world.call("RotateKeyOnDemand", json!({ "KeyId": replica.to_string() }));
    assert!(rotate(&mut world).unwrap_err().contains("No available key material pending rotation"));
    at(&mut world, &replica, 3, &json!({})).unwrap();
    rotate(&mut world).unwrap();
    assert_eq!(lines(&mut world), ["NON_CURRENT IMPORTED, NON_CURRENT IMPORTED, CURRENT IMPORTED"; 2]);
    world.region = there;
    world.call("UpdatePrimaryRegion", json!({ "KeyId": key.key.to_string(), "PrimaryRegion": "eu-west-1" })).unwrap();
    world.pass(10);

    // What the primary gives up before its rotation, nobody has any more.
    let fourth = at(&mut world, &key, 4, &new).unwrap();
    at(&mut world, &replica, 4, &json!({})).unwrap();
    world.region = home;
    delete(&mut world, &key, Some(&fourth)).unwrap();
    assert_eq!(lines(&mut world), ["NON_CURRENT IMPORTED, NON_CURRENT IMPORTED, CURRENT IMPORTED"; 2]);
    // What the one has lost the other still has.
    world.region = home;
    delete(&mut world, &key, Some(&first)).unwrap();
    assert_eq!(states(&mut world), ["PendingImport", "Enabled"]);

    // A replica that comes later waits for all there is.
    world.region = home;
    at(&mut world, &key, 1, &json!({})).unwrap();
    world.call("ReplicateKey", json!({ "KeyId": key.to_string(), "ReplicaRegion": "eu-north-1" })).unwrap();
    world.pass(10);
    let late = KeyArn { region: "eu-north-1".parse().unwrap(), ..key };
    for byte in [2, 3] {
        at(&mut world, &late, byte, &json!({})).unwrap();
        assert_eq!(world.state_of(&late), "PendingImport");
    }
    at(&mut world, &late, 1, &json!({})).unwrap();
    assert!(decrypts(&mut world, &ciphertext) && decrypts(&mut world, &young));
}

/// Imported material as the documentation tells it: by the byte it consists of, and until when it is there.
#[derive(Default)]
struct Naive {
    known: Vec<(u8, Option<i64>)>,
    next: Option<(u8, i64)>,
    disabled: bool,
    pending: bool,
}

const NEVER: i64 = i64::MAX;

impl Naive {
    fn complete(&self) -> bool {
        !self.known.is_empty() && self.known.iter().all(|(_, until)| until.is_some())
    }

    fn state(&self) -> &'static str {
        match (self.pending, self.complete(), self.disabled) {
            (true, ..) => "PendingDeletion",
            (false, false, _) => "PendingImport",
            (false, true, true) => "Disabled",
            (false, true, false) => "Enabled",
        }
    }

    /// A key that lacks material forgets that it was disabled.
    fn settle(&mut self) {
        if !self.pending && !self.complete() {
            self.disabled = false;
        }
    }

    fn tick(&mut self, now: i64) {
        for (_, until) in &mut self.known {
            *until = until.filter(|until| *until > now);
        }
        self.next = self.next.filter(|(_, until)| *until > now);
        self.settle();
    }

    fn import(&mut self, byte: u8, new: Option<bool>, until: i64) -> bool {
        if self.pending {
            return false;
        }
        let new = new.unwrap_or(self.known.is_empty());
        let known = self.known.iter().any(|(known, _)| *known == byte) || self.next.is_some_and(|next| next.0 == byte);
        match (new, known) {
            (true, false) if self.known.is_empty() => self.known.push((byte, Some(until))),
            (true, false) if self.next.is_none() => self.next = Some((byte, until)),
            (false, true) => {
                for entry in self.known.iter_mut().filter(|(known, _)| *known == byte) {
                    entry.1 = Some(until);
                }
                if self.next.is_some_and(|next| next.0 == byte) {
                    self.next = Some((byte, until));
                }
            }
            _ => return false,
        }
        true
    }

    fn delete(&mut self, byte: u8) {
        for entry in self.known.iter_mut().filter(|(known, _)| *known == byte) {
            entry.1 = None;
        }
        self.next = self.next.filter(|next| next.0 != byte);
        self.settle();
    }

    fn call(&mut self, operation: &str) -> bool {
        let switches = !self.pending && self.complete();
        match operation {
            "EnableKey" if switches => self.disabled = false,
            "DisableKey" if switches => self.disabled = true,
            "ScheduleKeyDeletion" if !self.pending => self.pending = true,
            "CancelKeyDeletion" if self.pending => {
                (self.pending, self.disabled) = (false, true);
                self.settle();
            }
            "RotateKeyOnDemand" if self.state() == "Enabled" => match self.next.take() {
                Some((byte, until)) => self.known.push((byte, Some(until))),
                None => return false,
            },
            _ => return false,
        }
        true
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Import { byte: u8, new: Option<bool>, lasts: Option<i64> },
    Delete(u8),
    Call(&'static str),
    Pass(i64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let call = prop::sample::select(vec![
        "EnableKey",
        "DisableKey",
        "ScheduleKeyDeletion",
        "CancelKeyDeletion",
        "CancelKeyDeletion",
        "RotateKeyOnDemand",
        "RotateKeyOnDemand",
    ]);
    let new = prop_oneof![Just(None), Just(Some(true)), Just(Some(false))];
    let lasts = prop_oneof![2 => Just(None), 1 => (1i64..5000).prop_map(Some)];
    prop_oneof![
        5 => (0u8..4, new, lasts).prop_map(|(byte, new, lasts)| Step::Import { byte, new, lasts }),
        1 => (0u8..4).prop_map(Step::Delete),
        3 => call.prop_map(Step::Call),
        // Within the day that one set of parameters is good for.
        2 => (0i64..1000).prop_map(Step::Pass),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if std::env::var_os("SLOW").is_some() { 256 } else { 12 }))]

    #[test]
    fn random_histories_agree_with_the_naive_model(steps in prop::collection::vec(step(), 0..60)) {
        let mut world = World::new();
        let key = external(&mut world);
        let parameters = parameters(&mut world, &key, "RSAES_OAEP_SHA_256");
        let mut naive = Naive::default();
        // By byte: the ID that was given, and a ciphertext if it ever was the current material.
        let mut ids: [Option<String>; 4] = Default::default();
        let mut sealed: [Option<String>; 4] = Default::default();
        for step in steps {
            match step {
                Step::Import { byte, new, lasts } => {
                    let import_type = new.map(|new| if new { "NEW_KEY_MATERIAL" } else { "EXISTING_KEY_MATERIAL" });
                    let until = lasts.map(|seconds| world.now.as_second() + seconds);
                    let members = json!({
                        "ImportType": import_type, "ValidTo": until,
                        "ExpirationModel": until.is_none().then_some("KEY_MATERIAL_DOES_NOT_EXPIRE"),
                    });
                    let request = with(parameters.request(&key, &[byte; 32]), &members);
                    let answer = world.call("ImportKeyMaterial", request);
                    let expected = naive.import(byte, new, until.unwrap_or(NEVER));
                    prop_assert_eq!(answer.is_ok(), expected, "{:?}: {:?}", step, answer);
                    if let Ok(answer) = answer {
                        let id = answer["KeyMaterialId"].as_str().unwrap().to_owned();
                        let known = ids[usize::from(byte)].get_or_insert(id.clone());
                        prop_assert_eq!(known.as_str(), id);
                    }
                }
                Step::Delete(byte) => {
                    if let Some(id) = &ids[usize::from(byte)] {
                        let _ = delete(&mut world, &key, Some(id));
                        naive.delete(byte);
                    }
                }
                Step::Call(operation) => {
                    let answer = world.call(operation, json!({ "KeyId": key.to_string() }));
                    prop_assert_eq!(answer.is_ok(), naive.call(operation), "{}: {:?}", operation, answer);
                }
                Step::Pass(seconds) => {
                    world.pass(seconds);
                    naive.tick(world.now.as_second());
                }
                Step::Restart => world.restart(),
            }
            prop_assert_eq!(world.state_of(&key), naive.state(), "after {:?}", step);
            let shown: Vec<(String, bool)> =
                listed(&mut world, &key).into_iter().map(|(id, _, state)| (id, state == "IMPORTED")).collect();
            let id = |byte: u8| ids[usize::from(byte)].clone().unwrap();
            let expected: Vec<(String, bool)> = naive
                .known
                .iter()
                .map(|(byte, until)| (id(*byte), until.is_some()))
                .chain(naive.next.iter().map(|(byte, _)| (id(*byte), true)))
                .collect();
            prop_assert_eq!(shown, expected, "after {:?}", step);
            let earliest = naive.known.iter().filter_map(|(_, until)| *until).chain(naive.next.map(|next| next.1));
            let earliest = earliest.filter(|until| *until != NEVER).min();
            if !naive.pending {
                prop_assert_eq!(world.state.next_deadline(0).map(Timestamp::as_second), earliest);
            }
            if naive.state() == "Enabled" {
                let current = naive.known.last().unwrap().0;
                sealed[usize::from(current)] = Some(world.encrypt(&key.to_string()).unwrap());
            }
            for ciphertext in sealed.iter().flatten() {
                prop_assert_eq!(decrypts(&mut world, ciphertext), naive.state() == "Enabled");
            }
        }
    }
}
