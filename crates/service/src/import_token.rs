//! Import tokens: what ties wrapped material to the key it is for.
//!
//! A token holds the private half of its wrapping key, sealed under the root keyring, and so the service remembers nothing between
//! the two calls: a token outlives a restart, costs nothing when nobody comes back with it, and opens only for the key, algorithm
//! and time that it was made for.

use api::{KeyArn, Timestamp, WrappingAlgorithm};
use crypto::{KeyMaterial, WrappedMaterial};
use jiff::SignedDuration;

use crate::vault::Vault;

/// How long a token may be used. Source: AWS KMS API Reference, GetParametersForImport.
const VALID: SignedDuration = SignedDuration::from_hours(24);

/// Version of the form of a token: this byte, the place of the algorithm in [`WrappingAlgorithm::ALL`], the last moment as epoch
/// seconds (eight bytes, big-endian), then the sealed private key, which is bound to all of that and to the key's ARN.
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 10;

/// An opened token.
pub(crate) struct ImportToken {
    /// How the material is wrapped.
    pub(crate) algorithm: WrappingAlgorithm,
    /// Until when the token may be used.
    pub(crate) valid_to: Timestamp,
    /// The private half of the wrapping key.
    pub(crate) private: KeyMaterial,
}

/// When a token that is made at `now` may be used last: a whole second.
pub(crate) fn valid_to(now: Timestamp) -> Timestamp {
    let end = now.checked_add(VALID).unwrap_or(Timestamp::MAX);
    Timestamp::from_second(end.as_second()).unwrap_or(end)
}

impl ImportToken {
    /// The token as it is given out for `key`.
    pub(crate) fn seal(&self, vault: &Vault, key: &KeyArn) -> Vec<u8> {
        let header = header(self.algorithm, self.valid_to);
        let sealed = vault.seal(&self.private, &bound(&header, key));
        [header.as_slice(), sealed.as_bytes()].concat()
    }

    /// Opens a token that came back for `key`; `None` unless it was made for it, here.
    pub(crate) fn open(vault: &Vault, key: &KeyArn, token: &[u8]) -> Option<ImportToken> {
        let (header, sealed) = token.split_first_chunk::<HEADER_BYTES>()?;
        let [version, algorithm, seconds @ ..] = header;
        let algorithm = *WrappingAlgorithm::ALL.get(usize::from(*algorithm))?;
        let valid_to = Timestamp::from_second(i64::from_be_bytes(*seconds)).ok()?;
        let sealed = WrappedMaterial::from_bytes(sealed).ok().filter(|_| *version == VERSION)?;
        let private = vault.open(&sealed, &bound(header, key)).ok()?;
        Some(ImportToken { algorithm, valid_to, private })
    }
}

fn header(algorithm: WrappingAlgorithm, valid_to: Timestamp) -> [u8; HEADER_BYTES] {
    let place = WrappingAlgorithm::ALL.iter().position(|known| *known == algorithm);
    let place = place.and_then(|place| u8::try_from(place).ok()).expect("every algorithm is among the six there are");
    let mut header = [VERSION, place, 0, 0, 0, 0, 0, 0, 0, 0];
    header[2..].copy_from_slice(&valid_to.as_second().to_be_bytes());
    header
}

fn bound(header: &[u8; HEADER_BYTES], key: &KeyArn) -> Vec<u8> {
    [b"import token ", header.as_slice(), key.to_string().as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use api::KeySpec;
    use crypto::Keyring;

    use super::*;

    fn arn(id: &str) -> KeyArn {
        format!("arn:aws:kms:eu-west-1:111122223333:key/{id}").parse().unwrap()
    }

    /// No bit of a token can be changed, no byte cut off, and no other key takes it.
    #[test]
    fn a_token_opens_only_whole_and_only_for_its_key() {
        let vault = Vault::new(Keyring::in_memory());
        let (key, other) = (arn("1234abcd-12ab-34cd-56ef-1234567890ab"), arn("1234abcd-12ab-34cd-56ef-1234567890ac"));
        let private = KeyMaterial::generate(KeySpec::SymmetricDefault).unwrap();
        let end = valid_to(Timestamp::from_second(1_800_000_000).unwrap());
        let token = ImportToken { algorithm: WrappingAlgorithm::RsaAesKeyWrapSha256, valid_to: end, private };
        let sealed = token.seal(&vault, &key);
        let opened = ImportToken::open(&vault, &key, &sealed).unwrap();
        assert_eq!((opened.algorithm, opened.valid_to.as_second()), (token.algorithm, 1_800_000_000 + 86_400));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(ImportToken::open(&vault, &key, &changed).is_none(), "byte {at}");
            assert!(ImportToken::open(&vault, &key, &sealed[..at]).is_none(), "cut at {at}");
        }
        assert!(ImportToken::open(&vault, &other, &sealed).is_none());
        assert!(ImportToken::open(&Vault::new(Keyring::in_memory()), &key, &sealed).is_none());
    }
}
