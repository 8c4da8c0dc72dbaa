//! ReplicateKey, UpdatePrimaryRegion.

use std::borrow::Cow;

use serde::Serialize;

use super::keys::KeyMetadata;
use super::tags::{self, Tag};
use super::{KEY_ID, policies};
use crate::validate::{Pattern, Presence, Reader, Request};

/// Two or three words and a number.
const REGION: Pattern = Pattern {
    shown: "^([a-z]+-){2,3}\\d+$",
    accepts: |text| {
        let words: Vec<&str> = text.split('-').collect();
        let named = |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
        let [names @ .., number] = words.as_slice() else { return false };
        matches!(names.len(), 2..=3)
            && names.iter().all(named)
            && !number.is_empty()
            && number.bytes().all(|b| b.is_ascii_digit())
    },
};

/// ReplicateKey.
#[derive(Debug)]
pub struct ReplicateKey<'a> {
    /// The primary as the caller named it.
    pub key: Cow<'a, str>,
    /// Where the replica is to be.
    pub replica_region: Cow<'a, str>,
    /// The replica's key policy; the default one where it is absent.
    pub policy: Option<Cow<'a, str>>,
    /// Skip the check that the caller can still change the policy.
    pub bypass_lockout_check: bool,
    /// The replica's description.
    pub description: Cow<'a, str>,
    /// The replica's tags, not yet checked beyond their lengths.
    pub tags: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Request<'a> for ReplicateKey<'a> {
    fn read(reader: &Reader<'_, 'a>) -> ReplicateKey<'a> {
        ReplicateKey {
            key: reader.required_text("KeyId", KEY_ID, None),
            replica_region: reader.required_text("ReplicaRegion", 1..=32, Some(REGION)),
            policy: reader.text("Policy", 1..=131_072, Some(policies::POLICY)),
            bypass_lockout_check: reader.flag("BypassPolicyLockoutSafetyCheck"),
            description: reader.text("Description", 0..=8192, None).unwrap_or_default(),
            tags: tags::read(reader, Presence::Optional),
        }
    }
}

/// The answer of ReplicateKey: the replica, and what it does not share with its primary.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Replicated {
    /// What the replica is.
    pub replica_key_metadata: KeyMetadata,
    /// Its key policy.
    pub replica_policy: String,
    /// Its tags.
    pub replica_tags: Vec<Tag>,
}

/// UpdatePrimaryRegion.
#[derive(Debug)]
pub struct UpdatePrimaryRegion<'a> {
    /// The primary as the caller named it.
    pub key: Cow<'a, str>,
    /// Where the replica is that becomes the primary.
    pub primary_region: Cow<'a, str>,
}

impl<'a> Request<'a> for UpdatePrimaryRegion<'a> {
    fn read(reader: &Reader<'_, 'a>) -> UpdatePrimaryRegion<'a> {
        UpdatePrimaryRegion {
            key: reader.required_text("KeyId", KEY_ID, None),
            primary_region: reader.required_text("PrimaryRegion", 1..=32, Some(REGION)),
        }
    }
}
