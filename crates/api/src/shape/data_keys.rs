//! GenerateDataKey, GenerateDataKeyWithoutPlaintext.

use std::borrow::Cow;

use serde::Serialize;
use zeroize::Zeroizing;

use super::cryptographic::{Context, unsupported};
use super::{Blob, KEY_ID, grant_tokens};
use crate::KeyArn;
use crate::validate::{Reader, Request};

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
    /// A member that the API has and we do not offer.
    pub not_offered: Option<&'static str>,
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
            not_offered: unsupported(reader, &["Recipient"]),
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
    /// The key ARN.
    pub key_id: KeyArn,
    /// The material that sealed it, 64 hex digits.
    pub key_material_id: String,
}
