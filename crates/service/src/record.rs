//! The CloudTrail record of a call, and of what AWS does on its own.
//!
//! What of a request is shown is the `recorded` column of the operation table. Secrets are not in that column: no plaintext,
//! ciphertext or token can come into a record.

use std::borrow::Cow;

use api::validate::{Fields, lower_first};
use api::{Fault, KeyArn, KeyId, Keys, Operation, Service, Timestamp};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use trail::record::{AWS_INTERNAL, EventType, Json, Record, Resource, TlsDetails, UserIdentity, aws_date};

use crate::call::{Call, Caller, CallerKind};
use crate::copies;
use crate::decide::Seen;
use crate::fault::ACCESS_DENIED;

/// How deep a member of a request may be nested to be shown; the API's deepest has three levels.
const DEPTH: u8 = 8;

/// The record of a call that ended with `outcome`, as JSON, in as many copies as there are accounts to be told; the caller's first.
/// Of the outcome there is what is shown of the answer, or the fault.
pub(crate) fn call(
    call: &Call<'_>,
    seen: &Seen,
    parameters: Option<Json>,
    outcome: Result<Option<Json>, &Fault>,
) -> Vec<Vec<u8>> {
    let (shown, fault) = match outcome {
        Ok(shown) => (shown, None),
        Err(fault) => (None, Some(fault)),
    };
    // A denied call shows no parameters and is named as event history names it.
    let denied = fault.is_some_and(|fault| fault.code == ACCESS_DENIED);
    let own = call.caller.account;
    let mut resources = seen.resources();
    if denied {
        // What exists in another account a denied caller is not told, not by its own record either.
        resources.retain(|resource| resource.account() == own);
    }
    let copies = copies::copies(call, &seen.admitted, fault.map_or(Ok(()), Err));
    let mut record = Record {
        user_identity: identity(call.caller),
        event_time: call.now,
        event_source: call.operation.service.event_source(),
        event_name: call.operation.name,
        aws_region: call.region,
        source_ip_address: call.origin.source_ip,
        user_agent: Some(call.origin.user_agent).filter(|agent| !agent.is_empty()),
        error_code: fault.map(|fault| if denied { "AccessDenied" } else { fault.code }),
        error_message: fault.and_then(|fault| fault.message.as_deref()),
        request_parameters: parameters.filter(|_| !denied),
        response_elements: shown,
        additional_event_data: seen.additional.clone().filter(|_| fault.is_none()),
        request_id: Some(call.request_id),
        event_id: call.event_id,
        read_only: call.operation.read_only,
        resources,
        event_type: EventType::AwsApiCall,
        recipient_account_id: own,
        shared_event_id: None,
        service_event_details: None,
        tls_details: call.origin.tls.map(|(tls_version, cipher_suite)| TlsDetails {
            tls_version,
            cipher_suite,
            client_provided_host_header: call.origin.host,
        }),
    };
    let mut written = Vec::with_capacity(copies.len());
    for copy in &copies {
        if copy.recipient != own {
            record.user_identity = stranger(call.caller);
        }
        record.event_id = &copy.event_id;
        record.recipient_account_id = copy.recipient;
        record.shared_event_id = copy.shared_event_id.as_deref();
        written.push(record.to_json());
    }
    written
}

/// The caller, as the account whose key was used is told of it.
fn stranger(caller: &Caller) -> UserIdentity<'_> {
    UserIdentity::Account { account: caller.account, principal_id: Cow::Owned(caller.unique_id()) }
}

/// Something that AWS does on its own, as CloudTrail tells it.
pub(crate) struct ServiceEvent {
    /// `DeleteKey` and so on.
    pub(crate) name: &'static str,
    /// The key it happens to.
    pub(crate) key: KeyArn,
    /// `serviceEventDetails`.
    pub(crate) details: Value,
    /// `additionalEventData`, where there is any.
    pub(crate) additional: Option<Value>,
}

impl ServiceEvent {
    /// The record as JSON. `id` becomes its UUID; `responseElements` is the key ARN, as with all events that change a key and
    /// answer nothing, since December 2022.
    pub(crate) fn record(&self, now: Timestamp, id: [u8; 16]) -> Vec<u8> {
        // A key ID is a UUID as well, so its form serves for the record's ID.
        let event_id = KeyId::single_region(id).to_string();
        let ServiceEvent { name, key, details, additional } = self;
        let record = Record {
            user_identity: UserIdentity::Internal { account: key.account },
            event_time: now,
            event_source: Service::Kms.event_source(),
            event_name: name,
            aws_region: key.region,
            source_ip_address: AWS_INTERNAL,
            user_agent: Some(AWS_INTERNAL),
            error_code: None,
            error_message: None,
            request_parameters: None,
            response_elements: Some(Json::of(&json!({ "keyId": key }))),
            additional_event_data: additional.as_ref().map(Json::of),
            request_id: None,
            event_id: &event_id,
            read_only: false,
            resources: vec![Resource::Key(*key)],
            event_type: EventType::AwsServiceEvent,
            recipient_account_id: key.account,
            shared_event_id: None,
            service_event_details: Some(Json::of(details)),
            tls_details: None,
        };
        record.to_json()
    }
}

/// The record that a call leaves in the Region of `key`, a relative of the key that it was made to.
pub(crate) fn elsewhere(call: &Call<'_>, key: KeyArn, parameters: &impl Serialize, shown: &impl Serialize) -> Vec<u8> {
    let event_id = fresh_event_id();
    let record = Record {
        user_identity: identity(call.caller),
        source_ip_address: call.origin.source_ip,
        request_parameters: Some(Json::of(parameters)),
        response_elements: Some(Json::of(shown)),
        ..by_aws(call.operation.name, key, call.now, call.request_id, &event_id)
    };
    record.to_json()
}

/// The record of a call that KMS makes to itself, in the Region of `key`.
pub(crate) fn by_kms(name: &str, key: KeyArn, now: Timestamp, request_id: &str, shown: &impl Serialize) -> Vec<u8> {
    let event_id = fresh_event_id();
    Record { response_elements: Some(Json::of(shown)), ..by_aws(name, key, now, request_id, &event_id) }.to_json()
}

/// Source: AWS KMS Developer Guide, CloudTrail example of SynchronizeMultiRegionKey.
fn by_aws<'a>(name: &'a str, key: KeyArn, now: Timestamp, request_id: &'a str, event_id: &'a str) -> Record<'a> {
    Record {
        user_identity: UserIdentity::Internal { account: key.account },
        event_time: now,
        event_source: Service::Kms.event_source(),
        event_name: name,
        aws_region: key.region,
        source_ip_address: AWS_INTERNAL,
        user_agent: Some(AWS_INTERNAL),
        error_code: None,
        error_message: None,
        request_parameters: None,
        response_elements: None,
        additional_event_data: None,
        request_id: Some(request_id),
        event_id,
        read_only: false,
        resources: vec![Resource::Key(key)],
        event_type: EventType::AwsApiCall,
        recipient_account_id: key.account,
        shared_event_id: None,
        service_event_details: None,
        tls_details: None,
    }
}

/// The ID of a record that no call brought with it.
pub(crate) fn fresh_event_id() -> String {
    let mut random = [0; 16];
    crypto::random(&mut random);
    // A key ID is a UUID as well, so its form serves for the record's ID.
    KeyId::single_region(random).to_string()
}

fn identity(caller: &Caller) -> UserIdentity<'_> {
    let Caller { account, arn, kind, access_key_id } = caller;
    match kind {
        CallerKind::Root => UserIdentity::Root { account: *account, arn, access_key_id },
        CallerKind::User { name } => UserIdentity::User {
            account: *account,
            arn,
            name,
            principal_id: Cow::Owned(caller.unique_id()),
            access_key_id,
        },
    }
}

/// `requestParameters`: the recorded members of the request, their names beginning with a lower-case letter.
pub(crate) fn parameters(operation: &Operation, fields: &Fields<'_>, seen: &Seen) -> Option<Json> {
    let shown = Parameters { operation, fields, seen };
    (!shown.is_empty()).then(|| Json::of(&shown))
}

/// What is shown of a request. Written straight from the request's own text, since every call is recorded.
struct Parameters<'a> {
    operation: &'a Operation,
    fields: &'a Fields<'a>,
    seen: &'a Seen,
}

impl Parameters<'_> {
    fn is_empty(&self) -> bool {
        let given = self.operation.recorded.iter().any(|name| self.fields.raw(name).is_some());
        !given && self.defaults().next().is_none() && self.key().is_none()
    }

    /// Members that AWS shows with their default where the request leaves them out.
    fn defaults(&self) -> impl Iterator<Item = &'static str> {
        let recorded = self.operation.recorded.iter().copied();
        let algorithms = recorded.filter(|name| name.ends_with("EncryptionAlgorithm"));
        algorithms.filter(|name| self.operation.service == Service::Kms && self.fields.raw(name).is_none())
    }

    /// The caller need not name the key of a ciphertext; the record does, by the ARN that the ciphertext led to.
    fn key(&self) -> Option<(&'static str, &KeyArn)> {
        let name = match self.operation.keys {
            Keys::Ciphertext => "keyId",
            Keys::CiphertextAndDestination => "sourceKeyId",
            Keys::None | Keys::Id | Keys::IdOrAlias | Keys::Alias | Keys::Grant => return None,
        };
        self.seen.keys.first().map(|key| (name, key))
    }
}

impl Serialize for Parameters<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(None)?;
        let key = self.key();
        for name in self.operation.recorded {
            let (Some(raw), name) = (self.fields.raw(name), lower_first(name)) else { continue };
            if key.is_some_and(|(shown, _)| shown == name) {
                continue;
            }
            match date(&name, raw) {
                Some(date) => out.serialize_entry(&name, &date)?,
                None => {
                    let names = if name == "constraints" { Names::OfApi } else { Names::OfCaller };
                    out.serialize_entry(&name, &Shown { raw, depth: DEPTH, names })?;
                }
            }
        }
        for name in self.defaults() {
            out.serialize_entry(&lower_first(name), "SYMMETRIC_DEFAULT")?;
        }
        if let Some((name, key)) = key {
            out.serialize_entry(name, key)?;
        }
        out.end()
    }
}

/// Moments are recorded as AWS writes dates for people.
fn date(name: &str, raw: &RawValue) -> Option<String> {
    let is_date = name.ends_with("Time") || name == "validTo";
    let seconds: f64 = is_date.then(|| raw.get().parse().ok()).flatten()?;
    Some(aws_date(Timestamp::from_second(seconds as i64).ok()?))
}

/// Whose the names in an object are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    /// The caller's own, as in an encryption context: shown as they are.
    OfCaller,
    /// The API's, as in a structure or a list of them: shown with a lower-case first letter.
    OfApi,
}

/// A value of a request, compact, and as the request is read: of a name that stands twice the last value counts. What is nested too
/// deep, or is no JSON that we read, is shown as null.
struct Shown<'a> {
    raw: &'a RawValue,
    depth: u8,
    names: Names,
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.raw.get();
        let Some(depth) = self.depth.checked_sub(1) else { return serializer.serialize_unit() };
        match text.as_bytes().first() {
            Some(b'{') => match Fields::parse(text.as_bytes()) {
                Ok(fields) => serializer.collect_map(fields.members().map(|(name, raw)| {
                    let name = match self.names {
                        Names::OfCaller => Cow::Borrowed(name),
                        Names::OfApi => Cow::Owned(lower_first(name)),
                    };
                    (name, Shown { raw, depth, names: Names::OfCaller })
                })),
                Err(_) => serializer.serialize_unit(),
            },
            Some(b'[') => match serde_json::from_str::<Vec<&RawValue>>(text) {
                Ok(items) => {
                    serializer.collect_seq(items.into_iter().map(|raw| Shown { raw, depth, names: Names::OfApi }))
                }
                Err(_) => serializer.serialize_unit(),
            },
            // Escapes are undone and made anew, so that one text is always shown in one way.
            Some(b'"') if text.contains('\\') => match serde_json::from_str::<String>(text) {
                Ok(text) => serializer.serialize_str(&text),
                Err(_) => serializer.serialize_unit(),
            },
            _ => self.raw.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parameters that are recorded of `body`.
    fn check(operation: &str, body: &str, recorded: &str) {
        let operation = api::find(Service::Kms, operation).unwrap();
        let fields = Fields::parse(body.as_bytes()).unwrap();
        let shown = Parameters { operation, fields: &fields, seen: &Seen::default() };
        assert_eq!(serde_json::to_string(&shown).unwrap(), recorded, "{body}");
    }

    #[test]
    fn a_request_is_shown_compact_and_as_it_was_read() {
        check(
            "Encrypt",
            "{ \"Plaintext\" : \"c2VjcmV0\",\n \"KeyId\": \"first\", \"EncryptionContext\": { \"a\" :\"1\",\r\n \"B\":\"\\u00e9\\n\", \"a\": \"2\" },\n \"KeyId\" : \"l\\u0061st\" }",
            r#"{"keyId":"last","encryptionContext":{"B":"é\n","a":"2"},"encryptionAlgorithm":"SYMMETRIC_DEFAULT"}"#,
        );
        check(
            "TagResource",
            r#"{"KeyId":"k","Tags":[{"TagKey":"A","TagValue":"b"}, {"TagKey":"C"}]}"#,
            r#"{"keyId":"k","tags":[{"tagKey":"A","tagValue":"b"},{"tagKey":"C"}]}"#,
        );
        check("ListKeys", r#"{"Limit": 7}"#, r#"{"limit":7}"#);
    }

    /// However a refused request is built, its record has a bounded depth and is JSON.
    #[test]
    fn what_is_nested_too_deep_is_not_shown() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        check("ListKeys", &format!(r#"{{"Limit":{}}}"#, nested(3)), r#"{"limit":[[[]]]}"#);
        check("ListKeys", &format!(r#"{{"Limit":{}}}"#, nested(100_000)), r#"{"limit":[[[[[[[[null]]]]]]]]}"#);
        let members: Vec<String> = (0..2000).map(|n| format!("\"{n}\":0")).collect();
        check("ListKeys", &format!(r#"{{"Limit":{{{}}}}}"#, members.join(",")), r#"{"limit":null}"#);
    }
}
