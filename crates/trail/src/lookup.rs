//! Looking events up: what a record says under each attribute of LookupEvents.
//!
//! A record has an attribute with a value if, and only if, [`Record::attributes`] yields the two; [`Wanted`] asks that, and
//! [`crate::marks`] stands for all that it yields in a file. So what may be skipped and what is answered cannot come apart.
//!
//! Source: CloudTrail API Reference, LookupEvents.

use std::borrow::Cow;
use std::str::FromStr;

use jiff::Timestamp;
use memchr::memmem::Finder;
use serde::Deserialize;

use crate::marks;

/// What an event is looked up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    /// The event's own ID.
    EventId,
    /// The operation.
    EventName,
    /// `true` or `false`.
    ReadOnly,
    /// The caller's name.
    Username,
    /// The type of a resource: `AWS::KMS::Key`.
    ResourceType,
    /// The ARN of a resource.
    ResourceName,
    /// The service: `kms.amazonaws.com`.
    EventSource,
    /// The access key that signed the call.
    AccessKeyId,
}

impl FromStr for Attribute {
    type Err = UnknownAttribute;

    fn from_str(text: &str) -> Result<Attribute, UnknownAttribute> {
        Ok(match text {
            "EventId" => Attribute::EventId,
            "EventName" => Attribute::EventName,
            "ReadOnly" => Attribute::ReadOnly,
            "Username" => Attribute::Username,
            "ResourceType" => Attribute::ResourceType,
            "ResourceName" => Attribute::ResourceName,
            "EventSource" => Attribute::EventSource,
            "AccessKeyId" => Attribute::AccessKeyId,
            _ => return Err(UnknownAttribute { given: text.to_owned() }),
        })
    }
}

/// A text that names no lookup attribute.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a lookup attribute")]
pub struct UnknownAttribute {
    /// The text.
    pub given: String,
}

/// What a lookup asks of a record and answers with, beside the record itself.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record<'a> {
    /// When it happened.
    pub event_time: Timestamp,
    /// The event's own ID.
    #[serde(borrow, rename = "eventID")]
    pub event_id: Cow<'a, str>,
    /// The Region that was called.
    #[serde(borrow)]
    pub aws_region: Cow<'a, str>,
    /// The account that the record was delivered to.
    #[serde(borrow)]
    pub recipient_account_id: Option<Cow<'a, str>>,
    /// The operation.
    #[serde(borrow)]
    pub event_name: Cow<'a, str>,
    /// The service that was called.
    #[serde(borrow)]
    pub event_source: Cow<'a, str>,
    /// Whether the operation changes nothing.
    pub read_only: Option<bool>,
    #[serde(borrow)]
    user_identity: Option<Identity<'a>>,
    #[serde(borrow)]
    resources: Option<Vec<Resource<'a>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    arn: Option<Cow<'a, str>>,
    #[serde(borrow)]
    access_key_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    user_name: Option<Cow<'a, str>>,
}

/// A resource of a record.
#[derive(Debug, Deserialize)]
pub struct Resource<'a> {
    /// Its type: `AWS::KMS::Key`.
    #[serde(borrow, rename = "type")]
    pub kind: Option<Cow<'a, str>>,
    /// Its ARN.
    #[serde(borrow, rename = "ARN")]
    pub name: Option<Cow<'a, str>>,
}

impl<'a> Record<'a> {
    /// Reads a record; `None` where it is no event, or lacks a time, ID, name, service or Region.
    pub fn parse(text: &'a str) -> Option<Record<'a>> {
        serde_json::from_str(text).ok()
    }

    /// The name that Event history shows: a user's name, `root`, the session of an assumed role; `None` for services.
    ///
    /// Source: CloudTrail API Reference, LookupEvents, and the `userIdentity` element of the CloudTrail User Guide.
    pub fn username(&self) -> Option<&str> {
        let identity = self.user_identity.as_ref()?;
        match identity.kind.as_deref() {
            Some("Root") => Some(ROOT),
            Some("AssumedRole" | "FederatedUser") => identity.arn.as_deref()?.rsplit('/').next(),
            _ => identity.user_name.as_deref(),
        }
    }

    /// The access key that signed the call.
    pub fn access_key_id(&self) -> Option<&str> {
        self.user_identity.as_ref()?.access_key_id.as_deref()
    }

    /// What the call was about.
    pub fn resources(&self) -> &[Resource<'a>] {
        self.resources.as_deref().unwrap_or_default()
    }

    /// Everything that the record can be looked up by.
    pub fn attributes(&self) -> impl Iterator<Item = (Attribute, &str)> {
        let own = [
            Some((Attribute::EventId, &*self.event_id)),
            Some((Attribute::EventName, &*self.event_name)),
            Some((Attribute::EventSource, &*self.event_source)),
            self.read_only.map(|read_only| (Attribute::ReadOnly, if read_only { "true" } else { "false" })),
            self.username().map(|name| (Attribute::Username, name)),
            self.access_key_id().map(|id| (Attribute::AccessKeyId, id)),
        ];
        let kinds =
            self.resources().iter().filter_map(|resource| Some((Attribute::ResourceType, resource.kind.as_deref()?)));
        let names =
            self.resources().iter().filter_map(|resource| Some((Attribute::ResourceName, resource.name.as_deref()?)));
        own.into_iter().flatten().chain(kinds).chain(names)
    }
}

/// The name of an account's root user, which its records do not spell out.
const ROOT: &str = "root";

/// What a record must have to be found.
#[derive(Debug)]
pub struct Wanted<'q> {
    attribute: Attribute,
    value: &'q str,
    /// Finds the value as records spell it; `None` where they do not.
    finder: Option<Finder<'q>>,
}

impl<'q> Wanted<'q> {
    /// Records that have exactly this value.
    pub fn new(attribute: Attribute, value: &'q str) -> Wanted<'q> {
        let spelt = match attribute {
            Attribute::ReadOnly => false,
            Attribute::Username => value != ROOT,
            Attribute::EventId
            | Attribute::EventName
            | Attribute::ResourceType
            | Attribute::ResourceName
            | Attribute::EventSource
            | Attribute::AccessKeyId => true,
        };
        Wanted { attribute, value, finder: spelt.then(|| Finder::new(value)) }
    }

    /// What stands for it among the marks of a file.
    pub fn mark(&self) -> u32 {
        marks::mark(self.attribute, self.value)
    }

    /// Whether `json`, a record unread, may be wanted: the value stands in it as it is, or something in it is escaped.
    pub fn may_be(&self, json: &[u8]) -> bool {
        let Some(finder) = &self.finder else { return true };
        finder.find(json).is_some() || memchr::memchr(b'\\', json).is_some()
    }

    /// Whether the record is wanted.
    pub fn is(&self, record: &Record<'_>) -> bool {
        record.attributes().any(|has| has == (self.attribute, self.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEAD: &str = r#""eventTime":"2026-06-01T00:00:00Z","eventID":"e-1","awsRegion":"eu-west-1","eventName":"Decrypt","eventSource":"kms.amazonaws.com""#;

    fn check(rest: &str, expected: &[(Attribute, &str)]) {
        let json = format!("{{{HEAD}{rest}}}");
        let record = Record::parse(&json).unwrap();
        let all: Vec<_> = record.attributes().collect();
        assert_eq!(&all[3..], expected, "{json}");
        for (attribute, value) in all {
            let wanted = Wanted::new(attribute, value);
            assert!(wanted.is(&record) && wanted.may_be(json.as_bytes()), "{attribute:?} {value}");
        }
    }

    #[test]
    fn a_record_is_found_by_all_that_it_says_and_nothing_else() {
        use Attribute::{AccessKeyId, ReadOnly, ResourceName, ResourceType, Username};
        check("", &[]);
        check(r#","readOnly":true,"resources":null,"userIdentity":null"#, &[(ReadOnly, "true")]);
        check(r#","readOnly":false,"userIdentity":{"type":"Root"}"#, &[(ReadOnly, "false"), (Username, "root")]);
        check(
            r#","userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::1:assumed-role/app/i-1","accessKeyId":"ASIA1"}"#,
            &[(Username, "i-1"), (AccessKeyId, "ASIA1")],
        );
        check(r#","userIdentity":{"type":"IAMUser","userName":"alice","arn":"x/y"}"#, &[(Username, "alice")]);
        check(
            r#","resources":[{"type":"T","ARN":"a"},{"ARN":"b\u0041"},{"accountId":"1"}]"#,
            &[(ResourceType, "T"), (ResourceName, "a"), (ResourceName, "bA")],
        );
    }

    #[test]
    fn what_lacks_a_time_or_a_name_is_no_event() {
        for json in ["", "[]", "{}", &format!("{{{HEAD}"), &format!("{{{}}}", HEAD.replace("2026", "soon"))] {
            assert!(Record::parse(json).is_none(), "{json}");
        }
    }

    proptest! {
        #[test]
        fn what_is_wanted_may_be_wanted_however_it_is_spelt(value in "[a-z\"\\\\/é]{1,6}", escape in any::<bool>()) {
            let spelt = if escape {
                value.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect()
            } else {
                let quoted = serde_json::to_string(&value).unwrap();
                quoted[1..quoted.len() - 1].to_owned()
            };
            let json = format!(r#"{{{HEAD},"resources":[{{"ARN":"{spelt}"}}]}}"#);
            let (record, wanted) = (Record::parse(&json).unwrap(), Wanted::new(Attribute::ResourceName, &value));
            prop_assert!(wanted.is(&record) && wanted.may_be(json.as_bytes()));
        }
    }
}
