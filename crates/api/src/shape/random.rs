//! GenerateRandom.

use std::borrow::Cow;

use serde::Serialize;
use zeroize::Zeroizing;

use super::Blob;
use super::cryptographic::unsupported;
use crate::validate::{Reader, Request};

/// GenerateRandom.
#[derive(Debug)]
pub struct GenerateRandom<'a> {
    /// 1 to 1024; required, though the model does not say so.
    pub number_of_bytes: Option<i64>,
    /// A custom key store.
    pub custom_key_store: Option<Cow<'a, str>>,
    /// A member that the API has and we do not offer.
    pub not_offered: Option<&'static str>,
}

impl<'a> Request<'a> for GenerateRandom<'a> {
    fn read(reader: &Reader<'_, 'a>) -> GenerateRandom<'a> {
        GenerateRandom {
            number_of_bytes: reader.number("NumberOfBytes", 1..=1024),
            custom_key_store: reader.text("CustomKeyStoreId", 1..=64, None),
            not_offered: unsupported(reader, &["Recipient"]),
        }
    }
}

/// The answer of GenerateRandom.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Random {
    /// From the operating system's generator.
    pub plaintext: Blob<Zeroizing<Vec<u8>>>,
}
