//! TagResource, UntagResource, ListResourceTags.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use api::Fault;
use api::page::Page;
use api::shape::policies::ListOfKey;
use api::shape::tags::{Tag, TagResource, UntagResource};

use super::listed;
use crate::authorize::Asks;
use crate::decide::{Asked, Done};
use crate::state::Key;

/// Tags of one key. Source: AWS KMS quotas.
const TAGS_PER_KEY: usize = 50;

pub(super) fn tag_resource(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: TagResource<'_> = asked.request()?;
    let key = asked.key(&request.key, Asks { request_tags: &request.tags, ..Asks::default() })?;
    let tags = merged(&key.tags, &request.tags)?;
    let new = Key { tags, ..Key::clone(&key) };
    Ok(Done::nothing().changing(asked.change_key(&key, &new)).about(&key.arn))
}

pub(super) fn untag_resource(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: UntagResource<'_> = asked.request()?;
    let key = asked.key(&request.key, Asks { request_tag_keys: &request.tag_keys, ..Asks::default() })?;
    if request.tag_keys.iter().any(|key| is_reserved(key)) {
        return Err(reserved());
    }
    let mut tags = key.tags.clone();
    tags.retain(|tag, _| !request.tag_keys.iter().any(|gone| gone == tag));
    let new = Key { tags, ..Key::clone(&key) };
    Ok(Done::nothing().changing(asked.change_key(&key, &new)).about(&key.arn))
}

pub(super) fn list_resource_tags(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: ListOfKey<'_> = asked.request()?;
    let page = Page::of(request.paging.limit, 50, request.paging.marker.as_deref())?;
    let key = asked.key(&request.key, Asks::default())?;
    let after = match page.after {
        None => None,
        Some(bytes) => Some(String::from_utf8(bytes).map_err(|_| Fault::bare("InvalidMarkerException"))?),
    };
    let tags = key
        .tags
        .iter()
        .filter(|(tag, _)| after.as_ref().is_none_or(|after| *tag > after))
        .map(|(tag, value)| (tag.clone().into_bytes(), Tag { tag_key: tag.clone(), tag_value: value.clone() }));
    Ok(Done::answer(&listed("Tags", page.limit.min(50), tags)))
}

/// The tags a key has after `more` are put on it.
pub(super) fn merged(
    known: &BTreeMap<String, String>,
    more: &[(Cow<'_, str>, Cow<'_, str>)],
) -> Result<BTreeMap<String, String>, Fault> {
    if more.iter().any(|(key, _)| is_reserved(key)) {
        return Err(reserved());
    }
    let keys: BTreeSet<&str> = more.iter().map(|(key, _)| key.as_ref()).collect();
    if keys.len() < more.len() {
        return Err(Fault::new("TagException", "Duplicate tag keys"));
    }
    let mut tags = known.clone();
    tags.extend(more.iter().map(|(key, value)| (key.to_string(), value.to_string())));
    if tags.len() > TAGS_PER_KEY {
        return Err(Fault::new("TagException", "Too many tags"));
    }
    Ok(tags)
}

fn is_reserved(key: &str) -> bool {
    key.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("aws:"))
}

fn reserved() -> Fault {
    Fault::new("TagException", "Tags beginning with aws: are reserved")
}
