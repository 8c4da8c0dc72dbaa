//! What condition operators compare, read from text: numbers, dates, truth values, address ranges.
//!
//! Each has one reader for the policy's side and the request's side, so the two cannot disagree. A request's value that does
//! not read as what the operator compares is equal to nothing.

use std::net::IpAddr;

use api::Timestamp;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::context::Value;

/// A decimal number: digits, perhaps with a sign, a fraction and an exponent; never `inf` or `nan`.
pub(crate) fn number(text: &str) -> Option<f64> {
    let spelt = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    text.parse().ok().filter(|_| spelt).filter(|number: &f64| number.is_finite())
}

/// The number a request's value is.
pub(crate) fn number_of(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Text(text) => number(text),
        #[expect(clippy::cast_precision_loss, reason = "days and seconds stay far below 2^53")]
        Value::Number(number) => Some(*number as f64),
        Value::Time(time) => Some(time.as_second() as f64),
        Value::Bool(_) | Value::Address(_) | Value::Account(_) => None,
    }
}

/// A date: ISO 8601 as W3C profiles it (`2026`, `2026-01`, `2026-01-31`, `2026-01-31T12:00:00Z`), or epoch seconds.
///
/// Four digits alone are a year. What is left out is the earliest moment in UTC.
/// Source: IAM User Guide, "Condition operators", date.
pub(crate) fn date(text: &str) -> Option<Timestamp> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits && text.len() != 4 {
        return Timestamp::from_second(text.parse().ok()?).ok();
    }
    let midnight = |text: &str| {
        let date: Date = text.parse().ok()?;
        TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()
    };
    match text.len() {
        4 => midnight(&format!("{text}-01-01")),
        7 => midnight(&format!("{text}-01")),
        10 => midnight(text),
        _ => text.parse().ok(),
    }
}

/// The moment a request's value is.
pub(crate) fn date_of(value: &Value<'_>) -> Option<Timestamp> {
    match value {
        Value::Time(time) => Some(*time),
        Value::Number(seconds) => Timestamp::from_second(*seconds).ok(),
        Value::Text(text) => date(text),
        Value::Bool(_) | Value::Address(_) | Value::Account(_) => None,
    }
}

/// `true` or `false`, in any case.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// The truth value a request's value is.
pub(crate) fn boolean_of(value: &Value<'_>) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::Text(text) => boolean(text),
        Value::Number(_) | Value::Time(_) | Value::Address(_) | Value::Account(_) => None,
    }
}

/// Bytes, written in base64.
pub(crate) fn binary(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// The bytes a request's value is, which comes in base64 too.
pub(crate) fn binary_of(value: &Value<'_>) -> Option<Vec<u8>> {
    match value {
        Value::Text(text) => binary(text),
        Value::Number(_) | Value::Bool(_) | Value::Time(_) | Value::Address(_) | Value::Account(_) => None,
    }
}

/// A range of addresses: `203.0.113.0/24`, `2001:db8::/32`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    address: IpAddr,
    /// How many leading bits count: 0 to 32, or 0 to 128.
    prefix: u32,
}

impl Network {
    pub(crate) fn parse(text: &str) -> Option<Network> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok().filter(|p| *p <= bits)?,
            Some(_) => return None,
        };
        Some(Network { address, prefix })
    }

    /// Whether `address` is in the range; an IPv4 address written as IPv6 (`::ffff:192.0.2.1`) is the IPv4 address.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(range), IpAddr::V4(one)) => {
                leading(u128::from(range.to_bits()), self.prefix, 32)
                    == leading(u128::from(one.to_bits()), self.prefix, 32)
            }
            (IpAddr::V6(range), IpAddr::V6(one)) => {
                leading(range.to_bits(), self.prefix, 128) == leading(one.to_bits(), self.prefix, 128)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// The leading `prefix` of `width` bits.
fn leading(bits: u128, prefix: u32, width: u32) -> u128 {
    bits.checked_shr(width - prefix).unwrap_or(0)
}

/// The address a request's value is.
pub(crate) fn address_of(value: &Value<'_>) -> Option<IpAddr> {
    match value {
        Value::Address(address) => Some(*address),
        Value::Text(text) => text.parse().ok(),
        Value::Number(_) | Value::Bool(_) | Value::Time(_) | Value::Account(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(number("90"), Some(90.0));
        assert_eq!(number("-1.5e1"), Some(-15.0));
        for text in ["", "nan", "inf", "1e999", "ninety", "0x10", " 1", "1,5"] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn dates() {
        let at = |text: &str| date(text).unwrap().to_string();
        assert_eq!(at("2026"), "2026-01-01T00:00:00Z");
        assert_eq!(at("2026-11"), "2026-11-01T00:00:00Z");
        assert_eq!(at("2026-11-23"), "2026-11-23T00:00:00Z");
        assert_eq!(at("2026-11-23T10:00:00+01:00"), "2026-11-23T09:00:00Z");
        assert_eq!(at("2026-11-23T10:00Z"), "2026-11-23T10:00:00Z");
        assert_eq!(at("0"), "1970-01-01T00:00:00Z");
        assert_eq!(at("1795428000"), "2026-11-23T10:00:00Z");
        for text in ["", "tomorrow", "2026-13", "2026-11-23T10:00:00", "99999999999999999999"] {
            assert_eq!(date(text), None, "{text}");
        }
    }

    #[test]
    fn networks() {
        let holds = |range: &str, one: &str| Network::parse(range).unwrap().contains(one.parse().unwrap());
        assert!(holds("203.0.113.0/24", "203.0.113.255"));
        assert!(!holds("203.0.113.0/24", "203.0.114.0"));
        assert!(holds("203.0.113.7/24", "203.0.113.1"));
        assert!(holds("0.0.0.0/0", "203.0.113.1"));
        assert!(holds("203.0.113.1", "::ffff:203.0.113.1"));
        assert!(holds("2001:db8::/32", "2001:db8::1"));
        assert!(holds("::/0", "2001:db8::1"));
        assert!(!holds("::/0", "203.0.113.1"));
        assert!(!holds("0.0.0.0/0", "2001:db8::1"));
        for text in ["", "203.0.113.0/33", "203.0.113/24", "2001:db8::/129", "1.2.3.4/", "1.2.3.4/+8", "1.2.3.4/8/8"] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
