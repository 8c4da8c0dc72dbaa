//! The CloudTrail record of a call.
//!
//! What of a request is shown is the `recorded` column of the operation table. Secrets are not in that column: no plaintext,
//! ciphertext or token can come into a record.

use std::borrow::Cow;

use api::validate::{Fields, lower_first};
use api::{Fault, Keys, Operation, Service};
use serde_json::{Map, Value};
use trail::record::{EventType, Record, TlsDetails, UserIdentity, aws_date};

use crate::call::{Call, Caller, CallerKind};
use crate::decide::Seen;

/// The record of a call that ended with `outcome`: what is shown of the answer, or the fault.
pub(crate) fn call(
    call: &Call<'_>,
    seen: &Seen,
    parameters: Option<Value>,
    outcome: Result<Option<Value>, &Fault>,
) -> Record {
    let (shown, fault) = match outcome {
        Ok(shown) => (shown, None),
        Err(fault) => (None, Some(fault)),
    };
    // A denied call shows no parameters and is named as event history names it.
    let denied = fault.is_some_and(|fault| fault.code == "AccessDeniedException");
    Record {
        user_identity: identity(call.caller),
        event_time: call.now,
        event_source: Cow::Borrowed(call.operation.service.event_source()),
        event_name: Cow::Borrowed(call.operation.name),
        aws_region: call.region,
        source_ip_address: Cow::Owned(call.origin.source_ip.to_owned()),
        user_agent: (!call.origin.user_agent.is_empty()).then(|| Cow::Owned(call.origin.user_agent.to_owned())),
        error_code: fault.map(|fault| Cow::Borrowed(if denied { "AccessDenied" } else { fault.code })),
        error_message: fault.and_then(|fault| fault.message.clone()),
        request_parameters: parameters.filter(|_| !denied),
        response_elements: shown,
        additional_event_data: seen.additional.clone().filter(|_| fault.is_none()),
        request_id: Some(call.request_id.to_owned()),
        event_id: call.event_id.to_owned(),
        read_only: call.operation.read_only,
        resources: seen.resources(),
        event_type: EventType::AwsApiCall,
        recipient_account_id: call.caller.account,
        shared_event_id: None,
        service_event_details: None,
        tls_details: call.origin.tls.map(|(version, suite)| TlsDetails {
            tls_version: Cow::Owned(version.to_owned()),
            cipher_suite: Cow::Owned(suite.to_owned()),
            client_provided_host_header: call.origin.host.to_owned(),
        }),
    }
}

fn identity(caller: &Caller) -> UserIdentity {
    match &caller.kind {
        CallerKind::Root => UserIdentity::root(caller.account, caller.access_key_id.as_str()),
        CallerKind::User { name } => {
            UserIdentity::user(caller.account, name, caller.unique_id(), caller.access_key_id.as_str())
        }
    }
}

/// `requestParameters`: the recorded members of the request, their names beginning with a lower-case letter.
pub(crate) fn parameters(operation: &Operation, fields: &Fields<'_>, seen: &Seen) -> Option<Value> {
    let mut shown = Map::new();
    for name in operation.recorded {
        let Some(raw) = fields.raw(name) else { continue };
        let Ok(value) = serde_json::from_str::<Value>(raw.get()) else { continue };
        let value = match value {
            // The names in an encryption context are the caller's own; those in a list of structures are the API's.
            Value::Array(items) => Value::Array(items.into_iter().map(lower_names).collect()),
            Value::Number(seconds) if name.ends_with("Time") => {
                seconds.as_f64().and_then(date).unwrap_or(Value::Number(seconds))
            }
            other => other,
        };
        shown.insert(lower_first(name), value);
    }
    if operation.service == Service::Kms {
        for name in operation.recorded.iter().filter(|name| name.ends_with("EncryptionAlgorithm")) {
            shown.entry(lower_first(name)).or_insert_with(|| Value::from("SYMMETRIC_DEFAULT"));
        }
    }
    match operation.keys {
        // The caller need not name the key; the record does, by the ARN that the ciphertext led to.
        Keys::Ciphertext => {
            if let Some(key) = seen.keys.first() {
                shown.insert("keyId".to_owned(), Value::from(key.to_string()));
            }
        }
        Keys::CiphertextAndDestination => {
            if let Some(key) = seen.keys.first() {
                shown.insert("sourceKeyId".to_owned(), Value::from(key.to_string()));
            }
        }
        Keys::None | Keys::Id | Keys::IdOrAlias | Keys::Alias => {}
    }
    (!shown.is_empty()).then_some(Value::Object(shown))
}

fn lower_names(item: Value) -> Value {
    match item {
        Value::Object(members) => members.into_iter().map(|(name, value)| (lower_first(&name), value)).collect(),
        other => other,
    }
}

fn date(seconds: f64) -> Option<Value> {
    let whole = api::Timestamp::from_second(seconds as i64).ok()?;
    Some(Value::from(aws_date(whole)))
}
