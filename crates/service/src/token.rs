//! Grant tokens: texts that name a grant.
//!
//! A token is no secret that opens anything: a grant speaks for its grantee with or without it, and who retires a grant by its token
//! must be one who may. So it holds the names of the key and the grant, some bytes that make each token another one, and a
//! digest that tells a token from other texts.

use api::{AccountId, GrantId, KeyArn, KeyId, Region};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The form of tokens; a token of another form is not valid.
const VERSION: u8 = 1;
const NONCE_BYTES: usize = 16;
const CHECK_BYTES: usize = 8;
/// Before the Region's name: version, account, key ID, grant ID, and what makes it another token.
const HEAD_BYTES: usize = 1 + 8 + 17 + 32 + NONCE_BYTES;

/// A new token for a grant.
pub(crate) fn issue(key: &KeyArn, grant: GrantId) -> String {
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&key.account.number().to_be_bytes());
    bytes.extend_from_slice(&key.key.to_bytes());
    bytes.extend_from_slice(&grant.0);
    let mut nonce = [0; NONCE_BYTES];
    crypto::random(&mut nonce);
    bytes.extend_from_slice(&nonce);
    bytes.extend_from_slice(key.region.as_str().as_bytes());
    let check = crypto::sha256(&bytes);
    bytes.extend_from_slice(&check[..CHECK_BYTES]);
    STANDARD.encode(bytes)
}

/// The grant that a token names; `None` where it is no token.
pub(crate) fn read(token: &str) -> Option<(KeyArn, GrantId)> {
    let bytes = STANDARD.decode(token).ok()?;
    let (told, check) = bytes.split_last_chunk::<CHECK_BYTES>()?;
    if crypto::sha256(told)[..CHECK_BYTES] != check[..] || told.len() < HEAD_BYTES || told[0] != VERSION {
        return None;
    }
    let (head, region) = told.split_at(HEAD_BYTES);
    let account = AccountId::from_number(u64::from_be_bytes(head[1..9].try_into().ok()?))?;
    let key = KeyId::from_bytes(head[9..26].try_into().ok()?)?;
    let grant = GrantId(head[26..58].try_into().ok()?);
    let region: Region = std::str::from_utf8(region).ok()?.parse().ok()?;
    Some((KeyArn { account, region, key }, grant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_grant_and_no_two_are_alike() {
        let key: KeyArn =
            "arn:aws:kms:eu-west-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab".parse().unwrap();
        let grant = GrantId([7; 32]);
        let (one, other) = (issue(&key, grant), issue(&key, grant));
        assert_ne!(one, other);
        for token in [&one, &other] {
            assert_eq!(read(token), Some((key, grant)));
        }
        for at in 0..one.len() {
            let mut broken = one.clone().into_bytes();
            broken[at] = if broken[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(read(std::str::from_utf8(&broken).unwrap()), None, "byte {at}");
            assert_eq!(read(&one[..at]), None);
        }
    }
}
