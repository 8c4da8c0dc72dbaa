//! GetParametersForImport, ImportKeyMaterial, DeleteImportedKeyMaterial.

use std::borrow::Cow;

use serde::Serialize;
use zeroize::Zeroizing;

use super::{Blob, Epoch, KEY_ID};
use crate::validate::{Pattern, Reader, Request};
use crate::{Timestamp, WrappingAlgorithm, WrappingKeySpec};

const MATERIAL_ID: Pattern = Pattern {
    shown: "^[a-f0-9]+$",
    accepts: |text| !text.is_empty() && text.bytes().all(|b| matches!(b, b'a'..=b'f' | b'0'..=b'9')),
};

const DESCRIPTION: Pattern = Pattern {
    shown: "^[a-zA-Z0-9:/_\\s.-]+$",
    accepts: |text| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || ":/_.-".contains(c);
        !text.is_empty() && text.chars().all(allowed)
    },
};

/// GetParametersForImport.
#[derive(Debug)]
pub struct GetParametersForImport<'a> {
    /// The key as the caller named it.
    pub key: Cow<'a, str>,
    /// How the material will be wrapped.
    pub wrapping_algorithm: WrappingAlgorithm,
    /// What kind of key will wrap it.
    pub wrapping_key_spec: WrappingKeySpec,
}

impl<'a> Request<'a> for GetParametersForImport<'a> {
    fn read(reader: &Reader<'_, 'a>) -> GetParametersForImport<'a> {
        GetParametersForImport {
            key: reader.required_text("KeyId", KEY_ID, None),
            wrapping_algorithm: reader.required_word("WrappingAlgorithm"),
            wrapping_key_spec: reader.required_word("WrappingKeySpec"),
        }
    }
}

/// The answer of GetParametersForImport.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ParametersForImport {
    /// The key ARN.
    pub key_id: String,
    /// To be sent back with the wrapped material.
    pub import_token: Blob<Vec<u8>>,
    /// The wrapping key: SubjectPublicKeyInfo, DER.
    pub public_key: Blob<Vec<u8>>,
    /// Until when both may be used.
    pub parameters_valid_to: Epoch,
}

/// What an import says of its material.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportType {
    /// The key never had it.
    New,
    /// The key had it before.
    Existing,
}

/// ImportKeyMaterial.
#[derive(Debug)]
pub struct ImportKeyMaterial<'a> {
    /// The key as the caller named it.
    pub key: Cow<'a, str>,
    /// From GetParametersForImport.
    pub token: Zeroizing<Vec<u8>>,
    /// The material, wrapped under the public key that came with the token.
    pub wrapped: Zeroizing<Vec<u8>>,
    /// When the material expires.
    pub valid_to: Option<Timestamp>,
    /// Whether it expires; it does where nothing is said.
    pub expires: bool,
    /// Whether it is new to the key.
    pub import_type: Option<ImportType>,
    /// Free text.
    pub description: Option<Cow<'a, str>>,
    /// Which of the key's materials it is, 64 hex digits.
    pub material: Option<Cow<'a, str>>,
}

impl<'a> Request<'a> for ImportKeyMaterial<'a> {
    fn read(reader: &Reader<'_, 'a>) -> ImportKeyMaterial<'a> {
        let model = reader.choice("ExpirationModel", &["KEY_MATERIAL_EXPIRES", "KEY_MATERIAL_DOES_NOT_EXPIRE"]);
        let import_type = reader.choice("ImportType", &["NEW_KEY_MATERIAL", "EXISTING_KEY_MATERIAL"]);
        ImportKeyMaterial {
            key: reader.required_text("KeyId", KEY_ID, None),
            token: reader.required_blob("ImportToken", 1..=6144),
            wrapped: reader.required_blob("EncryptedKeyMaterial", 1..=6144),
            valid_to: reader.moment("ValidTo"),
            expires: model != Some("KEY_MATERIAL_DOES_NOT_EXPIRE"),
            import_type: import_type.map(|name| match name {
                "NEW_KEY_MATERIAL" => ImportType::New,
                _ => ImportType::Existing,
            }),
            description: reader.text("KeyMaterialDescription", 0..=256, Some(DESCRIPTION)),
            material: reader.text("KeyMaterialId", 64..=64, Some(MATERIAL_ID)),
        }
    }
}

/// DeleteImportedKeyMaterial.
#[derive(Debug)]
pub struct DeleteImportedKeyMaterial<'a> {
    /// The key as the caller named it.
    pub key: Cow<'a, str>,
    /// Which of the key's materials, 64 hex digits; the current one where nothing is said.
    pub material: Option<Cow<'a, str>>,
}

impl<'a> Request<'a> for DeleteImportedKeyMaterial<'a> {
    fn read(reader: &Reader<'_, 'a>) -> DeleteImportedKeyMaterial<'a> {
        DeleteImportedKeyMaterial {
            key: reader.required_text("KeyId", KEY_ID, None),
            material: reader.text("KeyMaterialId", 64..=64, Some(MATERIAL_ID)),
        }
    }
}

/// The answer of ImportKeyMaterial and DeleteImportedKeyMaterial.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Imported {
    /// The key ARN.
    pub key_id: String,
    /// The material's ID; only of symmetric encryption keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_material_id: Option<String>,
}
