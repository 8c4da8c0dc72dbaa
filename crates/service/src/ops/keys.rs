//! CreateKey, DescribeKey, ListKeys, UpdateKeyDescription.

use std::collections::BTreeMap;

use api::page::Page;
use api::shape::keys::{
    Algorithms, CreateKey, KeyMetadata, ListKeys, ListedKey, MultiRegionConfiguration, MultiRegionKey,
    UpdateKeyDescription, WithMetadata,
};
use api::shape::{Epoch, OfKey};
use api::{AccountId, Fault, KeyArn, KeyId, KeySpec, KeyUsage, Region};
use lifecycle::State;
use serde_json::{Value, json};
use trail::record::aws_date;

use super::{custody, listed, policies, tags};
use crate::authorize::{self, Asks, NewKey};
use crate::decide::{Asked, Change, Done};
use crate::fault::{invalid_key_id, limit_exceeded, no_such_spec};
use crate::state::{Family, Key, Material, Name, Origin, State as Keys, encode_key, member};

/// Keys of an account in a Region, keys pending deletion included. Source: AWS KMS quotas.
const KEYS_PER_REGION: usize = 100_000;

pub(super) fn create_key(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: CreateKey<'_> = asked.request()?;
    let call = asked.call;
    let asks = Asks {
        bypass_lockout_check: Some(request.bypass_lockout_check),
        request_tags: &request.tags,
        ..Asks::default()
    };
    let spec = request.key_spec.unwrap_or(KeySpec::SymmetricDefault);
    let is_symmetric = spec == KeySpec::SymmetricDefault;
    let usage = request.key_usage.or(is_symmetric.then_some(KeyUsage::EncryptDecrypt));
    let new_key = NewKey { spec, usage, origin: request.origin, multi_region: request.multi_region };
    let asks = Asks { new_key: Some(new_key), ..asks };
    authorize::in_account_asking(call, call.operation.action, "*", asks)?;
    if request.spec_given_twice {
        return Err(Fault::validation(
            "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. CustomerMasterKeySpec is deprecated.",
        ));
    }
    let usage = usage.ok_or_else(|| {
        Fault::validation("You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.")
    })?;
    if !spec.usages().contains(&usage) {
        return Err(Fault::validation(format!("KeyUsage {usage} is not compatible with KeySpec {spec}")));
    }
    if !spec.is_offered_in(call.region) {
        return Err(no_such_spec(spec));
    }
    let origin = Origin::named(request.origin).ok_or(Fault::internal())?;
    let place = custody::place(asked, &request, origin, spec)?;
    let tags = tags::merged(&BTreeMap::new(), &request.tags)?;
    check_quota(asked, call.caller.account, call.region)?;

    let mut random = [0; 16];
    crypto::random(&mut random);
    let id = if request.multi_region { KeyId::multi_region(random) } else { KeyId::single_region(random) };
    let arn = KeyArn { account: call.caller.account, region: call.region, key: id };
    let policy = match request.policy {
        Some(policy) => policy.into_owned(),
        None => policy::default_key_policy(arn.account, arn.region.partition()),
    };
    let state = match origin {
        Origin::AwsKms | Origin::CloudHsm | Origin::ExternalKeyStore => State::Enabled,
        Origin::External => State::PendingImport,
    };
    let document = policies::accepted(&policy)?;
    let mut key = Key::with_policy(arn, call.now, state, policy, document);
    key.description = request.description.into_owned();
    key.spec = spec;
    key.usage = usage;
    key.origin = origin;
    key.tags = tags;
    policies::check_lockout(asked, &key, asks)?;
    // Last, since nothing else here takes as long, and what is made outside is not taken back.
    if origin != Origin::External {
        key.material = vec![asked.vault.generate(&key).map_err(|_| no_such_spec(spec))?];
    }
    if let Some(place) = &place {
        key.custody = Some(place.make(asked, arn)?);
    }

    asked.note_key(arn);
    if let Some(data) = custody::recorded(asked.state, &key) {
        asked.note_additional(&data);
    }
    let metadata = metadata(asked.state, &key, asked.state.family(&arn).as_ref());
    let shown = json!({ "keyMetadata": recorded(&metadata, &key) });
    let change = Change::on(Name::Key(arn), None).put(Name::Key(arn), encode_key(&key));
    let change = match &place {
        None => change,
        Some(place) => place.hold(change),
    };
    Ok(Done::answer(&WithMetadata { key_metadata: metadata }).changing(change).showing(&shown))
}

/// Refuses one more key than an account may have in a Region.
pub(super) fn check_quota(asked: &Asked<'_>, account: AccountId, region: Region) -> Result<(), Fault> {
    if asked.state.count_keys(account, region) >= KEYS_PER_REGION {
        return Err(limit_exceeded(format!(
            "Key quota for this account in this region is {KEYS_PER_REGION} but the current number of keys has reached it."
        )));
    }
    Ok(())
}

pub(super) fn describe_key(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: OfKey<'_> = asked.request()?;
    let key = asked.key(&request.key, Asks::default())?;
    let family = asked.state.family(&key.arn);
    Ok(Done::answer(&WithMetadata { key_metadata: metadata(asked.state, &key, family.as_ref()) }))
}

pub(super) fn list_keys(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: ListKeys<'_> = asked.request()?;
    let page = Page::of(request.paging.limit, 100, request.paging.marker.as_deref())?;
    let call = asked.call;
    authorize::in_account(call, call.operation.action, "*")?;
    let after = match page.after {
        None => None,
        Some(bytes) => {
            let key = bytes.try_into().ok().and_then(KeyId::from_bytes);
            Some(key.ok_or(Fault::bare("InvalidMarkerException"))?)
        }
    };
    // No account shares keys with another: there is no Resource Access Manager here.
    let own = asked.state.keys_of(call.caller.account, call.region, after).filter(|_| request.own);
    let keys = own.map(|key| {
        let listed = ListedKey { key_id: key.arn.key.to_string(), key_arn: key.arn.to_string() };
        (key.arn.key.to_bytes().to_vec(), listed)
    });
    Ok(Done::answer(&listed("Keys", page.limit, keys)))
}

pub(super) fn update_key_description(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: UpdateKeyDescription<'_> = asked.request()?;
    if request.key.starts_with("alias/") {
        return Err(invalid_key_id(&request.key));
    }
    let key = asked.key(&request.key, Asks::default())?;
    let new = Key { description: request.description.into_owned(), ..Key::clone(&key) };
    Ok(Done::nothing().changing(asked.change_key(&key, &new)).about(&key.arn))
}

/// What `key`, of `family`, is.
pub(super) fn metadata(state: &Keys, key: &Key, family: Option<&Family>) -> KeyMetadata {
    let deletion_date = match key.state {
        State::PendingDeletion { deletion_date } => Some(Epoch(deletion_date)),
        _ => None,
    };
    let window = match key.state {
        State::PendingReplicaDeletion { window } => Some(window.days()),
        _ => None,
    };
    let relative =
        |region: Region| MultiRegionKey { arn: member(key.arn, region).to_string(), region: region.to_string() };
    let family = family.map(|family| MultiRegionConfiguration {
        multi_region_key_type: if family.primary == key.arn.region { "PRIMARY" } else { "REPLICA" },
        primary_key: relative(family.primary),
        replica_keys: family.replicas.iter().copied().map(relative).collect(),
    });
    // Of the material that belongs to the key for good; one that waits for its rotation does not yet.
    let expiry = key.material.iter().filter_map(Material::expiry).min();
    let imported = key.origin == Origin::External && key.material.iter().any(|material| material.wrapped.is_some());
    let (store, cluster, external) = custody::shown(state, key);
    KeyMetadata {
        aws_account_id: key.arn.account.to_string(),
        key_id: key.arn.key.to_string(),
        arn: key.arn.to_string(),
        creation_date: Epoch(key.created),
        enabled: key.state.is_enabled(),
        description: key.description.clone(),
        key_usage: key.usage,
        key_state: key.state.name(),
        deletion_date,
        valid_to: expiry.map(Epoch),
        expiration_model: imported.then(|| authorize::expiration_model(expiry.is_some())),
        origin: key.origin.as_str(),
        custom_key_store_id: store,
        cloud_hsm_cluster_id: cluster,
        xks_key_configuration: external,
        key_manager: "CUSTOMER",
        customer_master_key_spec: key.spec,
        key_spec: key.spec,
        algorithms: Algorithms::of(key.spec, key.usage),
        multi_region: key.multi_region,
        multi_region_configuration: family,
        pending_deletion_window_in_days: window,
        // Only symmetric encryption keys show it that are kept here.
        current_key_material_id: key
            .current_material()
            .filter(|_| key.spec == KeySpec::SymmetricDefault && key.custody.is_none())
            .map(|id| id.to_string()),
    }
}

/// The metadata as a record shows them: names begin with a lower-case letter, dates are written out.
pub(super) fn recorded(metadata: &KeyMetadata, key: &Key) -> Value {
    let shown = serde_json::to_value(metadata).expect("metadata hold only texts, numbers and lists of them");
    let mut shown = lower(shown);
    if let Some(date) = shown.get_mut("creationDate") {
        *date = Value::from(aws_date(key.created));
    }
    shown
}

fn lower(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            members.into_iter().map(|(name, value)| (api::validate::lower_first(&name), lower(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(lower).collect(),
        other => other,
    }
}
