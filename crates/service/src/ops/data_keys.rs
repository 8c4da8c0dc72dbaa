//! GenerateDataKey, GenerateDataKeyWithoutPlaintext.

use std::sync::Arc;

use api::shape::Blob;
use api::shape::cryptographic::not_offered;
use api::shape::data_keys::{DataKey, GenerateDataKey};
use api::{EncryptionAlgorithm, Fault, KeySpec};
use zeroize::Zeroizing;

use super::cryptographic::{OneMaterial, seal};
use crate::authorize::Asks;
use crate::decide::{Asked, Done};
use crate::fault::NO_DATA_KEY;
use crate::state::Key;

pub(super) fn generate_data_key(asked: &Asked<'_>) -> Result<Done, Fault> {
    generate(asked, true)
}

pub(super) fn generate_data_key_without_plaintext(asked: &Asked<'_>) -> Result<Done, Fault> {
    generate(asked, false)
}

fn generate(asked: &Asked<'_>, with_plaintext: bool) -> Result<Done, Fault> {
    let request: GenerateDataKey<'_> = asked.request()?;
    if let Some(member) = request.not_offered {
        return Err(not_offered(member));
    }
    let length = match (request.key_spec, request.number_of_bytes) {
        (Some("AES_128"), None) => 16,
        (Some(_), None) => 32,
        (None, Some(bytes)) => usize::try_from(bytes).map_err(|_| Fault::internal())?,
        _ => return Err(Fault::validation("Please specify either number of bytes or key spec.")),
    };
    let asks = Asks { context: &request.context, ..Asks::default() };
    let key = wrapping_key(asked, &request.key, asks)?;
    asked.unless_dry(request.dry_run)?;
    let mut plaintext = Zeroizing::new(vec![0; length]);
    crypto::random(&mut plaintext);
    let (ciphertext, material) = seal(asked, &key, &request.context, &plaintext)?;
    asked.note_additional(&OneMaterial::of(material));
    Ok(Done::answer(&DataKey {
        ciphertext_blob: Blob(ciphertext),
        plaintext: with_plaintext.then_some(Blob(plaintext)),
        key_id: key.arn,
        key_material_id: material.to_string(),
    }))
}

/// The key under which a data key is given out: a symmetric encryption key.
fn wrapping_key(asked: &Asked<'_>, given: &str, asks: Asks<'_>) -> Result<Arc<Key>, Fault> {
    let asks = Asks { encryption_algorithm: Some(EncryptionAlgorithm::SymmetricDefault), ..asks };
    let key = asked.key(given, asks)?;
    if key.spec == KeySpec::SymmetricDefault { Ok(key) } else { Err(NO_DATA_KEY) }
}
