//! Encrypt, Decrypt, ReEncrypt.
//!
//! A ciphertext of a symmetric encryption key names its key; that of an asymmetric key is what the algorithm makes and nothing
//! else, so the caller names key and algorithm.

use std::sync::Arc;

use api::shape::Blob;
use api::shape::cryptographic::{Context, Decrypt, Decrypted, Encrypt, Encrypted, ReEncrypt, ReEncrypted};
use api::{EncryptionAlgorithm, Fault, KeyArn, KeyRef, Keys};
use crypto::{BlobHeader, EncryptionContext, MaterialId, PreparedKey};
use serde::Serialize;
use zeroize::Zeroizing;

use super::{custody, recipient};
use crate::authorize::Asks;
use crate::decide::{Asked, Done};
use crate::fault::{
    DRY_RUN, INCORRECT_KEY, INVALID_CIPHERTEXT, NO_CONTEXT, UNKNOWN_CIPHERTEXT, plaintext_too_long, wrong_algorithm,
};
use crate::find::{self, Found};
use crate::state::Key;

pub(super) fn encrypt(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: Encrypt<'_> = asked.request()?;
    let asks = Asks { context: &request.context, encryption_algorithm: Some(request.algorithm), ..Asks::default() };
    let key = asked.key(&request.key, asks)?;
    check_algorithm(&key, request.algorithm, &request.context)?;
    check_length(&key, request.algorithm, &request.plaintext)?;
    asked.unless_dry(request.dry_run)?;
    let (ciphertext, material) = close(asked, &key, request.algorithm, &request.context, &request.plaintext)?;
    if let Some(material) = material {
        asked.note_additional(&OneMaterial::of(material));
    }
    Ok(Done::answer(&Encrypted {
        ciphertext_blob: Blob(ciphertext),
        key_id: key.arn,
        encryption_algorithm: request.algorithm,
    }))
}

pub(super) fn decrypt(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: Decrypt<'_> = asked.request()?;
    let enclave = recipient::proven(asked, request.recipient.as_ref())?;
    let source = Source {
        ciphertext: request.ciphertext.as_ref().map(|bytes| bytes.as_slice()),
        member: "KeyId",
        key: request.key.as_deref(),
        algorithm: request.algorithm,
        context: &request.context,
    };
    let found = find_source(asked, &source)?;
    let asks = Asks {
        context: &request.context,
        encryption_algorithm: Some(request.algorithm),
        enclave: enclave.as_ref(),
        ..Asks::default()
    };
    admit_source(asked, &found.key, "kms:Decrypt", asks)?;
    let (plaintext, material) = open(asked, &found, &source)?;
    asked.unless_dry(request.dry_run)?;
    if let Some(material) = material {
        asked.note_additional(&OneMaterial::of(material));
    }
    let (plaintext, ciphertext_for_recipient) = recipient::reply(plaintext, enclave.as_ref())?;
    Ok(Done::answer(&Decrypted {
        key_id: found.key.key.arn,
        plaintext,
        ciphertext_for_recipient,
        encryption_algorithm: request.algorithm,
        key_material_id: material.map(|id| id.to_string()),
    }))
}

pub(super) fn re_encrypt(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: ReEncrypt<'_> = asked.request()?;
    let destination = find::key(asked.state, asked.call, &request.destination_key, Keys::IdOrAlias)?;
    let source = Source {
        ciphertext: request.ciphertext.as_ref().map(|bytes| bytes.as_slice()),
        member: "SourceKeyId",
        key: request.source_key.as_deref(),
        algorithm: request.source_algorithm,
        context: &request.source_context,
    };
    let found = find_source(asked, &source)?;
    let same_key = Some(found.key.key.arn == destination.key.arn);
    let from = Asks {
        context: &request.source_context,
        encryption_algorithm: Some(request.source_algorithm),
        same_key,
        ..Asks::default()
    };
    let to = Asks {
        context: &request.destination_context,
        encryption_algorithm: Some(request.destination_algorithm),
        same_key,
        ..Asks::default()
    };
    admit_source(asked, &found.key, "kms:ReEncryptFrom", from)?;
    asked.admit(&destination, "kms:ReEncryptTo", to)?;
    let destination = destination.key;
    check_algorithm(&destination, request.destination_algorithm, &request.destination_context)?;
    let (plaintext, opened_by) = open(asked, &found, &source)?;
    check_length(&destination, request.destination_algorithm, &plaintext)?;
    asked.unless_dry(request.dry_run)?;
    let (ciphertext, sealed_by) =
        close(asked, &destination, request.destination_algorithm, &request.destination_context, &plaintext)?;
    let materials = TwoMaterials {
        source_key_material_id: opened_by.map(|id| id.to_string()),
        destination_key_material_id: sealed_by.map(|id| id.to_string()),
    };
    if opened_by.is_some() || sealed_by.is_some() {
        asked.note_additional(&materials);
    }
    Ok(Done::answer(&ReEncrypted {
        ciphertext_blob: Blob(ciphertext),
        source_key_id: found.key.key.arn,
        key_id: destination.arn,
        source_encryption_algorithm: request.source_algorithm,
        destination_encryption_algorithm: request.destination_algorithm,
        source_key_material_id: materials.source_key_material_id,
        destination_key_material_id: materials.destination_key_material_id,
    }))
}

/// What is to be opened, as the caller describes it.
struct Source<'a> {
    /// Nothing where the caller asks only whether they might.
    ciphertext: Option<&'a [u8]>,
    /// The member that names the key.
    member: &'static str,
    /// Its value: the key the caller expects, if any.
    key: Option<&'a str>,
    algorithm: EncryptionAlgorithm,
    context: &'a Context<'a>,
}

/// The key of a source.
struct FoundSource {
    key: Found,
    /// What a symmetric ciphertext says of itself.
    header: Option<BlobHeader>,
}

/// The key of a source: the one that a symmetric ciphertext names, or else the one that the caller names.
///
/// A header proves nothing yet, it only says where to look.
fn find_source(asked: &Asked<'_>, source: &Source<'_>) -> Result<FoundSource, Fault> {
    let ciphertext = source.ciphertext.filter(|_| source.algorithm == EncryptionAlgorithm::SymmetricDefault);
    let Some(ciphertext) = ciphertext else {
        let given = source.key.ok_or_else(|| Fault::validation(format!("{} must not be null", source.member)))?;
        let key = find::key(asked.state, asked.call, given, Keys::IdOrAlias)?;
        return Ok(FoundSource { key, header: None });
    };
    let header = crypto::header(ciphertext).map_err(|_| INVALID_CIPHERTEXT)?;
    let arn = KeyArn { account: header.account, region: asked.call.region, key: header.key };
    let mut alias = None;
    // A bare key ID confirms the key whatever account it is in. Source: KMS API Reference, Decrypt, "Cross-account use".
    let expected = source.key.filter(|given| KeyRef::parse(given) != Ok(KeyRef::Key(header.key)));
    if let Some(given) = expected {
        let expected = find::key(asked.state, asked.call, given, Keys::IdOrAlias)?;
        if expected.key.arn != arn {
            asked.note_key(expected.key.arn);
            return Err(INCORRECT_KEY);
        }
        alias = expected.alias;
    }
    let key = asked.state.key(&arn).ok_or(UNKNOWN_CIPHERTEXT)?.clone();
    Ok(FoundSource { key: Found { key, alias }, header: Some(header) })
}

/// As `admit`, but to a caller of another account who may not use the key its name is not told.
fn admit_source(asked: &Asked<'_>, found: &Found, action: &str, asks: Asks<'_>) -> Result<(), Fault> {
    asked.admit(found, action, asks).map_err(|fault| {
        let foreign = found.key.arn.account != asked.call.caller.account;
        if foreign && fault.code == UNKNOWN_CIPHERTEXT.code { UNKNOWN_CIPHERTEXT } else { fault }
    })
}

/// Whether `key` encrypts with `algorithm`, and with such a context.
fn check_algorithm(key: &Key, algorithm: EncryptionAlgorithm, context: &Context<'_>) -> Result<(), Fault> {
    if !key.spec.encryption_algorithms().contains(&algorithm) {
        return Err(wrong_algorithm(algorithm, key.spec));
    }
    if algorithm != EncryptionAlgorithm::SymmetricDefault && !context.is_empty() {
        return Err(NO_CONTEXT);
    }
    Ok(())
}

/// Whether so much can be encrypted at once.
fn check_length(key: &Key, algorithm: EncryptionAlgorithm, plaintext: &[u8]) -> Result<(), Fault> {
    match key.spec.largest_plaintext(algorithm) {
        Some(most) if plaintext.len() > most => Err(plaintext_too_long(algorithm, key.spec, most)),
        _ => Ok(()),
    }
}

/// `additionalEventData` of an operation with one key.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OneMaterial {
    key_material_id: String,
}

impl OneMaterial {
    pub(super) fn of(material: MaterialId) -> OneMaterial {
        OneMaterial { key_material_id: material.to_string() }
    }
}

/// `additionalEventData` of ReEncrypt.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TwoMaterials {
    #[serde(skip_serializing_if = "Option::is_none")]
    source_key_material_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_key_material_id: Option<String>,
}

/// Encrypts with the key's current material; names the material of a symmetric encryption key.
fn close(
    asked: &Asked<'_>,
    key: &Key,
    algorithm: EncryptionAlgorithm,
    context: &Context<'_>,
    plaintext: &[u8],
) -> Result<(Vec<u8>, Option<MaterialId>), Fault> {
    if algorithm == EncryptionAlgorithm::SymmetricDefault {
        return seal(asked, key, context, plaintext).map(|(ciphertext, material)| (ciphertext, Some(material)));
    }
    let ciphertext = current(asked, key)?.encrypt(algorithm, plaintext).map_err(|_| Fault::internal())?;
    Ok((ciphertext, None))
}

/// Seals under the current material of a symmetric encryption key.
pub(super) fn seal(
    asked: &Asked<'_>,
    key: &Key,
    context: &Context<'_>,
    plaintext: &[u8],
) -> Result<(Vec<u8>, MaterialId), Fault> {
    let material = key.current_material().ok_or(Fault::internal())?;
    let header = BlobHeader { account: key.arn.account, key: key.arn.key, material };
    let prepared = prepared(asked, key, material)?.ok_or(Fault::internal())?;
    let cipher = prepared.cipher().map_err(|_| Fault::internal())?;
    let context = canonical(context);
    let blob = cipher.seal(&header, &context, plaintext);
    let blob = match &key.custody {
        None => blob,
        Some(custody) => custody::seal(asked, key, custody, &custody::bound(&header, &context), &blob)?,
    };
    Ok((blob, material))
}

/// Opens a source whose key the caller may use; names the material of a symmetric encryption key.
///
/// # Errors
/// DryRunOperationException where there is no ciphertext, and all else is in order.
fn open(
    asked: &Asked<'_>,
    found: &FoundSource,
    source: &Source<'_>,
) -> Result<(Zeroizing<Vec<u8>>, Option<MaterialId>), Fault> {
    let key = &found.key.key;
    check_algorithm(key, source.algorithm, source.context)?;
    let ciphertext = source.ciphertext.ok_or(DRY_RUN)?;
    let plaintext = match &found.header {
        Some(header) => {
            let prepared = prepared(asked, key, header.material)?.ok_or(INVALID_CIPHERTEXT)?;
            let cipher = prepared.cipher().map_err(|_| INVALID_CIPHERTEXT)?;
            let context = canonical(source.context);
            match &key.custody {
                None => cipher.open(ciphertext, &context),
                Some(custody) => {
                    let bound = custody::bound(header, &context);
                    cipher.open(&custody::open(asked, key, custody, &bound, ciphertext)?, &context)
                }
            }
        }
        None => current(asked, key)?.decrypt(source.algorithm, ciphertext),
    };
    Ok((plaintext.map_err(|_| INVALID_CIPHERTEXT)?, found.header.map(|header| header.material)))
}

/// The key's current material, made ready for use.
pub(super) fn current(asked: &Asked<'_>, key: &Key) -> Result<Arc<PreparedKey>, Fault> {
    let material = key.current_material().ok_or(Fault::internal())?;
    prepared(asked, key, material)?.ok_or(Fault::internal())
}

/// Material that is stored but does not open is damage or another keyring: our fault, not the caller's.
fn prepared(asked: &Asked<'_>, key: &Key, material: MaterialId) -> Result<Option<Arc<PreparedKey>>, Fault> {
    asked.vault.prepared(key, material).map_err(|_| Fault::internal())
}

fn canonical(context: &Context<'_>) -> EncryptionContext {
    context.iter().map(|(key, value)| (key.as_ref(), value.as_ref())).collect()
}
