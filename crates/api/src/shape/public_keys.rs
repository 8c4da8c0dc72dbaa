//! GetPublicKey. Its request has a `KeyId` only: [`super::OfKey`].

use serde::Serialize;

use super::Blob;
use super::keys::Algorithms;
use crate::{KeyArn, KeySpec, KeyUsage};

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
    /// What it computes with.
    #[serde(flatten)]
    pub algorithms: Algorithms,
}
