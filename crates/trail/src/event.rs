//! Reading: one CloudTrail event, out of foreign bytes.
//!
//! A log record holds what strangers typed (user agents, session names, encryption contexts), and a trail may be damaged, so
//! everything here is read with suspicion: what an event says about itself must have the right type or the whole record is
//! refused with a reason; what a request said is taken where it is text and passed over where it is not. Text is borrowed from
//! the record where that is possible. What an event *means* for a key is `usage`'s business.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use jiff::Timestamp;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// `eventSource` of KMS events.
pub const KMS: &str = "kms.amazonaws.com";

/// The largest record we read. AWS cuts its events off at 256 KB (CloudTrail User Guide, "Quotas"), so more is no event.
pub const MAX_RECORD_BYTES: usize = 1 << 20;

/// Why a record could not be read.
#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
pub enum Error {
    /// The record is larger than any event.
    #[error("the record has {bytes} bytes, more than the {MAX_RECORD_BYTES} that any event may have")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The record is not a JSON object.
    #[error("the record is not a JSON object")]
    NotAnObject,
    /// The record is broken JSON.
    #[error("the record is not JSON: {0}")]
    Syntax(
        #[source]
        #[serde(with = "as_text")]
        serde_json::Error,
    ),
    /// The record is JSON, but a member is missing or has the wrong type.
    #[error("the record has not the form of a CloudTrail event: {0}")]
    Form(
        #[source]
        #[serde(with = "as_text")]
        serde_json::Error,
    ),
}

/// One event: the members that this crate draws conclusions from.
///
/// Members that AWS leaves out, or writes as `null`, are `None`. `eventSource`, `eventName` and `eventTime` must be there.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event<'a> {
    /// Who called.
    #[serde(borrow, default, deserialize_with = "or_null")]
    pub user_identity: UserIdentity<'a>,
    /// When.
    pub event_time: Timestamp,
    /// Which service was called: `kms.amazonaws.com`.
    #[serde(borrow)]
    pub event_source: Text<'a>,
    /// Which operation: `Decrypt`.
    #[serde(borrow)]
    pub event_name: Text<'a>,
    /// In which Region.
    #[serde(borrow)]
    pub aws_region: Option<Text<'a>>,
    /// The caller's address, or the service that called on its behalf.
    #[serde(borrow, rename = "sourceIPAddress")]
    pub source_ip_address: Option<Text<'a>>,
    /// The caller's program, as it named itself.
    #[serde(borrow)]
    pub user_agent: Option<Text<'a>>,
    /// The error code of a refused call; absent from successes.
    #[serde(borrow)]
    pub error_code: Option<Text<'a>>,
    /// The error text of a refused call.
    #[serde(borrow)]
    pub error_message: Option<Text<'a>>,
    /// What was asked.
    #[serde(borrow)]
    pub request_parameters: Option<RequestParameters<'a>>,
    /// What was answered.
    #[serde(borrow)]
    pub response_elements: Option<ResponseElements<'a>>,
    /// What only this event source adds, as it stands in the record.
    #[serde(borrow)]
    pub additional_event_data: Option<&'a RawValue>,
    /// The ID that the caller was told.
    #[serde(borrow, rename = "requestID")]
    pub request_id: Option<Text<'a>>,
    /// The event's own ID: the same in every delivery of it.
    #[serde(borrow, rename = "eventID")]
    pub event_id: Option<Text<'a>>,
    /// Whether the operation changes nothing.
    pub read_only: Option<bool>,
    /// What the call was about.
    #[serde(borrow, default, deserialize_with = "or_null")]
    pub resources: Vec<Resource<'a>>,
    /// `AwsApiCall`, `AwsServiceEvent`…
    #[serde(borrow)]
    pub event_type: Option<Text<'a>>,
    /// The account that this copy was delivered to.
    #[serde(borrow)]
    pub recipient_account_id: Option<Text<'a>>,
    /// Joins the two events of a call across accounts.
    #[serde(borrow, rename = "sharedEventID")]
    pub shared_event_id: Option<Text<'a>>,
    /// What a service event tells of itself.
    #[serde(borrow)]
    pub service_event_details: Option<ServiceEventDetails<'a>>,
}

/// serde_json's error written down as its text, of which it makes the same error again, place and all.
mod as_text {
    use serde::de::{Deserialize as _, Deserializer, Error as _};
    use serde::ser::Serializer;

    pub(super) fn serialize<S: Serializer>(error: &serde_json::Error, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(error)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(text: D) -> Result<serde_json::Error, D::Error> {
        String::deserialize(text).map(serde_json::Error::custom)
    }
}

impl<'a> Event<'a> {
    /// Reads one event of any service.
    ///
    /// # Errors
    /// [`Error`] where the bytes are too many, no JSON object, or an object without an event's members.
    pub fn parse(json: &'a [u8]) -> Result<Event<'a>, Error> {
        object(json)
    }

    /// Reads one event if it is of KMS; `None` for an event of another service, even if the rest of it is malformed.
    ///
    /// # Errors
    /// [`Error`] where the record cannot be read, so that it may be an event of KMS.
    pub fn parse_kms(json: &'a [u8]) -> Result<Option<Event<'a>>, Error> {
        let whole = match object::<Event<'a>>(json) {
            Ok(event) => return Ok((&*event.event_source == KMS).then_some(event)),
            Err(error) => error,
        };
        match object::<Origin<'a>>(json) {
            Ok(origin) if origin.is_of_another_service() => Ok(None),
            _ => Err(whole),
        }
    }
}

fn object<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, Error> {
    if json.len() > MAX_RECORD_BYTES {
        return Err(Error::TooLarge { bytes: json.len() });
    }
    // The derived readers would take a list for an object.
    if json.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(Error::NotAnObject);
    }
    // Text that is checked as a whole is not checked piece by piece. Bytes that are no text may stand where nobody looks.
    std::str::from_utf8(json)
        .map_or_else(|_| serde_json::from_slice(json), serde_json::from_str)
        .map_err(|error| if error.is_data() { Error::Form(error) } else { Error::Syntax(error) })
}

/// The least that tells whether a malformed record could be an event of KMS.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Origin<'a> {
    #[serde(borrow, default)]
    event_source: Loose<'a>,
    #[serde(borrow, default)]
    event_category: Loose<'a>,
}

impl Origin<'_> {
    fn is_of_another_service(&self) -> bool {
        // Insight events name the service inside `insightDetails`; they count calls, they are not calls.
        self.event_source.as_deref().is_some_and(|source| source != KMS)
            || self.event_category.as_deref() == Some("Insight")
    }
}

/// Who called.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UserIdentity<'a> {
    /// `Root`, `IAMUser`, `AssumedRole`, `AWSService`, `AWSAccount`…
    #[serde(borrow, rename = "type")]
    pub kind: Option<Text<'a>>,
    /// The caller's unique ID; of a session with `:` and its name behind.
    #[serde(borrow)]
    pub principal_id: Option<Text<'a>>,
    /// The caller's ARN; of a role, its session's.
    #[serde(borrow)]
    pub arn: Option<Text<'a>>,
    /// The caller's account.
    #[serde(borrow)]
    pub account_id: Option<Text<'a>>,
    /// The IAM user's name.
    #[serde(borrow)]
    pub user_name: Option<Text<'a>>,
    /// The service that called on the caller's behalf.
    #[serde(borrow)]
    pub invoked_by: Option<Text<'a>>,
    /// Where a session comes from.
    #[serde(borrow)]
    pub session_context: Option<SessionContext<'a>>,
}

/// Where a session comes from.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionContext<'a> {
    /// The role or user that the session was made from; an empty object for sessions of users.
    #[serde(borrow)]
    pub session_issuer: Option<SessionIssuer<'a>>,
}

/// The role or user that a session was made from.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionIssuer<'a> {
    /// Its ARN: the name that stays the same from session to session.
    #[serde(borrow)]
    pub arn: Option<Text<'a>>,
}

/// What a call was about.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Resource<'a> {
    /// The resource's ARN.
    #[serde(borrow, rename = "ARN")]
    pub arn: Option<Text<'a>>,
    /// `AWS::KMS::Key`, `AWS::KMS::Alias`…
    #[serde(borrow, rename = "type")]
    pub kind: Option<Text<'a>>,
    /// The account that owns it.
    #[serde(borrow, rename = "accountId")]
    pub account_id: Option<Text<'a>>,
}

/// What was asked: the members that name keys, aliases and dependents.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestParameters<'a> {
    /// The key as the caller named it: ID, ARN, alias name or alias ARN.
    #[serde(borrow)]
    pub key_id: Loose<'a>,
    /// ReEncrypt: the key that the ciphertext was made with.
    #[serde(borrow)]
    pub source_key_id: Loose<'a>,
    /// ReEncrypt: the key that the new ciphertext is made with.
    #[serde(borrow)]
    pub destination_key_id: Loose<'a>,
    /// CreateAlias, UpdateAlias: the key that the alias is to point to.
    #[serde(borrow)]
    pub target_key_id: Loose<'a>,
    /// CreateAlias, UpdateAlias, DeleteAlias: the alias.
    #[serde(borrow)]
    pub alias_name: Loose<'a>,
    /// The encryption context.
    #[serde(borrow)]
    pub encryption_context: Context<'a>,
    /// ReEncrypt: the context of the old ciphertext.
    #[serde(borrow)]
    pub source_encryption_context: Context<'a>,
    /// ReEncrypt: the context of the new ciphertext.
    #[serde(borrow)]
    pub destination_encryption_context: Context<'a>,
    /// CreateGrant: what the grant is limited to.
    #[serde(borrow)]
    pub constraints: Option<Constraints<'a>>,
}

/// What a grant is limited to.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Constraints<'a> {
    /// Pairs that each context must hold.
    #[serde(borrow)]
    pub encryption_context_subset: Context<'a>,
    /// Pairs that each context must be.
    #[serde(borrow)]
    pub encryption_context_equals: Context<'a>,
}

/// What was answered: the members that name keys.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResponseElements<'a> {
    /// The key, mostly by its ARN.
    #[serde(borrow)]
    pub key_id: Loose<'a>,
    /// CreateKey: the key that was made.
    #[serde(borrow)]
    pub key_metadata: Option<KeyMetadata<'a>>,
    /// ReplicateKey: the replica that was made.
    #[serde(borrow)]
    pub replica_key_metadata: Option<KeyMetadata<'a>>,
}

/// A key as CreateKey and ReplicateKey describe it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct KeyMetadata<'a> {
    /// Its ARN.
    #[serde(borrow)]
    pub arn: Loose<'a>,
}

/// What a service event tells of itself.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceEventDetails<'a> {
    /// The key, by its bare ID.
    #[serde(borrow)]
    pub key_id: Loose<'a>,
}

/// Text that must be text: any other type makes the record malformed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// Text where there is text: a value of any other type counts as absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loose<'a>(Option<Cow<'a, str>>);

impl Loose<'_> {
    /// The text, if there is any.
    pub fn as_deref(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Loose<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Loose<'a>, D::Error> {
        deserializer.deserialize_any(LooseVisitor)
    }
}

struct LooseVisitor;

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = Loose<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Loose<'de>, E> {
        Ok(Loose(Some(Cow::Borrowed(text))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Loose<'de>, E> {
        Ok(Loose(Some(Cow::Owned(text.to_owned()))))
    }

    fn visit_unit<E>(self) -> Result<Loose<'de>, E> {
        Ok(Loose(None))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Loose<'de>, E> {
        Ok(Loose(None))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Loose<'de>, E> {
        Ok(Loose(None))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Loose<'de>, E> {
        Ok(Loose(None))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Loose<'de>, E> {
        Ok(Loose(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Loose<'de>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Loose(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Loose<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Loose(None))
    }
}

/// An encryption context: its pairs in the record's order. Anything but an object counts as empty; a value that is not text
/// counts as empty text, so that its key is still seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl Context<'_> {
    /// The pairs.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_ref(), value.as_ref()))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Context<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Context<'a>, D::Error> {
        deserializer.deserialize_any(ContextVisitor)
    }
}

struct ContextVisitor;

impl<'de> Visitor<'de> for ContextVisitor {
    type Value = Context<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Context<'de>, A::Error> {
        let mut pairs = Vec::new();
        while let Some((key, value)) = map.next_entry::<Text<'de>, Loose<'de>>()? {
            pairs.push((key.0, value.0.unwrap_or_default()));
        }
        Ok(Context(pairs))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Context<'de>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Context::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Context<'de>, E> {
        Ok(Context::default())
    }

    fn visit_unit<E>(self) -> Result<Context<'de>, E> {
        Ok(Context::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Context<'de>, E> {
        Ok(Context::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Context<'de>, E> {
        Ok(Context::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Context<'de>, E> {
        Ok(Context::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Context<'de>, E> {
        Ok(Context::default())
    }
}

/// `null` is what absence is.
fn or_null<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = r#""eventTime":"2026-01-02T03:04:05Z","eventSource":"kms.amazonaws.com","eventName":"Decrypt""#;

    fn with(members: &str) -> String {
        format!("{{{LEAST}{members}}}")
    }

    fn refusal(json: &str) -> String {
        Event::parse_kms(json.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn the_least_event_is_three_members() {
        let json = with("");
        let event = Event::parse(json.as_bytes()).unwrap();
        assert_eq!((&*event.event_source, &*event.event_name), (KMS, "Decrypt"));
        assert_eq!(event.event_time.to_string(), "2026-01-02T03:04:05Z");
        assert!(event.resources.is_empty() && event.event_id.is_none());
    }

    #[test]
    fn text_is_borrowed_unless_it_is_escaped() {
        let json = with(r#","userAgent":"plain","errorMessage":"a\tb","awsRegion":"\u0065u-west-1""#);
        let event = Event::parse(json.as_bytes()).unwrap();
        assert!(matches!(event.user_agent, Some(Text(Cow::Borrowed("plain")))));
        assert_eq!(event.error_message.as_deref(), Some("a\tb"));
        assert_eq!(event.aws_region.as_deref(), Some("eu-west-1"));
    }

    #[test]
    fn null_is_absent() {
        let json = with(
            r#","resources":null,"errorCode":null,"requestParameters":null,"responseElements":null,"readOnly":null,"sharedEventID":null"#,
        );
        let event = Event::parse(json.as_bytes()).unwrap();
        assert!(event.resources.is_empty() && event.error_code.is_none() && event.request_parameters.is_none());
    }

    #[test]
    fn what_an_event_says_of_itself_must_have_its_type() {
        for member in [
            r#""eventID":7"#,
            r#""errorCode":["x"]"#,
            r#""resources":"x""#,
            r#""resources":[{"ARN":7}]"#,
            r#""userIdentity":"me""#,
            r#""requestParameters":"x""#,
            r#""readOnly":"yes""#,
            r#""eventName":"twice""#,
        ] {
            assert!(refusal(&with(&format!(",{member}"))).contains("has not the form"), "{member}");
        }
        assert!(refusal(r#"{"eventSource":"kms.amazonaws.com","eventName":"Decrypt"}"#).contains("eventTime"));
        assert!(refusal(r#"{"eventTime":"soon","eventSource":"kms.amazonaws.com","eventName":"x"}"#).contains("form"));
    }

    #[test]
    fn what_a_request_said_may_be_anything() {
        let json = with(
            r#","requestParameters":{"keyId":{"a":[1]},"sourceKeyId":7,"encryptionContext":[1],"targetKeyId":-1.5,
            "destinationEncryptionContext":{"a":"b","c":{"d":null},"e":false},"constraints":null,"aliasName":true}"#,
        );
        let event = Event::parse(json.as_bytes()).unwrap();
        let request = event.request_parameters.unwrap();
        assert_eq!(request.key_id.as_deref(), None);
        assert_eq!(request.encryption_context.pairs().count(), 0);
        let pairs: Vec<_> = request.destination_encryption_context.pairs().collect();
        assert_eq!(pairs, [("a", "b"), ("c", ""), ("e", "")]);
    }

    #[test]
    fn hostile_records_are_refused_with_a_reason() {
        assert!(refusal("").contains("not a JSON object"));
        assert!(refusal("[1]").contains("not a JSON object"));
        assert!(refusal(r#"{"eventSource":"kms.amazonaws.com""#).contains("not JSON"));
        assert!(refusal(&with(r#","userAgent":"\ud800""#)).contains("not JSON"));
        assert!(refusal(&with(&format!(r#","userAgent":"{}""#, "x".repeat(MAX_RECORD_BYTES)))).contains("bytes"));
        let mut bad_utf8 = with(r#","userAgent":"x""#).into_bytes();
        let at = bad_utf8.len() - 3;
        bad_utf8[at] = 0xff;
        assert!(Event::parse_kms(&bad_utf8).is_err());
    }

    #[test]
    fn depth_costs_nothing_where_we_do_not_look_and_is_refused_where_we_do() {
        let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
        let ignored = with(&format!(r#","else":{}"#, deep("[", "]")));
        assert!(Event::parse(ignored.as_bytes()).is_ok());
        let looked_at = with(&format!(r#","requestParameters":{{"keyId":{}}}"#, deep("[", "]")));
        assert!(Event::parse(looked_at.as_bytes()).is_ok());
        let identity = with(&format!(r#","userIdentity":{}"#, deep(r#"{"a":"#, "}")));
        assert!(Event::parse(identity.as_bytes()).is_ok());
        let list = with(&format!(r#","resources":{}"#, deep("[", "]")));
        assert!(Event::parse(list.as_bytes()).is_err());
    }

    #[test]
    fn only_what_may_be_of_kms_is_worth_a_refusal() {
        let other = r#"{"eventSource":"s3.amazonaws.com","eventName":7,"resources":"kms.amazonaws.com"}"#;
        assert!(Event::parse_kms(other.as_bytes()).unwrap().is_none());
        let insight = r#"{"eventCategory":"Insight","insightDetails":{"eventSource":"kms.amazonaws.com"}}"#;
        assert!(Event::parse_kms(insight.as_bytes()).unwrap().is_none());
        assert!(Event::parse_kms(br#"{"eventName":"Decrypt"}"#).is_err());
    }
}
