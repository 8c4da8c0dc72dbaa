//! CreateAlias, UpdateAlias, DeleteAlias, ListAliases.
//!
//! An alias is asked twice: the caller needs the action on the alias by identity, and on each key that the alias points to (or
//! comes to point to) by the key's policy. Source: AWS KMS Developer Guide, "Controlling access to aliases".

use api::page::Page;
use api::shape::Epoch;
use api::shape::aliases::{DeleteAlias, ListAliases, ListedAlias, PointAlias};
use api::{AliasArn, AliasName, Fault, KeyArn, Keys};

use super::listed;
use crate::authorize::{self, Asks};
use crate::decide::{Asked, Change, Done};
use crate::fault::{invalid_key_id, limit_exceeded, no_such_alias};
use crate::find::{self, Found};
use crate::state::{Alias, Name, encode_alias};

/// Aliases of one key. Source: AWS KMS quotas.
const ALIASES_PER_KEY: usize = 50;

pub(super) fn create_alias(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: PointAlias<'_> = asked.request()?;
    let arn = alias_arn(asked, &request.alias)?;
    let target = target(asked, &request.target)?;
    asked.admit(&target, asked.call.operation.action, Asks::default())?;
    authorize::in_account(asked.call, asked.call.operation.action, &arn.to_string())?;
    asked.note_alias(arn.clone());
    let name = (arn.account, arn.region, arn.alias.clone());
    if asked.state.alias(&name).is_some() {
        let text = format!("An alias with the name {arn} already exists");
        return Err(Fault::new("AlreadyExistsException", text));
    }
    check_quota(asked, &target.key.arn)?;
    let now = asked.call.now;
    let alias = Alias { target: target.key.arn.key, created: now, updated: now };
    let change = Change::on(Name::Alias(name.clone()), None)
        .and_on(Name::Key(target.key.arn), asked.state.key_version(&target.key.arn))
        .put(Name::Alias(name), encode_alias(&alias));
    Ok(Done::nothing().changing(change).about(&target.key.arn))
}

pub(super) fn update_alias(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: PointAlias<'_> = asked.request()?;
    let arn = alias_arn(asked, &request.alias)?;
    let name = (arn.account, arn.region, arn.alias.clone());
    let (version, alias) = asked.state.alias(&name).ok_or_else(|| no_such_alias(&arn))?;
    let target = target(asked, &request.target)?;
    let old = KeyArn { key: alias.target, ..target.key.arn };
    // The key that the alias leaves is asked for permission, not for its state: leaving a key pending deletion is allowed.
    if let Some(old) = asked.state.key(&old).filter(|key| key.arn != target.key.arn) {
        authorize::on_key(asked.state, asked.call, old, asked.call.operation.action, Asks::default())?;
    }
    asked.admit(&target, asked.call.operation.action, Asks::default())?;
    authorize::in_account(asked.call, asked.call.operation.action, &arn.to_string())?;
    asked.note_alias(arn);
    if old != target.key.arn {
        check_quota(asked, &target.key.arn)?;
    }
    let alias = Alias { target: target.key.arn.key, updated: asked.call.now, ..Alias::clone(alias) };
    let change = Change::on(Name::Alias(name.clone()), Some(*version))
        .and_on(Name::Key(target.key.arn), asked.state.key_version(&target.key.arn))
        .put(Name::Alias(name), encode_alias(&alias));
    Ok(Done::nothing().changing(change).about(&target.key.arn))
}

pub(super) fn delete_alias(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: DeleteAlias<'_> = asked.request()?;
    let arn = alias_arn(asked, &request.alias)?;
    let name = (arn.account, arn.region, arn.alias.clone());
    let (version, alias) = asked.state.alias(&name).ok_or_else(|| no_such_alias(&arn))?;
    let target = KeyArn { account: arn.account, region: arn.region, key: alias.target };
    if let Some(key) = asked.state.key(&target) {
        let found = Found { key: key.clone(), alias: None };
        asked.admit(&found, asked.call.operation.action, Asks::default())?;
    }
    authorize::in_account(asked.call, asked.call.operation.action, &arn.to_string())?;
    asked.note_alias(arn);
    let change = Change::on(Name::Alias(name.clone()), Some(*version)).delete(Name::Alias(name));
    Ok(Done::nothing().changing(change).about(&target))
}

pub(super) fn list_aliases(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: ListAliases<'_> = asked.request()?;
    let page = Page::of(request.paging.limit, 50, request.paging.marker.as_deref())?;
    let limit = page.limit.min(100);
    let (call, state) = (asked.call, asked.state);
    authorize::in_account(call, call.operation.action, "*")?;
    let only = match &request.key {
        None => None,
        Some(given) => Some(find::key(state, call, given, Keys::Id)?.key.arn),
    };
    let after: Option<AliasName> = match page.after {
        None => None,
        Some(bytes) => {
            let name = String::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
            Some(name.ok_or(Fault::bare("InvalidMarkerException"))?)
        }
    };
    let (account, region) = (call.caller.account, call.region);
    let aliases = state
        .aliases_of(account, region, after.as_ref())
        .filter(|(_, alias)| only.is_none_or(|key| key.key == alias.target))
        .map(|(name, alias)| {
            let listed = ListedAlias {
                alias_name: name.to_string(),
                alias_arn: AliasArn { account, region, alias: name.clone() }.to_string(),
                target_key_id: alias.target.to_string(),
                creation_date: Epoch(alias.created),
                last_updated_date: Epoch(alias.updated),
            };
            (name.as_str().as_bytes().to_vec(), listed)
        });
    Ok(Done::answer(&listed("Aliases", limit, aliases)))
}

/// The alias that a request may speak of: with the prefix, and not AWS's own.
fn alias_arn(asked: &Asked<'_>, given: &str) -> Result<AliasArn, Fault> {
    if !given.starts_with("alias/") {
        return Err(Fault::validation(
            "Alias must start with the prefix \"alias/\". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html",
        ));
    }
    let invalid = |_| Fault::new("InvalidAliasNameException", format!("`{given}` is not a valid alias name."));
    let alias: AliasName = given.parse().map_err(invalid)?;
    if alias.is_reserved() {
        return Err(Fault::bare("NotAuthorizedException"));
    }
    Ok(AliasArn { account: asked.call.caller.account, region: asked.call.region, alias })
}

/// The key an alias shall point to: of the caller's account, named by ID or ARN.
fn target(asked: &Asked<'_>, given: &str) -> Result<Found, Fault> {
    if given.starts_with("alias/") || given.contains(":alias/") {
        return Err(Fault::validation("Aliases must refer to keys. Not aliases"));
    }
    let found = find::key(asked.state, asked.call, given, Keys::Id)?;
    if found.key.arn.account != asked.call.caller.account {
        return Err(invalid_key_id(given));
    }
    Ok(found)
}

fn check_quota(asked: &Asked<'_>, key: &KeyArn) -> Result<(), Fault> {
    if asked.state.aliases_to(*key).count() >= ALIASES_PER_KEY {
        return Err(limit_exceeded(format!("A key may have at most {ALIASES_PER_KEY} aliases, and {key} has them.")));
    }
    Ok(())
}
