//! The date of a signature, as text and as time.

use std::fmt;

use api::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::rfc2822;
use jiff::tz::Offset;

/// Bytes of `20150830T123600Z`.
const BASIC_BYTES: usize = 16;

/// A whole second in UTC, with its text in ISO 8601's basic format, which is what gets signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Date {
    at: Timestamp,
    // INVARIANT: ASCII digits, `T` and `Z`.
    text: [u8; BASIC_BYTES],
}

impl Date {
    /// Reads `20150830T123600Z`, the form that AWS asks for; `None` where it is not exactly that.
    pub(super) fn basic(given: &str) -> Option<Date> {
        let text: [u8; BASIC_BYTES] = given.as_bytes().try_into().ok()?;
        if text[8] != b'T' || text[15] != b'Z' {
            return None;
        }
        let number = |from: usize, until: usize| {
            text[from..until]
                .iter()
                .try_fold(0_i16, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i16::from(digit - b'0')))
        };
        let small = |from: usize| number(from, from + 2).and_then(|number| i8::try_from(number).ok());
        let civil = DateTime::new(number(0, 4)?, small(4)?, small(6)?, small(9)?, small(11)?, small(13)?, 0).ok()?;
        Some(Date { at: Offset::UTC.to_timestamp(civil).ok()?, text })
    }

    /// Reads `Sun, 30 Aug 2015 12:36:00 GMT`, the usual form of the `Date` header.
    pub(super) fn http(given: &str) -> Option<Date> {
        rfc2822::parse(given).ok().map(|zoned| Date::of(zoned.timestamp()))
    }

    /// The second that `at` is in.
    pub(super) fn of(at: Timestamp) -> Date {
        let civil = Offset::UTC.to_datetime(at);
        let text = format!(
            "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
            // A clock before the year 0 or after 9999 is broken; the text must be 16 bytes all the same.
            civil.year().clamp(0, 9999),
            civil.month(),
            civil.day(),
            civil.hour(),
            civil.minute(),
            civil.second()
        );
        let at = Timestamp::from_second(at.as_second()).expect("a second of a timestamp is a timestamp");
        Date { at, text: text.as_bytes().try_into().expect("4 + 2 + 2 + 1 + 2 + 2 + 2 + 1 = 16 bytes") }
    }

    /// This date `seconds` later (earlier where negative); itself at the end of time.
    pub(super) fn plus(&self, seconds: i64) -> Date {
        Timestamp::from_second(self.seconds().saturating_add(seconds)).map_or(*self, Date::of)
    }

    /// Seconds since 1970.
    pub(super) fn seconds(&self) -> i64 {
        self.at.as_second()
    }

    /// `20150830T123600Z`.
    pub(super) fn as_str(&self) -> &str {
        str::from_utf8(&self.text).expect("a date is ASCII")
    }

    /// `20150830`: the day, as it stands in a credential's scope.
    pub(super) fn day(&self) -> &str {
        &self.as_str()[..8]
    }
}

impl fmt::Display for Date {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}
