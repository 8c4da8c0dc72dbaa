//! ListGrants. No operation makes a grant yet, so its list is empty for every key.

use std::borrow::Cow;

use super::{KEY_ID, Paging};
use crate::validate::{Pattern, Reader, Request};

const PRINCIPAL: Pattern = Pattern {
    shown: "^[\\w+=,.@:/-]+$",
    accepts: |text| {
        !text.is_empty()
            && text.bytes().all(|b| {
                b.is_ascii_alphanumeric() || matches!(b, b'_' | b'+' | b'=' | b',' | b'.' | b'@' | b':' | b'/' | b'-')
            })
    },
};

/// ListGrants.
#[derive(Debug)]
pub struct ListGrants<'a> {
    /// The key as the caller named it.
    pub key: Cow<'a, str>,
    /// Which page.
    pub paging: Paging<'a>,
}

impl<'a> Request<'a> for ListGrants<'a> {
    fn read(reader: &Reader<'_, 'a>) -> ListGrants<'a> {
        reader.text("GrantId", 1..=128, None);
        reader.text("GranteePrincipal", 1..=256, Some(PRINCIPAL));
        ListGrants { key: reader.required_text("KeyId", KEY_ID, None), paging: Paging::read(reader) }
    }
}
