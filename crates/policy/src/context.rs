//! What is known about a request, as condition keys with their values.
//!
//! The service implements [`Context`] over what it already holds and computes a value only when a policy asks for it.
//! [`Facts`] is a ready list for where speed does not matter.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use api::{AccountId, Timestamp};

/// Answers what a condition key's value is in this request.
pub trait Context {
    /// The values of `key`, which is given in ASCII lower case: `kms:viaservice`, `kms:encryptioncontext:app`.
    ///
    /// Key names are case-insensitive, also their last part (the name of a tag or of an encryption context pair): an
    /// implementation compares them with [`str::eq_ignore_ascii_case`].
    fn values(&self, key: &str) -> Values<'_>;
}

/// The context of which nothing is known: every key is absent.
#[derive(Debug, Clone, Copy)]
pub struct Unknown;

impl Context for Unknown {
    fn values(&self, _key: &str) -> Values<'_> {
        Values::Absent
    }
}

/// The values of one condition key.
#[derive(Debug, Clone, PartialEq)]
pub enum Values<'a> {
    /// The key is not in the request.
    Absent,
    /// A single-valued key.
    One(Value<'a>),
    /// A multivalued key (`aws:TagKeys`); an empty list is as if the key were absent.
    Many(Vec<Value<'a>>),
}

impl<'a> Values<'a> {
    /// All values as one list, empty where the key is absent.
    pub fn as_slice(&self) -> &[Value<'a>] {
        match self {
            Values::Absent => &[],
            Values::One(value) => std::slice::from_ref(value),
            Values::Many(values) => values,
        }
    }

    /// The value of a single-valued key.
    pub(crate) fn single(self) -> Option<Value<'a>> {
        match self {
            Values::One(value) => Some(value),
            Values::Absent | Values::Many(_) => None,
        }
    }
}

impl<'a> From<&'a str> for Values<'a> {
    fn from(text: &'a str) -> Values<'a> {
        Values::One(Value::Text(Cow::Borrowed(text)))
    }
}

impl<'a> From<Option<&'a str>> for Values<'a> {
    fn from(text: Option<&'a str>) -> Values<'a> {
        text.map_or(Values::Absent, Values::from)
    }
}

impl From<bool> for Values<'_> {
    fn from(value: bool) -> Self {
        Values::One(Value::Bool(value))
    }
}

impl From<i64> for Values<'_> {
    fn from(value: i64) -> Self {
        Values::One(Value::Number(value))
    }
}

impl<'a> FromIterator<&'a str> for Values<'a> {
    fn from_iter<I: IntoIterator<Item = &'a str>>(texts: I) -> Values<'a> {
        Values::Many(texts.into_iter().map(|text| Value::Text(Cow::Borrowed(text))).collect())
    }
}

/// One value, in the form in which the caller of this crate has it.
///
/// Every operator reads every form: a number that is given as text is a number to `NumericEquals`, and a [`Value::Time`] is
/// text to `StringLike`.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// Text, or anything else in its textual form.
    Text(Cow<'a, str>),
    /// A whole number: days, `aws:EpochTime`.
    Number(i64),
    /// `true` or `false`: `aws:SecureTransport`.
    Bool(bool),
    /// A moment: `aws:CurrentTime`.
    Time(Timestamp),
    /// An address: `aws:SourceIp`.
    Address(IpAddr),
    /// An account, 12 digits as text: `kms:CallerAccount`.
    Account(AccountId),
}

impl Value<'_> {
    /// The value as text, written to `buffer` where it is not text already.
    pub(crate) fn text<'b>(&'b self, buffer: &'b mut Buffer) -> &'b str {
        match self {
            Value::Text(text) => text,
            Value::Number(number) => buffer.render(number),
            Value::Bool(value) => buffer.render(value),
            Value::Time(time) => buffer.render(time),
            Value::Address(address) => buffer.render(address),
            Value::Account(account) => buffer.render(account),
        }
    }
}

/// Room for the longest text that a [`Value`] other than text can have, so that no condition needs the heap for it.
///
/// An IPv6 address has up to 45 bytes, a timestamp with nanoseconds up to 31.
pub(crate) struct Buffer {
    bytes: [u8; 64],
    len: usize,
}

impl Buffer {
    pub(crate) fn new() -> Buffer {
        Buffer { bytes: [0; 64], len: 0 }
    }

    fn render(&mut self, value: &dyn fmt::Display) -> &str {
        self.len = 0;
        let written = fmt::Write::write_fmt(self, format_args!("{value}"));
        assert!(written.is_ok(), "a condition value that is not text fits in 64 bytes");
        std::str::from_utf8(&self.bytes[..self.len]).expect("only whole strings are written")
    }
}

impl fmt::Write for Buffer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.get_mut(self.len..self.len + text.len()).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}

/// A [`Context`] that holds its keys in a list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts<'a> {
    known: Vec<(Cow<'a, str>, Values<'a>)>,
}

impl<'a> Facts<'a> {
    /// A context of which nothing is known yet.
    pub fn new() -> Facts<'a> {
        Facts::default()
    }

    /// The same context with `key` known; a key given twice keeps its first values.
    pub fn with(mut self, key: impl Into<Cow<'a, str>>, values: impl Into<Values<'a>>) -> Facts<'a> {
        self.known.push((key.into(), values.into()));
        self
    }
}

impl Context for Facts<'_> {
    fn values(&self, key: &str) -> Values<'_> {
        let found = self.known.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
        found.map_or(Values::Absent, |(_, values)| values.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_values_fit_their_buffer() {
        let longest = [
            Value::Number(i64::MIN),
            Value::Time(Timestamp::MIN),
            Value::Time(Timestamp::MAX),
            Value::Address("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff".parse().unwrap()),
            Value::Address("::ffff:255.255.255.255".parse().unwrap()),
            Value::Account("999999999999".parse().unwrap()),
        ];
        for value in longest {
            assert!(!value.text(&mut Buffer::new()).is_empty());
        }
    }

    #[test]
    fn names_are_found_in_any_case() {
        let facts = Facts::new().with("kms:EncryptionContext:App", "web");
        assert_eq!(facts.values("kms:encryptioncontext:app"), Values::from("web"));
        assert_eq!(facts.values("kms:encryptioncontext:ap"), Values::Absent);
    }
}
