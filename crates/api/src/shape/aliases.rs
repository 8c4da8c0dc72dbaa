//! CreateAlias, UpdateAlias, DeleteAlias, ListAliases.

use std::borrow::Cow;

use serde::Serialize;

use super::{Epoch, KEY_ID, Paging};
use crate::validate::{Pattern, Reader, Request};

const ALIAS_NAME: Pattern = Pattern {
    shown: "^[a-zA-Z0-9:/_-]+$",
    accepts: |text| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b':' | b'/' | b'_' | b'-'))
    },
};

/// CreateAlias and UpdateAlias.
#[derive(Debug)]
pub struct PointAlias<'a> {
    /// The alias, `alias/…`.
    pub alias: Cow<'a, str>,
    /// The key it shall point to.
    pub target: Cow<'a, str>,
}

impl<'a> Request<'a> for PointAlias<'a> {
    fn read(reader: &Reader<'_, 'a>) -> PointAlias<'a> {
        PointAlias {
            alias: reader.required_text("AliasName", 1..=256, Some(ALIAS_NAME)),
            target: reader.required_text("TargetKeyId", KEY_ID, None),
        }
    }
}

/// DeleteAlias.
#[derive(Debug)]
pub struct DeleteAlias<'a> {
    /// The alias, `alias/…`.
    pub alias: Cow<'a, str>,
}

impl<'a> Request<'a> for DeleteAlias<'a> {
    fn read(reader: &Reader<'_, 'a>) -> DeleteAlias<'a> {
        DeleteAlias { alias: reader.required_text("AliasName", 1..=256, Some(ALIAS_NAME)) }
    }
}

/// ListAliases.
#[derive(Debug)]
pub struct ListAliases<'a> {
    /// Only the aliases of this key.
    pub key: Option<Cow<'a, str>>,
    /// Which page.
    pub paging: Paging<'a>,
}

impl<'a> Request<'a> for ListAliases<'a> {
    fn read(reader: &Reader<'_, 'a>) -> ListAliases<'a> {
        ListAliases { key: reader.text("KeyId", KEY_ID, None), paging: Paging::read(reader) }
    }
}

/// One alias of ListAliases.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListedAlias {
    /// `alias/…`.
    pub alias_name: String,
    /// The alias ARN.
    pub alias_arn: String,
    /// The ID of the key it points to.
    pub target_key_id: String,
    /// When it was made.
    pub creation_date: Epoch,
    /// When it was last pointed to a key.
    pub last_updated_date: Epoch,
}
