//! What was seen at one moment: everything the procedure is allowed to decide from.
//!
//! The operator fills it from the AWS API; nothing here is fetched, guessed or defaulted. A question that was not answered is
//! [`Seen::Unknown`] with its [`Gap`]: not seen is not absent. The whole of it is serialised and kept by its digest, so that a
//! decision can be replayed from what it saw.

use api::{KeyArn, Region, Timestamp};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::span::Span;
use crate::{Verdict, text};
use api::Class;
use trail::usage::{Failure, Weight};

/// Most usage rows an observation holds; who has more marks the source's span as a hole. (Ours.)
pub const MAX_ROWS: usize = 10_000;
/// Most attempts and changes an observation holds; the newest are kept. (Ours.)
pub const MAX_EVENTS: usize = 1_000;

/// How much was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Depth {
    /// Enough to guard a key: its state, policies and grants, attempts, changes, probes.
    Watch,
    /// Enough to assess: also usage over the whole look-back, from every source.
    Full,
}

/// An answer, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seen<T> {
    /// It was asked, and this is the whole answer.
    Seen(T),
    /// It could not be seen; never to be read as "nothing".
    Unknown(Gap),
}

impl<T> Seen<T> {
    /// The answer, if there is one. Who calls this says what a missing one means.
    pub fn seen(&self) -> Option<&T> {
        match self {
            Seen::Seen(value) => Some(value),
            Seen::Unknown(_) => None,
        }
    }

    /// Why there is no answer.
    pub fn gap(&self) -> Option<&Gap> {
        match self {
            Seen::Seen(_) => None,
            Seen::Unknown(gap) => Some(gap),
        }
    }
}

/// Why something was not seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gap {
    /// AWS refused: the IAM action that was missing, and AWS's message.
    Denied {
        /// The IAM action: `kms:ListGrants`.
        action: String,
        /// AWS's text.
        message: String,
    },
    /// The call failed otherwise: AWS's code, or the transport's words.
    Failed {
        /// The operation: `ListGrants`.
        operation: String,
        /// AWS's error code, or a class such as `timeout`.
        code: String,
        /// The text with it.
        message: String,
    },
    /// Nothing asked: the source is not configured, or this depth does not ask it.
    NotAsked,
    /// More came than [`MAX_ROWS`] or [`MAX_EVENTS`]; the rest was not kept.
    TooMuch,
    /// Nothing kept reaches that far: retention ended.
    BeyondRetention,
    /// The source says itself that it did not see: excluded, stopped, not delivered.
    NotRecorded {
        /// What the source says: `trail excludes kms.amazonaws.com`.
        why: String,
    },
    /// What came could not be read: a corrupt file, an event that is no event.
    Unreadable {
        /// What could not be read: a path or an event id.
        what: String,
    },
}

/// What was seen of one key at one moment.
///
/// Lists are sorted and without duplicates (events by `event_id`), so that equal worlds have equal digests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// When the looking began; everything in here is at least this fresh, unless it says otherwise.
    pub at: Timestamp,
    /// How much was looked at.
    pub depth: Depth,
    /// The key. Its account and Region are where everything was looked for.
    #[serde(with = "text")]
    pub arn: KeyArn,
    /// Who looked, and would act: the stable ARN of the caller (a role's ARN, not its session's). STS GetCallerIdentity.
    pub operator: String,
    /// The service's clock less ours, from the `Date` header of an answer.
    pub clock_skew: Seen<SignedDuration>,
    /// DescribeKey.
    pub key: Seen<Presence>,
    /// ListKeyPolicies and GetKeyPolicy of each.
    pub policies: Seen<Vec<NamedPolicy>>,
    /// ListGrants to its end.
    pub grants: Seen<Vec<GrantFacts>>,
    /// ListAliases for the key: names with `alias/`.
    pub aliases: Seen<Vec<String>>,
    /// ListResourceTags.
    pub tags: Seen<Vec<Tag>>,
    /// GetKeyLastUsage.
    pub last_usage: Seen<LastUsage>,
    /// Who used the key, from all event sources together. Calls of our own ([`crate::Own`]) are not in it.
    pub usage: Vec<UsageRow>,
    /// Which event sources were asked, and what each could see. Usage outside their spans is unknown.
    pub sources: Vec<SourceSeen>,
    /// Calls that touched the key since [`crate::Case::watch_since`], or within the quiet window where the case watches nothing
    /// yet: failed and successful. Each observation holds all of them again, not only the new ones. Our own ([`crate::Own`]) may be
    /// left out.
    pub attempts: Vec<Attempt>,
    /// Changes of the key's state, policy, grants or aliases in the same time, our own too.
    pub changes: Vec<ControlChange>,
    /// Probes of ours that came back through the event source; those in [`crate::Case::outstanding`] are enough.
    pub probes: Vec<ProbeSighting>,
    /// ARNs of keys that protect the evidence itself: trails, their buckets, our journal.
    pub evidence_keys: Seen<Vec<String>>,
    /// The other members of a multi-Region family, as far as they were assessed.
    pub siblings: Vec<Sibling>,
}

impl Observation {
    /// The digest under which this observation is kept.
    pub fn digest(&self) -> Digest {
        Digest::of_value(self)
    }
}

/// Whether DescribeKey found the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// It is there.
    Present(KeyFacts),
    /// `NotFoundException`.
    Gone,
}

/// What DescribeKey says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyFacts {
    /// KeyState, with the data that belongs to it.
    pub state: KeyState,
    /// CreationDate.
    pub created: Timestamp,
    /// Whether KeyManager is `CUSTOMER`. Keys of AWS are never ours to delete.
    pub customer_managed: bool,
    /// KeyUsage: `ENCRYPT_DECRYPT`.
    pub usage: String,
    /// KeySpec: `SYMMETRIC_DEFAULT`.
    pub spec: String,
    /// Origin: `AWS_KMS`.
    pub origin: String,
    /// ARNs of the other members of the multi-Region family; empty for a single-Region key.
    pub family: Vec<String>,
}

impl KeyFacts {
    /// Whether the key has a public half that encrypts, or that secrets are agreed on with: its holders need no KMS, and nothing
    /// records them.
    pub fn encrypts_in_public(&self) -> bool {
        match self.usage.as_str() {
            "ENCRYPT_DECRYPT" => self.spec != "SYMMETRIC_DEFAULT",
            "KEY_AGREEMENT" | "ENCAPSULATE_DECAPSULATE" => true,
            _ => false,
        }
    }
}

/// KeyState in AWS's spelling; a state carries only its own data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyState {
    /// Made, not yet usable.
    Creating,
    /// Usable.
    Enabled,
    /// Not usable, intact.
    Disabled,
    /// Deleted when its date has passed.
    PendingDeletion {
        /// DeletionDate; the deletion may happen up to 24 hours later.
        deletion_date: Timestamp,
    },
    /// Its material has not been imported, or has expired.
    PendingImport,
    /// A primary whose waiting period has not begun, because replicas are left.
    PendingReplicaDeletion,
    /// Its custom key store is not connected.
    Unavailable,
    /// Its primary Region is being changed.
    Updating,
}

impl KeyState {
    /// AWS's spelling.
    pub fn as_str(&self) -> &'static str {
        match self {
            KeyState::Creating => "Creating",
            KeyState::Enabled => "Enabled",
            KeyState::Disabled => "Disabled",
            KeyState::PendingDeletion { .. } => "PendingDeletion",
            KeyState::PendingImport => "PendingImport",
            KeyState::PendingReplicaDeletion => "PendingReplicaDeletion",
            KeyState::Unavailable => "Unavailable",
            KeyState::Updating => "Updating",
        }
    }
}

/// A key policy by name: `default`, and where a resource share made one, `AWS_RAM`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NamedPolicy {
    /// PolicyName.
    pub name: String,
    /// The document as text.
    pub text: String,
}

/// One grant of ListGrants.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GrantFacts {
    /// GrantId.
    pub id: String,
    /// GranteePrincipal or GranteeServicePrincipal.
    pub grantee: String,
    /// IssuingAccount, as AWS gives it.
    pub issuing_account: Option<String>,
    /// RetiringPrincipal.
    pub retiring: Option<String>,
    /// Operations, sorted.
    pub operations: Vec<String>,
    /// CreationDate.
    pub created: Option<Timestamp>,
    /// What the constraints name: `aws:ebs:id=vol-…`, SourceArn.
    pub constraints: Vec<String>,
}

/// One tag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tag {
    /// TagKey.
    pub key: String,
    /// TagValue.
    pub value: String,
}

/// What GetKeyLastUsage says: successful cryptographic operations only, the last one only, up to an hour late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastUsage {
    /// TrackingStartDate: nothing is known from before.
    pub tracking_start: Timestamp,
    /// KeyLastUsage, where there is one.
    pub last: Option<LastUse>,
}

/// The last successful use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastUse {
    /// Timestamp.
    pub at: Timestamp,
    /// Operation.
    pub operation: String,
    /// CloudTrailEventId, which tells who, while event history has it.
    pub event_id: Option<String>,
}

/// What an error in an event said.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EventError {
    /// `errorCode`: `DisabledException`.
    pub code: String,
    /// `errorMessage`; empty where there is none.
    pub message: String,
}

impl EventError {
    /// Why the call was refused, as `trail` reads code and message.
    fn failure(&self) -> Failure {
        Failure::of(&self.code, Some(&self.message))
    }

    /// Whether KMS refused because the key is disabled or waits for deletion: somebody needs a key that cannot be used.
    ///
    /// `is not pending deletion` is no use: that is CancelKeyDeletion of a live key. Source: procedure.md 10.1.
    pub fn is_key_state(&self) -> bool {
        matches!(self.failure(), Failure::Disabled | Failure::PendingDeletion | Failure::InvalidState)
    }

    /// Whether the refusal leaves it open that the caller needs the key: it may not call, or only asked.
    pub fn is_suspect(&self) -> bool {
        self.failure().weight() == Weight::Suspected
    }

    /// Whether the refusal says nothing about need.
    pub fn is_no_use(&self) -> bool {
        self.failure().weight() == Weight::NoUse
    }
}

/// Use of the key by one principal, one operation, one error, and for one set of dependents.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UsageRow {
    /// The stable name of who called: a role's ARN, a user's ARN, a service's name.
    pub principal: String,
    /// The caller's account, where the event names one.
    pub account: Option<String>,
    /// `eventName`.
    pub operation: String,
    /// What the operation does with this key, as `trail` reads it.
    pub class: Class,
    /// The error, where all the calls of this row failed with it. The message is that of a sample.
    pub error: Option<EventError>,
    /// Resources that the encryption context names, sorted.
    pub dependents: Vec<String>,
    /// How many events.
    pub count: u64,
    /// `eventTime` of the first.
    pub first: Timestamp,
    /// `eventTime` of the last.
    pub last: Timestamp,
    /// Start of each UTC day with such an event, sorted, where the source tells; at most one for each day of the look-back.
    pub days: Vec<Timestamp>,
    /// `eventID` of a few of them, so that a reader can look.
    pub samples: Vec<String>,
}

/// Where events come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// CloudTrail LookupEvents: 90 days, own account and Region.
    EventHistory,
    /// CloudTrail files: a folder or a bucket.
    Archive,
}

/// What one event source could see, in one account and Region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceSeen {
    /// Which source.
    pub source: Source,
    /// The account whose events it holds.
    pub account: String,
    /// The Region whose events it holds.
    #[serde(with = "text")]
    pub region: Region,
    /// What was asked, for the report: the call with its parameters, or the path.
    pub query: String,
    /// The time that was read to its end.
    pub spans: Vec<Span>,
    /// Time within or beside the spans that the source is known not to have seen.
    pub holes: Vec<Hole>,
    /// Each hour (its start, UTC) in which the source shows at least one *read-only* KMS event of any key: sorted, unique. It is
    /// read events that show coverage, because Encrypt and Decrypt are read events, and a trail may hold writes only.
    pub background: Vec<Timestamp>,
}

/// A time that a source did not see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hole {
    /// When.
    pub span: Span,
    /// Why.
    pub why: Gap,
}

/// One call that touched the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// `eventID`.
    pub event_id: String,
    /// `eventTime`.
    pub at: Timestamp,
    /// The stable name of who called.
    pub principal: String,
    /// `eventName`.
    pub operation: String,
    /// What the operation does with this key, as `trail` reads it.
    pub class: Class,
    /// The error; a call without one succeeded.
    pub error: Option<EventError>,
    /// `requestID`.
    pub request_id: Option<String>,
    /// Resources that the encryption context names, sorted.
    pub dependents: Vec<String>,
    /// The value of `quietus:probe` in the encryption context: what the caller says, not proof of who it is.
    pub probe: Option<String>,
    /// `sourceIPAddress`, for people who have to find the caller.
    pub source_ip: Option<String>,
    /// `userAgent`, likewise.
    pub user_agent: Option<String>,
}

/// A change of the key that took effect: EnableKey, PutKeyPolicy, UpdateAlias, DeleteKey, …
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlChange {
    /// `eventID`.
    pub event_id: String,
    /// `eventTime`.
    pub at: Timestamp,
    /// The stable name of who changed it; `AWS Internal` for service events.
    pub principal: String,
    /// `eventName`.
    pub operation: String,
    /// `requestID`.
    pub request_id: Option<String>,
}

/// A probe of ours that came back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProbeSighting {
    /// The probe.
    pub probe: String,
    /// `eventTime` of its event.
    pub event_at: Timestamp,
    /// `eventID` of its event.
    pub event_id: String,
}

/// Another member of the multi-Region family.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sibling {
    /// Its ARN.
    pub arn: String,
    /// Its own verdict, where it was assessed.
    pub verdict: Option<Verdict>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wording_of_a_refused_use_is_recognised() {
        let error = |code: &str, message: &str| EventError { code: code.into(), message: message.into() };
        let key = "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
        for text in [
            "is disabled.",
            "is pending deletion.",
            "is pending deletion (or pending replica deletion).",
            "is pending replica deletion.",
        ] {
            for code in ["DisabledException", "KMSInvalidStateException"] {
                assert!(error(code, &format!("{key} {text}")).is_key_state(), "{code} {text}");
            }
        }
        for text in ["is not pending deletion (or pending replica deletion).", "is pending import."] {
            assert!(!error("KMSInvalidStateException", &format!("{key} {text}")).is_key_state(), "{text}");
        }
        assert!(error("AccessDenied", "").is_suspect());
    }
}
