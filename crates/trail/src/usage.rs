//! What one KMS event says about keys: which ones, what was done with them, by whom, for which dependents, and how it ended.
//!
//! Nothing here decides whether a key is in use; it says what the event shows, and where an event leaves a choice it takes the
//! reading that speaks for use. Source of the rules: `procedure.md` 4 and 10.1.

use std::borrow::Cow;

pub use api::Class;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::context::{self, Meaning};
use crate::event::{Event, RequestParameters, UserIdentity};

/// What one event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage<'e> {
    /// When.
    pub at: Timestamp,
    /// The operation.
    pub event_name: &'e str,
    /// The error code as it stands in the event.
    pub error_code: Option<&'e str>,
    /// Who.
    pub caller: Caller<'e>,
    /// How it ended.
    pub outcome: Outcome,
    /// The keys that it was about: none, one, or for ReEncrypt one for each side.
    pub keys: Vec<KeyUse>,
}

/// One key's part in an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUse {
    /// The key.
    pub key: KeyName,
    /// The ARN of the alias that the call named the key by, or that the call was about.
    pub alias: Option<String>,
    /// What was done with the key.
    pub class: Class,
    /// What depends on the key, by the encryption context: sorted, each once.
    pub dependents: Vec<String>,
    /// Whose business the call was.
    pub purpose: Purpose,
}

/// A key as well as the event names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyName {
    /// The key's ARN.
    Arn(String),
    /// Only an alias is known: the alias's ARN where account and Region are told, else its name.
    Alias(String),
    /// A call on a key that the event does not name.
    Unknown,
}

/// Whose business a call was, as its encryption context has it. The context is the caller's own word: before a call is left out
/// of the count for its purpose, compare its principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Somebody's data.
    Data,
    /// A service asked whether the key works, without data.
    KeyCheck,
    /// A test call of ours: [`context::PROBE`].
    Probe,
}

/// Who called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller<'e> {
    /// The name that stays the same from session to session: a role's ARN rather than its session's, a user's ARN, a service's
    /// host name, `AWS Internal`.
    pub principal: Cow<'e, str>,
    /// The service that called on the principal's behalf.
    pub via: Option<&'e str>,
    /// The account that the caller belongs to, where the event tells it.
    pub account: Option<&'e str>,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was done.
    Success,
    /// It was refused.
    Failure(Failure),
}

/// Why a call was refused. Source: `procedure.md` 10.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// The key is disabled.
    Disabled,
    /// The key, or a multi-Region primary, waits for its deletion.
    PendingDeletion,
    /// The key does *not* wait for its deletion: CancelKeyDeletion on a live key.
    NotPendingDeletion,
    /// The key has no material yet, or no more.
    PendingImport,
    /// The key's custom key store is not connected.
    Unavailable,
    /// The key is being made.
    Creating,
    /// The key's primary Region is being changed.
    Updating,
    /// The key is in a state that forbids the call; the text does not tell which.
    InvalidState,
    /// The caller may not.
    AccessDenied,
    /// Nothing was wrong: the caller only asked whether the call would succeed.
    DryRun,
    /// There is no such key (any more).
    NotFound,
    /// Anything else: wrong ciphertext, wrong parameters, throttling, faults of AWS.
    Other,
}

/// What a refusal says about the need for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Somebody wanted to use the key.
    Use,
    /// Perhaps: the caller may never have had access, or only asked.
    Suspected,
    /// No.
    NoUse,
}

impl Failure {
    /// Reads AWS's code and text. A text `<key ARN> is …` decides, because the code varies between services and years.
    pub fn of(code: &str, message: Option<&str>) -> Failure {
        if let Some(state) = message.and_then(state_told) {
            return state;
        }
        // `com.amazonaws.kms#NotFoundException` and `KMS.NotFoundException` are seen in the wild.
        let code = code.rsplit(['.', '#']).next().unwrap_or(code);
        match code.strip_suffix("Exception").unwrap_or(code) {
            "Disabled" => Failure::Disabled,
            "KMSInvalidState" | "InvalidState" => Failure::InvalidState,
            "KeyUnavailable" => Failure::Unavailable,
            "AccessDenied" | "NotAuthorized" | "UnauthorizedOperation" => Failure::AccessDenied,
            "DryRunOperation" => Failure::DryRun,
            "NotFound" => Failure::NotFound,
            _ => Failure::Other,
        }
    }

    /// What the refusal of a call that would use the key says about the need for it.
    pub fn weight(self) -> Weight {
        match self {
            Failure::Disabled
            | Failure::PendingDeletion
            | Failure::PendingImport
            | Failure::Unavailable
            | Failure::Creating
            | Failure::Updating
            | Failure::InvalidState
            | Failure::NotFound
            | Failure::Other => Weight::Use,
            Failure::AccessDenied | Failure::DryRun => Weight::Suspected,
            Failure::NotPendingDeletion => Weight::NoUse,
        }
    }
}

/// The state told by a text that begins `<key ARN> is …`.
fn state_told(message: &str) -> Option<Failure> {
    let arn = find_key_arn(message).filter(|arn| message.starts_with(arn))?;
    let state = message[arn.len()..].strip_prefix(" is ")?;
    let told = [
        ("disabled", Failure::Disabled),
        ("pending deletion", Failure::PendingDeletion),
        ("pending replica deletion", Failure::PendingDeletion),
        ("not pending deletion", Failure::NotPendingDeletion),
        ("pending import", Failure::PendingImport),
        ("unavailable", Failure::Unavailable),
        ("creating", Failure::Creating),
        ("updating", Failure::Updating),
    ];
    told.into_iter().find(|(text, _)| state.starts_with(text)).map(|(_, failure)| failure)
}

impl<'e> Usage<'e> {
    /// Reads what `event`, an event of KMS, says about keys.
    pub fn of(event: &'e Event<'_>) -> Usage<'e> {
        Usage {
            at: event.event_time,
            event_name: &event.event_name,
            error_code: event.error_code.as_deref(),
            caller: Caller::of(event),
            outcome: match event.error_code.as_deref() {
                None => Outcome::Success,
                Some(code) => Outcome::Failure(Failure::of(code, event.error_message.as_deref())),
            },
            keys: if &*event.event_name == "ReEncrypt" { both_keys(event) } else { keys(event) },
        }
    }
}

impl<'e> Caller<'e> {
    /// Reads who called.
    fn of(event: &'e Event<'_>) -> Caller<'e> {
        let principal = principal(&event.user_identity);
        let host = said(event.source_ip_address.as_deref())
            .filter(|source| *source == crate::record::AWS_INTERNAL || source.ends_with(".amazonaws.com"));
        let via = said(event.user_identity.invoked_by.as_deref()).or(host).filter(|service| **service != *principal);
        Caller { principal, via, account: said(event.user_identity.account_id.as_deref()) }
    }
}

fn said(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

/// [`Caller::principal`].
pub(crate) fn principal<'e>(identity: &'e UserIdentity<'_>) -> Cow<'e, str> {
    let issuer = identity.session_context.as_ref().and_then(|context| context.session_issuer.as_ref());
    let issuer = said(issuer.and_then(|issuer| issuer.arn.as_deref()));
    let invoked_by = said(identity.invoked_by.as_deref());
    match (identity.kind.as_deref(), issuer, said(identity.arn.as_deref()), invoked_by) {
        (Some("AWSService"), _, _, Some(service)) => Cow::Borrowed(service),
        (_, Some(issuer), _, _) => Cow::Borrowed(issuer),
        (_, None, Some(arn), _) => Cow::Borrowed(without_session(arn)),
        (_, None, None, invoked_by) => {
            match (said(identity.principal_id.as_deref()), said(identity.account_id.as_deref()), invoked_by) {
                // A caller of another account: its unique ID, without the session's name.
                (Some(id), Some(account), _) => format!("{account}/{}", id.split(':').next().unwrap_or(id)).into(),
                (Some(id), None, _) => Cow::Borrowed(id),
                (None, _, Some(service)) => Cow::Borrowed(service),
                (None, Some(account), None) => Cow::Borrowed(account),
                (None, None, None) => Cow::Borrowed("unknown"),
            }
        }
    }
}

/// `arn:aws:sts::<account>:assumed-role/<role>/<session>` without the session; any other ARN as it is. Needed only where an
/// event names no session issuer.
fn without_session(arn: &str) -> &str {
    match arn.rsplit_once('/') {
        Some((role, _)) if arn.contains(":assumed-role/") && role.contains('/') => role,
        _ => arn,
    }
}

/// The keys of every operation but ReEncrypt: the first of these sources that names one.
fn keys(event: &Event<'_>) -> Vec<KeyUse> {
    let class = Class::of(&event.event_name, event.read_only);
    let request = event.request_parameters.as_ref();
    let alias = alias(event, request);
    let meaning = request.map(|request| {
        let granted = request.constraints.iter().flat_map(|constraints| {
            constraints.encryption_context_subset.pairs().chain(constraints.encryption_context_equals.pairs())
        });
        context::meaning(request.encryption_context.pairs().chain(granted))
    });
    let meaning = meaning.unwrap_or_default();
    let mut arns = resource_keys(event);
    if arns.is_empty() {
        arns.extend(key_in_message(event).or_else(|| key_in_answer(event)).or_else(|| key_in_request(event)));
    }
    if arns.is_empty() {
        let name = match &alias {
            Some(alias) => KeyName::Alias(alias.clone()),
            None if class.is_use() || class == Class::Export => KeyName::Unknown,
            None => return Vec::new(),
        };
        return vec![key_use(name, alias, class, &meaning)];
    }
    arns.into_iter().map(|arn| key_use(KeyName::Arn(arn), alias.clone(), class, &meaning)).collect()
}

/// The keys of ReEncrypt: the source is read with, the destination written with.
fn both_keys(event: &Event<'_>) -> Vec<KeyUse> {
    let none = RequestParameters::default();
    let request = event.request_parameters.as_ref().unwrap_or(&none);
    let named = |text: Option<&str>| text.and_then(|text| key_named(event, text));
    let alias = |text: Option<&str>| text.and_then(|text| alias_named(event, text));
    let (source_alias, target_alias) =
        (alias(request.source_key_id.as_deref()), alias(request.destination_key_id.as_deref()));
    let mut seen = resource_keys(event);
    if seen.is_empty() {
        seen.extend(key_in_message(event));
    }
    let mut source = named(request.source_key_id.as_deref());
    let mut target = named(request.destination_key_id.as_deref());
    // What the request names stands in its own place; what is left fills the open places, the source's first.
    let mut left = seen;
    for place in [&source, &target] {
        if let Some(at) = left.iter().position(|arn| place.as_ref() == Some(arn)) {
            left.remove(at);
        }
    }
    let mut left = left.into_iter();
    if source.is_none() {
        source = left.next();
    }
    if target.is_none() {
        target = left.next();
    }
    let reading = context::meaning(request.source_encryption_context.pairs());
    let writing = context::meaning(request.destination_encryption_context.pairs());
    let name = |arn: Option<String>, alias: &Option<String>| match (arn, alias) {
        (Some(arn), _) => KeyName::Arn(arn),
        (None, Some(alias)) => KeyName::Alias(alias.clone()),
        (None, None) => KeyName::Unknown,
    };
    let mut uses = vec![
        key_use(name(source, &source_alias), source_alias, Class::ReadData, &reading),
        key_use(name(target, &target_alias), target_alias, Class::WriteData, &writing),
    ];
    uses.extend(left.map(|arn| key_use(KeyName::Arn(arn), None, Class::ReadData, &reading)));
    uses
}

fn key_use(key: KeyName, alias: Option<String>, class: Class, meaning: &Meaning) -> KeyUse {
    let purpose = match meaning {
        Meaning { probe: true, .. } => Purpose::Probe,
        Meaning { key_check: true, .. } => Purpose::KeyCheck,
        Meaning { .. } => Purpose::Data,
    };
    KeyUse { key, alias, class, dependents: meaning.dependents.clone(), purpose }
}

/// The keys among the event's resources, in their order. Some old events leave the type out; the ARN tells as well.
fn resource_keys(event: &Event<'_>) -> Vec<String> {
    let mut arns = Vec::with_capacity(event.resources.len());
    for resource in &event.resources {
        let is_key = resource.kind.as_deref().is_none_or(|kind| kind == "AWS::KMS::Key");
        if let Some(arn) = resource.arn.as_deref().filter(|arn| is_key && is_key_arn(arn))
            && (&*event.event_name == "ReEncrypt" || !arns.iter().any(|seen| seen == arn))
        {
            arns.push(arn.to_owned());
        }
    }
    arns
}

fn key_in_message(event: &Event<'_>) -> Option<String> {
    event.error_message.as_deref().and_then(find_key_arn).map(str::to_owned)
}

fn key_in_answer(event: &Event<'_>) -> Option<String> {
    let answer = event.response_elements.as_ref();
    let details = event.service_event_details.as_ref();
    answer
        .and_then(|answer| key_named(event, answer.key_id.as_deref()?))
        .or_else(|| key_named(event, answer?.key_metadata.as_ref()?.arn.as_deref()?))
        .or_else(|| key_named(event, details?.key_id.as_deref()?))
}

fn key_in_request(event: &Event<'_>) -> Option<String> {
    let request = event.request_parameters.as_ref()?;
    [&request.key_id, &request.target_key_id].into_iter().find_map(|text| key_named(event, text.as_deref()?))
}

/// The alias that a call names its key by, or is about.
fn alias(event: &Event<'_>, request: Option<&RequestParameters<'_>>) -> Option<String> {
    let asked = request.and_then(|request| {
        [&request.key_id, &request.alias_name].into_iter().find_map(|text| alias_named(event, text.as_deref()?))
    });
    asked.or_else(|| event.resources.iter().find_map(|resource| alias_named(event, resource.arn.as_deref()?)))
}

/// The ARN of the key that `text`, a key ARN or a bare key ID, means in `event`: an ID is of the account and Region that were
/// called (AWS KMS API Reference, `KeyId`).
fn key_named(event: &Event<'_>, text: &str) -> Option<String> {
    if is_key_arn(text) {
        return Some(text.to_owned());
    }
    text.parse::<api::KeyId>().ok()?;
    Some(format!("{}:key/{text}", here(event)?))
}

/// The ARN of the alias that `text`, an alias ARN or name, means in `event`; the name where account and Region are not told.
fn alias_named(event: &Event<'_>, text: &str) -> Option<String> {
    if text.starts_with("alias/") {
        return Some(here(event).map_or_else(|| text.to_owned(), |here| format!("{here}:{text}")));
    }
    is_alias_arn(text).then(|| text.to_owned())
}

/// `arn:<partition>:kms:<Region>:<account>` of the place that was called.
fn here(event: &Event<'_>) -> Option<String> {
    let region = event.aws_region.as_deref()?;
    let account = event.recipient_account_id.as_deref().or(event.user_identity.account_id.as_deref())?;
    let partition = region.parse::<api::Region>().map_or("aws", |region| region.partition());
    Some(format!("arn:{partition}:kms:{region}:{account}"))
}

/// Whether `text` as a whole is `arn:<partition>:kms:<Region>:<account>:key/<ID>`. Not as strict as [`api::KeyArn`], because
/// trails hold the ARNs of partitions and of look-alike services that the API does not know.
pub(crate) fn is_key_arn(text: &str) -> bool {
    kms_resource(text)
        .and_then(|resource| resource.strip_prefix("key/"))
        .is_some_and(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'))
}

/// Whether `text` as a whole is `arn:<partition>:kms:<Region>:<account>:alias/<name>`.
pub(crate) fn is_alias_arn(text: &str) -> bool {
    kms_resource(text).and_then(|resource| resource.strip_prefix("alias/")).is_some_and(|name| !name.is_empty())
}

/// The part of a KMS ARN behind the account.
fn kms_resource(arn: &str) -> Option<&str> {
    let mut parts = arn.splitn(6, ':');
    (parts.next() == Some("arn") && parts.next().is_some() && parts.next() == Some("kms")).then_some(())?;
    parts.nth(2)
}

/// The first key ARN within `text`.
fn find_key_arn(text: &str) -> Option<&str> {
    text.match_indices("arn:").find_map(|(at, _)| {
        let tail = &text[at..];
        let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '/' | '-' | '_');
        let arn = &tail[..tail.find(|c| !inside(c)).unwrap_or(tail.len())];
        is_key_arn(arn).then_some(arn)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/11111111-2222-4333-8444-555555555555";
    const OTHER: &str = "arn:aws:kms:eu-west-1:111122223333:key/66666666-7777-4888-9999-aaaaaaaaaaaa";

    /// An event with these members beside the usual ones.
    fn event(name: &str, members: Value) -> String {
        let mut event = json!({
            "eventTime": "2026-01-02T03:04:05Z", "eventSource": "kms.amazonaws.com", "eventName": name,
            "awsRegion": "eu-west-1", "recipientAccountId": "111122223333",
            "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/ada", "accountId": "111122223333"},
        });
        event.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        event.to_string()
    }

    fn key(arn: &str) -> Value {
        json!({"ARN": arn, "type": "AWS::KMS::Key", "accountId": "111122223333"})
    }

    /// One line for each key: name, class, alias, dependents.
    fn story(json: &str) -> String {
        let event = Event::parse(json.as_bytes()).unwrap();
        let usage = Usage::of(&event);
        let lines = usage.keys.iter().map(|part| {
            let key = match &part.key {
                KeyName::Arn(arn) => arn.rsplit('/').next().unwrap()[..8].to_owned(),
                KeyName::Alias(alias) => format!("<{alias}>"),
                KeyName::Unknown => "?".to_owned(),
            };
            let alias = part.alias.as_deref().map_or(String::new(), |alias| format!(" as {alias}"));
            format!("{key} {:?}{alias} {:?}", part.class, part.dependents)
        });
        lines.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn the_resources_name_the_key() {
        let json = event(
            "GenerateDataKey",
            json!({"resources": [key(KEY)], "requestParameters": {"keyId": "alias/app",
                "encryptionContext": {"aws:s3:arn": "arn:aws:s3:::b", "team": "x"}}}),
        );
        let alias = "arn:aws:kms:eu-west-1:111122223333:alias/app";
        assert_eq!(story(&json), format!(r#"11111111 WriteData as {alias} ["arn:aws:s3:::b", "team=x"]"#));
    }

    #[test]
    fn a_failure_without_resources_names_the_key_in_its_text() {
        for message in [
            format!("{KEY} is disabled."),
            format!(
                "User: arn:aws:iam::1:user/a is not authorized to perform: kms:Decrypt on resource: {KEY} because no …"
            ),
            format!("Key '{KEY}' does not exist"),
        ] {
            let json = event("Decrypt", json!({"errorCode": "X", "errorMessage": message, "requestParameters": null}));
            assert_eq!(story(&json), "11111111 ReadData []", "{message}");
        }
    }

    #[test]
    fn then_the_answer_and_then_the_request_name_it() {
        let id = "11111111-2222-4333-8444-555555555555";
        for members in [
            json!({"responseElements": {"keyId": KEY}, "requestParameters": {"keyId": OTHER}}),
            json!({"responseElements": {"keyMetadata": {"arn": KEY}}}),
            json!({"serviceEventDetails": {"keyId": id}}),
            json!({"requestParameters": {"keyId": KEY}}),
            json!({"requestParameters": {"keyId": id}}),
            json!({"requestParameters": {"targetKeyId": id}}),
        ] {
            assert_eq!(story(&event("DisableKey", members.clone())), "11111111 Manage []", "{members}");
        }
    }

    #[test]
    fn an_alias_is_kept_where_no_key_is_known() {
        let alias = "arn:aws:kms:eu-west-1:111122223333:alias/gone";
        for named in ["alias/gone", alias] {
            let json =
                event("Encrypt", json!({"errorCode": "NotFoundException", "requestParameters": {"keyId": named}}));
            assert_eq!(story(&json), format!("<{alias}> WriteData as {alias} []"));
        }
        let json = event("DeleteAlias", json!({"resources": [key(KEY), {"ARN": alias, "type": "AWS::KMS::Alias"}]}));
        assert_eq!(story(&json), format!("11111111 Manage as {alias} []"));
    }

    #[test]
    fn a_use_of_an_unnamed_key_is_still_a_use() {
        assert_eq!(story(&event("Decrypt", json!({"errorCode": "AccessDenied"}))), "? ReadData []");
        assert_eq!(story(&event("ListKeys", json!({}))), "");
        assert_eq!(story(&event("GenerateRandom", json!({"readOnly": true, "resources": []}))), "");
    }

    #[test]
    fn reencrypt_reads_with_one_key_and_writes_with_the_other() {
        let contexts = json!({"sourceEncryptionContext": {"a": "1"}, "destinationEncryptionContext": {"b": "2"}});
        let both = r#"11111111 ReadData ["a=1"]; 66666666 WriteData ["b=2"]"#;
        let with = |resources: Vec<Value>, source: Value, target: Value, message: Option<&str>| {
            let mut request = contexts.clone();
            request["sourceKeyId"] = source;
            request["destinationKeyId"] = target;
            story(&event(
                "ReEncrypt",
                json!({"resources": resources, "requestParameters": request, "errorMessage": message}),
            ))
        };
        let id = "66666666-7777-4888-9999-aaaaaaaaaaaa";
        assert_eq!(
            with(vec![key(KEY), key(OTHER)], json!(null), json!("alias/x"), None)
                .replace(" as arn:aws:kms:eu-west-1:111122223333:alias/x", ""),
            both
        );
        assert_eq!(with(vec![key(OTHER), key(KEY)], json!(KEY), json!(id), None), both);
        assert_eq!(with(vec![key(KEY)], json!(null), json!(OTHER), None), both);
        assert_eq!(with(vec![], json!(KEY), json!(null), Some(&format!("{OTHER} is disabled."))), both);
        assert_eq!(with(vec![], json!(KEY), json!(id), None), both);
        assert_eq!(with(vec![], json!(null), json!(null), None), r#"? ReadData ["a=1"]; ? WriteData ["b=2"]"#);
        assert_eq!(
            with(vec![key(KEY), key(KEY)], json!(KEY), json!(KEY), None),
            r#"11111111 ReadData ["a=1"]; 11111111 WriteData ["b=2"]"#
        );
    }

    #[test]
    fn a_grant_names_what_it_is_for() {
        let json = event(
            "CreateGrant",
            json!({"resources": [key(KEY)],
                "requestParameters": {"constraints": {"encryptionContextSubset": {"aws:ebs:id": "vol-9"}}}}),
        );
        assert_eq!(story(&json), r#"11111111 Bind ["vol-9"]"#);
    }

    #[test]
    fn callers_have_one_name_for_all_their_sessions() {
        let role = json!({"type": "AssumedRole", "arn": "arn:aws:sts::1:assumed-role/App/i-1", "principalId": "AROA:i-1",
            "accountId": "1", "sessionContext": {"sessionIssuer": {"arn": "arn:aws:iam::1:role/path/App"}}});
        let no_issuer = json!({"type": "AssumedRole", "arn": "arn:aws:sts::1:assumed-role/App/i-1",
            "sessionContext": {"sessionIssuer": {}}});
        let forward =
            json!({"type": "IAMUser", "arn": "arn:aws:iam::1:user/ada", "invokedBy": "secretsmanager.amazonaws.com"});
        for (identity, principal, via) in [
            (role, "arn:aws:iam::1:role/path/App", None),
            (no_issuer, "arn:aws:sts::1:assumed-role/App", None),
            (forward, "arn:aws:iam::1:user/ada", Some("secretsmanager.amazonaws.com")),
            (json!({"type": "Root", "arn": "arn:aws:iam::1:root"}), "arn:aws:iam::1:root", None),
            (json!({"type": "AWSService", "invokedBy": "dynamodb.amazonaws.com"}), "dynamodb.amazonaws.com", None),
            (json!({"accountId": "1", "invokedBy": "AWS Internal"}), "AWS Internal", None),
            (json!({"type": "AWSAccount", "principalId": "AROAX:s", "accountId": "2"}), "2/AROAX", None),
            (json!({}), "unknown", None),
        ] {
            let json = event("Decrypt", json!({"userIdentity": identity}));
            let event = Event::parse(json.as_bytes()).unwrap();
            let caller = Usage::of(&event).caller;
            assert_eq!((caller.principal.as_ref(), caller.via), (principal, via), "{json}");
        }
        let json = event("Decrypt", json!({"sourceIPAddress": "AWS Internal"}));
        assert_eq!(Usage::of(&Event::parse(json.as_bytes()).unwrap()).caller.via, Some("AWS Internal"));
    }

    #[test]
    fn refusals_are_told_apart_by_their_text_and_then_by_their_code() {
        use Failure::*;
        for (code, message, failure) in [
            ("DisabledException", "KEY is disabled.", Disabled),
            ("DisabledException", "KEY is pending deletion (or pending replica deletion).", PendingDeletion),
            ("KMSInvalidStateException", "KEY is pending deletion.", PendingDeletion),
            ("KMSInvalidStateException", "KEY is pending replica deletion.", PendingDeletion),
            (
                "KMSInvalidStateException",
                "KEY is not pending deletion (or pending replica deletion).",
                NotPendingDeletion,
            ),
            ("KMSInvalidStateException", "KEY is pending import.", PendingImport),
            ("KMSInvalidStateException", "KEY is unavailable.", Unavailable),
            ("KMSInvalidStateException", "KEY is creating.", Creating),
            ("KMSInvalidStateException", "KEY is updating.", Updating),
            ("KMSInvalidStateException", "something new", InvalidState),
            ("DisabledException", "", Disabled),
            ("AccessDenied", "User: x is not authorized; KEY is disabled.", AccessDenied),
            (
                "AccessDeniedException",
                "The ciphertext refers to a customer master key that does not exist",
                AccessDenied,
            ),
            ("DryRunOperationException", "The request would have succeeded, but …", DryRun),
            ("NotFoundException", "Key 'KEY' does not exist", NotFound),
            ("KMS.NotFoundException", "", NotFound),
            ("com.amazonaws.kms#DisabledException", "", Disabled),
            ("IncorrectKeyException", "…", Other),
            ("", "", Other),
        ] {
            let message = message.replace("KEY", KEY);
            assert_eq!(Failure::of(code, Some(&message)), failure, "{code}: {message}");
        }
        assert_eq!(NotPendingDeletion.weight(), Weight::NoUse);
    }

    #[test]
    fn each_operation_has_its_class() {
        let classes = |names: &str, class: Class| {
            for name in names.split_whitespace() {
                assert_eq!(Class::of(name, None), class, "{name}");
            }
        };
        classes("Decrypt ReEncrypt DeriveSharedSecret Decapsulate", Class::ReadData);
        classes("Encrypt Encapsulate GenerateDataKey GenerateDataKeyWithoutPlaintext", Class::WriteData);
        classes("GenerateDataKeyPair GenerateDataKeyPairWithoutPlaintext", Class::WriteData);
        classes("Sign", Class::Sign);
        classes("GenerateMac", Class::Mac);
        classes("Verify VerifyMac", Class::Check);
        classes("GetPublicKey GetParametersForImport", Class::Export);
        classes("CreateGrant RetireGrant ReplicateKey", Class::Bind);
        classes("DisableKey PutKeyPolicy DeleteKey RevokeGrant ImportKeyMaterial UpdateAlias", Class::Manage);
        classes("DescribeKey ListAliases GetKeyPolicy GetKeyLastUsage GenerateRandom", Class::Look);
        assert_eq!(Class::of("Transmute", Some(true)), Class::ReadData);
        assert_eq!(Class::of("Transmute", Some(false)), Class::Manage);
    }

    #[test]
    fn only_whole_arns_of_keys_are_key_arns() {
        assert!(is_key_arn(KEY) && is_key_arn("arn:aws-iso:kms:us-iso-east-1:1:key/mrk-0"));
        for text in
            ["", "arn:", "arn:aws:s3:::b", "arn:aws:kms:r:1:key/", "arn:aws:kms:r:1:alias/a", "arn:aws:kms:r:1:key/a b"]
        {
            assert!(!is_key_arn(text), "{text}");
        }
        assert_eq!(find_key_arn("no arn: here, arn:aws:kms"), None);
        assert_eq!(find_key_arn("ärn:arn:aws:kms:r:1:key/x…"), Some("arn:aws:kms:r:1:key/x"));
    }
}
