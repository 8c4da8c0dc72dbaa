//! EnableKeyRotation; DisableKeyRotation, GetKeyRotationStatus and RotateKeyOnDemand (all three [`super::OfKey`]);
//! ListKeyRotations.

use std::borrow::Cow;

use serde::Serialize;

use super::{Epoch, KEY_ID, Paging};
use crate::validate::{Reader, Request};

/// EnableKeyRotation.
#[derive(Debug)]
pub struct EnableKeyRotation<'a> {
    /// The key as the caller named it.
    pub key: Cow<'a, str>,
    /// The rotation period in days, 90 to 2560.
    pub rotation_period_in_days: Option<i64>,
}

impl<'a> Request<'a> for EnableKeyRotation<'a> {
    fn read(reader: &Reader<'_, 'a>) -> EnableKeyRotation<'a> {
        EnableKeyRotation {
            key: reader.required_text("KeyId", KEY_ID, None),
            rotation_period_in_days: reader.number("RotationPeriodInDays", 90..=2560),
        }
    }
}

/// The answer of GetKeyRotationStatus.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RotationStatus {
    /// The key ARN.
    pub key_id: String,
    /// Whether automatic rotation is on.
    pub key_rotation_enabled: bool,
    /// Only while it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotation_period_in_days: Option<u16>,
    /// Only while it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_rotation_date: Option<Epoch>,
}

/// The answer of RotateKeyOnDemand.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RotationStarted {
    /// The key ARN.
    pub key_id: String,
}

/// ListKeyRotations.
#[derive(Debug)]
pub struct ListKeyRotations<'a> {
    /// The key as the caller named it.
    pub key: Cow<'a, str>,
    /// Whether to list also the first material, and one that waits for its rotation.
    pub all_key_material: bool,
    /// Which page.
    pub paging: Paging<'a>,
}

impl<'a> Request<'a> for ListKeyRotations<'a> {
    fn read(reader: &Reader<'_, 'a>) -> ListKeyRotations<'a> {
        let include = reader.choice("IncludeKeyMaterial", &["ALL_KEY_MATERIAL", "ROTATIONS_ONLY"]);
        ListKeyRotations {
            key: reader.required_text("KeyId", KEY_ID, None),
            all_key_material: include == Some("ALL_KEY_MATERIAL"),
            paging: Paging::read(reader),
        }
    }
}

/// One material of ListKeyRotations.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListedMaterial {
    /// The key ID.
    pub key_id: String,
    /// 64 hex digits.
    pub key_material_id: String,
    /// Only of imported material.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_material_description: Option<String>,
    /// `IMPORTED`, or `PENDING_IMPORT` where it was deleted or has expired; only of imported material.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub import_state: Option<&'static str>,
    /// `CURRENT`, `NON_CURRENT` or `PENDING_ROTATION`.
    pub key_material_state: &'static str,
    /// Only of imported material.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration_model: Option<&'static str>,
    /// Only of imported material that expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_to: Option<Epoch>,
    /// Not of the first material, nor of one that waits for its rotation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotation_date: Option<Epoch>,
    /// `AUTOMATIC` or `ON_DEMAND`, with the date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotation_type: Option<&'static str>,
}
