//! GetKeyPolicy, PutKeyPolicy, ListKeyPolicies.

use std::sync::Arc;

use api::Fault;
use api::page::Page;
use api::shape::Listed;
use api::shape::policies::{GetKeyPolicy, KeyPolicy, ListOfKey, PutKeyPolicy};

use crate::authorize::{self, Asks};
use crate::decide::{Asked, Done};
use crate::fault::limit_exceeded;
use crate::state::Key;

/// The only policy that a key has here; AWS adds `AWS_RAM` to shared keys.
const DEFAULT: &str = "default";

/// Bytes of a key policy. Source: AWS KMS quotas.
const POLICY_BYTES: usize = 32 * 1024;

pub(super) fn get_key_policy(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: GetKeyPolicy<'_> = asked.request()?;
    let key = asked.key(&request.key, Asks::default())?;
    if request.name.is_some_and(|name| name != DEFAULT) {
        return Err(Fault::not_found("No such policy exists"));
    }
    Ok(Done::answer(&KeyPolicy { policy: key.policy_text.clone(), policy_name: DEFAULT }))
}

pub(super) fn put_key_policy(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: PutKeyPolicy<'_> = asked.request()?;
    let asks = Asks { bypass_lockout_check: Some(request.bypass_lockout_check), ..Asks::default() };
    let key = asked.key(&request.key, asks)?;
    if request.name.is_some_and(|name| name != DEFAULT) {
        return Err(Fault::not_found("No such policy exists"));
    }
    let document = accepted(&request.policy)?;
    let new = Key { policy_text: request.policy.into_owned(), policy: document, ..Key::clone(&key) };
    check_lockout(asked, &new, asks)?;
    Ok(Done::nothing().changing(asked.change_key(&key, &new)).about(&key.arn))
}

pub(super) fn list_key_policies(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: ListOfKey<'_> = asked.request()?;
    // There is one name, so no page ends before the list does and no marker was ever given out.
    if Page::of(request.paging.limit, 100, request.paging.marker.as_deref())?.after.is_some() {
        return Err(Fault::bare("InvalidMarkerException"));
    }
    asked.key(&request.key, Asks::default())?;
    Ok(Done::answer(&Listed { name: "PolicyNames", items: vec![DEFAULT], next: None }))
}

/// A policy document that a key may have.
pub(super) fn accepted(text: &str) -> Result<Arc<policy::Document>, Fault> {
    if text.len() > POLICY_BYTES {
        return Err(limit_exceeded(format!("A key policy may have at most {POLICY_BYTES} bytes.")));
    }
    let document = policy::Document::parse(text).map_err(|error| malformed(&error))?;
    policy::validate_key_policy(&document).map_err(|error| malformed(&error))?;
    Ok(Arc::new(document))
}

fn malformed(why: &dyn std::error::Error) -> Fault {
    Fault::new("MalformedPolicyDocumentException", why.to_string())
}

/// Refuses a policy under which the caller could not put the next one, unless the caller wants that.
pub(super) fn check_lockout(asked: &Asked<'_>, key: &Key, asks: Asks<'_>) -> Result<(), Fault> {
    if asks.bypass_lockout_check == Some(true) {
        return Ok(());
    }
    let next = Asks { bypass_lockout_check: Some(false), ..Asks::default() };
    authorize::on_key(asked.state, asked.call, key, "kms:PutKeyPolicy", next)
        .map_err(|_| malformed(&policy::Malformed::LockedOut))
}
