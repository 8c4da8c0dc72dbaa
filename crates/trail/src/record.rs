//! Writing: one CloudTrail record, as AWS lays it out.
//!
//! A [`Record`] is what the service says about one call or one thing that time did. This module knows the order, the names and
//! the spellings of a record's members; it does not know which calls are recorded, nor which of their members are secret: what
//! is in `request_parameters` is written as it is given.

use std::borrow::Cow;

use api::{AccountId, AliasArn, KeyArn, Region};
use jiff::Timestamp;
use serde::ser::{Serialize, SerializeStruct, Serializer};
use serde_json::Value;

/// The version of the record layout that we write. Source: CloudTrail User Guide, "CloudTrail record contents".
pub const EVENT_VERSION: &str = "1.11";

/// Who, where from and by which program, of everything that AWS does on its own.
pub const AWS_INTERNAL: &str = "AWS Internal";

/// A record of this size fits without growing the buffer; most are near 1.2 KB.
const USUAL_RECORD_BYTES: usize = 1536;

/// One CloudTrail record of a management event.
///
/// [`Record::to_json`] writes the members in AWS's order. Three of AWS's members never vary here and have no field:
/// `eventVersion`, `managementEvent` (true) and `eventCategory` (`Management`).
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Who called.
    pub user_identity: UserIdentity,
    /// When the call was made; written in whole seconds, cut off.
    pub event_time: Timestamp,
    /// The service that was called: `kms.amazonaws.com`.
    pub event_source: Cow<'static, str>,
    /// The operation: `Decrypt`.
    pub event_name: Cow<'static, str>,
    /// The Region that was called.
    pub aws_region: Region,
    /// The caller's address, or the host name of the service that called on its behalf.
    pub source_ip_address: Cow<'static, str>,
    /// The caller's program; absent where the caller named none.
    pub user_agent: Option<Cow<'static, str>>,
    /// AWS's error code of a refused call; absent for a success.
    pub error_code: Option<Cow<'static, str>>,
    /// AWS's error text of a refused call; absent for a success, and for errors that have none.
    pub error_message: Option<Cow<'static, str>>,
    /// What was asked, lower-case member names, secrets left out; `null` where nothing is shown.
    pub request_parameters: Option<Value>,
    /// What was answered, for operations that change something; `null` for all others and for refused calls.
    pub response_elements: Option<Value>,
    /// What only this event source adds, such as `keyMaterialId`; absent where there is nothing.
    pub additional_event_data: Option<Value>,
    /// The ID that the caller saw in `x-amzn-RequestId`; absent from service events.
    pub request_id: Option<String>,
    /// The record's own ID: a UUID, never used twice.
    pub event_id: String,
    /// Whether the operation changes nothing. Cryptographic operations are read-only.
    pub read_only: bool,
    /// The resources that the call was about, keys first. KMS writes an empty list, other services leave the member out.
    pub resources: Vec<Resource>,
    /// A call, or something that AWS did on its own.
    pub event_type: EventType,
    /// The account that this copy of the record was delivered to.
    pub recipient_account_id: AccountId,
    /// Joins the two records of a call across accounts; absent from all others.
    pub shared_event_id: Option<String>,
    /// What a service event tells of itself, such as the materials of a rotation; absent from calls.
    pub service_event_details: Option<Value>,
    /// The connection that the call came over; absent where it was not encrypted, and from service events.
    pub tls_details: Option<TlsDetails>,
}

impl Record {
    /// The record as one line of compact JSON, members in AWS's order, without a line break.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = Vec::with_capacity(USUAL_RECORD_BYTES);
        serde_json::to_writer(&mut json, self).expect("a record has only string keys, and a Vec takes every byte");
        json
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The number of members is a hint only; JSON does not need it.
        let mut out = serializer.serialize_struct("Record", 24)?;
        out.serialize_field("eventVersion", EVENT_VERSION)?;
        out.serialize_field("userIdentity", &self.user_identity)?;
        out.serialize_field("eventTime", &Display(format_args!("{:.0}", self.event_time)))?;
        out.serialize_field("eventSource", &self.event_source)?;
        out.serialize_field("eventName", &self.event_name)?;
        out.serialize_field("awsRegion", self.aws_region.as_str())?;
        out.serialize_field("sourceIPAddress", &self.source_ip_address)?;
        some(&mut out, "userAgent", &self.user_agent)?;
        some(&mut out, "errorCode", &self.error_code)?;
        some(&mut out, "errorMessage", &self.error_message)?;
        out.serialize_field("requestParameters", &self.request_parameters)?;
        out.serialize_field("responseElements", &self.response_elements)?;
        some(&mut out, "additionalEventData", &self.additional_event_data)?;
        some(&mut out, "requestID", &self.request_id)?;
        out.serialize_field("eventID", &self.event_id)?;
        out.serialize_field("readOnly", &self.read_only)?;
        if !self.resources.is_empty() || self.event_source == api::Service::Kms.event_source() {
            out.serialize_field("resources", &self.resources)?;
        }
        out.serialize_field("eventType", self.event_type.as_str())?;
        out.serialize_field("managementEvent", &true)?;
        out.serialize_field("recipientAccountId", &Display(self.recipient_account_id))?;
        some(&mut out, "sharedEventID", &self.shared_event_id)?;
        some(&mut out, "serviceEventDetails", &self.service_event_details)?;
        out.serialize_field("eventCategory", "Management")?;
        some(&mut out, "tlsDetails", &self.tls_details)?;
        out.end()
    }
}

/// Who called, as `userIdentity` tells it. Members that are `None` are left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserIdentity {
    /// `Root`, `IAMUser`, `AssumedRole`, `AWSService`…; absent where AWS acts on its own.
    pub kind: Option<&'static str>,
    /// The caller's unique ID; of the root user, the account.
    pub principal_id: Option<String>,
    /// The caller's ARN.
    pub arn: Option<String>,
    /// The account that the caller belongs to.
    pub account_id: Option<AccountId>,
    /// The access key that signed the call.
    pub access_key_id: Option<String>,
    /// The IAM user's name.
    pub user_name: Option<String>,
    /// The service that called on the caller's behalf, or [`AWS_INTERNAL`].
    pub invoked_by: Option<Cow<'static, str>>,
}

impl UserIdentity {
    /// The root user of `account`, calling with `access_key_id`.
    pub fn root(account: AccountId, access_key_id: impl Into<String>) -> UserIdentity {
        UserIdentity {
            kind: Some("Root"),
            principal_id: Some(account.to_string()),
            arn: Some(format!("arn:aws:iam::{account}:root")),
            account_id: Some(account),
            access_key_id: Some(access_key_id.into()),
            ..UserIdentity::default()
        }
    }

    /// The IAM user `name` (no path) of `account`; `principal_id` is the user's unique ID (`AIDA…`).
    pub fn user(
        account: AccountId,
        name: &str,
        principal_id: impl Into<String>,
        access_key_id: impl Into<String>,
    ) -> UserIdentity {
        UserIdentity {
            kind: Some("IAMUser"),
            principal_id: Some(principal_id.into()),
            arn: Some(format!("arn:aws:iam::{account}:user/{name}")),
            account_id: Some(account),
            access_key_id: Some(access_key_id.into()),
            user_name: Some(name.to_owned()),
            ..UserIdentity::default()
        }
    }

    /// AWS itself, in service events such as DeleteKey: the account and `AWS Internal`, nothing else.
    pub fn internal(account: AccountId) -> UserIdentity {
        UserIdentity {
            account_id: Some(account),
            invoked_by: Some(Cow::Borrowed(AWS_INTERNAL)),
            ..UserIdentity::default()
        }
    }

    /// A service on its own behalf, by its host name: `dynamodb.amazonaws.com`.
    pub fn service(host: impl Into<Cow<'static, str>>) -> UserIdentity {
        UserIdentity { kind: Some("AWSService"), invoked_by: Some(host.into()), ..UserIdentity::default() }
    }
}

impl Serialize for UserIdentity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("UserIdentity", 7)?;
        some(&mut out, "type", &self.kind)?;
        some(&mut out, "principalId", &self.principal_id)?;
        some(&mut out, "arn", &self.arn)?;
        some(&mut out, "accountId", &self.account_id.map(Display))?;
        some(&mut out, "accessKeyId", &self.access_key_id)?;
        some(&mut out, "userName", &self.user_name)?;
        some(&mut out, "invokedBy", &self.invoked_by)?;
        out.end()
    }
}

/// A resource that an event is about: a key or an alias, and the account that owns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// `AWS::KMS::Key`.
    Key(KeyArn),
    /// `AWS::KMS::Alias`.
    Alias(AliasArn),
}

impl Serialize for Resource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Resource", 3)?;
        match self {
            Resource::Key(arn) => {
                out.serialize_field("accountId", &Display(arn.account))?;
                out.serialize_field("type", "AWS::KMS::Key")?;
                out.serialize_field("ARN", &Display(arn))?;
            }
            Resource::Alias(arn) => {
                out.serialize_field("accountId", &Display(arn.account))?;
                out.serialize_field("type", "AWS::KMS::Alias")?;
                out.serialize_field("ARN", &Display(arn))?;
            }
        }
        out.end()
    }
}

/// `eventType`: what kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    /// Somebody called an operation.
    AwsApiCall,
    /// The service did something that nobody called: DeleteKey, RotateKey.
    AwsServiceEvent,
}

impl EventType {
    /// AWS's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            EventType::AwsApiCall => "AwsApiCall",
            EventType::AwsServiceEvent => "AwsServiceEvent",
        }
    }
}

/// The encrypted connection that a call came over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsDetails {
    /// `TLSv1.3`.
    pub tls_version: Cow<'static, str>,
    /// `TLS_AES_128_GCM_SHA256`.
    pub cipher_suite: Cow<'static, str>,
    /// The `Host` that the client sent.
    pub client_provided_host_header: String,
}

impl Serialize for TlsDetails {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("TlsDetails", 3)?;
        out.serialize_field("tlsVersion", &self.tls_version)?;
        out.serialize_field("cipherSuite", &self.cipher_suite)?;
        out.serialize_field("clientProvidedHostHeader", &self.client_provided_host_header)?;
        out.end()
    }
}

/// A date as AWS writes it inside request parameters and response elements: `Jun 19, 2026, 8:45:00 PM`, UTC.
///
/// Source: AWS KMS Developer Guide, CloudTrail example of ScheduleKeyDeletion.
pub fn aws_date(at: Timestamp) -> String {
    at.strftime("%b %-d, %Y, %-I:%M:%S %p").to_string()
}

/// Writes a member only where there is something to write.
fn some<S: SerializeStruct, T: Serialize>(
    out: &mut S,
    name: &'static str,
    value: &Option<T>,
) -> Result<(), <S as SerializeStruct>::Error> {
    match value {
        Some(value) => out.serialize_field(name, value),
        None => out.skip_field(name),
    }
}

/// Serialises what can be displayed, without a `String` between.
struct Display<T>(T);

impl<T: std::fmt::Display> Serialize for Display<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const KEY: &str = "arn:aws:kms:eu-central-1:210987654321:key/9a8b7c6d-5e4f-4a3b-8c2d-1e0f9a8b7c6d";

    fn account() -> AccountId {
        "210987654321".parse().unwrap()
    }

    fn call(event_name: &'static str, event_time: &str) -> Record {
        Record {
            user_identity: UserIdentity::user(account(), "ada", "AIDATESTTESTTESTTEST1", "AKIATESTTESTTESTTEST"),
            event_time: event_time.parse().unwrap(),
            event_source: "kms.amazonaws.com".into(),
            event_name: event_name.into(),
            aws_region: "eu-central-1".parse().unwrap(),
            source_ip_address: "198.51.100.7".into(),
            user_agent: Some("tool/3.1".into()),
            error_code: None,
            error_message: None,
            request_parameters: None,
            response_elements: None,
            additional_event_data: None,
            request_id: Some("5f0e1d2c-3b4a-4958-8776-655443322110".into()),
            event_id: "0a1b2c3d-4e5f-4061-8273-8495a6b7c8d9".into(),
            read_only: true,
            resources: vec![Resource::Key(KEY.parse().unwrap())],
            event_type: EventType::AwsApiCall,
            recipient_account_id: account(),
            shared_event_id: None,
            service_event_details: None,
            tls_details: None,
        }
    }

    /// The record's JSON against `golden`, whose line breaks and indentation do not count.
    fn check(record: &Record, golden: &str) {
        let golden: String = golden.lines().map(str::trim_start).collect();
        assert_eq!(String::from_utf8(record.to_json()).unwrap(), golden);
    }

    #[test]
    fn a_call_that_changed_something() {
        let record = Record {
            read_only: false,
            request_parameters: Some(
                json!({"keyId": "9a8b7c6d-5e4f-4a3b-8c2d-1e0f9a8b7c6d", "pendingWindowInDays": 9}),
            ),
            response_elements: Some(json!({"deletionDate": aws_date("2026-03-11T00:05:09Z".parse().unwrap()),
                "keyId": KEY, "keyState": "PendingDeletion", "pendingWindowInDays": 9})),
            tls_details: Some(TlsDetails {
                tls_version: "TLSv1.3".into(),
                cipher_suite: "TLS_AES_128_GCM_SHA256".into(),
                client_provided_host_header: "kms.eu-central-1.amazonaws.com".into(),
            }),
            ..call("ScheduleKeyDeletion", "2026-03-02T00:05:09.987Z")
        };
        check(
            &record,
            r#"{"eventVersion":"1.11",
            "userIdentity":{"type":"IAMUser","principalId":"AIDATESTTESTTESTTEST1","arn":"arn:aws:iam::210987654321:user/ada",
            "accountId":"210987654321","accessKeyId":"AKIATESTTESTTESTTEST","userName":"ada"},
            "eventTime":"2026-03-02T00:05:09Z","eventSource":"kms.amazonaws.com","eventName":"ScheduleKeyDeletion",
            "awsRegion":"eu-central-1","sourceIPAddress":"198.51.100.7","userAgent":"tool/3.1",
            "requestParameters":{"keyId":"9a8b7c6d-5e4f-4a3b-8c2d-1e0f9a8b7c6d","pendingWindowInDays":9},
            "responseElements":{"deletionDate":"Mar 11, 2026, 12:05:09 AM",
            "keyId":"arn:aws:kms:eu-central-1:210987654321:key/9a8b7c6d-5e4f-4a3b-8c2d-1e0f9a8b7c6d",
            "keyState":"PendingDeletion","pendingWindowInDays":9},
            "requestID":"5f0e1d2c-3b4a-4958-8776-655443322110","eventID":"0a1b2c3d-4e5f-4061-8273-8495a6b7c8d9","readOnly":false,
            "resources":[{"accountId":"210987654321","type":"AWS::KMS::Key",
            "ARN":"arn:aws:kms:eu-central-1:210987654321:key/9a8b7c6d-5e4f-4a3b-8c2d-1e0f9a8b7c6d"}],
            "eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"210987654321","eventCategory":"Management",
            "tlsDetails":{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256",
            "clientProvidedHostHeader":"kms.eu-central-1.amazonaws.com"}}"#,
        );
    }

    #[test]
    fn a_refused_call() {
        let record = Record {
            user_identity: UserIdentity::root(account(), "AKIATESTTESTTESTTEST"),
            error_code: Some("DisabledException".into()),
            error_message: Some(format!("{KEY} is disabled.").into()),
            request_parameters: Some(json!({"encryptionContext": {"shelf": "\"7\"\n"}})),
            ..call("Decrypt", "2026-12-31T23:59:59Z")
        };
        check(
            &record,
            r#"{"eventVersion":"1.11",
            "userIdentity":{"type":"Root","principalId":"210987654321","arn":"arn:aws:iam::210987654321:root",
            "accountId":"210987654321","accessKeyId":"AKIATESTTESTTESTTEST"},
            "eventTime":"2026-12-31T23:59:59Z","eventSource":"kms.amazonaws.com","eventName":"Decrypt",
            "awsRegion":"eu-central-1","sourceIPAddress":"198.51.100.7","userAgent":"tool/3.1",
            "errorCode":"DisabledException",
            "errorMessage":"arn:aws:kms:eu-central-1:210987654321:key/9a8b7c6d-5e4f-4a3b-8c2d-1e0f9a8b7c6d is disabled.",
            "requestParameters":{"encryptionContext":{"shelf":"\"7\"\n"}},"responseElements":null,
            "requestID":"5f0e1d2c-3b4a-4958-8776-655443322110","eventID":"0a1b2c3d-4e5f-4061-8273-8495a6b7c8d9","readOnly":true,
            "resources":[{"accountId":"210987654321","type":"AWS::KMS::Key",
            "ARN":"arn:aws:kms:eu-central-1:210987654321:key/9a8b7c6d-5e4f-4a3b-8c2d-1e0f9a8b7c6d"}],
            "eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"210987654321","eventCategory":"Management"}"#,
        );
    }

    #[test]
    fn a_service_event_has_neither_caller_nor_request() {
        let record = Record {
            user_identity: UserIdentity::internal(account()),
            source_ip_address: AWS_INTERNAL.into(),
            user_agent: Some(AWS_INTERNAL.into()),
            response_elements: Some(json!({"keyId": KEY})),
            request_id: None,
            read_only: false,
            event_type: EventType::AwsServiceEvent,
            service_event_details: Some(json!({"keyId": "9a8b7c6d-5e4f-4a3b-8c2d-1e0f9a8b7c6d"})),
            ..call("DeleteKey", "2026-03-11T06:00:00Z")
        };
        check(
            &record,
            r#"{"eventVersion":"1.11","userIdentity":{"accountId":"210987654321","invokedBy":"AWS Internal"},
            "eventTime":"2026-03-11T06:00:00Z","eventSource":"kms.amazonaws.com","eventName":"DeleteKey",
            "awsRegion":"eu-central-1","sourceIPAddress":"AWS Internal","userAgent":"AWS Internal",
            "requestParameters":null,
            "responseElements":{"keyId":"arn:aws:kms:eu-central-1:210987654321:key/9a8b7c6d-5e4f-4a3b-8c2d-1e0f9a8b7c6d"},
            "eventID":"0a1b2c3d-4e5f-4061-8273-8495a6b7c8d9","readOnly":false,
            "resources":[{"accountId":"210987654321","type":"AWS::KMS::Key",
            "ARN":"arn:aws:kms:eu-central-1:210987654321:key/9a8b7c6d-5e4f-4a3b-8c2d-1e0f9a8b7c6d"}],
            "eventType":"AwsServiceEvent","managementEvent":true,"recipientAccountId":"210987654321",
            "serviceEventDetails":{"keyId":"9a8b7c6d-5e4f-4a3b-8c2d-1e0f9a8b7c6d"},"eventCategory":"Management"}"#,
        );
    }

    #[test]
    fn optional_members_stand_where_aws_puts_them() {
        let record = Record {
            user_identity: UserIdentity::service("dynamodb.amazonaws.com"),
            user_agent: None,
            additional_event_data: Some(json!({"keyMaterialId": "00"})),
            request_id: None,
            resources: Vec::new(),
            shared_event_id: Some("11111111-2222-4333-8444-555555555555".into()),
            ..call("Decrypt", "2026-03-02T12:05:09Z")
        };
        check(
            &record,
            r#"{"eventVersion":"1.11","userIdentity":{"type":"AWSService","invokedBy":"dynamodb.amazonaws.com"},
            "eventTime":"2026-03-02T12:05:09Z","eventSource":"kms.amazonaws.com","eventName":"Decrypt",
            "awsRegion":"eu-central-1","sourceIPAddress":"198.51.100.7","requestParameters":null,"responseElements":null,
            "additionalEventData":{"keyMaterialId":"00"},
            "eventID":"0a1b2c3d-4e5f-4061-8273-8495a6b7c8d9","readOnly":true,"resources":[],"eventType":"AwsApiCall",
            "managementEvent":true,"recipientAccountId":"210987654321","sharedEventID":"11111111-2222-4333-8444-555555555555",
            "eventCategory":"Management"}"#,
        );
        let elsewhere = Record { event_source: "sts.amazonaws.com".into(), ..record };
        assert!(!String::from_utf8(elsewhere.to_json()).unwrap().contains("resources"));
    }

    #[test]
    fn aliases_are_resources_too() {
        let arn = AliasArn {
            account: account(),
            region: "eu-central-1".parse().unwrap(),
            alias: "alias/app".parse().unwrap(),
        };
        assert_eq!(
            serde_json::to_string(&Resource::Alias(arn)).unwrap(),
            r#"{"accountId":"210987654321","type":"AWS::KMS::Alias","ARN":"arn:aws:kms:eu-central-1:210987654321:alias/app"}"#
        );
    }

    #[test]
    fn dates_inside_a_record_are_for_people() {
        for (at, date) in [
            ("2026-06-19T20:45:00Z", "Jun 19, 2026, 8:45:00 PM"),
            ("2026-01-02T00:00:07Z", "Jan 2, 2026, 12:00:07 AM"),
            ("2026-01-02T12:30:00.9Z", "Jan 2, 2026, 12:30:00 PM"),
        ] {
            assert_eq!(aws_date(at.parse().unwrap()), date);
        }
    }
}
