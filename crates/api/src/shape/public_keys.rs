//! GetPublicKey. Its request has a `KeyId` only: [`super::OfKey`].

use serde::Serialize;

use super::Blob;
use crate::{
    EncapsulationAlgorithm, EncryptionAlgorithm, KeyAgreementAlgorithm, KeyArn, KeySpec, KeyUsage, SigningAlgorithm,
};

/// The answer of GetPublicKey.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PublicKey {
    /// The key ARN.
    pub key_id: KeyArn,
    /// A SubjectPublicKeyInfo (RFC 5280), DER.
    pub public_key: Blob<Vec<u8>>,
    /// The older name of `key_spec`.
    pub customer_master_key_spec: KeySpec,
    /// What material it has.
    pub key_spec: KeySpec,
    /// What it is for.
    pub key_usage: KeyUsage,
    /// Of an ENCRYPT_DECRYPT key.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub encryption_algorithms: &'static [EncryptionAlgorithm],
    /// Of a SIGN_VERIFY key.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub signing_algorithms: &'static [SigningAlgorithm],
    /// Of a KEY_AGREEMENT key.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub key_agreement_algorithms: &'static [KeyAgreementAlgorithm],
    /// Of an ENCAPSULATE_DECAPSULATE key.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub encapsulation_algorithms: &'static [EncapsulationAlgorithm],
}
