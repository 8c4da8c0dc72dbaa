//! What sealing and looking up read of a record; everything else in it is carried as it is.

use serde::Deserialize;
use std::borrow::Cow;

/// What names the log file that a record belongs in.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Filing<'a> {
    #[serde(borrow)]
    pub(super) event_time: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) aws_region: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) recipient_account_id: Option<Cow<'a, str>>,
}

/// What a lookup asks for and answers with, beside the record itself.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event<'a> {
    #[serde(borrow)]
    pub(super) event_time: Cow<'a, str>,
    #[serde(borrow, rename = "eventID")]
    pub(super) event_id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) aws_region: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) recipient_account_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) event_name: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) event_source: Cow<'a, str>,
    pub(super) read_only: Option<bool>,
    #[serde(borrow)]
    user_identity: Option<Identity<'a>>,
    #[serde(borrow)]
    resources: Option<Vec<Named<'a>>>,
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
pub(super) struct Named<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "ARN")]
    pub(super) name: Option<Cow<'a, str>>,
}

impl Event<'_> {
    /// The name that Event history shows: a user's name, `root`, the session of an assumed role; `None` for services.
    ///
    /// Source: CloudTrail API Reference, LookupEvents, and the `userIdentity` element of the CloudTrail User Guide.
    pub(super) fn username(&self) -> Option<&str> {
        let identity = self.user_identity.as_ref()?;
        match identity.kind.as_deref() {
            Some("Root") => Some("root"),
            Some("AssumedRole" | "FederatedUser") => identity.arn.as_deref()?.rsplit('/').next(),
            _ => identity.user_name.as_deref(),
        }
    }

    pub(super) fn access_key_id(&self) -> Option<&str> {
        self.user_identity.as_ref()?.access_key_id.as_deref()
    }

    pub(super) fn resources(&self) -> &[Named<'_>] {
        self.resources.as_deref().unwrap_or_default()
    }
}
