//! GetPublicKey.

use api::shape::public_keys::PublicKey;
use api::shape::{Blob, OfKey};
use api::{Fault, KeyUsage};

use super::cryptographic::current;
use super::keys::of;
use crate::authorize::Asks;
use crate::decide::{Asked, Done};

/// The public key. That it was handed out is recorded; what is done with it is not seen here.
pub(super) fn get_public_key(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: OfKey<'_> = asked.request()?;
    let key = asked.key(&request.key, Asks::default())?;
    if !key.spec.is_asymmetric() {
        return Err(Fault::bare("UnsupportedOperationException"));
    }
    let prepared = current(asked, &key)?;
    let public = prepared.public_key().map_err(|_| Fault::internal())?;
    Ok(Done::answer(&PublicKey {
        key_id: key.arn,
        public_key: Blob(public.to_vec()),
        customer_master_key_spec: key.spec,
        key_spec: key.spec,
        key_usage: key.usage,
        encryption_algorithms: of(&key, KeyUsage::EncryptDecrypt, key.spec.encryption_algorithms()),
        signing_algorithms: of(&key, KeyUsage::SignVerify, key.spec.signing_algorithms()),
        key_agreement_algorithms: of(&key, KeyUsage::KeyAgreement, key.spec.key_agreement_algorithms()),
        encapsulation_algorithms: of(&key, KeyUsage::EncapsulateDecapsulate, key.spec.encapsulation_algorithms()),
    }))
}
