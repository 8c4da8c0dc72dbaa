//! EnableKeyRotation, DisableKeyRotation, GetKeyRotationStatus, RotateKeyOnDemand, ListKeyRotations.

use api::page::Page;
use api::shape::rotation::{EnableKeyRotation, ListKeyRotations, ListedMaterial, RotationStarted, RotationStatus};
use api::shape::{Epoch, OfKey};
use api::{Fault, KeySpec, Timestamp};
use jiff::SignedDuration;
use lifecycle::{RotationPeriod, State, Timer};

use super::listed;
use crate::authorize::{Asks, expiration_model};
use crate::decide::{Asked, Done};
use crate::fault::{limit_exceeded, not_a_primary, not_rotatable, wrong_origin};
use crate::rotation::{RotationKind, rotate};
use crate::shared;
use crate::state::{Key, Material, Origin, Schedule};

/// On-demand rotations in the life of a key. Source: AWS KMS API Reference, RotateKeyOnDemand.
const ON_DEMAND_ROTATIONS: usize = 25;

/// Before an automatic rotation, no rotation on demand begins for so long. Source: KMS API model, ConflictException.
const CONFLICT: SignedDuration = SignedDuration::from_mins(20);

/// Automatic rotation on. What is on already with the same period stays as it is; another period begins now.
pub(super) fn enable_key_rotation(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: EnableKeyRotation<'_> = asked.request()?;
    let period = match request.rotation_period_in_days {
        None => RotationPeriod::DEFAULT,
        Some(days) => RotationPeriod::of_days(days).expect("the range was checked when the request was read"),
    };
    let key = asked.key(&request.key, Asks { rotation_period: Some(period.days()), ..Asks::default() })?;
    check_automatic(&key)?;
    check_primary(asked, &key)?;
    let schedule = match key.rotation {
        Some(known) if known.period == period => known,
        _ => Schedule { period, next: period.after(asked.call.now) },
    };
    Ok(reschedule(asked, &key, Some(schedule)))
}

pub(super) fn disable_key_rotation(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: OfKey<'_> = asked.request()?;
    let key = asked.key(&request.key, Asks::default())?;
    check_automatic(&key)?;
    check_primary(asked, &key)?;
    Ok(reschedule(asked, &key, None))
}

fn reschedule(asked: &Asked<'_>, key: &Key, rotation: Option<Schedule>) -> Done {
    let done = Done::nothing().about(&key.arn);
    if rotation == key.rotation {
        return done;
    }
    let new = Key { rotation, ..Key::clone(key) };
    let (change, followed) = shared::change(asked.state, key, &new, asked.call.now);
    done.changing(change).followed_by(followed)
}

pub(super) fn get_key_rotation_status(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: OfKey<'_> = asked.request()?;
    let key = asked.key(&request.key, Asks::default())?;
    check_automatic(&key)?;
    // It shows as off while the key waits for deletion, and is back when that is cancelled. Source: AWS KMS API Reference,
    // GetKeyRotationStatus.
    let waits = matches!(key.state, State::PendingDeletion { .. } | State::PendingReplicaDeletion { .. });
    let schedule = key.rotation.filter(|_| !waits);
    Ok(Done::answer(&RotationStatus {
        key_id: key.arn.to_string(),
        key_rotation_enabled: schedule.is_some(),
        rotation_period_in_days: schedule.map(|schedule| schedule.period.days()),
        next_rotation_date: schedule.map(|schedule| Epoch(schedule.next)),
    }))
}

/// A rotation on demand is done when its call is answered.
pub(super) fn rotate_key_on_demand(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: OfKey<'_> = asked.request()?;
    let key = asked.key(&request.key, Asks::default())?;
    check_spec(&key)?;
    check_primary(asked, &key)?;
    let now = asked.call.now;
    if is_about_to_rotate(&key, now) {
        // The text is inferred.
        return Err(Fault::new(
            "ConflictException",
            format!("An automatic rotation of {} is in progress or begins within the next 20 minutes.", key.arn),
        ));
    }
    if on_demand_rotations(&key) >= ON_DEMAND_ROTATIONS {
        return Err(limit_exceeded(format!(
            "The on-demand rotations limit has been reached for the given keyId. No more on-demand rotations can be performed for this key: {}",
            key.arn
        )));
    }
    let material = match key.origin {
        Origin::AwsKms => asked.vault.generate(&key).map_err(|_| Fault::internal())?,
        Origin::External => {
            let next = key.next_material.clone().filter(|_| shared::can_rotate(asked.state, &key));
            next.ok_or_else(|| no_material_pending(&key))?
        }
        Origin::CloudHsm | Origin::ExternalKeyStore => return Err(wrong_origin(&key.arn, key.origin)),
    };
    let mut id = [0; 16];
    crypto::random(&mut id);
    let rotation = rotate(asked.state, &key, material, RotationKind::OnDemand, now, id);
    let answer = RotationStarted { key_id: key.arn.to_string() };
    Ok(Done::answer(&answer).changing(rotation.change).followed_by(rotation.records).about(&key.arn))
}

fn no_material_pending(key: &Key) -> Fault {
    let text = format!("No available key material pending rotation for the key: {}.", key.arn);
    Fault::new("KMSInvalidStateException", text)
}

fn is_about_to_rotate(key: &Key, now: Timestamp) -> bool {
    let soon = now.checked_add(CONFLICT).unwrap_or(Timestamp::MAX);
    key.deadline(Timer::Rotation).is_some_and(|date| date <= soon)
}

fn on_demand_rotations(key: &Key) -> usize {
    let rotated = key.material.iter().filter_map(|material| material.rotated);
    rotated.filter(|rotated| rotated.kind == RotationKind::OnDemand).count()
}

/// The key's materials, the oldest first.
pub(super) fn list_key_rotations(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: ListKeyRotations<'_> = asked.request()?;
    let page = Page::of(request.paging.limit, 100, request.paging.marker.as_deref())?;
    let key = asked.key(&request.key, Asks::default())?;
    check_spec(&key)?;
    let shown: Vec<&Material> =
        key.materials().filter(|material| request.all_key_material || material.rotated.is_some()).collect();
    let first = match page.after {
        None => 0,
        Some(last) => {
            let place = shown.iter().position(|material| material.id.0.as_slice() == last);
            place.ok_or(Fault::bare("InvalidMarkerException"))? + 1
        }
    };
    let can_rotate = shared::can_rotate(asked.state, asked.state.primary(&key).unwrap_or(&key));
    let entries = shown[first..].iter().map(|material| (material.id.0.to_vec(), entry(&key, material, can_rotate)));
    Ok(Done::answer(&listed("Rotations", page.limit, entries)))
}

/// `can_rotate`: whether every member of the key's family has the material that waits for its rotation.
fn entry(key: &Key, material: &Material, can_rotate: bool) -> ListedMaterial {
    let imported = key.origin == Origin::External;
    let present = material.wrapped.is_some();
    let pending = key.next_material.as_ref().is_some_and(|next| next.id == material.id);
    ListedMaterial {
        key_id: key.arn.key.to_string(),
        key_material_id: material.id.to_string(),
        key_material_description: material.import.as_ref().and_then(|import| import.description.clone()),
        import_state: imported.then_some(if present { "IMPORTED" } else { "PENDING_IMPORT" }),
        key_material_state: if pending && !can_rotate {
            "PENDING_MULTI_REGION_IMPORT_AND_ROTATION"
        } else if pending {
            "PENDING_ROTATION"
        } else if key.current_material() == Some(material.id) {
            "CURRENT"
        } else {
            "NON_CURRENT"
        },
        expiration_model: (imported && present).then(|| expiration_model(material.expiry().is_some())),
        valid_to: material.expiry().map(Epoch),
        rotation_date: material.rotated.map(|rotated| Epoch(rotated.at)),
        rotation_type: material.rotated.map(|rotated| rotated.kind.as_str()),
    }
}

/// Only symmetric encryption keys have more than one material.
fn check_spec(key: &Key) -> Result<(), Fault> {
    if key.spec == KeySpec::SymmetricDefault { Ok(()) } else { Err(not_rotatable()) }
}

/// A family is rotated by its primary. Source: AWS KMS API Reference, EnableKeyRotation, RotateKeyOnDemand.
fn check_primary(asked: &Asked<'_>, key: &Key) -> Result<(), Fault> {
    match asked.state.family(&key.arn) {
        Some(family) if family.primary != key.arn.region => Err(not_a_primary(&key.arn)),
        Some(_) | None => Ok(()),
    }
}

/// Automatic rotation needs material that KMS can make.
fn check_automatic(key: &Key) -> Result<(), Fault> {
    check_spec(key)?;
    match key.origin {
        Origin::AwsKms => Ok(()),
        Origin::External | Origin::CloudHsm | Origin::ExternalKeyStore => Err(wrong_origin(&key.arn, key.origin)),
    }
}
