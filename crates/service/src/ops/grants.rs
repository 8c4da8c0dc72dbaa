//! CreateGrant, ListGrants, ListRetirableGrants, RetireGrant, RevokeGrant.
//!
//! Source: KMS API Reference; AWS KMS Developer Guide, "Grants in AWS KMS".

use std::borrow::Cow;

use api::page::Page;
use api::shape::Epoch;
use api::shape::grants::{
    Constraints as Shape, CreateGrant, CreatedGrant, ListGrants, ListRetirableGrants, ListedGrant, RetireGrant,
    RevokeGrant,
};
use api::{Fault, GrantId, KeyArn, KeySpec, Keys};
use policy::{Constraints, Named, Pairs, Terms};
use serde_json::json;

use super::listed;
use crate::authorize::{self, Asks};
use crate::decide::{Asked, Change, Done};
use crate::fault::{INVALID_GRANT_TOKEN, limit_exceeded, no_such_grant};
use crate::find;
use crate::state::{Grant, Key, Name, Party, Slot, encode_grant};
use crate::token;

/// Grants on one key. Source: AWS KMS quotas.
const GRANTS_PER_KEY: usize = 50_000;
/// Pairs of one constraint on the encryption context. Source: KMS API Reference, CreateGrant, `Constraints`.
const CONSTRAINT_PAIRS: usize = 8;
/// Characters of one constraint on the encryption context, keys and values. Source: as above.
const CONSTRAINT_CHARS: usize = 384;
/// Grants of a page: the default, and the most.
const PAGE: (usize, usize) = (50, 100);

pub(super) fn create_grant(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: CreateGrant<'_> = asked.request()?;
    let found = find::key(asked.state, asked.call, &request.key, asked.call.operation.keys)?;
    let grant = wanted(asked, &found.key, &request)?;
    asked.admit(&found, asked.call.operation.action, Asks { grant: Some(&grant), ..Asks::default() })?;
    check_fit(&found.key, &grant)?;
    let key = found.key;
    let known = asked.state.grant_at(&key, grant.slot);
    if known.is_none() && asked.state.count_grants(&key) >= GRANTS_PER_KEY {
        return Err(limit_exceeded(format!(
            "A key may have at most {GRANTS_PER_KEY} grants, and {} has them.",
            key.arn
        )));
    }
    asked.unless_dry(request.dry_run)?;
    let id = known.map_or(grant.id, |(_, known)| known.id);
    let answer = CreatedGrant { grant_token: token::issue(&key.arn, id), grant_id: id };
    let done = Done::answer(&answer).showing(&json!({ "grantId": id, "keyId": key.arn }));
    if known.is_some() {
        return Ok(done);
    }
    let name = Name::Grant(key.arn, grant.slot);
    let change = Change::on(name.clone(), None)
        .and_on(Name::Key(key.arn), asked.state.key_version(&key.arn))
        .put(name, encode_grant(&grant));
    Ok(done.changing(change))
}

/// The grant that a request asks for.
fn wanted(asked: &Asked<'_>, key: &Key, request: &CreateGrant<'_>) -> Result<Grant, Fault> {
    let grantee = party(&request.grantee, &request.grantee_service, "Grantee")?
        .ok_or_else(|| Fault::validation("GranteePrincipal or GranteeServicePrincipal is required."))?;
    let retiring = party(&request.retiring, &request.retiring_service, "Retiring")?;
    let mut operations = request.operations.clone();
    operations.sort_unstable();
    operations.dedup();
    if operations.is_empty() {
        return Err(Fault::validation("Operations must name at least one operation."));
    }
    let constraints = request.constraints.clone().unwrap_or_default();
    if grantee.by_service_member && (constraints.source_arn.is_none() || retiring.is_none()) {
        return Err(Fault::validation(
            "A grant with a GranteeServicePrincipal needs the constraint SourceArn, and a RetiringPrincipal or RetiringServicePrincipal.",
        ));
    }
    let constraints = Constraints {
        equals: constraints.encryption_context_equals,
        subset: constraints.encryption_context_subset,
        source_arn: constraints.source_arn,
    };
    let mut id = GrantId([0; 32]);
    crypto::random(&mut id.0);
    let grant = Grant {
        key: key.arn,
        key_created: key.created,
        id,
        name: request.name.as_deref().unwrap_or_default().to_owned(),
        created: asked.call.now,
        issuing_account: asked.call.caller.account,
        grantee_by_service_member: grantee.by_service_member,
        terms: Terms { grantee: grantee.named, operations, constraints },
        retiring,
        slot: Slot(id.0),
    };
    Ok(grant.placed())
}

/// Who is named by the one or the other of two members.
fn party(
    principal: &Option<Cow<'_, str>>,
    service: &Option<Cow<'_, str>>,
    member: &str,
) -> Result<Option<Party>, Fault> {
    let (text, by_service_member) = match (principal, service) {
        (None, None) => return Ok(None),
        (Some(principal), None) => (principal, false),
        (None, Some(service)) => (service, true),
        (Some(_), Some(_)) => {
            let text = format!("Only one of {member}Principal and {member}ServicePrincipal can be given.");
            return Err(Fault::validation(text));
        }
    };
    let named = Named::party(text)
        .ok_or_else(|| Fault::new("InvalidArnException", format!("ARN does not refer to a valid principal: {text}")))?;
    Ok(Some(Party { named, by_service_member }))
}

/// Whether a key can have such a grant.
fn check_fit(key: &Key, grant: &Grant) -> Result<(), Fault> {
    let Terms { operations, constraints, .. } = &grant.terms;
    if let Some(operation) = operations.iter().find(|operation| !operation.is_of(key.spec, key.usage)) {
        let (operation, spec, usage) = (operation.as_str(), key.spec, key.usage);
        return Err(Fault::validation(format!(
            "Grant operation {operation} is not valid for a key with KeySpec {spec} and KeyUsage {usage}."
        )));
    }
    for pairs in [&constraints.equals, &constraints.subset].into_iter().flatten() {
        if key.spec != KeySpec::SymmetricDefault {
            return Err(Fault::validation(format!(
                "A grant on a key with KeySpec {} cannot have constraints on the encryption context.",
                key.spec
            )));
        }
        let chars = |pairs: &Pairs| pairs.iter().map(|(key, value)| key.chars().count() + value.chars().count()).sum();
        if pairs.len() > CONSTRAINT_PAIRS || CONSTRAINT_CHARS < chars(pairs) {
            return Err(Fault::validation(format!(
                "A constraint on the encryption context may have at most {CONSTRAINT_PAIRS} pairs with {CONSTRAINT_CHARS} characters."
            )));
        }
    }
    Ok(())
}

pub(super) fn list_grants(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: ListGrants<'_> = asked.request()?;
    let (limit, after) = page(request.paging.limit, request.paging.marker.as_deref())?;
    let key = asked.key(&request.key, Asks::default())?;
    let after = match after.map(<[u8; 32]>::try_from) {
        None => None,
        Some(Ok(bytes)) => Some(GrantId(bytes)),
        Some(Err(_)) => return Err(Fault::bare("InvalidMarkerException")),
    };
    let only = request.grant.as_deref().map(grant_id).transpose()?;
    let is_for = |grant: &Grant, wanted: &Option<Cow<'_, str>>, by_service_member| {
        wanted.as_deref().is_none_or(|wanted| {
            *grant.terms.grantee.text == *wanted && grant.grantee_by_service_member == by_service_member
        })
    };
    let grants = asked
        .state
        .grants_of(&key, after)
        .filter(|grant| only.is_none_or(|only| grant.id == only))
        .filter(|grant| is_for(grant, &request.grantee, false) && is_for(grant, &request.grantee_service, true))
        .map(|grant| (grant.id.0.to_vec(), entry(grant)));
    Ok(Done::answer(&listed("Grants", limit, grants)))
}

pub(super) fn list_retirable_grants(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: ListRetirableGrants<'_> = asked.request()?;
    let (limit, after) = page(request.paging.limit, request.paging.marker.as_deref())?;
    let call = asked.call;
    let retiring = party(&request.retiring, &request.retiring_service, "Retiring")?
        .ok_or_else(|| Fault::validation("RetiringPrincipal or RetiringServicePrincipal is required."))?;
    authorize::in_account(call, call.operation.action, &retiring.named.text)?;
    if retiring.named.form.account() != Some(call.caller.account) {
        return Err(authorize::silent(call, &retiring.named.text));
    }
    let after = match after {
        None => None,
        Some(bytes) => Some(place(&bytes).ok_or(Fault::bare("InvalidMarkerException"))?),
    };
    let name = retiring.named.index();
    let grants = asked
        .state
        .retirable(&name, after)
        .filter(|grant| grant.key.region == call.region)
        .map(|grant| (format!("{}/{}", grant.id, grant.key).into_bytes(), entry(grant)));
    Ok(Done::answer(&listed("Grants", limit, grants)))
}

/// Where a page of ListRetirableGrants ended: `<grant ID>/<key ARN>`.
fn place(bytes: &[u8]) -> Option<(KeyArn, GrantId)> {
    let (id, key) = std::str::from_utf8(bytes).ok()?.split_once('/')?;
    Some((key.parse().ok()?, id.parse().ok()?))
}

fn page(limit: Option<i64>, marker: Option<&str>) -> Result<(usize, Option<Vec<u8>>), Fault> {
    let page = Page::of(limit, PAGE.0, marker)?;
    Ok((page.limit.min(PAGE.1), page.after))
}

fn entry(grant: &Grant) -> ListedGrant {
    let Terms { grantee, operations, constraints } = &grant.terms;
    let by = |text: &str, is_asked: bool| is_asked.then(|| text.to_owned());
    let retiring = |by_service_member| {
        let party = grant.retiring.as_ref().filter(|party| party.by_service_member == by_service_member);
        party.map(|party| party.named.text.to_string())
    };
    ListedGrant {
        key_id: grant.key,
        grant_id: grant.id,
        name: grant.name.clone(),
        creation_date: Epoch(grant.created),
        grantee_principal: by(&grantee.text, !grant.grantee_by_service_member),
        grantee_service_principal: by(&grantee.text, grant.grantee_by_service_member),
        retiring_principal: retiring(false),
        retiring_service_principal: retiring(true),
        issuing_account: format!("arn:{}:iam::{}:root", grant.key.region.partition(), grant.issuing_account),
        operations: operations.iter().map(|operation| operation.as_str()).collect(),
        constraints: (!constraints.is_empty()).then(|| Shape {
            encryption_context_equals: constraints.equals.clone(),
            encryption_context_subset: constraints.subset.clone(),
            source_arn: constraints.source_arn.clone(),
        }),
    }
}

pub(super) fn retire_grant(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: RetireGrant<'_> = asked.request()?;
    let (key, id) = match (&request.token, &request.key, &request.grant) {
        (Some(token), None, None) => {
            let (arn, id) = token::read(token).ok_or(INVALID_GRANT_TOKEN)?;
            let key = asked.state.key(&arn).filter(|key| key.arn.region == asked.call.region);
            let key = key.filter(|key| asked.state.grant(key, &id).is_some()).ok_or(INVALID_GRANT_TOKEN)?;
            (key.clone(), id)
        }
        (None, Some(key), Some(id)) => {
            let found = find::key(asked.state, asked.call, key, Keys::Id)?;
            (found.key, grant_id(id)?)
        }
        _ => {
            return Err(Fault::validation(
                "A grant is retired by its GrantToken alone, or by KeyId and GrantId together.",
            ));
        }
    };
    asked.note_key(key.arn);
    // Who may not retire a grant of another account's key is not told whether there is one.
    let foreign = key.arn.account != asked.call.caller.account;
    let (version, grant) = asked
        .state
        .grant(&key, &id)
        .ok_or_else(|| if foreign { find::hidden(asked.call) } else { no_such_grant(&id.to_string()) })?;
    authorize::retire(asked.state, asked.call, &key, grant)?;
    asked.note_admitted(key.arn.account);
    asked.permit(&key)?;
    asked.note_additional(&json!({ "grantId": id }));
    asked.unless_dry(request.dry_run)?;
    let name = Name::Grant(key.arn, grant.slot);
    Ok(Done::nothing().changing(Change::on(name.clone(), Some(*version)).delete(name)).about(&key.arn))
}

pub(super) fn revoke_grant(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: RevokeGrant<'_> = asked.request()?;
    let key = asked.key(&request.key, Asks::default())?;
    let id = grant_id(&request.grant)?;
    let (version, grant) = asked.state.grant(&key, &id).ok_or_else(|| no_such_grant(&request.grant))?;
    asked.unless_dry(request.dry_run)?;
    let name = Name::Grant(key.arn, grant.slot);
    Ok(Done::nothing().changing(Change::on(name.clone(), Some(*version)).delete(name)).about(&key.arn))
}

fn grant_id(given: &str) -> Result<GrantId, Fault> {
    given.parse().map_err(|_| Fault::new("InvalidGrantIdException", format!("Invalid grant ID: {given}")))
}
