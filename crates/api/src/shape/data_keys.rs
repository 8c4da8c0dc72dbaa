//! GenerateDataKey, GenerateDataKeyPair, and both without plaintext.

use std::borrow::Cow;

use serde::Serialize;
use zeroize::Zeroizing;

use super::cryptographic::{Context, Recipient, recipient};
use super::{Blob, KEY_ID, grant_tokens};
use crate::validate::{Reader, Request};
use crate::{KeyArn, KeySpec};

/// GenerateDataKey and GenerateDataKeyWithoutPlaintext.
#[derive(Debug)]
pub struct GenerateDataKey<'a> {
    /// The key as the caller named it.
    pub key: Cow<'a, str>,
    /// Additional authenticated data.
    pub context: Context<'a>,
    /// 1 to 1024.
    pub number_of_bytes: Option<i64>,
    /// `AES_256` or `AES_128`.
    pub key_spec: Option<&'static str>,
    /// Check everything, do nothing.
    pub dry_run: bool,
    /// Who alone shall open the answer.
    pub recipient: Option<Recipient>,
}

impl<'a> Request<'a> for GenerateDataKey<'a> {
    fn read(reader: &Reader<'_, 'a>) -> GenerateDataKey<'a> {
        grant_tokens(reader);
        GenerateDataKey {
            key: reader.required_text("KeyId", KEY_ID, None),
            context: reader.map("EncryptionContext"),
            number_of_bytes: reader.number("NumberOfBytes", 1..=1024),
            key_spec: reader.choice("KeySpec", &["AES_256", "AES_128"]),
            dry_run: reader.flag("DryRun"),
            recipient: recipient(reader),
        }
    }
}

/// The answer of both; the plaintext only of GenerateDataKey.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DataKey {
    /// The data key under the KMS key.
    pub ciphertext_blob: Blob<Vec<u8>>,
    /// The data key itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plaintext: Option<Blob<Zeroizing<Vec<u8>>>>,
    /// The same, for the recipient alone: CMS EnvelopedData (RFC 5652), DER.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ciphertext_for_recipient: Option<Blob<Vec<u8>>>,
    /// The key ARN.
    pub key_id: KeyArn,
    /// The material that sealed it, 64 hex digits.
    pub key_material_id: String,
}

/// What a data key pair can be: any key pair but one that only signs in the new way.
const PAIR_SPECS: &[&str] = &[
    "RSA_2048",
    "RSA_3072",
    "RSA_4096",
    "ECC_NIST_P256",
    "ECC_NIST_P384",
    "ECC_NIST_P521",
    "ECC_SECG_P256K1",
    "SM2",
    "ECC_NIST_EDWARDS25519",
    "ML_KEM_512",
    "ML_KEM_768",
    "ML_KEM_1024",
];

/// GenerateDataKeyPair and GenerateDataKeyPairWithoutPlaintext.
#[derive(Debug)]
pub struct GenerateDataKeyPair<'a> {
    /// The key as the caller named it.
    pub key: Cow<'a, str>,
    /// Additional authenticated data of the private key's ciphertext.
    pub context: Context<'a>,
    /// What pair to make; always there in a request that was accepted.
    pub key_pair_spec: KeySpec,
    /// Check everything, do nothing.
    pub dry_run: bool,
    /// Who alone shall open the answer.
    pub recipient: Option<Recipient>,
}

impl<'a> Request<'a> for GenerateDataKeyPair<'a> {
    fn read(reader: &Reader<'_, 'a>) -> GenerateDataKeyPair<'a> {
        grant_tokens(reader);
        GenerateDataKeyPair {
            context: reader.map("EncryptionContext"),
            key: reader.required_text("KeyId", KEY_ID, None),
            key_pair_spec: reader
                .required_choice("KeyPairSpec", PAIR_SPECS)
                .and_then(KeySpec::named)
                .unwrap_or(KeySpec::EccNistP256),
            dry_run: reader.flag("DryRun"),
            recipient: recipient(reader),
        }
    }
}

/// The answer of both; the plaintext only of GenerateDataKeyPair.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DataKeyPair {
    /// The private key under the KMS key.
    pub private_key_ciphertext_blob: Blob<Vec<u8>>,
    /// The private key itself: PKCS #8 (RFC 5958), DER.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_key_plaintext: Option<Blob<Zeroizing<Vec<u8>>>>,
    /// The same, for the recipient alone: CMS EnvelopedData (RFC 5652), DER.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ciphertext_for_recipient: Option<Blob<Vec<u8>>>,
    /// A SubjectPublicKeyInfo (RFC 5280), DER.
    pub public_key: Blob<Vec<u8>>,
    /// The key ARN.
    pub key_id: KeyArn,
    /// What pair it is.
    pub key_pair_spec: KeySpec,
    /// The material that sealed it, 64 hex digits.
    pub key_material_id: String,
}
