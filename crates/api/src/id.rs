//! Names of things: accounts, Regions, keys, aliases, and their ARNs.
//!
//! Each is parsed once, at the edge, and cannot be wrong afterwards. All but the alias are small and `Copy`, so that a request
//! carries them without allocating.

use std::fmt::{self, Display as _};
use std::str::FromStr;

/// What was wrong with an identifier: the text that was given, and what it should have been.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not {expected}")]
pub struct InvalidId {
    /// The text that did not parse.
    pub given: String,
    /// What was expected, as a noun phrase.
    pub expected: &'static str,
}

fn invalid(given: &str, expected: &'static str) -> InvalidId {
    InvalidId { given: given.to_owned(), expected }
}

/// An AWS account: 12 decimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(u64);

impl AccountId {
    /// The account `000000000000`, which development servers use.
    pub const ZERO: AccountId = AccountId(0);

    /// The 12 digits as one number, for compact stored forms.
    pub fn number(self) -> u64 {
        self.0
    }

    /// The inverse of [`AccountId::number`]; `None` where the number has more than 12 digits.
    pub fn from_number(number: u64) -> Option<AccountId> {
        (number < 1_000_000_000_000).then_some(AccountId(number))
    }
}

impl FromStr for AccountId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<AccountId, InvalidId> {
        if text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()) {
            Ok(AccountId(text.bytes().fold(0, |n, b| n * 10 + u64::from(b - b'0'))))
        } else {
            Err(invalid(text, "an account ID of 12 digits"))
        }
    }
}

impl AccountId {
    fn digits(self) -> [u8; 12] {
        let mut digits = [b'0'; 12];
        let mut rest = self.0;
        for digit in digits.iter_mut().rev() {
            *digit += (rest % 10) as u8;
            rest /= 10;
        }
        digits
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(ascii(&self.digits()))
    }
}

/// Longest Region name we hold; AWS's longest today has 14 characters (`ap-southeast-1`).
const REGION_BYTES: usize = 23;

/// An AWS Region by name: `eu-west-1`. Lower-case words joined by `-`, ending in a number, at most 23 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region {
    // The unused tail is zero, so that derived order and equality are those of the text.
    bytes: [u8; REGION_BYTES],
    len: u8,
}

impl Region {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).expect("a Region is parsed from ASCII")
    }

    /// The partition the Region belongs to: `aws`, `aws-cn` or `aws-us-gov`.
    pub fn partition(&self) -> &'static str {
        let name = self.as_str();
        if name.starts_with("cn-") {
            "aws-cn"
        } else if name.starts_with("us-gov-") {
            "aws-us-gov"
        } else {
            "aws"
        }
    }
}

impl FromStr for Region {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Region, InvalidId> {
        let wrong = || invalid(text, "a Region such as `eu-west-1`");
        let (names, number) = text.rsplit_once('-').ok_or_else(wrong)?;
        let named = names.contains('-')
            && names.split('-').all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase()));
        let numbered = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        if text.len() > REGION_BYTES || !named || !numbered {
            return Err(wrong());
        }
        let mut bytes = [0; REGION_BYTES];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Region { bytes, len: u8::try_from(text.len()).expect("at most 23 bytes") })
    }
}

impl fmt::Display for Region {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}", self.as_str())
    }
}

/// A KMS key ID: a UUID (`1234abcd-12ab-34cd-56ef-1234567890ab`), or for a multi-Region key `mrk-` and 32 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId {
    uuid: u128,
    multi_region: bool,
}

impl KeyId {
    /// The ID that sorts before all others.
    pub const FIRST: KeyId = KeyId { uuid: 0, multi_region: false };

    /// The ID of a single-Region key from 16 random bytes, which become a version 4 UUID (RFC 9562).
    pub fn single_region(random: [u8; 16]) -> KeyId {
        KeyId { uuid: version_4(random), multi_region: false }
    }

    /// The ID of a multi-Region key from 16 random bytes.
    pub fn multi_region(random: [u8; 16]) -> KeyId {
        KeyId { uuid: version_4(random), multi_region: true }
    }

    /// Whether this names a multi-Region key.
    pub fn is_multi_region(&self) -> bool {
        self.multi_region
    }

    /// 17 bytes that stand for this ID in stored keys and ciphertexts: a flag, then the UUID, big-endian.
    pub fn to_bytes(self) -> [u8; 17] {
        let mut bytes = [0; 17];
        bytes[0] = u8::from(self.multi_region);
        bytes[1..].copy_from_slice(&self.uuid.to_be_bytes());
        bytes
    }

    /// The inverse of [`KeyId::to_bytes`]; `None` where the flag is neither 0 nor 1.
    pub fn from_bytes(bytes: [u8; 17]) -> Option<KeyId> {
        let multi_region = match bytes[0] {
            0 => false,
            1 => true,
            _ => return None,
        };
        let uuid = u128::from_be_bytes(bytes[1..].try_into().expect("16 of 17 bytes"));
        Some(KeyId { uuid, multi_region })
    }
}

/// RFC 9562, 5.4: version 4, variant 10.
fn version_4(random: [u8; 16]) -> u128 {
    let mut bytes = random;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    u128::from_be_bytes(bytes)
}

impl FromStr for KeyId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<KeyId, InvalidId> {
        let (dashed, multi_region) = match text.strip_prefix("mrk-") {
            Some(digits) => (digits, true),
            None => (text, false),
        };
        let shaped = match multi_region {
            true => dashed.len() == 32,
            false => dashed.len() == 36 && DASHES.iter().all(|at| dashed.as_bytes()[*at] == b'-'),
        };
        let digits = dashed.bytes().enumerate().filter(|(at, _)| multi_region || !DASHES.contains(at));
        let uuid = digits.map(|(_, digit)| hex_value(digit)).try_fold(0, |uuid, value| Some(uuid << 4 | value?));
        let uuid = uuid.filter(|_| shaped).ok_or_else(|| invalid(text, "a key ID"))?;
        Ok(KeyId { uuid, multi_region })
    }
}

/// Where the dashes of a UUID are.
const DASHES: [usize; 4] = [8, 13, 18, 23];

fn hex_value(digit: u8) -> Option<u128> {
    match digit {
        b'0'..=b'9' => Some(u128::from(digit - b'0')),
        b'a'..=b'f' => Some(u128::from(digit - b'a' + 10)),
        _ => None,
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 32];
        hex(&self.uuid.to_be_bytes(), &mut digits);
        if self.multi_region {
            out.write_str("mrk-")?;
            return out.write_str(ascii(&digits));
        }
        let mut dashed = [b'-'; 36];
        for (from, to) in [(0..8, 0..8), (8..12, 9..13), (12..16, 14..18), (16..20, 19..23), (20..32, 24..36)] {
            dashed[to].copy_from_slice(&digits[from]);
        }
        out.write_str(ascii(&dashed))
    }
}

/// Writes `bytes` as lower-case hex digits; `out` is twice as long.
pub fn hex(bytes: &[u8], out: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (two, byte) in out.chunks_exact_mut(2).zip(bytes) {
        two[0] = DIGITS[usize::from(byte >> 4)];
        two[1] = DIGITS[usize::from(byte & 15)];
    }
}

fn ascii(digits: &[u8]) -> &str {
    std::str::from_utf8(digits).expect("digits are ASCII")
}

/// A KMS key by its full name: `arn:aws:kms:<region>:<account>:key/<key ID>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyArn {
    /// The account that owns the key.
    pub account: AccountId,
    /// The Region the key is in.
    pub region: Region,
    /// The key's ID in that account and Region.
    pub key: KeyId,
}

impl fmt::Display for KeyArn {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_arn_head(out, self.region, self.account)?;
        out.write_str(":key/")?;
        self.key.fmt(out)
    }
}

/// `arn:<partition>:kms:<region>:<account>`, piece by piece: every answer and record names a key, and `write!` takes ten times as long.
fn write_arn_head(out: &mut fmt::Formatter<'_>, region: Region, account: AccountId) -> fmt::Result {
    for piece in ["arn:", region.partition(), ":kms:", region.as_str(), ":"] {
        out.write_str(piece)?;
    }
    account.fmt(out)
}

impl serde::Serialize for KeyArn {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for KeyArn {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<KeyArn, InvalidId> {
        match KeyRef::parse(text) {
            Ok(KeyRef::KeyArn(arn)) => Ok(arn),
            _ => Err(invalid(text, "a key ARN `arn:aws:kms:<region>:<account>:key/<key ID>`")),
        }
    }
}

/// An alias by name: `alias/` and 1 to 250 of `[a-zA-Z0-9/_-]`.
///
/// Source: AWS KMS API Reference, CreateAlias, `AliasName` (256 characters with the prefix).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AliasName(Box<str>);

impl AliasName {
    /// The name with its prefix: `alias/app`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name that sorts before every other: where a range of names begins.
    pub fn first() -> AliasName {
        AliasName("alias/-".into())
    }

    /// Whether the name is in `alias/aws/`, which belongs to AWS managed keys.
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with("alias/aws/")
    }
}

impl FromStr for AliasName {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<AliasName, InvalidId> {
        let named = text.strip_prefix("alias/").is_some_and(|name| !name.is_empty());
        let spelt = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b':' | b'/' | b'_' | b'-'));
        if named && spelt && text.len() <= 256 {
            Ok(AliasName(text.into()))
        } else {
            Err(invalid(text, "an alias name `alias/<name>`"))
        }
    }
}

impl fmt::Display for AliasName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// An alias by its full name: `arn:aws:kms:<region>:<account>:alias/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AliasArn {
    /// The account the alias is in.
    pub account: AccountId,
    /// The Region the alias is in.
    pub region: Region,
    /// The alias itself.
    pub alias: AliasName,
}

impl fmt::Display for AliasArn {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_arn_head(out, self.region, self.account)?;
        out.write_str(":")?;
        out.write_str(self.alias.as_str())
    }
}

/// What a request's `KeyId` means: one of the four forms that AWS takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyRef {
    /// A bare key ID: of the caller's account, in the request's Region.
    Key(KeyId),
    /// A key ARN, perhaps of another account.
    KeyArn(KeyArn),
    /// A bare alias name: of the caller's account, in the request's Region.
    Alias(AliasName),
    /// An alias ARN, perhaps of another account.
    AliasArn(AliasArn),
}

impl KeyRef {
    /// Reads any of the four forms.
    ///
    /// # Errors
    /// [`InvalidId`] naming the text where it is none of them.
    pub fn parse(text: &str) -> Result<KeyRef, InvalidId> {
        let wrong = || invalid(text, "a key ID, key ARN, alias name or alias ARN");
        if text.starts_with("alias/") {
            return text.parse().map(KeyRef::Alias);
        }
        if !text.starts_with("arn:") {
            return text.parse().map(KeyRef::Key);
        }
        let mut parts = text.splitn(6, ':').skip(1);
        let mut part = || parts.next().ok_or_else(wrong);
        let (partition, service, region, account, resource) = (part()?, part()?, part()?, part()?, part()?);
        let region: Region = region.parse().map_err(|_| wrong())?;
        let account: AccountId = account.parse().map_err(|_| wrong())?;
        if service != "kms" || partition != region.partition() {
            return Err(wrong());
        }
        if let Some(key) = resource.strip_prefix("key/") {
            let key = key.parse().map_err(|_| wrong())?;
            return Ok(KeyRef::KeyArn(KeyArn { account, region, key }));
        }
        let alias = resource.parse().map_err(|_| wrong())?;
        Ok(KeyRef::AliasArn(AliasArn { account, region, alias }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_parses_prints_as_it_was() {
        for text in [
            "1234abcd-12ab-34cd-56ef-1234567890ab",
            "mrk-1234abcd12ab34cd56ef1234567890ab",
            "00000000-0000-0000-0000-000000000001",
        ] {
            let key: KeyId = text.parse().unwrap();
            assert_eq!(key.to_string(), text);
            assert_eq!(KeyId::from_bytes(key.to_bytes()), Some(key));
        }
        for text in [
            "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "arn:aws-cn:kms:cn-north-1:000000000001:key/mrk-1234abcd12ab34cd56ef1234567890ab",
        ] {
            assert_eq!(text.parse::<KeyArn>().unwrap().to_string(), text);
        }
        let KeyRef::AliasArn(arn) = KeyRef::parse("arn:aws:kms:us-west-2:111122223333:alias/a/b").unwrap() else {
            panic!("an alias ARN")
        };
        assert_eq!(arn.to_string(), "arn:aws:kms:us-west-2:111122223333:alias/a/b");
    }

    #[test]
    fn what_is_not_an_identifier_is_refused() {
        for text in [
            "",
            "fake-key-id",
            "alias/",
            "1234ABCD-12ab-34cd-56ef-1234567890ab",
            "1234abcd-12ab-34cd-56ef-1234567890a",
            "1234abcd012ab-34cd-56ef-1234567890ab",
            "1234abcd-12ab-34cd-56ef-1234567890-b",
            "1234abcd-12ab-34cd-56ef-1234567890é",
            "mrk-12",
            "mrk-1234abcd-2ab34cd56ef1234567890ab",
            "mrk-1234abcd12ab34cd56ef1234567890ab0",
            "arn:aws:kms:us-west-2:1111:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "arn:aws:s3:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "arn:aws-cn:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "arn:aws:kms:us-west-2:111122223333",
        ] {
            assert!(KeyRef::parse(text).is_err(), "{text}");
        }
        for text in ["", "us", "us-west", "US-west-2", "us-west-2x", "us--2", "abcdefgh-abcdefgh-abcdefgh-1"] {
            assert!(text.parse::<Region>().is_err(), "{text}");
        }
        assert!("12345678901".parse::<AccountId>().is_err());
        assert_eq!("000000000042".parse::<AccountId>().unwrap().to_string(), "000000000042");
        assert_eq!(AccountId::from_number(999_999_999_999).unwrap().to_string(), "999999999999");
        assert_eq!(AccountId::from_number(1_000_000_000_000), None);
    }

    #[test]
    fn regions_are_ordered_as_their_names() {
        let regions: Vec<Region> =
            ["ap-south-1", "eu-west-1", "eu-west-2", "us-east-1"].iter().map(|r| r.parse().unwrap()).collect();
        assert!(regions.is_sorted());
    }
}
