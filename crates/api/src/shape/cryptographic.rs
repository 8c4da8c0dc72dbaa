//! Encrypt, Decrypt, ReEncrypt.

use std::borrow::Cow;

use serde::Serialize;
use zeroize::Zeroizing;

use super::{Blob, KEY_ID, grant_tokens};
use crate::validate::{Presence, Reader, Request};
use crate::{EncryptionAlgorithm, KeyArn};

/// An encryption context as sent.
pub type Context<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

fn algorithm(reader: &Reader<'_, '_>, name: &str) -> EncryptionAlgorithm {
    reader.word(name).unwrap_or(EncryptionAlgorithm::SymmetricDefault)
}

/// The ciphertext to open; `None` where the caller asks only whether they might.
///
/// `IGNORE_CIPHERTEXT` counts only with `DryRun`. Source: AWS KMS API Reference, Decrypt, `DryRunModifiers`.
fn ciphertext(reader: &Reader<'_, '_>, dry_run: bool) -> Option<Zeroizing<Vec<u8>>> {
    let modifiers = reader.choices("DryRunModifiers", Presence::Optional, &["IGNORE_CIPHERTEXT"]);
    if dry_run && !modifiers.is_empty() {
        reader.blob("CiphertextBlob", 1..=6144);
        None
    } else {
        Some(reader.required_blob("CiphertextBlob", 1..=6144))
    }
}

/// The Nitro enclave that alone shall open an answer.
#[derive(Debug)]
pub struct Recipient {
    /// Its attestation document, 1 to 262,144 bytes; the model does not ask for it, the service does.
    pub document: Option<Zeroizing<Vec<u8>>>,
    /// Whether the request says how to seal, which can only be RSAES_OAEP_SHA_256.
    pub has_algorithm: bool,
}

impl<'a> Request<'a> for Recipient {
    fn read(reader: &Reader<'_, 'a>) -> Recipient {
        Recipient {
            has_algorithm: reader.choice("KeyEncryptionAlgorithm", &["RSAES_OAEP_SHA_256"]).is_some(),
            document: reader.blob("AttestationDocument", 1..=262_144),
        }
    }
}

/// `Recipient` of a request, where it names one.
pub(crate) fn recipient(reader: &Reader<'_, '_>) -> Option<Recipient> {
    reader.structure("Recipient")
}

/// Encrypt.
#[derive(Debug)]
pub struct Encrypt<'a> {
    /// The key as the caller named it.
    pub key: Cow<'a, str>,
    /// 1 to 4096 bytes.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// Additional authenticated data.
    pub context: Context<'a>,
    /// `SYMMETRIC_DEFAULT` where none is named.
    pub algorithm: EncryptionAlgorithm,
    /// Check everything, do nothing.
    pub dry_run: bool,
}

impl<'a> Request<'a> for Encrypt<'a> {
    fn read(reader: &Reader<'_, 'a>) -> Encrypt<'a> {
        grant_tokens(reader);
        Encrypt {
            key: reader.required_text("KeyId", KEY_ID, None),
            plaintext: reader.required_secret("Plaintext", 1..=4096),
            context: reader.map("EncryptionContext"),
            algorithm: algorithm(reader, "EncryptionAlgorithm"),
            dry_run: reader.flag("DryRun"),
        }
    }
}

/// The answer of Encrypt.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Encrypted {
    /// At most 6144 bytes.
    pub ciphertext_blob: Blob<Vec<u8>>,
    /// The key ARN.
    pub key_id: KeyArn,
    /// How it was encrypted.
    pub encryption_algorithm: EncryptionAlgorithm,
}

/// Decrypt.
#[derive(Debug)]
pub struct Decrypt<'a> {
    /// 1 to 6144 bytes; `None` where the caller asks only whether they might.
    pub ciphertext: Option<Zeroizing<Vec<u8>>>,
    /// Additional authenticated data; must be what it was when encrypting.
    pub context: Context<'a>,
    /// The key the caller expects, if any.
    pub key: Option<Cow<'a, str>>,
    /// `SYMMETRIC_DEFAULT` where none is named.
    pub algorithm: EncryptionAlgorithm,
    /// Check everything, do nothing.
    pub dry_run: bool,
    /// Who alone shall open the answer.
    pub recipient: Option<Recipient>,
}

impl<'a> Request<'a> for Decrypt<'a> {
    fn read(reader: &Reader<'_, 'a>) -> Decrypt<'a> {
        grant_tokens(reader);
        let dry_run = reader.flag("DryRun");
        Decrypt {
            ciphertext: ciphertext(reader, dry_run),
            context: reader.map("EncryptionContext"),
            key: reader.text("KeyId", KEY_ID, None),
            algorithm: algorithm(reader, "EncryptionAlgorithm"),
            dry_run,
            recipient: recipient(reader),
        }
    }
}

/// The answer of Decrypt.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Decrypted {
    /// The key ARN.
    pub key_id: KeyArn,
    /// What was encrypted; not where there is a recipient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plaintext: Option<Blob<Zeroizing<Vec<u8>>>>,
    /// The same, for the recipient alone: CMS EnvelopedData (RFC 5652), DER.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ciphertext_for_recipient: Option<Blob<Vec<u8>>>,
    /// How it was encrypted.
    pub encryption_algorithm: EncryptionAlgorithm,
    /// The material that opened it, 64 hex digits; only of a symmetric encryption key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_material_id: Option<String>,
}

/// ReEncrypt.
#[derive(Debug)]
pub struct ReEncrypt<'a> {
    /// 1 to 6144 bytes; `None` where the caller asks only whether they might.
    pub ciphertext: Option<Zeroizing<Vec<u8>>>,
    /// The context it was encrypted with.
    pub source_context: Context<'a>,
    /// The key the caller expects, if any.
    pub source_key: Option<Cow<'a, str>>,
    /// The key to encrypt with.
    pub destination_key: Cow<'a, str>,
    /// The context to encrypt with.
    pub destination_context: Context<'a>,
    /// `SYMMETRIC_DEFAULT` where none is named.
    pub source_algorithm: EncryptionAlgorithm,
    /// `SYMMETRIC_DEFAULT` where none is named.
    pub destination_algorithm: EncryptionAlgorithm,
    /// Check everything, do nothing.
    pub dry_run: bool,
}

impl<'a> Request<'a> for ReEncrypt<'a> {
    fn read(reader: &Reader<'_, 'a>) -> ReEncrypt<'a> {
        grant_tokens(reader);
        let dry_run = reader.flag("DryRun");
        ReEncrypt {
            ciphertext: ciphertext(reader, dry_run),
            source_context: reader.map("SourceEncryptionContext"),
            source_key: reader.text("SourceKeyId", KEY_ID, None),
            destination_key: reader.required_text("DestinationKeyId", KEY_ID, None),
            destination_context: reader.map("DestinationEncryptionContext"),
            source_algorithm: algorithm(reader, "SourceEncryptionAlgorithm"),
            destination_algorithm: algorithm(reader, "DestinationEncryptionAlgorithm"),
            dry_run,
        }
    }
}

/// The answer of ReEncrypt.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ReEncrypted {
    /// At most 6144 bytes.
    pub ciphertext_blob: Blob<Vec<u8>>,
    /// The ARN of the key that opened it.
    pub source_key_id: KeyArn,
    /// The ARN of the key that sealed it.
    pub key_id: KeyArn,
    /// How it was encrypted.
    pub source_encryption_algorithm: EncryptionAlgorithm,
    /// How it was encrypted.
    pub destination_encryption_algorithm: EncryptionAlgorithm,
    /// The material that opened it, 64 hex digits; only of a symmetric encryption key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_key_material_id: Option<String>,
    /// The material that sealed it, 64 hex digits; only of a symmetric encryption key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_key_material_id: Option<String>,
}
