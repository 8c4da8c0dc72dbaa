//! Sign, Verify.

use std::borrow::Cow;

use serde::Serialize;
use zeroize::Zeroizing;

use super::{Blob, KEY_ID, grant_tokens};
use crate::validate::{Reader, Request};
use crate::{KeyArn, MessageType, SigningAlgorithm};

/// Sign.
#[derive(Debug)]
pub struct Sign<'a> {
    /// The key as the caller named it.
    pub key: Cow<'a, str>,
    /// 1 to 4096 bytes.
    pub message: Zeroizing<Vec<u8>>,
    /// What the message is; `RAW` where nothing is said.
    pub message_type: MessageType,
    /// How to sign.
    pub algorithm: SigningAlgorithm,
    /// Check everything, do nothing.
    pub dry_run: bool,
}

impl<'a> Request<'a> for Sign<'a> {
    fn read(reader: &Reader<'_, 'a>) -> Sign<'a> {
        grant_tokens(reader);
        Sign {
            key: reader.required_text("KeyId", KEY_ID, None),
            message: reader.required_secret("Message", 1..=4096),
            message_type: reader.word("MessageType").unwrap_or(MessageType::Raw),
            algorithm: reader.required_word("SigningAlgorithm"),
            dry_run: reader.flag("DryRun"),
        }
    }
}

/// The answer of Sign.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Signed {
    /// The key ARN.
    pub key_id: KeyArn,
    /// RSA: as long as the modulus. ECDSA: DER. Ed25519, ML-DSA: as their standards have it.
    pub signature: Blob<Vec<u8>>,
    /// How it was signed.
    pub signing_algorithm: SigningAlgorithm,
}

/// Verify.
#[derive(Debug)]
pub struct Verify<'a> {
    /// What was signed, as Sign takes it.
    pub signed: Sign<'a>,
    /// 1 to 6144 bytes.
    pub signature: Zeroizing<Vec<u8>>,
}

impl<'a> Request<'a> for Verify<'a> {
    fn read(reader: &Reader<'_, 'a>) -> Verify<'a> {
        Verify { signed: Sign::read(reader), signature: reader.required_blob("Signature", 1..=6144) }
    }
}

/// The answer of Verify. A signature that is not valid is an error, never `false`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Verified {
    /// The key ARN.
    pub key_id: KeyArn,
    /// Always true.
    pub signature_valid: bool,
    /// How it was signed.
    pub signing_algorithm: SigningAlgorithm,
}
