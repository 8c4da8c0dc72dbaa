//! GetPublicKey.

use api::Fault;
use api::shape::keys::Algorithms;
use api::shape::public_keys::PublicKey;
use api::shape::{Blob, OfKey};

use super::cryptographic::current;
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
        algorithms: Algorithms::of(key.spec, key.usage),
    }))
}
