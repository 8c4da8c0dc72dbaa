//! Reading what KMS says about one key: each question on its own, each answer whole or a gap.

use aws_sdk_kms::Client;
use aws_sdk_kms::types::{self, KeyManagerType};
use procedure::observation::{GrantFacts, KeyFacts, LastUsage, LastUse, NamedPolicy, Tag};
use procedure::{Gap, KeyState, Presence, Seen};

use super::timestamp;
use super::trouble::Trouble;

/// Most pages of one list. KMS allows 50,000 grants on a key, 100 a page. Source: AWS KMS Developer Guide, "Resource quotas".
const MAX_PAGES: usize = 500;

/// An answer that lacks what it must hold.
fn incomplete(operation: &str, what: &str) -> Gap {
    Gap::Failed {
        operation: operation.to_owned(),
        code: "unreadable".to_owned(),
        message: format!("the answer has no readable {what}"),
    }
}

fn seen<T>(answer: Result<T, Gap>) -> Seen<T> {
    answer.map_or_else(Seen::Unknown, Seen::Seen)
}

/// DescribeKey.
pub(super) async fn describe(kms: &Client, arn: &str) -> Seen<Presence> {
    match kms.describe_key().key_id(arn).send().await.map_err(Trouble::from) {
        Ok(answer) => seen(match answer.key_metadata() {
            Some(metadata) => facts(metadata).map(Presence::Present),
            None => Err(incomplete("DescribeKey", "KeyMetadata")),
        }),
        Err(trouble) if trouble.is_not_found() => Seen::Seen(Presence::Gone),
        Err(trouble) => Seen::Unknown(trouble.gap("kms", "DescribeKey")),
    }
}

fn facts(metadata: &types::KeyMetadata) -> Result<KeyFacts, Gap> {
    let missing = |what| incomplete("DescribeKey", what);
    let state = metadata.key_state().ok_or_else(|| missing("KeyState"))?;
    let members = metadata.multi_region_configuration().map(|family| {
        let replicas = family.replica_keys().iter().chain(family.primary_key()).filter_map(|member| member.arn());
        let mut others: Vec<String> = replicas.filter(|arn| Some(*arn) != metadata.arn()).map(str::to_owned).collect();
        others.sort_unstable();
        others.dedup();
        others
    });
    Ok(KeyFacts {
        state: self::state(state, metadata)?,
        created: metadata.creation_date().and_then(timestamp).ok_or_else(|| missing("CreationDate"))?,
        customer_managed: metadata.key_manager() == Some(&KeyManagerType::Customer),
        usage: metadata.key_usage().map_or_else(String::new, |usage| usage.as_str().to_owned()),
        spec: metadata.key_spec().map_or_else(String::new, |spec| spec.as_str().to_owned()),
        origin: metadata.origin().map_or_else(String::new, |origin| origin.as_str().to_owned()),
        family: members.unwrap_or_default(),
    })
}

fn state(state: &types::KeyState, metadata: &types::KeyMetadata) -> Result<KeyState, Gap> {
    Ok(match state {
        types::KeyState::Creating => KeyState::Creating,
        types::KeyState::Enabled => KeyState::Enabled,
        types::KeyState::Disabled => KeyState::Disabled,
        types::KeyState::PendingDeletion => KeyState::PendingDeletion {
            deletion_date: metadata
                .deletion_date()
                .and_then(timestamp)
                .ok_or_else(|| incomplete("DescribeKey", "DeletionDate"))?,
        },
        types::KeyState::PendingImport => KeyState::PendingImport,
        types::KeyState::PendingReplicaDeletion => KeyState::PendingReplicaDeletion,
        types::KeyState::Unavailable => KeyState::Unavailable,
        types::KeyState::Updating => KeyState::Updating,
        other => {
            return Err(incomplete("DescribeKey", &format!("KeyState that is known here: it is `{}`", other.as_str())));
        }
    })
}

/// ListKeyPolicies to its end, and GetKeyPolicy of each: `default` is not always the only one.
pub(super) async fn policies(kms: &Client, arn: &str) -> Seen<Vec<NamedPolicy>> {
    seen(read_policies(kms, arn).await)
}

async fn read_policies(kms: &Client, arn: &str) -> Result<Vec<NamedPolicy>, Gap> {
    let mut names = Vec::new();
    let mut marker = None;
    for _ in 0..MAX_PAGES {
        let page = kms.list_key_policies().key_id(arn).set_marker(marker).send().await;
        let page = page.map_err(|error| Trouble::from(error).gap("kms", "ListKeyPolicies"))?;
        names.extend_from_slice(page.policy_names());
        marker = page.next_marker().map(str::to_owned);
        if !page.truncated() || marker.is_none() {
            return read_each(kms, arn, names).await;
        }
    }
    Err(Gap::TooMuch)
}

async fn read_each(kms: &Client, arn: &str, names: Vec<String>) -> Result<Vec<NamedPolicy>, Gap> {
    let mut policies = Vec::with_capacity(names.len());
    for name in names {
        let answer = kms.get_key_policy().key_id(arn).policy_name(&name).send().await;
        let answer = answer.map_err(|error| Trouble::from(error).gap("kms", "GetKeyPolicy"))?;
        let text = answer.policy().ok_or_else(|| incomplete("GetKeyPolicy", "Policy"))?.to_owned();
        policies.push(NamedPolicy { name, text });
    }
    policies.sort();
    Ok(policies)
}

/// ListGrants to its end.
pub(super) async fn grants(kms: &Client, arn: &str) -> Seen<Vec<GrantFacts>> {
    seen(read_grants(kms, arn).await)
}

async fn read_grants(kms: &Client, arn: &str) -> Result<Vec<GrantFacts>, Gap> {
    let mut grants = Vec::new();
    let mut marker = None;
    for _ in 0..MAX_PAGES {
        let page = kms.list_grants().key_id(arn).limit(100).set_marker(marker).send().await;
        let page = page.map_err(|error| Trouble::from(error).gap("kms", "ListGrants"))?;
        grants.extend(page.grants().iter().map(grant));
        marker = page.next_marker().map(str::to_owned);
        if !page.truncated() || marker.is_none() {
            grants.sort();
            return Ok(grants);
        }
    }
    Err(Gap::TooMuch)
}

fn grant(entry: &types::GrantListEntry) -> GrantFacts {
    let grantee = entry.grantee_service_principal().or(entry.grantee_principal()).unwrap_or("unknown");
    let retiring = entry.retiring_service_principal().or(entry.retiring_principal());
    let mut operations: Vec<String> = entry.operations().iter().map(|name| name.as_str().to_owned()).collect();
    operations.sort_unstable();
    GrantFacts {
        id: entry.grant_id().unwrap_or_default().to_owned(),
        grantee: grantee.to_owned(),
        issuing_account: entry.issuing_account().map(str::to_owned),
        retiring: retiring.map(str::to_owned),
        operations,
        created: entry.creation_date().and_then(timestamp),
        constraints: entry.constraints().map(constraints).unwrap_or_default(),
    }
}

fn constraints(constraints: &types::GrantConstraints) -> Vec<String> {
    let pairs = [constraints.encryption_context_subset(), constraints.encryption_context_equals()];
    let pairs = pairs.into_iter().flatten().flatten().map(|(key, value)| format!("{key}={value}"));
    let mut named: Vec<String> = pairs.chain(constraints.source_arn().map(str::to_owned)).collect();
    named.sort_unstable();
    named.dedup();
    named
}

/// ListAliases of the key, to its end: names.
pub(super) async fn aliases(kms: &Client, arn: &str) -> Seen<Vec<String>> {
    seen(read_aliases(kms, arn).await)
}

async fn read_aliases(kms: &Client, arn: &str) -> Result<Vec<String>, Gap> {
    let mut names = Vec::new();
    let mut marker = None;
    for _ in 0..MAX_PAGES {
        let page = kms.list_aliases().key_id(arn).limit(100).set_marker(marker).send().await;
        let page = page.map_err(|error| Trouble::from(error).gap("kms", "ListAliases"))?;
        names.extend(page.aliases().iter().filter_map(|alias| alias.alias_name()).map(str::to_owned));
        marker = page.next_marker().map(str::to_owned);
        if !page.truncated() || marker.is_none() {
            names.sort_unstable();
            names.dedup();
            return Ok(names);
        }
    }
    Err(Gap::TooMuch)
}

/// ListResourceTags to its end.
pub(super) async fn tags(kms: &Client, arn: &str) -> Seen<Vec<Tag>> {
    seen(read_tags(kms, arn).await)
}

async fn read_tags(kms: &Client, arn: &str) -> Result<Vec<Tag>, Gap> {
    let mut tags = Vec::new();
    let mut marker = None;
    for _ in 0..MAX_PAGES {
        let page = kms.list_resource_tags().key_id(arn).set_marker(marker).send().await;
        let page = page.map_err(|error| Trouble::from(error).gap("kms", "ListResourceTags"))?;
        let tag = |tag: &types::Tag| Tag { key: tag.tag_key().to_owned(), value: tag.tag_value().to_owned() };
        tags.extend(page.tags().iter().map(tag));
        marker = page.next_marker().map(str::to_owned);
        if !page.truncated() || marker.is_none() {
            tags.sort();
            tags.dedup();
            return Ok(tags);
        }
    }
    Err(Gap::TooMuch)
}

/// GetKeyLastUsage.
pub(super) async fn last_usage(kms: &Client, arn: &str) -> Seen<LastUsage> {
    seen(read_last_usage(kms, arn).await)
}

async fn read_last_usage(kms: &Client, arn: &str) -> Result<LastUsage, Gap> {
    let answer = kms.get_key_last_usage().key_id(arn).send().await;
    let answer = answer.map_err(|error| Trouble::from(error).gap("kms", "GetKeyLastUsage"))?;
    let missing = |what| incomplete("GetKeyLastUsage", what);
    let tracking_start =
        answer.tracking_start_date().and_then(timestamp).ok_or_else(|| missing("TrackingStartDate"))?;
    // A key without a use has an empty structure, or none.
    let last = match answer.key_last_usage() {
        None => None,
        Some(last) if last.timestamp().is_none() && last.operation().is_none() => None,
        Some(last) => Some(LastUse {
            at: last.timestamp().and_then(timestamp).ok_or_else(|| missing("Timestamp"))?,
            operation: last.operation().map_or("unknown", |operation| operation.as_str()).to_owned(),
            event_id: last.cloud_trail_event_id().map(str::to_owned),
        }),
    };
    Ok(LastUsage { tracking_start, last })
}

/// DescribeTrails: the keys that trails encrypt their files with.
pub(super) async fn trail_keys(trail: &aws_sdk_cloudtrail::Client) -> Seen<Vec<String>> {
    match trail.describe_trails().send().await.map_err(Trouble::from) {
        Err(trouble) => Seen::Unknown(trouble.gap("cloudtrail", "DescribeTrails")),
        Ok(answer) => {
            let keys = answer.trail_list().iter().filter_map(|trail| trail.kms_key_id());
            let mut keys: Vec<String> = keys.map(str::to_owned).collect();
            keys.sort_unstable();
            keys.dedup();
            Seen::Seen(keys)
        }
    }
}
