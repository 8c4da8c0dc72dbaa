//! GenerateMac, VerifyMac.

use std::borrow::Cow;

use serde::Serialize;
use zeroize::Zeroizing;

use super::{Blob, KEY_ID, grant_tokens};
use crate::validate::{Reader, Request};
use crate::{KeyArn, MacAlgorithm};

/// GenerateMac.
#[derive(Debug)]
pub struct GenerateMac<'a> {
    /// The key as the caller named it.
    pub key: Cow<'a, str>,
    /// 1 to 4096 bytes.
    pub message: Zeroizing<Vec<u8>>,
    /// How to make the code.
    pub algorithm: MacAlgorithm,
    /// Check everything, do nothing.
    pub dry_run: bool,
}

impl<'a> Request<'a> for GenerateMac<'a> {
    fn read(reader: &Reader<'_, 'a>) -> GenerateMac<'a> {
        grant_tokens(reader);
        GenerateMac {
            message: reader.required_secret("Message", 1..=4096),
            key: reader.required_text("KeyId", KEY_ID, None),
            algorithm: reader.required_word("MacAlgorithm"),
            dry_run: reader.flag("DryRun"),
        }
    }
}

/// The answer of GenerateMac.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Mac {
    /// As long as the algorithm's digest.
    pub mac: Blob<Vec<u8>>,
    /// How it was made.
    pub mac_algorithm: MacAlgorithm,
    /// The key ARN.
    pub key_id: KeyArn,
}

/// VerifyMac.
#[derive(Debug)]
pub struct VerifyMac<'a> {
    /// What the code was made of, as GenerateMac takes it.
    pub made_of: GenerateMac<'a>,
    /// 1 to 6144 bytes.
    pub mac: Zeroizing<Vec<u8>>,
}

impl<'a> Request<'a> for VerifyMac<'a> {
    fn read(reader: &Reader<'_, 'a>) -> VerifyMac<'a> {
        VerifyMac { made_of: GenerateMac::read(reader), mac: reader.required_blob("Mac", 1..=6144) }
    }
}

/// The answer of VerifyMac. A code that is not valid is an error, never `false`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct VerifiedMac {
    /// The key ARN.
    pub key_id: KeyArn,
    /// Always true.
    pub mac_valid: bool,
    /// How it was made.
    pub mac_algorithm: MacAlgorithm,
}
