//! SM2, which only the China Regions offer, told call by call.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::convert::Infallible;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sm2::PublicKey;
use sm2::elliptic_curve::rand_core::{TryCryptoRng, TryRng};
use sm2::pkcs8::DecodePublicKey as _;
use sm2::pke::{EncryptingKey, Mode};
use world::World;

/// A client's randomness, which need not be any.
struct Counting(u8);

impl TryRng for Counting {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("keys are filled byte by byte")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("keys are filled byte by byte")
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for byte in bytes {
            self.0 = self.0.wrapping_add(1);
            *byte = self.0;
        }
        Ok(())
    }
}

impl TryCryptoRng for Counting {}

/// Encrypts as a client would who has the public key only.
fn encrypt(public: &Value, plaintext: &[u8]) -> String {
    let der = STANDARD.decode(public.as_str().unwrap()).unwrap();
    let key = EncryptingKey::new_with_mode(PublicKey::from_public_key_der(&der).unwrap(), Mode::C1C3C2);
    STANDARD.encode(key.encrypt_der(&mut Counting(0), plaintext).unwrap())
}

fn china() -> World {
    let mut world = World::new();
    world.region = "cn-north-1".parse().unwrap();
    world
}

fn sm2_key(world: &mut World, usage: &str) -> String {
    world.create_key_with(json!({ "KeySpec": "SM2", "KeyUsage": usage })).to_string()
}

#[test]
fn sm2_signs_messages_and_digests() {
    let mut world = china();
    let (key, other) = (sm2_key(&mut world, "SIGN_VERIFY"), sm2_key(&mut world, "SIGN_VERIFY"));
    for (kind, message) in [("RAW", b"the quick brown fox".to_vec()), ("DIGEST", vec![7; 32])] {
        let asked = |key: &str, message: &[u8]| {
            json!({
                "KeyId": key, "Message": STANDARD.encode(message), "MessageType": kind, "SigningAlgorithm": "SM2DSA",
            })
        };
        let signed = world.call("Sign", asked(&key, &message)).unwrap();
        let check = |key: &str, message: &[u8]| {
            let mut check = asked(key, message);
            check["Signature"] = signed["Signature"].clone();
            check
        };
        assert_eq!(world.call("Verify", check(&key, &message)).unwrap()["SignatureValid"], true);
        let mut changed = message.clone();
        changed[0] ^= 1;
        for wrong in [check(&other, &message), check(&key, &changed)] {
            assert_eq!(world.call("Verify", wrong).unwrap_err(), "KMSInvalidSignatureException");
        }
    }
    let short = json!({ "KeyId": key, "Message": "AQID", "MessageType": "DIGEST", "SigningAlgorithm": "SM2DSA" });
    assert_eq!(
        world.call("Sign", short).unwrap_err(),
        "ValidationException: Digest is invalid length for algorithm SM2DSA."
    );
}

#[test]
fn sm2_decrypts_what_it_or_a_client_encrypted() {
    let mut world = china();
    let key = sm2_key(&mut world, "ENCRYPT_DECRYPT");
    let members = json!({ "KeyId": key, "EncryptionAlgorithm": "SM2PKE" });
    let with = |member: &str, value: Value| {
        let mut request = members.clone();
        request[member] = value;
        request
    };
    let sealed = world.call("Encrypt", with("Plaintext", json!("c2VjcmV0"))).unwrap();
    let public = world.call("GetPublicKey", json!({ "KeyId": key })).unwrap();
    assert_eq!(public["EncryptionAlgorithms"], json!(["SM2PKE"]));
    for ciphertext in [sealed["CiphertextBlob"].clone(), json!(encrypt(&public["PublicKey"], b"secret"))] {
        let opened = world.call("Decrypt", with("CiphertextBlob", ciphertext)).unwrap();
        assert_eq!(opened["Plaintext"], "c2VjcmV0");
    }
    let other = sm2_key(&mut world, "ENCRYPT_DECRYPT");
    let mut wrong = with("CiphertextBlob", sealed["CiphertextBlob"].clone());
    wrong["KeyId"] = json!(other);
    assert_eq!(world.call("Decrypt", wrong).unwrap_err(), "InvalidCiphertextException");
    world.call("Encrypt", with("Plaintext", json!(STANDARD.encode([1; 1024])))).unwrap();
    let refusal = world.call("Encrypt", with("Plaintext", json!(STANDARD.encode([1; 1025])))).unwrap_err();
    assert!(refusal.starts_with("ValidationException"), "{refusal}");
}

#[test]
fn two_sm2_keys_agree_on_a_secret() {
    let mut world = china();
    let keys = [sm2_key(&mut world, "KEY_AGREEMENT"), sm2_key(&mut world, "KEY_AGREEMENT")];
    let public = keys.each_ref().map(|key| world.call("GetPublicKey", json!({ "KeyId": key })).unwrap());
    let mut derive = |key: &str, peer: &Value| {
        let request = json!({ "KeyId": key, "KeyAgreementAlgorithm": "ECDH", "PublicKey": peer["PublicKey"] });
        world.call("DeriveSharedSecret", request).unwrap()["SharedSecret"].clone()
    };
    let secret = derive(&keys[0], &public[1]);
    assert_eq!(secret, derive(&keys[1], &public[0]));
    assert_eq!(STANDARD.decode(secret.as_str().unwrap()).unwrap().len(), 32);
}

#[test]
fn a_data_key_pair_of_sm2_can_be_imported_wrapped_in_sm2() {
    let mut world = china();
    let sealing = world.create_key().to_string();
    let pair = world.call("GenerateDataKeyPair", json!({ "KeyId": sealing, "KeyPairSpec": "SM2" })).unwrap();
    let private = STANDARD.decode(pair["PrivateKeyPlaintext"].as_str().unwrap()).unwrap();

    let kind = json!({ "KeySpec": "SM2", "KeyUsage": "SIGN_VERIFY", "Origin": "EXTERNAL" });
    let key = world.create_key_with(kind).to_string();
    let asked = json!({ "KeyId": key, "WrappingAlgorithm": "SM2PKE", "WrappingKeySpec": "SM2" });
    let parameters = world.call("GetParametersForImport", asked.clone()).unwrap();
    let import = json!({
        "KeyId": key, "ImportToken": parameters["ImportToken"],
        "EncryptedKeyMaterial": encrypt(&parameters["PublicKey"], &private),
        "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE",
    });
    world.call("ImportKeyMaterial", import).unwrap();
    assert_eq!(world.call("GetPublicKey", json!({ "KeyId": key })).unwrap()["PublicKey"], pair["PublicKey"]);

    for (algorithm, spec) in [("SM2PKE", "RSA_2048"), ("RSAES_OAEP_SHA_256", "SM2")] {
        let mut mixed = asked.clone();
        (mixed["WrappingAlgorithm"], mixed["WrappingKeySpec"]) = (json!(algorithm), json!(spec));
        let refusal = world.call("GetParametersForImport", mixed).unwrap_err();
        assert!(refusal.starts_with("UnsupportedOperationException"), "{refusal}");
    }
}
