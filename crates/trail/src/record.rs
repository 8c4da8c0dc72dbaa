//! Writing: one CloudTrail record, as AWS lays it out.
//!
//! A [`Record`] is what the service says about one call or one thing that time did. This module knows the order, the names and
//! the spellings of a record's members; it does not know which calls are recorded, nor which of their members are secret: what
//! is in `request_parameters` is written as it is given.

use std::borrow::Cow;
use std::fmt::{Display, Write as _};

use api::{AccountId, AliasArn, KeyArn, Region};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// The version of the record layout that we write. Source: CloudTrail User Guide, "CloudTrail record contents".
pub const EVENT_VERSION: &str = "1.11";

/// Who, where from and by which program, of everything that AWS does on its own.
pub const AWS_INTERNAL: &str = "AWS Internal";

/// A record of this size fits without growing the buffer; most are near 1.2 KB.
const USUAL_RECORD_BYTES: usize = 1536;

/// One CloudTrail record of a management event. It borrows what the call brought: a record is made for each call, and lives only
/// until it is written.
///
/// [`Record::to_json`] writes the members in AWS's order. Three of AWS's members never vary here and have no field:
/// `eventVersion`, `managementEvent` (true) and `eventCategory` (`Management`).
#[derive(Debug, Clone)]
pub struct Record<'a> {
    /// Who called.
    pub user_identity: UserIdentity<'a>,
    /// When the call was made; written in whole seconds, cut off.
    pub event_time: Timestamp,
    /// The service that was called: `kms.amazonaws.com`.
    pub event_source: &'a str,
    /// The operation: `Decrypt`.
    pub event_name: &'a str,
    /// The Region that was called.
    pub aws_region: Region,
    /// The caller's address, or the host name of the service that called on its behalf.
    pub source_ip_address: &'a str,
    /// The caller's program; absent where the caller named none.
    pub user_agent: Option<&'a str>,
    /// AWS's error code of a refused call; absent for a success.
    pub error_code: Option<&'a str>,
    /// AWS's error text of a refused call; absent for a success, and for errors that have none.
    pub error_message: Option<&'a str>,
    /// What was asked, lower-case member names, secrets left out; `null` where nothing is shown.
    pub request_parameters: Option<Json>,
    /// What was answered, for operations that change something; `null` for all others and for refused calls.
    pub response_elements: Option<Json>,
    /// What only this event source adds, such as `keyMaterialId`; absent where there is nothing.
    pub additional_event_data: Option<Json>,
    /// The ID that the caller saw in `x-amzn-RequestId`; absent from service events.
    pub request_id: Option<&'a str>,
    /// The record's own ID: a UUID, never used twice.
    pub event_id: &'a str,
    /// Whether the operation changes nothing. Cryptographic operations are read-only.
    pub read_only: bool,
    /// The resources that the call was about, keys first. KMS writes an empty list, other services leave the member out.
    pub resources: Vec<Resource>,
    /// A call, or something that AWS did on its own.
    pub event_type: EventType,
    /// The account that this copy of the record was delivered to.
    pub recipient_account_id: AccountId,
    /// Joins the two records of a call across accounts; absent from all others.
    pub shared_event_id: Option<&'a str>,
    /// What a service event tells of itself, such as the materials of a rotation; absent from calls.
    pub service_event_details: Option<Json>,
    /// The connection that the call came over; absent where it was not encrypted, and from service events.
    pub tls_details: Option<TlsDetails<'a>>,
}

impl Record<'_> {
    /// The record as one line of compact JSON, members in AWS's order, without a line break.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = String::with_capacity(USUAL_RECORD_BYTES);
        object(&mut json, |out| self.write(out));
        json.into_bytes()
    }

    fn write(&self, out: &mut Object<'_>) {
        out.text("eventVersion", EVENT_VERSION);
        out.object("userIdentity", |out| self.user_identity.write(out));
        out.plain("eventTime", format_args!("{:.0}", self.event_time));
        out.text("eventSource", self.event_source);
        out.text("eventName", self.event_name);
        out.text("awsRegion", self.aws_region.as_str());
        out.text("sourceIPAddress", self.source_ip_address);
        out.optional_text("userAgent", self.user_agent);
        out.optional_text("errorCode", self.error_code);
        out.optional_text("errorMessage", self.error_message);
        out.json("requestParameters", Json::or_null(&self.request_parameters));
        out.json("responseElements", Json::or_null(&self.response_elements));
        out.optional_json("additionalEventData", &self.additional_event_data);
        out.optional_text("requestID", self.request_id);
        out.text("eventID", self.event_id);
        out.flag("readOnly", self.read_only);
        if !self.resources.is_empty() || self.event_source == api::Service::Kms.event_source() {
            out.list("resources", &self.resources, Resource::write);
        }
        out.text("eventType", self.event_type.as_str());
        out.flag("managementEvent", true);
        out.plain("recipientAccountId", self.recipient_account_id);
        out.optional_text("sharedEventID", self.shared_event_id);
        out.optional_json("serviceEventDetails", &self.service_event_details);
        out.text("eventCategory", "Management");
        if let Some(tls) = &self.tls_details {
            out.object("tlsDetails", |out| tls.write(out));
        }
    }
}

/// A member of a record whose form is the operation's: compact JSON.
#[derive(Debug, Clone)]
pub struct Json(Box<RawValue>);

impl Json {
    /// `value` as JSON.
    ///
    /// *Assumptions*: whatever in it has keys has texts for keys, which is all that JSON asks.
    pub fn of(value: &(impl Serialize + ?Sized)) -> Json {
        Json(to_raw_value(value).expect("what a record shows has texts for keys"))
    }

    fn or_null(json: &Option<Json>) -> &str {
        json.as_ref().map_or("null", |json| json.0.get())
    }
}

/// Who called, as `userIdentity` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserIdentity<'a> {
    /// The root user of an account.
    Root {
        /// The account.
        account: AccountId,
        /// `arn:aws:iam::<account>:root`.
        arn: &'a str,
        /// The access key that signed the call.
        access_key_id: &'a str,
    },
    /// An IAM user of an account.
    User {
        /// The account.
        account: AccountId,
        /// `arn:aws:iam::<account>:user/<path and name>`.
        arn: &'a str,
        /// The user's name, without its path.
        name: &'a str,
        /// The user's unique ID: `AIDA…`.
        principal_id: Cow<'a, str>,
        /// The access key that signed the call.
        access_key_id: &'a str,
    },
    /// Somebody of another account, as the copy of a record tells it that is delivered to the account whose key was used: the
    /// name of the user or role is theirs to tell.
    Account {
        /// The caller's account.
        account: AccountId,
        /// The unique ID of the principal that called.
        principal_id: Cow<'a, str>,
    },
    /// AWS itself, in service events such as DeleteKey: the account and [`AWS_INTERNAL`], nothing else.
    Internal {
        /// The account that it happened in.
        account: AccountId,
    },
    /// A service on its own behalf.
    Service {
        /// The service's host name: `dynamodb.amazonaws.com`.
        host: &'a str,
    },
}

impl UserIdentity<'_> {
    fn write(&self, out: &mut Object<'_>) {
        match self {
            UserIdentity::Root { account, arn, access_key_id } => {
                out.text("type", "Root");
                out.plain("principalId", account);
                out.text("arn", arn);
                out.plain("accountId", account);
                out.text("accessKeyId", access_key_id);
            }
            UserIdentity::User { account, arn, name, principal_id, access_key_id } => {
                out.text("type", "IAMUser");
                out.text("principalId", principal_id);
                out.text("arn", arn);
                out.plain("accountId", account);
                out.text("accessKeyId", access_key_id);
                out.text("userName", name);
            }
            UserIdentity::Account { account, principal_id } => {
                out.text("type", "AWSAccount");
                out.text("principalId", principal_id);
                out.plain("accountId", account);
            }
            UserIdentity::Internal { account } => {
                out.plain("accountId", account);
                out.text("invokedBy", AWS_INTERNAL);
            }
            UserIdentity::Service { host } => {
                out.text("type", "AWSService");
                out.text("invokedBy", host);
            }
        }
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

impl Resource {
    /// The account that owns it.
    pub fn account(&self) -> AccountId {
        match self {
            Resource::Key(arn) => arn.account,
            Resource::Alias(arn) => arn.account,
        }
    }

    fn write(&self, out: &mut Object<'_>) {
        match self {
            Resource::Key(arn) => {
                out.plain("accountId", arn.account);
                out.text("type", "AWS::KMS::Key");
                out.plain("ARN", arn);
            }
            Resource::Alias(arn) => {
                out.plain("accountId", arn.account);
                out.text("type", "AWS::KMS::Alias");
                out.plain("ARN", arn);
            }
        }
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsDetails<'a> {
    /// `TLSv1.3`.
    pub tls_version: &'a str,
    /// `TLS_AES_128_GCM_SHA256`.
    pub cipher_suite: &'a str,
    /// The `Host` that the client sent.
    pub client_provided_host_header: &'a str,
}

impl TlsDetails<'_> {
    fn write(&self, out: &mut Object<'_>) {
        out.text("tlsVersion", self.tls_version);
        out.text("cipherSuite", self.cipher_suite);
        out.text("clientProvidedHostHeader", self.client_provided_host_header);
    }
}

/// A date as AWS writes it inside request parameters and response elements: `Jun 19, 2026, 8:45:00 PM`, UTC.
///
/// Source: AWS KMS Developer Guide, CloudTrail example of ScheduleKeyDeletion.
pub fn aws_date(at: Timestamp) -> String {
    at.strftime("%b %-d, %Y, %-I:%M:%S %p").to_string()
}

/// Writes a JSON object, whose members `members` adds.
fn object(json: &mut String, members: impl FnOnce(&mut Object<'_>)) {
    json.push('{');
    members(&mut Object { json, empty: true });
    json.push('}');
}

/// A JSON object that is being written, member by member.
///
/// Every call ends in a record, so this is made for speed: most of a record is known to need no escaping, or is seen to need none
/// at a glance, and is copied.
struct Object<'o> {
    json: &'o mut String,
    empty: bool,
}

impl Object<'_> {
    /// What comes before a member's value. Our names need no escaping.
    fn name(&mut self, name: &'static str) {
        self.json.push_str(if self.empty { "\"" } else { ",\"" });
        self.empty = false;
        self.json.push_str(name);
        self.json.push_str("\":");
    }

    /// A text of whatever content.
    fn text(&mut self, name: &'static str, text: &str) {
        self.name(name);
        let escaped = text.bytes().fold(false, |any, byte| any | (byte < b' ') | (byte == b'"') | (byte == b'\\'));
        if escaped {
            self.json.push_str(&serde_json::to_string(text).expect("a text is JSON"));
        } else {
            self.json.push('"');
            self.json.push_str(text);
            self.json.push('"');
        }
    }

    fn optional_text(&mut self, name: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    /// A text that cannot hold what JSON escapes: an account, an ARN, a time.
    fn plain(&mut self, name: &'static str, text: impl Display) {
        self.name(name);
        write!(self.json, "\"{text}\"").expect("a String takes every write");
    }

    fn flag(&mut self, name: &'static str, flag: bool) {
        self.json(name, if flag { "true" } else { "false" });
    }

    /// What is JSON already.
    fn json(&mut self, name: &'static str, json: &str) {
        self.name(name);
        self.json.push_str(json);
    }

    fn optional_json(&mut self, name: &'static str, json: &Option<Json>) {
        if let Some(Json(json)) = json {
            self.json(name, json.get());
        }
    }

    fn object(&mut self, name: &'static str, members: impl FnOnce(&mut Object<'_>)) {
        self.name(name);
        object(self.json, members);
    }

    fn list<T>(&mut self, name: &'static str, items: &[T], members: impl Fn(&T, &mut Object<'_>)) {
        self.name(name);
        self.json.push('[');
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                self.json.push(',');
            }
            object(self.json, |out| members(item, out));
        }
        self.json.push(']');
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

    fn call<'a>(event_name: &'a str, event_time: &str) -> Record<'a> {
        Record {
            user_identity: UserIdentity::User {
                account: account(),
                arn: "arn:aws:iam::210987654321:user/ada",
                name: "ada",
                principal_id: "AIDATESTTESTTESTTEST1".into(),
                access_key_id: "AKIATESTTESTTESTTEST",
            },
            event_time: event_time.parse().unwrap(),
            event_source: "kms.amazonaws.com",
            event_name,
            aws_region: "eu-central-1".parse().unwrap(),
            source_ip_address: "198.51.100.7",
            user_agent: Some("tool/3.1"),
            error_code: None,
            error_message: None,
            request_parameters: None,
            response_elements: None,
            additional_event_data: None,
            request_id: Some("5f0e1d2c-3b4a-4958-8776-655443322110"),
            event_id: "0a1b2c3d-4e5f-4061-8273-8495a6b7c8d9",
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
    fn check(record: &Record<'_>, golden: &str) {
        let golden: String = golden.lines().map(str::trim_start).collect();
        assert_eq!(String::from_utf8(record.to_json()).unwrap(), golden);
    }

    #[test]
    fn a_call_that_changed_something() {
        let record = Record {
            read_only: false,
            request_parameters: Some(Json::of(
                &json!({"keyId": "9a8b7c6d-5e4f-4a3b-8c2d-1e0f9a8b7c6d", "pendingWindowInDays": 9}),
            )),
            response_elements: Some(Json::of(
                &json!({"deletionDate": aws_date("2026-03-11T00:05:09Z".parse().unwrap()),
                "keyId": KEY, "keyState": "PendingDeletion", "pendingWindowInDays": 9}),
            )),
            tls_details: Some(TlsDetails {
                tls_version: "TLSv1.3",
                cipher_suite: "TLS_AES_128_GCM_SHA256",
                client_provided_host_header: "kms.eu-central-1.amazonaws.com",
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
        let message = format!("{KEY} is disabled.");
        let record = Record {
            user_identity: UserIdentity::Root {
                account: account(),
                arn: "arn:aws:iam::210987654321:root",
                access_key_id: "AKIATESTTESTTESTTEST",
            },
            error_code: Some("DisabledException"),
            error_message: Some(&message),
            request_parameters: Some(Json::of(&json!({"encryptionContext": {"shelf": "\"7\"\n"}}))),
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
            user_identity: UserIdentity::Internal { account: account() },
            source_ip_address: AWS_INTERNAL,
            user_agent: Some(AWS_INTERNAL),
            response_elements: Some(Json::of(&json!({"keyId": KEY}))),
            request_id: None,
            read_only: false,
            event_type: EventType::AwsServiceEvent,
            service_event_details: Some(Json::of(&json!({"keyId": "9a8b7c6d-5e4f-4a3b-8c2d-1e0f9a8b7c6d"}))),
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
            user_identity: UserIdentity::Service { host: "dynamodb.amazonaws.com" },
            user_agent: None,
            additional_event_data: Some(Json::of(&json!({"keyMaterialId": "00"}))),
            request_id: None,
            resources: Vec::new(),
            shared_event_id: Some("11111111-2222-4333-8444-555555555555"),
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
        let elsewhere = Record { event_source: "sts.amazonaws.com", ..record };
        assert!(!String::from_utf8(elsewhere.to_json()).unwrap().contains("resources"));
    }

    #[test]
    fn aliases_are_resources_too() {
        let arn = AliasArn {
            account: account(),
            region: "eu-central-1".parse().unwrap(),
            alias: "alias/app".parse().unwrap(),
        };
        let record = Record { resources: vec![Resource::Alias(arn)], ..call("CreateAlias", "2026-03-02T12:05:09Z") };
        let json = String::from_utf8(record.to_json()).unwrap();
        let expected = r#""resources":[{"accountId":"210987654321","type":"AWS::KMS::Alias","ARN":"arn:aws:kms:eu-central-1:210987654321:alias/app"}],"#;
        assert!(json.contains(expected), "{json}");
    }

    /// Copied where nothing is to be escaped, escaped where something is: always the same as serde_json.
    #[test]
    fn texts_are_escaped_as_json_asks() {
        let every_char = (0..0x180).filter_map(char::from_u32).map(String::from);
        for text in every_char.chain(["".into(), "tool/1 (é; x)".into(), "a\"b\\c\u{1f600}".into()]) {
            let record = Record { user_agent: Some(&text), ..call("Decrypt", "2026-03-02T12:05:09Z") };
            let json: serde_json::Value = serde_json::from_slice(&record.to_json()).unwrap();
            assert_eq!(json["userAgent"], text.as_str());
        }
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
