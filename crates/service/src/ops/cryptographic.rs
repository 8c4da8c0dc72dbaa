//! Encrypt, Decrypt, ReEncrypt.

use std::sync::Arc;

use api::shape::Blob;
use api::shape::cryptographic::{Context, Decrypt, Decrypted, Encrypt, Encrypted, ReEncrypt, ReEncrypted, not_offered};
use api::{Fault, KeyArn, KeyRef, Keys};
use crypto::{BlobHeader, EncryptionContext, MaterialId, PreparedKey};
use serde::Serialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::authorize::Asks;
use crate::decide::{Asked, Done};
use crate::fault::{INCORRECT_KEY, INVALID_CIPHERTEXT, UNKNOWN_CIPHERTEXT, wrong_algorithm};
use crate::find::{self, Found};
use crate::state::Key;

const SYMMETRIC_DEFAULT: &str = "SYMMETRIC_DEFAULT";

pub(super) fn encrypt(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: Encrypt<'_> = asked.request()?;
    let asks = Asks { context: &request.context, algorithm: Some(request.algorithm), ..Asks::default() };
    let key = asked.key(&request.key, asks)?;
    check_algorithm(request.algorithm)?;
    asked.unless_dry(request.dry_run)?;
    let (ciphertext, material) = seal(asked, &key, &request.context, &request.plaintext)?;
    asked.note_additional(&OneMaterial::of(material));
    Ok(Done::answer(&Encrypted {
        ciphertext_blob: Blob(ciphertext),
        key_id: key.arn,
        encryption_algorithm: SYMMETRIC_DEFAULT,
    }))
}

pub(super) fn decrypt(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: Decrypt<'_> = asked.request()?;
    if let Some(member) = request.not_offered {
        return Err(not_offered(member));
    }
    let asks = Asks { context: &request.context, algorithm: Some(request.algorithm), ..Asks::default() };
    let (key, header) = sealed_under(asked, &request.ciphertext, request.key.as_deref(), "kms:Decrypt", asks)?;
    check_algorithm(request.algorithm)?;
    let plaintext = open(asked, &key, &header, &request.ciphertext, &request.context)?;
    asked.unless_dry(request.dry_run)?;
    asked.note_additional(&OneMaterial::of(header.material));
    Ok(Done::answer(&Decrypted {
        key_id: key.arn,
        plaintext: Blob(plaintext),
        encryption_algorithm: SYMMETRIC_DEFAULT,
        key_material_id: header.material.to_string(),
    }))
}

pub(super) fn re_encrypt(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: ReEncrypt<'_> = asked.request()?;
    if let Some(member) = request.not_offered {
        return Err(not_offered(member));
    }
    let destination = find::key(asked.state, asked.call, &request.destination_key, Keys::IdOrAlias)?;
    let source = find_source(asked, &request.ciphertext, request.source_key.as_deref())?;
    let same = Some(source.0.key.arn == destination.key.arn);
    let from = Asks {
        context: &request.source_context,
        algorithm: Some(request.source_algorithm),
        same_key: same,
        ..Asks::default()
    };
    let to = Asks {
        context: &request.destination_context,
        algorithm: Some(request.destination_algorithm),
        same_key: same,
        ..Asks::default()
    };
    let (source, header) = source;
    admit_source(asked, &source, "kms:ReEncryptFrom", from)?;
    asked.admit(&destination, "kms:ReEncryptTo", to)?;
    check_algorithm(request.source_algorithm)?;
    check_algorithm(request.destination_algorithm)?;
    let plaintext = open(asked, &source.key, &header, &request.ciphertext, &request.source_context)?;
    asked.unless_dry(request.dry_run)?;
    let (ciphertext, material) = seal(asked, &destination.key, &request.destination_context, &plaintext)?;
    asked.note_additional(&json!({
        "sourceKeyMaterialId": header.material.to_string(),
        "destinationKeyMaterialId": material.to_string(),
    }));
    Ok(Done::answer(&ReEncrypted {
        ciphertext_blob: Blob(ciphertext),
        source_key_id: source.key.arn,
        key_id: destination.key.arn,
        source_encryption_algorithm: SYMMETRIC_DEFAULT,
        destination_encryption_algorithm: SYMMETRIC_DEFAULT,
        source_key_material_id: header.material.to_string(),
        destination_key_material_id: material.to_string(),
    }))
}

/// The key that a ciphertext names, admitted for `action`.
fn sealed_under(
    asked: &Asked<'_>,
    ciphertext: &[u8],
    expected: Option<&str>,
    action: &str,
    asks: Asks<'_>,
) -> Result<(Arc<Key>, BlobHeader), Fault> {
    let (found, header) = find_source(asked, ciphertext, expected)?;
    admit_source(asked, &found, action, asks)?;
    Ok((found.key, header))
}

/// The key that a ciphertext names. Its header proves nothing yet, it only says where to look.
fn find_source(asked: &Asked<'_>, ciphertext: &[u8], expected: Option<&str>) -> Result<(Found, BlobHeader), Fault> {
    let header = crypto::header(ciphertext).map_err(|_| INVALID_CIPHERTEXT)?;
    let arn = KeyArn { account: header.account, region: asked.call.region, key: header.key };
    let mut alias = None;
    // A bare key ID confirms the key whatever account it is in. Source: KMS API Reference, Decrypt, "Cross-account use".
    let expected = expected.filter(|given| KeyRef::parse(given) != Ok(KeyRef::Key(header.key)));
    if let Some(given) = expected {
        let expected = find::key(asked.state, asked.call, given, Keys::IdOrAlias)?;
        if expected.key.arn != arn {
            asked.note_key(expected.key.arn);
            return Err(INCORRECT_KEY);
        }
        alias = expected.alias;
    }
    let key = asked.state.key(&arn).ok_or(UNKNOWN_CIPHERTEXT)?.clone();
    Ok((Found { key, alias }, header))
}

/// As `admit`, but to a caller of another account who may not use the key its name is not told.
fn admit_source(asked: &Asked<'_>, found: &Found, action: &str, asks: Asks<'_>) -> Result<(), Fault> {
    asked.admit(found, action, asks).map_err(|fault| {
        let foreign = found.key.arn.account != asked.call.caller.account;
        if foreign && fault.code == UNKNOWN_CIPHERTEXT.code { UNKNOWN_CIPHERTEXT } else { fault }
    })
}

fn check_algorithm(algorithm: &str) -> Result<(), Fault> {
    if algorithm == SYMMETRIC_DEFAULT { Ok(()) } else { Err(wrong_algorithm(algorithm)) }
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

/// Seals under the key's current material.
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
    Ok((cipher.seal(&header, &canonical(context), plaintext), material))
}

fn open(
    asked: &Asked<'_>,
    key: &Key,
    header: &BlobHeader,
    ciphertext: &[u8],
    context: &Context<'_>,
) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let prepared = prepared(asked, key, header.material)?.ok_or(INVALID_CIPHERTEXT)?;
    let cipher = prepared.cipher().map_err(|_| INVALID_CIPHERTEXT)?;
    cipher.open(ciphertext, &canonical(context)).map_err(|_| INVALID_CIPHERTEXT)
}

/// Material that is stored but does not open is damage or another keyring: our fault, not the caller's.
fn prepared(asked: &Asked<'_>, key: &Key, material: MaterialId) -> Result<Option<Arc<PreparedKey>>, Fault> {
    asked.vault.prepared(key, material).map_err(|_| Fault::internal())
}

fn canonical(context: &Context<'_>) -> EncryptionContext {
    context.iter().map(|(key, value)| (key.as_ref(), value.as_ref())).collect()
}
