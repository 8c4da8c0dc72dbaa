//! Sign, Verify.

use std::sync::Arc;

use api::shape::Blob;
use api::shape::signing::{Sign, Signed, Verified, Verify};
use api::{Fault, MessageType, SigningAlgorithm};
use crypto::Message;

use super::cryptographic::current;
use crate::authorize::Asks;
use crate::decide::{Asked, Done};
use crate::fault::{INVALID_SIGNATURE, wrong_algorithm, wrong_digest_length, wrong_message_type};
use crate::state::Key;

pub(super) fn sign(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: Sign<'_> = asked.request()?;
    let key = admitted(asked, &request)?;
    asked.unless_dry(request.dry_run)?;
    let signature = current(asked, &key)?.sign(request.algorithm, message(&request)).map_err(|_| Fault::internal())?;
    Ok(Done::answer(&Signed { key_id: key.arn, signature: Blob(signature), signing_algorithm: request.algorithm }))
}

pub(super) fn verify(asked: &Asked<'_>) -> Result<Done, Fault> {
    let Verify { signed, signature } = asked.request()?;
    let key = admitted(asked, &signed)?;
    current(asked, &key)?.verify(signed.algorithm, message(&signed), &signature).map_err(|_| INVALID_SIGNATURE)?;
    asked.unless_dry(signed.dry_run)?;
    Ok(Done::answer(&Verified { key_id: key.arn, signature_valid: true, signing_algorithm: signed.algorithm }))
}

/// The key, when it signs such a message in this way.
fn admitted(asked: &Asked<'_>, request: &Sign<'_>) -> Result<Arc<Key>, Fault> {
    let asks = Asks {
        signing_algorithm: Some(request.algorithm),
        message_type: Some(request.message_type),
        ..Asks::default()
    };
    let key = asked.key(&request.key, asks)?;
    if !key.spec.signing_algorithms().contains(&request.algorithm) {
        return Err(wrong_algorithm(request.algorithm, key.spec));
    }
    if !request.algorithm.message_types().contains(&request.message_type) {
        return Err(wrong_message_type(request.message_type, request.algorithm));
    }
    let is_digest = request.message_type != MessageType::Raw;
    if is_digest && request.algorithm.digest_bytes() != Some(request.message.len()) {
        return Err(wrong_digest_length(request.algorithm));
    }
    Ok(key)
}

fn message<'a>(request: &'a Sign<'_>) -> Message<'a> {
    match (request.message_type, request.algorithm) {
        // What Ed25519ph is given is hashed whatever it is. Source: AWS KMS API Reference, Sign, `MessageType`.
        (MessageType::Raw, _) | (MessageType::Digest, SigningAlgorithm::Ed25519PhSha512) => {
            Message::Raw(&request.message)
        }
        (MessageType::Digest, _) => Message::Digest(&request.message),
        (MessageType::ExternalMu, _) => Message::ExternalMu(&request.message),
    }
}
