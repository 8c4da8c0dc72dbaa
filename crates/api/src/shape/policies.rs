//! GetKeyPolicy, PutKeyPolicy, ListKeyPolicies.

use std::borrow::Cow;

use serde::Serialize;

use super::{KEY_ID, Paging};
use crate::validate::{Pattern, Reader, Request};

/// Characters of a policy document.
pub(crate) const POLICY: Pattern = Pattern {
    shown: "[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+",
    accepts: |text| text.chars().all(|c| matches!(c, '\t' | '\n' | '\r') || ('\u{20}'..='\u{ff}').contains(&c)),
};

const POLICY_NAME: Pattern = Pattern {
    shown: "[\\w]+",
    accepts: |text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'),
};

/// GetKeyPolicy.
#[derive(Debug)]
pub struct GetKeyPolicy<'a> {
    /// The key as the caller named it.
    pub key: Cow<'a, str>,
    /// `default` where none is named.
    pub name: Option<Cow<'a, str>>,
}

impl<'a> Request<'a> for GetKeyPolicy<'a> {
    fn read(reader: &Reader<'_, 'a>) -> GetKeyPolicy<'a> {
        GetKeyPolicy {
            key: reader.required_text("KeyId", KEY_ID, None),
            name: reader.text("PolicyName", 1..=128, Some(POLICY_NAME)),
        }
    }
}

/// The answer of GetKeyPolicy.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeyPolicy {
    /// The document, as it was put.
    pub policy: String,
    /// `default`.
    pub policy_name: &'static str,
}

/// PutKeyPolicy.
#[derive(Debug)]
pub struct PutKeyPolicy<'a> {
    /// The key as the caller named it.
    pub key: Cow<'a, str>,
    /// `default` where none is named.
    pub name: Option<Cow<'a, str>>,
    /// The new document.
    pub policy: Cow<'a, str>,
    /// Skip the check that the caller can still change the policy.
    pub bypass_lockout_check: bool,
}

impl<'a> Request<'a> for PutKeyPolicy<'a> {
    fn read(reader: &Reader<'_, 'a>) -> PutKeyPolicy<'a> {
        PutKeyPolicy {
            key: reader.required_text("KeyId", KEY_ID, None),
            name: reader.text("PolicyName", 1..=128, Some(POLICY_NAME)),
            policy: reader.required_text("Policy", 1..=131_072, Some(POLICY)),
            bypass_lockout_check: reader.flag("BypassPolicyLockoutSafetyCheck"),
        }
    }
}

/// ListKeyPolicies, and any other list of one key.
#[derive(Debug)]
pub struct ListOfKey<'a> {
    /// The key as the caller named it.
    pub key: Cow<'a, str>,
    /// Which page.
    pub paging: Paging<'a>,
}

impl<'a> Request<'a> for ListOfKey<'a> {
    fn read(reader: &Reader<'_, 'a>) -> ListOfKey<'a> {
        ListOfKey { key: reader.required_text("KeyId", KEY_ID, None), paging: Paging::read(reader) }
    }
}
