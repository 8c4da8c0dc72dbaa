//! Which keys can be made, and how each kind is described.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use api::{KeySpec, KeyUsage};
use serde_json::json;
use world::World;

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
fn the_older_name_of_the_spec_takes_the_older_specs() {
    let mut world = World::new();
    let request =
        json!({ "CustomerMasterKeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC", "Origin": "EXTERNAL" });
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
    for region in ["cn-north-1", "cn-northwest-1"] {
        world.region = region.parse().unwrap();
        world.call("CreateKey", sm2.clone()).unwrap();
        assert_eq!(world.call("CreateKey", kem.clone()).unwrap_err(), refused("ML_KEM_768"));
    }
}
