//! GenerateDataKey, GenerateDataKeyPair, and both without plaintext.

use std::sync::Arc;

use api::shape::Blob;
use api::shape::data_keys::{DataKey, DataKeyPair, GenerateDataKey, GenerateDataKeyPair};
use api::{EncryptionAlgorithm, Fault, KeySpec};
use zeroize::Zeroizing;

use super::cryptographic::{OneMaterial, seal};
use super::recipient;
use crate::authorize::Asks;
use crate::decide::{Asked, Done};
use crate::fault::{NO_DATA_KEY, no_such_spec};
use crate::find::{self, Found};
use crate::state::Key;

pub(super) fn generate_data_key(asked: &Asked<'_>) -> Result<Done, Fault> {
    generate(asked, true)
}

pub(super) fn generate_data_key_without_plaintext(asked: &Asked<'_>) -> Result<Done, Fault> {
    generate(asked, false)
}

pub(super) fn generate_data_key_pair(asked: &Asked<'_>) -> Result<Done, Fault> {
    generate_pair(asked, true)
}

pub(super) fn generate_data_key_pair_without_plaintext(asked: &Asked<'_>) -> Result<Done, Fault> {
    generate_pair(asked, false)
}

fn generate(asked: &Asked<'_>, with_plaintext: bool) -> Result<Done, Fault> {
    let request: GenerateDataKey<'_> = asked.request()?;
    let enclave = recipient::proven(asked, request.recipient.as_ref().filter(|_| with_plaintext))?;
    // AWS looks for the key first, and at its usage and state last.
    let found = find::key(asked.state, asked.call, &request.key, asked.call.operation.keys)?;
    let length = match (request.key_spec, request.number_of_bytes) {
        (Some("AES_128"), None) => 16,
        (Some(_), None) => 32,
        (None, Some(bytes)) => usize::try_from(bytes).map_err(|_| Fault::internal())?,
        _ => return Err(Fault::validation("Please specify either number of bytes or key spec.")),
    };
    let asks = Asks { context: &request.context, enclave: enclave.as_ref(), ..Asks::default() };
    let key = wrapping_key(asked, found, asks)?;
    asked.unless_dry(request.dry_run)?;
    let mut plaintext = Zeroizing::new(vec![0; length]);
    crypto::random(&mut plaintext);
    let (ciphertext, material) = seal(asked, &key, &request.context, &plaintext)?;
    asked.note_additional(&OneMaterial::of(material));
    let (plaintext, ciphertext_for_recipient) = match with_plaintext {
        true => recipient::reply(plaintext, enclave.as_ref())?,
        false => (None, None),
    };
    Ok(Done::answer(&DataKey {
        ciphertext_blob: Blob(ciphertext),
        plaintext,
        ciphertext_for_recipient,
        key_id: key.arn,
        key_material_id: material.to_string(),
    }))
}

fn generate_pair(asked: &Asked<'_>, with_plaintext: bool) -> Result<Done, Fault> {
    let request: GenerateDataKeyPair<'_> = asked.request()?;
    let enclave = recipient::proven(asked, request.recipient.as_ref().filter(|_| with_plaintext))?;
    let spec = request.key_pair_spec;
    let asks = Asks {
        context: &request.context,
        data_key_pair_spec: Some(spec),
        enclave: enclave.as_ref(),
        ..Asks::default()
    };
    let found = find::key(asked.state, asked.call, &request.key, asked.call.operation.keys)?;
    let key = wrapping_key(asked, found, asks)?;
    if !spec.is_offered_in(asked.call.region) {
        return Err(no_such_spec(spec));
    }
    asked.unless_dry(request.dry_run)?;
    let pair = crypto::DataKeyPair::generate(spec).map_err(|_| no_such_spec(spec))?;
    let (ciphertext, material) = seal(asked, &key, &request.context, &pair.private)?;
    asked.note_additional(&OneMaterial::of(material));
    let (private_key_plaintext, ciphertext_for_recipient) = match with_plaintext {
        true => recipient::reply(pair.private, enclave.as_ref())?,
        false => (None, None),
    };
    Ok(Done::answer(&DataKeyPair {
        private_key_ciphertext_blob: Blob(ciphertext),
        private_key_plaintext,
        ciphertext_for_recipient,
        public_key: Blob(pair.public),
        key_id: key.arn,
        key_pair_spec: spec,
        key_material_id: material.to_string(),
    }))
}

/// The key under which a data key is given out: a symmetric encryption key that the caller may use.
fn wrapping_key(asked: &Asked<'_>, found: Found, asks: Asks<'_>) -> Result<Arc<Key>, Fault> {
    let asks = Asks { encryption_algorithm: Some(EncryptionAlgorithm::SymmetricDefault), ..asks };
    asked.admit(&found, asked.call.operation.action, asks)?;
    if found.key.spec == KeySpec::SymmetricDefault { Ok(found.key) } else { Err(NO_DATA_KEY) }
}
