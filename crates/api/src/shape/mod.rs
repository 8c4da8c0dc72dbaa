//! Requests and answers, one file for each family of operations; `service::ops` has the same file names.
//!
//! A request is read by [`crate::validate::Request`]; an answer is serialised as it stands. Lengths, ranges and value sets are
//! those of the KMS API model.

pub mod aliases;
pub mod cryptographic;
pub mod data_keys;
pub mod grants;
pub mod imports;
pub mod key_stores;
pub mod keys;
pub mod lifecycle;
pub mod macs;
pub mod multi_region;
pub mod policies;
pub mod public_keys;
pub mod random;
pub mod rotation;
pub mod shared_secrets;
pub mod signing;
pub mod tags;
pub mod usage;

use std::borrow::Cow;
use std::ops::RangeInclusive;

use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};

use crate::Timestamp;
use crate::validate::{Pattern, Presence, Reader, Request};

/// Length of every `KeyId`, whichever of the four forms it has.
pub const KEY_ID: RangeInclusive<usize> = 1..=2048;

const MARKER: Pattern =
    Pattern { shown: "[\\u0020-\\u00FF]*", accepts: |text| text.chars().all(|c| ('\u{20}'..='\u{ff}').contains(&c)) };

/// A request that has a `KeyId` and nothing else that matters.
#[derive(Debug)]
pub struct OfKey<'a> {
    /// The key as the caller named it.
    pub key: Cow<'a, str>,
}

impl<'a> Request<'a> for OfKey<'a> {
    fn read(reader: &Reader<'_, 'a>) -> OfKey<'a> {
        grant_tokens(reader);
        OfKey { key: reader.required_text("KeyId", KEY_ID, None) }
    }
}

/// `Limit` and `Marker` as sent.
#[derive(Debug)]
pub struct Paging<'a> {
    /// Most items to answer.
    pub limit: Option<i64>,
    /// Where the page before ended.
    pub marker: Option<Cow<'a, str>>,
}

impl<'a> Request<'a> for Paging<'a> {
    fn read(reader: &Reader<'_, 'a>) -> Paging<'a> {
        Paging { limit: reader.number("Limit", 1..=1000), marker: reader.text("Marker", 1..=1024, Some(MARKER)) }
    }
}

/// Checks the form of `GrantTokens`, so that it is named together with what else is wrong with a request.
fn grant_tokens(reader: &Reader<'_, '_>) {
    GrantTokens::read(reader);
}

/// `GrantTokens` of any operation that has them, read again where they count.
#[derive(Debug)]
pub struct GrantTokens<'a>(pub Vec<Cow<'a, str>>);

impl<'a> Request<'a> for GrantTokens<'a> {
    fn read(reader: &Reader<'_, 'a>) -> GrantTokens<'a> {
        GrantTokens(reader.texts("GrantTokens", Presence::Optional, 0..=10, 1..=8192))
    }
}

/// A moment on the wire: epoch seconds, with milliseconds where there are any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch(pub Timestamp);

impl Serialize for Epoch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let milliseconds = self.0.as_millisecond();
        if milliseconds % 1000 == 0 {
            serializer.serialize_i64(milliseconds / 1000)
        } else {
            serializer.serialize_f64(milliseconds as f64 / 1000.0)
        }
    }
}

/// Bytes on the wire: base64 (RFC 4648, 4, with padding).
#[derive(Clone, PartialEq, Eq)]
pub struct Blob<B: AsRef<[u8]>>(pub B);

impl<B: AsRef<[u8]>> Serialize for Blob<B> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&base64::display::Base64Display::new(self.0.as_ref(), &STANDARD))
    }
}

impl<B: AsRef<[u8]>> std::fmt::Debug for Blob<B> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Blob({} bytes)", self.0.as_ref().len())
    }
}

/// A page of a list; `items` is named by `name` on the wire.
#[derive(Debug)]
pub struct Listed<T> {
    /// The member that holds the items: `Keys`.
    pub name: &'static str,
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Where to go on, if there is more.
    pub next: Option<String>,
}

impl<T: Serialize> Serialize for Listed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(self.name, &self.items)?;
        map.serialize_entry("Truncated", &self.next.is_some())?;
        if let Some(next) = &self.next {
            map.serialize_entry("NextMarker", next)?;
        }
        map.end()
    }
}
