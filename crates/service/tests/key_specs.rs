//! Which keys can be made, and how each kind is described.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use api::{KeySpec, KeyUsage};
use serde_json::{Value, json};
use world::World;

/// Specs whose keys are made fast, also by an unoptimized build.
fn is_fast(spec: KeySpec) -> bool {
    !matches!(spec, KeySpec::Rsa3072 | KeySpec::Rsa4096)
}

/// The members of the metadata that list algorithms, and what they list.
fn algorithms(metadata: &Value) -> Vec<(String, Value)> {
    let members = metadata.as_object().unwrap().iter();
    members.filter(|(name, _)| name.ends_with("Algorithms")).map(|(name, list)| (name.clone(), list.clone())).collect()
}

#[test]
fn each_spec_takes_its_usages_and_no_other() {
    let mut world = World::new();
    for spec in KeySpec::ALL.iter().copied().filter(|spec| *spec != KeySpec::Sm2) {
        for usage in KeyUsage::ALL {
            let request = json!({ "KeySpec": spec, "KeyUsage": usage, "Origin": "EXTERNAL" });
            let answer = world.call("CreateKey", request);
            if spec.usages().contains(usage) {
                let metadata = &answer.unwrap()["KeyMetadata"];
                assert_eq!((&metadata["KeySpec"], &metadata["KeyUsage"]), (&json!(spec), &json!(usage)));
            } else {
                let text = format!("ValidationException: KeyUsage {usage} is not compatible with KeySpec {spec}");
                assert_eq!(answer.unwrap_err(), text);
            }
        }
        let answer = world.call("CreateKey", json!({ "KeySpec": spec, "Origin": "EXTERNAL" }));
        if spec == KeySpec::SymmetricDefault {
            assert_eq!(answer.unwrap()["KeyMetadata"]["KeyUsage"], "ENCRYPT_DECRYPT");
        } else {
            assert_eq!(
                answer.unwrap_err(),
                "ValidationException: You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys."
            );
        }
    }
    assert_eq!(
        world.call("CreateKey", json!({ "KeyUsage": "SIGN_VERIFY" })).unwrap_err(),
        "ValidationException: KeyUsage SIGN_VERIFY is not compatible with KeySpec SYMMETRIC_DEFAULT"
    );
}

#[test]
fn every_kind_of_key_is_described_by_its_algorithms() {
    let mut world = World::new();
    for spec in KeySpec::ALL.iter().copied().filter(|spec| *spec != KeySpec::Sm2 && is_fast(*spec)) {
        for usage in spec.usages() {
            let made = world.call("CreateKey", json!({ "KeySpec": spec, "KeyUsage": usage })).unwrap();
            let metadata = &made["KeyMetadata"];
            for (member, value) in [
                ("KeyState", json!("Enabled")),
                ("Enabled", json!(true)),
                ("KeySpec", json!(spec)),
                ("CustomerMasterKeySpec", json!(spec)),
                ("KeyUsage", json!(usage)),
                ("Origin", json!("AWS_KMS")),
                ("MultiRegion", json!(false)),
            ] {
                assert_eq!(metadata[member], value, "{spec} {usage} {member}");
            }
            let listed = match usage {
                KeyUsage::EncryptDecrypt => ("EncryptionAlgorithms", json!(spec.encryption_algorithms())),
                KeyUsage::SignVerify => ("SigningAlgorithms", json!(spec.signing_algorithms())),
                KeyUsage::GenerateVerifyMac => ("MacAlgorithms", json!(spec.mac_algorithms())),
                KeyUsage::KeyAgreement => ("KeyAgreementAlgorithms", json!(spec.key_agreement_algorithms())),
                KeyUsage::EncapsulateDecapsulate => ("EncapsulationAlgorithms", json!(spec.encapsulation_algorithms())),
            };
            assert_eq!(algorithms(metadata), [(listed.0.to_owned(), listed.1)], "{spec} {usage}");
            let has_material_id = metadata.get("CurrentKeyMaterialId").is_some();
            assert_eq!(has_material_id, spec == KeySpec::SymmetricDefault, "{spec}");
            let shown = &world.last_record()["responseElements"]["keyMetadata"];
            assert_eq!((&shown["keySpec"], &shown["keyUsage"]), (&json!(spec), &json!(usage)));
            let described = world.call("DescribeKey", json!({ "KeyId": metadata["KeyId"] })).unwrap();
            assert_eq!(described, made);
            world.restart();
            assert_eq!(world.call("DescribeKey", json!({ "KeyId": metadata["KeyId"] })).unwrap(), made);
        }
    }
}

#[test]
fn any_kind_of_key_may_be_multi_region_or_wait_for_its_material() {
    let mut world = World::new();
    for (spec, usage) in [("HMAC_512", "GENERATE_VERIFY_MAC"), ("ECC_NIST_P384", "KEY_AGREEMENT")] {
        let request = json!({ "KeySpec": spec, "KeyUsage": usage, "MultiRegion": true });
        let made = world.call("CreateKey", request).unwrap();
        let metadata = &made["KeyMetadata"];
        assert!(metadata["KeyId"].as_str().unwrap().starts_with("mrk-"), "{metadata}");
        assert_eq!(metadata["MultiRegionConfiguration"]["MultiRegionKeyType"], "PRIMARY");
        let request = json!({ "KeySpec": spec, "KeyUsage": usage, "Origin": "EXTERNAL" });
        let made = world.call("CreateKey", request).unwrap();
        let metadata = &made["KeyMetadata"];
        assert_eq!((&metadata["KeyState"], &metadata["Enabled"]), (&json!("PendingImport"), &json!(false)));
        assert_eq!(metadata["Origin"], "EXTERNAL");
    }
}

#[test]
fn the_older_name_of_the_spec_takes_the_older_specs() {
    let mut world = World::new();
    let request = json!({ "CustomerMasterKeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC" });
    assert_eq!(world.call("CreateKey", request).unwrap()["KeyMetadata"]["KeySpec"], "HMAC_256");
    for spec in ["ECC_NIST_EDWARDS25519", "ML_DSA_44", "ML_KEM_512"] {
        let request = json!({ "CustomerMasterKeySpec": spec, "KeyUsage": "SIGN_VERIFY" });
        let refusal = world.call("CreateKey", request).unwrap_err();
        let begin = format!(
            "ValidationException: 1 validation error detected: Value '{spec}' at 'customerMasterKeySpec' failed to satisfy constraint: Member must satisfy enum value set: [RSA_2048, "
        );
        assert!(refusal.starts_with(&begin), "{refusal}");
    }
    let request = json!({ "CustomerMasterKeySpec": "RSA_2048", "KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY" });
    assert!(
        world.call("CreateKey", request).unwrap_err().starts_with("ValidationException: You cannot specify KeySpec")
    );
    let refusal = world.call("CreateKey", json!({ "KeySpec": "HMAC_random" })).unwrap_err();
    assert!(
        refusal.contains("Value 'HMAC_random' at 'keySpec' failed to satisfy constraint: Member must satisfy enum")
    );
}

#[test]
fn a_region_offers_its_specs_only() {
    let mut world = World::new();
    let sm2 = json!({ "KeySpec": "SM2", "KeyUsage": "SIGN_VERIFY", "Origin": "EXTERNAL" });
    let kem = json!({ "KeySpec": "ML_KEM_768", "KeyUsage": "ENCAPSULATE_DECAPSULATE", "Origin": "EXTERNAL" });
    let refused =
        |spec: &str| format!("UnsupportedOperationException: KeySpec {spec} is not supported in this region.");
    assert_eq!(world.call("CreateKey", sm2.clone()).unwrap_err(), refused("SM2"));
    world.call("CreateKey", kem.clone()).unwrap();
    let key = world.create_key().to_string();
    let pair = |key: &str, spec: &str| json!({ "KeyId": key, "KeyPairSpec": spec, "DryRun": true });
    assert_eq!(world.call("GenerateDataKeyPair", pair(&key, "SM2")).unwrap_err(), refused("SM2"));
    for region in ["cn-north-1", "cn-northwest-1"] {
        world.region = region.parse().unwrap();
        world.call("CreateKey", sm2.clone()).unwrap();
        assert_eq!(world.call("CreateKey", kem.clone()).unwrap_err(), refused("ML_KEM_768"));
        let key = world.create_key().to_string();
        let answer = world.call("GenerateDataKeyPair", pair(&key, "ML_KEM_768")).unwrap_err();
        assert_eq!(answer, refused("ML_KEM_768"));
    }
}
