//! ReplicateKey, UpdatePrimaryRegion.
//!
//! The members of a family share key ID, material, spec, usage and origin; a replica is a copy of its primary in these, and a key of
//! its own in everything else: policy, tags, aliases, description, state, last use.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::shape::multi_region::{ReplicateKey, Replicated, UpdatePrimaryRegion};
use api::shape::tags::Tag;
use api::{Fault, KeyArn, Region};
use lifecycle::{Command, State};
use serde_json::json;

use super::{keys, lifecycle as life, policies, tags};
use crate::authorize::{self, Asks};
use crate::decide::{Asked, Change, Done};
use crate::fault::{already_a_member, limit_exceeded, no_such_key, not_a_primary, not_a_region};
use crate::record;
use crate::shared;
use crate::state::{Family, Key, Name, Origin, encode_family, encode_key, member};

/// Members of one family. AWS has fewer Regions; here every well-formed name is one, and what a family shares is written for all
/// members in one batch.
const FAMILY_MEMBERS: usize = 64;

pub(super) fn replicate_key(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: ReplicateKey<'_> = asked.request()?;
    let region = region(asked, &request.replica_region)?;
    let asks = Asks {
        replica_region: Some(region),
        bypass_lockout_check: Some(request.bypass_lockout_check),
        request_tags: &request.tags,
        ..Asks::default()
    };
    let primary = asked.key(&request.key, asks)?;
    let family = led_by(asked, &primary.arn)?;
    authorize::in_account(asked.call, "kms:CreateKey", "*")?;
    let arn = member(primary.arn, region);
    if family.contains(region) {
        return Err(already_a_member(&arn));
    }
    if family.len() >= FAMILY_MEMBERS {
        return Err(limit_exceeded(format!("A multi-Region key may have at most {} replicas.", FAMILY_MEMBERS - 1)));
    }
    let tags = tags::merged(&BTreeMap::new(), &request.tags)?;
    keys::check_quota(asked, arn.account, region)?;
    let policy_text = match request.policy {
        Some(policy) => policy.into_owned(),
        None => policy::default_key_policy(arn.account, region.partition()),
    };
    let policy = policies::accepted(&policy_text)?;
    let state = State::of_new_replica(asked.call.now, primary.origin == Origin::External);
    // What is named here is the replica's own; all else is shared. Imported material is imported into each member.
    let replica = Key {
        arn,
        created: asked.call.now,
        description: request.description.into_owned(),
        state,
        policy_text,
        policy,
        tags,
        material: Vec::new(),
        next_material: None,
        live: Arc::default(),
        ..Key::clone(&primary)
    };
    let replica = shared::follow(replica, &primary);
    policies::check_lockout(asked, &replica, asks)?;

    let family = family.with(region);
    let metadata = keys::metadata(asked.state, &replica, Some(&family));
    let shown = keys::recorded(&metadata, &replica);
    let created =
        record::by_kms("CreateKey", arn, asked.call.now, asked.call.request_id, &json!({ "keyMetadata": shown }));
    let shown = json!({ "replicaKeyMetadata": shown, "replicaPolicy": replica.policy_text });
    let change = Change::on(Name::Key(arn), None)
        .and_on(Name::Key(primary.arn), asked.state.key_version(&primary.arn))
        .put(Name::Key(arn), encode_key(&replica))
        .and(change_family(asked, &arn, &family))
        // Of a replica that was deleted before, nothing is left.
        .delete(Name::Tombstone(arn))
        .delete(Name::LastUse(arn));
    let answer = Replicated {
        replica_key_metadata: metadata,
        replica_policy: replica.policy_text,
        replica_tags: replica.tags.into_iter().map(|(tag_key, tag_value)| Tag { tag_key, tag_value }).collect(),
    };
    Ok(Done::answer(&answer).changing(change).showing(&shown).followed_by(vec![created]))
}

pub(super) fn update_primary_region(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: UpdatePrimaryRegion<'_> = asked.request()?;
    let region = region(asked, &request.primary_region)?;
    let asks = Asks { primary_region: Some(region), ..Asks::default() };
    let old = asked.key(&request.key, asks)?;
    let family = led_by(asked, &old.arn)?;
    if region == old.arn.region {
        return Err(Fault::validation(format!(
            "The primary key is already in {region}; name the Region of a replica."
        )));
    }
    let arn = member(old.arn, region);
    let new = asked.state.key(&arn).filter(|_| family.contains(region)).ok_or_else(|| no_such_key(&arn))?;
    authorize::on_key(asked.state, asked.call, new, asked.call.operation.action, asks)?;
    let (_, demoted) = life::turn(asked, &old, Command::MovePrimary)?;
    let (_, promoted) = life::turn(asked, new, Command::MovePrimary)?;
    let family = family.led_from(region);
    let change = [demoted, promoted].into_iter().flatten().fold(change_family(asked, &arn, &family), Change::and);
    let there = record::elsewhere(
        asked.call,
        arn,
        &json!({ "keyId": arn, "primaryRegion": region.as_str() }),
        &json!({ "keyId": arn }),
    );
    Ok(Done::nothing().changing(change).about(&old.arn).followed_by(vec![there]))
}

/// The Region that a request names: one of the partition that is called, which a family never leaves.
fn region(asked: &Asked<'_>, given: &str) -> Result<Region, Fault> {
    let region: Option<Region> = given.parse().ok();
    let partition = asked.call.region.partition();
    region.filter(|region| region.partition() == partition).ok_or_else(|| not_a_region(given, partition))
}

/// The family that `key` leads.
fn led_by(asked: &Asked<'_>, key: &KeyArn) -> Result<Family, Fault> {
    asked.state.family(key).filter(|family| family.primary == key.region).ok_or_else(|| not_a_primary(key))
}

/// Makes `family` the family of `key`, unless it has changed meanwhile.
fn change_family(asked: &Asked<'_>, key: &KeyArn, family: &Family) -> Change {
    let change = asked.expect_family(key, Change::default());
    change.put(Name::Family(key.account, key.key), encode_family(family))
}
