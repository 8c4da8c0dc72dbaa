//! Answers that a Nitro enclave alone can open, over the running server: each operation that takes a `Recipient`, and policies that
//! ask what an enclave measured.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "../../crypto/tests/enclave/mod.rs"]
mod enclave;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::Client;
use enclave::Enclave;
use serde_json::{Value, json};
use server::{Config, Server};

fn recipient(enclave: &Enclave) -> Value {
    json!({
        "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
        "AttestationDocument": STANDARD.encode(enclave.document()),
    })
}

fn opened(enclave: &Enclave, answer: &Value) -> String {
    STANDARD.encode(enclave.open(&STANDARD.decode(answer["CiphertextForRecipient"].as_str().unwrap()).unwrap()))
}

#[tokio::test]
async fn answers_are_sealed_to_the_enclave() {
    let (enclave, stranger) = (Enclave::new(), Enclave::new());
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root.pem");
    std::fs::write(&root, &enclave.root_pem).unwrap();
    let running = Server::start(Config { nitro_root: Some(root), ..Config::ephemeral() }).await.unwrap();
    let mut client = Client::connect(&running).await;
    let key = client.create_key().await;
    let recipient = recipient(&enclave);

    let data = json!({ "KeyId": key, "KeySpec": "AES_256", "Recipient": recipient });
    let data = client.kms("GenerateDataKey", data).await.ok();
    assert!(data.get("Plaintext").is_none(), "{data}");
    let plaintext = opened(&enclave, &data);
    let open = json!({ "CiphertextBlob": data["CiphertextBlob"] });
    assert_eq!(client.kms("Decrypt", open.clone()).await.ok()["Plaintext"], plaintext.as_str());
    let mut sealed = open.clone();
    sealed["Recipient"] = recipient.clone();
    let answer = client.kms("Decrypt", sealed.clone()).await.ok();
    assert!(answer.get("Plaintext").is_none(), "{answer}");
    assert_eq!(opened(&enclave, &answer), plaintext);

    let pair = json!({ "KeyId": key, "KeyPairSpec": "ECC_NIST_P256", "Recipient": recipient });
    let pair = client.kms("GenerateDataKeyPair", pair).await.ok();
    assert!(pair.get("PrivateKeyPlaintext").is_none(), "{pair}");
    let private = client.kms("Decrypt", json!({ "CiphertextBlob": pair["PrivateKeyCiphertextBlob"] })).await.ok();
    assert_eq!(private["Plaintext"], opened(&enclave, &pair).as_str());

    let random = client.kms("GenerateRandom", json!({ "NumberOfBytes": 32, "Recipient": recipient })).await.ok();
    assert_eq!(STANDARD.decode(opened(&enclave, &random)).unwrap().len(), 32);

    let agree = json!({ "KeySpec": "ECC_NIST_P256", "KeyUsage": "KEY_AGREEMENT" });
    let agree = client.kms("CreateKey", agree).await.ok()["KeyMetadata"]["KeyId"].clone();
    let derive = json!({ "KeyId": agree, "KeyAgreementAlgorithm": "ECDH", "PublicKey": pair["PublicKey"] });
    let plain = client.kms("DeriveSharedSecret", derive.clone()).await.ok();
    let mut derive = derive;
    derive["Recipient"] = recipient.clone();
    assert_eq!(plain["SharedSecret"], opened(&enclave, &client.kms("DeriveSharedSecret", derive).await.ok()).as_str());

    // A document of a stranger's root, one that was changed, and a recipient that says too little.
    for (recipient, why) in [
        (self::recipient(&stranger), "The attestation document is not valid."),
        (
            json!({ "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": STANDARD.encode("no document") }),
            "The attestation document is not valid.",
        ),
        (json!({}), "Recipient needs KeyEncryptionAlgorithm and AttestationDocument."),
    ] {
        let mut request = open.clone();
        request["Recipient"] = recipient;
        assert_eq!(client.kms("Decrypt", request).await.refusal(), format!("ValidationException: {why}"));
    }

    // A policy may ask what the enclave runs.
    let account = running.account().to_string();
    let policy = |pcr: &str| {
        json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Principal": { "AWS": format!("arn:aws:iam::{account}:root") }, "Action": "kms:*", "Resource": "*" },
            { "Effect": "Deny", "Principal": "*", "Action": "kms:Decrypt", "Resource": "*",
              "Condition": { "StringNotEqualsIgnoreCase": { "kms:RecipientAttestation:ImageSha384": pcr } } },
        ]})
        .to_string()
    };
    client.kms("PutKeyPolicy", json!({ "KeyId": key, "Policy": policy(&enclave.image()) })).await.ok();
    client.kms("Decrypt", sealed.clone()).await.ok();
    assert!(client.kms("Decrypt", open).await.refusal().starts_with("AccessDeniedException: "));
    client.kms("PutKeyPolicy", json!({ "KeyId": key, "Policy": policy(&"00".repeat(48)) })).await.ok();
    assert!(client.kms("Decrypt", sealed).await.refusal().starts_with("AccessDeniedException: "));
    running.stop().await;
}

#[tokio::test]
async fn without_a_root_no_enclave_is_taken() {
    let running = common::dev().await;
    let mut client = Client::connect(&running).await;
    let request = json!({ "NumberOfBytes": 1, "Recipient": recipient(&Enclave::new()) });
    let refusal = client.kms("GenerateRandom", request).await.refusal();
    assert!(refusal.contains("started without a root certificate of enclaves (--nitro-root)"), "{refusal}");
    running.stop().await;
}
