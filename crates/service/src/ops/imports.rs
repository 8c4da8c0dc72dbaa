//! GetParametersForImport, ImportKeyMaterial, DeleteImportedKeyMaterial.
//!
//! Imported material has a name that is derived from it, under a secret of the key: so the same material has the same ID however
//! often it is imported, is known again after it was deleted, and the ID tells nothing about it.

use api::shape::imports::{
    DeleteImportedKeyMaterial, GetParametersForImport, ImportKeyMaterial, ImportType, Imported, ParametersForImport,
};
use api::shape::{Blob, Epoch};
use api::{Fault, KeySpec, Region, Timestamp, WrappingAlgorithm, WrappingKeySpec};
use crypto::{KeyMaterial, MaterialId, WrappingKey};
use jiff::SignedDuration;

use crate::authorize::Asks;
use crate::decide::{Asked, Done};
use crate::fault::{not_a_primary, wrong_origin};
use crate::import_token::{self, ImportToken};
use crate::shared;
use crate::state::{Import, Key, Material, Origin};

/// The longest time that imported material may be good for. Source: AWS KMS API Reference, ImportKeyMaterial, `ValidTo`.
const LONGEST: SignedDuration = SignedDuration::from_hours(365 * 24);

pub(super) fn get_parameters_for_import(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: GetParametersForImport<'_> = asked.request()?;
    let (algorithm, spec) = (request.wrapping_algorithm, request.wrapping_key_spec);
    let asks = Asks { wrapping_algorithm: Some(algorithm), wrapping_key_spec: Some(spec), ..Asks::default() };
    let key = asked.key(&request.key, asks)?;
    check_origin(&key)?;
    check_wrapping(algorithm, spec, asked.call.region)?;
    let WrappingKey { private, public } = WrappingKey::generate(spec).map_err(|_| Fault::internal())?;
    let valid_to = import_token::valid_to(asked.call.now);
    let token = ImportToken { algorithm, valid_to, private };
    Ok(Done::answer(&ParametersForImport {
        key_id: key.arn.to_string(),
        import_token: Blob(token.seal(asked.vault, &key.arn)),
        public_key: Blob(public),
        parameters_valid_to: Epoch(valid_to),
    }))
}

/// SM2 is for China Regions, and RSAES_PKCS1_V1_5 is no longer offered since October 2023. The text is inferred.
fn check_wrapping(algorithm: WrappingAlgorithm, spec: WrappingKeySpec, region: Region) -> Result<(), Fault> {
    let is_offered = match (algorithm, spec) {
        (WrappingAlgorithm::RsaesPkcs1V15, _) => false,
        (WrappingAlgorithm::Sm2Pke, WrappingKeySpec::Sm2) => KeySpec::Sm2.is_offered_in(region),
        (WrappingAlgorithm::Sm2Pke, _) | (_, WrappingKeySpec::Sm2) => false,
        (
            WrappingAlgorithm::RsaesOaepSha1
            | WrappingAlgorithm::RsaesOaepSha256
            | WrappingAlgorithm::RsaAesKeyWrapSha1
            | WrappingAlgorithm::RsaAesKeyWrapSha256,
            WrappingKeySpec::Rsa2048 | WrappingKeySpec::Rsa3072 | WrappingKeySpec::Rsa4096,
        ) => true,
    };
    if is_offered {
        return Ok(());
    }
    let text = format!("Wrapping algorithm {algorithm} with wrapping key spec {spec} is not supported.");
    Err(Fault::new("UnsupportedOperationException", text))
}

pub(super) fn import_key_material(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: ImportKeyMaterial<'_> = asked.request()?;
    let now = asked.call.now;
    let valid_to = valid_to(&request, now)?;
    let asks = Asks { expires: Some(request.expires), valid_to, ..Asks::default() };
    let key = asked.key(&request.key, asks)?;
    check_origin(&key)?;
    check_members(&request, key.spec)?;

    // A replica takes only what its primary has taken before.
    if request.import_type == Some(ImportType::New) && asked.state.primary(&key).is_some() {
        return Err(not_a_primary(&key.arn));
    }
    let secret = unwrapped(asked, &key, &request)?;
    let mut new = Key::clone(&key);
    let id = asked.vault.name_import(&mut new, &secret).map_err(|_| Fault::internal())?;
    if request.material.as_deref().is_some_and(|given| given != id.to_string()) {
        return Err(incorrect_material());
    }

    let slot = slot(&mut new, &request, id)?;
    let description = request.description.map(|text| text.into_owned());
    let known = slot.import.take().and_then(|import| import.description);
    slot.import = Some(Import { valid_to, description: description.or(known) });
    slot.wrapped = asked.vault.wrap(&key.arn, id, &secret).wrapped;
    new.state = new.state.with_material(new.has_all_material());
    let (change, followed) = shared::change(asked.state, &key, &new, now);
    Ok(Done::answer(&answer(&key, Some(id))).changing(change).followed_by(followed).about(&key.arn))
}

/// The material that a request brings, when its token and its form are right.
fn unwrapped(asked: &Asked<'_>, key: &Key, request: &ImportKeyMaterial<'_>) -> Result<KeyMaterial, Fault> {
    let token = ImportToken::open(asked.vault, &key.arn, &request.token);
    let token = token.ok_or(Fault::bare("InvalidImportTokenException"))?;
    if token.valid_to < asked.call.now {
        return Err(Fault::bare("ExpiredImportTokenException"));
    }
    let bytes = crypto::unwrap_import(&token.private, token.algorithm, &request.wrapped)
        .map_err(|_| Fault::bare("InvalidCiphertextException"))?;
    KeyMaterial::import(key.spec, &bytes).map_err(|_| incorrect_material())
}

/// Where material `id` belongs in a key: its own old place, or a new one where it may have one.
fn slot<'k>(key: &'k mut Key, request: &ImportKeyMaterial<'_>, id: MaterialId) -> Result<&'k mut Material, Fault> {
    let first = key.material.is_empty();
    let import_type = request.import_type.unwrap_or(if first { ImportType::New } else { ImportType::Existing });
    let known = key.materials().any(|material| material.id == id);
    match import_type {
        ImportType::Existing => key
            .material
            .iter_mut()
            .chain(&mut key.next_material)
            .find(|material| material.id == id)
            .ok_or_else(incorrect_material),
        ImportType::New if known => Err(incorrect_material()),
        ImportType::New if first => {
            key.material.push(Material::awaited(id));
            key.material.last_mut().ok_or_else(Fault::internal)
        }
        // A key that cannot rotate keeps its first material for ever.
        ImportType::New if key.spec != KeySpec::SymmetricDefault => Err(incorrect_material()),
        ImportType::New => match &key.next_material {
            Some(pending) => Err(Fault::new(
                "KMSInvalidStateException",
                format!(
                    "New key material (id: {id}) cannot be imported into KMS key {}, because another key material (id: {}) is pending rotation.",
                    key.arn, pending.id
                ),
            )),
            None => Ok(key.next_material.insert(Material::awaited(id))),
        },
    }
}

/// When the material expires. The first text is recorded, the others are inferred.
fn valid_to(request: &ImportKeyMaterial<'_>, now: Timestamp) -> Result<Option<Timestamp>, Fault> {
    match (request.expires, request.valid_to) {
        (true, None) => {
            Err(Fault::validation("A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES"))
        }
        (false, Some(_)) => Err(Fault::validation(
            "A validTo date must not be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE",
        )),
        (true, Some(date)) if date <= now || date.duration_since(now) > LONGEST => {
            Err(Fault::validation("The validTo date must be in the future and at most 365 days from now"))
        }
        (_, date) => Ok(date),
    }
}

/// Only a symmetric encryption key has several materials, so only for one it is said which. The texts are inferred.
fn check_members(request: &ImportKeyMaterial<'_>, spec: KeySpec) -> Result<(), Fault> {
    if request.material.is_some() && request.import_type == Some(ImportType::New) {
        return Err(Fault::validation("KeyMaterialId must not be set if the ImportType is NEW_KEY_MATERIAL"));
    }
    let member = if request.import_type.is_some() {
        "ImportType"
    } else if request.description.is_some() {
        "KeyMaterialDescription"
    } else if request.material.is_some() {
        "KeyMaterialId"
    } else {
        return Ok(());
    };
    if spec == KeySpec::SymmetricDefault {
        return Ok(());
    }
    Err(Fault::validation(format!("{member} is only valid for symmetric encryption KMS keys")))
}

pub(super) fn delete_imported_key_material(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: DeleteImportedKeyMaterial<'_> = asked.request()?;
    let key = asked.key(&request.key, Asks::default())?;
    check_origin(&key)?;
    let named = |given: &str| key.materials().find(|material| material.id.to_string() == given);
    let id = match request.material.as_deref() {
        None => key.current_material(),
        Some(given) => {
            // The text is inferred.
            let text = || Fault::not_found(format!("Key material '{given}' of key '{}' does not exist", key.arn));
            Some(named(given).ok_or_else(text)?.id)
        }
    };
    let mut new = Key::clone(&key);
    let deleted = id.is_some_and(|id| new.forget(|material| material.id == id) > 0);
    let done = Done::answer(&answer(&key, id)).about(&key.arn);
    if !deleted {
        return Ok(done);
    }
    let (change, followed) = shared::change(asked.state, &key, &new, asked.call.now);
    Ok(done.changing(change).followed_by(followed))
}

fn answer(key: &Key, id: Option<MaterialId>) -> Imported {
    let shown = id.filter(|_| key.spec == KeySpec::SymmetricDefault);
    Imported { key_id: key.arn.to_string(), key_material_id: shown.map(|id| id.to_string()) }
}

fn check_origin(key: &Key) -> Result<(), Fault> {
    match key.origin {
        Origin::External => Ok(()),
        Origin::AwsKms | Origin::CloudHsm | Origin::ExternalKeyStore => Err(wrong_origin(&key.arn, key.origin)),
    }
}

/// Material that is not what the key asks for: of another form, or not the same as before. That it has no text is inferred.
fn incorrect_material() -> Fault {
    Fault::bare("IncorrectKeyMaterialException")
}
