//! DeriveSharedSecret, Encapsulate, Decapsulate.

use std::borrow::Cow;

use serde::Serialize;
use zeroize::Zeroizing;

use super::cryptographic::{Recipient, recipient};
use super::{Blob, KEY_ID, grant_tokens};
use crate::validate::{Reader, Request};
use crate::{EncapsulationAlgorithm, KeyAgreementAlgorithm, KeyArn};

/// DeriveSharedSecret.
#[derive(Debug)]
pub struct DeriveSharedSecret<'a> {
    /// The key as the caller named it.
    pub key: Cow<'a, str>,
    /// How to agree.
    pub algorithm: KeyAgreementAlgorithm,
    /// The peer's public key, 1 to 8192 bytes: a SubjectPublicKeyInfo (RFC 5280), DER.
    pub public_key: Zeroizing<Vec<u8>>,
    /// Check everything, do nothing.
    pub dry_run: bool,
    /// Who alone shall open the answer.
    pub recipient: Option<Recipient>,
}

impl<'a> Request<'a> for DeriveSharedSecret<'a> {
    fn read(reader: &Reader<'_, 'a>) -> DeriveSharedSecret<'a> {
        grant_tokens(reader);
        DeriveSharedSecret {
            key: reader.required_text("KeyId", KEY_ID, None),
            algorithm: reader.required_word("KeyAgreementAlgorithm"),
            public_key: reader.required_blob("PublicKey", 1..=8192),
            dry_run: reader.flag("DryRun"),
            recipient: recipient(reader),
        }
    }
}

/// The answer of DeriveSharedSecret.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DerivedSecret {
    /// The key ARN.
    pub key_id: KeyArn,
    /// The x coordinate of the shared point, as long as the curve's field; not where there is a recipient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_secret: Option<Blob<Zeroizing<Vec<u8>>>>,
    /// The same, for the recipient alone: CMS EnvelopedData (RFC 5652), DER.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ciphertext_for_recipient: Option<Blob<Vec<u8>>>,
    /// How it was agreed.
    pub key_agreement_algorithm: KeyAgreementAlgorithm,
    /// Where the key's material comes from.
    pub key_origin: &'static str,
}

/// Encapsulate.
#[derive(Debug)]
pub struct Encapsulate<'a> {
    /// The key as the caller named it.
    pub key: Cow<'a, str>,
    /// How to encapsulate.
    pub algorithm: EncapsulationAlgorithm,
    /// Check everything, do nothing.
    pub dry_run: bool,
}

impl<'a> Request<'a> for Encapsulate<'a> {
    fn read(reader: &Reader<'_, 'a>) -> Encapsulate<'a> {
        grant_tokens(reader);
        Encapsulate {
            key: reader.required_text("KeyId", KEY_ID, None),
            algorithm: reader.required_word("EncapsulationAlgorithm"),
            dry_run: reader.flag("DryRun"),
        }
    }
}

/// The answer of Encapsulate.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Encapsulated {
    /// The key ARN.
    pub key_id: KeyArn,
    /// 32 bytes.
    pub shared_secret: Blob<Zeroizing<Vec<u8>>>,
    /// What Decapsulate turns into the secret.
    pub shared_secret_ciphertext_blob: Blob<Vec<u8>>,
    /// How it was encapsulated.
    pub encapsulation_algorithm: EncapsulationAlgorithm,
}

/// Decapsulate.
#[derive(Debug)]
pub struct Decapsulate<'a> {
    /// The key, and how.
    pub by: Encapsulate<'a>,
    /// 1 to 6144 bytes.
    pub ciphertext: Zeroizing<Vec<u8>>,
}

impl<'a> Request<'a> for Decapsulate<'a> {
    fn read(reader: &Reader<'_, 'a>) -> Decapsulate<'a> {
        Decapsulate {
            by: Encapsulate::read(reader),
            ciphertext: reader.required_blob("SharedSecretCiphertextBlob", 1..=6144),
        }
    }
}

/// The answer of Decapsulate.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Decapsulated {
    /// The key ARN.
    pub key_id: KeyArn,
    /// 32 bytes. Of a ciphertext that was not made for this key they are unlike anybody else's (FIPS 203, implicit rejection).
    pub shared_secret: Blob<Zeroizing<Vec<u8>>>,
    /// How it was encapsulated.
    pub encapsulation_algorithm: EncapsulationAlgorithm,
}
