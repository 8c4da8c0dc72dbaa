//! GenerateRandom.

use std::borrow::Cow;

use serde::Serialize;
use zeroize::Zeroizing;

use super::Blob;
use super::cryptographic::{Recipient, recipient};
use crate::validate::{Reader, Request};

/// GenerateRandom.
#[derive(Debug)]
pub struct GenerateRandom<'a> {
    /// 1 to 1024; required, though the model does not say so.
    pub number_of_bytes: Option<i64>,
    /// A custom key store.
    pub custom_key_store: Option<Cow<'a, str>>,
    /// Who alone shall open the answer.
    pub recipient: Option<Recipient>,
}

impl<'a> Request<'a> for GenerateRandom<'a> {
    fn read(reader: &Reader<'_, 'a>) -> GenerateRandom<'a> {
        GenerateRandom {
            number_of_bytes: reader.number("NumberOfBytes", 1..=1024),
            custom_key_store: reader.text("CustomKeyStoreId", 1..=64, None),
            recipient: recipient(reader),
        }
    }
}

/// The answer of GenerateRandom.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Random {
    /// From the operating system's generator; not where there is a recipient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plaintext: Option<Blob<Zeroizing<Vec<u8>>>>,
    /// The same, for the recipient alone: CMS EnvelopedData (RFC 5652), DER.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ciphertext_for_recipient: Option<Blob<Vec<u8>>>,
}
