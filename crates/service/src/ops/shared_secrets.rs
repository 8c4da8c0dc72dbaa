//! DeriveSharedSecret, Encapsulate, Decapsulate.

use api::Fault;
use api::shape::Blob;
use api::shape::shared_secrets::{
    Decapsulate, Decapsulated, DeriveSharedSecret, DerivedSecret, Encapsulate, Encapsulated,
};

use super::cryptographic::current;
use super::recipient;
use crate::authorize::Asks;
use crate::decide::{Asked, Done};
use crate::fault::INVALID_CIPHERTEXT;

pub(super) fn derive_shared_secret(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: DeriveSharedSecret<'_> = asked.request()?;
    let enclave = recipient::proven(asked, request.recipient.as_ref())?;
    let asks = Asks { key_agreement_algorithm: Some(request.algorithm), enclave: enclave.as_ref(), ..Asks::default() };
    let key = asked.key(&request.key, asks)?;
    // A public key of another curve, or that is none: AWS says no more (recorded answer).
    let secret = current(asked, &key)?
        .derive(request.algorithm, &request.public_key)
        .map_err(|_| Fault::bare("ValidationException"))?;
    asked.unless_dry(request.dry_run)?;
    let (shared_secret, ciphertext_for_recipient) = recipient::reply(secret, enclave.as_ref())?;
    Ok(Done::answer(&DerivedSecret {
        key_id: key.arn,
        shared_secret,
        ciphertext_for_recipient,
        key_agreement_algorithm: request.algorithm,
        key_origin: key.origin.as_str(),
    }))
}

pub(super) fn encapsulate(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: Encapsulate<'_> = asked.request()?;
    let key = asked.key(&request.key, Asks::default())?;
    asked.unless_dry(request.dry_run)?;
    let (ciphertext, secret) = current(asked, &key)?.encapsulate(request.algorithm).map_err(|_| Fault::internal())?;
    Ok(Done::answer(&Encapsulated {
        key_id: key.arn,
        shared_secret: Blob(secret),
        shared_secret_ciphertext_blob: Blob(ciphertext),
        encapsulation_algorithm: request.algorithm,
    }))
}

pub(super) fn decapsulate(asked: &Asked<'_>) -> Result<Done, Fault> {
    let Decapsulate { by, ciphertext } = asked.request()?;
    let key = asked.key(&by.key, Asks::default())?;
    // Only its length can be wrong: any ciphertext of the right length gives some secret.
    let secret = current(asked, &key)?.decapsulate(by.algorithm, &ciphertext).map_err(|_| INVALID_CIPHERTEXT)?;
    asked.unless_dry(by.dry_run)?;
    Ok(Done::answer(&Decapsulated {
        key_id: key.arn,
        shared_secret: Blob(secret),
        encapsulation_algorithm: by.algorithm,
    }))
}
