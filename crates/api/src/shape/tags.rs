//! TagResource, UntagResource; ListResourceTags is a [`super::policies::ListOfKey`].

use std::borrow::Cow;

use serde::Serialize;

use super::KEY_ID;
use crate::validate::{Presence, Reader, Request};

/// Most tags in one request that we read; the rule of 50 for a key has a text of its own.
const MOST_TAGS: usize = 1000;

pub(super) fn read<'a>(reader: &Reader<'_, 'a>, presence: Presence) -> Vec<(Cow<'a, str>, Cow<'a, str>)> {
    reader.pairs("Tags", presence, 0..=MOST_TAGS, [("TagKey", 1..=128), ("TagValue", 0..=256)])
}

/// TagResource.
#[derive(Debug)]
pub struct TagResource<'a> {
    /// The key as the caller named it.
    pub key: Cow<'a, str>,
    /// Tags, not yet checked beyond their lengths.
    pub tags: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Request<'a> for TagResource<'a> {
    fn read(reader: &Reader<'_, 'a>) -> TagResource<'a> {
        TagResource { key: reader.required_text("KeyId", KEY_ID, None), tags: read(reader, Presence::Required) }
    }
}

/// UntagResource.
#[derive(Debug)]
pub struct UntagResource<'a> {
    /// The key as the caller named it.
    pub key: Cow<'a, str>,
    /// The tags to take away; those that are not there are ignored.
    pub tag_keys: Vec<Cow<'a, str>>,
}

impl<'a> Request<'a> for UntagResource<'a> {
    fn read(reader: &Reader<'_, 'a>) -> UntagResource<'a> {
        UntagResource {
            key: reader.required_text("KeyId", KEY_ID, None),
            tag_keys: reader.texts("TagKeys", Presence::Required, 0..=MOST_TAGS, 1..=128),
        }
    }
}

/// One tag of ListResourceTags.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tag {
    /// 1 to 128 characters.
    pub tag_key: String,
    /// 0 to 256 characters.
    pub tag_value: String,
}
